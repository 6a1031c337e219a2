//! Finds facts about an app in its folder, so that nobody has to type them: its name, the place of
//! its code, its entry point, its requirements.
//!
//! In: a folder. Out: the facts, in the form of `[app]` in `kuzflow.toml`. Never: a guess between
//! two possibilities, a change of the folder, a run of the app's code.

use std::fs;
use std::path::{Path, PathBuf};

use super::bundling::{EntryPoint, FileKind, is_program};
use super::recipe::Recipe;
use crate::model::platform::AppName;

/// The facts about an app. Paths in the recipe count from the app's folder.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Discovered {
    /// The app's name in ids.
    pub name: Option<AppName>,
    /// The app's name for people.
    pub display_name: Option<String>,
    /// The version in the project's metadata.
    pub version: Option<String>,
    /// Folder, entry point, requirements, icon, text of the licence.
    pub recipe: Recipe,
}

/// Names of scripts that start an app, the likeliest first.
const SCRIPTS: [&str; 5] = ["app.py", "main.py", "run.py", "start.py", "gui.py"];
/// Folders that may contain an icon.
const PICTURE_FOLDERS: [&str; 6] = ["", "assets", "resources", "icons", "images", "data"];
/// Names of the text of a licence in small letters, the likeliest first.
const LICENCES: [&str; 9] = [
    "license",
    "license.txt",
    "license.md",
    "licence",
    "licence.txt",
    "licence.md",
    "copying",
    "copying.txt",
    "copying.md",
];
/// Names that many projects contain and no release.
const NOT_SHIPPED: [&str; 8] =
    ["tests", "test", "docs", "doc", "build", "dist", "*.egg-info", "pyproject.toml"];

impl Discovered {
    /// Whether the folder contains an app to build.
    pub(crate) fn is_app(&self) -> bool {
        self.recipe.entry.is_some()
    }

    /// Examines `folder`.
    pub(crate) fn in_folder(folder: &Path) -> Self {
        let project = fs::read_to_string(folder.join("pyproject.toml"))
            .ok()
            .and_then(|text| text.parse::<toml::Table>().ok());
        let project = project.unwrap_or_default();
        let text =
            |key: &str| metadata(&project, key).and_then(toml::Value::as_str).map(str::to_owned);
        let own_name = std::path::absolute(folder).ok();
        let own_name = own_name
            .as_deref()
            .and_then(Path::file_name)
            .map(|name| name.to_string_lossy().into_owned());
        let named = text("name").or(own_name);
        let name = named.as_deref().and_then(app_name);
        let (inside, entry) = start(folder, &project, name.as_ref()).unzip();
        let requirements =
            ["requirements.txt"].into_iter().find(|file| folder.join(file).is_file());
        let lists = metadata(&project, "dependencies")
            .and_then(toml::Value::as_array)
            .is_some_and(|list| !list.is_empty());
        let requirements = requirements.or_else(|| lists.then_some("pyproject.toml"));
        let exclude = if entry.is_some() {
            not_shipped(&folder.join(inside.as_deref().unwrap_or(Path::new(""))))
        } else {
            Vec::new()
        };
        // A program brings what it needs; a script that asks for Python does not.
        let brings_itself = match (&inside, &entry) {
            (Some(inside), Some(EntryPoint::Executable(path))) => {
                FileKind::of(&path.under(&folder.join(inside))) != Some(FileKind::PythonScript)
            }
            _ => false,
        };
        let recipe = Recipe {
            runtime: brings_itself.then(|| "none".to_owned().into()),
            description: text("description").unwrap_or_default(),
            folder: inside.map(Into::into),
            entry: entry.map(Into::into),
            requirements: requirements.map(PathBuf::from),
            icon: picture(folder, name.as_ref()),
            license_file: licence(folder),
            exclude,
            ..Recipe::default()
        };
        Self { name, display_name: text("name"), version: text("version"), recipe }
    }
}

/// A value of `[project]`, or of Poetry's older table.
fn metadata<'a>(project: &'a toml::Table, key: &str) -> Option<&'a toml::Value> {
    let poetry = || project.get("tool")?.get("poetry")?.get(key);
    project.get("project").and_then(|table| table.get(key)).or_else(poetry)
}

