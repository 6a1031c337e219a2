//! Tests of `server::conductor`.

use serde_json::json;

use super::*;

fn rollout(word: Option<RolloutWord>) -> PlannedRollout {
    let plan = json!({
        "stages": [{"permille": 10}, {"permille": 1000}],
        "begins": "2026-11-01T00:00:00Z", "recall_to": "1.0.0",
    });
    PlannedRollout {
        app: "sample".parse().unwrap(),
        version: "2.0.0".parse().unwrap(),
        plan: serde_json::from_value(plan).unwrap(),
        plans_differ: false,
        is_halted_offline: false,
        word,
    }
}

fn word(sequence: u64, stage: usize, halted: bool) -> RolloutWord {
    let plan = Some(rollout(None).plan.digest());
    RolloutWord { sequence, stage, plan, halted, recalled: false }
}

fn stored(word: RolloutWord, signed: Option<i64>) -> Option<StoredWord> {
    Some(StoredWord { word, signed, before: Ended::default() })
}

#[test]
fn what_the_repository_has_lost_is_signed_again_and_a_stop_wins() {
    let (halted, second) = (word(5, 0, true), word(4, 1, false));
    let further = word(6, 1, false);
    for (found, known, expected) in [
        (None, stored(halted, Some(9)), Agreement::Sign(halted)),
        (Some(word(3, 1, false)), stored(halted, Some(9)), Agreement::Sign(halted)),
        (Some(word(3, 0, false)), stored(second, None), Agreement::Sign(second)),
        (Some(halted), stored(halted, None), Agreement::Note(halted)),
        (Some(halted), stored(halted, Some(9)), Agreement::Nothing),
        (Some(further), stored(halted, Some(9)), Agreement::Note(further)),
        (Some(halted), None, Agreement::Note(halted)),
        // A halt at a terminal, and a stored move from before or beside it.
        (Some(word(4, 0, true)), stored(word(21, 1, false), None), Agreement::Nothing),
        (Some(word(5, 1, false)), stored(halted, None), Agreement::Sign(word(6, 0, true))),
    ] {
        assert_eq!(what_agrees(&rollout(found), known), expected, "{found:?} {known:?}");
    }
}

#[test]
fn of_a_word_about_a_plan_that_was_replaced_the_stop_holds_alone() {
    let about_another = |word| RolloutWord { plan: None, ..word };
    let moved = stored(about_another(word(7, 1, false)), Some(9));
    assert_eq!(what_agrees(&rollout(None), moved), Agreement::Nothing);
    let halted = stored(about_another(word(7, 1, true)), Some(9));
    assert_eq!(what_agrees(&rollout(None), halted), Agreement::Sign(word(7, 0, true)));
    let recalled = RolloutWord { recalled: true, ..word(7, 0, false) };
    let mut leads_nowhere = rollout(None);
    let mut plan = serde_json::to_value(&leads_nowhere.plan).unwrap();
    plan.as_object_mut().unwrap().remove("recall_to");
    leads_nowhere.plan = serde_json::from_value(plan).unwrap();
    let agreed = what_agrees(&leads_nowhere, stored(recalled, None));
    assert_eq!(agreed, Agreement::Sign(word(7, 0, true)));
}
