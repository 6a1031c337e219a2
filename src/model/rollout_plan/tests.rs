//! Tests of `model::rollout_plan`.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn plan_from(value: Value) -> Result<RolloutPlan, serde_json::Error> {
    serde_json::from_value(value)
}

/// 1 % for a day, 10 % for two days, all.
fn example() -> Value {
    json!({
        "stages": [
            {"permille": 10, "hours": 24, "success": 970, "rollbacks": 10, "samples": 200},
            {"permille": 100, "hours": 48, "rollbacks": 10, "samples": 2000},
            {"permille": 1000},
        ],
        "begins": "2026-12-01T08:00:00Z",
    })
}

fn with(key: &str, value: Value) -> Result<RolloutPlan, serde_json::Error> {
    let mut plan = example();
    plan[key] = value;
    plan_from(plan)
}

/// So many hours after the beginning.
fn after(hours: i64) -> Timestamp {
    "2026-12-01T08:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_hours(hours)
}

/// A word about the example.
fn word(stage: usize) -> RolloutWord {
    let plan = Some(plan_from(example()).unwrap().digest());
    RolloutWord { sequence: 1, stage, plan, ..RolloutWord::default() }
}

#[test]
fn a_plan_is_written_as_it_is_read() {
    assert_eq!(serde_json::to_value(plan_from(example()).unwrap()).unwrap(), example());
    let mut long = example();
    long["only"] = json!({"platforms": ["Linux_x86_64"], "from": ">=2.0.0, <3.0.0", "regions": ["Europe"], "rings": ["insiders"]});
    long["recall_to"] = "2.0.3".into();
    long["hold"] = "approval".into();
    long["stage"] = 1.into();
    assert_eq!(serde_json::to_value(plan_from(long.clone()).unwrap()).unwrap(), long);
}

#[test]
fn a_plan_that_breaks_a_rule_is_none() {
    let stages = |stages: Value| with("stages", stages).unwrap_err().to_string();
    assert!(stages(json!([])).contains("1 to 16 stages"));
    assert!(stages(json!([{"permille": 0}])).contains("stage 1 is for 0 permille"));
    assert!(stages(json!([{"permille": 1001}])).contains("at most 1000"));
    assert!(stages(json!([{"permille": 10}, {"permille": 10}])).contains("stage 2 is for 10"));
    assert!(stages(json!([{"permille": 10, "success": 1001, "samples": 1}])).contains("success"));
    assert!(stages(json!([{"permille": 10, "success": 900}])).contains("needs samples"));
    assert!(stages(json!([{"permille": 10, "rollbacks": 9}])).contains("needs samples"));
    assert!(stages(json!([{"permille": 10, "hours": 20000}])).contains("at most 17568 hours"));
    let endless = json!([{"permille": 1, "hours": u64::MAX}, {"permille": 2, "hours": 1}]);
    assert!(stages(endless).contains("hours"));
    let many: Vec<Value> = (1..=17).map(|share| json!({"permille": share})).collect();
    assert!(stages(many.into()).contains("this one has 17"));
    assert!(with("stage", 3.into()).unwrap_err().to_string().contains("no stage 4"));
    assert!(with("hold", "whenever".into()).is_err(), "a newer launcher's word");
    assert!(with("faster", true.into()).is_err(), "a rule that this launcher does not know");
    assert!(with("only", json!({"moons": ["full"]})).is_err());
    assert!(with("only", json!({"rings": [" "]})).is_err());
}

#[test]
fn the_smaller_of_word_and_time_decides() {
    let plan = plan_from(example()).unwrap();
    for (hours, stage, expected) in [
        (-1, None, 0),
        (-1, Some(2), 0),
        (0, None, 10),
        (0, Some(2), 10),
        (23, Some(1), 10),
        (24, Some(1), 100),
        (24, Some(2), 100),
        (24, Some(0), 10),
        (71, Some(2), 100),
        (72, Some(2), 1000),
        (9000, None, 10),
        (9000, Some(3), 10),
        (9000, Some(usize::MAX), 10),
    ] {
        let word = stage.map(word);
        assert_eq!(share(&plan, word.as_ref(), after(hours)), expected, "{hours} h, {stage:?}");
    }
}

/// Launchers and servers of other versions compute the same.
#[test]
fn the_digest_of_a_plan_is_the_same_for_ever_and_follows_what_a_stage_means() {
    let digest = |plan: Value| plan_from(plan).unwrap().digest().to_string();
    let known = digest(example());
    assert_eq!(known, "9c2a49eb6d6a15fd12237e83d5e66a8017106333a5f8fff769c33e02634abe8a");
    let with = |key: &str, value: Value| {
        let mut plan = example();
        plan[key] = value;
        digest(plan)
    };
    for (key, value) in [
        ("stage", json!(1)),
        ("hold", json!("approval")),
        ("recall_to", json!("2.0.3")),
        ("begins", json!("2026-12-01T09:00:00+01:00")),
    ] {
        assert_eq!(with(key, value), known, "{key}");
    }
    assert_ne!(with("only", json!({"rings": ["insiders"]})), known);
    assert_ne!(with("begins", json!("2026-12-02T08:00:00Z")), known);
    assert_ne!(with("stages", json!([{"permille": 10}, {"permille": 1000}])), known);
    let plan = plan_from(example()).unwrap();
    let unnamed = RolloutWord { plan: None, ..word(2) };
    assert_eq!(share(&plan, Some(&unnamed), after(9000)), 10, "it names no plan");
}

