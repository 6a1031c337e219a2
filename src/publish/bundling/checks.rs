//! Finds errors in a build request before the build takes time, and examines the entry point
//! without running it.
//!
//! In: a request; later the tree that was laid out. Out: a refusal with a remedy, or warnings.
//! Never: a run of the app's own code.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use serde_json::json;

use super::copy::Exclusions;
use super::request::{ArchiveSource, PinnedArchive, find_icon, no_runtime};
use super::{
    BuildError, BuildRequest, EntryPoint, FileKind, NEVER, Runtime, copy, icon, scripts, target,
    tool,
};
use crate::error_chain;
use crate::model::{Platform, RelativePath};

/// Checks everything that the request names. It copies and fetches nothing, and runs only Python,
/// which parses the entry point.
pub(super) fn before(request: &BuildRequest) -> Result<Vec<String>, BuildError> {
    check_folder("the app's folder", &request.app)?;
    check_platform(&request.platform)?;
    if let Some(requirements) = &request.requirements {
        check_file("the requirements", requirements)?;
    }
    for script in scripts::of(request) {
        check_file(script.what, script.source)?;
        script.check(request)?;
    }
    if let Some(config) = &request.config {
        check_folder("the folder of default settings", config)?;
    }
    check_runtime(request)?;
    check_entry_file(request)?;
    let icon = request.icon.as_deref().map(|icon| {
        let path = find_icon(&request.app, icon);
        check_file("the icon", &path)?;
        icon::check(&path)
    });
    ask_before_installing(request)?;
    Ok(icon.transpose()?.flatten().into_iter().chain(python_for_nothing(request)).collect())
}

fn check_folder(what: &'static str, path: &Path) -> Result<(), BuildError> {
    if path.is_dir() { Ok(()) } else { Err(absent(what, "folder", path)) }
}

fn check_file(what: &'static str, path: &Path) -> Result<(), BuildError> {
    if path.is_file() { Ok(()) } else { Err(absent(what, "file", path)) }
}

/// The error for a `path` that cannot be used as the `wanted` kind of file.
fn absent(what: &'static str, wanted: &'static str, path: &Path) -> BuildError {
    let path = path.to_owned();
    if path.exists() {
        BuildError::OtherKind { what, wanted, path }
    } else {
        BuildError::Missing { what, path }
    }
}

/// Refuses a platform that no system calls itself.
fn check_platform(platform: &Platform) -> Result<(), BuildError> {
    let advice = target::misspelled(platform).filter(|_| *platform != Platform::current());
    match advice {
        Some(advice) => Err(BuildError::Platform { platform: platform.clone(), advice }),
        None => Ok(()),
    }
}

fn check_runtime(request: &BuildRequest) -> Result<(), BuildError> {
    let needs_python =
        !matches!(request.entry, EntryPoint::Executable(_)) || request.requirements.is_some();
    match &request.runtime {
        Runtime::None if needs_python => Err(no_runtime(request)),
        Runtime::Host if request.platform != Platform::current() => {
            Err(BuildError::ForeignRuntime {
                current: Platform::current(),
                wanted: request.platform.clone(),
            })
        }
        Runtime::Folder(path) => check_folder("the runtime", path),
        Runtime::Archive(path)
        | Runtime::Pinned(PinnedArchive { source: ArchiveSource::File(path), .. }) => {
            check_file("the runtime", path)
        }
        _ => Ok(()),
    }
}

/// Checks that an entry point that is a file exists and is not left out.
fn check_entry_file(request: &BuildRequest) -> Result<(), BuildError> {
    let (EntryPoint::Script(path) | EntryPoint::Executable(path)) = &request.entry else {
        return Ok(());
    };
    if !path.under(&request.app).is_file() {
        return Err(no_entry(request));
    }
    let excluded =
        Exclusions::new(NEVER.iter().copied().chain(request.exclude.iter().map(String::as_str)));
    let mut parts =
        path.as_str().match_indices('/').map(|(at, _)| &path.as_str()[..at]).chain([path.as_str()]);
    match parts.find(|part| excluded.covers(part)) {
        Some(part) => {
            Err(BuildError::EntryExcluded { entry: request.entry.clone(), part: part.to_owned() })
        }
        None => check_entry_kind(request, path),
    }
}

