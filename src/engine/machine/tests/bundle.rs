//! Bundles: updates from a file, input by input.

use super::*;

/// The same release out of a file.
fn in_file() -> MachineInput {
    let plan = Plan::without_fetching(UpdateStrategy::File, 1);
    MachineInput::Checked(Ok(Checked::Offer(Box::new(Offer {
        plan,
        file: Some("f".into()),
        ..*offer()
    }))))
}

#[test]
fn a_file_is_looked_into_offered_and_installed_without_a_download() {
    let mut machine = Machine::new(WINDOW_WHILE_RUNNING);
    let effects = command(&mut machine, Command::Check(CheckTrigger::Bundle("f".into())));
    assert_eq!(effects[1], Effect::CheckFile { path: "f".into(), accept_expired: false });
    assert!(
        command(&mut machine, Command::Check(CheckTrigger::Bundle("g".into()))).is_empty(),
        "one after the other"
    );
    machine.step(in_file());
    assert!(
        matches!(machine.phase(), Phase::Offered { .. }),
        "nothing is installed without a word"
    );
    command(&mut machine, Command::Start);
    assert!(matches!(machine.phase(), Phase::Installing { .. }));
    let effects = machine.step(MachineInput::Updated(Ok(Updated::Installed(id()))));
    assert!(
        effects.contains(&Effect::Choose { to: id().into(), at_next_start: true }),
        "{effects:?}"
    );
}

#[test]
fn the_bundle_of_an_installer_is_installed_without_a_question() {
    let mut machine = Machine::new(BEFORE_START);
    let effects = command(&mut machine, Command::Check(CheckTrigger::Included("f".into())));
    assert_eq!(effects[1], Effect::CheckFile { path: "f".into(), accept_expired: false });
    let effects = machine.step(in_file());
    assert!(matches!(effects.last(), Some(Effect::Update(_))), "{effects:?}");
}

#[test]
fn a_useless_bundle_of_an_installer_is_passed_over_and_only_an_old_one_is_a_question() {
    let expired = Problem { kind: ProblemKind::BundleExpired, ..problem() };
    for useless in
        [Err(problem()), Ok(Checked::Nothing { reason: NoUpdate::Installed, current: None })]
    {
        let mut machine = Machine::new(BEFORE_START);
        command(&mut machine, Command::Check(CheckTrigger::Included("f".into())));
        let effects = machine.step(MachineInput::Checked(useless));
        assert!(effects.contains(&Effect::Check(None)), "{effects:?}");
    }
    let mut machine = Machine::new(BEFORE_START);
    command(&mut machine, Command::Check(CheckTrigger::Included("f".into())));
    machine.step(MachineInput::Checked(Err(expired)));
    assert!(matches!(machine.phase(), Phase::Failed { .. }));
    let accepted = command(&mut machine, Command::AcceptExpired);
    assert!(accepted.contains(&Effect::CheckFile { path: "f".into(), accept_expired: true }));
}

#[test]
fn what_is_wrong_with_a_file_is_shown_and_only_its_age_can_be_accepted() {
    let expired = Problem { kind: ProblemKind::BundleExpired, ..problem() };
    // Also where a check without result would start the app.
    let mut machine = Machine::new(BEFORE_START);
    command(&mut machine, Command::Check(CheckTrigger::Bundle("f".into())));
    machine.step(MachineInput::Checked(Err(problem())));
    assert!(matches!(machine.phase(), Phase::Failed { .. }));
    assert!(command(&mut machine, Command::AcceptExpired).is_empty());
    let again = command(&mut machine, Command::Retry);
    assert!(again.contains(&Effect::CheckFile { path: "f".into(), accept_expired: false }));
    machine.step(MachineInput::Checked(Err(expired)));
    let accepted = command(&mut machine, Command::AcceptExpired);
    assert!(accepted.contains(&Effect::CheckFile { path: "f".into(), accept_expired: true }));
    machine.step(nothing());
    assert!(matches!(machine.phase(), Phase::UpToDate { .. }));
}
