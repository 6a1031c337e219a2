//! The entropy coder of a delta: steps, differences from a forecast, and fresh bytes, as one
//! stream.
//!
//! In: old bytes by position, steps, a forecast of the copied bytes. Out (encoder): a few bytes.
//! Out (decoder): the new bytes, in order. Where there are many fresh bytes they stand apart, in
//! streams that a whole pack shares ([`CoderOptions::apart`]). All models live as long as the
//! stream, so that the members of a group share what was learned. Never (decoder): more bytes than
//! it was told to expect, more memory than [`CoderLimits`] allow, a panic, an endless loop. It
//! cannot know whether the bytes are right: the caller compares hashes.
//!
//! ```text
//! here: options, limits, the two doors              work       either direction, step by step
//! numbers, steps      where the copies are              residual   differences within a copy
//! range, models, rows bits, probabilities, mixers       gaps       fresh bytes in the stream: mixture predicts, matches and history remember
//!                                                       operands   fresh bytes that stand apart: code is parted; dense: what is stored
//! ```
//!
//! There is one piece of code for both directions ([`work`]): it asks a [`range::Coder`] for each
//! bit and says what the bit would be, so both sides learn the same.

mod dense;
mod gaps;
mod history;
mod matches;
mod mixture;
mod models;
mod numbers;
mod operands;
mod range;
mod residual;
mod rows;
mod steps;
#[cfg(test)]
#[cfg(feature = "encoder")]
mod tests;
mod work;

use std::io::{self, Read};

pub use dense::is_dense;
pub use mixture::Nature;
use operands::Streams;
pub use operands::{Mode, STREAMS};
#[cfg(feature = "encoder")]
use range::Encoder;
use range::{Coder, Decoder};
use work::{Apart, Work};

use super::prediction::{Predictor, ReadAt};
use crate::CopyInstruction;

/// Larger old files are not taken into memory for fresh bytes.
const MOST_RECALLED: u64 = 20 << 20;

/// What a decoder accepts.
#[derive(Clone, Copy, Debug)]
pub struct CoderLimits {
    /// Steps of one stream; each takes 24 bytes of memory.
    pub most_steps: usize,
    /// Bytes of the models and the history together.
    pub most_memory: u64,
}

/// Why a stream was not coded or not decoded.
#[derive(Debug, thiserror::Error)]
pub enum CoderError {
    /// The packed bytes end too early.
    #[error("the patch ends too early")]
    Truncated,
    /// Something follows the end.
    #[error("bytes follow the end of the patch")]
    Trailing,
    /// The steps do not fit the old and the new length.
    #[error("the patch's steps do not fit the files")]
    Steps,
    /// More steps than the caller allows.
    #[error("the patch has more than {most} steps")]
    TooManySteps {
        /// How many are allowed.
        most: usize,
    },
    /// The models would take more memory than the caller allows.
    #[error("the patch needs {needed} bytes of memory, {most} are allowed")]
    Memory {
        /// Bytes needed.
        needed: u64,
        /// Bytes allowed.
        most: u64,
    },
    /// Old or packed bytes cannot be read, or new bytes not be handed on.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// How a stream is coded; it is part of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoderOptions {
    /// What fresh bytes mostly are.
    pub nature: Nature,
    /// Copied bytes before each gap that are learned: 0, or 2 to the power of this (at most 30)
    /// less one.
    pub training: u32,
    /// Size of the fresh bytes' tables: 2^this buckets of 64 bytes (4 to 20).
    pub tables: u32,
    /// Size of the history ring: 2^this bytes (18 to 25).
    pub history: u32,
    /// Whether fresh bytes are looked up in all old bytes, which are in memory then.
    pub recall: bool,
    /// Whether fresh bytes stand apart: the encoder hands them out, the decoder gets them, and they
    /// cost nothing here.
    pub apart: bool,
    /// Set if those bytes are x86 code, which is parted into streams; else all are in the first.
    pub code: Option<Mode>,
}

impl CoderOptions {
    /// Sensible options for a target of `length` bytes of which `literals` are fresh.
    pub fn for_target(nature: Nature, length: u64, literals: u64) -> Self {
        let bits = |value: u64| 64 - value.leading_zeros();
        Self {
            nature,
            training: if nature == Nature::Text && length <= 1 << 20 {
                16
            } else if nature == Nature::Text {
                5
            } else {
                0
            },
            tables: (bits(literals) + 2).clamp(12, 18),
            history: bits(length).clamp(18, 22),
            recall: nature == Nature::Text && length <= MOST_RECALLED,
            apart: false,
            code: None,
        }
    }

