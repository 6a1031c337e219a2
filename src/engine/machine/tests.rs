//! Tests of the machine, input by input.

mod bundle;
mod hot_swap;
mod network;
mod recall;

use super::*;
use crate::messages::fixture::offer;
use crate::messages::language::{Checked, Chosen, Updated};
use crate::messages::protocol::{DamagedItem, NoUpdate, Repaired, ShortcutChoice};
use crate::model::incident::Incident;
use crate::model::plan::{Plan, UpdateStrategy};

fn id() -> ContainerId {
    "sample_2.0.0_Linux_x86_64".parse().unwrap()
}

fn problem() -> Problem {
    Problem { kind: ProblemKind::NoNetwork, subject: String::new(), chain: Vec::new() }
}

fn found() -> MachineInput {
    MachineInput::Checked(Ok(Checked::Offer(offer())))
}

fn nothing() -> MachineInput {
    MachineInput::Checked(Ok(Checked::Nothing { reason: NoUpdate::Newest, current: None }))
}

fn command(machine: &mut Machine, command: Command) -> Vec<Effect> {
    machine.step(MachineInput::Command(command))
}

fn downloading(setup: Setup) -> Machine {
    let mut machine = Machine::new(setup);
    command(&mut machine, Command::Check(CheckTrigger::Person));
    machine.step(found());
    assert!(command(&mut machine, Command::Start).contains(&Effect::Update(offer())));
    machine
}

const WINDOW_WHILE_RUNNING: Setup =
    Setup { launch_when_ready: true, start_anyway: false, running: true };
const FIRST_INSTALL: Setup = Setup { launch_when_ready: true, start_anyway: false, running: false };
const BEFORE_START: Setup = Setup { launch_when_ready: true, start_anyway: true, running: false };
const TERMINAL: Setup = Setup { launch_when_ready: false, start_anyway: false, running: false };

#[test]
fn an_update_beside_the_running_app_waits_for_the_person() {
    let mut machine = downloading(WINDOW_WHILE_RUNNING);
    machine.step(MachineInput::Fetched);
    assert!(matches!(machine.phase(), Phase::Installing { .. }));
    let effects = machine.step(MachineInput::Updated(Ok(Updated::Installed(id()))));
    assert!(
        effects.contains(&Effect::Choose { to: id().into(), at_next_start: true }),
        "{effects:?}"
    );
    machine.step(MachineInput::Chosen(Ok(Chosen { id: id(), at_next_start: false })));
    assert_eq!(machine.phase(), Phase::Ready { version: id().version, running: true });
    let effects = command(&mut machine, Command::RestartNow);
    assert_eq!(effects.last(), Some(&Effect::Close { back: None }), "the app first");
    let effects = machine.step(MachineInput::Closed(Ok(true)));
    assert_eq!(effects.last(), Some(&Effect::Restart { switch_to: Some(id().into()) }));
    let effects = machine.step(MachineInput::Launched(Ok(id().version)));
    assert_eq!(machine.phase(), Phase::Launched { version: id().version });
    assert_eq!(
        effects.last(),
        Some(&Effect::PruneAutomatically),
        "what takes its time comes after the start"
    );
}

/// A release is installed, the app is asked to close for it.
fn closing() -> Machine {
    let mut machine = downloading(WINDOW_WHILE_RUNNING);
    machine.step(MachineInput::Fetched);
    machine.step(MachineInput::Updated(Ok(Updated::Installed(id()))));
    machine.step(MachineInput::Chosen(Ok(Chosen { id: id(), at_next_start: true })));
    command(&mut machine, Command::RestartNow);
    machine
}

#[test]
fn an_app_that_is_closing_is_waited_for_as_long_as_its_person_wants() {
    let mut machine = closing();
    let phase = |wait| Phase::Closing { version: Some(id().version), back: false, wait };
    assert_eq!(machine.phase(), phase(ClosingWait::App));
    machine.step(MachineInput::Closing(ClosingWait::Person));
    assert_eq!(machine.phase(), phase(ClosingWait::Person));
    assert!(machine.step(MachineInput::Closing(ClosingWait::Person)).is_empty(), "told once");
    // Nothing else begins meanwhile, and a second request means the same.
    for other in [
        Command::RestartNow,
        Command::Check(CheckTrigger::Person),
        Command::Switch(id()),
        Command::RollBack(None),
    ] {
        assert!(command(&mut machine, other).is_empty());
    }
    // Force needs a person's order.
    assert_eq!(command(&mut machine, Command::EndApp), [Effect::EndApp]);
    assert_eq!(machine.phase(), phase(ClosingWait::Person));
    // The app goes on: everything is as it was before.
    assert_eq!(command(&mut machine, Command::RestartLater), [Effect::KeepRunning]);
    machine.step(MachineInput::Closed(Ok(false)));
    assert_eq!(machine.phase(), Phase::Ready { version: id().version, running: true });
    assert!(
        command(&mut machine, Command::EndApp).is_empty()
            && machine.step(MachineInput::Closing(ClosingWait::App)).is_empty()
    );
    // And it can be asked for again.
    assert_eq!(
        command(&mut machine, Command::RestartNow).last(),
        Some(&Effect::Close { back: None })
    );
}

