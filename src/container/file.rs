//! One file of a tree: creates it where no file was, sets its permissions and time, or deletes it
//! again; and copies files.
//!
//! In: a path inside a staging folder, a manifest's entry. Out: a whole file. Never: a write to a
//! file that existed before; a write through a link.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use super::decode::Fault;
use super::stoppable::Stoppable;
use super::{ContainerError, prove};
use crate::durable;
use crate::file_error::FileError;
use crate::model::Hasher;
use crate::model::manifest::{Entry, Permissions};

/// Why creating a file failed: the file system, or its content.
pub(super) enum ReadFailure {
    Create(std::io::Error),
    Content(Fault),
}

impl ReadFailure {
    pub(super) fn at<E: FnOnce(Fault) -> ContainerError>(
        self,
        path: &Path,
        content: impl FnOnce() -> E,
    ) -> ContainerError {
        match self {
            Self::Create(source) => FileError::new("create", path, source).into(),
            Self::Content(fault) => content()(fault),
        }
    }
}

/// Creates the root folder of a tree if it does not exist.
pub(super) fn create_root(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Ok(()) => share(path),
        Err(_) => fs::create_dir_all(path),
    }
}

/// Creates a folder of a tree. Everyone can enter the folders of the release and read its files,
/// whatever the umask. Folders of the user follow the user's umask, and are never writable by
/// everyone.
pub(super) fn create_folder(path: &Path, is_users: bool) -> io::Result<()> {
    if is_users {
        return durable::create_user_folders(path);
    }
    fs::create_dir(path)?;
    share(path)
}

#[cfg(unix)]
fn share(folder: &Path) -> io::Result<()> {
    as_far_as_can_be(fs::set_permissions(
        folder,
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    ))
}

#[cfg(not(unix))]
fn share(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Takes it that a file system (FAT, network shares) has no permissions or times to set: the bytes
/// are what counts. Other failures stand.
#[cfg(unix)]
fn as_far_as_can_be(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        done => done,
    }
}

/// Creates a file that must not exist yet, lets `fill` write it, and deletes it if that fails.
pub(super) fn create(
    path: &Path,
    entry: &Entry,
    fill: impl FnOnce(&mut File) -> Result<(), Fault>,
) -> Result<(), ReadFailure> {
    // "create new" also refuses a link at the path, whatever it points to.
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    let mut file =
        durable::written_by_owner(&mut options).open(path).map_err(ReadFailure::Create)?;
    let filled = fill(&mut file);
    finish_file(path, file, entry, filled)
}

/// Sets permissions and time of a file if `filled` is a success, or deletes the file.
pub(super) fn finish_file(
    path: &Path,
    file: File,
    entry: &Entry,
    filled: Result<(), Fault>,
) -> Result<(), ReadFailure> {
    let finished = filled.map_err(ReadFailure::Content).and_then(|()| {
        let dressed = set_permissions(&file, entry.permissions)
            .and_then(|()| file.set_modified(system_time(entry.mtime)));
        dressed.map_err(ReadFailure::Create)
    });
    if finished.is_err() {
        drop(file);
        // The error that led here is the one to return.
        let _ = fs::remove_file(path);
    }
    finished
}

/// Creates the entry's file at `to` from the bytes of `from`, and verifies them while copying. It
/// fails once `stop` is set.
pub(super) fn copy(
    from: &Path,
    to: &Path,
    entry: &Entry,
    stop: &AtomicBool,
) -> Result<(), ReadFailure> {
    let source = open_plain(from).map_err(|error| ReadFailure::Content(Fault::Read(error)))?;
    let mut bytes = Stoppable::new(source.take(entry.size.saturating_add(1)), stop);
    create(to, entry, |file| {
        let mut hasher = Hasher::default();
        let mut buffer = vec![0; COPIED_AT_ONCE];
        loop {
            match bytes.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => {
                    hasher.update(&buffer[..count]);
                    file.write_all(&buffer[..count]).map_err(Fault::Write)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Fault::Read(error)),
            }
        }
        prove(entry.hash, hasher.finish())
    })
}

/// Bytes that are copied at once.
const COPIED_AT_ONCE: usize = 256 << 10;

/// A new file at `to` that shares its blocks with `from` (btrfs, XFS, APFS, ReFS); an error where
/// the file system cannot do that.
pub(super) fn share_blocks(from: &Path, to: &Path) -> io::Result<File> {
    if !fs::symlink_metadata(from)?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    reflink_copy::reflink(from, to)?;
    // Where the copy includes the permissions (APFS), a read-only file cannot be opened to set its
    // own permissions.
    OpenOptions::new().read(true).write(true).open(to).inspect_err(|_| drop(fs::remove_file(to)))
}

/// Opens a file, but never through a link.
pub(super) fn open_plain(path: &Path) -> io::Result<File> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    File::open(path)
}

pub(super) fn system_time(seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds >= 0 {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    };
    time.unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(unix)]
pub(super) fn set_permissions(file: &File, permissions: Permissions) -> std::io::Result<()> {
    as_far_as_can_be(
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(permissions.mode())),
    )
}

#[cfg(not(unix))]
pub(super) fn set_permissions(_: &File, _: Permissions) -> std::io::Result<()> {
    Ok(())
}

#[cfg(unix)]
pub(super) fn make_link(target: &str, path: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(not(unix))]
pub(super) fn make_link(_: &str, _: &Path) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}
