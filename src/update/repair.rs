//! A repair: an installed version held against its manifest, and what is bad made anew: from
//! another file on this disk, by a patch pack where that is cheaper, or as an entry of the
//! release's package.
//!
//! ```text
//! manifest ── proved by the record, or by signed metadata; else fetched
//! damage ──┬─ folders, links, permissions, empty files: made
//!          └─ bytes: other files ── packs of other versions ── entries ── staged, proved, durable ── one rename each
//! look again; the record last, once everything is whole
//! ```
//!
//! The network is asked only for what this disk does not have. Nothing here needs fresh metadata:
//! what has to come is known by its digest.

mod on_disk;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::available_parallelism;

use on_disk::{Needed, Staged, copy, make_plain, put, sort_out};
use tokio::sync::watch;

use super::applying::{Application, ApplyFailure, MOST_CORES};
use super::download_sources::{DownloadSources, blocking, cancelled};
use super::entries::{self, Arrived, ENTRY_TIMEOUT, EntrySource};
use super::package_documents::{DocumentCache, Library};
use super::peer_service::PeerHandle;
use super::{check, planner};
use crate::container::{self, Verification};
use crate::environment::Environment;
use crate::fetch::{self, Client, Control, FetchError, FetchEvent};
use crate::host;
use crate::look;
use crate::messages::mailbox::Emitter;
use crate::messages::problem;
use crate::messages::protocol::{
    Event, How, Mended, Problem, ProblemKind, Progress, Repaired, Unmended,
};
use crate::model::manifest::MANIFEST_PATH;
use crate::model::release::SignedRelease;
use crate::model::{ContainerId, Digest, Manifest, RelativePath, SignedPatch};
use crate::pack::ApplyOptions;
use crate::store::contents::Contents;
use crate::store::lock::HomeLock;
use crate::store::repair::{Removal, Repair};
use crate::store::{InstalledRecord, StoreError};
use crate::trust::Repository;

/// Times that the version is looked at and mended: what stood behind a link is seen only once the
/// link is gone.
const ROUNDS: usize = 3;

/// What one repair works with.
pub(crate) struct RepairJob {
    /// What the launcher works with.
    pub environment: Arc<Environment>,
    /// The HTTP client.
    pub client: Client,
    /// The documents of packages that were asked about.
    pub documents: DocumentCache,
    /// The peers on the local network.
    pub peers: PeerHandle,
    /// Which version.
    pub id: ContainerId,
    /// Run or cancel.
    pub control: watch::Receiver<Control>,
    /// Where progress goes.
    pub emitter: Emitter,
}

/// The version's manifest, proved.
struct Proved {
    manifest: Arc<Manifest>,
    json: Arc<Vec<u8>>,
    digest: Digest,
    /// It is not the one on the disk.
    anew: bool,
}

impl RepairJob {
    /// Mends what can be mended; `None` if somebody cancelled. What was mended by then stays
    /// mended.
    pub(crate) async fn run(self) -> Result<Option<Box<Repaired>>, Problem> {
        let (environment, id) = (Arc::clone(&self.environment), self.id.clone());
        let begun = blocking(move || -> Result<(HomeLock, Repair), StoreError> {
            let lock = environment.lock()?;
            let repair = Repair::begin(&environment.home, &id, &lock)?;
            Ok((lock, repair))
        });
        let (_lock, mut repair) = begun.await?.map_err(|error| problem::of_store(&error))?;
        let mut report = Repaired::begun(self.id.version.clone());
        let proved = tokio::select! {
            proved = self.manifest(&repair) => proved?,
            () = cancelled(self.control.clone()) => return Ok(None),
        };
        if proved.anew {
            let put = repair.put_manifest(&proved.json);
            put.map_err(|error| problem::of_store(&error))?;
            report.mended.push(Mended { path: MANIFEST_PATH.to_owned(), how: How::Fetched });
        }
        for round in 0..=ROUNDS {
            let (back, found) = self.look(repair, &proved.manifest).await?;
            repair = back;
            if round == 0 {
                self.take_away(&mut repair, &found, &mut report)?;
            }
            if found.is_whole() || round == ROUNDS || report.problem.is_some() {
                let left = |damage: &container::Damage| Unmended {
                    path: damage.path.to_string(),
                    what: damage.what.to_string(),
                };
                report.left = found.damaged.iter().map(left).collect();
                break;
            }
            match self.mend(repair, &proved, &found, &mut report).await? {
                Some(back) => repair = back,
                None => return Ok(None),
            }
        }
        // The record says that the version is whole, so it comes last.
        if report.left.is_empty() {
            let record = InstalledRecord::of(&proved.manifest, proved.digest, host::now());
            if repair.put_record(&record).map_err(|error| problem::of_store(&error))? {
                report
                    .mended
                    .push(Mended { path: "metadata/installed.json".to_owned(), how: How::Made });
            }
        }
        repair.finish().map_err(|error| problem::of_store(&error))?;
        report.aside = repair.aside().map(Path::to_owned);
        report.mended.sort_by(|a, b| a.path.cmp(&b.path));
        report.mended.dedup_by(|later, first| later.path == first.path);
        Ok(Some(Box::new(report)))
    }

