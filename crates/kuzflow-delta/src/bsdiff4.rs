//! BSDIFF40, the classical format of bsdiff 4: `bspatch` of any system applies these patches, and
//! this code applies the patches of any `bsdiff`.
//!
//! In: old bytes, by position when applying; a patch from anywhere. Out: the new bytes, in blocks
//! to a sink; or a patch (publisher). Never: trust in a patch. The code checks each number of a
//! patch before it uses it, and stops reading at the size that the caller knows from signed
//! metadata. Memory is that of three bzip2 decoders (at most 3.7 MB each) and two blocks, however
//! long the files are.
//!
//! A patch is a header and three bzip2 streams: controls, differences, literals. The format is
//! Colin Percival's (bsdiff 4.3, <https://www.daemonology.net/bsdiff/>):
//!
//! ```text
//! header   "BSDIFF40", packed length of the controls, packed length of the differences, length of the new bytes
//! control  differences to add to old bytes, literals to append, how far to move on in the old bytes (may be negative)
//! ```
//!
//! Numbers are 64 bits, little endian, with a sign bit and a magnitude. This code is stricter than
//! `bspatch`: positions stay within the old bytes (`bspatch` counts bytes outside as zero), and
//! nothing may follow a stream's end. No known writer makes use of either.

use std::io;

use bzip2::{Decompress, Status};

use super::prediction::ReadAt;

const MAGIC: &[u8; 8] = b"BSDIFF40";
const HEADER: usize = 32;
const CONTROL: usize = 24;

/// Bytes that are processed at once.
const BLOCK: usize = 64 << 10;

/// The three streams of a patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// How many bytes of which kind, and from which old position.
    Controls,
    /// The amounts that are added to old bytes.
    Differences,
    /// Bytes without a counterpart in the old file.
    Literals,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Controls => "controls",
            Self::Differences => "differences",
            Self::Literals => "fresh bytes",
        })
    }
}

