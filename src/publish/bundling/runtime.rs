//! Lays out the Python of a container: a copy of this machine's, or a distribution given as a
//! folder or archive.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::archive::{Archive, DownloadProgress};
use super::copy::{self, Exclusions, Links};
use super::{BuildError, BuildRequest, Runtime, tool};
use crate::file_error::{FileError, FileResult as _};
use crate::model::Platform;

/// Parts of a standard library that no app needs (paths from its top).
const NOT_NEEDED: [&str; 14] = [
    "/test",
    "test",
    "tests",
    "/idlelib",
    "/turtledemo",
    "/ensurepip",
    "/config-*",
    "/EXTERNALLY-MANAGED",
    "/site-packages",
    "/dist-packages",
    "_test*.so",
    "_ctypes_test*.so",
    "xxlimited*.so",
    "wininst-*.exe",
];
/// The parts of tkinter.
const TKINTER: [&str; 4] = ["/tkinter", "/turtle.py", "_tkinter*.so", "_tkinter.pyd"];
/// Files that no runtime needs: caches, and files for linking other programs.
const NEVER: [&str; 5] = ["__pycache__", "*.pyc", "*.a", "*.o", "*.lib"];

/// The answer of `probe.py`.
#[derive(Debug, Deserialize)]
pub(super) struct HostPython {
    /// `sys.base_prefix`.
    prefix: PathBuf,
    /// The program itself, with links resolved; not a version manager's shim, and not a virtual
    /// environment's link.
    pub executable: PathBuf,
    /// The short version, such as `3.11`, followed by the letter of an unusual build.
    pub name: String,
    /// What the bytecode begins with that it reads, as hexadecimal digits.
    pub magic: String,
    /// Whether it is no preview: previews of one minor version differ in their bytecode.
    pub is_final: bool,
    standard_library: PathBuf,
    platform_library: PathBuf,
    library_folder: Option<PathBuf>,
    library: Option<String>,
}

impl HostPython {
    /// Runs `probe.py` with the Python `python` of this machine.
    pub(super) fn ask(python: &Path) -> Result<Self, BuildError> {
        let missing = |source| BuildError::NoPython { python: python.to_path_buf(), source };
        let mut command = tool::python(python);
        let output = match tool::run(
            command.args(["-I", "-c", include_str!("probe.py")]),
            "asking Python for its folders",
            b"",
        ) {
            Err(BuildError::File(error)) => return Err(missing(error.source)),
            other => other?,
        };
        serde_json::from_slice(&output).map_err(|error| missing(error.into()))
    }
}

/// Lays the runtime out in `to`; archives are unpacked in `work` first.
pub(super) fn lay_out(
    request: &BuildRequest,
    work: &Path,
    to: &Path,
    progress: &mut DownloadProgress<'_>,
) -> Result<(), BuildError> {
    bring(request, work, to, progress)?;
    let unwanted = Exclusions::new(request.runtime_exclude.iter().map(String::as_str));
    if request.runtime_exclude.is_empty() { Ok(()) } else { leave_out(to, "", &unwanted) }
}

/// Deletes unwanted files from `folder`, which lies at `inside` from the runtime's top.
fn leave_out(folder: &Path, inside: &str, unwanted: &Exclusions) -> Result<(), BuildError> {
    for entry in fs::read_dir(folder).at("list", folder)? {
        let entry = entry.at("list", folder)?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        let inside = if inside.is_empty() { name.into_owned() } else { format!("{inside}/{name}") };
        let is_folder = entry.file_type().at("look at", &path)?.is_dir();
        if unwanted.covers(&inside) {
            let removed =
                if is_folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.at("remove", &path)?;
        } else if is_folder {
            leave_out(&path, &inside, unwanted)?;
        }
    }
    Ok(())
}

fn bring(
    request: &BuildRequest,
    work: &Path,
    to: &Path,
    progress: &mut DownloadProgress<'_>,
) -> Result<(), BuildError> {
    let unpacked = |archive: Archive| {
        let folder = work.join("runtime");
        archive.unpack(&folder)?;
        copy_distribution(request, &folder, to)
    };
    match &request.runtime {
        Runtime::None => Ok(()),
        Runtime::Host => {
            if request.platform != Platform::current() {
                return Err(BuildError::ForeignRuntime {
                    current: Platform::current(),
                    wanted: request.platform.clone(),
                });
            }
            copy_host(request, to)
        }
        Runtime::Folder(folder) => copy_distribution(request, folder, to),
        Runtime::Archive(path) => unpacked(Archive::open(path)?),
        Runtime::Pinned(pinned) => {
            unpacked(Archive::pinned(pinned, request.cache.as_deref(), progress)?)
        }
    }
}

fn exclusions(request: &BuildRequest) -> Exclusions {
    let tkinter: &[&str] = if request.tkinter { &[] } else { &TKINTER };
    Exclusions::new(NOT_NEEDED.iter().chain(&NEVER).chain(tkinter).copied())
}

