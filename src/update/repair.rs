//! A repair: compares an installed version with its manifest, and makes damaged files again: from
//! another file on this disk, by a patch pack where that is cheaper, or as an entry of the
//! release's package.
//!
//! ```text
//! manifest ── verified by the record, or by signed metadata; else fetched
//! damage ──┬─ folders, links, permissions, empty files: made
//!          └─ bytes: other files ── packs of other versions ── entries
//!                       └─ staged, verified, durable ── one rename each
//! look again; the record last, once everything is whole
//! ```
//!
//! The repair asks the network only for content that this disk does not have. Nothing here needs
//! current metadata: the repair knows by its digest what has to arrive.

mod fetching;
mod on_disk;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use on_disk::{copy, make_plain, put, sort_out};
use tokio::sync::watch;

use super::applying;
use super::check;
use super::download_sources::{blocking, cancelled, stop_flag};
use super::package_documents::{DocumentCache, Library};
use super::peer_service::PeerHandle;
use crate::container::{self, Verification};
use crate::environment::Environment;
use crate::error_chain;
use crate::fetch::{Client, Control};
use crate::host;
use crate::look;
use crate::messages::mailbox::Emitter;
use crate::messages::problem;
use crate::messages::protocol::{
    DamagedItem, Event, How, Problem, ProblemKind, Progress, Repaired, RepairedItem,
};
use crate::model::manifest::MANIFEST_PATH;
use crate::model::release::SignedRelease;
use crate::model::{ContainerId, Digest, Manifest};
use crate::store::contents::Contents;
use crate::store::lock::HomeLock;
use crate::store::repair::{Removal, Repair};
use crate::store::{InstalledRecord, StoreError};
use crate::trust::Repository;

/// Most rounds of verifying and repairing the version: damage behind a wrong link becomes visible
/// only once the link is gone.
const ROUNDS: usize = 3;

/// The inputs of one repair.
pub(crate) struct RepairJob {
    /// Home, settings and arguments of the launcher.
    pub environment: Arc<Environment>,
    pub client: Client,
    /// The cached documents of packages.
    pub documents: DocumentCache,
    pub peers: PeerHandle,
    /// The version to repair.
    pub id: ContainerId,
    /// Run or cancel.
    pub control: watch::Receiver<Control>,
    /// Takes the progress.
    pub emitter: Emitter,
}

/// The version's verified manifest.
struct Proved {
    manifest: Arc<Manifest>,
    json: Arc<Vec<u8>>,
    digest: Digest,
    /// Whether it differs from the one on the disk.
    anew: bool,
}

