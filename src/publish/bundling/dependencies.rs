//! Installs requirements into the container with pip or uv, and removes everything that differs
//! from machine to machine.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::process::Command;

use super::copy::{self, Exclusions, Links};
use super::detect::Python;
use super::runtime::HostPython;
use super::target::{self, InstallTarget};
use super::{BuildError, BuildRequest, tool};
use crate::file_error::FileResult as _;
use crate::model::Platform;
use crate::real_path;

/// What pip is asked for, whatever it installs for.
const PIP_INSTALL: [&str; 5] = [
    "install",
    "--no-compile",
    "--no-warn-script-location",
    "--no-input",
    "--disable-pip-version-check",
];

/// Installs `requirements` into the `python` of the container in `tree`. Returns warnings.
pub(super) fn install(
    request: &BuildRequest,
    requirements: &Path,
    python: &Python,
    tree: &Path,
    build_date: jiff::Timestamp,
) -> Result<Vec<String>, BuildError> {
    let given = real_path::resolve(requirements).at("find", requirements)?;
    let requirements = listed(&given, tree)?;
    let target = tree.with_file_name("dependencies");
    let host = HostPython::ask(&request.python)?;
    let is_native = request.platform == Platform::current() && host.name == python.name;
    let version = python.version(tree);
    let foreign =
        InstallTarget { platform: &request.platform, name: &python.name, version: &version };
    let foreign = (!is_native).then_some(foreign);
    let mut command = installer(request, &host, foreign.as_ref())?;
    command.arg("--target").arg(&target).arg("-r").arg(&requirements);
    if let Some(folder) = given.parent() {
        // Relative paths in the file count from its folder.
        command.current_dir(folder);
    }
    command.env("SOURCE_DATE_EPOCH", build_date.as_second().max(315_532_800).to_string());
    tool::run(&mut command, &format!("installing {}", given.display()), b"")
        .map_err(|error| without_wheel(error, foreign.as_ref()))?;
    if !target.is_dir() {
        return Ok(Vec::new());
    }
    let links = if request.platform.is_windows() { Links::Resolve } else { Links::KeepInside };
    let site = python.site.under(tree);
    let prune = Exclusions::new(request.prune.iter().map(String::as_str));
    copy::copy_tree(&target, &site, links, &|path| {
        prune.covers(path) || is_left_out(&target, path)
    })?;
    normalise_records(&site)?;
    fs::remove_dir_all(&target).at("remove", &target)?;
    Ok(if is_native { Vec::new() } else { target::demands(&site) })
}

/// A requirements list for pip: `given` itself, or a list made from the dependencies in a
/// `pyproject.toml`. The project itself is not installed: its code is the app's folder.
fn listed(given: &Path, tree: &Path) -> Result<std::path::PathBuf, BuildError> {
    if given.file_name().is_none_or(|name| name != "pyproject.toml") {
        return Ok(given.to_owned());
    }
    let text = fs::read_to_string(given).at("read", given)?;
    let wrong = |reason: String| BuildError::Requirements { path: given.to_owned(), reason };
    let project: toml::Table =
        text.parse().map_err(|error: toml::de::Error| wrong(error.to_string()))?;
    let named = project
        .get("project")
        .and_then(|project| project.get("dependencies"))
        .and_then(toml::Value::as_array);
    let named = named.ok_or_else(|| {
        wrong("it has no [project] dependencies; list them in a requirements.txt".to_owned())
    })?;
    let lines: String =
        named.iter().filter_map(toml::Value::as_str).flat_map(|line| [line, "\n"]).collect();
    let list = tree.with_file_name("requirements.txt");
    fs::write(&list, lines).at("write", &list)?;
    Ok(list)
}

/// pip if this machine's Python has it, since pip follows the publisher's settings; otherwise uv.
/// `foreign` selects wheels for another system or Python than this machine's; nothing can be built
/// from source then.
fn installer(
    request: &BuildRequest,
    host: &HostPython,
    foreign: Option<&InstallTarget<'_>>,
) -> Result<Command, BuildError> {
    let runs = |command: &mut Command| {
        tool::run(command.arg("--version"), "asking for a version", b"").is_ok()
    };
    if runs(tool::python(&request.python).args(["-m", "pip"])) {
        let mut pip = tool::python(&request.python);
        match foreign {
            None => pip.args(["-m", "pip"]).args(PIP_INSTALL),
            Some(foreign) => pip
                .args(["-c", include_str!("foreign_pip.py")])
                .arg(foreign.markers_json().to_string())
                .args(PIP_INSTALL)
                .args(foreign.pip_options()),
        };
        return Ok(pip);
    }
    if runs(&mut tool::command("uv")) {
        let mut uv = tool::command("uv");
        uv.args(["pip", "install", "--link-mode", "copy", "--no-progress", "--python"])
            .arg(&host.executable);
        if let Some(foreign) = foreign {
            uv.args(foreign.uv_options().ok_or_else(|| BuildError::ForeignInstaller {
                platform: request.platform.clone(),
                python: request.python.clone(),
            })?);
        }
        return Ok(uv);
    }
    Err(BuildError::NoInstaller { python: request.python.clone() })
}

/// Names the requirement for which there is no wheel, if that is why an installation failed.
fn without_wheel(error: BuildError, foreign: Option<&InstallTarget<'_>>) -> BuildError {
    match (error, foreign) {
        (BuildError::Tool { what, status, output }, Some(foreign)) => {
            match package_without_wheel(&output) {
                Some(package) => BuildError::NoWheel {
                    package,
                    target: format!("{} and Python {}", foreign.platform, foreign.short_version()),
                    marker: foreign.excluding_marker(),
                    output,
                },
                None => BuildError::Tool { what, status, output },
            }
        }
        (error, _) => error,
    }
}

