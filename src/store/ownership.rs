//! Whose a home folder is, and which names in it are the launcher's: an app may keep its own files
//! in a folder that somebody names as its home, under the same names as the launcher's.
//!
//! In: a home. Out: its owner, the launcher's own items of a folder. Never: follows a name alone
//! where it deletes; takes something that cannot be read for absent (a start goes first).

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::files::{entries, read_json, remove_file, remove_tree};
use super::home::RECORD;
use super::names::{UNINSTALLING, is_own_name, is_version_name};
use super::records::{Active, HomeState};
use super::{Home, StoreError, journal};
use crate::error_chain;
use crate::file_error::{FileError, FileResult as _};
use crate::model::made_file::HOME_MARKER;
use crate::model::manifest::MANIFEST_PATH;
use crate::{durable, look};

const MARKER_TEXT: &str = "\
Kuzflow Launcher keeps an app, its updates and its settings in this folder.\n\
To remove them, uninstall the app; please do not delete single files.\n";

/// Whose a folder is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The launcher made this home.
    Launcher,
    /// The folder is missing, or nothing in it has a name that the launcher uses.
    Nobody,
    /// An item that the launcher did not make has a name that the launcher uses.
    Another(PathBuf),
}

impl Home {
    /// The file that marks this folder as a home.
    pub(crate) fn marker(&self) -> PathBuf {
        self.root().join(HOME_MARKER)
    }

    /// Whose this folder is.
    pub(crate) fn owner(&self) -> Owner {
        if self.is_launchers() {
            return Owner::Launcher;
        }
        self.first_conflict().map_or(Owner::Nobody, Owner::Another)
    }

    /// Returns an error if the folder holds files of another program, which the launcher would
    /// overwrite or delete.
    pub(crate) fn refuse_another_program(&self) -> Result<(), StoreError> {
        match self.owner() {
            Owner::Launcher | Owner::Nobody => Ok(()),
            Owner::Another(item) => {
                Err(StoreError::AnotherProgram { home: self.root().to_owned(), item })
            }
        }
    }

    /// Marks the folder as a home. The records show the same, so a marker that cannot be written
    /// is no failure.
    pub(super) fn mark(&self) {
        let path = self.marker();
        if look::is_there(&path).unwrap_or(true) {
            return;
        }
        if let Err(error) = durable::replace(&path, MARKER_TEXT.as_bytes()) {
            tracing::info!(error = error_chain::line(&error), "the home is not marked");
        }
    }

    /// Whether the marker, or a record of an earlier launcher, shows that the launcher made this
    /// home. One that cannot be read counts: it is there.
    pub(crate) fn is_launchers(&self) -> bool {
        look::is_there(&self.marker()).unwrap_or(true)
            || is_record::<Active>(&self.active_path())
            || is_record::<journal::Journal>(&self.journal())
            || self.has_state()
            || self.has_shortcuts()
            || self.has_version(&self.containers())
            || self.has_trusted_root()
            || self.has_retained()
    }

    fn has_state(&self) -> bool {
        match read_json::<HomeState>(&self.state_path()) {
            Ok(state) => state.is_some_and(|state| !state.installation_id.is_empty()),
            Err(error) => is_unreadable(&error),
        }
    }

    /// An installer makes the menu entry, and with it the first record of all.
    fn has_shortcuts(&self) -> bool {
        match read_json::<Value>(&self.desktop_record()) {
            Ok(record) => {
                record.is_some_and(|it| it["desktop"].is_boolean() && it["files"].is_array())
            }
            Err(error) => is_unreadable(&error),
        }
    }

    fn has_version(&self, folder: &Path) -> bool {
        let Ok(entries) = look::entries(folder) else {
            // A file in the place of the folder is no version.
            return look::is_folder(folder).unwrap_or(true);
        };
        entries.iter().filter(|entry| is_version_folder(&entry.file_name())).any(|entry| {
            let is_there = |name: &str| look::is_there(&entry.path().join(name)).unwrap_or(true);
            is_there(RECORD) || is_there(MANIFEST_PATH)
        })
    }

    fn has_trusted_root(&self) -> bool {
        #[derive(Deserialize)]
        struct Document {
            signed: Value,
        }
        match read_json::<Document>(&self.trust().join("root.json")) {
            Ok(root) => root.is_some_and(|root| root.signed["_type"] == "root"),
            Err(error) => is_unreadable(&error),
        }
    }