#[test]
fn going_back_closes_the_app_first_and_only_for_what_is_possible() {
    let mut machine = Machine::new(WINDOW_WHILE_RUNNING);
    let back = Some(Back { to: Some(id()) });
    let effects = command(&mut machine, Command::RollBack(Some(id())));
    assert_eq!(effects.last(), Some(&Effect::Close { back: back.clone() }));
    assert!(matches!(machine.phase(), Phase::Closing { back: true, .. }));
    // Its user keeps the app open.
    machine.step(MachineInput::Closed(Ok(false)));
    assert_eq!(machine.phase(), Phase::Idle);
    // There is no earlier version: the user sees that, and no app was closed.
    command(&mut machine, Command::RollBack(Some(id())));
    machine.step(MachineInput::Closed(Err(problem())));
    assert!(matches!(machine.phase(), Phase::Failed { .. }));
    assert_eq!(command(&mut machine, Command::Retry).last(), Some(&Effect::Close { back }));
    let effects = machine.step(MachineInput::Closed(Ok(true)));
    assert_eq!(effects.last(), Some(&Effect::RollBack { to: Some(id()), launch: true }));
    // Where no app runs there is nothing to close.
    let mut machine = Machine::new(TERMINAL);
    let effects = command(&mut machine, Command::RollBack(None));
    assert_eq!(effects.last(), Some(&Effect::RollBack { to: None, launch: false }));
}

#[test]
fn a_first_install_starts_the_app_by_itself() {
    let mut machine = downloading(FIRST_INSTALL);
    machine.step(MachineInput::Fetched);
    let effects = machine.step(MachineInput::Updated(Ok(Updated::Installed(id()))));
    assert!(effects.contains(&Effect::Restart { switch_to: Some(id().into()) }), "{effects:?}");
}

#[test]
fn the_terminal_leaves_the_start_to_its_caller() {
    let mut machine = downloading(TERMINAL);
    machine.step(MachineInput::Fetched);
    let effects = machine.step(MachineInput::Updated(Ok(Updated::Installed(id()))));
    assert!(
        effects.contains(&Effect::Choose { to: id().into(), at_next_start: false }),
        "{effects:?}"
    );
    machine.step(MachineInput::Chosen(Ok(Chosen { id: id(), at_next_start: false })));
    assert_eq!(machine.phase(), Phase::Ready { version: id().version, running: false });
}

#[test]
fn whatever_a_check_before_the_start_finds_the_app_starts() {
    let start = Effect::Restart { switch_to: None };
    for input in [nothing(), MachineInput::Checked(Err(problem()))] {
        let mut machine = Machine::new(BEFORE_START);
        command(&mut machine, Command::Check(CheckTrigger::Schedule));
        assert!(machine.step(input).contains(&start));
    }
    for answer in [Command::Later, Command::Skip] {
        let mut machine = Machine::new(BEFORE_START);
        command(&mut machine, Command::Check(CheckTrigger::Schedule));
        machine.step(found());
        assert!(command(&mut machine, answer).contains(&start));
    }
}

#[test]
fn a_scheduled_check_fails_quietly_and_an_asked_for_one_loudly() {
    for (trigger, shown) in [(CheckTrigger::Schedule, false), (CheckTrigger::Person, true)] {
        let mut machine = Machine::new(WINDOW_WHILE_RUNNING);
        command(&mut machine, Command::Check(trigger));
        machine.step(MachineInput::Checked(Err(problem())));
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
        assert!(
            command(&mut machine, late).is_empty(),
            "a cancel is not taken back by a later click"
        );
    }
    machine.step(MachineInput::Updated(Ok(Updated::Stopped)));
    assert_eq!(machine.phase(), Phase::Cancelled);
    assert!(
        command(&mut machine, Command::Start).contains(&Effect::Update(offer())),
        "the offer still stands"
    );
}

