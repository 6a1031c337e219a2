//! The builder: makes a package that runs on a machine with nothing installed, from an app's
//! folder.
//!
//! In: a [`BuildRequest`]. Out: a package, and a [`Report`] about it. The builder lays a tree out
//! in a temporary folder beside the package (runtime, dependencies, app, scripts), compiles
//! bytecode with the very interpreter that will read it, and packs the tree. Never: a time, a name
//! or an order in the package that does not follow from the inputs; a change in the app's folder.

mod bytecode;
mod checks;
mod companion;
mod copy;
mod dependencies;
mod detect;
mod program;
mod revision;
mod runtime;
mod start;
mod tool;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub use copy::{NEVER, is_program};
pub use program::FileKind;
pub use runtime::{InvalidRuntime, Runtime};
pub use start::{EntryPoint, InvalidEntryPoint};

use super::package::{self, Content, Draft, Effort, Item, Package, PackageError};
use crate::model::manifest::*;
use crate::model::path::UnsafePath;
use crate::model::platform::AppName;
use crate::model::{Platform, RelativePath, Version};

/// What to build. [`BuildRequest::new`] fills in the usual values.
#[derive(Clone, Debug)]
pub struct BuildRequest {
    /// The app's folder; becomes `app/`.
    pub app: PathBuf,
    /// Name in ids.
    pub name: AppName,
    /// The release's version.
    pub version: Version,
    /// The platform of the container.
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
    /// Whether the container gets its bytecode, if its Python runs on this machine. Without
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
    /// Patterns of files to leave out of the app's folder, besides [`NEVER`]: names (`*.log`), or
    /// paths from its top (`docs/*.md`). `*` stands for anything but `/`.
    pub exclude: Vec<String>,
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
            display_name: String::new(),
            description: String::new(),
            icon: None,
            build_number: None,
            data_schema: 0,
            reports_up: false,
            git_commit: None,
            build_date: None,
            exclude: Vec::new(),
            console: false,
            effort: Effort::default(),
        }
    }
}

/// A package that was built.
#[derive(Clone, Debug)]
pub struct Built {
    /// The written package: manifest, index and digest.
    pub package: Package,
    /// The path of the package's file.
    pub path: PathBuf,
    /// Figures and warnings for the user.
    pub report: Report,
}

/// Figures of a build.
#[derive(Clone, Debug)]
pub struct Report {
    /// Files in the container, without the manifest.
    pub files: usize,
    /// Symlinks in it.
    pub links: usize,
    /// Bytes of all files when unpacked.
    pub unpacked_size: u64,
    /// Bytes of the package.
    pub package_size: u64,
    /// The duration of each step.
    pub steps: Vec<(BundlingStep, Duration)>,
    /// Problems that probably appear on a user's computer, or look bad there.
    pub warnings: Vec<String>,
}

/// A step of the build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BundlingStep {
    /// Copying the app.
    App,
    /// Laying out the runtime.
    Runtime,
    /// Installing the requirements.
    Dependencies,
    /// Compiling bytecode.
    Bytecode,
    /// Compressing and writing.
    Pack,
}

/// The progress of the build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuildProgress {
    /// The present step.
    pub step: BundlingStep,
    /// The finished part of `total`: bytes while packing, otherwise 0 and then 1.
    pub done: u64,
    /// The whole amount of this step.
    pub total: u64,
}

