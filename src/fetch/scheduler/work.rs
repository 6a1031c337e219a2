//! Which pieces are free, which ones range requests are fetching, and which ones are done.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use crate::model::PieceTable;

/// The pieces of one download, and their states.
pub(super) struct Work {
    table: Arc<PieceTable>,
    free: BTreeSet<u32>,
    /// By piece: number of range requests that hold it, from the request until its hash is known.
    holders: Vec<u16>,
    done: Vec<bool>,
    missing: u32,
    missing_bytes: u64,
    free_bytes: u64,
    /// Free pieces whose beginning is retained from a request that ended within the piece, with the
    /// bytes of that beginning.
    begun: BTreeMap<u32, u64>,
}

impl Work {
    /// All pieces but those that `held` names.
    pub(super) fn new(table: Arc<PieceTable>, held: impl IntoIterator<Item = u32>) -> Self {
        let count = table.count() as usize;
        let mut done = vec![false; count];
        held.into_iter()
            .filter_map(|index| done.get_mut(index as usize).map(|done| *done = true))
            .count();
        let free: BTreeSet<u32> =
            (0..table.count()).filter(|index| !done[*index as usize]).collect();
        let mut work = Self {
            free_bytes: 0,
            missing_bytes: 0,
            missing: u32::try_from(free.len()).unwrap_or(u32::MAX),
            table,
            free,
            holders: vec![0; count],
            done,
            begun: BTreeMap::new(),
        };
        work.free_bytes = work.free.iter().map(|index| work.size(*index)).sum();
        work.missing_bytes = work.free_bytes;
        work
    }

    /// Number of all pieces.
    pub(super) fn count(&self) -> u32 {
        self.table.count()
    }

    pub(super) fn size(&self, index: u32) -> u64 {
        let span = self.table.span(index);
        span.end - span.start
    }

    /// Bytes of all pieces.
    pub(super) fn length(&self) -> u64 {
        self.table.length
    }

    /// Bytes of each piece but the last one.
    pub(super) fn piece_size(&self) -> f64 {
        f64::from(self.table.piece_size)
    }

    /// The piece that contains byte `position`; the number of pieces for the end of the payload.
    pub(super) fn piece_at(&self, position: u64) -> u32 {
        if position >= self.table.length {
            return self.table.count();
        }
        u32::try_from(position / u64::from(self.table.piece_size)).unwrap_or(u32::MAX)
    }

    /// The bytes of a run of pieces.
    pub(super) fn bytes(&self, run: &Range<u32>) -> Range<u64> {
        let start = self.table.span(run.start).start;
        if run.is_empty() { start..start } else { start..self.table.span(run.end - 1).end }
    }

    pub(super) fn complete(&self) -> bool {
        self.missing == 0
    }

    pub(super) fn missing_bytes(&self) -> u64 {
        self.missing_bytes
    }

    /// Retained bytes of pieces that no request is fetching.
    pub(super) fn begun_bytes(&self) -> u64 {
        self.begun.values().sum()
    }

    pub(super) fn free_bytes(&self) -> u64 {
        self.free_bytes
    }

    pub(super) fn is_done(&self, index: u32) -> bool {
        self.done.get(index as usize).copied().unwrap_or(true)
    }

    /// The end of a run without the pieces at its end that are done; `run.start` if all are.
    pub(super) fn missing_end(&self, run: Range<u32>) -> u32 {
        let start = run.start;
        run.rev().find(|piece| !self.is_done(*piece)).map_or(start, |last| last + 1)
    }

    /// The free pieces, in order.
    pub(super) fn free(&self) -> impl Iterator<Item = u32> {
        self.free.iter().copied()
    }

    /// Takes the first free pieces that are `allowed`, from piece `from` on and then from the
    /// beginning. It takes one piece at least, and more of the same row while `bytes` has room.
    /// Also returns the byte to begin at, which lies within the first piece if the beginning of
    /// that piece was retained.
    pub(super) fn take(
        &mut self,
        bytes: f64,
        from: u32,
        allowed: &dyn Fn(u32) -> bool,
    ) -> Option<(Range<u32>, u64)> {
        let first = self
            .free
            .range(from..)
            .chain(self.free.range(..from))
            .copied()
            .find(|piece| allowed(*piece))?;
        let mut end = first;
        let mut taken = 0.0;
        let more =
            |end: u32, taken: f64| taken < bytes && !self.begun.contains_key(&end) && allowed(end);
        // A piece with a retained beginning is worth a request that begins within it.
        while self.free.contains(&end) && (end == first || more(end, taken)) {
            taken += self.size(end) as f64;
            end += 1;
        }
        (first..end).for_each(|index| self.hold(index));
        let start = self.table.span(first).start + self.begun.remove(&first).unwrap_or(0);
        Some((first..end, start))
    }

    /// Adds a range request that fetches the piece.
    pub(super) fn hold(&mut self, index: u32) {
        if self.free.remove(&index) {
            self.free_bytes -= self.size(index);
        }
        if let Some(holders) = self.holders.get_mut(index as usize) {
            *holders += 1;
        }
    }

    /// A range request no longer fetches the piece; `begun` bytes of its beginning are retained.
    pub(super) fn release(&mut self, index: u32, begun: u64) {
        let Some(holders) = self.holders.get_mut(index as usize) else { return };
        *holders = holders.saturating_sub(1);
        if *holders == 0 && !self.is_done(index) && self.free.insert(index) {
            self.free_bytes += self.size(index);
            if begun > 0 {
                self.begun.insert(index, begun);
            }
        }
    }

    /// The piece is verified and on disk. Returns whether it was missing before.
    pub(super) fn finish(&mut self, index: u32) -> bool {
        if self.is_done(index) {
            return false;
        }
        if self.free.remove(&index) {
            self.free_bytes -= self.size(index);
            self.begun.remove(&index);
        }
        self.missing -= 1;
        self.missing_bytes -= self.size(index);
        self.done[index as usize] = true;
        true
    }
}
