//! The operand split: literal machine code of x86 processors, split into code and operands; and the
//! streams of all literals that stand apart.
//!
//! In: literals, and their position in the output. Out: four streams (the code without the operands
//! named here, call and jump targets, data addresses, branch distances), and from those the bytes
//! again. The code of two functions that differ only in what they call is then equal, and two calls
//! of one function are the same four bytes. A dictionary finds both (after the BCJ2 filter of
//! 7-Zip, which recognises calls and jumps by their first byte; here instructions are decoded, so a
//! byte that merely looks like a call does not count).
//!
//! A gap may begin within an instruction, so the split is often wrong for a few bytes. This is
//! harmless because both directions are wrong in the same way: they use only bytes that both have.
//! Never: a byte more or less than the caller asked for, a refusal.

use std::io::{self, Read};

use crate::native::x86::{self, Operand};

/// The streams: code and bytes that are not split, calls, data, branches; and dense bytes.
pub const STREAMS: usize = 5;
/// The number of the last stream.
pub(super) const DENSE: usize = 4;

/// The processor mode that code is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// 32 bits.
    Narrow,
    /// 64 bits.
    Wide,
}

/// Bits of a place that the stream holds; a distance that needs more stays unchanged.
const BITS: u32 = 25;

/// The next part of the code.
enum Next {
    /// This many bytes of code.
    Code(usize),
    /// This many bytes of code, an operand of a stream, this many bytes of code.
    Operand(usize, usize, usize),
}

/// Most bytes behind the prefixes that identify an instruction: four of a vector prefix, operation,
/// ModRM, SIB.
const TELLING: usize = 7;

/// The instruction at the start of `code`, of which `left` bytes remain with its operand.
///
/// The decision depends only on bytes that stay code: those before an operand, or, if it is no
/// instruction, all examined bytes. The bytes behind them differ between the two directions.
#[inline]
fn next(code: &[u8], left: usize, mode: Mode) -> Next {
    let code = &code[..code.len().min(left).min(x86::MAX_INSTRUCTION_BYTES)];
    let Some(found) = x86::decode_whole(code, mode == Mode::Wide)
        .filter(|found| usize::from(found.length) <= left)
    else {
        let prefixes =
            code.iter().take_while(|byte| x86::is_prefix(**byte, mode == Mode::Wide)).count();
        return Next::Code((prefixes + TELLING).min(x86::MAX_INSTRUCTION_BYTES).min(left));
    };
    let (length, at) = (usize::from(found.length), usize::from(found.at));
    let stream = match found.operand {
        Operand::Call | Operand::Jump => 1,
        Operand::Address | Operand::Memory => 2,
        Operand::Absolute if mode == Mode::Narrow => 2,
        Operand::Branch => 3,
        Operand::Absolute | Operand::None => return Next::Code(length),
    };
    Next::Operand(at, stream, length - at - 4)
}

/// Converts a distance to a place's form, highest byte first, or a place to a distance's; `place`
/// maps one value to the other.
fn turned(value: u32, stream: usize, place: impl Fn(u32) -> u32) -> u32 {
    let sign_extended = |value: u32| ((value << (32 - BITS)) as i32 >> (32 - BITS)) as u32;
    if stream < 3 && sign_extended(value) == value { sign_extended(place(value)) } else { value }
}

/// The position that a distance behind `index` counts from, apart from an immediate operand.
fn here(at: u64, index: usize) -> u32 {
    (at as u32).wrapping_add(index as u32).wrapping_add(4)
}

