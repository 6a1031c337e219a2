//! Tests of `store::home`.

use super::*;
use crate::store::fixture::{Fixture, id};
use crate::store::switch::{SwitchOptions, switch};

#[test]
fn the_newest_whole_version_stands_in_for_a_lost_pointer() {
    let fixture = Fixture::new();
    let home = &fixture.home;
    assert!(matches!(home.active(), Err(StoreError::NothingInstalled { .. })));
    let (one, two) = (fixture.install("1.0.0", &[]), fixture.install("2.0.0", &[]));
    switch(home, &one, SwitchOptions::PLAIN, &fixture.lock).unwrap();
    assert_eq!(home.active().unwrap().1.container, one);
    fs::write(home.active_path(), "{\"container\":").unwrap();
    assert_eq!(home.active().unwrap().1.container, two);
    fs::remove_file(home.active_path()).unwrap();
    fs::remove_file(home.container(&two).join(RECORD)).unwrap();
    assert_eq!(home.active().unwrap().1.container, one);
}

#[test]
fn a_version_that_waits_counts_as_chosen_as_long_as_it_is_there() {
    let fixture = Fixture::new();
    let home = &fixture.home;
    let (one, two) = (fixture.install("1.0.0", &[]), fixture.install("2.0.0", &[]));
    switch(home, &one, SwitchOptions::PLAIN, &fixture.lock).unwrap();
    crate::store::switch::switch_at_next_start(home, &two, &fixture.lock).unwrap();
    assert_eq!(home.chosen().unwrap(), two);
    fs::remove_dir_all(home.container(&two)).unwrap();
    assert_eq!(home.chosen().unwrap(), one, "it can be offered again");
}

#[test]
fn folders_that_are_no_version_are_passed_over() {
    let fixture = Fixture::new();
    fixture.install("1.0.0", &[]);
    fixture.install("1.10.0", &[]);
    fs::create_dir_all(fixture.home.containers().join("sample_9.0.0_Linux_x86_64")).unwrap();
    fs::create_dir_all(fixture.home.containers().join("something")).unwrap();
    // A record that was copied from another version does not make a folder that version.
    let copy = fixture.home.container(&id("8.0.0")).join("metadata");
    fs::create_dir_all(&copy).unwrap();
    fs::copy(fixture.home.container(&id("1.0.0")).join(RECORD), copy.join("installed.json"))
        .unwrap();
    assert_eq!(fixture.versions(), ["1.10.0", "1.0.0"]);
}

#[test]
fn the_installation_id_is_made_once_and_damage_begins_anew() {
    let fixture = Fixture::new();
    let first = fixture.home.state().unwrap();
    assert_eq!(first.installation_id.len(), 32);
    assert_eq!(fixture.home.state().unwrap(), first);
    fs::write(fixture.home.state_path(), "[").unwrap();
    assert_ne!(fixture.home.state().unwrap().installation_id, first.installation_id);
}

#[test]
fn a_notice_of_a_newer_launcher_is_passed_over() {
    let fixture = Fixture::new();
    let first = fixture.home.state().unwrap();
    let mut json = serde_json::to_value(&first).unwrap();
    json["notices"] = serde_json::json!([{ "when": "2026-01-01T00:00:00Z", "happened": "later" }]);
    fs::write(fixture.home.state_path(), json.to_string()).unwrap();
    assert_eq!(fixture.home.state().unwrap(), first);
}

