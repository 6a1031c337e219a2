//! A discrete-event simulator: nodes with a rate, a latency, a limit per connection and faults.
//! Hundreds of random downloads run in a second or two of real time.

use super::*;
use crate::model::transfer::NodeState;
use crate::model::{Digest, PieceSet};

mod slow;

const PIECE: u32 = 64 << 10;
const TICK: f64 = 0.1;
/// Time within a tick in which bytes flow at a constant rate.
const SLICE: f64 = 0.02;

/// What a simulated node does.
#[derive(Clone, Debug)]
struct Model {
    /// Bytes a second, shared by its lanes.
    rate: f64,
    /// Bytes a second that one lane gets at most.
    request_rate: f64,
    latency: f64,
    behaviour: Behaviour,
}

#[derive(Clone, Debug, PartialEq)]
enum Behaviour {
    Healthy,
    /// From this time on nothing comes.
    DarkFrom(f64),
    /// Dark in this span of time.
    DarkBetween(f64, f64),
    /// Every answer ends after so many bytes.
    Cut(u64),
    /// Every answer is as good as no more after so many bytes: a byte each half second.
    Fades(u64),
    /// Says that it is fetching everything, and never has anything.
    Hoards,
    /// This piece is wrong.
    Lies(u32),
    Refuses,
    Different,
    SendsWhole,
}

struct SimulatedRequest {
    request: Request,
    end: u32,
    since: f64,
    position: u64,
    silent: f64,
    answered: bool,
    /// Parts of a byte that have come.
    part: f64,
}

struct Simulation {
    now: f64,
    nodes: Vec<Model>,
    /// How many of them are on the internet.
    internet: usize,
    /// Neighbours that hold everything, and when each joins; the next one last.
    joining: Vec<(f64, Model)>,
    range_requests: BTreeMap<RequestId, SimulatedRequest>,
    scheduler: Scheduler,
    table: Arc<PieceTable>,
    /// Contributors of pieces that are kept in parts.
    parts: BTreeMap<u32, Vec<NodeIndex>>,
    verified: Vec<bool>,
    received: u64,
    faults: Vec<(NodeIndex, FaultKind, bool)>,
    max_requests: usize,
    requests: u32,
    finished: Option<bool>,
}

fn table(length: u64) -> Arc<PieceTable> {
    let count = length.div_ceil(u64::from(PIECE)) as usize;
    Arc::new(PieceTable { piece_size: PIECE, length, hashes: vec![Digest::of(b""); count] })
}

fn healthy(rate: f64, latency: f64) -> Model {
    Model { rate, request_rate: f64::INFINITY, latency, behaviour: Behaviour::Healthy }
}

fn with(behaviour: Behaviour, rate: f64) -> Model {
    Model { behaviour, ..healthy(rate, 0.05) }
}

impl Simulation {
    fn new(length: u64, nodes: Vec<Model>, seed: u64) -> Self {
        Self::with_priors(length, &vec![None; nodes.len()], nodes, seed)
    }

