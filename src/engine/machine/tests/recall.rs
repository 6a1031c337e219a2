//! Recalls, input by input.

use super::*;
use crate::messages::fixture::recalled as recall;
use crate::messages::language::SwitchTo;

#[test]
fn only_an_offer_in_place_of_a_recalled_version_brings_its_files_back() {
    let recalled = || {
        let mut offer = offer();
        offer.recalled = Some(recall());
        offer
    };
    for (offer, for_recall) in [(offer(), false), (recalled(), true)] {
        let to = SwitchTo { id: id(), for_recall };
        let mut machine = Machine::new(WINDOW_WHILE_RUNNING);
        command(&mut machine, Command::Check(CheckTrigger::Person));
        machine.step(MachineInput::Checked(Ok(Checked::Offer(offer))));
        command(&mut machine, Command::Start);
        machine.step(MachineInput::Fetched);
        let effects = machine.step(MachineInput::Updated(Ok(Updated::Installed(id()))));
        let choice = Effect::Choose { to: to.clone(), at_next_start: true };
        assert_eq!(effects.last(), Some(&choice));
        machine.step(MachineInput::Chosen(Ok(Chosen { id: id(), at_next_start: true })));
        command(&mut machine, Command::RestartNow);
        let effects = machine.step(MachineInput::Closed(Ok(true)));
        assert_eq!(effects.last(), Some(&Effect::Restart { switch_to: Some(to) }));
    }
    // A person's own choice of the same version does not.
    let mut machine = Machine::new(TERMINAL);
    let effects = command(&mut machine, Command::Switch(id()));
    let to = SwitchTo { id: id(), for_recall: false };
    assert_eq!(effects, [Effect::Choose { to, at_next_start: false }]);
}
