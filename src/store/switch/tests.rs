//! Tests of `store::switch`.

use std::fs;

use super::*;
use crate::store::fixture::Fixture;
use crate::store::lock::RunningLock;
use crate::store::resolution::resolve_for_start;

#[test]
fn switching_remembers_where_it_came_from() {
    let fixture = Fixture::new();
    let (one, two) = (fixture.install("1.0.0", &[]), fixture.install("2.0.0", &[]));
    switch(&fixture.home, &one, SwitchOptions::PLAIN, &fixture.lock).unwrap();
    switch(&fixture.home, &two, SwitchOptions::PLAIN, &fixture.lock).unwrap();
    switch(&fixture.home, &two, SwitchOptions::PLAIN, &fixture.lock).unwrap();
    let (active, _) = fixture.home.active().unwrap();
    assert_eq!((active.container, active.previous), (two, Some(one)));
    let missing = crate::store::fixture::id("3.0.0");
    assert!(matches!(
        switch(&fixture.home, &missing, SwitchOptions::PLAIN, &fixture.lock),
        Err(StoreError::NotInstalled { .. })
    ));
}

#[test]
fn a_pending_switch_waits_for_the_end_of_the_app_and_of_the_other_launcher() {
    let fixture = Fixture::new();
    let (one, two) = (fixture.install("1.0.0", &[]), fixture.install("2.0.0", &[]));
    switch(&fixture.home, &one, SwitchOptions::PLAIN, &fixture.lock).unwrap();
    switch_at_next_start(&fixture.home, &two, &fixture.lock).unwrap();
    let start =
        |home: &Home| resolve_for_start(home, SwitchOptions::PLAIN).unwrap().record.container;
    assert_eq!(start(&fixture.home), one, "another launcher holds the lock");
    let Fixture { home, lock, .. } = &fixture;
    let running = RunningLock::hold(home, &one).unwrap();
    let _ = lock;
    assert_eq!(start(home), one, "the app is running");
    drop(running);
    // Releases the lock for the rest of the test.
    let fixture_home = home.clone();
    let keep = fixture.release();
    assert_eq!(start(&fixture_home), two);
    let (active, _) = fixture_home.active().unwrap();
    assert_eq!((active.previous, active.pending), (Some(one), None));
    drop(keep);
}

#[test]
fn choosing_the_active_version_again_takes_a_pending_switch_back() {
    let fixture = Fixture::new();
    let (one, two) = (fixture.install("1.0.0", &[]), fixture.install("2.0.0", &[]));
    switch(&fixture.home, &one, SwitchOptions::PLAIN, &fixture.lock).unwrap();
    switch_at_next_start(&fixture.home, &two, &fixture.lock).unwrap();
    switch_at_next_start(&fixture.home, &one, &fixture.lock).unwrap();
    assert_eq!(fixture.home.active().unwrap().0.pending, None);
}
#[test]
fn a_start_writes_a_lost_pointer_anew_unless_somebody_is_at_work() {
    let fixture = Fixture::new();
    let home = fixture.home.clone();
    let one = fixture.install("1.0.0", &[]);
    let start = || resolve_for_start(&home, SwitchOptions::PLAIN).unwrap().record.container;
    assert_eq!(start(), one);
    assert_eq!(home.named().unwrap(), None, "another launcher holds the lock");
    let keep = fixture.release();
    assert_eq!(start(), one);
    assert_eq!(home.named().unwrap().map(|active| active.container), Some(one));
    drop(keep);
}

#[test]
fn the_only_version_hands_its_files_on_even_when_damaged() {
    let fixture = Fixture::new();
    let one = fixture.install("1.0.0", &[]);
    switch(&fixture.home, &one, SwitchOptions::PLAIN, &fixture.lock).unwrap();
    fixture.write(&one, "data/file", "mine");
    fixture.write(&one, "metadata/installed.json", "");
    let two = fixture.install("2.0.0", &[]);
    switch(&fixture.home, &two, SwitchOptions::PLAIN, &fixture.lock).unwrap();
    assert_eq!(fixture.read(&two, "data/file").as_deref(), Some("mine"));
    let (active, _) = fixture.home.active().unwrap();
    assert_eq!((active.container, active.previous), (two, None));
}

