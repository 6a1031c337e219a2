//! The installed versions: where they lie, which one is active, how a new one is staged, registered, switched to, started and
//! removed.
//!
//! ```text
//! <home>/lock                  held while versions are changed
//! <home>/active.json           which version the next start uses; replaced in one step
//! <home>/state.json            installation id, skipped versions, language
//! <home>/containers/<id>/      an installed version, immutable but for config data logs temp
//! <home>/staging/<id>/         a version that is coming: tree/ and the package's verified pieces
//! <home>/running/<id>          locked by the processes that run this version, which are noted in <id>.d/
//! <home>/snapshots/            the user's own files that a switch replaced
//! <home>/user-data/            the user's files that uninstalling kept
//! <home>/desktop.json          what was made on the user's desktop
//! <home>/own-update/           a newer launcher that is coming
//! <home>/trust/ nodes.json logs/
//! ```
//!
//! In: checked values. Out: versions, processes. Never: the network, the window, or a half-written file in the place of a whole one.

pub mod contents;
mod files;
#[cfg(test)]
mod fixture;
pub mod home;
pub mod kept;
pub mod launch;
pub mod lock;
pub mod migrate;
pub mod records;
pub mod remove;
mod snapshots;
pub mod staging;
pub mod switch;

use std::io;
use std::path::{Path, PathBuf};

pub use home::Home;
pub use records::{Active, InstalledRecord, State};

/// Why the store refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or folder could not be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: `write`, `rename`, …
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A record holds something else than it should.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Another launcher changes versions in this home.
    #[error("another launcher is at work in {}", home.display())]
    Busy {
        /// Which home.
        home: PathBuf,
    },
    /// Too little room on the disk.
    #[error("{} has {free} bytes free, {needed} are needed", home.display())]
    DiskFull {
        /// Which home.
        home: PathBuf,
        /// Bytes that are needed.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// No such installed version.
    #[error("{id} is not installed")]
    NotInstalled {
        /// What was asked for.
        id: String,
    },
    /// The version is active or running.
    #[error("{id} is in use ({reason})")]
    InUse {
        /// Which version.
        id: String,
        /// Active or running.
        reason: &'static str,
    },
    /// Nothing is installed.
    #[error("no version is installed in {}", home.display())]
    NothingInstalled {
        /// Which home.
        home: PathBuf,
    },
    /// The app's program could not be started.
    #[error("cannot start {}", program.display())]
    Start {
        /// Which program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl StoreError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    /// Whether the disk is full, told by a check or by the system.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::DiskFull { .. } => true,
            Self::Io { source, .. } => matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded),
            _ => false,
        }
    }
}