#[test]
fn retry_does_what_failed() {
    let mut machine = downloading(TERMINAL);
    machine.step(MachineInput::Updated(Err(problem())));
    assert!(command(&mut machine, Command::Retry).contains(&Effect::Update(offer())));
    let mut machine = Machine::new(TERMINAL);
    command(&mut machine, Command::Check(CheckTrigger::Person));
    machine.step(MachineInput::Checked(Err(problem())));
    assert!(command(&mut machine, Command::Retry).contains(&Effect::Check(None)));
    let mut machine = Machine::new(BEFORE_START);
    command(&mut machine, Command::Check(CheckTrigger::Schedule));
    machine.step(nothing());
    machine.step(MachineInput::Launched(Err(problem())));
    assert_eq!(command(&mut machine, Command::Retry), [Effect::Restart { switch_to: None }]);
}

#[test]
fn a_version_asked_for_by_name_starts_without_a_question() {
    let mut machine = Machine::new(TERMINAL);
    let version = Version::new(2, 0, 0);
    assert!(
        command(&mut machine, Command::StartVersion(version.clone()))
            .contains(&Effect::Check(Some(version)))
    );
    assert!(machine.step(found()).contains(&Effect::Update(offer())));
}

#[test]
fn the_end_of_the_app_is_shown_where_it_matters() {
    let mut machine = downloading(WINDOW_WHILE_RUNNING);
    machine.step(MachineInput::Fetched);
    machine.step(MachineInput::Updated(Ok(Updated::Installed(id()))));
    machine.step(MachineInput::Chosen(Ok(Chosen { id: id(), at_next_start: false })));
    machine.step(MachineInput::AppEnded);
    assert_eq!(machine.phase(), Phase::Ready { version: id().version, running: false });
}

#[test]
fn what_comes_late_changes_nothing() {
    let mut machine = Machine::new(TERMINAL);
    assert!(machine.step(found()).is_empty());
    assert!(machine.step(MachineInput::Fetched).is_empty());
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
    assert!(
        command(&mut machine, Command::Check(CheckTrigger::Person)).is_empty(),
        "a check does not disturb a download"
    );
    assert!(command(&mut machine, Command::Switch(id())).is_empty());
}

#[test]
fn what_is_prefetched_is_offered_again_and_not_chosen() {
    let mut machine = Machine::new(WINDOW_WHILE_RUNNING);
    command(&mut machine, Command::Check(CheckTrigger::Schedule));
    machine.step(found());
    assert!(command(&mut machine, Command::Prefetch).contains(&Effect::Update(offer())));
    machine.step(MachineInput::Fetched);
    let effects = machine.step(MachineInput::Updated(Ok(Updated::Installed(id()))));
    assert!(
        !effects
            .iter()
            .any(|effect| matches!(effect, Effect::Choose { .. } | Effect::Restart { .. })),
        "{effects:?}"
    );
    let Phase::Offered { offer } = machine.phase().clone() else { panic!("{:?}", machine.phase()) };
    assert_eq!((offer.plan.strategy, offer.bytes_to_fetch), (UpdateStrategy::Installed, 0));
    assert!(command(&mut machine, Command::Prefetch).is_empty(), "there is nothing left to fetch");
    command(&mut machine, Command::Start);
    let effects = machine.step(MachineInput::Updated(Ok(Updated::Installed(id()))));
    assert!(
        effects.contains(&Effect::Choose { to: id().into(), at_next_start: true }),
        "{effects:?}"
    );
}

