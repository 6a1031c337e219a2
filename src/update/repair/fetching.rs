//! Fetches what a repair needs: contents that no file on this disk has, by a patch pack where that
//! is cheaper, or as entries of the release's package.
//!
//! In: the files that need them. Out: each file staged, and why some could not be fetched. Never:
//! changes the version itself.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::on_disk::{Copied, Needed, Staged, copy};
use super::{Proved, RepairJob, is_local};
use crate::environment::Environment;
use crate::error_chain;
use crate::fetch::{self, FetchEvent};
use crate::host;
use crate::messages::problem;
use crate::messages::protocol::{Event, How, Problem, Progress};
use crate::model::release::SignedRelease;
use crate::model::{RelativePath, SignedPatch};
use crate::pack::ApplyOptions;
use crate::store::contents::Contents;
use crate::store::repair::Repair;
use crate::trust::Repository;
use crate::update::applying::{self, Application, ApplyFailure};
use crate::update::download_sources::{DownloadOutcome, DownloadSources, blocking, cancelled};
use crate::update::entries::{self, Arrived, ENTRY_TIMEOUT, EntrySource};
use crate::update::package_documents::Library;
use crate::update::{check, planner};

impl RepairJob {
    /// Fetches contents that no file on this disk has. Returns the staged files, and why some could
    /// not be fetched. `None` if somebody cancelled; by then no thread works on staged files any
    /// more.
    pub(super) async fn fetch(
        &self,
        mut repair: Repair,
        contents: &mut Contents,
        proved: &Proved,
        needed: Needed,
        stop: &Arc<AtomicBool>,
    ) -> Result<Option<(Repair, Vec<Staged>, Option<Problem>)>, Problem> {
        let nodes = check::nodes(&self.environment, &self.client);
        let Some(nodes) = self.unless_cancelled(nodes).await else { return Ok(None) };
        let line = DownloadSources::new(
            &self.environment,
            &self.client,
            &nodes,
            &self.peers,
            self.control.clone(),
        );
        let is_ours = |signed: &SignedRelease| signed.release.manifest.hash == proved.digest;
        let Some(listed) = self.unless_cancelled(self.listed(&is_ours)).await else {
            return Ok(None);
        };
        let (signed, repository) = match listed {
            Ok(found) => found,
            Err(problem) => return Ok(Some((repair, Vec::new(), Some(problem)))),
        };
        let library = Library {
            client: &self.client,
            nodes: &nodes,
            cache: &self.documents,
            peers: &self.peers,
            staging: None,
            emitter: Some(&self.emitter),
        };
        let index = self.unless_cancelled(library.index(&signed, &proved.manifest, true));
        let Some(index) = index.await else { return Ok(None) };
        let index = match index {
            Ok(index) => index,
            Err(problem) => return Ok(Some((repair, Vec::new(), Some(problem)))),
        };
        let (mut staged, mut needed) = (Vec::new(), needed);
        let pack = cheaper_pack(&self.environment, &repository, contents, &index, proved, &needed);
        if let Some(pack) = pack {
            let made = self.make_by_pack(&line, repair, contents, &pack, needed, stop).await?;
            let Some(made) = made else { return Ok(None) };
            (repair, staged, needed) = made;
        }
        if needed.is_empty() {
            return Ok(Some((repair, staged, None)));
        }
        let source = EntrySource {
            signed: &signed,
            manifest: &proved.manifest,
            index: &index,
            partial: repair.fresh(),
            tolerant: true,
        };
        let fetched = self.fetch_entries(&line, &source, repair, needed, stop).await?;
        let Some((repair, entries, problem)) = fetched else { return Ok(None) };
        staged.extend(entries);
        Ok(Some((repair, staged, problem)))
    }

    /// Makes what it can of the needed files with a pack, if that is available. Returns the staged
    /// files, and what is still needed; `None` if somebody cancelled.
    async fn make_by_pack(
        &self,
        line: &DownloadSources,
        mut repair: Repair,
        contents: &mut Contents,
        pack: &SignedPatch,
        needed: Needed,
        stop: &Arc<AtomicBool>,
    ) -> Result<Option<Copied>, Problem> {
        tracing::info!(
            pack = pack.target,
            bytes = pack.length,
            "a patch pack is the cheapest way to mend this"
        );
        if !self.patch(line, &mut repair, contents, pack, &needed, stop).await? {
            return Ok(Some((repair, Vec::new(), needed)));
        }
        let (mut given, stopping) = (std::mem::take(contents), Arc::clone(stop));
        let copied = blocking(move || -> Result<_, Problem> {
            let copied = copy(repair, &mut given, needed, How::Patched, &stopping)?;
            Ok(copied.map(|copied| (given, copied)))
        });
        let Some((back, copied)) = copied.await?? else { return Ok(None) };
        *contents = back;
        Ok(Some(copied))
    }

