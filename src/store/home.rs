//! The home folder: its layout, its installed versions, and its records.

mod state;

use std::fs;
use std::path::{Path, PathBuf};

use super::StoreError;
use super::files::{entries, read_json, replace_json};
use super::names::{DAMAGED, INCOMING, REMOVED, USER_DATA};
use super::records::{Active, InstalledRecord};
use crate::error_chain;
use crate::file_error::FileResult as _;
use crate::model::ContainerId;
use crate::model::manifest::MANIFEST_PATH;
use crate::{durable, look};

/// The file that makes a folder a whole version.
pub(crate) const RECORD: &str = "metadata/installed.json";

/// A home folder. Cheap to clone; holds no lock and no handle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Home {
    root: PathBuf,
}

impl Home {
    /// The launcher's own files in a home, which uninstalling deletes. Not among them: the records
    /// of the shortcut and of the start at login, which go with them, and the marker and the lock, which go last.
    pub(crate) const FILES: [&str; 7] = [
        "active.json",
        "state.json",
        "failed.json",
        "nodes.json",
        "known-nodes.json",
        "journal.json",
        "first-run",
    ];
    /// The launcher's own folders in a home, in which uninstalling deletes what has a name of the
    /// launcher's. Not among them: the retained user data.
    pub(crate) const FOLDERS: [&str; 11] = [
        "containers",
        "staging",
        "incoming",
        "running",
        "snapshots",
        "trust",
        "logs",
        "own-update",
        "neighbours",
        "hooks",
        "reports",
    ];

    /// The home at `root`; creates nothing yet.
    pub(crate) fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Creates the folders that are missing, and marks the home.
    ///
    /// # Errors
    /// [`StoreError::AnotherProgram`] if the folder is not the launcher's; then nothing is changed.
    pub(crate) fn create(&self) -> Result<(), StoreError> {
        self.refuse_another_program()?;
        // Other users may start the versions that an administrator installs; their own files are
        // elsewhere.
        let containers = self.containers();
        durable::create_shared_folders(&containers).at("create", &containers)?;
        for folder in [self.staging(), self.running(), self.trust(), self.logs()] {
            durable::create_folders(&folder).at("create", &folder)?;
        }
        self.mark();
        Ok(())
    }

    /// The home folder itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of the installed versions.
    pub(crate) fn containers(&self) -> PathBuf {
        self.root.join("containers")
    }

    /// The folder of one installed version.
    pub(crate) fn container(&self, id: &ContainerId) -> PathBuf {
        self.containers().join(id.to_string())
    }

    /// The manifest of one installed version.
    pub(crate) fn manifest(&self, id: &ContainerId) -> PathBuf {
        self.container(id).join(MANIFEST_PATH)
    }

    /// The folder of the versions that are being put together.
    pub(crate) fn staging(&self) -> PathBuf {
        self.root.join("staging")
    }

    /// The folder of the files that the processes of running versions lock.
    pub(crate) fn running(&self) -> PathBuf {
        self.root.join("running")
    }

    /// The folder of the trusted metadata.
    pub(crate) fn trust(&self) -> PathBuf {
        self.root.join("trust")
    }

    /// The folder of the user files that are being laid out for a switch.
    pub(super) fn incoming(&self) -> PathBuf {
        self.root.join(INCOMING)
    }

    pub(super) fn journal(&self) -> PathBuf {
        self.root.join("journal.json")
    }

    /// The folder of the snapshots.
    pub(crate) fn snapshots(&self) -> PathBuf {
        self.root.join("snapshots")
    }

    /// The folder of the launcher's own logs.
    pub(crate) fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// The file of this client's measurements of its nodes.
    pub(crate) fn node_memory(&self) -> PathBuf {
        self.root.join("nodes.json")
    }

    /// The file of the nodes that are known to have small documents.
    pub(crate) fn known_nodes(&self) -> PathBuf {
        self.root.join("known-nodes.json")
    }

    /// The verified copy of the launcher settings that the publisher renewed.
    pub(crate) fn renewed_settings(&self) -> PathBuf {
        self.trust().join("launcher-settings.json")
    }

    pub(crate) fn keep_known_nodes(&self, known: &impl serde::Serialize) -> Result<(), StoreError> {
        replace_json(&self.known_nodes(), known)
    }

    /// Stores the verified copy of the renewed settings, or removes it.
    pub(crate) fn keep_renewed_settings(&self, bytes: Option<&[u8]>) -> Result<(), StoreError> {
        let path = self.renewed_settings();
        let written = match bytes {
            Some(bytes) => durable::replace(&path, bytes),
            None => fs::remove_file(&path).or_else(|error| match error.kind() {
                std::io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            }),
        };
        Ok(written.at("replace", &path)?)
    }

    /// The record of what was made on the user's desktop from this home.
    pub(crate) fn desktop_record(&self) -> PathBuf {
        self.root.join("desktop.json")
    }

    /// The record of the file that starts the app at login.
    pub(crate) fn autostart_record(&self) -> PathBuf {
        self.root.join("autostart.json")
    }

