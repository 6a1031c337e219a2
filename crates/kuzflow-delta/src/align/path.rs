//! The cheapest path through literals and diagonals.
//!
//! In: old and new bytes, seeds, costs. Out: [`Piece`]s that tile the new bytes. A Viterbi search
//! runs over the diagonals that are alive at each byte. Its time is linear in the bytes times
//! [`ALIVE`]; its memory is one record for each position where a change might pay.

use super::costs::Costs;
use super::seeds::Seed;
use super::suffixes::common;

/// Part of the path: literals, or a copy on one diagonal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Where it begins in the new bytes.
    pub at: usize,
    /// Bytes.
    pub length: usize,
    /// Old position minus new position; `None` for literals.
    pub diagonal: Option<i64>,
}

/// At most this many diagonals are alive at a time.
const ALIVE: usize = 16;
/// A diagonal dies when it has missed this much more than it hit.
const VIGOUR: i32 = 64;

#[derive(Clone, Copy)]
struct Diagonal {
    diagonal: i64,
    cost: u64,
    entered: usize,
    vigour: i32,
    missed: bool,
    /// The amount that was added to the last byte that differed.
    change: u8,
}

/// How the cheapest path to a position ends.
#[derive(Clone, Copy)]
struct PathEnd {
    at: usize,
    diagonal: Option<i64>,
    entered: usize,
}

struct Search<'a> {
    costs: &'a Costs,
    diagonals: Vec<Diagonal>,
    literals: u64,
    literal_entered: usize,
    /// The diagonal that the path left for literals.
    literal_diagonal: i64,
    records: Vec<PathEnd>,
}

/// The best end of a path so far.
#[derive(Clone, Copy)]
struct Best {
    cost: u64,
    diagonal: Option<i64>,
    entered: usize,
    /// The diagonal that the cost of a jump is counted from.
    reference: i64,
}

impl Search<'_> {
    fn best(&self) -> Best {
        let mut best = Best {
            cost: self.literals,
            diagonal: None,
            entered: self.literal_entered,
            reference: self.literal_diagonal,
        };
        for diagonal in &self.diagonals {
            if diagonal.cost < best.cost {
                best = Best {
                    cost: diagonal.cost,
                    diagonal: Some(diagonal.diagonal),
                    entered: diagonal.entered,
                    reference: diagonal.diagonal,
                };
            }
        }
        best
    }

    fn enter(&self, best: &Best, diagonal: i64) -> u64 {
        let distance = diagonal.abs_diff(best.reference);
        let leave = if best.diagonal.is_some() { u64::from(self.costs.leave) } else { 0 };
        let enter = if distance == 0 {
            u64::from(self.costs.resume)
        } else {
            u64::from(self.costs.jump) + 256 * u64::from(distance.ilog2())
        };
        best.cost + leave + enter
    }

    fn record(&mut self, at: usize, best: &Best) {
        if self.records.last().is_none_or(|last| last.at != at) {
            self.records.push(PathEnd { at, diagonal: best.diagonal, entered: best.entered });
        }
    }

    /// Makes a seed's diagonal alive.
    fn activate(&mut self, at: usize, best: &Best, diagonal: i64) {
        if self.diagonals.iter().any(|known| known.diagonal == diagonal) {
            return;
        }
        if self.diagonals.len() >= ALIVE {
            let worst = self
                .diagonals
                .iter()
                .enumerate()
                .max_by_key(|(_, diagonal)| diagonal.cost)
                .map(|(index, _)| index);
            if let Some(worst) = worst {
                self.diagonals.swap_remove(worst);
            }
        }
        self.record(at, best);
        let cost = self.enter(best, diagonal);
        self.diagonals.push(Diagonal {
            diagonal,
            cost,
            entered: at,
            vigour: VIGOUR,
            missed: false,
            change: 0,
        });
    }

    /// Extends each diagonal and the literals by one byte.
    fn advance(&mut self, at: usize, old: &[u8], new: u8) {
        let costs = self.costs;
        self.literals += u64::from(costs.literals);
        self.diagonals.retain_mut(|diagonal| {
            let Some(&byte) =
                usize::try_from(at as i64 + diagonal.diagonal).ok().and_then(|at| old.get(at))
            else {
                return false;
            };
            if byte == new {
                diagonal.cost += u64::from(costs.same);
                diagonal.vigour = (diagonal.vigour + 1).min(VIGOUR);
                diagonal.missed = false;
            } else {
                let change = new.wrapping_sub(byte);
                if change == diagonal.change {
                    diagonal.cost += u64::from(costs.repeats);
                } else {
                    diagonal.cost += u64::from(if diagonal.missed {
                        costs.differs_again
                    } else {
                        costs.differs
                    });
                    diagonal.vigour -= 4;
                }
                diagonal.missed = true;
                diagonal.change = change;
            }
            diagonal.vigour > 0
        });
    }

    /// Replaces every path end that costs more than a change from the best one by that change.
    fn relax(&mut self, at: usize) {
        let best = self.best();
        if let Some(diagonal) = best.diagonal
            && self.literals > best.cost + u64::from(self.costs.leave)
        {
            self.record(at, &best);
            self.literals = best.cost + u64::from(self.costs.leave);
            self.literal_entered = at;
            self.literal_diagonal = diagonal;
        }
        for index in 0..self.diagonals.len() {
            let cost = self.enter(&best, self.diagonals[index].diagonal);
            if self.diagonals[index].cost > cost {
                self.record(at, &best);
                self.diagonals[index].cost = cost;
                self.diagonals[index].entered = at;
                self.diagonals[index].missed = false;
            }
        }
    }

    /// How far to go at once: one diagonal that is alone and matches needs no comparison with
    /// others.
    fn stride(&self, at: usize, limit: usize, old: &[u8], new: &[u8]) -> usize {
        let [diagonal] = self.diagonals.as_slice() else { return 0 };
        if diagonal.cost > self.literals {
            return 0;
        }
        let Some(old) =
            usize::try_from(at as i64 + diagonal.diagonal).ok().and_then(|at| old.get(at..))
        else {
            return 0;
        };
        common(old, &new[at..limit])
    }
}

