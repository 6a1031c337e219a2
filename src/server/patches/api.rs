//! `POST /api/incremental/analyze`, with the field names of the specification.

use std::io::{self, Read as _};
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::allowance::{Denied, RESERVED_FREE, worthwhile};
use super::chain::cheapest;
use super::delivery::several_apps;
use super::fingerprint::{self, Files};
use super::id::PatchId;
use super::queue::{QueueError, Status};
use crate::error_chain;
use crate::model::platform::AppName;
use crate::model::release::SignedRelease;
use crate::model::version_tree::MAX_VERSION_TREE_BYTES;
use crate::model::{ContainerId, Platform, RelativePath, SignedPatch, Version, VersionTree};
use crate::server::access::Client;
use crate::server::places::Origin;
use crate::server::refusal::Refusal;
use crate::server::repository::Catalogue;
use crate::server::state::ServerState;
use crate::server::{files, updates};

/// A question of up to this size, bytes, is read at once. Larger ones are read a few at a time, so
/// that all clients together cannot make the server hold much.
const SMALL_QUESTION: usize = 64 << 10;
/// Longest question, bytes: the fingerprint of some 30,000 files.
const MAX_QUESTION_BYTES: usize = 4 << 20;

/// The parameters of `analyze`. They are text, so that each mistake gets its own message.
#[derive(Debug, Deserialize)]
struct PatchQuery {
    current_fingerprint: Fingerprint,
    #[serde(default)]
    target_version: Option<String>,
    #[serde(default)]
    app: Option<String>,
    #[serde(default)]
    platform: Option<String>,
    #[serde(default)]
    channel: Option<String>,
}

/// The installed files. A client may send the hash of each file; then packs whose base is damaged
/// count with their real cost.
#[derive(Debug, Deserialize)]
struct Fingerprint {
    version: String,
    #[serde(default)]
    files: Option<Files>,
}

/// Installed files that differ from those of their release.
#[derive(Debug, Default)]
struct Damage {
    differing: Vec<RelativePath>,
    /// The most bytes that fetching the target's own files in their place takes.
    to_fetch: u64,
}

