//! Hot swaps, input by input.

use super::*;
use crate::messages::protocol::SwapBlocker;

/// A machine that has chosen a version which the running app could load, and its effects.
fn hot() -> (Machine, Vec<Effect>) {
    let mut machine = Machine::new(WINDOW_WHILE_RUNNING);
    machine.step(MachineInput::Command(Command::Check(CheckTrigger::Schedule)));
    let mut hot = offer();
    hot.plan.requires_restart = false;
    machine.step(MachineInput::Checked(Ok(Checked::Offer(hot))));
    machine.step(MachineInput::Command(Command::Start));
    machine.step(MachineInput::Fetched);
    let effects = machine.step(MachineInput::Updated(Ok(Updated::Installed(id()))));
    assert_eq!(effects.last(), Some(&Effect::Choose { to: id().into(), at_next_start: true }));
    let effects = machine.step(MachineInput::Chosen(Ok(Chosen { id: id(), at_next_start: true })));
    (machine, effects)
}

#[test]
fn what_needs_no_restart_is_swapped_in_the_running_app() {
    let (mut machine, effects) = hot();
    assert!(
        matches!(effects.last(), Some(Effect::Swap(offer)) if offer.signed.release.container == id()),
        "{effects:?}"
    );
    assert_eq!(machine.phase(), Phase::Swapping { version: id().version });
    assert!(
        machine.step(MachineInput::Command(Command::Check(CheckTrigger::Person))).is_empty(),
        "it is at work"
    );
    machine.step(MachineInput::Swapped(Ok(vec!["a".to_owned()])));
    assert_eq!(
        machine.phase(),
        Phase::Swapped { version: id().version, modules: vec!["a".to_owned()] }
    );
    assert!(
        machine.step(MachineInput::Swapped(Err(Vec::new()))).is_empty(),
        "what comes late changes nothing"
    );
    assert!(
        machine.step(MachineInput::Command(Command::RestartNow)).is_empty(),
        "nothing waits for a restart"
    );
    assert_ne!(machine.step(MachineInput::Command(Command::Check(CheckTrigger::Schedule))), []);
}

#[test]
fn what_the_app_does_not_swap_waits_for_a_restart_and_says_why() {
    let (mut machine, _) = hot();
    let reasons = vec![SwapBlocker::new("c-extension", "compiled")];
    let effects = machine.step(MachineInput::Swapped(Err(reasons.clone())));
    assert_eq!(effects[0], Effect::Emit(Event::NotSwapped { version: id().version, reasons }));
    assert_eq!(machine.phase(), Phase::Ready { version: id().version, running: true });
    assert_eq!(
        machine.step(MachineInput::Command(Command::RestartNow)).last(),
        Some(&Effect::Close { back: None })
    );
    // The app has ended meanwhile: the next start is in the new version anyway.
    let (mut machine, _) = hot();
    machine.step(MachineInput::AppEnded);
    assert_eq!(machine.phase(), Phase::Ready { version: id().version, running: false });
    assert!(machine.step(MachineInput::Swapped(Err(Vec::new()))).is_empty());
}
