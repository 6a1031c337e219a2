//! File operations with this room's errors: those of the ground floor, and copies that keep what a file is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;
use crate::model::{Digest, Hasher};
use crate::{durable, look};

/// Replaces a file by a value as JSON, in one durable step.
pub fn replace_json<T: Serialize>(path: &Path, value: &T) -> Result<(), StoreError> {
    let mut json = serde_json::to_vec_pretty(value).map_err(|source| StoreError::Damaged { path: path.to_owned(), source })?;
    json.push(b'\n');
    durable::replace(path, &json).map_err(StoreError::io("replace", path))
}

/// A value from a JSON file; `None` if there is no such file.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    read_json_of(path, look::SMALL)
}

/// The same for a file of at most `most` bytes.
pub fn read_json_of<T: DeserializeOwned>(path: &Path, most: u64) -> Result<Option<T>, StoreError> {
    let damaged = |source| StoreError::Damaged { path: path.to_owned(), source };
    match look::read(path, most) {
        Ok(Some(json)) => serde_json::from_slice(&json).map(Some).map_err(damaged),
        Ok(None) => Ok(None),
        // Something else stands in its place: no passing failure of the disk.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::FileTooLarge) => {
            Err(damaged(serde_json::Error::io(error)))
        }
        Err(error) => Err(StoreError::io("read", path)(error)),
    }
}

/// Deletes a folder and all in it; no error if there is none.
pub fn remove_tree(path: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            // The user's own folders may be read-only, and then their entries cannot be deleted.
            open_up(path);
            match fs::remove_dir_all(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io("remove", path)(error)),
                _ => Ok(()),
            }
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Lets the owner delete what is below `folder`, as far as that can be had.
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

/// Whether there is something at `path`, also a link that leads nowhere.
///
/// # Errors
/// [`StoreError::Io`] if that is not known, which is never a reason to delete anything.
pub fn exists(path: &Path) -> Result<bool, StoreError> {
    look::is_there(path).map_err(StoreError::io("look at", path))
}

/// Everything in `folder`; nothing if there is no such folder.
///
/// # Errors
/// [`StoreError::Io`] if it cannot be listed to its end.
pub fn entries(folder: &Path) -> Result<Vec<fs::DirEntry>, StoreError> {
    look::entries(folder).map_err(StoreError::io("read", folder))
}

/// Renames a folder of the user's. A read-only one is made writable for that: its entry for the folder above changes with it.
pub fn move_folder(from: &Path, to: &Path) -> Result<(), StoreError> {
    match durable::rename(from, to) {
        #[cfg(unix)]
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && look::is_folder(from).unwrap_or(false) => {
            use std::os::unix::fs::PermissionsExt as _;
            let permissions = fs::metadata(from).map_err(StoreError::io("look at", from))?.permissions();
            let open = fs::Permissions::from_mode(permissions.mode() | 0o700);
            fs::set_permissions(from, open).map_err(StoreError::io("make writable", from))?;
            let moved = durable::rename(from, to).map_err(StoreError::io("rename", from));
            // Best effort: the folder has moved, whoever may write to it.
            let _ = fs::set_permissions(if moved.is_ok() { to } else { from }, permissions);
            moved
        }
        result => result.map_err(StoreError::io("rename", from)),
    }
}

/// Digest of a file's bytes.
pub fn digest_of(path: &Path) -> Result<Digest, StoreError> {
    let mut file = look::open(path).map_err(StoreError::io("open", path))?;
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 128 << 10];
    loop {
        match io::Read::read(&mut file, &mut buffer).map_err(StoreError::io("read", path))? {
            0 => return Ok(hasher.finish()),
            count => hasher.update(&buffer[..count]),
        }
    }
}

/// Deletes a file or a link; no error if there is none.
pub fn remove_file(path: &Path) -> Result<(), StoreError> {
    writable(path);
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// A second file with the same bytes, permissions and time of change, its blocks shared where the file system can. Not durable yet.
pub fn clone_file(from: &Path, to: &Path) -> Result<(), StoreError> {
    let metadata = fs::metadata(from).map_err(StoreError::io("look at", from))?;
    let copy = match reflink_copy::reflink(from, to) {
        Ok(()) => {
            // Some systems clone the mode as well, and a read-only file cannot be opened for its time to be set.
            set_owner_writable(to);
            fs::File::options().write(true).open(to).map_err(StoreError::io("open", to))?
        }
        Err(_) => copy_bytes(from, to)?,
    };
    let time = metadata.modified().and_then(|modified| copy.set_modified(modified));
    as_far_as_can_be(time.and(copy.set_permissions(metadata.permissions()))).map_err(StoreError::io("change", to))
}

/// Takes it that a file system (FAT, network shares) has no permissions or times to set: the bytes are what counts. Other failures stand.
pub fn as_far_as_can_be(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported) => {
            tracing::debug!(%error, "time and permissions are not kept");
            Ok(())
        }
        done => done,
    }
}

fn set_owner_writable(path: &Path) {
    #[cfg(unix)]
    let _ = fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600));
    #[cfg(not(unix))]
    writable(path);
}

fn copy_bytes(from: &Path, to: &Path) -> Result<fs::File, StoreError> {
    remove_file(to)?;
    let mut source = look::open(from).map_err(StoreError::io("open", from))?;
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    // What nobody else may read is not readable while it is copied either.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut copy = options.open(to).map_err(StoreError::io("create", to))?;
    io::copy(&mut source, &mut copy).map_err(StoreError::io("write", to))?;
    Ok(copy)
}

/// Whether files in `folder` can be cloned without copying their blocks.
pub fn can_clone(folder: &Path) -> bool {
    let (from, to) = (folder.join(".clone-from"), folder.join(".clone-to"));
    let cloned = fs::write(&from, [0; 4096]).is_ok() && reflink_copy::reflink(&from, &to).is_ok();
    let _ = (fs::remove_file(&from), fs::remove_file(&to));
    cloned
}

/// Makes a link that says the same as `from`.
#[cfg(unix)]
pub fn copy_link(from: &Path, to: &Path) -> Result<(), StoreError> {
    let link = fs::read_link(from).map_err(StoreError::io("read", from))?;
    std::os::unix::fs::symlink(link, to).map_err(StoreError::io("create", to))
}

/// Making a link needs a right there that users do not have; whoever carries files over passes links by.
#[cfg(not(unix))]
pub fn copy_link(from: &Path, _to: &Path) -> Result<(), StoreError> {
    Err(StoreError::io("copy", from)(io::ErrorKind::Unsupported.into()))
}

/// Windows replaces and removes no read-only file.
pub fn writable(path: &Path) {
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

/// `path` with `ending` behind its name.
pub fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}
