//! Removes from a home what nothing uses any more: what a kill left, and surplus versions.
//!
//! In: a home, its lock. Out: a home without half-done work. Never: removes a user's file, a
//! version in use, or what an unfinished switch needs.

use std::fs;
use std::path::{Path, PathBuf};

use super::files::exists;
use super::lock::{HomeLock, RunningLock};
use super::names::{INCOMING, REPAIR};
use super::{Home, StoreError, journal, remove, snapshots};
use crate::error_chain;
use crate::model::ContainerId;
use crate::{durable, look};

impl Home {
    /// Removes the remains of a kill: half removed versions, pieces of installed ones, files that
    /// were to replace a record, locks of removed versions. A removal that fails is logged and does
    /// not fail the call. The user's files of a damaged version (`.damaged-…`) stay.
    pub(crate) fn remove_left(&self, lock: &HomeLock) {
        self.set_left_aside(lock);
        // It is in the log.
        let _ = remove::delete_set_aside(self);
    }

    /// The quick part of [`Home::remove_left`]: what takes long waits for
    /// [`remove::delete_set_aside`].
    fn set_left_aside(&self, lock: &HomeLock) {
        self.remove_replaced();
        remove::finish_removals(self, lock);
        for left in self.left_in_staging() {
            if let Err(error) = remove::set_folder_aside(self, &left) {
                tracing::warn!(
                    error = error_chain::line(&error),
                    "what a kill left could not be removed"
                );
            }
        }
        self.removed_with_locks().iter().for_each(|id| RunningLock::remove(self, id));
    }

    /// Removes the remains if a kill left something and no other launcher is at work. Half a
    /// version may be large: the lock is free while its files are deleted.
    pub(crate) fn remove_left_if_idle(&self) {
        // If the system cannot answer, the holder of the lock looks again.
        let may_be = |path: &Path| exists(path).unwrap_or(true);
        let is_left = may_be(&self.journal())
            || !self.own_in(INCOMING).is_empty()
            || !self.half_removed().is_empty()
            || !self.left_in_staging().is_empty()
            || self.replaced_in().iter().any(|folder| durable::has_left(folder))
            || snapshots::has_left(self)
            || !self.removed_with_locks().is_empty();
        if is_left {
            match HomeLock::take(self) {
                Ok(lock) => {
                    self.set_left_aside(&lock);
                    drop(lock);
                    // It is in the log.
                    let _ = remove::delete_set_aside(self);
                }
                Err(error) => tracing::info!(
                    error = error_chain::line(&error),
                    "what a kill left stays for now"
                ),
            }
        }
    }

    /// Staging folders of repairs that were killed, and of versions that are installed: a kill or
    /// an error came before the last step of [`super::staging::Staging::register`]. A repair at
    /// work holds the lock.
    fn left_in_staging(&self) -> Vec<PathBuf> {
        let is_left = |entry: &fs::DirEntry| {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { return false };
            let is_installed = |id: ContainerId| self.record(&id).is_ok();
            match name.strip_prefix(REPAIR) {
                Some(id) => id.parse::<ContainerId>().is_ok(),
                None => name.parse().is_ok_and(is_installed),
            }
        };
        let staging = look::entries_if_readable(&self.staging()).into_iter();
        staging.filter(is_left).map(|entry| entry.path()).collect()
    }

    /// Removed versions whose locks are still there.
    fn removed_with_locks(&self) -> Vec<ContainerId> {
        let id =
            |entry: fs::DirEntry| entry.file_name().to_str()?.trim_end_matches(".d").parse().ok();
        let is_gone = |id: &ContainerId| exists(&self.container(id)).is_ok_and(|there| !there);
        let running = look::entries_if_readable(&self.running()).into_iter().filter_map(id);
        running.filter(|id| is_gone(id) && !RunningLock::is_held(self, id)).collect()
    }
}

impl HomeLock {
    /// Takes the lock and finishes a switch that a kill interrupted. Returns [`StoreError::Busy`]
    /// at once if another launcher has the lock.
    pub(crate) fn take(home: &Home) -> Result<Self, StoreError> {
        let lock = Self::acquire(home)?;
        journal::recover(home, &lock);
        Ok(lock)
    }
}

/// Removes the [`surplus`](remove::surplus) and what a kill left, except the files, which
/// [`remove::delete_set_aside`] deletes later. Returns the removed versions.
pub(crate) fn prune(
    home: &Home,
    keep: usize,
    lock: &HomeLock,
) -> Result<Vec<ContainerId>, StoreError> {
    home.set_left_aside(lock);
    let removed = remove::set_aside_surplus(home, keep, lock)?;
    if removed.is_empty() {
        // Only if every version can be read, and it is known which of them run, is it certain that
        // there is nothing to do.
        home.refuse_unreadable()?;
        refuse_unknown_use(home)?;
    }
    Ok(removed)
}

/// The error of the first version of which it is unknown whether it runs, if there is one.
fn refuse_unknown_use(home: &Home) -> Result<(), StoreError> {
    for record in home.installed()? {
        match RunningLock::refuse_if_held(home, &record.container) {
            Ok(()) | Err(StoreError::InUse { .. }) => {}
            unknown => return unknown,
        }
    }
    Ok(())
}
