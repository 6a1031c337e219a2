//! Codes a stream in either direction: follows the instructions, codes literals and residuals, and
//! passes the new bytes to the sink.
//!
//! In: old bytes, options, instructions, a prediction; for the encoder the whole target. Out: bits
//! requested from the coder, and the new bytes, in order. Never: a decision that the other
//! direction cannot repeat.

use std::io;

use super::dense::{self, is_dense};
use super::error::CoderError;
use super::gaps::{Gap, GapContext};
use super::history::{History, Space};
use super::matches::MatchModel;
use super::mixture::Mixture;
use super::models::Counter;
use super::operands::{self, DENSE, Mode, STREAMS, Streams};
use super::options::CoderOptions;
use super::range::Coder;
use super::residual::{Residual, SPANS};
use crate::CopyInstruction;
use crate::prediction::{Predictor, ReadAt};

/// Old bytes that are examined on either side of a gap.
const AROUND: u64 = 4096;
/// Copies are processed in parts of at most this length, so that neither side holds a whole one.
const PART: u64 = 1 << 16;

/// For bytes that stand apart and are no code, this many at a time are dense or not: compressed
/// files begin with bytes that are not dense.
const DENSE_PART: u64 = 4096;

/// Where literals that stand apart go, or come from.
pub(super) enum Apart<'a, 's> {
    /// The encoder's.
    #[cfg_attr(
        not(feature = "encoder"),
        expect(dead_code, reason = "one piece of code for both directions")
    )]
    Out(&'a mut [Vec<u8>; STREAMS]),
    /// The decoder's.
    In(&'a mut Streams<'s>),
}

/// The models of literals that stand in the stream itself.
struct Heavy {
    training: u64,
    trained_to: u64,
    mixture: Mixture,
    matches: MatchModel,
}

/// The state of either direction.
pub(super) struct Work<'a, 's> {
    old: &'a dyn ReadAt,
    /// The whole target, which only the encoder knows.
    target: Option<&'a [u8]>,
    space: Space,
    /// `None` if literals stand apart.
    heavy: Option<Heavy>,
    apart: Apart<'a, 's>,
    /// The processor mode, if those literals are code.
    code: Option<Mode>,
    /// Whether a part of the literals that stand apart is dense, by the answer for the part before.
    dense: [Counter; 2],
    was_dense: bool,
    residual: Residual,
    /// The prediction of a part, and later its actual bytes.
    part: Vec<u8>,
}

impl<'a, 's> Work<'a, 's> {
    /// Has learned nothing yet. Returns an error if all old bytes are needed in memory and cannot
    /// be read.
    pub(super) fn new(
        old: &'a dyn ReadAt,
        options: CoderOptions,
        target: Option<&'a [u8]>,
        apart: Apart<'a, 's>,
    ) -> io::Result<Self> {
        let mut base = Vec::new();
        if options.recall {
            base.resize(
                usize::try_from(old.len())
                    .map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?,
                0,
            );
            old.read_at(0, &mut base)?;
        }
        let heavy = (!options.apart).then(|| Heavy {
            training: (1 << options.training.min(30)) - 1,
            trained_to: 0,
            mixture: Mixture::new(options.nature, options.tables),
            matches: MatchModel::new(options.lookups(old.len())),
        });
        Ok(Self {
            old,
            target,
            space: Space::new(base, History::new(options.history)),
            heavy,
            apart,
            code: options.code,
            dense: [Counter::NEW; 2],
            was_dense: false,
            residual: Residual::new(options.differences()),
            part: vec![0; PART as usize],
        })
    }

    /// Codes everything that `steps` tile; `sink` receives the new bytes in order.
    pub(super) fn run<C: Coder>(
        &mut self,
        coder: &mut C,
        steps: &[CopyInstruction],
        predictor: &mut dyn Predictor,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), CoderError> {
        let mut copied_to = 0;
        for step in steps {
            if step.literals > 0 {
                match self.heavy.take() {
                    Some(mut heavy) => {
                        let around = self.gap_context(copied_to, step)?;
                        let coded =
                            self.code_literals(coder, &mut heavy, step.literals, &around, sink);
                        self.heavy = Some(heavy);
                        coded?;
                    }
                    None => self.pass_apart(coder, step.literals, sink)?,
                }
            }
            let mut done = 0;
            self.residual.enter(self.space.newest());
            while done < step.length {
                let length = PART.min(step.length - done);
                self.code_part(coder, step.old_at + done, length as usize, predictor)?;
                self.space.history().deliver(false, sink)?;
                if coder.failed() {
                    return Err(CoderError::Truncated);
                }
                done += length;
            }
            if step.length > 0 {
                copied_to = step.old_at + step.length;
            }
        }
        self.space.history().deliver(true, sink)?;
        Ok(())
    }

