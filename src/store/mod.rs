//! The installed versions: where they lie, which one is active, and how a new one is staged,
//! registered, switched to, started and removed.
//!
//! ```text
//! <home>/kuzflow-home.txt      marks the folder as a home; without it, records show the same
//! <home>/lock                  held while versions are changed
//! <home>/active.json           which version the next start uses; replaced in one step
//! <home>/journal.json          a decided switch, until it is done
//! <home>/incoming/             user files being laid out for a switch that is not decided yet
//! <home>/state.json            installation id, skipped versions, language
//! <home>/first-run             there from the first installation until the app's first start
//! <home>/hooks/<id>            there from the installation of a version until its `after-install` has run
//! <home>/containers/<id>/      an installed version, immutable but for config data logs temp
//! <home>/staging/<id>/         a version being put together: tree/ and the package's pieces
//! <home>/staging/repair-<id>/  new files for an installed version under repair
//! <home>/running/<id>          locked by the processes that run this version (noted in <id>.d/)
//! <home>/snapshots/            user files as versions had them when they were left
//! <home>/user-data/            retained user data, from an uninstalled app
//! <home>/desktop.json          what was made on the user's desktop
//! <home>/autostart.json        the file that starts the app at login
//! <home>/old-shortcuts.json    shortcuts of an earlier installation that have given way
//! <home>/own-update/           a newer launcher that is being downloaded
//! <home>/neighbours/           download cache: recently fetched packages and packs, for peers
//! <home>/trust/ nodes.json logs/
//! ```
//!
//! In: verified values. Out: versions, processes. Never: uses the network or the window, puts a
//! half-written file in the place of a whole one.

mod app_environment;
pub(crate) mod carry_over;
mod command;
pub(crate) mod contents;
mod copying;
mod files;
mod first_run;
#[cfg(test)]
pub(crate) mod fixture;
mod foreign;
mod health_file;
pub(crate) mod home;
pub(crate) mod hooks;
mod installed;
mod journal;
pub(crate) mod launch;
pub(crate) mod lock;
pub(crate) mod maintenance;
mod migration_script;
mod names;
mod output_file;
pub(crate) mod ownership;
pub(crate) mod probation;
mod processes;
pub(crate) mod recall;
pub(crate) mod records;
mod release_script;
pub(crate) mod remove;
pub(crate) mod repair;
pub(crate) mod resolution;
pub(crate) mod retained;
pub(crate) mod rollback;
pub(crate) mod snapshots;
pub(crate) mod staging;
pub(crate) mod stand_in;
mod successors;
pub(crate) mod switch;
pub(crate) mod usage;

use std::io;
use std::path::PathBuf;

use crate::file_error::FileError;
use crate::look;

pub(crate) use home::Home;
pub(crate) use records::{Active, FailedRelease, HomeState, InstalledRecord, Probation};

/// Why the store refused or failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// A file or folder could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A record has invalid content.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// The path of the record.
        path: PathBuf,
        /// The first invalid place in it, and what is wrong there.
        source: serde_json::Error,
    },
    /// Another launcher changes versions in this home.
    #[error("another launcher is at work in {}", home.display())]
    Busy {
        /// The root folder of the locked home.
        home: PathBuf,
    },
    /// Too little room on the disk.
    #[error("{} has {free} bytes free, {needed} are needed", home.display())]
    DiskFull {
        /// The root folder of the home.
        home: PathBuf,
        /// Bytes that the action needs.
        needed: u64,
        /// Bytes that are free on the home's disk.
        free: u64,
    },
    /// The requested version is not installed.
    #[error("{id} is not installed")]
    NotInstalled {
        /// The id or version as it was requested.
        id: String,
    },
    /// The version is active or running.
    #[error("{id} is in use ({reason})")]
    InUse {
        id: String,
        /// `active` or `running`, for example.
        reason: &'static str,
    },
    /// The folder is not the launcher's.
    #[error(
        "{} holds files of another program, for example {}: the launcher would change them",
        home.display(),
        item.display()
    )]
    AnotherProgram {
        /// The folder that was to be the home.
        home: PathBuf,
        /// An item with one of the launcher's names.
        item: PathBuf,
    },
    #[error("no version is installed in {}", home.display())]
    NothingInstalled {
        /// The root folder of the home.
        home: PathBuf,
    },
    /// The user's files have a form that this version does not know.
    #[error("{id} knows user data up to form {known}, and this is form {found}")]
    DataTooNew {
        /// The version that was to become active.
        id: String,
        /// The form of the user's present files.
        found: u32,
        /// The newest form that the version knows.
        known: u32,
    },
    /// A release's own migration refused or failed.
    #[error("the migration to {id} failed: {} {reason}", script.display())]
    Migration {
        /// The version that was to become active.
        id: String,
        /// The migration script.
        script: PathBuf,
        /// The script's output, or what ended it.
        reason: String,
    },
    /// A release's own migration took too long.
    #[error("the migration to {id} was not done after {seconds} s: {}", script.display())]
    MigrationTime {
        /// The version that was to become active.
        id: String,
        /// The migration script.
        script: PathBuf,
        /// The time limit, seconds.
        seconds: u64,
    },
    /// Another launcher was just switching from or to the version; the caller must ask again which
    /// one is active.
    #[error("another launcher has just switched from or to {id}")]
    Switched {
        /// The version that was to be started.
        id: String,
    },
    /// No snapshot or version exists to return to.
    #[error("there is no earlier state to go back to from {id}")]
    NoRollbackPoint {
        /// The version that was requested, or the active one.
        id: String,
    },
    /// The disk of the home allows no program to start from it.
    #[error("the disk of {} lets no program be started (noexec)", folder.display())]
    NoPrograms {
        /// The folder of the version.
        folder: PathBuf,
        source: io::Error,
    },
    /// The app's program could not be started.
    #[error("cannot start {}", program.display())]
    Start { program: PathBuf, source: io::Error },
}

impl StoreError {
    /// Whether this computer can start no program at all now. Then the error says nothing about the
    /// version, and no other version would start either.
    pub(crate) fn is_of_the_system(&self) -> bool {
        match self {
            Self::NoPrograms { .. } => true,
            Self::Start { source, .. } => look::is_shortage(source),
            _ => false,
        }
    }

    /// Whether another try would end the same.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::DataTooNew { .. } | Self::Migration { .. } | Self::NotInstalled { .. })
    }

    /// Whether the disk is full, as the store's own check or the system reports.
    pub(crate) fn is_disk_full(&self) -> bool {
        match self {
            Self::DiskFull { .. } => true,
            Self::File(error) => error.is_disk_full(),
            _ => false,
        }
    }
}
