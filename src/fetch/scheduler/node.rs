//! What the scheduler knows of one node: its rate, its faults and when it is tried again, and how
//! many range requests serve it best.

use std::time::Duration;

use super::meter::Meter;
use crate::backoff::Backoff;
use crate::model::transfer::{FaultKind, NodeState};

/// Pauses after faults in a row.
const BACKOFF: Backoff =
    Backoff { first: Duration::from_millis(500), longest: Duration::from_secs(30) };
/// Seconds that a node may ask for as a pause.
const MAX_RETRY_AFTER_SECONDS: f64 = 60.0;
/// Pause in seconds after a request that ended early and still brought something.
const USEFUL_REQUEST_PAUSE: f64 = 0.1;
/// Faults in a row, and in all, after which the scheduler leaves a node while others do the work.
const MAX_FAULTS: (u32, u32) = (3, 12);
/// The longest timeout of a node, however often it was late.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// Refusals (the node does not have the object) and wrong pieces after which a node is left for
/// good, while there is no other node. Of several servers under one name, some may not have the
/// object yet. A cache on the way may be damaged.
const MAX_REFUSALS: u32 = 4;
const MAX_WRONG_PIECES: u32 = 3;
/// The driver reports bytes ten times a second: a shorter silence means nothing.
const USUAL_GAP: f64 = 0.2;
/// Assumed seconds until an answer begins, before any was measured.
pub(super) const ASSUMED_LATENCY: f64 = 0.3;

/// Whether the scheduler may ask a node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Standing {
    Ready,
    /// Paused; may be asked again at this time.
    Waiting(f64),
    /// Left while others do the work; if they fail too, it may be asked again at this time.
    Left(f64),
    /// Left for good: it sends wrong bytes, or has another file.
    Banned,
}

/// A node as the scheduler sees it.
pub(super) struct Node {
    pub standing: Standing,
    /// Requests in flight.
    pub active: usize,
    /// Verified bytes.
    pub verified: u64,
    /// The node answers range requests with the whole object: it gets one request with a long run.
    pub sends_whole: bool,
    /// The node was left because it got nowhere, and has proved no piece since.
    pub crawls: bool,
    pub climb: Climb,
    latency: Option<f64>,
    known_rate: Option<f64>,
    best_rate: f64,
    meter: Option<Meter>,
    /// Bytes, proved or not.
    received: u64,
    /// When bytes came last.
    last_bytes: f64,
    /// When it was last set to work after a pause.
    last_begun: f64,
    /// Faults in a row.
    strikes: u32,
    /// Faults in all.
    faults: u32,
    /// Timeouts since it last delivered: before its answer, and within it.
    timeouts: (u32, u32),
    /// The longest silence that ended with bytes, seconds.
    longest_gap: f64,
    /// Answers since it last delivered that refuse the object.
    refusals: u32,
    /// Pieces of this node that had a wrong hash.
    wrong: u32,
}

impl Node {
    pub(super) fn new(prior: Option<super::Prior>, range_requests: (usize, usize)) -> Self {
        let wanted =
            prior.map_or(range_requests.0, |prior| prior.connections).clamp(1, range_requests.1);
        Self {
            standing: Standing::Ready,
            active: 0,
            verified: 0,
            sends_whole: false,
            crawls: false,
            climb: Climb::new(wanted, range_requests.1),
            latency: prior.map(|prior| prior.latency_seconds),
            known_rate: prior.map(|prior| prior.bytes_per_second),
            best_rate: 0.0,
            meter: None,
            received: 0,
            last_bytes: f64::NEG_INFINITY,
            last_begun: f64::NEG_INFINITY,
            strikes: 0,
            faults: 0,
            timeouts: (0, 0),
            longest_gap: 0.0,
            refusals: 0,
            wrong: 0,
        }
    }

    /// Range requests that the node should have now; one after a fault, to try it again.
    pub(super) fn range_requests(&self) -> usize {
        if self.sends_whole || self.strikes > 0 { 1 } else { self.climb.wanted }
    }

