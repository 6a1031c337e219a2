//! The engine's pure core: which phase follows which, and what has to be done for it. No I/O, no
//! clock, no thread.
//!
//! [`Machine::step`] takes one input and returns the effects to perform, in order; the driver
//! performs them and reports what came of them as further inputs. An input that makes no sense in
//! the present phase changes nothing: a second click is not an error.

use std::path::PathBuf;

use crate::messages::language::{
    Back, Checked, Chosen, Effect, MachineInput, RolledBackTo, Setup, Updated,
};

use crate::messages::protocol::{
    ClosingWait, Command, Event, Phase, Problem, ProblemKind, Repaired, SwapBlocker,
};
use crate::model::incident::Notice;
use crate::model::plan::{Plan, UpdateStrategy};
use crate::model::{ContainerId, Offer, Version};

/// The machine.
#[derive(Debug)]
pub(crate) struct Machine {
    setup: Setup,
    phase: Phase,
    offer: Option<Box<Offer>>,
    /// The release that was fetched without a question open, and that the running app could take
    /// over.
    swapping: Option<Box<Offer>>,
    /// The version chosen last; what "restart now" switches to.
    chosen: Option<ContainerId>,
    /// The check in progress was asked for by a person, so its failure is shown.
    is_manual: bool,
    /// Fetch what the check finds without asking.
    start_at_once: bool,
    /// The version that is being repaired.
    repairing: Option<ContainerId>,
    /// The check in progress is of this bundle.
    file: Option<PathBuf>,
    /// What is being fetched is not to be chosen.
    prefetching: bool,
    /// Somebody cancelled; until the download has ended nothing else steers it.
    cancelling: bool,
    /// What the rollback under way goes back to.
    rolling_back: Option<ContainerId>,
    /// What follows when the app has closed, and where the engine was before.
    closing: Option<(AfterClosing, Phase)>,
    /// What `Retry` does.
    failed: Option<Failed>,
}

/// What an app is closed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AfterClosing {
    Restart,
    RollBack,
}

#[derive(Clone, Debug, PartialEq)]
enum Failed {
    Check,
    File(PathBuf),
    Update,
    Choose(ContainerId),
    RollBack(Option<ContainerId>),
    Repair(ContainerId),
    Launch,
}

impl Machine {
    /// A machine that is idle.
    pub(crate) fn new(setup: Setup) -> Self {
        Self {
            setup,
            phase: Phase::Idle,
            offer: None,
            swapping: None,
            chosen: None,
            is_manual: false,
            start_at_once: false,
            repairing: None,
            file: None,
            prefetching: false,
            cancelling: false,
            rolling_back: None,
            closing: None,
            failed: None,
        }
    }

    /// The present phase.
    #[cfg(test)]
    fn phase(&self) -> &Phase {
        &self.phase
    }

    /// Takes one input; returns what has to be done for it, in order.
    pub(crate) fn step(&mut self, input: MachineInput) -> Vec<Effect> {
        match input {
            MachineInput::Command(command) => self.command(command),
            MachineInput::Checked(result) => self.checked(result),
            MachineInput::Fetched => self.fetched(),
            MachineInput::Updated(result) => self.updated(result),
            MachineInput::Chosen(result) => self.chosen(result),
            MachineInput::Swapped(result) => self.swapped(result),
            MachineInput::Closing(wait) => self.waits(wait),
            MachineInput::Closed(result) => self.closed(result),
            MachineInput::Launched(result) => self.launched(result),
            MachineInput::Relaunched(result) => self.relaunched(result),
            MachineInput::AppEnded => self.app_ended(),
            MachineInput::RolledBack(result) => self.rolled_back(result),
            MachineInput::Incident(Notice { when, what }) => {
                vec![Effect::Emit(Event::Incident { when, what }), Effect::List]
            }
            MachineInput::Repaired(result) => self.repaired(result),
            MachineInput::Removed(Ok(())) => vec![Effect::List],
            MachineInput::Removed(Err(problem)) => vec![Effect::Emit(Event::Notice { problem })],
        }
    }

