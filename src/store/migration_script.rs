//! Runs a release's own migration, `scripts/migrate`, on the copy of the user's files that the new
//! version will get, before the switch counts.
//!
//! In: the copy, both versions, a time limit. Out: a changed copy, or an error. Never: touches the
//! user's present files, takes longer than the limit.
//!
//! The script is called with two arguments, the version that is left and the next one, in a folder
//! that holds `config`, `data` and `logs`. `KUZFLOW_FROM`, `KUZFLOW_TO`, `KUZFLOW_CONFIG` and
//! `KUZFLOW_DATA` hold the same values. Status 0 means that the copy is right for the next version.
//! The script is `scripts/migrate` (a program) or `scripts/migrate.py` (run by the version's own
//! Python); on Windows `migrate.exe`, `migrate.cmd` or `migrate.bat`. The newer of the two versions
//! supplies it, since only that one knows both forms.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::app_environment::{Purpose, Surroundings, Variable};
use super::command::apply_environment;
use super::files::exists;
use super::{Home, InstalledRecord, StoreError};
use crate::file_error::FileResult as _;
use crate::model::ContainerId;
use crate::programs;

/// Pause between two looks at the script.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// How much of a failed script's output an error shows, bytes.
const REPORTED: usize = 2048;

/// Whether the newer version of a switch has a migration script.
pub(super) fn is_there(home: &Home, owner: &ContainerId) -> Result<bool, StoreError> {
    find(&home.container(owner)).map(|script| script.is_some())
}

/// Runs the migration of `owner`, if it has one, on the files in `work`.
pub(super) fn run(
    home: &Home,
    owner: &InstalledRecord,
    (from, to): (&ContainerId, &ContainerId),
    work: &Path,
    limit: Duration,
    variable: Variable,
) -> Result<(), StoreError> {
    let folder = home.container(&owner.container);
    let folder = std::path::absolute(&folder).at("find", &folder)?;
    let Some(script) = find(&folder)? else { return Ok(()) };
    let refuse = |reason: String| StoreError::Migration {
        id: to.to_string(),
        script: script.clone(),
        reason,
    };
    let work = std::path::absolute(work).at("find", work)?;
    let written = home.logs().join("migrate.txt");
    fs::create_dir_all(home.logs()).at("create", &home.logs())?;
    let output = private(&written).at("create", &written)?;
    let errors = output.try_clone().at("open", &written)?;
    let mut command = command(owner, &folder, &script, variable);
    command.args([from.version.to_string(), to.version.to_string()]).current_dir(&work);
    command.env("KUZFLOW_FROM", from.version.to_string()).env("KUZFLOW_TO", to.version.to_string());
    command.env("KUZFLOW_CONFIG", work.join("config")).env("KUZFLOW_DATA", work.join("data"));
    command.stdin(Stdio::null()).stdout(output).stderr(errors);
    tracing::info!(script = %script.display(), %from, %to, "migrating");
    let mut child = programs::spawn(&mut command)
        .map_err(|error| refuse(format!("cannot be started: {error}")))?;
    match wait(&mut child, limit).map_err(|error| refuse(error.to_string()))? {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(refuse(format!("{status}; {}", end_of(&written)))),
        None => {
            Err(StoreError::MigrationTime { id: to.to_string(), script, seconds: limit.as_secs() })
        }
    }
}

/// The command that runs `script`, without its arguments, folder and streams.
fn command(owner: &InstalledRecord, folder: &Path, script: &Path, variable: Variable) -> Command {
    let mut command = match script.extension() {
        Some(ending) if ending == "py" => {
            let mut python = Command::new(owner.launch.program.under(folder));
            python.args(interpreter_options(owner)).arg(script);
            python
        }
        _ => Command::new(script),
    };
    apply_environment(
        &mut command,
        owner,
        Surroundings::of(&owner.launch, folder, Purpose::Script, variable),
    );
    // A separate process group, so that the processes of the script end with it.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    // The launcher has no console that the script could use: it would flash up a window of its own.
    #[cfg(windows)]
    std::os::windows::process::CommandExt::creation_flags(
        &mut command,
        windows_sys::Win32::System::Threading::CREATE_NO_WINDOW,
    );
    command
}

/// Waits for the script's end; `None` if it was ended because it took longer than `limit`.
fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let end = Instant::now() + limit;
    loop {
        match child.try_wait()? {
            Some(status) => {
                // Processes that the script left behind must not write to the copy any more.
                end_all(child);
                return Ok(Some(status));
            }
            None if Instant::now() < end => std::thread::sleep(POLL_INTERVAL),
            None => {
                end_all(child);
                return Ok(None);
            }
        }
    }
}

/// A file that only this user may read: a script may write parts of the user's data.
fn private(path: &Path) -> std::io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// The options that a version's own Python gets before its script; the migration gets them too.
fn interpreter_options(owner: &InstalledRecord) -> impl Iterator<Item = &String> {
    let known = |argument: &&String| ["-E", "-s", "-B"].contains(&argument.as_str());
    owner.launch.arguments.iter().take_while(|argument| argument.starts_with('-')).filter(known)
}

fn find(folder: &Path) -> Result<Option<PathBuf>, StoreError> {
    let names: &[&str] = if cfg!(windows) {
        &["migrate.exe", "migrate.cmd", "migrate.bat", "migrate.py"]
    } else {
        &["migrate", "migrate.py"]
    };
    for path in names.iter().map(|name| folder.join("scripts").join(name)) {
        // A link is followed, and one without a target is an error: without its migration a switch
        // would mix two forms of data.
        if exists(&path)? && fs::metadata(&path).at("look at", &path)?.is_file() {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn end_all(child: &mut Child) {
    #[cfg(unix)]
    if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// The last lines of the script's output.
fn end_of(written: &Path) -> String {
    let bytes = fs::read(written).unwrap_or_default();
    let text =
        String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(REPORTED)..]).trim().to_owned();
    if text.is_empty() { "it wrote nothing".to_owned() } else { text }
}