    fn code<C: Coder>(self, coder: &mut C) -> Self {
        let nature = if coder.code_plain(u64::from(self.nature == Nature::Binary), 1) == 1 {
            Nature::Binary
        } else {
            Nature::Text
        };
        let training = coder.code_plain(self.training.into(), 5) as u32;
        let tables = coder.code_plain(self.tables.saturating_sub(4).into(), 4) as u32 + 4;
        let history = coder.code_plain(self.history.saturating_sub(18).into(), 3) as u32 + 18;
        let recall = coder.code_plain(self.recall.into(), 1) == 1;
        let apart = coder.code_plain(self.apart.into(), 1) == 1;
        let mode = match self.code {
            None => 0,
            Some(Mode::Narrow) => 1,
            Some(Mode::Wide) => 2,
        };
        let code = match if apart { coder.code_plain(mode, 2) } else { 0 } {
            1 => Some(Mode::Narrow),
            2 => Some(Mode::Wide),
            _ => None,
        };
        Self { nature, training, tables, history, recall, apart, code }
    }

    /// Size of the tables for differences, as a power of two: bytes, about twice.
    fn differences(self) -> u32 {
        (self.tables + 4).clamp(12, if self.nature == Nature::Text { 18 } else { 21 })
    }

    /// Size of the table of places, as a power of two.
    fn lookups(self, old: u64) -> u32 {
        if self.recall { (64 - old.leading_zeros()).clamp(18, 21) } else { 19 }
    }

    /// Bytes of memory that the models take, roughly.
    fn memory(self, old: u64) -> u64 {
        let recalled = if self.recall { old } else { 0 };
        let literals = if self.apart { 0 } else { (64 << self.tables) + (4 << self.lookups(old)) };
        let tables = literals + (2 << self.differences());
        recalled.saturating_add(tables + (1 << self.history) + (3 << 20))
    }
}

/// Codes `target`, which `steps` put together from `old`, behind what `out` holds; fresh bytes that
/// stand apart go behind what `literals` holds. The forecast must be one that the decoder can make
/// from the same old bytes and steps.
#[cfg(feature = "encoder")]
pub fn encode(
    old: &dyn ReadAt,
    target: &[u8],
    steps: &[CopyInstruction],
    options: CoderOptions,
    predictor: &mut dyn Predictor,
    (out, literals): (&mut Vec<u8>, &mut [Vec<u8>; STREAMS]),
) -> Result<(), CoderError> {
    let mut coder = Encoder::new(out);
    let recall = options.recall && !options.apart && old.len() <= MOST_RECALLED;
    let options = CoderOptions { recall, ..options }.code(&mut coder);
    let limits = CoderLimits { most_steps: usize::MAX, most_memory: u64::MAX };
    let steps = steps::code(&mut coder, Some(steps), old.len(), target.len() as u64, &limits)?;
    let mut sink = |_: &[u8]| Ok(());
    Work::new(old, options, Some(target), Apart::Out(literals))?
        .run(&mut coder, &steps, predictor, &mut sink)?;
    coder.finish();
    Ok(())
}

/// Decodes `target_length` bytes from `packed`, all of which must belong to the stream, and
/// `literals`, all of which must be needed. `sink` gets them in order.
pub fn decode<'f>(
    old: &dyn ReadAt,
    target_length: u64,
    limits: &CoderLimits,
    (packed, literals): (&mut dyn Read, [&mut dyn Read; STREAMS]),
    make_forecast: impl FnOnce(&[CopyInstruction]) -> io::Result<Box<dyn Predictor + 'f>>,
    sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), CoderError> {
    let mut coder = Decoder::new(packed);
    let mut literals = Streams::new(literals);
    let done =
        decode_all(old, target_length, limits, (&mut coder, &mut literals), make_forecast, sink);
    match coder.take_error() {
        Some(error) => Err(error.into()),
        None => done.and_then(|()| match coder.has_more() || !literals.ended()? {
            true => Err(CoderError::Trailing),
            false => Ok(()),
        }),
    }
}

fn decode_all<'f>(
    old: &dyn ReadAt,
    target_length: u64,
    limits: &CoderLimits,
    (coder, literals): (&mut Decoder<'_>, &mut Streams<'_>),
    make_forecast: impl FnOnce(&[CopyInstruction]) -> io::Result<Box<dyn Predictor + 'f>>,
    sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), CoderError> {
    let empty = CoderOptions {
        nature: Nature::Text,
        training: 0,
        tables: 4,
        history: 18,
        recall: false,
        apart: false,
        code: None,
    };
    let options = empty.code(coder);
    if options.memory(old.len()) > limits.most_memory {
        return Err(CoderError::Memory {
            needed: options.memory(old.len()),
            most: limits.most_memory,
        });
    }
    let steps = steps::code(coder, None, old.len(), target_length, limits)?;
    if coder.failed() {
        return Err(CoderError::Truncated);
    }
    let mut predictor = make_forecast(&steps)?;
    Work::new(old, options, None, Apart::In(literals))?.run(
        coder,
        &steps,
        &mut *predictor,
        sink,
    )?;
    if coder.failed() { Err(CoderError::Truncated) } else { Ok(()) }
}
