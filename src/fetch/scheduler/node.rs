//! What the scheduler knows of one node: its rate, its faults, and how many lanes serve it best.

use std::time::Duration;

use super::meter::Meter;
use crate::backoff::Backoff;
use crate::model::transfer::{FaultKind, NodeState};

/// Pauses after faults in a row.
const BACKOFF: Backoff =
    Backoff { first: Duration::from_millis(500), longest: Duration::from_secs(30) };
/// Seconds for which a node may ask to be left alone.
const LONGEST_RETRY_AFTER: f64 = 60.0;
/// Pause after a request that ended early and yet brought something, seconds.
const FRUITFUL_PAUSE: f64 = 0.1;
/// Faults in a row, and in all, after which a node is left while others do the work.
const STRIKES: (u32, u32) = (3, 12);
/// Seconds that a node may be waited for at most, however often it was late.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Times that a node may say that it does not have the object, and pieces that may be wrong, before
/// it is left for good, while there is nobody else: of several servers under one name some may not
/// have it yet, and a cache on the way may be damaged.
const REFUSALS: u32 = 4;
const WRONG: u32 = 3;
/// Seconds a lane's answer is assumed to take before any was measured.
pub(super) const ASSUMED_LATENCY: f64 = 0.3;

/// Whether a node may be asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Standing {
    Ready,
    /// Asked again when the time has come.
    Waiting(f64),
    /// Left while others do the work; if they fail too, asked again when the time has come.
    Left(f64),
    /// Left for good: it sends wrong bytes, or has another file.
    Banned,
}

/// One node.
pub(super) struct Node {
    pub standing: Standing,
    /// Requests in flight.
    pub active: usize,
    /// Verified bytes.
    pub verified: u64,
    /// Answers Range requests with the whole object: one lane, one long run.
    pub sends_whole: bool,
    /// It was left since it got nowhere, and has proved nothing since.
    pub crawls: bool,
    pub climb: Climb,
    latency: Option<f64>,
    known_rate: Option<f64>,
    best_rate: f64,
    meter: Option<Meter>,
    received: u64,
    last_bytes: f64,
    last_begun: f64,
    strikes: u32,
    faults: u32,
    /// Time-outs since it last delivered: before its answer, and within it.
    timeouts: (u32, u32),
    /// The longest silence that ended with bytes, seconds.
    longest_gap: f64,
    /// Answers since it last delivered that say that it does not have the object.
    refusals: u32,
    /// Pieces that were wrong.
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

    /// Lanes it should have now: one to try it again after a fault.
    pub(super) fn range_requests(&self) -> usize {
        if self.sends_whole || self.strikes > 0 { 1 } else { self.climb.wanted }
    }

    /// Bytes a second: measured if it is at work, else as last known.
    pub(super) fn rate(&mut self, now: f64) -> Option<f64> {
        let measured = self.meter.as_mut().and_then(|meter| meter.rate(now));
        measured.or(self.known_rate)
    }

    /// Bytes a second right now, for people.
    pub(super) fn speed(&mut self, now: f64) -> f64 {
        self.meter.as_mut().and_then(|meter| meter.rate(now)).unwrap_or(0.0)
    }

    /// What one more lane would get; `None` before anything is known.
    pub(super) fn request_rate(&mut self, now: f64) -> Option<f64> {
        let range_requests =
            if self.active > 0 { self.active + 1 } else { self.range_requests().max(1) };
        self.rate(now).map(|rate| rate / range_requests as f64)
    }

    /// Seconds from a request to its first byte.
    pub(super) fn latency(&self) -> f64 {
        self.latency.unwrap_or(ASSUMED_LATENCY)
    }

