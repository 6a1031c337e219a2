//! Publishers with a wrong clock, and signatures that expire while another document is signed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use kuzflow::testing::publish::{
    KeyRole, Lifetimes, Project, PublishError, RenewalOptions, Retirement, RolloutChange, Rotation,
    Selection,
};

use crate::support::published::{Publisher, days, start};

/// The files below `folder` and their bytes.
fn files_of(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                files.insert(path, bytes);
            }
        }
    }
    files
}

fn expiry(project: &Project, role: KeyRole) -> Timestamp {
    project.expiries().unwrap().into_iter().find(|(of, _)| *of == role).unwrap().1
}

fn refresh(publisher: &Publisher, day: i64) -> Result<(), PublishError> {
    publisher.project.refresh(&publisher.keyring(), start() + days(day))?.run()
}

#[test]
fn nothing_is_signed_that_the_repository_itself_shows_to_be_expired() {
    let publisher = Publisher::new();
    let package = publisher.package("1.0.0", "content");
    let keyring = publisher.keyring();
    publisher.project.publish(&[package], &keyring, start()).unwrap().run().unwrap();
    refresh(&publisher, 40).unwrap();
    let before = files_of(&publisher.project.repository());

    // The clock goes back to the first day: the timestamp would have expired 33 days ago.
    let now = start();
    let package = publisher.package("1.1.0", "other");
    let version = "1.0.0".parse().unwrap();
    let retirement = Retirement {
        selection: Selection::Rule { keep: None, older_than_days: None },
        platform: None,
        channel: None,
        keep_files: false,
    };
    let rotation = Rotation { replace: vec![KeyRole::Timestamp], ..Rotation::default() };
    let renewal = RenewalOptions { root: true, targets: true, at_least: 0 };
    let project = &publisher.project;
    let refusals = [
        project.refresh(&keyring, now).map(drop),
        project.renew(renewal, &keyring, now).map(drop),
        project.publish(&[package], &keyring, now).map(drop),
        project.set_rollout(&version, RolloutChange::Halt, &keyring, now).map(drop),
        project.retire(&retirement, &keyring, now).map(drop),
        project.rotate(&rotation, &keyring, now).map(drop),
        project.expire_patches(0, &keyring, now).map(drop),
        project.add_patches(&[], &keyring, now).map(drop),
        project.tell_patch_sizes(&keyring, now).map(drop),
        project.check_clock(now),
    ];
    for (index, refusal) in refusals.into_iter().enumerate() {
        let refusal = refusal.unwrap_err();
        assert!(matches!(refusal, PublishError::ClockBehind { .. }), "{index}: {refusal}");
    }
    assert_eq!(files_of(&publisher.project.repository()), before, "nothing changed");

    // Six days back is not expired yet: the publisher signs, with a warning.
    assert!(project.clock_doubt(start() + days(34)).is_some());
    refresh(&publisher, 34).unwrap();
}

#[test]
fn a_clock_that_was_ahead_is_taken_back_when_a_person_says_so() {
    let mut publisher = Publisher::new();
    refresh(&publisher, 365).unwrap();
    let (now, keyring) = (start() + days(1), publisher.keyring());
    assert!(matches!(refresh(&publisher, 1), Err(PublishError::ClockBehind { .. })));
    publisher.project = publisher.project.clone().trusting_clock();
    refresh(&publisher, 1).unwrap();
    let lifetimes = Lifetimes::default();
    for role in [KeyRole::Timestamp, KeyRole::Snapshot, KeyRole::Patches] {
        let expires = expiry(&publisher.project, role);
        assert!(expires <= now + lifetimes.of(role), "{role} holds until {expires}");
    }
    // From here on all is as usual.
    publisher.project = Project::open(publisher.project.folder()).unwrap();
    publisher.project.refresh(&keyring, now).unwrap().run().unwrap();
}

#[test]
fn shorter_lifetimes_are_no_clock_that_went_back() {
    let publisher = Publisher::new();
    let settings = publisher.project.folder().join("kuzflow.toml");
    let text = std::fs::read_to_string(&settings).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20)); // another time in the file system
    std::fs::write(&settings, text.replace("timestamp_days = 7", "timestamp_days = 1")).unwrap();
    let project = Project::open(publisher.project.folder()).unwrap();
    assert_eq!(project.settings().lifetimes.timestamp_days, 1);
    project.refresh(&publisher.keyring(), start() + days(0)).unwrap().run().unwrap();
    assert_eq!(expiry(&project, KeyRole::Timestamp), start() + days(1));
}

