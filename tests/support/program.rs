//! The program of the tests' app. It prints its version and arguments, says that it is up, and
//! obeys variables, or lines of the file `orders` beside it: `STAY` (seconds), `CODE` (its exit
//! status; then it does not say that it is up), `SILENT` (it does not say so either), and
//! `COMPLAINT` (a word for its error output at the end).

use std::fs;
use std::path::Path;

/// The name of the app's program.
pub const PROGRAM: &str = if cfg!(windows) { "run.exe" } else { "run.sh" };

/// Writes the app's program.
#[cfg(unix)]
pub fn write(path: &Path) {
    write_script(path, include_str!("program.sh"));
}

/// The same where a script is no program: `examples/sample_app.rs`, which stands beside the
/// executables.
#[cfg(windows)]
pub fn write(path: &Path) {
    let executables = Path::new(env!("CARGO_BIN_EXE_kuzflow")).parent().unwrap();
    let example = executables.join("examples/sample_app.exe");
    fs::copy(&example, path)
        .unwrap_or_else(|error| panic!("{}: {error}; build the examples", example.display()));
}

/// Writes a script that can be started.
#[cfg(unix)]
pub fn write_script(path: &Path, script: &str) {
    fs::write(path, script).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(path, mode).unwrap();
}
