//! Making another installed version the active one.
//!
//! The steps of a switch, in order: the running app has ended; data is snapshotted; data is migrated; the pointer flips; the new
//! version starts on probation; it is confirmed. Here: migration by copy, a snapshot of the files that it replaces, and the flip in
//! one step. The journal and probation take their places between these lines.
//!
//! A switch back is a switch like any other: the user's present files go along, and what the older version had of its own is in the
//! snapshot.

use std::path::PathBuf;

use super::lock::HomeLock;
use super::migrate::{self, Migration};
use super::snapshots::Snapshot;
use super::{Active, Home, InstalledRecord, StoreError};
use crate::model::ContainerId;

/// Switches to `id` now. The app must not be running in a version whose data would be left behind while it still writes.
pub fn switch(home: &Home, id: &ContainerId, _lock: &HomeLock) -> Result<(InstalledRecord, Migration), StoreError> {
    let record = home.record(id)?;
    let before = home.active().ok().map(|(active, _)| active);
    let previous = match &before {
        Some(active) if active.container == *id => active.previous.clone(),
        Some(active) => Some(active.container.clone()),
        None => None,
    };
    let snapshot = Snapshot::of(home, id, jiff::Timestamp::now());
    let migration = match &before {
        Some(active) if active.container != *id => migrate::carry_over(home, &active.container, id, &snapshot)?,
        _ => match damaged_before(home, id) {
            Some(damaged) => migrate::rescue(&damaged, &home.container(id), Some(&snapshot))?,
            None => Migration::default(),
        },
    };
    home.set_active(&Active { container: id.clone(), previous, pending: None })?;
    snapshot.prune_others();
    Ok((record, migration))
}

/// The folder of the version that the pointer names, if that is another one than `id`, which only stands in for it: damaged as it is,
/// the user's present files are there.
fn damaged_before(home: &Home, id: &ContainerId) -> Option<PathBuf> {
    let named = home.named().ok().flatten()?.container;
    (named != *id).then(|| home.container(&named))
}

/// Remembers to switch to `id` before the next start, since the app is running now.
pub fn switch_at_next_start(home: &Home, id: &ContainerId, _lock: &HomeLock) -> Result<(), StoreError> {
    home.record(id)?;
    let (active, _) = home.active()?;
    let pending = (active.container != *id).then(|| id.clone());
    home.set_active(&Active { pending, ..active })
}

/// The version to start now: a pending switch is carried out first, unless another launcher is at work or the app is still
/// running in the old version. A switch that fails is told in the log, and the version that was active before starts. A lost
/// `active.json` is written anew if nobody else is at work.
pub fn resolve_for_start(home: &Home) -> Result<InstalledRecord, StoreError> {
    if home.has_lost_pointer() {
        let written = HomeLock::take(home).and_then(|lock| home.ensure_active(&lock));
        if let Err(error) = written {
            tracing::warn!(error = &error as &dyn std::error::Error, "active.json could not be written anew");
        }
    }
    let (active, record) = home.active()?;
    let Some(pending) = active.pending else { return Ok(record) };
    if super::lock::RunningLock::is_held(home, &active.container) {
        return Ok(record);
    }
    let switched = HomeLock::take(home).and_then(|lock| switch(home, &pending, &lock));
    match switched {
        Ok((record, migration)) => {
            migration.log();
            Ok(record)
        }
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the pending switch failed; starting the version before it"
            );
            Ok(record)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::Fixture;
    use crate::store::lock::RunningLock;

    #[test]
    fn switching_remembers_where_it_came_from() {
        let fixture = Fixture::new();
        let (one, two) = (fixture.install("1.0.0", &[]), fixture.install("2.0.0", &[]));
        switch(&fixture.home, &one, &fixture.lock).unwrap();
        switch(&fixture.home, &two, &fixture.lock).unwrap();
        switch(&fixture.home, &two, &fixture.lock).unwrap();
        let (active, _) = fixture.home.active().unwrap();
        assert_eq!((active.container, active.previous), (two, Some(one)));
        let missing = crate::store::fixture::id("3.0.0");
        assert!(matches!(switch(&fixture.home, &missing, &fixture.lock), Err(StoreError::NotInstalled { .. })));
    }

    #[test]
    fn a_pending_switch_waits_for_the_end_of_the_app_and_of_the_other_launcher() {
        let fixture = Fixture::new();
        let (one, two) = (fixture.install("1.0.0", &[]), fixture.install("2.0.0", &[]));
        switch(&fixture.home, &one, &fixture.lock).unwrap();
        switch_at_next_start(&fixture.home, &two, &fixture.lock).unwrap();
        let start = |home: &Home| resolve_for_start(home).unwrap().container;
        assert_eq!(start(&fixture.home), one, "another launcher holds the lock");
        let Fixture { home, lock, .. } = &fixture;
        let running = RunningLock::hold(home, &one).unwrap();
        let _ = lock;
        assert_eq!(start(home), one, "the app is running");
        drop(running);
        // Hand the lock over for the rest of the test.
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
        switch(&fixture.home, &one, &fixture.lock).unwrap();
        switch_at_next_start(&fixture.home, &two, &fixture.lock).unwrap();
        switch_at_next_start(&fixture.home, &one, &fixture.lock).unwrap();
        assert_eq!(fixture.home.active().unwrap().0.pending, None);
    }
    #[test]
    fn a_start_writes_a_lost_pointer_anew_unless_somebody_is_at_work() {
        let fixture = Fixture::new();
        let home = fixture.home.clone();
        let one = fixture.install("1.0.0", &[]);
        let start = || resolve_for_start(&home).unwrap().container;
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
        switch(&fixture.home, &one, &fixture.lock).unwrap();
        fixture.write(&one, "data/file", "mine");
        fixture.write(&one, "metadata/installed.json", "");
        let two = fixture.install("2.0.0", &[]);
        switch(&fixture.home, &two, &fixture.lock).unwrap();
        assert_eq!(fixture.read(&two, "data/file").as_deref(), Some("mine"));
        let (active, _) = fixture.home.active().unwrap();
        assert_eq!((active.container, active.previous), (two, None));
    }

    #[test]
    fn a_switch_back_keeps_what_it_replaces() {
        let fixture = Fixture::new();
        let (one, two) = (fixture.install("1.0.0", &[]), fixture.install("2.0.0", &[]));
        fixture.write(&one, "data/file", "old");
        switch(&fixture.home, &one, &fixture.lock).unwrap();
        for round in 0..5 {
            switch(&fixture.home, &two, &fixture.lock).unwrap();
            fixture.write(&two, "data/file", &format!("present {round}"));
            switch(&fixture.home, &one, &fixture.lock).unwrap();
            assert_eq!(fixture.read(&one, "data/file"), Some(format!("present {round}")));
        }
        let mut snapshots: Vec<_> =
            std::fs::read_dir(fixture.home.snapshots()).unwrap().map(|entry| entry.unwrap().path()).collect();
        snapshots.sort();
        let kept: Vec<_> = snapshots.iter().map(|folder| std::fs::read_to_string(folder.join("data/file")).unwrap()).collect();
        assert_eq!(kept, ["present 1", "present 2", "present 3"]);
    }
}