#[test]
fn a_repair_is_begun_at_rest_and_can_be_cancelled_and_tried_again() {
    let mut machine = Machine::new(Setup::default());
    let repairing =
        Effect::Emit(Event::Phase { phase: Phase::Repairing { version: id().version } });
    assert_eq!(
        machine.step(MachineInput::Command(Command::Repair(id()))),
        [repairing.clone(), Effect::Repair(id())]
    );
    // Nothing else begins meanwhile.
    assert!(machine.step(MachineInput::Command(Command::Repair(id()))).is_empty());
    assert!(machine.step(MachineInput::Command(Command::Check(CheckTrigger::Person))).is_empty());
    assert_eq!(machine.step(MachineInput::Command(Command::Cancel)), [Effect::Cancel]);
    assert!(machine.step(MachineInput::Command(Command::Cancel)).is_empty());
    machine.step(MachineInput::Repaired(Ok(None)));
    assert_eq!(machine.phase(), Phase::Cancelled);

    machine.step(MachineInput::Command(Command::Repair(id())));
    machine.step(MachineInput::Repaired(Err(problem())));
    assert_eq!(
        machine.step(MachineInput::Command(Command::Retry)),
        [repairing.clone(), Effect::Repair(id())]
    );
    // What could not be repaired is tried again too, and a version that is whole is not.
    let mut partly = Box::new(Repaired::begun(id().version));
    partly.left.push(DamagedItem { path: "app/run".to_owned(), what: "missing".to_owned() });
    machine.step(MachineInput::Repaired(Ok(Some(partly))));
    assert_eq!(
        machine.step(MachineInput::Command(Command::Retry)),
        [repairing, Effect::Repair(id())]
    );
    let repaired = Box::new(Repaired::begun(id().version));
    machine.step(MachineInput::Repaired(Ok(Some(repaired.clone()))));
    assert!(machine.step(MachineInput::Command(Command::Retry)).is_empty());
    assert_eq!(machine.phase(), Phase::Repaired(repaired));
    // Then follows the check that waited for it.
    assert_eq!(
        machine.step(MachineInput::Command(Command::Check(CheckTrigger::Schedule))).last(),
        Some(&Effect::Check(None))
    );
}

#[test]
fn removing_reports_the_new_list_or_why_not() {
    let mut machine = Machine::new(TERMINAL);
    assert_eq!(command(&mut machine, Command::Remove(id())), [Effect::Remove(id())]);
    assert_eq!(machine.step(MachineInput::Removed(Ok(()))), [Effect::List]);
    assert_eq!(
        machine.step(MachineInput::Removed(Err(problem()))),
        [Effect::Emit(Event::Notice { problem: problem() })]
    );
}

#[test]
fn housekeeping_is_possible_at_any_time_and_changes_no_phase() {
    let mut machine = downloading(TERMINAL);
    let what = Incident::NotSwitched { to: id().version, chain: Vec::new() };
    let when = jiff::Timestamp::UNIX_EPOCH;
    let effects = machine.step(MachineInput::Incident(Notice { when, what: what.clone() }));
    assert_eq!(effects, [Effect::Emit(Event::Incident { when, what: what.clone() }), Effect::List]);
    let seen = Box::new(what);
    assert_eq!(command(&mut machine, Command::Seen(seen.clone())), [Effect::RemoveIncident(seen)]);
    assert_eq!(command(&mut machine, Command::Prune), [Effect::Prune]);
    let (delete, deletes) =
        (Command::DeleteRetained("f".into()), Effect::DeleteRetained("f".into()));
    assert_eq!(command(&mut machine, delete), [deletes]);
    assert_eq!(command(&mut machine, Command::MeasureDisk), [Effect::MeasureDisk]);
    assert_eq!(command(&mut machine, Command::List), [Effect::List]);
    let switched = command(&mut machine, Command::StartAtLogin(true));
    assert_eq!(switched, [Effect::StartAtLogin(true), Effect::List]);
    let chosen = command(&mut machine, Command::OldShortcuts(ShortcutChoice::Leave));
    assert_eq!(chosen, [Effect::OldShortcuts(ShortcutChoice::Leave), Effect::List]);
    assert!(matches!(machine.phase(), Phase::Downloading { .. }));
}

#[test]
fn an_app_that_is_not_running_takes_nothing_over_and_is_not_waited_for() {
    let mut machine = Machine::new(TERMINAL);
    machine.step(MachineInput::Command(Command::StartVersion(id().version)));
    let mut hot = offer();
    hot.plan.requires_restart = false;
    machine.step(MachineInput::Checked(Ok(Checked::Offer(hot))));
    machine.step(MachineInput::Updated(Ok(Updated::Installed(id()))));
    machine.step(MachineInput::Chosen(Ok(Chosen { id: id(), at_next_start: false })));
    assert_eq!(machine.phase(), Phase::Ready { version: id().version, running: false });
    assert!(machine.step(MachineInput::Command(Command::RestartWhenEnded)).is_empty());
    let mut machine = Machine::new(WINDOW_WHILE_RUNNING);
    assert_eq!(
        machine.step(MachineInput::Command(Command::RestartWhenEnded)),
        [Effect::RestartWhenEnded]
    );
    assert_eq!(machine.phase(), Phase::Idle);
    // A start that comes of it does not disturb a check or a download.
    machine.step(MachineInput::Command(Command::Check(CheckTrigger::Schedule)));
    machine.step(MachineInput::Relaunched(Ok(id().version)));
    assert_eq!(machine.phase(), Phase::Checking);
    machine.step(found());
    machine.step(MachineInput::Command(Command::Start));
    machine.step(MachineInput::Relaunched(Ok(id().version)));
    assert_eq!(machine.phase(), Phase::Downloading { version: id().version });
}

