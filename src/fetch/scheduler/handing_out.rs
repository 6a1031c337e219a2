//! Hands out work: which run a free node gets, and which tail it steals when no piece is free any
//! more.

use std::ops::Range;
use std::time::Duration;

use super::node::{Node, Standing};
use super::{Effect, NodeIndex, RangeRequest, Request, RequestId, Scheduler};

/// A first run for a node whose rate is unknown, bytes. A smaller object is one request to the best
/// node, and a slow node cannot hold much.
const FIRST_RUN: f64 = (1 << 20) as f64;
/// A run takes at most this many seconds, so that the front of the object moves on: the launcher
/// unpacks it as it comes.
const MAX_RUN_SECONDS: f64 = 20.0;
/// But a run may take so many times as long as its answer takes to begin.
const WORTH_WAITING: f64 = 8.0;
/// The multiples of this number, modulo one, are spread as evenly as can be.
const GOLDEN_RATIO: f64 = 0.618_033_988_749_895;
/// A run of a range request on trial takes at most this many seconds.
const TRIAL_RUN: f64 = 1.0;
/// The assumed minimum rate of an unknown node, bytes a second.
const ASSUMED_RATE: f64 = 500e3;
/// A first request to the internet while there are peers, bytes: the assignment may be known a
/// moment later.
const FIRST_SHARE: f64 = (256 << 10) as f64;
/// A peer that still needs so many seconds for its run gets help from the internet. After so many
/// seconds of silence, a peer is in trouble (a busy one may take a second). Both are a share of the
/// time that the download has taken so far, within these bounds.
const LATE: (f64, f64) = (1.5, 6.0);
const SILENT_PEER: (f64, f64) = (1.5, 4.0);
const LATE_SHARE: f64 = 0.2;
/// A failed node is tried again only while the download still needs so many seconds: if the node
/// fails again, others must fetch what it was asked for.
const TRIAL: f64 = 6.0;
/// A range request is stuck if another one of its node would be done in this part of the time, and
/// it has had so many seconds.
const STUCK: f64 = 8.0;
const STUCK_TIME: f64 = 2.0;

impl Scheduler {
    /// Gives work to every node that has fewer range requests than it should: first one request
    /// each, then two each, and so on. Nodes that have delivered choose first: otherwise the last
    /// pieces would go from one silent node to the next.
    pub(super) fn fill(&mut self, now: f64, effects: &mut Vec<Effect>) {
        let most = self.nodes.iter().map(Node::range_requests).max().unwrap_or(0);
        let healthy = self.nodes[..self.internet].iter().any(|node| node.healthy(now));
        if !self.assignment.is_empty() {
            self.assignment.note_work(now, self.has_own_work());
        }
        let places = self.order.len();
        for has_delivered in [true, false] {
            for (level, place) in (0..most * places).map(|turn| (turn / places, turn % places)) {
                let index = self.order[place];
                let node = &self.nodes[index];
                if node.has_delivered() != has_delivered
                    || node.standing != Standing::Ready
                    || node.active != level
                    || node.range_requests() <= level
                    || (node.sends_whole && healthy)
                {
                    continue;
                }
                if self.has_work(now, index) {
                    self.give_run(now, index, effects);
                } else {
                    self.steal_tail(now, index, effects);
                }
            }
        }
    }

