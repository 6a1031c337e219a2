//! Native code and its data: predicts a new program's bytes from those of the old program.
//!
//! In: the bases with the images in them ([`NativeImages`]), the instructions, and the encoder's hints
//! about the layout of the new files. Out: [`NativePredictor`], which moves every reference that it
//! knows to the new place of its target. For the encoder also `align`, which matches code with its
//! references hidden. Never: trust in a file or in hints: both are bounded, and a wrong one costs
//! only a bad prediction.
//!
//! ```text
//! bases ── object: elf, pe ── code: x86, arm64 ── fields ──┐
//! steps, hints ── translation: old address -> new address ┴─ prediction
//! ```

mod arm64;
mod blocks;
mod code;
mod elf;
#[cfg(feature = "encoder")]
mod encode;
mod fields;
mod hints;
mod image;
mod object;
mod opcode_maps;
mod pe;
mod prediction;
mod reference;
mod sequence;
mod translation;
pub mod x86;

use std::io;

use super::prediction::ReadAt;
use blocks::Blocks;
use image::Image;

#[cfg(feature = "encoder")]
pub use encode::{Aligned, align};
pub use fields::kind;
pub use prediction::NativePredictor;

/// The images among the members of a group.
pub struct NativeImages {
    images: Vec<Image>,
}

impl NativeImages {
    /// Finds images in the members of `bytes`, which have the given lengths, one behind the other.
    /// Returns the errors of reading.
    pub fn new(bytes: &dyn ReadAt, lengths: &[u64]) -> io::Result<Self> {
        let mut blocks = Blocks::new(bytes);
        let mut images = Vec::new();
        let mut from: u64 = 0;
        for &length in lengths {
            images.extend(object::parse(&mut blocks, from, length)?);
            from = from.saturating_add(length);
        }
        Ok(Self { images })
    }

    /// Whether there is no image at all, so that the plain prediction serves as well.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// Number of known fields.
    pub fn fields(&self) -> usize {
        self.images.iter().map(|image| image.fields.len()).sum()
    }

    /// Number of the image that holds a position.
    fn find(&self, at: u64) -> Option<usize> {
        let index = self.images.partition_point(|image| image.from <= at).checked_sub(1)?;
        (at - self.images[index].from < self.images[index].length).then_some(index)
    }
}

/// Whether a program or library for x86 processors is for their 64-bit mode (ELF, PE, or Mach-O for
/// one processor); `None` for other files.
#[cfg(feature = "encoder")]
pub fn is_wide_x86(file: &[u8]) -> Option<bool> {
    let number = |at: usize| {
        file.get(at..)
            .and_then(|rest| rest.first_chunk::<4>())
            .map(|bytes| u32::from_le_bytes(*bytes))
    };
    let machine = match number(0)? {
        0x464C_457F => number(18)? & 0xFFFF,
        0xFEED_FACE | 0xFEED_FACF => number(4)?,
        start if start & 0xFFFF == 0x5A4D => number(number(0x3C)? as usize + 4)? & 0xFFFF,
        _ => return None,
    };
    match machine {
        3 | 7 | 0x14C => Some(false),
        62 | 0x0100_0007 | 0x8664 => Some(true),
        _ => None,
    }
}

#[cfg(test)]
#[cfg(feature = "encoder")]
mod oracles;
#[cfg(test)]
#[cfg(feature = "encoder")]
mod tests;
