//! Fetches and applies the patch packs of an incremental update, one after the other.
//!
//! ```text
//! a pack ── download ── apply ── a base is damaged? fetch it from its release's package, once
//! ```
//!
//! In: packs that signed metadata names, the content of installed versions. Out: contents by
//! digest, and the release that the packs lead to. Never: ends the update because a pack is
//! unusable; what the pack would have made is fetched by another strategy.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::counts::Counts;
use super::{StepEnd, UpdateJob, blocking, cancelled};
use crate::error_chain;
use crate::fetch;
use crate::messages::problem;
use crate::messages::protocol::{Event, Problem, Progress};
use crate::model::release::SignedRelease;
use crate::model::{Digest, Manifest, SignedPatch};
use crate::pack::ApplyOptions;
use crate::store::contents::Contents;
use crate::store::staging::Staging;
use crate::update::applying::{self, Application, ApplyFailure, ApplyTarget};
use crate::update::download_sources::DownloadOutcome;
use crate::update::entries::{ENTRY_TIMEOUT, EntrySource, Placed};
use crate::update::package_documents::{self, Library};
use crate::update::{check, repair};

/// The outcome of a plan's packs.
pub(super) enum Chain {
    /// The contents on this disk now, and the release that the last pack leads to, if each pack has
    /// done all its work.
    Applied(Contents, Option<ApplyTarget>),
    Stopped,
}

impl UpdateJob {
    /// Fetches and applies the packs of the plan in their order, until one fails.
    pub(super) async fn fetch_chain(
        &self,
        staging: &Staging,
        made: &Path,
        mut contents: Contents,
        stop: &Arc<AtomicBool>,
        counts: &mut Counts,
    ) -> Result<Chain, Problem> {
        let mut target = None;
        for (number, signed) in self.offer.plan.patches.iter().enumerate() {
            if let StepEnd::Stopped = self.fetch_pack(staging, signed, counts).await? {
                return Ok(Chain::Stopped);
            }
            let folder = made.join(number.to_string());
            (contents, target) =
                self.apply_pack(staging, signed, contents, folder, stop, counts).await?;
            if stop.load(Ordering::Relaxed) {
                return Ok(Chain::Stopped);
            }
            if target.is_none() {
                break;
            }
        }
        Ok(Chain::Applied(contents, target))
    }

    /// Downloads a pack, like a package: pieces from several nodes, resumed where it stopped. A
    /// pack that no node has, or that is damaged, is no error here: applying it will show that.
    async fn fetch_pack(
        &self,
        staging: &Staging,
        signed: &SignedPatch,
        counts: &mut Counts,
    ) -> Result<StepEnd, Problem> {
        let file = staging.pack(&signed.target);
        let table = Arc::new(signed.piece_table());
        let mut job = fetch::DownloadJob::new(
            signed.location(),
            signed.length,
            table,
            self.offer.nodes.clone(),
            file,
        );
        // The whole package is an alternative: a short timeout is enough.
        job.timeout = ENTRY_TIMEOUT;
        job.digest = Some(signed.hash);
        let mut take = |event| {
            self.take_bytes(event, counts);
            None
        };
        match self.sources().download(job, &mut take).await? {
            DownloadOutcome::Complete => {}
            DownloadOutcome::Cancelled => return Ok(StepEnd::Stopped),
            DownloadOutcome::Failed(error) if error.is_local() => {
                return Err(problem::of_fetch(&error));
            }
            DownloadOutcome::Failed(error) => {
                tracing::warn!(
                    error = error_chain::line(&error),
                    pack = signed.target,
                    "a patch pack cannot be had; going on without"
                );
                return Ok(StepEnd::Complete);
            }
        }
        counts.fetched += signed.length;
        Ok(StepEnd::Complete)
    }

