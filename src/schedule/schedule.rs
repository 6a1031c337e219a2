//! Decides when to look for a release while the app runs: a pure core without clock, network or
//! thread.
//!
//! In: the time since the launcher's start, inputs ([`ScheduleInput`]), the conditions of power and
//! network. Out: a [`Check`] to make now, and when to look at the clock again ([`Schedule::next`]).
//! Never: a burst. However many hints arrive and however often the computer wakes up, the number of
//! automatic checks is bounded. They are spread, so that thousands of launchers do not ask in the
//! same second.

use std::time::Duration;

use crate::host::Conditions;
use crate::settings::{Background, UpdateSettings};

/// Wait before the first retry of a failed check. It doubles with each further failure, up to the
/// interval.
const FIRST_RETRY: Duration = Duration::from_secs(5 * 60);
/// Minimum time between two checks that hints cause, however many hints come.
const BETWEEN_HINTS: Duration = Duration::from_secs(5 * 60);
/// Time until conditions that forbid a check are looked at again.
const POSTPONED: Duration = Duration::from_secs(15 * 60);
/// Time that a network needs to come back after sleep.
const AFTER_SLEEP: Duration = Duration::from_secs(5);
/// Launchers that wake at the same time (in an office in the morning) are spread over this time.
const SPREAD_AFTER_SLEEP: Duration = Duration::from_secs(55);
/// A check counts as failed when its end is not reported within this time.
const MAX_CHECK: Duration = Duration::from_secs(10 * 60);
/// Largest random change of an interval, as a share of it.
const JITTER: f64 = 0.1;
/// The same for retries: what failed for all clients at once must not be asked by all at once.
const JITTER_OF_RETRIES: f64 = 0.5;

/// The settings that the schedule uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Time from the start to the first check.
    pub delay: Duration,
    /// Time from the end of a check to the next one.
    pub interval: Duration,
    /// Launchers that get the same hint are spread over this time.
    pub hint_spread: Duration,
    /// What is allowed on a metered network.
    pub on_metered: Background,
    /// What is allowed on a low battery, or when the system saves power.
    pub on_low_battery: Background,
}

impl Rules {
    /// The rules that the settings contain.
    pub fn of(settings: &UpdateSettings) -> Self {
        Self {
            delay: Duration::from_secs(settings.delay_seconds),
            interval: settings.check_interval(),
            hint_spread: Duration::from_secs(settings.push_spread_seconds),
            on_metered: settings.on_metered,
            on_low_battery: settings.on_low_battery,
        }
    }

    /// What is allowed in the background under these conditions. Unknown conditions count as an
    /// ordinary network and mains power.
    pub fn permitted(&self, conditions: &Conditions) -> Permitted {
        let is = |answer: Option<bool>| answer.unwrap_or(false);
        let metered = is(conditions.metered);
        let low = is(conditions.saver) || is(conditions.on_battery) && is(conditions.battery_low);
        let limits = [(metered, self.on_metered), (low, self.on_low_battery)];
        let least = limits
            .into_iter()
            .filter(|(applies, _)| *applies)
            .map(|(_, limit)| limit)
            .min()
            .unwrap_or(Background::All);
        Permitted { check: least >= Background::Check, prefetch: least == Background::All }
    }
}

/// What the launcher may do without a person's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permitted {
    /// Whether to ask for a release: some kilobytes.
    pub check: bool,
    /// Whether to fetch it as well, and to give pieces of it to peers: megabytes.
    pub prefetch: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScheduleInput {
    /// The time that [`Schedule::next`] gave has come; with the conditions at this moment.
    Due(Conditions),
    /// A check has ended, whatever began it.
    Ended(CheckEnd),
    /// A hint, without any authority, that there may be a new release.
    Hint,
    /// The computer slept, and the time since the start does not include `uncounted` of that.
    Woken {
        /// Time that is missing in the time since the start.
        uncounted: Duration,
    },
    /// A person asks for a check now.
    Asked,
}

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckEnd {
    /// The repository answered: there is a release, or there is none.
    Answered,
    /// The repository did not answer, or its answer could not be verified.
    Failed,
}

/// A check to make now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// What led to it.
    pub reason: Reason,
    /// Whether the launcher may fetch the release without a request, if the settings allow it.
    pub prefetch: bool,
}

/// What led to a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The launcher has started.
    Start,
    /// The interval is over.
    Interval,
    /// The check before failed.
    Retry,
    /// A hint came.
    Hint,
    /// The time of the check passed while the computer slept.
    Woken,
    /// A person asked.
    Asked,
}

