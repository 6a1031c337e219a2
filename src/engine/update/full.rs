//! The whole package: manifest and index first, then pieces from several nodes, each entry unpacked as soon as its pieces are there.

use std::sync::Arc;

use super::incremental::Counts;
use super::unpacking::Unpacking;
use super::{Ended, Job, blocking, cancelled};
use crate::container::Readiness;
use crate::engine::described::Described;
use crate::engine::machine::Input;
use crate::engine::problem;
use crate::engine::protocol::{Event, Problem, Progress};
use crate::fetch::{self, FetchError, FetchEvent};
use crate::model::Digest;
use crate::store::lock::HomeLock;
use crate::store::staging::Staging;

impl Job {
    /// Fetches, unpacks and registers the whole package; with what is told of a smaller way that was tried before.
    pub(super) async fn full(&mut self, staging: &Staging, lock: HomeLock, before: &Counts) -> Result<Ended, Problem> {
        let library = self.library(staging);
        let described = tokio::select! {
            described = library.describe(&self.offer.signed) => described?,
            () = cancelled(self.control.clone()) => return Ok(Ended::Stopped),
        };
        let tree = staging.fresh_tree().map_err(|error| problem::of_store(&error))?;
        let unpacking = Unpacking::begin(&described, &tree, &staging.package())?;
        if let Ended::Stopped = self.pieces(staging, &described, &unpacking, before).await? {
            return Ok(Ended::Stopped);
        }
        let _ = self.inputs.send(Input::Fetched);
        let staging = staging.clone();
        blocking(move || finish(unpacking, &described, staging, &lock)).await??;
        Ok(Ended::Complete)
    }

    async fn pieces(
        &self,
        staging: &Staging,
        described: &Described,
        unpacking: &Unpacking,
        before: &Counts,
    ) -> Result<Ended, Problem> {
        let signed = &self.offer.signed;
        let pieces = Arc::new(described.index.pieces.clone());
        let mut job = fetch::Job::new(signed.location(), signed.length, pieces, self.offer.nodes.clone(), staging.package());
        job.digest = Some(signed.hash);
        let mut readiness = Readiness::new(&described.index);
        let mut take = |event| {
            self.take(event, &mut readiness, unpacking, before);
            unpacking.failure()
        };
        match self.line().download(job, &mut take).await? {
            Ok(_) => Ok(Ended::Complete),
            Err(FetchError::Cancelled) => Ok(Ended::Stopped),
            Err(error) => Err(problem::of_fetch(&error)),
        }
    }

    fn take(&self, event: FetchEvent, readiness: &mut Readiness, unpacking: &Unpacking, before: &Counts) {
        match event {
            FetchEvent::Piece(index) => unpacking.send(readiness.arrived(index)),
            FetchEvent::Progress(fetch::Progress { done, total, speed, seconds_left, nodes }) => {
                // Manifest and index are here already, and belong to what was offered.
                let documents = self.offer.signed.length.saturating_sub(total);
                let (done, total) = (done + documents, total + documents);
                let (files_done, files_total) = (unpacking.done(), unpacking.total);
                let Counts { fallen_back, mended, .. } = *before;
                let told = Progress { done, total, speed, seconds_left, files_done, files_total, fallen_back, mended, nodes };
                self.progress(told);
            }
            FetchEvent::Fault(fault) => {
                self.emitter.emit(Event::NodeFault(fault));
            }
        }
    }
}

/// What comes after the last byte: the last entries, links and empty files, durability, one rename.
pub(super) fn finish(unpacking: Unpacking, described: &Described, staging: Staging, _lock: &HomeLock) -> Result<(), Problem> {
    let unpacker = unpacking.join()?;
    unpacker.finish(&described.json).map_err(|error| problem::of_container(&error))?;
    let registered = staging.register(&described.manifest, Digest::of(&described.json), crate::host::now());
    registered.map(drop).map_err(|error| problem::of_store(&error))
}
