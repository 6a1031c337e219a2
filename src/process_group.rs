//! A program and the processes that it starts, to end them together. Ground floor: every room that
//! runs a program of others with a time limit uses this.
//!
//! In: a command, then its child. Out: nothing. Never: ends a process that is not the program's.
//! Unix has process groups, and lists processes with their parents. Windows has jobs: there the
//! system ends the program's processes with this one as well. A process that the program starts in
//! its very first moment, before it is in its job, escapes. The standard library can start a program
//! stopped, but has no handle of its first thread to let it go on, and it has no attribute yet that
//! begins a process in a job. To find the thread in a list of all threads could fail, and would then
//! leave a program that never runs, which is worse than one process that lives too long.

use std::process::{Child, Command};

#[cfg(unix)]
use crate::{error_chain, host};

#[cfg(unix)]
pub(crate) struct ProcessGroup(Option<rustix::process::Pid>);

#[cfg(unix)]
impl ProcessGroup {
    /// Has the command begin a group of its own.
    pub(crate) fn prepare(command: &mut Command) {
        std::os::unix::process::CommandExt::process_group(command, 0);
    }

    /// The group of a child whose command was prepared.
    pub(crate) fn of(child: &Child) -> Self {
        Self(i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw))
    }

    /// The same for a program that may leave processes behind: a service that its next run asks.
    pub(crate) fn of_lasting(child: &Child) -> Self {
        Self::of(child)
    }

    /// Ends all of its processes by force.
    pub(crate) fn end(&self) {
        if let Some(group) = self.0 {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

/// Ends a child and its living descendants by force: where a person sits at a terminal, a program
/// that may ask something has no group of its own. All are stopped first, so that none starts
/// another one meanwhile.
#[cfg(unix)]
pub(crate) fn end_descendants(child: &Child) {
    use rustix::process::{Pid, Signal, kill_process};
    let signal = |id: u32, signal: Signal| {
        if let Some(process) = i32::try_from(id).ok().and_then(Pid::from_raw) {
            // It may have ended.
            let _ = kill_process(process, signal);
        }
    };
    let mut stopped: Vec<u32> = Vec::new();
    loop {
        let found = host::processes::trees(&[child.id()]).unwrap_or_else(|error| {
            tracing::warn!(
                error = error_chain::line(&error),
                "processes that the program has started may outlive it"
            );
            Vec::new()
        });
        let new: Vec<u32> =
            found.into_iter().map(|it| it.id).filter(|id| !stopped.contains(id)).collect();
        if new.is_empty() {
            break;
        }
        new.iter().for_each(|id| signal(*id, Signal::STOP));
        stopped.extend(new);
    }
    stopped.iter().for_each(|id| signal(*id, Signal::KILL));
}

#[cfg(windows)]
pub(crate) struct ProcessGroup(Option<job::Job>);

#[cfg(windows)]
impl ProcessGroup {
    /// Has the command open no console: the launcher has none that it could use, so a window of its
    /// own would flash up.
    pub(crate) fn prepare(command: &mut Command) {
        std::os::windows::process::CommandExt::creation_flags(
            command,
            windows_sys::Win32::System::Threading::CREATE_NO_WINDOW,
        );
    }

    /// The group of a child whose command was prepared.
    pub(crate) fn of(child: &Child) -> Self {
        Self::made(child, true)
    }

    /// The same for a program that may leave processes behind: a service that its next run asks.
    pub(crate) fn of_lasting(child: &Child) -> Self {
        Self::made(child, false)
    }

    fn made(child: &Child, ends_with_value: bool) -> Self {
        let job = job::Job::of(child, ends_with_value);
        if job.is_none() {
            tracing::warn!("processes that the program starts may outlive it");
        }
        Self(job)
    }

    /// Ends all of its processes by force.
    pub(crate) fn end(&self) {
        if let Some(job) = &self.0 {
            job.end();
        }
    }
}

#[cfg(windows)]
mod job {
    use std::os::windows::io::AsRawHandle as _;
    use std::process::Child;

    use windows_sys::Win32::Foundation::{CloseHandle, HANDLE};
    use windows_sys::Win32::System::JobObjects::{
        AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
        JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectExtendedLimitInformation,
        SetInformationJobObject, TerminateJobObject,
    };

    /// A job of Windows.
    pub(super) struct Job(HANDLE);

    impl Job {
        /// A job with this child in it, which may end with this value; `None` if the system makes
        /// none.
        #[allow(unsafe_code)]
        pub(super) fn of(child: &Child, ends_with_value: bool) -> Option<Self> {
            // SAFETY: without a name and attributes the call takes no pointer.
            let handle = unsafe { CreateJobObjectW(std::ptr::null(), std::ptr::null()) };
            let job = (!handle.is_null()).then_some(Self(handle))?;
            let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
            if ends_with_value {
                limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
            }
            let size = u32::try_from(size_of::<JOBOBJECT_EXTENDED_LIMIT_INFORMATION>()).ok()?;
            // SAFETY: the record is of the kind and the size that the call is told; both handles
            // live through the calls.
            let is_ready = unsafe {
                SetInformationJobObject(
                    job.0,
                    JobObjectExtendedLimitInformation,
                    (&raw const limits).cast(),
                    size,
                ) != 0
                    && AssignProcessToJobObject(job.0, child.as_raw_handle()) != 0
            };
            is_ready.then_some(job)
        }

        pub(super) fn end(&self) {
            // SAFETY: the handle is this value's own.
            #[allow(unsafe_code)]
            unsafe {
                TerminateJobObject(self.0, 1);
            }
        }
    }

    impl Drop for Job {
        fn drop(&mut self) {
            // SAFETY: the handle is this value's own and is closed once.
            #[allow(unsafe_code)]
            unsafe {
                CloseHandle(self.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::programs;

    /// A program whose own process waits for another one that writes without end.
    fn program() -> Command {
        let (shell, option, text) = if cfg!(windows) {
            ("cmd", "/C", "cmd /C for /L %i in (1,0,2) do @echo x>>late.txt")
        } else {
            ("sh", "-c", "(while :; do echo x >> late.txt; sleep 0.01; done); true")
        };
        let mut command = Command::new(shell);
        command.args([option, text]);
        command
    }

    #[test]
    fn what_a_program_has_started_ends_with_it() {
        let mut command = program();
        ProcessGroup::prepare(&mut command);
        is_silent_after(command, ProcessGroup::of, |_, group| group.end());
    }

    #[cfg(unix)]
    #[test]
    fn so_does_what_a_program_without_its_own_group_has_started() {
        is_silent_after(program(), |_| (), |child, ()| end_descendants(child));
    }

    /// `begin` at once, since on Windows a job holds what is started from then on.
    fn is_silent_after<T>(
        mut command: Command,
        begin: impl FnOnce(&Child) -> T,
        end: impl FnOnce(&Child, T),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let written =
            || fs::metadata(folder.path().join("late.txt")).map_or(0, |metadata| metadata.len());
        let mut child = programs::spawn(command.current_dir(folder.path())).unwrap();
        let begun = begin(&child);
        let limit = Instant::now() + Duration::from_secs(120);
        while written() == 0 {
            assert!(Instant::now() < limit, "the program runs");
            std::thread::sleep(Duration::from_millis(10));
        }
        end(&child, begun);
        child.wait().unwrap();
        let before = written();
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(written(), before);
    }
}
