//! References in code of 64-bit Arm.
//!
//! In: a span of code. Out: branches, and pairs of a page address and the low 12 bits. Every field is a whole instruction of 4
//! bytes. Encodings follow the Arm Architecture Reference Manual, section C4.1.

use std::io;

use super::code::{Found, Span};
use super::fields::kind;
use super::image::{File, Layout};

/// Instructions read at a time.
const PART: usize = 16 << 10;

/// Whether an instruction adds the low 12 bits of an address to a register, or loads or stores there; the register, and the
/// logarithm of the unit its 12 bits count in.
pub fn low_bits(word: u32) -> Option<(u32, u32)> {
    let register = word >> 5 & 31;
    if word & 0xFFC0_0000 == 0x9100_0000 {
        return Some((register, 0));
    }
    if word & 0x3B00_0000 == 0x3900_0000 {
        let vector = word & 0x0480_0000 == 0x0480_0000;
        return Some((register, if vector { 4 } else { word >> 30 }));
    }
    None
}

/// Distance in bytes of a 26-bit branch, if it is one (b, bl).
pub fn branch(word: u32) -> Option<i64> {
    (word & 0x7C00_0000 == 0x1400_0000).then(|| i64::from((word << 6) as i32 >> 6) * 4)
}

/// Distance in pages of adrp, if it is one.
pub fn page(word: u32) -> Option<i64> {
    (word & 0x9F00_0000 == 0x9000_0000).then(|| {
        let bits = (word >> 5 & 0x7_FFFF) << 2 | word >> 29 & 3;
        i64::from((bits << 11) as i32 >> 11)
    })
}

/// Looks through a span of code.
pub fn sweep(file: &mut File<'_, '_>, layout: &Layout, span: Span, found: &mut Found) -> io::Result<()> {
    let mut buffer = vec![0; PART * 4];
    let mut at = span.at.next_multiple_of(4);
    let end = span.at + span.length;
    // Registers that hold a page address.
    let mut pages = [None::<u64>; 32];
    while at + 4 <= end {
        let code = file.read(at, &mut buffer)?;
        let limit = ((end - at) as usize / 4).min(code.len() / 4);
        if limit == 0 {
            break;
        }
        for (number, bytes) in code.chunks_exact(4).take(limit).enumerate() {
            let word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            let position = at + number as u64 * 4;
            let address = layout.address(position);
            if let Some(distance) = branch(word) {
                if layout.holds(address.wrapping_add_signed(distance)) {
                    found.fields.push((position as u32, kind::ARM_BRANCH));
                }
            } else if let Some(distance) = page(word) {
                let target = (address & !0xFFF).wrapping_add_signed(distance * 4096);
                let known = layout.holds(target) || layout.holds(target + 0xFFF);
                pages[(word & 31) as usize] = known.then_some(target);
                if known {
                    found.fields.push((position as u32, kind::ARM_PAGE));
                }
            } else if let Some((register, _)) = low_bits(word)
                && pages[register as usize].is_some()
            {
                found.fields.push((position as u32, kind::ARM_LOW));
            }
        }
        at += limit as u64 * 4;
    }
    Ok(())
}
