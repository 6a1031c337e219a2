//! Who fetches what: a pure state machine. `step(now, input)` gives effects; no I/O, no clock, randomness from a seed.
//!
//! In: what lanes report (answered, bytes, pieces proved right or wrong, ended and why), the time. Out: requests to make, to
//! shorten, to cancel; faults to name; the end. Never: a wait that nobody ends: [`Input::Tick`] comes ten times a second.
//!
//! - A *lane* is one request in flight; a *run* is the row of pieces it asks for. There are no fixed shares: a lane gets a new
//!   run when it has done its last one, sized to take about half of the time that is left for all (guided self-scheduling,
//!   Polychronopoulos and Kuck 1987), so that runs are long while much is left, and all nodes end together.
//! - Nothing free any more: an idle lane takes over the tail of the run that would end last, or doubles its last piece.
//! - Several lanes a node, their number found by hill-climbing: the gap between two requests of one lane is filled by the others.
//! - Neighbours are nodes that have some of the pieces, and come and go. While there are any, the nodes of the internet are asked for this
//!   client's share only, and for what nobody delivers ([`office`]); without them nothing is different.

mod meter;
mod near;
mod node;
mod office;
mod protocol;
mod work;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::model::PieceTable;
use crate::model::transfer::FaultKind;
use meter::Meter;
use node::{Node, Standing};
use office::Office;
use work::Work;

pub use office::weight_of;
pub use protocol::{Effect, Fault, Input, LaneId, Limits, NodeIndex, NodeView, Prior, Request};

/// A first run for a node whose rate is unknown, bytes: a smaller object is one request to the best node, and a slow node
/// cannot hold much.
const FIRST_RUN: f64 = (1 << 20) as f64;
/// A run takes at most this many seconds, so that the front of the object, which is unpacked as it comes, moves on.
const LONGEST_RUN: f64 = 20.0;
/// Its multiples, modulo one, are spread as evenly as can be.
const GOLDEN_RATIO: f64 = 0.618_033_988_749_895;
/// A run of a lane on trial takes at most this many seconds.
const TRIAL_RUN: f64 = 1.0;
/// Received bytes that count as progress when patience is measured: a drip of single bytes is none.
const PROGRESS: u64 = 16 << 10;

/// What an unknown node is assumed to deliver at least, bytes a second.
const ASSUMED_RATE: f64 = 500e3;
/// Bytes after which a request that failed was not in vain.
const FRUITFUL: u64 = 4 << 10;
/// Seconds of silence for which a node is named when its work had to be doubled.
const SILENT: f64 = 1.5;
/// A first request to the internet while neighbours are there, bytes: who fetches what may be known a moment later.
const FIRST_SHARE: f64 = (256 << 10) as f64;
/// Seconds that a neighbour must still take for its run before the internet helps out.
const LATE: f64 = 6.0;
/// Seconds of silence after which one is in trouble: a busy one may take a second.
const SILENT_NEIGHBOUR: f64 = 4.0;
/// Seconds that must be left for all for trying a node again that failed: if it fails again, others must fetch what it was
/// asked for.
const TRIAL: f64 = 6.0;

struct Lane {
    node: NodeIndex,
    /// First piece it was asked for, and the first one behind its (possibly shortened) run.
    run: Range<u32>,
    start: u64,
    position: u64,
    asked: f64,
    /// When bytes came last, or it was asked.
    last: f64,
    /// Bytes a second that it is assumed to get before that can be measured.
    assumed: Option<f64>,
    meter: Option<Meter>,
    cancelled: bool,
}

/// The state machine of one download.
pub struct Scheduler {
    work: Work,
    nodes: Vec<Node>,
    /// How many of them, the first ones, are on the internet; the others are neighbours.
    internet: usize,
    office: Office,
    /// Indexes of `nodes`, the best first.
    order: Vec<NodeIndex>,
    lanes: BTreeMap<LaneId, Lane>,
    next_lane: LaneId,
    random: fastrand::Rng,
    patience: f64,
    last_progress: f64,
    since_progress: u64,
    paused: bool,
    capped: bool,
    over: bool,
}

