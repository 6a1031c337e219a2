//! The launcher's own executable, exchanged for a newer one, and put back if that does not come up
//! (docs/security.md, fault 25).
//!
//! ```text
//! kuzflow-launcher               always a whole executable (on Windows: but for an instant between two renames)
//! kuzflow-launcher.new           one that is coming; proved by its digest, and by starting it, before it takes the place
//! kuzflow-launcher.old           the one before, until the new one has started the app once
//! kuzflow-launcher.update.json   what is under way, and which builds did not come up here
//! kuzflow-launcher.update.lock   held by whoever exchanges it, and by a new one until it is confirmed
//! ```
//!
//! A new one that cannot run at all is found out before the exchange: it must answer `self-test`.
//! One that answers, but then dies before it has started the app, notes each start as the very
//! first thing it does. The second time nobody has confirmed it, and it puts the old one back and
//! hands over to it.

mod staged;

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{DesktopError, remove_file};
use crate::durable;
use crate::look;
use crate::model::{Digest, Hasher, Version};

pub(crate) use staged::Staged;

/// Starts of a new launcher that nobody confirmed, after which the old one is put back.
const STARTS: u32 = 1;
/// How often a build may fail its self-test before it is not fetched again: a busy machine can make
/// one late.
const FAILED_TESTS: u32 = 2;
/// Builds that are remembered as failed.
const REMEMBERED: usize = 8;
/// How long a new launcher may take for its self-test.
pub(crate) const TEST_TIME: Duration = Duration::from_secs(20);
/// Between two looks at a self-test.
const LOOK: Duration = Duration::from_millis(10);
/// How often a lock that is held is looked at.
const LOCK_LOOKS: u32 = 20;

/// The executable at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    path: PathBuf,
}

/// What is under way, and what failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Note {
    #[serde(skip_serializing_if = "Option::is_none")]
    exchange: Option<Exchange>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed: Vec<Failed>,
}

/// An exchange that is not confirmed yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Exchange {
    from: Version,
    to: Version,
    /// Of the new executable.
    hash: Digest,
    /// How often the new one has begun to start.
    #[serde(default)]
    starts: u32,
}

/// A build that did not come up here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Failed {
    version: Version,
    hash: Digest,
    times: u32,
}

/// What the first look at the note says.
#[derive(Debug)]
pub(crate) enum Begun {
    /// Nothing is under way.
    Usual,
    /// This is a new launcher that nobody has confirmed; to be handed to [`Program::confirm`] once
    /// the app has started.
    Unproved(Attempt),
    /// The old launcher is back in its place, and is to be started instead of this one:
    /// [`Program::hand_over`].
    PutBack,
}

/// A start of an unproved launcher; holds the lock, so that a second start at the same moment does
/// not count as a second try.
#[derive(Debug)]
pub(crate) struct Attempt {
    #[allow(dead_code)]
    lock: Option<File>,
}

