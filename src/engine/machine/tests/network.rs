//! What waits for the network is tried again by itself.

use super::*;

fn check_fails(machine: &mut Machine, kind: ProblemKind) -> Vec<Effect> {
    machine.step(MachineInput::Checked(Err(Problem { kind, ..problem() })))
}

fn later(effects: &[Effect]) -> Option<u32> {
    effects.iter().find_map(|effect| match effect {
        Effect::RetryLater(failures) => Some(*failures),
        _ => None,
    })
}

/// A first installation whose check has failed.
fn without_network() -> Machine {
    let mut machine = Machine::new(FIRST_INSTALL);
    command(&mut machine, Command::Check(CheckTrigger::Person));
    assert_eq!(later(&check_fails(&mut machine, ProblemKind::NoNetwork)), Some(1));
    machine
}

#[test]
fn a_first_installation_needs_nobody_to_press_try_again() {
    let mut machine = without_network();
    assert!(machine.step(MachineInput::RetryDue(1)).contains(&Effect::Check(None)));
    assert_eq!(later(&check_fails(&mut machine, ProblemKind::NodesUnusable)), Some(2));
    assert!(machine.step(MachineInput::RetryDue(2)).contains(&Effect::Check(None)));
    machine.step(found());
    assert!(matches!(machine.phase(), Phase::Offered { .. }));
    assert!(machine.step(MachineInput::RetryDue(2)).is_empty());
    // The same for its download; the pauses begin anew.
    command(&mut machine, Command::Start);
    let failed = machine.step(MachineInput::Updated(Err(problem())));
    assert_eq!(later(&failed), Some(1));
    assert!(machine.step(MachineInput::RetryDue(1)).contains(&Effect::Update(offer())));
}

#[test]
fn somebody_who_presses_it_is_not_disturbed_by_an_earlier_failure() {
    let mut machine = without_network();
    assert!(command(&mut machine, Command::Retry).contains(&Effect::Check(None)));
    assert!(machine.step(MachineInput::RetryDue(1)).is_empty(), "it is being tried");
    assert_eq!(later(&check_fails(&mut machine, ProblemKind::NoNetwork)), Some(2));
    assert!(machine.step(MachineInput::RetryDue(1)).is_empty(), "the pause counts from the last");
}

#[test]
fn a_file_that_is_chosen_during_such_a_check_is_opened() {
    let mut machine = without_network();
    machine.step(MachineInput::RetryDue(1));
    let path = PathBuf::from("release.kuzflow-bundle");
    let opened = Effect::CheckFile { path: path.clone(), accept_expired: false };
    assert!(command(&mut machine, Command::Check(CheckTrigger::Bundle(path))).is_empty());
    assert!(check_fails(&mut machine, ProblemKind::NoNetwork).contains(&opened));
}

#[test]
fn what_no_network_repairs_and_what_holds_no_app_back_waits_for_a_person() {
    let mut machine = Machine::new(FIRST_INSTALL);
    command(&mut machine, Command::Check(CheckTrigger::Person));
    assert_eq!(later(&check_fails(&mut machine, ProblemKind::NotTrusted)), None);
    for setup in [WINDOW_WHILE_RUNNING, TERMINAL] {
        let mut machine = Machine::new(setup);
        command(&mut machine, Command::Check(CheckTrigger::Person));
        assert_eq!(later(&check_fails(&mut machine, ProblemKind::NoNetwork)), None);
        assert!(machine.step(MachineInput::RetryDue(0)).is_empty());
    }
}
