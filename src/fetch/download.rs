//! The driver of one download: gives the scheduler time and reports, performs its effects, tells
//! what happened.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use url::{Host, Url};

use super::job::{Control, DownloadJob, FetchEvent, Progress, RunState, Summary};
use super::memory::{Measured, NodeMemory};
use super::partial::{Journal, Partial};
use super::peer_source::{Availability, PeerEvent, PeerSource};
use super::range_request::{Begun, Handle, RangeRequest, Report, TransferState};
use super::scheduler::{
    Effect, Prior, Request, RequestId, Scheduler, SchedulerInput, SchedulerLimits,
};
use super::throttle::Throttle;
use super::{Client, FetchError};
use crate::model::transfer::{NodeFault, NodeProgress, NodeState, PEER_ID_PREFIX, PEER_REGION};
use crate::model::{Node, PieceSet};

/// Time between two looks at the lanes' counters.
const TICK: Duration = Duration::from_millis(100);
/// Ticks between two [`FetchEvent::Progress`].
const PROGRESS_TICKS: u32 = 2;
/// Seconds over which the speed for people is smoothed.
const SMOOTHING: f64 = 3.0;
/// Memory for pieces that are coming in, bytes: large pieces mean fewer lanes.
const BUFFERS: u64 = 48 << 20;
/// Neighbours that a download knows at most.
const MAX_PEERS: usize = 32;
/// Of these, how many of one address: some users may share a computer. Numbers can be made up,
/// addresses less easily.
const MOST_OF_ONE_ADDRESS: usize = 4;
/// How long neighbours may take for a first answer before the internet is asked.
const ACQUAINTANCE: Duration = Duration::from_millis(150);
/// Beginnings of pieces that are kept at most.
const MOST_BEGUN: usize = 16;

/// Downloads the pieces that the partial file does not hold yet. Returns when all are there, or
/// when no node delivers any more, or when cancelled. Dropping the future stops everything; what
/// was verified stays for the next time.
pub async fn download(
    client: &Client,
    job: DownloadJob,
    control: watch::Receiver<Control>,
    events: mpsc::UnboundedSender<FetchEvent>,
) -> Result<Summary, FetchError> {
    download_among(client, job, control, events, None).await
}

/// The same with neighbours, which come and go, beside the job's nodes.
pub async fn download_among(
    client: &Client,
    job: DownloadJob,
    control: watch::Receiver<Control>,
    events: mpsc::UnboundedSender<FetchEvent>,
    peer_source: Option<PeerSource>,
) -> Result<Summary, FetchError> {
    if job.nodes.is_empty() {
        return Err(FetchError::NoNodes { location: job.location });
    }
    let addresses = job.nodes.iter().map(|node| {
        let error = |source| FetchError::Address {
            node: node.id.clone(),
            location: job.location.clone(),
            source,
        };
        node.address(&job.location).map_err(error)
    });
    let addresses = addresses.collect::<Result<Vec<Url>, _>>()?;
    let (path, table) = (job.partial.clone(), Arc::clone(&job.pieces));
    let memory_path = job.memory.clone();
    let opened = tokio::task::spawn_blocking(move || {
        let memory = memory_path.map(|path| NodeMemory::load(&path)).unwrap_or_default();
        Partial::open(&path, table).map(|partial| (partial, memory))
    });
    let (partial, memory) = opened.await.map_err(|error| FetchError::Task(error.to_string()))??;
    let mut driver = Driver::new(
        client.clone(),
        job,
        addresses,
        partial,
        &memory,
        control,
        events,
        peer_source,
    )?;
    let result = driver.run().await;
    driver.tell(false);
    driver.range_requests.shutdown().await;
    let Driver { journal, job, scheduler, shared, .. } = driver;
    // What a cap of the user's has slowed is no rate of the nodes.
    let measured = !shared.throttle.has_slowed();
    let finished = tokio::task::spawn_blocking(move || {
        journal.finish();
        if measured {
            remember(&job, &scheduler, memory);
        }
    });
    finished.await.map_err(|error| FetchError::Task(error.to_string()))?;
    result
}