    fn command(&mut self, command: Command) -> Vec<Effect> {
        match command {
            Command::Check { by_user } if self.at_rest() => self.check(None, by_user, false),
            Command::CheckVersion(version) if self.at_rest() => {
                self.check(Some(version), true, false)
            }
            Command::StartVersion(version) if self.at_rest() => {
                self.check(Some(version), true, true)
            }
            Command::InstallFile(path) if self.at_rest() => self.check_file(path, false),
            Command::AcceptExpired => match (&self.phase, &self.failed) {
                (Phase::Failed { problem }, Some(Failed::File(path)))
                    if problem.kind == ProblemKind::BundleExpired =>
                {
                    self.check_file(path.clone(), true)
                }
                _ => Vec::new(),
            },
            Command::Prefetch => match &self.phase {
                Phase::Offered { offer } if !offer.plan.is_local() => {
                    self.prefetching = true;
                    self.update()
                }
                _ => Vec::new(),
            },
            Command::Start if matches!(self.phase, Phase::Offered { .. } | Phase::Cancelled) => {
                self.update()
            }
            Command::Pause if !self.cancelling => match self.phase.clone() {
                Phase::Downloading { version } => {
                    vec![Effect::Pause, self.enter(Phase::Paused { version })]
                }
                _ => Vec::new(),
            },
            Command::Resume if !self.cancelling => match self.phase.clone() {
                Phase::Paused { version } => {
                    vec![Effect::Resume, self.enter(Phase::Downloading { version })]
                }
                _ => Vec::new(),
            },
            Command::Cancel if self.fetching() => {
                self.cancelling = true;
                vec![Effect::Cancel]
            }
            Command::Later if matches!(self.phase, Phase::Offered { .. }) => self.decline(),
            Command::Skip => match &self.phase {
                Phase::Offered { offer } => {
                    let skip = Effect::Skip(offer.version().clone());
                    std::iter::once(skip).chain(self.decline()).collect()
                }
                _ => Vec::new(),
            },
            Command::OfferSkipped if self.at_rest() => {
                std::iter::once(Effect::SkipNothing).chain(self.check(None, true, false)).collect()
            }
            Command::StartFailed(problem) if self.at_rest() => {
                self.setup.running = false;
                self.fail(Failed::Launch, *problem)
            }
            Command::Retry if matches!(self.phase, Phase::Failed { .. }) => self.retry(),
            Command::Switch(id) if self.at_rest() => self.choose(id),
            Command::RollBack(to) if self.at_rest() => self.roll_back(to),
            Command::Pin(version) => vec![Effect::Pin(version), Effect::List],
            Command::Repair(id) if self.at_rest() => self.repair(id),
            Command::Remove(id) => vec![Effect::Remove(id)],
            Command::Prune => vec![Effect::Prune],
            Command::List => vec![Effect::List],
            Command::MeasureDisk => vec![Effect::MeasureDisk],
            Command::Share(on) => vec![Effect::Share(on), Effect::List],
            Command::Seen(what) => vec![Effect::Forget(what)],
            Command::RestartNow if matches!(self.phase, Phase::Ready { .. }) => self.restart(),
            Command::RestartWhenEnded if self.setup.running => vec![Effect::RestartWhenEnded],
            Command::RestartLater if matches!(self.phase, Phase::Ready { .. }) => {
                vec![self.enter(Phase::Idle)]
            }
            Command::RestartLater if matches!(self.phase, Phase::Closing { .. }) => {
                vec![Effect::KeepRunning]
            }
            Command::EndApp if matches!(self.phase, Phase::Closing { .. }) => vec![Effect::EndApp],
            Command::LimitBandwidth(limit) => vec![Effect::LimitBandwidth(limit)],
            Command::Quit => vec![Effect::Stop],
            _ => Vec::new(),
        }
    }

    /// Nothing is under way that a new check or a switch would disturb.
    fn at_rest(&self) -> bool {
        self.phase.is_at_rest()
    }

    fn fetching(&self) -> bool {
        matches!(
            self.phase,
            Phase::Downloading { .. } | Phase::Paused { .. } | Phase::Repairing { .. }
        ) && !self.cancelling
    }

