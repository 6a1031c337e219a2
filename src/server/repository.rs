//! Reads the catalogue of the repository: its releases and nodes, from `metadata/` and
//! `nodes.json`. It reads them again when they change.
//!
//! It verifies no signatures: the folder belongs to the operator, everything read here is a hint,
//! and clients verify.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::error::ServerError;
use crate::error_chain;
use crate::model::release::SignedRelease;
use crate::model::{ContainerId, Digest, Node, Patch, Release, SignedPatch};
use crate::publish::KeyRole;
use crate::trust::{PATCH_KEY, PATCHES_ROLE, RELEASE_KEY, ROLLOUT_ROLE, RolePart, is_plain_name};

/// The role that delegates to all others, and holds the releases themselves in a repository from
/// before there were roles for them.
const TARGETS_ROLE: &str = "targets";

/// Largest metadata file that the server reads or serves, bytes: some 100,000 targets.
pub(super) const MAX_DOCUMENT_BYTES: u64 = 64 << 20;

/// The contents of the repository when it was last read.
#[derive(Debug)]
pub(super) struct Catalogue {
    /// Version of the timestamp role; grows with every change.
    pub(super) version: u64,
    /// When the timestamp expires.
    pub(super) expires: jiff::Timestamp,
    /// When each role expires; `None` where the document does not say it or cannot be read.
    pub(super) expiries: Vec<(KeyRole, Option<jiff::Timestamp>)>,
    /// Every release of every app, in no order.
    pub(super) releases: Vec<SignedRelease>,
    /// The nodes that hold the repository, as published.
    pub(super) nodes: Vec<Node>,
    /// Published packs between releases. They are usable until this time; afterwards, or if it is
    /// not known, clients update without packs.
    patches: Vec<SignedPatch>,
    patches_expire: Option<jiff::Timestamp>,
    targets: BTreeMap<String, TargetEntry>,
    /// The two files that show a change of the repository, and the number of the newest root, which
    /// neither of them names.
    seen: (Vec<u8>, Option<Vec<u8>>, u64),
}

impl Catalogue {
    /// Where the target `name` lies, relative to the repository, and how long it is.
    pub(super) fn target(&self, name: &str) -> Option<(String, u64)> {
        let target = self.targets.get(name)?;
        Some((format!("targets/{}.{name}", target.hashes.sha256), target.length))
    }

    /// The packs that clients accept now.
    pub(super) fn usable_patches(&self) -> impl Iterator<Item = &SignedPatch> {
        let usable = self.patches_expire.is_some_and(|expires| expires > crate::host::now());
        self.patches.iter().filter(move |_| usable)
    }

    /// Reads all of it; `None` if nothing has changed since `before`.
    fn read(root: &Path, before: Option<&Self>) -> Result<Option<Self>, ServerError> {
        let metadata = root.join("metadata");
        let nodes_path = root.join("nodes.json");
        let timestamp_path = metadata.join("timestamp.json");
        let nodes =
            if nodes_path.try_exists().unwrap_or(true) { Some(read(&nodes_path)?) } else { None };
        let seen = (
            read(&timestamp_path)?,
            nodes,
            newest_root(&metadata, before.map(|before| before.seen.2)),
        );
        if before.is_some_and(|before| before.seen == seen) {
            return Ok(None);
        }
        let Signed { signed: timestamp } = parse::<Signed<Timestamp>>(&timestamp_path, &seen.0)?;
        let snapshot_path =
            metadata.join(format!("{}.snapshot.json", timestamp.meta.snapshot.version));
        let Signed { signed: snapshot } =
            parse::<Signed<Snapshot>>(&snapshot_path, &read(&snapshot_path)?)?;
        let targets_path = snapshot.path_of(&metadata, TARGETS_ROLE).ok_or_else(|| {
            ServerError::Repository { path: snapshot_path, source: ErrorKind::InvalidData.into() }
        })?;
        let Targets { mut targets, expires: mut targets_expire } =
            parse::<Signed<Targets>>(&targets_path, &read(&targets_path)?)?.signed;
        // What is offered comes before history, as in a search: an entry that is there already
        // counts.
        for part in [RolePart::Offer, RolePart::History] {
            for path in snapshot.paths_of(&metadata, part) {
                let role = parse::<Signed<Targets>>(&path, &read(&path)?)?.signed;
                for (name, target) in role.targets {
                    targets.entry(name).or_insert(target);
                }
                // Where one end is not known, the first is not known either.
                targets_expire = targets_expire.zip(role.expires).map(|(a, b)| a.min(b));
            }
        }
        let nodes = seen.1.as_deref().map_or(Ok(Vec::new()), |bytes| parse(&nodes_path, bytes))?;
        let releases: Vec<_> =
            targets.iter().filter_map(|(name, target)| release_of(name, target)).collect();
        let (version, expires) = (timestamp.version, timestamp.expires);
        let mut lists = snapshot.paths_of(&metadata, RolePart::Patches);
        if snapshot.paths_of(&metadata, RolePart::Offer).is_empty() {
            lists.extend(snapshot.path_of(&metadata, PATCHES_ROLE));
        }
        let mut expiries = vec![
            (KeyRole::Root, root_expiry(&metadata, seen.2)),
            (KeyRole::Targets, targets_expire),
            (KeyRole::Snapshot, snapshot.expires),
            (KeyRole::Timestamp, Some(expires)),
        ];
        let (mut patches, mut ends) = (Vec::new(), Vec::new());
        for path in lists {
            let (packs, expires) = patches_of(&path, &releases);
            patches.extend(packs);
            ends.push(expires);
        }
        let patches_expire = ends.iter().flatten().min().copied();
        if !ends.is_empty() {
            let all_known = ends.iter().all(Option::is_some);
            expiries.push((KeyRole::Patches, patches_expire.filter(|_| all_known)));
        }
        if let Some(words) = snapshot.path_of(&metadata, ROLLOUT_ROLE) {
            expiries.push((KeyRole::Rollout, expiry_of(&words)));
        }
        Ok(Some(Self {
            version,
            expires,
            expiries,
            releases,
            nodes,
            patches,
            patches_expire,
            targets,
            seen,
        }))
    }
}

