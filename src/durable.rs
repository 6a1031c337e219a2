//! Changes that survive a power cut: a file is replaced whole or not at all, and a folder's new name is on disk before anybody
//! relies on it. Ground floor: every room that keeps state uses these, and adds what its own errors say.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

/// Prefix of the files that a killed process may leave behind; whoever holds the folder's lock may delete them.
pub const TEMPORARY_PREFIX: &str = ".tmp-";

/// Writes `bytes` beside `path`, makes them durable, and renames them to `path`.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = temporary(path)?;
    file.write_all(bytes)?;
    persist(file, path)
}

/// A temporary file beside `path`, for [`persist`]. Readable by everyone: what a web server of another user must serve.
pub fn temporary(path: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY_PREFIX);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    builder.tempfile_in(folder_of(path))
}

/// Makes a temporary file durable and renames it to `path`.
pub fn persist(file: tempfile::NamedTempFile, path: &Path) -> io::Result<()> {
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_folder(folder_of(path))
}

/// Makes the names in a folder durable. Windows has no such call: there a rename is in the journal.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

/// Makes every file below `tree` durable. Linux has one call for a whole file system, far cheaper than thousands of `fsync`s;
/// elsewhere each file is synced.
pub fn sync_tree(tree: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        rustix::fs::syncfs(File::open(tree)?).map_err(io::Error::from)
    }
    #[cfg(not(target_os = "linux"))]
    {
        for entry in std::fs::read_dir(tree)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                sync_tree(&entry.path())?;
            } else if kind.is_file() {
                // Windows flushes only through a handle that may write.
                std::fs::OpenOptions::new().read(true).write(cfg!(windows)).open(entry.path())?.sync_all()?;
            }
        }
        sync_folder(tree)
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacing_leaves_no_trace_of_the_old_or_of_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("value");
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        sync_tree(folder.path()).unwrap();
        assert!(replace(&folder.path().join("missing/value"), b"").is_err());
    }
}
