//! The driver of one download: passes time and reports to the scheduler, and performs its effects.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use url::Url;

use super::job::{Control, DownloadJob, FetchEvent, RunState, Summary};
use super::memory::{Measured, NodeMemory};
use super::partial::{Journal, Partial};
use super::peer_source::PeerSource;
use super::range_request::{Begun, Handle, RangeRequestTask, Report, TransferState};
use super::rate_limit::RateLimit;
use super::scheduler::{
    Effect, Prior, Request, RequestId, Scheduler, SchedulerInput, SchedulerLimits,
};
use super::{Client, FetchError};
use crate::model::transfer::NodeFault;
use crate::model::{Node, PieceSet};
use crate::parallel;

mod peers;
mod progress;

/// Time between two readings of the requests' counters.
const TICK: Duration = Duration::from_millis(100);
/// Ticks between two [`FetchEvent::Progress`].
const PROGRESS_TICKS: u32 = 2;
/// Seconds over which the displayed speed is smoothed.
const SMOOTHING: f64 = 3.0;
/// Memory for pieces in flight, bytes: large pieces mean fewer requests at a time.
const BUFFERS: u64 = 48 << 20;
/// Beginnings of pieces that are retained at most.
const MAX_BEGUN: usize = 16;

/// The parts of a download.
pub(super) struct Setup<'a> {
    pub(super) client: Client,
    pub(super) job: DownloadJob,
    /// The object's address on each of the job's nodes.
    pub(super) addresses: Vec<Url>,
    /// The pieces that are on the disk already.
    pub(super) partial: Partial,
    /// What earlier downloads measured of nodes.
    pub(super) memory: &'a NodeMemory,
    pub(super) control: watch::Receiver<Control>,
    pub(super) events: mpsc::UnboundedSender<FetchEvent>,
    pub(super) peer_source: Option<PeerSource>,
}

/// A peer that the download has learnt of.
struct PeerConnection {
    instance: u64,
    node: Node,
}

/// One download while it runs.
pub(super) struct Driver {
    job: DownloadJob,
    addresses: Vec<Url>,
    scheduler: Scheduler,
    shared: Arc<TransferState>,
    journal: Journal,
    range_requests: JoinSet<()>,
    /// The handle, and the bytes that were counted so far: received and passed over.
    handles: HashMap<RequestId, (Arc<Handle>, [u64; 2])>,
    begun: HashMap<u32, Begun>,
    /// Verified pieces.
    held: PieceSet,
    peer_source: Option<PeerSource>,
    /// Peers, in the order in which the scheduler learnt of them; they follow the job's nodes.
    peers: Vec<PeerConnection>,
    reports: mpsc::UnboundedReceiver<Report>,
    control: watch::Receiver<Control>,
    events: mpsc::UnboundedSender<FetchEvent>,
    faults: HashMap<usize, NodeFault>,
    started: Instant,
    resumed: u64,
    /// Bytes of all wanted pieces.
    total: u64,
    received: u64,
    last_bytes: Instant,
    /// Bytes that were reported as done.
    done: u64,
    /// Of these, the bytes that the speed includes already.
    shown: u64,
    speed: f64,
    outcome: Option<Result<(), FetchError>>,
}

/// What is known of a node from earlier downloads.
fn prior(memory: &NodeMemory, node: &Node) -> Option<Prior> {
    let Measured { bytes_per_second, latency_seconds, connections, .. } = memory.of(node)?;
    Some(Prior { bytes_per_second, latency_seconds, connections: connections as usize })
}

/// The scheduler's limits for a job. The pieces of all requests together fit [`BUFFERS`].
fn limits(job: &DownloadJob, instance: u64) -> SchedulerLimits {
    let room = BUFFERS / u64::from(job.pieces.piece_size).max(1) / job.nodes.len() as u64;
    let max_requests = job.connections.1.min(usize::try_from(room).unwrap_or(usize::MAX)).max(2);
    SchedulerLimits {
        first_requests: job.connections.0.clamp(1, max_requests),
        max_requests,
        timeout: job.timeout,
        seed: fastrand::u64(..),
        instance,
    }
}

impl Driver {
    pub(super) fn new(setup: Setup<'_>) -> Result<Self, FetchError> {
        let Setup { client, job, addresses, partial, memory, control, events, peer_source } = setup;
        let (sender, reports) = mpsc::unbounded_channel();
        let priors: Vec<Option<Prior>> = job.nodes.iter().map(|node| prior(memory, node)).collect();
        let instance = peer_source.as_ref().map_or(0, |peer_source| peer_source.instance);
        let limits = limits(&job, instance);
        let held: Vec<u32> = partial.held().collect();
        let held_set = PieceSet::of(job.pieces.count(), held.iter().copied());
        // The scheduler treats an unwanted piece as done.
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
        let shared = Arc::new(TransferState {
            client,
            table: Arc::clone(&job.pieces),
            object_length: job.object_length,
            file,
            rate_limit: RateLimit::new(control.clone()),
            reports: sender,
            hashing: Arc::new(Semaphore::new(parallel::workers() + 1)),
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

    /// Runs until the download ends.
    pub(super) async fn run(&mut self) -> Result<Summary, FetchError> {
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

    fn report(&mut self, report: Report) {
        match report {
            Report::Answered { range_request, seconds } => {
                self.step(SchedulerInput::Answered { range_request, seconds })
            }
            Report::Verified { piece, node } => self.step(SchedulerInput::Verified { piece, node }),
            Report::Wrong { piece, nodes } => self.step(SchedulerInput::Wrong { piece, nodes }),
            Report::Ended { range_request, mut position, fault, begun } => {
                // The node that takes the rest of a run should know how far the request is by now.
                self.count();
                self.handles.remove(&range_request);
                if let Some(begun) = begun {
                    if self.begun.len() < MAX_BEGUN {
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

    /// Reads the counters of the range requests.
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
        // At first a plain mean: smoothing from zero would show a slow start that did not happen.
        let weight = weight.max((TICK.as_secs_f64() / age.max(TICK.as_secs_f64())).min(1.0));
        self.speed += (sum as f64 / TICK.as_secs_f64() - self.speed) * weight;
        // After a silence, the rest of the smoothed speed counts as no speed.
        if sum > 0 {
            self.last_bytes = Instant::now();
        } else if self.last_bytes.elapsed().as_secs_f64() > SMOOTHING {
            self.speed = 0.0;
        }
        self.step(SchedulerInput::Tick { capped: self.shared.rate_limit.is_set() });
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
        let range_request = RangeRequestTask {
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

    /// Ends all requests, and returns what the caller still needs: the job, what the scheduler
    /// measured, the journal, and whether a limit has slowed the nodes.
    pub(super) async fn finish(mut self) -> (DownloadJob, Scheduler, Journal, bool) {
        self.tell(false);
        self.range_requests.shutdown().await;
        let Self { journal, job, scheduler, shared, .. } = self;
        (job, scheduler, journal, shared.rate_limit.has_slowed())
    }
}
