//! When a release is looked for beside the running app: a pure core without clock, network or
//! thread.
//!
//! In: the time since the launcher's start, what happened ([`ScheduleInput`]), how power and
//! network are. Out: a [`Check`] to make now, and when to look at the clock again
//! ([`Schedule::next`]). Never: a burst. Whatever hints arrive and however often the computer wakes
//! up, checks that nobody asked for are bounded, and spread so that thousands of launchers do not
//! ask in the same second.

use std::time::Duration;

use crate::host::Conditions;
use crate::settings::{Background, UpdateSettings};

/// Before the first retry of a check that failed; doubled with each further failure, up to the
/// interval.
const FIRST_RETRY: Duration = Duration::from_secs(5 * 60);
/// Between two checks that hints led to, whoever sends how many.
const BETWEEN_HINTS: Duration = Duration::from_secs(5 * 60);
/// Until conditions that forbid a check are looked at again.
const POSTPONED: Duration = Duration::from_secs(15 * 60);
/// What a network needs to come back after sleep.
const AFTER_SLEEP: Duration = Duration::from_secs(5);
/// Over which launchers that wake at the same time (an office in the morning) are spread.
const SPREAD_AFTER_SLEEP: Duration = Duration::from_secs(55);
/// A check of which no end was told counts as failed after this time.
const LONGEST_CHECK: Duration = Duration::from_secs(10 * 60);
/// How far an interval is stretched or shortened at random, as a share of it.
const JITTER: f64 = 0.1;
/// The same for retries: what failed for all at once must not be asked by all at once.
const JITTER_OF_RETRIES: f64 = 0.5;

/// What the settings say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// From the start to the first check.
    pub delay: Duration,
    /// From the end of a check to the next one.
    pub interval: Duration,
    /// Over which launchers that get the same hint are spread.
    pub hint_spread: Duration,
    /// What is done on a metered network.
    pub on_metered: Background,
    /// What is done on a battery that is low, or when the system saves power.
    pub on_low_battery: Background,
}

impl Rules {
    /// Those of the settings.
    pub fn of(settings: &UpdateSettings) -> Self {
        Self {
            delay: Duration::from_secs(settings.delay_seconds),
            interval: settings.check_interval(),
            hint_spread: Duration::from_secs(settings.push_spread_seconds),
            on_metered: settings.on_metered,
            on_low_battery: settings.on_low_battery,
        }
    }

    /// What may be done in the background under these conditions. What the system does not tell
    /// counts as an ordinary network and mains.
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

/// What may be done without anybody having asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permitted {
    /// Ask for a release: some kilobytes.
    pub check: bool,
    /// Fetch it as well, and give pieces of it to peers: megabytes.
    pub prefetch: bool,
}

/// What comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScheduleInput {
    /// The time that [`Schedule::next`] named has come; the conditions at this moment.
    Due(Conditions),
    /// A check has ended, whoever began it.
    Ended(CheckEnd),
    /// Somebody without any authority says that there may be news.
    Hint,
    /// The computer slept, and `uncounted` of that is not in the time since the start.
    Woken {
        /// How long.
        uncounted: Duration,
    },
    /// A person wants to know now.
    Asked,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckEnd {
    /// The repository answered: there is a release, or there is none.
    Answered,
    /// It could not be asked, or not be believed.
    Failed,
}

/// A check to make now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// Why now.
    pub reason: Reason,
    /// Whether what is found may be fetched by itself, if the settings want that.
    pub prefetch: bool,
}

/// What led to a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The launcher's start.
    Start,
    /// It was time again.
    Interval,
    /// The one before failed.
    Retry,
    /// A hint.
    Hint,
    /// The computer slept past the time.
    Woken,
    /// A person.
    Asked,
}

/// The state machine of one launcher's life.
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
    /// At the launcher's start. Every launcher needs a `seed` of its own.
    pub fn new(rules: Rules, seed: u64) -> Self {
        let state = ScheduleState::Waiting { due: rules.delay, reason: Reason::Start };
        Self { rules, random: fastrand::Rng::with_seed(seed), state, failures: 0, last_hint: None }
    }

    /// When [`ScheduleInput::Due`] is wanted, as time since the start.
    pub fn next(&self) -> Duration {
        match self.state {
            ScheduleState::Waiting { due, .. } => due,
            ScheduleState::Checking { since, .. } => since + LONGEST_CHECK,
        }
    }

    /// Takes in what happened at `now`, the time since the start.
    pub fn step(&mut self, now: Duration, input: ScheduleInput) -> Option<Check> {
        match (input, self.state) {
            (ScheduleInput::Due(conditions), ScheduleState::Waiting { due, reason })
                if now >= due =>
            {
                self.due(now, reason, &conditions)
            }
            (ScheduleInput::Due(_), ScheduleState::Checking { since, .. })
                if now >= since + LONGEST_CHECK =>
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
            // The answer that is under way may be older than the hint.
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

    /// A check that comes sooner anyway answers the hint as well.
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

    /// Anything between nothing and `whole`.
    fn part_of(&mut self, whole: Duration) -> Duration {
        whole.mul_f64(self.random.f64())
    }

    /// `mean`, more or less by up to `share` of it.
    fn jittered(&mut self, mean: Duration, share: f64) -> Duration {
        mean.mul_f64(1.0 + share * (2.0 * self.random.f64() - 1.0))
    }
}

#[cfg(test)]
mod tests;
