//! The incremental update, by patch packs and single entries: it fetches what changed, and takes
//! everything else from installed versions.
//!
//! ```text
//! packs ── each: download, apply ──┐
//! installed versions ──────────────┴─ contents by digest ── missing? fetch its entry ── tree
//! ```
//!
//! Nothing here is trusted until the end: what packs make counts only if its digests make up the
//! signed manifest, and every file that goes into the tree is hashed against that manifest. A
//! damaged or missing base is fetched again by itself, out of its own release's package, and the
//! pack goes on. A pack that cannot be fetched or applied, and a file with wrong content, cost only
//! the files that they concern, which are then fetched whole. The number of such attempts is
//! bounded.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::counts::Counts;
use super::packs::Chain;
use super::tree::{self, TreeOutcome};
use super::{StepEnd, UpdateJob, blocking, cancelled, stop_flag};
use crate::fetch::{self, FetchEvent};
use crate::messages::problem;
use crate::messages::protocol::{Event, Problem, ProblemKind, Progress};
use crate::model::plan::UpdateStrategy;
use crate::model::{Digest, Manifest, RelativePath};
use crate::store::contents::Contents;
use crate::store::lock::HomeLock;
use crate::store::staging::Staging;
use crate::update::applying::ApplyTarget;
use crate::update::entries::{self, Arrived, EntrySource};
use crate::update::planner;

/// Most times that a tree is put together. From the second on, contents that turned out to be wrong
/// are fetched.
const ROUNDS: usize = 3;

/// The outcome of fetching single files.
enum Filled {
    Complete,
    Stopped,
    /// Single files cost too much, or cannot be fetched: the whole package follows.
    TooMuch,
}

impl UpdateJob {
    /// Fetches what changed, puts the release together and registers it.
    pub(super) async fn incremental(
        &mut self,
        staging: &Staging,
        lock: HomeLock,
    ) -> Result<StepEnd, Problem> {
        let home = self.environment.home.clone();
        let stop = stop_flag(self.control.clone());
        let stopping = Arc::clone(&stop);
        let found = blocking(move || Contents::of_unless_stopped(&home, &stopping)).await?;
        let Some(contents) = found else { return Ok(StepEnd::Stopped) };
        let made = staging.fresh_made().map_err(|error| problem::of_store(&error))?;
        let mut counts = Counts::default();
        let (mut contents, reached) =
            match self.fetch_chain(staging, &made, contents, &stop, &mut counts).await? {
                Chain::Applied(contents, reached) => (contents, reached),
                Chain::Stopped => return Ok(StepEnd::Stopped),
            };
        let Some(target) = self.target(staging, reached, &contents, &mut counts).await? else {
            return Ok(StepEnd::Stopped);
        };
        for round in 0..ROUNDS {
            let filled = self
                .fill_from_entries(staging, &made, round, &target, &mut contents, &mut counts)
                .await?;
            match filled {
                Filled::Complete => {}
                Filled::Stopped => return Ok(StepEnd::Stopped),
                Filled::TooMuch => return self.full(staging, lock, &counts).await,
            }
            match self.build(staging, &target, contents, &stop, &counts).await? {
                TreeOutcome::Complete(unpacker) => {
                    let staging = staging.clone();
                    blocking(move || register(*unpacker, &target, staging, &lock)).await??;
                    return Ok(StepEnd::Complete);
                }
                TreeOutcome::Stopped => return Ok(StepEnd::Stopped),
                TreeOutcome::Lacking(rest, files) => {
                    // Files made here have been hashed: so installed files are damaged.
                    counts.repaired_bases += files;
                    contents = rest;
                }
            }
        }
        let chain = vec!["what installed versions hold changes while it is read".to_owned()];
        Err(Problem {
            kind: ProblemKind::DiskError,
            subject: self.offer.signed.target.clone(),
            chain,
        })
    }

