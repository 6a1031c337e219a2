//! Words about rollouts: what the online key of the role `rollout` can do, and what it cannot:
//! docs/internals/fleet.md, "What a thief can do".

use kuzflow::testing::model::rollout_move::RolloutMove;
use kuzflow::testing::model::rollout_plan::{RolloutPlan, RolloutWord, share};
use kuzflow::testing::model::{Release, Version};
use kuzflow::testing::publish::{PublishError, RolloutChange};
use kuzflow::testing::trust::{MirrorFaultKind, Repository};
use tough::TargetName;
use tough::schema::{Signed, Targets};

use super::thief::{put, rename, version_of};
use super::*;
use crate::support::published::Mirror;

const WORDS: &str = "rollout";

/// 1 % for a day, then a half for a day, then all.
fn plan() -> RolloutPlan {
    serde_json::from_value(serde_json::json!({
        "stages": [{"permille": 10, "hours": 24}, {"permille": 500, "hours": 24}, {"permille": 1000}],
        "begins": start().to_string(), "recall_to": "1.0.0",
    }))
    .unwrap()
}

/// A publisher with 1.0.0 for all, and 2.0.0 with a plan.
fn planned() -> Publisher {
    let publisher = publisher();
    publish(&publisher, &["1.0.0"]);
    let mut package = publisher.package("2.0.0", "with a plan ");
    package.release.plan = Some(plan());
    let transaction = publisher.project.publish(&[package], &publisher.keyring(), publisher.now);
    transaction.unwrap().run().unwrap();
    publisher
}

fn moved(
    publisher: &Publisher,
    wanted: RolloutMove,
    now: Timestamp,
) -> Result<Option<RolloutWord>, PublishError> {
    let (app, version) = ("sample".parse().unwrap(), version("2.0.0"));
    let moved =
        publisher.project.move_rollout((&app, &version), wanted, &publisher.keyring(), now)?;
    moved.0.run()?;
    Ok(moved.1)
}

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

/// The share of installations that a launcher with this metadata computes for 2.0.0.
fn share_of(repository: &Repository, now: Timestamp) -> u16 {
    let words = repository.words_of(&"sample".parse().unwrap());
    let is_meant = |release: &&Release| release.container.version == version("2.0.0");
    let mut releases = repository.releases.iter().map(|signed| &signed.release);
    let release = releases.find(is_meant).unwrap();
    share(release.plan.as_ref().unwrap(), words.get(&version("2.0.0")), now)
}

/// What a thief of the key of the role makes of the words.
fn forged(publisher: &Publisher, word: serde_json::Value) -> Mirror {
    let mut mirror = publisher.mirror("thief");
    let mut list: Signed<Targets> =
        mirror.document(&format!("{}.{WORDS}.json", version_of(&mirror, WORDS)));
    for target in list.signed.targets.values_mut() {
        target.custom = serde_json::from_value(word.clone()).unwrap();
    }
    put(&mut mirror, publisher, WORDS, list.signed, WORDS);
    mirror
}

#[tokio::test]
async fn a_word_moves_a_rollout_within_its_plan_and_no_faster() {
    let publisher = planned();
    let client = installation(&publisher, "stable");
    let [day, two_days] = [1, 2].map(|number| start() + days(number));
    let share_at =
        async |now: Timestamp| share_of(&client.accepts(publisher.mirror("m"), start()).await, now);
    assert_eq!((share_at(start()).await, share_at(two_days).await), (10, 10), "without a word");
    let early = moved(&publisher, RolloutMove::Next, start()).unwrap_err();
    assert!(early.to_string().contains("not before"), "{early}");
    assert_eq!(moved(&publisher, RolloutMove::Next, day).unwrap().unwrap().stage, 1);
    assert_eq!((share_at(start()).await, share_at(day).await), (10, 500));
    let halted = moved(&publisher, RolloutMove::Halt, day).unwrap().unwrap();
    assert_eq!((halted.sequence, share_at(two_days).await), (2, 0));
    let before = version_of(&publisher.mirror("m"), WORDS);
    assert_eq!(moved(&publisher, RolloutMove::Halt, day).unwrap(), Some(halted), "nothing to do");
    assert_eq!(version_of(&publisher.mirror("m"), WORDS), before);
    moved(&publisher, RolloutMove::Resume, day).unwrap();
    // Words stay when others things change, and when their keys do.
    publish(&publisher, &["2.0.1"]);
    let rotation = Rotation { replace: vec![KeyRole::Rollout], ..Rotation::default() };
    let rotated = publisher.project.rotate(&rotation, &publisher.keyring(), publisher.now);
    rotated.unwrap().run().unwrap();
    assert_eq!(share_at(day).await, 500);
    assert_eq!(moved(&publisher, RolloutMove::Next, two_days).unwrap().unwrap().sequence, 4);
    assert_eq!(share_at(two_days).await, 1000);
    let last = moved(&publisher, RolloutMove::Next, two_days).unwrap_err();
    assert!(last.to_string().contains("last stage"), "{last}");
}

