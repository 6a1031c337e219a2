//! Why a package was not written, or is refused.
//!
//! In: what packing and inspecting find. Out: one error with the file or the entry. Never: a panic.

use std::path::PathBuf;

use crate::container::Fault;
use crate::file_error::FileError;
use crate::model::manifest::InvalidManifest;
use crate::model::package_index::InvalidIndex;

/// Why writing a package failed, or why a package is refused.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// The file system refuses.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file changed while it was being packed.
    #[error("{} changed while it was being packed", path.display())]
    Changed { path: PathBuf },
    /// The manifest has a value that is not allowed.
    #[error("the package's manifest is refused")]
    Manifest(#[from] InvalidManifest),
    /// The index has a value that is not allowed.
    #[error("the package's index is refused")]
    Index(#[from] InvalidIndex),
    /// The file is no package.
    #[error("{} is no package: {reason}", path.display())]
    NoPackage {
        path: PathBuf,
        /// Why not.
        reason: &'static str,
    },
    /// Manifest and headers disagree.
    #[error("the package's {part} of {entry} is not what its manifest says")]
    Disagreement {
        /// The part of the package that differs.
        part: &'static str,
        /// The path of the entry.
        entry: String,
    },
    /// An entry's bytes differ from those that the manifest names.
    #[error("the package's entry {entry} is not what its manifest says")]
    Content {
        /// The path of the entry.
        entry: String,
        /// What is wrong with it.
        #[source]
        fault: Fault,
    },
}
