//! Compiles bytecode for every Python file of a container. With it a window opens twice as fast. An
//! installed container must not change, so it cannot make its own bytecode.
//!
//! The files are unchecked-hash files: they contain no time stamps, and the interpreter does not
//! look at the source first. `compile.py` derives each file's bytecode from that file alone, so
//! that a pack between releases has only as many changed files as their sources require.
//!
//! The container's own interpreter compiles, or, where it does not run on this machine, another one
//! of the same minor version. Bytecode is the same on all systems and differs with each minor
//! version; it begins with a number that an interpreter compares with its own.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::detect::Python;
use super::request::BuildRequest;
use super::runtime::HostPython;
use super::{BuildError, copy, tool};

/// The interpreter that compiles.
pub(super) enum Compiler<'a> {
    /// The container's own.
    Own {
        python: &'a Python,
        /// Whether it must be given its folder.
        needs_home: bool,
    },
    /// One of this machine, whose bytecode the container's reads.
    Host(PathBuf),
}

impl<'a> Compiler<'a> {
    /// An interpreter of this machine for a container's `python` that does not run here.
    pub(super) fn of_host(request: &BuildRequest, python: &Python, tree: &Path) -> Option<Self> {
        let (magic, name) = (magic_of(tree), python.short_version());
        let is_final = !python.version(tree).contains(|c: char| c.is_ascii_alphabetic());
        let reads = |host: &HostPython| {
            let same_version = host.name.trim_end_matches(|c: char| c.is_alphabetic()) == name;
            same_version
                && match &magic {
                    Some(magic) => *magic == host.magic,
                    // All final versions of a minor version have the same.
                    None => is_final && host.is_final,
                }
        };
        [request.python.clone(), PathBuf::from(format!("python{name}"))]
            .iter()
            .filter_map(|program| HostPython::ask(program).ok())
            .find(reads)
            .map(|host| Self::Host(host.executable))
    }

    fn command(&self, tree: &Path) -> Command {
        match self {
            Self::Own { python, needs_home } => python.command(tree, *needs_home),
            Self::Host(program) => tool::python(program),
        }
    }
}

/// What bytecode begins with that the container's Python reads, as hexadecimal digits; `None` if
/// its files do not show it.
fn magic_of(tree: &Path) -> Option<String> {
    let runtime = tree.join("runtime");
    let zipped = copy::find_name(&runtime, "python3*.zip");
    zipped.and_then(|path| magic_in_zip(&path)).or_else(|| {
        let library = copy::find_name(&runtime.join("lib"), "python3.*");
        let libraries = library.into_iter().chain([runtime.join("Lib")]);
        libraries.into_iter().find_map(|library| {
            let path = library.join("importlib/_bootstrap_external.py");
            magic_in_source(&fs::read_to_string(path).ok()?)
        })
    })
}

/// The magic number of a standard library that is compiled already.
fn magic_in_zip(path: &Path) -> Option<String> {
    let mut zip = zip::ZipArchive::new(File::open(path).ok()?).ok()?;
    let names = zip.file_names().filter_map(Result::ok);
    let name = names.into_iter().find(|name| name.ends_with(".pyc"))?.into_owned();
    let mut magic = [0; 4];
    zip.by_name(&name).ok()?.read_exact(&mut magic).ok()?;
    Some(magic.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The magic number in the source of the import system: `MAGIC_NUMBER = (3531).to_bytes(2, 'little')
/// + b'\\r\\n'`. From Python 3.14 on it stands in the interpreter.
fn magic_in_source(source: &str) -> Option<String> {
    let (_, rest) = source.split_once("\nMAGIC_NUMBER = (")?;
    let number: u16 = rest.split(')').next()?.parse().ok()?;
    let [low, high] = number.to_le_bytes();
    Some(format!("{low:02x}{high:02x}0d0a"))
}

/// Compiles all `.py` files of the runtime and the app. File names in the bytecode are relative to
/// the container; the interpreter replaces them by the path where it found the file.
pub(super) fn compile(
    compiler: &Compiler<'_>,
    tree: &Path,
    threads: usize,
) -> Result<(), BuildError> {
    let mut files = Vec::new();
    for top in ["app", "runtime"] {
        for entry in walkdir::WalkDir::new(tree.join(top)).sort_by_file_name() {
            let entry = entry.map_err(|error| copy::walk_error(tree, error))?;
            if entry.file_type().is_file()
                && entry.path().extension().is_some_and(|extension| extension == "py")
            {
                let inside = entry.path().strip_prefix(tree).unwrap_or(entry.path());
                files.push(copy::relative(entry.path(), inside)?);
            }
        }
    }
    let workers = threads.max(1);
    let work = |worker: usize| -> Result<(), BuildError> {
        let share: Vec<&str> =
            files.iter().skip(worker).step_by(workers).map(|path| path.as_str()).collect();
        let input = serde_json::json!([tree, share]).to_string();
        let mut command = compiler.command(tree);
        command.args(["-S", "-s", "-W", "ignore", "-c", include_str!("compile.py")]);
        tool::run(&mut command, "compiling bytecode", input.as_bytes()).map(drop)
    };
    let work = &work;
    std::thread::scope(|scope| {
        #[allow(clippy::disallowed_methods)] // on the publisher's computer a panic is a message
        let helpers: Vec<_> =
            (1..workers).map(|worker| scope.spawn(move || work(worker))).collect();
        let own = work(0);
        let others = helpers
            .into_iter()
            .map(|helper| helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        others.fold(own, Result::and)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn the_magic_number_stands_in_the_library() {
        let folder = tempfile::tempdir().unwrap();
        let runtime = folder.path().join("runtime");
        assert_eq!(magic_of(folder.path()), None);
        let source = runtime.join("lib/python3.12/importlib/_bootstrap_external.py");
        fs::create_dir_all(source.parent().unwrap()).unwrap();
        fs::write(&source, "# x\nMAGIC_NUMBER = (3531).to_bytes(2, 'little') + b'\\r\\n'\n")
            .unwrap();
        assert_eq!(magic_of(folder.path()).as_deref(), Some("cb0d0d0a"));
        fs::write(&source, "\nMAGIC_NUMBER = _imp.pyc_magic_number_token.to_bytes(4, 'little')\n")
            .unwrap();
        assert_eq!(magic_of(folder.path()), None);
        let zip = File::create(runtime.join("python313.zip")).unwrap();
        let mut zip = zip::ZipWriter::new(zip);
        zip.start_file("os.pyc", zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(b"\xf3\x0d\x0d\x0a rest").unwrap();
        zip.finish().unwrap();
        assert_eq!(magic_of(folder.path()).as_deref(), Some("f30d0d0a"));
    }
}
