//! The full update: manifest and index first, then pieces from several nodes. Each entry is
//! unpacked as soon as its pieces have arrived.

use std::sync::Arc;

use super::counts::Counts;
use super::unpacking::Unpacking;
use super::{StepEnd, UpdateJob, blocking, cancelled};
use crate::container::Readiness;
use crate::fetch::{self, FetchEvent};
use crate::messages::problem;
use crate::messages::protocol::{Event, Problem, Progress};
use crate::model::Digest;
use crate::store::lock::HomeLock;
use crate::store::staging::Staging;
use crate::update::download_sources::DownloadOutcome;
use crate::update::package_documents::PackageDocuments;

impl UpdateJob {
    /// Fetches, unpacks and registers the whole package. The counts come from a cheaper strategy
    /// that was tried before.
    pub(super) async fn full(
        &mut self,
        staging: &Staging,
        lock: HomeLock,
        before: &Counts,
    ) -> Result<StepEnd, Problem> {
        let library = self.library(staging);
        let package_documents = tokio::select! {
            package_documents = library.describe(&self.offer.signed) => package_documents?,
            () = cancelled(self.control.clone()) => return Ok(StepEnd::Stopped),
        };
        let tree = staging.fresh_tree().map_err(|error| problem::of_store(&error))?;
        let unpacking = Unpacking::begin(&package_documents, &tree, &staging.package())?;
        let files_total = unpacking.total;
        // A download that was complete already sends no progress.
        let (done, total) = (self.offer.signed.length, self.offer.signed.length);
        let mut last = Progress { done, total, files_total, ..Progress::default() };
        if let StepEnd::Stopped =
            self.pieces(staging, &package_documents, &unpacking, (before, &mut last)).await?
        {
            return Ok(StepEnd::Stopped);
        }
        self.bytes_arrived();
        let (staging, tell) = (staging.clone(), self.files_written(last.at_rest()));
        blocking(move || finish(unpacking, &package_documents, staging, &lock, &tell)).await??;
        Ok(StepEnd::Complete)
    }

    /// Shows how many files are written, once all bytes have arrived. `last` is the download's last
    /// progress.
    fn files_written(&self, last: Progress) -> impl Fn(u64) + Send + 'static {
        let emitter = self.emitter.clone();
        move |files_done| emitter.emit(Event::Progress(Progress { files_done, ..last.clone() }))
    }

    async fn pieces(
        &self,
        staging: &Staging,
        package_documents: &PackageDocuments,
        unpacking: &Unpacking,
        (before, last): (&Counts, &mut Progress),
    ) -> Result<StepEnd, Problem> {
        let signed = &self.offer.signed;
        let pieces = Arc::new(package_documents.index.pieces.clone());
        let mut job = fetch::DownloadJob::new(
            signed.location(),
            signed.length,
            pieces,
            self.offer.nodes.clone(),
            staging.package(),
        );
        job.digest = Some(signed.hash);
        let mut readiness = Readiness::new(&package_documents.index);
        let mut take = |event| {
            if let Some(on_arrival) = self.take(event, &mut readiness, unpacking, before) {
                self.progress(on_arrival.clone());
                *last = on_arrival;
            }
            unpacking.failure()
        };
        match self.sources().download(job, &mut take).await? {
            DownloadOutcome::Complete => Ok(StepEnd::Complete),
            DownloadOutcome::Cancelled => Ok(StepEnd::Stopped),
            DownloadOutcome::Failed(error) => Err(problem::of_fetch(&error)),
        }
    }

    /// Passes on the download's events. It returns the progress, with the count of unpacked files,
    /// to the caller.
    fn take(
        &self,
        event: FetchEvent,
        readiness: &mut Readiness,
        unpacking: &Unpacking,
        before: &Counts,
    ) -> Option<Progress> {
        match event {
            FetchEvent::Piece(index) => unpacking.send(readiness.arrived(index)),
            FetchEvent::Progress(fetch::Progress { done, total, speed, seconds_left, nodes }) => {
                // Manifest and index are here already, and count as part of the offer's bytes.
                let documents = self.offer.signed.length.saturating_sub(total);
                let (done, total) = (done + documents, total + documents);
                let (files_done, files_total) = (unpacking.done(), unpacking.total);
                let Counts { fallen_back, repaired_bases, .. } = *before;
                return Some(Progress {
                    done,
                    total,
                    speed,
                    seconds_left,
                    files_done,
                    files_total,
                    fallen_back,
                    repaired_bases,
                    nodes,
                });
            }
            FetchEvent::Fault(fault) => {
                self.emitter.emit(Event::NodeFault(fault));
            }
        }
        None
    }
}

/// The work after the last byte: the last entries, links and empty files, durability, one rename.
pub(super) fn finish(
    unpacking: Unpacking,
    package_documents: &PackageDocuments,
    staging: Staging,
    _lock: &HomeLock,
    tell: &dyn Fn(u64),
) -> Result<(), Problem> {
    let unpacker = unpacking.join(tell)?;
    unpacker.finish(&package_documents.json).map_err(|error| problem::of_container(&error))?;
    let registered = staging.register(
        &package_documents.manifest,
        Digest::of(&package_documents.json),
        crate::host::now(),
    );
    registered.map(drop).map_err(|error| problem::of_store(&error))
}