    /// The documents of the wanted release, by the packs that lead to it or from a node. Files that
    /// the packs did not make are counted. `None` if somebody cancelled.
    async fn target(
        &self,
        staging: &Staging,
        reached: Option<ApplyTarget>,
        contents: &Contents,
        counts: &mut Counts,
    ) -> Result<Option<ApplyTarget>, Problem> {
        let wanted = self.offer.signed.release.manifest.hash;
        // Packs to an intermediate release have done their work when they have led there.
        let (intermediate, planned) = match self.offer.plan.strategy {
            UpdateStrategy::PatchesAndEntries => (reached.is_some(), self.offer.plan.files.fetched),
            _ => (false, 0),
        };
        let reached = reached.filter(|target: &ApplyTarget| Digest::of(&target.json) == wanted);
        let by_packs = intermediate || reached.is_some();
        let target = match reached {
            Some(target) => target,
            None => {
                let library = self.library(staging);
                let package_documents = tokio::select! {
                    package_documents = library.describe(&self.offer.signed) => package_documents?,
                    () = cancelled(self.control.clone()) => return Ok(None),
                };
                ApplyTarget { manifest: package_documents.manifest, json: package_documents.json }
            }
        };
        if !self.offer.plan.patches.is_empty() {
            let absent = absent_from(&target.manifest, contents).len() as u64;
            let absent = absent.saturating_sub(planned);
            // Where all packs did their work, files to be cloned are damaged.
            if by_packs {
                counts.repaired_bases += absent;
            } else {
                counts.fallen_back = counts.fallen_back.max(absent);
            }
        }
        Ok(Some(target))
    }

    /// Fetches the files whose content is nowhere on this disk, file by file: in the first round
    /// from peers, then from nodes.
    async fn fill_from_entries(
        &self,
        staging: &Staging,
        made: &Path,
        round: usize,
        target: &ApplyTarget,
        contents: &mut Contents,
        counts: &mut Counts,
    ) -> Result<Filled, Problem> {
        let manifest = &target.manifest;
        let mut absent = absent_from(manifest, contents);
        if round == 0 && !absent.is_empty() {
            let from_peers = made.join("nearby");
            let taken = self.take_from_peers(manifest, &absent, &from_peers, contents, counts);
            if let StepEnd::Stopped = taken.await? {
                return Ok(Filled::Stopped);
            }
            absent = absent_from(manifest, contents);
        }
        if absent.is_empty() {
            return Ok(Filled::Complete);
        }
        if self.is_too_much(staging, &absent).await? {
            tracing::warn!(
                files = absent.len(),
                "too much is missing for single entries: the whole package is fetched"
            );
            return Ok(Filled::TooMuch);
        }
        let folder = made.join(format!("entries-{round}"));
        match self.fetch_entries(staging, &absent, &folder, contents, counts).await {
            Ok(StepEnd::Complete) => Ok(Filled::Complete),
            Ok(StepEnd::Stopped) => Ok(Filled::Stopped),
            // For example where nodes send whole files only.
            Err(problem) if problem.kind == ProblemKind::NodesUnusable && self.may_be_full() => {
                tracing::warn!(
                    ?problem,
                    "single entries are not to be had: the whole package is fetched"
                );
                Ok(Filled::TooMuch)
            }
            Err(problem) => Err(problem),
        }
    }

    /// Puts the release together out of the contents on this disk.
    async fn build(
        &self,
        staging: &Staging,
        target: &ApplyTarget,
        contents: Contents,
        stop: &Arc<AtomicBool>,
        counts: &Counts,
    ) -> Result<TreeOutcome, Problem> {
        self.bytes_arrived();
        let tree = staging.fresh_tree().map_err(|error| problem::of_store(&error))?;
        let (manifest, progress) =
            (Arc::clone(&target.manifest), self.steps(&target.manifest, counts));
        let stopping = Arc::clone(stop);
        counts.files.store(0, Ordering::Relaxed);
        blocking(move || tree::build(&manifest, &tree, contents, &stopping, &progress)).await?
    }

    /// Shows a download's bytes on top of the earlier ones, and the faults of nodes.
    pub(super) fn take_bytes(&self, event: FetchEvent, counts: &Counts) {
        match event {
            FetchEvent::Piece(_) => {}
            FetchEvent::Progress(fetch::Progress { done, total, speed, seconds_left, nodes }) => {
                let known = self.offer.plan.bytes.max(counts.fetched + total);
                let seconds_left = seconds_left.filter(|_| speed >= 1.0).map(|_| {
                    let left = known.saturating_sub(counts.fetched + done);
                    (left as f64 / speed).ceil() as u64
                });
                self.progress(Progress {
                    done: counts.fetched + done,
                    total: known,
                    speed,
                    seconds_left,
                    files_done: 0,
                    files_total: self.offer.signed.release.file_count,
                    fallen_back: counts.fallen_back,
                    repaired_bases: counts.repaired_bases,
                    nodes,
                });
            }
            FetchEvent::Fault(fault) => self.emitter.emit(Event::NodeFault(fault)),
        }
    }

