//! `kuzflow build`: turns its arguments into a build request, and shows the progress in the
//! terminal.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::shared::output::Say;
use super::shared::progress::{Progress, name};
use super::shared::project;
use super::try_start::{self, TrialOptions};
use crate::app::Ending;
use crate::app::streams::error_line;
use crate::host;
use crate::model::platform::AppName;
use crate::model::{Platform, Version};
use crate::publish::Project;
use crate::publish::bundling::{
    BuildRequest, Built, EntryPoint, Runtime, build as build_container,
};
use crate::publish::package::USUAL_LEVEL;
use crate::publish::recipe::Recipe;
use crate::real_path;

/// The arguments of `kuzflow build`.
#[derive(Debug, Args)]
pub(super) struct BuildArguments {
    /// The app's folder; if absent, what [app] in kuzflow.toml says, as for every option that is
    /// not given.
    #[arg(long, value_name = "DIR")]
    app: Option<PathBuf>,
    /// The publisher's folder, whose kuzflow.toml says what is not said here.
    #[arg(long, value_name = "DIR")]
    repo: Option<PathBuf>,
    /// Which release this is.
    #[arg(long, value_name = "VERSION")]
    app_version: Version,
    /// The app's name in ids; the name of its folder if absent.
    #[arg(long, value_name = "NAME")]
    name: Option<AppName>,
    /// What is started: a script (app.py), a module (module:package), a function
    /// (module:package.main:run) or a program (exe:bin/app). app.py if nothing is said.
    #[arg(long, value_name = "ENTRY")]
    entry: Option<EntryPoint>,
    /// What it is for: Windows_AMD64, Linux_x86_64, Linux_aarch64, Darwin_arm64, …; this machine's
    /// platform if absent. Another one needs a runtime in [runtimes], or --runtime.
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
    /// Which Python comes along: host (a copy of this machine's, if nothing is said), none, a
    /// folder, or an archive.
    #[arg(long, value_name = "RUNTIME")]
    runtime: Option<String>,
    /// This machine's Python, for the copy, for pip, and for the bytecode of another system if it
    /// is of the same minor version.
    #[arg(long, value_name = "PROGRAM")]
    python: Option<PathBuf>,
    /// Keep tkinter in the runtime.
    #[arg(long)]
    tkinter: bool,
    /// Packages to install into the container: a list for pip, or a pyproject.toml.
    #[arg(long, value_name = "FILE")]
    requirements: Option<PathBuf>,
    /// Default settings of the app; become config/ in the container.
    #[arg(long, value_name = "DIR")]
    config_defaults: Option<PathBuf>,
    /// The release's own migration of the user's files, a program or a Python script; becomes
    /// scripts/migrate in the container.
    #[arg(long, value_name = "FILE")]
    migrate: Option<PathBuf>,
    /// What the launcher runs once before the version's first start, a program or a Python script;
    /// becomes scripts/after-install in the container.
    #[arg(long, value_name = "FILE")]
    after_install: Option<PathBuf>,
    /// What the launcher runs before it uninstalls the app, a program or a Python script; becomes
    /// scripts/before-uninstall in the container.
    #[arg(long, value_name = "FILE")]
    before_uninstall: Option<PathBuf>,
    /// The app's name for people.
    #[arg(long, value_name = "NAME")]
    display_name: Option<String>,
    /// One line about the app.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// The app's icon: an SVG, or a PNG, a square of 256 pixels or more.
    #[arg(long, value_name = "FILE")]
    icon: Option<PathBuf>,
    /// Your own count of builds.
    #[arg(long, value_name = "TEXT")]
    build_number: Option<String>,
    /// The commit that it is built from; what git says about the app's folder if absent.
    #[arg(long, value_name = "TEXT")]
    commit: Option<String>,
    /// The form of user data that this release knows, counted by you; a version that knows less is
    /// not switched to with newer data.
    #[arg(long, value_name = "N")]
    data_schema: Option<u32>,
    /// The app says by itself when it is up (a line in the file that KUZFLOW_HEALTH names).
    #[arg(long)]
    reports_up: bool,
    /// Leave this out of the app's folder: a name (*.log) or a path from its top (docs/*.md).
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
    /// Keep this although it is machine code for another system: a name, or a path from the
    /// container's top (app/tools/*.exe).
    #[arg(long, value_name = "PATTERN")]
    foreign_file: Vec<String>,
    /// Leave this out of the runtime: a name or a path from its top (share/terminfo).
    #[arg(long, value_name = "PATTERN")]
    runtime_exclude: Vec<String>,
    /// Leave this out of the installed requirements: a name or a path from the top of
    /// site-packages.
    #[arg(long, value_name = "PATTERN")]
    prune: Vec<String>,
    /// No precompiled bytecode: a smaller package, a slower start.
    #[arg(long)]
    no_bytecode: bool,
    /// On Windows: start python.exe and not pythonw.exe, for an app with a console.
    #[arg(long)]
    console: bool,
    /// How hard to compress, 1 (fast) to 22 (small); 12 if nothing is said. 19 makes packages a
    /// tenth smaller, in eight times the time.
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(i32).range(1..=22))]
    level: Option<i32>,
    /// Then start it once, as `kuzflow try` does.
    #[arg(long)]
    trial: bool,
    #[command(flatten)]
    trial_options: TrialOptions,
    /// The package; in a folder it gets its id as name.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Builds a container.