/// Why the build failed.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The file system returned an error.
    #[error("cannot {action} {}", path.display())]
    File {
        /// The attempted action.
        action: &'static str,
        /// The file of that action.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A file has a name that some system does not allow.
    #[error("{} cannot be in a container; rename it, or exclude it", path.display())]
    Name {
        /// The file's path.
        path: PathBuf,
        /// The defect of its name.
        source: UnsafePath,
    },
    /// A file's name is no Unicode, or it is neither file, folder nor link.
    #[error("{} cannot be in a container: {reason}", path.display())]
    Kind {
        /// The file's path.
        path: PathBuf,
        /// Why the container cannot have it.
        reason: &'static str,
    },
    /// A link points out of the app, or to nothing.
    #[error("the link {} -> {} leads out of its folder or nowhere; put the file there, or exclude the link", path.display(), target.display())]
    Link {
        /// The link's path.
        path: PathBuf,
        /// The text of the link.
        target: PathBuf,
    },
    /// A file or folder that the request names does not exist.
    #[error("cannot find {what}: {}", path.display())]
    Missing {
        /// The purpose of that file.
        what: &'static str,
        /// The path in the request.
        path: PathBuf,
    },
    /// There is a file where a folder is needed, or the other way round.
    #[error("{what} must be a {wanted}: {}", path.display())]
    OtherKind {
        /// The purpose of that file.
        what: &'static str,
        /// The kind that is needed.
        wanted: &'static str,
        /// The path in the request.
        path: PathBuf,
    },
    /// The icon is no PNG.
    #[error("the icon {} is no PNG; save it as one, a square of 256 pixels or more", path.display())]
    Icon {
        /// The icon's path.
        path: PathBuf,
    },
    /// The entry point does not exist.
    #[error("the entry point {entry} is not in {}; {there}", app.display())]
    NoEntry {
        /// The entry point in the request.
        entry: EntryPoint,
        /// The folder that was searched.
        app: PathBuf,
        /// The likely alternatives, for the message.
        there: String,
    },
    /// The entry point exists, but it is left out of the container.
    #[error(
        "the entry point {entry} is left out of the container, since {part} is excluded; name another entry point, or move it"
    )]
    EntryExcluded {
        /// The entry point in the request.
        entry: EntryPoint,
        /// The part of its path that is excluded.
        part: String,
    },
    /// The entry point's module cannot be started by that name.
    #[error("the entry point {entry} cannot be started: {reason}")]
    Entry {
        /// The entry point in the request.
        entry: EntryPoint,
        /// Why it cannot be started.
        reason: String,
    },
    /// The entry point needs Python, and the runtime has none.
    #[error(
        "the entry point {entry} needs a Python runtime, and the runtime given has none for {platform}"
    )]
    NoRuntime {
        /// The entry point in the request.
        entry: EntryPoint,
        /// The platform of the container.
        platform: Platform,
    },
    /// This machine does not have the Python of the request.
    #[error("cannot run {}; install Python 3 on this machine, or name another one", python.display())]
    NoPython {
        /// The program that the builder tried to run.
        python: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The Python of this machine is for another platform.
    #[error(
        "the Python of this machine runs on {current}, the package is for {wanted}; give a runtime as folder or archive"
    )]
    ForeignRuntime {
        /// The platform of this machine's Python.
        current: Platform,
        /// The platform of the package.
        wanted: Platform,
    },
    /// This machine has neither pip nor uv to install the requirements.
    #[error("neither '{} -m pip' nor 'uv' runs on this machine; install one of them (Debian: python3-pip)", python.display())]
    NoInstaller {
        /// The Python that has no pip.
        python: PathBuf,
    },
    /// The requirements cannot be read.
    #[error("{} cannot be used: {reason}", path.display())]
    Requirements {
        /// The path of the requirements.
        path: PathBuf,
        /// Why they cannot be read.
        reason: String,
    },
    /// The archive has an unknown form.
    #[error("{} is no .tar.gz, .tgz, .tar.zst, .tar or .zip", path.display())]
    Archive {
        /// The archive's path.
        path: PathBuf,
    },
    /// A program that the build ran has failed.
    #[error("{what} failed ({status}):\n{output}")]
    Tool {
        /// The name of the program, for people.
        what: String,
        /// How the program ended.
        status: String,
        /// The end of its output.
        output: String,
    },
    /// Writing the package failed.
    #[error(transparent)]
    Package(#[from] PackageError),
}

impl BuildError {
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::File { action, path, source }
    }
}

/// Checks the whole request before the build takes time. Returns warnings.
pub fn check(request: &BuildRequest) -> Result<Vec<String>, BuildError> {
    checks::before(request)
}

