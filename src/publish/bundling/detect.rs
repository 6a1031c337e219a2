//! Examines a laid-out container: the place of its Python, the versions of Python and Qt, the
//! installed packages. It reads files alone, so that it works for a container of another system as
//! well. It runs the interpreter only to see whether it works in its present place.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::{BuildError, copy, tool};
use crate::file_error::FileResult as _;
use crate::model::manifest::Dependency;
use crate::model::{Platform, RelativePath};

/// The Python in a container, as paths from its top.
#[derive(Clone, Debug)]
pub(super) struct Python {
    /// The interpreter.
    pub program: RelativePath,
    /// The interpreter that opens no console, on Windows.
    pub windowed: Option<RelativePath>,
    /// The short version, such as `3.11`.
    pub name: String,
    /// The folder of installed packages.
    pub site: RelativePath,
    /// Folders for `PATH`.
    pub programs: Vec<RelativePath>,
    /// The folder of the interpreter's library, if the interpreter does not find it by itself.
    pub library_folder: Option<RelativePath>,
    /// The list of paths of an embeddable distribution, which ignores the environment.
    embedded: Option<RelativePath>,
    /// Files that contain the version.
    binaries: Vec<RelativePath>,
}

impl Python {
    /// Finds a Python in `runtime/` of `tree`.
    pub(super) fn find(tree: &Path, platform: &Platform) -> Option<Self> {
        if platform.is_windows() { Self::find_windows(tree) } else { Self::find_unix(tree) }
    }

    fn find_unix(tree: &Path) -> Option<Self> {
        let library =
            copy::find_name(&tree.join("runtime/lib"), "python3.*").filter(|path| path.is_dir())?;
        let folder = library.file_name()?.to_str()?.to_owned();
        let program =
            ["python3", "python"].into_iter().map(str::to_owned).chain([folder.clone()]).rev();
        // A real file, not a link: the manifest then has the hash of the file that the launcher
        // starts.
        let is_program = |name: &String| {
            fs::symlink_metadata(tree.join("runtime/bin").join(name)).is_ok_and(|m| m.is_file())
        };
        let program: RelativePath =
            format!("runtime/bin/{}", { program }.find(is_program)?).parse().ok()?;
        // Debian's site module uses another folder than all others.
        let site = fs::read(library.join("site.py")).ok()?;
        let debian = contains(&site, b"dist-packages");
        let site = if debian {
            "runtime/lib/python3/dist-packages".to_owned()
        } else {
            format!("runtime/lib/{folder}/site-packages")
        };
        let shared = copy::find_name(&tree.join("runtime/lib"), "libpython3.*")
            .and_then(|path| under(tree, &path));
        let finds_library = fs::read(program.under(tree)).is_ok_and(|bytes| {
            contains(&bytes, b"$ORIGIN") || contains(&bytes, b"@executable_path")
        });
        let library_folder =
            if shared.is_some() && !finds_library { "runtime/lib".parse().ok() } else { None };
        Some(Self {
            windowed: None,
            name: folder.strip_prefix("python")?.to_owned(),
            site: site.parse().ok()?,
            programs: vec!["runtime/bin".parse().ok()?],
            library_folder,
            embedded: None,
            binaries: shared.into_iter().chain([program.clone()]).collect(),
            program,
        })
    }

    fn find_windows(tree: &Path) -> Option<Self> {
        let runtime = tree.join("runtime");
        let exists = |name: &str| -> Option<RelativePath> {
            let path: RelativePath = format!("runtime/{name}").parse().ok()?;
            path.under(tree).is_file().then_some(path)
        };
        let program = exists("python.exe")?;
        let library = copy::find_name(&runtime, "python3?*.dll")?;
        let digits = library.file_stem()?.to_str()?.strip_prefix("python")?.to_owned();
        let (major, minor) = digits.split_at_checked(1)?;
        Some(Self {
            program,
            windowed: exists("pythonw.exe"),
            name: format!("{major}.{minor}"),
            site: "runtime/Lib/site-packages".parse().ok()?,
            programs: vec!["runtime".parse().ok()?, "runtime/Scripts".parse().ok()?],
            library_folder: None,
            embedded: copy::find_name(&runtime, "python3*._pth")
                .and_then(|path| under(tree, &path)),
            binaries: under(tree, &library).into_iter().collect(),
        })
    }

