//! Finds the living processes that are the app, beside the one that a launcher started: an app's
//! first process may hand over to another one and end (a stub, a daemon, an app that restarts
//! itself).
//!
//! A process *uses* a version if it runs a program of it, has a library of it in memory, or was
//! called with a script of it. While such a process lives the version is running, even if no
//! launcher started it. A process that only *descends* from a start (it has the start's
//! environment, and its working folder or its lock) may be the app, or a browser that the app
//! opened. It counts if it came with the start, or just before the end of the process that it
//! replaces.
//!
//! In: what the system reports about processes. Out: those that count. Never: counts a launcher,
//! which an app may start as well.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::processes::{self, Process, TICKS};
use crate::real_path;

/// A process that descends from an app and lives on has replaced it if the app ended within this
/// time after its own start.
const HANDED_OVER_WITHIN: Duration = Duration::from_secs(10);
/// The same if the process was started within this time before the app's end, however long the app
/// ran.
const STARTED_BEFORE_END: Duration = Duration::from_secs(5);
/// If nobody saw the app's end: a process came with the start if it was started within this time
/// after it.
const CAME_WITH_START: Duration = Duration::from_secs(30);
/// A daemon first leaves its folder and closes its files, and then begins its program. In between
/// only its environment binds it to the version, and if it has dropped that as well, only its
/// adoption by the system after its parent's end. A process that is younger than this may be there;
/// an older one, such as a daemon of the system that the app needed first, stays as it is.
const MAY_STILL_BEGIN: Duration = Duration::from_secs(2);
/// How long to look again while there is such a process, or one that is just beginning another
/// program, and the pause between two looks. One look alone may take longer where thousands of
/// processes run. A program that begins later still counts for whoever asks then, since it uses the
/// version.
const LOOK_TIMEOUT: Duration = Duration::from_millis(500);
const RETRY_INTERVAL: Duration = Duration::from_millis(10);
/// An orphan whose environment tells nothing may have been left by the ended process if it was
/// started at most this time after its end: a daemon is often the child of a child.
const LEFT_WITHIN: Duration = Duration::from_millis(100);
/// Folders of a container that hold programs.
const RUN: [&str; 3] = ["app", "runtime", "scripts"];

/// What binds a process to a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Bond {
    /// The version's app started it, directly or not.
    Descends,
    /// It runs the version's own files.
    Uses,
}

/// A version's folder, in each form in which processes may name it.
#[derive(Debug)]
pub(super) struct Place {
    named: PathBuf,
    real: PathBuf,
    lock: PathBuf,
}

