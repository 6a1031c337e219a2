//! The user's files as a version had them when it was left: what a rollback goes back to, and what is kept of a version that was rolled
//! back. `<home>/snapshots/<UTC time>-<version>/snapshot.json` says which version that was and when; the newest three stay.
//!
//! Versions lie side by side, each with its own user files, so keeping them costs nothing: they stay in the version's folder. They move
//! into the snapshot's folder when the version is switched to again with other files, or is removed. In: versions that are left,
//! switched to again, removed. Out: [`Snapshot`]s. Never: a copy, or a folder in `snapshots/` that is no snapshot.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files::{read_json, remove_file, remove_tree, replace_json};
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
        CARRIED.iter().any(|folder| exists(&self.folder.join(folder)))
    }

    /// The folder that holds `config`, `data` and `logs`.
    pub fn place(&self, home: &Home) -> PathBuf {
        if self.has_files() { self.folder.clone() } else { home.container(&self.container) }
    }
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

/// Moves the user's files of `id`, which is about to be removed, into its snapshot, if it has one. What a kill cut short there is done by
/// [`tidy`] before anybody can come here again.
pub(super) fn take_in(home: &Home, id: &ContainerId) -> Result<(), StoreError> {
    let Some(snapshot) = in_version(home, id) else { return Ok(()) };
    if migrate::is_pristine(&home.container(id))? {
        return remove(&snapshot);
    }
    move_in(home, &snapshot)
}

/// Moves what is not there yet.
fn move_in(home: &Home, snapshot: &Snapshot) -> Result<(), StoreError> {
    for folder in CARRIED.map(Path::new) {
        let (from, to) = (home.container(&snapshot.container).join(folder), snapshot.folder.join(folder));
        if exists(&from) && !exists(&to) {
            durable::rename(&from, &to).map_err(StoreError::io("rename", &from))?;
        }
    }
    durable::sync_folder(&snapshot.folder).map_err(StoreError::io("make durable", &snapshot.folder))
}

/// What a kill left in the folder of snapshots.
enum Left {
    /// A removal that had moved some of a version's folders in.
    Half(Box<Snapshot>),
    /// A folder that is no snapshot, or no longer.
    Nothing(PathBuf),
}

/// Puts right what a kill left: the files of one version are not in two places, and what names nothing is gone. A failure is told in
/// the log: the next one who comes tries again.
pub(super) fn tidy(home: &Home) {
    for left in left(home) {
        let done = match &left {
            Left::Half(snapshot) => move_in(home, snapshot),
            Left::Nothing(folder) => remove_folder(folder),
        };
        if let Err(error) = done {
            tracing::warn!(error = &error as &dyn std::error::Error, "a snapshot could not be put right");
        }
    }
}

/// Whether [`tidy`] has something to do.
pub(super) fn has_left(home: &Home) -> bool {
    !left(home).is_empty()
}

fn left(home: &Home) -> Vec<Left> {
    // The note is written first and deleted first.
    let folders = entries_of(&home.snapshots()).map(|entry| entry.path());
    let half = folders.filter(|path| is_snapshot(path) && !exists(&path.join(NOTE)));
    let mut found: Vec<Left> = half.map(Left::Nothing).collect();
    // While another version stands in for the active one, it is not known which files are in use.
    let Ok(Some(active)) = home.named() else { return found };
    let active = active.container;
    if home.record(&active).is_err() {
        return found;
    }
    let mut seen = Vec::new();
    for snapshot in all(home) {
        let is_last = !seen.contains(&snapshot.container);
        seen.push(snapshot.container.clone());
        let in_version = home.container(&snapshot.container);
        // Only the way in of a version that is being removed goes folder by folder without a journal.
        let is_half = || CARRIED.iter().any(|folder| exists(&in_version.join(folder)) && !exists(&snapshot.folder.join(folder)));
        match (snapshot.has_files(), snapshot.container == active) {
            (true, false) if is_last && is_half() => found.push(Left::Half(Box::new(snapshot))),
            // The files of the active version are in use, and no point to go back to.
            (false, true) => found.push(Left::Nothing(snapshot.folder)),
            _ => {}
        }
    }
    found
}

fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Forgets a snapshot and deletes what is in its own folder; cut short, it is no snapshot any more.
pub(super) fn remove(snapshot: &Snapshot) -> Result<(), StoreError> {
    remove_folder(&snapshot.folder)
}

fn remove_folder(folder: &Path) -> Result<(), StoreError> {
    remove_file(&folder.join(NOTE))?;
    remove_tree(folder)
}

/// Removes the oldest snapshots but the newest three, and those that hold nothing; never `made`, the folders that were just made: a
/// clock that was set back does not cost them. Called when all is done: what cannot be removed is told in the log and is no reason to fail.
pub(super) fn prune(home: &Home, made: &[&Path]) {
    let kept: Vec<PathBuf> = list(home).into_iter().map(|snapshot| snapshot.folder).take(KEPT).collect();
    let folder = home.snapshots();
    let old = entries_of(&folder).map(|entry| entry.path()).filter(|path| is_snapshot(path));
    for old in old.filter(|path| !kept.contains(path) && !made.contains(&path.as_path())) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::Fixture;
    use crate::store::switch::{Means, switch};

    #[test]
    fn a_removal_cut_short_keeps_the_files_of_a_version_together() {
        let fixture = Fixture::new();
        let (one, two) = (fixture.install("1.0.0", &[]), fixture.install("2.0.0", &[]));
        let home = &fixture.home;
        switch(home, &one, Means::PLAIN, &fixture.lock).unwrap();
        fixture.write(&one, "config/file", "mine");
        fixture.write(&one, "data/file", "mine");
        switch(home, &two, Means::PLAIN, &fixture.lock).unwrap();
        let snapshot = in_version(home, &one).unwrap();
        fs::rename(home.container(&one).join("config"), snapshot.folder().join("config")).unwrap();
        tidy(home);
        crate::store::remove::remove(home, &one, &fixture.lock).unwrap();
        let kept = &list(home)[0];
        for file in ["config/file", "data/file"] {
            assert_eq!(fs::read_to_string(kept.place(home).join(file)).unwrap(), "mine", "{file}");
        }
    }

    #[test]
    fn notes_that_name_nothing_go_and_those_of_other_versions_stay() {
        let fixture = Fixture::new();
        let (one, two) = (fixture.install("1.0.0", &[]), fixture.install("2.0.0", &[]));
        let home = &fixture.home;
        for id in [&one, &two] {
            switch(home, id, Means::PLAIN, &fixture.lock).unwrap();
            fixture.write(id, "data/file", "mine");
        }
        // A rollback that was cut short before the pointer flipped, and a snapshot that was cut short before its note was written.
        Snapshot::new(home, &two, &one, Reason::RolledBack, jiff::Timestamp::now()).write(home).unwrap();
        let half = home.snapshots().join(format!("20260131T235959.000000Z-{one}"));
        fs::create_dir(&half).unwrap();
        tidy(home);
        let left: Vec<_> = all(home).into_iter().map(|snapshot| snapshot.container).collect();
        assert_eq!((left, half.exists()), (vec![one.clone()], false));
        // While another version only stands in for the active one, nothing is known.
        fs::remove_file(home.root().join("active.json")).unwrap();
        fs::remove_dir_all(home.container(&two)).unwrap();
        tidy(home);
        assert_eq!(all(home).len(), 1, "the pointer may come back");
    }
}