#[tokio::test]
async fn a_thief_of_the_online_keys_goes_nowhere_beyond_the_plan() {
    let publisher = planned();
    moved(&publisher, RolloutMove::Halt, start()).unwrap();
    let day = start() + days(1);
    // Stage 3 of 3 in the first hour, a stage beyond the plan, a negative one, and text.
    for (stage, first, later) in [
        (serde_json::json!(2), 10, 500),
        (serde_json::json!(99), 10, 10),
        (serde_json::json!(-1), 10, 10),
        (serde_json::json!("all"), 10, 10),
    ] {
        let word = serde_json::json!({"sequence": 1_000_000, "stage": stage, "permille": 1000, "plan": plan().digest()});
        let newcomer = installation(&publisher, "stable");
        let repository = newcomer.accepts(forged(&publisher, word), start()).await;
        let shares = (share_of(&repository, start()), share_of(&repository, day));
        assert_eq!(shares, (first, later), "{stage}");
    }
    // A recall leads where the plan says, and nowhere else.
    let word = serde_json::json!({"sequence": 9, "stage": 0, "recalled": true, "recall_to": "0.1.0", "to": "0.1.0"});
    let newcomer = installation(&publisher, "stable");
    let repository = newcomer.accepts(forged(&publisher, word), start()).await;
    let words = repository.words_of(&"sample".parse().unwrap());
    assert_eq!(plan().recalled_by(words.get(&version("2.0.0"))), Some(&version("1.0.0")));
}

#[tokio::test]
async fn a_word_that_is_left_out_or_old_does_not_come_back_for_those_who_have_seen_it() {
    let publisher = planned();
    let client = installation(&publisher, "stable");
    moved(&publisher, RolloutMove::Halt, start()).unwrap();
    let old = version_of(&publisher.mirror("old"), WORDS);
    moved(&publisher, RolloutMove::Resume, start()).unwrap();
    let now = publisher.mirror("now");
    client.accepts(now.clone(), start()).await;
    let mut mirror = now.clone();
    rename(&mut mirror, &publisher, WORDS, old);
    client.refuses(mirror, start(), MirrorFaultKind::NotTrusted).await;
    // A mirror that withholds the document: the rollout is at its first stage, and goes on.
    let mut without = now.clone();
    let name = format!("metadata/{}.{WORDS}.json", version_of(&without, WORDS));
    without.files.remove(&name);
    let newcomer = installation(&publisher, "stable");
    let repository = newcomer.accepts(without, start()).await;
    assert_eq!(share_of(&repository, start() + days(9)), 10);
    assert!(repository.words.is_empty());
}

#[tokio::test]
async fn a_halt_holds_for_who_has_seen_it_while_newer_words_are_withheld_or_have_lapsed() {
    let publisher = planned();
    let client = installation(&publisher, "stable");
    moved(&publisher, RolloutMove::Halt, start()).unwrap();
    client.accepts(publisher.mirror("halted"), start()).await;
    publish(&publisher, &["2.0.1"]);
    moved(&publisher, RolloutMove::Resume, start()).unwrap();
    let resumed = publisher.mirror("resumed");
    let mut without = resumed.clone();
    let name = format!("metadata/{}.{WORDS}.json", version_of(&without, WORDS));
    without.files.remove(&name);
    for _ in 0..2 {
        let repository = client.accepts(without.clone(), start()).await;
        assert_eq!(share_of(&repository, start()), 0, "what was halted stays so");
    }
    let repository = client.accepts(resumed, start()).await;
    assert_eq!(share_of(&repository, start()), 10);
    // The signature of words ends after a while; the other documents are renewed.
    moved(&publisher, RolloutMove::Next, start() + days(1)).unwrap();
    let repository = client.accepts(publisher.mirror("second"), start() + days(1)).await;
    assert_eq!(share_of(&repository, start() + days(1)), 500);
    moved(&publisher, RolloutMove::Halt, start() + days(1)).unwrap();
    let late = start() + days(400);
    let mut mirror = publisher.mirror("late");
    let mut list: Signed<Targets> =
        mirror.document(&format!("{}.{WORDS}.json", version_of(&mirror, WORDS)));
    list.signed.expires = start().to_string().parse().unwrap();
    put(&mut mirror, &publisher, WORDS, list.signed, WORDS);
    let repository = client.accepts(mirror, start() + days(1)).await;
    assert_eq!(share_of(&repository, late), 0, "a halt does not lapse");
}

