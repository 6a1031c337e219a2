//! Locks that the system releases when their holder ends, for whatever reason. The app inherits the
//! lock of its running version, and so does every process that the app starts and leaves behind (a
//! browser). For this reason, files beside the lock note which processes are the app itself. Each
//! note holds the process's start time, so that a reused process id is not taken for the app:
//!
//! ```text
//! <home>/running/<id>                    the lock
//! <home>/running/<id>.d/<pid>            a process that runs the version: its start time, and
//!                                        whether its end was seen; notes of ended processes are
//!                                        removed at the next start
//! <home>/running/<id>.d/<pid>.launcher   a launcher that is about to start it; it counts only
//!                                        with the lock
//! ```
//!
//! A note and the lock count independently. A noted process counts also when nobody holds the lock:
//! Windows' programs inherit no lock, and some programs close every file that they inherited. A
//! process that continues in the place of a noted one, or uses the version's files, counts as well
//! (see [`super::successors`]).

mod note;

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use self::note::{ENDED, LockRecord, launcher, recorded};
use super::processes::{self, Process};
use super::successors::{self, Bond, EndedProcess, Place};
use super::{Home, StoreError};
use crate::error_chain;
use crate::file_error::{FileError, FileResult as _};
use crate::model::ContainerId;
use crate::mutex;
use crate::{durable, look};

/// Held while versions in a home are changed. A start of the app works without it.
#[derive(Debug)]
pub(crate) struct HomeLock(#[allow(dead_code)] File);

impl HomeLock {
    /// Takes the lock and nothing else; [`HomeLock::take`] also finishes what a kill interrupted.
    /// Returns [`StoreError::Busy`] at once if another launcher has the lock.
    pub(super) fn acquire(home: &Home) -> Result<Self, StoreError> {
        home.create()?;
        let path = home.root().join("lock");
        let file = open(&path)?;
        match try_briefly(&file) {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(StoreError::Busy { home: home.root().to_owned() }),
            Err(TryLockError::Error(error)) => Err(FileError::new("lock", path, error).into()),
        }
    }
}

/// Locks a file, unless another process holds it. A process that this launcher is just starting has
/// a copy of every open file until it runs its own program. For this moment, a lock that was just
/// released may look held.
fn try_briefly(file: &File) -> Result<(), TryLockError> {
    for _ in 0..20 {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(10)),
            other => return other,
        }
    }
    file.try_lock()
}

/// While this value lives, no launcher starts the version, except one whose wait has run out
/// ([`MAX_WAIT_OF_A_START`]).
#[derive(Debug)]
pub(super) struct NotStarting {
    #[allow(dead_code)]
    file: Option<File>,
    since: Instant,
}

impl NotStarting {
    /// Whether a launcher's wait may have run out by now: this process was stopped, or is slow.
    pub(super) fn may_be_outrun(&self) -> bool {
        self.since.elapsed() >= MAX_WAIT_OF_A_START / 2
    }

    /// Returns [`StoreError::InUse`] if a launcher started `id` nevertheless.
    pub(super) fn refuse_if_outrun(&self, home: &Home, id: &ContainerId) -> Result<(), StoreError> {
        if self.may_be_outrun() && RunningLock::is_noted(home, id)? {
            return Err(StoreError::InUse {
                id: id.to_string(),
                reason: "it was started meanwhile",
            });
        }
        Ok(())
    }
}

/// Shared by all processes that run a version. On Unix the app inherits it, so it outlives the
/// launcher.
#[derive(Debug)]
pub(crate) struct RunningLock {
    file: File,
    records: PathBuf,
    place: Place,
}

impl RunningLock {
    /// Marks `id` as running, for as long as the value (or a process that inherited it) lives.
    /// [`RunningLock::run_by`] notes which process it is.
    pub(crate) fn hold(home: &Home, id: &ContainerId) -> Result<Self, StoreError> {
        let path = home.running().join(id.to_string());
        durable::create_folders(&home.running()).at("create", &path)?;
        let file = open(&path)?;
        let (end, mut waited) = (Instant::now() + MAX_WAIT_OF_A_START, false);
        loop {
            match file.try_lock_shared() {
                // Another launcher carried the version's files over to another version; the caller
                // must ask again which one is active.
                Ok(()) if waited => return Err(StoreError::Switched { id: id.to_string() }),
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < end => {
                    if !std::mem::replace(&mut waited, true) {
                        tracing::warn!(%id, "another launcher carries the files of this version over; waiting for it");
                    }
                    std::thread::sleep(WAIT_AGAIN);
                }
                Err(TryLockError::WouldBlock) => {
                    // The holder of the lock is stopped or slow. Before it switches, it looks for
                    // notes of processes.
                    tracing::warn!(%id, "the other launcher is not done; the version is started all the same");
                    break;
                }
                Err(TryLockError::Error(error)) => {
                    return Err(FileError::new("lock", path, error).into());
                }
            }
        }
        let lock = Self { file, records: records(home, id), place: place(home, id) };
        if let Err(error) = lock.write(&launcher(std::process::id()), std::process::id()) {
            tracing::warn!(
                error = error_chain::line(&error),
                "the running version is known by its lock only"
            );
        }
        lock.remove_dead();
        Ok(lock)
    }

