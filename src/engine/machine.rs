//! The engine's pure core: decides which phase follows which, and which effects each phase needs.
//! No I/O, no clock, no thread.
//!
//! [`Machine::step`] takes one input and returns the effects to perform, in order. The driver
//! performs them and reports their outcomes as further inputs. An input that makes no sense in the
//! present phase changes nothing: a second click is not an error.
//!
//! ```text
//! machine     commands               activity    what the machine is doing, with its own data
//! outcomes    what came of effects
//! ```

mod activity;
mod outcomes;

use std::path::PathBuf;

use activity::{Activity, AfterCheck, AfterClosing, Choice, Purpose, Retry, Transfer};

use crate::messages::language::{Back, Effect, MachineInput, Setup};
use crate::messages::protocol::{
    CheckTrigger, ClosingWait, Command, Event, Phase, Problem, ProblemKind,
};
use crate::model::incident::Notice;
use crate::model::{ContainerId, Offer, Version};

#[derive(Debug)]
pub(crate) struct Machine {
    setup: Setup,
    activity: Activity,
    /// The version chosen last; what "restart now" switches to. It belongs to no single activity:
    /// the machine may be doing anything when a switch ends, and the next start is in this version.
    choice: Option<Choice>,
    /// Failures in a row that were the network's, while no app could be started.
    failures: u32,
}

impl Machine {
    pub(crate) fn new(setup: Setup) -> Self {
        Self { setup, activity: Activity::Idle, choice: None, failures: 0 }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.activity.phase()
    }

    /// Takes one input, and returns the effects to perform for it, in order.
    pub(crate) fn step(&mut self, input: MachineInput) -> Vec<Effect> {
        match input {
            MachineInput::Command(command) => self.command(command),
            MachineInput::RetryDue(failures) => self.retry_by_itself(failures),
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
            MachineInput::Removed(Err(problem)) => vec![notice(problem)],
        }
    }

    fn command(&mut self, command: Command) -> Vec<Effect> {
        match command {
            Command::Pin(version) => vec![Effect::Pin(version), Effect::List],
            Command::Remove(id) => vec![Effect::Remove(id)],
            Command::Prune => vec![Effect::Prune],
            Command::DeleteRetained(folder) => vec![Effect::DeleteRetained(folder)],
            Command::List => vec![Effect::List],
            Command::MeasureDisk => vec![Effect::MeasureDisk],
            Command::Share(on) => vec![Effect::Share(on), Effect::List],
            Command::Report(on) => vec![Effect::Report(on), Effect::List],
            Command::ChooseChannel(name) => self.choose_channel(name),
            Command::StartAtLogin(on) => vec![Effect::StartAtLogin(on), Effect::List],
            Command::OldShortcuts(choice) => vec![Effect::OldShortcuts(choice), Effect::List],
            Command::Seen(what) => vec![Effect::RemoveIncident(what)],
            Command::LimitBandwidth(limit) => vec![Effect::LimitBandwidth(limit)],
            Command::RestartWhenEnded if self.setup.running => vec![Effect::RestartWhenEnded],
            Command::Quit => vec![Effect::Stop],
            command if self.activity.is_at_rest() => self.command_at_rest(command),
            command => self.command_at_work(command),
        }
    }