/// The requirement that pip or uv finds no wheel for, in their own words.
fn package_without_wheel(output: &str) -> Option<String> {
    let named_by_pip = output
        .lines()
        .find_map(|line| line.split_once("No matching distribution found for "))
        .and_then(|(_, rest)| rest.split(" (from").next());
    let named_by_uv = || {
        let (before, _) = output.split_once(" has no wheels")?;
        before.split_whitespace().next_back()
    };
    named_by_pip.or_else(named_by_uv).map(|name| name.trim().to_owned())
}

/// Caches, traces of the installation, and scripts that name this machine's Python in their first
/// line.
fn is_left_out(target: &Path, path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let in_metadata =
        path.split('/').rev().nth(1).is_some_and(|folder| folder.ends_with(".dist-info"));
    let is_script = || {
        let mut start = [0; 2];
        let read = File::open(target.join(path)).and_then(|mut file| file.read_exact(&mut start));
        read.is_ok() && &start == b"#!"
    };
    match path.split_once('/') {
        Some(("bin", _)) if is_script() => true,
        Some(("Scripts", script)) if script.ends_with(".exe") => true,
        None if matches!(name, ".lock") => true,
        _ => {
            name == "__pycache__"
                || name.ends_with(".pyc")
                || (in_metadata
                    && ["INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"]
                        .contains(&name))
        }
    }
}

/// Rewrites each distribution's list of files: sorted, and without files that the container lacks.
fn normalise_records(site: &Path) -> Result<(), BuildError> {
    for entry in fs::read_dir(site).at("list", site)?.flatten() {
        let record = entry.path().join("RECORD");
        if !entry.file_name().to_string_lossy().ends_with(".dist-info") || !record.is_file() {
            continue;
        }
        let text = fs::read_to_string(&record).at("read", &record)?;
        let mut lines: Vec<&str> = text.lines().filter(|line| is_there(site, line)).collect();
        lines.sort_unstable();
        let text: String = lines.into_iter().flat_map(|line| [line, "\n"]).collect();
        fs::write(&record, text).at("write", &record)?;
    }
    Ok(())
}

/// Whether the container has the file of a record's line (`path,hash,size`, the path in quotes if
/// necessary).
fn is_there(site: &Path, line: &str) -> bool {
    let path = match line.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => line.split(',').next(),
    };
    path.is_some_and(|path| {
        !path.starts_with('/')
            && !path.split('/').any(|part| part == "..")
            && site.join(path).is_file()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_of_the_installation_go() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path();
        for (path, content) in [
            ("bin/tool", "#!/home/me/python"),
            ("bin/native", "\x7fELF"),
            (
                "pkg-1.dist-info/RECORD",
                "pkg/b.py,,\npkg/a.py,,\n../../bin/tool,,\npkg-1.dist-info/INSTALLER,,\n\"pkg/c,d.py\",,\n",
            ),
            ("pkg-1.dist-info/INSTALLER", "pip"),
            ("pkg/a.py", ""),
            ("pkg/b.py", ""),
            ("pkg/c,d.py", ""),
            ("pkg/INSTALLER", "the package's own"),
        ] {
            fs::create_dir_all(target.join(path).parent().unwrap()).unwrap();
            fs::write(target.join(path), content).unwrap();
        }
        for path in ["bin/tool", "pkg-1.dist-info/INSTALLER", "pkg/__pycache__", "Scripts/tool.exe"]
        {
            assert!(is_left_out(target, path), "{path}");
        }
        for path in ["bin/native", "pkg/INSTALLER", "pkg-1.dist-info/RECORD"] {
            assert!(!is_left_out(target, path), "{path}");
        }
        fs::remove_file(target.join("pkg-1.dist-info/INSTALLER")).unwrap();
        normalise_records(target).unwrap();
        let record = fs::read_to_string(target.join("pkg-1.dist-info/RECORD")).unwrap();
        assert_eq!(record, "\"pkg/c,d.py\",,\npkg/a.py,,\npkg/b.py,,\n");
    }

    #[test]
    fn the_requirement_without_a_wheel_is_named() {
        let pip = "ERROR: Could not find a version that satisfies the requirement fancy>=2 (from deep) (from versions: none)\n\
            ERROR: No matching distribution found for fancy>=2 (from deep)\n";
        assert_eq!(package_without_wheel(pip).as_deref(), Some("fancy>=2"));
        let uv = "  × No solution found when resolving dependencies:\n\
            ╰─▶ Because fancy==2.0 has no wheels with a matching platform tag";
        assert_eq!(package_without_wheel(uv).as_deref(), Some("fancy==2.0"));
        assert_eq!(package_without_wheel("ERROR: the disk is full"), None);
    }

    #[test]
    fn a_projects_dependencies_are_listed() {
        let folder = tempfile::tempdir().unwrap();
        let (given, tree) = (folder.path().join("pyproject.toml"), folder.path().join("tree"));
        fs::write(&given, "[project]\nname = \"x\"\ndependencies = [\"PyQt5>=5.15\", \"requests; python_version>'3'\"]\n")
            .unwrap();
        let list = listed(&given, &tree).unwrap();
        assert_eq!(
            fs::read_to_string(list).unwrap(),
            "PyQt5>=5.15\nrequests; python_version>'3'\n"
        );
        fs::write(&given, "[tool.poetry]\nname = \"x\"\n").unwrap();
        assert!(listed(&given, &tree).unwrap_err().to_string().contains("requirements.txt"));
    }
}
