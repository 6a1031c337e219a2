//! The engine's pure core: which phase follows which, and what has to be done for it. No I/O, no clock, no thread.
//!
//! [`Machine::step`] takes one input and returns the effects to perform, in order; the driver performs them and reports what came of
//! them as further inputs. An input that makes no sense in the present phase changes nothing: a second click is not an error.

use std::path::PathBuf;

use super::protocol::{Command, Event, NoUpdate, Phase, Problem, ProblemKind, Repaired};
use crate::model::happened::{Happened, Notice};
use crate::model::plan::{Plan, Way};
use crate::model::{ContainerId, Offer, Version};

/// What the engine was started for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    /// Start the app when an update is in place and nothing is running (the window), or leave that to the caller (the terminal).
    pub launch_when_ready: bool,
    /// An installed version waits for this check: if nothing comes of it, that version starts (promise 1).
    pub start_anyway: bool,
    /// The app runs already.
    pub running: bool,
}

/// What comes in.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// From a person, a timer or a script.
    Command(Command),
    /// A check has ended.
    Checked(Result<Checked, Problem>),
    /// All bytes of the package are there.
    Fetched,
    /// A download has ended.
    Updated(Result<Updated, Problem>),
    /// A version was chosen, or was refused.
    Chosen(Result<Chosen, Problem>),
    /// The app was started, or could not be.
    Launched(Result<Version, Problem>),
    /// The running app has ended.
    AppEnded,
    /// The user's earlier state is back, or could not be had.
    RolledBack(Result<RolledBackTo, Problem>),
    /// Something happened to the running app without anybody having asked.
    Happened(Notice),
    /// A repair has ended; `None` if somebody cancelled it.
    Repaired(Result<Option<Box<Repaired>>, Problem>),
    /// A version was removed, or was refused.
    Removed(Result<(), Problem>),
}

/// What a check found.
#[derive(Clone, Debug, PartialEq)]
pub enum Checked {
    /// A release to offer.
    Offer(Box<Offer>),
    /// Nothing to do.
    Nothing {
        /// Why.
        reason: NoUpdate,
        /// The active version.
        current: Option<Version>,
    },
}

/// A version that was switched to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Which version.
    pub id: ContainerId,
    /// The switch waits for the end of the app, which runs in another version.
    pub at_next_start: bool,
}

/// What came of a rollback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolledBackTo {
    /// The version that was left.
    pub from: Version,
    /// The version that is active now.
    pub to: Version,
    /// Where the user's files of the version that was left are kept.
    pub kept: PathBuf,
    /// Whether the app was started.
    pub running: bool,
}

/// How a download ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Updated {
    /// The version is registered in the store.
    Installed(ContainerId),
    /// Stopped by command; verified pieces are on disk.
    Stopped,
}

/// What has to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Tell the driver's user.
    Emit(Event),
    /// Ask the repository: for the best release, or for this one.
    Check(Option<Version>),
    /// Look into this bundle.
    CheckFile {
        /// Where it is.
        path: PathBuf,
        /// Whether it may be old.
        accept_expired: bool,
    },
    /// Fetch and install.
    Update(Box<Offer>),
    /// Stop fetching for now.
    Pause,
    /// Go on.
    Resume,
    /// Stop fetching for good.
    Cancel,
    /// Never offer this version again.
    Skip(Version),
    /// Switch to this version: now, or at the next start while the app is running.
    Choose {
        /// Which version.
        id: ContainerId,
        /// The app is running, so wait for its end.
        at_next_start: bool,
    },
    /// End the running app if there is one, switch, start.
    Restart {
        /// Switch to this version first.
        switch_to: Option<ContainerId>,
    },
    /// End the running app if there is one, and go back to an earlier state: this version's, or the one before.
    RollBack {
        /// Whose state.
        to: Option<ContainerId>,
        /// Start the app afterwards.
        launch: bool,
    },
    /// Stay at this version, or no longer.
    Pin(Option<Version>),
    /// Mend an installed version.
    Repair(ContainerId),
    /// Remove an installed version.
    Remove(ContainerId),
    /// Remove the versions that are too many.
    Prune,
    /// Measure and tell the room on the disk.
    MeasureDisk,
    /// Do not tell this at the next start.
    Forget(Box<Happened>),
    /// Tell what is installed.
    List,
    /// Change the bandwidth cap.
    LimitBandwidth(Option<u64>),
    /// End the engine.
    Stop,
}

