//! Runs programs for a build: quiet, without input, with their output stored for the error.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::BuildError;
use crate::file_error::FileResult as _;
use crate::host;

/// Most characters of a program's output that are stored: its end, where the reason stands.
const MAX_OUTPUT: usize = 4000;

/// A command in a fixed language, for programs whose words or order follow the locale.
pub(super) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    command
}

/// A command without this process's Python settings.
pub(super) fn python(program: impl AsRef<OsStr>) -> Command {
    let mut command = command(program);
    for name in host::variables_with("PYTHON") {
        command.env_remove(name);
    }
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONHASHSEED", "0").env("PYTHONUTF8", "1");
    command
}

/// Runs `command` and returns its standard output. `what` names it for people.
pub(super) fn run(command: &mut Command, what: &str, input: &[u8]) -> Result<Vec<u8>, BuildError> {
    let program = command.get_program().to_owned();
    let program = Path::new(&program);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().at("run", program)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends before it has read everything gives the reason in its status.
        let _ = stdin.write_all(input);
    }
    let output = child.wait_with_output().at("run", program)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let text = [String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)]
        .join("\n");
    let text = text.trim();
    let skipped = text.chars().count().saturating_sub(MAX_OUTPUT);
    Err(BuildError::Tool {
        what: what.to_owned(),
        status: output.status.to_string(),
        output: text.chars().skip(skipped).collect(),
    })
}
