//! A discrete-event simulator: nodes with a rate, a latency, a limit per connection and faults.

use super::super::*;
use crate::model::{Digest, PieceSet};

pub(super) const PIECE: u32 = 64 << 10;
pub(super) const TICK: f64 = 0.1;
/// Length of a time slice, in which bytes flow at a constant rate.
pub(super) const SLICE: f64 = 0.02;

/// The behaviour of a simulated node.
#[derive(Clone, Debug)]
pub(super) struct Model {
    /// Bytes a second, shared by its range requests.
    pub(super) rate: f64,
    /// Bytes a second of one range request at most.
    pub(super) request_rate: f64,
    pub(super) latency: f64,
    pub(super) behaviour: Behaviour,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Behaviour {
    Healthy,
    /// Sends nothing from this time on.
    DarkFrom(f64),
    /// Sends nothing in this span of time.
    DarkBetween(f64, f64),
    /// Sends in the first tenth of each period of so many seconds, as under a rate limit.
    Bursts(f64),
    /// Every answer ends after so many bytes.
    Cut(u64),
    /// Every answer slows down to a byte each half second after so many bytes.
    Fades(u64),
    /// From this time on every answer slows down to a byte each half second.
    DripsFrom(f64),
    /// Claims to fetch everything, and never has anything.
    Hoards,
    /// Sends this piece wrong.
    Lies(u32),
    Refuses,
    Different,
    SendsWhole,
}

pub(super) struct SimulatedRequest {
    pub(super) request: Request,
    pub(super) end: u32,
    pub(super) since: f64,
    pub(super) position: u64,
    pub(super) silent: f64,
    pub(super) answered: bool,
    /// Fraction of a byte that has arrived.
    pub(super) part: f64,
}

pub(super) struct Simulation {
    pub(super) now: f64,
    /// Whether a rate limit slows the requests.
    pub(super) capped: bool,
    pub(super) nodes: Vec<Model>,
    /// How many of the nodes are on the internet.
    pub(super) internet: usize,
    /// Peers that hold everything, and when each joins; the next one to join is last.
    pub(super) joining: Vec<(f64, Model)>,
    pub(super) range_requests: BTreeMap<RequestId, SimulatedRequest>,
    pub(super) scheduler: Scheduler,
    pub(super) table: Arc<PieceTable>,
    /// The nodes that sent parts of pieces that are retained in parts.
    pub(super) parts: BTreeMap<u32, Vec<NodeIndex>>,
    pub(super) verified: Vec<bool>,
    pub(super) received: u64,
    pub(super) faults: Vec<(NodeIndex, FaultKind, bool)>,
    pub(super) max_requests: usize,
    pub(super) requests: u32,
    pub(super) finished: Option<bool>,
}

pub(super) fn table(length: u64) -> Arc<PieceTable> {
    let count = length.div_ceil(u64::from(PIECE)) as usize;
    Arc::new(PieceTable { piece_size: PIECE, length, hashes: vec![Digest::of(b""); count] })
}

pub(super) fn healthy(rate: f64, latency: f64) -> Model {
    Model { rate, request_rate: f64::INFINITY, latency, behaviour: Behaviour::Healthy }
}

pub(super) fn with(behaviour: Behaviour, rate: f64) -> Model {
    Model { behaviour, ..healthy(rate, 0.05) }
}

impl Simulation {
    pub(super) fn new(length: u64, nodes: Vec<Model>, seed: u64) -> Self {
        Self::with_priors(length, &vec![None; nodes.len()], nodes, seed)
    }

    pub(super) fn with_priors(
        length: u64,
        priors: &[Option<Prior>],
        nodes: Vec<Model>,
        seed: u64,
    ) -> Self {
        let table = table(length);
        let limits = SchedulerLimits {
            first_requests: 4,
            max_requests: 16,
            timeout: Duration::from_secs(60),
            seed,
            instance: 0,
        };
        let scheduler = Scheduler::new(Arc::clone(&table), [], priors, &limits);
        Self {
            now: 0.0,
            capped: false,
            internet: nodes.len(),
            nodes,
            joining: Vec::new(),
            range_requests: BTreeMap::new(),
            scheduler,
            verified: vec![false; table.hashes.len()],
            table,
            parts: BTreeMap::new(),
            received: 0,
            faults: Vec::new(),
            max_requests: 0,
            requests: 0,
            finished: None,
        }
    }

