//! Each step of a publish, a rollout, a retirement and a rotation may be the last one: clients see
//! the old repository or the new one.

use super::*;

/// Stops `change` after each of its steps, and once before each rename. Clients see all of the
/// change or nothing, and repeating it completes it.
async fn survives_a_kill_anywhere(
    before: &Publisher,
    change: impl Fn(&Publisher) -> Result<Transaction, PublishError>,
) {
    let known = before.mirror("before");
    let old = state(&seen(before, &known, before.now).await[0]);
    let whole = before.fork();
    change(&whole).unwrap().run().unwrap();
    let new = state(&seen(&whole, &known, before.now).await[0]);
    let steps = change(&before.fork()).unwrap().remaining();
    assert!(steps >= 2);
    let mut has_turned = false;
    for killed_after in 0..=steps {
        let publisher = before.fork();
        let mut transaction = change(&publisher).unwrap();
        for _ in 0..killed_after {
            assert!(transaction.step().unwrap());
        }
        drop(transaction);
        // The remains of a kill inside a step.
        let rubbish = publisher.project.repository().join("metadata/.tmp-rubbish");
        std::fs::write(&rubbish, "half a file").unwrap();
        for repository in seen(&publisher, &known, publisher.now).await {
            let now = state(&repository);
            assert!(now == old || now == new, "after {killed_after} of {steps} steps: {now:?}");
            has_turned |= now == new;
            assert!(!has_turned || now == new, "back to the old one after {killed_after} steps");
        }
        change(&publisher).unwrap().run().unwrap();
        assert!(!rubbish.exists());
        for repository in seen(&publisher, &known, publisher.now).await {
            assert_eq!(state(&repository), new, "repaired after {killed_after} of {steps} steps");
        }
    }
    assert!(has_turned);
}

/// docs/security.md, fault 28.
#[tokio::test]
async fn a_publish_killed_anywhere_leaves_the_old_release_or_the_new_one() {
    for publisher in Publisher::of_each_form() {
        publisher.publish("1.0.0");
        survives_a_kill_anywhere(&publisher, |publisher| {
            let packages =
                ["1.1.0", "1.2.0"].map(|version| publisher.package(version, "two at once "));
            publisher.project.publish(&packages, &publisher.keyring(), publisher.now)
        })
        .await;
    }
}

#[tokio::test]
async fn a_rollout_killed_anywhere_is_done_or_not() {
    for publisher in Publisher::of_each_form() {
        publisher.publish("1.0.0");
        survives_a_kill_anywhere(&publisher, |publisher| {
            let version = "1.0.0".parse().unwrap();
            publisher.project.set_rollout(
                &version,
                RolloutChange::Permille(125),
                &publisher.keyring(),
                publisher.now,
            )
        })
        .await;
    }
}

#[tokio::test]
async fn packs_killed_anywhere_on_their_way_in_or_out_are_there_or_not() {
    for publisher in Publisher::of_each_form() {
        publisher.publish("1.0.0");
        publisher.publish("1.1.0");
        publisher.add_packs(&[publisher.pack("1.0.0", "1.1.0", b"first try")]);
        survives_a_kill_anywhere(&publisher, |publisher| {
            // One pack is replaced, one is new.
            let packs = [
                publisher.pack("1.0.0", "1.1.0", b"second try"),
                publisher.pack("1.1.0", "1.0.0", b"and back"),
            ];
            publisher.project.add_patches(&packs, &publisher.keyring(), publisher.now)
        })
        .await;
        survives_a_kill_anywhere(&publisher, |publisher| {
            publisher.project.remove_patches(|_| true, &publisher.keyring(), publisher.now)
        })
        .await;
    }
}

/// The release's files are deleted after the metadata that no longer names them is in place.
#[tokio::test]
async fn a_retirement_killed_anywhere_is_done_or_not() {
    for publisher in Publisher::of_each_form() {
        ["1.0.0", "1.1.0", "1.2.0"].into_iter().for_each(|version| publisher.publish(version));
        publisher.add_packs(&[
            publisher.pack("1.0.0", "1.1.0", b"goes"),
            publisher.pack("1.1.0", "1.2.0", b"stays"),
        ]);
        let retirement = Retirement {
            selection: Selection::Rule { keep: Some(1), older_than_days: None },
            platform: None,
            channel: None,
            keep_files: false,
        };
        survives_a_kill_anywhere(&publisher, |publisher| {
            publisher
                .project
                .retire(&retirement, &publisher.keyring(), publisher.now)
                .map(|(transaction, _)| transaction)
        })
        .await;
        let (transaction, retired) =
            publisher.project.retire(&retirement, &publisher.keyring(), start()).unwrap();
        assert_eq!(
            (retired.releases.len(), retired.packs, retired.files.0),
            (2, 1, 5),
            "two packages, two notes, one pack"
        );
        transaction.run().unwrap();
        let young = Retirement {
            selection: Selection::Rule { keep: None, older_than_days: Some(1) },
            ..retirement
        };
        publisher.publish("1.3.0");
        let at = |day| {
            publisher
                .project
                .retire(&young, &publisher.keyring(), start() + days(day))
                .unwrap()
                .1
                .releases
                .len()
        };
        assert_eq!((at(0), at(1)), (0, 1), "so many days after it was published");
    }
}

#[tokio::test]
async fn a_repository_from_before_there_were_patches_gets_its_role_in_one_step() {
    let publisher = Publisher::new();
    publisher.publish("1.0.0");
    publisher.forget_patches();
    survives_a_kill_anywhere(&publisher, |publisher| {
        publisher.project.publish(
            &[publisher.package("1.1.0", "with a role ")],
            &publisher.keyring(),
            publisher.now,
        )
    })
    .await;
}

/// New and old clients verify the repository at every moment of a change of keys.
#[tokio::test]
async fn a_rotation_killed_anywhere_locks_nobody_out() {
    for publisher in Publisher::of_each_form() {
        publisher.publish("1.0.0");
        publisher.publish("1.1.0");
        publisher.add_packs(&[publisher.pack("1.0.0", "1.1.0", b"a pack")]);
        for replace in [vec![KeyRole::Timestamp], vec![KeyRole::Patches], KeyRole::ALL.to_vec()] {
            survives_a_kill_anywhere(&publisher, |publisher| {
                let rotation = Rotation { replace: replace.clone(), ..Rotation::default() };
                publisher.project.rotate(&rotation, &publisher.keyring(), publisher.now)
            })
            .await;
        }
    }
}