/// Why a new launcher does not take the place of this one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfit {
    /// The bytes are not the signed ones.
    #[error("the new launcher has the digest {found}, signed is {signed}")]
    Digest {
        /// Of the bytes.
        found: Digest,
        /// What was signed.
        signed: Digest,
    },
    /// It could not be started.
    #[error("the new launcher cannot be started")]
    Start(#[source] io::Error),
    /// It did not answer in time.
    #[error("the new launcher did not answer within {0:?}")]
    Late(Duration),
    /// It ended with an error, or said something else than it should.
    #[error("the new launcher failed its self-test: {0}")]
    Answer(String),
    /// This build has failed here before.
    #[error("this build of the launcher has failed here before")]
    Known,
    /// Another launcher is just exchanging the executable, or waits to be confirmed.
    #[error("another launcher is exchanging the executable")]
    Busy,
    /// A file of ours could not be written.
    #[error(transparent)]
    Desktop(#[from] DesktopError),
}

impl Unfit {
    /// Whether it is the build's own fault.
    fn is_the_builds(&self) -> bool {
        matches!(self, Self::Start(_) | Self::Late(_) | Self::Answer(_))
    }
}

impl Program {
    /// The executable at `path`, links resolved. To be asked for at the start of a process: after
    /// an exchange the system may name another path for the file that runs.
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A file beside it; a program keeps the ending that makes it one.
    fn beside(&self, what: &str, is_program: bool) -> PathBuf {
        let mut name = self.path.file_stem().unwrap_or_default().to_owned();
        match self.path.extension() {
            Some(extension) if extension.eq_ignore_ascii_case("exe") => {
                name.push(format!(".{what}"));
                if is_program {
                    name.push(".");
                    name.push(extension);
                }
            }
            Some(extension) => {
                name.push(".");
                name.push(extension);
                name.push(format!(".{what}"));
            }
            None => name.push(format!(".{what}")),
        }
        self.path.with_file_name(name)
    }

    fn staged(&self) -> PathBuf {
        self.beside("new", true)
    }

    fn old(&self) -> PathBuf {
        self.beside("old", true)
    }

    fn note_path(&self) -> PathBuf {
        self.beside("update.json", false)
    }

    fn lock_path(&self) -> PathBuf {
        self.beside("update.lock", false)
    }

    /// `None` while somebody else holds it. A process that another thread is just starting holds it
    /// for a moment without meaning to.
    fn lock(&self) -> Result<Option<File>, DesktopError> {
        let path = self.lock_path();
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(DesktopError::io("open", &path))?;
        for _ in 0..LOCK_LOOKS {
            match file.try_lock() {
                Ok(()) => return Ok(Some(file)),
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOOK),
                Err(TryLockError::Error(error)) => {
                    return Err(DesktopError::io("lock", &path)(error));
                }
            }
        }
        Ok(None)
    }

    /// A damaged note is none: what it said of failures costs one more try.
    fn note(&self) -> Result<Option<Note>, DesktopError> {
        let path = self.note_path();
        match look::read(&path, look::SMALL) {
            Ok(Some(json)) => Ok(serde_json::from_slice(&json)
                .inspect_err(|error| tracing::warn!(%error, path = %path.display(), "the note of an exchange is damaged"))
                .ok()),
            Ok(None) => Ok(None),
            Err(error) => Err(DesktopError::io("read", &path)(error)),
        }
    }

    fn write_note(&self, note: &Note) -> Result<(), DesktopError> {
        let path = self.note_path();
        if *note == Note::default() {
            return remove_file(&path).map(drop);
        }
        let json = serde_json::to_vec_pretty(note)
            .map_err(|error| DesktopError::io("write", &path)(error.into()))?;
        durable::replace(&path, &json).map_err(DesktopError::io("write", &path))
    }

    /// What stands in the way of an exchange; `None` if nothing does. A folder that this user
    /// cannot write to is usual: a package manager or an administrator put the launcher there, and
    /// brings the next one.
    pub(crate) fn fixed(&self) -> Option<io::Error> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        match fs::symlink_metadata(&self.path) {
            Ok(found) if !found.is_file() => return Some(io::Error::other("it is no plain file")),
            Ok(_) => {}
            Err(error) => return Some(error),
        }
        tempfile::Builder::new().prefix(durable::TEMPORARY_PREFIX).tempfile_in(folder).err()
    }

    /// The very first thing a start does. One read of a file that usually is not there; nothing is
    /// written then.
    ///
    /// `own` is the version of the running program. Whatever goes wrong in here is told in the log
    /// and does not keep the app from starting.
    pub(crate) fn begin(&self, own: &Version) -> Begun {
        self.try_begin(own).unwrap_or_else(|error| {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the exchange of the launcher cannot be looked after"
            );
            Begun::Usual
        })
    }

    fn try_begin(&self, own: &Version) -> Result<Begun, DesktopError> {
        if self.note()?.is_none_or(|note| note.exchange.is_none()) {
            return Ok(Begun::Usual);
        }
        // Whoever holds it is at work on the exchange, or a new launcher on its way to the app:
        // alive in both cases.
        let Some(lock) = self.lock()? else { return Ok(Begun::Usual) };
        let Some(mut note) = self.note()? else { return Ok(Begun::Usual) };
        let Some(exchange) = note.exchange.clone() else { return Ok(Begun::Usual) };
        if exchange.to != *own {
            // It did not take place, or was undone; by a kill, or by somebody who put another
            // launcher here.
            if exchange.starts >= STARTS {
                note.fail(&exchange.to, exchange.hash, FAILED_TESTS);
            }
            note.exchange = None;
            self.clean();
            self.write_note(&note)?;
            return Ok(Begun::Usual);
        }
        let old = look::at(&self.old()).map_err(DesktopError::io("look at", &self.old()))?;
        if exchange.starts >= STARTS && old.is_some_and(|old| old.is_file()) {
            tracing::error!(new = %exchange.to, old = %exchange.from, "the new launcher did not come up; the old one is put back");
            self.put_back()?;
            // Only now: were it noted first, a kill in between would leave the new one for good.
            note.fail(&exchange.to, exchange.hash, FAILED_TESTS);
            note.exchange = None;
            self.write_note(&note)?;
            return Ok(Begun::PutBack);
        }
        note.exchange = Some(Exchange { starts: exchange.starts + 1, ..exchange });
        self.write_note(&note)?;
        Ok(Begun::Unproved(Attempt { lock: Some(lock) }))
    }

    /// The new launcher has started the app: the old one goes.
    pub(crate) fn confirm(&self, attempt: Attempt) {
        // First what there would be to go back to: a kill before the note leaves a new one that is
        // simply confirmed once more.
        self.clean();
        let confirm = || {
            let mut note = self.note()?.unwrap_or_default();
            note.exchange = None;
            self.write_note(&note)
        };
        match confirm() {
            Ok(()) => {
                tracing::info!(program = %self.path.display(), "the new launcher is confirmed")
            }
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "the new launcher cannot be confirmed"
            ),
        }
        drop(attempt);
    }

    /// Removes an old launcher that was still running when the new one was confirmed: Windows keeps
    /// the files of running programs.
    pub(crate) fn tidy(&self) {
        let is_idle = |note: Option<Note>| note.is_none_or(|note| note.exchange.is_none());
        if self.old().is_file()
            && self.note().is_ok_and(is_idle)
            && matches!(self.lock(), Ok(Some(_)))
        {
            self.clean();
        }
    }

    /// Removes what an exchange leaves, as far as the system lets it.
    fn clean(&self) {
        for path in [self.old(), self.staged()] {
            if let Err(error) = remove_file(&path) {
                tracing::info!(
                    error = &error as &dyn std::error::Error,
                    "what an exchange of the launcher left stays for now"
                );
            }
        }
    }

    /// Removes all that exchanges leave beside the executable, notes and lock included. Nothing
    /// while one is under way.
    ///
    /// # Errors
    /// [`DesktopError::Io`] if a file cannot be removed.
    pub(crate) fn forget(&self) -> Result<Vec<PathBuf>, DesktopError> {
        let mut removed = Vec::new();
        if self.note()?.is_some_and(|note| note.exchange.is_some()) {
            return Ok(removed);
        }
        for path in [self.old(), self.staged(), self.note_path(), self.lock_path()] {
            if remove_file(&path)? {
                removed.push(path);
            }
        }
        Ok(removed)
    }

    /// Whether this build has failed here as often as it may.
    pub(crate) fn has_failed(&self, hash: &Digest) -> bool {
        let note = self.note().ok().flatten().unwrap_or_default();
        note.failed.iter().any(|failed| failed.hash == *hash && failed.times >= FAILED_TESTS)
    }

    /// Writes the new executable beside the old one, with the old one's permissions, and proves its
    /// digest.
    ///
    /// # Errors
    /// [`Unfit`]; nothing is left beside the executable then but perhaps a file that the next try replaces.
    pub(crate) fn stage(
        &self,
        bytes: &mut dyn io::Read,
        version: &Version,
        hash: Digest,
        most: u64,
    ) -> Result<Staged<'_>, Unfit> {
        if self.has_failed(&hash) {
            return Err(Unfit::Known);
        }
        let lock = self.lock()?.ok_or(Unfit::Busy)?;
        // One that waits to be confirmed must not lose what it would go back to.
        if self.note()?.is_some_and(|note| note.exchange.is_some()) {
            return Err(Unfit::Busy);
        }
        let path = self.staged();
        remove_file(&path)?;
        let failed = |action| DesktopError::io(action, &path);
        let mut options = OpenOptions::new();
        let created = durable::written_by_owner(options.write(true).create_new(true)).open(&path);
        let mut file = created.map_err(failed("create"))?;
        let mut hasher = Hasher::default();
        let mut part = vec![0; 128 << 10];
        let mut limited = bytes.take(most.saturating_add(1));
        loop {
            let count = limited.read(&mut part).map_err(failed("write"))?;
            if count == 0 {
                break;
            }
            hasher.update(&part[..count]);
            file.write_all(&part[..count]).map_err(failed("write"))?;
        }
        let found = hasher.finish();
        if found != hash {
            drop(file);
            remove_file(&path)?;
            return Err(Unfit::Digest { found, signed: hash });
        }
        let permissions =
            fs::metadata(&self.path).map_err(DesktopError::io("read", &self.path))?.permissions();
        file.set_permissions(permissions).map_err(failed("make executable"))?;
        file.sync_all().map_err(failed("write"))?;
        Ok(Staged { program: self, version: version.clone(), hash, lock })
    }

    /// The old executable takes the place of the new one again.
    fn put_back(&self) -> Result<(), DesktopError> {
        self.take_place(&self.old(), &self.staged())
    }

    /// `from` takes the executable's place. Where a running program cannot be replaced it is moved
    /// to `aside`.
    fn take_place(&self, from: &Path, aside: &Path) -> Result<(), DesktopError> {
        let failed = |error| DesktopError::io("replace", &self.path)(error);
        if cfg!(windows) {
            remove_file(aside)?;
            durable::rename(&self.path, aside).map_err(failed)?;
            if let Err(error) = durable::rename(from, &self.path) {
                durable::rename(aside, &self.path).map_err(failed)?;
                return Err(failed(error));
            }
        } else {
            durable::rename(from, &self.path).map_err(failed)?;
        }
        durable::sync_folder(self.path.parent().unwrap_or(Path::new("."))).map_err(failed)
    }

    /// Starts the executable in the place of this process, with the same arguments. Returns only if
    /// that is not possible, or, on Windows, with the status it ended with.
    ///
    /// # Errors
    /// Why it could not be started.
    pub(crate) fn hand_over(&self, arguments: &[OsString]) -> io::Result<u8> {
        let mut command = Command::new(&self.path);
        command.args(arguments);
        #[cfg(unix)]
        {
            Err(std::os::unix::process::CommandExt::exec(&mut command))
        }
        #[cfg(not(unix))]
        {
            command.status().map(|status| {
                status.code().and_then(|code| u8::try_from(code & 0xff).ok()).unwrap_or(1)
            })
        }
    }
}

impl Note {
    fn fail(&mut self, version: &Version, hash: Digest, times: u32) {
        match self.failed.iter_mut().find(|failed| failed.hash == hash) {
            Some(failed) => failed.times = failed.times.saturating_add(times),
            None => self.failed.push(Failed { version: version.clone(), hash, times }),
        }
        let surplus = self.failed.len().saturating_sub(REMEMBERED);
        self.failed.drain(..surplus);
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests;
