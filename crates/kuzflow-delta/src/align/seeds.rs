//! Matches that are worth a thought.
//!
//! In: old and new bytes. Out: [`Seed`]s in order of their start. Never: a search in the middle of
//! a long match that would end where that match ends.

use super::suffixes::{LONGEST, Suffixes, common};

/// From `start` in the new bytes on, the old bytes at `start + diagonal` look alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seed {
    /// Where it may pay to begin, in the new bytes.
    pub start: u32,
    /// Old position less new position.
    pub diagonal: i64,
}

/// So many places are taken from one search.
const WIDTH: usize = 4;
/// A search looks at so many places for those closest to where the last matches were.
const BREADTH: usize = 24;
/// So many recent lanes are tried everywhere.
const RECENT: usize = 6;
/// Seeds are extended backwards no further.
const BACKWARDS: usize = 1024;
/// How far a search goes back before the end of the longest match, so that a better one is not
/// missed.
const OVERLAP: usize = 12;

struct Finder<'a> {
    old: &'a [u8],
    new: &'a [u8],
    recent: Vec<i64>,
    seeds: Vec<Seed>,
}

impl Finder<'_> {
    /// Length of the match of a lane at a new position.
    fn length(&self, at: usize, diagonal: i64) -> usize {
        usize::try_from(at as i64 + diagonal)
            .ok()
            .and_then(|old| self.old.get(old..))
            .map_or(0, |old| common(old, &self.new[at..]))
    }

    /// Where a lane may pay to begin: backwards as long as more than half of the bytes match.
    fn start(&self, at: usize, diagonal: i64) -> usize {
        let (mut best, mut best_gain, mut gain) = (at, 0_i32, 0_i32);
        for new in (at.saturating_sub(BACKWARDS)..at).rev() {
            let Some(&old) =
                usize::try_from(new as i64 + diagonal).ok().and_then(|old| self.old.get(old))
            else {
                break;
            };
            gain += if old == self.new[new] { 1 } else { -2 };
            if gain >= best_gain {
                best_gain = gain;
                best = new;
            } else if gain < best_gain - 24 {
                break;
            }
        }
        best
    }

    fn add(&mut self, at: usize, diagonal: i64) {
        let start = self.start(at, diagonal) as u32;
        self.seeds.push(Seed { start, diagonal });
        self.recent.retain(|&other| other != diagonal);
        self.recent.insert(0, diagonal);
        self.recent.truncate(RECENT);
    }
}

/// Seeds of matches with at least `shortest` bytes.
pub(super) fn find(old: &[u8], new: &[u8], shortest: usize) -> Vec<Seed> {
    let suffixes = Suffixes::new(old);
    let mut finder = Finder { old, new, recent: Vec::new(), seeds: Vec::new() };
    let mut at = 0;
    let mut found: Vec<(usize, i64)> = Vec::new();
    // Up to where the recent lanes are known to be in use.
    while at + shortest <= new.len() {
        found.clear();
        let mut first = 0;
        let mut visited = 0;
        suffixes.search(&new[at..], |old, length| {
            first = first.max(length);
            visited += 1;
            if length < shortest || length * 2 < first {
                return false;
            }
            found.push((length, old as i64 - at as i64));
            visited < BREADTH
        });
        for index in 0..finder.recent.len() {
            let diagonal = finder.recent[index];
            let length = finder.length(at, diagonal);
            first = first.max(length);
            if length >= shortest && !found.iter().any(|&(_, other)| other == diagonal) {
                found.push((length, diagonal));
            }
        }
        // The longest first; of those that are as long, the one nearest to where the last match
        // was.
        let last = finder.recent.first().copied().unwrap_or(0);
        found.sort_by_key(|&(length, diagonal)| {
            (std::cmp::Reverse(length), diagonal.abs_diff(last))
        });
        found.truncate(WIDTH);
        for &(_, diagonal) in found.iter().rev() {
            finder.add(at, diagonal);
        }
        at +=
            if first >= LONGEST { LONGEST - OVERLAP } else { first.saturating_sub(OVERLAP).max(1) };
    }
    let mut seeds = finder.seeds;
    seeds.sort_unstable();
    seeds.dedup();
    seeds
}
