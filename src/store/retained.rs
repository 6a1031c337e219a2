//! Retained user data: the user's files of an uninstalled app, until somebody installs it again.
//!
//! ```text
//! <home>/uninstalling-<time>/          the versions, from the moment the app counts as uninstalled
//! <home>/user-data/<time>/<id>/        config, data and logs of a version, and its manifest,
//!                                      which separates the user's files from the shipped ones;
//!                                      also what somebody has put among the version's own files
//! <home>/user-data/<time>/kept.json    which of them the user worked with last
//! <home>/user-data/taken-over-<time>/  the same once a new installation has copied its content
//! ```
//!
//! Uninstalling is one rename. The work after it only moves and removes, so the next call, or the
//! next installation, finishes an interrupted one.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::carry_over::{self, CarriedOver};
use super::files::{entries, exists, read_json, remove_tree, replace_json};
use super::lock::HomeLock;
use super::names::{ADOPTED, DAMAGED, REMOVED, UNINSTALLING, is_time, is_version_name};
use super::{Home, StoreError, foreign};
use crate::error_chain;
use crate::file_error::FileResult as _;
use crate::model::manifest::MANIFEST_PATH;
use crate::{durable, look};

/// The folders of a version that hold user files.
const RETAINED_FOLDERS: [&str; 3] = ["config", "data", "logs"];
const NOTE: &str = "kept.json";

/// The content of `kept.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    /// The folder of the version that was active.
    active: String,
}

/// Uninstalls the app in one step: one rename moves all versions away. `now` becomes part of the
/// folder's name. Does nothing if there is no version.
///
/// # Errors
/// [`StoreError::File`]; then everything is as it was.
pub(crate) fn put_away(
    home: &Home,
    now: jiff::Timestamp,
    _lock: &HomeLock,
) -> Result<(), StoreError> {
    let containers = home.containers();
    if !entries(&containers)?.is_empty() {
        let place =
            home.root().join(format!("{UNINSTALLING}{}", now.strftime("%Y-%m-%dT%H-%M-%SZ")));
        durable::rename(&containers, &place).at("rename", &containers)?;
        durable::sync_folder(home.root()).at("make durable", home.root())?;
    }
    Ok(())
}

/// Finishes what [`put_away`] began: the user's files move to [`Home::user_data`] or are deleted,
/// and the rest is deleted. Returns the folders with the user's files.
///
/// # Errors
/// [`StoreError::File`]; a repeated call continues from there.
pub(crate) fn settle(
    home: &Home,
    keep: bool,
    _lock: &HomeLock,
) -> Result<Vec<PathBuf>, StoreError> {
    let active = home.named()?.map(|active| active.container.to_string());
    let mut retained = Vec::new();
    let uninstalling = named(home.root(), UNINSTALLING)?.into_iter();
    for (place, time) in uninstalling.filter(|(_, time)| is_time(time)) {
        let folder = home.user_data().join(&time);
        give_back(home, &place)?;
        if keep {
            let mut any = false;
            for version in folders(&place)? {
                any |= keep_version(&version, &folder)?;
            }
            // The user files that switches had replaced belong to the newest of the folders.
            any |= move_if_there(&home.snapshots(), &folder.join("snapshots"))?;
            if any {
                if let Some(active) = &active {
                    replace_json(&folder.join(NOTE), &Note { active: active.clone() })?;
                }
                durable::sync_tree(&folder).at("make durable", &folder)?;
                retained.push(folder);
            }
        }
        remove_tree(&place)?;
    }
    Ok(retained)
}

/// Moves what is no version out of the folder of versions that are being uninstalled, back to where
/// somebody put it.
fn give_back(home: &Home, place: &Path) -> Result<(), StoreError> {
    for entry in entries(place)? {
        let name = entry.file_name();
        if !name.to_str().is_some_and(is_version_name) {
            move_if_there(&entry.path(), &home.containers().join(name))?;
        }
    }
    Ok(())
}

