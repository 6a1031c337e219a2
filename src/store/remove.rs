//! Removes installed versions, at a person's request and by policy.
//!
//! Each removal has two steps. Under the home's lock a version loses its name, which is quick; then
//! it is gone. Deleting its files may take many seconds, and happens without the lock, so that
//! nobody who presses "Update" meanwhile has to wait.

use std::path::{Path, PathBuf};

use super::files::{entries, exists, remove_tree};
use super::lock::{HomeLock, RunningLock};
use super::names::{DAMAGED, LEAVING, REMOVED};
use super::{Home, StoreError, foreign, hooks, journal, snapshots};
use crate::durable;
use crate::error_chain;
use crate::file_error::FileResult as _;
use crate::model::ContainerId;

/// Removes `id` except its files, which [`delete_set_aside`] deletes later. Returns an error for
/// the active, the pending and a running version.
pub(crate) fn set_aside(home: &Home, id: &ContainerId, lock: &HomeLock) -> Result<(), StoreError> {
    journal::settle(home, lock)?;
    home.record(id)?;
    let in_use = |reason| Err(StoreError::InUse { id: id.to_string(), reason });
    if let Some(active) = home.active_if_any()? {
        if active.container == *id {
            return in_use("it is the active version");
        }
        if active.pending.as_ref() == Some(id) {
            return in_use("the next start switches to it");
        }
    }
    RunningLock::refuse_if_held(home, id)?;
    // The folder is renamed first, so that an interrupted removal leaves no half version under a
    // version's name. Where a file is held open (Windows) this fails, and nothing has changed.
    let place = home.container(id);
    let leaving = home.containers().join(format!("{LEAVING}{id}"));
    durable::rename(&place, &leaving).at("rename", &place)?;
    // The rename reaches the disk before any file is deleted: a power cut must not bring back half
    // a version under a version's name.
    durable::sync_folder(&home.containers()).at("make durable", &home.containers())?;
    finish_removal(home, id, &leaving)?;
    RunningLock::remove(home, id);
    hooks::forget(home, id);
    snapshots::prune(home, None);
    Ok(())
}

/// Moves the user's files into a snapshot, and aside what somebody has put among the version's own;
/// the rest waits to be deleted.
fn finish_removal(home: &Home, id: &ContainerId, leaving: &Path) -> Result<(), StoreError> {
    snapshots::take_in(home, id, leaving)?;
    let foreign = home.containers().join(format!("{DAMAGED}{id}-{:08x}", fastrand::u32(..)));
    if foreign::move_aside(leaving, &foreign)? {
        tracing::warn!(to = %foreign.display(), "what does not belong to the release is set aside");
    }
    set_folder_aside(home, leaving)
}

/// Gives a folder of the home a name by which [`delete_set_aside`] finds it.
pub(super) fn set_folder_aside(home: &Home, folder: &Path) -> Result<(), StoreError> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_prefix(LEAVING).unwrap_or(&name);
    let aside = home.containers().join(format!("{REMOVED}{name}-{:08x}", fastrand::u32(..)));
    Ok(durable::rename(folder, &aside).at("rename", folder)?)
}

/// Finishes interrupted removals. A failure is logged, and the next call tries again.
pub(super) fn finish_removals(home: &Home, _lock: &HomeLock) {
    let leaving = |entry: std::fs::DirEntry| {
        let id = entry.file_name().to_str()?.strip_prefix(LEAVING)?.parse::<ContainerId>().ok()?;
        Some((id, entry.path()))
    };
    let finish = || -> Result<(), StoreError> {
        for (id, folder) in entries(&home.containers())?.into_iter().filter_map(leaving) {
            // The rename may not have reached the disk yet.
            durable::sync_folder(&home.containers()).at("make durable", &home.containers())?;
            finish_removal(home, &id, &folder)?;
        }
        Ok(())
    };
    if let Err(error) = finish() {
        tracing::warn!(error = error_chain::line(&error), "a removal could not be finished");
    }
}

/// Versions beyond `keep` (the active one not counted): first those that did not come up, then the
/// oldest. These always stay: the version to return to, running versions, and the newest version if
/// it is newer than the active one, since it was fetched ahead.
pub(crate) fn surplus(home: &Home, keep: usize) -> Result<Vec<ContainerId>, StoreError> {
    surplus_beside(home, keep, &|id| RunningLock::is_held(home, id))
}