#[test]
fn a_switch_back_takes_the_present_files_along_and_keeps_the_older_ones() {
    let fixture = Fixture::new();
    let (one, two) =
        (fixture.install("1.0.0", &[("config/c", "default")]), fixture.install("2.0.0", &[]));
    fixture.write(&one, "data/file", "old");
    switch(&fixture.home, &one, SwitchOptions::PLAIN, &fixture.lock).unwrap();
    for round in 0..5 {
        switch(&fixture.home, &two, SwitchOptions::PLAIN, &fixture.lock).unwrap();
        fixture.write(&two, "data/file", &format!("present {round}"));
        switch(&fixture.home, &one, SwitchOptions::PLAIN, &fixture.lock).unwrap();
        assert_eq!(fixture.read(&one, "data/file"), Some(format!("present {round}")));
        assert_eq!(fixture.read(&one, "config/c").as_deref(), Some("default"));
    }
    let retained: Vec<_> = snapshots::list(&fixture.home)
        .unwrap()
        .iter()
        .map(|snapshot| {
            fs::read_to_string(snapshot.place(&fixture.home).join("data/file")).unwrap()
        })
        .collect();
    assert_eq!(
        retained,
        ["present 4", "present 3", "present 3"],
        "in the version left last, and what each switch replaced"
    );
    assert_eq!(fs::read_dir(fixture.home.snapshots()).unwrap().count(), 3);
    assert!(!fixture.home.incoming().exists() && !fixture.home.journal().exists());
    let names = fs::read_dir(fixture.home.containers()).unwrap().count();
    assert_eq!(names, 2, "nothing is left of what was displaced");
}

#[test]
fn a_version_that_knows_less_is_refused_the_newer_form_of_data() {
    let fixture = Fixture::new();
    let (one, two) = (fixture.install("1.0.0", &[]), fixture.install("2.0.0", &[]));
    let (home, lock) = (&fixture.home, &fixture.lock);
    switch(home, &one, SwitchOptions::PLAIN, lock).unwrap();
    let record = InstalledRecord { data_schema: 3, ..fixture.record(&two) };
    Home::write_record(&home.container(&two), &record).unwrap();
    switch(home, &two, SwitchOptions::PLAIN, lock).unwrap();
    let refused = switch(home, &one, SwitchOptions::PLAIN, lock).unwrap_err();
    assert!(
        matches!(refused, StoreError::DataTooNew { found: 3, known: 0, .. }) && refused.is_final()
    );
    assert_eq!(home.active().unwrap().0.container, two);
    // The way out: a rollback to the version with its earlier files.
    crate::store::rollback::roll_back(home, None, lock).unwrap();
    assert_eq!(home.active().unwrap().0.container, one);
}

#[cfg(unix)]
mod scripts {
    use super::*;
    use crate::store::resolution::resolve_for_start;

    fn with_script(fixture: &Fixture, version: &str, script: &str) -> ContainerId {
        let id = fixture.install(version, &[("data/shipped", "s")]);
        fixture.write(&id, "scripts/migrate", &format!("#!/bin/sh\n{script}\n"));
        let path = fixture.home.container(&id).join("scripts/migrate");
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        id
    }

    #[test]
    fn a_release_migrates_a_copy() {
        let fixture = Fixture::new();
        let one = fixture.install("1.0.0", &[]);
        let (home, lock) = (&fixture.home, &fixture.lock);
        switch(home, &one, SwitchOptions::PLAIN, lock).unwrap();
        fixture.write(&one, "data/file", "old");
        let script = "echo \"$1 $2 $KUZFLOW_FROM\" > data/told; sed -i s/old/new/ \"$KUZFLOW_DATA/file\"; ls > \"$KUZFLOW_CONFIG/ls\"";
        let two = with_script(&fixture, "2.0.0", script);
        switch(home, &two, SwitchOptions::PLAIN, lock).unwrap();
        assert_eq!(fixture.read(&two, "data/told").as_deref(), Some("1.0.0 2.0.0 1.0.0\n"));
        assert_eq!(fixture.read(&two, "data/file").as_deref(), Some("new\n".trim_end()));
        assert_eq!(fixture.read(&two, "config/ls").as_deref(), Some("config\ndata\nlogs\n"));
        assert_eq!(
            fixture.read(&one, "data/file").as_deref(),
            Some("old"),
            "the version that was left is as it was"
        );
        // For the switch back the newer version's script runs, since only that one knows both
        // forms.
        switch(home, &one, SwitchOptions::PLAIN, lock).unwrap();
        assert_eq!(fixture.read(&one, "data/told").as_deref(), Some("2.0.0 1.0.0 2.0.0\n"));
    }

