//! Takes in the outcomes of effects, and decides what follows from each.
//!
//! In: outcomes that the driver reports. Out: the next activity, and further effects. Never: lets
//! the outcome of one task disturb another task under way.

use super::activity::{Activity, AfterCheck, AfterClosing, Choice, Purpose, Retry, Transfer};
use super::{Machine, notice};
use crate::messages::language::{Checked, Chosen, Effect, RolledBackTo, SwitchTo, Updated};
use crate::messages::protocol::{
    CheckTrigger, ClosingWait, Event, Problem, ProblemKind, Repaired, SwapBlocker,
};
use crate::model::plan::{Plan, UpdateStrategy};
use crate::model::{Offer, Version};

impl Machine {
    pub(super) fn checked(&mut self, result: Result<Checked, Problem>) -> Vec<Effect> {
        let Activity::Checking { trigger, then } = self.activity.clone() else {
            return Vec::new();
        };
        if let AfterCheck::Open(path) = then {
            return self.check_bundle(path, false);
        }
        match (result, trigger) {
            (Ok(Checked::Offer(offer)), _) => {
                self.failures = 0;
                let shown = self.enter(Activity::Offered { offer: offer.clone() });
                let begun = if then == AfterCheck::Fetch {
                    self.update(offer, Purpose::Install)
                } else {
                    Vec::new()
                };
                std::iter::once(shown).chain(begun).collect()
            }
            // Its age is the only fault, and no node has answered: a person decides, as for a bundle
            // that was opened.
            (Err(problem), CheckTrigger::Included(path))
                if problem.kind == ProblemKind::BundleExpired =>
            {
                self.fail(Retry::CheckBundle(path), problem)
            }
            (Err(_) | Ok(Checked::Nothing { .. }), CheckTrigger::Included(_)) => {
                self.check(None, CheckTrigger::Person, AfterCheck::Ask)
            }
            // A person who opened a bundle sees the outcome, also where the app waits to be
            // started.
            (Err(problem), CheckTrigger::Bundle(path)) => {
                self.fail(Retry::CheckBundle(path), problem)
            }
            (Ok(Checked::Nothing { .. }), CheckTrigger::Schedule | CheckTrigger::Person)
                if self.setup.start_anyway =>
            {
                self.restart()
            }
            (Ok(Checked::Nothing { reason, current }), _) => {
                vec![self.enter(Activity::UpToDate { reason, current })]
            }
            (Err(problem), _) if self.setup.start_anyway => {
                std::iter::once(notice(problem)).chain(self.restart()).collect()
            }
            (Err(problem), CheckTrigger::Person) => self.fail(Retry::Check, problem),
            (Err(problem), CheckTrigger::Schedule) => {
                vec![notice(problem), self.enter(Activity::Idle)]
            }
        }
    }

    pub(super) fn fetched(&mut self) -> Vec<Effect> {
        match &mut self.activity {
            // A pause after the last byte has nothing left to stop.
            Activity::Fetching { transfer, .. } if *transfer != Transfer::Complete => {
                *transfer = Transfer::Complete;
                vec![self.show()]
            }
            _ => Vec::new(),
        }
    }

    pub(super) fn updated(&mut self, result: Result<Updated, Problem>) -> Vec<Effect> {
        let Activity::Fetching { offer, purpose, .. } = self.activity.clone() else {
            return Vec::new();
        };
        match (result, purpose) {
            (Ok(Updated::Installed(_)), Purpose::Prefetch) => {
                let offer = Box::new(already_fetched(*offer));
                vec![Effect::PruneAutomatically, self.enter(Activity::Offered { offer })]
            }
            (Ok(Updated::Installed(id)), Purpose::Install) => {
                self.activity = Activity::Choosing { version: offer.version().clone() };
                let to = SwitchTo { id, for_recall: offer.recalled.is_some() };
                let swap =
                    Some(offer).filter(|offer| self.setup.running && !offer.plan.requires_restart);
                std::iter::once(Effect::List).chain(self.choose(Choice { to, swap })).collect()
            }
            (Ok(Updated::Stopped), _) => {
                vec![self.enter(Activity::Cancelled { offer: Some(offer) })]
            }
            (Err(problem), _) => self.fail(Retry::Update(offer), problem),
        }
    }

    pub(super) fn repaired(
        &mut self,
        result: Result<Option<Box<Repaired>>, Problem>,
    ) -> Vec<Effect> {
        let Activity::Repairing { id, .. } = self.activity.clone() else { return Vec::new() };
        match result {
            Ok(Some(repaired)) => {
                vec![Effect::List, self.enter(Activity::Repaired { id, repaired })]
            }
            Ok(None) => vec![self.enter(Activity::Cancelled { offer: None })],
            Err(problem) => self.fail(Retry::Repair(id), problem),
        }
    }

    pub(super) fn waits(&mut self, now: ClosingWait) -> Vec<Effect> {
        match &mut self.activity {
            Activity::Closing { wait, .. } if *wait != now => {
                *wait = now;
                vec![self.show()]
            }
            _ => Vec::new(),
        }
    }

