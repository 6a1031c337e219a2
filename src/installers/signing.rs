//! Signs programs and installers with the publisher's own command, as `[sign]` in `kuzflow.toml`
//! says: osslsigncode or signtool for Windows, codesign or rcodesign for macOS.
//!
//! In: a command, the path of a file or of an application bundle. Out: the same path, signed.
//! Never: a key, a password, or a go on after a command that failed.

use std::ffi::OsString;
use std::io::{self, Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::error::InstallerError;
use crate::file_error::FileResult as _;
use crate::process_group::ProcessGroup;
#[cfg(unix)]
use crate::process_group::end_descendants;
use crate::programs;
use crate::publish::signing::SigningCommands;

/// Stands for what is signed, and for the path of the signed one.
const FILE: &str = "{file}";
const SIGNED: &str = "{signed}";
/// How long a command may take: a service for signatures takes a minute, a token that asks for its
/// PIN waits for ever.
const TIME_LIMIT: Duration = Duration::from_secs(600);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Most characters of a command's output that an error shows: its end, where the reason stands.
const MAX_OUTPUT_CHARACTERS: usize = 2000;

/// The command of each system, as far as the publisher has named one.
#[derive(Clone, Debug)]
pub(crate) struct Signers<'a> {
    pub(super) windows: Option<Signer<'a>>,
    pub(super) macos: Option<Signer<'a>>,
}

impl<'a> Signers<'a> {
    /// The commands of `[sign]`, which run in the folder of `kuzflow.toml`.
    ///
    /// # Errors
    /// [`InstallerError::SignCommand`] if one does not say which file to sign.
    pub(crate) fn new(
        commands: &'a SigningCommands,
        folder: &'a Path,
        tell: fn(&str),
    ) -> Result<Self, InstallerError> {
        Ok(Self {
            windows: Signer::new(&commands.windows, folder, tell)?,
            macos: Signer::new(&commands.macos, folder, tell)?,
        })
    }
}

/// A command that signs.
#[derive(Clone, Debug)]
pub(super) struct Signer<'a> {
    words: &'a [String],
    /// Where the command runs: the publisher's folder.
    folder: &'a Path,
    /// Tells the publisher what is signed: a token may ask for its PIN.
    tell: fn(&str),
}

impl<'a> Signer<'a> {
    /// The command of these words; `None` without any.
    ///
    /// # Errors
    /// [`InstallerError::SignCommand`] if it does not say which file to sign.
    fn new(
        words: &'a [String],
        folder: &'a Path,
        tell: fn(&str),
    ) -> Result<Option<Self>, InstallerError> {
        match words {
            [] => Ok(None),
            words if words[1..].iter().any(|word| word.contains(FILE)) => {
                Ok(Some(Self { words, folder, tell }))
            }
            _ => Err(InstallerError::SignCommand { command: words.join(" ") }),
        }
    }

    /// The bytes of a file after it was signed under this name, which the signature may hold.
    ///
    /// # Errors
    /// Those of [`Self::sign`].
    pub(super) fn signed(&self, name: &str, bytes: &[u8]) -> Result<Vec<u8>, InstallerError> {
        let folder = tempfile::tempdir().at("make", Path::new("a temporary folder"))?;
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).at("write", &path)?;
        self.sign(&path)?;
        Ok(std::fs::read(&path).at("read", &path)?)
    }

    /// Signs what is at `path`.
    ///
    /// # Errors
    /// [`InstallerError::Sign`] if the command cannot be started or fails.
    pub(super) fn sign(&self, path: &Path) -> Result<(), InstallerError> {
        let signed = with_ending(path, ".signed");
        let word = |word: &String| filled(word, path, &signed);
        let failed = |reason: String| self.failed(path, reason);
        let mut command = Command::new(&self.words[0]);
        command.args(self.words[1..].iter().map(word)).current_dir(self.folder);
        command.stdin(Stdio::null());
        (self.tell)(&format!("signing {} with {}", path.display(), self.words[0]));
        let ran = run(&mut command, TIME_LIMIT).map_err(|error| failed(error.to_string()))?;
        let ended = match ran.status {
            Some(status) if status.success() => None,
            Some(status) => Some(status.to_string()),
            None => Some(format!(
                "it did not end within {} s; it may wait for input",
                TIME_LIMIT.as_secs()
            )),
        };
        if let Some(reason) = ended {
            return Err(failed(format!("{reason}\n{}", end_of(&ran.output))));
        }
        if self.words.iter().any(|word| word.contains(SIGNED)) {
            if !signed.try_exists().at("look at", &signed)? {
                return Err(failed(format!("it has not written {}", signed.display())));
            }
            std::fs::rename(&signed, path).at("replace", path)?;
        }
        Ok(())
    }
}

