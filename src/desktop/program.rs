//! Exchanges the launcher's own executable for a newer one, and puts the old one back if the new
//! one does not come up (docs/security.md, fault 25).
//!
//! ```text
//! kuzflow-launcher               always a whole executable (on Windows: but for an instant between two renames)
//! kuzflow-launcher.new           a new one, verified by its digest and by a test start before the exchange
//! kuzflow-launcher.old           the one before, until the new one has started the app once
//! kuzflow-launcher.update.json   the exchange under way, and the builds that did not come up on this computer
//! kuzflow-launcher.update.lock   held during an exchange, and by a new launcher until it is confirmed
//! ```
//!
//! On Windows a launcher with a signature is exchanged only for one of the same publisher (`publisher`).
//!
//! A new executable that cannot run at all is found before the exchange: it must answer
//! `self-test`. A new executable that answers, but ends before it has started the app, is found
//! afterwards: it records each start as its very first action. On the second start without a
//! confirmation it puts the old one back and hands over to it.

mod file;
mod note;
mod staged;
mod unfit;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::remove_file;
use crate::durable;
use crate::error_chain;
use crate::file_error::{FileError, FileResult as _};
use crate::look;
use crate::model::launcher::MAX_LAUNCHER_BYTES;
use crate::model::{Digest, Hasher, Version, publisher};

pub(crate) use file::LauncherFile;
use note::{Exchange, Note};
pub(crate) use staged::Staged;
pub(crate) use unfit::Unfit;

/// Unconfirmed starts of a new launcher after which the old one is put back.
const STARTS: u32 = 1;
/// Failed self-tests of a build after which it is not fetched again. One may fail because a busy
/// computer is slow.
const FAILED_TESTS: u32 = 2;
/// How long a new launcher may take for its self-test.
pub(crate) const TEST_TIME: Duration = Duration::from_secs(20);

/// The result of reading the note at the start.
#[derive(Debug)]
pub(crate) enum Begun {
    /// Nothing is under way.
    Usual,
    /// This is a new launcher without a confirmation; pass it to [`LauncherFile::confirm`] once the app
    /// has started.
    Unproved(Attempt),
    /// The old launcher is back in its place. Start it instead of this one: [`LauncherFile::hand_over`].
    PutBack,
}

/// A start of an unconfirmed launcher. It holds the lock, so that a second start at the same moment
/// does not count as a second try.
#[derive(Debug)]
pub(crate) struct Attempt {
    #[allow(dead_code)]
    lock: Option<File>,
}

impl LauncherFile {
    /// The very first action of a start. It reads one file that usually does not exist, and then
    /// writes nothing.
    ///
    /// `own` is the version of the running program. An error in here is logged and does not keep
    /// the app from starting.
    pub(crate) fn begin(&self, own: &Version) -> Begun {
        self.try_begin(own).unwrap_or_else(|error| {
            tracing::error!(
                error = error_chain::line(&error),
                "the exchange of the launcher cannot be looked after"
            );
            Begun::Usual
        })
    }

    fn try_begin(&self, own: &Version) -> Result<Begun, FileError> {
        if self.note()?.is_none_or(|note| note.exchange.is_none()) {
            return Ok(Begun::Usual);
        }
        // The lock's holder is exchanging the executable, or is a new launcher on its way to the
        // app: in both cases it is alive.
        let Some(lock) = self.lock()? else { return Ok(Begun::Usual) };
        let Some(mut note) = self.note()? else { return Ok(Begun::Usual) };
        let Some(exchange) = note.exchange.clone() else { return Ok(Begun::Usual) };
        if exchange.to != *own {
            // The exchange did not take place, or was undone: by a kill, or because somebody put
            // another launcher here.
            if exchange.starts >= STARTS {
                note.fail(&exchange.to, exchange.hash, FAILED_TESTS);
            }
            note.exchange = None;
            self.remove_exchanged();
            self.write_note(&note)?;
            return Ok(Begun::Usual);
        }
        let old = look::at(&self.old()).at("look at", &self.old())?;
        if exchange.starts >= STARTS && old.is_some_and(|old| old.is_file()) {
            tracing::error!(new = %exchange.to, old = %exchange.from, "the new launcher did not come up; the old one is put back");
            self.put_back()?;
            // The failure is recorded only now: if it were recorded first, a kill in between would
            // leave the new launcher in place for good.
            note.fail(&exchange.to, exchange.hash, FAILED_TESTS);
            note.exchange = None;
            self.write_note(&note)?;
            return Ok(Begun::PutBack);
        }
        note.exchange = Some(Exchange { starts: exchange.starts + 1, ..exchange });
        self.write_note(&note)?;
        Ok(Begun::Unproved(Attempt { lock: Some(lock) }))
    }