/// The machine.
#[derive(Debug)]
pub struct Machine {
    setup: Setup,
    phase: Phase,
    offer: Option<Box<Offer>>,
    /// The version chosen last; what "restart now" switches to.
    chosen: Option<ContainerId>,
    /// The check in progress was asked for by a person, so its failure is shown.
    loud: bool,
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
    /// What `Retry` does.
    failed: Option<Failed>,
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
    pub fn new(setup: Setup) -> Self {
        Self {
            setup,
            phase: Phase::Idle,
            offer: None,
            chosen: None,
            loud: false,
            start_at_once: false,
            repairing: None,
            file: None,
            prefetching: false,
            cancelling: false,
            rolling_back: None,
            failed: None,
        }
    }

    /// The present phase.
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// Takes one input; returns what has to be done for it, in order.
    pub fn step(&mut self, input: Input) -> Vec<Effect> {
        match input {
            Input::Command(command) => self.command(command),
            Input::Checked(result) => self.checked(result),
            Input::Fetched => self.fetched(),
            Input::Updated(result) => self.updated(result),
            Input::Chosen(result) => self.chosen(result),
            Input::Launched(result) => self.launched(result),
            Input::AppEnded => self.app_ended(),
            Input::RolledBack(result) => self.rolled_back(result),
            Input::Happened(Notice { when, what }) => vec![Effect::Emit(Event::Happened { when, what }), Effect::List],
            Input::Repaired(result) => self.repaired(result),
            Input::Removed(Ok(())) => vec![Effect::List],
            Input::Removed(Err(problem)) => vec![Effect::Emit(Event::Notice { problem })],
        }
    }