    /// Hands out a run of the free pieces, unless the others will be done before this node could
    /// help.
    fn give_run(&mut self, now: f64, index: NodeIndex, effects: &mut Vec<Effect>) {
        if index >= self.internet {
            return self.ask_peer(now, index, effects);
        }
        let (mut ready, mut busy) = (1.0, 1.0);
        for node in
            self.nodes[..self.internet].iter_mut().filter(|node| node.standing == Standing::Ready)
        {
            let rate = node.rate(now).unwrap_or(0.0);
            ready += rate;
            busy += if node.active > 0 { rate } else { 0.0 };
        }
        let missing = self.work.missing_bytes() as f64;
        // The time without one more request: a node that is idle now does not count.
        let without = if self.range_requests.is_empty() { f64::INFINITY } else { missing / busy };
        let node = &mut self.nodes[index];
        let rate = node.request_rate(now);
        if node.on_trial() && without < TRIAL {
            return;
        }
        let bytes = match rate {
            _ if node.sends_whole => f64::INFINITY,
            None if self.assignment.is_empty() => FIRST_RUN,
            None => FIRST_SHARE,
            Some(rate) => {
                let left = missing / ready.max(rate);
                let smallest = node.latency() + self.work.piece_size() / rate.max(1.0);
                if smallest > without * 1.1 + 0.1 {
                    return;
                }
                // A range request on trial must end soon after it has proved useless. For a node
                // that is slow to answer, a run must be worth the wait.
                let worth = WORTH_WAITING * node.latency();
                let longest =
                    if node.tries_more_requests() { TRIAL_RUN } else { MAX_RUN_SECONDS.max(worth) };
                // Requests that began together must not end together: the others fill the gap of
                // one request only if they go on.
                let spread = 0.35 + 0.25 * (self.next_request as f64 * GOLDEN_RATIO).fract();
                rate * (left * spread).min(longest)
            }
        };
        let (assignment, from) = (&self.assignment, self.assignment.beginning());
        let preferred = self.work.take(bytes, from, &|piece| {
            assignment.prefers(piece) && assignment.fetches(now, piece)
        });
        if let Some((run, start)) = preferred
            .or_else(|| self.work.take(bytes, from, &|piece| assignment.fetches(now, piece)))
        {
            self.request(now, index, run, start, rate, effects);
        }
    }

    /// Steals the tail of the run that would end last, or re-issues its last piece, if that brings
    /// the end nearer. One loop: each request is weighed with the same figures of this node.
    fn steal_tail(&mut self, now: f64, index: NodeIndex, effects: &mut Vec<Effect>) {
        let on_trial = self.nodes[index].on_trial();
        let latency = self.nodes[index].latency() + self.silence(now, index);
        let known = self.nodes[index].request_rate(now);
        let mut late: Vec<(f64, f64, RequestId)> = Vec::new();
        let ids: Vec<RequestId> = self.range_requests.keys().copied().collect();
        for id in ids {
            if let Some((bytes, rate)) = self.outstanding(now, id) {
                late.push((bytes / rate.max(1.0), rate.max(1.0), id));
            }
        }
        late.sort_by(|a, b| b.0.total_cmp(&a.0));
        let arrivals = self.arrivals(&late);
        let size = self.work.piece_size();
        for (finish, victim_rate, id) in late {
            let Some(range_request) = self.range_requests.get_mut(&id) else { continue };
            if on_trial && finish < TRIAL {
                return;
            }
            let is_peer = index >= self.internet;
            // For all clients, a piece that a peer has is cheaper from that peer. The exception is
            // a peer in trouble: slow by measurement, or silent.
            let measured =
                range_request.meter.as_mut().is_some_and(|meter| meter.rate(now).is_some());
            let share = now * LATE_SHARE;
            let troubled = (measured && finish > share.clamp(LATE.0, LATE.1))
                || now - range_request.last > share.clamp(SILENT_PEER.0, SILENT_PEER.1)
                || self.assignment.costs_too_much();
            if !is_peer && range_request.node >= self.internet && !troubled {
                continue;
            }
            let assignment = &self.assignment;
            let can = |pieces: Range<u32>| {
                !is_peer || pieces.into_iter().all(|piece| assignment.holds(index, piece))
            };
            // The assumed rate of an unknown node is that of the node it helps, and at least that
            // of a modest connection.
            let rate = known.unwrap_or(victim_rate.max(ASSUMED_RATE)).max(1.0);
            let current = self.work.piece_at(range_request.position);
            let run_end = self.work.missing_end(current..range_request.run.end);
            let tail = run_end.saturating_sub(current + 1);
            let gain = |end: f64| end < finish * 0.9 - 0.05;
            if tail > 0 {
                let share = (finish - latency).max(0.0) * victim_rate * rate / (victim_rate + rate);
                let pieces = ((share / size) as u32).clamp(1, tail);
                let run = run_end - pieces..run_end;
                if can(run.clone()) && gain(latency + f64::from(pieces) * size / rate) {
                    self.shorten(now, id, run.start, effects);
                    if self.nodes[index].standing != Standing::Ready {
                        // The shortened request was a silent one of this same node.
                        run.for_each(|piece| self.work.release(piece, 0));
                        return;
                    }
                    // The pieces change hands at once: no other node can take them in between.
                    let start = self.work.bytes(&run).start;
                    return self.request(now, index, run, start, known, effects);
                }
            } else if current < run_end && can(current..current + 1) {
                // The number of requests that fetch the piece already does not matter. What counts
                // is when the first of them will have it. Requests to one node end alike, so one
                // helps another only where that is stuck.
                let (arrival, own) =
                    arrivals.get(&current).copied().unwrap_or((finish, range_request.node));
                let mine = latency + size / rate;
                let stuck = mine * STUCK < arrival && now - range_request.asked > STUCK_TIME;
                if mine * 1.5 >= arrival * 0.9 - 0.05 || (own == index && !stuck) {
                    continue;
                }
                self.work.hold(current);
                let start = self.work.bytes(&(current..current + 1)).start;
                return self.request(now, index, current..current + 1, start, known, effects);
            }
        }
    }

