//! Compiles bytecode for every Python file of a container. With it a window opens twice as fast. An
//! installed container must not change, so it cannot make its own bytecode.
//!
//! The files are unchecked-hash files: they contain no time stamps, and the interpreter does not
//! look at the source first. `compile.py` derives each file's bytecode from that file alone, so
//! that a pack between releases has only as many changed files as their sources require.

use std::path::Path;

use super::detect::Python;
use super::{BuildError, copy, tool};

/// Compiles all `.py` files of the runtime and the app with the container's own interpreter. File
/// names in the bytecode are relative to the container; the interpreter replaces them by the path
/// where it found the file.
pub(super) fn compile(
    python: &Python,
    tree: &Path,
    needs_home: bool,
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
        let mut command = python.command(tree, needs_home);
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