    /// Prevents a start of `id` while its user files are carried over: a start waits until the
    /// value is dropped. [`StoreError::InUse`] if the version runs.
    pub(super) fn keep_from_starting(
        home: &Home,
        id: &ContainerId,
    ) -> Result<NotStarting, StoreError> {
        Self::refuse_if_running(home, id)?;
        // A lock file may be impossible (a read-only home), or a browser that the app opened may
        // hold it: then the version has no such protection.
        let file = open(&home.running().join(id.to_string())).ok();
        Ok(NotStarting { file: file.filter(|file| file.try_lock().is_ok()), since: Instant::now() })
    }

    /// Returns [`StoreError::InUse`] if `id` runs, and still does after a moment.
    pub(super) fn refuse_if_running(home: &Home, id: &ContainerId) -> Result<(), StoreError> {
        // A new process holds all of its parent's locks until it begins its own program.
        let began = Instant::now();
        loop {
            match Self::refuse_if_held(home, id) {
                Err(StoreError::InUse { .. }) if began.elapsed() < TIME_BEFORE_REFUSAL => {
                    std::thread::sleep(RETRY_INTERVAL)
                }
                answer => return answer,
            }
        }
    }

    /// Returns [`StoreError::InUse`] if `id` runs; another error if the system cannot answer.
    pub(crate) fn refuse_if_held(home: &Home, id: &ContainerId) -> Result<(), StoreError> {
        let lock = home.running().join(id.to_string());
        if Self::held(home, id).at("look at", &lock)? {
            return Err(StoreError::InUse { id: id.to_string(), reason: "it is running" });
        }
        Ok(())
    }

    /// Whether a living process is noted for `id`: it runs the version, or is about to start it.
    fn is_noted(home: &Home, id: &ContainerId) -> Result<bool, StoreError> {
        let folder = records(home, id);
        let recorded = recorded(&folder).at("read", &folder)?;
        let is_other = |process: u32| process != std::process::id();
        Ok(recorded.iter().any(|record| is_other(record.process) && record.is_alive()))
    }

    /// Whether any process has inherited the lock of `id`, even one that the app left behind.
    pub(crate) fn is_inherited(home: &Home, id: &ContainerId) -> bool {
        is_locked(&home.running().join(id.to_string()), || std::thread::sleep(RETRY_INTERVAL))
            .unwrap_or_else(|error| unknown(id, &error))
    }

    /// Notes that `process` runs the version. Once it has ended, the version is no longer running,
    /// even if other processes have inherited the lock.
    pub(crate) fn run_by(&self, process: u32) {
        match self.write(&process.to_string(), process) {
            Ok(()) => {
                let _ = std::fs::remove_file(self.records.join(launcher(std::process::id())));
            }
            Err(error) => tracing::warn!(
                error = error_chain::line(&error),
                "the app's process could not be noted"
            ),
        }
    }

    /// Writes a note. It is not durable: after a power cut no process is alive.
    fn write(&self, name: &str, process: u32) -> std::io::Result<()> {
        let Some(started) = processes::start(process) else { return Ok(()) };
        durable::create_folders(&self.records)?;
        // The temporary name belongs to no process until the note is whole.
        let part = self.records.join(format!("{name}{PART}"));
        let mut options = OpenOptions::new();
        options.create(true).truncate(true).write(true);
        durable::written_by_owner(&mut options).open(&part)?.write_all(started.as_bytes())?;
        std::fs::rename(&part, self.records.join(name))
    }

    /// Notes that `process`, which is alive, no longer uses the version.
    pub(crate) fn run_no_longer_by(&self, process: u32) {
        let _ = std::fs::remove_file(self.records.join(process.to_string()));
    }

