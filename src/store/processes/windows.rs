//! Processes by Windows' own calls.

use std::ffi::OsString;
use std::io;
use std::os::windows::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::process::{POLL_INTERVAL, Process, TICKS};
use crate::host::processes;
use windows_sys::Win32::Foundation::{CloseHandle, FILETIME, HANDLE, WAIT_OBJECT_0, WAIT_TIMEOUT};
use windows_sys::Win32::System::Threading::{
    GetProcessTimes, INFINITE, OpenProcess, PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_SYNCHRONIZE,
    PROCESS_TERMINATE, QueryFullProcessImageNameW, TerminateProcess, WaitForSingleObject,
};

/// Seconds from 1601, where the system's clock begins, to 1970.
const BEFORE_1970: u64 = 11_644_473_600;

struct Open(HANDLE);

impl Open {
    fn new(process: u32, rights: u32) -> Option<Self> {
        // SAFETY: no pointers; the handle is this value's own.
        #[allow(unsafe_code)]
        let handle = unsafe { OpenProcess(rights, 0, process) };
        (!handle.is_null()).then_some(Self(handle))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // SAFETY: the handle is this value's own and is closed once.
        #[allow(unsafe_code)]
        unsafe {
            CloseHandle(self.0);
        }
    }
}

/// Its creation time. The system still knows that for some time after the end of a process, so
/// this also asks whether the process has ended.
pub(crate) fn start(process: u32) -> Option<String> {
    let open = Open::new(process, PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_SYNCHRONIZE)?;
    let zero = FILETIME { dwLowDateTime: 0, dwHighDateTime: 0 };
    let (mut made, mut ended, mut kernel, mut user) = (zero, zero, zero, zero);
    // SAFETY: the times are written to the addresses of four records of their kind.
    #[allow(unsafe_code)]
    let is_running = unsafe {
        let reported =
            GetProcessTimes(open.0, &raw mut made, &raw mut ended, &raw mut kernel, &raw mut user);
        reported != 0 && WaitForSingleObject(open.0, 0) == WAIT_TIMEOUT
    };
    is_running
        .then(|| (u64::from(made.dwHighDateTime) << 32 | u64::from(made.dwLowDateTime)).to_string())
}

/// Whether `process` lives and has this start time.
pub(crate) fn is_alive(process: u32, started: &str) -> bool {
    start(process).as_deref() == Some(started)
}

/// Whether any process with this id may live.
pub(crate) fn may_be_alive(process: u32) -> bool {
    start(process).is_some()
}

fn program(process: u32) -> Option<PathBuf> {
    let open = Open::new(process, PROCESS_QUERY_LIMITED_INFORMATION)?;
    let mut name = vec![0_u16; 32768];
    let mut length = u32::try_from(name.len()).ok()?;
    // SAFETY: the name is written to a buffer of the length that is passed.
    #[allow(unsafe_code)]
    let reported =
        unsafe { QueryFullProcessImageNameW(open.0, 0, name.as_mut_ptr(), &raw mut length) };
    let name = name.get(..usize::try_from(length).ok()?).filter(|_| reported != 0)?;
    Some(OsString::from_wide(name).into())
}

/// The living processes that this user may query.
pub(crate) fn all() -> io::Result<Vec<Process>> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok();
    let age = |started: &str| {
        let made = Duration::from_millis(started.parse::<u64>().ok()? / (TICKS / 1000));
        Some((now? + Duration::from_secs(BEFORE_1970)).saturating_sub(made))
    };
    let process = |id| {
        let started = start(id)?;
        let age = age(&started);
        Some(Process { id, started, age, program: program(id), ..Process::default() })
    };
    Ok(processes::all()?.into_iter().filter_map(|found| process(found.id)).collect())
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

pub(crate) fn wait_for_any(processes: &[u32], limit: Duration) {
    let Some(open) = processes.first().and_then(|process| Open::new(*process, PROCESS_SYNCHRONIZE))
    else {
        return std::thread::sleep(POLL_INTERVAL);
    };
    // SAFETY: no pointers; the handle lives until the end of this function.
    #[allow(unsafe_code)]
    unsafe {
        WaitForSingleObject(open.0, u32::try_from(limit.as_millis()).unwrap_or(u32::MAX - 1));
    }
}

/// Blocks until this child has ended. Its id stays ours as long as its owner has its handle.
/// `false` if the system does not wait.
pub(crate) fn wait_for_child(child: u32) -> bool {
    let Some(open) = Open::new(child, PROCESS_SYNCHRONIZE) else { return false };
    // SAFETY: no pointers; the handle lives until the end of this function.
    #[allow(unsafe_code)]
    let waited = unsafe { WaitForSingleObject(open.0, INFINITE) };
    waited == WAIT_OBJECT_0
}

/// Ends a process by force; Windows has no signal that asks for it.
pub(crate) fn end(process: u32, by_force: bool) {
    if let Some(open) = Open::new(process, PROCESS_TERMINATE).filter(|_| by_force) {
        // SAFETY: no pointers; the handle lives until the end of this function.
        #[allow(unsafe_code)]
        unsafe {
            TerminateProcess(open.0, 1);
        }
    }
}
