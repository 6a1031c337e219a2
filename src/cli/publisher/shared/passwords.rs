//! Passwords of keys: from the variable KUZFLOW_KEY_PASSWORD, from a pipe, or typed.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::VerbError;
use crate::host;
use crate::mutex;

const VARIABLE: &str = "KUZFLOW_KEY_PASSWORD";
/// How long the program waits for a pipe. Some CI systems hold a pipe open that never sends
/// anything.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// How long the program waits for a further line.
const LINE_TIMEOUT: Duration = Duration::from_millis(200);

/// A key's password.
pub(crate) fn ask(key: &Path) -> Option<String> {
    if let Some(password) = from_variable() {
        return Some(password);
    }
    if let Some(password) = PIPED.next() {
        return Some(password);
    }
    rpassword::prompt_password(format!("Password of {}: ", key.display()))
        .ok()
        .filter(|password| !password.is_empty())
}

/// A password for new keys; typed, it is asked for twice.
pub(crate) fn new_password() -> Result<String, VerbError> {
    if let Some(password) = from_variable().or_else(|| PIPED.next()) {
        return Ok(password);
    }
    let typed = |prompt: &str| {
        rpassword::prompt_password(prompt).map_err(|error| {
            format!("the new keys need a password, and none can be typed here ({error}); pipe it in, or set {VARIABLE}")
        })
    };
    let password = typed("Password for the new keys: ")?;
    if password.is_empty() || typed("Again: ")? != password {
        return Err("the two passwords differ, or are empty".into());
    }
    Ok(password)
}

/// Makes sure that the folders of keys are there: a medium that is not mounted is told as that.
pub(crate) fn check_folders(folders: &[PathBuf]) -> Result<(), VerbError> {
    match folders.iter().find(|folder| !folder.is_dir()) {
        Some(missing) => Err(format!(
            "--keys {}: there is no such folder; is the medium mounted?",
            missing.display()
        )
        .into()),
        None => Ok(()),
    }
}

fn from_variable() -> Option<String> {
    host::variable(VARIABLE)?.into_string().ok().filter(|password| !password.is_empty())
}

/// Lines of a pipe on standard input, one password each; the last one repeats for all that follow.
static PIPED: Pipe = Pipe(Mutex::new(None));

struct Pipe(Mutex<Option<Lines>>);

struct Lines {
    receiver: Receiver<String>,
    last: Option<String>,
}

impl Pipe {
    /// The next password; `None` if standard input is a terminal, or sends nothing.
    fn next(&self) -> Option<String> {
        let mut lines = mutex::lock(&self.0);
        if lines.is_none() && std::io::stdin().is_terminal() {
            return None;
        }
        let Lines { receiver, last } =
            lines.get_or_insert_with(|| Lines { receiver: read_lines(), last: None });
        if let Ok(line) =
            receiver.recv_timeout(if last.is_none() { MAX_WAIT } else { LINE_TIMEOUT })
        {
            *last = Some(line);
        }
        last.clone().filter(|password| !password.is_empty())
    }
}

/// Reads in a thread, which ends with the input or the program.
#[allow(clippy::disallowed_methods)] // on the publisher's computer a panic is a message
fn read_lines() -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line.trim_end_matches('\r').to_owned()).is_err() {
                return;
            }
        }
    });
    receiver
}