/// An answer to `analyze`. The specification's fields, then ours.
#[derive(Debug, Serialize)]
struct Analysis {
    has_updates: bool,
    target_version: Version,
    /// The packs to apply, in this order; none if the client should fetch the whole package.
    patches: Vec<PatchInfo>,
    /// Bytes to fetch; an upper limit where files differ, which are fetched singly.
    total_size: u64,
    /// Seconds at the best node's published bandwidth; `null` if no bandwidth is known.
    estimated_time: Option<u64>,
    requires_restart: bool,
    /// How many of the packs a running app can take over.
    hot_swappable_count: usize,
    /// Bytes of the whole package.
    full_size: u64,
    #[serde(rename = "way")]
    strategy: PatchAnswer,
    /// The installed files that differ from those of their release, so that no pack can start from
    /// them; `null` if the client sent no files, or the release is not known.
    differing_files: Option<Vec<RelativePath>>,
    /// The status of the job for the pack that leads there in one step, if this question requested
    /// it because no such pack exists yet.
    status: Option<Status>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum PatchAnswer {
    /// The installation is up to date.
    None,
    Patches,
    Full,
}

#[derive(Debug, Serialize)]
struct PatchInfo {
    patch_id: PatchId,
    /// The pack's address on this server; the pack also lies at `location` on every node.
    url: String,
    /// Relative to a node's url.
    location: String,
    from: Version,
    to: Version,
    /// Bytes.
    size: u64,
    requires_restart: bool,
    hot_swappable: bool,
}

/// `POST /api/incremental/analyze`: the cheapest chain of packs. If no chain leads there, or none
/// is cheap enough, the answer is the whole package; a server that makes packs then makes one in
/// the background.
pub(in crate::server) async fn analyze(
    State(shared): State<ServerState>,
    request: Request,
) -> Result<Response, Refusal> {
    let origin = request.extensions().get::<Client>().map(|Client(address)| Origin::from(*address));
    let body = read_body(&shared, request).await?;
    let mut question: PatchQuery = serde_json::from_slice(&body)
        .map_err(|error| Refusal::bad(format!("the question: {error}")))?;
    drop(body);
    let current: Version = updates::parsed(
        "current_fingerprint.version",
        Some(&question.current_fingerprint.version),
    )?
    .ok_or_else(|| {
        Refusal::bad("current_fingerprint.version: missing, expected for example 1.0.0")
    })?;
    let wanted: Option<Version> =
        updates::parsed("target_version", question.target_version.as_deref())?;
    let catalogue = shared.repository.catalogue().await;
    let kind = AppAndPlatform::of(&question, &catalogue, &current)?;
    let channel = question.channel.as_deref().unwrap_or("stable");
    let open = catalogue.releases.iter().filter(|signed| kind.has(&signed.release.container));
    let mut open = open.filter(|signed| signed.release.open_to(Some(&current)));
    let target = match &wanted {
        Some(version) => Some(
            open.find(|signed| signed.release.container.version == *version)
                .ok_or_else(Refusal::not_found)?,
        ),
        None => open
            .filter(|signed| {
                signed.release.channel == channel && signed.release.container.version > current
            })
            .max_by(|a, b| a.release.container.version.cmp(&b.release.container.version)),
    };
    let target = target.filter(|signed| signed.release.container.version != current);
    let target_version = target.map_or(&current, |target| &target.release.container.version);
    let damage = match question.current_fingerprint.files.take() {
        Some(files) => damage(&shared, &catalogue, &kind, files, (&current, target_version)).await,
        None => None,
    };
    let analysis = match target {
        None => Analysis::nothing(current, damage),
        Some(target) => {
            look_for_packs(&shared, &catalogue, &kind, (&current, target), damage, origin)
        }
    };
    Ok(updates::answer(&analysis))
}

/// The packs to `target`, or the whole package. If no pack leads there in one step, a server that
/// makes packs makes it for next time: a detour over other releases costs more than necessary.
fn look_for_packs(
    shared: &ServerState,
    catalogue: &Catalogue,
    kind: &AppAndPlatform<'_>,
    (current, target): (&Version, &SignedRelease),
    damage: Option<Damage>,
    origin: Option<Origin>,
) -> Analysis {
    let fallback = &shared.options.fallback;
    let container = &target.release.container;
    let packs: Vec<&SignedPatch> =
        catalogue.usable_patches().filter(|signed| kind.has(&signed.patch.to)).collect();
    let chain = cheapest(&packs, current, &container.version, fallback.max_patch_chain_length);
    let beside = damage.as_ref().map_or(0, |damage| damage.to_fetch);
    let total = |chain: &[&SignedPatch]| {
        chain.iter().map(|pack| pack.length).sum::<u64>().saturating_add(beside)
    };
    // If the whole package is not allowed, any share of it is acceptable, as for the launcher.
    let threshold = if fallback.enable_full_update { fallback.fallback_threshold } else { 1.0 };
    let cheap =
        |chain: &Vec<&SignedPatch>| (total(chain) as f64) < threshold * target.length as f64;
    let known =
        packs.iter().any(|pack| pack.patch.from.version == *current && pack.patch.to == *container);
    let status = if known {
        None
    } else {
        ask_for_pack(shared, catalogue, kind, (current, container), origin)
    };
    let chain = chain.filter(cheap).unwrap_or_default();
    let full = chain.is_empty();
    let total_size = if full { target.length } else { total(&chain) };
    let several_apps = updates::apps(catalogue).len() > 1;
    let patches: Vec<PatchInfo> =
        chain.iter().map(|pack| PatchInfo::of(pack, several_apps)).collect();
    Analysis {
        has_updates: true,
        target_version: container.version.clone(),
        total_size,
        estimated_time: updates::estimated_time(shared, catalogue, "", total_size),
        requires_restart: full || patches.iter().any(|patch| patch.requires_restart),
        hot_swappable_count: patches.iter().filter(|patch| patch.hot_swappable).count(),
        patches,
        full_size: target.length,
        strategy: if full { PatchAnswer::Full } else { PatchAnswer::Patches },
        differing_files: damage.map(|damage| damage.differing),
        status,
    }
}

/// Requests the pack from an installed release to `to`, and returns its job's status; `None` if
/// this server makes no packs, or not this one now.
fn ask_for_pack(
    shared: &ServerState,
    catalogue: &Catalogue,
    kind: &AppAndPlatform<'_>,
    (current, to): (&Version, &ContainerId),
    origin: Option<Origin>,
) -> Option<Status> {
    let service = shared.patches.as_ref()?;
    let mut installed = catalogue.releases.iter().map(|signed| &signed.release.container);
    let from = installed.find(|from| kind.has(from) && from.version == *current)?;
    let allowed = || {
        let packs: Vec<&SignedPatch> = catalogue.usable_patches().collect();
        worthwhile(current, to, &catalogue.releases, &packs)?;
        if fs4::available_space(shared.repository.root()).is_ok_and(|free| free < RESERVED_FREE) {
            return Err(Denied::DiskFull);
        }
        origin.map_or(Ok(()), |origin| service.askers.one_more(origin, Instant::now()))
    };
    match service.ask(from, to, allowed) {
        Ok(status) => status,
        // The answer is right without the pack.
        Err(error @ QueueError::Full) => {
            tracing::warn!(error = error_chain::line(&error), "a patch is not made");
            None
        }
        Err(error) => {
            tracing::error!(error = error_chain::line(&error), "a patch cannot be asked for");
            None
        }
    }
}

/// The damage of the installed files; `None` if the version tree does not know their release. A
/// lost or damaged tree is logged and counts as one that does not.
async fn damage(
    shared: &ServerState,
    catalogue: &Catalogue,
    kind: &AppAndPlatform<'_>,
    files: Files,
    (current, target): (&Version, &Version),
) -> Option<Damage> {
    let container = catalogue
        .releases
        .iter()
        .map(|signed| &signed.release.container)
        .find(|container| kind.has(container))?;
    let (location, length) = catalogue.target(&VersionTree::target_name(container))?;
    let (current, target) = (current.clone(), target.clone());
    // Later questions wait: the server never reads two trees at once.
    let mut slot = shared.tree.lock().await;
    let known =
        slot.as_ref().filter(|(known, _)| *known == location).map(|(_, tree)| Arc::clone(tree));
    let tree = match known {
        Some(tree) => tree,
        None => {
            let read = files::on_disk(shared.repository.root().join(&location), move |path| {
                read_tree(path, length)
            })
            .await;
            let tree = Arc::new(read.ok()?);
            Arc::clone(&slot.insert((location, tree)).1)
        }
    };
    drop(slot);
    let compare = move || {
        let base = tree.files_of(&current)?;
        let differing: Vec<RelativePath> = files.differing(&base).cloned().collect();
        let to_fetch =
            tree.files_of(&target).map_or(0, |target| fingerprint::to_fetch(&differing, &target));
        Some(Damage { differing, to_fetch })
    };
    // The panic hook has logged a panic there.
    tokio::task::spawn_blocking(compare).await.ok().flatten()
}

fn read_tree(path: &std::path::Path, length: u64) -> io::Result<VersionTree> {
    let limit = length.min(MAX_VERSION_TREE_BYTES as u64);
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    VersionTree::from_json(&bytes).map_err(io::Error::other)
}

/// The whole question. Its announced length decides in which queue it waits.
async fn read_body(shared: &ServerState, request: Request) -> Result<Bytes, Refusal> {
    let stated = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let too_large = || {
        let message = format!(
            "the question may have {MAX_QUESTION_BYTES} bytes; the fingerprint's files may be left out"
        );
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    };
    let (limit, _room) = match stated {
        Some(length) if length > MAX_QUESTION_BYTES => return Err(too_large()),
        Some(length) if length <= SMALL_QUESTION => (SMALL_QUESTION, None),
        _ => (
            MAX_QUESTION_BYTES,
            Some(
                shared
                    .large_questions
                    .acquire()
                    .await
                    .map_err(|error| Refusal::internal(&error))?,
            ),
        ),
    };
    axum::body::to_bytes(request.into_body(), limit).await.map_err(|error| {
        tracing::debug!(error = error_chain::line(&error), "a question cannot be read");
        too_large()
    })
}

/// The app and platform that a question is about.
struct AppAndPlatform<'a> {
    app: &'a AppName,
    platform: Platform,
}

