//! The files of builds:
//!
//! ```text
//! uploads/               what is being sent
//! cache/                 runtimes of platforms
//! {id}/archive           the app as it was sent, until its build has ended
//! {id}/log               what the programs printed
//! {id}/{attempt}/        where an attempt works; gone when it has ended
//! {id}/{attempt}-{container}.kuzflow    what came of it
//! ```
//!
//! In: ids of builds. Out: paths; old files removed. Never: a path of an id that is none.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::durable;
use crate::error_chain;
use crate::file_error::{FileError, FileResult as _};
use crate::look;
use crate::model::ContainerId;
use crate::model::report::RandomId;

/// How old something is that nobody can be at work on any more.
const ABANDONED: Duration = Duration::from_secs(2 * 60 * 60);

/// The folder of all builds.
#[derive(Clone, Debug)]
pub(super) struct BuildFolder(PathBuf);

impl BuildFolder {
    /// Makes the folder if it is not there.
    pub(super) fn open(folder: &Path) -> Result<Self, FileError> {
        // Programs of a build are given paths below it, and these work from any folder.
        let folder = std::path::absolute(folder).at("find", folder)?;
        for folder in [folder.clone(), folder.join("uploads")] {
            durable::create_private_folders(&folder).at("create", &folder)?;
        }
        Ok(Self(folder))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn uploads(&self) -> PathBuf {
        self.0.join("uploads")
    }

    pub(super) fn cache(&self) -> PathBuf {
        self.0.join("cache")
    }

    pub(super) fn of(&self, id: &str) -> PathBuf {
        self.0.join(id)
    }

    pub(super) fn archive(&self, id: &str) -> PathBuf {
        self.of(id).join("archive")
    }

    pub(super) fn log(&self, id: &str) -> PathBuf {
        self.of(id).join("log")
    }

    pub(super) fn attempt(&self, id: &str, attempt: i64) -> PathBuf {
        self.of(id).join(attempt.to_string())
    }

    pub(super) fn package(&self, id: &str, attempt: i64, container: &ContainerId) -> PathBuf {
        self.of(id).join(format!("{attempt}-{container}.kuzflow"))
    }

    /// The ids of which there are files.
    pub(super) fn ids(&self) -> io::Result<Vec<String>> {
        let names = look::entries(&self.0)?.into_iter();
        let names = names.filter_map(|entry| entry.file_name().into_string().ok());
        Ok(names.filter(|name| name.parse::<RandomId>().is_ok()).collect())
    }

    /// Removes what is there of a build.
    pub(super) fn forget(&self, id: &str) {
        remove(&self.of(id));
    }

    /// Bytes of a build's files.
    pub(super) fn size(&self, id: &str) -> u64 {
        size(&self.of(id))
    }

    /// Whether somebody may still be at work on these files, which no job names.
    pub(super) fn is_fresh(&self, id: &str) -> bool {
        is_fresh(&self.of(id))
    }

    /// Removes uploads that were broken off, for example by the end of a server.
    pub(super) fn remove_broken_uploads(&self) {
        for entry in look::entries_if_readable(&self.uploads()) {
            let path = entry.path();
            if !is_fresh(&path) {
                remove(&path);
            }
        }
    }
}

fn is_fresh(path: &Path) -> bool {
    let changed = fs::symlink_metadata(path).and_then(|found| found.modified());
    // What cannot be looked at stays.
    changed.map_or(true, |changed| {
        SystemTime::now().duration_since(changed).is_ok_and(|age| age < ABANDONED)
    })
}

/// Removes a file or a folder with all that it holds. Links are removed, not followed.
pub(super) fn remove(path: &Path) {
    let removed = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) => Err(error),
        Ok(found) if found.is_dir() => fs::remove_dir_all(path).or_else(|_| {
            open_folders(path);
            fs::remove_dir_all(path)
        }),
        Ok(_) => fs::remove_file(path),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), error = error_chain::line(&error), "files of a build stay for now");
        }
        _ => {}
    }
}

/// Gives this user all rights on the folders below `path`: a build may have taken them away.
fn open_folders(path: &Path) {
    // A folder can be looked into once it was opened, so its entries come after it.
    for entry in walkdir::WalkDir::new(path).into_iter().flatten() {
        if entry.file_type().is_dir() {
            open(entry.path());
        }
    }
}

#[cfg(unix)]
fn open(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o700));
}

#[cfg(not(unix))]
fn open(_: &Path) {}

/// Bytes that the files in a folder take on the disk.
pub(super) fn size(folder: &Path) -> u64 {
    let files = walkdir::WalkDir::new(folder).into_iter().flatten();
    files.filter_map(|entry| entry.metadata().ok()).map(|found| on_disk(&found)).sum()
}

#[cfg(unix)]
fn on_disk(found: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(found) * 512
}

#[cfg(not(unix))]
fn on_disk(found: &fs::Metadata) -> u64 {
    found.len()
}