/// The number of the newest root from `known` on; 0 if there is none.
fn newest_root(metadata: &Path, known: Option<u64>) -> u64 {
    let on_disk = || {
        let names = std::fs::read_dir(metadata)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names
            .filter_map(|name| name.strip_suffix(".root.json")?.parse::<u64>().ok())
            .max()
            .unwrap_or(0)
    };
    let mut newest = known.unwrap_or_else(on_disk);
    while metadata.join(format!("{}.root.json", newest.saturating_add(1))).exists() {
        newest += 1;
    }
    newest
}

/// When the root `version` expires; `None` if it cannot be read. Clients will report that, and the
/// server still serves the files below it.
fn root_expiry(metadata: &Path, version: u64) -> Option<jiff::Timestamp> {
    expiry_of(&metadata.join(format!("{version}.root.json")))
}

/// Until when the signatures of a document hold, if it can be read.
fn expiry_of(path: &Path) -> Option<jiff::Timestamp> {
    let document = read(path).and_then(|bytes| parse::<Signed<Expiring>>(path, &bytes));
    document
        .inspect_err(|error| {
            tracing::warn!(error = error_chain::line(error), "the end of a signature is not known")
        })
        .ok()?
        .signed
        .expires
}

/// The release that a target is, if it is one. Only this function knows how the publisher writes
/// it. A release that this program cannot read (written by a newer one) is left out and logged; the
/// others stay.
fn release_of(name: &str, target: &TargetEntry) -> Option<SignedRelease> {
    let description = target.custom.get(RELEASE_KEY)?;
    match Release::deserialize(description) {
        Ok(release) => Some(SignedRelease {
            target: name.to_owned(),
            length: target.length,
            hash: target.hashes.sha256,
            release,
        }),
        Err(error) => {
            tracing::warn!(
                target = name,
                error = error_chain::line(&error),
                "a release with a description that cannot be read is not offered"
            );
            None
        }
    }
}

/// The packs between `releases` in a list of patches, and when the list expires. A faulty list
/// counts as an empty one, as for the clients.
fn patches_of(
    path: &Path,
    releases: &[SignedRelease],
) -> (Vec<SignedPatch>, Option<jiff::Timestamp>) {
    let list = read(path).and_then(|bytes| parse::<Signed<Patches>>(path, &bytes));
    let Patches { targets, expires } = match list {
        Ok(list) => list.signed,
        Err(error) => {
            tracing::warn!(error = error_chain::line(&error), "there are no patches");
            return (Vec::new(), None);
        }
    };
    let manifests: BTreeMap<&ContainerId, Digest> = releases
        .iter()
        .map(|signed| (&signed.release.container, signed.release.manifest.hash))
        .collect();
    let mut packs = Vec::new();
    for (name, target) in targets {
        let Some(patch) =
            target.custom.get(PATCH_KEY).and_then(|value| Patch::deserialize(value).ok())
        else {
            continue;
        };
        let fits = manifests.get(&patch.from) == Some(&patch.base_manifest)
            && manifests.get(&patch.to) == Some(&patch.target_manifest);
        let signed =
            SignedPatch { target: name, length: target.length, hash: target.hashes.sha256, patch };
        if fits && signed.check().is_ok() {
            packs.push(signed);
        }
    }
    (packs, Some(expires))
}

