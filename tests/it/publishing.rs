//! A repository during changes: killed publishers, two publishers at once, wrong packages, missing
//! keys.

use jiff::Timestamp;
use kuzflow::testing::model::{Digest, Node, VersionTree};
use kuzflow::testing::publish::{
    KeyRole, Keyring, PackageToPublish, Project, PublishError, RenewalOptions, Retirement,
    RolloutChange, Rotation, Selection, Standing, Terms, Transaction,
};
use kuzflow::testing::settings::Settings;
use kuzflow::testing::trust::{Repository, Trust};

use crate::support::published::{Mirror, Publisher, days, options, start};

/// The repository as a new client sees it, and as a client that knows the earlier repository sees
/// it. Every release must be whole.
async fn seen(publisher: &Publisher, known: &Mirror, now: Timestamp) -> [Repository; 2] {
    let mut found = Vec::new();
    for knows_before in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let trust = Trust::new(folder.path().join("trust"), publisher.root());
        if knows_before {
            trust.refresh(&[known.clone().boxed()], now).await.unwrap();
        }
        let mirror = publisher.mirror("mirror");
        let repository = trust.refresh(&[mirror.clone().boxed()], now).await.unwrap().repository;
        for signed in &repository.releases {
            assert_eq!(Digest::of(&mirror.files[&signed.location()]), signed.hash);
            for notes in signed.release.notes.values() {
                repository.read_small(&mirror, notes, 1 << 20).await.unwrap();
            }
        }
        for pack in &repository.patches {
            assert_eq!(Digest::of(&mirror.files[&pack.location()]), pack.hash);
        }
        for signed in &repository.releases {
            let name = VersionTree::target_name(&signed.release.container);
            let tree = repository.read_small(&mirror, &name, 16 << 20).await.unwrap();
            let version = &signed.release.container.version;
            assert!(VersionTree::from_json(&tree).unwrap().files_of(version).is_some());
        }
        found.push(repository);
    }
    found.try_into().unwrap()
}

fn summary(repository: &Repository) -> Vec<(String, u16, bool)> {
    let releases = repository.releases.iter().map(|signed| &signed.release);
    releases
        .map(|release| {
            (release.container.version.to_string(), release.rollout_permille, release.halted)
        })
        .collect()
}

/// Everything that a change of the repository can affect.
fn state(repository: &Repository) -> (Vec<(String, u16, bool)>, Vec<Digest>) {
    (summary(repository), repository.patches.iter().map(|pack| pack.hash).collect())
}

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
    let publisher = Publisher::new();
    publisher.publish("1.0.0");
    survives_a_kill_anywhere(&publisher, |publisher| {
        let packages = ["1.1.0", "1.2.0"].map(|version| publisher.package(version, "two at once "));
        publisher.project.publish(&packages, &publisher.keyring(), publisher.now)
    })
    .await;
}

