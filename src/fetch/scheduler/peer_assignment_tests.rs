//! A simulated peer network: many schedulers behind one connection to the internet, which receive
//! reports about each other some times a second.

use super::*;
use crate::model::{Digest, PieceSet};

const PIECE: u32 = 64 << 10;
const SLICE: f64 = 0.02;
/// Slices between two reports of a peer.
const MESSAGE_EVERY: u32 = 20;
const MB: f64 = 1e6;

/// How a simulated computer behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    Honest,
    /// Claims to have everything, and sends wrong bytes.
    Lies,
    /// Vanishes at this time; its peers learn that two seconds later.
    VanishesAt(f64),
    /// Claims to fetch all pieces, and never has any.
    Hoards,
}

struct Flow {
    request: Request,
    end: u32,
    position: u64,
    since: f64,
    silent: f64,
    answered: bool,
}

struct Computer {
    scheduler: Scheduler,
    flows: BTreeMap<RequestId, Flow>,
    held: Vec<bool>,
    received: u64,
    manner: Manner,
    begins: f64,
    at_work: bool,
    finished: Option<f64>,
    faults: Vec<(NodeIndex, FaultKind)>,
}

struct Simulation {
    now: f64,
    table: Arc<PieceTable>,
    /// Bytes a second of the connection to the internet, and of one computer's answers to its
    /// peers.
    line: f64,
    network: f64,
    computers: Vec<Computer>,
    /// Bytes that came from the internet.
    fetched: u64,
    /// Whether the peers get reports about each other.
    acquainted: bool,
}

impl Simulation {
    fn new(length: u64, line: f64, network: f64, manners: &[(Manner, f64)]) -> Self {
        let count = length.div_ceil(u64::from(PIECE)) as usize;
        let table = Arc::new(PieceTable {
            piece_size: PIECE,
            length,
            hashes: vec![Digest::of(b""); count],
        });
        let computer = |(number, (manner, begins)): (usize, &(Manner, f64))| {
            let instance = number as u64 * 77 + 5;
            let limits = SchedulerLimits {
                first_requests: 2,
                max_requests: 16,
                timeout: Duration::from_secs(60),
                seed: instance,
                instance,
            };
            Computer {
                scheduler: Scheduler::new(Arc::clone(&table), [], &[None], &limits),
                flows: BTreeMap::new(),
                held: vec![false; count],
                received: 0,
                manner: *manner,
                begins: *begins,
                at_work: false,
                finished: None,
                faults: Vec::new(),
            }
        };
        let computers: Vec<Computer> = manners.iter().enumerate().map(computer).collect();
        Self { now: 0.0, table, line, network, computers, fetched: 0, acquainted: true }
    }

    /// Node 0 is the internet; node k of a computer is the k-th of the others.
    fn peer(me: usize, node: NodeIndex) -> usize {
        if node <= me { node - 1 } else { node }
    }

    fn gone(&self, number: usize) -> bool {
        matches!(self.computers[number].manner, Manner::VanishesAt(at) if self.now >= at)
    }

    fn works(&self, number: usize) -> bool {
        let computer = &self.computers[number];
        let at_work = matches!(computer.manner, Manner::Honest | Manner::VanishesAt(_));
        at_work && !self.gone(number) && self.now >= computer.begins && computer.finished.is_none()
    }

    fn run(&mut self) {
        let mut slice = 0_u32;
        let waits =
            |computer: &Computer| computer.manner == Manner::Honest && computer.finished.is_none();
        while self.now < 400.0 && self.computers.iter().any(waits) {
            for me in 0..self.computers.len() {
                if self.works(me)
                    && !std::mem::replace(&mut self.computers[me].at_work, true)
                    && self.acquainted
                {
                    for node in 1..self.computers.len() {
                        let instance = Self::peer(me, node) as u64 * 77 + 5;
                        self.step(me, SchedulerInput::Joined { instance });
                        self.tell(me, node);
                    }
                }
                if slice.is_multiple_of(5) && self.works(me) {
                    self.step(me, SchedulerInput::Tick { capped: false });
                }
                // The computers report at different instants.
                if self.acquainted
                    && (slice + me as u32).is_multiple_of(MESSAGE_EVERY)
                    && self.works(me)
                {
                    (1..self.computers.len()).for_each(|node| self.tell(me, node));
                }
            }
            self.flow();
            self.now += SLICE;
            slice += 1;
        }
    }

