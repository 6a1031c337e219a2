//! Finds references in code of 64-bit Arm.
//!
//! In: a span of code. Out: its branches (b, bl); a field is a whole instruction of 4 bytes. Pairs
//! of adrp and an offset are not supported yet. Encodings follow the Arm Architecture Reference
//! Manual, section C4.1.

use std::io;

use super::code::{Found, Span};
use super::fields::kind;
use super::image::{File, Layout};

/// Bytes read at a time.
const PART: usize = 64 << 10;
/// Bits of a branch that hold the distance.
const DISTANCE: u32 = 0x03FF_FFFF;

/// Distance in bytes of a 26-bit branch; `None` for other instructions.
pub(super) fn branch(word: u32) -> Option<i64> {
    (word & 0x7C00_0000 == 0x1400_0000).then(|| i64::from((word << 6) as i32 >> 6) * 4)
}

/// The branch `word` with another distance.
pub(super) fn with_distance(word: u32, distance: u64) -> u32 {
    word & !DISTANCE | (distance >> 2) as u32 & DISTANCE
}

/// Finds the branches in a span of code.
pub(super) fn sweep(
    file: &mut File<'_, '_>,
    layout: &Layout,
    span: Span,
    found: &mut Found,
) -> io::Result<()> {
    let mut buffer = vec![0; PART];
    let mut at = span.at.next_multiple_of(4);
    let end = span.at + span.length;
    while at + 4 <= end {
        let code = file.read(at, &mut buffer)?;
        let count = ((end - at) as usize / 4).min(code.len() / 4);
        if count == 0 {
            break;
        }
        for (number, bytes) in code.chunks_exact(4).take(count).enumerate() {
            let word = bytes.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
            let position = at + number as u64 * 4;
            if let Some(distance) = branch(word)
                && layout.holds(layout.address(position).wrapping_add_signed(distance))
            {
                found.fields.push((position as u32, kind::ARM_BRANCH));
            }
        }
        at += count as u64 * 4;
    }
    Ok(())
}