impl Scheduler {
    /// A download of `table`'s pieces but for those in `held`, from one node per element of `priors`, which are in the order in
    /// which they should be asked. Measured nodes go first, by what they were measured at.
    pub fn new(table: Arc<PieceTable>, held: impl IntoIterator<Item = u32>, priors: &[Option<Prior>], limits: &Limits) -> Self {
        let mut order: Vec<NodeIndex> = (0..priors.len()).collect();
        if priors.iter().all(Option::is_some) {
            let rate = |index: &NodeIndex| priors[*index].map_or(0.0, |prior| prior.bytes_per_second);
            order.sort_by(|a, b| rate(b).total_cmp(&rate(a)));
        }
        Self {
            office: Office::new(limits.instance, table.count(), u64::from(table.piece_size)),
            work: Work::new(table, held),
            internet: priors.len(),
            nodes: priors.iter().map(|prior| Node::new(*prior, (limits.first_lanes, limits.most_lanes))).collect(),
            order,
            lanes: BTreeMap::new(),
            next_lane: 0,
            random: fastrand::Rng::with_seed(limits.seed),
            patience: limits.patience.as_secs_f64(),
            last_progress: 0.0,
            since_progress: 0,
            paused: false,
            capped: false,
            over: false,
        }
    }

    /// Takes in what happened at `now` (time since the download began) and tells what is to be done.
    pub fn step(&mut self, now: Duration, input: Input) -> Vec<Effect> {
        let now = now.as_secs_f64();
        let mut effects = Vec::new();
        match input {
            Input::Answered { lane, seconds } => self.answered(now, lane, seconds),
            Input::Received { lane, bytes } => return self.received(now, lane, bytes),
            Input::Verified { piece, node } => self.verified(now, piece, node, &mut effects),
            Input::Wrong { piece, nodes } => self.wrong(now, piece, &nodes, &mut effects),
            Input::Ended { lane, position, fault } => self.ended(now, lane, position, fault, &mut effects),
            Input::Tick { capped } => self.tick(now, capped, &mut effects),
            Input::Joined { instance } => self.joined(now, instance),
            Input::Told { node, held, coming, takes_part, received } => {
                self.office.told(now, node, (held, coming), takes_part, received);
                self.settle(now, &mut effects);
            }
            Input::Left { node } => self.left(now, node, &mut effects),
            Input::Pause => {
                self.paused = true;
                let lanes: Vec<LaneId> = self.lanes.keys().copied().collect();
                lanes.into_iter().for_each(|lane| self.cancel(lane, &mut effects));
            }
            Input::Resume => {
                self.paused = false;
                self.last_progress = now;
            }
        }
        self.conclude(now, &mut effects);
        if !self.over && !self.paused {
            self.fill(now, &mut effects);
        }
        effects
    }

    /// How a node does.
    pub fn view(&mut self, now: Duration, node: NodeIndex) -> Option<NodeView> {
        let node = self.nodes.get_mut(node)?;
        Some(NodeView { done: node.verified, speed: node.speed(now.as_secs_f64()), state: node.state() })
    }

    /// What was measured of a node, for remembering.
    pub fn measured(&self, node: NodeIndex) -> Option<Prior> {
        self.nodes.get(node)?.measured()
    }

    /// Bytes that are not verified yet.
    pub fn missing_bytes(&self) -> u64 {
        self.work.missing_bytes()
    }

    /// Requests in flight.
    pub fn lanes(&self) -> usize {
        self.lanes.len()
    }

    fn answered(&mut self, now: f64, lane: LaneId, seconds: f64) {
        if let Some(lane) = self.lanes.get_mut(&lane) {
            lane.meter = Some(Meter::new(now));
            self.nodes[lane.node].answered(now, seconds);
        }
    }

    // The most frequent input: it changes nothing that asks for an effect.
    fn received(&mut self, now: f64, lane: LaneId, bytes: u64) -> Vec<Effect> {
        if let Some(lane) = self.lanes.get_mut(&lane) {
            lane.position += bytes;
            lane.last = now;
            lane.meter.get_or_insert_with(|| Meter::new(now)).add(now, bytes);
            self.nodes[lane.node].received(now, bytes);
        }
        self.since_progress += bytes;
        if self.since_progress >= PROGRESS {
            self.since_progress = 0;
            self.last_progress = now;
        }
        Vec::new()
    }