#[test]
fn what_is_under_way_is_not_disturbed_by_the_end_of_what_was_begun_before() {
    let chosen = || MachineInput::Chosen(Ok(Chosen { id: id(), at_next_start: true }));
    let noticed = Effect::Emit(Event::Notice { problem: problem() });
    // A switch that ends during a download, well or not.
    let mut machine = Machine::new(WINDOW_WHILE_RUNNING);
    command(&mut machine, Command::Check(CheckTrigger::Person));
    machine.step(found());
    command(&mut machine, Command::Switch(id()));
    command(&mut machine, Command::Prefetch);
    assert_eq!(machine.step(chosen()), [Effect::PruneAutomatically, Effect::List]);
    assert_eq!(machine.step(MachineInput::Chosen(Err(problem()))), std::slice::from_ref(&noticed));
    // So does a start that the app had asked for.
    assert_eq!(
        machine.step(MachineInput::Relaunched(Err(problem()))),
        std::slice::from_ref(&noticed)
    );
    assert_eq!(machine.phase(), Phase::Downloading { version: id().version });
    // It can still be cancelled, and its purpose is still known.
    assert_eq!(command(&mut machine, Command::Cancel), [Effect::Cancel]);
    let effects = machine.step(MachineInput::Updated(Ok(Updated::Installed(id()))));
    assert_eq!(
        effects[0],
        Effect::PruneAutomatically,
        "it was fetched, and not to be chosen, and nobody may have to wait for a deletion"
    );
    assert!(matches!(machine.phase(), Phase::Offered { .. }));
    // During a repair, and while the app is asked to close.
    for under_way in [Command::Repair(id()), Command::RollBack(Some(id()))] {
        let mut machine = Machine::new(WINDOW_WHILE_RUNNING);
        command(&mut machine, Command::Switch(id()));
        command(&mut machine, under_way);
        let phase = machine.phase();
        assert_eq!(machine.step(chosen()), [Effect::PruneAutomatically, Effect::List]);
        assert_eq!(
            machine.step(MachineInput::Launched(Err(problem()))),
            std::slice::from_ref(&noticed)
        );
        assert_eq!(machine.phase(), phase);
    }
}

#[test]
fn a_second_click_on_try_again_starts_the_app_once() {
    let mut machine = Machine::new(TERMINAL);
    command(&mut machine, Command::StartFailed(Box::new(problem())));
    assert_eq!(command(&mut machine, Command::Retry), [Effect::Restart { switch_to: None }]);
    let again = command(&mut machine, Command::Retry);
    assert!(!again.contains(&Effect::Restart { switch_to: None }), "{again:?}");
    machine.step(MachineInput::Launched(Ok(id().version)));
    assert_eq!(machine.phase(), Phase::Launched { version: id().version });
}

#[test]
fn only_what_was_fetched_is_started_again_after_a_cancel() {
    let mut machine = Machine::new(TERMINAL);
    command(&mut machine, Command::Check(CheckTrigger::Person));
    machine.step(found());
    command(&mut machine, Command::Repair(id()));
    machine.step(MachineInput::Repaired(Ok(None)));
    assert_eq!(machine.phase(), Phase::Cancelled);
    assert!(command(&mut machine, Command::Start).is_empty());
}

#[test]
fn another_channel_is_looked_at_once_nothing_is_under_way() {
    let beta = || Command::ChooseChannel("beta".to_owned());
    let chosen = Effect::ChooseChannel("beta".to_owned());
    let mut machine = Machine::new(WINDOW_WHILE_RUNNING);
    let effects = command(&mut machine, beta());
    assert_eq!((effects.first(), effects.last()), (Some(&chosen), Some(&Effect::Check(None))));
    assert_eq!(machine.phase(), Phase::Checking);
    let mut machine = downloading(WINDOW_WHILE_RUNNING);
    assert_eq!(command(&mut machine, beta()), [chosen, Effect::List]);
    assert!(matches!(machine.phase(), Phase::Downloading { .. }), "what is under way goes on");
}
