//! `kuzflow try`: starts a container once as a launcher would, to see what its first user would
//! see.
//!
//! In: a package, or an unpacked container. Out: how the start went, and the end of the app's
//! output. The app runs from a temporary folder with separate user folders, so that neither the
//! publisher's settings nor another running copy influence it. Qt draws its windows nowhere, unless
//! the publisher asks for them. Never: a process left behind.

mod app;
mod changes;
mod early_end;
mod words;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use self::app::{App, Fared};
use self::changes::FileChange;
use self::words::{hints, tell_last, words};
use super::shared::VerbError;
use super::shared::output::Say;
use crate::app::Ending;
use crate::app::streams::error_line;
use crate::container::{self, Unpacker};
use crate::host;
use crate::model::manifest::MANIFEST_PATH;
use crate::model::{ContainerId, Digest, Manifest, Platform};
use crate::publish::package::{Effort, inspect};
use crate::real_path;
use crate::store::InstalledRecord;
use crate::store::launch::{self, Call};

/// The text below `kuzflow try --help`.
pub(super) const HELP: &str = "\
The app is started as a launcher starts it, but with temporary user folders, and with Qt's windows drawn nowhere (--show draws them).
Status 0: it came up, runs after that time, or ended with status 0. Status 1: it did not start, failed or crashed, or it is for
another system than this computer's and cannot be tried here. A warning names each file that it wrote among its own program files.

Example: kuzflow try my-app.kuzflow --seconds 10";

/// How long an app is watched at most that ends by itself or says when it is up.
const LONG_TRIAL_SECONDS: u64 = 60;

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
    /// Whether the publisher says that the app is a program of a terminal.
    #[arg(skip)]
    has_console: bool,
}

impl TrialOptions {
    /// The same for an app of which the publisher has said whether it is a program of a terminal.
    pub(super) fn for_program(&self, has_console: bool) -> Self {
        Self { has_console, ..self.clone() }
    }

    fn may_end(&self) -> bool {
        self.import_only || self.has_console
    }
}

/// The arguments of `kuzflow try`.
#[derive(Debug, Args)]
pub(super) struct TryArguments {
    /// A built container, or a folder with an unpacked one.
    container: PathBuf,
    #[command(flatten)]
    options: TrialOptions,
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
    let (ending, mut report) = trial.run(options, say)?;
    report["event"] = json!("tried");
    say.event(&report);
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
        let shown = if options.show { "" } else { " (no windows; --show shows them)" };
        say.line(&format!("trying {id}{shown}"));
        let trial = self.start(options)?;
        trial.tell(&id, say);
        let ending = if trial.fared.is_well() { Ending::Done } else { Ending::Failed };
        Ok((ending, trial.report(&id)))
    }

    /// Starts the app, watches it, and ends it.
    fn start(&self, options: &TrialOptions) -> Result<Outcome, VerbError> {
        let reports_up = self.manifest.application_info.launch.reports_up && !options.import_only;
        let waits = reports_up || options.import_only;
        let limit = options.seconds.max(if waits { LONG_TRIAL_SECONDS } else { 0 });
        let mut command = self.command(options)?;
        let started = Instant::now();
        let program = command.get_program().to_owned();
        let mut app = App::start(&mut command)
            .map_err(|error| format!("cannot start {}: {error}", Path::new(&program).display()))?;
        let limit = Duration::from_secs(limit);
        let fared = app.watch(limit, reports_up, &|| health_report(&self.health()));
        let took = started.elapsed();
        app.end();
        let threads = Effort::default().threads;
        let changes = changes::find(&self.root(), &self.manifest, threads);
        let early_end = early_end::warning(&fared, &self.manifest, options.may_end());
        Ok(Outcome { fared, took, wrote: app.wrote(), changes, early_end })
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("container")
    }

    fn health(&self) -> PathBuf {
        self.folder.path().join("health")
    }

    /// The command that a launcher would start, with separate user folders.
    fn command(&self, options: &TrialOptions) -> Result<Command, VerbError> {
        let root = real_path::resolve(&self.root())?;
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

/// What a trial has shown.
struct Outcome {
    fared: Fared,
    took: Duration,
    /// The end of the app's output.
    wrote: String,
    changes: Vec<FileChange>,
    /// A word about an app that should perhaps have gone on.
    early_end: Option<&'static str>,
}

impl Outcome {
    fn tell(&self, id: &ContainerId, say: &Say) {
        let words = words(&self.fared, self.took);
        if self.fared.is_well() {
            say.line(&format!("{id}: {words}"));
            if self.wrote.contains("Traceback (most recent call last)") {
                error_line("warning: it wrote a traceback:");
                tell_last(&self.wrote);
            }
        } else {
            error_line(&format!("error: {id}: {words}"));
            tell_last(&self.wrote);
            hints(&self.wrote).iter().for_each(|hint| error_line(&format!("  {hint}")));
        }
        if let Some(warning) = self.early_end {
            error_line(&format!("warning: {warning}"));
        }
        for warning in changes::warnings(&self.changes) {
            error_line(&format!("warning: {warning}"));
        }
    }

    /// The same for scripts.
    fn report(&self, id: &ContainerId) -> Value {
        let code = if let Fared::Ended(code) = self.fared { Some(code) } else { None };
        let mut hints = hints(&self.wrote);
        hints.extend(self.early_end.map(str::to_owned));
        json!({
            "status": if self.fared.is_well() { "done" } else { "failed" },
            "container": id,
            "outcome": words(&self.fared, self.took),
            "exit_code": code,
            "seconds": self.took.as_secs_f64(),
            "wrote": self.wrote,
            "hints": hints,
            "changed_files": self.changes,
        })
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

#[cfg(test)]
mod tests;
