//! A version that is coming: its folder in `staging/`, its registration in one rename.

use std::fs;
use std::path::PathBuf;

use super::files::remove_tree;
use super::lock::HomeLock;
use super::{Home, InstalledRecord, StoreError};
use crate::durable;
use crate::model::{ContainerId, Digest, Manifest};

/// Room that stays free on the disk, bytes: the system and the app need some too.
const RESERVE: u64 = 32 << 20;

/// `staging/<id>/`. Dropping it deletes nothing: verified pieces stay for the next try.
#[derive(Clone, Debug)]
pub struct Staging {
    home: Home,
    id: ContainerId,
}

impl Staging {
    /// The staging place of `id`. The lock shows that nobody else uses it.
    pub fn open(home: &Home, id: &ContainerId, _lock: &HomeLock) -> Result<Self, StoreError> {
        let staging = Self { home: home.clone(), id: id.clone() };
        let folder = staging.folder();
        fs::create_dir_all(&folder).map_err(StoreError::io("create", &folder))?;
        Ok(staging)
    }

    fn folder(&self) -> PathBuf {
        self.home.staging().join(self.id.to_string())
    }

    /// Where the package's pieces are collected.
    pub fn package(&self) -> PathBuf {
        self.folder().join("package.partial")
    }

    /// Where the manifest is kept between tries.
    pub fn manifest(&self) -> PathBuf {
        self.folder().join("container.json")
    }

    /// Where the tree grows.
    pub fn tree(&self) -> PathBuf {
        self.folder().join("tree")
    }

    /// An empty folder for the tree. What an interrupted try unpacked is thrown away: unpacking again is cheaper than proving it.
    pub fn fresh_tree(&self) -> Result<PathBuf, StoreError> {
        let tree = self.tree();
        remove_tree(&tree)?;
        fs::create_dir(&tree).map_err(StoreError::io("create", &tree))?;
        Ok(tree)
    }

    /// Refuses if there is no room for the rest of the package and the unpacked tree.
    pub fn check_space(&self, package: u64, unpacked: u64) -> Result<(), StoreError> {
        let there = fs::metadata(self.package()).map_or(0, |found| allocated(&found));
        // Every file wastes half a block on average; a sixteenth covers that for real trees.
        let needed = package.saturating_sub(there).saturating_add(unpacked).saturating_add(unpacked / 16);
        self.home.check_space(needed.saturating_add(RESERVE))
    }

    /// Makes the finished tree an installed version: record, durability, one rename. Afterwards the staging place is gone.
    pub fn register(self, manifest: &Manifest, digest: Digest, now: jiff::Timestamp) -> Result<InstalledRecord, StoreError> {
        let application = &manifest.application_info;
        let record = InstalledRecord {
            container: self.id.clone(),
            display_name: application.display_name.clone(),
            icon: application.icon.clone(),
            launch: application.launch.clone(),
            size: manifest.unpacked_size(),
            installed: now,
            manifest: digest,
        };
        Home::write_record(&self.tree(), &record)?;
        durable::sync_tree(&self.tree()).map_err(StoreError::io("make durable", &self.tree()))?;
        let place = self.home.container(&self.id);
        // Only what is no whole version can be in the way: a whole one would have been found before.
        remove_tree(&place)?;
        fs::rename(self.tree(), &place).map_err(StoreError::io("rename", &self.tree()))?;
        durable::sync_folder(&self.home.containers()).map_err(StoreError::io("make durable", &place))?;
        self.discard()?;
        Ok(record)
    }

    /// Deletes the staging place with all verified pieces.
    pub fn discard(self) -> Result<(), StoreError> {
        remove_tree(&self.folder())
    }
}

/// The manifest and the package that an interrupted download of `id` may have left.
pub fn left_by(home: &Home, id: &ContainerId) -> (PathBuf, PathBuf) {
    let staging = Staging { home: home.clone(), id: id.clone() };
    (staging.manifest(), staging.package())
}

/// Bytes that a file really takes on disk: a preallocated or sparse one may take fewer than its length.
fn allocated(found: &fs::Metadata) -> u64 {
    #[cfg(unix)]
    {
        std::os::unix::fs::MetadataExt::blocks(found) * 512
    }
    #[cfg(not(unix))]
    {
        found.len()
    }
}

/// Deletes staged versions other than `keep`: a newer release makes an older half-fetched one worthless.
pub fn discard_others(home: &Home, keep: &ContainerId, _lock: &HomeLock) -> Result<(), StoreError> {
    let folder = home.staging();
    for entry in fs::read_dir(&folder).map_err(StoreError::io("read", &folder))?.flatten() {
        if entry.file_name().to_str() != Some(&keep.to_string()) {
            remove_tree(&entry.path())?;
        }
    }
    Ok(())
}
