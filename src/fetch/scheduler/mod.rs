//! Decides which node fetches which piece: a pure state machine. `step(now, input)` gives effects.
//! It has no I/O and no clock, and its randomness comes from a seed.
//!
//! In: what range requests report (answered, bytes, pieces proved right or wrong, ended and why),
//! the time. Out: requests to make, to shorten, to cancel; faults to name; the end. Never: a wait
//! without an end: [`SchedulerInput::Tick`] comes ten times a second.
//!
//! - A *run* is the row of pieces that one range request asks for. There are no fixed shares. A
//!   node gets a new run when a request has done its last one. The new run takes about half of the
//!   time that is left for all (guided self-scheduling, Polychronopoulos and Kuck 1987). So runs
//!   are long while much is left, and all nodes end together.
//! - When no piece is free any more, an idle node steals the tail of the run that would end last,
//!   or re-issues its last piece.
//! - A node has several range requests at a time; hill-climbing finds their number. While one
//!   request has ended and the next one has not begun, the other requests use the gap.
//! - Peers are nodes that have some of the pieces, and that join and leave. While there are any,
//!   this client asks the nodes of the internet only for its own share and for what nobody delivers
//!   ([`peer_assignment`]). Without peers, this changes nothing.

mod handing_out;
mod meter;
mod node;
mod peer_assignment;
mod peer_budget;
mod peers;
mod protocol;
mod slowness;
mod work;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::model::PieceTable;
use crate::model::transfer::FaultKind;
use meter::Meter;
use node::{Node, Standing};
use peer_assignment::PeerAssignment;
use work::Work;

pub(crate) use peer_assignment::weight_of;
pub(crate) use protocol::{
    Effect, Fault, NodeIndex, NodeView, Prior, Request, RequestId, SchedulerInput, SchedulerLimits,
};

/// Progress within one timeout: so many bytes for each of its seconds. A drip of single bytes does
/// not count. Where little is missing, a share of it is enough: a slow connection may need twenty
/// times the timeout for all of it.
const MIN_PROGRESS_PER_SECOND: f64 = 137.0;
const MIN_PROGRESS_SHARE: u64 = 20;
/// Bytes that may be passed over on the way to the missing ones, as a multiple of the object's
/// size. More than that is no progress.
const MAX_PASSED_OVER: u64 = 4;

/// Bytes after which a failed request was still useful.
const USEFUL_BYTES: u64 = 4 << 10;
/// Seconds of silence after which a node is named when another one has overtaken it.
const SILENT_AFTER_SECONDS: f64 = 1.5;
struct RangeRequest {
    node: NodeIndex,
    /// First piece of the request, and the first one behind its (possibly shortened) run.
    run: Range<u32>,
    start: u64,
    position: u64,
    asked: f64,
    /// Time of the last bytes, or of the request if none came.
    last: f64,
    /// Assumed bytes a second, before they can be measured.
    assumed: Option<f64>,
    meter: Option<Meter>,
    cancelled: bool,
    /// Time and position at the last check whether the request gets anywhere.
    looked: (f64, u64),
}

impl RangeRequest {
    fn new(now: f64, node: NodeIndex, run: Range<u32>, start: u64, assumed: Option<f64>) -> Self {
        let looked = (now, start);
        Self {
            node,
            run,
            start,
            position: start,
            asked: now,
            last: now,
            assumed,
            meter: None,
            cancelled: false,
            looked,
        }
    }
}

/// The state machine of one download.
pub(crate) struct Scheduler {
    work: Work,
    nodes: Vec<Node>,
    /// How many of the nodes, the first ones, are on the internet; the others are peers.
    internet: usize,
    assignment: PeerAssignment,
    /// Indexes of `nodes`, the best first.
    order: Vec<NodeIndex>,
    range_requests: BTreeMap<RequestId, RangeRequest>,
    next_request: RequestId,
    random: fastrand::Rng,
    timeout: f64,
    last_progress: f64,
    since_progress: u64,
    passed_over: u64,
    paused: bool,
    capped: bool,
    over: bool,
}

