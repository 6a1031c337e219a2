//! Packs that were asked for: a bounded queue of jobs, each a small JSON file, so that a restart loses none and does none twice.
//!
//! In: pairs, outcomes, the time. Out: states, and the next pair for whoever works. Never: a thread, a clock, a pack.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp as Time};
use serde::{Deserialize, Serialize};

use super::id::PatchId;
use crate::durable;
use crate::model::ContainerId;

/// Jobs that wait at most; more are turned away.
const LONGEST_QUEUE: usize = 64;
/// How often a job that failed is tried again.
const RETRIES: u32 = 3;
/// After this long a job that ended is forgotten, and its pair may be asked for again.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(24);
/// Largest file that is taken for a job, bytes.
const LARGEST_JOB: u64 = 64 << 10;

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    /// It waits.
    Queued,
    /// Somebody works on it.
    Generating,
    /// Its pack is published.
    Completed,
    /// There will be no pack.
    Failed,
}

impl Status {
    /// Whether nothing more will happen.
    fn has_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Failed)
    }
}

/// A job, as it lies on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PatchJob {
    pub(super) patch_id: PatchId,
    pub(super) from: ContainerId,
    pub(super) to: ContainerId,
    pub(super) status: Status,
    /// How often it was begun.
    pub(super) attempts: u32,
    /// When its status last changed.
    pub(super) updated: Time,
    /// Why it failed: for the operator, never for a client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

