//! The user's files as a version had them when it was left: what a rollback goes back to, and what is kept of a version that was rolled
//! back or removed. The newest three stay.
//!
//! ```text
//! <home>/snapshots/<UTC time>-<version>/snapshot.json     which version, when, why
//!                                       files/            config data logs; absent while they still lie in the version's own folder
//! ```
//!
//! Versions lie side by side, each with its own user files, so keeping them costs nothing: they stay in the version's folder. They move
//! into the snapshot when the version is switched to again with other files, is rolled back, or is removed. In: versions that are left,
//! switched to again, removed. Out: [`Snapshot`]s. Never: a copy, half of the files as if they were all, or a folder in `snapshots/` that is
//! no snapshot.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files::{exists, move_folder, read_json, remove_file, remove_tree, replace_json};
use super::home::{LEAVING, entries_of};
use super::lock::RunningLock;
use super::migrate::{self, CARRIED};
use super::{Home, StoreError};
use crate::durable;
use crate::model::ContainerId;

/// How many snapshots stay.
const KEPT: usize = 3;
const NOTE: &str = "snapshot.json";
/// The user's files in a snapshot's folder.
const FILES: &str = "files";
/// The same while they are being moved there: not yet all.
const TAKING: &str = "taking";

/// Why a version was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Another version was chosen: a point to go back to.
    Switched,
    /// It was rolled back: what the user wrote in it is kept aside.
    RolledBack,
    /// Its files were replaced by those of another version, or it was removed.
    Replaced,
}

/// The user's files of one version at one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Whose files.
    pub container: ContainerId,
    /// When it was left.
    pub left: jiff::Timestamp,
    /// What became active.
    pub next: ContainerId,
    /// Why.
    pub reason: Reason,
    /// Whether the version was known to come up when it was left.
    pub healthy: bool,
    #[serde(skip)]
    pub(super) folder: PathBuf,
}

impl Snapshot {
    /// A snapshot of `container`, left at `now` for `next`.
    pub(super) fn new(home: &Home, container: &ContainerId, next: &ContainerId, reason: Reason, now: jiff::Timestamp) -> Self {
        // Later than all others, also after the clock was set back: the order is what counts.
        let newest = all(home).first().map(|newest| newest.left.saturating_add(jiff::SignedDuration::from_micros(1)));
        let left = newest.and_then(Result::ok).map_or(now, |after| after.max(now));
        // One width, so that the order of names is the order of times.
        let folder = home.snapshots().join(format!("{}-{container}", left.strftime("%Y%m%dT%H%M%S.%6fZ")));
        Self { container: container.clone(), left, next: next.clone(), reason, healthy: true, folder }
    }

    /// Writes it down; repeating that changes nothing.
    pub(super) fn write(&self, home: &Home) -> Result<(), StoreError> {
        fs::create_dir_all(&self.folder).map_err(StoreError::io("create", &self.folder))?;
        replace_json(&self.folder.join(NOTE), self)?;
        [home.snapshots().as_path(), home.root()]
            .into_iter()
            .try_for_each(|folder| durable::sync_folder(folder).map_err(StoreError::io("make durable", folder)))
    }

    /// Its own folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the files lie once they are no longer in the version's own folder.
    pub(super) fn files(&self) -> PathBuf {
        self.folder.join(FILES)
    }

    /// Whether the files lie in its own folder and no longer in the version's.
    pub fn has_files(&self) -> bool {
        has_files(&self.folder)
    }

    /// The folder that holds `config`, `data` and `logs`.
    pub fn place(&self, home: &Home) -> PathBuf {
        if self.has_files() { self.files() } else { home.container(&self.container) }
    }
}

fn has_files(folder: &Path) -> bool {
    CARRIED.iter().any(|carried| exists(&folder.join(FILES).join(carried)))
}