impl Scheduler {
    /// A download of `table`'s pieces without those in `held`. `priors` has one element for each
    /// node, in the order in which to ask the nodes. If all nodes were measured, the fastest one
    /// goes first.
    pub(crate) fn new(
        table: Arc<PieceTable>,
        held: impl IntoIterator<Item = u32>,
        priors: &[Option<Prior>],
        limits: &SchedulerLimits,
    ) -> Self {
        let mut order: Vec<NodeIndex> = (0..priors.len()).collect();
        if priors.iter().all(Option::is_some) {
            let rate =
                |index: &NodeIndex| priors[*index].map_or(0.0, |prior| prior.bytes_per_second);
            order.sort_by(|a, b| rate(b).total_cmp(&rate(a)));
        }
        Self {
            assignment: PeerAssignment::new(
                limits.instance,
                table.count(),
                u64::from(table.piece_size),
            ),
            work: Work::new(table, held),
            internet: priors.len(),
            nodes: priors
                .iter()
                .map(|prior| Node::new(*prior, (limits.first_requests, limits.max_requests)))
                .collect(),
            order,
            range_requests: BTreeMap::new(),
            next_request: 0,
            random: fastrand::Rng::with_seed(limits.seed),
            timeout: limits.timeout.as_secs_f64(),
            last_progress: 0.0,
            since_progress: 0,
            passed_over: 0,
            paused: false,
            capped: false,
            over: false,
        }
    }