    fn verified(&mut self, now: f64, piece: u32, node: NodeIndex, effects: &mut Vec<Effect>) {
        if !self.work.finish(piece) {
            return;
        }
        effects.push(Effect::Have { piece });
        let bytes = self.work.size(piece);
        if let Some(node) = self.nodes.get_mut(node) {
            node.proved(bytes);
        }
        // Whoever has nothing else to do than this piece need not go on.
        let work = &self.work;
        let idle = |lane: &Lane| {
            lane.run.contains(&piece) && (work.piece_at(lane.position)..lane.run.end).all(|rest| work.is_done(rest))
        };
        let idle: Vec<LaneId> = self.lanes.iter().filter(|(_, lane)| idle(lane)).map(|(lane, _)| *lane).collect();
        for lane in idle {
            // A lane that has just received its last byte ends by itself, and keeps its connection.
            let Some(Lane { node, position, run, last, .. }) = self.lanes.get(&lane) else { continue };
            if self.work.piece_at(*position) >= run.end {
                continue;
            }
            let (node, silent) = (*node, now - last);
            self.cancel(lane, effects);
            if silent > SILENT {
                let detail = format!("sent nothing for {silent:.1} s and was overtaken");
                let fault = Fault { kind: FaultKind::Stalled, detail, lasting: false, retry_after: None };
                self.fault(now, node, fault, false, effects);
            }
        }
    }

    fn wrong(&mut self, now: f64, piece: u32, nodes: &[NodeIndex], effects: &mut Vec<Effect>) {
        self.work.release(piece, 0);
        // With parts of several nodes nobody can be blamed; the piece is fetched again as a whole, and then somebody can.
        if let [node] = nodes {
            let detail = format!("piece {piece} does not have its signed hash");
            let fault = Fault { kind: FaultKind::WrongBytes, detail, lasting: true, retry_after: None };
            self.fault(now, *node, fault, false, effects);
        }
    }

    fn ended(&mut self, now: f64, id: LaneId, position: u64, fault: Option<Fault>, effects: &mut Vec<Effect>) {
        let Some(lane) = self.lanes.remove(&id) else { return };
        let missed = position.saturating_sub(lane.position);
        if missed > 0 {
            self.nodes[lane.node].received(now, missed);
        }
        self.nodes[lane.node].ended(now);
        // Pieces before the one it ended in are being hashed: they stay held until that is told.
        let current = self.work.piece_at(position).max(lane.run.start);
        for piece in current..lane.run.end {
            let begun = if piece == current { position.saturating_sub(self.work.bytes(&(piece..piece + 1)).start) } else { 0 };
            self.work.release(piece, begun);
        }
        if let Some(fault) = fault.filter(|_| !lane.cancelled) {
            // One connection that broke while others of the same node go on is no outage.
            let alone = fault.kind != FaultKind::Stalled || !self.nodes[lane.node].sent_within(now, 1.0);
            if fault.lasting || alone {
                let fruitful = position > lane.start + FRUITFUL;
                self.fault(now, lane.node, fault, fruitful, effects);
            }
        }
    }

    fn fault(&mut self, now: f64, index: NodeIndex, fault: Fault, fruitful: bool, effects: &mut Vec<Effect>) {
        // Neighbours have some of the pieces only: they are no reason to leave a node of the internet.
        let others = (0..self.internet).any(|other| other != index && self.nodes[other].healthy(now));
        let jitter = self.random.f64();
        let Some(node) = self.nodes.get_mut(index) else { return };
        if node.standing == Standing::Banned {
            return;
        }
        let dropped = if fault.lasting {
            node.standing = Standing::Banned;
            true
        } else {
            let Some(left) = node.fault(now, &fault, fruitful, jitter, others) else { return };
            left
        };
        effects.push(Effect::Fault { node: index, fault, dropped });
        if index >= self.internet {
            self.settle(now, effects);
        }
        if dropped {
            let lanes: Vec<LaneId> = self.lanes.iter().filter(|(_, lane)| lane.node == index).map(|(id, _)| *id).collect();
            lanes.into_iter().for_each(|lane| self.cancel(lane, effects));
        }
    }

    fn tick(&mut self, now: f64, capped: bool, effects: &mut Vec<Effect>) {
        self.capped = capped;
        // Nobody is ready: whoever was left while others did the work is needed again.
        let internet = &mut self.nodes[..self.internet];
        if !internet.iter().any(|node| node.standing == Standing::Ready) {
            for node in internet {
                if let Standing::Left(until) = node.standing {
                    node.standing = Standing::Waiting(until);
                }
            }
        }
        let held = capped || self.work.free_bytes() == 0;
        self.nodes.iter_mut().for_each(|node| node.tick(now, held));
        if self.paused {
            self.last_progress = now;
        }
        if !self.office.is_empty() {
            self.compare(now);
            self.settle(now, effects);
        }
    }

