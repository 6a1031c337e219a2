//! The ground floor's file operations with this room's errors.

use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;
use crate::durable;

/// Replaces a file by a value as JSON, in one durable step.
pub fn replace_json<T: Serialize>(path: &Path, value: &T) -> Result<(), StoreError> {
    let mut json = serde_json::to_vec_pretty(value).map_err(|source| StoreError::Damaged { path: path.to_owned(), source })?;
    json.push(b'\n');
    durable::replace(path, &json).map_err(StoreError::io("replace", path))
}

/// A value from a JSON file; `None` if there is no such file.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    match fs::read(path) {
        Ok(json) => {
            serde_json::from_slice(&json).map(Some).map_err(|source| StoreError::Damaged { path: path.to_owned(), source })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io("read", path)(error)),
    }
}

/// Deletes a folder and all in it; no error if there is none.
pub fn remove_tree(path: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io("remove", path)(error)),
        _ => Ok(()),
    }
}