impl<'a> AppAndPlatform<'a> {
    /// The named app and platform, otherwise the only possible ones: of the apps, and of the
    /// platforms that have the installed version.
    fn of(
        question: &PatchQuery,
        catalogue: &'a Catalogue,
        current: &Version,
    ) -> Result<Self, Refusal> {
        let named: Option<AppName> = updates::parsed("app", question.app.as_deref())?;
        let platform: Option<Platform> = updates::parsed("platform", question.platform.as_deref())?;
        let apps = updates::apps(catalogue);
        let app = match (&named, apps.as_slice()) {
            (Some(named), apps) => {
                apps.iter().copied().find(|app| *app == named).ok_or_else(Refusal::not_found)?
            }
            (None, []) => return Err(Refusal::not_found()),
            (None, [only]) => only,
            (None, _) => return Err(several_apps()),
        };
        if let Some(platform) = platform {
            return Ok(Self { app, platform });
        }
        let of_app = || {
            catalogue
                .releases
                .iter()
                .map(|signed| &signed.release.container)
                .filter(|found| found.app == *app)
        };
        let mut platforms: Vec<&Platform> = of_app()
            .filter(|found| found.version == *current)
            .map(|found| &found.platform)
            .collect();
        if platforms.is_empty() {
            platforms = of_app().map(|found| &found.platform).collect();
        }
        platforms.sort_unstable();
        platforms.dedup();
        match platforms.as_slice() {
            [only] => Ok(Self { app, platform: (*only).clone() }),
            _ => Err(Refusal::bad("platform: missing, expected for example Linux_x86_64")),
        }
    }