    fn enter(&mut self, phase: Phase) -> Effect {
        self.phase = phase.clone();
        Effect::Emit(Event::Phase { phase })
    }

    fn fail(&mut self, failed: Failed, problem: Problem) -> Vec<Effect> {
        self.failed = Some(failed);
        vec![self.enter(Phase::Failed { problem })]
    }

    fn check(
        &mut self,
        version: Option<Version>,
        is_manual: bool,
        start_at_once: bool,
    ) -> Vec<Effect> {
        self.is_manual = is_manual;
        self.start_at_once = start_at_once;
        self.file = None;
        vec![self.enter(Phase::Checking), Effect::Check(version)]
    }

    fn check_file(&mut self, path: PathBuf, accept_expired: bool) -> Vec<Effect> {
        self.is_manual = true;
        self.start_at_once = false;
        self.file = Some(path.clone());
        vec![self.enter(Phase::Checking), Effect::CheckFile { path, accept_expired }]
    }

    fn checked(&mut self, result: Result<Checked, Problem>) -> Vec<Effect> {
        if self.phase != Phase::Checking {
            return Vec::new();
        }
        match result {
            Ok(Checked::Offer(offer)) => {
                self.offer = Some(offer.clone());
                let shown = self.enter(Phase::Offered { offer });
                let begun = if self.start_at_once { self.update() } else { Vec::new() };
                std::iter::once(shown).chain(begun).collect()
            }
            // Whoever gave a file wants to know what came of it, also where the app waits to be
            // started.
            Err(problem) if self.file.is_some() => {
                let file = self.file.take().unwrap_or_default();
                self.fail(Failed::File(file), problem)
            }
            Ok(Checked::Nothing { .. }) if self.setup.start_anyway && self.file.is_none() => {
                self.restart()
            }
            Ok(Checked::Nothing { reason, current }) => {
                vec![self.enter(Phase::UpToDate { reason, current })]
            }
            Err(problem) if self.setup.start_anyway => {
                let effects = Effect::Emit(Event::Notice { problem });
                std::iter::once(effects).chain(self.restart()).collect()
            }
            Err(problem) if self.is_manual => self.fail(Failed::Check, problem),
            Err(problem) => vec![Effect::Emit(Event::Notice { problem }), self.enter(Phase::Idle)],
        }
    }

    fn update(&mut self) -> Vec<Effect> {
        let Some(offer) = self.offer.clone() else { return Vec::new() };
        if offer.plan.is_local() {
            return vec![
                self.enter(Phase::Installing { version: offer.version().clone() }),
                Effect::Update(offer),
            ];
        }
        vec![
            self.enter(Phase::Downloading { version: offer.version().clone() }),
            Effect::Update(offer),
        ]
    }

    fn fetched(&mut self) -> Vec<Effect> {
        match self.phase.clone() {
            // A pause that comes after the last byte has nothing left to stop.
            Phase::Downloading { version } | Phase::Paused { version } => {
                vec![self.enter(Phase::Installing { version })]
            }
            _ => Vec::new(),
        }
    }

    fn updated(&mut self, result: Result<Updated, Problem>) -> Vec<Effect> {
        self.cancelling = false;
        let prefetched = std::mem::take(&mut self.prefetching);
        match (result, self.offer.take()) {
            (Ok(Updated::Installed(_)), Some(offer)) if prefetched => {
                let Plan { requires_restart, hot_swappable, full_bytes, .. } = offer.plan;
                let plan = Plan {
                    requires_restart,
                    hot_swappable,
                    ..Plan::without_fetching(UpdateStrategy::Installed, full_bytes)
                };
                let offer =
                    Box::new(Offer { plan, bytes_to_fetch: 0, estimated_seconds: None, ..*offer });
                self.offer = Some(offer.clone());
                vec![Effect::Prune, self.enter(Phase::Offered { offer })]
            }
            (result, offer) => {
                self.swapping = offer
                    .clone()
                    .filter(|offer| self.setup.running && !offer.plan.requires_restart);
                self.offer = offer;
                self.installed(result)
            }
        }
    }

