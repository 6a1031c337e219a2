//! A new launcher after its download: it is tested, then exchanged for the old one in steps.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::file::{LauncherFile, POLL_INTERVAL};
use super::note::{Exchange, Note};
use super::unfit::Unfit;
use crate::desktop::remove_file;
use crate::durable;
use crate::file_error::{FileError, FileResult as _};
use crate::model::{Digest, Version};
use crate::programs;
use crate::threads;

/// Longest self-test answer that is read, bytes.
const MAX_ANSWER_BYTES: u64 = 64 << 10;

/// A new executable beside the old one, with a verified digest.
#[derive(Debug)]
pub(crate) struct Staged<'a> {
    pub(super) program: &'a LauncherFile,
    pub(super) version: Version,
    pub(super) hash: Digest,
    /// The lock of the exchange, held from the first byte written.
    pub(super) lock: File,
}

/// The steps of an exchange, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExchangeStep {
    /// Records what is about to change.
    Note,
    /// Gives the old executable its second name.
    KeepOld,
    /// Puts the new one in its place.
    Replace,
}

impl ExchangeStep {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Note, Self::KeepOld, Self::Replace];
}

impl Staged<'_> {
    /// Starts the new executable with `arguments`, which make it test itself, and exchanges it if
    /// it reports success within `limit`. `own` is the version of the running program. A build that
    /// fails is recorded.
    ///
    /// # Errors
    /// [`Unfit`]; the executable is unchanged then.
    pub(crate) fn replace_running(
        self,
        arguments: &[OsString],
        own: &Version,
        limit: Duration,
    ) -> Result<(), Unfit> {
        let path = self.program.staged();
        if let Err(unfit) = test(&path, arguments, &self.version, limit) {
            if unfit.is_the_builds() {
                let mut note = self.program.note()?.unwrap_or_default();
                note.fail(&self.version, self.hash, 1);
                self.program.write_note(&note)?;
            }
            remove_file(&path)?;
            return Err(unfit);
        }
        for step in ExchangeStep::ALL {
            self.perform(step, own)?;
        }
        Ok(())
    }

    /// One step of the exchange. After each step the path names a whole executable, and the next
    /// start knows how to continue.
    pub(super) fn perform(&self, step: ExchangeStep, own: &Version) -> Result<(), FileError> {
        let program = self.program;
        let _held = &self.lock;
        match step {
            ExchangeStep::Note => {
                let exchange = Exchange {
                    from: own.clone(),
                    to: self.version.clone(),
                    hash: self.hash,
                    starts: 0,
                };
                program.write_note(&Note {
                    exchange: Some(exchange),
                    ..program.note()?.unwrap_or_default()
                })
            }
            ExchangeStep::KeepOld => {
                remove_file(&program.old())?;
                // On Windows the move there gives it the second name.
                if cfg!(windows) { Ok(()) } else { keep(&program.path, &program.old()) }
            }
            ExchangeStep::Replace => program.take_place(&program.staged(), &program.old()),
        }
    }
}

/// Gives a file a second name; a copy where the file system allows only one name for a file.
fn keep(path: &Path, second: &Path) -> Result<(), FileError> {
    if fs::hard_link(path, second).is_ok() {
        return Ok(());
    }
    let mut copy = durable::temporary(second).at("keep", path)?;
    io::copy(&mut File::open(path).at("keep", path)?, &mut copy).at("keep", path)?;
    copy.as_file()
        .set_permissions(fs::metadata(path).at("keep", path)?.permissions())
        .at("keep", path)?;
    durable::persist(copy, second).at("keep", path)
}

/// Starts `path` and waits for `{"result":{"status":"done","version":…}}` and exit status 0.
fn test(
    path: &Path,
    arguments: &[OsString],
    expected: &Version,
    limit: Duration,
) -> Result<(), Unfit> {
    let end = Instant::now() + limit;
    let mut command = Command::new(path);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = programs::spawn(&mut command).map_err(Unfit::Start)?;
    let (sender, answer) = mpsc::channel();
    if let Some(output) = child.stdout.take() {
        let reading = threads::spawn("answer", move || {
            let mut text = String::new();
            let _ = output.take(MAX_ANSWER_BYTES).read_to_string(&mut text);
            // After the limit no receiver is waiting any more.
            let _ = sender.send(text);
        });
        if let Err(error) = reading {
            let _ = child.kill();
            let _ = child.wait();
            return Err(Unfit::Start(error));
        }
    }
    let status = loop {
        match child.try_wait().map_err(Unfit::Start)? {
            Some(status) => break status,
            None if Instant::now() >= end => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(Unfit::Late(limit));
            }
            None => std::thread::sleep(POLL_INTERVAL),
        }
    };
    // A process that it left behind may hold the pipe open.
    let text = answer
        .recv_timeout(end.saturating_duration_since(Instant::now()).max(POLL_INTERVAL))
        .unwrap_or_default();
    let reply = text
        .lines()
        .rev()
        .find_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .unwrap_or_default();
    let (state, version) =
        (reply["result"]["status"].as_str(), reply["result"]["version"].as_str());
    if !status.success() || state != Some("done") {
        return Err(Unfit::Answer(format!(
            "{status}, it said {:?}",
            text.chars().take(500).collect::<String>()
        )));
    }
    if version != Some(expected.to_string().as_str()) {
        return Err(Unfit::Answer(format!("it is version {version:?}, signed is {expected}")));
    }
    Ok(())
}
