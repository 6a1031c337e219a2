//! A repository during changes: killed publishers, two publishers at once, wrong packages, missing
//! keys.

mod keys;
mod killed;
mod launcher;

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
        change("1.0.0", step.clone()).unwrap().run().unwrap();
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
                return println!("passed over: no openssl: {error}");
            }
            Err(error) => panic!("openssl: {error}"),
        }
    }
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
