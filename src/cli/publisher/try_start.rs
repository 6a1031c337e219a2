//! `kuzflow try`: starts a container once as a launcher would, to see what its first user would
//! see.
//!
//! In: a package, or an unpacked container. Out: how the start went, and the end of the app's
//! output. The app runs from a temporary folder with separate user folders, so that neither the
//! publisher's settings nor another running copy influence it. Qt draws its windows nowhere, unless
//! the publisher asks for them. Never: a process left behind.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use super::shared::VerbError;
use super::shared::output::Say;
use crate::app::Ending;
use crate::app::streams::error_line;
use crate::container::{self, Unpacker};
use crate::host;
use crate::model::exit_code::ProcessEnd;
use crate::model::manifest::MANIFEST_PATH;
use crate::model::{Digest, Manifest, Platform};
use crate::mutex;
use crate::programs;
use crate::publish::package::{Effort, inspect};
use crate::real_path;
use crate::store::InstalledRecord;
use crate::store::launch::{self, Call};

/// The text below `kuzflow try --help`.
pub(super) const HELP: &str = "\
The app is started as a launcher starts it, but with temporary user folders, and with Qt's windows drawn nowhere (--show draws them).
Status 0: it came up, runs after that time, or ended with status 0. Status 1: it did not start, failed or crashed, or it is for
another system than this computer's and cannot be tried here.

Example: kuzflow try my-app.kuzflow --seconds 10";

/// How a trial is to be.
#[derive(Debug, Clone, Args)]
pub(super) struct TrialOptions {
    /// How long the app is watched, in seconds; one that says by itself when it is up gets until
    /// then, and 60 s at most.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Let its windows be seen.
    #[arg(long)]
    show: bool,
    /// Only import what is started, without starting it: for machines without a display. Python
    /// only.
    #[arg(long)]
    import_only: bool,
}

/// The arguments of `kuzflow try`.
#[derive(Debug, Args)]
pub(super) struct TryArguments {
    /// A built container, or a folder with an unpacked one.
    container: PathBuf,
    #[command(flatten)]
    options: TrialOptions,
}

/// The outcome of a trial start.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fared {
    /// The app reported that it is up.
    Up,
    /// The app still ran at the end of the time.
    Runs,
    /// The app ended by itself with this status.
    Ended(u32),
    /// The app reported a failure.
    ReportedFailure(String),
    /// The app should have reported that it is up, and did not.
    NotUp,
}

impl Fared {
    fn is_well(&self) -> bool {
        matches!(self, Self::Up | Self::Runs | Self::Ended(0))
    }
}

/// Tries a container.
pub(super) fn try_start(arguments: &TryArguments, say: &Say) -> Result<Ending, VerbError> {
    let Some(trial) = Trial::prepare(&arguments.container)? else {
        let (path, here) = (arguments.container.display(), Platform::current());
        return Err(format!("{path} cannot be tried on this computer, which is {here}; call kuzflow try on one of its own platform").into());
    };
    let (ending, report) = trial.run(&arguments.options, say)?;
    if ending == Ending::Done {
        say.next(&format!(
            "kuzflow publish {}",
            super::shared::project::typed(&arguments.container)
        ));
    }
    say.result(report);
    Ok(ending)
}

/// The trial start of a package in `kuzflow release`; `None` where the package cannot run here.
pub(super) fn of_package(
    package: &Path,
    options: &TrialOptions,
    say: &Say,
) -> Result<Option<bool>, VerbError> {
    let Some(trial) = Trial::prepare(package)? else { return Ok(None) };
    let (ending, _) = trial.run(options, say)?;
    Ok(Some(ending == Ending::Done))
}

/// A container in a temporary folder.
struct Trial {
    /// The folder of the container, the user folders and the health file.
    folder: tempfile::TempDir,
    manifest: Manifest,
}