    /// Confirms that the new launcher has started the app: the old one is deleted.
    pub(crate) fn confirm(&self, attempt: Attempt) {
        // The old launcher is deleted first: a kill before the note is written leaves a new
        // launcher that is simply confirmed once more.
        self.remove_exchanged();
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
                error = error_chain::line(&error),
                "the new launcher cannot be confirmed"
            ),
        }
        drop(attempt);
    }

    /// Removes an old launcher that was still running when the new one was confirmed: Windows does
    /// not delete running programs.
    pub(crate) fn remove_left(&self) {
        let is_idle = |note: Option<Note>| note.is_none_or(|note| note.exchange.is_none());
        if self.old().is_file()
            && self.note().is_ok_and(is_idle)
            && matches!(self.lock(), Ok(Some(_)))
        {
            self.remove_exchanged();
        }
    }

    /// Removes the files of an exchange, as far as the system allows.
    fn remove_exchanged(&self) {
        for path in [self.old(), self.staged()] {
            if let Err(error) = remove_file(&path) {
                tracing::info!(
                    error = error_chain::line(&error),
                    "what an exchange of the launcher left stays for now"
                );
            }
        }
    }

    /// Removes all files that exchanges leave beside the executable, notes and lock included. Does
    /// nothing while an exchange is under way.
    ///
    /// # Errors
    /// If a file cannot be removed.
    pub(crate) fn remove_all(&self) -> Result<Vec<PathBuf>, FileError> {
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

    /// Whether this build has reached its limit of failures here.
    pub(crate) fn has_failed(&self, hash: &Digest) -> bool {
        let note = self.note().ok().flatten().unwrap_or_default();
        note.failed.iter().any(|failed| failed.hash == *hash && failed.times >= FAILED_TESTS)
    }

    /// Writes the new executable beside the old one, with the old one's permissions, and verifies
    /// its digest.
    ///
    /// # Errors
    /// [`Unfit`]; then at most one file is left beside the executable, which the next try replaces.
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
        // A launcher that waits for its confirmation must keep the one that it would go back to.
        if self.note()?.is_some_and(|note| note.exchange.is_some()) {
            return Err(Unfit::Busy);
        }
        let path = self.staged();
        remove_file(&path)?;
        let mut options = OpenOptions::new();
        let created = durable::written_by_owner(options.write(true).create_new(true)).open(&path);
        let mut file = created.at("create", &path)?;
        let mut hasher = Hasher::default();
        let mut part = vec![0; 128 << 10];
        let mut limited = bytes.take(most.saturating_add(1));
        loop {
            let count = limited.read(&mut part).at("write", &path)?;
            if count == 0 {
                break;
            }
            hasher.update(&part[..count]);
            file.write_all(&part[..count]).at("write", &path)?;
        }
        let found = hasher.finish();
        if found != hash {
            drop(file);
            remove_file(&path)?;
            return Err(Unfit::Digest { found, signed: hash });
        }
        self.check_publisher(&path, version, hash)?;
        let permissions = fs::metadata(&self.path).at("read", &self.path)?.permissions();
        file.set_permissions(permissions).at("make executable", &path)?;
        file.sync_all().at("write", &path)?;
        Ok(Staged { program: self, version: version.clone(), hash, lock })
    }

    /// Refuses a new executable of another publisher than this one's, and remembers it: another
    /// download would bring the same bytes.
    fn check_publisher(&self, new: &Path, version: &Version, hash: Digest) -> Result<(), Unfit> {
        let read = |path: &Path| {
            look::read(path, MAX_LAUNCHER_BYTES).at("read", path).map(Option::unwrap_or_default)
        };
        let checked = publisher::check(&read(&self.path)?, &read(new)?);
        let Err(other) = checked else { return Ok(()) };
        let mut note = self.note()?.unwrap_or_default();
        note.fail(version, hash, FAILED_TESTS);
        self.write_note(&note)?;
        remove_file(new)?;
        Err(Unfit::Publisher(other))
    }

    /// Puts the old executable back in the place of the new one.
    fn put_back(&self) -> Result<(), FileError> {
        self.take_place(&self.old(), &self.staged())
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests;