    /// Notes that the end of `process` was seen, and that its successors are known.
    pub(super) fn note_end(&self, process: u32) {
        let path = self.records.join(process.to_string());
        if let Ok(Some(started)) = look::read(&path, look::SMALL) {
            let ended = format!("{}{ENDED}", String::from_utf8_lossy(&started));
            if let Err(error) = std::fs::write(&path, ended) {
                tracing::info!(
                    error = error_chain::line(&error),
                    "that the app has ended is not noted"
                );
            }
        }
    }

    /// The processes that replace one that has ended, as far as the system tells.
    pub(super) fn successors(&self, ended: &EndedProcess) -> Vec<Process> {
        let bound = successors::bound(
            &self.place,
            |process, bond| ended.is_followed_by(process, bond),
            |process| ended.may_have_left(process),
        );
        bound.unwrap_or_else(|error| {
            tracing::warn!(
                error = error_chain::line(&error),
                "what goes on in the app's place cannot be asked"
            );
            Vec::new()
        })
    }

    /// Whether the process runs the version's own files.
    pub(super) fn is_used_by(&self, process: &Process) -> bool {
        self.place.is_used_by(process)
    }

    fn remove_dead(&self) {
        // A note that cannot be read stays.
        let known = look::entries_if_readable(&self.records).into_iter();
        let dead: Vec<LockRecord> = known
            .filter_map(|entry| LockRecord::read(&entry).ok().flatten())
            .filter(|record| !record.is_alive())
            .collect();
        // A launcher that was killed did not see the successors of its app.
        for record in dead.iter().filter(|record| record.may_have_successor()) {
            self.successors(&record.ended()).iter().for_each(|process| self.run_by(process.id));
        }
        for record in dead {
            let _ = std::fs::remove_file(self.records.join(record.name()));
        }
        // Deletes notes that a kill left half written.
        for part in look::entries_if_readable(&self.records) {
            let name = part.file_name();
            let writer = name
                .to_str()
                .and_then(|name| name.strip_suffix(PART)?.split('.').next()?.parse().ok());
            if writer.is_some_and(|writer: u32| processes::start(writer).is_none()) {
                let _ = std::fs::remove_file(part.path());
            }
        }
    }

    /// Removes the lock and the notes of a removed version. A failure leaves a few bytes.
    pub(super) fn remove(home: &Home, id: &ContainerId) {
        let _ = std::fs::remove_file(home.running().join(id.to_string()));
        let _ = std::fs::remove_dir_all(records(home, id));
    }

    /// Runs `spawn`, whose child inherits the lock. The child holds it as long as it lives, even
    /// after the launcher has ended.
    pub(crate) fn inherited_by<T>(&self, spawn: impl FnOnce() -> T) -> T {
        // One at a time: a child must not inherit the lock of another version that starts at the
        // same moment.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _alone = mutex::lock(&ONE_AT_A_TIME);
        self.set_inheritable(true);
        let result = spawn();
        self.set_inheritable(false);
        result
    }

    #[cfg(unix)]
    fn set_inheritable(&self, inheritable: bool) {
        use rustix::io::{FdFlags, fcntl_setfd};
        let flags = if inheritable { FdFlags::empty() } else { FdFlags::CLOEXEC };
        if let Err(error) = fcntl_setfd(&self.file, flags) {
            tracing::warn!(
                error = error_chain::line(&error),
                "the app cannot inherit its running lock"
            );
        }
    }

    /// Does nothing: on this system the note beside the lock suffices.
    #[cfg(not(unix))]
    fn set_inheritable(&self, _inheritable: bool) {
        let _ = &self.file;
    }

    /// Whether some process runs `id`: one that a launcher has started, one of its successors, or
    /// any process that uses the version's files.
    pub(crate) fn is_held(home: &Home, id: &ContainerId) -> bool {
        // If the system cannot answer, the version may be held: it is left alone.
        Self::held(home, id).unwrap_or(true)
    }

    /// [`Self::is_held`], or the error that prevents an answer.
    fn held(home: &Home, id: &ContainerId) -> io::Result<bool> {
        Ok(Self::started(home, id)? || has_successor(home, id)?)
    }

    /// Whether a launcher has started `id`, and it runs. Either a noted process is alive, or the
    /// lock is held and there is no note or a launcher is about to start it.
    pub(crate) fn is_started(home: &Home, id: &ContainerId) -> bool {
        Self::started(home, id).unwrap_or(true)
    }

    /// The same for callers that decide how a start went: without an answer from the system, the
    /// version counts as not started.
    pub(crate) fn is_known_to_be_started(home: &Home, id: &ContainerId) -> bool {
        Self::started(home, id).unwrap_or_else(|error| unknown(id, &error))
    }

