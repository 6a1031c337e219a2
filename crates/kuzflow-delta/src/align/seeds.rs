//! Matches that are long enough to be worth pricing.
//!
//! In: old and new bytes. Out: [`Seed`]s in order of their start. Never: a search in the middle of
//! a long match that would only find the end of that match.

use super::suffixes::{MAX_MATCH_BYTES, Suffixes, common};

/// From `start` in the new bytes on, the old bytes at `start + diagonal` are similar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seed {
    /// The first position in the new bytes where a copy may pay.
    pub start: u32,
    /// Old position minus new position.
    pub diagonal: i64,
}

/// One search yields at most this many places.
const WIDTH: usize = 4;
/// A search examines at most this many places. Among equally long matches it prefers those closest
/// to the last match.
const BREADTH: usize = 24;
/// This many recent diagonals are tried at every position.
const RECENT: usize = 6;
/// Seeds are extended backwards by at most this many bytes.
const BACKWARDS: usize = 1024;
/// The next search starts this many bytes before the end of the longest match, to find a better
/// match that begins there.
const OVERLAP: usize = 12;

struct Finder<'a> {
    old: &'a [u8],
    new: &'a [u8],
    recent: Vec<i64>,
    seeds: Vec<Seed>,
}

impl Finder<'_> {
    /// Length of the match on a diagonal at a new position.
    fn length(&self, at: usize, diagonal: i64) -> usize {
        usize::try_from(at as i64 + diagonal)
            .ok()
            .and_then(|old| self.old.get(old..))
            .map_or(0, |old| common(old, &self.new[at..]))
    }

    /// Where a copy on a diagonal may pay: backwards as long as more than half of the bytes match.
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

/// Seeds of matches that have at least `shortest` bytes.
pub(super) fn find(old: &[u8], new: &[u8], shortest: usize) -> Vec<Seed> {
    let suffixes = Suffixes::new(old);
    let mut finder = Finder { old, new, recent: Vec::new(), seeds: Vec::new() };
    let mut at = 0;
    let mut found: Vec<(usize, i64)> = Vec::new();
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
        // The longest match first; among equally long ones, the one closest to the last match.
        let last = finder.recent.first().copied().unwrap_or(0);
        found.sort_by_key(|&(length, diagonal)| {
            (std::cmp::Reverse(length), diagonal.abs_diff(last))
        });
        found.truncate(WIDTH);
        for &(_, diagonal) in found.iter().rev() {
            finder.add(at, diagonal);
        }
        at += if first >= MAX_MATCH_BYTES {
            MAX_MATCH_BYTES - OVERLAP
        } else {
            first.saturating_sub(OVERLAP).max(1)
        };
    }
    let mut seeds = finder.seeds;
    seeds.sort_unstable();
    seeds.dedup();
    seeds
}
