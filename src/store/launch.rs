//! Starts a version without a shell, and ends it.

mod ending;
mod needs;

use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

pub(crate) use self::ending::WindowOwners;
pub(crate) use self::needs::Which;
use self::needs::{give_health_file, hold, keep_errors, not_started};
pub(crate) use super::app_environment::Variable;
pub(crate) use super::command::{Call, command};
use super::health_file::{HealthFile, HealthReport};
use super::lock::{self, RunningLock};
use super::output_file::OutputFile;
use super::processes::{self, Process};
use super::successors::{EndedProcess, SeenEnd};
use super::{Home, InstalledRecord, StoreError, first_run, stand_in};
use crate::error_chain;
use crate::file_error::FileResult as _;
use crate::model::ContainerId;
use crate::model::exit_code::ProcessEnd;
use crate::mutex;
use crate::programs;

/// The running app: the launcher's child, and after it the processes that replace it. Several
/// threads may share it: one waits for its end, another ends it.
#[derive(Debug)]
pub(crate) struct RunningApp {
    pub container: ContainerId,
    child: Mutex<Child>,
    /// The child's start time, as the system reports it.
    first_started: String,
    /// The processes that run once the child has ended.
    after: Mutex<After>,
    /// The processes that got this launcher's order to end, the first one among them.
    ordered: Mutex<Vec<Process>>,
    lock: Mutex<Option<RunningLock>>,
    health: Option<HealthFile>,
    errors: Option<OutputFile>,
    reports_up: bool,
    started: Instant,
    /// How long the child ran; set at its end.
    first_ran: OnceLock<Duration>,
    /// How long the app ran, successors included; set at its end.
    ran: OnceLock<Duration>,
    /// This launcher asked it to end.
    asked: AtomicBool,
}

/// What follows the first process.
#[derive(Debug)]
enum After {
    /// The first process has not ended, as far as is known.
    First,
    /// These processes, which the first one started.
    Successors(Vec<Process>),
    /// Nothing.
    Over,
}

/// Starts the version of `record`.
pub(crate) fn start(
    home: &Home,
    record: &InstalledRecord,
    which: Which,
    call: Call<'_>,
) -> Result<RunningApp, StoreError> {
    let folder = std::path::absolute(home.container(&record.container))
        .at("find", &home.container(&record.container))?;
    let lock = hold(home, record, which)?;
    stand_in::note(home, &record.container);
    let mut command = command(record, &folder, call);
    let health = give_health_file(&mut command, home, &record.container);
    let is_first = first_run::take(home);
    if is_first {
        command.env(first_run::VARIABLE, "1");
    }
    let errors =
        call.keep_errors.then(|| keep_errors(&mut command, home, &record.container)).flatten();
    let spawned = match &lock {
        Some(lock) => lock.inherited_by(|| programs::spawn(&mut command)),
        None => programs::spawn(&mut command),
    };
    let child = spawned.map_err(|source| {
        if is_first {
            first_run::expect(home);
        }
        not_started(record, folder, source)
    })?;
    if let Some(lock) = &lock {
        lock.run_by(child.id());
    }
    Ok(RunningApp {
        container: record.container.clone(),
        first_started: processes::start(child.id()).unwrap_or_default(),
        child: Mutex::new(child),
        after: Mutex::new(After::First),
        ordered: Mutex::default(),
        lock: Mutex::new(lock),
        reports_up: record.launch.reports_up && health.is_some(),
        health,
        errors,
        started: Instant::now(),
        first_ran: OnceLock::new(),
        ran: OnceLock::new(),
        asked: AtomicBool::new(false),
    })
}

/// Pause between two looks at a child where the system cannot wait for it without reaping it.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// How long to look for successors, while each one found has already ended.
const SUCCESSORS_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest single wait for the successors of the first process.
const MAX_WAIT_FOR_SUCCESSORS: Duration = Duration::from_secs(60 * 60);
/// Pause between two orders to end by force: a process may have started another one meanwhile.
const PAUSE_BETWEEN_ORDERS: Duration = Duration::from_millis(100);
/// Pause between two looks at a child that was asked to end.
const POLL_INTERVAL_WHILE_ENDING: Duration = Duration::from_millis(10);

