//! Why nothing was built.
//!
//! In: what checking, copying and packing find. Out: one error that names the file and says what to
//! do. Never: a panic.

use std::path::{Path, PathBuf};

use super::entry_point::EntryPoint;
use crate::model::Platform;
use crate::model::path::UnsafePath;
use crate::publish::package::PackageError;

/// Why nothing was built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The file system refuses.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A file has a name that some system cannot have.
    #[error("{} cannot be in a container; rename it, or exclude it", path.display())]
    Name {
        /// The file.
        path: PathBuf,
        /// What is wrong with its name.
        source: UnsafePath,
    },
    /// A file's name is no Unicode, or it is neither file, folder nor link.
    #[error("{} cannot be in a container: {reason}", path.display())]
    Kind {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: &'static str,
    },
    /// A link that leads out of the app, or nowhere.
    #[error("the link {} -> {} leads out of its folder or nowhere; put the file there, or exclude the link", path.display(), target.display())]
    Link {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// Something that the build was told to use is not there.
    #[error("cannot find {what}: {}", path.display())]
    Missing {
        /// What it is to be.
        what: &'static str,
        /// Where it should be.
        path: PathBuf,
    },
    /// A file where a folder is needed, or the other way round.
    #[error("{what} must be a {wanted}: {}", path.display())]
    OtherKind {
        /// What it is to be.
        what: &'static str,
        /// What is needed.
        wanted: &'static str,
        /// What is there.
        path: PathBuf,
    },
    /// An icon that is no PNG.
    #[error("the icon {} is no PNG; save it as one, a square of 256 pixels or more", path.display())]
    Icon {
        /// Its file.
        path: PathBuf,
    },
    /// The entry point is not there.
    #[error("the entry point {entry} is not in {}; {there}", app.display())]
    NoEntry {
        /// The entry point.
        entry: EntryPoint,
        /// Where it was looked for.
        app: PathBuf,
        /// What could have been meant.
        there: String,
    },
    /// The entry point is there, and is left out of the container.
    #[error(
        "the entry point {entry} is left out of the container, since {part} is excluded; name another entry point, or move it"
    )]
    EntryExcluded {
        /// The entry point.
        entry: EntryPoint,
        /// Which part of its path is excluded.
        part: String,
    },
    /// The entry point's module cannot be started as it is named.
    #[error("the entry point {entry} cannot be started: {reason}")]
    Entry {
        /// The entry point.
        entry: EntryPoint,
        /// Why not.
        reason: String,
    },
    /// The entry point needs Python, and there is none in the runtime.
    #[error(
        "the entry point {entry} needs a Python runtime, and the runtime given has none for {platform}"
    )]
    NoRuntime {
        /// The entry point.
        entry: EntryPoint,
        /// The platform.
        platform: Platform,
    },
    /// This machine has no such Python.
    #[error("cannot run {}; install Python 3 on this machine, or name another one", python.display())]
    NoPython {
        /// What was to be run.
        python: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The Python of this machine is for another platform.
    #[error(
        "the Python of this machine runs on {current}, the package is for {wanted}; give a runtime as folder or archive"
    )]
    ForeignRuntime {
        /// This machine's.
        current: Platform,
        /// The package's.
        wanted: Platform,
    },
    /// Neither pip nor uv is there to install the requirements.
    #[error("neither '{} -m pip' nor 'uv' runs on this machine; install one of them (Debian: python3-pip)", python.display())]
    NoInstaller {
        /// The Python that has no pip.
        python: PathBuf,
    },
    /// Requirements that cannot be read.
    #[error("{} cannot be used: {reason}", path.display())]
    Requirements {
        /// Their file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// An archive of a form that is not known.
    #[error("{} is no .tar.gz, .tgz, .tar.zst, .tar or .zip", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
    },
    /// A program that was run for the build failed.
    #[error("{what} failed ({status}):\n{output}")]
    Tool {
        /// What was run.
        what: String,
        /// How it ended.
        status: String,
        /// The end of what it said.
        output: String,
    },
    /// The package could not be written.
    #[error(transparent)]
    Package(#[from] PackageError),
}

impl BuildError {
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::File { action, path, source }
    }
}