    #[test]
    fn a_migration_whose_output_has_no_place_is_not_to_blame_and_is_tried_again() {
        let fixture = Fixture::new();
        let one = fixture.install("1.0.0", &[]);
        let (home, lock) = (&fixture.home, &fixture.lock);
        switch(home, &one, SwitchOptions::PLAIN, lock).unwrap();
        let two = with_script(&fixture, "2.0.0", "echo whole > data/file");
        let log = home.logs().join(format!("migrate-{two}.txt"));
        fs::create_dir_all(&log).unwrap();
        let refused = switch(home, &two, SwitchOptions::PLAIN, lock).unwrap_err();
        assert!(matches!(refused, StoreError::File(_)) && !refused.is_final(), "{refused:?}");
        assert_eq!(home.active().unwrap().0.container, one);
        fs::remove_dir(&log).unwrap();
        switch(home, &two, SwitchOptions::PLAIN, lock).unwrap();
        assert_eq!(fixture.read(&two, "data/file").as_deref(), Some("whole\n"));
    }

    #[test]
    fn a_migration_that_fails_or_hangs_changes_nothing() {
        let fixture = Fixture::new();
        let one = fixture.install("1.0.0", &[]);
        let (home, lock) = (&fixture.home, &fixture.lock);
        switch(home, &one, SwitchOptions::PLAIN, lock).unwrap();
        fixture.write(&one, "data/file", "old");
        let two =
            with_script(&fixture, "2.0.0", "echo half > data/file; echo no such table >&2; exit 3");
        let refused = switch(home, &two, SwitchOptions::PLAIN, lock).unwrap_err();
        assert!(refused.to_string().contains("no such table") && refused.is_final(), "{refused}");
        let three = with_script(&fixture, "3.0.0", "echo half > data/file; sleep 60 & sleep 60");
        let short = SwitchOptions { migration_limit: Duration::ZERO, ..SwitchOptions::PLAIN };
        assert!(matches!(
            switch(home, &three, short, lock),
            Err(StoreError::MigrationTime { seconds: 0, .. })
        ));
        assert_eq!(home.active().unwrap().0.container, one);
        assert_eq!(fixture.read(&one, "data/file").as_deref(), Some("old"));
        assert_eq!(fixture.read(&two, "data/file"), None);
        assert!(snapshots::list(home).unwrap().is_empty());
        // A start tries the switch once, reports the failure, and does not try again.
        switch_at_next_start(home, &two, lock).unwrap();
        let home = home.clone();
        let _keep = fixture.release();
        let resolved = resolve_for_start(&home, SwitchOptions::PLAIN).unwrap();
        assert_eq!(resolved.record.container, one);
        assert!(
            matches!(resolved.switched, Some(Err((id, StoreError::Migration { .. }))) if id == two)
        );
        assert!(resolve_for_start(&home, SwitchOptions::PLAIN).unwrap().switched.is_none());
    }
}

#[test]
#[cfg(unix)]
fn a_pending_switch_reports_that_it_waits_where_nobody_knows_whether_the_app_runs() {
    use crate::store::fixture::{make_readable, make_unreadable};
    let fixture = Fixture::new();
    let home = fixture.home.clone();
    let (one, two) = (fixture.install("1.0.0", &[]), fixture.install("2.0.0", &[]));
    switch(&home, &one, SwitchOptions::PLAIN, &fixture.lock).unwrap();
    switch_at_next_start(&home, &two, &fixture.lock).unwrap();
    let _keep = fixture.release();
    let notes = crate::store::lock::records(&home, &one);
    fs::create_dir_all(&notes).unwrap();
    let aside = make_unreadable(&notes);
    let resolved = resolve_for_start(&home, SwitchOptions::PLAIN).unwrap();
    assert_eq!(resolved.record.container, one);
    assert!(matches!(resolved.waits, Some(StoreError::File(_))), "{:?}", resolved.waits);
    make_readable(&notes, &aside);
    let resolved = resolve_for_start(&home, SwitchOptions::PLAIN).unwrap();
    assert_eq!((resolved.record.container, resolved.waits.is_none()), (two, true));
}
