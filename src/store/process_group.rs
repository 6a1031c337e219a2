//! A script and the processes that it starts, to end them together.
//!
//! In: a command, then its child. Out: nothing. Never: ends a process that is not the script's.
//! Unix has process groups. Windows has jobs: there the system ends the script's processes with the
//! launcher as well. A process that the script starts in its very first moment, before the launcher
//! has put it into its job, escapes.

use std::process::{Child, Command};

#[cfg(unix)]
pub(super) struct ProcessGroup(Option<rustix::process::Pid>);

#[cfg(unix)]
impl ProcessGroup {
    /// Has the command begin a group of its own.
    pub(super) fn prepare(command: &mut Command) {
        std::os::unix::process::CommandExt::process_group(command, 0);
    }

    /// The group of a child whose command was prepared.
    pub(super) fn of(child: &Child) -> Self {
        Self(i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw))
    }

    /// Ends all of its processes by force.
    pub(super) fn end(&self) {
        if let Some(group) = self.0 {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

#[cfg(windows)]
pub(super) struct ProcessGroup(Option<job::Job>);

#[cfg(windows)]
impl ProcessGroup {
    /// Has the command open no console: the launcher has none that it could use, so a window of its
    /// own would flash up.
    pub(super) fn prepare(command: &mut Command) {
        std::os::windows::process::CommandExt::creation_flags(
            command,
            windows_sys::Win32::System::Threading::CREATE_NO_WINDOW,
        );
    }

    /// The group of a child whose command was prepared.
    pub(super) fn of(child: &Child) -> Self {
        let job = job::Job::of(child);
        if job.is_none() {
            tracing::warn!("processes that the script starts may outlive it");
        }
        Self(job)
    }

    /// Ends all of its processes by force.
    pub(super) fn end(&self) {
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

    /// A job of Windows, which ends with this value.
    pub(super) struct Job(HANDLE);

    impl Job {
        /// A job with this child in it; `None` if the system makes none.
        #[allow(unsafe_code)]
        pub(super) fn of(child: &Child) -> Option<Self> {
            // SAFETY: without a name and attributes the call takes no pointer.
            let handle = unsafe { CreateJobObjectW(std::ptr::null(), std::ptr::null()) };
            let job = (!handle.is_null()).then_some(Self(handle))?;
            let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
            limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
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

    /// A script whose own process waits for another one that writes without end.
    fn script() -> Command {
        let (shell, option, text) = if cfg!(windows) {
            ("cmd", "/C", "cmd /C for /L %i in (1,0,2) do @echo x>>late.txt")
        } else {
            ("sh", "-c", "(while :; do echo x >> late.txt; sleep 0.01; done); true")
        };
        let mut command = Command::new(shell);
        command.args([option, text]);
        ProcessGroup::prepare(&mut command);
        command
    }

    #[test]
    fn what_a_script_has_started_ends_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let written =
            || fs::metadata(folder.path().join("late.txt")).map_or(0, |metadata| metadata.len());
        let mut child = programs::spawn(script().current_dir(folder.path())).unwrap();
        let group = ProcessGroup::of(&child);
        let limit = Instant::now() + Duration::from_secs(120);
        while written() == 0 {
            assert!(Instant::now() < limit, "the script runs");
            std::thread::sleep(Duration::from_millis(10));
        }
        group.end();
        child.wait().unwrap();
        let before = written();
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(written(), before);
    }
}
