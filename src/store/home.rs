//! The home folder: its layout, its installed versions, and its records.

mod state;

use std::fs;
use std::path::{Path, PathBuf};

use super::StoreError;
use super::files::{entries, exists, read_json, remove_tree, replace_json};
use super::lock::{HomeLock, RunningLock};
use super::records::{Active, HomeState, InstalledRecord, Probation};
use super::{snapshots, staging, stand_in};
use crate::error_chain;
use crate::file_error::FileResult as _;
use crate::model::ContainerId;
use crate::model::manifest::MANIFEST_PATH;
use crate::{durable, look};

/// Prefix of the folder of a version that is to be removed, once its user files are in a snapshot.
pub(super) const LEAVING: &str = ".leaving-";
/// Prefix of the folder of a version that is being removed.
pub(super) const REMOVED: &str = ".removed-";
/// Prefix of the folder with the set-aside files of a damaged version.
const DAMAGED: &str = ".damaged-";
/// The file that makes a folder a whole version.
pub(crate) const RECORD: &str = "metadata/installed.json";

/// A home folder. Cheap to clone; holds no lock and no handle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Home {
    root: PathBuf,
}

impl Home {
    /// The launcher's own files in a home, which uninstalling deletes. Not among them: the record of
    /// the shortcut, which goes with the shortcut, and the lock.
    pub(crate) const FILES: [&str; 6] = [
        "active.json",
        "state.json",
        "failed.json",
        "nodes.json",
        "known-nodes.json",
        "journal.json",
    ];
    /// The launcher's own folders in a home, which uninstalling deletes whole. Not among them: the
    /// retained user data.
    pub(crate) const FOLDERS: [&str; 9] = [
        "containers",
        "staging",
        "incoming",
        "running",
        "snapshots",
        "trust",
        "logs",
        "own-update",
        "neighbours",
    ];

    /// The home at `root`; creates nothing yet.
    pub(crate) fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Creates the folders that are missing.
    pub(crate) fn create(&self) -> Result<(), StoreError> {
        // Other users may start the versions that an administrator installs; their own files are
        // elsewhere.
        let containers = self.containers();
        durable::create_shared_folders(&containers).at("create", &containers)?;
        for folder in [self.staging(), self.running(), self.trust(), self.logs()] {
            durable::create_folders(&folder).at("create", &folder)?;
        }
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
        self.root.join("incoming")
    }

    pub(super) fn journal(&self) -> PathBuf {
        self.root.join("journal.json")
    }

    /// The folder of the newest three snapshots.
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

    /// Stores the known nodes.
    pub(crate) fn keep_known_nodes(&self, known: &impl serde::Serialize) -> Result<(), StoreError> {
        replace_json(&self.known_nodes(), known)
    }

    /// Stores the verified copy of the renewed settings, or removes it.
    pub(crate) fn keep_renewed_settings(&self, bytes: Option<&[u8]>) -> Result<(), StoreError> {
        let path = self.renewed_settings();
        let retained = match bytes {
            Some(bytes) => durable::replace(&path, bytes),
            None => fs::remove_file(&path).or_else(|error| match error.kind() {
                std::io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            }),
        };
        Ok(retained.at("replace", &path)?)
    }

    /// The record of what was made on the user's desktop from this home.
    pub(crate) fn desktop_record(&self) -> PathBuf {
        self.root.join("desktop.json")
    }

    /// The folder in which a newer launcher is downloaded.
    pub(crate) fn own_update(&self) -> PathBuf {
        self.root.join("own-update")
    }

    /// The download cache, for peers.
    pub(crate) fn for_peers(&self) -> PathBuf {
        self.root.join("neighbours")
    }

    /// The folder of the retained user data.
    pub(crate) fn user_data(&self) -> PathBuf {
        self.root.join("user-data")
    }

    fn active_path(&self) -> PathBuf {
        self.root.join("active.json")
    }

    /// The file of versions that failed while `state.json` could not be read.
    pub(super) fn late_failures(&self) -> PathBuf {
        self.root.join("failed.json")
    }

    fn state_path(&self) -> PathBuf {
        self.root.join("state.json")
    }

    /// The active version's record. Where `active.json` is missing, damaged, or names a version
    /// that is not whole, the result is the most recently used whole version. A failure to read is
    /// an error: the pointer may be right, and a caller that changes versions must not guess.
    pub(crate) fn active(&self) -> Result<(Active, InstalledRecord), StoreError> {
        if let Some(active) = self.named()? {
            match self.record(&active.container) {
                Ok(record) => return Ok((active, record)),
                Err(error @ (StoreError::NotInstalled { .. } | StoreError::Damaged { .. })) => {
                    tracing::warn!(
                        error = error_chain::line(&error),
                        "the active version cannot be used"
                    );
                }
                Err(error) => return Err(error),
            }
        }
        self.stand_in()?.ok_or_else(|| StoreError::NothingInstalled { home: self.root.clone() })
    }

