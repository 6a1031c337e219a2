//! File operations that return this room's errors.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;
use crate::file_error::{FileError, FileResult as _};
use crate::model::Digest;
use crate::{durable, look};

/// Replaces a file by a value as JSON, in one durable step.
pub(super) fn replace_json<T: Serialize>(path: &Path, value: &T) -> Result<(), StoreError> {
    let mut json = serde_json::to_vec_pretty(value)
        .map_err(|source| StoreError::Damaged { path: path.to_owned(), source })?;
    json.push(b'\n');
    Ok(durable::replace(path, &json).at("replace", path)?)
}

/// A value from a JSON file; `None` if there is no such file.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    read_json_of(path, look::SMALL)
}

/// The same for a file of at most `most` bytes.
pub(super) fn read_json_of<T: DeserializeOwned>(
    path: &Path,
    most: u64,
) -> Result<Option<T>, StoreError> {
    let damaged = |source| StoreError::Damaged { path: path.to_owned(), source };
    match look::read(path, most) {
        Ok(Some(json)) => serde_json::from_slice(&json).map(Some).map_err(damaged),
        Ok(None) => Ok(None),
        // Another kind of item has its place: this is no passing failure of the disk.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::FileTooLarge
            ) =>
        {
            Err(damaged(serde_json::Error::io(error)))
        }
        Err(error) => Err(FileError::new("read", path, error).into()),
    }
}

/// Deletes a folder and all in it; no error if there is none.
pub(super) fn remove_tree(path: &Path) -> Result<(), FileError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            // The user's own folders may be read-only, and then their entries cannot be deleted.
            open_up(path);
            match fs::remove_dir_all(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(FileError::new("remove", path, error))
                }
                _ => Ok(()),
            }
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(FileError::new("remove", path, error))
        }
        _ => Ok(()),
    }
}

/// Makes the folders below `folder` writable, as far as possible, so that their owner can delete
/// the files in them.
fn open_up(folder: &Path) {
    #[cfg(unix)]
    let _ = fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o700));
    for entry in look::entries_if_readable(folder) {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        } else {
            writable(&entry.path());
        }
    }
}

/// Whether `path` holds anything, even a link without a target.
///
/// # Errors
/// If the system cannot answer; this is never a reason to delete anything.
pub(super) fn exists(path: &Path) -> Result<bool, FileError> {
    look::is_there(path).at("look at", path)
}

/// Everything in `folder`; nothing if there is no such folder.
///
/// # Errors
/// If the listing is incomplete.
pub(super) fn entries(folder: &Path) -> Result<Vec<fs::DirEntry>, FileError> {
    look::entries(folder).at("read", folder)
}

/// Renames a user's folder. A read-only one is made writable for that: its entry for the folder
/// above changes with it.
pub(super) fn move_folder(from: &Path, to: &Path) -> Result<(), FileError> {
    match durable::rename(from, to) {
        #[cfg(unix)]
        Err(error)
            if error.kind() == io::ErrorKind::PermissionDenied
                && look::is_folder(from).unwrap_or(false) =>
        {
            use std::os::unix::fs::PermissionsExt as _;
            let permissions = fs::metadata(from).at("look at", from)?.permissions();
            let open = fs::Permissions::from_mode(permissions.mode() | 0o700);
            fs::set_permissions(from, open).at("make writable", from)?;
            let moved = durable::rename(from, to).at("rename", from);
            // Best effort: a failure to restore the permissions does not undo the move.
            let _ = fs::set_permissions(if moved.is_ok() { to } else { from }, permissions);
            moved
        }
        result => result.at("rename", from),
    }
}

/// Digest of a file's bytes. A read that fails is repeated from the beginning, as every look is.
pub(super) fn digest_of(path: &Path) -> Result<Digest, FileError> {
    look::again(|| look::digest(look::open(path)?)).at("read", path)
}

/// Deletes a file or a link; no error if there is none.
pub(super) fn remove_file(path: &Path) -> Result<(), FileError> {
    writable(path);
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(FileError::new("remove", path, error))
        }
        _ => Ok(()),
    }
}

/// Makes a link with the same target as `from`.
#[cfg(unix)]
pub(super) fn copy_link(from: &Path, to: &Path) -> Result<(), FileError> {
    let link = fs::read_link(from).at("read", from)?;
    std::os::unix::fs::symlink(link, to).at("create", to)
}

/// On this system users lack the right to make links; carrying over skips them.
#[cfg(not(unix))]
pub(super) fn copy_link(from: &Path, _to: &Path) -> Result<(), FileError> {
    Err(FileError::new("copy", from, io::ErrorKind::Unsupported))
}

/// Makes a file writable: Windows replaces and removes no read-only file.
pub(super) fn writable(path: &Path) {
    #[cfg(windows)]
    if let Ok(found) = fs::symlink_metadata(path) {
        let mut permissions = found.permissions();
        // Only the attribute: the lint is about Unix, where this would let everyone write.
        #[allow(clippy::permissions_set_readonly_false)]
        permissions.set_readonly(false);
        let _ = fs::set_permissions(path, permissions);
    }
    #[cfg(not(windows))]
    let _ = path;
}

/// `path` with `ending` appended to its name.
fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Longest name of a file, bytes.
const MAX_NAME_BYTES: usize = 255;

/// `path` with `ending` appended to its name, which is shortened if the two together are longer
/// than file systems allow.
pub(super) fn name_beside(path: &Path, ending: &str) -> PathBuf {
    let (Some(name), Some(folder)) = (path.file_name(), path.parent()) else {
        return with_ending(path, ending);
    };
    // The limit is 255 bytes on Unix, and 255 UTF-16 units on Windows and macOS: the first also
    // satisfies the second.
    let room = MAX_NAME_BYTES.saturating_sub(ending.len());
    if name.len() <= room {
        return with_ending(path, ending);
    }
    // Names with the same beginning must stay different.
    let mark = format!("~{}", &Digest::of(name.as_encoded_bytes()).to_string()[..8]);
    let name = name.to_string_lossy();
    let end = (0..=room.saturating_sub(mark.len()).min(name.len()))
        .rev()
        .find(|end| name.is_char_boundary(*end))
        .unwrap_or(0);
    folder.join(format!("{}{mark}{ending}", &name[..end]))
}