fn copy_host(request: &BuildRequest, to: &Path) -> Result<(), BuildError> {
    let host = HostPython::ask(&request.python)?;
    let skip = exclusions(request);
    if cfg!(windows) {
        let skip_all = |path: &str| skip_in_distribution(&skip, path, "Lib");
        let in_prefix = |path: &str| {
            let top = path.split('/').next().unwrap_or(path);
            !matches!(top, "Lib" | "DLLs" | "tcl")
                && !(top == path && (top.ends_with(".dll") || top.starts_with("python")))
        };
        return copy::copy_tree(&host.prefix, to, Links::Resolve, &|path| {
            in_prefix(path) || skip_all(path)
        });
    }
    let folder = format!("python{}", host.name);
    let library = to.join("lib").join(&folder);
    copy::copy_tree(&host.standard_library, &library, Links::KeepInside, &|path| {
        skip.covers(path)
    })?;
    if host.platform_library != host.standard_library {
        copy::copy_tree(&host.platform_library, &library, Links::KeepInside, &|path| {
            skip.covers(path)
        })?;
    }
    let programs = to.join("bin");
    fs::create_dir_all(&programs).at("create the folder", &programs)?;
    copy_to(&host.executable, &programs.join(&folder))?;
    for link in ["python3", "python"] {
        let link = programs.join(link);
        copy::make_link(Path::new(&folder), &link).at("create the link", &link)?;
    }
    copy_shared_library(&host, to, &programs.join(&folder))?;
    strip(to, &library.join("lib-dynload"))
}

/// Copies the interpreter's library, if the program is linked against it.
fn copy_shared_library(host: &HostPython, to: &Path, program: &Path) -> Result<(), BuildError> {
    let (Some(folder), Some(name)) = (&host.library_folder, &host.library) else { return Ok(()) };
    let library = folder.join(name);
    let mut bytes = fs::read(program).at("read", program)?;
    // A framework build of macOS names a path here; such a Python must be given as a standalone
    // distribution.
    let linked = !name.is_empty() && !name.contains('/') && find(&bytes, name.as_bytes()).is_some();
    if !linked || !library.is_file() {
        return Ok(());
    }
    copy_to(&library, &to.join("lib").join(name))?;
    // The program finds its library by a path of this machine. A path relative to the program
    // replaces it. So no LD_LIBRARY_PATH is needed, which every child of the app would inherit.
    let own = [b"\0", ORIGIN.as_bytes(), b"\0"].concat();
    let theirs = [b"\0", folder.as_os_str().as_encoded_bytes(), b"\0"].concat();
    if let Some(at) = find(&bytes, &theirs).filter(|_| own.len() <= theirs.len()) {
        bytes[at..at + theirs.len()].fill(0);
        bytes[at..at + own.len()].copy_from_slice(&own);
        fs::write(program, bytes).at("write", program)?;
    }
    Ok(())
}

/// The library's folder for the dynamic linker, relative to the program.
const ORIGIN: &str = "$ORIGIN/../lib";

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

/// Removes data that only a debugger reads, three quarters of some builds. Without `strip` on this
/// machine the runtime stays unchanged.
fn strip(runtime: &Path, modules: &Path) -> Result<(), BuildError> {
    let is_binary = |path: &PathBuf| {
        path.extension().is_some_and(|extension| extension == "so")
            || path.to_string_lossy().contains(".so.")
    };
    let in_folder = |folder: &Path| {
        fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect::<Vec<_>>()
    };
    let programs = in_folder(&runtime.join("bin")).into_iter().filter(|path| !path.is_symlink());
    let libraries =
        in_folder(&runtime.join("lib")).into_iter().chain(in_folder(modules)).filter(is_binary);
    let files: Vec<PathBuf> = programs.chain(libraries).collect();
    match tool::run(
        tool::command("strip").arg("--strip-unneeded").args(files),
        "stripping the runtime",
        b"",
    ) {
        Err(BuildError::File(_)) => Ok(()),
        other => other.map(drop),
    }
}

fn copy_to(from: &Path, to: &Path) -> Result<(), FileError> {
    fs::copy(from, to).map(drop).at("copy", from)
}

/// Copies a distribution with its installed packages, without the parts that no app needs.
fn copy_distribution(request: &BuildRequest, folder: &Path, to: &Path) -> Result<(), BuildError> {
    let home = home_in(folder).unwrap_or_else(|| folder.to_path_buf());
    let skip = exclusions(request);
    let links = if request.platform.is_windows() { Links::Resolve } else { Links::KeepInside };
    let standard_library = copy::find_name(&home.join("lib"), "python3.*")
        .and_then(|path| Some(format!("lib/{}", path.file_name()?.to_str()?)))
        .unwrap_or_else(|| "Lib".to_owned());
    copy::copy_tree(&home, to, links, &|path| skip_in_distribution(&skip, path, &standard_library))
}

/// Installed packages are copied whole: their `tests` may be part of them.
fn skip_in_distribution(skip: &Exclusions, path: &str, standard_library: &str) -> bool {
    let inside = path.strip_prefix(standard_library).and_then(|rest| rest.strip_prefix('/'));
    match inside {
        Some(inside)
            if inside.starts_with("site-packages") || inside.starts_with("dist-packages") =>
        {
            path.ends_with("/__pycache__") || path.ends_with(".pyc")
        }
        Some(inside) => skip.covers(inside),
        None => Exclusions::new(NEVER).covers(path) || path == "include",
    }
}

/// The top of a Python in an unpacked archive. Archives have their content in one folder, `python`
/// or `python/install`, or at the top.
fn home_in(folder: &Path) -> Option<PathBuf> {
    let is_home = |folder: &Path| {
        folder.join("python.exe").is_file()
            || copy::find_name(&folder.join("bin"), "python3*").is_some()
    };
    if is_home(folder) {
        return Some(folder.to_path_buf());
    }
    let only =
        fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
    let below = only.flat_map(|path| [path.join("install"), path]);
    below.into_iter().filter(|path| is_home(path)).min()
}