/// Moves the user's files of one version; returns whether there were any.
fn keep_version(version: &Path, folder: &Path) -> Result<bool, StoreError> {
    let Some(name) = version.file_name() else { return Ok(false) };
    let (to, name) = (folder.join(name), name.to_string_lossy());
    if name.starts_with(DAMAGED) {
        return move_if_there(version, &to);
    }
    // The rest of a removal has been looked through.
    let holds_foreign = !name.starts_with(REMOVED) && foreign::move_aside(version, &to)?;
    // The manifest moves first: without it, all files would count as the user's own.
    let (mut present, mut moved) = (Vec::new(), holds_foreign);
    for part in RETAINED_FOLDERS {
        if has_files(&version.join(part))? {
            present.push(part);
        }
        moved |= exists(&to.join(part))?;
    }
    let holds = moved || !present.is_empty();
    if holds {
        move_if_there(&version.join(MANIFEST_PATH), &to.join(MANIFEST_PATH))?;
    }
    for part in present {
        move_if_there(&version.join(part), &to.join(part))?;
    }
    Ok(holds)
}

fn move_if_there(from: &Path, to: &Path) -> Result<bool, StoreError> {
    if !exists(from)? {
        return Ok(false);
    }
    if let Some(above) = to.parent() {
        durable::create_folders(above).at("create", above)?;
    }
    durable::rename(from, to).at("move", from)?;
    Ok(true)
}