    /// What is worth remembering: rate, latency, lanes; `None` if it was never measured here.
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
        // Rises slowly, falls fast: a queue or a handshake is not the node's distance.
        self.latency = Some(self.latency.map_or(seconds, |old| {
            if seconds < old { (old + seconds) / 2.0 } else { old * 0.9 + seconds * 0.1 }
        }));
        self.meter.get_or_insert_with(|| Meter::new(now));
    }

    /// How long its next answer may take to begin, and how long it may be silent later, seconds. A
    /// far or busy node is no dead node: both grow with what its answers take, and double with each
    /// time-out until it delivers.
    pub(super) fn limits(&self) -> (f64, f64) {
        let grown = |least: f64, timeouts: u32| {
            let first = Duration::try_from_secs_f64(least).unwrap_or(LONGEST_WAIT);
            Backoff { first, longest: LONGEST_WAIT }.pause(timeouts.saturating_add(1)).as_secs_f64()
        };
        let answer = (10.0 * self.latency()).clamp(4.0, 15.0).max(2.5 * self.latency());
        let silence = (8.0 * self.latency()).clamp(2.5, 10.0).max(2.5 * self.longest_gap);
        (grown(answer, self.timeouts.0), grown(silence, self.timeouts.1))
    }

    /// A request ended since nothing came in time: no answer, or nothing more of one that had
    /// `begun`.
    pub(super) fn timed_out(&mut self, begun: bool) {
        // One outage ends all requests of a node, and counts once.
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
            // Also a node that did all of its work before the first look at the clock should be
            // known.
            self.known_rate = Some(rate);
            self.best_rate = self.best_rate.max(rate);
        }
    }

    /// A piece proved right.
    pub(super) fn proved(&mut self, bytes: u64) {
        self.verified += bytes;
        self.strikes = 0;
        self.crawls = false;
        self.timeouts = (0, 0);
        self.refusals = 0;
    }

    /// Looks at the clock: ends pauses, follows the rate with the number of lanes unless `held` (a
    /// cap, or little left to do).
    pub(super) fn tick(&mut self, now: f64, held: bool) {
        if matches!(self.standing, Standing::Waiting(until) if until <= now) {
            self.standing = Standing::Ready;
        }
        // A node that fell silent is not remembered as one that has no rate at all.
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

    /// Seconds for which it has been at work without a pause; 0 if it is not.
    pub(super) fn works_since(&self, now: f64) -> f64 {
        if self.active > 0 { now - self.last_begun } else { 0.0 }
    }

    /// Whether it does its work, or was asked just now.
    pub(super) fn healthy(&self, now: f64) -> bool {
        let at_work =
            self.active == 0 || self.sent_within(now, 3.0) || now - self.last_begun <= 3.0;
        self.standing == Standing::Ready && self.strikes == 0 && !self.sends_whole && at_work
    }

    /// A fault that may pass. `fruitful` says that the request brought something to keep, `jitter`
    /// is in 0..1, `others` says whether other nodes do the work. `None` if the fault is no news
    /// (one outage ends all lanes of a node, and counts once), else whether the node is left.
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
        // What it did while it fell silent says nothing about what it does when it is back.
        self.known_rate = None;
        if fault.kind == FaultKind::IgnoredRange {
            self.sends_whole = true;
        }
        self.faults += 1;
        let pause = if fruitful {
            self.strikes = self.strikes.max(1);
            FRUITFUL_PAUSE
        } else {
            self.strikes += 1;
            BACKOFF.pause(self.strikes).as_secs_f64()
        };
        let pause = pause * (0.75 + 0.5 * jitter);
        let until = now
            + fault.retry_after.map_or(pause, |seconds| seconds.clamp(pause, LONGEST_RETRY_AFTER));
        let enough = fault.lasting
            || self.sends_whole
            || self.strikes >= STRIKES.0
            || self.faults >= STRIKES.1;
        self.standing =
            if enough && others { Standing::Left(until) } else { Standing::Waiting(until) };
        Some(matches!(self.standing, Standing::Left(_)))
    }

    /// Counts a fault that is likely to last; whether it is enough to leave the node for good.
    pub(super) fn is_hopeless(&mut self, fault: &super::Fault, others: bool) -> bool {
        if fault.kind == FaultKind::WrongBytes {
            self.wrong += 1;
            return others || self.wrong >= WRONG;
        }
        if self.standing == Standing::Ready {
            self.refusals += 1;
        }
        self.refusals >= REFUSALS
    }

    /// Whether the next lane is there only to see whether it helps.
    pub(super) fn tries_more_requests(&self) -> bool {
        self.active >= self.climb.settled()
    }

    /// Whether it failed last time, so that it may well fail again.
    pub(super) fn on_trial(&self) -> bool {
        self.strikes > 0
    }

    /// What people see.
    pub(super) fn state(&self, now: f64) -> NodeState {
        match self.standing {
            // Asked again after a fault: whether that helps is not known before it sends something.
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

/// A rise of the rate that doubling the lanes must bring to be kept.
const GAIN: f64 = 1.08;
/// Seconds before the next trial after one that brought nothing; doubles each time.
const HOLD: f64 = 3.0;

/// Hill-climbing over the number of lanes: double them, keep that if the rate rose by enough, else
/// go back. Lossy links gain up to many lanes (each loss halves only one of them), clean ones gain
/// nothing after the first few.
pub(super) struct Climb {
    /// Lanes wanted now.
    pub wanted: usize,
    most: usize,
    /// Lanes and rate before the trial that is running.
    trial: Option<(usize, f64)>,
    began: f64,
    /// Time and bytes at the start of the measurement.
    mark: Option<(f64, u64)>,
    next_trial: f64,
    hold: f64,
}

impl Climb {
    fn new(wanted: usize, most: usize) -> Self {
        Self { wanted, most, trial: None, began: 0.0, mark: None, next_trial: 0.0, hold: HOLD }
    }

    /// The number of lanes that proved best so far.
    fn settled(&self) -> usize {
        self.trial.map_or(self.wanted, |(range_requests, _)| range_requests)
    }

    fn restart(&mut self, now: f64) {
        self.began = now;
        self.mark = None;
    }

    fn tick(&mut self, now: f64, received: u64, full: bool, latency: f64) {
        if !full {
            // Without all lanes at work a measurement says nothing; begin again when they are.
            return self.restart(now);
        }
        // New connections ramp up over some round trips. Short trials find a lossy link's many
        // lanes within seconds; one that chance has spoilt is repeated.
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