    fn conclude(&mut self, now: f64, effects: &mut Vec<Effect>) {
        if self.over {
            return;
        }
        let hopeless = self.nodes.iter().all(|node| node.standing == Standing::Banned);
        if self.work.complete() {
            effects.push(Effect::Finished);
        } else if hopeless || now - self.last_progress > self.patience {
            effects.push(Effect::GiveUp);
        } else {
            return;
        }
        self.over = true;
        let lanes: Vec<LaneId> = self.lanes.keys().copied().collect();
        lanes.into_iter().for_each(|lane| self.cancel(lane, effects));
    }

    fn cancel(&mut self, id: LaneId, effects: &mut Vec<Effect>) {
        if let Some(lane) = self.lanes.get_mut(&id).filter(|lane| !lane.cancelled) {
            lane.cancelled = true;
            effects.push(Effect::Cancel { lane: id });
        }
    }

    /// Gives work to every node that has fewer lanes than it should: first one lane each, then two each, and so on.
    fn fill(&mut self, now: f64, effects: &mut Vec<Effect>) {
        let most = self.nodes.iter().map(Node::lanes).max().unwrap_or(0);
        let healthy = self.nodes[..self.internet].iter().any(|node| node.healthy(now));
        if !self.office.is_empty() {
            self.office.note_work(now, self.has_own_work());
        }
        for level in 0..most {
            for position in 0..self.order.len() {
                let index = self.order[position];
                let node = &self.nodes[index];
                if node.standing != Standing::Ready
                    || node.active != level
                    || node.lanes() <= level
                    || (node.sends_whole && healthy)
                {
                    continue;
                }
                if self.has_work(now, index) {
                    self.give_run(now, index, effects);
                } else {
                    self.take_over(now, index, effects);
                }
            }
        }
    }

    /// A run from the free pieces, unless the others will be done before this node could help.
    fn give_run(&mut self, now: f64, index: NodeIndex, effects: &mut Vec<Effect>) {
        if index >= self.internet {
            return self.ask_neighbour(now, index, effects);
        }
        let (mut ready, mut busy) = (1.0, 1.0);
        for node in self.nodes[..self.internet].iter_mut().filter(|node| node.standing == Standing::Ready) {
            let rate = node.rate(now).unwrap_or(0.0);
            ready += rate;
            busy += if node.active > 0 { rate } else { 0.0 };
        }
        let missing = self.work.missing_bytes() as f64;
        // How long it takes without one more lane: whoever is idle now does not count.
        let without = if self.lanes.is_empty() { f64::INFINITY } else { missing / busy };
        let node = &mut self.nodes[index];
        let rate = node.lane_rate(now);
        if node.on_trial() && without < TRIAL {
            return;
        }
        let bytes = match rate {
            _ if node.sends_whole => f64::INFINITY,
            None if self.office.is_empty() => FIRST_RUN,
            None => FIRST_SHARE,
            Some(rate) => {
                let left = missing / ready.max(rate);
                let smallest = node.latency() + self.work.piece_size() / rate.max(1.0);
                if smallest > without * 1.1 + 0.1 {
                    return;
                }
                // A lane on trial must be gone soon after it has proved useless.
                let longest = if node.tries_more_lanes() { TRIAL_RUN } else { LONGEST_RUN };
                // Lanes that began together must not end together: one's gap is filled by the others only if they go on.
                let spread = 0.35 + 0.25 * (self.next_lane as f64 * GOLDEN_RATIO).fract();
                rate * (left * spread).min(longest)
            }
        };
        let (office, from) = (&self.office, self.office.beginning());
        let preferred = self.work.take(bytes, from, &|piece| office.prefers(piece) && office.fetches(now, piece));
        if let Some((run, start)) = preferred.or_else(|| self.work.take(bytes, from, &|piece| office.fetches(now, piece))) {
            self.request(now, index, run, start, rate, effects);
        }
    }

