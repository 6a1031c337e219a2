//! Snapshots: the user's files as a version had them when it was left. A rollback returns to them,
//! and they hold the files of versions that were rolled back or removed. Of the states whose files
//! went along to the next version the newest three stay. What a rollback set aside, or another
//! version replaced, is the only copy: nothing removes it by itself.
//!
//! ```text
//! <home>/snapshots/<UTC time>-<version>/snapshot.json   which version, when, why
//!                                       files/          config data logs; absent while they still
//!                                                       lie in the version's own folder
//! ```
//!
//! Versions lie side by side, each with its own user files, so a snapshot costs nothing: its files
//! stay in the version's folder. They move into the snapshot when the version is switched to again
//! with other files, is rolled back, or is removed.
//!
//! In: versions that are left, switched to again, removed. Out: [`Snapshot`]s. Never: makes a copy,
//! presents half of the files as all of them, touches a folder in `snapshots/` that is no snapshot.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::carry_over::{self, CARRIED};
use super::files::{entries, exists, move_folder, read_json, remove_tree, replace_json};
use super::lock::{HomeLock, RunningLock};
use super::names::{LEAVING, REMOVED, is_snapshot_name};
use super::{Home, StoreError};
use crate::durable;
use crate::error_chain;
use crate::file_error::{FileError, FileResult as _};
use crate::model::ContainerId;

/// How many snapshots stay whose files were carried over to the next version.
const MAX_POINTS: usize = 3;
const NOTE: &str = "snapshot.json";
/// The folder of the user's files in a snapshot.
const FILES: &str = "files";
/// The name of that folder while files are being moved there: it is incomplete.
const TAKING: &str = "taking";

/// Why a version was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reason {
    /// A person or the launcher switched to another version: a rollback can return to this one.
    Switched,
    /// It was rolled back: its user files are set aside.
    RolledBack,
    /// Its files were replaced by those of another version, or it was removed.
    Replaced,
}

/// The user's files in a version when it began to stand in for another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FilesBefore {
    /// The last change to one of them; `None` if nobody ever changed one.
    pub changed: Option<jiff::Timestamp>,
    /// Their fingerprint; `None` if they could not be read.
    pub fingerprint: Option<u64>,
}

/// The user's files of one version at one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    /// The version whose files they are.
    pub container: ContainerId,
    /// When it was left.
    pub left: jiff::Timestamp,
    /// The version that became active.
    pub next: ContainerId,
    pub reason: Reason,
    /// Whether the version was known to come up when it was left.
    pub healthy: bool,
    /// Set while the version stands in for `next`, which cannot be started: its files are in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stand_in: Option<FilesBefore>,
    #[serde(skip)]
    pub(super) folder: PathBuf,
}

impl Snapshot {
    /// A snapshot of `container`, left at `now` for `next`.
    pub(super) fn new(
        home: &Home,
        container: &ContainerId,
        next: &ContainerId,
        reason: Reason,
        now: jiff::Timestamp,
    ) -> Result<Self, StoreError> {
        // Later than all others, even after the clock was set back: the order is what counts.
        let newest = all(home)?
            .first()
            .map(|newest| newest.left.saturating_add(jiff::SignedDuration::from_micros(1)));
        let left = newest.and_then(Result::ok).map_or(now, |after| after.max(now));
        // One width, so that the order of names is the order of times.
        let folder =
            home.snapshots().join(format!("{}-{container}", left.strftime("%Y%m%dT%H%M%S.%6fZ")));
        Ok(Self {
            container: container.clone(),
            left,
            next: next.clone(),
            reason,
            healthy: true,
            stand_in: None,
            folder,
        })
    }

    /// Writes the note; a repetition changes nothing.
    pub(super) fn write(&self, home: &Home) -> Result<(), StoreError> {
        durable::create_folders(&self.folder).at("create", &self.folder)?;
        replace_json(&self.folder.join(NOTE), self)?;
        [home.snapshots().as_path(), home.root()]
            .into_iter()
            .try_for_each(|folder| durable::sync_folder(folder).at("make durable", folder))?;
        Ok(())
    }