    /// The old bytes around the gap before the copy of `step`; the copy before ended at
    /// `copied_to`.
    fn gap_context(&self, copied_to: u64, step: &CopyInstruction) -> io::Result<GapContext> {
        let mut front = vec![
            0;
            (self.old.len() - copied_to)
                .min(step.literals.saturating_mul(2).saturating_add(256).min(AROUND))
                as usize
        ];
        self.old.read_at(copied_to, &mut front)?;
        let mut back = Vec::new();
        if step.length > 0 {
            back.resize(step.old_at.min(step.literals).min(AROUND) as usize, 0);
            self.old.read_at(step.old_at - back.len() as u64, &mut back)?;
        }
        Ok(GapContext { front, back })
    }

    fn code_literals<C: Coder>(
        &mut self,
        coder: &mut C,
        Heavy { training, trained_to, mixture, matches }: &mut Heavy,
        length: u64,
        around: &GapContext,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), CoderError> {
        let from =
            self.space.at().saturating_sub(*training).max(*trained_to).max(self.space.lowest());
        matches.note(&self.space);
        mixture.train(&self.space, from);
        mixture.enter(&self.space, self.space.at());
        matches.leave();
        matches.look_up(&self.space, mixture.newest());
        let mut gap = Gap::new();
        let mut left = length;
        while left > 0 {
            let part = left.min(4096);
            let at = self.space.written() as usize;
            let actual = self.target.and_then(|target| target.get(at..at + part as usize));
            gap.code(
                coder,
                (&mut *mixture, &mut *matches),
                actual,
                (part as usize, left),
                around,
                &mut self.space,
            );
            self.space.history().deliver(false, sink)?;
            if coder.failed() {
                return Err(CoderError::Truncated);
            }
            left -= part;
        }
        *trained_to = self.space.at();
        Ok(())
    }

    /// Passes `length` literals that stand apart out (encoder) or in (decoder).
    fn pass_apart<C: Coder>(
        &mut self,
        coder: &mut C,
        length: u64,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), CoderError> {
        let mut left = length;
        while left > 0 {
            let at = self.space.written();
            let count = left.min(if self.code.is_some() { PART } else { DENSE_PART }) as usize;
            let known = self.target.and_then(|target| target.get(at as usize..at as usize + count));
            let dense = count >= dense::MIN_BYTES && {
                let counter = &mut self.dense[usize::from(self.was_dense)];
                self.was_dense = coder.code(known.is_some_and(is_dense), counter.probability());
                counter.update(self.was_dense, 60);
                self.was_dense
            };
            match &mut self.apart {
                Apart::Out(streams) => {
                    let actual = known.ok_or(CoderError::Steps)?;
                    match self.code {
                        _ if dense => streams[DENSE].extend_from_slice(actual),
                        Some(mode) => operands::part(actual, at, mode, streams),
                        None => streams[0].extend_from_slice(actual),
                    }
                    self.space.extend(actual);
                }
                Apart::In(streams) => {
                    let part = &mut self.part[..count];
                    let joined = match self.code {
                        _ if dense => streams.dense(part),
                        Some(mode) => operands::join(part, at, mode, streams),
                        None => streams.plain(part),
                    };
                    joined.map_err(|error| match error.kind() {
                        io::ErrorKind::UnexpectedEof => CoderError::Truncated,
                        _ => error.into(),
                    })?;
                    self.space.extend(part);
                }
            }
            self.space.history().deliver(false, sink)?;
            left -= count as u64;
        }
        Ok(())
    }

    /// Codes `length` bytes (at most a part) whose counterpart stands at `old_at`.
    fn code_part<C: Coder>(
        &mut self,
        coder: &mut C,
        old_at: u64,
        length: usize,
        predictor: &mut dyn Predictor,
    ) -> Result<(), CoderError> {
        let new_at = self.space.written();
        let mut part = std::mem::take(&mut self.part);
        let actual =
            self.target.and_then(|target| target.get(new_at as usize..new_at as usize + length));
        let done =
            self.code_elements(coder, (new_at, old_at), &mut part[..length], actual, predictor);
        if done.is_ok() {
            self.space.extend(&part[..length]);
        }
        self.part = part;
        done
    }