/// All snapshots whose files are there, the newest first.
pub fn list(home: &Home) -> Vec<Snapshot> {
    let active = home.active().ok().map(|(active, _)| active.container);
    let mut seen = Vec::new();
    let mut snapshots = all(home);
    snapshots.retain(|snapshot| {
        // Files in a version's own folder belong to the last time it was left, and to none while it is in use.
        let is_last = !seen.contains(&snapshot.container);
        seen.push(snapshot.container.clone());
        let in_version =
            || is_last && active.as_ref() != Some(&snapshot.container) && home.container(&snapshot.container).is_dir();
        snapshot.has_files() || in_version()
    });
    snapshots
}

/// The newest snapshot of `id` if its files are in the version's folder, or on their way from there.
pub(super) fn in_version(home: &Home, id: &ContainerId) -> Option<Snapshot> {
    all(home).into_iter().find(|snapshot| snapshot.container == *id).filter(|snapshot| !snapshot.has_files())
}

/// Every folder that a switch gave a note, the newest first. Others are not ours.
fn all(home: &Home) -> Vec<Snapshot> {
    let read = |entry: fs::DirEntry| {
        let folder = entry.path();
        is_snapshot(&folder).then_some(())?;
        let snapshot: Snapshot = read_json(&folder.join(NOTE)).ok()??;
        Some(Snapshot { folder, ..snapshot })
    };
    let mut snapshots: Vec<_> = entries_of(&home.snapshots()).filter_map(read).collect();
    snapshots.sort_by(|a, b| b.folder.cmp(&a.folder));
    snapshots
}

/// Moves the user's files in `folder`, a version that is about to go or was rolled back, into its snapshot; one is made if it has none and
/// somebody used it. They are in the snapshot all together or not at all; what an interruption left is continued.
pub(super) fn take_in(home: &Home, id: &ContainerId, folder: &Path) -> Result<(), StoreError> {
    let noted = in_version(home, id);
    let is_under_way = noted.as_ref().is_some_and(|snapshot| exists(&snapshot.folder.join(TAKING)));
    if !is_under_way && migrate::is_pristine(folder) {
        return noted.map_or(Ok(()), |snapshot| remove(&snapshot));
    }
    let snapshot = match noted {
        Some(snapshot) => snapshot,
        None => {
            let snapshot = Snapshot::new(home, id, id, Reason::Replaced, jiff::Timestamp::now());
            snapshot.write(home)?;
            snapshot
        }
    };
    let taking = snapshot.folder.join(TAKING);
    fs::create_dir_all(&taking).map_err(StoreError::io("create", &taking))?;
    for carried in CARRIED {
        let (from, to) = (folder.join(carried), taking.join(carried));
        if exists(&from) && !exists(&to) {
            move_folder(&from, &to)?;
        }
    }
    durable::sync_folder(&taking).map_err(StoreError::io("make durable", &taking))?;
    complete(&snapshot)
}

/// What a removal has begun to take in counts from now on: the version is switched to again, and what is left of its files follows.
pub(super) fn complete(snapshot: &Snapshot) -> Result<(), StoreError> {
    let taking = snapshot.folder.join(TAKING);
    if exists(&taking) {
        durable::rename(&taking, &snapshot.files()).map_err(StoreError::io("rename", &taking))?;
        durable::sync_folder(&snapshot.folder).map_err(StoreError::io("make durable", &snapshot.folder))?;
    }
    Ok(())
}

/// Forgets a snapshot and deletes what is in its own folder.
pub(super) fn remove(snapshot: &Snapshot) -> Result<(), StoreError> {
    remove_folder(&snapshot.folder)
}

/// The note first: cut short, it is no snapshot any more, and [`tidy`] does the rest.
fn remove_folder(folder: &Path) -> Result<(), StoreError> {
    remove_file(&folder.join(NOTE))?;
    remove_tree(folder)
}