    /// Fetches each needed content once, as an entry of the package, and copies it to every file
    /// that needs it.
    async fn fetch_entries(
        &self,
        line: &DownloadSources,
        source: &EntrySource<'_>,
        mut repair: Repair,
        needed: Needed,
        stop: &Arc<AtomicBool>,
    ) -> Result<Option<(Repair, Vec<Staged>, Option<Problem>)>, Problem> {
        let firsts: Vec<RelativePath> =
            needed.values().filter_map(|paths| Some(paths.first()?.0.clone())).collect();
        let folder = repair.fresh();
        let spans = planner::spans(source.index, firsts.iter());
        let total: u64 = spans.iter().map(|span| span.end - span.start).sum();
        let mut done = 0;
        let mut report = |arrived| match arrived {
            Arrived::Event(event) => self.tell(event),
            Arrived::Bytes(count) => {
                done += count;
                self.emitter.emit(Event::Progress(Progress {
                    done,
                    total: total.max(done),
                    ..Progress::default()
                }));
            }
        };
        let placed = match entries::fetch(line, source, &firsts, &folder, &mut report).await {
            Ok(Some(placed)) => placed,
            Ok(None) => return Ok(None),
            Err(problem) if is_local(&problem) => return Err(problem),
            Err(problem) => return Ok(Some((repair, Vec::new(), Some(problem)))),
        };
        let stopping = Arc::clone(stop);
        let copied = blocking(move || {
            let mut fetched = Contents::default();
            placed.into_iter().for_each(|(digest, path)| fetched.insert(digest, path));
            copy(repair, &mut fetched, needed, How::Fetched, &stopping)
        });
        let copied = copied.await??;
        Ok(copied.map(|(repair, staged, _)| (repair, staged, None)))
    }

    /// Fetches a pack and makes the needed files with it. Returns whether the pack was available.
    async fn patch(
        &self,
        line: &DownloadSources,
        repair: &mut Repair,
        contents: &mut Contents,
        pack: &SignedPatch,
        needed: &Needed,
        stop: &Arc<AtomicBool>,
    ) -> Result<bool, Problem> {
        let Some(base) = contents.manifest(&pack.patch.base_manifest).cloned() else {
            return Ok(false);
        };
        let (file, folder) = (repair.fresh(), repair.fresh());
        let table = Arc::new(pack.piece_table());
        let mut job = fetch::DownloadJob::new(
            pack.location(),
            pack.length,
            table,
            line.nodes.clone(),
            file.clone(),
        );
        job.timeout = ENTRY_TIMEOUT;
        let mut take = |event| {
            self.tell(event);
            None
        };
        match line.download(job, &mut take).await? {
            DownloadOutcome::Complete => {}
            DownloadOutcome::Cancelled => return Ok(false),
            DownloadOutcome::Failed(error) if error.is_local() => {
                return Err(problem::of_fetch(&error));
            }
            DownloadOutcome::Failed(error) => {
                tracing::warn!(
                    error = error_chain::line(&error),
                    "a patch pack cannot be had; going on without"
                );
                return Ok(false);
            }
        }
        let wanted: BTreeSet<RelativePath> =
            needed.values().flatten().map(|(path, _)| path.clone()).collect();
        let (pack, mut given) = (pack.clone(), std::mem::take(contents));
        let stopping = Arc::clone(stop);
        let memory = self.environment.settings.performance.max_memory_usage;
        let (back, outcome) = blocking(move || {
            let options = ApplyOptions { threads: applying::workers(), memory, stop: &stopping };
            let applied = Application::open(&file, pack, Arc::new(base), folder).and_then(
                |mut application| {
                    application.only(&|path| wanted.contains(path));
                    application.run(&mut given, options, &|_| ())
                },
            );
            (given, applied)
        })
        .await?;
        *contents = back;
        match outcome {
            Ok(()) => Ok(true),
            Err(_) if stop.load(Ordering::Relaxed) => Ok(false),
            Err(ApplyFailure::Local(problem)) => Err(problem),
            Err(ApplyFailure::Pack(error)) => {
                tracing::warn!(
                    error = error_chain::line(&error),
                    "a patch pack is no good; going on without"
                );
                Ok(false)
            }
        }
    }

    /// What `request` to the network gives; `None` as soon as somebody cancels. Work on files is
    /// not given up like this, since its thread would go on: it looks at the stop flag.
    async fn unless_cancelled<T>(&self, request: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            answer = request => Some(answer),
            () = cancelled(self.control.clone()) => None,
        }
    }

    fn tell(&self, event: FetchEvent) {
        match event {
            FetchEvent::Piece(_) => {}
            FetchEvent::Progress(fetch::Progress { done, total, speed, seconds_left, nodes }) => {
                let progress =
                    Progress { done, total, speed, seconds_left, nodes, ..Progress::default() };
                self.emitter.emit(Event::Progress(progress));
            }
            FetchEvent::Fault(fault) => self.emitter.emit(Event::NodeFault(fault)),
        }
    }
}

/// The smallest pack from an installed version that costs less than the entries that are needed.
fn cheaper_pack(
    environment: &Environment,
    repository: &Repository,
    contents: &Contents,
    index: &crate::model::PackageIndex,
    proved: &Proved,
    needed: &Needed,
) -> Option<SignedPatch> {
    let settings = &environment.settings;
    let in_force = repository.patches_expire.is_some_and(|expires| expires > host::now());
    if !in_force || !settings.incremental_update.enabled {
        return None;
    }
    let firsts: Vec<&RelativePath> =
        needed.values().filter_map(|paths| Some(&paths.first()?.0)).collect();
    let entries: u64 =
        planner::spans(index, firsts.into_iter()).iter().map(|span| span.end - span.start).sum();
    let usable = |signed: &&SignedPatch| {
        signed.patch.target_manifest == proved.digest
            && signed.length < entries
            && signed.length <= settings.incremental_update.max_patch_size
            && signed.patch.memory <= settings.performance.max_memory_usage
            && contents.manifest(&signed.patch.base_manifest).is_some()
    };
    repository.patches.iter().filter(usable).min_by_key(|signed| signed.length).cloned()
}