    /// The tail of the run that would end last, or its last piece once more, if that brings the end nearer.
    fn take_over(&mut self, now: f64, index: NodeIndex, effects: &mut Vec<Effect>) {
        let on_trial = self.nodes[index].on_trial();
        let latency = self.nodes[index].latency();
        let known = self.nodes[index].lane_rate(now);
        let mut late: Vec<(f64, f64, LaneId)> = Vec::new();
        let ids: Vec<LaneId> = self.lanes.keys().copied().collect();
        for id in ids {
            if let Some((bytes, rate)) = self.outstanding(now, id) {
                late.push((bytes / rate.max(1.0), rate.max(1.0), id));
            }
        }
        late.sort_by(|a, b| b.0.total_cmp(&a.0));
        let size = self.work.piece_size();
        for (finish, victim_rate, id) in late {
            let Some(lane) = self.lanes.get_mut(&id) else { continue };
            if on_trial && finish < TRIAL {
                return;
            }
            let near = index >= self.internet;
            // What a neighbour has is cheaper from there, for all, unless it is in trouble: slow by what was measured, or silent.
            let measured = lane.meter.as_mut().is_some_and(|meter| meter.rate(now).is_some());
            let troubled = (measured && finish > LATE) || now - lane.last > SILENT_NEIGHBOUR;
            if !near && lane.node >= self.internet && !troubled {
                continue;
            }
            let office = &self.office;
            let can = |pieces: Range<u32>| !near || pieces.into_iter().all(|piece| office.holds(index, piece));
            // An unknown node is assumed to be no worse than the one it helps, or than a modest line.
            let rate = known.unwrap_or(victim_rate.max(ASSUMED_RATE)).max(1.0);
            let current = self.work.piece_at(lane.position);
            let tail = lane.run.end.saturating_sub(current + 1);
            let gain = |end: f64| end < finish * 0.9 - 0.05;
            if tail > 0 {
                let share = (finish - latency).max(0.0) * victim_rate * rate / (victim_rate + rate);
                let pieces = ((share / size) as u32).clamp(1, tail);
                if can(lane.run.end - pieces..lane.run.end) && gain(latency + f64::from(pieces) * size / rate) {
                    let end = lane.run.end - pieces;
                    let run = end..lane.run.end;
                    lane.run.end = end;
                    effects.push(Effect::Shorten { lane: id, end });
                    // The pieces change hands: nobody else can take them in between.
                    let start = self.work.bytes(&run).start;
                    return self.request(now, index, run, start, known, effects);
                }
            } else if self.work.holders(current) < 2
                && current < lane.run.end
                && lane.node != index
                && can(current..current + 1)
                && gain((latency + size / rate) * 1.5)
            {
                self.work.hold(current);
                let start = self.work.bytes(&(current..current + 1)).start;
                return self.request(now, index, current..current + 1, start, known, effects);
            }
        }
    }

    fn request(
        &mut self,
        now: f64,
        index: NodeIndex,
        run: Range<u32>,
        start: u64,
        assumed: Option<f64>,
        effects: &mut Vec<Effect>,
    ) {
        let lane = self.next_lane;
        self.next_lane += 1;
        let node = &mut self.nodes[index];
        node.began(now);
        // A far or queued node is no dead node: both limits grow with what its answers take.
        let latency = node.latency();
        let request = Request {
            lane,
            node: index,
            bytes: start..self.work.bytes(&run).end,
            pieces: run.clone(),
            whole_allowed: node.sends_whole,
            answer_within: Duration::from_secs_f64((10.0 * latency).clamp(4.0, 15.0)),
            silence: Duration::from_secs_f64((8.0 * latency).clamp(2.5, 10.0)),
        };
        self.lanes.insert(
            lane,
            Lane { node: index, run, start, position: start, asked: now, last: now, assumed, meter: None, cancelled: false },
        );
        effects.push(Effect::Request(request));
    }

    /// Bytes a lane has still to receive, and its rate; `None` if it is ending anyway.
    fn outstanding(&mut self, now: f64, id: LaneId) -> Option<(f64, f64)> {
        let lane = self.lanes.get_mut(&id).filter(|lane| !lane.cancelled)?;
        let bytes = self.work.bytes(&lane.run).end.saturating_sub(lane.position) as f64;
        let measured = lane.meter.as_mut().and_then(|meter| meter.rate(now));
        // Not answered yet: what it was thought to get, less and less the longer it is silent.
        let patience = 1.0 + ((now - lane.asked) / self.nodes[lane.node].latency().max(0.05) - 2.0).max(0.0);
        let assumed = lane.assumed.unwrap_or(FIRST_RUN) / patience;
        (bytes > 0.0).then(|| (bytes, measured.unwrap_or(assumed)))
    }
}

#[cfg(test)]
mod office_tests;
#[cfg(test)]
mod tests;