/// Puts right what a kill left: notes that name nothing, and what is left of a snapshot whose note is gone. A failure is told in the log:
/// the next one who comes tries again.
pub(super) fn tidy(home: &Home) {
    // A rollback that was cut short before it took the files of the version that it left.
    for snapshot in rolled_back(home) {
        if let Err(error) = take_in(home, &snapshot.container, &home.container(&snapshot.container)) {
            tracing::warn!(error = &error as &dyn std::error::Error, "the user's files stay in the version that was left");
        }
    }
    for folder in left(home) {
        if let Err(error) = remove_folder(&folder) {
            tracing::warn!(error = &error as &dyn std::error::Error, "what a snapshot left could not be removed");
        }
    }
}

/// Whether [`tidy`] has something to do.
pub(super) fn has_left(home: &Home) -> bool {
    !left(home).is_empty() || !rolled_back(home).is_empty()
}

fn rolled_back(home: &Home) -> Vec<Snapshot> {
    let in_version = list(home).into_iter().filter(|snapshot| snapshot.reason == Reason::RolledBack && !snapshot.has_files());
    in_version.filter(|snapshot| !RunningLock::is_held(home, &snapshot.container)).collect()
}

fn left(home: &Home) -> Vec<PathBuf> {
    // The note of a switch that waits to be finished names the version that is still active.
    if exists(&home.journal()) {
        return Vec::new();
    }
    let active = home.active().ok().filter(|_| !home.has_lost_pointer()).map(|(active, _)| active.container);
    let is_nothing = |snapshot: &Snapshot| {
        // The files of the active version are in use; those of a version that is gone are nowhere.
        // A version whose removal was cut short still has its files.
        let leaving = home.containers().join(format!("{LEAVING}{}", snapshot.container));
        let is_gone = || active.is_some() && !home.container(&snapshot.container).exists() && !exists(&leaving);
        let is_taking = exists(&snapshot.folder.join(TAKING));
        !snapshot.has_files() && !is_taking && (active.as_ref() == Some(&snapshot.container) || is_gone())
    };
    let nothing = all(home).into_iter().filter(is_nothing).map(|snapshot| snapshot.folder);
    // The note is written first and deleted first.
    let half =
        entries_of(&home.snapshots()).map(|entry| entry.path()).filter(|path| is_snapshot(path) && !exists(&path.join(NOTE)));
    nothing.chain(half).collect()
}

/// Removes the oldest snapshots but the newest three, and those that hold nothing; never `made`, the folder that was just made. Called when
/// all is done: what cannot be removed is told in the log and is no reason to fail.
pub(super) fn prune(home: &Home, made: Option<&Path>) {
    let mut kept: Vec<PathBuf> = list(home).into_iter().map(|snapshot| snapshot.folder).take(KEPT).collect();
    // The note of files that are still in an installed version costs nothing, and says whose they are.
    kept.extend(all(home).into_iter().filter(|note| !note.has_files() && home.record(&note.container).is_ok()).filter_map(
        |note| {
            let is_last = in_version(home, &note.container).is_some_and(|last| last.folder == note.folder);
            let is_active = home.active().is_ok_and(|(active, _)| active.container == note.container);
            (is_last && !is_active).then_some(note.folder)
        },
    ));
    let folder = home.snapshots();
    let old = entries_of(&folder).map(|entry| entry.path()).filter(|path| is_snapshot(path));
    // Files whose note cannot be read belong to somebody all the same.
    let is_lost = |path: &PathBuf| has_files(path) && !read_json::<Snapshot>(&path.join(NOTE)).is_ok_and(|note| note.is_some());
    for old in old.filter(|path| !kept.contains(path) && made != Some(path.as_path()) && !is_lost(path)) {
        if let Err(error) = remove_folder(&old) {
            tracing::warn!(error = &error as &dyn std::error::Error, "an old snapshot could not be removed");
        }
    }
}

/// Whether this folder's name is one that a switch gave: a time and a version. Others are not ours to remove.
fn is_snapshot(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let Some((time, id)) = name.and_then(|name| name.split_once("Z-")) else { return false };
    time.len() == "20260131T235959.000000".len() && id.parse::<ContainerId>().is_ok()
}
