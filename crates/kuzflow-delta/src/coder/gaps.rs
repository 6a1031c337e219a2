//! Literals between two copies. The old bytes where a gap was cut predict the new bytes of the gap
//! well.

use super::history::Space;
use super::matches::MatchModel;
use super::mixture::{ExpectedByte, Mixture};
use super::range::Coder;

/// The old bytes around a gap.
#[derive(Default)]
pub(super) struct GapContext {
    /// Old bytes from the end of the copy before the gap on.
    pub front: Vec<u8>,
    /// Old bytes up to the start of the copy behind the gap.
    pub back: Vec<u8>,
}

/// A place in the old bytes, with the expectation that the new bytes continue there as before.
#[derive(Default)]
pub(super) struct Gap {
    at: usize,
    hits: u32,
    misses: u32,
    back_hits: u32,
}

impl Gap {
    /// Begins a gap.
    pub(super) fn new() -> Self {
        Self { hits: 1, ..Self::default() }
    }

    /// Codes `length` bytes of a gap that has `remaining` bytes left. `actual` are the bytes, which
    /// only the encoder knows.
    pub(super) fn code<C: Coder>(
        &mut self,
        coder: &mut C,
        (mixture, matches): (&mut Mixture, &mut MatchModel),
        actual: Option<&[u8]>,
        (length, remaining): (usize, u64),
        around: &GapContext,
        space: &mut Space,
    ) {
        for index in 0..length {
            let known = actual.and_then(|bytes| bytes.get(index)).copied().unwrap_or(0);
            let front = ExpectedByte {
                expected: around.front.get(self.at).copied(),
                state: self.hits.min(7) * 4 + self.misses.min(3),
                grade: 1 + u32::from(self.hits > 0) + u32::from(self.hits > 3),
            };
            let left = remaining - index as u64;
            let back = ExpectedByte {
                expected: (around.back.len() as u64)
                    .checked_sub(left)
                    .and_then(|at| around.back.get(at as usize))
                    .copied(),
                state: self.back_hits,
                grade: 1 + u32::from(self.back_hits > 0) + u32::from(self.back_hits > 2),
            };
            let byte = mixture.code(coder, known, [matches.prediction(space), front, back]);
            space.push(byte);
            matches.follow(space, mixture.newest());
            self.back_hits =
                if back.expected == Some(byte) { (self.back_hits + 1).min(7) } else { 0 };
            self.step(front.expected == Some(byte), mixture.newest(), around, matches.hits == 0);
        }
    }

    fn step(&mut self, hit: bool, newest: u64, around: &GapContext, search: bool) {
        self.at += 1;
        if hit {
            self.hits = (self.hits + 1).min(15);
            self.misses >>= u32::from(self.hits & 3 == 0);
            return;
        }
        self.hits = 0;
        self.misses = (self.misses + 1).min(15);
        if !search {
            return;
        }
        // Finds the last three bytes in the old text. The closest place counts.
        let last = [(newest >> 16) as u8, (newest >> 8) as u8, newest as u8];
        let at = self.at.min(around.front.len());
        let start = at.saturating_sub(32);
        let end = around.front.len().min(at + 128);
        let found =
            around.front[start..end].windows(3).enumerate().filter(|(_, window)| *window == last);
        if let Some((index, _)) = found.min_by_key(|(index, _)| (start + index).abs_diff(at)) {
            self.at = start + index + 3;
            self.hits = 1;
        }
    }
}