// Measurements are a convenience: a folder that cannot be written must not fail a download.
fn remember(job: &DownloadJob, scheduler: &Scheduler, mut memory: NodeMemory) {
    let Some(path) = &job.memory else { return };
    let measured = job.nodes.iter().enumerate().filter_map(|(index, node)| {
        let Prior { bytes_per_second, latency_seconds, connections } = scheduler.measured(index)?;
        let connections = u32::try_from(connections).unwrap_or(u32::MAX);
        Some((
            node.url.to_string(),
            Measured { bytes_per_second, latency_seconds, connections, used: 0 },
        ))
    });
    memory.learn(measured);
    if let Err(error) = memory.save(path) {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "measurements of nodes are not kept"
        );
    }
}

struct Driver {
    job: DownloadJob,
    addresses: Vec<Url>,
    scheduler: Scheduler,
    shared: Arc<TransferState>,
    journal: Journal,
    range_requests: JoinSet<()>,
    /// With the bytes that were counted, received and passed over.
    handles: HashMap<RequestId, (Arc<Handle>, [u64; 2])>,
    begun: HashMap<u32, Begun>,
    /// Verified pieces.
    held: PieceSet,
    peer_source: Option<PeerSource>,
    /// Neighbours, in the order in which the scheduler learnt of them, behind the job's nodes.
    peers: Vec<PeerConnection>,
    reports: mpsc::UnboundedReceiver<Report>,
    control: watch::Receiver<Control>,
    events: mpsc::UnboundedSender<FetchEvent>,
    faults: HashMap<usize, NodeFault>,
    started: Instant,
    resumed: u64,
    /// Bytes that are wanted.
    total: u64,
    received: u64,
    last_bytes: Instant,
    /// What was told to be done.
    done: u64,
    /// Of these, how many the speed has taken in.
    shown: u64,
    speed: f64,
    outcome: Option<Result<(), FetchError>>,
}

/// A neighbour that was heard of.
struct PeerConnection {
    instance: u64,
    node: Node,
}

