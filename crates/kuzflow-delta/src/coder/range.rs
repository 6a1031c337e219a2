//! The range coder: bits and their probabilities in, bytes out, and back.
//!
//! It uses LZMA's carry propagation (Igor Pavlov, 7-Zip) over a 48-bit interval, so that a bit of
//! probability 65535/65536 costs what it should. Model code serves both directions: it asks a
//! [`Coder`] for a bit and passes the expected value; the decoder answers with the actual bit.
//! Never: a panic or an endless read; the decoder reads zeros for missing bytes and records that.

use std::io::{self, Read};

/// Probabilities are of a one, in 65536ths.
pub(super) const ONE: u32 = 1 << 16;

/// The interval's width in bits, and the width below which a byte is moved out.
const WIDTH: u32 = 48;
const MIN_RANGE: u64 = 1 << (WIDTH - 8);

/// Bytes that a decoder may need behind the end of a whole stream: the interval's bytes, which the
/// encoder may omit.
const MARGIN: usize = WIDTH as usize / 8;

/// Either direction of the range coder.
pub(super) trait Coder {
    /// Codes one bit that is a one with `probability` (1 to 65535, of 65536). The encoder codes and
    /// returns `bit`; the decoder returns what was coded and never looks at `bit`.
    fn code(&mut self, bit: bool, probability: u32) -> bool;

    /// Whether a decoder's input ended too early, so that its further bits mean nothing.
    fn failed(&self) -> bool;

    /// Codes the low `count` bits of `value`, all equally likely, highest first.
    fn code_plain(&mut self, value: u64, count: u32) -> u64 {
        (0..count).rev().fold(0, |read, shift| {
            read << 1 | u64::from(self.code(value >> shift & 1 == 1, ONE / 2))
        })
    }
}

/// Encodes into a buffer.
#[cfg(feature = "encoder")]
pub(super) struct Encoder<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    low: u64,
    range: u64,
}

#[cfg(feature = "encoder")]
impl<'a> Encoder<'a> {
    /// Appends to `out`.
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        let start = out.len();
        Self { out, start, low: 0, range: (1 << WIDTH) - 1 }
    }

    /// Adds one to the bytes written: each 255 becomes 0 and carries on. A carry never runs past
    /// the first byte, since the coded value is below one.
    fn carry(&mut self) {
        for byte in self.out[self.start..].iter_mut().rev() {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                break;
            }
        }
    }

    fn shift(&mut self) {
        if self.low >> WIDTH != 0 {
            self.carry();
        }
        self.out.push((self.low >> (WIDTH - 8)) as u8);
        self.low = (self.low << 8) & ((1 << WIDTH) - 1);
        self.range <<= 8;
    }

    /// Writes the fewest bytes that determine the rest; the decoder reads zeros behind them.
    pub(super) fn finish(mut self) {
        let end = self.low + self.range;
        let value = (0..=WIDTH)
            .rev()
            .map(|zeros| (self.low + (1 << zeros) - 1) >> zeros << zeros)
            .find(|&value| value < end)
            .unwrap_or(self.low);
        self.low = value;
        // The encoder may omit at most these: the decoder reads this many zeros and no more, and
        // one of the bytes before them may be zero as well.
        let least = self.out.len();
        for _ in 0..MARGIN {
            self.shift();
        }
        while self.out.len() > least && self.out.last() == Some(&0) {
            self.out.pop();
        }
    }
}

#[cfg(feature = "encoder")]
impl Coder for Encoder<'_> {
    #[inline]
    fn code(&mut self, bit: bool, probability: u32) -> bool {
        let bound = (self.range >> 16) * u64::from(probability);
        if bit {
            self.range = bound;
        } else {
            self.low += bound;
            self.range -= bound;
        }
        while self.range < MIN_RANGE {
            self.shift();
        }
        bit
    }

    fn failed(&self) -> bool {
        false
    }
}

/// Decodes from any reader.
pub(super) struct Decoder<'a> {
    input: &'a mut dyn Read,
    buffer: Vec<u8>,
    at: usize,
    filled: usize,
    missing: usize,
    error: Option<io::Error>,
    code: u64,
    range: u64,
}

impl<'a> Decoder<'a> {
    /// Reads all of `input`, in portions.
    pub(super) fn new(input: &'a mut dyn Read) -> Self {
        let mut decoder = Self {
            input,
            buffer: vec![0; 1 << 14],
            at: 0,
            filled: 0,
            missing: 0,
            error: None,
            code: 0,
            range: (1 << WIDTH) - 1,
        };
        for _ in 0..MARGIN {
            decoder.code = decoder.code << 8 | u64::from(decoder.byte());
        }
        decoder
    }

    #[cold]
    fn refill(&mut self) -> bool {
        if self.missing > 0 {
            return false;
        }
        loop {
            match self.input.read(&mut self.buffer) {
                Ok(0) => return false,
                Ok(filled) => {
                    (self.at, self.filled) = (0, filled);
                    return true;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.error = Some(error);
                    self.missing = MARGIN + 1;
                    return false;
                }
            }
        }
    }

    #[inline]
    fn byte(&mut self) -> u8 {
        if self.at == self.filled && !self.refill() {
            self.missing = self.missing.saturating_add(1);
            return 0;
        }
        self.at += 1;
        self.buffer[self.at - 1]
    }

    /// The reader's error, if that is why the input ended.
    pub(super) fn take_error(&mut self) -> Option<io::Error> {
        self.error.take()
    }

    /// Whether the input holds bytes that were not needed.
    pub(super) fn has_more(&mut self) -> bool {
        self.at < self.filled || (self.missing == 0 && self.refill())
    }
}

impl Coder for Decoder<'_> {
    #[inline]
    fn code(&mut self, _bit: bool, probability: u32) -> bool {
        let bound = (self.range >> 16) * u64::from(probability);
        let bit = self.code < bound;
        if bit {
            self.range = bound;
        } else {
            self.code -= bound;
            self.range -= bound;
        }
        while self.range < MIN_RANGE {
            self.code = (self.code << 8 | u64::from(self.byte())) & ((1 << WIDTH) - 1);
            self.range <<= 8;
        }
        bit
    }

    fn failed(&self) -> bool {
        self.missing > MARGIN
    }
}
