//! What stands in for records that are lost or cannot be read: an error of the disk is no absence,
//! and the app starts with its user's files.
//!
//! In: the other files of a version, and when it was used last. Out: its record, the order in which
//! versions are guessed, and what could not be written where it belongs. Never: a change of a
//! version.

use std::cmp::Reverse;
use std::time::SystemTime;

use super::files::{read_json, remove_file, replace_json};
use super::{Home, HomeState, InstalledRecord, StoreError, lock};
use crate::look;
use crate::model::{ContainerId, Digest, Manifest, Version};

/// The record of `id` from its manifest, which says the same; for when the record itself cannot be
/// read.
pub(super) fn record_from_manifest(home: &Home, id: &ContainerId) -> Option<InstalledRecord> {
    let path = home.manifest(id);
    let json = look::read(&path, look::LARGE).ok()??;
    let manifest = Manifest::from_json(&json).ok().filter(|manifest| manifest.id() == *id)?;
    let written = look::at(&path).ok()??.modified().ok()?;
    Some(InstalledRecord::of(
        &manifest,
        Digest::of(&json),
        jiff::Timestamp::try_from(written).ok()?,
    ))
}

/// Puts the version first that was used last: its user's files are in it. One that failed comes
/// last; what nobody used is in the order of versions, the newest first.
pub(super) fn sort_by_use(home: &Home, installed: &mut [InstalledRecord]) {
    let failed = home.failed();
    installed.sort_by_key(|record| {
        (failed.contains(&record.container.version), Reverse(last_use(home, &record.container)))
    });
}

/// When a start or an end of the version was noted last.
fn last_use(home: &Home, id: &ContainerId) -> Option<SystemTime> {
    look::at(&lock::records(home, id)).ok()??.modified().ok()
}

/// Versions that failed while the state could not be read.
pub(super) fn late_failures(home: &Home) -> Vec<Version> {
    read_json(&home.late_failures()).ok().flatten().unwrap_or_default()
}

/// `failed` and the late ones.
pub(super) fn and_late_failures(home: &Home, mut failed: Vec<Version>) -> Vec<Version> {
    for version in late_failures(home) {
        if !failed.contains(&version) {
            failed.push(version);
        }
    }
    failed
}

/// Remembers beside the state, which cannot be read now, that `version` failed.
pub(super) fn note_late_failure(home: &Home, version: &Version) -> Result<(), StoreError> {
    let mut failed = late_failures(home);
    if failed.contains(version) {
        return Ok(());
    }
    failed.push(version.clone());
    replace_json(&home.late_failures(), &failed)
}

/// The state can be read again: what was remembered beside it belongs there.
pub(super) fn take_in_late_failures(
    home: &Home,
    state: HomeState,
) -> Result<HomeState, StoreError> {
    if late_failures(home).is_empty() {
        return Ok(state);
    }
    let state = HomeState { failed: and_late_failures(home, state.failed), ..state };
    home.set_state(&state)?;
    remove_file(&home.late_failures())?;
    Ok(state)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::store::fixture::Fixture;
    use crate::store::probation::remember_failed;
    use crate::store::switch::{SwitchOptions, switch};

    /// A link to itself: looking at what it leads to is an error for root as well, and no absence.
    #[cfg(unix)]
    fn make_unreadable(path: &Path) {
        let _ = fs::remove_file(path);
        std::os::unix::fs::symlink(path, path).unwrap();
    }

    #[test]
    #[cfg(unix)]
    fn that_a_version_failed_is_remembered_where_the_state_cannot_be_read() {
        let fixture = Fixture::new();
        let home = &fixture.home;
        let id = home.state().unwrap().installation_id;
        let (path, aside) = (home.root().join("state.json"), home.root().join("aside"));
        fs::rename(&path, &aside).unwrap();
        make_unreadable(&path);
        let two: Version = "2.0.0".parse().unwrap();
        assert!(home.state().is_err());
        remember_failed(home, &two).unwrap();
        assert_eq!(home.failed(), std::slice::from_ref(&two));
        fs::rename(&aside, &path).unwrap();
        assert_eq!(home.failed(), std::slice::from_ref(&two));
        let state = home.state().unwrap();
        assert_eq!((state.installation_id, state.failed), (id, vec![two]));
        assert!(!home.late_failures().exists());
    }

    #[test]
    fn the_version_that_was_used_last_stands_in() {
        let fixture = Fixture::new();
        let home = &fixture.home;
        let (one, _two) = (fixture.install("1.0.0", &[]), fixture.install("2.0.0", &[]));
        let _ = fs::remove_file(home.root().join("active.json"));
        fs::create_dir_all(lock::records(home, &one)).unwrap();
        assert_eq!(home.active().unwrap().0.container, one, "the user's files are in it");
        remember_failed(home, &one.version).unwrap();
        assert_eq!(home.active().unwrap().0.container.version.to_string(), "2.0.0");
    }

    #[test]
    #[cfg(unix)]
    fn a_record_that_cannot_be_read_hides_no_version() {
        let fixture = Fixture::new();
        let home = &fixture.home;
        let (one, _two) = (fixture.install("1.0.0", &[]), fixture.install("2.0.0", &[]));
        switch(home, &one, SwitchOptions::PLAIN, &fixture.lock).unwrap();
        let before = home.record(&one).unwrap();
        make_unreadable(&home.container(&one).join("metadata/installed.json"));
        assert_eq!(home.record(&one).unwrap().launch, before.launch);
        assert_eq!(
            home.active_for_start().unwrap().0.container,
            one,
            "and not the newest, which has no files of the user's"
        );
        home.refuse_unreadable().unwrap();
        // Nor can the manifest be read: the version is no less there, and nobody says that there is
        // nothing to do.
        make_unreadable(&home.manifest(&one));
        assert!(
            matches!(home.active(), Err(StoreError::Io { .. }))
                && home.refuse_unreadable().is_err()
        );
        let pruned = crate::store::remove::prune(home, 9, &fixture.lock);
        assert!(matches!(pruned, Err(StoreError::Io { .. })), "{pruned:?}");
    }
}