    /// The shortcuts of an earlier installation that have given way to this one's.
    pub(crate) fn old_shortcuts(&self) -> PathBuf {
        self.root.join("old-shortcuts.json")
    }

    /// The folder in which a newer launcher is downloaded.
    pub(crate) fn own_update(&self) -> PathBuf {
        self.root.join("own-update")
    }

    /// The download cache, for peers.
    pub(crate) fn for_peers(&self) -> PathBuf {
        self.root.join("neighbours")
    }

    /// The folder of reports that wait to be sent.
    pub(crate) fn reports(&self) -> PathBuf {
        self.root.join("reports")
    }

    /// The folder of the retained user data.
    pub(crate) fn user_data(&self) -> PathBuf {
        self.root.join(USER_DATA)
    }

    pub(super) fn active_path(&self) -> PathBuf {
        self.root.join("active.json")
    }

    /// The file that stands for the app's first start, until it comes.
    pub(super) fn first_run(&self) -> PathBuf {
        self.root.join("first-run")
    }

    /// The file that stands for the `after-install` hook of a version, until it has run.
    pub(super) fn due_hook(&self, id: &ContainerId) -> PathBuf {
        self.root.join("hooks").join(id.to_string())
    }

    /// The file of versions that failed while `state.json` could not be read.
    pub(super) fn late_failures(&self) -> PathBuf {
        self.root.join("failed.json")
    }

    pub(super) fn state_path(&self) -> PathBuf {
        self.root.join("state.json")
    }

    /// The version that `active.json` names, whole or not; `None` if it is missing or damaged.
    pub(crate) fn named(&self) -> Result<Option<Active>, StoreError> {
        match read_json(&self.active_path()) {
            Err(error @ StoreError::Damaged { .. }) => {
                tracing::warn!(error = error_chain::line(&error), "active.json cannot be used");
                Ok(None)
            }
            result => result,
        }
    }

    pub(super) fn has_lost_pointer(&self) -> bool {
        matches!(self.named(), Ok(None))
    }

    pub(super) fn set_active(&self, active: &Active) -> Result<(), StoreError> {
        replace_json(&self.active_path(), active)
    }

    /// The record of one installed version as it is on the disk.
    pub(crate) fn written_record(&self, id: &ContainerId) -> Result<InstalledRecord, StoreError> {
        read_json(&self.container(id).join(RECORD))?
            .filter(|record: &InstalledRecord| record.container == *id)
            .ok_or_else(|| StoreError::NotInstalled { id: id.to_string() })
    }

    pub(super) fn write_record(tree: &Path, record: &InstalledRecord) -> Result<(), StoreError> {
        replace_json(&tree.join(RECORD), record)
    }

    /// Whether no version is installed here at all, whole or not.
    pub(super) fn is_empty(&self) -> Result<bool, StoreError> {
        self.folders().map(|folders| folders.is_empty())
    }

    /// The set-aside files of damaged versions, from repairs and new installations. They may be
    /// somebody's work, and nothing removes them automatically.
    pub(crate) fn set_aside(&self) -> Result<Vec<PathBuf>, StoreError> {
        let is_aside =
            |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(DAMAGED);
        let mut aside: Vec<PathBuf> = entries(&self.containers())?
            .into_iter()
            .filter(is_aside)
            .map(|entry| entry.path())
            .collect();
        aside.sort();
        Ok(aside)
    }

    /// The ids of all version folders, whole or not, the newest first.
    pub(crate) fn folders(&self) -> Result<Vec<ContainerId>, StoreError> {
        let entries = entries(&self.containers())?;
        let mut ids: Vec<ContainerId> = entries
            .into_iter()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect();
        ids.sort_by(|a, b| b.version.cmp(&a.version));
        Ok(ids)
    }

    /// Returns an error if fewer than `needed` bytes are free on the disk of this home.
    pub(crate) fn check_space(&self, needed: u64) -> Result<(), StoreError> {
        let free = fs4::available_space(&self.root).at("ask the free space of", &self.root)?;
        if free < needed {
            return Err(StoreError::DiskFull { home: self.root.clone(), needed, free });
        }
        Ok(())
    }

    /// The part of [`Home::remove_left`] that is always quick.
    pub(super) fn remove_replaced(&self) {
        self.replaced_in().iter().for_each(|folder| durable::remove_left(folder));
    }

    pub(crate) fn half_removed(&self) -> Vec<PathBuf> {
        let is_removed =
            |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(REMOVED);
        look::entries_if_readable(&self.containers())
            .into_iter()
            .filter(is_removed)
            .map(|entry| entry.path())
            .collect()
    }

    /// Folders in which records are replaced, also without the lock.
    pub(super) fn replaced_in(&self) -> Vec<PathBuf> {
        let snapshots =
            look::entries_if_readable(&self.snapshots()).into_iter().map(|entry| entry.path());
        [self.root.clone(), self.trust()].into_iter().chain(snapshots).collect()
    }
}

#[cfg(test)]
mod tests;