impl Trial {
    /// Unpacks the container; `None` if it is for another system.
    fn prepare(source: &Path) -> Result<Option<Self>, VerbError> {
        // The folder lies beside the package: that disk has room for packages, and the system's
        // temporary folder is often small.
        let beside = source
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let new = || tempfile::Builder::new().prefix(".kuzflow-try-").tempdir_in(beside);
        let folder = new().or_else(|_| tempfile::tempdir())?;
        let root = folder.path().join("container");
        let threads = Effort::default().threads;
        let manifest = if source.is_dir() {
            let json = std::fs::read(source.join(MANIFEST_PATH)).map_err(|error| {
                format!("{} is no unpacked container: {MANIFEST_PATH}: {error}", source.display())
            })?;
            let manifest = Arc::new(Manifest::from_json(&json)?);
            if manifest.platform() != Platform::current() {
                return Ok(None);
            }
            let unpacker = Unpacker::new(Arc::clone(&manifest), root)?;
            for (path, _) in manifest.files_with_bytes() {
                unpacker.clone_from(path, &path.under(source))?;
            }
            unpacker.finish(&json)?;
            manifest
        } else {
            let package = inspect(source, threads)?;
            if package.manifest.platform() != Platform::current() {
                return Ok(None);
            }
            let json = package.manifest.to_json()?;
            let manifest = Arc::new(package.manifest);
            container::unpack_package(
                &File::open(source)?,
                Arc::clone(&manifest),
                &package.index,
                &json,
                root,
                threads,
                &|_| (),
            )?;
            manifest
        };
        Ok(Some(Self { folder, manifest: Arc::unwrap_or_clone(manifest) }))
    }

    fn run(&self, options: &TrialOptions, say: &Say) -> Result<(Ending, Value), VerbError> {
        let id = self.manifest.id();
        let reports_up = self.manifest.application_info.launch.reports_up && !options.import_only;
        let limit = Duration::from_secs(if reports_up {
            options.seconds.max(60)
        } else {
            options.seconds.max(u64::from(options.import_only) * 60)
        });
        let mut command = self.command(options)?;
        say.line(&format!(
            "trying {id}{}",
            if options.show { "" } else { " (no windows; --show shows them)" }
        ));
        let started = Instant::now();
        let program = command.get_program().to_owned();
        let mut app = App::start(&mut command)
            .map_err(|error| format!("cannot start {}: {error}", Path::new(&program).display()))?;
        let fared = app.watch(limit, reports_up, &|| health_report(&self.health()));
        let took = started.elapsed();
        app.end();
        let wrote = app.wrote();
        let words = words(&fared, took);
        let hints = hints(&wrote);
        if fared.is_well() {
            say.line(&format!("{id}: {words}"));
            if wrote.contains("Traceback (most recent call last)") {
                error_line("warning: it wrote a traceback:");
                tell_last(&wrote);
            }
        } else {
            error_line(&format!("error: {id}: {words}"));
            tell_last(&wrote);
            hints.iter().for_each(|hint| error_line(&format!("  {hint}")));
        }
        let status = if fared.is_well() { "done" } else { "failed" };
        let code = if let Fared::Ended(code) = fared { Some(code) } else { None };
        let report = json!({ "status": status, "container": id, "outcome": words, "exit_code": code, "seconds": took.as_secs_f64(), "wrote": wrote, "hints": hints });
        Ok((if fared.is_well() { Ending::Done } else { Ending::Failed }, report))
    }

    fn health(&self) -> PathBuf {
        self.folder.path().join("health")
    }

    /// The command that a launcher would start, with separate user folders.
    fn command(&self, options: &TrialOptions) -> Result<Command, VerbError> {
        let root = real_path::resolve(&self.folder.path().join("container"))?;
        let mut record = InstalledRecord::of(&self.manifest, Digest::of(b""), host::now());
        if options.import_only {
            only_import(&mut record.launch.arguments)?;
        }
        let variable = |name: &str| host::variable(name);
        let call =
            Call { arguments: &[], variable: &variable, environment: &[], keep_errors: false };
        let mut command = launch::command(&record, &root, call);
        std::fs::write(self.health(), b"")?;
        command.env("KUZFLOW_HEALTH", std::path::absolute(self.health())?);
        let user = std::path::absolute(self.folder.path().join("user"))?;
        std::fs::create_dir_all(&user)?;
        if let (Some(home), None, true) =
            (host::variable("HOME"), host::variable("XAUTHORITY"), cfg!(unix))
        {
            command.env("XAUTHORITY", Path::new(&home).join(".Xauthority"));
        }
        for (name, folder) in [
            ("HOME", ""),
            ("USERPROFILE", ""),
            ("XDG_CONFIG_HOME", ".config"),
            ("XDG_DATA_HOME", ".local/share"),
            ("XDG_STATE_HOME", ".local/state"),
            ("XDG_CACHE_HOME", ".cache"),
            ("APPDATA", "AppData/Roaming"),
            ("LOCALAPPDATA", "AppData/Local"),
        ] {
            let place = if folder.is_empty() { user.clone() } else { user.join(folder) };
            std::fs::create_dir_all(&place)?;
            command.env(name, place);
        }
        if !options.show {
            command.env("QT_QPA_PLATFORM", "offscreen");
        }
        Ok(command)
    }
}