impl Driver {
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of a download, put together in one place"
    )]
    fn new(
        client: Client,
        job: DownloadJob,
        addresses: Vec<Url>,
        partial: Partial,
        memory: &NodeMemory,
        control: watch::Receiver<Control>,
        events: mpsc::UnboundedSender<FetchEvent>,
        peer_source: Option<PeerSource>,
    ) -> Result<Self, FetchError> {
        let (sender, reports) = mpsc::unbounded_channel();
        let prior = |node: &Node| {
            let Measured { bytes_per_second, latency_seconds, connections, .. } =
                memory.of(node)?;
            Some(Prior { bytes_per_second, latency_seconds, connections: connections as usize })
        };
        let priors: Vec<Option<Prior>> = job.nodes.iter().map(prior).collect();
        let room = BUFFERS / u64::from(job.pieces.piece_size).max(1) / job.nodes.len() as u64;
        let max_requests =
            job.connections.1.min(usize::try_from(room).unwrap_or(usize::MAX)).max(2);
        let limits = SchedulerLimits {
            first_requests: job.connections.0.clamp(1, max_requests),
            max_requests,
            timeout: job.timeout,
            seed: fastrand::u64(..),
            instance: peer_source.as_ref().map_or(0, |peer_source| peer_source.instance),
        };
        let held: Vec<u32> = partial.held().collect();
        let held_set = PieceSet::of(job.pieces.count(), held.iter().copied());
        // What nobody wants is nothing that the scheduler has to look for.
        let wanted = |piece: &u32| {
            job.wanted.as_ref().is_none_or(|wanted| wanted.binary_search(piece).is_ok())
        };
        let unwanted: Vec<u32> = (0..job.pieces.count()).filter(|piece| !wanted(piece)).collect();
        let size = |piece: &u32| job.pieces.span(*piece).end - job.pieces.span(*piece).start;
        let total = job.pieces.length - unwanted.iter().map(size).sum::<u64>();
        let not_missing = held.iter().chain(&unwanted).copied();
        let scheduler = Scheduler::new(Arc::clone(&job.pieces), not_missing, &priors, &limits);
        let resumed = total - scheduler.missing_bytes();
        for piece in held.iter().copied().filter(|piece| wanted(piece)) {
            let _ = events.send(FetchEvent::Piece(piece));
        }
        let failed = sender.clone();
        let (file, journal) =
            partial.start(move |error| drop(failed.send(Report::Broken(error))))?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let shared = Arc::new(TransferState {
            client,
            table: Arc::clone(&job.pieces),
            object_length: job.object_length,
            file,
            throttle: Throttle::new(control.clone()),
            reports: sender,
            hashing: Arc::new(Semaphore::new(cores + 1)),
            buffers: Mutex::default(),
        });
        Ok(Self {
            job,
            addresses,
            scheduler,
            shared,
            journal,
            range_requests: JoinSet::new(),
            handles: HashMap::new(),
            begun: HashMap::new(),
            held: held_set,
            peer_source,
            peers: Vec::new(),
            reports,
            control,
            events,
            faults: HashMap::new(),
            started: Instant::now(),
            resumed,
            total,
            received: 0,
            last_bytes: Instant::now(),
            done: 0,
            shown: 0,
            speed: 0.0,
            outcome: None,
        })
    }

    async fn run(&mut self) -> Result<Summary, FetchError> {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut count = 0_u32;
        let mut obeyed = RunState::Run;
        let mut controlled = true;
        self.tell(true);
        self.get_acquainted().await;
        loop {
            let wanted = self.control.borrow_and_update().state;
            if wanted != obeyed {
                match wanted {
                    RunState::Cancel => return Err(FetchError::Cancelled),
                    RunState::Pause => self.step(SchedulerInput::Pause),
                    RunState::Run => self.step(SchedulerInput::Resume),
                }
                obeyed = wanted;
            }
            if let Some(outcome) = self.outcome.take() {
                self.progress();
                outcome?;
                return Ok(Summary {
                    resumed: self.resumed,
                    received: self.received,
                    nodes: self.nodes(),
                });
            }
            tokio::select! {
                Some(report) = self.reports.recv() => self.report(report),
                _ = ticks.tick() => {
                    self.hear();
                    self.tick();
                    self.tell(obeyed == RunState::Run);
                    count += 1;
                    if count.is_multiple_of(PROGRESS_TICKS) {
                        self.progress();
                    }
                }
                changed = self.control.changed(), if controlled => controlled = changed.is_ok(),
                Some(ended) = self.range_requests.join_next() => if let Err(error) = ended && error.is_panic() {
                    return Err(FetchError::Task(error.to_string()));
                },
            }
        }
    }

    /// Gives neighbours a moment to say what they have: whatever is asked of the internet before
    /// that is asked twice.
    async fn get_acquainted(&mut self) {
        let until = Instant::now() + ACQUAINTANCE;
        let mut heard = Vec::new();
        if let Some(peer_source) = &mut self.peer_source {
            while let Ok(Some(event)) =
                tokio::time::timeout_at(until, peer_source.events.recv()).await
            {
                if event == PeerEvent::Acquainted {
                    break;
                }
                heard.push(event);
            }
        }
        // All of it counts before the first request is made.
        self.step(SchedulerInput::Pause);
        self.take_in(heard);
        self.step(SchedulerInput::Resume);
    }

    /// Takes in what is heard of neighbours.
    fn hear(&mut self) {
        let Some(peer_source) = &mut self.peer_source else { return };
        let mut heard = Vec::new();
        while let Ok(event) = peer_source.events.try_recv() {
            heard.push(event);
        }
        self.take_in(heard);
    }

    fn take_in(&mut self, heard: Vec<PeerEvent>) {
        for event in heard {
            let (PeerEvent::Joined { instance, .. }
            | PeerEvent::Updated { instance, .. }
            | PeerEvent::Left { instance }) = event
            else {
                continue;
            };
            let known = self.peers.iter().position(|peer| peer.instance == instance);
            match (event, known.map(|position| self.job.nodes.len() + position)) {
                (PeerEvent::Joined { url, name, .. }, None) if self.has_room_for(&url) => {
                    let node = Node {
                        id: format!("{PEER_ID_PREFIX}{name}"),
                        name,
                        region: PEER_REGION.to_owned(),
                        ..Node::at(url.clone())
                    };
                    self.peers.push(PeerConnection { instance, node });
                    self.addresses.push(url);
                    self.step(SchedulerInput::Joined { instance });
                }
                (
                    PeerEvent::Updated {
                        availability: Availability { held, in_flight, takes_part, received },
                        ..
                    },
                    Some(node),
                ) => {
                    self.step(SchedulerInput::Updated {
                        node,
                        held,
                        in_flight,
                        takes_part,
                        received,
                    });
                }
                (PeerEvent::Left { .. }, Some(node)) => self.step(SchedulerInput::Left { node }),
                _ => {}
            }
        }
    }

    /// Whether one more neighbour at this address may join. Announcements never lead to this
    /// computer: those of its own are in the settings.
    fn has_room_for(&self, url: &Url) -> bool {
        let is_here = matches!(url.host(), Some(Host::Ipv4(address)) if address.is_loopback());
        let of_the_same =
            self.peers.iter().filter(|peer| peer.node.url.host() == url.host()).count();
        self.peers.len() < MAX_PEERS && (is_here || of_the_same < MOST_OF_ONE_ADDRESS)
    }

    /// Tells the neighbours what is here.
    fn tell(&mut self, takes_part: bool) {
        let Some(peer_source) = &self.peer_source else { return };
        let (held, in_flight) = (self.held.clone(), self.scheduler.in_flight());
        let availability = Availability { held, in_flight, takes_part, received: self.received };
        peer_source.availability.send_if_modified(|noted| {
            *noted != availability && {
                *noted = availability;
                true
            }
        });
    }

    fn report(&mut self, report: Report) {
        match report {
            Report::Answered { range_request, seconds } => {
                self.step(SchedulerInput::Answered { range_request, seconds })
            }
            Report::Verified { piece, node } => self.step(SchedulerInput::Verified { piece, node }),
            Report::Wrong { piece, nodes } => self.step(SchedulerInput::Wrong { piece, nodes }),
            Report::Ended { range_request, mut position, fault, begun } => {
                // Whoever takes over a run should know how far it is by now.
                self.count();
                self.handles.remove(&range_request);
                if let Some(begun) = begun {
                    if self.begun.len() < MOST_BEGUN {
                        self.begun.insert(begun.piece, begun);
                    } else {
                        position = self.job.pieces.span(begun.piece).start;
                    }
                }
                self.step(SchedulerInput::Ended { range_request, position, fault });
            }
            Report::Broken(error) => self.outcome = Some(Err(error)),
        }
    }

    /// Reads the lanes' counters.
    fn count(&mut self) {
        let mut arrived = Vec::new();
        for (range_request, (handle, seen)) in &mut self.handles {
            let now = [&handle.received, &handle.passed_over]
                .map(|counter| counter.load(Ordering::Relaxed));
            if now != *seen {
                arrived.push((*range_request, now[0] - seen[0], now[1] - seen[1]));
                *seen = now;
            }
        }
        for (range_request, received, passed_over) in arrived {
            self.received += received;
            if passed_over > 0 {
                self.step(SchedulerInput::PassedOver { range_request, bytes: passed_over });
            }
            if received > 0 {
                self.step(SchedulerInput::Received { range_request, bytes: received });
            }
        }
    }

    fn tick(&mut self) {
        self.count();
        let sum = self.received - self.shown;
        self.shown = self.received;
        let weight = 1.0 - (-TICK.as_secs_f64() / SMOOTHING).exp();
        let age = self.started.elapsed().as_secs_f64();
        // At first a plain mean: smoothing from zero would show a slow start that is none.
        let weight = weight.max((TICK.as_secs_f64() / age.max(TICK.as_secs_f64())).min(1.0));
        self.speed += (sum as f64 / TICK.as_secs_f64() - self.speed) * weight;
        // What fades away of a speed that was is none.
        if sum > 0 {
            self.last_bytes = Instant::now();
        } else if self.last_bytes.elapsed().as_secs_f64() > SMOOTHING {
            self.speed = 0.0;
        }
        self.step(SchedulerInput::Tick { capped: self.shared.throttle.capped() });
    }

    fn step(&mut self, input: SchedulerInput) {
        for effect in self.scheduler.step(self.started.elapsed(), input) {
            match effect {
                Effect::Request(request) => self.request(request),
                Effect::Shorten { range_request, end } => {
                    if let Some((handle, _)) = self.handles.get(&range_request) {
                        handle.end.store(end, Ordering::Relaxed);
                    }
                }
                Effect::Cancel { range_request } => {
                    if let Some((handle, _)) = self.handles.get(&range_request) {
                        handle.cancel.notify_one();
                    }
                }
                Effect::Fault { node, fault, dropped } => {
                    let (id, name) =
                        self.node(node).map_or(("?", "?"), |node| (&node.id, node.label()));
                    tracing::warn!(node = id, kind = ?fault.kind, dropped, "{}", fault.detail);
                    let fault = NodeFault {
                        node: id.to_owned(),
                        name: name.to_owned(),
                        fault: fault.kind,
                        detail: fault.detail,
                        dropped,
                    };
                    self.faults.insert(node, fault.clone());
                    let _ = self.events.send(FetchEvent::Fault(fault));
                }
                Effect::Have { piece } => {
                    self.held.insert(piece);
                    self.journal.written(piece);
                    self.begun.remove(&piece);
                    let _ = self.events.send(FetchEvent::Piece(piece));
                }
                Effect::Finished => self.outcome = Some(Ok(())),
                Effect::GiveUp => {
                    let mut faults: Vec<_> = self.faults.drain().collect();
                    faults.sort_by_key(|(index, _)| *index);
                    let faults = faults.into_iter().map(|(_, fault)| fault).collect();
                    self.outcome = Some(Err(FetchError::NodesFailed {
                        location: self.job.location.clone(),
                        faults,
                    }));
                }
            }
        }
    }

    fn request(&mut self, request: Request) {
        let Some(url) = self.addresses.get(request.node).cloned() else { return };
        let start = self.job.pieces.span(request.pieces.start).start;
        let begun = self
            .begun
            .remove(&request.pieces.start)
            .filter(|begun| start + begun.bytes.len() as u64 == request.bytes.start);
        let first = if begun.is_some() { request.bytes.start } else { start };
        let handle = Arc::new(Handle {
            end: AtomicU32::new(request.pieces.end),
            received: AtomicU64::new(0),
            passed_over: AtomicU64::new(0),
            cancel: Notify::new(),
        });
        let range_request = RangeRequest {
            id: request.range_request,
            node: request.node,
            url,
            bytes: first..request.bytes.end,
            is_peer: request.node >= self.job.nodes.len(),
            whole_allowed: request.whole_allowed,
            answer_within: request.answer_within,
            silence: request.silence,
            begun,
            handle: Arc::clone(&handle),
            shared: Arc::clone(&self.shared),
        };
        self.handles.insert(request.range_request, (handle, [0; 2]));
        self.range_requests.spawn(range_request.run());
    }

    fn progress(&mut self) {
        let missing = self.scheduler.missing_bytes();
        let seconds_left = (self.speed >= 1.0).then(|| (missing as f64 / self.speed).ceil() as u64);
        let total = self.total;
        // Of large pieces on slow lines nothing would be seen for long. What is lost of them again
        // is not taken back: it comes once more.
        let in_flight = self.scheduler.in_flight_bytes().min(missing);
        self.done = self.done.max(total - missing + in_flight);
        let progress = Progress {
            done: self.done,
            total,
            speed: self.speed,
            seconds_left,
            nodes: self.nodes(),
        };
        let _ = self.events.send(FetchEvent::Progress(progress));
    }

    fn nodes(&mut self) -> Vec<NodeProgress> {
        let now = self.started.elapsed();
        let line = |(index, node): (usize, &Node)| {
            let view = self.scheduler.view(now, index);
            NodeProgress {
                id: node.id.clone(),
                name: node.label().to_owned(),
                region: node.region.clone(),
                done: view.map_or(0, |view| view.done),
                speed: view.map_or(0.0, |view| view.speed),
                state: view.map_or(NodeState::Idle, |view| view.state),
            }
        };
        let peers = self.peers.iter().map(|peer| &peer.node);
        let lines: Vec<NodeProgress> =
            self.job.nodes.iter().chain(peers).enumerate().map(line).collect();
        // A neighbour that has given nothing is of no interest.
        let first = self.job.nodes.len();
        let worth = |(index, line): &(usize, NodeProgress)| {
            *index < first || line.done > 0 || line.state == NodeState::Active
        };
        lines.into_iter().enumerate().filter(worth).map(|(_, line)| line).collect()
    }

    fn node(&self, index: usize) -> Option<&Node> {
        let peer = |index: usize| self.peers.get(index).map(|peer| &peer.node);
        self.job.nodes.get(index).or_else(|| peer(index - self.job.nodes.len()))
    }
}