impl Place {
    pub(super) fn new(folder: &Path, lock: &Path) -> Self {
        let real = |path: &Path| {
            real_path::resolve(path)
                .or_else(|_| std::path::absolute(path))
                .unwrap_or_else(|_| path.to_owned())
        };
        Self {
            named: std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()),
            real: real(folder),
            lock: real(lock),
        }
    }

    fn holds(&self, path: &Path) -> bool {
        is_within(path, &self.real) || is_within(path, &self.named)
    }

    fn holds_what_is_run(&self, path: &Path) -> bool {
        RUN.iter().any(|folder| {
            is_within(path, &self.real.join(folder)) || is_within(path, &self.named.join(folder))
        })
    }

    fn is_named_by(&self, name: &OsStr) -> bool {
        let name = Path::new(name);
        name == self.named
            || name == self.real
            || real_path::resolve(name).is_ok_and(|name| name == self.real)
    }

    /// What binds `process` to the version, as far as its own data shows without further questions
    /// to the system.
    fn plain_bond(&self, process: &Process) -> Option<Bond> {
        if process.program.as_ref().is_some_and(|program| self.holds(program)) {
            return Some(Bond::Uses);
        }
        // A script's path comes after its interpreter and the interpreter's options.
        let folder = process.folder.as_deref().unwrap_or(Path::new("/"));
        let is_script =
            |word: &&std::ffi::OsString| self.holds_what_is_run(&folder.join(Path::new(word)));
        if process
            .arguments
            .iter()
            .skip(1)
            .find(|word| is_script(word))
            .is_some_and(|word| folder.join(word).is_file())
        {
            return Some(Bond::Uses);
        }
        process
            .version
            .as_ref()
            .is_some_and(|name| self.is_named_by(name))
            .then_some(Bond::Descends)
    }

    fn bond(&self, process: &Process) -> io::Result<Option<Bond>> {
        Ok(match self.plain_bond(process) {
            Some(Bond::Descends) if processes::maps(process.id, &self.real)? => Some(Bond::Uses),
            // The app may be the first to need a daemon of the system; such a daemon leaves both
            // the folder and the lock.
            Some(Bond::Descends) => {
                let works_there = process.folder.as_ref().is_some_and(|folder| self.holds(folder));
                let is_bound = works_there || processes::holds_open(process.id, &self.lock)?;
                is_bound.then_some(Bond::Descends)
            }
            bond => bond,
        })
    }

    /// Whether the process runs the version's own files; `false` if the system does not tell.
    pub(super) fn is_used_by(&self, process: &Process) -> bool {
        self.bond(process).is_ok_and(|bond| bond == Some(Bond::Uses))
    }

    /// Whether `process`, which has no bond, may be about to begin a program of the version.
    /// `may_follow` is asked of an orphan whose environment tells nothing.
    fn may_begin(
        &self,
        process: &Process,
        orphanages: &[u32],
        may_follow: &impl Fn(&Process) -> bool,
    ) -> bool {
        if process.is_beginning {
            return true;
        }
        if process.age.is_none_or(|age| age >= MAY_STILL_BEGIN) {
            return false;
        }
        match &process.version {
            Some(name) => self.is_named_by(name),
            None => {
                process.start.is_none()
                    && process.parent.is_some_and(|parent| orphanages.contains(&parent))
                    && may_follow(process)
            }
        }
    }
}

/// Whether `path` is `folder`, or below it. On Windows a program may have been named in other
/// letters, capital or small.
fn is_within(path: &Path, folder: &Path) -> bool {
    fn folded(path: &Path) -> PathBuf {
        path.to_string_lossy().to_lowercase().into()
    }
    path.starts_with(folder) || cfg!(windows) && folded(path).starts_with(folded(folder))
}

/// The processes bound to a version for which `counts` returns `true`, without launchers. A process
/// for which `may_follow` returns `true` is given a moment to begin the version's program.
///
/// # Errors
/// If the system cannot list the processes.
pub(super) fn bound(
    place: &Place,
    counts: impl Fn(&Process, Bond) -> bool,
    may_follow: impl Fn(&Process) -> bool,
) -> io::Result<Vec<Process>> {
    let orphanages = processes::ancestors();
    let may_begin = |process: &Process| place.may_begin(process, &orphanages, &may_follow);
    let look = || bound_of(place, processes::all()?, &counts, may_begin);
    let began = Instant::now();
    look_until_known(look, || began.elapsed(), || std::thread::sleep(RETRY_INTERVAL))
}

/// Looks for processes that count, and again while none is found and one may be about to begin.
/// `elapsed` is the time since the first look.
fn look_until_known(
    look: impl Fn() -> io::Result<(Vec<Process>, bool)>,
    elapsed: impl Fn() -> Duration,
    pause: impl Fn(),
) -> io::Result<Vec<Process>> {
    loop {
        let (found, one_may_begin) = look()?;
        if !one_may_begin || !found.is_empty() || elapsed() >= LOOK_TIMEOUT {
            return Ok(found);
        }
        pause();
    }
}

/// The processes that count, and whether `may_begin` is true of one without a bond.
fn bound_of(
    place: &Place,
    all: Vec<Process>,
    counts: &impl Fn(&Process, Bond) -> bool,
    may_begin: impl Fn(&Process) -> bool,
) -> io::Result<(Vec<Process>, bool)> {
    let own = std::process::id();
    let launcher = all
        .iter()
        .find(|process| process.id == own)
        .and_then(|process| program_of(process).map(Path::to_owned));
    let is_launcher = |process: &Process| {
        process.id == own || launcher.is_some() && program_of(process) == launcher.as_deref()
    };
    let (mut bound, mut one_may_begin): (Vec<(&Process, Bond)>, bool) = (Vec::new(), false);
    for process in all.iter().filter(|process| !is_launcher(process)) {
        match place.bond(process)? {
            Some(bond) => bound.push((process, bond)),
            None => one_may_begin |= may_begin(process),
        }
    }
    let roots =
        bound.iter().filter(|(process, bond)| !counts_by_its_parent(process, *bond, &bound));
    let found = roots.filter(|(process, bond)| counts(process, *bond));
    Ok((found.map(|(process, _)| (*process).clone()).collect(), one_may_begin))
}