/// Turns the arguments of a Python start into those of an import of the same module, which ends by
/// itself.
fn only_import(arguments: &mut Vec<String>) -> Result<(), VerbError> {
    let at =
        |arguments: &[String], flag: &str| arguments.iter().position(|argument| argument == flag);
    let quoted = |text: &str| serde_json::to_string(text).unwrap_or_default();
    let run = "__imported_for_a_trial__";
    let (code, retained) = if let Some(index) = at(arguments, "-c") {
        // `import sys; from module import name; sys.exit(name())`: all of it but the call.
        let code = arguments.get(index + 1).cloned().unwrap_or_default();
        let all_but_call = code
            .rsplit_once("sys.exit(")
            .map(|(before, call)| format!("{before}{}", call.trim_end_matches("())")));
        (all_but_call.unwrap_or(code), index)
    } else if let Some(index) = at(arguments, "-m") {
        let module = arguments.get(index + 1).cloned().unwrap_or_default();
        (
            format!(
                "import runpy; runpy.run_module({}, run_name={})",
                quoted(&module),
                quoted(run)
            ),
            index,
        )
    } else if let Some(script) = arguments.last().filter(|last| last.ends_with(".py")) {
        let path = quoted(script);
        let folder = format!("import os, runpy, sys; sys.path.insert(0, os.path.dirname({path}))");
        (format!("{folder}; runpy.run_path({path}, run_name={})", quoted(run)), arguments.len() - 1)
    } else {
        return Err("--import-only is for entry points in Python".into());
    };
    arguments.truncate(retained);
    arguments.extend(["-c".to_owned(), code]);
    Ok(())
}

fn health_report(health: &Path) -> Option<Result<(), String>> {
    let text = std::fs::read_to_string(health).ok()?;
    text.lines().rev().map(str::trim).find_map(|line| match line.strip_prefix("failed") {
        Some(reason) => Some(Err(reason.trim_start_matches([':', ' ']).to_owned())),
        None => (line == "up").then_some(Ok(())),
    })
}

/// How much of the end of an app's output is retained, bytes.
const MAX_OUTPUT: usize = 16 << 10;
/// How many lines of that output are printed.
const REPORTED_LINES: usize = 20;
/// Time between two looks at the app.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How much time an app gets to end after its trial.
const TO_END: Duration = Duration::from_secs(3);

/// The app's processes, and their output.
struct App {
    child: Child,
    wrote: Arc<Mutex<Vec<u8>>>,
}

impl App {
    fn start(command: &mut Command) -> std::io::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // The app gets its own process group, so that all its processes end with it.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        let mut child = programs::spawn(command)?;
        let wrote = Arc::new(Mutex::new(Vec::new()));
        if let Some(output) = child.stdout.take() {
            keep(output, Arc::clone(&wrote));
        }
        if let Some(errors) = child.stderr.take() {
            keep(errors, Arc::clone(&wrote));
        }
        Ok(Self { child, wrote })
    }

    /// Watches the app until it is up, has ended, or the time is over.
    fn watch(
        &mut self,
        limit: Duration,
        must_say: bool,
        health_report: &dyn Fn() -> Option<Result<(), String>>,
    ) -> Fared {
        let end = Instant::now() + limit;
        loop {
            let ended = self.child.try_wait().ok().flatten();
            match health_report() {
                Some(Err(reason)) => return Fared::ReportedFailure(reason),
                Some(Ok(())) if ended.is_none() && must_say => return Fared::Up,
                _ => {}
            }
            if let Some(status) = ended {
                return Fared::Ended(launch::exit_code(status));
            }
            if Instant::now() >= end {
                return if must_say { Fared::NotUp } else { Fared::Runs };
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// Asks the app to end, and then ends it with all its processes.
    fn end(&mut self) {
        self.signal(false);
        let end = Instant::now() + TO_END;
        while self.ended().is_none() && Instant::now() < end {
            std::thread::sleep(POLL_INTERVAL);
        }
        self.signal(true);
        if self.ended().is_none() {
            // A process that cannot be killed cannot be ended in any other way.
            let _ = self.child.kill().and_then(|()| self.child.wait());
        }
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    #[cfg(unix)]
    fn signal(&mut self, forcibly: bool) {
        use rustix::process::{Pid, Signal, kill_process_group};
        // The group's number is the child's. While a process of the group lives, no other process
        // gets it.
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, if forcibly { Signal::KILL } else { Signal::TERM });
        }
    }

    #[cfg(windows)]
    fn signal(&mut self, forcibly: bool) {
        if self.ended().is_none() {
            let process = self.child.id().to_string();
            let force: &[&str] = if forcibly { &["/f"] } else { &[] };
            let _ = Command::new("taskkill")
                .args(["/t", "/pid", &process])
                .args(force)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
        }
    }

    fn wrote(&self) -> String {
        // The readers may be a moment behind the end of the app.
        std::thread::sleep(POLL_INTERVAL * 2);
        String::from_utf8_lossy(&mutex::lock(&self.wrote)).into_owned()
    }
}

impl Drop for App {
    fn drop(&mut self) {
        if self.ended().is_none() {
            self.signal(true);
        }
    }
}

/// Reads all of `from`, so that its writer never waits, and retains the end.
#[allow(clippy::disallowed_methods)] // on the publisher's computer a panic is a message
fn keep(mut from: impl Read + Send + 'static, retained: Arc<Mutex<Vec<u8>>>) {
    std::thread::spawn(move || {
        let mut block = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut block) {
            let mut retained = mutex::lock(&retained);
            retained.extend_from_slice(&block[..count]);
            let surplus = retained.len().saturating_sub(MAX_OUTPUT);
            retained.drain(..surplus);
        }
    });
}

