//! Patches and single entries: what changed is fetched, all else is taken from installed versions.
//!
//! ```text
//! packs ── each: download, apply ──┐
//! installed versions ──────────────┴─ contents by digest ── missing? fetch its entry ── tree
//! ```
//!
//! Nothing here is trusted until the end: what packs make counts only if its digests make up the
//! signed manifest, and whatever is put into the tree is hashed against that. A base that is
//! damaged or gone is fetched again by itself, out of its own release's package, and the pack goes
//! on; a pack that cannot be had or applied, a file that lies: each costs only its own files, which
//! are then fetched whole; and all of that is tried a bounded number of times.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::available_parallelism;

use super::tree::{self, TreeOutcome};
use super::{Ended, UpdateJob, blocking, cancelled};
use crate::error_chain;
use crate::fetch::{self, FetchError, FetchEvent};
use crate::messages::language::MachineInput;
use crate::messages::problem;
use crate::messages::protocol::{Event, Problem, ProblemKind, Progress};
use crate::model::plan::UpdateStrategy;
use crate::model::{Digest, Manifest, RelativePath, SignedPatch};
use crate::pack::ApplyOptions;
use crate::store::contents::Contents;
use crate::store::lock::HomeLock;
use crate::store::staging::Staging;
use crate::update::applying::{Application, ApplyFailure, ApplyTarget, MOST_CORES};
use crate::update::entries::{self, Arrived, ENTRY_TIMEOUT, EntrySource};
use crate::update::package_documents::{self, Library};
use crate::update::{planner, repair};

/// Times that a tree is put together: in the second, everything that turned out to be no good is
/// fetched.
const ROUNDS: usize = 3;

/// Counts that travel with each [`Progress`].
#[derive(Default)]
pub(super) struct Counts {
    /// Bytes that came over the network for parts that are finished.
    pub fetched: u64,
    /// Files that are made or taken over.
    pub files: Arc<AtomicU64>,
    /// Files for which a patch did not work out.
    pub fallen_back: u64,
    /// Installed files that were damaged, whose content was fetched again.
    pub mended: u64,
}