pub(super) fn build(
    arguments: BuildArguments,
    say: &Say,
) -> Result<Ending, Box<dyn std::error::Error>> {
    let out = arguments.out.clone();
    let trial = arguments.trial.then(|| arguments.trial_options.clone());
    let request = request(arguments)?;
    let built = run(&request, &out, say)?;
    let report = &built.report;
    if let Some(options) = &trial {
        match try_start::of_package(&built.path, options, say)? {
            Some(true) => {}
            Some(false) => return Ok(Ending::Failed),
            None => error_line(&format!(
                "warning: it cannot be tried here: it is for {}",
                request.platform
            )),
        }
    }
    let file = project::typed(&built.path);
    let can_be_tried = trial.is_none() && request.platform == Platform::current();
    let first = if can_be_tried { format!("kuzflow try {file}, then ") } else { String::new() };
    say.next(&format!("{first}kuzflow publish {file}"));
    let steps: Vec<_> = report
        .steps
        .iter()
        .map(|(step, time)| json!({ "step": name(*step), "seconds": time.as_secs_f64() }))
        .collect();
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
        "warnings": report.warnings,
    }));
    Ok(Ending::Done)
}

/// Builds, and reports the outcome.
pub(super) fn run(
    request: &BuildRequest,
    out: &Path,
    say: &Say,
) -> Result<Built, Box<dyn std::error::Error>> {
    let progress = Progress::new(say, request.effort.level);
    let built = build_container(request, out, &|step| progress.show(step));
    progress.finish();
    let built = built?;
    let report = &built.report;
    say.line(&format!(
        "{}: {} files, {} bytes unpacked, {} bytes packed",
        built.path.display(),
        report.files,
        report.unpacked_size,
        report.package_size
    ));
    for (step, time) in &report.steps {
        say.line(&format!("  {:<14} {:>7.1} s", name(*step), time.as_secs_f64()));
    }
    for warning in &report.warnings {
        error_line(&format!("warning: {warning}"));
    }
    Ok(built)
}

/// The build request of a release, from `[app]` in the publisher's folder.
pub(super) fn request_of(
    project: &Project,
    version: Version,
    platform: Platform,
    typed: Option<EntryPoint>,
) -> Result<BuildRequest, Box<dyn std::error::Error>> {
    let settings = project.settings();
    let recipe = &settings.recipe;
    let file = project.folder().join("kuzflow.toml");
    if recipe.folder.is_none() {
        return Err(format!(
            "{} does not say where the app is: set folder in [app], or give --app DIR to kuzflow build",
            file.display()
        )
        .into());
    }
    let entry = entry(typed, Some(recipe), &platform)?;
    let folder = real_path::joined(project.folder(), recipe.folder_for(&platform)?);
    if !folder.is_dir() {
        return Err(format!(
            "the app's folder {} is not there; mend folder in [app] of {}",
            folder.display(),
            file.display()
        )
        .into());
    }
    let mut request = BuildRequest::new(folder, settings.app.clone(), version, entry);
    request.platform = platform;
    request.display_name.clone_from(&settings.display_name);
    request.effort.level = USUAL_LEVEL;
    settings.fill(&mut request, project.folder())?;
    request.build_date = source_date()?;
    Ok(request)
}

/// What is started: what was typed, otherwise what `[app]` says, otherwise the usual script.
fn entry(
    typed: Option<EntryPoint>,
    recipe: Option<&Recipe>,
    platform: &Platform,
) -> Result<EntryPoint, Box<dyn std::error::Error>> {
    if let Some(typed) = typed {
        return Ok(typed);
    }
    match recipe.map(|recipe| recipe.entry_for(platform)).transpose()?.flatten() {
        Some(entry) => Ok(entry.clone()),
        None => Ok("app.py".parse::<EntryPoint>()?),
    }
}