/// The schedule of one launcher, from its start to its end.
#[derive(Debug)]
pub struct Schedule {
    rules: Rules,
    random: fastrand::Rng,
    state: ScheduleState,
    failures: u32,
    last_hint: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
enum ScheduleState {
    Waiting { due: Duration, reason: Reason },
    Checking { since: Duration, hinted: bool },
}

impl Schedule {
    /// The schedule at the launcher's start. Every launcher needs its own `seed`.
    pub fn new(rules: Rules, seed: u64) -> Self {
        let state = ScheduleState::Waiting { due: rules.delay, reason: Reason::Start };
        Self { rules, random: fastrand::Rng::with_seed(seed), state, failures: 0, last_hint: None }
    }

    /// When to send [`ScheduleInput::Due`], as time since the start.
    pub fn next(&self) -> Duration {
        match self.state {
            ScheduleState::Waiting { due, .. } => due,
            ScheduleState::Checking { since, .. } => since + MAX_CHECK,
        }
    }

    /// Takes in an input at `now`, the time since the start; returns a check to make now.
    pub fn step(&mut self, now: Duration, input: ScheduleInput) -> Option<Check> {
        match (input, self.state) {
            (ScheduleInput::Due(conditions), ScheduleState::Waiting { due, reason })
                if now >= due =>
            {
                self.due(now, reason, &conditions)
            }
            (ScheduleInput::Due(_), ScheduleState::Checking { since, .. })
                if now >= since + MAX_CHECK =>
            {
                self.ended(now, CheckEnd::Failed);
                None
            }
            (ScheduleInput::Ended(outcome), _) => {
                self.ended(now, outcome);
                None
            }
            (ScheduleInput::Hint, ScheduleState::Waiting { reason, .. })
                if reason != Reason::Hint =>
            {
                self.hint(now);
                None
            }
            // The check in flight may have an answer that is older than the hint.
            (ScheduleInput::Hint, ScheduleState::Checking { since, .. }) => {
                self.state = ScheduleState::Checking { since, hinted: true };
                None
            }
            (ScheduleInput::Woken { uncounted }, ScheduleState::Waiting { due, reason }) => {
                self.woken(now, due.saturating_sub(uncounted), reason);
                None
            }
            (ScheduleInput::Asked, ScheduleState::Waiting { .. }) => {
                self.state = ScheduleState::Checking { since: now, hinted: false };
                Some(Check { reason: Reason::Asked, prefetch: true })
            }
            _ => None,
        }
    }

    fn due(&mut self, now: Duration, reason: Reason, conditions: &Conditions) -> Option<Check> {
        let permitted = self.rules.permitted(conditions);
        if !permitted.check {
            let due = now + self.jittered(POSTPONED.min(self.rules.interval), JITTER_OF_RETRIES);
            self.state = ScheduleState::Waiting { due, reason };
            return None;
        }
        if reason == Reason::Hint {
            self.last_hint = Some(now);
        }
        self.state = ScheduleState::Checking { since: now, hinted: false };
        Some(Check { reason, prefetch: permitted.prefetch })
    }

    fn ended(&mut self, now: Duration, outcome: CheckEnd) {
        let hinted = matches!(self.state, ScheduleState::Checking { hinted: true, .. });
        let (wait, reason) = match outcome {
            CheckEnd::Answered => {
                self.failures = 0;
                (self.jittered(self.rules.interval, JITTER), Reason::Interval)
            }
            CheckEnd::Failed => {
                self.failures = self.failures.saturating_add(1);
                let doubled = FIRST_RETRY
                    .saturating_mul(1_u32.checked_shl(self.failures - 1).unwrap_or(u32::MAX));
                (self.jittered(doubled.min(self.rules.interval), JITTER_OF_RETRIES), Reason::Retry)
            }
        };
        self.state = ScheduleState::Waiting { due: now + wait, reason };
        if hinted {
            self.hint(now);
        }
    }

    /// Plans a check for a hint, unless another check comes sooner: that one answers the hint as
    /// well.
    fn hint(&mut self, now: Duration) {
        let earliest = self.last_hint.map_or(now, |last| now.max(last + BETWEEN_HINTS));
        let at = earliest + self.part_of(self.rules.hint_spread);
        if at < self.next() {
            self.state = ScheduleState::Waiting { due: at, reason: Reason::Hint };
        }
    }

    fn woken(&mut self, now: Duration, due: Duration, reason: Reason) {
        self.state = if due > now + AFTER_SLEEP {
            ScheduleState::Waiting { due, reason }
        } else {
            ScheduleState::Waiting {
                due: now + AFTER_SLEEP + self.part_of(SPREAD_AFTER_SLEEP),
                reason: Reason::Woken,
            }
        };
    }

    /// A random time between zero and `whole`.
    fn part_of(&mut self, whole: Duration) -> Duration {
        whole.mul_f64(self.random.f64())
    }

    /// `mean`, changed at random by up to `share` of it.
    fn jittered(&mut self, mean: Duration, share: f64) -> Duration {
        mean.mul_f64(1.0 + share * (2.0 * self.random.f64() - 1.0))
    }
}

#[cfg(test)]
mod tests;
