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
//! here       the two doors: encode, decode              work       either direction, step by step
//! numbers, steps      where the copies are              residual   differences within a copy
//! range, models, rows bits, probabilities, mixers       gaps       literals in the stream: mixture predicts, matches and history remember
//!                                                       operands   literals that stand apart: code is split; dense: what is stored
//! ```
//!
//! One piece of code serves both directions ([`work`]): it asks a [`range::Coder`] for each bit and
//! passes the expected bit, so both sides learn the same.

mod dense;
mod error;
mod gaps;
mod history;
mod matches;
mod mixture;
mod models;
mod numbers;
mod operands;
mod options;
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
pub use error::CoderError;
pub use mixture::Nature;
use operands::Streams;
pub use operands::{Mode, STREAMS};
#[cfg(feature = "encoder")]
use options::MAX_RECALLED_BYTES;
pub use options::{CoderLimits, CoderOptions};
#[cfg(feature = "encoder")]
use range::Encoder;
use range::{Coder, Decoder};
use work::{Apart, Work};

use super::prediction::{Predictor, ReadAt};
use crate::CopyInstruction;

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
    let recall = options.recall && !options.apart && old.len() <= MAX_RECALLED_BYTES;
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
    make_prediction: impl FnOnce(&[CopyInstruction]) -> io::Result<Box<dyn Predictor + 'f>>,
    sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), CoderError> {
    let mut coder = Decoder::new(packed);
    let mut literals = Streams::new(literals);
    let done =
        decode_all(old, target_length, limits, (&mut coder, &mut literals), make_prediction, sink);
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
    make_prediction: impl FnOnce(&[CopyInstruction]) -> io::Result<Box<dyn Predictor + 'f>>,
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
    let mut predictor = make_prediction(&steps)?;
    Work::new(old, options, None, Apart::In(literals))?.run(
        coder,
        &steps,
        &mut *predictor,
        sink,
    )?;
    if coder.failed() { Err(CoderError::Truncated) } else { Ok(()) }
}