    /// The snapshot's own folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder of the files once they have left the version's own folder.
    pub(super) fn files(&self) -> PathBuf {
        self.folder.join(FILES)
    }

    /// Whether the files lie in the snapshot's folder and no longer in the version's.
    pub(crate) fn has_files(&self) -> Result<bool, StoreError> {
        has_files(&self.folder)
    }

    /// Whether the files are being moved out of the version's folder now.
    pub(super) fn is_being_filled(&self) -> Result<bool, StoreError> {
        Ok(exists(&self.folder.join(TAKING))?)
    }

    /// The folder that holds `config`, `data` and `logs`; for showing it.
    pub(crate) fn place(&self, home: &Home) -> PathBuf {
        if self.has_files().unwrap_or(true) {
            self.files()
        } else {
            home.container(&self.container)
        }
    }
}

fn has_files(folder: &Path) -> Result<bool, StoreError> {
    for carried in CARRIED {
        if exists(&folder.join(FILES).join(carried))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// All snapshots that have their files, the newest first.
///
/// # Errors
/// [`StoreError::File`] if one of them cannot be read: a list with a gap in it is no reason to select
/// another one.
pub(crate) fn list(home: &Home) -> Result<Vec<Snapshot>, StoreError> {
    let active = home.active_if_any()?.map(|active| active.container);
    let mut seen = Vec::new();
    let mut snapshots = Vec::new();
    for snapshot in all(home)? {
        // Files in a version's own folder belong to the last time it was left, and to no snapshot
        // while it is in use.
        let is_last = !seen.contains(&snapshot.container);
        seen.push(snapshot.container.clone());
        let may_be_in_version = is_last && active.as_ref() != Some(&snapshot.container);
        if snapshot.has_files()?
            || may_be_in_version && exists(&home.container(&snapshot.container))?
        {
            snapshots.push(snapshot);
        }
    }
    Ok(snapshots)
}

/// The newest snapshot of `id` if its files are in the version's folder, or are being moved from
/// there.
pub(super) fn in_version(home: &Home, id: &ContainerId) -> Result<Option<Snapshot>, StoreError> {
    match all(home)?.into_iter().find(|snapshot| snapshot.container == *id) {
        Some(snapshot) if !snapshot.has_files()? => Ok(Some(snapshot)),
        _ => Ok(None),
    }
}

/// Every folder with a note of a switch, the newest first. Other folders are not the launcher's.
pub(super) fn all(home: &Home) -> Result<Vec<Snapshot>, StoreError> {
    let mut snapshots = Vec::new();
    for folder in folders(home)? {
        match read_json::<Snapshot>(&folder.join(NOTE)) {
            Ok(Some(snapshot)) => snapshots.push(Snapshot { folder, ..snapshot }),
            Ok(None) => {}
            // The damage is permanent: the folder decides nothing, and its files stay.
            Err(StoreError::Damaged { .. }) => {
                tracing::warn!(folder = %folder.display(), "the note of a snapshot is damaged")
            }
            Err(error) => return Err(error),
        }
    }
    snapshots.sort_by(|a, b| b.folder.cmp(&a.folder));
    Ok(snapshots)
}

/// Every folder that has a snapshot's name.
fn folders(home: &Home) -> Result<Vec<PathBuf>, StoreError> {
    let folders = entries(&home.snapshots())?.into_iter().map(|entry| entry.path());
    Ok(folders.filter(|path| is_snapshot(path)).collect())
}

/// Moves the user's files in `folder`, a version that is about to be removed or was rolled back,
/// into its snapshot. If it has none and somebody used it, a snapshot is made. The snapshot has all
/// of the files or none; a later call continues an interrupted one. After an error `folder` must
/// stay: its content is unknown.
pub(super) fn take_in(home: &Home, id: &ContainerId, folder: &Path) -> Result<(), StoreError> {
    let noted = in_version(home, id)?;
    let is_in_progress =
        noted.as_ref().map(Snapshot::is_being_filled).transpose()?.unwrap_or(false);
    if !is_in_progress && carry_over::is_pristine(folder) {
        return noted.map_or(Ok(()), |snapshot| remove(&snapshot));
    }
    let snapshot = match noted {
        Some(snapshot) => snapshot,
        None => {
            let snapshot = Snapshot::new(home, id, id, Reason::Replaced, jiff::Timestamp::now())?;
            snapshot.write(home)?;
            snapshot
        }
    };
    let taking = snapshot.folder.join(TAKING);
    durable::create_folders(&taking).at("create", &taking)?;
    for carried in CARRIED {
        let (from, to) = (folder.join(carried), taking.join(carried));
        if exists(&from)? && !exists(&to)? {
            move_folder(&from, &to)?;
        }
    }
    durable::sync_folder(&taking).at("make durable", &taking)?;
    complete(&snapshot)
}

/// Makes a snapshot count that a removal has begun to fill: the version is switched to again, and
/// the rest of its files follows.
pub(super) fn complete(snapshot: &Snapshot) -> Result<(), StoreError> {
    let taking = snapshot.folder.join(TAKING);
    if exists(&taking)? {
        durable::rename(&taking, &snapshot.files()).at("rename", &taking)?;
        durable::sync_folder(&snapshot.folder).at("make durable", &snapshot.folder)?;
    }
    Ok(())
}

/// Removes a snapshot and the files in its own folder. It is no error if the snapshot is already
/// gone.
pub(super) fn remove(snapshot: &Snapshot) -> Result<(), StoreError> {
    Ok(remove_folder(&snapshot.folder)?)
}

/// The states in folders of their own that nothing removes by itself, the newest first: the user's
/// files in them exist nowhere else.
pub(crate) fn only_copies(home: &Home) -> Result<Vec<Snapshot>, StoreError> {
    let mut only_copies = Vec::new();
    for snapshot in list(home)? {
        if snapshot.reason != Reason::Switched && snapshot.has_files()? {
            only_copies.push(snapshot);
        }
    }
    Ok(only_copies)
}

/// Deletes the state whose files are in `folder`, at a person's request. Files in a version's own
/// folder are no such state.
pub(crate) fn delete(home: &Home, folder: &Path, _lock: &HomeLock) -> Result<(), StoreError> {
    let found = list(home)?.into_iter().find(|snapshot| snapshot.files() == *folder);
    match found {
        Some(snapshot) if snapshot.has_files()? => remove(&snapshot),
        _ => Ok(()),
    }
}

/// Renames the folder first: after an interruption it is no snapshot any more, and [`repair_left`]
/// deletes the rest. Files that have lost their note never look like that.
fn remove_folder(folder: &Path) -> Result<(), FileError> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if name.starts_with(REMOVED) {
        return remove_tree(folder);
    }
    let aside = folder.with_file_name(format!("{REMOVED}{name}"));
    remove_tree(&aside)?;
    if exists(folder)? {
        move_folder(folder, &aside)?;
    }
    remove_tree(&aside)
}

/// Repairs what a kill left: notes without files, and the remains of a snapshot whose note is gone.
/// A failure is logged, and the next call tries again. Nothing is deleted after a look that failed.
pub(super) fn repair_left(home: &Home) {
    // A rollback that was interrupted before it took the files of the version that it left.
    let taken = rolled_back(home).and_then(|cut_short| {
        cut_short.iter().try_for_each(|snapshot| {
            take_in(home, &snapshot.container, &home.container(&snapshot.container))
        })
    });
    if let Err(error) = taken {
        tracing::warn!(
            error = error_chain::line(&error),
            "the user's files stay in the version that was left"
        );
    }
    if let Err(error) =
        left(home).and_then(|left| Ok(left.iter().try_for_each(|folder| remove_folder(folder))?))
    {
        tracing::warn!(
            error = error_chain::line(&error),
            "what a snapshot left could not be removed"
        );
    }
}

/// Whether [`repair_left`] has work, or may have.
pub(super) fn has_left(home: &Home) -> bool {
    !left(home).is_ok_and(|left| left.is_empty())
        || !rolled_back(home).is_ok_and(|cut_short| cut_short.is_empty())
}

fn rolled_back(home: &Home) -> Result<Vec<Snapshot>, StoreError> {
    let mut cut_short = Vec::new();
    for snapshot in list(home)?.into_iter().filter(|snapshot| snapshot.reason == Reason::RolledBack)
    {
        if !snapshot.has_files()? && !RunningLock::is_held(home, &snapshot.container) {
            cut_short.push(snapshot);
        }
    }
    Ok(cut_short)
}

/// The folders that nobody needs; an error if one of the looks that decide this fails.
fn left(home: &Home) -> Result<Vec<PathBuf>, StoreError> {
    // The note of a switch that waits to be finished names the version that is still active.
    if exists(&home.journal())? {
        return Ok(Vec::new());
    }
    let named = home.named()?.is_some();
    let active = home.active_if_any()?.filter(|_| named).map(|active| active.container);
    let mut left = Vec::new();
    for snapshot in all(home)? {
        if snapshot.has_files()? || snapshot.is_being_filled()? || snapshot.stand_in.is_some() {
            continue;
        }
        // The files of the active version are in use; those of a removed version no longer exist. A
        // version whose removal was interrupted still has its files.
        let leaving = home.containers().join(format!("{LEAVING}{}", snapshot.container));
        let is_gone = active.is_some()
            && !exists(&home.container(&snapshot.container))?
            && !exists(&leaving)?;
        if is_gone || active.as_ref() == Some(&snapshot.container) {
            left.push(snapshot.folder);
        }
    }
    // The note is written first. Files without a note may still be somebody's work.
    for folder in folders(home)? {
        if !exists(&folder.join(NOTE))? && !has_files(&folder)? && !exists(&folder.join(TAKING))? {
            left.push(folder);
        }
    }
    let is_removed =
        |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(REMOVED);
    left.extend(
        entries(&home.snapshots())?.into_iter().filter(is_removed).map(|entry| entry.path()),
    );
    Ok(left)
}

/// Removes old snapshots whose files were carried over, and those without files; never `made`, the
/// newly made folder. The caller calls it after all other steps. A removal that fails is logged and does
/// not fail the call.
pub(super) fn prune(home: &Home, made: Option<&Path>) {
    let pruned = surplus(home).and_then(|surplus| {
        let surplus = surplus.iter().filter(|folder| made != Some(folder.as_path()));
        Ok(surplus.into_iter().try_for_each(|folder| remove_folder(folder))?)
    });
    if let Err(error) = pruned {
        tracing::warn!(error = error_chain::line(&error), "old snapshots could not be removed");
    }
}

/// The folders that may be removed; an error if one of the looks that decide this fails.
fn surplus(home: &Home) -> Result<Vec<PathBuf>, StoreError> {
    let (superseded, only_copies): (Vec<Snapshot>, Vec<Snapshot>) =
        list(home)?.into_iter().partition(|snapshot| snapshot.reason == Reason::Switched);
    let retained = superseded.into_iter().take(MAX_POINTS).chain(only_copies);
    let mut retained: Vec<PathBuf> = retained.map(|snapshot| snapshot.folder).collect();
    let active = home.active_if_any()?.map(|active| active.container);
    // The note of files that are still in an installed version costs nothing, and names their
    // version.
    for note in all(home)? {
        let is_last =
            in_version(home, &note.container)?.is_some_and(|last| last.folder == note.folder);
        let is_in_use = active.as_ref() == Some(&note.container) && note.stand_in.is_none();
        if is_last && !is_in_use && exists(&home.container(&note.container))? {
            retained.push(note.folder);
        }
    }
    let mut surplus = Vec::new();
    for folder in folders(home)?.into_iter().filter(|folder| !retained.contains(folder)) {
        // Files whose note is gone or damaged may still be somebody's work.
        let is_known = match read_json::<Snapshot>(&folder.join(NOTE)) {
            Ok(note) => note.is_some(),
            Err(StoreError::Damaged { .. }) => false,
            Err(error) => return Err(error),
        };
        if is_known || !has_files(&folder)? {
            surplus.push(folder);
        }
    }
    Ok(surplus)
}

/// Whether a switch gave this folder its name: a time and a version. Other folders are not the
/// launcher's to remove.
fn is_snapshot(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(is_snapshot_name)
}
