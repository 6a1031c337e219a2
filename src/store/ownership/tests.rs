//! Tests of `store::ownership`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::store::fixture::Fixture;
use crate::store::lock::HomeLock;
use crate::store::switch::{SwitchOptions, switch};

/// The files of an app that keeps its data by the system's own rules, under names that the launcher
/// uses as well.
const FILES: [&str; 9] = [
    "state.json",
    "nodes.json",
    "active.json",
    "incoming/mail.txt",
    "neighbours/list",
    "logs/app.log",
    "staging/draft.txt",
    "containers/my/box.txt",
    "trust/deed.pdf",
];

fn write(home: &Home, path: &str, text: &str) {
    let path = home.root().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn content(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut content = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            content.extend(self::content(&path));
        } else {
            content.insert(path.clone(), fs::read_to_string(&path).unwrap());
        }
    }
    content
}

#[test]
fn each_file_of_another_program_under_a_name_of_ours_is_enough_to_stay_away() {
    for path in FILES {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        write(&home, path, "{\"theirs\": true}");
        let before = content(folder.path());
        assert!(matches!(home.owner(), Owner::Another(_)), "{path}");
        assert!(matches!(home.create(), Err(StoreError::AnotherProgram { .. })), "{path}");
        assert!(matches!(HomeLock::take(&home), Err(StoreError::AnotherProgram { .. })));
        assert_eq!(content(folder.path()), before);
        assert!(!home.marker().exists());
    }
}

#[test]
fn a_new_home_is_marked_and_other_names_are_in_nobodys_way() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path().join("home"));
    assert_eq!(home.owner(), Owner::Nobody);
    write(&home, "launcher.toml", "app = 'sample'");
    fs::create_dir(home.logs()).unwrap();
    assert_eq!(home.owner(), Owner::Nobody, "an empty folder is nobody's loss");
    home.create().unwrap();
    assert!(home.marker().is_file());
    FILES.iter().for_each(|path| write(&home, path, "theirs"));
    assert_eq!(home.owner(), Owner::Launcher, "a home stays one, whatever somebody puts there");
}

#[test]
fn a_home_of_an_earlier_launcher_is_known_by_its_records() {
    let fixture = Fixture::new();
    let home = &fixture.home;
    let one = fixture.install("1.0.0", &[]);
    fs::remove_file(home.marker()).unwrap();
    assert!(home.is_launchers());
    switch(home, &one, SwitchOptions::PLAIN, &fixture.lock).unwrap();
    // An earlier launcher makes no such note.
    fs::remove_file(home.first_run()).unwrap();
    fs::rename(home.containers(), home.root().join("elsewhere")).unwrap();
    assert!(home.is_launchers(), "the pointer alone");
    fs::remove_file(home.root().join("active.json")).unwrap();
    assert!(!home.is_launchers() && home.owner() == Owner::Nobody);
    home.state().unwrap();
    assert!(home.is_launchers(), "the state alone");
    fs::remove_file(home.root().join("state.json")).unwrap();
    write(home, "trust/root.json", r#"{"signed": {"_type": "root"}, "signatures": []}"#);
    assert!(home.is_launchers(), "the trusted root alone");
    fs::remove_dir_all(home.trust()).unwrap();
    let retained = home.user_data().join("2026-03-01T12-00-00Z");
    fs::create_dir_all(retained.parent().unwrap()).unwrap();
    fs::rename(home.root().join("elsewhere"), retained).unwrap();
    assert!(home.is_launchers(), "the files that an uninstallation kept");
}

#[test]
fn what_a_first_try_of_an_earlier_launcher_left_is_no_other_programs() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    for folder in [home.containers(), home.staging(), home.running(), home.trust(), home.logs()] {
        fs::create_dir(folder).unwrap();
    }
    write(&home, "lock", "");
    write(&home, "logs/launcher.log", "a line");
    write(&home, "nodes.json", r#"{"downloads": 1, "nodes": {}}"#);
    assert_eq!(home.owner(), Owner::Nobody);
    home.create().unwrap();
    assert_eq!(home.owner(), Owner::Launcher);
}

#[test]
#[cfg(unix)]
fn a_home_that_cannot_be_read_is_not_taken_for_another_programs() {
    use crate::store::fixture::make_unreadable;
    let fixture = Fixture::new();
    let home = &fixture.home;
    let one = fixture.install("1.0.0", &[]);
    switch(home, &one, SwitchOptions::PLAIN, &fixture.lock).unwrap();
    fs::remove_file(home.marker()).unwrap();
    let pointer = home.root().join("active.json");
    fs::rename(home.containers(), home.root().join("elsewhere")).unwrap();
    make_unreadable(&pointer);
    assert!(home.is_launchers());
}

#[test]
fn an_update_leaves_what_is_not_the_launchers_in_its_folders() {
    let fixture = Fixture::new();
    let home = &fixture.home;
    let foreign =
        ["incoming/mail.txt", "staging/draft.txt", "containers/my/box.txt", "neighbours/list"];
    foreign.iter().for_each(|path| write(home, path, "theirs"));
    write(home, "incoming/0a1b2c3d/data/x", "left by a kill");
    let one = fixture.install("1.0.0", &[]);
    switch(home, &one, SwitchOptions::PLAIN, &fixture.lock).unwrap();
    fixture.write(&one, "data/mine", "mine");
    let two = fixture.install("2.0.0", &[]);
    crate::store::staging::remove_others(home, &two, &fixture.lock).unwrap();
    switch(home, &two, SwitchOptions::PLAIN, &fixture.lock).unwrap();
    home.remove_left(&fixture.lock);
    home.remove_own("neighbours").unwrap();
    assert_eq!(fixture.read(&two, "data/mine").as_deref(), Some("mine"));
    for path in foreign {
        assert_eq!(fs::read_to_string(home.root().join(path)).unwrap(), "theirs", "{path}");
    }
    assert!(!home.incoming().join("0a1b2c3d").exists());
}