    fn has(&self, container: &ContainerId) -> bool {
        container.app == *self.app && container.platform == self.platform
    }
}

impl Analysis {
    fn nothing(current: Version, damage: Option<Damage>) -> Self {
        Self {
            has_updates: false,
            target_version: current,
            patches: Vec::new(),
            total_size: 0,
            estimated_time: Some(0),
            requires_restart: false,
            hot_swappable_count: 0,
            full_size: 0,
            strategy: PatchAnswer::None,
            differing_files: damage.map(|damage| damage.differing),
            status: None,
        }
    }
}

impl PatchInfo {
    fn of(pack: &SignedPatch, several_apps: bool) -> Self {
        let (from, to) = (&pack.patch.from, &pack.patch.to);
        let patch_id = PatchId {
            from: from.version.clone(),
            to: to.version.clone(),
            platform: to.platform.clone(),
        };
        let app = if several_apps { format!("?app={}", to.app) } else { String::new() };
        Self {
            url: format!("/api/incremental/patch/{patch_id}{app}"),
            location: pack.location(),
            patch_id,
            from: from.version.clone(),
            to: to.version.clone(),
            size: pack.length,
            requires_restart: pack.patch.requires_restart,
            hot_swappable: !pack.patch.requires_restart && pack.patch.hot_swappable > 0,
        }
    }
}
