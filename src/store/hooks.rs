//! The hooks of a release: `scripts/after-install`, which runs once for each installed version
//! before its first start, and `scripts/before-uninstall`, which runs before the app is
//! uninstalled.
//!
//! ```text
//! installed    <home>/hooks/<id> is there                    (nothing has run)
//! first start  counted in that file, then run                (a kill: the next start runs it again)
//! ended        the file goes, whatever the script's status   (it never runs again)
//! ```
//!
//! A hook works in the version's folder and has `KUZFLOW_HOOK` (its name), `KUZFLOW_HOME` (the
//! version's folder), `KUZFLOW_VERSION`, `KUZFLOW_CONFIG`, `KUZFLOW_DATA`, and `KUZFLOW_FROM` after
//! an update: the version that was active when this one was installed. Since a kill may come at any
//! time, it must do no harm if it runs twice. A hook whose launcher was killed works on until it has
//! ended; a start meanwhile begins no second one beside it, and leaves it due.
//!
//! In: a home, a version, a time limit. Out: whether the hook did well. Never: decides whether the
//! app starts, runs with more rights than the home's owner has.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::app_environment::Variable;
use super::files::{read_json, remove_file, replace_json};
use super::lock::{HomeLock, RunningLock};
use super::output_file::Writer;
use super::release_script::{self, ReleaseScript, Run, ScriptFailure};
use super::{Home, InstalledRecord, StoreError};
use crate::file_error::FileResult as _;
use crate::model::{ContainerId, Version};
use crate::{durable, error_chain, host, look};

const AFTER_INSTALL: &str = "after-install";
const BEFORE_UNINSTALL: &str = "before-uninstall";
/// How many times a hook is begun, if a kill comes into each run.
const MAX_RUNS: u32 = 3;

/// The options of a hook's run.
#[derive(Clone, Copy)]
pub(crate) struct HookOptions<'a> {
    /// Reads the session's environment.
    pub variable: Variable<'a>,
    /// How long a hook may take.
    pub limit: Duration,
}

impl HookOptions<'_> {
    /// No environment variables, one minute.
    pub(crate) const PLAIN: HookOptions<'static> =
        HookOptions { variable: &|_| None, limit: Duration::from_secs(60) };
}

/// Why a hook did not do well.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HookError {
    /// The home could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The script failed.
    #[error("{} failed", script.display())]
    Failed {
        /// The script.
        script: PathBuf,
        source: ScriptFailure,
    },
    /// A kill came into each run.
    #[error("{} was interrupted {MAX_RUNS} times", script.display())]
    Interrupted {
        /// The script.
        script: PathBuf,
    },
    /// The launcher has more rights than the user whose home it is.
    #[error("{} is not run with the rights of an administrator", script.display())]
    TooManyRights {
        /// The script.
        script: PathBuf,
    },
}

impl HookError {
    /// Whether the hook does not run again.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::Interrupted { .. })
    }
}

/// A hook that has to run, as its file in the home has it.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Due {
    /// The version that was active when this one was installed.
    from: Option<Version>,
    /// How many times it was begun.
    runs: u32,
}

/// Notes that the version in `tree`, which is about to be installed as `id`, has a hook to run.
pub(super) fn expect(home: &Home, id: &ContainerId, tree: &Path) -> Result<(), StoreError> {
    if release_script::find(tree, AFTER_INSTALL)?.is_none() {
        forget(home, id);
        return Ok(());
    }
    let from = home.named()?.map(|active| active.container.version);
    write(home, id, &Due { from, runs: 0 })
}

/// Forgets the hook of a version that is gone.
pub(super) fn forget(home: &Home, id: &ContainerId) {
    if let Err(error) = remove_file(&home.due_hook(id)) {
        tracing::warn!(error = error_chain::line(&error), "a hook stays due");
    }
}