impl UpdateJob {
    /// Fetches what changed, puts the release together and registers it.
    pub(super) async fn incremental(
        &mut self,
        staging: &Staging,
        lock: HomeLock,
    ) -> Result<Ended, Problem> {
        let home = self.environment.home.clone();
        let mut contents = blocking(move || Contents::of(&home)).await?;
        let made = staging.fresh_made().map_err(|error| problem::of_store(&error))?;
        let stop = self.stop_flag();
        let mut counts = Counts::default();
        let mut target = None;
        for (number, signed) in self.offer.plan.patches.clone().iter().enumerate() {
            if let Ended::Stopped = self.fetch_pack(staging, signed, &mut counts).await? {
                return Ok(Ended::Stopped);
            }
            let folder = made.join(number.to_string());
            (contents, target) =
                self.apply_pack(staging, signed, contents, folder, &stop, &mut counts).await?;
            if stop.load(Ordering::Relaxed) {
                return Ok(Ended::Stopped);
            }
            if target.is_none() {
                break;
            }
        }
        let wanted = self.offer.signed.release.manifest.hash;
        // Packs that only lead to a release on the way have done their work when they have led
        // there.
        let (intermediate, planned) = match self.offer.plan.strategy {
            UpdateStrategy::PatchesAndEntries => (target.is_some(), self.offer.plan.files.fetched),
            _ => (false, 0),
        };
        let target = target.filter(|target: &ApplyTarget| Digest::of(&target.json) == wanted);
        let by_packs = intermediate || target.is_some();
        let target = match target {
            Some(target) => target,
            None => {
                let library = self.library(staging);
                let package_documents = tokio::select! {
                    package_documents = library.describe(&self.offer.signed) => package_documents?,
                    () = cancelled(self.control.clone()) => return Ok(Ended::Stopped),
                };
                ApplyTarget { manifest: package_documents.manifest, json: package_documents.json }
            }
        };
        if !self.offer.plan.patches.is_empty() {
            let absent =
                planner::missing(&target.manifest, &|digest| contents.holds(digest)).len() as u64;
            let absent = absent.saturating_sub(planned);
            // Where all packs did their work, it is files to be taken over that are damaged.
            if by_packs {
                counts.mended += absent;
            } else {
                counts.fallen_back = counts.fallen_back.max(absent);
            }
        }
        for round in 0..ROUNDS {
            let mut absent = planner::missing(&target.manifest, &|digest| contents.holds(digest));
            if round == 0 && !absent.is_empty() {
                let from_peers = made.join("nearby");
                let taken = self.take_from_peers(
                    &target.manifest,
                    &absent,
                    &from_peers,
                    &mut contents,
                    &mut counts,
                );
                if let Ended::Stopped = taken.await? {
                    return Ok(Ended::Stopped);
                }
                absent = planner::missing(&target.manifest, &|digest| contents.holds(digest));
            }
            if !absent.is_empty() {
                if self.is_too_much(staging, &absent).await? {
                    tracing::warn!(
                        files = absent.len(),
                        "too much is missing for single entries: the whole package is fetched"
                    );
                    return self.full(staging, lock, &counts).await;
                }
                let folder = made.join(format!("entries-{round}"));
                match self
                    .fetch_entries(staging, &absent, &folder, &mut contents, &mut counts)
                    .await
                {
                    Ok(Ended::Complete) => {}
                    Ok(Ended::Stopped) => return Ok(Ended::Stopped),
                    // Nodes that send whole files only, for example.
                    Err(problem)
                        if problem.kind == ProblemKind::NodesUnusable && self.may_be_full() =>
                    {
                        tracing::warn!(
                            ?problem,
                            "single entries are not to be had: the whole package is fetched"
                        );
                        return self.full(staging, lock, &counts).await;
                    }
                    Err(problem) => return Err(problem),
                }
            }
            let _ = self.inputs.send(MachineInput::Fetched);
            let tree = staging.fresh_tree().map_err(|error| problem::of_store(&error))?;
            let (manifest, progress) =
                (Arc::clone(&target.manifest), self.steps(&target.manifest, &counts));
            let (given, stopping) = (contents, Arc::clone(&stop));
            counts.files.store(0, Ordering::Relaxed);
            let outcome =
                blocking(move || tree::build(&manifest, &tree, given, &stopping, &progress))
                    .await??;
            match outcome {
                TreeOutcome::Complete(unpacker) => {
                    let (target, staging) = (target, staging.clone());
                    blocking(move || finish(*unpacker, &target, staging, &lock)).await??;
                    return Ok(Ended::Complete);
                }
                TreeOutcome::Stopped => return Ok(Ended::Stopped),
                TreeOutcome::Lacking(rest, files) => {
                    // Whatever was made here has been hashed: it is installed files that are not
                    // what they seemed.
                    counts.mended += files;
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

    /// Set when somebody cancels.
    fn stop_flag(&self) -> Arc<AtomicBool> {
        let stop = Arc::new(AtomicBool::new(false));
        let (flag, control) = (Arc::clone(&stop), self.control.clone());
        tokio::spawn(async move {
            cancelled(control).await;
            flag.store(true, Ordering::Relaxed);
        });
        stop
    }

    /// Downloads a pack, like a package: pieces from several nodes, resumed where it stopped. One
    /// that nobody has, or that came out wrong, is no reason to fail: applying it will tell.
    async fn fetch_pack(
        &self,
        staging: &Staging,
        signed: &SignedPatch,
        counts: &mut Counts,
    ) -> Result<Ended, Problem> {
        let file = staging.pack(&signed.target);
        let table = Arc::new(signed.piece_table());
        let mut job = fetch::DownloadJob::new(
            signed.location(),
            signed.length,
            table,
            self.offer.nodes.clone(),
            file,
        );
        // The whole package is there as well: no need to wait for long.
        job.timeout = ENTRY_TIMEOUT;
        job.digest = Some(signed.hash);
        let mut take = |event| {
            self.take_bytes(event, counts);
            None
        };
        match self.line().download(job, &mut take).await? {
            Ok(_) => {}
            Err(FetchError::Cancelled) => return Ok(Ended::Stopped),
            Err(error) if error.is_local() => return Err(problem::of_fetch(&error)),
            Err(error) => {
                tracing::warn!(
                    error = error_chain::line(&error),
                    pack = signed.target,
                    "a patch pack cannot be had; going on without"
                );
                return Ok(Ended::Complete);
            }
        }
        counts.fetched += signed.length;
        Ok(Ended::Complete)
    }

    /// Tells of bytes on top of what came before; faults of nodes.
    fn take_bytes(&self, event: FetchEvent, counts: &Counts) {
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
                    mended: counts.mended,
                    nodes,
                });
            }
            FetchEvent::Fault(fault) => self.emitter.emit(Event::NodeFault(fault)),
        }
    }