impl Signer<'_> {
    fn failed(&self, path: &Path, reason: String) -> InstallerError {
        InstallerError::Sign { command: self.words.join(" "), path: path.to_owned(), reason }
    }

    /// The error of a command that ended well and signed nothing.
    pub(super) fn no_signature(&self, path: &Path) -> InstallerError {
        self.failed(path, "it has left no signature".to_owned())
    }
}

/// What a command has done.
struct Ran {
    /// `None` if its time was over.
    status: Option<ExitStatus>,
    /// What it has printed.
    output: Vec<u8>,
}

/// Whether a person may answer questions of a command: on Unix a program asks the terminal that this
/// one was started from, which only a program in the foreground may read.
#[cfg(unix)]
fn has_terminal() -> bool {
    std::fs::File::open("/dev/tty").is_ok()
}

/// Runs a command until it ends or its time is over; then all that it has started ends with it.
fn run(command: &mut Command, limit: Duration) -> io::Result<Ran> {
    // Into a file: a program that it leaves behind may hold a pipe open.
    let mut output = tempfile::tempfile()?;
    command.stdout(output.try_clone()?).stderr(output.try_clone()?);
    #[cfg(unix)]
    if !has_terminal() {
        ProcessGroup::prepare(command);
    }
    let mut child = programs::spawn(command)?;
    let group = ProcessGroup::of_lasting(&child);
    let end = Instant::now() + limit;
    let status = loop {
        match child.try_wait()? {
            Some(status) => break Some(status),
            None if Instant::now() >= end => {
                #[cfg(unix)]
                end_descendants(&child);
                group.end();
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
            None => std::thread::sleep(POLL_INTERVAL),
        }
    };
    let mut printed = Vec::new();
    output.rewind()?;
    output.read_to_end(&mut printed)?;
    Ok(Ran { status, output: printed })
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// A word with the paths in it, which need not be Unicode.
fn filled(word: &str, file: &Path, signed: &Path) -> OsString {
    let mut filled = OsString::new();
    let mut rest = word;
    while let Some(at) = rest.find('{') {
        filled.push(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix(FILE) {
            filled.push(file);
            rest = after;
        } else if let Some(after) = rest.strip_prefix(SIGNED) {
            filled.push(signed);
            rest = after;
        } else {
            filled.push("{");
            rest = &rest[1..];
        }
    }
    filled.push(rest);
    filled
}

fn end_of(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let text = text.trim();
    let skipped = text.chars().count().saturating_sub(MAX_OUTPUT_CHARACTERS);
    text.chars().skip(skipped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn a_command_that_waits_for_ever_is_ended_with_its_output() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo PIN:; sleep 600"]);
        let ran = run(&mut command, Duration::from_millis(300)).unwrap();
        assert!(ran.status.is_none());
        assert_eq!(ran.output, b"PIN:\n");
    }

    /// With a terminal and without one: a test has what its caller has.
    #[test]
    #[cfg(unix)]
    fn what_a_command_has_started_ends_with_it_when_its_time_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let late = folder.path().join("late");
        let script = "(while :; do echo x >> late; sleep 0.01; done) & sleep 600";
        for setsid in [&[][..], &["setsid", "--wait"]] {
            let words = [setsid, &["sh", "-c", script]].concat();
            let mut command = Command::new(words[0]);
            command.args(&words[1..]).current_dir(folder.path());
            let written = || std::fs::metadata(&late).map_or(0, |metadata| metadata.len());
            let before = written();
            let mut limit = Duration::from_millis(200);
            while written() == before {
                assert!(limit < Duration::from_secs(100), "it has run");
                assert!(run(&mut command, limit).unwrap().status.is_none());
                limit *= 2;
            }
            let at_the_end = written();
            std::thread::sleep(Duration::from_millis(500));
            assert_eq!(written(), at_the_end, "{words:?}");
        }
    }

    #[test]
    fn paths_take_their_places_in_each_word() {
        let fill = |word: &str| filled(word, Path::new("/a b/{signed}"), Path::new("/out"));
        for (word, expected) in [
            ("{file}", "/a b/{signed}"),
            ("-in={file} -out={signed}", "-in=/a b/{signed} -out=/out"),
            ("{other} {", "{other} {"),
            ("plain 词", "plain 词"),
        ] {
            assert_eq!(fill(word), expected, "{word}");
        }
    }
}