/// Runs the version's `after-install` under the lock that `lock` takes, if it is due. A launcher that
/// is at work in the home may be running it: then this start leaves it to that one.
///
/// # Errors
/// Those of the hook and of the lock, which are in the log by then. The caller starts the version
/// all the same. After a final error the hook does not run again; otherwise the next start tries it.
pub(crate) fn run_if_due(
    home: &Home,
    record: &InstalledRecord,
    options: HookOptions,
    lock: impl FnOnce() -> Result<HomeLock, StoreError>,
) -> Result<(), HookError> {
    if !is_due(home, &record.container) {
        return Ok(());
    }
    let ended = lock()
        .map_err(HookError::from)
        .and_then(|lock| after_install(home, record, options, &lock));
    ended.inspect_err(|error| {
        tracing::warn!(error = error_chain::line(error), "a hook of the release did not succeed");
    })
}

/// Whether the version has an `after-install` that did not run to its end yet.
fn is_due(home: &Home, id: &ContainerId) -> bool {
    look::is_there(&home.due_hook(id)).unwrap_or(true)
}

/// Runs the version's `after-install`, if it is due. Meanwhile no launcher starts the version,
/// except one that has waited for long.
fn after_install(
    home: &Home,
    record: &InstalledRecord,
    options: HookOptions,
    _lock: &HomeLock,
) -> Result<(), HookError> {
    let id = &record.container;
    let due = match read_json::<Due>(&home.due_hook(id)) {
        Ok(Some(due)) => due,
        Ok(None) => return Ok(()),
        Err(StoreError::Damaged { .. }) => Due::default(),
        Err(error) => return Err(error.into()),
    };
    let Some(script) = ReleaseScript::of(home, record, AFTER_INSTALL)? else {
        forget(home, id);
        return Ok(());
    };
    refuse_too_many_rights(home, &script)?;
    if due.runs >= MAX_RUNS {
        forget(home, id);
        return Err(HookError::Interrupted { script: script.path });
    }
    let _waiting = RunningLock::keep_from_starting(home, id)?;
    // Where this cannot be written (a home that nobody may write) the hook would run at each start.
    write(home, id, &Due { from: due.from.clone(), runs: due.runs + 1 })?;
    let ended = run(home, &script, AFTER_INSTALL, due.from, options);
    if ended.as_ref().err().is_none_or(HookError::is_final) {
        forget(home, id);
    }
    ended
}

/// Runs the active version's `before-uninstall`, if it has one.
///
/// # Errors
/// The caller tells them and uninstalls all the same.
pub(crate) fn before_uninstall(
    home: &Home,
    options: HookOptions,
    _lock: &HomeLock,
) -> Result<(), HookError> {
    let record = match home.active() {
        Ok((_, record)) => record,
        Err(StoreError::NothingInstalled { .. }) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let Some(script) = ReleaseScript::of(home, &record, BEFORE_UNINSTALL)? else { return Ok(()) };
    refuse_too_many_rights(home, &script)?;
    run(home, &script, BEFORE_UNINSTALL, None, options)
}

fn run(
    home: &Home,
    script: &ReleaseScript,
    name: &'static str,
    from: Option<Version>,
    options: HookOptions,
) -> Result<(), HookError> {
    let folder = &script.container;
    let mut environment = vec![
        ("KUZFLOW_HOOK", name.into()),
        ("KUZFLOW_CONFIG", folder.join("config").into()),
        ("KUZFLOW_DATA", folder.join("data").into()),
    ];
    environment.extend(from.map(|from| ("KUZFLOW_FROM", from.to_string().into())));
    let run = Run {
        variable: options.variable,
        arguments: Vec::new(),
        environment,
        working_folder: folder,
        writer: Writer::Hooks,
        limit: options.limit,
    };
    script.run(home, run).map_err(|failure| match failure.of_the_system(&script.path) {
        Ok(error) => StoreError::File(error).into(),
        Err(source) => HookError::Failed { script: script.path.clone(), source },
    })
}

/// An uninstaller for all users, or one that was started by `sudo`, may run as an administrator. A
/// user's own files must not decide what that one does.
fn refuse_too_many_rights(home: &Home, script: &ReleaseScript) -> Result<(), HookError> {
    if host::has_more_rights_than_owner(home.root()) {
        return Err(HookError::TooManyRights { script: script.path.clone() });
    }
    Ok(())
}

fn write(home: &Home, id: &ContainerId, due: &Due) -> Result<(), StoreError> {
    let path = home.due_hook(id);
    if let Some(folder) = path.parent() {
        durable::create_folders(folder).at("create", folder)?;
    }
    replace_json(&path, due)
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
