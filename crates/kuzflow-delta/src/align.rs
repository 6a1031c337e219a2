//! Finds which old bytes stand where in the new ones.
//!
//! In: the bases (old files, one behind the other) and the targets (new files, likewise), both
//! through [`ReadAt`]. Out: [`CopyInstruction`]s that tile the targets: literals, then bytes that
//! stand in the bases, mostly unchanged. Never: more memory than [`AlignOptions`] allows; more than
//! about linear time, for any bytes.
//!
//! ```text
//! bases ── suffixes: longest matches ── seeds: matches worth pricing ─────┐
//! targets ─────────────────────────────────────────────────────────────┴─ path: the cheapest path ── instructions
//! ```
//!
//! A suffix array finds long exact matches ([`seeds`]). Each match gives a diagonal (the distance
//! between old and new position). The path then chooses for every byte between a literal and the
//! diagonals that are alive there, by what bytes and instructions cost in the entropy coder. A copy
//! runs through a single differing byte when that is cheaper than two instructions, and changes its
//! diagonal where that is cheapest.

mod costs;
mod path;
mod seeds;
mod suffixes;

use std::io;
use std::ops::Range;

pub use self::costs::{AlignOptions, Costs};
use crate::CopyInstruction;
use crate::prediction::ReadAt;

/// Aligns `targets` with `bases`. Returns the errors of reading them.
pub fn align(
    bases: &dyn ReadAt,
    targets: &dyn ReadAt,
    options: &AlignOptions,
) -> io::Result<Vec<CopyInstruction>> {
    Aligner::new(bases, targets, options)?.steps(bases, targets)
}

/// A part of the targets, the part of the bases that it is aligned with, and the matches between
/// them.
struct Window {
    new: Range<u64>,
    old: Range<u64>,
    seeds: Vec<seeds::Seed>,
}

/// The matches between bases and targets. They are found once, and several views of the same bytes
/// may price them: the aligner matches native code with its operands hidden, so that matches are
/// long, and prices it with operands that are right or wrong.
pub struct Aligner {
    windows: Vec<Window>,
    costs: Costs,
}

impl Aligner {
    /// Finds matches. Returns the errors of reading.
    pub fn new(
        bases: &dyn ReadAt,
        targets: &dyn ReadAt,
        options: &AlignOptions,
    ) -> io::Result<Self> {
        let (old_length, new_length) = (bases.len(), targets.len());
        let window = options.window.clamp(64, u32::MAX as usize / 2) as u64;
        let whole = old_length <= window && new_length <= window;
        let part = if whole { new_length.max(1) } else { window / 2 };
        let mut windows = Vec::new();
        let mut from = 0;
        while from < new_length {
            let new = from..(from + part).min(new_length);
            let middle = u128::from(new.start + (new.end - new.start) / 2) * u128::from(old_length)
                / u128::from(new_length);
            let old_from =
                (middle as u64).saturating_sub(window / 2).min(old_length.saturating_sub(window));
            let old = old_from..(old_from + window).min(old_length);
            from = new.end;
            let seeds = seeds::find(&read(bases, &old)?, &read(targets, &new)?, options.shortest);
            windows.push(Window { new, old, seeds });
        }
        Ok(Self { windows, costs: options.costs })
    }

    /// The cheapest instructions for the bytes as these views show them. Returns the errors of
    /// reading.
    pub fn steps(
        &self,
        bases: &dyn ReadAt,
        targets: &dyn ReadAt,
    ) -> io::Result<Vec<CopyInstruction>> {
        let mut builder = Builder::default();
        for window in &self.windows {
            let (old, new) = (read(bases, &window.old)?, read(targets, &window.new)?);
            for piece in path::cheapest(&old, &new, &window.seeds, &self.costs) {
                match piece.diagonal {
                    None => builder.literals(piece.length as u64),
                    Some(diagonal) => builder.copy(
                        (window.old.start as i64 + piece.at as i64 + diagonal) as u64,
                        piece.length as u64,
                    ),
                }
            }
        }
        Ok(builder.finish())
    }
}

fn read(source: &dyn ReadAt, span: &Range<u64>) -> io::Result<Vec<u8>> {
    let length = usize::try_from(span.end - span.start)
        .map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
    let mut bytes = vec![0; length];
    source.read_at(span.start, &mut bytes)?;
    Ok(bytes)
}

/// Joins pieces into instructions.
#[derive(Default)]
struct Builder {
    steps: Vec<CopyInstruction>,
    literals: u64,
}

impl Builder {
    fn literals(&mut self, length: u64) {
        self.literals += length;
    }

    fn copy(&mut self, old_at: u64, length: u64) {
        if length == 0 {
            return;
        }
        if let Some(last) = self.steps.last_mut()
            && self.literals == 0
            && last.old_at + last.length == old_at
        {
            last.length += length;
            return;
        }
        self.steps.push(CopyInstruction { literals: self.literals, old_at, length });
        self.literals = 0;
    }

    fn finish(mut self) -> Vec<CopyInstruction> {
        if self.literals > 0 {
            self.steps.push(CopyInstruction { literals: self.literals, old_at: 0, length: 0 });
        }
        self.steps
    }
}

#[cfg(test)]
mod tests;