impl RunningApp {
    // A panic elsewhere does not change what the child is.
    fn child(&self) -> MutexGuard<'_, Child> {
        mutex::lock(&self.child)
    }

    /// How long ago it was started.
    pub(crate) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// How long it has run: up to now, or up to when its end, and that of its successors, was
    /// noticed.
    pub(crate) fn lifetime(&self) -> Duration {
        self.ran.get().copied().unwrap_or_else(|| self.age())
    }

    /// Whether it will report when it is up.
    pub(crate) fn reports_up(&self) -> bool {
        self.reports_up
    }

    /// Its last report about itself.
    pub(crate) fn health_report(&self) -> Option<HealthReport> {
        self.health.as_ref()?.health_report()
    }

    /// Whether another instance of the same version runs, now that this one has ended.
    pub(crate) fn has_instance(&self, home: &Home) -> bool {
        // This launcher's lock on the version was released when the app ended.
        RunningLock::is_known_to_be_started(home, &self.container)
    }

    /// Whether a process that the ended app started is still alive: a helper, as far as is known.
    pub(crate) fn has_left_a_process(&self, home: &Home) -> bool {
        RunningLock::is_inherited(home, &self.container)
    }

    /// Whether other processes replace the first one, which has ended.
    pub(crate) fn was_handed_over(&self) -> bool {
        self.ended().is_none() && self.first_ended().is_some()
    }

    /// The last lines that it wrote to standard error, if they were stored.
    pub(crate) fn last_lines(&self, most: usize) -> Vec<String> {
        self.errors.as_ref().map(|errors| errors.last_lines(most)).unwrap_or_default()
    }

    /// Limits the size of its standard error file; `false` if there is none.
    pub(crate) fn bound_errors(&self) -> bool {
        let Some(errors) = &self.errors else { return false };
        if let Err(error) = errors.cut() {
            tracing::info!(
                error = error_chain::line(&error),
                "what the app writes to standard error is not cut off"
            );
        }
        true
    }

    /// The process id of the launcher's child.
    pub(crate) fn process(&self) -> u32 {
        self.child().id()
    }

    /// The ids of the processes that run the app: the launcher's child, or its successors.
    pub(crate) fn processes(&self) -> Vec<u32> {
        // This call looks for successors.
        let _ = self.ended();
        match &*self.after() {
            After::Successors(successors) => successors.iter().map(|process| process.id).collect(),
            After::First | After::Over => vec![self.process()],
        }
    }

    /// Records that the app reported over another channel that it is up. The record is the same as
    /// the app's own in its health file, which outlives this launcher.
    pub(crate) fn say_up(&self) {
        if let Some(health) = &self.health
            && let Err(error) = health.say_up()
        {
            tracing::warn!(
                error = error_chain::line(&error),
                "that the app is up is not written down"
            );
        }
    }

    /// The app was about to end and continues after all.
    pub(crate) fn goes_on(&self) {
        mutex::lock(&self.ordered).clear();
        self.asked.store(false, Ordering::Release);
    }

    /// Notes that this launcher asks the app to end, or that the app is about to end by itself: its
    /// end is then no fault.
    pub(crate) fn note_asked(&self) {
        self.asked.store(true, Ordering::Release);
    }

    /// Whether this launcher asked it to end.
    pub(crate) fn was_asked_to_end(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    /// The exit status of the app's first process, if it has ended without successors.
    pub(crate) fn ended(&self) -> Option<ExitStatus> {
        let status = self.first_ended()?;
        self.is_over(status).then_some(status)
    }

    /// The exit status of the app's first process, if it has ended.
    pub(crate) fn first_ended(&self) -> Option<ExitStatus> {
        let status = self.child().try_wait().ok().flatten();
        if status.is_some() {
            self.first_ran.get_or_init(|| self.started.elapsed());
        }
        status
    }

    fn after(&self) -> MutexGuard<'_, After> {
        mutex::lock(&self.after)
    }

    /// Whether no process replaces the first one, which has ended with `status`.
    fn is_over(&self, status: ExitStatus) -> bool {
        let mut after = self.after();
        let successors = match &mut *after {
            After::Over => return true,
            After::First => {
                let successors = self.successors_of_first(status);
                if successors.is_empty()
                    && let Some(first_ran) = self.first_ran.get()
                {
                    self.ran.get_or_init(|| *first_ran);
                }
                successors
            }
            After::Successors(successors) => {
                let ended = successors
                    .extract_if(.., |process| !processes::is_alive(process.id, &process.started));
                let ended: Vec<Process> = ended.collect();
                if !successors.is_empty() {
                    return false;
                }
                self.successors_of(&ended)
            }
        };
        if successors.is_empty() {
            *after = After::Over;
            self.ran.get_or_init(|| self.started.elapsed());
            // Processes that the app left behind may still hold the lock; this launcher no longer
            // does.
            drop(mutex::lock(&self.lock).take());
            return true;
        }
        tracing::info!(processes = ?successors.iter().map(|process| process.id).collect::<Vec<_>>(), "the app was handed over");
        *after = After::Successors(successors);
        false
    }

    /// The processes that replace the first one. A process that survives a crash is a helper, and
    /// the end of a session ends all processes. A signal of this launcher is no crash.
    fn successors_of_first(&self, status: ExitStatus) -> Vec<Process> {
        // A program may choose a code above 128 itself; then no signal has ended it.
        let is_crash = if cfg!(unix) {
            status.code().is_none()
        } else {
            ProcessEnd::of(exit_code(status)).is_crash()
        };
        let first = [self.first()];
        let is_ordered = !mutex::lock(&self.ordered).is_empty();
        if is_crash && !is_ordered { self.note_ends(&first) } else { self.successors_of(&first) }
    }

    /// The launcher's child.
    fn first(&self) -> Process {
        Process::identified(self.process(), self.first_started.clone())
    }

    /// The processes that got the order to end, and live. The first one is known better by its
    /// status.
    fn survivors(&self) -> Vec<Process> {
        let first = self.process();
        let mut survivors = mutex::lock(&self.ordered).clone();
        survivors.retain(|process| {
            process.id != first && processes::is_alive(process.id, &process.started)
        });
        survivors
    }

    /// Notes the successors of processes that have ended, and that their end was seen.
    fn successors_of(&self, ended: &[Process]) -> Vec<Process> {
        let survivors = self.survivors();
        if !survivors.is_empty() {
            if let Some(lock) = &*mutex::lock(&self.lock) {
                survivors.iter().for_each(|process| lock.run_by(process.id));
            }
            self.note_ends(ended);
            return survivors;
        }
        let lifetime = self.first_ran.get().copied().unwrap_or_else(|| self.age());
        let seen = Some(SeenEnd { lifetime, asked: self.was_asked_to_end() });
        let start = self.health.as_ref().and_then(|health| std::path::absolute(health.path()).ok());
        let start = start.as_ref().map(|start| start.as_os_str());
        let mut successors = Vec::new();
        if let Some(lock) = &*mutex::lock(&self.lock) {
            let mut before = ended.last().map(|last| last.started.clone());
            // A successor may itself hand over and end before it is noted.
            let began = Instant::now();
            while let Some(started) = before.take().filter(|_| began.elapsed() < SUCCESSORS_TIMEOUT)
            {
                let found = lock.successors(&EndedProcess { started: &started, start, seen });
                // The successors are noted first: a kill in between leaves one note too many.
                found.iter().for_each(|process| lock.run_by(process.id));
                let is_alive =
                    |process: &Process| processes::is_alive(process.id, &process.started);
                let (alive, dead): (Vec<Process>, Vec<Process>) =
                    found.into_iter().partition(is_alive);
                if alive.is_empty() {
                    before = dead.into_iter().next_back().map(|dead| dead.started);
                } else {
                    successors = alive;
                }
            }
        }
        self.note_ends(ended);
        successors
    }

    fn note_ends(&self, ended: &[Process]) -> Vec<Process> {
        if let Some(lock) = &*mutex::lock(&self.lock) {
            ended.iter().for_each(|process| lock.note_end(process.id));
        }
        Vec::new()
    }

    /// Blocks until the app's first process ends, and notes how long it ran. Others may be busy for
    /// a while before they ask, and then an app that ended at once would count as one that ran.
    pub(crate) fn note_first_end(&self) {
        if processes::wait_for_child(self.process()) {
            self.first_ran.get_or_init(|| self.started.elapsed());
        }
    }

    /// Blocks until the app ends, without using the processor. Other threads may query and end it
    /// meanwhile.
    pub(crate) fn wait(&self) -> ExitStatus {
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            if self.first_ended().is_some() {
                processes::wait_for_any(&self.processes(), MAX_WAIT_FOR_SUCCESSORS);
                continue;
            }
            if !processes::wait_for_child(self.process()) {
                std::thread::sleep(POLL_INTERVAL);
            }
        }
    }

    /// Ends the app with all that it has started, whatever it is doing: first with a signal where
    /// the system has one for this, then by force after `limit`. Unsaved work is lost, so this is
    /// for an app without a window that hangs, and for a person's explicit command. Other programs
    /// with a window stay.
    ///
    /// # Errors
    /// If a process of it lives on after another `limit`.
    pub(crate) fn stop(
        &self,
        limit: Duration,
        windows: &WindowOwners,
    ) -> std::io::Result<ExitStatus> {
        self.note_asked();
        if cfg!(unix) {
            self.order_to_end(false, windows);
        }
        // Windows has no such signal, so a wait is useless.
        let forced_from = Instant::now() + if cfg!(unix) { limit } else { Duration::ZERO };
        loop {
            if let Some(status) = self.ended() {
                return Ok(status);
            }
            if Instant::now() >= forced_from + limit {
                return Err(std::io::Error::other(format!(
                    "these processes do not end: {:?}",
                    self.processes()
                )));
            }
            if Instant::now() >= forced_from {
                self.order_to_end(true, windows);
                std::thread::sleep(PAUSE_BETWEEN_ORDERS);
            }
            std::thread::sleep(POLL_INTERVAL_WHILE_ENDING);
        }
    }

    /// Sends the app, with all that it has started, the signal that programs get when the computer
    /// shuts down, which they may answer as they like; does nothing on Windows.
    pub(crate) fn ask_politely(&self) {
        self.note_asked();
        if cfg!(unix) {
            self.order_to_end(false, &WindowOwners::default());
        }
    }

    /// Asks the app's processes and those below them to end, each of them once; or ends them by
    /// force.
    fn order_to_end(&self, by_force: bool, windows: &WindowOwners) {
        let tree = ending::to_end(self.roots(), windows, mutex::lock(&self.lock).as_ref());
        // They are noted before the first signal: none may count as gone while it lives.
        let before = {
            let mut ordered = mutex::lock(&self.ordered);
            let before = ordered.clone();
            ordered.extend_from_slice(&tree);
            before
        };
        let (first, is_new) = (self.first(), |process: &Process| {
            before.iter().all(|ordered| !ordered.is_same(process))
        });
        for process in tree.iter().filter(|process| by_force || is_new(process)) {
            if process.is_same(&first) {
                self.signal_child(by_force);
            } else if processes::is_alive(process.id, &process.started) {
                processes::end(process.id, by_force);
            }
        }
    }

    /// The living processes that run the app, and those that live on after an order to end. On
    /// Windows a process still counts as the child of one that has ended.
    fn roots(&self) -> Vec<Process> {
        let mut roots = vec![self.first()];
        if let After::Successors(successors) = &*self.after() {
            roots.extend_from_slice(successors);
        }
        roots.retain(|root| cfg!(windows) || processes::is_alive(root.id, &root.started));
        roots.extend(self.survivors());
        roots
    }

    /// A child that has ended and was not reaped retains its id, and reaping needs the lock: so this
    /// never reaches another process.
    fn signal_child(&self, by_force: bool) {
        let mut child = self.child();
        if matches!(child.try_wait(), Ok(None)) {
            processes::end(child.id(), by_force);
        }
    }
}

/// The last report of the last start of `id` since `since`, even if another launcher started it.
pub(crate) fn last_words_of_app(
    home: &Home,
    id: &ContainerId,
    since: jiff::Timestamp,
) -> Option<HealthReport> {
    HealthFile::last(&lock::records(home, id), since)?.health_report()
}

/// What a shell would report for `status`: the exit code, which has four bytes on Windows, or 128
/// and the signal's number.
pub(crate) fn exit_code(status: ExitStatus) -> u32 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return (128 + signal).cast_unsigned();
    }
    status.code().map_or(1, i32::cast_unsigned)
}

#[cfg(test)]
mod tests;