    /// Applies a pack; what it makes goes into the contents. Returns the release that the pack
    /// leads to if all of it was applied. Where a base is damaged the rest of the pack waits until
    /// the base is repaired, once.
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
                        error = error_chain::line(&error),
                        "a patch pack is no good; going on without"
                    );
                    return Ok((contents, None));
                }
            };
            let (stop, progress) = (Arc::clone(stop), self.made_so_far(counts));
            let memory = self.environment.settings.performance.max_memory_usage;
            (contents, opened) = blocking(move || {
                let threads = applying::workers();
                let options = ApplyOptions { threads, memory, stop: &stop };
                let outcome = application.run(&mut contents, options, &progress);
                (contents, outcome.map(|()| application))
            })
            .await?;
            if let Ok(application) = &opened
                && (last
                    || !application.waits()
                    || !self
                        .repair_bases(staging, signed, application, &folder, &mut contents, counts)
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
    /// is available and costs no more than the files themselves. Returns whether all are there now.
    /// The installed version stays as it is.
    async fn repair_bases(
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
        let Some(release) = self.release_of(signed.patch.base_manifest).await? else {
            tracing::info!(release = %signed.patch.from, "a base is damaged, and its release is no longer published");
            return Ok(false);
        };
        let fetched = tokio::select! {
            fetched = self.fetch_bases(staging, signed, &release, application, folder, counts) => {
                fetched
            }
            () = cancelled(self.control.clone()) => Ok(None),
        };
        match fetched {
            Ok(Some(placed)) => {
                tracing::info!(release = %signed.patch.from, ?lacking, "damaged files are repaired for a patch pack");
                counts.repaired_bases += lacking.len() as u64;
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

    /// The release with this manifest: of the last check, else among those that are no longer offered,
    /// which a check does not read.
    async fn release_of(&self, manifest: Digest) -> Result<Option<SignedRelease>, Problem> {
        let environment = Arc::clone(&self.environment);
        let listed = blocking(move || package_documents::listed(&environment, &manifest)).await?;
        if listed.is_some() {
            return Ok(listed);
        }
        let refreshed = tokio::select! {
            refreshed = check::refresh_with_history(&self.environment, &self.client) => refreshed,
            () = cancelled(self.control.clone()) => return Ok(None),
        };
        let is = |signed: &SignedRelease| signed.release.manifest.hash == manifest;
        Ok(match refreshed {
            Ok(repository) => repository.releases.into_iter().find(is),
            Err(problem) => {
                tracing::info!(?problem, "the releases that are no longer offered cannot be read");
                None
            }
        })
    }

    /// Fetches the bases that an application lacks out of `release`, which has them; `None` if
    /// somebody cancelled.
    async fn fetch_bases(
        &self,
        staging: &Staging,
        signed: &SignedPatch,
        release: &SignedRelease,
        application: &Application,
        folder: &Path,
        counts: &mut Counts,
    ) -> Result<Option<Vec<Placed>>, Problem> {
        let library = Library {
            client: &self.client,
            nodes: &self.offer.nodes,
            cache: &self.documents,
            peers: &self.peers,
            staging: None,
            emitter: None,
        };
        let base = application.base();
        let index = library.index(release, base, false).await?;
        let source = EntrySource {
            signed: release,
            manifest: base,
            index: &index,
            partial: staging.pack(&format!("{}.bases", signed.target)),
            tolerant: false,
        };
        let packed = release.release.index.packed_size;
        let lacking = application.lacking();
        self.fetch_from(&source, packed, &lacking, &folder.join("bases"), counts).await
    }

    /// A function that shows how many files packs have made.
    fn made_so_far(&self, counts: &Counts) -> impl Fn(usize) + Sync + Send + 'static {
        let (files, emitter, base) =
            (Arc::clone(&counts.files), self.emitter.clone(), self.so_far(counts));
        move |made| {
            files.store(made as u64, Ordering::Relaxed);
            emitter.emit(Event::Progress(Progress { files_done: made as u64, ..base.clone() }));
        }
    }
}