    /// A command while nothing is under way that a new check or a switch would disturb.
    fn command_at_rest(&mut self, command: Command) -> Vec<Effect> {
        let person = CheckTrigger::Person;
        match (command, self.activity.clone()) {
            (Command::Check(CheckTrigger::Bundle(path)), _) => self.check_bundle(path, false),
            (Command::Check(CheckTrigger::Included(path)), _) => self.check_included(path),
            (Command::Check(trigger), _) => self.check(None, trigger, AfterCheck::Ask),
            (Command::CheckVersion(version), _) => {
                self.check(Some(version), person, AfterCheck::Ask)
            }
            (Command::StartVersion(version), _) => {
                self.check(Some(version), person, AfterCheck::Fetch)
            }
            (Command::OfferSkipped, _) => {
                let check = self.check(None, person, AfterCheck::Ask);
                std::iter::once(Effect::SkipNothing).chain(check).collect()
            }
            (
                Command::AcceptExpired,
                Activity::Failed { problem, retry: Retry::CheckBundle(path) },
            ) if problem.kind == ProblemKind::BundleExpired => self.check_bundle(path, true),
            (Command::Prefetch, Activity::Offered { offer }) if !offer.plan.is_local() => {
                self.update(offer, Purpose::Prefetch)
            }
            (
                Command::Start,
                Activity::Offered { offer } | Activity::Cancelled { offer: Some(offer) },
            ) => self.update(offer, Purpose::Install),
            (Command::Later, Activity::Offered { .. }) => self.decline(),
            (Command::Skip, Activity::Offered { offer }) => {
                let skip = Effect::Skip(offer.version().clone());
                std::iter::once(skip).chain(self.decline()).collect()
            }
            (Command::StartFailed(problem), _) => {
                self.setup.running = false;
                self.fail(Retry::Restart, *problem)
            }
            (Command::Retry, Activity::Failed { problem, retry }) => {
                // A retry whose beginning is not shown could be clicked twice: it begins only once.
                self.activity = Activity::Failed { problem, retry: Retry::Check };
                self.retry(retry)
            }
            (Command::Retry, Activity::Repaired { id, repaired }) if !repaired.left.is_empty() => {
                self.repair(id)
            }
            (Command::Switch(id), _) => self.choose(Choice { to: id.into(), swap: None }),
            (Command::RollBack(to), _) => self.roll_back(to),
            (Command::Repair(id), _) => self.repair(id),
            (Command::RestartNow, Activity::Ready { .. }) => self.restart(),
            (Command::RestartLater, Activity::Ready { .. }) => vec![self.enter(Activity::Idle)],
            _ => Vec::new(),
        }
    }

    /// A command that steers the work under way.
    fn command_at_work(&mut self, command: Command) -> Vec<Effect> {
        match (command, &mut self.activity) {
            (Command::Pause, Activity::Fetching { transfer, .. })
                if *transfer == Transfer::Running =>
            {
                *transfer = Transfer::Paused;
                vec![Effect::Pause, self.show()]
            }
            (Command::Resume, Activity::Fetching { transfer, .. })
                if *transfer == Transfer::Paused =>
            {
                *transfer = Transfer::Running;
                vec![Effect::Resume, self.show()]
            }
            (Command::Cancel, Activity::Fetching { transfer, .. })
                if matches!(transfer, Transfer::Running | Transfer::Paused) =>
            {
                *transfer = Transfer::Cancelled { paused: *transfer == Transfer::Paused };
                vec![Effect::Cancel]
            }
            (Command::Cancel, Activity::Repairing { cancelled, .. }) if !*cancelled => {
                *cancelled = true;
                vec![Effect::Cancel]
            }
            // The check may have begun by itself while the person chose the file.
            (
                Command::Check(CheckTrigger::Bundle(path)),
                Activity::Checking { trigger: CheckTrigger::Person, then },
            ) => {
                *then = AfterCheck::Open(path);
                Vec::new()
            }
            (Command::RestartLater, Activity::Closing { .. }) => vec![Effect::KeepRunning],
            (Command::EndApp, Activity::Closing { .. }) => vec![Effect::EndApp],
            _ => Vec::new(),
        }
    }

    fn enter(&mut self, activity: Activity) -> Effect {
        self.activity = activity;
        self.show()
    }

    /// Emits the present phase.
    fn show(&self) -> Effect {
        Effect::Emit(Event::Phase { phase: self.phase() })
    }

    fn fail(&mut self, retry: Retry, problem: Problem) -> Vec<Effect> {
        let shown = self.enter(Activity::Failed { problem, retry });
        let later = self.waits_for_the_network().then(|| {
            self.failures += 1;
            Effect::RetryLater(self.failures)
        });
        std::iter::once(shown).chain(later).collect()
    }

    /// Whether only the network is missing for the app to be started: then nobody should have to
    /// press "Try again".
    fn waits_for_the_network(&self) -> bool {
        let starts = self.setup.launch_when_ready && !self.setup.running;
        let Activity::Failed { problem, retry } = &self.activity else { return false };
        starts
            && problem.kind.is_of_the_network()
            && matches!(retry, Retry::Check | Retry::Update(_))
    }

    /// Tries again, unless something else has been tried since that failure.
    fn retry_by_itself(&mut self, failures: u32) -> Vec<Effect> {
        if failures != self.failures || !self.waits_for_the_network() {
            return Vec::new();
        }
        self.command(Command::Retry)
    }

