//! Processes as `/proc` shows them.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::process::{POLL_INTERVAL, Process, TICKS};
use crate::host::processes::of_living;
use crate::look;

/// The start time of a process, which distinguishes it from a later one with the same id.
/// `None` if it is not alive or the system does not answer.
pub(crate) fn start(process: u32) -> Option<String> {
    start_in(&read_stat(process).ok()?)
}

fn read_stat(process: u32) -> io::Result<String> {
    let mut text = Vec::new();
    fs::File::open(of(process, "stat"))?.read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn start_in(stat: &str) -> Option<String> {
    // proc_pid_stat(5): the second field is the program's name in parentheses and may hold
    // anything; the third is the state, the 22nd the start in clock ticks since boot.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let ended = ["Z", "X"].contains(&state);
    if ended { None } else { fields.nth(18).map(str::to_owned) }
}

/// Whether `process` lives and has this start time.
pub(crate) fn is_alive(process: u32, started: &str) -> bool {
    match look::again(|| read_stat(process)) {
        Ok(stat) => start_in(&stat).as_deref() == Some(started),
        Err(error) => !is_of_ended(&error),
    }
}

/// Whether any process with this id may live.
pub(crate) fn may_be_alive(process: u32) -> bool {
    match look::again(|| read_stat(process)) {
        Ok(stat) => start_in(&stat).is_some(),
        Err(error) => !is_of_ended(&error),
    }
}

/// Whether `error` means that the process has ended. After another error (for example, no
/// handle left) it may be alive: then the version is left alone.
fn is_of_ended(error: &io::Error) -> bool {
    // ESRCH: it ended during the read.
    error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
        || error.kind() == io::ErrorKind::NotFound
}

fn of(process: u32, what: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{process}/{what}"))
}

/// How often the system is asked for processes that came during the look.
const MAX_LISTS: u32 = 10;

/// The living processes of this user. A process may end during the look, just after it has
/// started the one that goes on in its place; so those that came meanwhile are looked at too.
///
/// # Errors
/// If one of them cannot be looked at: it may be the one that is sought.
pub(crate) fn all() -> io::Result<Vec<Process>> {
    let now = since_boot();
    let (mut listed, mut all) = (HashSet::new(), Vec::new());
    for _ in 0..MAX_LISTS {
        let new: Vec<u32> = ids()?.into_iter().filter(|id| listed.insert(*id)).collect();
        if new.is_empty() {
            break;
        }
        for id in new {
            all.extend(look_at(id, now)?);
        }
    }
    Ok(all)
}

fn ids() -> io::Result<Vec<u32>> {
    let id = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    Ok(look::entries(Path::new("/proc"))?.into_iter().filter_map(id).collect())
}

/// The process that started this launcher, the one that started that, and so on to the first
/// of the system. One of them adopts the orphans of this launcher's app.
pub(crate) fn ancestors() -> Vec<u32> {
    std::iter::successors(parent(std::process::id()), |id| parent(*id)).collect()
}

fn since_boot() -> Option<Duration> {
    let text = look::read(Path::new("/proc/uptime"), look::SMALL).ok()??;
    let seconds: f64 = std::str::from_utf8(&text).ok()?.split_whitespace().next()?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// The fourth field of `stat`: the parent process. Once a process's parent has ended, it is the
/// process that adopts orphans.
fn parent(process: u32) -> Option<u32> {
    parent_in(&read_stat(process).ok()?)
}

fn parent_in(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn look_at(id: u32, now: Option<Duration>) -> io::Result<Option<Process>> {
    // Only the owner may read it.
    let Some(program) = link(id, "exe")? else { return Ok(None) };
    let stat = of_living(read_stat(id))?;
    let Some(started) = stat.as_deref().and_then(start_in) else { return Ok(None) };
    let age = || {
        Some(
            now?.saturating_sub(Duration::from_millis(started.parse::<u64>().ok()? * 1000 / TICKS)),
        )
    };
    let (mut version, mut health) = (None, None);
    for variable in words(id, "environ")? {
        let variable = variable.as_bytes();
        if let Some(value) = variable.strip_prefix(b"KUZFLOW_HOME=") {
            version = Some(OsString::from_vec(value.to_owned()));
        } else if let Some(value) = variable.strip_prefix(b"KUZFLOW_HEALTH=") {
            health = Some(OsString::from_vec(value.to_owned()));
        }
    }
    let arguments = words(id, "cmdline")?;
    Ok(Some(Process {
        id,
        age: age(),
        started,
        parent: stat.as_deref().and_then(parent_in),
        program: Some(program),
        folder: link(id, "cwd")?,
        is_beginning: arguments.is_empty() && version.is_none(),
        arguments,
        version,
        start: health,
    }))
}

/// Where such a link leads; nowhere if the path is longer than the system can tell, and `None`
/// if the process has ended.
fn link(id: u32, what: &str) -> io::Result<Option<PathBuf>> {
    match fs::read_link(of(id, what)) {
        Err(error)
            if error.raw_os_error() == Some(rustix::io::Errno::NAMETOOLONG.raw_os_error()) =>
        {
            Ok(Some(PathBuf::new()))
        }
        read => of_living(read),
    }
}

/// The words of such a file, each ended by a zero byte; none if the process has ended.
fn words(id: u32, what: &str) -> io::Result<Vec<OsString>> {
    let bytes = bytes(id, what)?;
    let words = bytes.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    Ok(words.map(|word| OsString::from_vec(word.to_owned())).collect())
}

/// The bytes of such a file; none if the process has ended.
fn bytes(id: u32, what: &str) -> io::Result<Vec<u8>> {
    Ok(of_living(look::read(&of(id, what), look::LARGE))?.flatten().unwrap_or_default())
}

/// Whether the process has a file below `folder` in its memory, for example a library.
pub(crate) fn maps(process: u32, folder: &Path) -> io::Result<bool> {
    let maps = bytes(process, "maps")?;
    let mut folder = folder.as_os_str().as_bytes().to_owned();
    folder.push(b'/');
    Ok(maps
        .split(|byte| *byte == b'\n')
        .any(|line| line.windows(folder.len()).any(|part| part == folder)))
}

/// Whether the process has the file `path` open.
pub(crate) fn holds_open(process: u32, path: &Path) -> io::Result<bool> {
    let open = of_living(look::entries(&of(process, "fd")))?.unwrap_or_default();
    Ok(open.iter().any(|entry| fs::read_link(entry.path()).is_ok_and(|link| link == path)))
}

/// Blocks until one of these processes ends, at most for `limit`. It uses no processor time
/// where the system can wait.
pub(crate) fn wait_for_any(processes: &[u32], limit: Duration) {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    let mut opened = Vec::new();
    for id in processes.iter().filter_map(|id| Pid::from_raw(i32::try_from(*id).ok()?)) {
        match pidfd_open(id, PidfdFlags::empty()) {
            Ok(process) => opened.push(process),
            // The process has ended meanwhile.
            Err(rustix::io::Errno::SRCH) => return,
            // This system is too old for process handles.
            Err(_) => return std::thread::sleep(POLL_INTERVAL),
        }
    }
    let mut waiting: Vec<_> =
        opened.iter().map(|process| PollFd::new(process, PollFlags::IN)).collect();
    let limit = Timespec {
        tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: limit.subsec_nanos().into(),
    };
    if poll(&mut waiting, Some(&limit)).is_err() {
        std::thread::sleep(POLL_INTERVAL);
    }
}

pub(crate) use super::unix::{end, wait_for_child};
