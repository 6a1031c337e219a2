//! The app of a trial: its processes, and what it writes to its output.
//!
//! In: a command. Out: how the app fared, and the end of its output. Never: a process left behind.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::mutex;
use crate::programs;
use crate::store::launch;

/// The outcome of a trial start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fared {
    /// The app reported that it is up.
    Up,
    /// The app still ran at the end of the time.
    Runs,
    /// The app ended by itself with this status.
    Ended(u32),
    /// The app reported a failure.
    ReportedFailure(String),
    /// The app should have reported that it is up, and did not.
    NotUp,
}

impl Fared {
    pub(super) fn is_well(&self) -> bool {
        matches!(self, Self::Up | Self::Runs | Self::Ended(0))
    }
}

/// How much of the end of an app's output is retained, bytes.
const MAX_OUTPUT: usize = 16 << 10;
/// Time between two looks at the app.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How much time an app gets to end after its trial.
const TO_END: Duration = Duration::from_secs(3);

/// The app's processes, and their output.
pub(super) struct App {
    child: Child,
    wrote: Arc<Mutex<Vec<u8>>>,
}

impl App {
    pub(super) fn start(command: &mut Command) -> std::io::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // The app gets its own process group, so that all its processes end with it.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        let mut child = programs::spawn(command)?;
        let wrote = Arc::new(Mutex::new(Vec::new()));
        if let Some(output) = child.stdout.take() {
            keep(output, Arc::clone(&wrote));
        }
        if let Some(errors) = child.stderr.take() {
            keep(errors, Arc::clone(&wrote));
        }
        Ok(Self { child, wrote })
    }

    /// Watches the app until it is up, has ended, or the time is over.
    pub(super) fn watch(
        &mut self,
        limit: Duration,
        must_say: bool,
        health_report: &dyn Fn() -> Option<Result<(), String>>,
    ) -> Fared {
        let end = Instant::now() + limit;
        loop {
            let ended = self.child.try_wait().ok().flatten();
            match health_report() {
                Some(Err(reason)) => return Fared::ReportedFailure(reason),
                Some(Ok(())) if ended.is_none() && must_say => return Fared::Up,
                _ => {}
            }
            if let Some(status) = ended {
                return Fared::Ended(launch::exit_code(status));
            }
            if Instant::now() >= end {
                return if must_say { Fared::NotUp } else { Fared::Runs };
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// Asks the app to end, and then ends it with all its processes.
    pub(super) fn end(&mut self) {
        self.signal(false);
        let end = Instant::now() + TO_END;
        while self.ended().is_none() && Instant::now() < end {
            std::thread::sleep(POLL_INTERVAL);
        }
        self.signal(true);
        if self.ended().is_none() {
            // A process that cannot be killed cannot be ended in any other way.
            let _ = self.child.kill().and_then(|()| self.child.wait());
        }
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    #[cfg(unix)]
    fn signal(&mut self, forcibly: bool) {
        use rustix::process::{Pid, Signal, kill_process_group};
        // The group's number is the child's. While a process of the group lives, no other process
        // gets it.
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, if forcibly { Signal::KILL } else { Signal::TERM });
        }
    }

    #[cfg(windows)]
    fn signal(&mut self, forcibly: bool) {
        if self.ended().is_none() {
            let process = self.child.id().to_string();
            let force: &[&str] = if forcibly { &["/f"] } else { &[] };
            let _ = Command::new("taskkill")
                .args(["/t", "/pid", &process])
                .args(force)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
        }
    }

    pub(super) fn wrote(&self) -> String {
        // The readers may be a moment behind the end of the app.
        std::thread::sleep(POLL_INTERVAL * 2);
        String::from_utf8_lossy(&mutex::lock(&self.wrote)).into_owned()
    }
}

impl Drop for App {
    fn drop(&mut self) {
        if self.ended().is_none() {
            self.signal(true);
        }
    }
}

/// Reads all of `from`, so that its writer never waits, and retains the end.
#[allow(clippy::disallowed_methods)] // on the publisher's computer a panic is a message
fn keep(mut from: impl Read + Send + 'static, retained: Arc<Mutex<Vec<u8>>>) {
    std::thread::spawn(move || {
        let mut block = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut block) {
            let mut retained = mutex::lock(&retained);
            retained.extend_from_slice(&block[..count]);
            let surplus = retained.len().saturating_sub(MAX_OUTPUT);
            retained.drain(..surplus);
        }
    });
}