    /// The short version, without the letters of an unusual build.
    pub(super) fn short_version(&self) -> &str {
        self.name.trim_end_matches(|c: char| c.is_ascii_alphabetic())
    }

    /// A command for the interpreter in its present place, as the container's launch would start
    /// it.
    pub(super) fn command(&self, tree: &Path, needs_home: bool) -> Command {
        let mut command = tool::python(self.program.under(tree));
        if needs_home {
            command.env("PYTHONHOME", tree.join("runtime"));
        }
        if let Some(folder) = &self.library_folder {
            command.env("LD_LIBRARY_PATH", folder.under(tree));
        }
        command
    }

    /// Whether the interpreter runs, and finds its standard library from its present place without
    /// help.
    pub(super) fn finds_itself(&self, tree: &Path) -> Result<bool, BuildError> {
        let script = "import os, sys, zlib, json; print(json.dumps([sys.prefix, sys.exec_prefix, os.__file__]))";
        let ask = |needs_home| {
            let mut command = self.command(tree, needs_home);
            let output = tool::run(
                command.args(["-s", "-c", script]),
                "starting the container's Python",
                b"",
            )?;
            let places: Vec<String> = serde_json::from_slice(&output).unwrap_or_default();
            let runtime = tree.join("runtime");
            Ok::<_, BuildError>(
                !places.is_empty()
                    && places.iter().all(|place| Path::new(place).starts_with(&runtime)),
            )
        };
        // Help may cure a failure without help.
        match ask(false) {
            Ok(true) => Ok(true),
            Ok(false) => Ok(!ask(true)?),
            Err(_) => ask(true).map(|_| false),
        }
    }

    /// Opens an embeddable distribution: it can then see the app and the installed packages, and
    /// still nothing of the user's computer. `entry_folder` is the folder of the script that is
    /// started; other distributions see it by themselves.
    pub(super) fn open_embedded(
        &self,
        tree: &Path,
        entry_folder: Option<&RelativePath>,
    ) -> Result<(), BuildError> {
        let Some(list) = &self.embedded else { return Ok(()) };
        let path = list.under(tree);
        let text = fs::read_to_string(&path).at("read", &path)?;
        let entry_folder =
            entry_folder.map(|folder| format!("..\\app\\{}", folder.as_str().replace('/', "\\")));
        let own: Vec<&str> = ["Lib\\site-packages"]
            .into_iter()
            .chain(entry_folder.as_deref())
            .chain(["..\\app", "import site"])
            .collect();
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#') && !own.contains(line));
        let lines: String =
            lines.chain(own.iter().copied()).map(|line| format!("{line}\r\n")).collect();
        Ok(fs::write(&path, lines).at("write", &path)?)
    }

    /// The full version, as the interpreter's binary spells it; the short one if the binary does
    /// not contain it.
    pub(super) fn version(&self, tree: &Path) -> String {
        let name = self.short_version();
        let found = self
            .binaries
            .iter()
            .find_map(|path| find_version(&fs::read(path.under(tree)).ok()?, name));
        found.unwrap_or_else(|| name.to_owned())
    }
}

/// Finds `name` and a third number at the end of a string, for example `3.11.7` or `3.14.0rc2`. The
/// linker merges strings, so that it may be the end of a path.
fn find_version(binary: &[u8], name: &str) -> Option<String> {
    let start = [name.as_bytes(), b"."].concat();
    let begins = |at: usize| at == 0 || matches!(binary[at - 1], b'\0' | b'/' | b'-' | b' ');
    let hits = binary
        .windows(start.len())
        .enumerate()
        .filter(|(at, bytes)| *bytes == start && begins(*at));
    hits.map(|(at, _)| &binary[at..]).find_map(|text| {
        let length = text.iter().take(24).position(|byte| *byte == 0)?;
        let text = std::str::from_utf8(&text[..length]).ok()?;
        let rest = &text[start.len()..];
        let good = rest.starts_with(|c: char| c.is_ascii_digit())
            && rest.chars().all(|c| c.is_ascii_digit() || "abrc+".contains(c));
        good.then(|| text.trim_end_matches('+').to_owned())
    })
}

