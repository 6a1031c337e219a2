//! A bounded queue of patch jobs. Each job is a small JSON file, so a restart loses no job and does
//! none twice.
//!
//! In: pairs of versions, outcomes, the time. Out: the status of a job, and the next job for a
//! worker thread. Never: starts a thread, reads a clock, makes a pack.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp as Time};
use serde::{Deserialize, Serialize};

use super::id::PatchId;
use crate::durable;
use crate::error_chain;
use crate::file_error::{FileError, FileResult as _};
use crate::model::ContainerId;
use crate::mutex;

/// Most jobs that wait; the queue refuses more.
const MAX_QUEUED_JOBS: usize = 64;
/// How often a failed job is tried again.
const RETRIES: u32 = 3;
/// Time after which a finished job no longer counts, and its pair may be requested again.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(24);
/// Largest file that counts as a job, bytes.
const MAX_JOB_BYTES: u64 = 64 << 10;

/// The status of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    /// It waits.
    Queued,
    /// A thread works on it.
    Generating,
    /// Its pack is published.
    Completed,
    /// There will be no pack.
    Failed,
}

impl Status {
    /// Whether the job has reached its final status.
    fn has_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Failed)
    }
}

/// A job, as it is stored on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PatchJob {
    pub(super) patch_id: PatchId,
    pub(super) from: ContainerId,
    pub(super) to: ContainerId,
    pub(super) status: Status,
    /// How often a thread has begun it.
    pub(super) attempts: u32,
    /// When its status last changed.
    pub(super) updated: Time,
    /// Why it failed: for the operator, never sent to a client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

impl PatchJob {
    /// Whether its pair may be requested again.
    fn is_over(&self, now: Time) -> bool {
        // A pack that was made and is requested again has gone: it was old.
        let forgotten =
            self.status == Status::Completed || now.duration_since(self.updated) >= REMEMBERED;
        self.status.has_ended() && forgotten
    }