    pub(super) fn closed(&mut self, result: Result<bool, Problem>) -> Vec<Effect> {
        let Activity::Closing { after, before, .. } = self.activity.clone() else {
            return Vec::new();
        };
        match (result, after) {
            (Ok(true), AfterClosing::Restart { .. }) => {
                self.setup.running = false;
                self.restart()
            }
            (Ok(true), AfterClosing::RollBack { to }) => {
                self.setup.running = false;
                let going_back = self.enter(Activity::RollingBack { to: to.clone() });
                vec![going_back, Effect::RollBack { to, launch: true }]
            }
            // The state is as before the request.
            (Ok(false), _) => vec![self.enter(*before), Effect::List],
            (Err(problem), AfterClosing::Restart { .. }) => self.fail(Retry::Restart, problem),
            (Err(problem), AfterClosing::RollBack { to }) => {
                self.fail(Retry::RollBack(to), problem)
            }
        }
    }

    pub(super) fn rolled_back(&mut self, result: Result<RolledBackTo, Problem>) -> Vec<Effect> {
        let Activity::RollingBack { to: asked } = self.activity.clone() else {
            return Vec::new();
        };
        match result {
            Ok(RolledBackTo { from, to, retained, files, running }) => {
                self.setup.running = running;
                self.choice = None;
                let back = self.enter(Activity::RolledBack { from, to, retained, files });
                vec![back, Effect::List]
            }
            Err(problem) => self.fail(Retry::RollBack(asked), problem),
        }
    }

    pub(super) fn chosen(&mut self, result: Result<Chosen, Problem>) -> Vec<Effect> {
        let Chosen { id, at_next_start } = match (result, self.choice.clone()) {
            (Ok(chosen), _) => chosen,
            (Err(problem), Some(choice)) if !self.activity.awaits_its_end() => {
                return self.fail(Retry::Choose(choice), problem);
            }
            (Err(problem), _) => return vec![notice(problem)],
        };
        let swap = self.choice.as_mut().and_then(|choice| choice.swap.take());
        let mut effects = vec![Effect::PruneAutomatically, Effect::List];
        if self.activity.awaits_its_end() {
            return effects;
        }
        let swap = swap.filter(|offer| offer.signed.release.container == id && self.setup.running);
        if let Some(offer) = swap {
            effects.push(self.enter(Activity::Swapping { version: id.version }));
            effects.push(Effect::Swap(offer));
        } else {
            let running = self.setup.running || at_next_start;
            effects.push(self.enter(Activity::Ready { version: id.version, running }));
        }
        effects
    }

    pub(super) fn swapped(&mut self, result: Result<Vec<String>, Vec<SwapBlocker>>) -> Vec<Effect> {
        let Activity::Swapping { version } = self.activity.clone() else { return Vec::new() };
        match result {
            Ok(modules) => {
                // The next start is in this version anyway: "restart now" has nothing left to
                // switch to.
                self.choice = None;
                vec![self.enter(Activity::Swapped { version, modules })]
            }
            Err(reasons) => {
                let shown = Effect::Emit(Event::NotSwapped { version: version.clone(), reasons });
                let running = self.setup.running;
                vec![shown, self.enter(Activity::Ready { version, running })]
            }
        }
    }

    pub(super) fn launched(&mut self, result: Result<Version, Problem>) -> Vec<Effect> {
        // The start waits for a check only once.
        self.setup.start_anyway = false;
        let disturbs = self.activity.awaits_its_end();
        match result {
            Ok(version) => {
                self.setup.running = true;
                self.choice = None;
                let shown = (!disturbs).then(|| self.enter(Activity::Launched { version }));
                shown.into_iter().chain([Effect::List, Effect::PruneAutomatically]).collect()
            }
            Err(problem) if disturbs => vec![notice(problem)],
            Err(problem) => self.fail(Retry::Restart, problem),
        }
    }

    /// The app was started again at its own request. Work under way goes on undisturbed.
    pub(super) fn relaunched(&mut self, result: Result<Version, Problem>) -> Vec<Effect> {
        if result.is_err() || self.activity.is_at_rest() {
            return self.launched(result);
        }
        self.setup.running = true;
        vec![Effect::List]
    }

    pub(super) fn app_ended(&mut self) -> Vec<Effect> {
        self.setup.running = false;
        match self.activity.clone() {
            // No running app is left that could load the version.
            Activity::Swapping { version } | Activity::Ready { version, running: true } => {
                vec![self.enter(Activity::Ready { version, running: false }), Effect::List]
            }
            _ => vec![Effect::List],
        }
    }
}

/// The same release, with nothing left to fetch.
fn already_fetched(offer: Offer) -> Offer {
    let Plan { requires_restart, hot_swappable, full_bytes, .. } = offer.plan;
    let plan = Plan {
        requires_restart,
        hot_swappable,
        ..Plan::without_fetching(UpdateStrategy::Installed, full_bytes)
    };
    Offer { plan, bytes_to_fetch: 0, estimated_seconds: None, installing_seconds: None, ..offer }
}