/// The versions and packages in the container.
#[derive(Debug)]
pub(super) struct Found {
    /// The full version of the runtime's Python.
    pub python_version: Option<String>,
    /// The version of the Qt that the runtime or the app brings.
    pub qt_version: Option<String>,
    /// Python distributions, sorted.
    pub dependencies: Vec<Dependency>,
}

impl Found {
    /// Examines the whole tree.
    pub(super) fn in_tree(tree: &Path, python: Option<&Python>) -> Result<Self, BuildError> {
        let (mut dependencies, mut libraries) = (BTreeSet::new(), BTreeSet::new());
        for entry in walkdir::WalkDir::new(tree).sort_by_file_name() {
            let entry = entry.map_err(|error| copy::walk_error(tree, error))?;
            let name = entry.file_name().to_string_lossy();
            let metadata = match () {
                () if name.ends_with(".dist-info") => entry.path().join("METADATA"),
                () if name.ends_with(".egg-info") => entry.path().join("PKG-INFO"),
                () => {
                    libraries.extend(qt_in_name(&name));
                    continue;
                }
            };
            dependencies.extend(
                fs::read(metadata)
                    .ok()
                    .and_then(|text| distribution(&String::from_utf8_lossy(&text))),
            );
        }
        let dependencies: Vec<Dependency> = dependencies.into_iter().collect();
        let qt_version = dependencies.iter().find_map(qt_in_dependency).or(libraries.pop_last());
        Ok(Self {
            python_version: python.map(|python| python.version(tree)),
            qt_version,
            dependencies,
        })
    }
}

/// Name and version from a distribution's metadata: the header fields before the first empty line.
fn distribution(metadata: &str) -> Option<Dependency> {
    let field = |name: &str| {
        let head = metadata.lines().take_while(|line| !line.trim().is_empty());
        head.filter_map(|line| line.split_once(':'))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.trim().to_owned())
    };
    Some(Dependency { name: field("Name")?, version: field("Version")? })
}

/// The Qt version of a wheel that contains Qt's own libraries: such wheels have Qt's version.
fn qt_in_dependency(dependency: &Dependency) -> Option<String> {
    let name = dependency.name.to_lowercase().replace('_', "-");
    let is_qt = ["pyqt5-qt5", "pyqt6-qt6", "pyqt5-qt", "pyside6-essentials", "pyside6", "pyside2"]
        .contains(&name.as_str());
    is_qt.then(|| dependency.version.clone())
}

/// The Qt version in a library's name, such as `libQt5Core.so.5.15.2` (three numbers; shorter names
/// are links, or the only name).
fn qt_in_name(name: &str) -> Option<String> {
    let version =
        name.strip_prefix("libQt5Core.so.").or_else(|| name.strip_prefix("libQt6Core.so."))?;
    (version.split('.').count() == 3 && version.split('.').all(|part| part.parse::<u32>().is_ok()))
        .then(|| version.to_owned())
}

/// The folder of Qt's plugins, if a binding for Qt is installed.
pub(super) fn qt_plugins(tree: &Path, python: &Python) -> Option<RelativePath> {
    let candidates =
        ["PyQt5/Qt5", "PyQt5/Qt", "PyQt6/Qt6", "PySide6/Qt", "PySide6", "PySide2/Qt", "PySide2"];
    let candidates =
        candidates.iter().filter_map(|folder| python.site.join(&format!("{folder}/plugins")).ok());
    candidates.into_iter().find(|path| path.under(tree).is_dir())
}

