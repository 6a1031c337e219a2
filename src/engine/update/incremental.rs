//! Patches and single entries: what changed is fetched, all else is taken from installed versions.
//!
//! ```text
//! packs ── each: download, apply ──┐
//! installed versions ──────────────┴─ contents by digest ── missing? fetch its entry ── tree
//! ```
//!
//! Nothing here is trusted until the end: what packs make counts only if its digests make up the signed manifest, and whatever is put
//! into the tree is hashed against that. A pack that cannot be had or applied, a base that is damaged, a file that lies: each costs
//! only its own files, which are then fetched whole; and that is tried a bounded number of times.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::available_parallelism;

use super::tree::{self, Outcome};
use super::{Ended, Job, blocking, cancelled};
use crate::causes;
use crate::delta::pack::{self, ApplyOptions, Bases, FileBytes, Pack, PackError};
use crate::delta::plan;
use crate::engine::machine::Input;
use crate::engine::problem;
use crate::engine::protocol::{Event, Problem, ProblemKind, Progress};
use crate::fetch::{self, FetchError, FetchEvent};
use crate::model::{Digest, Manifest, RelativePath, SignedPatch};
use crate::store::contents::Contents;
use crate::store::lock::HomeLock;
use crate::store::staging::Staging;

/// Times that a tree is put together: in the second, everything that turned out to be no good is fetched.
const ROUNDS: usize = 3;

/// The release's manifest, proved, with its bytes.
struct Target {
    manifest: Arc<Manifest>,
    json: Arc<Vec<u8>>,
}

/// Counts that travel with each [`Progress`].
#[derive(Default)]
pub(super) struct Counts {
    /// Bytes that came over the network for parts that are finished.
    pub fetched: u64,
    /// Files that are made or taken over.
    pub files: Arc<AtomicU64>,
    /// Files for which a patch did not work out.
    pub fallen_back: u64,
}

impl Job {
    /// Fetches what changed, puts the release together and registers it.
    pub(super) async fn incremental(&mut self, staging: &Staging, lock: HomeLock) -> Result<Ended, Problem> {
        let home = self.context.home.clone();
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
            (contents, target) = self.apply_pack(staging, signed, contents, folder, &stop, &mut counts).await?;
            if stop.load(Ordering::Relaxed) {
                return Ok(Ended::Stopped);
            }
            if target.is_none() {
                break;
            }
        }
        let wanted = self.offer.signed.release.manifest.hash;
        let target = match target.filter(|target: &Target| Digest::of(&target.json) == wanted) {
            Some(target) => target,
            None => {
                let library = self.library(staging);
                let described = tokio::select! {
                    described = library.describe(&self.offer.signed) => described?,
                    () = cancelled(self.control.clone()) => return Ok(Ended::Stopped),
                };
                Target { manifest: described.manifest, json: described.json }
            }
        };
        if !self.offer.plan.patches.is_empty() {
            let absent = plan::missing(&target.manifest, &|digest| contents.holds(digest)).len() as u64;
            counts.fallen_back = counts.fallen_back.max(absent);
        }
        for round in 0..ROUNDS {
            let absent = plan::missing(&target.manifest, &|digest| contents.holds(digest));
            if !absent.is_empty() {
                if self.is_too_much(staging, &absent).await? {
                    tracing::warn!(files = absent.len(), "too much is missing for single entries: the whole package is fetched");
                    return self.full(staging, lock).await;
                }
                let folder = made.join(format!("entries-{round}"));
                match self.fetch_entries(staging, absent, &folder, &mut contents, &mut counts).await? {
                    Ended::Complete => {}
                    Ended::Stopped => return Ok(Ended::Stopped),
                }
            }
            let _ = self.inputs.send(Input::Fetched);
            let tree = staging.fresh_tree().map_err(|error| problem::of_store(&error))?;
            let (manifest, progress) = (Arc::clone(&target.manifest), self.steps(&target.manifest, &counts));
            let (given, stopping) = (contents, Arc::clone(&stop));
            counts.files.store(0, Ordering::Relaxed);
            let outcome = blocking(move || tree::build(&manifest, &tree, given, &stopping, &progress)).await??;
            match outcome {
                Outcome::Complete(unpacker) => {
                    let (target, staging) = (target, staging.clone());
                    blocking(move || finish(*unpacker, &target, staging, &lock)).await??;
                    return Ok(Ended::Complete);
                }
                Outcome::Stopped => return Ok(Ended::Stopped),
                Outcome::Lacking(rest, files) => {
                    counts.fallen_back += files;
                    contents = rest;
                }
            }
        }
        let chain = vec!["what installed versions hold changes while it is read".to_owned()];
        Err(Problem { kind: ProblemKind::DiskError, subject: self.offer.signed.target.clone(), chain })
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