    /// Sets how many seconds it goes on while nothing comes.
    pub(super) fn timeout(&mut self, seconds: f64) {
        self.scheduler.timeout = seconds;
    }

    /// Runs to the end, or for `limit` seconds of simulated time.
    pub(super) fn run(&mut self, limit: f64) -> Option<bool> {
        while self.finished.is_none() && self.now < limit {
            self.join();
            self.step(SchedulerInput::Tick { capped: self.capped });
            let until = self.now + TICK;
            while self.now < until - 1e-9 && self.finished.is_none() {
                self.now += SLICE;
                self.flow();
            }
        }
        self.finished
    }

    /// Peers whose time has come join, and report that they have everything.
    pub(super) fn join(&mut self) {
        while let Some((_, model)) = self.joining.pop_if(|(when, _)| *when <= self.now) {
            let (node, count) = (self.nodes.len(), self.table.count());
            self.nodes.push(model);
            self.step(SchedulerInput::Joined { instance: node as u64 * 77 });
            let (all, none) = (PieceSet::of(count, 0..count), PieceSet::none(count));
            let hoards = self.nodes[node].behaviour == Behaviour::Hoards;
            let (held, in_flight) = if hoards { (none, all) } else { (all, none) };
            self.step(SchedulerInput::Updated {
                node,
                held,
                in_flight,
                takes_part: true,
                received: 0,
            });
        }
        for node in self.internet..self.nodes.len() {
            if self.nodes[node].behaviour == Behaviour::Hoards {
                let (held, in_flight) = (
                    PieceSet::none(self.table.count()),
                    PieceSet::of(self.table.count(), 0..self.table.count()),
                );
                self.step(SchedulerInput::Updated {
                    node,
                    held,
                    in_flight,
                    takes_part: true,
                    received: (self.now * 1e6) as u64,
                });
            }
        }
    }

    pub(super) fn step(&mut self, input: SchedulerInput) {
        for effect in self.scheduler.step(Duration::from_secs_f64(self.now), input) {
            match effect {
                Effect::Request(request) => {
                    assert!(self.finished.is_none(), "a request after the end");
                    let first = request.pieces.start;
                    if request.bytes.start == self.table.span(first).start {
                        self.parts.remove(&first);
                    }
                    self.requests += 1;
                    let range_request = SimulatedRequest {
                        end: request.pieces.end,
                        since: self.now,
                        position: request.bytes.start,
                        silent: 0.0,
                        answered: false,
                        part: 0.0,
                        request,
                    };
                    self.range_requests.insert(range_request.request.range_request, range_request);
                    self.max_requests = self.max_requests.max(self.range_requests.len());
                }
                Effect::Shorten { range_request, end } => {
                    if let Some(range_request) = self.range_requests.get_mut(&range_request) {
                        range_request.end = end;
                    }
                }
                Effect::Cancel { range_request } => self.end(range_request, None),
                Effect::Fault { node, fault, dropped } => {
                    self.faults.push((node, fault.kind, dropped))
                }
                Effect::Have { piece } => {
                    assert!(
                        !std::mem::replace(&mut self.verified[piece as usize], true),
                        "piece {piece} told twice"
                    );
                }
                Effect::Finished => self.finished = Some(true),
                Effect::GiveUp => self.finished = Some(false),
            }
        }
    }