    fn installed(&mut self, result: Result<Updated, Problem>) -> Vec<Effect> {
        match result {
            Ok(Updated::Installed(id)) => {
                std::iter::once(Effect::List).chain(self.choose(id)).collect()
            }
            Ok(Updated::Stopped) => vec![self.enter(Phase::Cancelled)],
            Err(problem) => self.fail(Failed::Update, problem),
        }
    }

    fn repair(&mut self, id: ContainerId) -> Vec<Effect> {
        self.repairing = Some(id.clone());
        vec![self.enter(Phase::Repairing { version: id.version.clone() }), Effect::Repair(id)]
    }

    fn repaired(&mut self, result: Result<Option<Box<Repaired>>, Problem>) -> Vec<Effect> {
        self.cancelling = false;
        let repairing = self.repairing.take();
        match (result, repairing) {
            (Ok(Some(repaired)), _) => vec![Effect::List, self.enter(Phase::Repaired(repaired))],
            (Ok(None), _) => vec![self.enter(Phase::Cancelled)],
            (Err(problem), Some(id)) => self.fail(Failed::Repair(id), problem),
            (Err(problem), None) => vec![Effect::Emit(Event::Notice { problem })],
        }
    }

    fn decline(&mut self) -> Vec<Effect> {
        if self.setup.start_anyway { self.restart() } else { vec![self.enter(Phase::Idle)] }
    }

    fn choose(&mut self, id: ContainerId) -> Vec<Effect> {
        self.chosen = Some(id.clone());
        let version = id.version.clone();
        if !self.setup.running && self.setup.launch_when_ready {
            return vec![
                self.enter(Phase::Switching { version }),
                Effect::Restart { switch_to: Some(id) },
            ];
        }
        vec![Effect::Choose { id, at_next_start: self.setup.running }]
    }

    fn roll_back(&mut self, to: Option<ContainerId>) -> Vec<Effect> {
        self.rolling_back = to.clone();
        if self.setup.running {
            let version = to.as_ref().map(|id| id.version.clone());
            return self.close(AfterClosing::RollBack, version, Some(Back { to }));
        }
        let launch = self.setup.launch_when_ready;
        vec![self.enter(Phase::RollingBack), Effect::RollBack { to, launch }]
    }

    /// Has the running app closed; what follows is done when it has ended.
    fn close(
        &mut self,
        after: AfterClosing,
        version: Option<Version>,
        back: Option<Back>,
    ) -> Vec<Effect> {
        self.closing = Some((after, self.phase.clone()));
        let phase = Phase::Closing {
            version,
            back: after == AfterClosing::RollBack,
            wait: ClosingWait::App,
        };
        vec![self.enter(phase), Effect::Close { back }]
    }

    fn waits(&mut self, now: ClosingWait) -> Vec<Effect> {
        match self.phase.clone() {
            Phase::Closing { version, back, wait } if wait != now => {
                vec![self.enter(Phase::Closing { version, back, wait: now })]
            }
            _ => Vec::new(),
        }
    }

    fn closed(&mut self, result: Result<bool, Problem>) -> Vec<Effect> {
        let Some((after, before)) = self.closing.take() else { return Vec::new() };
        match (result, after) {
            (Ok(true), AfterClosing::Restart) => {
                self.setup.running = false;
                self.restart()
            }
            (Ok(true), AfterClosing::RollBack) => {
                self.setup.running = false;
                let to = self.rolling_back.clone();
                vec![self.enter(Phase::RollingBack), Effect::RollBack { to, launch: true }]
            }
            // As if nothing had been asked for.
            (Ok(false), _) => vec![self.enter(before), Effect::List],
            (Err(problem), AfterClosing::Restart) => self.fail(Failed::Launch, problem),
            (Err(problem), AfterClosing::RollBack) => {
                let to = self.rolling_back.take();
                self.fail(Failed::RollBack(to), problem)
            }
        }
    }

