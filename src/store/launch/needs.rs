//! What a start of the app needs beside its program: the lock of its version, the file in which it
//! says that it is up, a file for its errors.
//!
//! In: the version and the command. Out: these things, as far as the disk allows; why the system
//! does not start the program. Never: keeps the app from starting for want of one of them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error_chain;
use crate::model::ContainerId;
use crate::store::health_file::HealthFile;
use crate::store::lock::{self, RunningLock};
use crate::store::output_file::{OutputFile, Writer};
use crate::store::{Home, InstalledRecord, StoreError};

/// The variable that names the app's health file.
const HEALTH: &str = "KUZFLOW_HEALTH";

/// Which version a start may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// The active version. If another one is active once this one's lock is held, the start returns
    /// [`StoreError::Switched`].
    Active,
    /// This version, whether it is active or not.
    Any,
}

/// Holds the version, so that nobody removes it while it runs. The app starts even where the lock
/// cannot be taken (a read-only home): the lock only protects against removal.
pub(super) fn hold(
    home: &Home,
    record: &InstalledRecord,
    which: Which,
) -> Result<Option<RunningLock>, StoreError> {
    match RunningLock::hold(home, &record.container) {
        // From here on no launcher switches away from the version; but one may have done so since
        // the version was selected.
        Ok(_)
            if which == Which::Active
                && home.active().is_ok_and(|(active, _)| active.container != record.container) =>
        {
            Err(StoreError::Switched { id: record.container.to_string() })
        }
        Ok(lock) => Ok(Some(lock)),
        Err(error @ StoreError::Switched { .. }) => Err(error),
        Err(error) => {
            tracing::warn!(error = error_chain::line(&error), "starting without a running lock");
            Ok(None)
        }
    }
}

/// Gives the app the file in which it says that it is up, if one can be made.
pub(super) fn give_health_file(
    command: &mut Command,
    home: &Home,
    id: &ContainerId,
) -> Option<HealthFile> {
    let health = HealthFile::create(&lock::records(home, id))
        .inspect_err(|error| {
            tracing::warn!(error = error_chain::line(error), "the app cannot say that it is up")
        })
        .ok()?;
    if let Ok(path) = std::path::absolute(health.path()) {
        command.env(HEALTH, path);
    }
    Some(health)
}

/// Why the system does not start the app's program.
pub(super) fn not_started(
    record: &InstalledRecord,
    folder: PathBuf,
    source: std::io::Error,
) -> StoreError {
    match source.kind() {
        std::io::ErrorKind::PermissionDenied if forbids_programs(&folder) => {
            StoreError::NoPrograms { folder, source }
        }
        _ => StoreError::Start { program: record.launch.program.under(&folder), source },
    }
}

/// Redirects the app's standard error into a file, if one can be opened.
pub(super) fn keep_errors(
    command: &mut Command,
    home: &Home,
    id: &ContainerId,
) -> Option<OutputFile> {
    match OutputFile::open(home, Writer::App, id) {
        Ok((errors, file)) => {
            command.stderr(file);
            Some(errors)
        }
        Err(error) => {
            tracing::warn!(
                error = error_chain::line(&error),
                "what the app writes to standard error is not kept"
            );
            None
        }
    }
}

/// Whether the file system of `folder` lets no program be started from it.
#[cfg(all(unix, not(target_vendor = "apple")))]
fn forbids_programs(folder: &Path) -> bool {
    rustix::fs::statvfs(folder)
        .is_ok_and(|system| system.f_flag.contains(rustix::fs::StatVfsMountFlags::NOEXEC))
}

/// Elsewhere it is a matter of rules that nobody tells.
#[cfg(not(all(unix, not(target_vendor = "apple"))))]
fn forbids_programs(_folder: &Path) -> bool {
    false
}
