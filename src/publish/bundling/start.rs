//! How to start a container: the entry point, the launch in the manifest, and the same as a script
//! for a person or a shortcut.
//!
//! Options, not variables, make a container's Python use only what the container brings. A variable
//! would reach every program that the app starts, and the session's own variables (another Python's
//! `PYTHONHOME`, ROS's `PYTHONPATH`) would reach the app. `kuzflow_container` (`companion`) does
//! the same for the processes that the app starts with `sys.executable`. The specification exports
//! `PYTHONPATH` and puts the container's programs before the system's in `PATH`; here nothing is
//! exported, and they stand behind the system's.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use super::checks::no_entry;
use super::copy;
use super::detect::{self, Python};
use super::entry_point::EntryPoint;
use super::error::BuildError;
use super::request::{BuildRequest, no_runtime};
use crate::file_error::FileResult as _;
use crate::model::manifest::Launch;
use crate::model::{Platform, RelativePath, session};

/// Stands for the container's absolute path in a launch.
const CONTAINER: &str = "{container}";

/// The parts of the container besides the app that a launch depends on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Brings {
    /// The interpreter needs help to find its library.
    pub needs_home: bool,
    /// The container has the bytecode of all files.
    pub compiled: bool,
    /// The container has Qt's libraries.
    pub qt: bool,
}