fn request(arguments: BuildArguments) -> Result<BuildRequest, Box<dyn std::error::Error>> {
    let platform = arguments.platform.clone().unwrap_or_else(Platform::current);
    let mut request = match &arguments.app {
        None => {
            let project = open(arguments.repo.as_deref())?;
            let (version, entry) = (arguments.app_version.clone(), arguments.entry.clone());
            request_of(&project, version, platform, entry)?
        }
        Some(app) => {
            let app = &real_path::simplified(app);
            // A publisher's folder around the app fills in the missing arguments, if it publishes
            // this app.
            let project = match &arguments.repo {
                Some(repo) => Some(open(Some(repo))?),
                None => {
                    open(None).ok().filter(|project| is_of(project, app, arguments.name.as_ref()))
                }
            };
            let name = match (&arguments.name, &project) {
                (Some(name), _) => name.clone(),
                (None, Some(project)) => project.settings().app.clone(),
                (None, None) => folder_name(app)?,
            };
            let recipe = project.as_ref().map(|project| &project.settings().recipe);
            let entry = entry(arguments.entry.clone(), recipe, &platform)?;
            let mut request = BuildRequest::new(app, name, arguments.app_version.clone(), entry);
            request.platform = platform;
            if let Some(project) = &project {
                request.display_name.clone_from(&project.settings().display_name);
                project.settings().fill(&mut request, project.folder())?;
            }
            request
        }
    };
    request.build_date = source_date()?;
    overrule(&mut request, arguments)?;
    Ok(request)
}

/// Whether `project` publishes the app in `folder`; `name` is the app's name if it was given.
fn is_of(project: &Project, folder: &Path, name: Option<&AppName>) -> bool {
    let same = |own: &PathBuf| {
        real_path::resolve(&project.folder().join(own)).ok() == real_path::resolve(folder).ok()
    };
    match name {
        Some(name) => *name == project.settings().app,
        None => project.settings().recipe.folders().any(same),
    }
}

fn open(repo: Option<&Path>) -> Result<Project, Box<dyn std::error::Error>> {
    Ok(Project::open(&project::folder(repo)?)?)
}

fn folder_name(app: &Path) -> Result<AppName, Box<dyn std::error::Error>> {
    let folder = real_path::resolve(app)
        .map_err(|error| format!("the app's folder {}: {error}", app.display()))?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    Ok(name.parse().map_err(|error| format!("{error}; name the app with --name"))?)
}

/// Typed arguments overrule the recipe.
fn overrule(
    request: &mut BuildRequest,
    arguments: BuildArguments,
) -> Result<(), Box<dyn std::error::Error>> {
    fn set<T>(value: &mut T, typed: Option<T>) {
        if let Some(typed) = typed {
            *value = typed;
        }
    }
    set(&mut request.name, arguments.name);
    set(&mut request.entry, arguments.entry);
    set(&mut request.python, arguments.python);
    set(
        &mut request.runtime,
        arguments.runtime.map(|text| Runtime::named(&text, Path::new(""))).transpose()?,
    );
    set(&mut request.display_name, arguments.display_name);
    set(&mut request.description, arguments.description);
    set(&mut request.data_schema, arguments.data_schema);
    set(&mut request.effort.level, arguments.level);
    request.requirements = arguments.requirements.or(request.requirements.take());
    request.config = arguments.config_defaults.or(request.config.take());
    request.migrate = arguments.migrate.or(request.migrate.take());
    request.after_install = arguments.after_install.or(request.after_install.take());
    request.before_uninstall = arguments.before_uninstall.or(request.before_uninstall.take());
    request.icon = arguments.icon.or(request.icon.take());
    request.build_number = arguments.build_number;
    request.git_commit = arguments.commit;
    request.tkinter |= arguments.tkinter;
    request.reports_up |= arguments.reports_up;
    request.console |= arguments.console;
    request.bytecode = !arguments.no_bytecode;
    request.exclude.extend(arguments.exclude);
    request.foreign_files.extend(arguments.foreign_file);
    request.runtime_exclude.extend(arguments.runtime_exclude);
    request.prune.extend(arguments.prune);
    Ok(())
}

/// `SOURCE_DATE_EPOCH`, as reproducible-builds.org specifies it: seconds since 1970.
fn source_date() -> Result<Option<jiff::Timestamp>, Box<dyn std::error::Error>> {
    let Some(text) = host::variable("SOURCE_DATE_EPOCH") else { return Ok(None) };
    let seconds: i64 = text
        .to_string_lossy()
        .trim()
        .parse()
        .map_err(|error| format!("SOURCE_DATE_EPOCH: {error}"))?;
    Ok(Some(jiff::Timestamp::from_second(seconds)?))
}