#[test]
fn a_word_that_halts_or_recalls_stops_whatever_its_stage() {
    let plan = with("recall_to", "2.0.3".into()).unwrap();
    let halted = RolloutWord { halted: true, ..word(7) };
    let recalled = RolloutWord { recalled: true, ..word(2) };
    assert_eq!(share(&plan, Some(&halted), after(100)), 0);
    assert_eq!(share(&plan, Some(&recalled), after(100)), 0);
    assert_eq!(plan.recalled_by(Some(&recalled)), Some(&Version::new(2, 0, 3)));
    assert_eq!(plan.recalled_by(Some(&halted)), None);
    assert_eq!(plan.recalled_by(None), None);
    let silent = plan_from(example()).unwrap();
    assert_eq!(silent.recalled_by(Some(&recalled)), None, "the plan names no version");
}

#[test]
fn what_the_offline_keys_have_signed_as_reached_needs_no_word_and_no_time() {
    let plan = plan_from(example()).unwrap().at_stage(1).unwrap();
    assert_eq!(share(&plan, None, after(0)), 100);
    assert_eq!(share(&plan, Some(&word(0)), after(0)), 10, "a word may go lower");
    assert_eq!(share(&plan, Some(&word(2)), after(71)), 100);
    assert_eq!(share(&plan, Some(&word(2)), after(72)), 1000);
    assert!(plan.at_stage(3).is_err());
}

#[test]
fn where_each_stage_needs_the_offline_keys_a_word_only_lowers() {
    let plan = with("hold", "offline".into()).unwrap();
    assert_eq!(share(&plan, Some(&word(2)), after(9000)), 10);
    let moved = plan.at_stage(1).unwrap();
    assert_eq!(share(&moved, Some(&word(2)), after(9000)), 100);
    assert_eq!(share(&moved, Some(&word(0)), after(9000)), 10);
}

#[test]
fn an_unreadable_word_is_none() {
    for bad in [
        json!({"sequence": 1, "stage": -1}),
        json!({"sequence": 1, "stage": "2"}),
        json!({"sequence": 1}),
    ] {
        assert!(serde_json::from_value::<RolloutWord>(bad).is_err());
    }
    let newer = json!({"sequence": 3, "stage": 1, "colour": "red"});
    assert_eq!(serde_json::from_value::<RolloutWord>(newer).unwrap().stage, 1);
}

#[test]
fn a_scope_asks_for_all_that_it_names() {
    let scope: Scope = serde_json::from_value(json!({
        "platforms": ["Linux_x86_64"], "from": ">=2, <3", "regions": ["Europe"], "rings": ["insiders"],
    }))
    .unwrap();
    let (linux, windows) =
        ("Linux_x86_64".parse().unwrap(), "Windows_AMD64".parse::<Platform>().unwrap());
    let (two, three) = (Version::new(2, 1, 0), Version::new(3, 0, 0));
    let fits = Place { platform: &linux, current: Some(&two), region: "europe", ring: "insiders" };
    assert!(scope.contains(fits));
    assert!(!scope.contains(Place { platform: &windows, ..fits }));
    assert!(!scope.contains(Place { current: Some(&three), ..fits }));
    assert!(!scope.contains(Place { current: None, ..fits }), "a first installation");
    assert!(!scope.contains(Place { region: "", ..fits }));
    assert!(!scope.contains(Place { ring: "", ..fits }));
    assert!(Scope::default().contains(Place { current: None, region: "", ring: "", ..fits }));
}

proptest! {
    /// Whatever a server signs, nobody sees a release earlier than the offline keys allow.
    #[test]
    fn no_word_goes_beyond_the_plan(
        shares in prop::collection::btree_set(1_u16..=1000, 1..6),
        hours in prop::collection::vec(0_u64..100, 6),
        signed in 0_usize..6, stage in 0_usize..9, halted: bool, recalled: bool,
        offline: bool, now in -10_i64..500,
    ) {
        let stages: Vec<Stage> = shares.iter().zip(&hours).map(|(permille, hours)| Stage {
            permille: *permille, hours: *hours, success: 0, rollbacks: 1000, most_rollbacks: 0, samples: 0,
        }).collect();
        let signed = signed.min(stages.len() - 1);
        let plan = RolloutPlan::try_from(Written {
            stages: stages.clone(), begins: after(0), only: Scope::default(), recall_to: None,
            hold: if offline { Hold::Offline } else { Hold::Numbers }, stage: signed,
        }).unwrap();
        let word = RolloutWord { sequence: 1, stage, plan: Some(plan.digest()), halted, recalled };
        let found = share(&plan, Some(&word), after(now));
        let mut allowed = 0;
        let mut begins = 0_i64;
        for (index, stage) in stages.iter().enumerate() {
            if now >= 0 && (index <= signed || (!offline && now >= begins)) {
                allowed = stage.permille;
            }
            begins += i64::try_from(stage.hours).unwrap();
        }
        prop_assert!(found <= allowed, "{found} of {allowed}");
        if halted || recalled {
            prop_assert_eq!(found, 0);
        }
        // Time alone opens nothing.
        let alone = share(&plan, None, after(now));
        prop_assert!(alone == 0 || alone == stages[signed].permille);
    }
}