/// Checks that Python does not receive a program, and that an executable is a file that some system
/// starts. On Windows file endings decide, so nothing is checked there.
fn check_entry_kind(request: &BuildRequest, path: &RelativePath) -> Result<(), BuildError> {
    let refuse = |reason: String| Err(BuildError::Entry { entry: request.entry.clone(), reason });
    let is_python = [".py", ".pyw"].iter().any(|ending| path.as_str().ends_with(ending));
    match (&request.entry, FileKind::of(&path.under(&request.app))) {
        (EntryPoint::Script(_), Some(FileKind::Program | FileKind::Script)) if !is_python => {
            refuse(format!("it is a program and no Python script; write exe:{path}"))
        }
        (EntryPoint::Executable(_), Some(FileKind::Plain)) if is_python => {
            refuse(format!("it is a Python script; write {path}, without exe:"))
        }
        (EntryPoint::Executable(_), Some(FileKind::Plain)) if !request.platform.is_windows() => {
            refuse(
                "it is neither a program nor a script with a first line such as #!/bin/sh"
                    .to_owned(),
            )
        }
        _ => Ok(()),
    }
}

/// Warns of a container that would include Python for a program that does not ask for it.
fn python_for_nothing(request: &BuildRequest) -> Option<String> {
    let EntryPoint::Executable(path) = &request.entry else { return None };
    let asks =
        FileKind::of(&path.under(&request.app)).is_none_or(|kind| kind == FileKind::PythonScript);
    let brings = matches!(request.runtime, Runtime::Host) && request.requirements.is_none();
    (brings && !asks).then(|| {
        format!(
            "Python comes along, which {} does not ask for; runtime = \"none\" in kuzflow.toml, or --runtime none, leaves it out",
            request.entry
        )
    })
}

/// The error for an entry point that does not exist, with the likely alternatives.
pub(super) fn no_entry(request: &BuildRequest) -> BuildError {
    BuildError::NoEntry {
        entry: request.entry.clone(),
        app: request.app.clone(),
        there: candidates(request),
    }
}

/// Files in the app's folder that look like an entry point, as the user would write them.
fn candidates(request: &BuildRequest) -> String {
    let excluded = Exclusions::new(NEVER);
    let mut names: Vec<String> = fs::read_dir(&request.app)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry)))
        .filter(|(name, _)| !excluded.covers(name))
        .filter_map(|(name, entry)| {
            let path = entry.path();
            match &request.entry {
                EntryPoint::Executable(_) => copy::is_program(&path).then(|| format!("exe:{name}")),
                _ if path.join("__main__.py").is_file() => Some(format!("module:{name}")),
                _ => {
                    (path.is_file() && name.ends_with(".py") && name != "setup.py").then_some(name)
                }
            }
        })
        .collect();
    names.sort();
    names.truncate(8);
    if names.is_empty() {
        "nothing there looks like one; is it the right folder?".into()
    } else {
        format!("there are {}", names.join(", "))
    }
}