fn under(tree: &Path, path: &Path) -> Option<RelativePath> {
    copy::relative(path, path.strip_prefix(tree).ok()?).ok()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, content: &[u8]) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    #[test]
    fn versions_and_dependencies_of_a_strange_system() {
        let tree = tempfile::tempdir().unwrap();
        let runtime = tree.path().join("runtime");
        write(&runtime.join("python.exe"), b"MZ");
        write(&runtime.join("pythonw.exe"), b"MZ");
        write(&runtime.join("python3.dll"), b"MZ");
        write(&runtime.join("python312.dll"), b"MZ\x003.12\x00 3.12.9 \x00/opt/3.12.4\x00");
        write(
            &runtime.join("python312._pth"),
            b"python312.zip\r\n.\r\n\r\n# Uncomment to run site.main()\r\n#import site\r\n",
        );
        let site = runtime.join("Lib/site-packages");
        write(
            &site.join("PyQt5_Qt5-5.15.2.dist-info/METADATA"),
            b"Metadata-Version: 2.1\nName: PyQt5-Qt5\nVersion: 5.15.2\n\nVersion: 9\n",
        );
        write(&site.join("old.egg-info/PKG-INFO"), b"Name: old\nVersion: 1.0.post2\n");
        write(&site.join("broken.dist-info/METADATA"), b"Name: broken\n");
        write(&site.join("PyQt5/Qt5/plugins/platforms/qwindows.dll"), b"");
        let python = Python::find(tree.path(), &"Windows_AMD64".parse().unwrap()).unwrap();
        let found = Found::in_tree(tree.path(), Some(&python)).unwrap();
        assert_eq!(
            (found.python_version.as_deref(), found.qt_version.as_deref()),
            (Some("3.12.4"), Some("5.15.2"))
        );
        let names: Vec<_> =
            found.dependencies.iter().map(|d| format!("{} {}", d.name, d.version)).collect();
        assert_eq!(names, ["PyQt5-Qt5 5.15.2", "old 1.0.post2"]);
        assert_eq!(python.windowed.as_ref().unwrap().as_str(), "runtime/pythonw.exe");
        assert_eq!(
            qt_plugins(tree.path(), &python).unwrap().as_str(),
            "runtime/Lib/site-packages/PyQt5/Qt5/plugins"
        );
        for _ in 0..2 {
            let folder = "src/ui".parse().unwrap();
            python.open_embedded(tree.path(), Some(&folder)).unwrap();
            let list = fs::read_to_string(runtime.join("python312._pth")).unwrap();
            assert_eq!(
                list,
                "python312.zip\r\n.\r\nLib\\site-packages\r\n..\\app\\src\\ui\r\n..\\app\r\nimport site\r\n"
            );
        }
    }

    #[test]
    fn debians_layout_is_recognised() {
        for (site_module, site) in [
            ("", "runtime/lib/python3.11/site-packages"),
            ("dist-packages", "runtime/lib/python3/dist-packages"),
        ] {
            let tree = tempfile::tempdir().unwrap();
            write(&tree.path().join("runtime/bin/python3.11"), b"\x7fELF\x003.11.2\x00");
            write(&tree.path().join("runtime/lib/python3.11/site.py"), site_module.as_bytes());
            fs::create_dir_all(tree.path().join("runtime/lib/python3")).unwrap();
            let python = Python::find(tree.path(), &"Linux_x86_64".parse().unwrap()).unwrap();
            assert_eq!(
                (python.site.as_str(), python.program.as_str()),
                (site, "runtime/bin/python3.11")
            );
            assert_eq!(python.version(tree.path()), "3.11.2");
        }
    }

    #[test]
    fn qt_versions_in_file_names() {
        assert_eq!(qt_in_name("libQt5Core.so.5.15.8").as_deref(), Some("5.15.8"));
        assert_eq!(
            (qt_in_name("libQt5Core.so.5"), qt_in_name("libQt5Gui.so.5.15.8")),
            (None, None)
        );
    }
}