    pub(super) fn request(
        &mut self,
        now: f64,
        index: NodeIndex,
        run: Range<u32>,
        start: u64,
        assumed: Option<f64>,
        effects: &mut Vec<Effect>,
    ) {
        let range_request = self.next_request;
        self.next_request += 1;
        let node = &mut self.nodes[index];
        node.began(now);
        let (answer_within, silence) = node.limits();
        let request = Request {
            range_request,
            node: index,
            bytes: start..self.work.bytes(&run).end,
            pieces: run.clone(),
            whole_allowed: node.sends_whole,
            answer_within: Duration::from_secs_f64(answer_within),
            silence: Duration::from_secs_f64(silence),
        };
        self.range_requests
            .insert(range_request, RangeRequest::new(now, index, run, start, assumed));
        effects.push(Effect::Request(request));
    }

    /// Takes the pieces from `end` on away from a range request. It ends now if others have done its
    /// other pieces.
    pub(super) fn shorten(&mut self, now: f64, id: RequestId, end: u32, effects: &mut Vec<Effect>) {
        let Some(range_request) = self.range_requests.get_mut(&id) else { return };
        range_request.run.end = end;
        let current = self.work.piece_at(range_request.position);
        if current < end && self.work.missing_end(current..end) == current {
            return self.end_overtaken(now, id, effects);
        }
        effects.push(Effect::Shorten { range_request: id, end });
    }

    /// Seconds of a node's silence beyond the usual ones; 0 under a rate limit.
    fn silence(&self, now: f64, node: NodeIndex) -> f64 {
        if self.capped { 0.0 } else { self.nodes[node].silence(now) }
    }

    /// Bytes that a range request still has to receive, and its rate; `None` if it is ending
    /// anyway.
    pub(super) fn outstanding(&mut self, now: f64, id: RequestId) -> Option<(f64, f64)> {
        let range_request =
            self.range_requests.get_mut(&id).filter(|range_request| !range_request.cancelled)?;
        let current = self.work.piece_at(range_request.position);
        let end = self.work.missing_end(current..range_request.run.end);
        let bytes = self.work.bytes(&(current..end)).end;
        let bytes = bytes.saturating_sub(range_request.position) as f64;
        // Under a rate limit bytes come in bursts: a gap between two of them says nothing.
        let capped = self.capped;
        let measured = range_request
            .meter
            .as_mut()
            .and_then(|meter| if capped { meter.rate(now) } else { meter.expected_rate(now) });
        // Not answered yet: the assumed rate, which falls the longer the node is silent.
        let latency = self.nodes[range_request.node].latency();
        let timeout = 1.0 + ((now - range_request.asked) / latency.max(0.05) - 2.0).max(0.0);
        let assumed = range_request.assumed.unwrap_or(FIRST_RUN) / timeout;
        // A silence that is long for this node is expected to last as long again. Otherwise a silent
        // request with few bytes left would always seem to be about to end.
        let node = &self.nodes[range_request.node];
        let mut silence =
            if capped { 0.0 } else { now - range_request.last - node.usual_silence() };
        if measured.is_none() {
            silence = silence.max(if capped { 0.0 } else { node.silence(now) });
        }
        let rate = measured.unwrap_or(assumed).min(bytes / silence.max(f64::MIN_POSITIVE));
        (bytes > 0.0).then_some((bytes, rate))
    }
}
