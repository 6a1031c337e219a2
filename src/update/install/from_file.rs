//! Reads the package out of a bundle, in place, piece by piece. Each piece is verified before an
//! entry in it is unpacked.
//!
//! The bundle may have changed since its release was offered. So this module opens it again and
//! verifies every byte against the signed release.

use std::path::Path;
use std::time::Duration;

use super::full::finish;
use super::unpacking::Unpacking;
use super::{StepEnd, UpdateJob, blocking};
use crate::container::Readiness;
use crate::fetch::RunState;
use crate::messages::problem;
use crate::messages::protocol::{Event, Problem, ProblemKind, Progress};
use crate::model::Digest;
use crate::model::release::SignedRelease;
use crate::store::lock::HomeLock;
use crate::store::staging::Staging;
use crate::trust::Bundle;
use crate::update::package_documents::{self, PackageDocuments};

/// Interval between two checks whether a pause has ended.
const WHILE_PAUSED: Duration = Duration::from_millis(50);

impl UpdateJob {
    /// Unpacks and registers the package in the bundle at `file`.
    pub(super) async fn take_file(
        &self,
        file: &Path,
        staging: &Staging,
        lock: HomeLock,
    ) -> Result<StepEnd, Problem> {
        let (file, signed, staging) = (file.to_owned(), self.offer.signed.clone(), staging.clone());
        let (emitter, control) = (self.emitter.clone(), self.control.clone());
        blocking(move || {
            let bundle = Bundle::open(&file).map_err(|error| problem::of_bundle(&error))?;
            let source = FileSource::find(&bundle, &signed)?;
            let package_documents = source.describe()?;
            let tree = staging.fresh_tree().map_err(|error| problem::of_store(&error))?;
            let unpacking =
                Unpacking::begin(&package_documents.moved_by(source.start), &tree, &file)?;
            let steer = || control.borrow().state;
            let files_total = unpacking.total;
            let progress = |done, files_done| {
                let total = package_documents.index.pieces.length;
                emitter.emit(Event::Progress(Progress {
                    done,
                    total,
                    files_done,
                    files_total,
                    ..Progress::default()
                }));
            };
            if let StepEnd::Stopped =
                source.pieces(&package_documents, &unpacking, &steer, &progress)?
            {
                return Ok(StepEnd::Stopped);
            }
            let length = package_documents.index.pieces.length;
            finish(unpacking, &package_documents, staging, &lock, &|files_done| {
                progress(length, files_done)
            })?;
            Ok(StepEnd::Complete)
        })
        .await?
    }
}

/// A signed package in a bundle.
struct FileSource<'a> {
    bundle: &'a Bundle,
    signed: &'a SignedRelease,
    /// Where the package begins in the bundle.
    start: u64,
}

impl<'a> FileSource<'a> {
    fn find(bundle: &'a Bundle, signed: &'a SignedRelease) -> Result<Self, Problem> {
        let place = bundle
            .place(&signed.location())
            .filter(|place| place.end - place.start == signed.length);
        let missing = || {
            let chain = vec![format!("it does not hold {} any more", signed.target)];
            Problem {
                kind: ProblemKind::BundleDamaged,
                subject: bundle.path().display().to_string(),
                chain,
            }
        };
        Ok(Self { bundle, signed, start: place.ok_or_else(missing)?.start })
    }

    fn read(&self, span: std::ops::Range<u64>) -> Result<Vec<u8>, Problem> {
        // Both were checked: the package lies inside the bundle, and the span inside the package.
        let span = self.start + span.start..self.start + span.end;
        self.bundle.read(&span).map_err(|error| problem::of_bundle(&error))
    }

    fn untrue(&self, what: String) -> Problem {
        Problem {
            kind: ProblemKind::BundleNotTrusted,
            subject: self.bundle.path().display().to_string(),
            chain: vec![what],
        }
    }

    fn describe(&self) -> Result<PackageDocuments, Problem> {
        let packed = self.read(package_documents::span(self.signed))?;
        let documents = package_documents::documents(self.signed, &packed)
            .map_err(|error| self.untrue(error.to_string()))?;
        PackageDocuments::new(self.signed, documents)
    }

    /// Verifies piece after piece, and passes on the entries that are complete.
    fn pieces(
        &self,
        package_documents: &PackageDocuments,
        unpacking: &Unpacking,
        steer: &dyn Fn() -> RunState,
        progress: &dyn Fn(u64, u64),
    ) -> Result<StepEnd, Problem> {
        let table = &package_documents.index.pieces;
        let mut readiness = Readiness::new(&package_documents.index);
        for (piece, expected) in (0u32..).zip(&table.hashes) {
            while steer() == RunState::Pause {
                std::thread::sleep(WHILE_PAUSED);
            }
            if steer() == RunState::Cancel {
                return Ok(StepEnd::Stopped);
            }
            let span = table.span(piece);
            if Digest::of(&self.read(span.clone())?) != *expected {
                return Err(self.untrue(format!(
                    "piece {piece} of {} is not what was signed",
                    self.signed.target
                )));
            }
            unpacking.send(readiness.arrived(piece));
            if let Some(problem) = unpacking.failure() {
                return Err(problem);
            }
            progress(span.end, unpacking.done());
        }
        Ok(StepEnd::Complete)
    }
}