    fn pair(&self) -> Pair {
        (self.from.clone(), self.to.clone())
    }
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobOutcome {
    /// The pack is published.
    Completed,
    /// The pack is not worth having; another try would change nothing.
    Refused(String),
    /// An error that may not occur another time.
    Failed(String),
}

/// Why the queue refuses a pair.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QueueError {
    /// The queue is full.
    #[error("{MAX_QUEUED_JOBS} patches wait to be made; ask again later")]
    Full,
    /// A job's file cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// The jobs of one folder.
#[derive(Debug)]
pub(super) struct Queue {
    folder: PathBuf,
    state: Mutex<QueueState>,
    changed: Condvar,
}

/// The two releases. An id alone is not enough: it does not name the app, and a repository may have
/// several apps with the same versions.
type Pair = (ContainerId, ContainerId);

#[derive(Debug, Default)]
struct QueueState {
    jobs: BTreeMap<Pair, PatchJob>,
    waiting: VecDeque<Pair>,
    stopped: bool,
}

impl Queue {
    /// Opens a folder. Interrupted jobs wait again. A file that is no job is logged and left alone.
    ///
    /// # Errors
    /// If the folder cannot be read or a job's file not be written.
    pub(super) fn open(folder: &Path, now: Time) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut jobs = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            if name.starts_with(durable::TEMPORARY_PREFIX) {
                // A temporary file of another server or of a killed one; writing a job takes
                // milliseconds.
                continue;
            }
            match read(&path) {
                Some(job) if name == file_name(&job) => jobs.push(job),
                _ => {
                    tracing::warn!(path = %path.display(), "not a job of this server; it is left alone")
                }
            }
        }
        jobs.sort_by(|a, b| a.updated.cmp(&b.updated).then_with(|| a.pair().cmp(&b.pair())));
        let queue =
            Self { folder: folder.to_owned(), state: Mutex::default(), changed: Condvar::new() };
        let mut state = queue.state();
        for mut job in jobs {
            if job.status.has_ended() && now.duration_since(job.updated) >= REMEMBERED {
                fs::remove_file(queue.path(&job))?;
                continue;
            }
            if job.status == Status::Generating {
                // A job that crashes its server each time must not be begun for ever.
                let spent = job.attempts > RETRIES;
                job.status = if spent { Status::Failed } else { Status::Queued };
                job.error =
                    spent.then(|| "the server ended each time while it was being made".to_owned());
                job.updated = now;
                queue.write(&job).map_err(io::Error::other)?;
            }
            if job.status == Status::Queued {
                state.waiting.push_back(job.pair());
            }
            state.jobs.insert(job.pair(), job);
        }
        drop(state);
        Ok(queue)
    }

    /// The status of a pair's job; `None` if there is none, or if it is over.
    pub(super) fn status(&self, from: &ContainerId, to: &ContainerId, now: Time) -> Option<Status> {
        let state = self.state();
        let job = state.jobs.get(&(from.clone(), to.clone()))?;
        (!job.is_over(now)).then_some(job.status)
    }

    /// Requests the pack of a pair and returns the job's status; a pair that is requested twice is
    /// one job.
    pub(super) fn ask(
        &self,
        from: &ContainerId,
        to: &ContainerId,
        now: Time,
    ) -> Result<Status, QueueError> {
        let patch_id = PatchId {
            from: from.version.clone(),
            to: to.version.clone(),
            platform: to.platform.clone(),
        };
        let pair = (from.clone(), to.clone());
        let mut state = self.state();
        if let Some(job) = state.jobs.get(&pair)
            && !job.is_over(now)
        {
            return Ok(job.status);
        }
        if state.waiting.len() >= MAX_QUEUED_JOBS {
            return Err(QueueError::Full);
        }
        let (from, to) = pair.clone();
        let job = PatchJob {
            patch_id,
            from,
            to,
            status: Status::Queued,
            attempts: 0,
            updated: now,
            error: None,
        };
        self.write(&job)?;
        state.jobs.insert(pair.clone(), job);
        state.waiting.push_back(pair);
        self.changed.notify_one();
        Ok(Status::Queued)
    }

    /// The jobs with this id: one, or one for each of several apps.
    pub(super) fn jobs(&self, id: &PatchId) -> Vec<PatchJob> {
        self.state().jobs.values().filter(|job| job.patch_id == *id).cloned().collect()
    }

    /// Waits for a job and begins it; `None` when the queue is stopped.
    pub(super) fn take(&self, now: impl Fn() -> Time) -> Option<PatchJob> {
        let mut state = self.state();
        loop {
            if state.stopped {
                return None;
            }
            let next = state.waiting.pop_front();
            if let Some(job) = next.and_then(|pair| state.jobs.get_mut(&pair)) {
                job.status = Status::Generating;
                job.attempts += 1;
                job.updated = now();
                let job = job.clone();
                // If the beginning of a job cannot be written down, it is done all the same; after
                // a restart it is done again.
                self.try_to_write(&job);
                return Some(job);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Records how an attempt ended. A failed job waits behind the others for its next try.
    pub(super) fn end(&self, ended: &PatchJob, outcome: JobOutcome, now: Time) {
        let mut state = self.state();
        let Some(job) = state.jobs.get_mut(&ended.pair()) else { return };
        let retry = matches!(outcome, JobOutcome::Failed(_)) && job.attempts <= RETRIES;
        (job.status, job.error) = match outcome {
            JobOutcome::Completed => (Status::Completed, None),
            JobOutcome::Failed(reason) if retry => (Status::Queued, Some(reason)),
            JobOutcome::Failed(reason) | JobOutcome::Refused(reason) => {
                (Status::Failed, Some(reason))
            }
        };
        job.updated = now;
        let job = job.clone();
        self.try_to_write(&job);
        if retry {
            state.waiting.push_back(job.pair());
            self.changed.notify_one();
        }
    }

    /// Wakes all waiting threads so that they end. A running job ends by itself, or the next server
    /// begins it again.
    pub(super) fn stop(&self) {
        self.state().stopped = true;
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, QueueState> {
        mutex::lock(&self.state)
    }

    fn path(&self, job: &PatchJob) -> PathBuf {
        self.folder.join(file_name(job))
    }

    fn write(&self, job: &PatchJob) -> Result<(), QueueError> {
        let path = self.path(job);
        let written = serde_json::to_vec_pretty(job)
            .map_err(io::Error::other)
            .and_then(|json| durable::replace(&path, &json));
        Ok(written.at("write", &path)?)
    }

    fn try_to_write(&self, job: &PatchJob) {
        if let Err(error) = self.write(job) {
            tracing::error!(job = %job.patch_id, error = error_chain::line(&error), "a job's state is not on disk");
        }
    }
}

/// The name of the pack's own file, without the digest.
fn file_name(job: &PatchJob) -> String {
    format!("{}.from-{}.json", job.to, job.from.version)
}

fn read(path: &Path) -> Option<PatchJob> {
    use std::io::Read as _;
    let mut json = Vec::new();
    fs::File::open(path).ok()?.take(MAX_JOB_BYTES).read_to_end(&mut json).ok()?;
    let job: PatchJob = serde_json::from_slice(&json).ok()?;
    let PatchId { from, to, platform } = &job.patch_id;
    let (old, new) = (&job.from, &job.to);
    let fits = (&old.version, &old.platform) == (from, platform)
        && (&new.version, &new.platform) == (to, platform);
    (fits && old.app == new.app).then_some(job)
}

#[cfg(test)]
mod tests;