    /// Bytes a second: measured if the node is at work, else the last known rate.
    pub(super) fn rate(&mut self, now: f64) -> Option<f64> {
        let measured = self.meter.as_mut().and_then(|meter| meter.rate(now));
        measured.or(self.known_rate)
    }

    /// Bytes a second right now, for display.
    pub(super) fn speed(&mut self, now: f64) -> f64 {
        self.meter.as_mut().and_then(|meter| meter.rate(now)).unwrap_or(0.0)
    }

    /// The rate that one more range request would get; `None` before anything is known.
    pub(super) fn request_rate(&mut self, now: f64) -> Option<f64> {
        let range_requests =
            if self.active > 0 { self.active + 1 } else { self.range_requests().max(1) };
        self.rate(now).map(|rate| rate / range_requests as f64)
    }

    /// Seconds from a request to its first byte.
    pub(super) fn latency(&self) -> f64 {
        self.latency.unwrap_or(ASSUMED_LATENCY)
    }

    /// What the memory should store: rate, latency, number of requests; `None` if this download has
    /// not measured the node.
    pub(super) fn measured(&self) -> Option<super::Prior> {
        let latency_seconds = self.latency.filter(|_| self.best_rate > 0.0)?;
        Some(super::Prior {
            bytes_per_second: self.best_rate,
            latency_seconds,
            connections: self.climb.settled(),
        })
    }

    /// A request begins.
    pub(super) fn began(&mut self, now: f64) {
        if self.active == 0 {
            self.meter = None;
            self.climb.restart(now);
            self.last_begun = now;
        }
        self.active += 1;
    }

    /// An answer began after `seconds`.
    pub(super) fn answered(&mut self, now: f64, seconds: f64) {
        // Rises slowly and falls fast: a queue or a handshake adds to the latency of an answer, and
        // is no part of the node's distance.
        self.latency = Some(self.latency.map_or(seconds, |old| {
            if seconds < old { (old + seconds) / 2.0 } else { old * 0.9 + seconds * 0.1 }
        }));
        self.meter.get_or_insert_with(|| Meter::new(now));
    }

    /// How long the node's next answer may take to begin, and how long it may be silent later, in
    /// seconds. A distant or busy node is not a dead node. Both times grow with the latency and the
    /// gaps of its answers, and double with each timeout until it delivers.
    pub(super) fn limits(&self) -> (f64, f64) {
        let grown = |least: f64, timeouts: u32| {
            let first = Duration::try_from_secs_f64(least).unwrap_or(MAX_WAIT);
            Backoff { first, longest: MAX_WAIT }.pause(timeouts.saturating_add(1)).as_secs_f64()
        };
        let answer = (10.0 * self.latency()).clamp(4.0, 15.0).max(2.5 * self.latency());
        let silence = (8.0 * self.latency()).clamp(2.5, 10.0).max(2.5 * self.longest_gap);
        (grown(answer, self.timeouts.0), grown(silence, self.timeouts.1))
    }

    /// A request ended because nothing came in time: no answer at all, or no more bytes of an
    /// answer that had `begun`.
    pub(super) fn timed_out(&mut self, begun: bool) {
        // One outage ends all requests to a node, and counts once.
        if self.standing == Standing::Ready {
            let timeouts = if begun { &mut self.timeouts.1 } else { &mut self.timeouts.0 };
            *timeouts += 1;
        }
    }

    /// Bytes came after so many seconds of silence within an answer.
    pub(super) fn waited(&mut self, seconds: f64) {
        self.longest_gap = self.longest_gap.max(seconds);
    }

    /// Bytes arrived.
    pub(super) fn received(&mut self, now: f64, bytes: u64) {
        self.received += bytes;
        self.last_bytes = now;
        self.meter.get_or_insert_with(|| Meter::new(now)).add(now, bytes);
    }

    /// A request ended.
    pub(super) fn ended(&mut self, now: f64) {
        self.active = self.active.saturating_sub(1);
        if self.active == 0
            && let Some(mut meter) = self.meter.take()
            && self.standing == Standing::Ready
            && let Some(rate) = meter.rate(now).or_else(|| meter.burst(now))
        {
            // This also records the rate of a node that did all of its work before the first tick.
            self.known_rate = Some(rate);
            self.best_rate = self.best_rate.max(rate);
        }
    }

