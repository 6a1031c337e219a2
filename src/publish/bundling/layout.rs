//! The tree of a container: what goes where, and what is in it then.
//!
//! In: a [`BuildRequest`] and an empty folder. Out: the [`Draft`] of a package, and warnings. Never:
//! a change in the app's folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::bytecode::{self, Compiler};
use super::entry_point::EntryPoint;
use super::error::BuildError;
use super::left_out::LeftOut;
use super::request::{BuildRequest, Runtime, find_icon, no_runtime};
use super::steps::{BundlingStep, Steps};
use super::{
    checks, companion, copy, dependencies, detect, foreign_files, icon, revision, runtime, scripts,
    secrets, start, tool,
};
use crate::file_error::FileResult as _;
use crate::model::manifest::*;
use crate::model::{Platform, RelativePath};
use crate::publish::package::{Content, Draft, Item};
use crate::real_path;

/// Lays the container out in `work` and lists its content.
pub(super) fn lay_out(
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
    make_folders(&tree)?;
    // The app first, so that its errors are reported before the rest takes minutes.
    let mut warnings = steps.time(BundlingStep::App, || copy_app(request, &tree))?;
    warnings.extend(secrets::warnings(&tree)?);
    start::check_file(request, &tree)?;
    let mut download = steps.download();
    steps.time(BundlingStep::Runtime, || {
        runtime::lay_out(request, work, &tree.join("runtime"), &mut download)
    })?;
    let (python, more) = lay_out_dependencies(request, &tree, build_date, steps)?;
    warnings.extend(more);
    let python = python.as_ref();
    let (runnable, needs_home) = runnable(request, python, &tree)?;
    let site = python.map(|python| python.site.under(&tree));
    warnings.extend(foreign_files::check(request, &tree, site.as_deref())?);
    if let Some(python) = python {
        warnings.extend(check_dependencies(request, python, runnable, needs_home, &tree)?);
    }
    let compiler = compiler(request, python, runnable, needs_home, &tree);
    let is_compiled = compiler.is_some();
    match compiler {
        Some(compiler) => steps.time(BundlingStep::Bytecode, || {
            bytecode::compile(&compiler, &tree, request.effort.threads)
        })?,
        None => warnings.extend(python.and_then(|python| without_bytecode(request, python))),
    }
    if let Some(python) = python {
        python.open_embedded(&tree, entry_folder(request).as_ref())?;
    }
    let icon = lay_out_icon(request, &tree)?;
    let found = detect::Found::in_tree(&tree, python)?;
    let brings =
        start::Brings { needs_home, compiled: is_compiled, qt: found.qt_version.is_some() };
    let launch = start::launch(request, python, &tree, brings)?;
    let main_executable = start::write_script(request, &launch, &tree)?;
    let (mut items, empty_folders) = list(&tree)?;
    for program in [&main_executable, &launch.program] {
        if let Some(item) = items.get_mut(program) {
            item.permissions = Permissions::PROGRAM;
        }
    }
    let draft = Draft {
        container_info: container_info(request, build_date, revision.map(|it| it.commit)),
        platform_info: PlatformInfo {
            os: request.platform.os.clone(),
            architecture: request.platform.architecture.clone(),
            python_version: found.python_version,
            qt_version: found.qt_version,
        },
        application_info: application_info(request, main_executable, icon, launch),
        dependencies: found.dependencies,
        items,
        empty_folders,
    };
    Ok((draft, warnings))
}

fn container_info(
    request: &BuildRequest,
    build_date: jiff::Timestamp,
    commit: Option<String>,
) -> ContainerInfo {
    ContainerInfo {
        version: request.version.clone(),
        build_date,
        build_number: request.build_number.clone(),
        git_commit: request.git_commit.clone().or(commit),
        builder: format!("kuzflow {}", env!("CARGO_PKG_VERSION")),
    }
}

fn application_info(
    request: &BuildRequest,
    main_executable: RelativePath,
    icon: Option<RelativePath>,
    launch: Launch,
) -> ApplicationInfo {
    let display_name =
        if request.display_name.is_empty() { request.name.as_str() } else { &request.display_name };
    ApplicationInfo {
        name: request.name.clone(),
        display_name: display_name.to_owned(),
        description: request.description.clone(),
        main_executable,
        icon,
        data_schema: request.data_schema,
        launch,
    }
}

/// Makes the folders that every container has, with what each is for.
fn make_folders(tree: &Path) -> Result<(), BuildError> {
    for (name, description) in FOLDERS {
        let folder = tree.join(name);
        fs::create_dir_all(&folder).at("create the folder", &folder)?;
        let file = folder.join(".description");
        fs::write(&file, format!("{description}\n")).at("write", &file)?;
    }
    Ok(())
}

/// Installs the app's dependencies into the runtime; returns its Python, and warnings.
fn lay_out_dependencies(
    request: &BuildRequest,
    tree: &Path,
    build_date: jiff::Timestamp,
    steps: &mut Steps<'_>,
) -> Result<(Option<detect::Python>, Vec<String>), BuildError> {
    let python = detect::Python::find(tree, &request.platform);
    let mut warnings = Vec::new();
    if let Some(requirements) = &request.requirements {
        let python = python.as_ref().ok_or_else(|| no_runtime(request))?;
        warnings = steps.time(BundlingStep::Dependencies, || {
            dependencies::install(request, requirements, python, tree, build_date)
        })?;
    }
    if let Some(python) = &python {
        companion::lay_out(python, tree)?;
        companion::isolate(python, tree)?;
    }
    Ok((python, warnings))
}