    /// Whether an uninstallation left the user's files here, or was interrupted.
    fn has_retained(&self) -> bool {
        let uninstalling = look::entries_if_readable(self.root())
            .into_iter()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(UNINSTALLING));
        let retained = look::entries_if_readable(&self.user_data()).into_iter();
        uninstalling.chain(retained).any(|entry| self.has_version(&entry.path()))
    }

    /// The first item that has one of the launcher's names without being the launcher's.
    fn first_conflict(&self) -> Option<PathBuf> {
        let files = Self::FILES.into_iter().map(|name| self.root().join(name));
        let files =
            files.chain([self.desktop_record(), self.autostart_record(), self.old_shortcuts()]);
        let files = files.chain([self.root().join("lock")]);
        // Beside an empty lock, the measurements of nodes may be all that a first try without a
        // network left.
        let is_foreign_file = |path: &PathBuf| match look::at(path) {
            Ok(Some(found)) if path.ends_with("lock") => found.len() > 0,
            Ok(Some(_)) => !(*path == self.node_memory() && is_node_memory(path)),
            _ => false,
        };
        files
            .filter(is_foreign_file)
            .chain(Self::FOLDERS.into_iter().flat_map(|name| self.foreign_in(name)))
            .next()
    }

    /// The items of one of the [`Home::FOLDERS`] that the launcher did not make; the folder's own
    /// path if it is no folder.
    pub(crate) fn foreign_in(&self, folder: &'static str) -> Vec<PathBuf> {
        let path = self.root().join(folder);
        match look::at(&path) {
            Ok(Some(found)) if found.is_file() => vec![path],
            _ => items(&path, |name| !is_own_name(folder, name)),
        }
    }

    /// The items of one of the [`Home::FOLDERS`] with a name that the launcher gives.
    pub(crate) fn own_in(&self, folder: &'static str) -> Vec<PathBuf> {
        items(&self.root().join(folder), |name| is_own_name(folder, name))
    }

    /// Deletes what the launcher made in one of the [`Home::FOLDERS`], and the folder itself if
    /// nothing is left in it. If a link is in its place, only the link is deleted.
    ///
    /// # Errors
    /// [`FileError`] if an item cannot be deleted; the others are deleted all the same.
    pub(crate) fn remove_own(&self, folder: &'static str) -> Result<(), FileError> {
        let path = self.root().join(folder);
        match look::at(&path).at("look at", &path)? {
            None => return Ok(()),
            Some(found) if found.is_symlink() => return remove_file(&path),
            Some(found) if !found.is_dir() => return Ok(()),
            Some(_) => {}
        }
        let mut removed = Ok(());
        for entry in entries(&path)? {
            if is_own_name(folder, &entry.file_name().to_string_lossy()) {
                removed = removed.and(remove_item(&entry.path()));
            }
        }
        removed?;
        if entries(&path)?.is_empty() { remove_tree(&path) } else { Ok(()) }
    }
}

/// Deletes a file, a link, or a folder with its content.
pub(crate) fn remove_item(path: &Path) -> Result<(), FileError> {
    match look::at(path).at("look at", path)? {
        Some(found) if found.is_dir() => remove_tree(path),
        Some(_) => remove_file(path),
        None => Ok(()),
    }
}

fn items(folder: &Path, is_wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = look::entries_if_readable(folder).into_iter();
    let mut items: Vec<PathBuf> = entries
        .filter(|entry| is_wanted(&entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .collect();
    items.sort();
    items
}

fn is_version_folder(name: &std::ffi::OsStr) -> bool {
    name.to_str().is_some_and(is_version_name)
}

/// Whether `path` holds such a record, or cannot be read now.
fn is_record<T: serde::de::DeserializeOwned>(path: &Path) -> bool {
    match read_json::<T>(path) {
        Ok(record) => record.is_some(),
        Err(error) => is_unreadable(&error),
    }
}

fn is_node_memory(path: &Path) -> bool {
    read_json::<Value>(path).is_ok_and(|json| {
        json.is_some_and(|json| json["nodes"].is_object() && json["downloads"].is_u64())
    })
}

const fn is_unreadable(error: &StoreError) -> bool {
    matches!(error, StoreError::File(_))
}

#[cfg(test)]
mod tests;