    /// A piece of the node has its signed hash.
    pub(super) fn proved(&mut self, bytes: u64) {
        self.verified += bytes;
        self.strikes = 0;
        self.crawls = false;
        self.timeouts = (0, 0);
        self.refusals = 0;
    }

    /// Takes in the time: ends pauses, and adapts the number of range requests to the rate. The
    /// number stays as it is while `held` (a rate limit is set, or little is left to do).
    pub(super) fn tick(&mut self, now: f64, held: bool) {
        if matches!(self.standing, Standing::Waiting(until) if until <= now) {
            self.standing = Standing::Ready;
        }
        // Silence must not be recorded as a rate of zero.
        if self.strikes == 0
            && self.sent_within(now, 1.0)
            && let Some(rate) = self.meter.as_mut().and_then(|meter| meter.rate(now))
        {
            self.known_rate = Some(rate.max(1.0));
            self.best_rate = self.best_rate.max(rate);
        }
        let full = self.active >= self.climb.wanted && !held && self.strikes == 0;
        self.climb.tick(now, self.received, full, self.latency());
    }

    /// Whether bytes came within the last `seconds`.
    pub(super) fn sent_within(&self, now: f64, seconds: f64) -> bool {
        now - self.last_bytes <= seconds
    }

    /// Seconds for which it is usually silent while it is at work.
    pub(super) fn usual_silence(&self) -> f64 {
        (2.0 * self.latency()).max(USUAL_GAP)
    }

    /// Seconds of silence beyond the usual ones; 0 if it is not at work.
    pub(super) fn silence(&self, now: f64) -> f64 {
        let since = self.last_bytes.max(self.last_begun);
        if self.active > 0 { (now - since - self.usual_silence()).max(0.0) } else { 0.0 }
    }

    /// Seconds for which it has been at work without a pause; 0 if it is not at work.
    pub(super) fn works_since(&self, now: f64) -> f64 {
        if self.active > 0 { now - self.last_begun } else { 0.0 }
    }

    /// Whether the node delivers, or was asked just now.
    pub(super) fn healthy(&self, now: f64) -> bool {
        let at_work =
            self.active == 0 || self.sent_within(now, 3.0) || now - self.last_begun <= 3.0;
        self.standing == Standing::Ready && self.strikes == 0 && !self.sends_whole && at_work
    }

    /// Counts a temporary fault. `fruitful` says that the request brought useful bytes, `jitter` is
    /// in 0..1, `others` says whether other nodes do the work. Returns `None` if the fault is known
    /// already (one outage ends all requests to a node, and counts once), else whether the node is
    /// left.
    pub(super) fn fault(
        &mut self,
        now: f64,
        fault: &super::Fault,
        fruitful: bool,
        jitter: f64,
        others: bool,
    ) -> Option<bool> {
        if self.standing != Standing::Ready {
            return None;
        }
        // The rate during an outage says nothing about the rate after it.
        self.known_rate = None;
        if fault.kind == FaultKind::IgnoredRange {
            self.sends_whole = true;
        }
        self.faults += 1;
        let pause = if fruitful {
            self.strikes = self.strikes.max(1);
            USEFUL_REQUEST_PAUSE
        } else {
            self.strikes += 1;
            BACKOFF.pause(self.strikes).as_secs_f64()
        };
        let pause = pause * (0.75 + 0.5 * jitter);
        let until = now
            + fault
                .retry_after
                .map_or(pause, |seconds| seconds.clamp(pause, MAX_RETRY_AFTER_SECONDS));
        let enough = fault.lasting
            || self.sends_whole
            || self.strikes >= MAX_FAULTS.0
            || self.faults >= MAX_FAULTS.1;
        self.standing =
            if enough && others { Standing::Left(until) } else { Standing::Waiting(until) };
        Some(matches!(self.standing, Standing::Left(_)))
    }