fn words(fared: &Fared, took: Duration) -> String {
    let seconds = format!("{:.1} s", took.as_secs_f64());
    match fared {
        Fared::Up => format!("it said that it is up after {seconds}"),
        Fared::Runs => format!("it runs after {seconds}"),
        Fared::Ended(0) => format!("it ended by itself with status 0 after {seconds}"),
        Fared::Ended(code) => match ProcessEnd::of(*code) {
            ProcessEnd::Status(status) => format!("it ended with status {status} after {seconds}"),
            ProcessEnd::Signal(signal) => {
                format!("it crashed after {seconds} (status {code}, signal {signal})")
            }
            ProcessEnd::Exception(_) => {
                format!("it crashed after {seconds} (exception 0x{code:08X})")
            }
        },
        Fared::ReportedFailure(reason) => format!("it said that it failed: {reason}"),
        Fared::NotUp => {
            format!(
                "it has not said that it is up after {seconds}; call kuzflow_runtime.up() in it, or build without --reports-up"
            )
        }
    }
}

/// Advice for the most common failures, found by words in the app's output.
fn hints(wrote: &str) -> Vec<String> {
    let after = |marker: &str| {
        wrote.rsplit_once(marker).and_then(|(_, rest)| rest.lines().next()).map(str::trim)
    };
    let mut hints = Vec::new();
    if let Some(module) = after("No module named ") {
        let module = module.trim_matches(['\'', '"', '.', ';']);
        hints.push(format!(
            "{module} is neither in the app nor installed: add its package to the requirements (--requirements FILE, or `requirements` in kuzflow.toml)"
        ));
    } else if wrote.contains("cannot open shared object file") {
        hints.push("a library of the system is missing here; users' computers may lack it, too: name it in your instructions, or bring it along".into());
    }
    if [
        "could not connect to display",
        "no display name and no $DISPLAY",
        "cannot open display",
        "couldn't connect to display",
    ]
    .iter()
    .any(|words| wrote.contains(words))
    {
        hints.push("there is no display here: try --import-only, or run this under Xvfb (xvfb-run kuzflow …)".into());
    }
    if wrote.contains("could not load the Qt platform plugin")
        || wrote.contains("Could not find the Qt platform plugin")
    {
        hints.push("the Qt in the container lacks its plugin for windows drawn nowhere: try --show, with a display".into());
    }
    hints
}

fn tell_last(wrote: &str) {
    let lines: Vec<&str> = wrote.lines().collect();
    for line in &lines[lines.len().saturating_sub(REPORTED_LINES)..] {
        // An app's output must not move the cursor or colour the terminal.
        let plain: String = line.chars().filter(|c| !c.is_control() || *c == '\t').collect();
        error_line(&format!("  | {plain}"));
    }
    if lines.is_empty() {
        error_line("  it wrote nothing");
    }
}

#[cfg(test)]
mod tests;
