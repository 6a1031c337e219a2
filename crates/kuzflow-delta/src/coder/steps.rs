//! The list of instructions at the head of a stream.
//!
//! The list gives the old position of a copy relative to the end of the copy before, or as a change
//! of one of the newest distances between new and old position. These numbers are small as long as
//! both texts run side by side, or where a part of one moved to another place. The list ends when
//! the target's length is reached; there is no count of instructions.

use super::error::CoderError;
use super::models::Counter;
use super::numbers::{Numbers, magnitude};
use super::options::CoderLimits;
use super::range::Coder;
use crate::CopyInstruction;

/// Codes `steps`, which only the encoder knows, for targets of `target_length` bytes.
pub(super) fn code<C: Coder>(
    coder: &mut C,
    steps: Option<&[CopyInstruction]>,
    base_length: u64,
    target_length: u64,
    limits: &CoderLimits,
) -> Result<Vec<CopyInstruction>, CoderError> {
    let mut literals = Numbers::new(24);
    let mut length = Numbers::new(24);
    let mut jump = Jump::new();
    let mut read: Vec<CopyInstruction> = Vec::new();
    let (mut at, mut expected) = (0_u64, 0_u64);
    let mut last = CopyInstruction { literals: 0, old_at: 0, length: 0 };
    while at < target_length {
        if coder.failed() {
            return Err(CoderError::Truncated);
        }
        if read.len() >= limits.most_steps {
            return Err(CoderError::TooManySteps { most: limits.most_steps });
        }
        let step = match steps {
            Some(steps) => steps.get(read.len()).copied().ok_or(CoderError::Steps)?,
            None => CopyInstruction { literals: 0, old_at: 0, length: 0 },
        };
        let mut found = CopyInstruction { literals: 0, old_at: 0, length: 0 };
        found.literals = literals.code(coder, step.literals, magnitude(last.length).min(23));
        found.length = length.code(coder, step.length, magnitude(found.literals).min(23));
        if found.length > 0 {
            found.old_at = jump.code(
                coder,
                step.old_at,
                expected,
                at.wrapping_add(found.literals),
                found.literals,
            );
            expected = found
                .old_at
                .checked_add(found.length)
                .filter(|&end| end <= base_length)
                .ok_or(CoderError::Steps)?;
        } else if found.literals == 0 {
            return Err(CoderError::Steps);
        }
        at = at
            .checked_add(found.literals)
            .and_then(|at| at.checked_add(found.length))
            .filter(|&at| at <= target_length)
            .ok_or(CoderError::Steps)?;
        read.push(found);
        last = found;
    }
    Ok(read)
}

/// Number of distances that are remembered.
const REMEMBERED: usize = 16;
/// Initial probability, of 65536.
const LIKELY: u32 = 44_000;
const LIMIT: u32 = 60;
/// Distances closer than this count as one distance that moves.
const ONE: u64 = 64;

/// The model of where copies begin.
struct Jump {
    /// Whether the position counts from the end of the copy before; whether it counts from the
    /// newest distance. By the last answer, and by the number of literals.
    references: [[[Counter; 2]; 4]; 3],
    /// Which of the older distances, as a tree.
    older: [Counter; REMEMBERED],
    ahead: Numbers,
    changes: Numbers,
    /// Old position minus new position, the newest first.
    distances: [u64; REMEMBERED],
    last: usize,
}

/// A difference as a number: even for forwards, odd for backwards.
fn fold(difference: u64) -> u64 {
    let difference = difference as i64;
    (difference << 1 ^ difference >> 63) as u64
}

fn unfold(folded: u64) -> u64 {
    folded >> 1 ^ (folded & 1).wrapping_neg()
}

impl Jump {
    fn new() -> Self {
        let [ahead, changes] = [24, 3 * 24].map(Numbers::new);
        let references = [[[Counter::at(LIKELY, 1); 2]; 4]; 3];
        Self {
            references,
            older: [Counter::NEW; REMEMBERED],
            ahead,
            changes,
            distances: [0; REMEMBERED],
            last: 0,
        }
    }

    /// Codes the old position of the copy that makes the bytes at `new_at`, behind `literals` bytes
    /// and a copy that ended at `expected`.
    fn code<C: Coder>(
        &mut self,
        coder: &mut C,
        old_at: u64,
        expected: u64,
        new_at: u64,
        literals: u64,
    ) -> u64 {
        let literals = magnitude(literals).min(23);
        let wanted = self.cheapest(old_at, expected, new_at);
        let reference = self.code_reference(coder, wanted, literals);
        self.last = reference.min(2);
        let from = match reference {
            0 => expected,
            // A stream may name one distance more than there are.
            _ => new_at.wrapping_add(self.distances[(reference - 1).min(REMEMBERED - 1)]),
        };
        let folded = fold(old_at.wrapping_sub(from));
        let folded = match reference {
            0 => self.ahead.code(coder, folded, literals),
            1 => self.changes.code(coder, folded, literals),
            _ => self.changes.code(coder, folded, 24 + reference.min(2 * 24 - 1)),
        };
        let old_at = from.wrapping_add(unfold(folded));
        self.remember(old_at.wrapping_sub(new_at));
        old_at
    }

    fn code_reference<C: Coder>(&mut self, coder: &mut C, wanted: usize, literals: usize) -> usize {
        let counters = &mut self.references[self.last % 3][literals.div_ceil(3).min(3)];
        for (reference, counter) in counters.iter_mut().enumerate() {
            let bit = coder.code(wanted == reference, counter.probability());
            counter.update(bit, LIMIT);
            if bit {
                return reference;
            }
        }
        let mut node = 1;
        for shift in (0..4).rev() {
            let counter = &mut self.older[node % REMEMBERED];
            let bit = coder.code(wanted.wrapping_sub(2) >> shift & 1 == 1, counter.probability());
            counter.update(bit, LIMIT);
            node = node << 1 | usize::from(bit);
        }
        (node % REMEMBERED) + 2
    }

    /// The reference that the encoder counts from: the one that gives the smallest number. It uses
    /// older distances only if their number is much smaller.
    fn cheapest(&self, old_at: u64, expected: u64, new_at: u64) -> usize {
        let distance = old_at.wrapping_sub(new_at);
        let bits = |difference: u64| magnitude(fold(difference));
        let older = self.distances.iter().enumerate().map(|(index, known)| {
            let dear = if index == 0 { 0 } else { 5 };
            (bits(distance.wrapping_sub(*known)) + dear, index + 1)
        });
        older.fold((bits(old_at.wrapping_sub(expected)), 0), Ord::min).1
    }

    fn remember(&mut self, distance: u64) {
        let known =
            self.distances.iter().position(|known| fold(distance.wrapping_sub(*known)) < 2 * ONE);
        let place = known.unwrap_or(REMEMBERED - 1);
        self.distances[..=place].rotate_right(1);
        self.distances[0] = distance;
    }
}
