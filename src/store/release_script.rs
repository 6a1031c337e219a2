//! Runs a script that a release brought: its migration, its hooks.
//!
//! In: an installed version, the script's name, a command's additions, a time limit. Out: how it
//! ended. Never: lets it or a process of its group outlive the run, keeps more of its output than a
//! version's file may hold, runs it through a shell.
//!
//! A script is `scripts/NAME` (a program) or `scripts/NAME.py` (run by the version's own Python); on
//! Windows `NAME.exe`, `NAME.cmd`, `NAME.bat` or `NAME.py`.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::app_environment::{Purpose, Surroundings, Variable};
use super::command::apply_environment;
use super::files::exists;
use super::output_file::{OutputFile, Writer};
use super::{Home, InstalledRecord, StoreError};
use crate::error_chain;
use crate::file_error::{FileError, FileResult as _, is_disk_full};
use crate::look;
use crate::process_group::ProcessGroup;
use crate::programs;

/// Pause between two looks at the script.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// How many of a failed script's last lines an error shows.
const REPORTED_LINES: usize = 20;

/// How a script failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScriptFailure {
    /// Its program could not be started.
    #[error("cannot be started: {0}")]
    NotStarted(io::Error),
    /// Its output has no place.
    #[error(transparent)]
    Output(FileError),
    /// It ended with another status than 0.
    #[error("{status}; {output}")]
    Status {
        status: ExitStatus,
        /// Its last lines.
        output: String,
    },
    /// It was ended since it took too long.
    #[error("was not done after {seconds} s; {output}")]
    TimeLimit {
        seconds: u64,
        /// Its last lines.
        output: String,
    },
}

impl ScriptFailure {
    /// The system's error if the script never began and is not to blame: a full disk, or too many
    /// processes or open files. It may begin another time.
    pub(super) fn of_the_system(self, script: &Path) -> Result<FileError, Self> {
        match self {
            Self::Output(error) => Ok(error),
            Self::NotStarted(error) if is_disk_full(&error) || look::is_shortage(&error) => {
                Ok(FileError::new("start", script, error))
            }
            failure => Err(failure),
        }
    }
}

/// A script of an installed version.
pub(super) struct ReleaseScript<'a> {
    pub path: PathBuf,
    owner: &'a InstalledRecord,
    /// The version's folder.
    pub container: PathBuf,
}

/// What a run adds to the script's own command.
pub(super) struct Run<'a> {
    /// Reads the session's environment.
    pub variable: Variable<'a>,
    pub arguments: Vec<OsString>,
    pub environment: Vec<(&'static str, OsString)>,
    pub working_folder: &'a Path,
    /// Which of the version's files takes the output.
    pub writer: Writer,
    pub limit: Duration,
}

/// The script `name` of the version in `container`; `None` if it has none.
///
/// # Errors
/// If the disk does not say. A link is followed, and one without a target is an error: a script
/// that is there but cannot be read must not count as absent.
pub(super) fn find(container: &Path, name: &str) -> Result<Option<PathBuf>, StoreError> {
    let endings: &[&str] =
        if cfg!(windows) { &[".exe", ".cmd", ".bat", ".py"] } else { &["", ".py"] };
    let folder = container.join("scripts");
    for path in endings.iter().map(|ending| folder.join(format!("{name}{ending}"))) {
        if exists(&path)? && fs::metadata(&path).at("look at", &path)?.is_file() {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

impl<'a> ReleaseScript<'a> {
    /// The script `name` of `owner`, if it has one.
    pub(super) fn of(
        home: &Home,
        owner: &'a InstalledRecord,
        name: &str,
    ) -> Result<Option<Self>, StoreError> {
        let folder = home.container(&owner.container);
        let container = std::path::absolute(&folder).at("find", &folder)?;
        Ok(find(&container, name)?.map(|path| Self { path, owner, container }))
    }

    /// Runs it to its end, or to its time limit. Processes that it leaves behind are ended as well.
    pub(super) fn run(&self, home: &Home, run: Run) -> Result<(), ScriptFailure> {
        let (output, file) = OutputFile::open(home, run.writer, &self.owner.container)
            .and_then(|(output, file)| Ok((output, [file.try_clone()?, file])))
            .at("write the output of", &self.path)
            .map_err(ScriptFailure::Output)?;
        let [out, errors] = file;
        let mut command = self.command(run.variable);
        command.args(&run.arguments).current_dir(run.working_folder);
        command.envs(run.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(out).stderr(errors);
        tracing::info!(script = %self.path.display(), output = %output.path().display(), "running a script of the release");
        let mut child = programs::spawn(&mut command).map_err(ScriptFailure::NotStarted)?;
        let group = ProcessGroup::of(&child);
        let status = wait(&mut child, &group, &output, run.limit);
        let output = last_lines(&output);
        match status.map_err(ScriptFailure::NotStarted)? {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(ScriptFailure::Status { status, output }),
            None => Err(ScriptFailure::TimeLimit { seconds: run.limit.as_secs(), output }),
        }
    }

    /// The command that runs it, without arguments, folder and streams.
    fn command(&self, variable: Variable) -> Command {
        let mut command = match self.path.extension() {
            Some(ending) if ending == "py" => {
                let mut python = Command::new(self.owner.launch.program.under(&self.container));
                python.args(interpreter_options(self.owner)).arg(&self.path);
                python
            }
            _ => Command::new(&self.path),
        };
        let around =
            Surroundings::of(&self.owner.launch, &self.container, Purpose::Script, variable);
        apply_environment(&mut command, self.owner, around);
        ProcessGroup::prepare(&mut command);
        command
    }
}

/// Waits for the script's end; `None` if it was ended because it took longer than `limit`.
fn wait(
    child: &mut Child,
    group: &ProcessGroup,
    output: &OutputFile,
    limit: Duration,
) -> io::Result<Option<ExitStatus>> {
    let end = Instant::now() + limit;
    let status = loop {
        match child.try_wait()? {
            Some(status) => break Some(status),
            None if Instant::now() < end => std::thread::sleep(POLL_INTERVAL),
            None => break None,
        }
        cut(output);
    };
    // Processes that the script left behind must not work on the user's files any more.
    group.end();
    let _ = child.kill();
    let _ = child.wait();
    cut(output);
    Ok(status)
}

fn cut(output: &OutputFile) {
    if let Err(error) = output.cut() {
        tracing::info!(error = error_chain::line(&error), "a script's output is not cut off");
    }
}

/// The options that a version's own Python gets before its script; the release's scripts get them
/// too.
fn interpreter_options(owner: &InstalledRecord) -> impl Iterator<Item = &String> {
    let known = |argument: &&String| ["-E", "-s", "-B"].contains(&argument.as_str());
    owner.launch.arguments.iter().take_while(|argument| argument.starts_with('-')).filter(known)
}

fn last_lines(output: &OutputFile) -> String {
    let lines = output.last_lines(REPORTED_LINES);
    if lines.is_empty() { "it wrote nothing".to_owned() } else { lines.join("\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_of_the_system_is_no_fault_of_the_script() {
        let script = Path::new("scripts/migrate");
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::OutOfMemory] {
            let error = ScriptFailure::NotStarted(kind.into()).of_the_system(script).unwrap();
            assert_eq!((error.action, error.source.kind()), ("start", kind));
        }
        for kind in [io::ErrorKind::NotFound, io::ErrorKind::PermissionDenied] {
            let failure = ScriptFailure::NotStarted(kind.into()).of_the_system(script);
            assert!(matches!(failure, Err(ScriptFailure::NotStarted(_))));
        }
    }
}
