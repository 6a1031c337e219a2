//! Asks the system about processes, which need not be children of this one.
//!
//! In: process ids. Out: when a process was started, and what binds it to a version. Never: decides
//! what that means ([`super::successors`] does that). A process that another user owns, or that
//! ends during the look, is left out.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// A living process of this user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Process {
    pub id: u32,
    /// Its start time, in the system's own form (see [`start`]).
    pub started: String,
    /// How long ago it was started, where the system reports that.
    pub age: Option<Duration>,
    /// The process that started it, where the system reports that.
    pub parent: Option<u32>,
    pub program: Option<PathBuf>,
    pub folder: Option<PathBuf>,
    /// Its command line, its own name first.
    pub arguments: Vec<OsString>,
    /// `KUZFLOW_HOME` in its environment: the version's folder.
    pub version: Option<OsString>,
    /// `KUZFLOW_HEALTH` in its environment: each start has a different value.
    pub start: Option<OsString>,
    /// It is just beginning another program: for a moment the system reports neither arguments nor
    /// environment.
    pub is_beginning: bool,
}

/// Clock ticks of [`Process::started`] in a second.
pub(super) const TICKS: u64 = if cfg!(windows) { 10_000_000 } else { 100 };

pub(super) use system::{
    all, ancestors, end, holds_open, is_alive, maps, may_be_alive, start, wait_for_any,
    wait_for_child,
};

#[cfg(target_os = "linux")]
mod system {
    use std::collections::HashSet;
    use std::fs;
    use std::io::{self, Read as _};
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

    use super::{Duration, OsString, PathBuf, Process, TICKS};
    use crate::host::processes::of_living;
    use crate::look;
    use std::path::Path;

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
        let seconds: f64 =
            std::str::from_utf8(&text).ok()?.split_whitespace().next()?.parse().ok()?;
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
        let age =
            || {
                Some(now?.saturating_sub(Duration::from_millis(
                    started.parse::<u64>().ok()? * 1000 / TICKS,
                )))
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
                Err(_) => return std::thread::sleep(super::POLL_INTERVAL),
            }
        }
        let mut waiting: Vec<_> =
            opened.iter().map(|process| PollFd::new(process, PollFlags::IN)).collect();
        let limit = Timespec {
            tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: limit.subsec_nanos().into(),
        };
        if poll(&mut waiting, Some(&limit)).is_err() {
            std::thread::sleep(super::POLL_INTERVAL);
        }
    }

    pub(crate) use super::unix::{end, wait_for_child};
}

#[cfg(all(unix, not(target_os = "linux")))]
mod system {
    use super::{Duration, OsString, PathBuf, Process};
    use std::io;
    use std::path::Path;

    /// Other systems report the start time only through calls that need `unsafe` code. There a
    /// reused process id counts as alive.
    pub fn start(process: u32) -> Option<String> {
        let id = i32::try_from(process).ok().and_then(rustix::process::Pid::from_raw)?;
        match rustix::process::test_kill_process(id) {
            Ok(()) | Err(rustix::io::Errno::PERM) => Some(String::new()),
            Err(_) => None,
        }
    }

    /// Whether `process` lives and has this start time.
    pub fn is_alive(process: u32, started: &str) -> bool {
        start(process).as_deref() == Some(started)
    }

    /// Whether any process with this id may live.
    pub fn may_be_alive(process: u32) -> bool {
        start(process).is_some()
    }

    /// The living processes with their programs. `ps` reports nothing else in a form that can be
    /// parsed.
    pub fn all() -> io::Result<Vec<Process>> {
        let text = crate::host::processes::listed_by_ps(&["-xo", "pid=,comm="])?;
        let process = |line: &str| {
            let (id, program) = line.trim_start().split_once(' ')?;
            let program = Some(PathBuf::from(OsString::from(program.trim())));
            Some(Process { id: id.parse().ok()?, program, ..Process::default() })
        };
        Ok(text.lines().filter_map(process).collect())
    }

    /// Unknown here.
    pub fn ancestors() -> Vec<u32> {
        Vec::new()
    }

    pub fn maps(_process: u32, _folder: &Path) -> io::Result<bool> {
        Ok(false)
    }

    pub fn holds_open(_process: u32, _path: &Path) -> io::Result<bool> {
        Ok(false)
    }

    pub fn wait_for_any(_processes: &[u32], limit: Duration) {
        std::thread::sleep(limit.min(super::POLL_INTERVAL));
    }

    pub(crate) use super::unix::{end, wait_for_child};
}

#[cfg(unix)]
mod unix {
    use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

    /// Blocks until this child has ended, and leaves it unreaped: its id stays ours until its owner
    /// takes it under the lock. `false` if the system does not wait.
    pub(crate) fn wait_for_child(child: u32) -> bool {
        let pid = i32::try_from(child).ok().and_then(Pid::from_raw);
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        pid.is_some_and(|pid| waitid(WaitId::Pid(pid), options).is_ok())
    }

    /// Asks a process to end, or ends it.
    pub(crate) fn end(process: u32, by_force: bool) {
        if let Some(id) = i32::try_from(process).ok().and_then(Pid::from_raw) {
            let _ = kill_process(id, if by_force { Signal::KILL } else { Signal::TERM });
        }
    }
}

#[cfg(windows)]
mod system {
    use super::{Duration, OsString, PathBuf, Process, TICKS};
    use crate::host::processes;
    use std::io;
    use std::os::windows::ffi::OsStringExt as _;
    use std::path::Path;
    use windows_sys::Win32::Foundation::{
        CloseHandle, FILETIME, HANDLE, WAIT_OBJECT_0, WAIT_TIMEOUT,
    };
    use windows_sys::Win32::System::Threading::{
        GetProcessTimes, INFINITE, OpenProcess, PROCESS_QUERY_LIMITED_INFORMATION,
        PROCESS_SYNCHRONIZE, PROCESS_TERMINATE, QueryFullProcessImageNameW, TerminateProcess,
        WaitForSingleObject,
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
            let reported = GetProcessTimes(
                open.0,
                &raw mut made,
                &raw mut ended,
                &raw mut kernel,
                &raw mut user,
            );
            reported != 0 && WaitForSingleObject(open.0, 0) == WAIT_TIMEOUT
        };
        is_running.then(|| {
            (u64::from(made.dwHighDateTime) << 32 | u64::from(made.dwLowDateTime)).to_string()
        })
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
        let Some(open) =
            processes.first().and_then(|process| Open::new(*process, PROCESS_SYNCHRONIZE))
        else {
            return std::thread::sleep(super::POLL_INTERVAL);
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
}

/// Pause between two looks where the system offers no way to wait.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::io::Read as _;
    use std::path::PathBuf;
    use std::process::{Command, Stdio};

    /// Goes to a folder whose path is longer than the system can tell, and waits there.
    const GO_DEEP: &str = "import os, sys\n\
        for _ in range(25):\n    os.mkdir('d' * 200)\n    os.chdir('d' * 200)\n\
        print('!', end='', flush=True)\nsys.stdin.read()\n";

    #[test]
    fn a_process_in_a_folder_without_a_path_hides_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let deep = Command::new("python3")
            .args(["-c", GO_DEEP])
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut deep) = deep else {
            assert!(std::env::var_os("CI").is_none(), "python3 does not work");
            return;
        };
        deep.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
        let all = super::all().unwrap();
        let found = all.iter().find(|process| process.id == deep.id()).unwrap();
        assert_eq!(found.folder, Some(PathBuf::new()));
        drop(deep.stdin.take());
        deep.wait().unwrap();
    }
}