/// Builds the package `out`; if `out` is a folder, `{container id}.kuzflow` in it. `progress` may
/// be called from any thread.
pub fn build(
    request: &BuildRequest,
    out: &Path,
    progress: &(dyn Fn(BuildProgress) + Sync),
) -> Result<Built, BuildError> {
    let mut warnings = check(request)?;
    let path = if out.is_dir() {
        out.join(format!("{}.kuzflow", container_id(request)))
    } else {
        out.to_path_buf()
    };
    let folder =
        path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(BuildError::file("create the folder", folder))?;
    let folder = fs::canonicalize(folder).map_err(BuildError::file("find the folder", folder))?;
    // Beside the package: there is space where packages are written, and /tmp is often small.
    let work = tempfile::Builder::new()
        .prefix(copy::WORK_PREFIX)
        .tempdir_in(&folder)
        .map_err(BuildError::file("create a temporary folder in", &folder))?;
    let mut steps = Steps { progress, done: Vec::new() };
    let (draft, more) = lay_out(request, work.path(), &mut steps)?;
    warnings.extend(more);
    let package = steps
        .pack(&draft, |progress| package::write_package(&path, &draft, request.effort, progress))?;
    let report = Report {
        files: package
            .manifest
            .file_manifest
            .values()
            .filter(|entry| entry.symlink.is_none())
            .count(),
        links: package
            .manifest
            .file_manifest
            .values()
            .filter(|entry| entry.symlink.is_some())
            .count(),
        unpacked_size: package.manifest.unpacked_size(),
        package_size: package.length,
        steps: steps.done,
        warnings,
    };
    Ok(Built { package, path, report })
}

fn container_id(request: &BuildRequest) -> crate::model::ContainerId {
    crate::model::ContainerId {
        app: request.name.clone(),
        version: request.version.clone(),
        platform: request.platform.clone(),
    }
}

/// Lays the container out in `work` and lists its content.
fn lay_out(
    request: &BuildRequest,
    work: &Path,
    steps: &mut Steps<'_>,
) -> Result<(Draft, Vec<String>), BuildError> {
    let tree = work.join("tree");
    let revision = revision::of(&request.app);
    let build_date = request
        .build_date
        .or(revision.as_ref().map(|revision| revision.date))
        .unwrap_or(FIRST_ZIP_DATE);
    for (name, description) in FOLDERS {
        let folder = tree.join(name);
        fs::create_dir_all(&folder).map_err(BuildError::file("create the folder", &folder))?;
        let file = folder.join(".description");
        fs::write(&file, format!("{description}\n")).map_err(BuildError::file("write", &file))?;
    }
    // The app first, so that its errors are reported before the rest takes minutes.
    steps.time(BundlingStep::App, || copy_app(request, &tree))?;
    start::check_file(request, &tree)?;
    steps.time(BundlingStep::Runtime, || runtime::lay_out(request, work, &tree.join("runtime")))?;
    let python = detect::Python::find(&tree, &request.platform);
    if let Some(requirements) = &request.requirements {
        let python = python.as_ref().ok_or_else(|| no_runtime(request))?;
        steps.time(BundlingStep::Dependencies, || {
            dependencies::install(request, requirements, python, &tree, build_date)
        })?;
    }
    if let Some(python) = &python {
        companion::lay_out(python, &tree)?;
        companion::isolate(python, &tree)?;
    }
    let runnable = python.as_ref().filter(|_| request.platform == Platform::current());
    let (runnable, needs_home) = match runnable.map(|python| python.finds_itself(&tree)) {
        None => (None, false),
        Some(Ok(finds_itself)) => (runnable, !finds_itself),
        // A runtime for an older or unusual system may still work where it is to run.
        Some(Err(_)) if request.runtime != Runtime::Host => (None, false),
        Some(Err(error)) => return Err(error),
    };
    let warnings = match &python {
        None => Vec::new(),
        Some(python) => {
            let command = match runnable {
                Some(python) => python.command(&tree, needs_home),
                // The packages of this machine's own Python prove nothing about the container's.
                None => {
                    let mut command = tool::python(&request.python);
                    command.arg("-S");
                    command
                }
            };
            checks::installed(request, command, &tree, &python.site.under(&tree))?
        }
    };
    let compiled = runnable.filter(|_| request.bytecode);
    if let Some(python) = compiled {
        steps.time(BundlingStep::Bytecode, || {
            bytecode::compile(python, &tree, needs_home, request.effort.threads)
        })?;
    }
    if let Some(python) = &python {
        python.open_embedded(&tree)?;
    }
    let icon = lay_out_icon(request, &tree)?;
    let found = detect::Found::in_tree(&tree, python.as_ref())?;
    let brings =
        start::Brings { needs_home, compiled: compiled.is_some(), qt: found.qt_version.is_some() };
    let launch = start::launch(request, python.as_ref(), &tree, brings)?;
    let main_executable = start::write_script(request, &launch, &tree)?;
    let (mut items, empty_folders) = list(&tree)?;
    for program in [Some(&main_executable), Some(&launch.program)].into_iter().flatten() {
        if let Some(item) = items.get_mut(program) {
            item.permissions = Permissions::PROGRAM;
        }
    }
    let display_name =
        if request.display_name.is_empty() { request.name.as_str() } else { &request.display_name };
    let draft = Draft {
        container_info: ContainerInfo {
            version: request.version.clone(),
            build_date,
            build_number: request.build_number.clone(),
            git_commit: request.git_commit.clone().or(revision.map(|revision| revision.commit)),
            builder: format!("kuzflow {}", env!("CARGO_PKG_VERSION")),
        },
        platform_info: PlatformInfo {
            os: request.platform.os.clone(),
            architecture: request.platform.architecture.clone(),
            python_version: found.python_version,
            qt_version: found.qt_version,
        },
        application_info: ApplicationInfo {
            name: request.name.clone(),
            display_name: display_name.to_owned(),
            description: request.description.clone(),
            main_executable,
            icon,
            data_schema: request.data_schema,
            launch,
        },
        dependencies: found.dependencies,
        items,
        empty_folders,
    };
    Ok((draft, warnings))
}

