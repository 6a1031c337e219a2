//! Finds the image in a member of a group, by the format of its file.
//!
//! In: a member through [`Blocks`]. Out: its [`Image`], if it is one. Never: an error for a file
//! that makes no sense; it is no image.

use std::io;

use super::blocks::Blocks;
use super::image::{File, Image};
use super::{elf, pe};

/// The image in the member of `length` bytes from `from` on; `None` if the member is no image.
/// Returns the errors of reading.
pub(super) fn parse(blocks: &mut Blocks<'_>, from: u64, length: u64) -> io::Result<Option<Image>> {
    if length < 64
        || length >= u64::from(u32::MAX)
        || from.checked_add(length).is_none_or(|end| end > blocks.len())
    {
        return Ok(None);
    }
    let mut file = File::new(blocks, from, length);
    match file.array::<4>(0)? {
        [0x7F, b'E', b'L', b'F'] => elf::parse(&mut file),
        [b'M', b'Z', ..] => pe::parse(&mut file),
        _ => Ok(None),
    }
}
