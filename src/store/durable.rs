//! Changes that survive a power cut: a file is replaced whole or not at all, and a folder's new name is on disk before anybody
//! relies on it.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;

/// Replaces `path` by `bytes` in one step: written beside it, made durable, renamed over it.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file =
        tempfile::Builder::new().prefix(".new-").tempfile_in(folder).map_err(StoreError::io("create a file in", folder))?;
    file.write_all(bytes).map_err(StoreError::io("write", path))?;
    file.as_file().sync_all().map_err(StoreError::io("write", path))?;
    file.persist(path).map_err(|error| StoreError::Io { action: "replace", path: path.to_owned(), source: error.error })?;
    sync_folder(folder)
}

/// [`replace`] with a value as JSON.
pub fn replace_json<T: Serialize>(path: &Path, value: &T) -> Result<(), StoreError> {
    let mut json = serde_json::to_vec_pretty(value).map_err(|source| StoreError::Damaged { path: path.to_owned(), source })?;
    json.push(b'\n');
    replace(path, &json)
}

/// A value from a JSON file; `None` if there is no such file.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    match fs::read(path) {
        Ok(json) => {
            serde_json::from_slice(&json).map(Some).map_err(|source| StoreError::Damaged { path: path.to_owned(), source })
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io("read", path)(error)),
    }
}

/// Makes renames and new names in `folder` durable. Windows does so itself (NTFS journals metadata) and has no such call.
pub fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    if cfg!(unix) {
        let handle = File::open(folder).map_err(StoreError::io("open", folder))?;
        handle.sync_all().map_err(StoreError::io("write", folder))?;
    }
    Ok(())
}

/// Makes every file below `tree` durable. Linux has one call for a whole file system, far cheaper than thousands of `fsync`s;
/// elsewhere each file is synced.
pub fn sync_tree(tree: &Path) -> Result<(), StoreError> {
    #[cfg(target_os = "linux")]
    {
        let handle = File::open(tree).map_err(StoreError::io("open", tree))?;
        rustix::fs::syncfs(&handle).map_err(|error| StoreError::io("write", tree)(error.into()))
    }
    #[cfg(not(target_os = "linux"))]
    {
        for entry in fs::read_dir(tree).map_err(StoreError::io("read", tree))? {
            let entry = entry.map_err(StoreError::io("read", tree))?;
            let path = entry.path();
            let kind = entry.file_type().map_err(StoreError::io("read", &path))?;
            if kind.is_dir() {
                sync_tree(&path)?;
            } else if kind.is_file() {
                // Windows flushes only through a handle that may write.
                let file = fs::OpenOptions::new().read(true).write(cfg!(windows)).open(&path);
                let file = file.map_err(StoreError::io("open", &path))?;
                file.sync_all().map_err(StoreError::io("write", &path))?;
            }
        }
        sync_folder(tree)
    }
}

/// Deletes a folder and all in it; no error if there is none. Read-only files do not stop it.
pub fn remove_tree(path: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(StoreError::io("remove", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacing_leaves_no_trace_of_the_old_or_of_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("value.json");
        assert_eq!(read_json::<u32>(&path).unwrap(), None);
        replace_json(&path, &1).unwrap();
        replace_json(&path, &2).unwrap();
        assert_eq!(read_json::<u32>(&path).unwrap(), Some(2));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        fs::write(&path, "{").unwrap();
        assert!(matches!(read_json::<u32>(&path), Err(StoreError::Damaged { .. })));
    }

    #[test]
    fn replacing_in_a_missing_folder_names_it() {
        let error = replace(Path::new("/nonexistent-kuzflow/x"), b"").unwrap_err();
        assert!(error.to_string().contains("nonexistent-kuzflow"), "{error}");
    }
}