    /// Fetches entries, and shows their bytes on top of the earlier ones and of `ahead` bytes that
    /// have arrived for them already.
    pub(super) async fn fetch_from(
        &self,
        source: &EntrySource<'_>,
        ahead: u64,
        absent: &[RelativePath],
        folder: &Path,
        counts: &mut Counts,
    ) -> Result<Option<Vec<entries::Placed>>, Problem> {
        counts.fetched += ahead;
        let mut on_arrival = |arrived| match arrived {
            Arrived::Event(event) => self.take_bytes(event, counts),
            Arrived::Bytes(count) => {
                counts.fetched += count;
                self.progress(Progress {
                    total: self.offer.plan.bytes.max(counts.fetched),
                    ..self.so_far(counts)
                });
            }
        };
        entries::fetch(&self.sources(), source, absent, folder, &mut on_arrival).await
    }

    /// Fetches the entries of `absent` into `folder`, verified, and records them in `contents`.
    async fn fetch_entries(
        &self,
        staging: &Staging,
        absent: &[RelativePath],
        folder: &Path,
        contents: &mut Contents,
        counts: &mut Counts,
    ) -> Result<StepEnd, Problem> {
        let package_documents = self.library(staging).describe(&self.offer.signed).await?;
        let (signed, partial) = (&self.offer.signed, staging.package());
        let source = EntrySource {
            signed,
            manifest: &package_documents.manifest,
            index: &package_documents.index,
            partial,
            tolerant: true,
        };
        let Some(placed) = self.fetch_from(&source, 0, absent, folder, counts).await? else {
            return Ok(StepEnd::Stopped);
        };
        placed.into_iter().for_each(|(digest, path)| contents.insert(digest, path));
        Ok(StepEnd::Complete)
    }

    pub(super) fn so_far(&self, counts: &Counts) -> Progress {
        Progress {
            done: counts.fetched,
            total: self.offer.plan.bytes,
            files_total: self.offer.signed.release.file_count,
            fallen_back: counts.fallen_back,
            repaired_bases: counts.repaired_bases,
            ..Progress::default()
        }
    }

    /// Whether fetching these files one by one would cost more than the allowed share of the
    /// package.
    async fn is_too_much(
        &self,
        staging: &Staging,
        absent: &[RelativePath],
    ) -> Result<bool, Problem> {
        let package_documents = self.library(staging).describe(&self.offer.signed).await?;
        let spans = planner::spans(&package_documents.index, absent.iter());
        let bytes: u64 = spans.iter().map(|span| span.end - span.start).sum();
        let threshold = self.environment.settings.fallback.fallback_threshold;
        Ok(self.may_be_full() && bytes as f64 > threshold * self.offer.signed.length as f64)
    }

    /// Whether the settings allow the whole package as a last resort.
    fn may_be_full(&self) -> bool {
        self.environment.settings.fallback.enable_full_update
    }

    /// A function that counts and shows the files of the tree.
    fn steps(&self, manifest: &Manifest, counts: &Counts) -> impl Fn() + Sync + Send + 'static {
        let (files, emitter) = (Arc::clone(&counts.files), self.emitter.clone());
        let base = Progress {
            total: counts.fetched.max(self.offer.plan.bytes),
            files_total: manifest.files_with_bytes().count() as u64,
            ..self.so_far(counts)
        };
        move || {
            let done = files.fetch_add(1, Ordering::Relaxed) + 1;
            if done.is_multiple_of(16) || done == base.files_total {
                emitter.emit(Event::Progress(Progress { files_done: done, ..base.clone() }));
            }
        }
    }
}

/// Registers the tree as a version in the store.
fn register(
    unpacker: crate::container::Unpacker,
    target: &ApplyTarget,
    staging: Staging,
    _lock: &HomeLock,
) -> Result<(), Problem> {
    unpacker.finish(&target.json).map_err(|error| problem::of_container(&error))?;
    let registered =
        staging.register(&target.manifest, Digest::of(&target.json), crate::host::now());
    registered.map(drop).map_err(|error| problem::of_store(&error))
}

/// Files of a release whose content is nowhere on this disk.
fn absent_from(manifest: &Manifest, contents: &Contents) -> Vec<RelativePath> {
    planner::missing(manifest, &|digest| contents.holds(digest))
}