    /// The manifest that the version must have. The one on the disk counts if the record or signed
    /// metadata has its digest.
    async fn manifest(&self, repair: &Repair) -> Result<Proved, Problem> {
        let on_disk = repair.manifest_on_disk();
        let found = on_disk.as_ref().map(|json| Digest::of(json));
        let read = |json: Vec<u8>, digest| {
            let manifest =
                Manifest::from_json(&json).ok().filter(|manifest| manifest.id() == self.id)?;
            Some(Proved { manifest: Arc::new(manifest), json: Arc::new(json), digest, anew: false })
        };
        let recorded = self.environment.home.record(&self.id).ok().map(|record| record.manifest);
        if let (Some(json), Some(found)) = (&on_disk, found)
            && recorded == Some(found)
            && let Some(proved) = read(json.clone(), found)
        {
            return Ok(proved);
        }
        tracing::warn!(container = %self.id, "the manifest or the record is not what was installed");
        let signed = self.listed(&|signed| signed.release.container == self.id).await?.0;
        let digest = signed.release.manifest.hash;
        if let Some(proved) =
            on_disk.filter(|_| found == Some(digest)).and_then(|json| read(json, digest))
        {
            return Ok(proved);
        }
        let nodes = check::nodes(&self.environment, &self.client).await;
        let library = Library {
            client: &self.client,
            nodes: &nodes,
            cache: &DocumentCache::default(),
            peers: &self.peers,
            staging: None,
            emitter: Some(&self.emitter),
        };
        let package_documents = library.describe(&signed).await?;
        Ok(Proved {
            manifest: package_documents.manifest,
            json: package_documents.json,
            digest,
            anew: true,
        })
    }

    /// A release as signed metadata lists it: that of the last check, else of one now.
    async fn listed(
        &self,
        is: &(dyn Fn(&SignedRelease) -> bool + Sync),
    ) -> Result<(SignedRelease, Repository), Problem> {
        let environment = Arc::clone(&self.environment);
        let cached = blocking(move || environment.trust().cached()).await?;
        let find = |repository: Repository| {
            let found = repository.releases.iter().find(|signed| is(signed)).cloned();
            found.map(|signed| (signed, repository))
        };
        if let Some(found) = cached.and_then(find) {
            return Ok(found);
        }
        find(check::refresh(&self.environment, &self.client).await?).ok_or_else(|| Problem {
            kind: ProblemKind::NoSuchVersion,
            subject: self.id.version.to_string(),
            chain: vec![format!("the repository no longer lists {}", self.id)],
        })
    }

    async fn look(
        &self,
        repair: Repair,
        manifest: &Arc<Manifest>,
    ) -> Result<(Repair, Verification), Problem> {
        let (manifest, emitter) = (Arc::clone(manifest), self.emitter.clone());
        blocking(move || {
            let (files, total) = (AtomicU64::new(0), manifest.file_manifest.len() as u64);
            let progress = |_| {
                let files_done = files.fetch_add(1, Ordering::Relaxed) + 1;
                if files_done.is_multiple_of(64) {
                    emitter.emit(Event::Progress(Progress {
                        files_done,
                        files_total: total,
                        ..Progress::default()
                    }));
                }
            };
            let found = repair.look(&manifest, cores(), &progress);
            (repair, found)
        })
        .await
    }

