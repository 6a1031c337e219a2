//! Icons of macOS (`.icns`).
//!
//! In: a square picture. Out: bytes. Never: more pixels than the picture has, but for the smallest
//! sizes, which each program must have.

use crate::desktop::icon;
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
pub(super) fn file(picture: &Icon) -> Option<Vec<u8>> {
    let largest = picture.longer_side().max(LARGEST_ENLARGED);
    let blocks = BLOCKS.into_iter().filter(|(side, _)| *side <= largest);
    icon::mac_file(blocks.map(|(side, name)| (name, picture.png(side))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The blocks of the icon of a picture with this side: each with its name and its PNG's side.
    fn blocks(side: u32) -> Vec<(String, u32)> {
        let pixels = vec![200; (4 * side * side) as usize];
        let picture = Icon::read(&icon::png(pixels, side, side).unwrap()).unwrap();
        let file = file(&picture).unwrap();
        let number = |at: usize| u32::from_be_bytes(file[at..at + 4].try_into().unwrap()) as usize;
        assert_eq!((&file[..4], number(4)), (b"icns".as_slice(), file.len()));
        let mut at = 8;
        let mut found = Vec::new();
        while at < file.len() {
            let name = String::from_utf8(file[at..at + 4].to_vec()).unwrap();
            let picture = icon::read(&file[at + 8..at + number(at + 4)]).unwrap();
            found.push((name, picture.width()));
            at += number(at + 4);
        }
        found
    }

    #[test]
    fn each_block_has_the_size_that_its_name_stands_for() {
        let small: Vec<(String, u32)> =
            [("ic11", 32), ("ic12", 64), ("ic07", 128)].map(|(n, s)| (n.to_owned(), s)).to_vec();
        assert_eq!(blocks(48), small, "a small picture is not blown up");
        let large = blocks(512);
        assert_eq!(large.len(), 7);
        assert_eq!(large.last().unwrap(), &("ic09".to_owned(), 512));
    }
}