/// The interpreter that makes the bytecode for the container's `python`, if any can.
fn compiler<'a>(
    request: &BuildRequest,
    python: Option<&detect::Python>,
    runnable: Option<&'a detect::Python>,
    needs_home: bool,
    tree: &Path,
) -> Option<Compiler<'a>> {
    if !request.bytecode {
        return None;
    }
    match runnable {
        Some(python) => Some(Compiler::Own { python, needs_home }),
        None => Compiler::of_host(request, python?, tree),
    }
}

/// The warning that a container has no bytecode although it was to have some.
fn without_bytecode(request: &BuildRequest, python: &detect::Python) -> Option<String> {
    let name = python.short_version();
    request.bytecode.then(|| {
        format!(
            "there is no Python {name} here to compile bytecode for {}: the app will take longer to start; install python{name}, or name one with --python",
            request.platform
        )
    })
}

/// The folder of the script that is started, below the app's top.
fn entry_folder(request: &BuildRequest) -> Option<RelativePath> {
    match &request.entry {
        EntryPoint::Script(path) => path.parent(),
        _ => None,
    }
}

/// The container's Python if it runs on this machine, and whether it then needs to be told where it
/// lies.
fn runnable<'a>(
    request: &BuildRequest,
    python: Option<&'a detect::Python>,
    tree: &Path,
) -> Result<(Option<&'a detect::Python>, bool), BuildError> {
    let native = python.filter(|_| request.platform == Platform::current());
    match native.map(|python| python.finds_itself(tree)) {
        None => Ok((None, false)),
        Some(Ok(finds_itself)) => Ok((native, !finds_itself)),
        // A runtime for an older or unusual system may still work where it is to run.
        Some(Err(_)) if request.runtime != Runtime::Host => Ok((None, false)),
        Some(Err(error)) => Err(error),
    }
}

/// Checks the installed packages; returns warnings.
fn check_dependencies(
    request: &BuildRequest,
    python: &detect::Python,
    runnable: Option<&detect::Python>,
    needs_home: bool,
    tree: &Path,
) -> Result<Vec<String>, BuildError> {
    let command = match runnable {
        Some(python) => python.command(tree, needs_home),
        // The packages of this machine's own Python prove nothing about the container's.
        None => {
            let mut command = tool::python(&request.python);
            command.arg("-S");
            command
        }
    };
    checks::installed(request, command, tree, &python.site.under(tree))
}

/// The first second that a zip can name: the date of a build without a date.
const FIRST_ZIP_DATE: jiff::Timestamp = jiff::Timestamp::constant(315_532_800, 0);

/// Copies what belongs to the app. Returns warnings about what is left out, or should be.
fn copy_app(request: &BuildRequest, tree: &Path) -> Result<Vec<String>, BuildError> {
    let links =
        if request.platform.is_windows() { copy::Links::Resolve } else { copy::Links::Keep };
    let left_out = LeftOut::new(&request.app, &request.exclude);
    copy::copy_tree(&request.app, &tree.join("app"), links, &|path| left_out.covers(path))?;
    let mut notes = left_out.into_notes();
    if let Some(config) = &request.config {
        let left_out = LeftOut::new(config, &request.exclude);
        // User data must be plain files.
        let links = copy::Links::Resolve;
        copy::copy_tree(config, &tree.join("config"), links, &|path| left_out.covers(path))?;
        notes.extend(left_out.into_notes());
    }
    for script in scripts::of(request) {
        script.lay_out(tree)?;
    }
    Ok(notes)
}

/// Lays the icon out: a PNG in the app's folder is already there; any other is copied, an SVG drawn.
fn lay_out_icon(request: &BuildRequest, tree: &Path) -> Result<Option<RelativePath>, BuildError> {
    let Some(named) = &request.icon else { return Ok(None) };
    let app = real_path::resolve(&request.app).at("find", &request.app)?;
    let found = &find_icon(&app, named);
    let file = &real_path::resolve(found).at("find the icon", found)?;
    let is_svg = icon::is_svg(file)?;
    if let Some(inside) = file.strip_prefix(&app).ok().filter(|_| !is_svg) {
        let path = copy::relative(file, &Path::new("app").join(inside))?;
        if path.under(tree).is_file() {
            return Ok(Some(path));
        }
    }
    let path = copy::relative(file, Path::new(icon::PLACE))?;
    if is_svg {
        icon::lay_out_svg(file, tree)?;
    } else {
        fs::copy(file, path.under(tree)).at("copy the icon", file)?;
    }
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
            let mut content = fs::read_dir(entry.path()).at("list", entry.path())?;
            // pip and uv leave different empty folders, and no runtime needs one.
            if content.next().is_none() && !path.is_under("runtime") {
                empty_folders.push(path);
            }
        } else if metadata.is_symlink() {
            let target = fs::read_link(entry.path()).at("read the link", entry.path())?;
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