/// Makes the launch for the manifest.
pub(super) fn launch(
    request: &BuildRequest,
    python: Option<&Python>,
    tree: &Path,
    brings: Brings,
) -> Result<Launch, BuildError> {
    if let (EntryPoint::Module(module) | EntryPoint::Function { module, .. }, Some(python)) =
        (&request.entry, python)
    {
        check_module(request, module, python, tree)?;
    }
    let working_folder = RelativePath::from_str("app")
        .map_err(|source| BuildError::Name { path: "app".into(), source })?;
    let environment = BTreeMap::from([
        ("KUZFLOW_HOME".to_owned(), CONTAINER.to_owned()),
        ("KUZFLOW_VERSION".to_owned(), request.version.to_string()),
    ]);
    let has_qt =
        brings.qt || python.is_some_and(|python| detect::qt_plugins(tree, python).is_some());
    let mut launch = Launch {
        environment,
        without: names(if has_qt { session::QT } else { &[] }),
        reports_up: request.reports_up,
        ..Launch::plain(working_folder.clone(), working_folder)
    };
    if let Some(python) = python {
        apply_environment(&mut launch, request, python, brings);
    }
    let program = |python: &Python| match &python.windowed {
        Some(windowed) if !request.console => windowed.clone(),
        _ => python.program.clone(),
    };
    let python = || python.ok_or_else(|| no_runtime(request));
    let mut options = interpreter_options(brings);
    launch.program = match &request.entry {
        EntryPoint::Executable(path) => in_app(path)?,
        _ => program(python()?),
    };
    launch.arguments = match &request.entry {
        EntryPoint::Executable(_) => Vec::new(),
        EntryPoint::Script(path) => {
            options.push(format!("{CONTAINER}/app/{path}"));
            options
        }
        EntryPoint::Module(module) => {
            options.extend(["-m".to_owned(), module.clone()]);
            options
        }
        EntryPoint::Function { module, function } => {
            let first = function.split('.').next().unwrap_or(function);
            // The folder by its name: an empty name would mean the app's working folder at that
            // time.
            let code = format!(
                "import os, sys; sys.path[0] = os.getcwd(); from {module} import {first}; sys.exit({function}())"
            );
            options.extend(["-c".to_owned(), code]);
            options
        }
    };
    Ok(launch)
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

/// Sets the environment of an app that brings `python`.
fn apply_environment(launch: &mut Launch, request: &BuildRequest, python: &Python, brings: Brings) {
    launch.without.extend(names(session::PYTHON_PLACES));
    launch.without.extend(names(session::TCL));
    if let Some(folder) = &python.library_folder {
        launch.prepend.insert("LD_LIBRARY_PATH".to_owned(), vec![folder.clone()]);
    }
    let mut set = |name: &str, value: String| launch.environment.insert(name.to_owned(), value);
    if brings.needs_home {
        set("PYTHONHOME", format!("{CONTAINER}/runtime"));
    }
    if !matches!(request.entry, EntryPoint::Executable(_)) {
        launch.append.insert("PATH".to_owned(), python.programs.clone());
        if brings.needs_home {
            // Python must see this one variable, so it would see all others as well.
            launch.without.extend(names(session::PYTHON_VARIABLES));
        }
        return;
    }
    // An executable of the app starts the container's Python itself. It finds that Python and
    // controls it through variables only.
    set("PYTHONNOUSERSITE", "1".to_owned());
    if brings.compiled {
        // An installed container must not change; it already has its bytecode.
        set("PYTHONDONTWRITEBYTECODE", "1".to_owned());
    } else {
        set("PYTHONPYCACHEPREFIX", format!("{CONTAINER}/temp/pycache"));
    }
    launch.prepend.insert("PATH".to_owned(), python.programs.clone());
    launch.prepend.insert("PYTHONPATH".to_owned(), vec![launch.working_folder.clone()]);
    launch.without.extend(names(session::PYTHON_VARIABLES));
}

/// The options of an interpreter before its script.
fn interpreter_options(brings: Brings) -> Vec<String> {
    // `-s`: hides packages that the user installed for another Python.
    let mut options = names(if brings.needs_home { &["-s"] } else { &["-E", "-s"] });
    if brings.compiled {
        // An installed container must not change; it already has its bytecode.
        options.push("-B".to_owned());
    } else {
        options.extend(["-X".to_owned(), format!("pycache_prefix={CONTAINER}/temp/pycache")]);
    }
    options
}

fn in_app(path: &RelativePath) -> Result<RelativePath, BuildError> {
    format!("app/{path}")
        .parse()
        .map_err(|source| BuildError::Name { path: path.as_str().into(), source })
}

/// Refuses an entry point that is a file and does not exist.
pub(super) fn check_file(request: &BuildRequest, tree: &Path) -> Result<(), BuildError> {
    match &request.entry {
        EntryPoint::Script(path) | EntryPoint::Executable(path)
            if !in_app(path)?.under(tree).is_file() =>
        {
            Err(no_entry(request))
        }
        _ => Ok(()),
    }
}

/// Refuses a module that is neither in the app nor installed. Native modules carry tags behind
/// their names, so the check looks only for the top package.
fn check_module(
    request: &BuildRequest,
    module: &str,
    python: &Python,
    tree: &Path,
) -> Result<(), BuildError> {
    let top = module.split('.').next().unwrap_or(module);
    let patterns = [top.to_owned(), format!("{top}.*")];
    let is_in =
        |folder: &Path| patterns.iter().any(|pattern| copy::find_name(folder, pattern).is_some());
    if is_in(&tree.join("app")) || is_in(&python.site.under(tree)) {
        Ok(())
    } else {
        Err(no_entry(request))
    }
}

/// Writes `scripts/launch.sh` or `scripts/launch.bat` with exactly the content of the launch, so
/// that both start the same process.
pub(super) fn write_script(
    request: &BuildRequest,
    launch: &Launch,
    tree: &Path,
) -> Result<RelativePath, BuildError> {
    let title = format!("{} {}", request.name, request.version);
    let (name, text) = script(launch, &title, &request.platform);
    let path: RelativePath =
        name.parse().map_err(|source| BuildError::Name { path: name.into(), source })?;
    fs::write(path.under(tree), text).at("write", Path::new(name))?;
    Ok(path)
}

fn script(launch: &Launch, title: &str, platform: &Platform) -> (&'static str, String) {
    if platform.is_windows() {
        ("scripts/launch.bat", batch(launch, title).replace('\n', "\r\n"))
    } else {
        ("scripts/launch.sh", shell(launch, title))
    }
}

/// A script for any POSIX shell. It works through links to it, from any folder, with any name in
/// its path.
fn shell(launch: &Launch, title: &str) -> String {
    let mut lines = String::new();
    if !launch.without.is_empty() {
        // The variables that are meant for another runtime.
        lines += &format!("unset {}\n", launch.without.join(" "));
    }
    for (name, value) in &launch.environment {
        lines += &format!("export {name}={}\n", shell_word(value));
    }
    for (name, folders) in &launch.prepend {
        let folders: Vec<String> =
            folders.iter().map(|folder| format!("$CONTAINER_ROOT/{folder}")).collect();
        // An empty part would mean the current folder.
        lines += &format!("export {name}=\"{}${{{name}:+:${name}}}\"\n", folders.join(":"));
    }
    for (name, folders) in &launch.append {
        let folders: Vec<String> =
            folders.iter().map(|folder| format!("$CONTAINER_ROOT/{folder}")).collect();
        lines += &format!("export {name}=\"${{{name}:+${name}:}}{}\"\n", folders.join(":"));
    }
    let arguments: String =
        launch.arguments.iter().map(|argument| format!(" {}", shell_word(argument))).collect();
    let (program, folder) = (
        shell_word(&format!("{CONTAINER}/{}", launch.program)),
        shell_word(&format!("{CONTAINER}/{}", launch.working_folder)),
    );
    format!(
        r#"#!/bin/sh
# Starts {title}. The launcher starts the same without a shell, as metadata/container.json says.
self=$0
while [ -h "$self" ]; do
    target=$(readlink "$self")
    case $target in
        /*) self=$target ;;
        *) self=$(dirname "$self")/$target ;;
    esac
done
CONTAINER_ROOT=$(CDPATH='' cd -- "$(dirname -- "$self")/.." && pwd -P) || exit 1
if [ ! -x {program} ]; then
    printf 'Error: %s is missing\n' {program} >&2
    exit 1
fi
{lines}for folder in data logs temp; do
    [ -d "$CONTAINER_ROOT/$folder" ] || mkdir -p "$CONTAINER_ROOT/$folder"
done
cd {folder} || exit 1
exec {program}{arguments} "$@"
"#
    )
}

/// A text in double quotes, with the container's path inserted.
fn shell_word(text: &str) -> String {
    let quoted: String = text
        .chars()
        .flat_map(|c| {
            let escape = matches!(c, '"' | '\\' | '$' | '`').then_some('\\');
            escape.into_iter().chain([c])
        })
        .collect();
    format!("\"{}\"", quoted.replace(CONTAINER, "$CONTAINER_ROOT"))
}

/// A script for cmd.exe. It has no delayed expansion, so that `!` in paths and arguments stays, and
/// no blocks in parentheses, which a `)` in a path would end. It restores the console's code page.
fn batch(launch: &Launch, title: &str) -> String {
    let mut lines = String::new();
    for name in &launch.without {
        lines += &format!("set \"{name}=\"\n");
    }
    for (name, value) in &launch.environment {
        lines += &format!("set \"{name}={}\"\n", batch_text(value));
    }
    for (name, folders) in &launch.prepend {
        let folders: Vec<String> =
            folders.iter().map(|folder| batch_text(&format!("{CONTAINER}/{folder}"))).collect();
        lines += &format!(
            "if defined {name} set \"{name}=;%{name}%\"\nset \"{name}={}%{name}%\"\n",
            folders.join(";")
        );
    }
    for (name, folders) in &launch.append {
        let folders: Vec<String> =
            folders.iter().map(|folder| batch_text(&format!("{CONTAINER}/{folder}"))).collect();
        lines += &format!(
            "if defined {name} set \"{name}=%{name}%;\"\nset \"{name}=%{name}%{}\"\n",
            folders.join(";")
        );
    }
    let arguments: String =
        launch.arguments.iter().map(|argument| format!(" \"{}\"", batch_text(argument))).collect();
    let program = batch_text(&format!("{CONTAINER}/{}", launch.program));
    let folder = batch_text(&format!("{CONTAINER}/{}", launch.working_folder));
    format!(
        r#"@echo off
rem Starts {title}. The launcher starts the same without cmd.exe, as metadata\container.json says.
setlocal DisableDelayedExpansion
for /f "tokens=2 delims=:." %%c in ('chcp') do set "CODE_PAGE=%%c"
chcp 65001 >nul
for %%i in ("%~dp0..") do set "CONTAINER_ROOT=%%~fi"
if not exist "{program}" goto missing
{lines}for %%f in (data logs temp) do if not exist "%CONTAINER_ROOT%\%%f" mkdir "%CONTAINER_ROOT%\%%f"
cd /d "{folder}"
"{program}"{arguments} %*
set "STATUS=%ERRORLEVEL%"
goto end
:missing
echo Error: "{program}" is missing 1>&2
set "STATUS=1"
:end
if defined CODE_PAGE chcp %CODE_PAGE% >nul
endlocal & exit /b %STATUS%
"#
    )
}

/// A text for double quotes, with the container's path inserted and backslashes in its part of the
/// text.
fn batch_text(text: &str) -> String {
    match text.strip_prefix(CONTAINER) {
        Some(path) => format!("%CONTAINER_ROOT%{}", path.replace('%', "%%").replace('/', "\\")),
        None => text.replace('%', "%%"),
    }
}

#[cfg(test)]
mod tests;