    fn check(
        &mut self,
        version: Option<Version>,
        trigger: CheckTrigger,
        then: AfterCheck,
    ) -> Vec<Effect> {
        vec![self.enter(Activity::Checking { trigger, then }), Effect::Check(version)]
    }

    /// Follows another channel. What is under way goes on; then the next check asks the new one.
    fn choose_channel(&mut self, name: String) -> Vec<Effect> {
        let looks = if self.activity.is_at_rest() {
            self.check(None, CheckTrigger::Person, AfterCheck::Ask)
        } else {
            Vec::new()
        };
        [Effect::ChooseChannel(name), Effect::List].into_iter().chain(looks).collect()
    }

    fn check_bundle(&mut self, path: PathBuf, accept_expired: bool) -> Vec<Effect> {
        let trigger = CheckTrigger::Bundle(path.clone());
        vec![
            self.enter(Activity::Checking { trigger, then: AfterCheck::Ask }),
            Effect::CheckFile { path, accept_expired },
        ]
    }

    fn check_included(&mut self, path: PathBuf) -> Vec<Effect> {
        let trigger = CheckTrigger::Included(path.clone());
        vec![
            self.enter(Activity::Checking { trigger, then: AfterCheck::Fetch }),
            Effect::CheckFile { path, accept_expired: false },
        ]
    }

    fn update(&mut self, offer: Box<Offer>, purpose: Purpose) -> Vec<Effect> {
        let transfer = if offer.plan.is_local() { Transfer::Complete } else { Transfer::Running };
        let fetching = Activity::Fetching { offer: offer.clone(), purpose, transfer };
        vec![self.enter(fetching), Effect::Update(offer)]
    }

    fn repair(&mut self, id: ContainerId) -> Vec<Effect> {
        let repairing = Activity::Repairing { id: id.clone(), cancelled: false };
        vec![self.enter(repairing), Effect::Repair(id)]
    }

    fn decline(&mut self) -> Vec<Effect> {
        if self.setup.start_anyway { self.restart() } else { vec![self.enter(Activity::Idle)] }
    }

    /// Makes `choice` the version of the next start.
    fn choose(&mut self, choice: Choice) -> Vec<Effect> {
        let to = choice.to.clone();
        self.choice = Some(choice);
        let version = to.id.version.clone();
        if !self.setup.running && self.setup.launch_when_ready {
            return vec![
                self.enter(Activity::Switching { version }),
                Effect::Restart { switch_to: Some(to) },
            ];
        }
        vec![Effect::Choose { to, at_next_start: self.setup.running }]
    }

    fn roll_back(&mut self, to: Option<ContainerId>) -> Vec<Effect> {
        if self.setup.running {
            return self.close(AfterClosing::RollBack { to: to.clone() }, Some(Back { to }));
        }
        let launch = self.setup.launch_when_ready;
        vec![self.enter(Activity::RollingBack { to: to.clone() }), Effect::RollBack { to, launch }]
    }

    /// Closes the running app. `after` is performed when the app has ended.
    fn close(&mut self, after: AfterClosing, back: Option<Back>) -> Vec<Effect> {
        let before = Box::new(self.activity.clone());
        let closing = Activity::Closing { after, wait: ClosingWait::App, before };
        vec![self.enter(closing), Effect::Close { back }]
    }

    /// Starts the app, in the chosen version if there is one. An app that runs is closed first.
    fn restart(&mut self) -> Vec<Effect> {
        let switch_to = self.choice.as_ref().map(|choice| choice.to.clone());
        if self.setup.running {
            return self.close(AfterClosing::Restart { switch_to }, None);
        }
        let shown = switch_to
            .as_ref()
            .map(|to| self.enter(Activity::Switching { version: to.id.version.clone() }));
        shown.into_iter().chain([Effect::Restart { switch_to }]).collect()
    }

    fn retry(&mut self, retry: Retry) -> Vec<Effect> {
        match retry {
            Retry::Check => self.check(None, CheckTrigger::Person, AfterCheck::Ask),
            Retry::CheckBundle(path) => self.check_bundle(path, false),
            Retry::Update(offer) => self.update(offer, Purpose::Install),
            Retry::Choose(choice) => self.choose(choice),
            Retry::RollBack(to) => self.roll_back(to),
            Retry::Repair(id) => self.repair(id),
            Retry::Restart => self.restart(),
        }
    }
}

fn notice(problem: Problem) -> Effect {
    Effect::Emit(Event::Notice { problem })
}

#[cfg(test)]
mod tests;
