//! What the resident decides: what it fetches without a question, what it announces, how long it
//! waits, and when it ends. Pure.
//!
//! In: due checks, phases of the engine, what is known of the app. Out: what to do. Never: a clock,
//! a process, a message.

use std::time::Duration;

use crate::messages::protocol::Phase;
use crate::model::{Offer, Version};
use crate::schedule::announcements::Announcements;
use crate::schedule::schedule::{Check, CheckEnd};

/// Pause between two looks at a version on probation, while a check waits for the probation's end.
const TRIAL_POLL_INTERVAL: Duration = Duration::from_millis(200);
/// Pause between two looks at the probation, for a launcher that ends with it.
const PROBATION_POLL_INTERVAL: Duration = Duration::from_secs(2);
/// Pause between two looks at the size of the app's standard error, where that is stored in a file.
const ERROR_OUTPUT_POLL_INTERVAL: Duration = Duration::from_secs(30);
/// Longest wait for an event; every event ends it earlier.
const MAX_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// What the settings let the resident do without a question.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Automatic {
    /// Hand a version to the running app, if that takes it without a restart.
    pub hot_swap: bool,
    /// Fetch a version.
    pub prefetch: bool,
}

/// The first check of this launcher's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FirstCheck {
    Awaited,
    Begun,
    /// It has ended, or none is made.
    Over,
}

/// What is known of the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AppPresence {
    Running {
        /// Whether the settings and the version's probation let the launcher end before the app.
        launcher_may_leave: bool,
    },
    Ended {
        well: bool,
        /// Whether its end is still to be shown to the user as a failed start.
        has_failed: bool,
    },
}

/// What follows a due check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DueCheck {
    Begin,
    /// A recent check found the update that is running.
    Answered,
}

/// What follows a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextStep {
    /// Begin the update, which the running app takes without a restart.
    Start,
    Prefetch,
    /// Announce the phase to the user.
    Announce,
}

#[derive(Debug)]
pub(super) struct ResidentState {
    automatic: Automatic,
    first_check: FirstCheck,
    /// Whether a check is running.
    checking: bool,
    /// Whether the resident has requested a check that the engine has not begun yet.
    requested: bool,
    /// Whether the last check allows fetching without a question.
    may_fetch: bool,
    /// The version whose update the resident began without a question; the resident then also
    /// reports its end.
    begun: Option<Version>,
    /// A version whose update was begun without a question and failed: the next time the user is
    /// asked.
    failed: Option<Version>,
    announcements: Announcements,
}

impl ResidentState {
    /// `has_schedule`: checks are made on a schedule.
    pub(super) fn new(automatic: Automatic, has_schedule: bool) -> Self {
        Self {
            automatic,
            first_check: if has_schedule { FirstCheck::Awaited } else { FirstCheck::Over },
            checking: false,
            requested: false,
            may_fetch: false,
            begun: None,
            failed: None,
            announcements: Announcements::default(),
        }
    }

    /// Whether a check has ended, or none is made.
    pub(super) fn has_looked(&self) -> bool {
        self.first_check == FirstCheck::Over
    }

    /// Whether the launcher has no reason to stay. `at_rest`: the engine does nothing.
    pub(super) fn is_over(&self, app: AppPresence, at_rest: bool) -> bool {
        match app {
            // A version that fails at once is no reason to end the checks: the release that fixes
            // it may already exist.
            AppPresence::Ended { well, has_failed } => well || self.has_looked() && !has_failed,
            AppPresence::Running { launcher_may_leave } => {
                launcher_may_leave && self.has_looked() && at_rest
            }
        }
    }

    /// Whether to ask the schedule for a check now. The first one need not wait for the sake of an
    /// app that has ended.
    pub(super) fn asks_for_check(&mut self, app_is_over: bool) -> bool {
        let asks = app_is_over && self.first_check == FirstCheck::Awaited;
        if asks {
            self.first_check = FirstCheck::Begun;
        }
        asks
    }

    /// How long the resident may wait for the next event. `waits_for_trial`: something waits until
    /// a version has come up or failed, which no event reports. `stays`: the launcher lives as long
    /// as the app. `stores_errors`: the app's standard error goes to a file of limited size.
    pub(super) fn longest_wait(
        &self,
        waits_for_trial: bool,
        stays: bool,
        stores_errors: impl FnOnce() -> bool,
    ) -> Duration {
        if waits_for_trial {
            TRIAL_POLL_INTERVAL
        } else if self.has_looked() && !stays {
            PROBATION_POLL_INTERVAL
        } else if stores_errors() {
            ERROR_OUTPUT_POLL_INTERVAL
        } else {
            MAX_WAIT
        }
    }

    /// The schedule's `check` is due.
    pub(super) fn check_due(&mut self, check: Check, at_rest: bool) -> DueCheck {
        if !at_rest {
            self.first_check = FirstCheck::Over;
            return DueCheck::Answered;
        }
        if self.first_check == FirstCheck::Awaited {
            self.first_check = FirstCheck::Begun;
        }
        (self.may_fetch, self.requested) = (check.prefetch, true);
        DueCheck::Begin
    }