    fn tell(&mut self, me: usize, node: NodeIndex) {
        let number = Self::peer(me, node);
        let count = self.table.count();
        let other = &self.computers[number];
        let input = match other.manner {
            Manner::VanishesAt(at) if self.now >= at + 2.0 => SchedulerInput::Left { node },
            Manner::VanishesAt(at) if self.now >= at => return,
            _ if self.now < other.begins => return,
            Manner::Lies => SchedulerInput::Updated {
                node,
                held: PieceSet::of(count, 0..count),
                in_flight: PieceSet::none(count),
                takes_part: false,
                received: 0,
            },
            Manner::Hoards => SchedulerInput::Updated {
                node,
                held: PieceSet::none(count),
                in_flight: PieceSet::of(count, 0..count),
                takes_part: true,
                received: (self.now * 1e6) as u64,
            },
            _ => SchedulerInput::Updated {
                node,
                held: PieceSet::of(count, (0..count).filter(|piece| other.held[*piece as usize])),
                in_flight: other.scheduler.in_flight(),
                takes_part: other.finished.is_none(),
                received: other.received,
            },
        };
        self.step(me, input);
    }

    fn step(&mut self, me: usize, input: SchedulerInput) {
        let now = self.now;
        for effect in self.computers[me].scheduler.step(Duration::from_secs_f64(now), input) {
            let computer = &mut self.computers[me];
            match effect {
                Effect::Request(request) => {
                    let (end, position) = (request.pieces.end, request.bytes.start);
                    let flow =
                        Flow { end, position, since: now, silent: 0.0, answered: false, request };
                    computer.flows.insert(flow.request.range_request, flow);
                }
                Effect::Shorten { range_request, end } => {
                    if let Some(flow) = computer.flows.get_mut(&range_request) {
                        flow.end = end;
                    }
                }
                Effect::Cancel { range_request } => self.end(me, range_request, None),
                Effect::Fault { node, fault, .. } => computer.faults.push((node, fault.kind)),
                Effect::Have { piece } => computer.held[piece as usize] = true,
                Effect::Finished => computer.finished = Some(now),
                Effect::GiveUp => panic!("computer {me} gave up at {now}"),
            }
        }
    }

    fn end(&mut self, me: usize, range_request: RequestId, fault: Option<FaultKind>) {
        let Some(flow) = self.computers[me].flows.remove(&range_request) else { return };
        let fault = fault.map(|kind| Fault {
            kind,
            detail: String::new(),
            lasting: false,
            retry_after: None,
        });
        self.step(me, SchedulerInput::Ended { range_request, position: flow.position, fault });
    }

    fn flow(&mut self) {
        let on_line: usize = self
            .computers
            .iter()
            .map(|computer| computer.flows.values().filter(|flow| flow.request.node == 0).count())
            .sum();
        let mut asked = vec![0_usize; self.computers.len()];
        for (me, computer) in self.computers.iter().enumerate() {
            for flow in computer.flows.values().filter(|flow| flow.request.node > 0) {
                asked[Self::peer(me, flow.request.node)] += 1;
            }
        }
        for me in 0..self.computers.len() {
            if self.gone(me) {
                continue;
            }
            for range_request in self.computers[me].flows.keys().copied().collect::<Vec<_>>() {
                let Some(flow) = self.computers[me].flows.get_mut(&range_request) else { continue };
                let node = flow.request.node;
                let (rate, latency, source) = if node == 0 {
                    (self.line / on_line.max(1) as f64, 0.04, None)
                } else {
                    let source = Self::peer(me, node);
                    (self.network / asked[source].max(1) as f64, 0.002, Some(source))
                };
                if self.now < flow.since + latency {
                    continue;
                }
                if source.is_some_and(|source| matches!(self.computers[source].manner, Manner::VanishesAt(at) if self.now >= at))
                {
                    let Some(flow) = self.computers[me].flows.get_mut(&range_request) else { continue };
                    flow.silent += SLICE;
                    if flow.silent > flow.request.silence.as_secs_f64() {
                        self.end(me, range_request, Some(FaultKind::Stalled));
                    }
                    continue;
                }
                let Some(flow) = self.computers[me].flows.get_mut(&range_request) else { continue };
                if !flow.answered {
                    flow.answered = true;
                    let seconds = self.now - flow.since;
                    self.step(me, SchedulerInput::Answered { range_request, seconds });
                }
                self.arrive(me, range_request, (rate * SLICE) as u64, source);
            }
        }
    }

    fn arrive(&mut self, me: usize, range_request: RequestId, bytes: u64, source: Option<usize>) {
        let lies = source.is_some_and(|source| self.computers[source].manner == Manner::Lies);
        let Some(flow) = self.computers[me].flows.get_mut(&range_request) else { return };
        let before = flow.position;
        let last = self
            .table
            .span(flow.end.max(self.table.covering(&(before..before + 1)).start + 1) - 1)
            .end
            .min(flow.request.bytes.end);
        flow.position = (before + bytes).min(last);
        let (after, node) = (flow.position, flow.request.node);
        self.computers[me].received += after - before;
        if source.is_none() {
            self.fetched += after - before;
        }
        self.step(me, SchedulerInput::Received { range_request, bytes: after - before });
        for piece in self.table.covering(&(before..after.max(before + 1))) {
            if self.table.span(piece).end <= after && self.table.span(piece).end > before {
                let input = if lies {
                    SchedulerInput::Wrong { piece, nodes: vec![node] }
                } else {
                    SchedulerInput::Verified { piece, node }
                };
                self.step(me, input);
            }
        }
        if after >= last {
            self.end(me, range_request, None);
        }
    }