#[test]
fn what_is_about_to_end_is_signed_beside_another_change() {
    let publisher = Publisher::new();
    let package = publisher.package("1.0.0", "content");
    let (project, keyring) = (&publisher.project, publisher.keyring());
    project.publish(&[package], &keyring, start()).unwrap().run().unwrap();

    // The snapshot ended at day 30.
    let now = start() + days(40);
    let rotation = Rotation { replace: vec![KeyRole::Timestamp], ..Rotation::default() };
    project.rotate(&rotation, &keyring, now).unwrap().run().unwrap();
    assert_eq!(expiry(project, KeyRole::Snapshot), now + days(30));

    // The list of patches ended at day 90.
    let now = start() + days(100);
    let version = "1.0.0".parse().unwrap();
    let change = RolloutChange::Permille(500);
    project.set_rollout(&version, change, &keyring, now).unwrap().run().unwrap();
    assert_eq!(expiry(project, KeyRole::Patches), now + days(90));
    let now = start() + days(200);
    project.rotate(&rotation, &keyring, now).unwrap().run().unwrap();
    assert_eq!(expiry(project, KeyRole::Patches), now + days(90));
    project.check_clock(now).unwrap();
}

/// Windows has no program that gives another one a clock of its own.
#[cfg(unix)]
mod with_another_clock {
    use std::process::{Command, Output};

    use super::*;
    use crate::support::published::options;

    /// `kuzflow` with another clock; `shift` in faketime's format.
    fn kuzflow(shift: &str, arguments: &[&str]) -> Output {
        Command::new("faketime")
            .args(["-f", shift, env!("CARGO_BIN_EXE_kuzflow")])
            .args(arguments)
            .output()
            .unwrap()
    }

    #[test]
    fn the_program_says_what_is_wrong_with_the_clock() {
        let folder = tempfile::tempdir().unwrap();
        let project =
            Project::init(&folder.path().join("p"), &options(), Timestamp::now()).unwrap();
        let repo = project.folder().to_str().unwrap().to_owned();
        let errors = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();

        let right = kuzflow("+0d", &["refresh", "--repo", &repo]);
        assert_eq!(right.status.code(), Some(0), "{}", errors(&right));
        assert!(!errors(&right).contains("clock"), "{}", errors(&right));
        let before = files_of(&project.repository());
        for verb in [&["refresh"][..], &["renew"], &["rotate", "--replace", "timestamp"]] {
            let back = kuzflow("-30d", &[verb, &["--json", "--repo", &repo]].concat());
            assert_eq!(back.status.code(), Some(1), "{verb:?}: {}", errors(&back));
            for part in ["clock says", "was signed at", "Set the clock", "--trust-clock"] {
                assert!(errors(&back).contains(part), "{verb:?}: {part}: {}", errors(&back));
            }
            let result = String::from_utf8_lossy(&back.stdout).into_owned();
            assert!(result.contains(r#""status":"failed""#), "{result}");
        }
        assert_eq!(files_of(&project.repository()), before, "nothing changed");

        let ahead = kuzflow("+300d", &["refresh", "--repo", &repo]);
        assert!(errors(&ahead).contains("days before"), "{}", errors(&ahead));
        let again = kuzflow("+0d", &["refresh", "--repo", &repo]);
        assert_eq!(again.status.code(), Some(1), "{}", errors(&again));
        let trusted = kuzflow("+0d", &["refresh", "--repo", &repo, "--trust-clock"]);
        assert_eq!(trusted.status.code(), Some(0), "{}", errors(&trusted));
    }

    #[test]
    fn an_end_that_a_verb_cannot_move_is_its_status() {
        let folder = tempfile::tempdir().unwrap();
        let project =
            Project::init(&folder.path().join("p"), &options(), Timestamp::now()).unwrap();
        let repo = project.folder().to_str().unwrap().to_owned();
        for key in std::fs::read_dir(project.keys_folder()).unwrap() {
            let key = key.unwrap();
            if key.file_name().to_string_lossy().starts_with("snapshot") {
                std::fs::remove_file(key.path()).unwrap();
            }
        }
        let rotated = kuzflow("+40d", &["rotate", "--repo", &repo, "--replace", "timestamp"]);
        let errors = String::from_utf8_lossy(&rotated.stderr).into_owned();
        assert_eq!(rotated.status.code(), Some(4), "{errors}");
        assert!(errors.contains("snapshot role expired"), "{errors}");
    }
}