    /// How a check has ended, if it ended with the entry of `phase`. `has_notice`: the window has
    /// something to say beside the phase. `permitted`: what the present conditions allow.
    pub(super) fn check_ended(
        &mut self,
        phase: &Phase,
        has_notice: bool,
        permitted: impl FnOnce() -> bool,
    ) -> Option<CheckEnd> {
        if *phase == Phase::Checking {
            self.checking = true;
            if !std::mem::take(&mut self.requested) {
                // The app or a person asked for this check, so the present conditions decide what
                // may be fetched without a question.
                self.may_fetch = permitted();
            }
            return None;
        }
        if !std::mem::take(&mut self.checking) {
            return None;
        }
        self.first_check = FirstCheck::Over;
        // A check that failed quietly leaves a notice and goes back to idle.
        let failed = matches!(phase, Phase::Failed { .. }) || *phase == Phase::Idle && has_notice;
        Some(if failed { CheckEnd::Failed } else { CheckEnd::Answered })
    }

    /// What follows the entry of `phase`.
    pub(super) fn next_step(&mut self, phase: &Phase) -> Option<NextStep> {
        match phase {
            Phase::Offered { offer } => self.after_offer(offer),
            Phase::Swapped { .. } | Phase::Ready { .. } => {
                self.begun.take().map(|_| NextStep::Announce)
            }
            Phase::Failed { .. } | Phase::Cancelled => {
                self.failed = self.begun.take().or(self.failed.take());
                None
            }
            _ => None,
        }
    }

