//! What can be seen to be wrong with a build before time goes into it, and what is seen of its entry point without running it.
//!
//! In: a request; later the tree that was laid out. Out: a refusal that says what to do, or warnings. Never: a run of the app's own code.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use serde_json::json;

use super::copy::Exclusions;
use super::{BuildError, BuildRequest, EntryPoint, FileKind, NEVER, Runtime, copy, tool};
use crate::model::{Platform, RelativePath};

/// Below this many pixels a desktop shows an icon blurred.
const SMALLEST_SHARP_ICON: u32 = 128;

/// Looks at everything that the request names. Nothing is copied, run or fetched yet, but Python, which parses the entry point.
pub fn before(request: &BuildRequest) -> Result<Vec<String>, BuildError> {
    check_folder("the app's folder", &request.app)?;
    let files = [("the requirements", &request.requirements), ("the migration", &request.migrate)];
    for (what, path) in files.into_iter().filter_map(|(what, path)| Some((what, path.as_ref()?))) {
        check_file(what, path)?;
    }
    if let Some(config) = &request.config {
        check_folder("the folder of default settings", config)?;
    }
    check_runtime(request)?;
    check_entry_file(request)?;
    let icon = request.icon.as_deref().map(|icon| check_icon(&super::find_icon(&request.app, icon)));
    ask_before_installing(request)?;
    Ok(icon.transpose()?.flatten().into_iter().chain(python_for_nothing(request)).collect())
}

fn check_folder(what: &'static str, path: &Path) -> Result<(), BuildError> {
    if path.is_dir() { Ok(()) } else { Err(absent(what, "folder", path)) }
}

fn check_file(what: &'static str, path: &Path) -> Result<(), BuildError> {
    if path.is_file() { Ok(()) } else { Err(absent(what, "file", path)) }
}

/// Why `path` cannot be used as the `wanted` kind of thing.
fn absent(what: &'static str, wanted: &'static str, path: &Path) -> BuildError {
    let path = path.to_owned();
    if path.exists() { BuildError::OtherKind { what, wanted, path } } else { BuildError::Missing { what, path } }
}

fn check_runtime(request: &BuildRequest) -> Result<(), BuildError> {
    let needs_python = !matches!(request.entry, EntryPoint::Executable(_)) || request.requirements.is_some();
    match &request.runtime {
        Runtime::None if needs_python => Err(super::no_runtime(request)),
        Runtime::Host if request.platform != Platform::current() => {
            Err(BuildError::ForeignRuntime { current: Platform::current(), wanted: request.platform.clone() })
        }
        Runtime::Folder(path) => check_folder("the runtime", path),
        Runtime::Archive(path) => check_file("the runtime", path),
        _ => Ok(()),
    }
}

/// An entry point that is a file must be there and must not be left out.
fn check_entry_file(request: &BuildRequest) -> Result<(), BuildError> {
    let (EntryPoint::Script(path) | EntryPoint::Executable(path)) = &request.entry else { return Ok(()) };
    if !path.under(&request.app).is_file() {
        return Err(no_entry(request));
    }
    let excluded = Exclusions::new(NEVER.iter().copied().chain(request.exclude.iter().map(String::as_str)));
    let mut parts = path.as_str().match_indices('/').map(|(at, _)| &path.as_str()[..at]).chain([path.as_str()]);
    match parts.find(|part| excluded.covers(part)) {
        Some(part) => Err(BuildError::EntryExcluded { entry: request.entry.clone(), part: part.to_owned() }),
        None => check_entry_kind(request, path),
    }
}

/// A program is not given to Python, and what no system starts is no program. On Windows endings decide, which is not looked into.
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
            refuse("it is neither a program nor a script with a first line such as #!/bin/sh".to_owned())
        }
        _ => Ok(()),
    }
}

/// A program that asks for no Python, in a container that would bring one.
fn python_for_nothing(request: &BuildRequest) -> Option<String> {
    let EntryPoint::Executable(path) = &request.entry else { return None };
    let asks = FileKind::of(&path.under(&request.app)).is_none_or(|kind| kind == FileKind::PythonScript);
    let brings = matches!(request.runtime, Runtime::Host) && request.requirements.is_none();
    (brings && !asks).then(|| {
        format!(
            "Python comes along, which {} does not ask for; runtime = \"none\" in kuzflow.toml, or --runtime none, leaves it out",
            request.entry
        )
    })
}