    /// Downloads a pack, like a package: pieces from several nodes, resumed where it stopped. One that nobody has, or that came out
    /// wrong, is no reason to fail: applying it will tell.
    async fn fetch_pack(&self, staging: &Staging, signed: &SignedPatch, counts: &mut Counts) -> Result<Ended, Problem> {
        let file = staging.pack(&signed.target);
        let table = Arc::new(signed.piece_table());
        let mut job = fetch::Job::new(signed.location(), signed.length, table, self.offer.nodes.clone(), file);
        // The whole package is there as well: no need to wait for long.
        job.patience = std::time::Duration::from_secs(15);
        let mut take = |event| self.take_bytes(event, counts);
        match self.download(job, &mut take).await? {
            Ok(_) => {}
            Err(FetchError::Cancelled) => return Ok(Ended::Stopped),
            Err(error) if error.is_local() => return Err(problem::of_fetch(&error)),
            Err(error) => {
                tracing::warn!(
                    error = causes::line(&error),
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
    pub(super) fn take_bytes(&self, event: FetchEvent, counts: &Counts) -> Option<Problem> {
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
                    nodes,
                });
            }
            FetchEvent::Fault(fault) => self.emitter.emit(Event::NodeFault(fault)),
        }
        None
    }

    /// Applies a pack; what it makes goes into the contents. The release that it leads to if all of it worked out.
    async fn apply_pack(
        &self,
        staging: &Staging,
        signed: &SignedPatch,
        contents: Contents,
        folder: PathBuf,
        stop: &Arc<AtomicBool>,
        counts: &mut Counts,
    ) -> Result<(Contents, Option<Target>), Problem> {
        let (file, signed, stop) = (staging.pack(&signed.target), signed.clone(), Arc::clone(stop));
        let (files, emitter) = (Arc::clone(&counts.files), self.emitter.clone());
        let base = Progress {
            done: counts.fetched,
            total: self.offer.plan.bytes,
            files_total: self.offer.signed.release.file_count,
            fallen_back: counts.fallen_back,
            ..Progress::default()
        };
        let memory = self.context.settings.performance.max_memory_usage;
        let work = move || {
            let progress = |made: usize| {
                files.store(made as u64, Ordering::Relaxed);
                emitter.emit(Event::Progress(Progress { files_done: made as u64, ..base.clone() }));
            };
            let threads = available_parallelism().map_or(2, usize::from).min(MOST_CORES);
            let options = ApplyOptions { threads, memory, stop: &stop };
            apply(&file, &signed, contents, &folder, options, &progress)
        };
        let (contents, outcome) = blocking(work).await?;
        match outcome {
            Ok((target, lost)) => {
                counts.fallen_back += lost;
                Ok((contents, target))
            }
            Err(Failure::Local(problem)) => Err(problem),
            Err(Failure::Pack(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a patch pack is no good; going on without");
                Ok((contents, None))
            }
        }
    }

    /// Whether fetching these files one by one would cost more than the allowed share of the package.
    async fn is_too_much(&self, staging: &Staging, absent: &[RelativePath]) -> Result<bool, Problem> {
        let described = self.library(staging).describe(&self.offer.signed).await?;
        let spans = plan::spans(&described.index, absent.iter());
        let bytes: u64 = spans.iter().map(|span| span.end - span.start).sum();
        let fallback = &self.context.settings.fallback;
        let too_much = bytes as f64 > fallback.fallback_threshold * self.offer.signed.length as f64;
        Ok(too_much && fallback.enable_full_update)
    }

    /// A function that counts files of the tree.
    fn steps(&self, manifest: &Manifest, counts: &Counts) -> impl Fn() + Sync + Send + 'static {
        let (files, emitter) = (Arc::clone(&counts.files), self.emitter.clone());
        let base = Progress {
            done: counts.fetched,
            total: counts.fetched.max(self.offer.plan.bytes),
            files_total: manifest.files_with_bytes().count() as u64,
            fallen_back: counts.fallen_back,
            ..Progress::default()
        };
        move || {
            let done = files.fetch_add(1, Ordering::Relaxed) + 1;
            if done.is_multiple_of(16) || done == base.files_total {
                emitter.emit(Event::Progress(Progress { files_done: done, ..base.clone() }));
            }
        }
    }
}

/// Cores used at most while the user works.
pub(super) const MOST_CORES: usize = 4;

/// Why a pack was not applied.
enum Failure {
    /// It is the pack's fault, or its base's.
    Pack(PackError),
    /// It is this machine's: another way would not help.
    Local(Problem),
}