    /// Codes a part byte by byte and field by field: one loop over the bounds of spans and chunks,
    /// which encoder and decoder must meet alike.
    fn code_elements<C: Coder>(
        &mut self,
        coder: &mut C,
        (new_at, old_at): (u64, u64),
        part: &mut [u8],
        actual: Option<&[u8]>,
        predictor: &mut dyn Predictor,
    ) -> Result<(), CoderError> {
        // The encoder runs the prediction ahead, since a span's flag describes the bytes that
        // follow; the decoder predicts as it goes.
        let mut ahead = match actual {
            Some(actual) => Some(Predicted::new((new_at, old_at), actual, predictor)?),
            None => None,
        };
        let mut at = 0;
        // The end of the span that equals the prediction; the end of the chunk, and its kind.
        let (mut span_end, mut chunk_end, mut kind) = (0, 0, 0);
        while at < part.len() {
            if at == chunk_end {
                let chunk = match &mut ahead {
                    Some(ahead) => ahead.next(&mut part[at..]),
                    None => {
                        let chunk = predictor.next(
                            new_at + at as u64,
                            old_at + at as u64,
                            &mut part[at..],
                        )?;
                        (chunk.length, chunk.kind)
                    }
                };
                chunk_end = at + chunk.0.clamp(1, part.len() - at);
                kind = chunk.1;
            }
            if at >= span_end {
                let level = self.residual.level();
                if level > 0 {
                    let end = (at + SPANS[level] as usize).min(part.len());
                    let differs = ahead.as_mut().is_some_and(|ahead| ahead.differs(at, end));
                    if !self.residual.code_span(coder, level, differs) {
                        span_end = end;
                    } else {
                        continue;
                    }
                }
            }
            if kind > 0 {
                let known = actual.map(|actual| &actual[at..chunk_end]);
                let field = &mut part[at..chunk_end];
                if at < span_end {
                    self.residual.pass(field);
                } else {
                    self.residual.code_field(coder, field, kind, known);
                }
                if ahead.is_none() {
                    predictor.settle(field);
                }
                at = chunk_end;
            } else if at < span_end {
                let end = chunk_end.min(span_end);
                self.residual.pass(&part[at..end]);
                at = end;
            } else {
                let following =
                    part.get(at + 1).copied().filter(|_| at + 1 < chunk_end).unwrap_or(0);
                part[at] = self.residual.code_byte(
                    coder,
                    part[at],
                    following,
                    actual.map(|actual| actual[at]),
                );
                at += 1;
            }
        }
        Ok(())
    }
}

/// The prediction for a part, and where it was wrong.
struct Predicted {
    bytes: Vec<u8>,
    chunks: std::vec::IntoIter<(usize, u8)>,
    at: usize,
    /// Starts of the plain bytes and fields that differ.
    wrong: Vec<usize>,
    passed: usize,
}

impl Predicted {
    fn new(
        (new_at, old_at): (u64, u64),
        actual: &[u8],
        predictor: &mut dyn Predictor,
    ) -> io::Result<Self> {
        let mut bytes = vec![0; actual.len()];
        let (mut chunks, mut wrong) = (Vec::new(), Vec::new());
        let mut at = 0;
        while at < bytes.len() {
            let chunk = predictor.next(new_at + at as u64, old_at + at as u64, &mut bytes[at..])?;
            let end = at + chunk.length.clamp(1, bytes.len() - at);
            if chunk.kind > 0 {
                predictor.settle(&actual[at..end]);
                if bytes[at..end] != actual[at..end] {
                    wrong.push(at);
                }
            } else {
                wrong.extend((at..end).filter(|&at| bytes[at] != actual[at]));
            }
            chunks.push((end - at, chunk.kind));
            at = end;
        }
        Ok(Self { bytes, chunks: chunks.into_iter(), at: 0, wrong, passed: 0 })
    }

    fn next(&mut self, buffer: &mut [u8]) -> (usize, u8) {
        let (length, kind) = self.chunks.next().unwrap_or((buffer.len(), 0));
        buffer[..length].copy_from_slice(&self.bytes[self.at..self.at + length]);
        self.at += length;
        (length, kind)
    }

    /// Whether an element that begins in `from..to` is wrong. `from` never goes back.
    fn differs(&mut self, from: usize, to: usize) -> bool {
        while self.wrong.get(self.passed).is_some_and(|&at| at < from) {
            self.passed += 1;
        }
        self.wrong.get(self.passed).is_some_and(|&at| at < to)
    }
}