    /// Takes in what happened at `now` (time since the download began), and returns the effects to
    /// perform.
    pub(crate) fn step(&mut self, now: Duration, input: SchedulerInput) -> Vec<Effect> {
        let now = now.as_secs_f64();
        let mut effects = Vec::new();
        match input {
            SchedulerInput::Answered { range_request, seconds } => {
                self.answered(now, range_request, seconds)
            }
            SchedulerInput::Received { range_request, bytes } => {
                return self.received(now, range_request, bytes);
            }
            SchedulerInput::PassedOver { range_request, bytes } => {
                return self.passed_over(now, range_request, bytes);
            }
            SchedulerInput::Verified { piece, node } => {
                self.verified(now, piece, node, &mut effects)
            }
            SchedulerInput::Wrong { piece, nodes } => self.wrong(now, piece, &nodes, &mut effects),
            SchedulerInput::Ended { range_request, position, fault } => {
                self.ended(now, range_request, position, fault, &mut effects)
            }
            SchedulerInput::Tick { capped } => self.tick(now, capped, &mut effects),
            SchedulerInput::Joined { instance } => self.joined(now, instance),
            SchedulerInput::Updated { node, held, in_flight, takes_part, received } => {
                self.assignment.noted(now, node, (held, in_flight), takes_part, received);
                self.settle(now, &mut effects);
            }
            SchedulerInput::Left { node } => self.left(now, node, &mut effects),
            SchedulerInput::Pause => {
                self.paused = true;
                let range_requests: Vec<RequestId> = self.range_requests.keys().copied().collect();
                range_requests
                    .into_iter()
                    .for_each(|range_request| self.cancel(range_request, &mut effects));
            }
            SchedulerInput::Resume => {
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

    /// State and progress of a node, for display.
    pub(crate) fn view(&mut self, now: Duration, node: NodeIndex) -> Option<NodeView> {
        let node = self.nodes.get_mut(node)?;
        let now = now.as_secs_f64();
        Some(NodeView { done: node.verified, speed: node.speed(now), state: node.state(now) })
    }

    /// The measurements of a node, for the memory.
    pub(crate) fn measured(&self, node: NodeIndex) -> Option<Prior> {
        self.nodes.get(node)?.measured()
    }

    /// Bytes that are not verified yet.
    pub(crate) fn missing_bytes(&self) -> u64 {
        self.work.missing_bytes()
    }

    /// Bytes of pieces that are not whole yet; most likely they will count.
    pub(crate) fn in_flight_bytes(&self) -> u64 {
        let mut in_flight: BTreeMap<u32, u64> = BTreeMap::new();
        for range_request in self.range_requests.values() {
            let piece = self.work.piece_at(range_request.position);
            if !self.work.is_done(piece) {
                let came = range_request.position
                    - self.work.bytes(&(piece..piece + 1)).start.min(range_request.position);
                let most = in_flight.entry(piece).or_default();
                *most = came.max(*most);
            }
        }
        in_flight.values().sum::<u64>() + self.work.begun_bytes()
    }

    /// Requests in flight.
    #[cfg(test)]
    fn range_requests(&self) -> usize {
        self.range_requests.len()
    }

    fn answered(&mut self, now: f64, range_request: RequestId, seconds: f64) {
        if let Some(range_request) = self.range_requests.get_mut(&range_request) {
            range_request.meter = Some(Meter::new(now));
            range_request.last = now;
            self.nodes[range_request.node].answered(now, seconds);
        }
    }

    // The most frequent input: it never causes an effect.
    fn received(&mut self, now: f64, range_request: RequestId, bytes: u64) -> Vec<Effect> {
        if let Some(range_request) = self.range_requests.get_mut(&range_request) {
            range_request.position += bytes;
            if range_request.meter.is_some() {
                self.nodes[range_request.node].waited(now - range_request.last);
            }
            range_request.last = now;
            range_request.meter.get_or_insert_with(|| Meter::new(now)).add(now, bytes);
            self.nodes[range_request.node].received(now, bytes);
        }
        self.progressed(now, bytes);
        Vec::new()
    }

    // A node that can only send whole objects sends unwanted bytes first.
    fn passed_over(&mut self, now: f64, range_request: RequestId, bytes: u64) -> Vec<Effect> {
        if let Some(range_request) = self.range_requests.get_mut(&range_request) {
            range_request.last = now;
        }
        self.passed_over = self.passed_over.saturating_add(bytes);
        if self.passed_over <= self.work.length().saturating_mul(MAX_PASSED_OVER) {
            self.progressed(now, bytes);
        }
        Vec::new()
    }

    fn progressed(&mut self, now: f64, bytes: u64) {
        self.since_progress += bytes;
        let enough = (MIN_PROGRESS_PER_SECOND * self.timeout) as u64;
        if self.since_progress >= enough.min(self.work.missing_bytes() / MIN_PROGRESS_SHARE) {
            self.since_progress = 0;
            self.last_progress = now;
        }
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
        // Requests that only fetch this piece can end now.
        let work = &self.work;
        let idle = |range_request: &RangeRequest| {
            range_request.run.contains(&piece)
                && (work.piece_at(range_request.position)..range_request.run.end)
                    .all(|rest| work.is_done(rest))
        };
        let idle: Vec<RequestId> = self
            .range_requests
            .iter()
            .filter(|(_, range_request)| idle(range_request))
            .map(|(range_request, _)| *range_request)
            .collect();
        for range_request in idle {
            // A request that has just received its last byte ends by itself, and its connection can
            // be used again.
            let is_ending =
                |request: &RangeRequest| self.work.piece_at(request.position) >= request.run.end;
            if !self.range_requests.get(&range_request).is_none_or(is_ending) {
                self.end_overtaken(now, range_request, effects);
            }
        }
    }

    /// Ends a range request whose pieces others have done. Its node is named if it was silent; under
    /// a rate limit, where bytes come in bursts, it is not.
    fn end_overtaken(&mut self, now: f64, id: RequestId, effects: &mut Vec<Effect>) {
        let Some(RangeRequest { node, last, .. }) = self.range_requests.get(&id) else { return };
        let (node, silent) = (*node, now - last);
        self.cancel(id, effects);
        if silent > SILENT_AFTER_SECONDS && !self.capped {
            let detail = format!("sent nothing for {silent:.1} s and was overtaken");
            let fault =
                Fault { kind: FaultKind::Stalled, detail, lasting: false, retry_after: None };
            self.fault(now, node, fault, false, effects);
        }
    }

    fn wrong(&mut self, now: f64, piece: u32, nodes: &[NodeIndex], effects: &mut Vec<Effect>) {
        self.work.release(piece, 0);
        // When several nodes sent parts, none of them can be blamed. The piece is fetched again as
        // a whole, and then one node can be blamed.
        if let [node] = nodes {
            let detail = format!("piece {piece} does not have its signed hash");
            let fault =
                Fault { kind: FaultKind::WrongBytes, detail, lasting: true, retry_after: None };
            self.fault(now, *node, fault, false, effects);
        }
    }

    fn ended(
        &mut self,
        now: f64,
        id: RequestId,
        position: u64,
        fault: Option<Fault>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(range_request) = self.range_requests.remove(&id) else { return };
        let missed = position.saturating_sub(range_request.position);
        if missed > 0 {
            self.nodes[range_request.node].received(now, missed);
        }
        self.nodes[range_request.node].ended(now);
        // Pieces before the current one are being hashed: they stay held until the result is
        // reported.
        let current = self.work.piece_at(position).max(range_request.run.start);
        for piece in current..range_request.run.end {
            let begun = if piece == current {
                position.saturating_sub(self.work.bytes(&(piece..piece + 1)).start)
            } else {
                0
            };
            self.work.release(piece, begun);
        }
        if let Some(fault) = fault.filter(|_| !range_request.cancelled) {
            if fault.kind == FaultKind::Stalled {
                self.nodes[range_request.node].timed_out(range_request.meter.is_some());
            }
            // One connection that broke is no outage while others to the same node go on.
            let alone = fault.kind != FaultKind::Stalled
                || !self.nodes[range_request.node].sent_within(now, 1.0);
            if fault.lasting || alone {
                let fruitful = position > range_request.start + USEFUL_BYTES;
                self.fault(now, range_request.node, fault, fruitful, effects);
            }
        }
    }

    fn fault(
        &mut self,
        now: f64,
        index: NodeIndex,
        fault: Fault,
        fruitful: bool,
        effects: &mut Vec<Effect>,
    ) {
        // Peers have only some of the pieces: they are no reason to leave a node of the internet.
        let others =
            (0..self.internet).any(|other| other != index && self.nodes[other].healthy(now));
        let alone =
            |other: NodeIndex| other == index || self.nodes[other].standing == Standing::Banned;
        let last = index < self.internet && (0..self.internet).all(alone);
        let jitter = self.random.f64();
        let Some(node) = self.nodes.get_mut(index) else { return };
        if node.standing == Standing::Banned {
            return;
        }
        let dropped = if fault.lasting && node.is_hopeless(&fault, !last) {
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
            let range_requests: Vec<RequestId> = self
                .range_requests
                .iter()
                .filter(|(_, range_request)| range_request.node == index)
                .map(|(id, _)| *id)
                .collect();
            range_requests
                .into_iter()
                .for_each(|range_request| self.cancel(range_request, effects));
        }
    }

    fn tick(&mut self, now: f64, capped: bool, effects: &mut Vec<Effect>) {
        self.capped = capped;
        if !capped && !self.paused {
            self.leave_crawling(now, effects);
        }
        // No node is ready: nodes that were left while others did the work are needed again.
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
        if !self.assignment.is_empty() {
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
        } else if hopeless || now - self.last_progress > self.timeout {
            effects.push(Effect::GiveUp);
        } else {
            return;
        }
        self.over = true;
        let range_requests: Vec<RequestId> = self.range_requests.keys().copied().collect();
        range_requests.into_iter().for_each(|range_request| self.cancel(range_request, effects));
    }

    fn cancel(&mut self, id: RequestId, effects: &mut Vec<Effect>) {
        if let Some(range_request) =
            self.range_requests.get_mut(&id).filter(|range_request| !range_request.cancelled)
        {
            range_request.cancelled = true;
            effects.push(Effect::Cancel { range_request: id });
        }
    }
}

#[cfg(test)]
mod peer_assignment_tests;
#[cfg(test)]
mod tests;