impl From<PackError> for Failure {
    fn from(error: PackError) -> Self {
        match &error {
            PackError::File { path, source, .. } => Self::Local(problem::of_disk(path, source)),
            _ => Self::Pack(error),
        }
    }
}

impl Bases for Contents {
    fn open(&self, _: &RelativePath, digest: &Digest) -> Option<File> {
        Contents::open(self, digest)
    }
}

/// The release that a pack leads to, if all of it worked out, and the number of files that did not.
type AppliedPack = (Option<Target>, u64);

fn apply(
    file: &Path,
    signed: &SignedPatch,
    mut contents: Contents,
    folder: &Path,
    options: ApplyOptions<'_>,
    progress: &(dyn Fn(usize) + Sync),
) -> (Contents, Result<AppliedPack, Failure>) {
    let Some(base) = contents.manifest(&signed.patch.base_manifest).cloned() else {
        return (contents, Err(PackError::OtherBase.into()));
    };
    let outcome = apply_to(&base, file, signed, &contents, folder, options, progress);
    let outcome = outcome.map(|Outcomes { made, bad_bases, target, lost }| {
        for digest in bad_bases {
            for place in contents.places(&digest).to_vec() {
                contents.forget(&digest, &place);
            }
        }
        for applied in made {
            contents.insert(applied.digest, applied.path);
        }
        if let Some(Target { manifest, json }) = &target {
            contents.insert_manifest(Digest::of(json), Manifest::clone(manifest));
        }
        (target, lost)
    });
    (contents, outcome)
}

struct Outcomes {
    made: Vec<pack::Applied>,
    bad_bases: BTreeSet<Digest>,
    target: Option<Target>,
    lost: u64,
}

fn apply_to(
    base: &Manifest,
    file: &Path,
    signed: &SignedPatch,
    contents: &Contents,
    folder: &Path,
    options: ApplyOptions<'_>,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Outcomes, Failure> {
    let local = |path: &Path| {
        let path = path.to_owned();
        move |error: std::io::Error| Failure::Local(problem::of_disk(&path, &error))
    };
    std::fs::create_dir_all(folder).map_err(local(folder))?;
    // A file that is not there was not fetched, and that was told.
    let bytes = File::open(file).and_then(FileBytes::new).map_err(|_| Failure::Pack(PackError::NoPack))?;
    let opened = Pack::open(&bytes, base)?;
    // What is written is bounded by what was signed, whatever the pack says of itself.
    let written = opened.outline.made().fold(0u64, |sum, (_, made)| sum.saturating_add(made.size));
    if written > signed.patch.written {
        return Err(Failure::Pack(PackError::Form("it makes more than its description says")));
    }
    let (made, failed) = pack::apply(&opened, &bytes, base, contents, folder, options, progress)?;
    let mut bad_bases = BTreeSet::new();
    for failed in &failed {
        tracing::warn!(
            error = failed as &dyn std::error::Error,
            pack = signed.target,
            "a part of a patch pack does not work out"
        );
        match failed {
            pack::Failed::WrongBase { path } => bad_bases.extend(base.file_manifest.get(path).map(|entry| entry.hash)),
            pack::Failed::File { path, source, .. } if is_full(source) => return Err(local(path)(clone_of(source))),
            _ => {}
        }
    }
    let lost = made.iter().filter(|made| made.is_none()).count() as u64;
    let made: Vec<pack::Applied> = made.into_iter().flatten().collect();
    let mut target = None;
    if lost == 0 {
        let digests: Vec<Digest> = made.iter().map(|applied| applied.digest).collect();
        match opened.manifest(base, &digests) {
            Ok((manifest, json)) if Digest::of(&json) == signed.patch.target_manifest => {
                target = Some(Target { manifest: Arc::new(manifest), json: Arc::new(json) });
            }
            // All is made, and something of it is wrong: the signed manifest will tell what.
            Ok(_) => tracing::warn!(pack = signed.target, "what a patch pack makes is not what was signed"),
            Err(error) => tracing::warn!(error = causes::line(&error), pack = signed.target, "a patch pack makes no manifest"),
        }
    }
    Ok(Outcomes { made, bad_bases, target, lost })
}

fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

/// The same error once more; the original goes to the log.
fn clone_of(error: &std::io::Error) -> std::io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), std::io::Error::from_raw_os_error)
}

fn finish(unpacker: crate::container::Unpacker, target: &Target, staging: Staging, _lock: &HomeLock) -> Result<(), Problem> {
    unpacker.finish(&target.json).map_err(|error| problem::of_container(&error))?;
    let registered = staging.register(&target.manifest, Digest::of(&target.json), crate::host::now());
    registered.map(drop).map_err(|error| problem::of_store(&error))
}