#[tokio::test]
async fn a_new_plan_begins_where_its_publisher_left_it_and_a_recall_goes_where_it_says() {
    let publisher = planned();
    let day = start() + days(1);
    moved(&publisher, RolloutMove::Next, day).unwrap();
    let mut careful = serde_json::to_value(plan()).unwrap();
    careful["stages"] = serde_json::json!([{"permille": 1, "hours": 1}, {"permille": 900}]);
    let careful: RolloutPlan = serde_json::from_value(careful).unwrap();
    let change = RolloutChange::Plan(Box::new(careful.clone()));
    let keyring = publisher.keyring();
    let changed = publisher.project.set_rollout(&version("2.0.0"), change, &keyring, publisher.now);
    changed.unwrap().run().unwrap();
    let client = installation(&publisher, "stable");
    let share_now = async || share_of(&client.accepts(publisher.mirror("m"), start()).await, day);
    assert_eq!(share_now().await, 1, "the stage was one of the plan before");
    assert_eq!(moved(&publisher, RolloutMove::Next, day).unwrap().unwrap().stage, 1);
    assert_eq!(share_now().await, 900);
    let recalled = moved(&publisher, RolloutMove::Recall, day).unwrap().unwrap();
    assert_eq!((share_now().await, careful.recalled_by(Some(&recalled))), (0, careful.recall_to()));
    let refused = moved(&publisher, RolloutMove::Resume, day).unwrap_err();
    assert!(refused.to_string().contains("take the recall back"), "{refused}");
    assert!(moved(&publisher, RolloutMove::TakeBack, day).unwrap().unwrap().halted);
    moved(&publisher, RolloutMove::Resume, day).unwrap();
    assert_eq!(share_now().await, 900);
}

#[tokio::test]
async fn the_key_for_words_signs_nothing_else() {
    let publisher = planned();
    moved(&publisher, RolloutMove::Halt, start()).unwrap();
    let mut mirror = publisher.mirror("thief");
    let offer: Signed<Targets> =
        mirror.document(&format!("{}.{OFFER}.json", version_of(&mirror, OFFER)));
    let good = offer.signed.targets.values().find(|target| target.custom.contains_key("release"));
    let mut evil = good.unwrap().clone();
    evil.custom.get_mut("release").unwrap()["container"] = "sample_9.0.0_Linux_x86_64".into();
    let mut list: Signed<Targets> =
        mirror.document(&format!("{}.{WORDS}.json", version_of(&mirror, WORDS)));
    for name in ["sample_9.0.0_Linux_x86_64.kuzflow", "sample_9.0.0.rollout"] {
        list.signed.targets.insert(TargetName::new(name).unwrap(), evil.clone());
    }
    put(&mut mirror, &publisher, WORDS, list.signed, WORDS);
    let client = installation(&publisher, "stable");
    let repository = client.accepts(mirror, start()).await;
    assert_eq!(versions(&repository), ["1.0.0", "2.0.0"]);
    assert!(repository.target("sample_9.0.0_Linux_x86_64.kuzflow").is_none());
    // In the offer, which it may not sign.
    let mut mirror = publisher.mirror("thief");
    let mut offer = offer.signed;
    offer.targets.insert(TargetName::new("sample_9.0.0_Linux_x86_64.kuzflow").unwrap(), evil);
    put(&mut mirror, &publisher, OFFER, offer, WORDS);
    let newcomer = installation(&publisher, "stable");
    newcomer.refuses(mirror, start(), MirrorFaultKind::NotTrusted).await;
}

/// A repository from before there was the role.
#[test]
fn an_older_repository_gets_the_role_by_a_rotation() {
    let publisher = planned();
    publisher.rewrite(|targets, _| {
        let delegations = targets.delegations.as_mut().unwrap();
        delegations.roles.retain(|role| role.name != WORDS);
    });
    publisher.key_files(WORDS).iter().for_each(|path| std::fs::remove_file(path).unwrap());
    let refused = moved(&publisher, RolloutMove::Halt, start()).unwrap_err();
    assert!(refused.to_string().contains("rotate --replace rollout"), "{refused}");
    let rotation = Rotation { replace: vec![KeyRole::Rollout], ..Rotation::default() };
    let rotated = publisher.project.rotate(&rotation, &publisher.keyring(), publisher.now);
    rotated.unwrap().run().unwrap();
    assert!(moved(&publisher, RolloutMove::Halt, start()).unwrap().unwrap().halted);
}
