//! Processes as `ps` lists them, on macOS and other Unix systems than Linux.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::process::{POLL_INTERVAL, Process};

/// Other systems report the start time only through calls that need `unsafe` code. There a
/// reused process id counts as alive.
pub(crate) fn start(process: u32) -> Option<String> {
    let id = i32::try_from(process).ok().and_then(rustix::process::Pid::from_raw)?;
    match rustix::process::test_kill_process(id) {
        Ok(()) | Err(rustix::io::Errno::PERM) => Some(String::new()),
        Err(_) => None,
    }
}

/// Whether `process` lives and has this start time.
pub(crate) fn is_alive(process: u32, started: &str) -> bool {
    start(process).as_deref() == Some(started)
}

/// Whether any process with this id may live.
pub(crate) fn may_be_alive(process: u32) -> bool {
    start(process).is_some()
}

/// The living processes with their programs. `ps` reports nothing else in a form that can be
/// parsed.
pub(crate) fn all() -> io::Result<Vec<Process>> {
    let text = crate::host::processes::listed_by_ps(&["-xo", "pid=,comm="])?;
    let process = |line: &str| {
        let (id, program) = line.trim_start().split_once(' ')?;
        let program = Some(PathBuf::from(OsString::from(program.trim())));
        Some(Process { id: id.parse().ok()?, program, ..Process::default() })
    };
    Ok(text.lines().filter_map(process).collect())
}

/// Unknown here.
pub(crate) fn ancestors() -> Vec<u32> {
    Vec::new()
}

pub(crate) fn maps(_process: u32, _folder: &Path) -> io::Result<bool> {
    Ok(false)
}

pub(crate) fn holds_open(_process: u32, _path: &Path) -> io::Result<bool> {
    Ok(false)
}

pub(crate) fn wait_for_any(_processes: &[u32], limit: Duration) {
    std::thread::sleep(limit.min(POLL_INTERVAL));
}

pub(crate) use super::unix::{end, wait_for_child};
