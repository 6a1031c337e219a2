//! `kuzflow build`: what is typed, as a build request, and its progress in the terminal.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::Ending;
use super::output::Say;
use crate::host;
use crate::model::platform::AppName;
use crate::model::{Platform, Version};
use crate::publish::build::{BuildProgress, BuildRequest, EntryPoint, Runtime, Step, build as build_container};

/// The arguments of `kuzflow build`.
#[derive(Debug, Args)]
pub struct BuildArguments {
    /// The app's folder.
    #[arg(long, value_name = "DIR")]
    app: PathBuf,
    /// Which release this is.
    #[arg(long, value_name = "VERSION")]
    app_version: Version,
    /// The app's name in ids; the name of its folder if absent.
    #[arg(long, value_name = "NAME")]
    name: Option<AppName>,
    /// What is started: a script (app.py), a module (module:package), a function (module:package.main:run) or a
    /// program (exe:bin/app).
    #[arg(long, value_name = "ENTRY", default_value = "app.py")]
    entry: EntryPoint,
    /// What it is for; this machine's platform if absent.
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
    /// Which Python comes along: host (a copy of this machine's), none, a folder, or an archive.
    #[arg(long, value_name = "RUNTIME", default_value = "host", value_parser = runtime)]
    runtime: Runtime,
    /// This machine's Python, for the copy and for pip.
    #[arg(long, value_name = "PROGRAM")]
    python: Option<PathBuf>,
    /// Keep tkinter in the runtime.
    #[arg(long)]
    tkinter: bool,
    /// Packages to install into the container.
    #[arg(long, value_name = "FILE")]
    requirements: Option<PathBuf>,
    /// Default settings of the app; become config/ in the container.
    #[arg(long, value_name = "DIR")]
    config_defaults: Option<PathBuf>,
    /// The release's own migration of the user's files, a program or a Python script; becomes scripts/migrate in the container.
    #[arg(long, value_name = "FILE")]
    migrate: Option<PathBuf>,
    /// The app's name for people.
    #[arg(long, value_name = "NAME", default_value = "")]
    display_name: String,
    /// One line about the app.
    #[arg(long, value_name = "TEXT", default_value = "")]
    description: String,
    /// A PNG.
    #[arg(long, value_name = "FILE")]
    icon: Option<PathBuf>,
    /// Your own count of builds.
    #[arg(long, value_name = "TEXT")]
    build_number: Option<String>,
    /// The form of user data that this release knows, counted by you; a version that knows less is not switched to with newer data.
    #[arg(long, value_name = "N", default_value_t = 0)]
    data_schema: u32,
    /// The app says by itself when it is up (a line in the file that KUZFLOW_HEALTH names).
    #[arg(long)]
    reports_up: bool,
    /// Leave this out of the app's folder: a name (*.log) or a path from its top (docs/*.md).
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
    /// Leave this out of the installed requirements: a name or a path from the top of site-packages.
    #[arg(long, value_name = "PATTERN")]
    prune: Vec<String>,
    /// No precompiled bytecode: a smaller package, a slower start.
    #[arg(long)]
    no_bytecode: bool,
    /// On Windows: start python.exe and not pythonw.exe, for an app with a console.
    #[arg(long)]
    console: bool,
    /// How hard to compress, 1 (fast) to 22 (small).
    #[arg(long, value_name = "LEVEL", default_value_t = 19, value_parser = clap::value_parser!(i32).range(1..=22))]
    level: i32,
    /// The package; in a folder it gets its id as name.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Builds a container.
pub fn build(arguments: BuildArguments, say: &Say) -> Result<Ending, Box<dyn std::error::Error>> {
    let out = arguments.out.clone();
    let request = request(arguments)?;
    let bar = Bar::new(say.is_json());
    let built = build_container(&request, &out, &|progress| bar.show(progress))?;
    bar.bar.finish_and_clear();
    let report = &built.report;
    say.line(&format!(
        "{}: {} files, {} bytes unpacked, {} bytes packed",
        built.path.display(),
        report.files,
        report.unpacked_size,
        report.package_size
    ));
    let steps: Vec<_> =
        report.steps.iter().map(|(step, time)| json!({ "step": name(*step), "seconds": time.as_secs_f64() })).collect();
    for (step, time) in &report.steps {
        say.line(&format!("  {:<14} {:>7.1} s", name(*step), time.as_secs_f64()));
    }
    say.result(json!({
        "status": "done",
        "container": built.package.manifest.id(),
        "path": built.path,
        "files": report.files,
        "links": report.links,
        "unpacked": report.unpacked_size,
        "length": report.package_size,
        "hash": built.package.hash,
        "steps": steps,
    }));
    Ok(Ending::Done)
}

fn request(arguments: BuildArguments) -> Result<BuildRequest, Box<dyn std::error::Error>> {
    let name = match arguments.name {
        Some(name) => name,
        None => {
            let folder = std::fs::canonicalize(&arguments.app)?;
            folder
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .parse()
                .map_err(|error| format!("{error}; name the app with --name"))?
        }
    };
    let mut request = BuildRequest::new(arguments.app, name, arguments.app_version, arguments.entry);
    request.platform = arguments.platform.unwrap_or(request.platform);
    request.python = arguments.python.unwrap_or(request.python);
    request.runtime = arguments.runtime;
    request.tkinter = arguments.tkinter;
    request.requirements = arguments.requirements;
    request.config = arguments.config_defaults;
    request.migrate = arguments.migrate;
    request.display_name = arguments.display_name;
    request.description = arguments.description;
    request.icon = arguments.icon;
    request.build_number = arguments.build_number;
    request.data_schema = arguments.data_schema;
    request.reports_up = arguments.reports_up;
    request.exclude = arguments.exclude;
    request.prune = arguments.prune;
    request.bytecode = !arguments.no_bytecode;
    request.console = arguments.console;
    request.effort.level = arguments.level;
    request.build_date = source_date()?;
    Ok(request)
}

/// `SOURCE_DATE_EPOCH`, as reproducible-builds.org specifies it: seconds since 1970.
fn source_date() -> Result<Option<jiff::Timestamp>, Box<dyn std::error::Error>> {
    let Some(text) = host::variable("SOURCE_DATE_EPOCH") else { return Ok(None) };
    let seconds: i64 = text.to_string_lossy().trim().parse().map_err(|error| format!("SOURCE_DATE_EPOCH: {error}"))?;
    Ok(Some(jiff::Timestamp::from_second(seconds)?))
}

/// `host`, `none`, or the path of a folder or an archive.
fn runtime(text: &str) -> Result<Runtime, String> {
    let path = PathBuf::from(text);
    match text {
        "host" => Ok(Runtime::Host),
        "none" => Ok(Runtime::None),
        _ if path.is_dir() => Ok(Runtime::Folder(path)),
        _ if path.is_file() => Ok(Runtime::Archive(path)),
        _ => Err("expected host, none, or a folder or an archive that exists".to_owned()),
    }
}

fn name(step: Step) -> &'static str {
    match step {
        Step::Runtime => "runtime",
        Step::Dependencies => "dependencies",
        Step::App => "app",
        Step::Bytecode => "bytecode",
        Step::Pack => "pack",
    }
}

struct Bar {
    bar: ProgressBar,
    step: Mutex<Option<Step>>,
}

impl Bar {
    fn new(hidden: bool) -> Self {
        let style = ProgressStyle::with_template("{msg:<14} {wide_bar} {bytes}/{total_bytes}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = if hidden { ProgressBar::hidden() } else { ProgressBar::new(0) };
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar: bar.with_style(style), step: Mutex::default() }
    }

    fn show(&self, progress: BuildProgress) {
        let mut step = self.step.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if step.replace(progress.step) != Some(progress.step) {
            self.bar.set_message(name(progress.step));
        }
        self.bar.set_length(progress.total);
        self.bar.set_position(progress.done);
    }
}
