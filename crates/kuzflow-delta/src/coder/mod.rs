//! The entropy coder of a patch: instructions, residuals and literals, as one stream.
//!
//! In: old bytes by position, instructions, a prediction of the copied bytes. Out (encoder): the
//! coded stream. Out (decoder): the new bytes, in order. Where there are many literals they stand
//! apart, in streams that a whole pack shares ([`CoderOptions::apart`]). All models live as long as
//! the stream, so that the members of a group share what was learned. Never (decoder): more bytes
//! than the caller expects, more memory than [`CoderLimits`] allow, a panic, an endless loop. The
//! decoder cannot know whether the bytes are right: the caller compares hashes.
//!
//! ```text
//! here: options, limits, encode and decode          work       either direction, instruction by instruction
//! numbers, steps      where the copies are              residual   differences within a copy
//! range, models, rows bits, probabilities, mixers       gaps       literals in the stream: mixture predicts, matches and history remember
//!                                                       operands   literals that stand apart: code is split; dense: what is stored
//! ```
//!
//! One piece of code serves both directions ([`work`]): it asks a [`range::Coder`] for each bit and
//! passes the expected bit, so both sides learn the same.

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

/// Old files larger than this are not read into memory for the coding of literals.
const MOST_RECALLED: u64 = 20 << 20;

/// What a decoder accepts.
#[derive(Clone, Copy, Debug)]
pub struct CoderLimits {
    /// Most instructions of one stream; each takes 24 bytes of memory.
    pub most_steps: usize,
    /// Most bytes for the models and the history together.
    pub most_memory: u64,
}

/// Why coding or decoding a stream failed.
#[derive(Debug, thiserror::Error)]
pub enum CoderError {
    /// The packed bytes end too early.
    #[error("the patch ends too early")]
    Truncated,
    /// Bytes follow the end of the stream.
    #[error("bytes follow the end of the patch")]
    Trailing,
    /// The instructions do not fit the old and the new length.
    #[error("the patch's steps do not fit the files")]
    Steps,
    /// The stream has more instructions than the caller allows.
    #[error("the patch has more than {most} steps")]
    TooManySteps {
        /// The number that the caller allows.
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
    /// Reading old or packed bytes failed, or the sink refused new bytes.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// How a stream is coded; it is part of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoderOptions {
    /// The main kind of the literals.
    pub nature: Nature,
    /// Number of copied bytes before each gap that the model learns: 0, or 2 to the power of this
    /// (at most 30) less one.
    pub training: u32,
    /// Size of the literals' tables: 2^this buckets of 64 bytes (4 to 20).
    pub tables: u32,
    /// Size of the history ring: 2^this bytes (18 to 25).
    pub history: u32,
    /// Whether literals are looked up in all old bytes, which are then in memory.
    pub recall: bool,
    /// Whether literals stand apart: the encoder returns them, the decoder receives them, and they
    /// cost nothing in this stream.
    pub apart: bool,
    /// Set if those literals are x86 code, which is split into streams; otherwise all are in the
    /// first.
    pub code: Option<Mode>,
}

impl CoderOptions {
    /// Sensible options for a target of `length` bytes, of which `literals` are literals.
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

    /// Approximate bytes of memory that the models take.
    fn memory(self, old: u64) -> u64 {
        let recalled = if self.recall { old } else { 0 };
        let literals = if self.apart { 0 } else { (64 << self.tables) + (4 << self.lookups(old)) };
        let tables = literals + (2 << self.differences());
        recalled.saturating_add(tables + (1 << self.history) + (3 << 20))
    }
}

/// Codes `target`, which `steps` assemble from `old`, and appends it to `out`. Literals that stand
/// apart are appended to `literals`. The predictor must be one that the decoder can make from the
/// same old bytes and instructions.
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

/// Decodes `target_length` bytes from `packed` and `literals`. Returns an error unless the stream
/// uses all bytes of both. `sink` receives the new bytes in order.
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
