//! The encoder's hints about the new files: where their bytes stand in memory.
//!
//! For each target the hints hold 0 if it is no image or resembles none. Otherwise they hold the
//! number of the old image that it resembles, plus 1; then the count of its segments, plus 1, and
//! how they differ from the old ones, or 0 if they are equal. Numbers have 7 bits in each byte;
//! differences are in zigzag form.

use std::io;

use super::NativeImages;
use super::image::{Layout, SEGMENTS, Segment};

/// A new image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NewImage {
    /// Where its file begins in the targets.
    pub from: u64,
    /// Bytes of its file.
    pub length: u64,
    /// The old image that it resembles most.
    pub partner: usize,
    /// Where its bytes stand in memory.
    pub layout: Layout,
}

#[cfg(feature = "encoder")]
fn write(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

#[cfg(feature = "encoder")]
fn write_difference(bytes: &mut Vec<u8>, new: u64, old: u64) {
    let difference = new.wrapping_sub(old) as i64;
    write(bytes, (difference << 1 ^ difference >> 63) as u64);
}

fn read(bytes: &mut &[u8]) -> io::Result<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or(io::ErrorKind::InvalidData)?;
        *bytes = rest;
        value |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

fn read_difference(bytes: &mut &[u8], old: u64) -> io::Result<u64> {
    let value = read(bytes)?;
    Ok(old.wrapping_add(value >> 1 ^ (value & 1).wrapping_neg()))
}

fn numbers(segment: &Segment) -> [u64; 4] {
    [segment.file_at, segment.file, segment.address, segment.memory]
}

/// Writes the hints: for each target, the old image that it resembles and its layout.
#[cfg(feature = "encoder")]
pub(super) fn encode(program: &NativeImages, targets: &[Option<NewImage>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for target in targets {
        let Some(target) = target else {
            write(&mut bytes, 0);
            continue;
        };
        write(&mut bytes, target.partner as u64 + 1);
        let old = &program.images[target.partner].layout;
        if *old == target.layout {
            write(&mut bytes, 0);
            continue;
        }
        write(&mut bytes, target.layout.segments.len() as u64 + 1);
        write_difference(&mut bytes, target.layout.base, old.base);
        for (index, segment) in target.layout.segments.iter().enumerate() {
            let old = old.segments.get(index).map_or([0; 4], numbers);
            // Positions and addresses move together.
            let moved = segment.file_at.wrapping_sub(old[0]);
            write_difference(&mut bytes, segment.file_at, old[0]);
            write_difference(&mut bytes, segment.file, old[1]);
            write_difference(&mut bytes, segment.address, old[2].wrapping_add(moved));
            write_difference(
                &mut bytes,
                segment.memory.wrapping_sub(segment.file),
                old[3].wrapping_sub(old[1]),
            );
        }
    }
    bytes
}

/// Reads hints for targets of the given lengths. Returns an error if the bytes are no valid hints.
pub(super) fn decode(
    program: &NativeImages,
    lengths: &[u64],
    mut bytes: &[u8],
) -> io::Result<Vec<Option<NewImage>>> {
    let mut targets = Vec::new();
    let mut from: u64 = 0;
    for &length in lengths {
        let start = from;
        from = from.checked_add(length).ok_or(io::ErrorKind::InvalidData)?;
        let Some(partner) = read(&mut bytes)?.checked_sub(1) else {
            targets.push(None);
            continue;
        };
        let partner = usize::try_from(partner)
            .ok()
            .filter(|&partner| partner < program.images.len())
            .ok_or(io::ErrorKind::InvalidData)?;
        let old = &program.images[partner].layout;
        let count = read(&mut bytes)?;
        let layout = if count == 0 {
            old.clone()
        } else {
            let base = read_difference(&mut bytes, old.base)?;
            let mut segments = Vec::new();
            for index in 0..(count - 1) as usize {
                if index >= SEGMENTS {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                let old = old.segments.get(index).map_or([0; 4], numbers);
                let file_at = read_difference(&mut bytes, old[0])?;
                let file = read_difference(&mut bytes, old[1])?;
                let address =
                    read_difference(&mut bytes, old[2].wrapping_add(file_at.wrapping_sub(old[0])))?;
                let memory =
                    read_difference(&mut bytes, old[3].wrapping_sub(old[1]))?.wrapping_add(file);
                segments.push(Segment { address, memory, file_at, file });
            }
            Layout::new(base, segments, length)
        };
        targets.push(Some(NewImage { from: start, length, partner, layout }));
    }
    if bytes.is_empty() { Ok(targets) } else { Err(io::ErrorKind::InvalidData.into()) }
}
