//! The user's files as a version had them when it was left: what a rollback goes back to, and what is kept of a version that was rolled
//! back. `<home>/snapshots/<UTC time>-<version>/snapshot.json` says which version that was and when; the newest three stay.
//!
//! Versions lie side by side, each with its own user files, so keeping them costs nothing: they stay in the version's folder. They move
//! into the snapshot's folder when the version is switched to again with other files, or is removed. In: versions that are left,
//! switched to again, removed. Out: [`Snapshot`]s. Never: a copy, or a folder in `snapshots/` that is no snapshot.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files::{read_json, remove_tree, replace_json};
use super::home::entries_of;
use super::migrate::{self, CARRIED};
use super::{Home, StoreError};
use crate::durable;
use crate::model::ContainerId;

/// How many snapshots stay.
const KEPT: usize = 3;
const NOTE: &str = "snapshot.json";

/// Why a version was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Another version was chosen: a point to go back to.
    Switched,
    /// It was rolled back: what the user wrote in it is kept aside.
    RolledBack,
    /// Its files were replaced by those of another version.
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
    #[serde(skip)]
    folder: PathBuf,
}

impl Snapshot {
    /// A snapshot of `container`, left at `now` for `next`.
    pub(super) fn new(home: &Home, container: &ContainerId, next: &ContainerId, reason: Reason, now: jiff::Timestamp) -> Self {
        // One width, so that the order of names is the order of times.
        let folder = home.snapshots().join(format!("{}-{container}", now.strftime("%Y%m%dT%H%M%S.%6fZ")));
        Self { container: container.clone(), left: now, next: next.clone(), reason, folder }
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

    /// Whether the files lie in its own folder and no longer in the version's.
    pub fn has_files(&self) -> bool {
        has_files(&self.folder)
    }

    /// The folder that holds `config`, `data` and `logs`.
    pub fn place(&self, home: &Home) -> PathBuf {
        if self.has_files() { self.folder.clone() } else { home.container(&self.container) }
    }
}

fn has_files(folder: &Path) -> bool {
    CARRIED.iter().any(|carried| fs::symlink_metadata(folder.join(carried)).is_ok())
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

/// The newest snapshot of `id` whose files are in the version's folder.
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

/// Moves the user's files of `id`, which is about to be removed, into its snapshot, if it has one.
pub(super) fn take_in(home: &Home, id: &ContainerId) -> Result<(), StoreError> {
    let Some(snapshot) = in_version(home, id) else { return Ok(()) };
    let container = home.container(id);
    if migrate::is_pristine(&container)? {
        return remove(&snapshot);
    }
    for folder in CARRIED.map(Path::new) {
        let from = container.join(folder);
        if fs::symlink_metadata(&from).is_ok() {
            durable::rename(&from, &snapshot.folder.join(folder)).map_err(StoreError::io("rename", &from))?;
        }
    }
    durable::sync_folder(&snapshot.folder).map_err(StoreError::io("make durable", &snapshot.folder))
}

/// Forgets a snapshot and deletes what is in its own folder.
pub(super) fn remove(snapshot: &Snapshot) -> Result<(), StoreError> {
    remove_tree(&snapshot.folder)
}

/// Removes the oldest snapshots but the newest three, and those that hold nothing; never `made`, the folders that were just made: a
/// clock that was set back does not cost them. Called when all is done: what cannot be removed is told in the log and is no reason to fail.
pub(super) fn prune(home: &Home, made: &[&Path]) {
    let kept: Vec<PathBuf> = list(home).into_iter().map(|snapshot| snapshot.folder).take(KEPT).collect();
    let folder = home.snapshots();
    let old = entries_of(&folder).map(|entry| entry.path()).filter(|path| is_snapshot(path));
    // Files whose note cannot be read belong to somebody all the same.
    let is_lost = |path: &PathBuf| has_files(path) && !read_json::<Snapshot>(&path.join(NOTE)).is_ok_and(|note| note.is_some());
    for old in old.filter(|path| !kept.contains(path) && !made.contains(&path.as_path()) && !is_lost(path)) {
        if let Err(error) = remove_tree(&old) {
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
