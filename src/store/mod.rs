//! The installed versions: where they lie, which one is active, how a new one is staged,
//! registered, switched to, started and removed.
//!
//! ```text
//! <home>/lock                  held while versions are changed
//! <home>/active.json           which version the next start uses; replaced in one step
//! <home>/journal.json          a decided switch, until it is done
//! <home>/incoming/             user files being laid out for a switch that is not decided yet
//! <home>/state.json            installation id, skipped versions, language
//! <home>/containers/<id>/      an installed version, immutable but for config data logs temp
//! <home>/staging/<id>/         a version that is coming: tree/ and the package's verified pieces
//! <home>/staging/repair-<id>/  files that are made anew for an installed version
//! <home>/running/<id>          locked by the processes that run this version, which are noted in <id>.d/
//! <home>/snapshots/            user files as versions had them when they were left: the points to go back to
//! <home>/user-data/            the user's files that uninstalling kept
//! <home>/desktop.json          what was made on the user's desktop
//! <home>/own-update/           a newer launcher that is coming
//! <home>/neighbours/           packages and packs that were fetched lately, for the local network
//! <home>/trust/ nodes.json logs/
//! ```
//!
//! In: checked values. Out: versions, processes. Never: the network, the window, or a half-written
//! file in the place of a whole one.

mod app_environment;
pub(crate) mod carry_over;
pub(crate) mod contents;
mod copying;
mod error_output;
mod files;
#[cfg(test)]
pub(crate) mod fixture;
mod health_file;
pub(crate) mod home;
mod journal;
pub(crate) mod launch;
pub(crate) mod lock;
mod migration_script;
pub(crate) mod probation;
mod processes;
pub(crate) mod records;
pub(crate) mod remove;
pub(crate) mod repair;
pub(crate) mod retained;
pub(crate) mod rollback;
pub(crate) mod snapshots;
pub(crate) mod staging;
mod stand_in;
mod successors;
pub(crate) mod switch;
pub(crate) mod usage;

use std::io;
use std::path::{Path, PathBuf};

use crate::look;

pub(crate) use home::Home;
pub(crate) use records::{Accused, Active, HomeState, InstalledRecord, Probation};

/// Why the store refused or failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
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
    /// The user's files have a form that this version does not know.
    #[error("{id} knows user data up to form {known}, and this is form {found}")]
    DataTooNew {
        /// The version that was to be switched to.
        id: String,
        /// The form of the user's present files.
        found: u32,
        /// The newest that the version knows.
        known: u32,
    },
    /// A release's own migration refused, failed, or took too long.
    #[error("the migration to {id} failed: {} {reason}", script.display())]
    Migration {
        /// The version that was to be switched to.
        id: String,
        /// Its script.
        script: PathBuf,
        /// What it said, or what ended it.
        reason: String,
    },
    /// A release's own migration took too long.
    #[error("the migration to {id} was not done after {seconds} s: {}", script.display())]
    MigrationTime {
        /// The version that was to be switched to.
        id: String,
        /// Its script.
        script: PathBuf,
        /// How long it was waited for.
        seconds: u64,
    },
    /// Another launcher was just switching from or to the version; which one is active is to be
    /// asked again.
    #[error("another launcher has just switched from or to {id}")]
    Switched {
        /// The version that was to be started.
        id: String,
    },
    /// Nothing is kept that could be gone back to.
    #[error("there is no earlier state to go back to from {id}")]
    NoRollbackPoint {
        /// Which version was asked for, or is active.
        id: String,
    },
    /// No program at all can be started from the disk of the home.
    #[error("the disk of {} lets no program be started (noexec)", folder.display())]
    NoPrograms {
        /// Where the version lies.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
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
    /// Whether this computer starts no program at all now, so that it says nothing about the
    /// version, and no other one would start.
    pub(crate) fn is_of_the_system(&self) -> bool {
        match self {
            Self::NoPrograms { .. } => true,
            Self::Start { source, .. } => look::is_shortage(source),
            _ => false,
        }
    }

    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    /// Whether trying the same again would end the same.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::DataTooNew { .. } | Self::Migration { .. } | Self::NotInstalled { .. })
    }

    /// Whether the disk is full, told by a check or by the system.
    pub(crate) fn is_disk_full(&self) -> bool {
        match self {
            Self::DiskFull { .. } => true,
            Self::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            _ => false,
        }
    }
}
