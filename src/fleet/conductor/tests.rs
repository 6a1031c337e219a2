//! Tests of `fleet::conductor`.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::model::Version;
use crate::model::audience::{Audience, Choice, Words};
use crate::model::release::{Release, SignedRelease};
use crate::model::rollout_plan::share;
use crate::model::system::SystemVersions;
use crate::model::{Digest, Platform};

fn plan(hold: &str) -> RolloutPlan {
    serde_json::from_value(json!({
        "stages": [
            {"permille": 10, "hours": 24, "success": 970, "rollbacks": 10, "samples": 200},
            {"permille": 100, "hours": 24, "success": 970, "rollbacks": 10, "samples": 1000},
            {"permille": 1000, "hours": 24, "success": 970, "rollbacks": 10, "samples": 1000},
        ],
        "begins": "2026-12-01T00:00:00Z",
        "hold": hold,
    }))
    .unwrap()
}

fn after(hours: i64) -> Timestamp {
    "2026-12-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_hours(hours)
}

fn at(stage: usize) -> RolloutWord {
    let plan = Some(plan("numbers").digest());
    RolloutWord { sequence: 1, stage, plan, ..RolloutWord::default() }
}

fn tally(up: u64, rolled_back: u64, failed: u64) -> Tally {
    Tally { up, rolled_back, failed }
}

#[test]
fn the_next_stage_needs_time_samples_and_success() {
    let plan = plan("numbers");
    let first = |tally, hours| step(&plan, &at(0), after(0), tally, after(hours));
    assert_eq!(first(tally(500, 0, 0), 24), Step::Next);
    assert_eq!(first(tally(500, 0, 0), 23), Step::Stay, "hours");
    assert_eq!(first(tally(199, 0, 0), 24), Step::Stay, "samples");
    assert_eq!(first(tally(970, 0, 30), 24), Step::Next);
    assert_eq!(first(tally(969, 0, 31), 24), Step::Stay, "success");
    let late = |hours| step(&plan, &at(1), after(100), tally(5000, 0, 0), after(hours));
    assert_eq!((late(123), late(124)), (Step::Stay, Step::Next), "a late stage lasts as long");
    assert_eq!(step(&plan, &at(2), after(48), tally(5000, 0, 0), after(72)), Step::Finish);
}

#[test]
fn rollbacks_halt_as_soon_as_they_are_beyond_doubt() {
    let plan = plan("numbers");
    let first = |tally| step(&plan, &at(0), after(0), tally, after(1));
    assert_eq!(first(tally(0, 29, 0)), Step::Stay, "29 updates prove nothing");
    assert!(matches!(first(tally(28, 2, 0)), Step::Halt(_)));
    assert_eq!(first(tally(29, 1, 0)), Step::Stay, "1 of 30 may be chance");
    assert_eq!(first(tally(990, 10, 0)), Step::Stay, "what the plan allows");
    let Step::Halt(reason) = first(tally(970, 30, 400)) else { panic!("3 % are too many") };
    assert_eq!((reason.rolled_back, reason.ended, reason.allowed_permille), (30, 1000, 10));
    assert!((20.0..22.0).contains(&reason.at_least_permille), "{reason:?}");
}

#[test]
fn nothing_follows_once_somebody_has_halted_or_recalled() {
    let plan = plan("numbers");
    for word in
        [RolloutWord { halted: true, ..at(0) }, RolloutWord { recalled: true, ..at(0) }, at(3)]
    {
        for tally in [tally(5000, 0, 0), tally(0, 5000, 0)] {
            assert_eq!(step(&plan, &word, after(0), tally, after(900)), Step::Stay);
        }
    }
}

#[test]
fn who_must_be_asked_is_asked() {
    let good = tally(5000, 0, 0);
    let first = |plan: &RolloutPlan| step(plan, &at(0), after(0), good, after(24));
    assert_eq!(first(&plan("approval")), Step::Ask);
    assert_eq!(first(&plan("offline")), Step::Stay);
    assert_eq!(first(&plan("offline").at_stage(1).unwrap()), Step::Next);
    let halted = step(&plan("offline"), &at(0), after(0), tally(0, 50, 0), after(1));
    assert!(matches!(halted, Step::Halt(_)), "a stop asks nobody");
}

#[test]
fn the_bound_is_that_of_wilson() {
    for (hits, all, expected) in [
        (0, 0, 0.0),
        (0, 50, 0.0),
        (1, 10, 0.0179),
        (5, 10, 0.2366),
        (30, 1000, 0.0211),
        (10, 10, 0.7225),
    ] {
        let found = lower_bound(hits, all);
        assert!((found - expected).abs() < 1e-4, "{hits} of {all}: {found}");
    }
}

#[test]
fn a_number_of_rollbacks_halts_whatever_their_share_is() {
    let mut written = serde_json::to_value(plan("numbers")).unwrap();
    written["stages"][0]["most_rollbacks"] = 50.into();
    let plan: RolloutPlan = serde_json::from_value(written).unwrap();
    let found = |tally| step(&plan, &at(0), after(0), tally, after(30));
    assert!(matches!(found(tally(100_000, 50, 0)), Step::Halt(_)), "false reports of success");
    assert_eq!(found(tally(100_000, 49, 0)), Step::Next);
}