    fn after_offer(&mut self, offer: &Offer) -> Option<NextStep> {
        // Who leaves a recalled version may lose sight of his work: a person begins that.
        let swaps =
            self.automatic.hot_swap && !offer.plan.requires_restart && offer.recalled.is_none();
        let prefetches = self.automatic.prefetch && !offer.plan.is_local();
        let by_itself = self.may_fetch && self.failed.as_ref() != Some(offer.version());
        if by_itself && (swaps || prefetches) {
            self.begun = Some(offer.version().clone());
            return Some(if swaps { NextStep::Start } else { NextStep::Prefetch });
        }
        // It is fetched; now the user is asked.
        self.begun = None;
        let mandatory = offer.signed.release.mandatory;
        self.announcements.shows(offer.version(), mandatory).then_some(NextStep::Announce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::fixture;
    use crate::messages::protocol::{Problem, ProblemKind};
    use crate::model::plan::UpdateStrategy;
    use crate::schedule::schedule::Reason;

    const BOTH: Automatic = Automatic { hot_swap: true, prefetch: true };

    fn due(prefetch: bool) -> Check {
        Check { reason: Reason::Asked, prefetch }
    }

    fn offered(requires_restart: bool, is_local: bool) -> Phase {
        let mut offer = fixture::offer();
        offer.plan.requires_restart = requires_restart;
        offer.plan.strategy =
            if is_local { UpdateStrategy::Installed } else { UpdateStrategy::Full };
        Phase::Offered { offer }
    }

    fn failed() -> Phase {
        let problem =
            Problem { kind: ProblemKind::NoNetwork, subject: String::new(), chain: Vec::new() };
        Phase::Failed { problem }
    }

    /// A state whose check by schedule may fetch without a question, or may not.
    fn after_check(automatic: Automatic, prefetch: bool) -> ResidentState {
        let mut state = ResidentState::new(automatic, true);
        assert_eq!(state.check_due(due(prefetch), true), DueCheck::Begin);
        assert_eq!(state.check_ended(&Phase::Checking, false, || !prefetch), None);
        state
    }

    #[test]
    fn a_check_by_schedule_has_its_own_permission_and_any_other_the_present_one() {
        for permitted in [true, false] {
            let step = permitted.then_some(NextStep::Prefetch).or(Some(NextStep::Announce));
            let mut scheduled = after_check(BOTH, permitted);
            assert_eq!(scheduled.next_step(&offered(true, false)), step);
            let mut by_person = ResidentState::new(BOTH, true);
            by_person.check_ended(&Phase::Checking, false, || permitted);
            assert_eq!(by_person.next_step(&offered(true, false)), step);
        }
    }

    #[test]
    fn what_is_done_without_a_question_follows_the_settings_and_the_plan() {
        let step = |automatic, phase: Phase| after_check(automatic, true).next_step(&phase);
        let only_prefetch = Automatic { hot_swap: false, prefetch: true };
        assert_eq!(step(BOTH, offered(false, true)), Some(NextStep::Start));
        assert_eq!(step(BOTH, offered(true, false)), Some(NextStep::Prefetch));
        assert_eq!(step(BOTH, offered(true, true)), Some(NextStep::Announce), "it is here");
        assert_eq!(step(only_prefetch, offered(false, false)), Some(NextStep::Prefetch));
        let mut recalled = fixture::offer();
        (recalled.plan.requires_restart, recalled.plan.strategy) = (false, UpdateStrategy::Full);
        recalled.recalled = Some(fixture::recalled());
        let next = step(BOTH, Phase::Offered { offer: recalled.clone() });
        assert_eq!(next, Some(NextStep::Prefetch), "what leaves a recalled version is asked about");
        recalled.plan.strategy = UpdateStrategy::Installed;
        assert_eq!(step(BOTH, Phase::Offered { offer: recalled }), Some(NextStep::Announce));
        assert_eq!(
            step(Automatic::default(), offered(false, false)),
            Some(NextStep::Announce),
            "the settings allow nothing"
        );
    }

    #[test]
    fn an_update_that_failed_without_a_question_is_asked_about_the_next_time() {
        let mut state = after_check(BOTH, true);
        assert_eq!(state.next_step(&offered(true, false)), Some(NextStep::Prefetch));
        assert_eq!(state.next_step(&failed()), None);
        assert_eq!(state.next_step(&offered(true, false)), Some(NextStep::Announce));
        assert_eq!(state.next_step(&offered(true, false)), None, "each version is shown once");
    }

    #[test]
    fn only_the_end_of_an_update_of_its_own_is_announced() {
        let ready = || {
            let Phase::Offered { offer } = offered(true, false) else { unreachable!() };
            Phase::Ready { version: offer.version().clone(), running: true }
        };
        let mut state = after_check(BOTH, true);
        assert_eq!(state.next_step(&ready()), None, "a person began that one, and sees its end");
        state.next_step(&offered(true, false));
        assert_eq!(state.next_step(&ready()), Some(NextStep::Announce));
        assert_eq!(state.next_step(&ready()), None);
    }

    #[test]
    fn a_check_ends_once_and_a_notice_beside_idle_is_a_failure() {
        for (phase, has_notice, end) in [
            (offered(true, false), false, CheckEnd::Answered),
            (Phase::Idle, false, CheckEnd::Answered),
            (Phase::Idle, true, CheckEnd::Failed),
            (failed(), false, CheckEnd::Failed),
        ] {
            let mut state = after_check(BOTH, false);
            assert!(!state.has_looked());
            assert_eq!(state.check_ended(&phase, has_notice, || true), Some(end), "{phase:?}");
            assert!(state.has_looked());
            assert_eq!(state.check_ended(&phase, has_notice, || true), None);
        }
    }

    #[test]
    fn a_check_that_is_due_during_an_update_is_answered() {
        let mut state = ResidentState::new(BOTH, true);
        assert_eq!(state.check_due(due(true), false), DueCheck::Answered);
        assert!(state.has_looked());
        assert_eq!(state.next_step(&offered(true, false)), Some(NextStep::Announce));
    }

    #[test]
    fn an_app_that_ends_early_brings_the_first_check_forward_once() {
        let mut state = ResidentState::new(BOTH, true);
        assert!(!state.asks_for_check(false));
        assert!(state.asks_for_check(true));
        assert!(!state.asks_for_check(true));
        assert!(!ResidentState::new(BOTH, false).asks_for_check(true), "no checks are made");
    }

    #[test]
    fn the_launcher_leaves_when_nothing_is_left_to_do() {
        let mut state = ResidentState::new(BOTH, true);
        let well = AppPresence::Ended { well: true, has_failed: false };
        let badly = |has_failed| AppPresence::Ended { well: false, has_failed };
        let running = |launcher_may_leave| AppPresence::Running { launcher_may_leave };
        assert!(state.is_over(well, false));
        assert!(!state.is_over(badly(false), true), "the release that fixes it may exist");
        assert!(!state.is_over(running(true), true), "nobody has looked yet");
        state.check_due(due(false), false);
        assert!(state.is_over(badly(false), true) && !state.is_over(badly(true), true));
        assert!(state.is_over(running(true), true) && !state.is_over(running(true), false));
        assert!(!state.is_over(running(false), true));
    }

    #[test]
    fn it_wakes_up_only_for_what_no_event_reports() {
        let mut state = ResidentState::new(BOTH, true);
        let wait = |state: &ResidentState, trial, stays, errors| {
            state.longest_wait(trial, stays, || errors)
        };
        assert_eq!(wait(&state, false, true, false), MAX_WAIT);
        assert_eq!(wait(&state, false, false, false), MAX_WAIT, "before the first check it stays");
        assert_eq!(wait(&state, false, true, true), ERROR_OUTPUT_POLL_INTERVAL);
        assert_eq!(wait(&state, true, false, true), TRIAL_POLL_INTERVAL);
        state.check_due(due(false), false);
        assert_eq!(wait(&state, false, false, true), PROBATION_POLL_INTERVAL);
    }
}