    fn slowest(&self) -> f64 {
        let honest = self.computers.iter().filter(|computer| computer.manner == Manner::Honest);
        honest
            .map(|computer| computer.finished.unwrap_or(f64::INFINITY) - computer.begins)
            .fold(0.0, f64::max)
    }

    /// Bytes from the internet, as a multiple of the object's size.
    fn times(&self) -> f64 {
        self.fetched as f64 / self.table.length as f64
    }
}

fn honest(count: usize) -> Vec<(Manner, f64)> {
    vec![(Manner::Honest, 0.0); count]
}

#[test]
fn a_peer_network_fetches_an_object_about_once() {
    let mut alone = Simulation::new(30_000_000, 12.5 * MB, 20.0 * MB, &honest(12));
    alone.acquainted = false;
    alone.run();
    assert!(alone.times() > 11.9, "{}", alone.times());
    let mut simulation = Simulation::new(30_000_000, 12.5 * MB, 20.0 * MB, &honest(12));
    simulation.run();
    assert!(simulation.times() < 1.15, "{} times", simulation.times());
    assert!(
        simulation.slowest() < alone.slowest() / 4.0,
        "{} s, alone {} s",
        simulation.slowest(),
        alone.slowest()
    );
}

#[test]
fn a_slow_line_makes_nobody_impatient() {
    let mut simulation = Simulation::new(6_000_000, 0.25 * MB, 20.0 * MB, &honest(10));
    simulation.run();
    assert!(simulation.times() < 1.2, "{} times", simulation.times());
    assert!(simulation.slowest() < 24.0 * 1.6, "{} s", simulation.slowest());
}

#[test]
fn whoever_comes_later_takes_it_from_the_peers() {
    let mut manners = honest(6);
    manners.iter_mut().enumerate().for_each(|(number, manner)| manner.1 = number as f64 * 0.7);
    let mut simulation = Simulation::new(30_000_000, 10.0 * MB, 50.0 * MB, &manners);
    simulation.run();
    assert!(simulation.times() < 1.15, "{} times", simulation.times());
    let mut late = Simulation::new(
        30_000_000,
        10.0 * MB,
        50.0 * MB,
        &[(Manner::Honest, 0.0), (Manner::Honest, 10.0)],
    );
    late.run();
    assert!(late.times() < 1.03, "{} times", late.times());
    let second = &late.computers[1];
    assert!(second.finished.unwrap() - second.begins < 2.0);
}

#[test]
fn one_that_lies_one_that_vanishes_and_one_that_hoards_cost_little() {
    let mut manners = honest(10);
    manners[2].0 = Manner::Lies;
    manners[5].0 = Manner::VanishesAt(1.0);
    manners[7].0 = Manner::Hoards;
    let mut simulation = Simulation::new(30_000_000, 12.5 * MB, 20.0 * MB, &manners);
    simulation.run();
    assert!(simulation.slowest() < 20.0, "{} s", simulation.slowest());
    assert!(simulation.times() < 2.5, "{} times", simulation.times());
    for (me, computer) in simulation
        .computers
        .iter()
        .enumerate()
        .filter(|(_, computer)| computer.manner == Manner::Honest)
    {
        let blamed: Vec<usize> = computer
            .faults
            .iter()
            .filter(|(_, kind)| *kind == FaultKind::WrongBytes)
            .map(|(node, _)| Simulation::peer(me, *node))
            .collect();
        assert!(blamed.iter().all(|number| *number == 2), "{me} blames {blamed:?}");
    }
}

#[test]
fn peers_that_have_nothing_cost_nothing() {
    let mut alone = Simulation::new(30_000_000, 5.0 * MB, 20.0 * MB, &honest(1));
    alone.run();
    let never = (Manner::Honest, f64::INFINITY);
    let mut simulation = Simulation::new(
        30_000_000,
        5.0 * MB,
        20.0 * MB,
        &[(Manner::Honest, 0.0), never, never, never],
    );
    simulation.computers.iter_mut().skip(1).for_each(|computer| computer.finished = Some(0.0));
    simulation.run();
    let seconds = |simulation: &Simulation| simulation.computers[0].finished.unwrap();
    assert!(
        seconds(&simulation) < seconds(&alone) * 1.05 + 0.2,
        "{} s, alone {} s",
        seconds(&simulation),
        seconds(&alone)
    );
}

#[test]
fn a_peer_that_is_slower_than_the_line_is_helped() {
    let mut late = Simulation::new(
        30_000_000,
        10.0 * MB,
        0.2 * MB,
        &[(Manner::Honest, 0.0), (Manner::Honest, 10.0)],
    );
    late.run();
    let second = &late.computers[1];
    assert!(
        second.finished.unwrap() - second.begins < 3.0 + 4.0,
        "{} s",
        second.finished.unwrap() - second.begins
    );
}
