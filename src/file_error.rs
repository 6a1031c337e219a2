//! The one error of files and folders, which the rooms' errors hold. Ground floor.
//!
//! In: what was tried, where, and the system's answer. Out: one error with its text, and whether
//! the disk is full. Never: decides what is done about it.

use std::io;
use std::path::{Path, PathBuf};

/// A file or folder could not be read, written or changed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct FileError {
    /// The verb of the message: `write`, `rename`, …
    pub action: &'static str,
    pub path: PathBuf,
    pub source: io::Error,
}

impl FileError {
    pub(crate) fn new(
        action: &'static str,
        path: impl Into<PathBuf>,
        source: impl Into<io::Error>,
    ) -> Self {
        Self { action, path: path.into(), source: source.into() }
    }

    /// Whether the disk is full, so that free space helps and another try alone does not.
    pub fn is_disk_full(&self) -> bool {
        is_disk_full(&self.source)
    }
}

/// Adds to the system's error what was tried and where.
pub(crate) trait FileResult<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, FileError>;
}

impl<T, E: Into<io::Error>> FileResult<T> for Result<T, E> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, FileError> {
        self.map_err(|source| FileError::new(action, path, source))
    }
}

/// Whether the error means that the disk, or the user's share of it, is full.
pub(crate) fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_action_and_the_path_and_has_the_system_s_answer_as_its_cause() {
        let path = Path::new("folder/file");
        let full = |kind: io::ErrorKind| -> Result<(), io::Error> { Err(kind.into()) };
        let error = full(io::ErrorKind::StorageFull).at("write", path).unwrap_err();
        assert_eq!(error.to_string(), "cannot write folder/file");
        assert_eq!(
            std::error::Error::source(&error).unwrap().to_string(),
            io::Error::from(io::ErrorKind::StorageFull).to_string()
        );
        for (kind, expected) in [
            (io::ErrorKind::StorageFull, true),
            (io::ErrorKind::QuotaExceeded, true),
            (io::ErrorKind::PermissionDenied, false),
        ] {
            assert_eq!(full(kind).at("write", path).unwrap_err().is_disk_full(), expected);
        }
    }
}
