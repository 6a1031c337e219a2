//! What a switch would overwrite of the user's own files, kept under `<home>/snapshots/<UTC time>-<version switched to>/` with the
//! paths it had in that version. In: files that are about to be replaced. Out: folders, the newest three of which stay. Never: a
//! copy; a file is moved here, so keeping it costs no room twice.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Home, StoreError};
use crate::durable;
use crate::model::ContainerId;

/// How many snapshots stay.
const KEPT: usize = 3;

/// The snapshot of one switch. Its folder comes with the first file.
#[derive(Debug)]
pub(super) struct Snapshot {
    all: PathBuf,
    folder: PathBuf,
}

impl Snapshot {
    /// The snapshot of a switch to `target` at `now`.
    pub fn of(home: &Home, target: &ContainerId, now: jiff::Timestamp) -> Self {
        let all = home.snapshots();
        // One width, so that the order of names is the order of times.
        let folder = all.join(format!("{}-{target}", now.strftime("%Y%m%dT%H%M%S.%6fZ")));
        Self { all, folder }
    }

    /// Moves `place` here, where it lies at `relative`.
    pub fn keep(&self, place: &Path, relative: &Path) -> Result<(), StoreError> {
        let kept = self.folder.join(relative);
        let folder = kept.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder).map_err(StoreError::io("create", folder))?;
        durable::rename(place, &kept).map_err(StoreError::io("rename", place))?;
        let parents = folder.ancestors().take_while(|parent| parent.starts_with(&self.all));
        parents.into_iter().try_for_each(|parent| durable::sync_folder(parent).map_err(StoreError::io("make durable", parent)))
    }

    /// Removes the oldest snapshots but the newest three, and never this one. Called when the switch is done: what cannot be removed is told
    /// in the log and is no reason to fail.
    pub fn prune_others(&self) {
        let Ok(entries) = fs::read_dir(&self.all) else { return };
        let mut snapshots: Vec<PathBuf> =
            entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| is_snapshot(path)).collect();
        snapshots.sort();
        snapshots.reverse();
        for old in snapshots.iter().skip(KEPT).filter(|path| **path != self.folder) {
            if let Err(error) = super::files::remove_tree(old) {
                tracing::warn!(error = &error as &dyn std::error::Error, "an old snapshot could not be removed");
            }
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
    use crate::store::fixture::{Fixture, id};

    #[test]
    fn the_newest_three_stay_and_so_does_what_is_no_snapshot() {
        let fixture = Fixture::new();
        let all = fixture.home.snapshots();
        let times: Vec<jiff::Timestamp> =
            ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.5Z", "2026-01-02T03:04:06Z", "2027-01-01T00:00:00Z"]
                .map(|time| time.parse().unwrap())
                .to_vec();
        fs::create_dir_all(all.join("my own")).unwrap();
        for time in &times {
            let file = fixture.home.root().join("file");
            fs::write(&file, "mine").unwrap();
            let snapshot = Snapshot::of(&fixture.home, &id("1.0.0"), *time);
            snapshot.keep(&file, Path::new("data/folder/file")).unwrap();
            snapshot.prune_others();
            assert!(!file.exists());
        }
        let mut names: Vec<_> =
            fs::read_dir(&all).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        let of = |time: &str| format!("{time}Z-sample_1.0.0_Linux_x86_64");
        assert_eq!(
            names,
            [of("20260102T030405.500000"), of("20260102T030406.000000"), of("20270101T000000.000000"), "my own".to_owned()]
        );
        assert_eq!(fs::read_to_string(all.join(&names[0]).join("data/folder/file")).unwrap(), "mine");
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_cost_the_snapshot_just_made() {
        let fixture = Fixture::new();
        let mut last = None;
        for second in [50, 40, 30, 20] {
            let file = fixture.home.root().join("file");
            fs::write(&file, "mine").unwrap();
            let snapshot = Snapshot::of(&fixture.home, &id("1.0.0"), jiff::Timestamp::from_second(second).unwrap());
            snapshot.keep(&file, Path::new("data/file")).unwrap();
            snapshot.prune_others();
            last = Some(snapshot.folder);
        }
        assert!(last.unwrap().join("data/file").exists());
    }
}