impl PatchJob {
    /// Whether its pair may be asked for anew.
    fn is_over(&self, now: Time) -> bool {
        // A pack that was made and is asked for again is gone: it was old.
        let forgotten = self.status == Status::Completed || now.duration_since(self.updated) >= REMEMBERED;
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
    /// It is not worth having; trying again would change nothing.
    Refused(String),
    /// Something went wrong that may go right another time.
    Failed(String),
}

/// Why a pair was not taken.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// As many wait already as may.
    #[error("{LONGEST_QUEUE} patches wait to be made; ask again later")]
    Full,
    /// A job's file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The jobs of one folder.
#[derive(Debug)]
pub(super) struct Queue {
    folder: PathBuf,
    state: Mutex<QueueState>,
    changed: Condvar,
}

/// The two releases. An id alone would not do: it does not say which app, and a repository may have several with the same versions.
type Pair = (ContainerId, ContainerId);

#[derive(Debug, Default)]
struct QueueState {
    jobs: BTreeMap<Pair, PatchJob>,
    waiting: VecDeque<Pair>,
    stopped: bool,
}

impl Queue {
    /// Opens a folder. What was being worked on waits again; a file that is no job is told and left alone.
    ///
    /// # Errors
    /// If the folder cannot be read or a job's file not be written.
    pub(super) fn open(folder: &Path, now: Time) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut jobs = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if name.starts_with(durable::TEMPORARY_PREFIX) {
                // Another server's, or a killed one's; a job is written in an instant.
                continue;
            }
            match read(&path) {
                Some(job) if name == file_name(&job) => jobs.push(job),
                _ => tracing::warn!(path = %path.display(), "not a job of this server; it is left alone"),
            }
        }
        jobs.sort_by(|a, b| a.updated.cmp(&b.updated).then_with(|| a.pair().cmp(&b.pair())));
        let queue = Self { folder: folder.to_owned(), state: Mutex::default(), changed: Condvar::new() };
        let mut state = queue.state();
        for mut job in jobs {
            if job.status.has_ended() && now.duration_since(job.updated) >= REMEMBERED {
                fs::remove_file(queue.path(&job))?;
                continue;
            }
            if job.status == Status::Generating {
                // A job that ends its server each time must not be begun for ever.
                let spent = job.attempts > RETRIES;
                job.status = if spent { Status::Failed } else { Status::Queued };
                job.error = spent.then(|| "the server ended each time while it was being made".to_owned());
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

    /// Where the job of a pair is; `None` if there is none, or one that is over.
    pub(super) fn status(&self, from: &ContainerId, to: &ContainerId, now: Time) -> Option<Status> {
        let state = self.state();
        let job = state.jobs.get(&(from.clone(), to.clone()))?;
        (!job.is_over(now)).then_some(job.status)
    }

    /// Asks for the pack of a pair; the same pair twice is one job. Gives where it is.
    pub(super) fn ask(&self, from: &ContainerId, to: &ContainerId, now: Time) -> Result<Status, QueueError> {
        let patch_id = PatchId { from: from.version.clone(), to: to.version.clone(), platform: to.platform.clone() };
        let pair = (from.clone(), to.clone());
        let mut state = self.state();
        if let Some(job) = state.jobs.get(&pair)
            && !job.is_over(now)
        {
            return Ok(job.status);
        }
        if state.waiting.len() >= LONGEST_QUEUE {
            return Err(QueueError::Full);
        }
        let (from, to) = pair.clone();
        let job = PatchJob { patch_id, from, to, status: Status::Queued, attempts: 0, updated: now, error: None };
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
                // Work whose beginning cannot be written down is done all the same; after a restart it is done again.
                self.try_to_write(&job);
                return Some(job);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Writes down how an attempt ended. A failure is tried again behind the others that wait.
    pub(super) fn end(&self, ended: &PatchJob, outcome: JobOutcome, now: Time) {
        let mut state = self.state();
        let Some(job) = state.jobs.get_mut(&ended.pair()) else { return };
        let retry = matches!(outcome, JobOutcome::Failed(_)) && job.attempts <= RETRIES;
        (job.status, job.error) = match outcome {
            JobOutcome::Completed => (Status::Completed, None),
            JobOutcome::Failed(reason) if retry => (Status::Queued, Some(reason)),
            JobOutcome::Failed(reason) | JobOutcome::Refused(reason) => (Status::Failed, Some(reason)),
        };
        job.updated = now;
        let job = job.clone();
        self.try_to_write(&job);
        if retry {
            state.waiting.push_back(job.pair());
            self.changed.notify_one();
        }
    }

    /// Lets everybody who waits go home. Running work ends by itself, or is begun again by the next server.
    pub(super) fn stop(&self) {
        self.state().stopped = true;
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, job: &PatchJob) -> PathBuf {
        self.folder.join(file_name(job))
    }

    fn write(&self, job: &PatchJob) -> Result<(), QueueError> {
        let path = self.path(job);
        let written = serde_json::to_vec_pretty(job).map_err(io::Error::other).and_then(|json| durable::replace(&path, &json));
        written.map_err(|source| QueueError::Write { path, source })
    }

    fn try_to_write(&self, job: &PatchJob) {
        if let Err(error) = self.write(job) {
            tracing::error!(job = %job.patch_id, cause = crate::error_chain::line(&error), "a job's state is not on disk");
        }
    }
}

/// As the pack's own file is called, but for the digest.
fn file_name(job: &PatchJob) -> String {
    format!("{}.from-{}.json", job.to, job.from.version)
}

fn read(path: &Path) -> Option<PatchJob> {
    use std::io::Read as _;
    let mut json = Vec::new();
    fs::File::open(path).ok()?.take(LARGEST_JOB).read_to_end(&mut json).ok()?;
    let job: PatchJob = serde_json::from_slice(&json).ok()?;
    let PatchId { from, to, platform } = &job.patch_id;
    let (old, new) = (&job.from, &job.to);
    let fits = (&old.version, &old.platform) == (from, platform) && (&new.version, &new.platform) == (to, platform);
    (fits && old.app == new.app).then_some(job)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(version: &str) -> ContainerId {
        format!("sample_{version}_Linux_x86_64").parse().unwrap()
    }

    fn start() -> Time {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn later(hours: i64) -> Time {
        start() + SignedDuration::from_hours(hours)
    }

    fn id(from: &str, to: &str) -> PatchId {
        format!("{from}_{to}_Linux_x86_64").parse().unwrap()
    }

    fn ask(queue: &Queue, from: &str, to: &str, hours: i64) -> Status {
        queue.ask(&container(from), &container(to), later(hours)).unwrap()
    }

    fn open(folder: &tempfile::TempDir, hours: i64) -> Queue {
        Queue::open(folder.path(), later(hours)).unwrap()
    }

    /// The job with this id, of which there is one.
    fn only(queue: &Queue, id: &PatchId) -> PatchJob {
        let mut jobs = queue.jobs(id);
        assert_eq!(jobs.len(), 1);
        jobs.remove(0)
    }

    fn files(folder: &tempfile::TempDir) -> usize {
        fs::read_dir(folder.path()).unwrap().count()
    }

    #[test]
    fn the_same_pair_twice_is_one_job() {
        let folder = tempfile::tempdir().unwrap();
        let queue = open(&folder, 0);
        assert_eq!(ask(&queue, "1.0.0", "1.1.0", 0), Status::Queued);
        assert_eq!(ask(&queue, "1.0.0", "1.1.0", 0), Status::Queued);
        assert_eq!(ask(&queue, "1.1.0", "1.0.0", 0), Status::Queued, "the way back is another one");
        assert_eq!(files(&folder), 2);
        let job = queue.take(start).unwrap();
        assert_eq!((job.patch_id.clone(), job.status), (id("1.0.0", "1.1.0"), Status::Generating));
        assert_eq!(ask(&queue, "1.0.0", "1.1.0", 0), Status::Generating);
        queue.end(&job, JobOutcome::Completed, start());
        assert_eq!(only(&queue, &job.patch_id).status, Status::Completed);
        assert_eq!(queue.take(start).unwrap().patch_id, id("1.1.0", "1.0.0"));
        assert_eq!(ask(&queue, "1.0.0", "1.1.0", 1), Status::Queued, "asked for again, it must be gone");
        queue.stop();
        assert_eq!(queue.take(start), None);
    }

    #[test]
    fn a_restart_in_the_middle_loses_nothing_and_ends() {
        let folder = tempfile::tempdir().unwrap();
        let queue = open(&folder, 0);
        ask(&queue, "1.0.0", "1.1.0", 0);
        ask(&queue, "1.0.0", "1.2.0", 1);
        let job = queue.take(|| later(2)).unwrap();
        drop(queue);
        for attempt in 2..=4 {
            let queue = open(&folder, 3);
            assert_eq!(only(&queue, &job.patch_id).status, Status::Queued);
            let jobs = [queue.take(|| later(3)).unwrap(), queue.take(|| later(3)).unwrap()];
            let again = jobs.iter().find(|again| again.patch_id == job.patch_id).unwrap();
            assert_eq!(again.attempts, attempt);
            let other = jobs.iter().find(|other| other.patch_id != job.patch_id).unwrap();
            if attempt == 2 {
                assert_eq!(jobs[0].patch_id, other.patch_id, "what waited longest comes first");
            }
            // The other one was done; as if asked for again for the next round.
            queue.end(other, JobOutcome::Completed, later(3));
            assert_eq!(ask(&queue, "1.0.0", "1.2.0", 3), Status::Queued);
        }
        let queue = open(&folder, 4);
        let spent = only(&queue, &job.patch_id);
        assert_eq!((spent.status, spent.attempts), (Status::Failed, 4), "it is not begun for ever");
        assert_eq!(ask(&queue, "1.0.0", "1.1.0", 5), Status::Failed);
    }

    #[test]
    fn a_failing_maker_is_given_three_more_chances_and_a_day() {
        let folder = tempfile::tempdir().unwrap();
        let queue = open(&folder, 0);
        ask(&queue, "1.0.0", "1.1.0", 0);
        for attempt in 1..=4 {
            let job = queue.take(start).unwrap();
            assert_eq!(job.attempts, attempt);
            queue.end(&job, JobOutcome::Failed("no luck".to_owned()), start());
        }
        let id = id("1.0.0", "1.1.0");
        let job = only(&queue, &id);
        assert_eq!((job.status, job.error.as_deref()), (Status::Failed, Some("no luck")));
        assert_eq!(ask(&queue, "1.0.0", "1.1.0", 23), Status::Failed);
        assert_eq!(ask(&queue, "1.0.0", "1.1.0", 24), Status::Queued);
        let job = queue.take(start).unwrap();
        queue.end(&job, JobOutcome::Refused("too large".to_owned()), start());
        assert_eq!(only(&queue, &id).status, Status::Failed, "no second try of what cannot be better");
        assert_eq!(only(&open(&folder, 23), &id).status, Status::Failed);
        assert_eq!(open(&folder, 24).jobs(&id), []);
        assert_eq!(files(&folder), 0);
    }

    #[test]
    fn the_queue_has_an_end_and_foreign_files_do_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in [("x.json", "{"), ("sample_1.1.0_Linux_x86_64.from-1.0.0.json", "{}"), ("notes.txt", "mine")] {
            fs::write(folder.path().join(name), content).unwrap();
        }
        let queue = open(&folder, 0);
        for number in 0..LONGEST_QUEUE {
            ask(&queue, "1.0.0", &format!("2.{number}.0"), 0);
        }
        let more = queue.ask(&container("1.0.0"), &container("3.0.0"), start());
        assert!(matches!(more, Err(QueueError::Full)), "{more:?}");
        assert_eq!(ask(&queue, "1.0.0", "2.0.0", 0), Status::Queued, "those that wait are known");
        // A job whose file says another pair than its name.
        let other = fs::read(folder.path().join("sample_2.0.0_Linux_x86_64.from-1.0.0.json")).unwrap();
        fs::write(folder.path().join("sample_9.0.0_Linux_x86_64.from-1.0.0.json"), other).unwrap();
        let again = open(&folder, 0);
        assert_eq!(again.jobs(&id("1.0.0", "9.0.0")), []);
        assert_eq!(fs::read_to_string(folder.path().join("notes.txt")).unwrap(), "mine");
    }

    #[test]
    fn the_same_versions_of_two_apps_are_two_jobs() {
        let folder = tempfile::tempdir().unwrap();
        let queue = open(&folder, 0);
        let other = |version: &str| -> ContainerId { format!("other_{version}_Linux_x86_64").parse().unwrap() };
        ask(&queue, "1.0.0", "1.1.0", 0);
        let first = queue.take(start).unwrap();
        queue.end(&first, JobOutcome::Refused("too large".to_owned()), start());
        assert_eq!(
            queue.ask(&other("1.0.0"), &other("1.1.0"), start()).unwrap(),
            Status::Queued,
            "it is not the one that failed"
        );
        let second = queue.take(start).unwrap();
        assert_eq!((second.patch_id.clone(), second.to.app.as_str()), (first.patch_id.clone(), "other"));
        queue.end(&second, JobOutcome::Completed, start());
        let stated: Vec<Status> = queue.jobs(&first.patch_id).iter().map(|job| job.status).collect();
        assert_eq!(stated, [Status::Completed, Status::Failed], "in the apps' order");
        assert_eq!(files(&folder), 2);
        assert_eq!(open(&folder, 1).jobs(&first.patch_id).len(), 2);
    }
}