    /// Whether a launcher has started `id` in a process that is none of these, and it is known to
    /// run. Where the system does not report when a process was started, this is unknown.
    pub(crate) fn is_run_beside(home: &Home, id: &ContainerId, own: &[u32]) -> bool {
        let is_other = |record: &LockRecord| {
            !record.is_launcher
                && !record.started.is_empty()
                && !own.contains(&record.process)
                && record.is_alive()
        };
        match recorded(&records(home, id)) {
            Ok(recorded) => recorded.iter().any(is_other),
            Err(error) => unknown(id, &error),
        }
    }

    fn started(home: &Home, id: &ContainerId) -> io::Result<bool> {
        let (launchers, apps): (Vec<LockRecord>, Vec<LockRecord>) =
            recorded(&records(home, id))?.into_iter().partition(|record| record.is_launcher);
        // Where the system does not report when a process was started, its id may be that of a
        // later one: there the lock must be held too.
        let alone = |record: &LockRecord| !record.started.is_empty() && record.is_alive();
        if apps.iter().any(alone) {
            return Ok(true);
        }
        let may_run = apps.is_empty() || apps.iter().chain(&launchers).any(LockRecord::is_alive);
        if !may_run {
            return Ok(false);
        }
        is_locked(&home.running().join(id.to_string()), || std::thread::sleep(RETRY_INTERVAL))
    }
}

fn unknown(id: &ContainerId, error: &io::Error) -> bool {
    tracing::warn!(error = error_chain::line(error), container = %id, "who else runs this version cannot be asked");
    false
}

/// How long a start waits for a launcher that carries the version's files over. All waits of a
/// start together must stay below five seconds: this one, the wait for a decided switch, and those
/// for the home's lock.
const MAX_WAIT_OF_A_START: Duration = Duration::from_secs(2);
/// Pause between two tries to get a lock that a start waits for.
const WAIT_AGAIN: Duration = Duration::from_millis(20);
/// How long every look at a version must find it running before an operation is refused.
const TIME_BEFORE_REFUSAL: Duration = Duration::from_millis(300);
/// Suffix of a note's name until the note is whole.
const PART: &str = ".part";
/// Pause between two looks at a lock; a look holds it for microseconds.
const RETRY_INTERVAL: Duration = Duration::from_millis(2);

/// Whether somebody holds the lock. A look takes it for a moment, and another look at the same time
/// would see that; so only the third look counts.
fn is_locked(path: &Path, mut pause: impl FnMut()) -> io::Result<bool> {
    let file = match look::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let is_held = || matches!(file.try_lock(), Err(TryLockError::WouldBlock));
    for _ in 0..2 {
        if !is_held() {
            return Ok(false);
        }
        pause();
    }
    Ok(is_held())
}

/// Whether a process without a note runs `id`.
fn has_successor(home: &Home, id: &ContainerId) -> io::Result<bool> {
    let mut dead = recorded(&records(home, id))?;
    dead.retain(|record| !record.is_alive() && record.may_have_successor());
    let follows = |process: &Process, bond| {
        dead.iter().any(|record| record.ended().is_followed_by(process, bond))
    };
    let bound = successors::bound(
        &place(home, id),
        |process, bond| bond == Bond::Uses || follows(process, bond),
        |process| dead.iter().any(|record| record.ended().may_have_left(process)),
    )?;
    Ok(!bound.is_empty())
}

fn place(home: &Home, id: &ContainerId) -> Place {
    Place::new(&home.container(id), &home.running().join(id.to_string()))
}

pub(super) fn records(home: &Home, id: &ContainerId) -> PathBuf {
    home.running().join(format!("{id}.d"))
}

fn open(path: &Path) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true);
    // A process that can open the file can hold the lock: other users could block this user's
    // updates.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = look::open_with(&mut options, path).at("open", path)?;
    #[cfg(unix)]
    keep_to_owner(&file);
    Ok(file)
}

/// Restricts a lock file of an older launcher, which all users could open. If this fails (another
/// user's home), the caller continues.
#[cfg(unix)]
fn keep_to_owner(file: &File) {
    use std::os::unix::fs::PermissionsExt as _;
    let Ok(metadata) = file.metadata() else { return };
    if metadata.permissions().mode() & 0o077 != 0
        && let Err(error) = file.set_permissions(std::fs::Permissions::from_mode(0o600))
    {
        tracing::debug!(error = error_chain::line(&error), "others can open the lock");
    }
}

#[cfg(test)]
mod tests;
