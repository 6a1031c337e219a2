//! Keys and signatures: lost, replaced, encrypted and renewed.

use super::*;

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