#[tokio::test]
async fn a_rollout_killed_anywhere_is_done_or_not() {
    let publisher = Publisher::new();
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

#[tokio::test]
async fn packs_killed_anywhere_on_their_way_in_or_out_are_there_or_not() {
    let publisher = Publisher::new();
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

/// The release's files are deleted after the metadata that no longer names them is in place.
#[tokio::test]
async fn a_retirement_killed_anywhere_is_done_or_not() {
    let publisher = Publisher::new();
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

/// docs/security.md, fault 29, the signed part: clients see the publisher's settings.
#[tokio::test]
async fn rollout_is_signed() {
    let publisher = Publisher::new();
    publisher.publish("1.0.0");
    let known = publisher.mirror("known");
    let change = |version: &str, change| {
        publisher.project.set_rollout(
            &version.parse().unwrap(),
            change,
            &publisher.keyring(),
            start(),
        )
    };
    let mut found = Vec::new();
    for step in [
        RolloutChange::Permille(50),
        RolloutChange::Halt,
        RolloutChange::Permille(250),
        RolloutChange::Resume,
    ] {
        change("1.0.0", step).unwrap().run().unwrap();
        assert!(change("1.0.0", step).unwrap().is_empty(), "the same again is nothing to sign");
        found.extend(summary(&seen(&publisher, &known, start()).await[1]));
    }
    let states =
        found.into_iter().map(|(_, permille, halted)| (permille, halted)).collect::<Vec<_>>();
    assert_eq!(states, [(50, false), (50, true), (250, true), (250, false)]);
    assert!(matches!(
        change("2.0.0", RolloutChange::Halt),
        Err(PublishError::NoSuchRelease { .. })
    ));
    assert!(matches!(
        change("1.0.0", RolloutChange::Permille(1001)),
        Err(PublishError::Options(_))
    ));
}

/// New and old clients verify the repository at every moment of a change of keys.
#[tokio::test]
async fn a_rotation_killed_anywhere_locks_nobody_out() {
    let publisher = Publisher::new();
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

/// A lost key cannot sign its own replacement; the root's keys are enough.
#[tokio::test]
async fn lost_keys_are_replaced_by_the_root() {
    let mut options = options();
    (options.root_keys, options.root_threshold) = (3, 2);
    let publisher = Publisher::with(&options, start());
    publisher.publish("1.0.0");
    let known = publisher.mirror("known");
    let lost = ["root", "targets", "snapshot", "timestamp"]
        .map(|role| publisher.key_files(role).remove(0));
    lost.iter().for_each(|path| std::fs::remove_file(path).unwrap());
    let rotate =
        |rotation: Rotation| publisher.project.rotate(&rotation, &publisher.keyring(), start());
    let all =
        Rotation { replace: KeyRole::ALL.to_vec(), root_keys: Some((2, 1)), ..Rotation::default() };
    rotate(all).unwrap().run().unwrap();
    publisher.publish("1.1.0");
    for repository in seen(&publisher, &known, start()).await {
        assert_eq!((repository.versions.root, repository.releases.len()), (2, 2));
    }
    // Two of the old root keys are present, but they no longer count; one of the new ones is
    // enough.
    let new_root = std::fs::read(publisher.project.launcher_folder().join("root.json")).unwrap();
    assert_eq!(new_root, publisher.mirror("").files["metadata/2.root.json"]);
    publisher.key_files("root").iter().for_each(|path| std::fs::remove_file(path).unwrap());
    let error = rotate(Rotation::default()).unwrap_err();
    assert!(
        matches!(error, PublishError::MissingKeys { role: KeyRole::Root, needed: 1, found: 0, .. }),
        "{error}"
    );
}

/// docs/security.md, fault 27, the disk: a failed step leaves the old repository.
#[tokio::test]
async fn a_step_that_fails_leaves_the_old_repository() {
    let publisher = Publisher::new();
    publisher.publish("1.0.0");
    let known = publisher.mirror("known");
    for blocked in ["metadata/3.targets.json", "metadata/3.snapshot.json"] {
        let publisher = publisher.fork();
        let package = publisher.package("1.1.0", "obstructed ");
        let transaction =
            publisher.project.publish(&[package], &publisher.keyring(), start()).unwrap();
        // A folder takes the path after the plan was made, so that writing there fails.
        let path = publisher.project.repository().join(blocked);
        std::fs::create_dir(&path).unwrap();
        let error = transaction.run().unwrap_err();
        assert!(matches!(&error, PublishError::File(error) if error.path == path), "{error}");
        std::fs::remove_dir(&path).unwrap();
        assert_eq!(seen(&publisher, &known, start()).await[0].releases.len(), 1);
        publisher.publish("1.1.0");
        assert_eq!(seen(&publisher, &known, start()).await[1].releases.len(), 2);
    }
}

#[tokio::test]
async fn the_same_version_has_the_same_bytes_for_ever() {
    let publisher = Publisher::new();
    publisher.publish("1.0.0");
    let publish =
        |package| publisher.project.publish(&[package], &publisher.keyring(), start() + days(1));
    let same = publisher.package("1.0.0", "content of 1.0.0 ");
    assert!(
        publish(same.clone()).unwrap().is_empty(),
        "nothing has changed, nothing is to be signed"
    );

    let error = publish(publisher.package("1.0.0", "other bytes ")).unwrap_err();
    assert!(matches!(error, PublishError::AlreadyPublished { .. }));
    assert!(
        error.to_string().contains("sample_1.0.0_Linux_x86_64")
            && error.to_string().contains("new version"),
        "{error}"
    );
    // A build with its manifest at another position in its package gets the same message.
    let longer = publisher.package("1.0.0", &"bytes that pack into another length ".repeat(200));
    for terms in [Terms::default(), Terms { again: true, ..Terms::default() }] {
        let refused = publisher.project.publish_on(
            &terms,
            std::slice::from_ref(&longer),
            &publisher.keyring(),
            start() + days(1),
        );
        assert!(
            matches!(refused, Err(PublishError::AlreadyPublished { .. })),
            "{:?}",
            refused.err()
        );
    }

    // The description may change, and the notes with it.
    let mut changed = same;
    changed.release.mandatory = true;
    changed.notes.clear();
    publish(changed).unwrap().run().unwrap();
    let known = publisher.mirror("known");
    let [repository, _] = seen(&publisher, &known, start() + days(1)).await;
    assert!(
        repository.releases[0].release.mandatory && repository.releases[0].release.notes.is_empty()
    );
    assert!(repository.target("sample_1.0.0_Linux_x86_64.en.md").is_none());
    assert_eq!(repository.releases[0].release.published, start());
}

/// The tree of all published releases, in the specification's form.
#[test]
fn the_version_tree_reports_what_each_release_changed() {
    let mut publisher = Publisher::new();
    let tree_file = |publisher: &Publisher| {
        let mirror = publisher.mirror("");
        let trees: Vec<_> = mirror
            .files
            .keys()
            .filter(|name| name.ends_with(".sample_Linux_x86_64.versions.json"))
            .collect();
        assert_eq!(trees.len(), 1, "one tree at a time: {trees:?}");
        mirror.files[trees[0]].clone()
    };
    let tree = |publisher: &Publisher| {
        serde_json::from_slice::<serde_json::Value>(&tree_file(publisher)).unwrap()
    };
    let with = |publisher: &Publisher, packages: &[kuzflow::testing::publish::PackageToPublish]| {
        publisher.project.publish(packages, &publisher.keyring(), start()).unwrap()
    };
    // Two releases at once, the newer one first.
    let packages = ["1.1.0", "1.0.0"]
        .map(|version| publisher.package(version, &format!("content of {version} ")));
    let length = std::fs::metadata(&packages[0].path).unwrap().len();
    with(&publisher, &packages).run().unwrap();
    let first = tree(&publisher);
    assert_eq!(first["version_tree"]["1.0.0"]["parent"], serde_json::Value::Null);
    assert_eq!(first["version_tree"]["1.0.0"]["files"].as_object().unwrap().len(), 3);
    assert_eq!(
        first["version_tree"]["1.1.0"],
        serde_json::json!({
            "parent": "1.0.0",
            "files": {
                "app/manipulate/executor.py": {
                    "hash": format!("sha256:{}", Digest::of(b"content of 1.1.0 ")), "size": 17, "critical": false, "hot_updatable": true,
                },
                "app/version.txt": {
                    "hash": format!("sha256:{}", Digest::of(b"1.1.0")), "size": 5, "critical": false, "hot_updatable": false,
                },
            },
            "changes": { "modified": ["app/manipulate/executor.py", "app/version.txt"], "added": [], "deleted": [] },
            "patch_size": null,
            "full_size": length,
        })
    );
    assert_eq!(first["version_tree"]["1.0.0"]["files"]["app/app.py"]["critical"], true);

    // Another channel has its own sequence; releases published in between stand in between.
    let mut beta = publisher.package("2.0.0-beta.1", "beta ");
    beta.release.channel = "beta".to_owned();
    with(&publisher, &[beta]).run().unwrap();
    publisher.publish("1.2.0");
    publisher.publish("1.0.5");
    let parents = |publisher: &Publisher| {
        let tree = tree(publisher);
        let nodes = tree["version_tree"].as_object().unwrap().iter();
        nodes
            .map(|(version, node)| {
                format!("{version} < {}", node["parent"].as_str().unwrap_or("-"))
            })
            .collect::<Vec<_>>()
    };
    let expected =
        ["1.0.0 < -", "1.0.5 < 1.0.0", "1.1.0 < 1.0.0", "1.2.0 < 1.1.0", "2.0.0-beta.1 < -"];
    assert_eq!(parents(&publisher), expected);

    // The tree has a pack's size on request, or from the next release on. The same release again
    // changes nothing.
    publisher.add_packs(&[publisher.pack("1.1.0", "1.2.0", b"a pack of 19 bytes.")]);
    let again = publisher.package("1.2.0", "content of 1.2.0 ");
    assert!(with(&publisher, std::slice::from_ref(&again)).is_empty());
    let reported = publisher.fork();
    let tell = || reported.project.tell_patch_sizes(&reported.keyring(), start()).unwrap();
    tell().run().unwrap();
    assert_eq!(tree(&reported)["version_tree"]["1.2.0"]["patch_size"], 19);
    assert!(tell().is_empty(), "it is told already");
    publisher.publish("1.3.0");
    let grown = tree(&publisher);
    assert_eq!(grown["version_tree"]["1.2.0"]["patch_size"], 19);
    assert_eq!(grown["version_tree"]["1.1.0"]["patch_size"], serde_json::Value::Null);
    assert!(with(&publisher, &[again]).is_empty());

    // The same releases in another order of calls on another day give the same bytes.
    let bytes = tree_file(&publisher);
    publisher.now = start() + days(3);
    assert!(with(&publisher, &packages).is_empty());
    assert_eq!(tree_file(&publisher), bytes);

    // A lost or damaged tree does not prevent publishing.
    let folder = publisher.project.repository().join("targets");
    for damage in ["{}", "gone"] {
        let path = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let path = path
            .into_iter()
            .find(|path| path.to_str().unwrap().ends_with("versions.json"))
            .unwrap();
        if damage == "gone" { std::fs::remove_file(path) } else { std::fs::write(path, damage) }
            .unwrap();
        publisher.publish(if damage == "gone" { "1.4.0" } else { "1.5.0" });
        assert_eq!(parents(&publisher).len(), 1);
    }
}

#[test]
fn a_package_that_its_description_does_not_fit_is_refused() {
    let publisher = Publisher::new();
    let good = publisher.package("1.0.0", "good ");
    let refusal =
        |package| match publisher.project.publish(&[package], &publisher.keyring(), start()) {
            Err(PublishError::Package { reason, .. }) => reason,
            other => panic!("{other:?}"),
        };
    let mut other = good.clone();
    other.release.container.app = "other".parse().unwrap();
    assert!(refusal(other).contains("published here is sample"));
    let mut exchanged = good.clone();
    exchanged.manifest = publisher.package("1.1.0", "good ").manifest;
    assert!(refusal(exchanged).contains("its manifest is that of sample_1.1.0"));
    let mut shifted = good.clone();
    shifted.release.manifest.offset -= 1;
    assert!(refusal(shifted).contains("no manifest where"));
    let mut changed = good.clone();
    changed.release.manifest.hash = Digest::of(b"");
    assert!(refusal(changed).contains("not the one described"));
    let mut generous = good.clone();
    generous.release.rollout_permille = 1001;
    assert!(refusal(generous).contains("1001 of 1000"));
    let mut named = good.clone();
    named.notes.insert("../en".to_owned(), good.notes["en"].clone());
    assert!(refusal(named).contains("not a language tag"));
    std::fs::write(&good.notes["en"], [0xff, 0xfe]).unwrap();
    assert!(refusal(good.clone()).contains("UTF-8"));

    // The file changes between the plan and the copy.
    std::fs::write(&good.notes["en"], "notes").unwrap();
    let transaction = publisher
        .project
        .publish(std::slice::from_ref(&good), &publisher.keyring(), start())
        .unwrap();
    std::fs::write(&good.path, "other bytes").unwrap();
    assert!(transaction.run().unwrap_err().to_string().contains("changed while"));
    assert!(publisher.project.releases().unwrap().is_empty());
}

#[test]
fn two_publishers_do_not_interleave() {
    let publisher = Publisher::new();
    let first = publisher.project.refresh(&publisher.keyring(), start()).unwrap();
    let second = publisher.project.refresh(&publisher.keyring(), start()).unwrap_err();
    assert!(matches!(second, PublishError::Busy { .. }), "{second}");
    first.run().unwrap();
    publisher.project.refresh(&publisher.keyring(), start()).unwrap().run().unwrap();
}

#[tokio::test]
async fn a_refresh_needs_online_keys_only_and_as_few_as_possible() {
    let publisher = Publisher::new();
    publisher.publish("1.0.0");
    for path in publisher.key_files("root").into_iter().chain(publisher.key_files("targets")) {
        std::fs::remove_file(path).unwrap();
    }
    let known = publisher.mirror("known");
    let before = seen(&publisher, &known, start()).await[0].versions;
    let refresh = |day| {
        publisher.project.refresh(&publisher.keyring(), start() + days(day)).unwrap().run().unwrap()
    };
    // Without the snapshot's key a young snapshot stays as it is.
    let snapshot_key = publisher.key_files("snapshot").remove(0);
    std::fs::rename(&snapshot_key, publisher.folder.path().join("key")).unwrap();
    refresh(6);
    let after = seen(&publisher, &known, start() + days(6)).await[1].versions;
    assert_eq!((after.timestamp, after.snapshot), (before.timestamp + 1, before.snapshot));
    let late = publisher.project.refresh(&publisher.keyring(), start() + days(16)).unwrap_err();
    assert!(
        matches!(
            late,
            PublishError::MissingKeys { role: KeyRole::Snapshot, needed: 1, found: 0, .. }
        ),
        "{late}"
    );
    std::fs::rename(publisher.folder.path().join("key"), &snapshot_key).unwrap();
    refresh(16);
    let repository = &seen(&publisher, &publisher.mirror("now"), start() + days(16)).await[1];
    assert_eq!(
        (repository.versions.snapshot, repository.versions.targets),
        (before.snapshot + 1, before.targets)
    );
    assert_eq!(publisher.project.expiries().unwrap()[3], (KeyRole::Timestamp, start() + days(23)));

    let package = publisher.package("1.1.0", "unsigned ");
    let now = start() + days(16);
    let error = publisher.project.publish(&[package], &publisher.keyring(), now).unwrap_err();
    assert!(matches!(error, PublishError::MissingKeys { role: KeyRole::Targets, .. }), "{error}");
}

#[test]
fn encrypted_keys_ask_for_their_password_and_only_when_needed() {
    let mut options = options();
    options.offline_password = Some("secret".to_owned());
    let publisher = Publisher::with(&options, start());
    publisher.project.refresh(&publisher.keyring(), start()).unwrap().run().unwrap();
    let publish = |keyring: &Keyring| {
        publisher
            .project
            .publish(&[publisher.package("1.0.0", "x")], keyring, start())
            .and_then(Transaction::run)
    };
    let error = publish(&publisher.keyring()).unwrap_err();
    assert!(
        matches!(error, PublishError::Key { .. }) && error.to_string().contains("needs a password"),
        "{error}"
    );
    // The keys are on a memory stick.
    let stick = tempfile::tempdir().unwrap();
    for path in publisher.key_files("targets") {
        std::fs::rename(&path, stick.path().join(path.file_name().unwrap())).unwrap();
    }
    let keyring = Keyring::new([publisher.project.keys_folder(), stick.path().to_owned()]);
    publish(&keyring.with_passwords(|_| Some("secret".to_owned()))).unwrap();
}

#[test]
fn openssl_reads_the_keys() {
    let mut options = options();
    options.offline_password = Some("secret".to_owned());
    let publisher = Publisher::with(&options, start());
    for (role, password) in [("root", "pass:secret"), ("timestamp", "pass:")] {
        let mut command = std::process::Command::new("openssl");
        command
            .args(["pkey", "-noout", "-text", "-passin", password, "-in"])
            .arg(&publisher.key_files(role)[0]);
        match command.output() {
            Ok(output) => assert!(
                String::from_utf8_lossy(&output.stdout).contains("ED25519 Private-Key"),
                "{output:?}"
            ),
            Err(error) if std::env::var_os("CI").is_none() => {
                return println!("skipped: no openssl: {error}");
            }
            Err(error) => panic!("openssl: {error}"),
        }
    }
}

#[test]
fn what_the_launcher_is_shipped_with_is_ready() {
    let mut options = options();
    let node = |id: &str| Node {
        id: id.to_owned(),
        ..Node::at(format!("https://{id}.example/updates").parse().unwrap())
    };
    options.settings.nodes = vec![node("one"), node("two")];
    let publisher = Publisher::with(&options, start());
    let settings =
        Settings::read(&publisher.project.launcher_folder().join("launcher.toml")).unwrap();
    assert_eq!(
        (settings.app.as_str(), settings.channel.as_str(), settings.nodes.len()),
        ("sample", "stable", 2)
    );
    assert_eq!(
        std::fs::read(publisher.project.launcher_folder().join("root.json")).unwrap(),
        publisher.root()
    );
    let nodes = std::fs::read(publisher.project.repository().join("nodes.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Vec<Node>>(&nodes).unwrap(), options.settings.nodes);
    let again = Project::open(&publisher.folder.path().join("publisher")).unwrap();
    assert_eq!(again.settings(), &options.settings);
    // Without any node the repository works on this machine.
    let alone = Publisher::new();
    let settings = Settings::read(&alone.project.launcher_folder().join("launcher.toml")).unwrap();
    assert_eq!(settings.nodes[0].url.as_str(), "http://127.0.0.1:8080/");
    // The example in the settings works once its comment marks are removed.
    let folder = alone.folder.path().join("publisher");
    let text = std::fs::read_to_string(folder.join("kuzflow.toml")).unwrap();
    let (head, example) = text.split_once("#[[nodes]]").unwrap();
    std::fs::write(
        folder.join("kuzflow.toml"),
        format!("{head}[[nodes]]{}", example.replace("\n#", "\n")),
    )
    .unwrap();
    assert_eq!(Project::open(&folder).unwrap().settings().nodes[0].id, "asia-1");
    // The examples for patches work too, on either side.
    for (path, table) in [
        (folder.join("kuzflow.toml"), "#[incremental_update]"),
        (folder.join("launcher/launcher.toml"), "#[fallback]"),
    ] {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(table), "{text}");
        let lines = text.lines().map(|line| {
            line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line)
        });
        std::fs::write(&path, lines.map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    }
    assert!(Project::open(&folder).unwrap().settings().incremental_update.enabled);
    Settings::read(&folder.join("launcher/launcher.toml")).unwrap();
    let mut impossible = std::fs::read_to_string(folder.join("kuzflow.toml")).unwrap();
    impossible = impossible.replace("fallback_threshold = 0.7", "fallback_threshold = 7.0");
    std::fs::create_dir(folder.join("impossible")).unwrap();
    std::fs::write(folder.join("impossible/kuzflow.toml"), impossible).unwrap();
    let error = Project::open(&folder.join("impossible")).unwrap_err();
    assert!(
        std::error::Error::source(&error)
            .unwrap()
            .to_string()
            .contains("fallback.fallback_threshold"),
        "{error}"
    );
    // The next publish or refresh brings the settings to the clients.
    Project::open(&folder).unwrap().refresh(&alone.keyring(), start()).unwrap().run().unwrap();
    let nodes = std::fs::read_to_string(folder.join("repository/nodes.json")).unwrap();
    assert!(nodes.contains("asia-1"), "{nodes}");
}

/// The initial settings are written on both sides, and no comment contradicts them.
#[test]
fn settings_of_patches_reach_the_launcher() {
    let mut options = options();
    options.settings.fallback.max_patch_chain_length = 2;
    options.settings.incremental_update.critical_files.clear();
    let publisher = Publisher::with(&options, start());
    let again = Project::open(&publisher.folder.path().join("publisher")).unwrap();
    assert_eq!(again.settings(), &options.settings);
    let launcher =
        Settings::read(&publisher.project.launcher_folder().join("launcher.toml")).unwrap();
    assert_eq!(
        (launcher.fallback, launcher.incremental_update),
        (options.settings.fallback.clone(), options.settings.incremental_update.clone())
    );
    options.settings.performance.chunk_size = 1;
    let error =
        Project::init(&publisher.folder.path().join("other"), &options, start()).unwrap_err();
    assert!(
        matches!(error, PublishError::Settings { .. })
            && !publisher.folder.path().join("other").exists(),
        "{error}"
    );
}

#[test]
fn a_folder_in_use_is_not_overwritten() {
    let publisher = Publisher::new();
    let keys = publisher.key_files("");
    let error =
        Project::init(&publisher.folder.path().join("publisher"), &options(), start()).unwrap_err();
    assert!(matches!(error, PublishError::IsProject { .. }), "{error}");
    assert_eq!(publisher.key_files(""), keys);
    let mut impossible = options();
    impossible.root_threshold = 2;
    let error =
        Project::init(&publisher.folder.path().join("other"), &impossible, start()).unwrap_err();
    assert!(error.to_string().contains("threshold"), "{error}");
}

/// The publisher signs nothing on top of metadata that a stranger changed.
#[test]
fn a_tampered_repository_is_not_signed_again() {
    let publisher = Publisher::new();
    publisher.publish("1.0.0");
    let path = publisher.project.repository().join("metadata/2.targets.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let changed = text.replace("\"file_count\":10", "\"file_count\":11");
    assert_ne!(changed, text);
    std::fs::write(&path, changed).unwrap();
    let error = publisher.project.refresh(&publisher.keyring(), start()).unwrap_err();
    assert!(
        matches!(&error, PublishError::Damaged { file, .. } if file == "2.targets.json"),
        "{error}"
    );
}

#[tokio::test]
async fn old_metadata_is_removed_but_not_too_soon() {
    let publisher = Publisher::new();
    publisher.publish("1.0.0");
    for permille in 1..=20 {
        let change = RolloutChange::Permille(permille);
        let version = "1.0.0".parse().unwrap();
        publisher
            .project
            .set_rollout(&version, change, &publisher.keyring(), start())
            .unwrap()
            .run()
            .unwrap();
    }
    let mirror = publisher.mirror("mirror");
    let retained = |role: &str| {
        mirror.files.keys().filter(|name| name.ends_with(&format!(".{role}.json"))).count()
    };
    assert_eq!((retained("root"), retained("targets"), retained("snapshot")), (1, 9, 9));
    assert_eq!(
        summary(&seen(&publisher, &mirror, start()).await[0]),
        [("1.0.0".to_owned(), 20, false)]
    );
}

/// Once a year root and targets are signed again with the same keys. The report names missing keys,
/// and the other roles are signed.
#[tokio::test]
async fn root_and_targets_are_renewed_and_clients_follow() {
    let publisher = Publisher::new();
    publisher.publish("1.0.0");
    let late = start() + days(366);
    publisher.project.refresh(&publisher.keyring(), late).unwrap().run().unwrap();
    let past = |now| {
        let found = publisher.project.deadlines(now).unwrap().into_iter();
        found
            .filter(|deadline| deadline.is_pressing())
            .map(|deadline| deadline.role)
            .collect::<Vec<_>>()
    };
    assert_eq!(past(late), [KeyRole::Root, KeyRole::Targets], "a timer alone cannot sign these");
    let options = RenewalOptions { root: true, targets: true, ..RenewalOptions::default() };
    let empty = tempfile::tempdir().unwrap();
    let online = Keyring::new([empty.path().to_owned()]);
    assert!(matches!(
        publisher.project.renew(options, &online, late),
        Err(PublishError::MissingKeys { .. })
    ));
    let renewal = publisher.project.renew(options, &publisher.keyring(), late).unwrap();
    assert!(renewal.left.is_empty());
    renewal.transaction.run().unwrap();
    assert_eq!(past(late), []);
    for repository in seen(&publisher, &publisher.mirror("now"), late).await {
        assert_eq!((repository.versions.root, repository.releases.len()), (2, 1));
    }
    // Only the root is signed, where no other key is present.
    let stick = tempfile::tempdir().unwrap();
    let path = publisher.key_files("root").remove(0);
    std::fs::copy(&path, stick.path().join(path.file_name().unwrap())).unwrap();
    let renewal =
        publisher.project.renew(options, &Keyring::new([stick.path().to_owned()]), late).unwrap();
    assert_eq!(renewal.renewed, [KeyRole::Root]);
    assert!(renewal.left.iter().any(|(role, _)| *role == KeyRole::Targets));
}

#[test]
fn a_role_whose_key_is_missing_does_not_keep_the_timestamp_from_being_signed() {
    let publisher = Publisher::new();
    publisher.publish("1.0.0");
    publisher.key_files("snapshot").iter().for_each(|path| std::fs::remove_file(path).unwrap());
    let later = start() + days(20);
    let renewal =
        publisher.project.renew(RenewalOptions::default(), &publisher.keyring(), later).unwrap();
    assert_eq!(renewal.renewed, [KeyRole::Timestamp]);
    assert_eq!(renewal.left[0].0, KeyRole::Snapshot);
    renewal.transaction.run().unwrap();
    let expiries = publisher.project.expiries().unwrap();
    assert!(expiries.contains(&(KeyRole::Timestamp, later + days(7))));
}

/// After a restore from a backup clients have seen higher numbers.
#[tokio::test]
async fn numbers_are_lifted_after_a_restore() {
    let publisher = Publisher::new();
    publisher.publish("1.0.0");
    let backup = publisher.fork();
    for day in 1..5 {
        publisher
            .project
            .refresh(&publisher.keyring(), start() + days(day))
            .unwrap()
            .run()
            .unwrap();
    }
    let known = publisher.mirror("newer");
    let options = RenewalOptions { at_least: 50, ..RenewalOptions::default() };
    backup
        .project
        .renew(options, &backup.keyring(), start() + days(5))
        .unwrap()
        .transaction
        .run()
        .unwrap();
    for repository in seen(&backup, &known, start() + days(5)).await {
        assert_eq!((repository.versions.timestamp, repository.versions.snapshot), (50, 50));
    }
    let typo = RenewalOptions { at_least: u64::MAX, ..options };
    assert!(backup.project.renew(typo, &backup.keyring(), start()).is_err());
}

/// A retry in CI is harmless.
#[test]
fn publishing_again_changes_nothing_that_was_decided() {
    let publisher = Publisher::new();
    let publish = |terms: &Terms, mut package: PackageToPublish, notes: bool| {
        if !notes {
            package.notes.clear();
        }
        let (transaction, offerings) =
            publisher.project.publish_on(terms, &[package], &publisher.keyring(), start()).unwrap();
        let changes = !transaction.is_empty();
        transaction.run().unwrap();
        (changes, offerings.into_iter().next().unwrap())
    };
    let package = || publisher.package("1.0.0", "content");
    let tenth = Terms { rollout_permille: Some(100), ..Terms::default() };
    assert_eq!(publish(&tenth, package(), true).1.standing, Standing::New);
    let version = "1.0.0".parse().unwrap();
    publisher
        .project
        .set_rollout(&version, RolloutChange::Halt, &publisher.keyring(), start())
        .unwrap()
        .run()
        .unwrap();
    let before = publisher.project.releases().unwrap();
    let everyone = Terms {
        rollout_permille: Some(1000),
        channel: Some("beta".to_owned()),
        ..Terms::default()
    };
    for (terms, notes) in [(&tenth, true), (&Terms::default(), false), (&everyone, false)] {
        let (changes, offering) = publish(terms, package(), notes);
        assert!(!changes && offering.standing == Standing::Retained, "{offering:?}");
        assert_eq!(publisher.project.releases().unwrap(), before);
    }
    let again = Terms { again: true, mandatory: Some(true), ..Terms::default() };
    assert!(publish(&again, package(), false).0);
    let after = publisher.project.releases().unwrap().remove(0);
    assert!(after.halted && after.mandatory && after.rollout_permille == 100);
    assert_eq!(after.notes, before[0].notes, "notes that are not given stay");
}

/// New keys are encrypted if the earlier ones were.
#[test]
fn new_keys_keep_their_folder_and_their_password() {
    let mut options = options();
    options.offline_password = Some("secret".to_owned());
    let (folder, stick) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let project =
        Project::init_with_keys(&folder.path().join("p"), &options, Some(stick.path()), start())
            .unwrap();
    let keys = |folder: &std::path::Path| {
        let names = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect::<std::collections::BTreeSet<_>>()
    };
    let offline = |names: &std::collections::BTreeSet<String>| {
        names.iter().filter(|name| name.starts_with("root") || name.starts_with("targets")).count()
    };
    assert_eq!((offline(&keys(stick.path())), offline(&keys(&project.keys_folder()))), (2, 0));
    let keyring = Keyring::new([stick.path().to_owned(), project.keys_folder()]);
    let keyring = keyring.with_passwords(|_| Some("secret".to_owned()));
    let mut rotation = Rotation { replace: KeyRole::ALL.to_vec(), ..Rotation::default() };
    let before = (keys(stick.path()), keys(&project.keys_folder()));
    let refused = project.rotate(&rotation, &keyring, start()).unwrap_err();
    assert!(matches!(refused, PublishError::NewPassword { .. }), "{refused}");
    assert_eq!(
        (keys(stick.path()), keys(&project.keys_folder())),
        before,
        "a refusal leaves no key behind"
    );
    assert!(project.needs_password(&rotation, &keyring, true).unwrap());
    assert!(!project.needs_password(&rotation, &keyring, false).unwrap());
    rotation.offline_password = Some("other".to_owned().into());
    project.rotate(&rotation, &keyring, start()).unwrap().run().unwrap();
    assert_eq!((offline(&keys(stick.path())), offline(&keys(&project.keys_folder()))), (4, 0));
    for name in keys(stick.path()) {
        let text = std::fs::read_to_string(stick.path().join(&name)).unwrap();
        assert!(text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"), "{name}");
    }
}