/// The first second that a zip can name: the date of a build without a date.
const FIRST_ZIP_DATE: jiff::Timestamp = jiff::Timestamp::constant(315_532_800, 0);

fn no_runtime(request: &BuildRequest) -> BuildError {
    BuildError::NoRuntime { entry: request.entry.clone(), platform: request.platform.clone() }
}

fn copy_app(request: &BuildRequest, tree: &Path) -> Result<(), BuildError> {
    let skip = copy::Exclusions::new(
        copy::NEVER.iter().copied().chain(request.exclude.iter().map(String::as_str)),
    );
    let links =
        if request.platform.is_windows() { copy::Links::Resolve } else { copy::Links::Keep };
    let own = |path: &str| is_publishers(&request.app, path);
    copy::copy_tree(&request.app, &tree.join("app"), links, &|path| {
        skip.covers(path) || own(path)
    })?;
    if let Some(config) = &request.config {
        // User data must be plain files.
        copy::copy_tree(config, &tree.join("config"), copy::Links::Resolve, &|path| {
            skip.covers(path)
        })?;
    }
    match &request.migrate {
        Some(script) => lay_out_migration(script, tree),
        None => Ok(()),
    }
}

/// Whether `path` in the app's folder is a publisher's folder, or a part of one that is the app's
/// folder itself: users must not get keys and packages.
fn is_publishers(app: &Path, path: &str) -> bool {
    let is_one = |folder: &Path| folder.join("kuzflow.toml").is_file();
    let parts = [
        "kuzflow.toml",
        "keys",
        "repository",
        "launcher",
        "packages",
        "making",
        "patch-jobs",
        ".lock",
    ];
    is_one(&app.join(path)) || (parts.contains(&path) && is_one(app))
}

