//! Tests of `store::rollback`.

use std::fs;

use super::*;
use crate::store::fixture::Fixture;
use crate::store::switch::switch;
use crate::store::{maintenance, remove};

fn begin() -> (Fixture, ContainerId, ContainerId) {
    let fixture = Fixture::new();
    let (one, two) = (
        fixture.install("1.0.0", &[("config/c", "a")]),
        fixture.install("2.0.0", &[("config/c", "b")]),
    );
    switch(&fixture.home, &one, SwitchOptions::PLAIN, &fixture.lock).unwrap();
    crate::store::probation::change(&fixture.home, &one, &fixture.lock, |_| None).unwrap();
    fixture.write(&one, "data/file", "in one");
    switch(&fixture.home, &two, SwitchOptions::PLAIN, &fixture.lock).unwrap();
    fixture.write(&two, "data/file", "in two");
    fixture.write(&two, "data/made", "in two");
    (fixture, one, two)
}

#[test]
fn a_point_that_is_gone_already_is_forgotten_without_a_word() {
    let (fixture, ..) = begin();
    let point = snapshots::list(&fixture.home).unwrap().remove(0);
    for _ in 0..2 {
        snapshots::remove(&point).unwrap();
        assert_eq!(snapshots::list(&fixture.home).unwrap(), []);
    }
}

#[test]
fn code_and_files_are_as_they_were_and_what_was_written_since_is_retained() {
    let (fixture, one, two) = begin();
    let back = roll_back(&fixture.home, None, &fixture.lock).unwrap();
    assert_eq!((&back.record.container, &back.from), (&one, &two));
    assert_eq!(fixture.read(&one, "data/file").as_deref(), Some("in one"));
    assert_eq!(fixture.read(&one, "data/made"), None);
    assert_eq!(fs::read_to_string(back.retained.join("data/made")).unwrap(), "in two");
    let (active, _) = fixture.home.active().unwrap();
    assert_eq!((active.container, active.previous, active.probation), (one.clone(), None, None));
    // There is no default target now: an automatic rollback never returns to a version that was
    // rolled back. A person who did it by mistake can ask for it.
    assert!(matches!(
        roll_back(&fixture.home, None, &fixture.lock),
        Err(StoreError::NoRollbackPoint { .. })
    ));
    assert!(matches!(check(&fixture.home, None), Err(StoreError::NoRollbackPoint { .. })));
    roll_back(&fixture.home, Some(&two), &fixture.lock).unwrap();
    assert_eq!(fixture.read(&two, "data/made").as_deref(), Some("in two"));
    roll_back(&fixture.home, Some(&one), &fixture.lock).unwrap();
    assert_eq!(fixture.read(&one, "data/file").as_deref(), Some("in one"));
    // The retained files outlive the version, and the next installed version does not get them.
    remove::set_aside(&fixture.home, &two, &fixture.lock).unwrap();
    let snapshots = snapshots::list(&fixture.home).unwrap();
    assert_eq!(snapshots.len(), 1);
    assert_eq!(
        fs::read_to_string(snapshots[0].place(&fixture.home).join("data/made")).unwrap(),
        "in two"
    );
    let three = fixture.install("3.0.0", &[]);
    switch(&fixture.home, &three, SwitchOptions::PLAIN, &fixture.lock).unwrap();
    assert_eq!(fixture.read(&three, "data/file").as_deref(), Some("in one"));
}

#[test]
fn a_note_without_files_hides_none_that_has_them() {
    let (fixture, _, two) = begin();
    let Fixture { home, lock, .. } = &fixture;
    roll_back(home, None, lock).unwrap();
    // The state after a rollback that failed once it had noted the files to displace.
    let now = jiff::Timestamp::now();
    Snapshot::new(home, &two, &two, Reason::Replaced, now).unwrap().write(home).unwrap();
    roll_back(home, Some(&two), lock).unwrap();
    assert_eq!(fixture.read(&two, "data/made").as_deref(), Some("in two"));
}

