//! The command that starts a version: its program, folder, arguments and environment.
//!
//! In: a version's record, and what a start adds. Out: a command that nobody has run yet. Never: a
//! shell.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use super::InstalledRecord;
use super::app_environment::{Purpose, Surroundings, Variable};
use crate::host;

/// The variable that names the folder in which the launcher was started.
const CALLER_FOLDER: &str = "KUZFLOW_CALLER_FOLDER";

/// What a start passes to the app besides its manifest.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    /// The user's own arguments, after the app's.
    pub arguments: &'a [OsString],
    /// Returns the present value of a list variable (`PATH`).
    pub variable: Variable<'a>,
    /// Further variables, for this start only.
    pub environment: &'a [(&'static str, OsString)],
    /// Store what the app writes to standard error: no terminal shows it.
    pub keep_errors: bool,
}

#[cfg(test)]
impl Call<'_> {
    /// A call with no additions.
    pub(crate) const PLAIN: Call<'static> =
        Call { arguments: &[], variable: &|_| None, environment: &[], keep_errors: false };
}

/// The command that starts the version in `folder`.
pub(crate) fn command(record: &InstalledRecord, folder: &Path, call: Call<'_>) -> Command {
    let launch = &record.launch;
    let mut command = Command::new(launch.program.under(folder));
    let around = Surroundings::of(launch, folder, Purpose::App, call.variable);
    command.args(&around.arguments).args(call.arguments);
    command.current_dir(launch.working_folder.under(folder));
    apply_environment(&mut command, record, around);
    if let Some(caller) = host::working_folder() {
        command.env(CALLER_FOLDER, caller);
    }
    command.envs(call.environment.iter().map(|(name, value)| (name, value)));
    command
}

/// Sets the variables of a version's command.
pub(super) fn apply_environment(
    command: &mut Command,
    record: &InstalledRecord,
    around: Surroundings,
) {
    for name in around.removed {
        command.env_remove(name);
    }
    command.envs(around.set);
    command.env("KUZFLOW_VERSION", record.container.version.to_string());
}