/// Writes `scripts/migrate`, with the ending by which the launcher knows how to run it.
fn lay_out_migration(script: &Path, tree: &Path) -> Result<(), BuildError> {
    const ENDINGS: [&str; 4] = ["py", "exe", "cmd", "bat"];
    let ending = script
        .extension()
        .and_then(|ending| ending.to_str())
        .filter(|ending| ENDINGS.contains(ending));
    let folder = tree.join("scripts");
    let place = folder
        .join(ending.map_or_else(|| "migrate".to_owned(), |ending| format!("migrate.{ending}")));
    fs::create_dir_all(&folder).map_err(BuildError::file("create", &folder))?;
    fs::copy(script, &place).map_err(BuildError::file("copy", script))?;
    #[cfg(unix)]
    fs::set_permissions(&place, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .map_err(BuildError::file("change", &place))?;
    Ok(())
}

/// Finds the icon: a relative path counts from the app's top if there is such a file, otherwise
/// from the current folder.
fn find_icon(app: &Path, icon: &Path) -> PathBuf {
    let in_app = app.join(icon);
    if in_app.is_file() { in_app } else { icon.to_owned() }
}

/// Lays the icon out: an icon in the app's folder is already there; any other is copied.
fn lay_out_icon(request: &BuildRequest, tree: &Path) -> Result<Option<RelativePath>, BuildError> {
    let Some(icon) = &request.icon else { return Ok(None) };
    let app = fs::canonicalize(&request.app).map_err(BuildError::file("find", &request.app))?;
    let icon = &find_icon(&app, icon);
    let icon = fs::canonicalize(icon).map_err(BuildError::file("find the icon", icon))?;
    if let Ok(inside) = icon.strip_prefix(&app) {
        let path = copy::relative(&icon, &Path::new("app").join(inside))?;
        if path.under(tree).is_file() {
            return Ok(Some(path));
        }
    }
    let path = copy::relative(&icon, Path::new("metadata/icon.png"))?;
    fs::copy(&icon, path.under(tree)).map_err(BuildError::file("copy the icon", &icon))?;
    Ok(Some(path))
}

/// Lists everything in the tree. It lists a folder only if the folder is empty.
fn list(tree: &Path) -> Result<(BTreeMap<RelativePath, Item>, Vec<RelativePath>), BuildError> {
    let (mut items, mut empty_folders) = (BTreeMap::new(), Vec::new());
    for entry in walkdir::WalkDir::new(tree).min_depth(1).sort_by_file_name() {
        let entry = entry.map_err(|error| copy::walk_error(tree, error))?;
        let inside = entry.path().strip_prefix(tree).unwrap_or(entry.path());
        let path = copy::relative(entry.path(), inside)?;
        let metadata = entry.metadata().map_err(|error| copy::walk_error(tree, error))?;
        if metadata.is_dir() {
            let mut content =
                fs::read_dir(entry.path()).map_err(BuildError::file("list", entry.path()))?;
            // pip and uv leave different empty folders, and no runtime needs one.
            if content.next().is_none() && !path.is_under("runtime") {
                empty_folders.push(path);
            }
        } else if metadata.is_symlink() {
            let target = fs::read_link(entry.path())
                .map_err(BuildError::file("read the link", entry.path()))?;
            let text = target.to_str().filter(|text| path.resolve_link(text).is_some());
            let text = text.ok_or_else(|| BuildError::Link {
                path: entry.path().to_path_buf(),
                target: target.clone(),
            })?;
            items.insert(
                path,
                Item { content: Content::Link(text.to_owned()), permissions: Permissions::PROGRAM },
            );
        } else {
            let content = Content::File(entry.path().to_path_buf(), metadata.len());
            items.insert(path, Item { content, permissions: copy::permissions(&metadata) });
        }
    }
    Ok((items, empty_folders))
}

/// Measures the time of each step and reports it.
struct Steps<'a> {
    progress: &'a (dyn Fn(BuildProgress) + Sync),
    done: Vec<(BundlingStep, Duration)>,
}

impl Steps<'_> {
    fn time<T>(
        &mut self,
        step: BundlingStep,
        work: impl FnOnce() -> Result<T, BuildError>,
    ) -> Result<T, BuildError> {
        (self.progress)(BuildProgress { step, done: 0, total: 1 });
        let start = Instant::now();
        let result = work()?;
        self.done.push((step, start.elapsed()));
        (self.progress)(BuildProgress { step, done: 1, total: 1 });
        Ok(result)
    }

    fn pack(
        &mut self,
        draft: &Draft,
        work: impl FnOnce(&(dyn Fn(u64) + Sync)) -> Result<Package, PackageError>,
    ) -> Result<Package, BuildError> {
        let total = draft.items.values().map(Item::size).sum();
        let (done, progress, step) = (AtomicU64::new(0), self.progress, BundlingStep::Pack);
        progress(BuildProgress { step, done: 0, total });
        let start = Instant::now();
        let package = work(&|bytes| {
            let done = done.fetch_add(bytes, Ordering::Relaxed) + bytes;
            progress(BuildProgress { step, done, total });
        })?;
        self.done.push((step, start.elapsed()));
        Ok(package)
    }
}