/// The refusal of an entry point that is not there, with what could have been meant.
pub fn no_entry(request: &BuildRequest) -> BuildError {
    BuildError::NoEntry { entry: request.entry.clone(), app: request.app.clone(), there: candidates(request) }
}

/// What in the app's folder looks like an entry point, as it would be written.
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
                _ => (path.is_file() && name.ends_with(".py") && name != "setup.py").then_some(name),
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

/// Refuses what is no PNG; a warning for one that will look bad.
fn check_icon(path: &Path) -> Result<Option<String>, BuildError> {
    check_file("the icon", path)?;
    let mut head = [0; 24];
    let mut file = File::open(path).map_err(|_| BuildError::Missing { what: "the icon", path: path.to_owned() })?;
    let read = file.read(&mut head).map_err(BuildError::file("read the icon", path))?;
    if read < head.len() || !head.starts_with(b"\x89PNG\r\n\x1a\n") || &head[12..16] != b"IHDR" {
        return Err(BuildError::Icon { path: path.to_owned() });
    }
    let number = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let (width, height) = (number(16), number(20));
    if width == height && width >= SMALLEST_SHARP_ICON {
        return Ok(None);
    }
    Ok(Some(format!("the icon {} has {width} × {height} pixels; desktops show a square of 256 or more best", path.display())))
}

