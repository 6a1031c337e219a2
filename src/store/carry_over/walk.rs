//! Walks over the user's files of a version.
//!
//! In: a version's folder. Out: its files, links and folders, in order. Never: follows a link.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::file_error::FileResult as _;
use crate::look;
use crate::store::StoreError;
use crate::store::copying::allocated;

/// Folders whose files are carried over. `temp` is left out: its files may be lost.
pub(in crate::store) const CARRIED: [&str; 3] = ["config", "data", "logs"];
/// Identifies a file independently of its names: its file system and its number there.
pub(super) type Inode = (u64, u64);

#[cfg(unix)]
pub(super) fn inode_of_several_names(found: &fs::Metadata) -> Option<Inode> {
    use std::os::unix::fs::MetadataExt as _;
    (found.is_file() && found.nlink() > 1).then(|| (found.dev(), found.ino()))
}

#[cfg(not(unix))]
pub(super) fn inode_of_several_names(_found: &fs::Metadata) -> Option<Inode> {
    None
}

/// A file or a link.
pub(super) struct Found {
    pub path: PathBuf,
    /// Bytes in it.
    pub size: u64,
    /// Bytes on disk: holes take none.
    pub room: u64,
}

/// Files, links and folders in the user's folders of a version, in order. Links are not followed:
/// their targets may be anywhere.
#[derive(Default)]
pub(super) struct Walk {
    pub files: Vec<Found>,
    pub folders: Vec<PathBuf>,
    /// Files with several names that the walk has seen: each takes disk space once.
    seen: HashSet<Inode>,
    /// `config`, `data` or `logs` themselves, where the user put a link to another disk: the link
    /// is carried over as it is, and its target stays.
    pub links: Vec<PathBuf>,
}

impl Walk {
    pub(super) fn of(root: &Path) -> Result<Self, StoreError> {
        let mut walk = Self::default();
        for folder in CARRIED.map(|folder| root.join(folder)) {
            match look::at(&folder).at("look at", &folder)? {
                Some(found) if found.is_symlink() && cfg!(unix) => walk.links.push(folder),
                Some(_) => {
                    walk.folders.push(folder.clone());
                    walk.add(&folder)?;
                }
                None => {}
            }
        }
        Ok(walk)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|found| found.room).sum()
    }

    fn add(&mut self, folder: &Path) -> Result<(), StoreError> {
        let mut entries = look::entries(folder).at("read", folder)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            // A file that was deleted during the walk is skipped.
            let Some(found) = look::at(&path).at("look at", &path)? else {
                continue;
            };
            if found.is_dir() {
                self.folders.push(path.clone());
                self.add(&path)?;
            } else if found.is_symlink() && cfg!(not(unix)) {
                // On this system users lack the right to make links.
                tracing::warn!(link = %path.display(), "a link is not carried over");
            } else if found.is_file() || found.is_symlink() {
                let is_again =
                    inode_of_several_names(&found).is_some_and(|inode| !self.seen.insert(inode));
                let room = match found.is_file() {
                    true if is_again => 0,
                    true => allocated(&path, &found).min(found.len()),
                    false => found.len(),
                };
                self.files.push(Found { path, size: found.len(), room });
            } else {
                tracing::info!(path = %path.display(), "neither a file nor a folder, and not carried over");
            }
        }
        Ok(())
    }
}
