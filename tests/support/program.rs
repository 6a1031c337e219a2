//! The program of the tests' app. It prints its version and arguments, says that it is up, and obeys
//! the variables `CODE` (its exit status) and `STAY` (seconds).

use std::fs;
use std::path::Path;

/// The name of the app's program.
pub const PROGRAM: &str = if cfg!(windows) { "run.exe" } else { "run.sh" };

/// Writes the app's program.
#[cfg(unix)]
pub fn write(path: &Path) {
    let script = "#!/bin/sh\necho \"version=$KUZFLOW_VERSION args=$*\"\n[ -n \"$CODE\" ] || echo up >> \"$KUZFLOW_HEALTH\"\n[ -z \"$STAY\" ] || exec sleep \"$STAY\"\nexit \"${CODE:-0}\"\n";
    write_script(path, script);
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
