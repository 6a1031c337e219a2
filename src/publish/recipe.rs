//! `[app]` of `kuzflow.toml`: the app, and the sources of its releases, given once instead of at
//! every build.
//!
//! In: the table as it is written. Out: the same, with paths from the folder of `kuzflow.toml`.
//! Never: a look at the disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::bundling::{BuildRequest, EntryPoint, InvalidRuntime, Runtime};
use super::per_platform::PerPlatform;
use crate::model::document_type::DocumentSettings;
use crate::model::platform::AppName;
use crate::model::replaced_program::ReplacedProgram;
use crate::model::{Platform, Version};
use crate::real_path;

/// Stands for the version in the path of release notes.
const VERSION: &str = "{version}";

/// The sources of releases. Relative paths count from the folder of `kuzflow.toml`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    /// One line about the app.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Who publishes the app: `Name`, or `Name <address>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publisher: Option<String>,
    /// The app's page on the web.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub homepage: Option<String>,
    /// The app's licence, an SPDX expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// The text of the app's licence, which installers show or store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license_file: Option<PathBuf>,
    /// Who has the rights, and since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copyright: Option<String>,
    /// Where menus show the app: categories of the Desktop Menu Specification.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
    /// The documents that the app opens.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<DocumentSettings>,
    /// Programs of an earlier installation of the app, whose shortcuts this one replaces.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replaces: Vec<ReplacedProgram>,
    /// The app's folder, for all platforms or for each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<PerPlatform<PathBuf>>,
    /// The script, module, function or executable that the launcher starts, for all platforms or
    /// for each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<PerPlatform<EntryPoint>>,
    /// Packages to install into the container: a list for pip, or a `pyproject.toml`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requirements: Option<PathBuf>,
    /// The app's icon, a PNG or an SVG; the path counts from the folder of `kuzflow.toml`, otherwise from the
    /// app's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon: Option<PathBuf>,
    /// The Python in the container: `host`, `none`, a folder or an archive; for all platforms or
    /// for each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<PerPlatform<String>>,
    /// This machine's Python, for the copy and for pip: a program's name, or a path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub python: Option<PathBuf>,
    /// Release notes in Markdown, for every language or for each; `{version}` stands for the
    /// version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<Notes>,
    /// A folder of default settings; becomes `config/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_defaults: Option<PathBuf>,
    /// The release's own migration of the user's files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub migrate: Option<PathBuf>,
    /// The script that the launcher runs once before the first start of each version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_install: Option<PerPlatform<PathBuf>>,
    /// The script that the launcher runs before it uninstalls the app.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before_uninstall: Option<PerPlatform<PathBuf>>,
    /// Patterns of files to leave out of the app's folder.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Patterns of programs and libraries for other systems that belong to the app all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub foreign_files: Vec<String>,
    /// Patterns of files to leave out of the runtime.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runtime_exclude: Vec<String>,
    /// Patterns of files to leave out of the installed requirements.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prune: Vec<String>,
    /// The level of compression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<i32>,
    /// The version of the user data's form that the app knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_schema: Option<u32>,
    /// Whether the app reports when it is up.
    #[serde(skip_serializing_if = "is_false")]
    pub reports_up: bool,
    /// Whether the runtime includes tkinter.
    #[serde(skip_serializing_if = "is_false")]
    pub tkinter: bool,
    /// Whether the app writes to a console, on Windows.
    #[serde(skip_serializing_if = "is_false")]
    pub console: bool,
}

/// The files of release notes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a path, or a table with a path for each language")]
pub enum Notes {
    /// One file for every language.
    All(String),
    /// One for each language tag.
    Each(BTreeMap<String, String>),
}

/// A setting says nothing about a platform.
#[derive(Debug, thiserror::Error)]
#[error("{setting} in [app] of kuzflow.toml names none for {platform}; add {setting}.{platform}, or {setting}.{} for all of this system", platform.os)]
pub(crate) struct NotForPlatform {
    setting: &'static str,
    platform: Platform,
}

impl Recipe {
    /// The runtime for `platform` as it is written; `None` if `[app]` names none.
    pub fn runtime_for(&self, platform: &Platform) -> Option<&str> {
        self.runtime.as_ref()?.of(platform).map(String::as_str)
    }

    /// The app's folder on `platform`.
    ///
    /// # Errors
    /// [`NotForPlatform`] if `[app]` does not say it.
    pub(crate) fn folder_for(&self, platform: &Platform) -> Result<&PathBuf, NotForPlatform> {
        let absent = || NotForPlatform { setting: "folder", platform: platform.clone() };
        self.folder.as_ref().and_then(|folder| folder.of(platform)).ok_or_else(absent)
    }

