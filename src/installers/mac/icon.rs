//! Icons of macOS (`.icns`).
//!
//! In: a square picture. Out: bytes. Never: more pixels than the picture has, but for the smallest
//! sizes, which each program must have.

use crate::installers::icons::Icon;

/// Blocks of PNG: pixels of a side, and the block's name. The same picture serves a size on usual
/// screens and half that size on screens of double resolution.
const BLOCKS: [(u32, &[u8; 4]); 8] = [
    (32, b"ic11"),
    (64, b"ic12"),
    (128, b"ic07"),
    (256, b"ic13"),
    (256, b"ic08"),
    (512, b"ic14"),
    (512, b"ic09"),
    (1024, b"ic10"),
];
/// The largest side that is made from a smaller picture, pixels.
const LARGEST_ENLARGED: u32 = 128;

/// The file; `None` if a PNG cannot be written.
pub(super) fn file(icon: &Icon) -> Option<Vec<u8>> {
    let largest = icon.longer_side().max(LARGEST_ENLARGED);
    let mut blocks = Vec::new();
    for (side, name) in BLOCKS.into_iter().filter(|(side, _)| *side <= largest) {
        let png = icon.png(side)?;
        blocks.extend(name);
        blocks.extend(u32::try_from(png.len() + 8).ok()?.to_be_bytes());
        blocks.extend(png);
    }
    let mut file = b"icns".to_vec();
    file.extend(u32::try_from(blocks.len() + 8).ok()?.to_be_bytes());
    file.extend(blocks);
    Some(file)
}
