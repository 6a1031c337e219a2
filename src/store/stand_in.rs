//! Replacements for records that are lost or cannot be read. An error of the disk does not mean
//! that a file is missing, and the app starts with its user's files.
//!
//! In: the other files of a version, and when it was used last. Out: its record, the order in which
//! versions are tried, and a place for what cannot be written where it belongs. Never: changes a
//! version.

use std::cmp::Reverse;
use std::time::SystemTime;

use super::files::{read_json, remove_file, replace_json};
use super::{Home, HomeState, InstalledRecord, StoreError, lock};
use crate::error_chain;
use crate::look;
use crate::model::{ContainerId, Digest, Manifest, Version};

/// The record of `id`, made from its manifest, which has the same data; for a record that cannot be
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

/// Sorts the most recently used version first: its user's files are in it. Versions that failed
/// come last. Unused versions are in the order of their numbers, the newest first.
pub(super) fn sort_by_use(home: &Home, installed: &mut [InstalledRecord]) {
    let failed = home.failed();
    installed.sort_by_key(|record| {
        (failed.contains(&record.container.version), Reverse(last_use(home, &record.container)))
    });
}

/// When a start or an end of the version was last noted.
fn last_use(home: &Home, id: &ContainerId) -> Option<SystemTime> {
    look::at(&lock::records(home, id)).ok()??.modified().ok()
}

/// Versions that failed while the state could not be read; none if their file is damaged.
pub(super) fn late_failures(home: &Home) -> Result<Vec<Version>, StoreError> {
    match read_json(&home.late_failures()) {
        Err(StoreError::Damaged { .. }) => Ok(Vec::new()),
        failures => Ok(failures?.unwrap_or_default()),
    }
}

/// `failed` together with the [`late_failures`].
pub(super) fn and_late_failures(
    home: &Home,
    mut failed: Vec<Version>,
) -> Result<Vec<Version>, StoreError> {
    for version in late_failures(home)? {
        if !failed.contains(&version) {
            failed.push(version);
        }
    }
    Ok(failed)
}

/// Records beside the state, which cannot be read now, that `version` failed.
pub(super) fn note_late_failure(home: &Home, version: &Version) -> Result<(), StoreError> {
    let mut failed = late_failures(home)?;
    if failed.contains(version) {
        return Ok(());
    }
    failed.push(version.clone());
    replace_json(&home.late_failures(), &failed)
}

/// Moves the late failures into the state, which can be read again. Where they themselves cannot be
/// read they stay where they are, and a later call moves them.
pub(super) fn take_in_late_failures(
    home: &Home,
    state: HomeState,
) -> Result<HomeState, StoreError> {
    let late = late_failures(home).unwrap_or_else(|error| {
        tracing::warn!(error = error_chain::line(&error), "versions that failed are not known now");
        Vec::new()
    });
    if late.is_empty() {
        return Ok(state);
    }
    let state = HomeState { failed: and_late_failures(home, state.failed)?, ..state };
    home.set_state(&state)?;
    remove_file(&home.late_failures())?;
    Ok(state)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::store::fixture::Fixture;
    #[cfg(unix)]
    use crate::store::fixture::{make_readable, make_unreadable};
    use crate::store::probation::remember_failed;
    use crate::store::switch::{SwitchOptions, switch};

    #[test]
    #[cfg(unix)]
    fn that_a_version_failed_is_remembered_where_the_state_cannot_be_read() {
        let fixture = Fixture::new();
        let home = &fixture.home;
        let id = home.state().unwrap().installation_id;
        let path = home.root().join("state.json");
        let aside = make_unreadable(&path);
        let two: Version = "2.0.0".parse().unwrap();
        assert!(home.state().is_err() && home.stored_state().is_err());
        remember_failed(home, &two).unwrap();
        assert_eq!(home.failed(), std::slice::from_ref(&two));
        // Failures that cannot be read are not written over, and nothing is deleted without them.
        let late = make_unreadable(&home.late_failures());
        assert!(remember_failed(home, &"3.0.0".parse().unwrap()).is_err());
        make_readable(&path, &aside);
        assert!(home.known_failed().is_err());
        assert_eq!(home.state().unwrap().failed, [], "the state itself can be read");
        make_readable(&home.late_failures(), &late);
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
        // The manifest cannot be read either: the version still counts as installed, and the result
        // is an error rather than "nothing to do".
        make_unreadable(&home.manifest(&one));
        assert!(
            matches!(home.active(), Err(StoreError::File(_))) && home.refuse_unreadable().is_err()
        );
        let pruned = crate::store::remove::prune(home, 9, &fixture.lock);
        assert!(matches!(pruned, Err(StoreError::File(_))), "{pruned:?}");
    }
}