    fn rolled_back(&mut self, result: Result<RolledBackTo, Problem>) -> Vec<Effect> {
        match result {
            Ok(RolledBackTo { from, to, retained, files, running }) => {
                self.setup.running = running;
                (self.chosen, self.offer) = (None, None);
                vec![self.enter(Phase::RolledBack { from, to, retained, files }), Effect::List]
            }
            Err(problem) => {
                let to = self.rolling_back.take();
                self.fail(Failed::RollBack(to), problem)
            }
        }
    }

    fn chosen(&mut self, result: Result<Chosen, Problem>) -> Vec<Effect> {
        match result {
            Ok(Chosen { id, at_next_start }) => {
                let running = self.setup.running || at_next_start;
                let taken = self
                    .swapping
                    .take()
                    .filter(|offer| offer.signed.release.container == id && self.setup.running);
                if let Some(offer) = taken {
                    let swapping = self.enter(Phase::Swapping { version: id.version });
                    return vec![Effect::TidyUp, Effect::List, swapping, Effect::Swap(offer)];
                }
                vec![
                    Effect::TidyUp,
                    Effect::List,
                    self.enter(Phase::Ready { version: id.version, running }),
                ]
            }
            Err(problem) => match self.chosen.clone() {
                Some(id) => self.fail(Failed::Choose(id), problem),
                None => vec![Effect::Emit(Event::Notice { problem })],
            },
        }
    }

    fn swapped(&mut self, result: Result<Vec<String>, Vec<SwapBlocker>>) -> Vec<Effect> {
        let Phase::Swapping { version } = self.phase.clone() else { return Vec::new() };
        match result {
            Ok(modules) => {
                // The next start is in this version anyway: nothing is left that "restart now"
                // would switch to.
                self.chosen = None;
                vec![self.enter(Phase::Swapped { version, modules })]
            }
            Err(reasons) => {
                let effects = Effect::Emit(Event::NotSwapped { version: version.clone(), reasons });
                vec![effects, self.enter(Phase::Ready { version, running: self.setup.running })]
            }
        }
    }

    /// Starts the app, in the chosen version if one was chosen; one that runs is closed first.
    fn restart(&mut self) -> Vec<Effect> {
        let switch_to = self.chosen.clone();
        if self.setup.running {
            return self.close(AfterClosing::Restart, switch_to.map(|id| id.version), None);
        }
        let shown = switch_to
            .as_ref()
            .map(|id| self.enter(Phase::Switching { version: id.version.clone() }));
        shown.into_iter().chain([Effect::Restart { switch_to }]).collect()
    }

    fn launched(&mut self, result: Result<Version, Problem>) -> Vec<Effect> {
        // An app that waits for a check is waited for once only.
        self.setup.start_anyway = false;
        match result {
            Ok(version) => {
                self.setup.running = true;
                self.chosen = None;
                vec![self.enter(Phase::Launched { version }), Effect::List, Effect::TidyUp]
            }
            Err(problem) => self.fail(Failed::Launch, problem),
        }
    }

    /// An app that asked for it was started anew: nothing that is under way is disturbed.
    fn relaunched(&mut self, result: Result<Version, Problem>) -> Vec<Effect> {
        if result.is_err() || self.at_rest() {
            return self.launched(result);
        }
        self.setup.running = true;
        vec![Effect::List]
    }

    fn app_ended(&mut self) -> Vec<Effect> {
        self.setup.running = false;
        match self.phase.clone() {
            // Nobody is left to take anything over.
            Phase::Swapping { version } => {
                vec![self.enter(Phase::Ready { version, running: false }), Effect::List]
            }
            Phase::Ready { version, running: true } => {
                vec![self.enter(Phase::Ready { version, running: false }), Effect::List]
            }
            _ => vec![Effect::List],
        }
    }

    fn retry(&mut self) -> Vec<Effect> {
        match self.failed.take() {
            Some(Failed::Update) if self.offer.is_some() => self.update(),
            Some(Failed::File(path)) => self.check_file(path, false),
            Some(Failed::Choose(id)) => self.choose(id),
            Some(Failed::RollBack(to)) => self.roll_back(to),
            Some(Failed::Repair(id)) => self.repair(id),
            Some(Failed::Launch) => self.restart(),
            _ => self.check(None, true, false),
        }
    }
}

#[cfg(test)]
mod tests;