#[test]
fn missing_room_is_reported_in_numbers() {
    let fixture = Fixture::new();
    let error = fixture.home.check_space(u64::MAX).unwrap_err();
    assert!(error.is_disk_full() && error.to_string().contains(&u64::MAX.to_string()), "{error}");
    fixture.home.check_space(1).unwrap();
}
#[test]
fn the_stand_in_is_written_down_before_a_new_version_could_become_it() {
    let fixture = Fixture::new();
    let home = &fixture.home;
    home.ensure_active(&fixture.lock).unwrap();
    assert!(home.has_lost_pointer(), "nothing is installed");
    let one = fixture.install("1.0.0", &[]);
    fixture.write(&one, "data/file", "mine");
    let two = fixture.install("2.0.0", &[]);
    assert_eq!(home.active().unwrap().0.container, one);
    switch(home, &two, SwitchOptions::PLAIN, &fixture.lock).unwrap();
    assert_eq!(fixture.read(&two, "data/file").as_deref(), Some("mine"));
    // The call leaves a whole version alone, and replaces a damaged one before another version is
    // registered.
    home.ensure_active(&fixture.lock).unwrap();
    assert_eq!(home.named().unwrap().unwrap().previous, Some(one.clone()));
    fs::write(home.container(&two).join(RECORD), "{").unwrap();
    let three = fixture.install("3.0.0", &[]);
    assert_eq!(home.named().unwrap().unwrap().container, one);
    switch(home, &three, SwitchOptions::PLAIN, &fixture.lock).unwrap();
    assert_eq!(fixture.read(&three, "data/file").as_deref(), Some("mine"));
}

#[test]
fn what_a_kill_left_is_removed_before_the_next_download() {
    let fixture = Fixture::new();
    let home = &fixture.home;
    let half = home.containers().join(format!("{REMOVED}x"));
    fs::create_dir_all(half.join("app")).unwrap();
    let damaged = home.containers().join(".damaged-x");
    fs::create_dir(&damaged).unwrap();
    let left = home.root().join(format!("{}{}-x", durable::TEMPORARY_PREFIX, i32::MAX));
    let fresh = durable::temporary(&home.root().join("state.json")).unwrap();
    fs::write(&left, "").unwrap();
    let done = home.staging().join(fixture.install("2.0.0", &[]).to_string());
    fs::create_dir_all(done.join("tree")).unwrap();
    let forgotten = home.running().join(id("9.0.0").to_string());
    fs::write(&forgotten, "").unwrap();
    fixture.install("1.0.0", &[]);
    let are_there = [&half, &done, &forgotten, &damaged].map(|path| path.exists());
    assert_eq!(are_there, [false, false, false, true]);
    assert_eq!(left.exists(), cfg!(not(unix)));
    assert!(fresh.path().exists(), "another launcher may be writing the fresh one");
}

#[test]
fn every_item_of_a_home_is_known_to_whoever_uninstalls() {
    let code = include_str!("../home.rs");
    let named = code.split(".root.join(\"").skip(1);
    let named: Vec<&str> = named.map(|rest| rest.split_once('"').unwrap().0).collect();
    assert!(named.len() > 10, "{named:?}");
    for name in named {
        let goes_otherwise =
            ["desktop.json", "autostart.json", "old-shortcuts.json", "user-data"].contains(&name);
        assert!(
            goes_otherwise || Home::FILES.contains(&name) || Home::FOLDERS.contains(&name),
            "{name}"
        );
    }
}

#[test]
#[cfg(unix)]
fn a_version_that_cannot_be_read_is_not_taken_for_one_that_is_not_installed() {
    use crate::store::fixture::{make_readable, make_unreadable};
    let fixture = Fixture::new();
    let home = &fixture.home;
    let (one, two) = (fixture.install("1.0.0", &[]), fixture.install("2.0.0", &[]));
    switch(home, &one, SwitchOptions::PLAIN, &fixture.lock).unwrap();
    crate::store::switch::switch_at_next_start(home, &two, &fixture.lock).unwrap();
    assert!(home.is_installed(&two).unwrap());
    let metadata = home.container(&two).join("metadata");
    let aside = make_unreadable(&metadata);
    assert!(matches!(home.is_installed(&two), Err(StoreError::File(_))));
    assert!(matches!(home.chosen(), Err(StoreError::File(_))), "and not the one before");
    make_readable(&metadata, &aside);
    fs::write(home.container(&two).join(RECORD), "{").unwrap();
    assert!(!home.is_installed(&two).unwrap(), "a damaged one can be installed anew");
    assert!(!home.is_installed(&crate::store::fixture::id("3.0.0")).unwrap());
    assert_eq!(home.chosen().unwrap(), one);
}