    /// Applies a pack; what it makes goes into the contents. The release that it leads to if all of
    /// it worked out. Where a base is damaged the rest of the pack waits until that was mended,
    /// once.
    async fn apply_pack(
        &self,
        staging: &Staging,
        signed: &SignedPatch,
        mut contents: Contents,
        folder: PathBuf,
        stop: &Arc<AtomicBool>,
        counts: &mut Counts,
    ) -> Result<(Contents, Option<ApplyTarget>), Problem> {
        let Some(base) = contents.manifest(&signed.patch.base_manifest).cloned() else {
            tracing::warn!(
                pack = signed.target,
                "the release that a patch pack starts from is not there; going on without"
            );
            return Ok((contents, None));
        };
        let (file, to, opening) = (staging.pack(&signed.target), folder.clone(), signed.clone());
        let mut opened =
            blocking(move || Application::open(&file, opening, Arc::new(base), to)).await?;
        for last in [false, true] {
            let mut application = match opened {
                Ok(application) => application,
                Err(ApplyFailure::Local(problem)) => return Err(problem),
                Err(ApplyFailure::Pack(error)) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "a patch pack is no good; going on without"
                    );
                    return Ok((contents, None));
                }
            };
            let (stop, progress) = (Arc::clone(stop), self.made_so_far(counts));
            let memory = self.environment.settings.performance.max_memory_usage;
            (contents, opened) = blocking(move || {
                let threads = available_parallelism().map_or(2, usize::from).min(MOST_CORES);
                let options = ApplyOptions { threads, memory, stop: &stop };
                let outcome = application.run(&mut contents, options, &progress);
                (contents, outcome.map(|()| application))
            })
            .await?;
            if let Ok(application) = &opened
                && (last
                    || !application.waits()
                    || !self
                        .mend(staging, signed, application, &folder, &mut contents, counts)
                        .await?)
            {
                counts.fallen_back += application.lost();
                let target = application.target();
                if let Some(ApplyTarget { manifest, json }) = &target {
                    contents.insert_manifest(Digest::of(json), Manifest::clone(manifest));
                }
                return Ok((contents, target));
            }
        }
        Ok((contents, None))
    }

    /// Fetches the damaged and missing bases of a pack out of their own release's package, if that
    /// is to be had and not dearer than the files themselves. Whether all are there now. The
    /// installed version stays as it is.
    async fn mend(
        &self,
        staging: &Staging,
        signed: &SignedPatch,
        application: &Application,
        folder: &Path,
        contents: &mut Contents,
        counts: &mut Counts,
    ) -> Result<bool, Problem> {
        let lacking = application.lacking();
        if lacking.is_empty() {
            return Ok(true);
        }
        let (bases, files) = application.at_stake();
        let documents = package_documents::span(&self.offer.signed);
        if bases > files.saturating_add(documents.end - documents.start) {
            tracing::info!(bases, files, "what is damaged is larger than what is made from it");
            return Ok(false);
        }
        let (environment, manifest) = (Arc::clone(&self.environment), signed.patch.base_manifest);
        let Some(release) =
            blocking(move || package_documents::listed(&environment, &manifest)).await?
        else {
            tracing::info!(release = %signed.patch.from, "a base is damaged, and its release is no longer published");
            return Ok(false);
        };
        let library = Library {
            client: &self.client,
            nodes: &self.offer.nodes,
            cache: &self.documents,
            peers: &self.peers,
            staging: None,
            emitter: None,
        };
        let fetched = async {
            let base = application.base();
            let index = library.index(&release, base, false).await?;
            let partial = staging.pack(&format!("{}.bases", signed.target));
            let source = EntrySource {
                signed: &release,
                manifest: base,
                index: &index,
                partial,
                tolerant: false,
            };
            let packed = release.release.index.packed_size;
            self.fetch_from(&source, packed, &lacking, &folder.join("bases"), counts).await
        };
        let fetched = tokio::select! {
            fetched = fetched => fetched,
            () = cancelled(self.control.clone()) => Ok(None),
        };
        match fetched {
            Ok(Some(placed)) => {
                tracing::info!(release = %signed.patch.from, ?lacking, "damaged files are mended for a patch pack");
                counts.mended += lacking.len() as u64;
                placed.into_iter().for_each(|(digest, path)| contents.insert(digest, path));
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(problem) if repair::is_local(&problem) => Err(problem),
            Err(problem) => {
                tracing::warn!(
                    ?problem,
                    "a damaged base cannot be had again; what is made from it is fetched whole"
                );
                Ok(false)
            }
        }
    }

    /// Fetches entries, with their bytes told on top of what came before and `ahead` bytes that
    /// came for them already.
    async fn fetch_from(
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
        entries::fetch(&self.line(), source, absent, folder, &mut on_arrival).await
    }

    /// Fetches the entries of `absent` into `folder`, proved, and notes them in `contents`.
    async fn fetch_entries(
        &self,
        staging: &Staging,
        absent: &[RelativePath],
        folder: &Path,
        contents: &mut Contents,
        counts: &mut Counts,
    ) -> Result<Ended, Problem> {
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
            return Ok(Ended::Stopped);
        };
        placed.into_iter().for_each(|(digest, path)| contents.insert(digest, path));
        Ok(Ended::Complete)
    }

    /// Progress as the counts tell it.
    pub(super) fn so_far(&self, counts: &Counts) -> Progress {
        Progress {
            done: counts.fetched,
            total: self.offer.plan.bytes,
            files_total: self.offer.signed.release.file_count,
            fallen_back: counts.fallen_back,
            mended: counts.mended,
            ..Progress::default()
        }
    }

    /// A function that tells how many files packs have made.
    fn made_so_far(&self, counts: &Counts) -> impl Fn(usize) + Sync + Send + 'static {
        let (files, emitter, base) =
            (Arc::clone(&counts.files), self.emitter.clone(), self.so_far(counts));
        move |made| {
            files.store(made as u64, Ordering::Relaxed);
            emitter.emit(Event::Progress(Progress { files_done: made as u64, ..base.clone() }));
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

    /// Whether the settings allow the whole package as a way out.
    fn may_be_full(&self) -> bool {
        self.environment.settings.fallback.enable_full_update
    }

    /// A function that counts files of the tree.
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

fn finish(
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