    fn command(&mut self, command: Command) -> Vec<Effect> {
        match command {
            Command::Check { by_user } if self.at_rest() => self.check(None, by_user, false),
            Command::CheckVersion(version) if self.at_rest() => self.check(Some(version), true, false),
            Command::StartVersion(version) if self.at_rest() => self.check(Some(version), true, true),
            Command::InstallFile(path) if self.at_rest() => self.check_file(path, false),
            Command::AcceptExpired => match (&self.phase, &self.failed) {
                (Phase::Failed { problem }, Some(Failed::File(path))) if problem.kind == ProblemKind::BundleExpired => {
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
            Command::Start if matches!(self.phase, Phase::Offered { .. } | Phase::Cancelled) => self.update(),
            Command::Pause if !self.cancelling => match self.phase.clone() {
                Phase::Downloading { version } => vec![Effect::Pause, self.enter(Phase::Paused { version })],
                _ => Vec::new(),
            },
            Command::Resume if !self.cancelling => match self.phase.clone() {
                Phase::Paused { version } => vec![Effect::Resume, self.enter(Phase::Downloading { version })],
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
            Command::Retry if matches!(self.phase, Phase::Failed { .. }) => self.retry(),
            Command::Switch(id) if self.at_rest() => self.choose(id),
            Command::RollBack(to) if self.at_rest() => self.roll_back(to),
            Command::Pin(version) => vec![Effect::Pin(version), Effect::List],
            Command::Repair(id) if self.at_rest() => self.repair(id),
            Command::Remove(id) => vec![Effect::Remove(id)],
            Command::Prune => vec![Effect::Prune],
            Command::MeasureDisk => vec![Effect::MeasureDisk],
            Command::Seen(what) => vec![Effect::Forget(what)],
            Command::RestartNow if matches!(self.phase, Phase::Ready { .. }) => self.restart(),
            Command::RestartLater if matches!(self.phase, Phase::Ready { .. }) => vec![self.enter(Phase::Idle)],
            Command::LimitBandwidth(limit) => vec![Effect::LimitBandwidth(limit)],
            Command::Quit => vec![Effect::Stop],
            _ => Vec::new(),
        }
    }

    /// Nothing is under way that a new check or a switch would disturb.
    fn at_rest(&self) -> bool {
        matches!(
            self.phase,
            Phase::Idle
                | Phase::UpToDate { .. }
                | Phase::Offered { .. }
                | Phase::Ready { .. }
                | Phase::Launched { .. }
                | Phase::RolledBack { .. }
                | Phase::Repaired(_)
                | Phase::Failed { .. }
                | Phase::Cancelled
        )
    }

    fn fetching(&self) -> bool {
        matches!(self.phase, Phase::Downloading { .. } | Phase::Paused { .. } | Phase::Repairing { .. }) && !self.cancelling
    }

    fn enter(&mut self, phase: Phase) -> Effect {
        self.phase = phase.clone();
        Effect::Emit(Event::Phase { phase })
    }

    fn fail(&mut self, failed: Failed, problem: Problem) -> Vec<Effect> {
        self.failed = Some(failed);
        vec![self.enter(Phase::Failed { problem })]
    }

    fn check(&mut self, version: Option<Version>, loud: bool, start_at_once: bool) -> Vec<Effect> {
        self.loud = loud;
        self.start_at_once = start_at_once;
        self.file = None;
        vec![self.enter(Phase::Checking), Effect::Check(version)]
    }

    fn check_file(&mut self, path: PathBuf, accept_expired: bool) -> Vec<Effect> {
        self.loud = true;
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
            // Whoever gave a file wants to know what came of it, also where the app waits to be started.
            Err(problem) if self.file.is_some() => {
                let file = self.file.take().unwrap_or_default();
                self.fail(Failed::File(file), problem)
            }
            Ok(Checked::Nothing { .. }) if self.setup.start_anyway && self.file.is_none() => self.restart(),
            Ok(Checked::Nothing { reason, current }) => vec![self.enter(Phase::UpToDate { reason, current })],
            Err(problem) if self.setup.start_anyway => {
                let told = Effect::Emit(Event::Notice { problem });
                std::iter::once(told).chain(self.restart()).collect()
            }
            Err(problem) if self.loud => self.fail(Failed::Check, problem),
            Err(problem) => vec![Effect::Emit(Event::Notice { problem }), self.enter(Phase::Idle)],
        }
    }

    fn update(&mut self) -> Vec<Effect> {
        let Some(offer) = self.offer.clone() else { return Vec::new() };
        if offer.plan.is_local() {
            return vec![self.enter(Phase::Installing { version: offer.version().clone() }), Effect::Update(offer)];
        }
        vec![self.enter(Phase::Downloading { version: offer.version().clone() }), Effect::Update(offer)]
    }

    fn fetched(&mut self) -> Vec<Effect> {
        match self.phase.clone() {
            // A pause that comes after the last byte has nothing left to stop.
            Phase::Downloading { version } | Phase::Paused { version } => vec![self.enter(Phase::Installing { version })],
            _ => Vec::new(),
        }
    }

    fn updated(&mut self, result: Result<Updated, Problem>) -> Vec<Effect> {
        self.cancelling = false;
        let prefetched = std::mem::take(&mut self.prefetching);
        match (result, self.offer.take()) {
            (Ok(Updated::Installed(_)), Some(offer)) if prefetched => {
                let plan = Plan::without_fetching(Way::Installed, offer.plan.full_bytes);
                let offer = Box::new(Offer { plan, bytes_to_fetch: 0, estimated_seconds: None, ..*offer });
                self.offer = Some(offer.clone());
                vec![Effect::Prune, self.enter(Phase::Offered { offer })]
            }
            (result, offer) => {
                self.offer = offer;
                self.installed(result)
            }
        }
    }

    fn installed(&mut self, result: Result<Updated, Problem>) -> Vec<Effect> {
        match result {
            Ok(Updated::Installed(id)) => std::iter::once(Effect::List).chain(self.choose(id)).collect(),
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
            return vec![self.enter(Phase::Switching { version }), Effect::Restart { switch_to: Some(id) }];
        }
        vec![Effect::Choose { id, at_next_start: self.setup.running }]
    }

    fn roll_back(&mut self, to: Option<ContainerId>) -> Vec<Effect> {
        let launch = self.setup.running || self.setup.launch_when_ready;
        self.rolling_back = to.clone();
        vec![self.enter(Phase::RollingBack), Effect::RollBack { to, launch }]
    }

    fn rolled_back(&mut self, result: Result<RolledBackTo, Problem>) -> Vec<Effect> {
        match result {
            Ok(RolledBackTo { from, to, kept, running }) => {
                self.setup.running = running;
                (self.chosen, self.offer) = (None, None);
                vec![self.enter(Phase::RolledBack { from, to, kept }), Effect::List]
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
                vec![Effect::List, self.enter(Phase::Ready { version: id.version, running })]
            }
            Err(problem) => match self.chosen.clone() {
                Some(id) => self.fail(Failed::Choose(id), problem),
                None => vec![Effect::Emit(Event::Notice { problem })],
            },
        }
    }

    /// Starts the app, in the chosen version if one was chosen.
    fn restart(&mut self) -> Vec<Effect> {
        let switch_to = self.chosen.clone();
        let shown = switch_to.as_ref().map(|id| self.enter(Phase::Switching { version: id.version.clone() }));
        shown.into_iter().chain([Effect::Restart { switch_to }]).collect()
    }

    fn launched(&mut self, result: Result<Version, Problem>) -> Vec<Effect> {
        // An app that waits for a check is waited for once only.
        self.setup.start_anyway = false;
        match result {
            Ok(version) => {
                self.setup.running = true;
                self.chosen = None;
                vec![self.enter(Phase::Launched { version }), Effect::List]
            }
            Err(problem) => self.fail(Failed::Launch, problem),
        }
    }

    fn app_ended(&mut self) -> Vec<Effect> {
        self.setup.running = false;
        match self.phase.clone() {
            Phase::Ready { version, running: true } => vec![self.enter(Phase::Ready { version, running: false }), Effect::List],
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
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::engine::protocol::ProblemKind;
    use crate::model::release::DocumentLocation;
    use crate::model::release::SignedRelease;
    use crate::model::{
        Digest, Release,
        plan::{Plan, Reason},
    };

    fn id() -> ContainerId {
        "sample_2.0.0_Linux_x86_64".parse().unwrap()
    }

    fn offer() -> Box<Offer> {
        let location = DocumentLocation { offset: 0, packed_size: 1, size: 1, hash: Digest::of(b"") };
        let release = Release {
            container: id(),
            display_name: String::new(),
            channel: "stable".to_owned(),
            published: jiff::Timestamp::UNIX_EPOCH,
            manifest: location.clone(),
            index: location,
            unpacked_size: 0,
            file_count: 0,
            mandatory: false,
            rollout_permille: 1000,
            halted: false,
            minimum_version: None,
            minimum_launcher: None,
            notes: BTreeMap::new(),
        };
        let signed = SignedRelease { target: "t".to_owned(), length: 1, hash: Digest::of(b""), release };
        Box::new(Offer {
            signed,
            current: None,
            plan: Plan::full(1, 1, Reason::Cheapest),
            bytes_to_fetch: 1,
            notes: String::new(),
            nodes: Vec::new(),
            estimated_seconds: None,
            file: None,
        })
    }

    fn problem() -> Problem {
        Problem { kind: ProblemKind::NoNetwork, subject: String::new(), chain: Vec::new() }
    }

    fn found() -> Input {
        Input::Checked(Ok(Checked::Offer(offer())))
    }

    fn nothing() -> Input {
        Input::Checked(Ok(Checked::Nothing { reason: NoUpdate::Newest, current: None }))
    }

    fn command(machine: &mut Machine, command: Command) -> Vec<Effect> {
        machine.step(Input::Command(command))
    }

    /// A machine that is downloading.
    fn downloading(setup: Setup) -> Machine {
        let mut machine = Machine::new(setup);
        command(&mut machine, Command::Check { by_user: true });
        machine.step(found());
        assert!(command(&mut machine, Command::Start).contains(&Effect::Update(offer())));
        machine
    }

    const WINDOW_WHILE_RUNNING: Setup = Setup { launch_when_ready: true, start_anyway: false, running: true };
    const FIRST_INSTALL: Setup = Setup { launch_when_ready: true, start_anyway: false, running: false };
    const BEFORE_START: Setup = Setup { launch_when_ready: true, start_anyway: true, running: false };
    const TERMINAL: Setup = Setup { launch_when_ready: false, start_anyway: false, running: false };

    #[test]
    fn an_update_beside_the_running_app_waits_for_the_person() {
        let mut machine = downloading(WINDOW_WHILE_RUNNING);
        machine.step(Input::Fetched);
        assert!(matches!(machine.phase(), Phase::Installing { .. }));
        let effects = machine.step(Input::Updated(Ok(Updated::Installed(id()))));
        assert!(effects.contains(&Effect::Choose { id: id(), at_next_start: true }), "{effects:?}");
        machine.step(Input::Chosen(Ok(Chosen { id: id(), at_next_start: false })));
        assert_eq!(*machine.phase(), Phase::Ready { version: id().version, running: true });
        let effects = command(&mut machine, Command::RestartNow);
        assert!(effects.contains(&Effect::Restart { switch_to: Some(id()) }), "{effects:?}");
        machine.step(Input::Launched(Ok(id().version)));
        assert_eq!(*machine.phase(), Phase::Launched { version: id().version });
    }

    #[test]
    fn a_first_install_starts_the_app_by_itself() {
        let mut machine = downloading(FIRST_INSTALL);
        machine.step(Input::Fetched);
        let effects = machine.step(Input::Updated(Ok(Updated::Installed(id()))));
        assert!(effects.contains(&Effect::Restart { switch_to: Some(id()) }), "{effects:?}");
    }

    #[test]
    fn the_terminal_leaves_the_start_to_its_caller() {
        let mut machine = downloading(TERMINAL);
        machine.step(Input::Fetched);
        let effects = machine.step(Input::Updated(Ok(Updated::Installed(id()))));
        assert!(effects.contains(&Effect::Choose { id: id(), at_next_start: false }), "{effects:?}");
        machine.step(Input::Chosen(Ok(Chosen { id: id(), at_next_start: false })));
        assert_eq!(*machine.phase(), Phase::Ready { version: id().version, running: false });
    }

    #[test]
    fn whatever_a_check_before_the_start_finds_the_app_starts() {
        let start = Effect::Restart { switch_to: None };
        for input in [nothing(), Input::Checked(Err(problem()))] {
            let mut machine = Machine::new(BEFORE_START);
            command(&mut machine, Command::Check { by_user: false });
            assert!(machine.step(input).contains(&start));
        }
        for answer in [Command::Later, Command::Skip] {
            let mut machine = Machine::new(BEFORE_START);
            command(&mut machine, Command::Check { by_user: false });
            machine.step(found());
            assert!(command(&mut machine, answer).contains(&start));
        }
    }

    #[test]
    fn a_scheduled_check_fails_quietly_and_an_asked_for_one_loudly() {
        for (by_user, shown) in [(false, false), (true, true)] {
            let mut machine = Machine::new(WINDOW_WHILE_RUNNING);
            command(&mut machine, Command::Check { by_user });
            machine.step(Input::Checked(Err(problem())));
            assert_eq!(matches!(machine.phase(), Phase::Failed { .. }), shown);
        }
    }

    #[test]
    fn pause_resume_cancel() {
        let mut machine = downloading(TERMINAL);
        assert_eq!(command(&mut machine, Command::Pause)[0], Effect::Pause);
        assert!(command(&mut machine, Command::Pause).is_empty(), "a second click changes nothing");
        assert_eq!(command(&mut machine, Command::Resume)[0], Effect::Resume);
        assert_eq!(command(&mut machine, Command::Cancel), [Effect::Cancel]);
        for late in [Command::Cancel, Command::Pause, Command::Resume] {
            assert!(command(&mut machine, late).is_empty(), "a cancel is not taken back by a later click");
        }
        machine.step(Input::Updated(Ok(Updated::Stopped)));
        assert_eq!(*machine.phase(), Phase::Cancelled);
        assert!(command(&mut machine, Command::Start).contains(&Effect::Update(offer())), "the offer still stands");
    }

    #[test]
    fn retry_does_what_failed() {
        let mut machine = downloading(TERMINAL);
        machine.step(Input::Updated(Err(problem())));
        assert!(command(&mut machine, Command::Retry).contains(&Effect::Update(offer())));
        let mut machine = Machine::new(TERMINAL);
        command(&mut machine, Command::Check { by_user: true });
        machine.step(Input::Checked(Err(problem())));
        assert!(command(&mut machine, Command::Retry).contains(&Effect::Check(None)));
        let mut machine = Machine::new(BEFORE_START);
        command(&mut machine, Command::Check { by_user: false });
        machine.step(nothing());
        machine.step(Input::Launched(Err(problem())));
        assert_eq!(command(&mut machine, Command::Retry), [Effect::Restart { switch_to: None }]);
    }

    #[test]
    fn a_version_asked_for_by_name_starts_without_a_question() {
        let mut machine = Machine::new(TERMINAL);
        let version = Version::new(2, 0, 0);
        assert!(command(&mut machine, Command::StartVersion(version.clone())).contains(&Effect::Check(Some(version))));
        assert!(machine.step(found()).contains(&Effect::Update(offer())));
    }

    #[test]
    fn the_end_of_the_app_is_shown_where_it_matters() {
        let mut machine = downloading(WINDOW_WHILE_RUNNING);
        machine.step(Input::Fetched);
        machine.step(Input::Updated(Ok(Updated::Installed(id()))));
        machine.step(Input::Chosen(Ok(Chosen { id: id(), at_next_start: false })));
        machine.step(Input::AppEnded);
        assert_eq!(*machine.phase(), Phase::Ready { version: id().version, running: false });
    }

    #[test]
    fn what_comes_late_changes_nothing() {
        let mut machine = Machine::new(TERMINAL);
        assert!(machine.step(found()).is_empty());
        assert!(machine.step(Input::Fetched).is_empty());
        for command_ in [
            Command::Start,
            Command::Pause,
            Command::Resume,
            Command::Cancel,
            Command::Later,
            Command::Skip,
            Command::Retry,
            Command::RestartNow,
        ] {
            assert!(command(&mut machine, command_).is_empty());
        }
        let mut machine = downloading(TERMINAL);
        assert!(command(&mut machine, Command::Check { by_user: true }).is_empty(), "a check does not disturb a download");
        assert!(command(&mut machine, Command::Switch(id())).is_empty());
    }

    /// The same release out of a file.
    fn in_file() -> Input {
        let plan = Plan::without_fetching(Way::File, 1);
        Input::Checked(Ok(Checked::Offer(Box::new(Offer { plan, file: Some("f".into()), ..*offer() }))))
    }

    #[test]
    fn a_file_is_looked_into_offered_and_installed_without_a_download() {
        let mut machine = Machine::new(WINDOW_WHILE_RUNNING);
        let effects = command(&mut machine, Command::InstallFile("f".into()));
        assert_eq!(effects[1], Effect::CheckFile { path: "f".into(), accept_expired: false });
        assert!(command(&mut machine, Command::InstallFile("g".into())).is_empty(), "one after the other");
        machine.step(in_file());
        assert!(matches!(machine.phase(), Phase::Offered { .. }), "nothing is installed without a word");
        command(&mut machine, Command::Start);
        assert!(matches!(machine.phase(), Phase::Installing { .. }));
        let effects = machine.step(Input::Updated(Ok(Updated::Installed(id()))));
        assert!(effects.contains(&Effect::Choose { id: id(), at_next_start: true }), "{effects:?}");
    }

    #[test]
    fn what_is_wrong_with_a_file_is_shown_and_only_its_age_can_be_accepted() {
        let expired = Problem { kind: ProblemKind::BundleExpired, ..problem() };
        // Also where a check without result would start the app.
        let mut machine = Machine::new(BEFORE_START);
        command(&mut machine, Command::InstallFile("f".into()));
        machine.step(Input::Checked(Err(problem())));
        assert!(matches!(machine.phase(), Phase::Failed { .. }));
        assert!(command(&mut machine, Command::AcceptExpired).is_empty());
        let again = command(&mut machine, Command::Retry);
        assert!(again.contains(&Effect::CheckFile { path: "f".into(), accept_expired: false }));
        machine.step(Input::Checked(Err(expired)));
        let accepted = command(&mut machine, Command::AcceptExpired);
        assert!(accepted.contains(&Effect::CheckFile { path: "f".into(), accept_expired: true }));
        machine.step(nothing());
        assert!(matches!(machine.phase(), Phase::UpToDate { .. }));
    }

    #[test]
    fn what_is_prefetched_is_offered_again_and_not_chosen() {
        let mut machine = Machine::new(WINDOW_WHILE_RUNNING);
        command(&mut machine, Command::Check { by_user: false });
        machine.step(found());
        assert!(command(&mut machine, Command::Prefetch).contains(&Effect::Update(offer())));
        machine.step(Input::Fetched);
        let effects = machine.step(Input::Updated(Ok(Updated::Installed(id()))));
        assert!(!effects.iter().any(|effect| matches!(effect, Effect::Choose { .. } | Effect::Restart { .. })), "{effects:?}");
        let Phase::Offered { offer } = machine.phase().clone() else { panic!("{:?}", machine.phase()) };
        assert_eq!((offer.plan.way, offer.bytes_to_fetch), (Way::Installed, 0));
        assert!(command(&mut machine, Command::Prefetch).is_empty(), "there is nothing left to fetch");
        command(&mut machine, Command::Start);
        let effects = machine.step(Input::Updated(Ok(Updated::Installed(id()))));
        assert!(effects.contains(&Effect::Choose { id: id(), at_next_start: true }), "{effects:?}");
    }

    #[test]
    fn a_repair_is_begun_at_rest_and_can_be_cancelled_and_tried_again() {
        let mut machine = Machine::new(Setup::default());
        let repairing = Effect::Emit(Event::Phase { phase: Phase::Repairing { version: id().version } });
        assert_eq!(machine.step(Input::Command(Command::Repair(id()))), [repairing.clone(), Effect::Repair(id())]);
        // Nothing else begins meanwhile.
        assert!(machine.step(Input::Command(Command::Repair(id()))).is_empty());
        assert!(machine.step(Input::Command(Command::Check { by_user: true })).is_empty());
        assert_eq!(machine.step(Input::Command(Command::Cancel)), [Effect::Cancel]);
        assert!(machine.step(Input::Command(Command::Cancel)).is_empty());
        machine.step(Input::Repaired(Ok(None)));
        assert_eq!(machine.phase(), &Phase::Cancelled);

        machine.step(Input::Command(Command::Repair(id())));
        machine.step(Input::Repaired(Err(problem())));
        assert_eq!(machine.step(Input::Command(Command::Retry)), [repairing, Effect::Repair(id())]);
        let repaired = Box::new(Repaired::begun(id().version));
        machine.step(Input::Repaired(Ok(Some(repaired.clone()))));
        assert_eq!(machine.phase(), &Phase::Repaired(repaired));
        // And then the check that waited for it.
        assert_eq!(machine.step(Input::Command(Command::Check { by_user: false })).last(), Some(&Effect::Check(None)));
    }

    #[test]
    fn removing_tells_the_new_list_or_why_not() {
        let mut machine = Machine::new(TERMINAL);
        assert_eq!(command(&mut machine, Command::Remove(id())), [Effect::Remove(id())]);
        assert_eq!(machine.step(Input::Removed(Ok(()))), [Effect::List]);
        assert_eq!(machine.step(Input::Removed(Err(problem()))), [Effect::Emit(Event::Notice { problem: problem() })]);
    }

    #[test]
    fn housekeeping_is_possible_at_any_time_and_changes_no_phase() {
        let mut machine = downloading(TERMINAL);
        let what = Happened::NotSwitched { to: id().version, chain: Vec::new() };
        let when = jiff::Timestamp::UNIX_EPOCH;
        let told = machine.step(Input::Happened(Notice { when, what: what.clone() }));
        assert_eq!(told, [Effect::Emit(Event::Happened { when, what: what.clone() }), Effect::List]);
        let seen = Box::new(what);
        assert_eq!(command(&mut machine, Command::Seen(seen.clone())), [Effect::Forget(seen)]);
        assert_eq!(command(&mut machine, Command::Prune), [Effect::Prune]);
        assert_eq!(command(&mut machine, Command::MeasureDisk), [Effect::MeasureDisk]);
        assert!(matches!(machine.phase(), Phase::Downloading { .. }));
    }
}
