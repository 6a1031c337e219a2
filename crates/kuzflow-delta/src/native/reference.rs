//! Converts between a field's value and the address that it refers to.

use std::io;

use super::arm64;
use super::blocks::Blocks;
use super::fields::{self, kind};
use super::image::{Image, Layout};

/// A target, and the origin that the field counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    /// The address of the target.
    pub target: u64,
    /// The origin that the field counts from.
    pub origin: Origin,
}

/// The point that a field counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// This many bytes behind the field's start.
    Here(u64),
    /// The field's start; the field counts backwards.
    HereBack,
    /// The image's base.
    Base,
    /// Zero: the value is the target itself.
    Zero,
    /// An address; the field counts in units of this many bytes.
    At(u64, u32),
    /// The start of an object; the field is its length.
    Length(u64),
    /// The file's start.
    File,
}

/// The number in a field's bytes, sign-extended where it is signed.
pub(super) fn number(kind: u8, bytes: &[u8]) -> u64 {
    if fields::size(kind) == 8 {
        return bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    }
    let value = bytes.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    match kind {
        kind::ARM_BRANCH => arm64::branch(value).unwrap_or(0) as u64,
        kind::POINTER_32
        | kind::RELATIVE
        | kind::RELATIVE_OPERAND
        | kind::NAME
        | kind::NUMBER
        | kind::LENGTH
        | kind::BACK => u64::from(value),
        _ => i64::from(value as i32) as u64,
    }
}

/// Writes another number into a field.
pub(super) fn replace(kind: u8, field: &mut [u8], number: u64) {
    let number = if kind == kind::ARM_BRANCH {
        let word = field.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        u64::from(arm64::with_distance(word, number))
    } else {
        number
    };
    let number = number.to_le_bytes();
    let length = field.len().min(number.len());
    field[..length].copy_from_slice(&number[..length]);
}

/// The reference of the field of `kind` at `at` in `image` that has `value`.
pub(super) fn refer(
    image: &Image,
    blocks: &mut Blocks<'_>,
    at: u32,
    kind: u8,
    value: u64,
) -> io::Result<Reference> {
    let layout = &image.layout;
    let here = layout.address(u64::from(at));
    let from =
        |origin: u64, name: Origin| Reference { target: origin.wrapping_add(value), origin: name };
    Ok(match kind {
        kind::CALL | kind::JUMP | kind::BRANCH | kind::ADDRESS | kind::MEMORY => {
            from(here.wrapping_add(4), Origin::Here(4))
        }
        kind::MEMORY_1 => from(here.wrapping_add(5), Origin::Here(5)),
        kind::MEMORY_2 => from(here.wrapping_add(6), Origin::Here(6)),
        kind::MEMORY_4 => from(here.wrapping_add(8), Origin::Here(8)),
        kind::DISTANCE | kind::DATA | kind::ARM_BRANCH => from(here, Origin::Here(0)),
        kind::BACK => Reference { target: here.wrapping_sub(value), origin: Origin::HereBack },
        kind::RELATIVE | kind::RELATIVE_OPERAND => from(0, Origin::Zero),
        kind::OFFSET | kind::NAME | kind::NUMBER => {
            let table = image.fields.table(at);
            let target = table.base.wrapping_add(value.wrapping_mul(u64::from(table.stride)));
            Reference { target, origin: Origin::At(table.base, table.stride) }
        }
        kind::LENGTH => {
            let before = u64::from(at).saturating_sub(4);
            let start = layout
                .address(before)
                .wrapping_add(i64::from(blocks.u32(image.from + before)? as i32) as u64);
            Reference {
                target: start.wrapping_add(value).wrapping_sub(1),
                origin: Origin::Length(start),
            }
        }
        kind::SIZE => {
            let start =
                blocks.u64(image.from + u64::from(at).saturating_sub(8))?.wrapping_sub(layout.base);
            Reference {
                target: start.wrapping_add(value).wrapping_sub(1),
                origin: Origin::Length(start),
            }
        }
        kind::FILE => Reference { target: layout.address(value), origin: Origin::File },
        _ => from(layout.base.wrapping_neg(), Origin::Base),
    })
}

/// The value with which a field at address `here` of another layout refers to `target`. `translate`
/// maps an origin's address to that layout.
pub(super) fn value(
    layout: &Layout,
    here: u64,
    origin: Origin,
    target: u64,
    mut translate: impl FnMut(u64) -> u64,
) -> u64 {
    match origin {
        Origin::Here(behind) => target.wrapping_sub(here.wrapping_add(behind)),
        Origin::HereBack => here.wrapping_sub(target),
        Origin::Base => target.wrapping_add(layout.base),
        Origin::Zero => target,
        Origin::At(base, stride) => {
            let distance = target.wrapping_sub(translate(base)) as i64;
            (distance / i64::from(stride.max(1))) as u64
        }
        Origin::Length(start) => target.wrapping_sub(translate(start)).wrapping_add(1),
        Origin::File => layout.position(target).unwrap_or(target),
    }
}

/// The target that a value at address `here` of another layout refers to; `None` if nothing can be
/// learned from it.
pub(super) fn target(
    layout: &Layout,
    here: u64,
    origin: Origin,
    value: u64,
    mut translate: impl FnMut(u64) -> u64,
) -> Option<u64> {
    Some(match origin {
        Origin::Here(behind) => value.wrapping_add(here.wrapping_add(behind)),
        Origin::HereBack => here.wrapping_sub(value),
        Origin::Base => value.wrapping_sub(layout.base),
        Origin::Zero => value,
        Origin::At(base, stride) => {
            translate(base).wrapping_add(value.wrapping_mul(u64::from(stride)))
        }
        Origin::Length(_) | Origin::File => return None,
    })
}
