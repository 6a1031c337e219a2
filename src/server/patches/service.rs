//! Threads that work through the queue. Making a pack may take minutes; it runs beside the
//! requests, never inside one.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::allowance::{Askers, Denied};
use super::id::PatchId;
use super::queue::{JobOutcome, PatchJob, Queue, QueueError, Status};
use crate::error_chain;
use crate::file_error::FileError;
use crate::host;
use crate::model::ContainerId;
use crate::publish::{Keyring, Making as Made, PackMaker, Project};
use crate::server::error::ServerError;

/// How long a pack waits for a publisher who works in the folder.
const PUBLISHER_LOCK_TIMEOUT: Duration = Duration::from_secs(60);

/// Makes patch packs.
pub trait Maker: Send + Sync {
    /// Makes and publishes the pack of a pair. May take minutes; a panic counts as a failure.
    fn make(&self, from: &ContainerId, to: &ContainerId) -> JobOutcome;
}

/// How a server makes packs.
#[derive(Clone)]
pub struct Making {
    /// The folder where jobs are stored.
    pub jobs: PathBuf,
    /// How many packs are made at the same time.
    pub workers: usize,
    /// The implementation that makes them.
    pub maker: Arc<dyn Maker>,
}

impl fmt::Debug for Making {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Making")
            .field("jobs", &self.jobs)
            .field("workers", &self.workers)
            .finish_non_exhaustive()
    }
}

/// Makes packs in a publisher's folder, signed with its online keys.
pub(crate) struct ProjectMaker {
    folder: PathBuf,
    keyring: Keyring,
    threads: usize,
}

impl ProjectMaker {
    /// A maker for the publisher's folder `folder` that uses `threads` cores for each pack.
    pub(crate) fn new(folder: PathBuf, keyring: Keyring, threads: usize) -> Self {
        Self { folder, keyring, threads }
    }

    fn try_to_make(
        &self,
        from: &ContainerId,
        to: &ContainerId,
    ) -> Result<JobOutcome, crate::publish::pack_making::PackMakingError> {
        // Opens the project each time, so that its present settings count.
        let project = Project::open(&self.folder)?;
        let (from, to) = (project.source(from)?, project.source(to)?);
        let mut maker = PackMaker::new(&project, self.threads);
        Ok(match maker.make(&from, &to, host::now(), &|_| ())? {
            Made::Known(_) => JobOutcome::Completed,
            Made::Refused(reason) => JobOutcome::Refused(reason.to_string()),
            Made::Made(pack) => {
                project.publish_packs(&[pack], &self.keyring, PUBLISHER_LOCK_TIMEOUT)?;
                JobOutcome::Completed
            }
        })
    }
}

impl Maker for ProjectMaker {
    fn make(&self, from: &ContainerId, to: &ContainerId) -> JobOutcome {
        self.try_to_make(from, to)
            .unwrap_or_else(|error| JobOutcome::Failed(error_chain::line(&error)))
    }
}

/// The queue with its threads.
#[derive(Debug)]
pub(in crate::server) struct Service {
    queue: Arc<Queue>,
    /// How many packs each address has requested lately.
    pub(super) askers: Askers,
}

impl Service {
    /// Opens the queue and starts the threads.
    pub(in crate::server) fn start(making: &Making) -> Result<Self, ServerError> {
        let failed = |error| ServerError::Jobs(FileError::new("keep jobs in", &making.jobs, error));
        let queue = Arc::new(Queue::open(&making.jobs, host::now()).map_err(failed)?);
        for number in 0..making.workers.max(1) {
            let (queue, maker) = (queue.clone(), making.maker.clone());
            let thread = std::thread::Builder::new().name(format!("patches-{number}"));
            #[allow(clippy::disallowed_methods)] // a refused thread is an error here as well
            thread.spawn(move || work(&queue, &*maker)).map_err(failed)?;
        }
        Ok(Self { queue, askers: Askers::default() })
    }

    /// Requests a pack and returns its job's status. A pack that nobody has requested yet is made
    /// only if the limits allow it.
    pub(super) fn ask(
        &self,
        from: &ContainerId,
        to: &ContainerId,
        allowed: impl FnOnce() -> Result<(), Denied>,
    ) -> Result<Option<Status>, QueueError> {
        let now = host::now();
        if let Some(status) = self.queue.status(from, to, now) {
            return Ok(Some(status));
        }
        if let Err(denied) = allowed() {
            tracing::debug!(from = %from.version, %to, "no pack is made: {denied}");
            return Ok(None);
        }
        self.queue.ask(from, to, now).map(Some)
    }

    /// The jobs with this id: one, or one for each of several apps.
    pub(super) fn jobs(&self, id: &PatchId) -> Vec<PatchJob> {
        self.queue.jobs(id)
    }
}

impl Drop for Service {
    /// The threads end after their present pack, or with the process; then the next start begins
    /// the pack again.
    fn drop(&mut self) {
        self.queue.stop();
    }
}

fn work(queue: &Queue, maker: &dyn Maker) {
    while let Some(job) = queue.take(host::now) {
        let id = &job.patch_id;
        tracing::info!(%id, attempt = job.attempts, "making a patch");
        let outcome = catch_unwind(AssertUnwindSafe(|| maker.make(&job.from, &job.to)))
            .unwrap_or_else(|_| {
                JobOutcome::Failed("it panicked; standard error says where".to_owned())
            });
        match &outcome {
            JobOutcome::Completed => tracing::info!(%id, "a patch is published"),
            JobOutcome::Refused(reason) => {
                tracing::info!(%id, reason, "there will be no such patch")
            }
            JobOutcome::Failed(reason) => tracing::error!(%id, reason, "a patch could not be made"),
        }
        queue.end(&job, outcome, host::now());
    }
}