#[test]
fn the_version_that_was_left_is_gone_back_to_unless_it_failed() {
    let fixture = Fixture::new();
    let [one, two, three] =
        ["1.0.0", "2.0.0", "3.0.0"].map(|version| fixture.install(version, &[]));
    let Fixture { home, lock, .. } = &fixture;
    switch(home, &one, SwitchOptions::PLAIN, lock).unwrap();
    crate::store::probation::change(home, &one, lock, |_| None).unwrap();
    switch(home, &two, SwitchOptions::PLAIN, lock).unwrap();
    // The version was used, and closed each time before it was known to be healthy.
    fixture.write(&two, "data/diary", "two lines");
    switch(home, &three, SwitchOptions::PLAIN, lock).unwrap();
    let target = fallback(home).unwrap();
    assert_eq!((&target.container, target.healthy), (&two, false));
    crate::store::probation::remember_failed(home, &two.version).unwrap();
    assert_eq!(fallback(home).unwrap().container, one, "one that failed is none to go back to");
    home.set_state(&crate::store::HomeState { failed: Vec::new(), ..home.state().unwrap() })
        .unwrap();
    go_to(home, &target, lock).unwrap();
    assert_eq!(
        fixture.read(&two, "data/diary").as_deref(),
        Some("two lines"),
        "what was written there is in sight"
    );
    assert!(home.active().unwrap().0.probation.is_some(), "it still has to prove itself");
}

#[test]
fn the_last_resort_needs_no_note() {
    let (fixture, one, two) = begin();
    let Fixture { home, lock, .. } = &fixture;
    for damage in ["emptied", "a note", "the pointer's memory too"] {
        match damage {
            "a note" => {
                let folder = home.snapshots().join(format!("20260101T000000.000000Z-{one}"));
                fs::create_dir_all(&folder).unwrap();
                fs::write(folder.join("snapshot.json"), "").unwrap();
            }
            "the pointer's memory too" => {
                let active = Active { previous: None, ..home.active().unwrap().0 };
                home.set_active(&active).unwrap();
            }
            _ => fs::remove_dir_all(home.snapshots()).unwrap(),
        }
        assert_eq!(fallback(home).map(|target| target.container), Some(one.clone()), "{damage}");
    }
    crate::store::probation::remember_failed(home, &one.version).unwrap();
    assert!(fallback(home).is_none(), "none that failed here");
    home.set_state(&crate::store::HomeState { failed: Vec::new(), ..home.state().unwrap() })
        .unwrap();
    let back = go_to(home, &fallback(home).unwrap(), lock).unwrap();
    assert_eq!((back.from, fixture.read(&one, "data/file").as_deref()), (two, Some("in one")));
}

#[test]
fn a_version_whose_own_files_are_lost_gets_the_present_ones() {
    let (fixture, one, _) = begin();
    fs::remove_dir_all(fixture.home.snapshots()).unwrap();
    for folder in ["config", "data"] {
        fs::remove_dir_all(fixture.home.container(&one).join(folder)).unwrap();
    }
    go_to(&fixture.home, &fallback(&fixture.home).unwrap(), &fixture.lock).unwrap();
    assert_eq!(fixture.home.active().unwrap().0.container, one);
    assert_eq!(fixture.read(&one, "data/file").as_deref(), Some("in two"));
}

#[test]
fn a_version_that_was_gone_back_to_and_fails_is_left_again() {
    let (fixture, one, two) = begin();
    let Fixture { home, lock, .. } = &fixture;
    crate::store::probation::change(home, &one, lock, |_| None).unwrap();
    roll_back(home, None, lock).unwrap();
    crate::store::probation::remember_failed(home, &two.version).unwrap();
    // A person switches to it nevertheless, and it fails again.
    roll_back(home, Some(&two), lock).unwrap();
    assert_eq!(
        fallback(home).map(|target| (target.container, target.healthy)),
        Some((one.clone(), true))
    );
    assert_eq!(roll_back(home, None, lock).unwrap().record.container, one);
}

#[test]
fn a_point_whose_version_was_used_again_since_is_still_whole() {
    let (fixture, one, two) = begin();
    // A switch back by choice: the present files are carried over, and the files of 1.0.0 are
    // retained.
    switch(&fixture.home, &one, SwitchOptions::PLAIN, &fixture.lock).unwrap();
    fixture.write(&one, "data/file", "later in one");
    let points: Vec<_> =
        points(&fixture.home).unwrap().into_iter().map(|point| point.container).collect();
    assert_eq!(points, std::slice::from_ref(&two), "one is active");
    let back = roll_back(&fixture.home, Some(&two), &fixture.lock).unwrap();
    assert_eq!(fixture.read(&two, "data/file").as_deref(), Some("in two"));
    assert_eq!(fs::read_to_string(back.retained.join("data/file")).unwrap(), "later in one");
    // 1.0.0 was left twice: rolled back just now, and before that for 2.0.0, in a separate
    // snapshot.
    let back = roll_back(&fixture.home, Some(&one), &fixture.lock).unwrap();
    assert_eq!(fixture.read(&one, "data/file").as_deref(), Some("in one"));
    assert_eq!(fs::read_to_string(back.retained.join("data/file")).unwrap(), "in two");
    let texts: Vec<_> = snapshots::list(&fixture.home)
        .unwrap()
        .iter()
        .map(|snapshot| {
            fs::read_to_string(snapshot.place(&fixture.home).join("data/file")).unwrap()
        })
        .collect();
    assert!(texts.contains(&"later in one".to_owned()), "{texts:?}");
}