    /// What is started on `platform`; `None` if `[app]` says nothing about any platform.
    ///
    /// # Errors
    /// [`NotForPlatform`] if it says it only of others.
    pub(crate) fn entry_for(
        &self,
        platform: &Platform,
    ) -> Result<Option<&EntryPoint>, NotForPlatform> {
        let Some(entry) = &self.entry else { return Ok(None) };
        let absent = || NotForPlatform { setting: "entry", platform: platform.clone() };
        entry.of(platform).map(Some).ok_or_else(absent)
    }

    /// The app's folders on all platforms.
    pub(crate) fn folders(&self) -> impl Iterator<Item = &PathBuf> {
        self.folder.iter().flat_map(PerPlatform::values)
    }

    /// Whether the table of runtimes names one for `platform` itself.
    pub(super) fn names_runtime_of(&self, platform: &Platform) -> bool {
        matches!(&self.runtime, Some(PerPlatform::Each(each)) if each.contains_key(&platform.to_string()))
    }

    /// The files of the notes of `version` by language tag, empty for every language; `project` is
    /// the folder of `kuzflow.toml`.
    pub fn notes_of(&self, version: &Version, project: &Path) -> BTreeMap<String, PathBuf> {
        let file = |pattern: &str| {
            real_path::joined(project, pattern.replace(VERSION, &version.to_string()))
        };
        match &self.notes {
            None => BTreeMap::new(),
            Some(Notes::All(pattern)) => BTreeMap::from([(String::new(), file(pattern))]),
            Some(Notes::Each(each)) => {
                each.iter().map(|(tag, pattern)| (tag.clone(), file(pattern))).collect()
            }
        }
    }

    /// Applies the values of `[app]` to a request; `project` is the folder of `kuzflow.toml`.
    /// Values that `[app]` lacks stay unchanged.
    pub(super) fn fill(
        &self,
        request: &mut BuildRequest,
        project: &Path,
    ) -> Result<(), InvalidRuntime> {
        let from_here = |path: &PathBuf| real_path::joined(project, path);
        if let Some(runtime) = self.runtime_for(&request.platform) {
            request.runtime = Runtime::named(runtime, project)?;
        }
        if let Some(python) = &self.python {
            // A plain name is searched in `PATH`.
            request.python =
                if python.components().count() > 1 { project.join(python) } else { python.clone() };
        }
        request.requirements = self.requirements.as_ref().map(from_here);
        request.icon = self.icon.as_ref().map(from_here);
        request.config = self.config_defaults.as_ref().map(from_here);
        request.migrate = self.migrate.as_ref().map(from_here);
        let script = |choice: &Option<PerPlatform<PathBuf>>| {
            choice.as_ref()?.of(&request.platform).map(from_here)
        };
        let (after_install, before_uninstall) =
            (script(&self.after_install), script(&self.before_uninstall));
        request.after_install = after_install;
        request.before_uninstall = before_uninstall;
        request.description.clone_from(&self.description);
        request.exclude.clone_from(&self.exclude);
        request.foreign_files.clone_from(&self.foreign_files);
        request.runtime_exclude.clone_from(&self.runtime_exclude);
        request.prune.clone_from(&self.prune);
        request.data_schema = self.data_schema.unwrap_or_default();
        request.reports_up = self.reports_up;
        request.tkinter = self.tkinter;
        request.console = self.console;
        request.effort.level = self.level.unwrap_or(request.effort.level);
        Ok(())
    }

    /// The lines of `[app]`: known values as values, other common settings as comments.
    pub(super) fn to_toml(
        &self,
        app: &AppName,
        display_name: &str,
    ) -> Result<String, toml::ser::Error> {
        let mut known = toml::Table::try_from(self)?;
        let names = [("name", app.as_str()), ("display_name", display_name)];
        let mut text = "[app]\n".to_owned();
        for (key, value) in names {
            text += &format!("{key} = {}\n", toml::Value::from(value));
        }
        for (key, example) in EXAMPLES {
            text += &match known.remove(key) {
                Some(value) => format!("{key} = {value}\n"),
                None => format!("#{key} = {example}\n"),
            };
        }
        for (key, value) in known {
            text += &format!("{key} = {value}\n");
        }
        Ok(text)
    }
}

/// The comments that `init` writes for settings that it does not know.
const EXAMPLES: [(&str, &str); 6] = [
    ("folder", "\"../my-app\"              # the app's folder; \"..\" if this one lies in it"),
    (
        "entry",
        "\"app.py\"                  # or module:package, module:package.main:run, exe:bin/program",
    ),
    ("requirements", "\"../requirements.txt\"  # or a pyproject.toml"),
    ("icon", "\"../icon.png\"              # an SVG, or a square PNG of 256 pixels or more"),
    (
        "notes",
        "\"notes/{version}.md\"      # or { en = \"notes/{version}.en.md\", zh-CN = \"notes/{version}.zh.md\" }",
    ),
    ("exclude", "[\"tests\", \"docs/*.md\"]"),
];

fn is_false(value: &bool) -> bool {
    !value
}