/// Makes a name for ids from a name for people: small letters, digits and hyphens.
fn app_name(text: &str) -> Option<AppName> {
    let plain: String = text
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .collect();
    let parts: Vec<&str> = plain.split('-').filter(|part| !part.is_empty()).collect();
    parts.join("-").parse().ok()
}

/// The folder of the code, and the entry point: the ones that the project declares, otherwise the
/// only candidate.
fn start(
    folder: &Path,
    project: &toml::Table,
    name: Option<&AppName>,
) -> Option<(PathBuf, EntryPoint)> {
    declared(project, name)
        .and_then(|(module, function)| {
            let inside = home_of(folder, &module)?;
            Some((inside, EntryPoint::Function { module, function }))
        })
        .or_else(|| script(folder))
        .or_else(|| package(folder))
        .or_else(|| program(folder))
}

/// The script that the project declares: one with a window before others, the one with the app's
/// name before others.
fn declared(project: &toml::Table, name: Option<&AppName>) -> Option<(String, String)> {
    let of = |key: &str| {
        metadata(project, key).and_then(toml::Value::as_table).filter(|table| !table.is_empty())
    };
    let scripts = of("gui-scripts").or_else(|| of("scripts"))?;
    let same = |script: &str| app_name(script).as_ref() == name;
    let (_, target) = scripts
        .iter()
        .find(|(script, _)| same(script))
        .or_else(|| scripts.iter().next().filter(|_| scripts.len() == 1))?;
    let (module, function) = target.as_str()?.split_once(':')?;
    // Extras may follow in brackets.
    let function = function.split('[').next().unwrap_or(function).trim();
    Some((module.trim().to_owned(), function.to_owned()))
}

/// The folder with the top of `module`: `.` or `src`.
fn home_of(folder: &Path, module: &str) -> Option<PathBuf> {
    let top = module.split('.').next()?;
    let has = |inside: &&&str| {
        let place = folder.join(inside).join(top);
        place.is_dir() || place.with_extension("py").is_file()
    };
    ["src", ""].iter().find(has).map(PathBuf::from)
}

fn script(folder: &Path) -> Option<(PathBuf, EntryPoint)> {
    let found = |inside: &'static str| {
        let names = SCRIPTS.iter().filter(move |name| folder.join(inside).join(name).is_file());
        names.map(move |name| (inside, (*name).to_owned()))
    };
    let only = || {
        let mut names = python_files(folder).into_iter();
        names.next().filter(|_| names.next().is_none()).map(|name| ("", name))
    };
    let (inside, name) = found("").chain(found("src")).next().or_else(only)?;
    Some((PathBuf::from(inside), EntryPoint::Script(name.parse().ok()?)))
}

/// Python files at the top that could be an app.
fn python_files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter(|name| {
            name.ends_with(".py")
                && !["setup.py", "conftest.py", "__init__.py"].contains(&name.as_str())
        })
        .collect()
}

/// The only package that `python -m` can start.
fn package(folder: &Path) -> Option<(PathBuf, EntryPoint)> {
    let in_folder = |inside: &'static str| {
        let entries = fs::read_dir(folder.join(inside)).into_iter().flatten().flatten();
        let packages = entries.filter(|entry| entry.path().join("__main__.py").is_file());
        packages.filter_map(move |entry| Some((inside, entry.file_name().into_string().ok()?)))
    };
    let mut found = in_folder("").chain(in_folder("src"));
    let (inside, name) = found.next().filter(|_| found.next().is_none())?;
    Some((PathBuf::from(inside), format!("module:{name}").parse().ok()?))
}

/// The only program at the top among the files that the system starts by itself.
fn program(folder: &Path) -> Option<(PathBuf, EntryPoint)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_one = |path: &Path| {
        is_program(path) && FileKind::of(path).is_some_and(FileKind::starts_by_itself)
    };
    let names = entries
        .filter(|entry| is_one(&entry.path()))
        .filter_map(|entry| entry.file_name().into_string().ok());
    let mut names = names.filter(|name| !name.starts_with('.') && !is_library(name));
    let name = names.next().filter(|_| names.next().is_none())?;
    Some((PathBuf::new(), EntryPoint::Executable(name.parse().ok()?)))
}