    /// Like [`Home::active`], but for starting the app: if the pointer cannot be read, the result
    /// is also the most recently used whole version. The app starts (docs/security.md, promise 1).
    pub(crate) fn active_for_start(&self) -> Result<(Active, InstalledRecord), StoreError> {
        match self.active() {
            Err(error @ StoreError::File(_)) => {
                tracing::error!(
                    error = error_chain::line(&error),
                    "the active version cannot be read"
                );
                self.stand_in()?
                    .ok_or_else(|| StoreError::NothingInstalled { home: self.root.clone() })
            }
            result => result,
        }
    }

    /// The active version for callers that decide what to delete or move: `None` if none is
    /// installed.
    pub(super) fn active_if_any(&self) -> Result<Option<Active>, StoreError> {
        match self.active() {
            Ok((active, _)) => Ok(Some(active)),
            Err(StoreError::NothingInstalled { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The version that the next start uses: the pending one if it is still whole, else the active
    /// one.
    pub(crate) fn chosen(&self) -> Result<ContainerId, StoreError> {
        let (active, _) = self.active()?;
        match active.pending {
            Some(pending) if self.is_installed(&pending)? => Ok(pending),
            _ => Ok(active.container),
        }
    }

    fn stand_in(&self) -> Result<Option<(Active, InstalledRecord)>, StoreError> {
        // The most recently used version that came up, if there is one.
        let mut installed = self.installed()?;
        stand_in::sort_by_use(self, &mut installed);
        // The version's probation is lost with the pointer. Where another version exists, this one
        // has to prove itself again.
        let probation = (installed.len() > 1).then(|| Probation::begin(jiff::Timestamp::now()));
        Ok(installed.into_iter().next().map(|record| {
            (
                Active {
                    container: record.container.clone(),
                    previous: None,
                    pending: None,
                    pending_failures: 0,
                    probation,
                },
                record,
            )
        }))
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

    /// Writes the most recently used version into `active.json` where that names no whole version;
    /// does nothing if no version is installed. The caller does this before it registers a version:
    /// afterwards the new version would be the newest, and nothing would show whose data to carry
    /// over. A record that cannot be read for another reason than damage is an error: the pointer
    /// may be right.
    pub(crate) fn ensure_active(&self, _lock: &HomeLock) -> Result<(), StoreError> {
        if let Some(active) = self.named()? {
            match self.record(&active.container) {
                Err(StoreError::NotInstalled { .. } | StoreError::Damaged { .. }) => {}
                result => return result.map(drop),
            }
        }
        let Some((active, _)) = self.stand_in()? else { return Ok(()) };
        tracing::warn!(container = %active.container, "active.json named no whole version; the newest one stands in");
        self.set_active(&active)
    }

    pub(super) fn set_active(&self, active: &Active) -> Result<(), StoreError> {
        replace_json(&self.active_path(), active)
    }

    /// The record of one installed version; if it cannot be read, it is made from the manifest.
    pub(crate) fn record(&self, id: &ContainerId) -> Result<InstalledRecord, StoreError> {
        match self.written_record(id) {
            Err(error @ StoreError::File(_)) => {
                tracing::warn!(
                    error = error_chain::line(&error),
                    "a record cannot be read; the manifest stands in"
                );
                stand_in::record_from_manifest(self, id).ok_or(error)
            }
            record => record,
        }
    }

    /// Whether `id` is installed and whole; an error if that is unknown now. An unknown version is
    /// neither offered as a new one nor replaced.
    pub(crate) fn is_installed(&self, id: &ContainerId) -> Result<bool, StoreError> {
        match self.record(id) {
            Ok(_) => Ok(true),
            Err(StoreError::NotInstalled { .. } | StoreError::Damaged { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The record of one installed version as it is on the disk.
    pub(crate) fn written_record(&self, id: &ContainerId) -> Result<InstalledRecord, StoreError> {
        read_json(&self.container(id).join(RECORD))?
            .filter(|record: &InstalledRecord| record.container == *id)
            .ok_or_else(|| StoreError::NotInstalled { id: id.to_string() })
    }

    /// The error of the first unreadable record that a start of `id` needs, if there is one.
    pub(crate) fn unreadable(&self, id: &ContainerId) -> Option<StoreError> {
        let looks = [
            self.named().map(drop),
            self.written_record(id).map(drop),
            read_json::<HomeState>(&self.state_path()).map(drop),
        ];
        let is_unreadable = |error: &StoreError| matches!(error, StoreError::File(_));
        looks.into_iter().filter_map(Result::err).find(is_unreadable)
    }

    pub(super) fn write_record(tree: &Path, record: &InstalledRecord) -> Result<(), StoreError> {
        replace_json(&tree.join(RECORD), record)
    }

    /// All whole versions, the newest first. Other folders are skipped, and so are versions whose
    /// record cannot be read now.
    pub(crate) fn installed(&self) -> Result<Vec<InstalledRecord>, StoreError> {
        let whole = |id: ContainerId| {
            let reported = |error: &StoreError| {
                if matches!(error, StoreError::File(_)) {
                    tracing::warn!(
                        error = error_chain::line(error),
                        "a version cannot be looked at now"
                    );
                }
            };
            self.record(&id).inspect_err(reported).ok()
        };
        Ok(self.folders()?.into_iter().filter_map(whole).collect())
    }

    /// The error of the first version that cannot be read, if there is one.
    pub(super) fn refuse_unreadable(&self) -> Result<(), StoreError> {
        let is_unreadable = |error: &StoreError| matches!(error, StoreError::File(_));
        let mut errors = self.folders()?.into_iter().filter_map(|id| self.record(&id).err());
        errors.find(is_unreadable).map_or(Ok(()), Err)
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

    /// Removes the remains of a kill: half removed versions, pieces of installed ones, files that
    /// were to replace a record, locks of removed versions. A removal that fails is logged and does
    /// not fail the call. The user's files of a damaged version (`.damaged-…`) stay.
    pub(crate) fn remove_left(&self, lock: &HomeLock) {
        self.remove_replaced(lock);
        super::remove::finish_removals(self, lock);
        // A waiting switch may have to put back the folders that it moved out of its way.
        let is_waiting = exists(&self.journal()).unwrap_or(true);
        let half_removed = if is_waiting { Vec::new() } else { self.half_removed() };
        let in_staging =
            staging::left_by_installed(self).into_iter().chain(staging::left_by_repairs(self));
        for half in half_removed.into_iter().chain(in_staging) {
            if let Err(error) = remove_tree(&half) {
                tracing::warn!(
                    error = error_chain::line(&error),
                    "what a kill left could not be removed"
                );
            }
        }
        self.removed_with_locks().iter().for_each(|id| RunningLock::remove(self, id));
    }

    /// The part of [`Home::remove_left`] that is always quick.
    pub(super) fn remove_replaced(&self, _lock: &HomeLock) {
        self.replaced_in().iter().for_each(|folder| durable::remove_left(folder));
    }

    /// Removes the remains if a kill left something and no other launcher is at work. The caller
    /// chooses a time when nobody waits: half a version may be large.
    pub(crate) fn remove_left_if_idle(&self) {
        // If the system cannot answer, the holder of the lock looks again.
        let may_be = |path: &Path| exists(path).unwrap_or(true);
        let is_left = may_be(&self.journal())
            || may_be(&self.incoming())
            || !self.half_removed().is_empty()
            || !staging::left_by_installed(self).is_empty()
            || !staging::left_by_repairs(self).is_empty()
            || self.replaced_in().iter().any(|folder| durable::has_left(folder))
            || snapshots::has_left(self)
            || !self.removed_with_locks().is_empty();
        if is_left {
            match HomeLock::take(self) {
                Ok(lock) => self.remove_left(&lock),
                Err(error) => tracing::info!(
                    error = error_chain::line(&error),
                    "what a kill left stays for now"
                ),
            }
        }
    }

    /// Removed versions whose locks are still there.
    fn removed_with_locks(&self) -> Vec<ContainerId> {
        let id =
            |entry: fs::DirEntry| entry.file_name().to_str()?.trim_end_matches(".d").parse().ok();
        let is_gone = |id: &ContainerId| exists(&self.container(id)).is_ok_and(|there| !there);
        let running = look::entries_if_readable(&self.running()).into_iter().filter_map(id);
        running.filter(|id| is_gone(id) && !RunningLock::is_held(self, id)).collect()
    }

    pub(super) fn half_removed(&self) -> Vec<PathBuf> {
        let is_removed =
            |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(REMOVED);
        look::entries_if_readable(&self.containers())
            .into_iter()
            .filter(is_removed)
            .map(|entry| entry.path())
            .collect()
    }

    /// Folders in which records are replaced, also without the lock.
    fn replaced_in(&self) -> Vec<PathBuf> {
        let snapshots =
            look::entries_if_readable(&self.snapshots()).into_iter().map(|entry| entry.path());
        [self.root.clone(), self.trust()].into_iter().chain(snapshots).collect()
    }
}

#[cfg(test)]
mod tests;