/// The answer of `entry.py`.
#[derive(Debug, Deserialize)]
struct EntryReport {
    problem: Option<Problem>,
    missing: Vec<MissingImport>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
enum Problem {
    Module { module: String, parent: Option<String> },
    Main { module: String },
    Function { module: String, function: String, there: Vec<String> },
    Syntax { file: String, line: u32, reason: String },
}

/// An import that no module satisfies.
#[derive(Debug, Deserialize)]
struct MissingImport {
    module: String,
    file: String,
    line: u32,
}

/// Checks a module of the app itself before the runtime and the requirements take minutes. The
/// container's own Python may find or understand modules that this machine's does not.
fn ask_before_installing(request: &BuildRequest) -> Result<(), BuildError> {
    if matches!(request.entry, EntryPoint::Executable(_)) {
        return Ok(());
    }
    let Some(answer) =
        ask(tool::python(&request.python), request, &[&request.app], &request.app, false)
    else {
        return Ok(());
    };
    match answer.problem {
        Some(problem @ (Problem::Main { .. } | Problem::Function { .. })) => {
            Err(problem.refused(request))
        }
        // The package belongs to the app, so no requirement can bring the rest of it.
        Some(problem @ Problem::Module { parent: Some(_), .. }) => Err(problem.refused(request)),
        _ => Ok(()),
    }
}

/// Checks the entry point in the tree that was laid out, with the container's own Python if that
/// runs here. Returns warnings.
pub(super) fn installed(
    request: &BuildRequest,
    python: Command,
    tree: &Path,
    site: &Path,
) -> Result<Vec<String>, BuildError> {
    if matches!(request.entry, EntryPoint::Executable(_)) {
        return Ok(Vec::new());
    }
    let app = tree.join("app");
    let Some(answer) = ask(python, request, &[&app, site], &app, true) else {
        return Ok(Vec::new());
    };
    let mut warnings = Vec::new();
    match answer.problem {
        Some(Problem::Syntax { file, line, reason }) => {
            warnings.push(format!("{file}, line {line}: {reason}; the app cannot start like this"));
        }
        // A module may come from another place than a folder of its name; another check finds
        // whether it exists at all.
        Some(Problem::Module { parent: None, .. }) | None => {}
        Some(problem) => return Err(problem.refused(request)),
    }
    let hint = match &request.requirements {
        Some(requirements) => format!("add its package to {}", requirements.display()),
        None => {
            "name the app's packages with --requirements FILE, or `requirements` in kuzflow.toml"
                .to_owned()
        }
    };
    warnings.extend(answer.missing.into_iter().map(|import| {
        let MissingImport { module, file, line } = import;
        format!("{file}, line {line} imports {module}, which is neither in the app nor installed: the app will not start. If it needs it, {hint}")
    }));
    Ok(warnings)
}

/// `None` where Python does not run here: other steps report that, or do without it.
fn ask(
    mut python: Command,
    request: &BuildRequest,
    roots: &[&Path],
    app: &Path,
    imports: bool,
) -> Option<EntryReport> {
    let (kind, name, function) = match &request.entry {
        EntryPoint::Script(path) => ("script", path.under(app).to_string_lossy().into_owned(), ""),
        EntryPoint::Module(module) => ("module", module.clone(), ""),
        EntryPoint::Function { module, function } => {
            ("function", module.clone(), function.as_str())
        }
        EntryPoint::Executable(_) => return None,
    };
    let question = json!({ "roots": roots, "app": app, "kind": kind, "name": name, "function": function, "imports": imports });
    python.args(["-s", "-c", include_str!("entry.py")]);
    let output =
        tool::run(&mut python, "looking at the entry point", question.to_string().as_bytes());
    let output = output
        .inspect_err(|error| {
            tracing::debug!(error = error_chain::line(&error), "the entry point is not looked into")
        })
        .ok()?;
    serde_json::from_slice(&output).ok()
}

impl Problem {
    fn refused(self, request: &BuildRequest) -> BuildError {
        let reason = match self {
            Self::Module { module, .. } => format!("there is no module {module} in it"),
            Self::Main { module } => {
                format!(
                    "the package {module} has no __main__.py; name a function in it (module:{module}.main:run), or add one"
                )
            }
            Self::Function { module, function, there } if there.is_empty() => {
                format!("the module {module} defines no {function}")
            }
            Self::Function { module, function, there } => {
                format!("the module {module} defines no {function}; it has {}", there.join(", "))
            }
            Self::Syntax { file, line, reason } => format!("{file}, line {line}: {reason}"),
        };
        BuildError::Entry { entry: request.entry.clone(), reason }
    }
}

#[cfg(test)]
mod tests;