/// Whether a file is code that others load: its permissions may mark it as a program nevertheless.
fn is_library(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [".so", ".dll", ".dylib", ".pyd"].iter().any(|ending| name.ends_with(ending))
        || name.contains(".so.")
}

fn picture(folder: &Path, name: Option<&AppName>) -> Option<PathBuf> {
    let stems = name.map(AppName::as_str).into_iter().chain(["icon", "logo"]);
    let stems: Vec<&str> = stems.collect();
    // Of both, the PNG is what the app shows itself.
    let places = ["png", "svg"].into_iter().flat_map(|ending| {
        let names = stems.iter().map(move |stem| format!("{stem}.{ending}"));
        let names: Vec<String> = names.collect();
        PICTURE_FOLDERS.iter().flat_map(move |place| {
            names.clone().into_iter().map(|name| Path::new(place).join(name))
        })
    });
    places.into_iter().find(|path| folder.join(path).is_file())
}

/// The text of the app's licence, in whichever letters its name is written.
fn licence(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries.filter(|entry| entry.path().is_file());
    let mut names: Vec<String> =
        files.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    LICENCES
        .iter()
        .find_map(|known| names.iter().find(|name| name.eq_ignore_ascii_case(known)))
        .map(PathBuf::from)
}

/// The names of [`NOT_SHIPPED`] that the folder contains.
fn not_shipped(folder: &Path) -> Vec<String> {
    let names: Vec<String> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    let is_there = |pattern: &&&str| match pattern.strip_prefix('*') {
        Some(end) => names.iter().any(|name| name.ends_with(end)),
        None => names.iter().any(|name| name == **pattern),
    };
    NOT_SHIPPED
        .iter()
        .filter(is_there)
        .map(
            |pattern| {
                if pattern.starts_with('*') { (*pattern).to_owned() } else { format!("/{pattern}") }
            },
        )
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn discovered(files: &[(&str, &str)]) -> Discovered {
        let folder = tempfile::Builder::new().prefix("My App ").tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Discovered::in_folder(folder.path())
    }

    #[test]
    fn a_project_reports_its_name_entry_and_requirements() {
        let project = "[project]\nname = \"ReText\"\nversion = \"8.0.2\"\ndescription = \"An editor\"\ndependencies = [\"PyQt6\"]\n\
                       [project.gui-scripts]\nretext = \"ReText.__main__:main\"\n[project.scripts]\nother = \"x:y\"\n";
        let found = discovered(&[
            ("pyproject.toml", project),
            ("ReText/__main__.py", ""),
            ("tests/t.py", ""),
            ("icon.png", ""),
        ]);
        assert_eq!(found.name.unwrap().as_str(), "retext");
        assert_eq!(
            (found.display_name.as_deref(), found.version.as_deref()),
            (Some("ReText"), Some("8.0.2"))
        );
        let recipe = found.recipe;
        assert_eq!(recipe.entry.unwrap().to_string(), "module:ReText.__main__:main");
        assert_eq!(
            (recipe.folder, recipe.icon),
            (Some(PathBuf::new().into()), Some("icon.png".into()))
        );
        assert_eq!(
            (recipe.description.as_str(), recipe.requirements),
            ("An editor", Some("pyproject.toml".into()))
        );
        assert_eq!(recipe.exclude, ["/tests", "/pyproject.toml"]);
    }

    #[test]
    fn a_png_is_found_before_an_svg() {
        let icon = |files: &[&str]| {
            let files: Vec<(&str, &str)> = files.iter().map(|file| (*file, "")).collect();
            discovered(&files).recipe.icon
        };
        assert_eq!(icon(&["icon.svg", "assets/logo.png"]), Some("assets/logo.png".into()));
        assert_eq!(icon(&["images/icon.svg", "other.svg"]), Some("images/icon.svg".into()));
        assert_eq!(icon(&["other.svg"]), None);
    }

    #[test]
    fn the_text_of_the_licence_is_found_in_each_spelling() {
        let licence = |files: &[&str]| {
            let files: Vec<(&str, &str)> = files.iter().map(|file| (*file, "")).collect();
            discovered(&files).recipe.license_file
        };
        for name in ["LICENSE", "LICENSE.txt", "license.md", "COPYING", "LICENCE", "Licence.TXT"] {
            assert_eq!(licence(&["app.py", name]), Some(name.into()));
        }
        assert_eq!(licence(&["COPYING", "LICENSE.md"]), Some("LICENSE.md".into()));
        assert_eq!(licence(&["LICENSE/MIT.txt", "LICENSES.md", "app.py"]), None);
    }

    #[test]
    fn a_source_folder_and_poetry_are_known() {
        let project = "[tool.poetry]\nname = \"tool_box\"\n[tool.poetry.scripts]\ntool-box = \"tool_box.cli:main\"\n";
        let found = discovered(&[
            ("pyproject.toml", project),
            ("src/tool_box/cli.py", ""),
            ("requirements.txt", ""),
        ]);
        assert_eq!(found.name.unwrap().as_str(), "tool-box");
        assert_eq!(found.recipe.folder, Some(PathBuf::from("src").into()));
        assert_eq!(found.recipe.entry.unwrap().to_string(), "module:tool_box.cli:main");
        assert_eq!(found.recipe.requirements, Some("requirements.txt".into()));
    }

    #[cfg(unix)]
    #[test]
    fn the_only_program_is_the_entry_and_brings_no_python() {
        use std::os::unix::fs::PermissionsExt as _;
        let with = |files: &[(&str, &str)]| {
            let folder = tempfile::tempdir().unwrap();
            for (path, text) in files {
                fs::write(folder.path().join(path), text).unwrap();
                fs::set_permissions(folder.path().join(path), fs::Permissions::from_mode(0o755))
                    .unwrap();
            }
            Discovered::in_folder(folder.path()).recipe
        };
        let entry = |recipe: &Recipe| recipe.entry.as_ref().map(ToString::to_string);
        let none = Some("none".to_owned().into());
        let shell = with(&[
            ("start.sh", "#!/bin/sh\n"),
            ("readme.txt", "hello"),
            ("libx.so.1", "\u{7f}ELF"),
        ]);
        assert_eq!((entry(&shell).as_deref(), &shell.runtime), (Some("exe:start.sh"), &none));
        let machine = with(&[("tool", "\u{7f}ELF"), ("plugin.so", "\u{7f}ELF")]);
        assert_eq!((entry(&machine).as_deref(), &machine.runtime), (Some("exe:tool"), &none));
        let python = with(&[("tool", "#!/usr/bin/env python3\n")]);
        assert_eq!((entry(&python).as_deref(), &python.runtime), (Some("exe:tool"), &None));
        assert_eq!(
            entry(&with(&[("one", "#!/bin/sh\n"), ("two", "#!/bin/sh\n")])),
            None,
            "nothing is guessed"
        );
        let both = with(&[("app.py", "#!/usr/bin/env python3\n"), ("build.sh", "#!/bin/sh\n")]);
        assert_eq!((entry(&both).as_deref(), &both.runtime), (Some("app.py"), &None));
    }

    #[test]
    fn scripts_and_packages_are_found_and_nothing_is_guessed() {
        let entry =
            |files: &[(&str, &str)]| discovered(files).recipe.entry.map(|entry| entry.to_string());
        assert_eq!(entry(&[("app.py", ""), ("helper.py", "")]).as_deref(), Some("app.py"));
        assert_eq!(entry(&[("hello.py", ""), ("setup.py", "")]).as_deref(), Some("hello.py"));
        assert_eq!(entry(&[("pkg/__main__.py", "")]).as_deref(), Some("module:pkg"));
        assert_eq!(entry(&[("src/main.py", "")]).as_deref(), Some("main.py"));
        assert_eq!(entry(&[("one.py", ""), ("two.py", "")]), None);
        assert_eq!(entry(&[("one/__main__.py", ""), ("two/__main__.py", "")]), None);
        assert_eq!(entry(&[("readme.md", "")]), None);
        let broken = discovered(&[("pyproject.toml", "not toml"), ("app.py", "")]);
        assert!(
            broken.name.unwrap().as_str().starts_with("my-app-") && broken.recipe.entry.is_some()
        );
    }
}