/// The cheapest path through `new`.
pub(super) fn cheapest(old: &[u8], new: &[u8], seeds: &[Seed], costs: &Costs) -> Vec<Piece> {
    let mut search = Search {
        costs,
        diagonals: Vec::new(),
        literals: 0,
        literal_entered: 0,
        literal_diagonal: 0,
        records: Vec::new(),
    };
    let mut seeds = seeds.iter().copied().peekable();
    let mut at = 0;
    while at < new.len() {
        if seeds.peek().is_some_and(|seed| seed.start as usize <= at) {
            let best = search.best();
            while let Some(seed) = seeds.next_if(|seed| seed.start as usize <= at) {
                search.activate(at, &best, seed.diagonal);
            }
        }
        let limit = seeds.peek().map_or(new.len(), |seed| (seed.start as usize).min(new.len()));
        let stride = search.stride(at, limit, old, new);
        if stride > 1 {
            if let Some(diagonal) = search.diagonals.first_mut() {
                diagonal.cost += u64::from(costs.same) * stride as u64;
                diagonal.vigour = VIGOUR.min(diagonal.vigour + stride as i32);
                diagonal.missed = false;
            }
            search.literals += u64::from(costs.literals) * stride as u64;
            at += stride;
        } else {
            search.advance(at, old, new[at]);
            at += 1;
        }
        search.relax(at);
    }
    let best = search.best();
    let mut pieces = Vec::new();
    let (mut diagonal, mut entered, mut end) = (best.diagonal, best.entered, new.len());
    loop {
        if end > entered {
            pieces.push(Piece { at: entered, length: end - entered, diagonal });
        }
        if entered == 0 {
            break;
        }
        end = entered;
        let Ok(index) = search.records.binary_search_by_key(&entered, |record| record.at) else {
            break;
        };
        (diagonal, entered) = (search.records[index].diagonal, search.records[index].entered);
    }
    pieces.reverse();
    pieces
}