#[test]
fn what_a_rollback_set_aside_stays_whatever_follows() {
    let fixture = Fixture::new();
    let Fixture { home, lock, .. } = &fixture;
    let ids: Vec<_> = (1..=7).map(|major| fixture.install(&format!("{major}.0.0"), &[])).collect();
    let use_next = |id: &ContainerId| {
        switch(home, id, SwitchOptions::PLAIN, lock).unwrap();
        crate::store::probation::change(home, id, lock, |_| None).unwrap();
        fixture.write(id, "data/file", &id.version.to_string());
    };
    ids[..2].iter().for_each(use_next);
    fixture.write(&ids[1], "data/work", "a month of work");
    let back = roll_back(home, None, lock).unwrap();
    ids[2..].iter().for_each(use_next);
    maintenance::prune(home, 0, lock).unwrap();
    assert_eq!(fs::read_to_string(back.retained.join("data/work")).unwrap(), "a month of work");
    let superseded = snapshots::list(home).unwrap();
    assert_eq!(superseded.iter().filter(|point| point.reason == Reason::Switched).count(), 3);
    // A person may delete it, and nothing else by that way.
    assert!(crate::store::usage::set_aside(home) > 0);
    snapshots::delete(home, &home.container(&ids[6]), lock).unwrap();
    assert_eq!(fixture.read(&ids[6], "data/file").as_deref(), Some("7.0.0"));
    let only_copies = snapshots::only_copies(home).unwrap();
    assert_eq!(
        only_copies.iter().map(|copy| copy.place(home)).collect::<Vec<_>>(),
        [back.retained]
    );
    snapshots::delete(home, &only_copies[0].place(home), lock).unwrap();
    assert_eq!(snapshots::only_copies(home).unwrap(), []);
    assert_eq!(snapshots::list(home).unwrap().len(), superseded.len() - 1);
    assert_eq!(crate::store::usage::set_aside(home), 0);
}

#[test]
fn the_newest_three_stay_and_what_is_no_snapshot_too() {
    let fixture = Fixture::new();
    let ids: Vec<_> = (1..=6).map(|major| fixture.install(&format!("{major}.0.0"), &[])).collect();
    fs::create_dir_all(fixture.home.snapshots().join("my own")).unwrap();
    for id in &ids {
        switch(&fixture.home, id, SwitchOptions::PLAIN, &fixture.lock).unwrap();
        crate::store::probation::change(&fixture.home, id, &fixture.lock, |_| None).unwrap();
        fixture.write(id, "data/file", &id.version.to_string());
    }
    maintenance::prune(&fixture.home, 0, &fixture.lock).unwrap();
    assert_eq!(fixture.versions(), ["6.0.0", "5.0.0"]);
    let retained: Vec<_> = snapshots::list(&fixture.home)
        .unwrap()
        .iter()
        .map(|snapshot| {
            fs::read_to_string(snapshot.place(&fixture.home).join("data/file")).unwrap()
        })
        .collect();
    assert_eq!(retained, ["5.0.0", "4.0.0", "3.0.0"]);
    assert!(fixture.home.snapshots().join("my own").exists());
    // A rollback can return to a snapshot of a removed version once the version is installed again.
    assert_eq!(points(&fixture.home).unwrap().len(), 1);
    let missing = roll_back(&fixture.home, Some(&ids[3]), &fixture.lock).unwrap_err();
    assert!(matches!(missing, StoreError::NotInstalled { .. }));
    fixture.install("4.0.0", &[]);
    roll_back(&fixture.home, Some(&ids[3]), &fixture.lock).unwrap();
    assert_eq!(fixture.read(&ids[3], "data/file").as_deref(), Some("4.0.0"));
}