    /// What the release does not have is taken out of its own folders. That something stays is
    /// told, and is no reason to fail.
    fn take_away(
        &self,
        repair: &mut Repair,
        found: &Verification,
        report: &mut Repaired,
    ) -> Result<(), Problem> {
        for extra in &found.extra {
            match repair.take_away(extra) {
                Ok(Removal::Left) => {}
                Ok(Removal::Deleted | Removal::SetAside) => report.removed.push(extra.clone()),
                Err(error) if error.is_disk_full() => return Err(problem::of_store(&error)),
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "what does not belong to the release stays"
                    );
                }
            }
        }
        Ok(())
    }

    /// One round: what is bad is made anew in the place for it, and then put into its place. What
    /// cannot be had is left, with the reason in `report`. `None` if somebody cancelled.
    async fn mend(
        &self,
        mut repair: Repair,
        proved: &Proved,
        found: &Verification,
        report: &mut Repaired,
    ) -> Result<Option<Repair>, Problem> {
        let manifest = Arc::clone(&proved.manifest);
        let (plain, needed) = sort_out(&manifest, found);
        let bytes: u64 = needed.values().flatten().map(|(_, entry)| entry.size).sum();
        self.environment
            .home
            .check_space(bytes.saturating_mul(2))
            .map_err(|error| problem::of_store(&error))?;
        let environment = Arc::clone(&self.environment);
        let (json, work) =
            (Arc::clone(&proved.json), move |mut repair: Repair| -> Result<_, Problem> {
                Ok((make_plain(&mut repair, &plain, &manifest)?, repair, plain))
            });
        let made = blocking(move || work(repair)).await??;
        let (mut done, back, plain) = made;
        repair = back;
        if plain.iter().any(|(path, _)| path.as_str() == MANIFEST_PATH) {
            repair.put_manifest(&json).map_err(|error| problem::of_store(&error))?;
            done.push(Mended { path: MANIFEST_PATH.to_owned(), how: How::Made });
        }
        report.mended.extend(done);
        if needed.is_empty() {
            return Ok(Some(repair));
        }
        let (mut contents, staged, rest);
        (repair, contents, staged, rest) = blocking(move || {
            let mut contents = Contents::of(&environment.home);
            copy(repair, &mut contents, needed, How::Cloned)
                .map(|(repair, staged, rest)| (repair, contents, staged, rest))
        })
        .await??;
        let mut all = staged;
        if !rest.is_empty() {
            let fetched = tokio::select! {
                fetched = self.fetch(repair, &mut contents, proved, rest) => fetched?,
                () = cancelled(self.control.clone()) => return Ok(None),
            };
            let Some((back, staged, problem)) = fetched else { return Ok(None) };
            repair = back;
            all.extend(staged);
            report.problem = problem;
        }
        let program = proved.manifest.application_info.launch.program.clone();
        let (back, mended) = blocking(move || put(repair, all, &program)).await??;
        report.mended.extend(mended);
        Ok(Some(back))
    }

    /// Brings contents that no file on this disk has, each file staged; and why some could not be
    /// had. `None` if somebody cancelled.
    async fn fetch(
        &self,
        mut repair: Repair,
        contents: &mut Contents,
        proved: &Proved,
        needed: Needed,
    ) -> Result<Option<(Repair, Vec<Staged>, Option<Problem>)>, Problem> {
        let nodes = check::nodes(&self.environment, &self.client).await;
        let line = DownloadSources::new(
            &self.environment,
            &self.client,
            &nodes,
            &self.peers,
            self.control.clone(),
        );
        let listed = self.listed(&|signed| signed.release.manifest.hash == proved.digest).await;
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
        let index = match library.index(&signed, &proved.manifest, true).await {
            Ok(index) => index,
            Err(problem) => return Ok(Some((repair, Vec::new(), Some(problem)))),
        };
        let (mut all, mut needed) = (Vec::new(), needed);
        if let Some(pack) =
            cheaper_pack(&self.environment, &repository, contents, &index, proved, &needed)
        {
            tracing::info!(
                pack = pack.target,
                bytes = pack.length,
                "a patch pack is the cheapest way to mend this"
            );
            if self.patch(&line, &mut repair, contents, &pack, &needed).await? {
                let mut given = std::mem::take(contents);
                let staged;
                (repair, staged, needed, *contents) = blocking(move || {
                    copy(repair, &mut given, needed, How::Patched)
                        .map(|(repair, staged, rest)| (repair, staged, rest, given))
                })
                .await??;
                all.extend(staged);
            }
        }
        if needed.is_empty() {
            return Ok(Some((repair, all, None)));
        }
        let firsts: Vec<RelativePath> =
            needed.values().filter_map(|paths| Some(paths.first()?.0.clone())).collect();
        let (folder, partial) = (repair.fresh(), repair.fresh());
        let source = EntrySource {
            signed: &signed,
            manifest: &proved.manifest,
            index: &index,
            partial,
            tolerant: true,
        };
        let total: u64 =
            planner::spans(&index, firsts.iter()).iter().map(|span| span.end - span.start).sum();
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
        let placed = match entries::fetch(&line, &source, &firsts, &folder, &mut report).await {
            Ok(Some(placed)) => placed,
            Ok(None) => return Ok(None),
            Err(problem) if is_local(&problem) => return Err(problem),
            Err(problem) => return Ok(Some((repair, all, Some(problem)))),
        };
        let (repair, staged, _) = blocking(move || {
            let mut fetched = Contents::default();
            placed.into_iter().for_each(|(digest, path)| fetched.insert(digest, path));
            copy(repair, &mut fetched, needed, How::Fetched)
        })
        .await??;
        all.extend(staged);
        Ok(Some((repair, all, None)))
    }

    /// Fetches a pack and makes of it what is needed; whether it could be had.
    async fn patch(
        &self,
        line: &DownloadSources,
        repair: &mut Repair,
        contents: &mut Contents,
        pack: &SignedPatch,
        needed: &Needed,
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
            Ok(_) => {}
            Err(FetchError::Cancelled) => return Ok(false),
            Err(error) if error.is_local() => return Err(problem::of_fetch(&error)),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a patch pack cannot be had; going on without"
                );
                return Ok(false);
            }
        }
        let wanted: BTreeSet<RelativePath> =
            needed.values().flatten().map(|(path, _)| path.clone()).collect();
        let (pack, mut given) = (pack.clone(), std::mem::take(contents));
        let memory = self.environment.settings.performance.max_memory_usage;
        let (back, outcome) = blocking(move || {
            let stop = AtomicBool::new(false);
            let options = ApplyOptions { threads: cores(), memory, stop: &stop };
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
            Err(ApplyFailure::Local(problem)) => Err(problem),
            Err(ApplyFailure::Pack(error)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a patch pack is no good; going on without"
                );
                Ok(false)
            }
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

fn cores() -> usize {
    available_parallelism().map_or(2, usize::from).min(MOST_CORES)
}

/// Whether it is this computer that cannot, so that nothing else need be tried.
pub(crate) fn is_local(problem: &Problem) -> bool {
    matches!(problem.kind, ProblemKind::DiskFull | ProblemKind::DiskError | ProblemKind::Exhausted)
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

/// The version that should have been started and was stepped over, if that is so: what the pointer
/// names, when another one runs.
pub(crate) fn stepped_over(
    environment: &Environment,
    running: &ContainerId,
) -> Option<ContainerId> {
    let named = environment.home.named().ok().flatten()?.container;
    (named != *running && look::is_folder(&environment.home.container(&named)).unwrap_or(true))
        .then_some(named)
}

/// Ids of versions in the home by version, whole or not.
pub(crate) fn find(
    environment: &Environment,
    version: &crate::model::Version,
) -> Result<ContainerId, StoreError> {
    environment
        .home
        .folders()?
        .into_iter()
        .find(|id| id.version == *version && id.app == environment.settings.app)
        .ok_or_else(|| StoreError::NotInstalled { id: version.to_string() })
}
