//! The cheapest way through fresh bytes and lanes.
//!
//! In: old and new bytes, seeds, costs. Out: [`Piece`]s that tile the new bytes. A Viterbi search over the lanes alive at each
//! byte; time is linear in the bytes times [`ALIVE`], memory is one record for each position where a change might pay.

use super::Costs;
use super::seeds::Seed;
use super::suffixes::common;

/// Part of the way: fresh, or in a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where it begins in the new bytes.
    pub at: usize,
    /// Bytes.
    pub length: usize,
    /// Old position less new position; none for fresh bytes.
    pub lane: Option<i64>,
}

/// So many lanes are kept at a time.
const ALIVE: usize = 16;
/// A lane dies when it has missed this much more than it hit.
const VIGOUR: i32 = 64;

#[derive(Clone, Copy)]
struct Lane {
    lane: i64,
    cost: u64,
    entered: usize,
    vigour: i32,
    missed: bool,
    /// What was added to the byte that differed last.
    change: u8,
}

/// The cheapest way to a position ends like this.
#[derive(Clone, Copy)]
struct Record {
    at: usize,
    lane: Option<i64>,
    entered: usize,
}

struct Search<'a> {
    costs: &'a Costs,
    lanes: Vec<Lane>,
    fresh: u64,
    fresh_entered: usize,
    /// The lane that was left for fresh bytes.
    fresh_lane: i64,
    records: Vec<Record>,
}

/// The best end of a way so far.
#[derive(Clone, Copy)]
struct Best {
    cost: u64,
    lane: Option<i64>,
    entered: usize,
    /// The lane a jump is counted from.
    reference: i64,
}

impl Search<'_> {
    fn best(&self) -> Best {
        let mut best = Best { cost: self.fresh, lane: None, entered: self.fresh_entered, reference: self.fresh_lane };
        for lane in &self.lanes {
            if lane.cost < best.cost {
                best = Best { cost: lane.cost, lane: Some(lane.lane), entered: lane.entered, reference: lane.lane };
            }
        }
        best
    }

    fn enter(&self, best: &Best, lane: i64) -> u64 {
        let distance = lane.abs_diff(best.reference);
        let leave = if best.lane.is_some() { u64::from(self.costs.leave) } else { 0 };
        let enter = if distance == 0 {
            u64::from(self.costs.resume)
        } else {
            u64::from(self.costs.jump) + 256 * u64::from(distance.ilog2())
        };
        best.cost + leave + enter
    }

    fn record(&mut self, at: usize, best: &Best) {
        if self.records.last().is_none_or(|last| last.at != at) {
            self.records.push(Record { at, lane: best.lane, entered: best.entered });
        }
    }

    /// A seed's lane comes alive.
    fn activate(&mut self, at: usize, best: &Best, lane: i64) {
        if self.lanes.iter().any(|known| known.lane == lane) {
            return;
        }
        if self.lanes.len() >= ALIVE {
            let worst = self.lanes.iter().enumerate().max_by_key(|(_, lane)| lane.cost).map(|(index, _)| index);
            if let Some(worst) = worst {
                self.lanes.swap_remove(worst);
            }
        }
        self.record(at, best);
        let cost = self.enter(best, lane);
        self.lanes.push(Lane { lane, cost, entered: at, vigour: VIGOUR, missed: false, change: 0 });
    }

    /// One byte more in each lane and in fresh.
    fn advance(&mut self, at: usize, old: &[u8], new: u8) {
        let costs = self.costs;
        self.fresh += u64::from(costs.fresh);
        self.lanes.retain_mut(|lane| {
            let Some(&byte) = usize::try_from(at as i64 + lane.lane).ok().and_then(|at| old.get(at)) else { return false };
            if byte == new {
                lane.cost += u64::from(costs.same);
                lane.vigour = (lane.vigour + 1).min(VIGOUR);
                lane.missed = false;
            } else {
                let change = new.wrapping_sub(byte);
                if change == lane.change {
                    lane.cost += u64::from(costs.repeats);
                } else {
                    lane.cost += u64::from(if lane.missed { costs.differs_again } else { costs.differs });
                    lane.vigour -= 4;
                }
                lane.missed = true;
                lane.change = change;
            }
            lane.vigour > 0
        });
    }

    /// Whoever is worse than a change from the best takes that way.
    fn relax(&mut self, at: usize) {
        let best = self.best();
        if let Some(lane) = best.lane
            && self.fresh > best.cost + u64::from(self.costs.leave)
        {
            self.record(at, &best);
            self.fresh = best.cost + u64::from(self.costs.leave);
            self.fresh_entered = at;
            self.fresh_lane = lane;
        }
        for index in 0..self.lanes.len() {
            let cost = self.enter(&best, self.lanes[index].lane);
            if self.lanes[index].cost > cost {
                self.record(at, &best);
                self.lanes[index].cost = cost;
                self.lanes[index].entered = at;
                self.lanes[index].missed = false;
            }
        }
    }

    /// A lane that is alone and matches needs no comparison with others: how far to go at once.
    fn stride(&self, at: usize, limit: usize, old: &[u8], new: &[u8]) -> usize {
        let [lane] = self.lanes.as_slice() else { return 0 };
        if lane.cost > self.fresh {
            return 0;
        }
        let Some(old) = usize::try_from(at as i64 + lane.lane).ok().and_then(|at| old.get(at..)) else { return 0 };
        common(old, &new[at..limit])
    }
}

/// The cheapest way through `new`.
pub fn cheapest(old: &[u8], new: &[u8], seeds: &[Seed], costs: &Costs) -> Vec<Piece> {
    let mut search = Search { costs, lanes: Vec::new(), fresh: 0, fresh_entered: 0, fresh_lane: 0, records: Vec::new() };
    let mut seeds = seeds.iter().copied().peekable();
    let mut at = 0;
    while at < new.len() {
        if seeds.peek().is_some_and(|seed| seed.start as usize <= at) {
            let best = search.best();
            while let Some(seed) = seeds.next_if(|seed| seed.start as usize <= at) {
                search.activate(at, &best, seed.lane);
            }
        }
        let limit = seeds.peek().map_or(new.len(), |seed| (seed.start as usize).min(new.len()));
        let stride = search.stride(at, limit, old, new);
        if stride > 1 {
            if let Some(lane) = search.lanes.first_mut() {
                lane.cost += u64::from(costs.same) * stride as u64;
                lane.vigour = VIGOUR.min(lane.vigour + stride as i32);
                lane.missed = false;
            }
            search.fresh += u64::from(costs.fresh) * stride as u64;
            at += stride;
        } else {
            search.advance(at, old, new[at]);
            at += 1;
        }
        search.relax(at);
    }
    let best = search.best();
    let mut pieces = Vec::new();
    let (mut lane, mut entered, mut end) = (best.lane, best.entered, new.len());
    loop {
        if end > entered {
            pieces.push(Piece { at: entered, length: end - entered, lane });
        }
        if entered == 0 {
            break;
        }
        end = entered;
        let Ok(index) = search.records.binary_search_by_key(&entered, |record| record.at) else { break };
        (lane, entered) = (search.records[index].lane, search.records[index].entered);
    }
    pieces.reverse();
    pieces
}
