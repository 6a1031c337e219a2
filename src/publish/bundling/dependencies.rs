//! Installs requirements into the container with pip or uv, and removes everything that differs
//! from machine to machine.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::process::Command;

use super::copy::{self, Exclusions, Links};
use super::detect::Python;
use super::runtime::HostPython;
use super::{BuildError, BuildRequest, tool};
use crate::file_error::FileResult as _;
use crate::model::Platform;
use crate::real_path;

/// Installs `requirements` into the `python` of the container in `tree`.
pub(super) fn install(
    request: &BuildRequest,
    requirements: &Path,
    python: &Python,
    tree: &Path,
    build_date: jiff::Timestamp,
) -> Result<(), BuildError> {
    let given = real_path::resolve(requirements).at("find", requirements)?;
    let requirements = listed(&given, tree)?;
    let target = tree.with_file_name("dependencies");
    let host = HostPython::ask(&request.python)?;
    let native = request.platform == Platform::current() && host.name == python.name;
    let mut command = installer(request, &host)?;
    command.arg("--target").arg(&target).arg("-r").arg(&requirements);
    if !native {
        foreign(&mut command, request, python);
    }
    if let Some(folder) = given.parent() {
        // Relative paths in the file count from its folder.
        command.current_dir(folder);
    }
    command.env("SOURCE_DATE_EPOCH", build_date.as_second().max(315_532_800).to_string());
    tool::run(&mut command, &format!("installing {}", given.display()), b"")?;
    if !target.is_dir() {
        return Ok(());
    }
    let links = if request.platform.is_windows() { Links::Resolve } else { Links::KeepInside };
    let site = python.site.under(tree);
    let prune = Exclusions::new(request.prune.iter().map(String::as_str));
    copy::copy_tree(&target, &site, links, &|path| {
        prune.covers(path) || is_left_out(&target, path)
    })?;
    normalise_records(&site)?;
    Ok(fs::remove_dir_all(&target).at("remove", &target)?)
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
fn installer(request: &BuildRequest, host: &HostPython) -> Result<Command, BuildError> {
    let runs = |command: &mut Command| {
        tool::run(command.arg("--version"), "asking for a version", b"").is_ok()
    };
    if runs(tool::python(&request.python).args(["-m", "pip"])) {
        let mut pip = tool::python(&request.python);
        pip.args([
            "-m",
            "pip",
            "install",
            "--no-compile",
            "--no-warn-script-location",
            "--no-input",
            "--disable-pip-version-check",
        ]);
        return Ok(pip);
    }
    if runs(&mut tool::command("uv")) {
        let mut uv = tool::command("uv");
        uv.args(["pip", "install", "--link-mode", "copy", "--no-progress", "--python"])
            .arg(&host.executable);
        return Ok(uv);
    }
    Err(BuildError::NoInstaller { python: request.python.clone() })
}

/// Selects wheels for another Python or system than this machine's; nothing can be built from
/// source then.
fn foreign(command: &mut Command, request: &BuildRequest, python: &Python) {
    let uv = command.get_program() == "uv";
    let version = python.name.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    command.args(["--only-binary", ":all:", "--python-version", version]);
    if uv {
        command.arg("--python-platform").arg(uv_platform(&request.platform));
    } else {
        command.args(["--implementation", "cp"]);
        command.args(
            pip_platforms(&request.platform)
                .into_iter()
                .flat_map(|platform| ["--platform".to_owned(), platform]),
        );
    }
}

/// The platform tags of wheels that run there, the best first. pip compares each tag literally.
fn pip_platforms(platform: &Platform) -> Vec<String> {
    let architecture = platform.architecture.as_str();
    match platform.os.as_str() {
        "Windows" => vec![match architecture {
            "AMD64" => "win_amd64".to_owned(),
            "ARM64" => "win_arm64".to_owned(),
            _ => "win32".to_owned(),
        }],
        "Darwin" => (10..=14)
            .rev()
            .flat_map(|major| {
                let minor = if major == 10 { 15 } else { 0 };
                [architecture, "universal2"].map(|kind| format!("macosx_{major}_{minor}_{kind}"))
            })
            .collect(),
        // glibc 2.35 is that of the oldest distributions in wide use.
        _ => (5..=35)
            .rev()
            .map(|minor| format!("manylinux_2_{minor}_{architecture}"))
            .chain(
                ["manylinux2014", "manylinux2010", "manylinux1", "linux"]
                    .map(|name| format!("{name}_{architecture}")),
            )
            .collect(),
    }
}

fn uv_platform(platform: &Platform) -> &'static str {
    match (platform.os.as_str(), platform.architecture.as_str()) {
        ("Windows", "ARM64") => "aarch64-pc-windows-msvc",
        ("Windows", _) => "x86_64-pc-windows-msvc",
        ("Darwin", "arm64") => "aarch64-apple-darwin",
        ("Darwin", _) => "x86_64-apple-darwin",
        (_, "aarch64") => "aarch64-unknown-linux-gnu",
        _ => "x86_64-unknown-linux-gnu",
    }
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

    #[test]
    fn platform_tags() {
        let tags = |platform: &str| pip_platforms(&platform.parse().unwrap());
        assert_eq!(tags("Windows_AMD64"), ["win_amd64"]);
        assert!(tags("Linux_x86_64").contains(&"manylinux2014_x86_64".to_owned()));
        assert!(tags("Darwin_arm64").contains(&"macosx_11_0_arm64".to_owned()));
    }
}