/// Splits `bytes`, which stand at `at`, and appends them to the streams.
pub(super) fn part(bytes: &[u8], at: u64, mode: Mode, streams: &mut [Vec<u8>; STREAMS]) {
    let mut done = 0;
    while done < bytes.len() {
        let rest = &bytes[done..];
        match next(rest, rest.len(), mode) {
            Next::Code(length) => {
                streams[0].extend_from_slice(&rest[..length]);
                done += length;
            }
            Next::Operand(head, stream, tail) => {
                streams[0].extend_from_slice(&rest[..head]);
                if let Some(field) = rest[head..].first_chunk::<4>() {
                    let from = here(at, done + head);
                    let value = turned(u32::from_le_bytes(*field), stream, |distance| {
                        distance.wrapping_add(from)
                    });
                    streams[stream].extend_from_slice(&value.to_be_bytes());
                }
                streams[0].extend_from_slice(&rest[head + 4..head + 4 + tail]);
                done += head + 4 + tail;
            }
        }
    }
}

/// Joins the bytes that stand at `at`, as many as `bytes` has. Returns an error if a stream ends
/// too early.
pub(super) fn join(
    bytes: &mut [u8],
    at: u64,
    mode: Mode,
    streams: &mut Streams<'_>,
) -> io::Result<()> {
    let [code, operands @ .., _] = &mut streams.0;
    let mut done = 0;
    while done < bytes.len() {
        let left = bytes.len() - done;
        match next(code.ahead(x86::MAX_INSTRUCTION_BYTES)?, left, mode) {
            Next::Code(length) => {
                code.take(&mut bytes[done..done + length])?;
                done += length;
            }
            Next::Operand(head, stream, tail) => {
                code.take(&mut bytes[done..done + head])?;
                done += head;
                let mut field = [0; 4];
                operands[stream - 1].take(&mut field)?;
                let from = here(at, done);
                let value =
                    turned(u32::from_be_bytes(field), stream, |place| place.wrapping_sub(from));
                bytes[done..done + 4].copy_from_slice(&value.to_le_bytes());
                code.take(&mut bytes[done + 4..done + 4 + tail])?;
                done += 4 + tail;
            }
        }
    }
    Ok(())
}

/// The streams that are joined.
pub(super) struct Streams<'a>([Ahead<'a>; STREAMS]);