/// The repository's folder with the newest readable catalogue.
pub(super) struct Repository {
    root: PathBuf,
    look_interval: Duration,
    catalogue: RwLock<Arc<Catalogue>>,
    last_look: Mutex<Look>,
}

struct Look {
    at: Instant,
    complaint: Option<String>,
}

impl Repository {
    /// Reads the repository in `root`; later looks for changes are at least `look_interval` apart.
    pub(super) fn open(root: PathBuf, look_interval: Duration) -> Result<Self, ServerError> {
        let first = Catalogue::read(&root, None)?.ok_or_else(|| ServerError::Repository {
            path: root.clone(),
            source: std::io::ErrorKind::NotFound.into(),
        })?;
        let last_look = Mutex::new(Look { at: Instant::now(), complaint: None });
        Ok(Self { root, look_interval, catalogue: RwLock::new(Arc::new(first)), last_look })
    }

    /// The repository's folder.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The repository's catalogue, at most the look interval old. One request looks for a change;
    /// the others get the old catalogue meanwhile. The old one also stays when the new one cannot
    /// be read.
    pub(super) async fn catalogue(&self) -> Arc<Catalogue> {
        if let Ok(mut look) = self.last_look.try_lock()
            && look.at.elapsed() >= self.look_interval
        {
            let (root, before) = (self.root.clone(), self.current());
            let outcome =
                tokio::task::spawn_blocking(move || Catalogue::read(&root, Some(&before))).await;
            look.at = Instant::now();
            match outcome {
                Ok(Ok(found)) => {
                    look.complaint = None;
                    if let Some(newer) = found {
                        tracing::info!(
                            version = newer.version,
                            releases = newer.releases.len(),
                            "the repository has changed"
                        );
                        *self.catalogue.write().unwrap_or_else(PoisonError::into_inner) =
                            Arc::new(newer);
                    }
                }
                Ok(Err(error)) => look.complain(error_chain::line(&error)),
                Err(panic) => look.complain(panic.to_string()),
            }
        }
        self.current()
    }

    fn current(&self) -> Arc<Catalogue> {
        self.catalogue.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Look {
    /// Logs each problem once, not once a second.
    fn complain(&mut self, cause: String) {
        if self.complaint.as_ref() != Some(&cause) {
            tracing::error!(
                cause,
                "the repository's new state cannot be read, its last one stays in use"
            );
            self.complaint = Some(cause);
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ServerError> {
    let failed = |source| ServerError::Repository { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(MAX_DOCUMENT_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_DOCUMENT_BYTES {
        Err(failed(std::io::ErrorKind::FileTooLarge.into()))
    } else {
        Ok(bytes)
    }
}

fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, ServerError> {
    serde_json::from_slice(bytes)
        .map_err(|source| ServerError::Form { path: path.to_owned(), source })
}

#[derive(Deserialize)]
struct Signed<T> {
    signed: T,
}

#[derive(Deserialize)]
struct Timestamp {
    version: u64,
    expires: jiff::Timestamp,
    meta: TimestampMeta,
}

#[derive(Deserialize)]
struct TimestampMeta {
    #[serde(rename = "snapshot.json")]
    snapshot: FileVersion,
}

#[derive(Deserialize)]
struct Expiring {
    #[serde(default)]
    expires: Option<jiff::Timestamp>,
}

#[derive(Deserialize)]
struct Snapshot {
    meta: BTreeMap<String, FileVersion>,
    #[serde(default)]
    expires: Option<jiff::Timestamp>,
}

impl Snapshot {
    /// The file of a role's document, if the snapshot names it.
    fn path_of(&self, metadata: &Path, role: &str) -> Option<PathBuf> {
        let file = self.meta.get(&format!("{role}.json"))?;
        Some(metadata.join(format!("{}.{role}.json", file.version)))
    }

    /// The files of the roles that hold this part of the releases of an app, channel and platform.
    fn paths_of(&self, metadata: &Path, part: RolePart) -> Vec<PathBuf> {
        let roles = self.meta.keys().filter_map(|name| name.strip_suffix(".json"));
        let roles = roles.filter(|role| RolePart::of(role) == Some(part) && is_plain_name(role));
        roles.filter_map(|role| self.path_of(metadata, role)).collect()
    }
}

#[derive(Deserialize)]
struct FileVersion {
    version: u64,
}

#[derive(Deserialize)]
struct Targets {
    targets: BTreeMap<String, TargetEntry>,
    #[serde(default)]
    expires: Option<jiff::Timestamp>,
}

#[derive(Deserialize)]
struct Patches {
    expires: jiff::Timestamp,
    targets: BTreeMap<String, TargetEntry>,
}

#[derive(Debug, Deserialize)]
struct TargetEntry {
    length: u64,
    hashes: Hashes,
    #[serde(default)]
    custom: BTreeMap<String, serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct Hashes {
    sha256: Digest,
}