/// What `entry.py` answers.
#[derive(Debug, Deserialize)]
struct Answer {
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

/// An import that nothing answers.
#[derive(Debug, Deserialize)]
struct MissingImport {
    module: String,
    file: String,
    line: u32,
}

/// A module of the app itself is looked into before minutes go into the runtime and the requirements. What this machine's Python does not
/// find or understand the container's own may.
fn ask_before_installing(request: &BuildRequest) -> Result<(), BuildError> {
    if matches!(request.entry, EntryPoint::Executable(_)) {
        return Ok(());
    }
    let Some(answer) = ask(tool::python(&request.python), request, &[&request.app], &request.app, false) else { return Ok(()) };
    match answer.problem {
        Some(problem @ (Problem::Main { .. } | Problem::Function { .. })) => Err(problem.refused(request)),
        // The package is the app's, so that no requirement brings the rest of it.
        Some(problem @ Problem::Module { parent: Some(_), .. }) => Err(problem.refused(request)),
        _ => Ok(()),
    }
}

/// Looks at the entry point in the tree that was laid out, with the container's own Python if that runs here. Gives warnings.
pub fn installed(request: &BuildRequest, python: Command, tree: &Path, site: &Path) -> Result<Vec<String>, BuildError> {
    if matches!(request.entry, EntryPoint::Executable(_)) {
        return Ok(Vec::new());
    }
    let app = tree.join("app");
    let Some(answer) = ask(python, request, &[&app, site], &app, true) else { return Ok(Vec::new()) };
    let mut warnings = Vec::new();
    match answer.problem {
        Some(Problem::Syntax { file, line, reason }) => {
            warnings.push(format!("{file}, line {line}: {reason}; the app cannot start like this"));
        }
        // A module may come from somewhere else than a folder of its name; whether there is anything at all is looked for elsewhere.
        Some(Problem::Module { parent: None, .. }) | None => {}
        Some(problem) => return Err(problem.refused(request)),
    }
    let hint = match &request.requirements {
        Some(requirements) => format!("add its package to {}", requirements.display()),
        None => "name the app's packages with --requirements FILE, or `requirements` in kuzflow.toml".to_owned(),
    };
    warnings.extend(answer.missing.into_iter().map(|import| {
        let MissingImport { module, file, line } = import;
        format!("{file}, line {line} imports {module}, which is neither in the app nor installed: the app will not start. If it needs it, {hint}")
    }));
    Ok(warnings)
}

/// Nothing where Python does not run here: other steps say so, or do without.
fn ask(mut python: Command, request: &BuildRequest, roots: &[&Path], app: &Path, imports: bool) -> Option<Answer> {
    let (kind, name, function) = match &request.entry {
        EntryPoint::Script(path) => ("script", path.under(app).to_string_lossy().into_owned(), ""),
        EntryPoint::Module(module) => ("module", module.clone(), ""),
        EntryPoint::Function { module, function } => ("function", module.clone(), function.as_str()),
        EntryPoint::Executable(_) => return None,
    };
    let question = json!({ "roots": roots, "app": app, "kind": kind, "name": name, "function": function, "imports": imports });
    python.args(["-s", "-c", include_str!("entry.py")]);
    let output = tool::run(&mut python, "looking at the entry point", question.to_string().as_bytes());
    let output = output.inspect_err(|error| tracing::debug!(%error, "the entry point is not looked into")).ok()?;
    serde_json::from_slice(&output).ok()
}

impl Problem {
    fn refused(self, request: &BuildRequest) -> BuildError {
        let reason = match self {
            Self::Module { module, .. } => format!("there is no module {module} in it"),
            Self::Main { module } => {
                format!("the package {module} has no __main__.py; name a function in it (module:{module}.main:run), or add one")
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
mod tests {
    use super::*;
    use crate::model::Version;

    const MAIN: &str = "import json\nimport helper\nfrom . import views\n\ndef main():\n    import lazy_one\n\nclass App: ...\n";

    /// An app's folder with these files, and a request for it.
    fn request(files: &[(&str, &str)], entry: &str) -> (tempfile::TempDir, BuildRequest) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let entry = entry.parse().unwrap();
        let request = BuildRequest::new(folder.path(), "sample".parse().unwrap(), Version::new(1, 0, 0), entry);
        (folder, request)
    }

    fn python_is_missing() -> bool {
        let missing = !Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success());
        assert!(!missing || std::env::var_os("CI").is_none(), "python3 does not work");
        missing
    }

    #[test]
    fn entry_points_that_cannot_be_started_are_refused_before_anything_is_installed() {
        if python_is_missing() {
            return;
        }
        let files = [
            ("pkg/__init__.py", ""),
            ("pkg/main.py", MAIN),
            ("pkg/views.py", ""),
            ("helper.py", ""),
            ("open.py", "from helper import *\nglobals()['made'] = 1\n"),
            ("lazy.py", "def __getattr__(name): ...\n"),
            ("app.py", "import helper\n"),
            ("tests/t.py", ""),
        ];
        for (entry, words) in [
            ("missing.py", "there are app.py, helper.py"),
            ("module:pkg.main:nosuch", "the module pkg.main defines no nosuch; it has App, main"),
            ("module:pkg.nosuch:main", "there is no module pkg.nosuch"),
            ("module:pkg", "no __main__.py"),
            ("exe:run", "nothing there looks like one"),
        ] {
            let (_folder, mut request) = request(&files, entry);
            request.runtime = if entry.starts_with("exe") { Runtime::None } else { Runtime::Host };
            let error = before(&request).unwrap_err().to_string();
            assert!(error.contains(words), "{entry}: {error}");
        }
        for entry in [
            "app.py",
            "module:pkg.main:main",
            "module:pkg.main:App.run",
            "module:open:made",
            "module:lazy:anything",
            "module:installed.later:x",
        ] {
            let (_folder, request) = request(&files, entry);
            assert!(before(&request).is_ok(), "{entry}: {:?}", before(&request));
        }
        let (_folder, mut request) = request(&files, "tests/t.py");
        request.exclude = vec!["tests".to_owned()];
        assert!(before(&request).unwrap_err().to_string().contains("tests is excluded"));
    }

    #[test]
    fn programs_and_python_scripts_are_not_taken_for_each_other() {
        let files =
            [("start.sh", "#!/bin/sh\n"), ("tool", "\u{7f}ELF"), ("app.py", "#!/usr/bin/env python3\n"), ("plain.py", "")];
        let files =
            [files.as_slice(), &[("run.py", "#!/bin/sh\n"), ("notes.txt", "hello"), ("start", "#!/usr/bin/python3\n")]].concat();
        let looked_at = |entry: &str| {
            let (folder, mut request) = request(&files, entry);
            request.platform = "Linux_x86_64".parse().unwrap();
            let checked = check_entry_file(&request).map_err(|error| error.to_string());
            drop(folder);
            checked
        };
        for (entry, words) in [
            ("start.sh", "write exe:start.sh"),
            ("tool", "write exe:tool"),
            ("exe:plain.py", "write plain.py, without exe:"),
            ("exe:notes.txt", "neither a program nor a script"),
        ] {
            let refused = looked_at(entry).unwrap_err();
            assert!(refused.contains(words), "{entry}: {refused}");
        }
        for (entry, is_reported) in [("exe:start.sh", true), ("exe:tool", true), ("exe:start", false), ("plain.py", false)] {
            let (_folder, request) = request(&files, entry);
            assert_eq!(python_for_nothing(&request).is_some(), is_reported, "{entry}");
        }
        for entry in ["exe:start.sh", "exe:tool", "exe:app.py", "exe:start", "start", "app.py", "plain.py", "run.py"] {
            assert_eq!(looked_at(entry), Ok(()), "{entry}");
        }
    }

    #[test]
    fn imports_that_nothing_answers_are_warned_of() {
        if python_is_missing() {
            return;
        }
        let files = [
            ("app/pkg/__init__.py", ""),
            ("app/pkg/main.py", MAIN),
            ("app/pkg/views.py", "import not_installed.part\nimport installed\n"),
            ("app/helper.py", "try:\n    import optional_one\nexcept ImportError:\n    pass\nimport os, sys\n"),
            ("site/installed/__init__.py", ""),
        ];
        let (folder, mut request) = request(&files, "module:pkg.main:main");
        request.app = folder.path().join("app");
        let warnings = |request: &BuildRequest| {
            installed(request, tool::python("python3"), folder.path(), &folder.path().join("site")).unwrap()
        };
        let reported = warnings(&request);
        assert_eq!(reported.len(), 1, "{reported:?}");
        for part in ["pkg/views.py, line 1 imports not_installed", "--requirements FILE"] {
            assert!(reported[0].contains(part), "{reported:?}");
        }
        fs::write(folder.path().join("app/helper.py"), "import sys\nsys.path.append('vendored')\n").unwrap();
        assert!(warnings(&request).is_empty(), "who looks in other places finds it there");
        fs::write(folder.path().join("app/pkg/main.py"), "def main(:\n").unwrap();
        assert!(warnings(&request)[0].contains("main.py, line 1"), "{:?}", warnings(&request));
    }

    #[test]
    fn pictures_and_files_that_are_not_what_they_should_be_are_refused() {
        let (folder, request) =
            request(&[("run", "#!/bin/sh\n"), ("icon.svg", "<svg xmlns='x'/>"), ("empty.png", "")], "exe:run");
        let request = BuildRequest { runtime: Runtime::None, ..request };
        let with = |change: &dyn Fn(&mut BuildRequest)| {
            let mut request = request.clone();
            change(&mut request);
            before(&request)
        };
        let refused = |change: &dyn Fn(&mut BuildRequest)| with(change).unwrap_err().to_string();
        for icon in ["icon.svg", "empty.png"] {
            assert!(refused(&|request| request.icon = Some(icon.into())).contains("is no PNG"));
        }
        assert!(refused(&|request| request.icon = Some("none.png".into())).contains("the icon"));
        assert!(refused(&|request| request.requirements = Some("none.txt".into())).contains("the requirements: none.txt"));
        assert!(refused(&|request| request.migrate = Some("none.py".into())).contains("the migration"));
        assert!(refused(&|request| request.config = Some("none".into())).contains("default settings"));
        assert!(refused(&|request| request.app = "none".into()).contains("cannot find the app's folder: none"));
        let (file, inside) = (folder.path().join("run"), folder.path().to_owned());
        assert!(refused(&|request| request.app = file.clone()).contains("the app's folder must be a folder"));
        assert!(refused(&|request| request.requirements = Some(inside.clone())).contains("the requirements must be a file"));
        let png = |width: u32, height: u32| {
            let size = [width.to_be_bytes(), height.to_be_bytes()].concat();
            let bytes = [b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".as_slice(), &size, &[8, 6, 0, 0, 0]].concat();
            fs::write(folder.path().join("icon.png"), bytes).unwrap();
            with(&|request| request.icon = Some("icon.png".into())).unwrap()
        };
        assert!(png(256, 256).is_empty());
        assert!(png(32, 32)[0].contains("32 × 32") && png(256, 128).len() == 1);
    }
}