impl<'a> Streams<'a> {
    /// From their bytes.
    pub(super) fn new(sources: [&'a mut dyn Read; STREAMS]) -> Self {
        Self(sources.map(Ahead::new))
    }

    /// Reads bytes that are no code, or are not split.
    pub(super) fn plain(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.0[0].take(bytes)
    }

    /// Reads dense bytes.
    pub(super) fn dense(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.0[DENSE].take(bytes)
    }

    /// Whether all streams are at their ends.
    pub(super) fn ended(&mut self) -> io::Result<bool> {
        for stream in &mut self.0 {
            if !stream.ahead(1)?.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// A stream whose next bytes can be examined before they are read.
struct Ahead<'a> {
    source: &'a mut dyn Read,
    buffer: Vec<u8>,
    at: usize,
}

/// Bytes that are read at once.
const BLOCK: usize = 16 << 10;

impl<'a> Ahead<'a> {
    fn new(source: &'a mut dyn Read) -> Self {
        Self { source, buffer: Vec::new(), at: 0 }
    }

    /// The next bytes: `count` of them, or fewer at the end.
    #[inline]
    fn ahead(&mut self, count: usize) -> io::Result<&[u8]> {
        if self.buffer.len() - self.at < count {
            self.fill(count)?;
        }
        Ok(&self.buffer[self.at..])
    }

    #[cold]
    fn fill(&mut self, count: usize) -> io::Result<()> {
        self.buffer.drain(..self.at);
        self.at = 0;
        while self.buffer.len() < count {
            let known = self.buffer.len();
            self.buffer.resize(known + BLOCK, 0);
            let read = self.source.read(&mut self.buffer[known..]);
            self.buffer.truncate(known + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    #[inline]
    fn take(&mut self, mut bytes: &mut [u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let ahead = self.ahead(1)?;
            if ahead.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let count = ahead.len().min(bytes.len());
            bytes[..count].copy_from_slice(&ahead[..count]);
            self.at += count;
            bytes = &mut bytes[count..];
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn there_and_back(pieces: &[Vec<u8>], at: u64, mode: Mode) -> [Vec<u8>; STREAMS] {
        let mut streams: [Vec<u8>; STREAMS] = Default::default();
        let mut here = at;
        for piece in pieces {
            part(piece, here, mode, &mut streams);
            here = here.wrapping_add(piece.len() as u64);
        }
        let mut sources = streams.each_ref().map(|stream| &stream[..]);
        let mut joined = Streams::new(sources.each_mut().map(|source| source as &mut dyn Read));
        let mut here = at;
        for piece in pieces {
            let mut back = vec![0; piece.len()];
            join(&mut back, here, mode, &mut joined).unwrap();
            assert_eq!(&back, piece);
            here = here.wrapping_add(piece.len() as u64);
        }
        assert!(joined.ended().unwrap());
        streams
    }

    #[test]
    fn two_calls_of_one_function_are_alike() {
        let code = vec![
            0xE8, 0x10, 0, 0, 0, 0x90, 0xE8, 0x0A, 0, 0, 0, 0x48, 0x8D, 0x05, 0xF6, 0xFF, 0xFF,
            0xFF, 0x0F, 0x84, 1, 2, 0, 0, 0xC3,
        ];
        let [code, calls, data, branches, _] = there_and_back(&[code], 0x1000, Mode::Wide);
        assert_eq!(code, [0xE8, 0x90, 0xE8, 0x48, 0x8D, 0x05, 0x0F, 0x84, 0xC3]);
        assert_eq!(calls, [0, 0, 0x10, 0x15, 0, 0, 0x10, 0x15]);
        assert_eq!(data, [0, 0, 0x10, 0x08]);
        assert_eq!(branches, [0, 0, 2, 1]);
    }

    #[test]
    fn what_is_no_instruction_stays_code_as_far_as_it_was_looked_at() {
        // A vector instruction whose SIB byte is cut off, the bytes of which are a jump as well;
        // more code follows.
        there_and_back(
            &[vec![0x62, 0xE9, 0, 0, 0, 0x2C], vec![0x62, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90]],
            0,
            Mode::Wide,
        );
        there_and_back(
            &[vec![0xC4, 3, 5, 0, 5, 0, 0], vec![0x90, 0xC0, 0x90, 0x90]],
            0,
            Mode::Wide,
        );
        there_and_back(
            &[vec![0xC5, 0xE8, 0x10, 5, 0, 0], vec![0xC0, 0xC0, 0x90, 0x90]],
            0,
            Mode::Wide,
        );
    }

    #[test]
    fn an_operand_that_is_cut_stays_code() {
        let [code, calls, ..] =
            there_and_back(&[vec![0xE8, 1, 2, 3], vec![4, 0xE8]], 7, Mode::Wide);
        assert_eq!((code, calls), (vec![0xE8, 1, 2, 3, 4, 0xE8], Vec::new()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn any_bytes_come_back(
            pieces in proptest::collection::vec(proptest::collection::vec(
                prop_oneof![2 => any::<u8>(), 4 => proptest::sample::select(
                    vec![0xE8, 0xE9, 0x0F, 0x84, 0x48, 0x8B, 0x05, 0xFF, 0x15, 0xC5, 0xC4, 0x66, 0x67, 0x62, 0xC7, 0xA1, 0, 3, 0x38, 0x3A])],
                0..60), 0..8),
            at: u64, wide: bool,
        ) {
            there_and_back(&pieces, at, if wide { Mode::Wide } else { Mode::Narrow });
        }

        #[test]
        fn streams_that_nobody_parted_give_no_panic(
            sources in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..100), STREAMS), length in 0..300_usize, wide: bool,
        ) {
            let mut readers: Vec<&[u8]> = sources.iter().map(|source| &source[..]).collect();
            let [a, b, c, d, e] = &mut readers[..] else { unreachable!() };
            let mut streams = Streams::new([a, b, c, d, e]);
            let _ = join(&mut vec![0; length], 5, if wide { Mode::Wide } else { Mode::Narrow }, &mut streams);
        }
    }
}