/// Why applying or making a patch failed.
#[derive(Debug, thiserror::Error)]
pub enum Bsdiff4Error {
    /// The patch has no BSDIFF40 header.
    #[error("not a BSDIFF40 patch")]
    Magic,
    /// The header's lengths are negative, or reach past the patch's end.
    #[error("the patch's header does not fit its length")]
    Header,
    /// The header's length of the new bytes differs from the expected one.
    #[error("the patch makes {found} bytes, expected {expected}")]
    Size {
        /// The length in signed metadata.
        expected: u64,
        /// The length in the header.
        found: u64,
    },
    /// A stream is not bzip2, or its checksum is wrong.
    #[error("the patch's {part} are damaged")]
    Corrupt {
        /// The damaged stream.
        part: Part,
        /// The decoder's error.
        #[source]
        source: bzip2::Error,
    },
    /// The decoder of a stream could not allocate memory.
    #[error("no memory for the patch's {part}")]
    Memory {
        /// The stream of that decoder.
        part: Part,
    },
    /// A stream ends too early.
    #[error("the patch's {part} end too early")]
    Truncated {
        /// The stream that is too short.
        part: Part,
    },
    /// The new bytes are complete, and a stream continues.
    #[error("the patch's {part} go on behind the end")]
    Trailing {
        /// The stream that is too long.
        part: Part,
    },
    /// A control has a negative length, or more bytes than remain to be made, or there are more
    /// controls than new bytes.
    #[error("a control of the patch asks for more than there is to make")]
    Control,
    /// A control points outside of the old bytes.
    #[error("a control of the patch leaves the old bytes")]
    Position,
    /// The old bytes cannot be read.
    #[error("the old bytes cannot be read")]
    Read(#[source] io::Error),
    /// The new bytes cannot be written.
    #[error("the new bytes cannot be written")]
    Write(#[source] io::Error),
    /// The differences could not be computed or packed.
    #[error("the patch cannot be made")]
    Make(#[source] io::Error),
}

/// Applies `patch` to `old` and passes the new bytes to `sink` in blocks of at most 64 KiB.
///
/// Returns an error unless the patch makes exactly `new_size` bytes and ends there. After an error,
/// discard the bytes that `sink` received; it never receives more than `new_size` bytes. The format
/// has no hash of either file: the caller compares the hash of the new one.
pub fn apply(
    old: &dyn ReadAt,
    patch: &[u8],
    new_size: u64,
    sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), Bsdiff4Error> {
    let [mut controls, mut differences, mut literals] = streams(patch, new_size)?;
    let mut block = vec![0; BLOCK];
    let mut counterpart = vec![0; BLOCK];
    let mut left = new_size;
    let mut old_at = 0_u64;
    let mut controls_left = new_size;
    while left > 0 {
        // bsdiff makes at most one control for each new byte. Without this bound a few bytes of
        // bzip2 that unpack to gigabytes of zeros would be as many controls that make nothing.
        controls_left = controls_left.checked_sub(1).ok_or(Bsdiff4Error::Control)?;
        let control = Control::read(&mut controls)?;
        left = left
            .checked_sub(control.differences)
            .and_then(|left| left.checked_sub(control.literals))
            .ok_or(Bsdiff4Error::Control)?;
        let old_end = old_at
            .checked_add(control.differences)
            .filter(|end| *end <= old.len())
            .ok_or(Bsdiff4Error::Position)?;
        while old_at < old_end {
            let length = block_of(old_end - old_at);
            let (block, counterpart) = (&mut block[..length], &mut counterpart[..length]);
            differences.fill(block)?;
            old.read_at(old_at, counterpart).map_err(Bsdiff4Error::Read)?;
            for (byte, old) in block.iter_mut().zip(counterpart) {
                *byte = byte.wrapping_add(*old);
            }
            sink(block).map_err(Bsdiff4Error::Write)?;
            old_at += length as u64;
        }
        let mut literals_left = control.literals;
        while literals_left > 0 {
            let length = block_of(literals_left);
            literals.fill(&mut block[..length])?;
            sink(&block[..length]).map_err(Bsdiff4Error::Write)?;
            literals_left -= length as u64;
        }
        old_at = old_at
            .checked_add_signed(control.seek)
            .filter(|at| *at <= old.len())
            .ok_or(Bsdiff4Error::Position)?;
    }
    controls.finish()?;
    differences.finish()?;
    literals.finish()
}

/// The three streams behind a valid header.
fn streams(patch: &[u8], new_size: u64) -> Result<[Unpacker<'_>; 3], Bsdiff4Error> {
    if !patch.starts_with(MAGIC) {
        return Err(Bsdiff4Error::Magic);
    }
    let (header, body) = patch.split_at_checked(HEADER).ok_or(Bsdiff4Error::Header)?;
    let number =
        |at: usize| u64::try_from(number(&header[at..at + 8])).map_err(|_| Bsdiff4Error::Header);
    let (controls, differences, found) = (number(8)?, number(16)?, number(24)?);
    if found != new_size {
        return Err(Bsdiff4Error::Size { expected: new_size, found });
    }
    let (controls, body) = split_at(body, controls)?;
    let (differences, literals) = split_at(body, differences)?;
    Ok([
        Unpacker::new(Part::Controls, controls),
        Unpacker::new(Part::Differences, differences),
        Unpacker::new(Part::Literals, literals),
    ])
}

fn split_at(bytes: &[u8], at: u64) -> Result<(&[u8], &[u8]), Bsdiff4Error> {
    usize::try_from(at).ok().and_then(|at| bytes.split_at_checked(at)).ok_or(Bsdiff4Error::Header)
}

/// The size of the next block: what remains, at most a whole block.
fn block_of(left: u64) -> usize {
    usize::try_from(left).unwrap_or(BLOCK).min(BLOCK)
}

/// A number with a sign bit and a magnitude, from its 8 bytes; missing bytes count as zeros.
fn number(bytes: &[u8]) -> i64 {
    let raw = bytes.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let magnitude = (raw & (u64::MAX >> 1)).cast_signed();
    if raw >> 63 == 1 { -magnitude } else { magnitude }
}

/// One control: add, append, move on.
struct Control {
    differences: u64,
    literals: u64,
    seek: i64,
}

impl Control {
    fn parse(bytes: &[u8; CONTROL]) -> Result<Self, Bsdiff4Error> {
        let length = |bytes| u64::try_from(number(bytes)).map_err(|_| Bsdiff4Error::Control);
        Ok(Self {
            differences: length(&bytes[..8])?,
            literals: length(&bytes[8..16])?,
            seek: number(&bytes[16..]),
        })
    }

    fn read(controls: &mut Unpacker<'_>) -> Result<Self, Bsdiff4Error> {
        let mut bytes = [0; CONTROL];
        controls.fill(&mut bytes)?;
        Self::parse(&bytes)
    }
}

/// One bzip2 stream, unpacked on demand.
struct Unpacker<'a> {
    part: Part,
    bzip2: Decompress,
    packed: &'a [u8],
    ended: bool,
}

impl<'a> Unpacker<'a> {
    fn new(part: Part, packed: &'a [u8]) -> Self {
        Self { part, bzip2: Decompress::new(false), packed, ended: false }
    }

    /// Fills the whole buffer.
    fn fill(&mut self, mut buffer: &mut [u8]) -> Result<(), Bsdiff4Error> {
        while !buffer.is_empty() {
            let made = self.unpack(buffer)?;
            if made == 0 {
                return Err(Bsdiff4Error::Truncated { part: self.part });
            }
            buffer = &mut buffer[made..];
        }
        Ok(())
    }

    /// Returns an error unless the stream ends here and with the last packed byte.
    fn finish(&mut self) -> Result<(), Bsdiff4Error> {
        if self.unpack(&mut [0])? > 0 || !self.packed.is_empty() {
            return Err(Bsdiff4Error::Trailing { part: self.part });
        }
        Ok(())
    }

    /// Unpacks some bytes into `buffer`, which has room for at least one. Returns 0 only at the
    /// stream's end.
    fn unpack(&mut self, buffer: &mut [u8]) -> Result<usize, Bsdiff4Error> {
        while !self.ended {
            let (taken_before, made_before) = (self.bzip2.total_in(), self.bzip2.total_out());
            let status = self
                .bzip2
                .decompress(self.packed, buffer)
                .map_err(|source| Bsdiff4Error::Corrupt { part: self.part, source })?;
            let taken = usize::try_from(self.bzip2.total_in() - taken_before).unwrap_or(usize::MAX);
            let made = usize::try_from(self.bzip2.total_out() - made_before).unwrap_or(usize::MAX);
            self.packed = self.packed.get(taken..).unwrap_or_default();
            match status {
                Status::StreamEnd => self.ended = true,
                Status::MemNeeded => return Err(Bsdiff4Error::Memory { part: self.part }),
                _ if made == 0 && taken == 0 => {
                    return Err(Bsdiff4Error::Truncated { part: self.part });
                }
                _ => {}
            }
            if made > 0 {
                return Ok(made);
            }
        }
        Ok(0)
    }
}

/// Makes the patch that turns `old` into `new`.
///
/// Memory: 16 bytes for each old byte on 64-bit systems, and the patch unpacked. Time grows with
/// the number of old bytes (suffix sorting, `n log n`) and is worst for long runs of few different
/// bytes. The `bsdiff` crate finds the differences; its stream interleaves what BSDIFF40 separates.
#[cfg(feature = "encoder")]
pub fn make(old: &[u8], new: &[u8]) -> Result<Vec<u8>, Bsdiff4Error> {
    let mut interleaved = Vec::new();
    bsdiff::diff(old, new, &mut interleaved).map_err(Bsdiff4Error::Make)?;
    let damaged = || Bsdiff4Error::Make(io::ErrorKind::InvalidData.into());
    let (mut controls, mut differences, mut literals) =
        (Packer::new(), Packer::new(), Packer::new());
    let mut rest = interleaved.as_slice();
    while let Some((bytes, behind)) = rest.split_first_chunk::<CONTROL>() {
        let control = Control::parse(bytes)?;
        controls.write(bytes)?;
        let (added, behind) = split_at(behind, control.differences).map_err(|_| damaged())?;
        differences.write(added)?;
        let (appended, behind) = split_at(behind, control.literals).map_err(|_| damaged())?;
        literals.write(appended)?;
        rest = behind;
    }
    if !rest.is_empty() {
        return Err(damaged());
    }
    let (controls, differences, literals) =
        (controls.finish()?, differences.finish()?, literals.finish()?);
    let mut patch =
        Vec::with_capacity(HEADER + controls.len() + differences.len() + literals.len());
    patch.extend_from_slice(MAGIC);
    for length in [controls.len(), differences.len(), new.len()] {
        patch.extend_from_slice(&(length as u64).to_le_bytes());
    }
    for part in [controls, differences, literals] {
        patch.extend_from_slice(&part);
    }
    Ok(patch)
}

/// One bzip2 stream that is being written.
#[cfg(feature = "encoder")]
struct Packer(bzip2::write::BzEncoder<Vec<u8>>);

#[cfg(feature = "encoder")]
impl Packer {
    fn new() -> Self {
        Self(bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best()))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Bsdiff4Error> {
        io::Write::write_all(&mut self.0, bytes).map_err(Bsdiff4Error::Make)
    }

    fn finish(self) -> Result<Vec<u8>, Bsdiff4Error> {
        self.0.finish().map_err(Bsdiff4Error::Make)
    }
}