    /// Counts a fault that is likely to last, and returns whether to leave the node for good.
    pub(super) fn is_hopeless(&mut self, fault: &super::Fault, others: bool) -> bool {
        if fault.kind == FaultKind::WrongBytes {
            self.wrong += 1;
            return others || self.wrong >= MAX_WRONG_PIECES;
        }
        if self.standing == Standing::Ready {
            self.refusals += 1;
        }
        self.refusals >= MAX_REFUSALS
    }

    /// Whether the next range request is only a trial.
    pub(super) fn tries_more_requests(&self) -> bool {
        self.active >= self.climb.settled()
    }

    /// Whether the node delivers: it has done so in this download or, as far as is known, before,
    /// and has not failed since.
    pub(super) fn has_delivered(&self) -> bool {
        self.strikes == 0 && (self.verified > 0 || (self.known_rate.is_some() && self.faults == 0))
    }

    /// Whether the node failed last time, so that it may well fail again.
    pub(super) fn on_trial(&self) -> bool {
        self.strikes > 0
    }

    /// The state that users see.
    pub(super) fn state(&self, now: f64) -> NodeState {
        match self.standing {
            // Asked again after a fault: only bytes show that the node works again.
            Standing::Ready if self.strikes > 0 && !self.sent_within(now, 2.0) => {
                NodeState::Waiting
            }
            Standing::Ready if self.active > 0 => NodeState::Active,
            Standing::Ready => NodeState::Idle,
            Standing::Waiting(_) => NodeState::Waiting,
            Standing::Left(_) | Standing::Banned => NodeState::Dropped,
        }
    }
}

/// The rate must rise by this factor, or the doubled number of requests is not retained.
const GAIN: f64 = 1.08;
/// Seconds until the next trial after one without a gain; doubles each time.
const HOLD: f64 = 3.0;

/// Hill-climbing over the number of range requests. It doubles the number, and goes back if the
/// rate did not rise enough. Lossy links gain from many requests (each loss halves only one of
/// them). Clean links gain nothing after the first few.
pub(super) struct Climb {
    /// Number of range requests that the node should have now.
    pub wanted: usize,
    most: usize,
    /// Number of requests and rate before the present trial.
    trial: Option<(usize, f64)>,
    began: f64,
    /// Time and received bytes at the start of the measurement.
    mark: Option<(f64, u64)>,
    next_trial: f64,
    hold: f64,
}

impl Climb {
    fn new(wanted: usize, most: usize) -> Self {
        Self { wanted, most, trial: None, began: 0.0, mark: None, next_trial: 0.0, hold: HOLD }
    }

    /// The number of range requests that proved best so far.
    fn settled(&self) -> usize {
        self.trial.map_or(self.wanted, |(range_requests, _)| range_requests)
    }

    fn restart(&mut self, now: f64) {
        self.began = now;
        self.mark = None;
    }

    fn tick(&mut self, now: f64, received: u64, full: bool, latency: f64) {
        if !full {
            // A measurement without all requests at work means nothing; begin again when they are.
            return self.restart(now);
        }
        // New connections ramp up over some round trips. Short trials find within seconds that a
        // lossy link needs many requests. A trial that failed by chance is repeated.
        let (settle, measure) = ((2.0 * latency).max(0.2), (6.0 * latency).max(0.3));
        let (from, bytes) = match self.mark {
            None if now >= self.began + settle => *self.mark.insert((now, received)),
            None => return,
            Some(mark) => mark,
        };
        if now < from + measure {
            return;
        }
        let rate = received.saturating_sub(bytes) as f64 / (now - from);
        match self.trial.take() {
            Some((range_requests, before)) if rate < before * GAIN => {
                self.wanted = range_requests;
                self.next_trial = now + self.hold;
                self.hold *= 2.0;
            }
            None if now < self.next_trial => {}
            _ if self.wanted < self.most => {
                self.trial = Some((self.wanted, rate));
                self.wanted = (self.wanted * 2).min(self.most);
            }
            _ => {}
        }
        self.restart(now);
    }
}