    /// Bytes flow for one slice of time.
    pub(super) fn flow(&mut self) {
        let ids: Vec<RequestId> = self.range_requests.keys().copied().collect();
        for id in ids {
            let Some(range_request) = self.range_requests.get(&id) else { continue };
            let node = range_request.request.node;
            let model = self.nodes[node].clone();
            let dark = match model.behaviour {
                Behaviour::DarkFrom(from) => self.now >= from,
                Behaviour::DarkBetween(from, until) => (from..until).contains(&self.now),
                Behaviour::Bursts(period) => self.now % period > period / 10.0,
                _ => false,
            };
            let range_requests =
                self.range_requests.values().filter(|other| other.request.node == node).count();
            let range_request = self.range_requests.get_mut(&id).unwrap();
            if dark {
                range_request.silent += SLICE;
                let allowed = if range_request.answered {
                    range_request.request.silence
                } else {
                    range_request.request.answer_within
                };
                if range_request.silent > allowed.as_secs_f64() {
                    self.end(id, Some((FaultKind::Stalled, false)));
                }
                continue;
            }
            if self.now < range_request.since + model.latency {
                if self.now
                    > range_request.since + range_request.request.answer_within.as_secs_f64()
                {
                    self.end(id, Some((FaultKind::Stalled, false)));
                }
                continue;
            }
            range_request.silent = 0.0;
            if !range_request.answered {
                range_request.answered = true;
                match model.behaviour {
                    Behaviour::Refuses => {
                        self.end(id, Some((FaultKind::Refused, false)));
                        continue;
                    }
                    Behaviour::Different => {
                        self.end(id, Some((FaultKind::DifferentFile, true)));
                        continue;
                    }
                    Behaviour::SendsWhole if !range_request.request.whole_allowed => {
                        self.end(id, Some((FaultKind::IgnoredRange, false)));
                        continue;
                    }
                    _ => {}
                }
                let seconds = self.now - range_request.since;
                self.step(SchedulerInput::Answered { range_request: id, seconds });
            }
            let Some(range_request) = self.range_requests.get_mut(&id) else { continue };
            let faded = match model.behaviour {
                Behaviour::Fades(after) => {
                    range_request.position >= range_request.request.bytes.start + after
                }
                Behaviour::DripsFrom(from) => self.now >= from,
                _ => false,
            };
            let request_rate = if faded { 2.0 } else { model.request_rate };
            range_request.part += (model.rate / range_requests as f64).min(request_rate) * SLICE;
            let bytes = range_request.part as u64;
            range_request.part -= bytes as f64;
            if bytes > 0 {
                self.arrive(id, bytes, &model.behaviour);
            }
        }
    }

    pub(super) fn arrive(&mut self, id: RequestId, mut bytes: u64, behaviour: &Behaviour) {
        let Some(range_request) = self.range_requests.get_mut(&id) else { return };
        let node = range_request.request.node;
        let cut = match behaviour {
            Behaviour::Cut(after) => Some(range_request.request.bytes.start + after),
            _ => None,
        };
        bytes = bytes.min(
            cut.unwrap_or(u64::MAX).min(range_request.request.bytes.end) - range_request.position,
        );
        let before =
            self.table.covering(&(range_request.position..range_request.position + 1)).start;
        range_request.position += bytes;
        self.received += bytes;
        let position = range_request.position;
        let first_missing = if position == self.table.length {
            self.table.count()
        } else {
            self.table.covering(&(position..position + 1)).start
        };
        let (end, last) = (range_request.end, range_request.request.bytes.end);
        self.step(SchedulerInput::Received { range_request: id, bytes });
        for piece in before..first_missing {
            let mut senders = self.parts.remove(&piece).unwrap_or_default();
            if !senders.contains(&node) {
                senders.push(node);
            }
            let lie = senders
                .iter()
                .any(|sender| self.nodes[*sender].behaviour == Behaviour::Lies(piece));
            if lie {
                self.step(SchedulerInput::Wrong { piece, nodes: senders });
            } else {
                self.step(SchedulerInput::Verified { piece, node });
            }
        }
        if self.range_requests.contains_key(&id) {
            if first_missing >= end || position >= last {
                self.end(id, None);
            } else if Some(position) == cut {
                self.end(id, Some((FaultKind::Truncated, false)));
            }
        }
    }

    pub(super) fn end(&mut self, id: RequestId, fault: Option<(FaultKind, bool)>) {
        let Some(range_request) = self.range_requests.remove(&id) else { return };
        let fault = fault.map(|(kind, lasting)| Fault {
            kind,
            detail: String::new(),
            lasting,
            retry_after: None,
        });
        if range_request.position < self.table.length {
            let piece =
                self.table.covering(&(range_request.position..range_request.position + 1)).start;
            if range_request.position > self.table.span(piece).start {
                let senders = self.parts.entry(piece).or_default();
                if !senders.contains(&range_request.request.node) {
                    senders.push(range_request.request.node);
                }
            }
        }
        self.step(SchedulerInput::Ended {
            range_request: id,
            position: range_request.position,
            fault,
        });
    }

    pub(super) fn assert_whole(&self) {
        assert_eq!(
            self.finished,
            Some(true),
            "not finished after {} s: {:?}",
            self.now,
            self.faults
        );
        assert!(self.verified.iter().all(|verified| *verified));
    }

    /// Received bytes, as a multiple of the object's size.
    pub(super) fn overhead(&self) -> f64 {
        self.received as f64 / self.table.length as f64
    }
}
