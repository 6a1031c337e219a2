//! What a build is told to do.
//!
//! In: the publisher's choices. Out: [`BuildRequest`], complete. Never: a look at the files.

use std::fmt;
use std::path::{Path, PathBuf};

use url::Url;

use super::entry_point::EntryPoint;
use super::error::BuildError;
use crate::host;
use crate::model::node::redacted;
use crate::model::platform::AppName;
use crate::model::{Digest, Platform, Version};
use crate::publish::package::Effort;
use crate::real_path;

/// The source of the runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// No runtime: the entry point is an executable that brings what it needs.
    None,
    /// A copy of this machine's Python, without tests, documentation and installed packages.
    Host,
    /// A Python that works from any folder (standalone, embeddable, or copied before).
    Folder(PathBuf),
    /// Such a Python as `.tar.gz`, `.tgz`, `.tar.zst`, `.tar` or `.zip`.
    Archive(PathBuf),
    /// Such an archive that must have a known digest.
    Pinned(PinnedArchive),
}

/// An archive that is used only if it has this digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinnedArchive {
    /// Where it comes from.
    pub source: ArchiveSource,
    /// The SHA-256 of the whole archive.
    pub digest: Digest,
}

/// Where an archive comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArchiveSource {
    /// It is downloaded once, and then stays in [`BuildRequest::cache`].
    Url(Url),
    /// A file of this machine.
    File(PathBuf),
}

impl fmt::Display for ArchiveSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => redacted(url).fmt(f),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// The text names no runtime.
#[derive(Debug, thiserror::Error)]
#[error("there is no runtime {}: expected host, none, or a folder or an archive that exists", path.display())]
pub struct InvalidRuntime {
    path: PathBuf,
}

impl Runtime {
    /// Parses `host`, `none`, or the path of a folder or an archive; a relative path counts from
    /// `base`.
    pub fn named(text: &str, base: &Path) -> Result<Self, InvalidRuntime> {
        let path = real_path::joined(base, text);
        match text {
            "host" => Ok(Self::Host),
            "none" => Ok(Self::None),
            _ if path.is_dir() => Ok(Self::Folder(path)),
            _ if path.is_file() => Ok(Self::Archive(path)),
            _ => Err(InvalidRuntime { path }),
        }
    }
}

/// What to build. [`BuildRequest::new`] fills in the usual values.
#[derive(Clone, Debug)]
pub struct BuildRequest {
    /// The app's folder; becomes `app/`.
    pub app: PathBuf,
    /// Name in ids.
    pub name: AppName,
    /// Which release.
    pub version: Version,
    /// What it is for.
    pub platform: Platform,
    /// The script, module, function or executable that the launcher starts.
    pub entry: EntryPoint,
    /// The Python in the container.
    pub runtime: Runtime,
    /// The Python of this machine: its pip installs the requirements, and [`Runtime::Host`] copies
    /// it.
    pub python: PathBuf,
    /// Whether the runtime includes tkinter and its parts.
    pub tkinter: bool,
    /// Whether the container gets its bytecode, if this machine has a Python that makes it. Without
    /// bytecode a package is smaller by a fifth, and the app takes twice the time to start.
    pub bytecode: bool,
    /// Requirements to install into the container.
    pub requirements: Option<PathBuf>,
    /// Patterns of files to leave out of the runtime, like [`Self::exclude`], with paths from its
    /// top (`share/terminfo`).
    pub runtime_exclude: Vec<String>,
    /// Patterns of files to leave out of the installed requirements, like [`Self::exclude`], with
    /// paths from the folder of installed packages (`*.pyi`, `PyQt5/Qt5/qml`).
    pub prune: Vec<String>,
    /// A folder of default settings; becomes `config/`.
    pub config: Option<PathBuf>,
    /// The release's own migration of user data, a program or a Python script; becomes
    /// `scripts/migrate`.
    pub migrate: Option<PathBuf>,
    /// What the launcher runs once before the version's first start; becomes
    /// `scripts/after-install`.
    pub after_install: Option<PathBuf>,
    /// What the launcher runs before the app is uninstalled; becomes `scripts/before-uninstall`.
    pub before_uninstall: Option<PathBuf>,
    /// The app's name for people; empty for the name in ids.
    pub display_name: String,
    /// One line about the app.
    pub description: String,
    /// A PNG: a file in the app's folder, or any other file, which is copied.
    pub icon: Option<PathBuf>,
    /// The publisher's own number for this build.
    pub build_number: Option<String>,
    /// The version of the user data's form that this release knows; 0 if the app does not count
    /// them.
    pub data_schema: u32,
    /// Whether the app reports when it is up; otherwise it counts as up once it has run for a
    /// while.
    pub reports_up: bool,
    /// The commit; if `None`, git supplies it where the app lies in a repository.
    pub git_commit: Option<String>,
    /// The date (`SOURCE_DATE_EPOCH`); if `None`, the date of the commit, and without a commit the
    /// first day that a zip can name.
    pub build_date: Option<jiff::Timestamp>,
    /// Patterns of files to leave out of the app's folder, besides `NEVER`: names (`*.log`), or
    /// paths from its top (`docs/*.md`). `*` stands for anything but `/`.
    pub exclude: Vec<String>,
    /// Patterns of programs and libraries for another system that belong to the app all the same,
    /// like [`Self::exclude`], with paths from the container's top (`app/tools/*.exe`).
    pub foreign_files: Vec<String>,
    /// The folder in which downloaded runtimes stay; `None` if the system names none.
    pub cache: Option<PathBuf>,
    /// On Windows: start `python.exe` instead of `pythonw.exe`, for an app that writes to a
    /// console.
    pub console: bool,
    /// The level and threads of compression.
    pub effort: Effort,
}

impl BuildRequest {
    /// A request for the app in `app` on this platform, with the Python of this machine.
    pub fn new(
        app: impl Into<PathBuf>,
        name: AppName,
        version: Version,
        entry: EntryPoint,
    ) -> Self {
        Self {
            app: app.into(),
            name,
            version,
            platform: Platform::current(),
            entry,
            runtime: Runtime::Host,
            python: PathBuf::from(if cfg!(windows) { "python" } else { "python3" }),
            tkinter: false,
            bytecode: true,
            requirements: None,
            runtime_exclude: Vec::new(),
            prune: Vec::new(),
            config: None,
            migrate: None,
            after_install: None,
            before_uninstall: None,
            display_name: String::new(),
            description: String::new(),
            icon: None,
            build_number: None,
            data_schema: 0,
            reports_up: false,
            git_commit: None,
            build_date: None,
            exclude: Vec::new(),
            foreign_files: Vec::new(),
            cache: host::cache_folder(),
            console: false,
            effort: Effort::default(),
        }
    }
}

/// There is no Python for the entry point.
pub(super) fn no_runtime(request: &BuildRequest) -> BuildError {
    BuildError::NoRuntime { entry: request.entry.clone(), platform: request.platform.clone() }
}

/// Finds the icon: a relative path counts from the app's top if there is such a file, otherwise
/// from the current folder.
pub(super) fn find_icon(app: &Path, icon: &Path) -> PathBuf {
    let in_app = app.join(icon);
    if in_app.is_file() { in_app } else { icon.to_owned() }
}