/// The same for a caller that has asked which versions are running.
pub(crate) fn surplus_beside(
    home: &Home,
    keep: usize,
    is_running: &dyn Fn(&ContainerId) -> bool,
) -> Result<Vec<ContainerId>, StoreError> {
    let Some(active) = home.active_if_any()? else { return Ok(Vec::new()) };
    let mut others: Vec<ContainerId> = home
        .installed()?
        .into_iter()
        .map(|record| record.container)
        .filter(|id| *id != active.container)
        .collect();
    let failed = home.known_failed()?;
    // A stable sort: the newest stay first among equals.
    others.sort_by_key(|id| failed.contains(&id.version));
    let is_ahead = |newest: &&ContainerId| {
        newest.version > active.container.version && !failed.contains(&newest.version)
    };
    let ahead = others.first().filter(is_ahead).cloned();
    let protected = |id: &ContainerId| {
        let retained = [active.previous.as_ref(), active.pending.as_ref(), ahead.as_ref()];
        *id == active.container || retained.contains(&Some(id))
    };
    Ok(others.into_iter().skip(keep).filter(|id| !protected(id) && !is_running(id)).collect())
}

/// Removes the [`surplus`] except its files, which [`delete_set_aside`] deletes later, so that
/// nobody waits for that. Returns the removed versions.
pub(crate) fn set_aside_surplus(
    home: &Home,
    keep: usize,
    lock: &HomeLock,
) -> Result<Vec<ContainerId>, StoreError> {
    let mut removed = Vec::new();
    for id in surplus(home, keep)? {
        match set_aside(home, &id, lock) {
            Ok(()) => removed.push(id),
            Err(StoreError::InUse { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(removed)
}

/// Deletes the files of removed versions. This needs no lock, since nothing else uses them: a
/// switch that waits to be finished may have put defaults there, so nothing is deleted meanwhile.
///
/// # Errors
/// The first one, after all have been tried. A file that is held open (by a scanner, on Windows) is
/// none: the next call deletes it.
pub(crate) fn delete_set_aside(home: &Home) -> Result<(), StoreError> {
    if exists(&home.journal()).unwrap_or(true) {
        return Ok(());
    }
    let mut failed = None;
    for folder in home.half_removed() {
        if let Err(error) = remove_tree(&folder) {
            tracing::warn!(
                error = error_chain::line(&error),
                "files of a removed version stay for now"
            );
            if !durable::is_held_open(&error.source) {
                failed = failed.or(Some(error));
            }
        }
    }
    failed.map_or(Ok(()), |error| Err(error.into()))
}

/// Removes the folders with the set-aside files of damaged versions, except their content, which
/// [`delete_set_aside`] deletes later. Returns them.
pub(crate) fn set_damaged_aside(home: &Home, _lock: &HomeLock) -> Result<Vec<PathBuf>, StoreError> {
    let damaged = home.set_aside()?;
    damaged.iter().try_for_each(|folder| set_folder_aside(home, folder))?;
    Ok(damaged)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::store::fixture::Fixture;
    use crate::store::maintenance::prune;
    use crate::store::switch::{SwitchOptions, switch, switch_at_next_start};

    #[test]
    fn what_is_in_use_stays() {
        let fixture = Fixture::new();
        let (one, two, three) = (
            fixture.install("1.0.0", &[]),
            fixture.install("2.0.0", &[]),
            fixture.install("3.0.0", &[]),
        );
        let (home, lock) = (&fixture.home, &fixture.lock);
        switch(home, &one, SwitchOptions::PLAIN, lock).unwrap();
        switch_at_next_start(home, &two, lock).unwrap();
        let running = RunningLock::hold(home, &three).unwrap();
        for id in [&one, &two, &three] {
            assert!(matches!(set_aside(home, id, lock), Err(StoreError::InUse { .. })), "{id}");
        }
        drop(running);
        set_aside(home, &three, lock).unwrap();
        assert_eq!(fixture.versions(), ["2.0.0", "1.0.0"]);
        assert!(matches!(set_aside(home, &three, lock), Err(StoreError::NotInstalled { .. })));
    }

    #[test]
    #[cfg(unix)]
    fn a_version_that_may_be_running_is_no_reason_to_report_that_nothing_can_go() {
        use crate::store::fixture::{make_readable, make_unreadable};
        use crate::store::lock::records;
        let fixture = Fixture::new();
        // 1.0.0 is the one to go back to.
        let ids = ["1.0.0", "2.0.0", "3.0.0"].map(|version| fixture.install(version, &[]));
        let (home, lock) = (&fixture.home, &fixture.lock);
        switch(home, &ids[2], SwitchOptions::PLAIN, lock).unwrap();
        let notes = records(home, &ids[1]);
        fs::create_dir_all(&notes).unwrap();
        let aside = make_unreadable(&notes);
        let pruned = prune(home, 0, lock);
        assert!(matches!(pruned, Err(StoreError::File(_))), "{pruned:?}");
        make_readable(&notes, &aside);
        assert_eq!(prune(home, 0, lock).unwrap(), [ids[1].clone()]);
    }

    #[test]
    fn a_version_that_did_not_come_up_goes_before_an_older_one_that_did() {
        let fixture = Fixture::new();
        let ids: Vec<_> = ["1.0.0", "2.0.0", "3.0.0"]
            .iter()
            .map(|version| fixture.install(version, &[]))
            .collect();
        let (home, lock) = (&fixture.home, &fixture.lock);
        switch(home, &ids[2], SwitchOptions::PLAIN, lock).unwrap();
        crate::store::probation::remember_failed(home, &ids[1].version).unwrap();
        assert_eq!(prune(home, 1, lock).unwrap(), [ids[1].clone()]);
    }

    #[test]
    fn pruning_keeps_the_newest_and_the_one_to_go_back_to() {
        let fixture = Fixture::new();
        let ids: Vec<_> = ["1.0.0", "2.0.0", "3.0.0", "4.0.0", "5.0.0"]
            .iter()
            .map(|version| fixture.install(version, &[]))
            .collect();
        let (home, lock) = (&fixture.home, &fixture.lock);
        switch(home, &ids[0], SwitchOptions::PLAIN, lock).unwrap();
        switch(home, &ids[4], SwitchOptions::PLAIN, lock).unwrap();
        fs::create_dir(home.containers().join(".removed-x")).unwrap();
        let running = RunningLock::hold(home, &ids[2]).unwrap();
        assert_eq!(surplus(home, 1).unwrap(), [ids[1].clone()]);
        let is_marked = |id: &ContainerId| *id == ids[1];
        assert_eq!(surplus_beside(home, 1, &is_marked).unwrap(), [ids[2].clone()]);
        drop(running);
        let removed = prune(home, 1, lock).unwrap();
        delete_set_aside(home).unwrap();
        assert_eq!(removed, [ids[2].clone(), ids[1].clone()]);
        assert!(surplus(home, 1).unwrap().is_empty());
        assert_eq!(fixture.versions(), ["5.0.0", "4.0.0", "1.0.0"]);
        assert!(!home.containers().join(".removed-x").exists());
    }

    #[test]
    fn a_version_that_is_set_aside_is_gone_at_once_and_its_files_later() {
        let fixture = Fixture::new();
        let ids: Vec<_> = ["1.0.0", "2.0.0", "3.0.0"]
            .iter()
            .map(|version| fixture.install(version, &[]))
            .collect();
        let (home, lock) = (&fixture.home, &fixture.lock);
        switch(home, &ids[0], SwitchOptions::PLAIN, lock).unwrap();
        switch(home, &ids[2], SwitchOptions::PLAIN, lock).unwrap();
        assert_eq!(set_aside_surplus(home, 0, lock).unwrap(), [ids[1].clone()]);
        assert_eq!(fixture.versions(), ["3.0.0", "1.0.0"]);
        assert_eq!(home.half_removed().len(), 1);
        delete_set_aside(home).unwrap();
        assert_eq!(home.half_removed().len(), 0);
        assert!(home.container(&ids[2]).is_dir());
    }

    #[test]
    fn what_was_fetched_ahead_stays_until_something_newer_is() {
        let fixture = Fixture::new();
        let one = fixture.install("1.0.0", &[]);
        let (home, lock) = (&fixture.home, &fixture.lock);
        switch(home, &one, SwitchOptions::PLAIN, lock).unwrap();
        let two = fixture.install("2.0.0", &[]);
        assert!(prune(home, 0, lock).unwrap().is_empty());
        fixture.install("3.0.0", &[]);
        assert_eq!(prune(home, 0, lock).unwrap(), [two]);
        assert_eq!(fixture.versions(), ["3.0.0", "1.0.0"]);
    }
}