impl RepairJob {
    /// Repairs what it can; `None` if somebody cancelled. Files repaired by then stay so.
    pub(crate) async fn run(self) -> Result<Option<Box<Repaired>>, Problem> {
        let (environment, id) = (Arc::clone(&self.environment), self.id.clone());
        let begun = blocking(move || -> Result<(HomeLock, Repair), StoreError> {
            let lock = environment.lock()?;
            let repair = Repair::begin(&environment.home, &id, &lock)?;
            Ok((lock, repair))
        });
        let (_lock, mut repair) = begun.await?.map_err(|error| problem::of_store(&error))?;
        let stop = stop_flag(self.control.clone());
        let mut report = Repaired::begun(self.id.version.clone());
        let proved = tokio::select! {
            proved = self.manifest(&repair) => proved?,
            () = cancelled(self.control.clone()) => return Ok(None),
        };
        if proved.anew {
            let put = repair.put_manifest(&proved.json);
            put.map_err(|error| problem::of_store(&error))?;
            report.items.push(RepairedItem { path: MANIFEST_PATH.to_owned(), how: How::Fetched });
        }
        for round in 0..=ROUNDS {
            let looked = self.look(repair, &proved.manifest, &stop).await?;
            let Some((back, found)) = looked else { return Ok(None) };
            repair = back;
            if round == 0 {
                self.take_away(&mut repair, &found, &mut report)?;
            }
            if found.is_whole() || round == ROUNDS || report.problem.is_some() {
                let left = |damage: &container::Damage| DamagedItem {
                    path: damage.path.to_string(),
                    what: damage.what.to_string(),
                };
                report.left = found.damaged.iter().map(left).collect();
                break;
            }
            match self.repair_round(repair, &proved, &found, &mut report, &stop).await? {
                Some(back) => repair = back,
                None => return Ok(None),
            }
        }
        // The record says that the version is whole, so it comes last.
        if report.left.is_empty() {
            let record = InstalledRecord::of(&proved.manifest, proved.digest, host::now());
            if repair.put_record(&record).map_err(|error| problem::of_store(&error))? {
                report.items.push(RepairedItem {
                    path: "metadata/installed.json".to_owned(),
                    how: How::Made,
                });
            }
        }
        repair.finish().map_err(|error| problem::of_store(&error))?;
        report.aside = repair.aside().map(Path::to_owned);
        report.items.sort_by(|a, b| a.path.cmp(&b.path));
        report.items.dedup_by(|later, first| later.path == first.path);
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
        let recorded =
            self.environment.home.written_record(&self.id).ok().map(|record| record.manifest);
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

    /// A release as signed metadata lists it: the metadata of the last check, or else of a check
    /// now.
    async fn listed(
        &self,
        is: &(dyn Fn(&SignedRelease) -> bool + Sync),
    ) -> Result<(SignedRelease, Repository), Problem> {
        let environment = Arc::clone(&self.environment);
        let cached = blocking(move || environment.trust().with_history().cached()).await?;
        let find = |repository: Repository| {
            let found = repository.releases.iter().find(|signed| is(signed)).cloned();
            found.map(|signed| (signed, repository))
        };
        if let Some(found) = cached.and_then(find) {
            return Ok(found);
        }
        find(check::refresh_with_history(&self.environment, &self.client).await?).ok_or_else(|| {
            Problem {
                kind: ProblemKind::NoSuchVersion,
                subject: self.id.version.to_string(),
                chain: vec![format!("the repository no longer lists {}", self.id)],
            }
        })
    }

    /// Verifies the version; `None` if somebody cancelled.
    async fn look(
        &self,
        repair: Repair,
        manifest: &Arc<Manifest>,
        stop: &Arc<AtomicBool>,
    ) -> Result<Option<(Repair, Verification)>, Problem> {
        let (manifest, emitter) = (Arc::clone(manifest), self.emitter.clone());
        let stop = Arc::clone(stop);
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
            let found = repair.look(&manifest, applying::workers(), &progress, &stop);
            found.map(|found| (repair, found))
        })
        .await
    }

    /// Removes from the release's folders what does not belong to the release. A file that cannot
    /// be removed is logged, and is no reason to fail.
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
                        error = error_chain::line(&error),
                        "what does not belong to the release stays"
                    );
                }
            }
        }
        Ok(())
    }

    /// One round: makes each bad file again in staging, and then puts it into its place. A file
    /// whose content is not available stays bad, with the reason in `report`. `None` if somebody
    /// cancelled.
    async fn repair_round(
        &self,
        mut repair: Repair,
        proved: &Proved,
        found: &Verification,
        report: &mut Repaired,
        stop: &Arc<AtomicBool>,
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
            done.push(RepairedItem { path: MANIFEST_PATH.to_owned(), how: How::Made });
        }
        report.items.extend(done);
        if needed.is_empty() {
            return Ok(Some(repair));
        }
        let stopping = Arc::clone(stop);
        let copied = blocking(move || -> Result<_, Problem> {
            let found = Contents::of_unless_stopped(&environment.home, &stopping);
            let Some(mut contents) = found else { return Ok(None) };
            let copied = copy(repair, &mut contents, needed, How::Cloned, &stopping)?;
            Ok(copied.map(|copied| (contents, copied)))
        });
        let Some((mut contents, (back, mut all, rest))) = copied.await?? else { return Ok(None) };
        repair = back;
        if !rest.is_empty() {
            let fetched = self.fetch(repair, &mut contents, proved, rest, stop).await?;
            let Some((back, staged, problem)) = fetched else { return Ok(None) };
            repair = back;
            all.extend(staged);
            report.problem = problem;
        }
        let program = proved.manifest.application_info.launch.program.clone();
        let stopping = Arc::clone(stop);
        let put = blocking(move || put(repair, all, &program, &stopping)).await??;
        Ok(put.map(|(repair, repaired)| {
            report.items.extend(repaired);
            repair
        }))
    }
}

/// Whether this computer is at fault, so that every other try would fail too.
pub(crate) fn is_local(problem: &Problem) -> bool {
    matches!(problem.kind, ProblemKind::DiskFull | ProblemKind::DiskError | ProblemKind::Exhausted)
}

/// The version that the last start skipped: the one that the pointer names, if another one runs.
pub(crate) fn stepped_over(
    environment: &Environment,
    running: &ContainerId,
) -> Option<ContainerId> {
    let named = environment.home.named().ok().flatten()?.container;
    (named != *running && look::is_folder(&environment.home.container(&named)).unwrap_or(true))
        .then_some(named)
}

/// Finds the id of a version in the home, whole or damaged.
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