    fn with_priors(length: u64, priors: &[Option<Prior>], nodes: Vec<Model>, seed: u64) -> Self {
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

    /// Seconds for which it goes on while nothing comes.
    fn timeout(&mut self, seconds: f64) {
        self.scheduler.timeout = seconds;
    }

    /// Runs to the end, or for `limit` seconds of simulated time.
    fn run(&mut self, limit: f64) -> Option<bool> {
        while self.finished.is_none() && self.now < limit {
            self.join();
            self.step(SchedulerInput::Tick { capped: false });
            let until = self.now + TICK;
            while self.now < until - 1e-9 && self.finished.is_none() {
                self.now += SLICE;
                self.flow();
            }
        }
        self.finished
    }

    /// Neighbours whose time has come join, and say that they have everything.
    fn join(&mut self) {
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

    fn step(&mut self, input: SchedulerInput) {
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
    fn flow(&mut self) {
        let ids: Vec<RequestId> = self.range_requests.keys().copied().collect();
        for id in ids {
            let Some(range_request) = self.range_requests.get(&id) else { continue };
            let node = range_request.request.node;
            let model = self.nodes[node].clone();
            let dark = match model.behaviour {
                Behaviour::DarkFrom(from) => self.now >= from,
                Behaviour::DarkBetween(from, until) => (from..until).contains(&self.now),
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
            let faded = matches!(model.behaviour, Behaviour::Fades(after) if range_request.position >= range_request.request.bytes.start + after);
            let request_rate = if faded { 2.0 } else { model.request_rate };
            range_request.part += (model.rate / range_requests as f64).min(request_rate) * SLICE;
            let bytes = range_request.part as u64;
            range_request.part -= bytes as f64;
            if bytes > 0 {
                self.arrive(id, bytes, &model.behaviour);
            }
        }
    }

    fn arrive(&mut self, id: RequestId, mut bytes: u64, behaviour: &Behaviour) {
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

    fn end(&mut self, id: RequestId, fault: Option<(FaultKind, bool)>) {
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

    fn assert_whole(&self) {
        assert_eq!(
            self.finished,
            Some(true),
            "not finished after {} s: {:?}",
            self.now,
            self.faults
        );
        assert!(self.verified.iter().all(|verified| *verified));
    }

    /// Received bytes over the object's.
    fn overhead(&self) -> f64 {
        self.received as f64 / self.table.length as f64
    }
}

const MB: f64 = 1e6;

#[test]
fn a_small_object_is_one_request_to_the_best_node() {
    let mut simulation =
        Simulation::new(200_000, vec![healthy(MB, 0.05), healthy(9.0 * MB, 0.01)], 1);
    simulation.run(10.0);
    simulation.assert_whole();
    assert_eq!((simulation.requests, simulation.max_requests), (1, 1));
}

#[test]
fn a_measured_fast_node_is_not_joined_by_slow_ones() {
    let prior = |rate: f64, latency| {
        Some(Prior { bytes_per_second: rate, latency_seconds: latency, connections: 2 })
    };
    let nodes = vec![healthy(0.1 * MB, 0.5), healthy(100.0 * MB, 0.01)];
    let mut simulation = Simulation::with_priors(
        4_000_000,
        &[prior(0.1 * MB, 0.5), prior(100.0 * MB, 0.01)],
        nodes,
        1,
    );
    simulation.run(10.0);
    simulation.assert_whole();
    assert_eq!(simulation.scheduler.view(Duration::from_secs(1), 0).unwrap().done, 0);
    assert!(simulation.now < 0.3, "{}", simulation.now);
}

#[test]
fn four_links_end_together() {
    let lossy = Model { request_rate: 0.12 * MB, ..healthy(MB, 0.2) };
    let nodes =
        vec![healthy(5.0 * MB, 0.02), healthy(2.5 * MB, 0.08), lossy, healthy(7.5 * MB, 0.01)];
    let mut simulation = Simulation::new(300_000_000, nodes, 1);
    simulation.run(100.0);
    simulation.assert_whole();
    let ideal = 300.0 / 16.0;
    assert!(simulation.now < ideal * 1.05, "{} s in place of {ideal}", simulation.now);
    assert!(simulation.overhead() < 1.01, "{}", simulation.overhead());
    let lossy = simulation.scheduler.measured(2).unwrap();
    assert!(lossy.connections >= 8, "{lossy:?}");
    assert!(simulation.scheduler.measured(0).unwrap().connections <= 8);
}

#[test]
fn a_liar_is_named_and_left_and_its_piece_comes_from_another() {
    let nodes = vec![with(Behaviour::Lies(3), 5.0 * MB), healthy(MB, 0.05)];
    let mut simulation = Simulation::new(20_000_000, nodes, 1);
    simulation.run(100.0);
    simulation.assert_whole();
    assert_eq!(simulation.faults, [(0, FaultKind::WrongBytes, true)]);
    assert_eq!(
        simulation.scheduler.view(Duration::from_secs(100), 0).unwrap().state,
        NodeState::Dropped
    );
}

#[test]
fn a_node_that_goes_dark_costs_little() {
    let nodes = vec![with(Behaviour::DarkFrom(3.0), 5.0 * MB), healthy(5.0 * MB, 0.05)];
    let mut simulation = Simulation::new(115_000_000, nodes, 1);
    simulation.run(100.0);
    simulation.assert_whole();
    // 15 MB of the dark node, 100 MB of the other one.
    assert!(simulation.now < 20.0 + 1.5, "{}", simulation.now);
    assert!(
        simulation.faults.iter().all(|(node, kind, _)| (*node, *kind) == (0, FaultKind::Stalled))
    );
    assert!(
        simulation.faults.last().unwrap().2,
        "left at last: {:?} {}",
        simulation.faults,
        simulation.now
    );
}

#[test]
fn all_nodes_gone_for_a_while() {
    let gone = || with(Behaviour::DarkBetween(2.0, 30.0), 3.0 * MB);
    let mut simulation = Simulation::new(30_000_000, vec![gone(), gone()], 1);
    simulation.run(200.0);
    simulation.assert_whole();
    assert!((30.0..60.0).contains(&simulation.now), "{}", simulation.now);
    let mut simulation = Simulation::new(30_000_000, vec![with(Behaviour::DarkFrom(1.0), MB)], 1);
    assert_eq!(simulation.run(200.0), Some(false));
    assert!((60.0..75.0).contains(&simulation.now), "patience is a minute: {}", simulation.now);
}

#[test]
fn answers_cut_short_everywhere_still_converge() {
    let mut simulation = Simulation::new(1_000_000, vec![with(Behaviour::Cut(10_000), MB)], 1);
    simulation.run(600.0);
    simulation.assert_whole();
    assert!(simulation.overhead() < 1.01, "what came is kept: {}", simulation.overhead());
}

#[test]
fn a_node_without_ranges_is_a_last_resort() {
    let mut simulation = Simulation::new(
        20_000_000,
        vec![with(Behaviour::SendsWhole, 5.0 * MB), healthy(5.0 * MB, 0.05)],
        1,
    );
    simulation.run(100.0);
    simulation.assert_whole();
    assert_eq!(simulation.scheduler.view(Duration::from_secs(9), 0).unwrap().done, 0);
    let mut simulation = Simulation::new(
        20_000_000,
        vec![with(Behaviour::SendsWhole, 5.0 * MB), with(Behaviour::Different, MB)],
        1,
    );
    simulation.run(100.0);
    simulation.assert_whole();
}

#[test]
fn a_drip_holds_nobody_up() {
    // The only other node is so far away that it would not be asked to help anyone who works.
    for latency in [0.05, 2.0] {
        let mut simulation = Simulation::new(
            3_000_000,
            vec![healthy(2_000.0, 0.05), healthy(10.0 * MB, latency)],
            1,
        );
        simulation.run(300.0);
        simulation.assert_whole();
        assert!(simulation.now < 12.0 * (latency + 0.5), "{} s", simulation.now);
    }
}

#[test]
fn nobody_left_ends_at_once() {
    let mut simulation = Simulation::new(
        20_000_000,
        vec![with(Behaviour::Different, MB), with(Behaviour::Lies(0), MB)],
        1,
    );
    assert_eq!(simulation.run(100.0), Some(false));
    assert!(simulation.now < 5.0, "{}", simulation.now);
    assert_eq!(simulation.range_requests.len(), 0);
}

#[test]
fn pause_ends_all_requests_and_resume_goes_on() {
    let mut simulation =
        Simulation::new(30_000_000, vec![healthy(3.0 * MB, 0.05), healthy(MB, 0.05)], 1);
    simulation.run(2.0);
    simulation.step(SchedulerInput::Pause);
    assert_eq!((simulation.range_requests.len(), simulation.scheduler.range_requests()), (0, 0));
    assert_eq!(simulation.run(500.0), None, "a pause may be longer than patience");
    assert_eq!(simulation.range_requests.len(), 0);
    simulation.step(SchedulerInput::Resume);
    simulation.run(600.0);
    simulation.assert_whole();
    assert!(simulation.overhead() < 1.02, "{}", simulation.overhead());
}

#[test]
fn pieces_that_are_held_are_not_fetched() {
    let table = table(1_000_000);
    let limits = SchedulerLimits {
        first_requests: 4,
        max_requests: 16,
        timeout: Duration::from_secs(60),
        seed: 1,
        instance: 0,
    };
    let mut scheduler = Scheduler::new(Arc::clone(&table), 0..table.count(), &[None], &limits);
    assert_eq!(
        scheduler.step(Duration::ZERO, SchedulerInput::Tick { capped: false }),
        [Effect::Finished]
    );
    let mut scheduler =
        Scheduler::new(table, (0..16).filter(|piece| *piece != 7), &[None], &limits);
    let effects = scheduler.step(Duration::ZERO, SchedulerInput::Tick { capped: false });
    assert!(
        matches!(&effects[..], [Effect::Request(request)] if request.pieces == (7..8)),
        "{effects:?}"
    );
}

/// Random nodes: always at least one healthy one. Complete, little fetched twice, and not far from
/// what a perfect plan would need.
#[test]
fn random_downloads_converge() {
    let (mut spare_of_all, mut bytes_of_all) = (0.0, 0.0);
    for seed in 0..200 {
        let mut random = fastrand::Rng::with_seed(seed);
        let length = 10_f64.powf(4.0 + 4.0 * random.f64()) as u64;
        let node = |random: &mut fastrand::Rng| {
            let rate = 10_f64.powf(5.0 + 2.3 * random.f64());
            let request_rate = if random.u8(..4) == 0 {
                rate / f64::from(random.u8(2..10))
            } else {
                f64::INFINITY
            };
            Model {
                rate,
                request_rate,
                latency: 0.005 + 0.3 * random.f64() * random.f64(),
                behaviour: Behaviour::Healthy,
            }
        };
        let mut nodes = vec![node(&mut random)];
        for _ in 0..random.usize(0..5) {
            let behaviour = match random.u8(..16) {
                0 => Behaviour::DarkFrom(5.0 * random.f64()),
                1 => Behaviour::DarkBetween(random.f64(), 1.0 + 9.0 * random.f64()),
                2 => Behaviour::Cut(random.u64(20_000..2_000_000)),
                3 => Behaviour::Lies(random.u32(0..20)),
                4 => Behaviour::Refuses,
                5 => Behaviour::Different,
                6 => Behaviour::SendsWhole,
                _ => Behaviour::Healthy,
            };
            nodes.push(Model { behaviour, ..node(&mut random) });
        }
        random.shuffle(&mut nodes);
        let steady: Vec<&Model> =
            nodes.iter().filter(|node| node.behaviour == Behaviour::Healthy).collect();
        let rate: f64 = steady.iter().map(|node| node.rate.min(4.0 * node.request_rate)).sum();
        let latency = nodes.iter().map(|node| node.latency).fold(0.0, f64::max);
        let ideal = length as f64 / rate;
        let mut simulation = Simulation::new(length, nodes.clone(), seed);
        simulation.run(3000.0);
        let context =
            || format!("seed {seed}: {length} bytes, {nodes:#?}\n{:?}", simulation.faults);
        assert_eq!(simulation.finished, Some(true), "{}", context());
        simulation.assert_whole();
        // A start in the dark (nothing is known of any node), a stall that must be waited out, and
        // a margin.
        let bound = ideal * 1.3 + 6.0 + 10.0 * latency;
        assert!(
            simulation.now < bound,
            "{} s, bound {bound}, ideal {ideal}\n{}",
            simulation.now,
            context()
        );
        let spare = simulation.received.saturating_sub(length) as f64;
        assert!(spare < length as f64 * 0.15 + 2e6, "{spare} bytes too many\n{}", context());
        (spare_of_all, bytes_of_all) = (spare_of_all + spare, bytes_of_all + length as f64);
    }
    assert!(
        spare_of_all < bytes_of_all * 0.008,
        "{} of all bytes came twice",
        spare_of_all / bytes_of_all
    );
}