/// Whether `folder` contains anything but folders.
fn has_files(folder: &Path) -> Result<bool, StoreError> {
    for entry in entries(folder)? {
        let path = entry.path();
        let is_folder = entry.file_type().at("look at", &path)?.is_dir();
        if !is_folder || has_files(&path)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Copies retained user data into `tree`, a version that is about to be the first one here. The
/// files are those of the version that the user worked with last; they are carried over file by
/// file as at a switch. `None` if there is no retained data. The caller calls [`adopted`] once the
/// version is registered.
///
/// # Errors
/// [`StoreError::File`] if the disk is full; the retained files stay in every case.
pub(crate) fn adopt(home: &Home, tree: &Path) -> Result<Option<CarriedOver>, StoreError> {
    let Some(version) = last_used(home)? else { return Ok(None) };
    carry_over::rescue(&version, tree).map(Some)
}

/// Notes that a new installation has copied the retained files. They stay until a person deletes
/// them: files that could not be read, or had no place, exist only there. A failure costs a second
/// copying at most.
pub(crate) fn adopted(home: &Home) {
    for (folder, time) in named(&home.user_data(), "").unwrap_or_default() {
        if is_time(&time)
            && let Err(error) =
                durable::rename(&folder, &home.user_data().join(format!("{ADOPTED}{time}")))
        {
            tracing::warn!(error = error_chain::line(&error), folder = %folder.display(), "kept files could not be marked as taken over");
        }
    }
}

/// The folder of retained data of the version that was used last.
fn last_used(home: &Home) -> Result<Option<PathBuf>, StoreError> {
    let mut retained = named(&home.user_data(), "")?;
    retained.retain(|(_, time)| is_time(time));
    // The format of the times makes alphabetical order the order of time.
    retained.sort_by(|a, b| b.1.cmp(&a.1));
    for (folder, _) in retained {
        let note: Option<Note> = match read_json(&folder.join(NOTE)) {
            Err(StoreError::Damaged { .. }) => None,
            read => read?,
        };
        let versions = folders(&folder)?;
        let active = note.and_then(|note| {
            versions.iter().find(|version| version.ends_with(&note.active)).cloned()
        });
        let newest = || {
            let mut versions: Vec<(crate::model::ContainerId, PathBuf)> = versions
                .into_iter()
                .filter_map(|path| Some((path.file_name()?.to_str()?.parse().ok()?, path)))
                .collect();
            versions.sort_by(|a, b| a.0.version.cmp(&b.0.version));
            versions.pop().map(|(_, path)| path)
        };
        if let Some(version) = active.or_else(newest) {
            return Ok(Some(version));
        }
    }
    Ok(None)
}

/// Folders in `above` whose names begin with `prefix`, with the rest of their names.
fn named(above: &Path, prefix: &str) -> Result<Vec<(PathBuf, String)>, StoreError> {
    let name = |path: PathBuf| {
        let rest = path.file_name()?.to_str()?.strip_prefix(prefix)?.to_owned();
        Some((path, rest))
    };
    Ok(folders(above)?.into_iter().filter_map(name).collect())
}

fn folders(above: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut folders = Vec::new();
    for path in entries(above)?.into_iter().map(|entry| entry.path()) {
        if look::is_folder(&path).at("look at", &path)? {
            folders.push(path);
        }
    }
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::store::fixture::Fixture;
    use crate::store::switch::{SwitchOptions, switch};

    fn now() -> jiff::Timestamp {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    /// 1.0.0 and 2.0.0, which is active; the user has a file in both.
    fn used() -> Fixture {
        let fixture = Fixture::new();
        let (one, two) = (fixture.install("1.0.0", &[]), fixture.install("2.0.0", &[]));
        switch(&fixture.home, &one, SwitchOptions::PLAIN, &fixture.lock).unwrap();
        fixture.write(&one, "data/old.txt", "of the old version");
        switch(&fixture.home, &two, SwitchOptions::PLAIN, &fixture.lock).unwrap();
        fixture.write(&two, "data/图/mine.txt", "the user's");
        fixture
    }

    #[test]
    fn the_users_files_of_every_version_are_retained_and_come_back() {
        let fixture = used();
        put_away(&fixture.home, now(), &fixture.lock).unwrap();
        assert!(fixture.home.active().is_err(), "in one step nothing is installed any more");
        let retained = settle(&fixture.home, true, &fixture.lock).unwrap();
        assert_eq!(retained, [fixture.home.user_data().join("2026-03-01T12-00-00Z")]);
        let read = |path: &str| fs::read_to_string(retained[0].join(path)).unwrap();
        assert_eq!(read("sample_2.0.0_Linux_x86_64/data/图/mine.txt"), "the user's");
        assert_eq!(read("sample_1.0.0_Linux_x86_64/data/old.txt"), "of the old version");
        assert!(!retained[0].join("sample_2.0.0_Linux_x86_64/runtime").exists());
        assert!(settle(&fixture.home, true, &fixture.lock).unwrap().is_empty());

        fixture.home.create().unwrap();
        let three = fixture.install("3.0.0", &[]);
        assert_eq!(fixture.read(&three, "data/图/mine.txt").as_deref(), Some("the user's"));
        assert_eq!(fixture.read(&three, "data/old.txt").as_deref(), Some("of the old version"));
        assert!(adopt(&fixture.home, &fixture.home.container(&three)).unwrap().is_none(), "once");
        assert!(
            fixture.home.user_data().join("taken-over-2026-03-01T12-00-00Z").is_dir(),
            "nothing is deleted"
        );
    }

    #[test]
    fn an_interrupted_one_is_ended_by_the_next() {
        let fixture = used();
        put_away(&fixture.home, now(), &fixture.lock).unwrap();
        // The state after a kill between the two moves of one version.
        let place =
            fixture.home.root().join("uninstalling-2026-03-01T12-00-00Z/sample_2.0.0_Linux_x86_64");
        let to = fixture.home.user_data().join("2026-03-01T12-00-00Z/sample_2.0.0_Linux_x86_64");
        fs::create_dir_all(place.join("config")).unwrap();
        fs::write(place.join("config/own"), "x").unwrap();
        move_if_there(&place.join(MANIFEST_PATH), &to.join(MANIFEST_PATH)).unwrap();
        move_if_there(&place.join("data"), &to.join("data")).unwrap();
        put_away(&fixture.home, now(), &fixture.lock).unwrap();
        let retained = settle(&fixture.home, true, &fixture.lock).unwrap();
        assert_eq!(retained.len(), 1);
        assert!(
            to.join("config/own").is_file()
                && to.join("data/图/mine.txt").is_file()
                && to.join(MANIFEST_PATH).is_file()
        );
        assert!(last_used(&fixture.home).unwrap().unwrap().ends_with("sample_2.0.0_Linux_x86_64"));
    }

    #[test]
    fn what_nobody_wants_to_keep_goes() {
        let fixture = used();
        put_away(&fixture.home, now(), &fixture.lock).unwrap();
        assert!(settle(&fixture.home, false, &fixture.lock).unwrap().is_empty());
        assert!(
            !fixture.home.user_data().exists()
                && named(fixture.home.root(), UNINSTALLING).unwrap().is_empty()
        );
    }
}