/// Decides by the parent: a browser's new process belongs to the browser, and a helper without the
/// environment of its start belongs to the process that started it.
fn counts_by_its_parent(process: &Process, bond: Bond, bound: &[(&Process, Bond)]) -> bool {
    let is_bound = |id: u32| bound.iter().any(|(other, _)| other.id == id);
    (bond == Bond::Descends || process.start.is_none()) && process.parent.is_some_and(is_bound)
}

/// The program, even after it was replaced by a newer one.
fn program_of(process: &Process) -> Option<&Path> {
    let program = process.program.as_deref()?;
    Some(
        program
            .to_str()
            .and_then(|name| name.strip_suffix(" (deleted)"))
            .map_or(program, Path::new),
    )
}

/// The ended process whose successor is sought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EndedProcess<'a> {
    /// Its start time.
    pub started: &'a str,
    /// `KUZFLOW_HEALTH` of its start.
    pub start: Option<&'a OsStr>,
    /// How long it ran, and whether it was asked to end; set if its end was seen just now.
    pub seen: Option<SeenEnd>,
}

/// How the process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SeenEnd {
    pub lifetime: Duration,
    pub asked: bool,
}

impl EndedProcess<'_> {
    /// Whether `process`, whose environment tells nothing, was started while the ended one ran or
    /// just after it.
    pub(super) fn may_have_left(&self, process: &Process) -> bool {
        let after = |lifetime: Duration| {
            let since = ticks(&process.started)?.saturating_sub(ticks(self.started)?);
            let limit = (lifetime + LEFT_WITHIN).as_millis() * u128::from(TICKS) / 1000;
            Some(u128::from(since) > limit)
        };
        let ended_before = self.seen.and_then(|seen| after(seen.lifetime)).unwrap_or(false);
        self.was_there_before(process) && !ended_before
    }

    /// Whether it was started before `process`.
    fn was_there_before(&self, process: &Process) -> bool {
        ticks(&process.started)
            .zip(ticks(self.started))
            .is_some_and(|(theirs, ours)| theirs >= ours)
    }

    /// Whether `process` replaces it.
    pub(super) fn is_followed_by(&self, process: &Process, bond: Bond) -> bool {
        let same_start = match (&process.start, self.start) {
            (Some(theirs), Some(ours)) => theirs == ours,
            // A process without that environment must at least have been started later.
            _ => self.was_there_before(process),
        };
        if !same_start {
            return false;
        }
        match (bond, self.seen) {
            (Bond::Uses, _) => true,
            (Bond::Descends, Some(SeenEnd { asked: true, .. })) => false,
            (Bond::Descends, Some(SeenEnd { lifetime, .. })) => {
                lifetime < HANDED_OVER_WITHIN
                    || process.age.is_some_and(|age| age <= STARTED_BEFORE_END)
            }
            (Bond::Descends, None) => came_with_start(&process.started, self.started),
        }
    }
}

/// Whether a process with this start time came with a start of the app, and not later.
pub(super) fn came_with_start(started: &str, start: &str) -> bool {
    ticks(started).zip(ticks(start)).is_some_and(|(theirs, ours)| {
        theirs >= ours && theirs - ours <= CAME_WITH_START.as_secs() * TICKS
    })
}

/// Whether a start time is known to lie before another one.
pub(super) fn is_earlier(started: &str, other: &str) -> bool {
    ticks(started).zip(ticks(other)).is_some_and(|(started, other)| started < other)
}

fn ticks(started: &str) -> Option<u64> {
    started.parse().ok()
}

#[cfg(test)]
mod tests;