proptest! {
    #[test]
    fn no_numbers_open_a_stage_before_its_time(
        stage in 0_usize..5, up in 0_u64..100_000, rolled_back in 0_u64..1000,
        failed in 0_u64..1000, began in -50_i64..200, now in -50_i64..300,
    ) {
        let plan = plan("numbers");
        let found = step(&plan, &at(stage), after(began), tally(up, rolled_back, failed), after(now));
        let allowed = plan.earliest(stage + 1).is_some_and(|earliest| earliest <= after(now));
        prop_assert!(found != Step::Next || allowed);
        // The word that follows is in force at once: conductor and launcher agree on time.
        if found == Step::Next {
            prop_assert_eq!(plan.stage(Some(&at(stage + 1)), after(now)), Some(stage + 1));
        }
    }

    #[test]
    fn more_rollbacks_never_make_a_rollout_faster(
        up in 0_u64..10_000, rolled_back in 0_u64..500, more in 0_u64..500, hours in 0_i64..50,
    ) {
        let plan = plan("numbers");
        let found = |rolled_back| step(&plan, &at(0), after(0), tally(up, rolled_back, 0), after(hours));
        let halts = |step: Step| matches!(step, Step::Halt(_));
        prop_assert!(!halts(found(rolled_back)) || halts(found(rolled_back + more)));
        // With enough samples either way, rollbacks cannot earn the next stage.
        if found(rolled_back) != Step::Next && up >= 200 {
            prop_assert!(found(rolled_back + more) != Step::Next);
        }
    }

    #[test]
    fn the_bound_lies_below_the_share(hits in 0_u64..5000, misses in 0_u64..5000) {
        let all = hits + misses;
        let bound = lower_bound(hits, all);
        prop_assert!((0.0..=1.0).contains(&bound));
        prop_assert!(all == 0 || bound <= hits as f64 / all as f64);
    }
}

/// The installations of a simulation, each with the share below which it is reached.
struct Simulation {
    plan: RolloutPlan,
    word: RolloutWord,
    /// When the present stage began, and the tally since then.
    began: Timestamp,
    tally: Tally,
    /// Updates so far.
    touched: u64,
    halted: Option<TooManyRollbacks>,
    finished: bool,
}

impl Simulation {
    /// A release that does not come up on `crashing` thousandths of the installations. Each
    /// installation checks once in 4 hours, and the conductor steps each minute.
    fn run(installations: usize, crashing: u64, days: i64) -> Self {
        let plan = plan("numbers");
        let platform: Platform = "Linux_x86_64".parse().unwrap();
        let current = Version::new(1, 0, 0);
        let mut signed = SignedRelease {
            target: "sample_2.0.0_Linux_x86_64.kuzflow".to_owned(),
            length: 1,
            hash: Digest::of(b""),
            release: Release::sample("2.0.0"),
        };
        let (words, system) = (Words::new(), SystemVersions::default());
        let ids: Vec<String> = (0..installations).map(|n| format!("installation-{n}")).collect();
        let mut updated = vec![false; installations];
        let mut simulation = Self {
            plan,
            word: at(0),
            began: after(0),
            tally: Tally::default(),
            touched: 0,
            halted: None,
            finished: false,
        };
        for minute in 0..days * 24 * 60 {
            let now = after(0) + SignedDuration::from_mins(minute);
            let reached = share(&simulation.plan, Some(&simulation.word), now);
            signed.release.rollout_permille = reached;
            let offered = std::slice::from_ref(&signed);
            let phase = usize::try_from(minute % 240).unwrap();
            for machine in (phase..installations).step_by(240) {
                if updated[machine] || reached == 0 {
                    continue;
                }
                let audience = Audience {
                    app: "sample",
                    platform: &platform,
                    channel: "stable",
                    current: Some(&current),
                    installation_id: &ids[machine],
                    skipped: &[],
                    failed: &[],
                    region: "Global",
                    ring: "",
                    system: &system,
                    words: &words,
                    now,
                };
                if matches!(audience.choose(offered), Choice::Offer(_)) {
                    updated[machine] = true;
                    simulation.report(has_crashed(machine, crashing));
                }
            }
            simulation.conduct(now);
            if simulation.halted.is_some() || simulation.finished {
                break;
            }
        }
        simulation
    }

    fn report(&mut self, crashed: bool) {
        self.touched += 1;
        if crashed { self.tally.rolled_back += 1 } else { self.tally.up += 1 }
    }

    fn conduct(&mut self, now: Timestamp) {
        match step(&self.plan, &self.word, self.began, self.tally, now) {
            Step::Next => {
                self.word.stage += 1;
                self.word.sequence += 1;
                (self.began, self.tally) = (now, Tally::default());
            }
            Step::Halt(reason) => {
                self.word.halted = true;
                self.halted = Some(reason);
            }
            Step::Finish => self.finished = true,
            Step::Stay | Step::Ask => {}
        }
    }
}

/// Whether the release fails on this machine, on so many thousandths of them, the same in each run.
fn has_crashed(machine: usize, permille: u64) -> bool {
    let bytes = *Digest::of(format!("machine {machine}").as_bytes()).as_bytes();
    u64::from(u16::from_be_bytes([bytes[0], bytes[1]])) * 1000 < permille * (1 << 16)
}

#[test]
fn a_release_that_crashes_on_three_of_a_hundred_machines_is_halted_in_the_first_stage() {
    let found = Simulation::run(100_000, 30, 4);
    let reason = found.halted.expect("halted by itself");
    assert_eq!(found.word.stage, 0);
    assert_eq!(reason.ended, found.touched);
    assert!(found.touched <= 1_100, "{} of 100,000 machines were touched", found.touched);
    let crashed = reason.rolled_back;
    assert!(crashed <= 33, "{crashed} of 100,000 users saw it fail");
}

#[test]
fn a_good_release_reaches_everybody_in_the_hours_of_its_plan() {
    let found = Simulation::run(40_000, 3, 4);
    assert!(found.finished, "{:?}", found.halted);
    assert_eq!((found.word.stage, found.touched), (2, 40_000));
}
