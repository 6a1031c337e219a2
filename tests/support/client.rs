//! An installation that asks mirrors, and the changes that a thief of the online keys makes to a
//! mirror.

use std::num::NonZeroU64;

use jiff::Timestamp;
use kuzflow::testing::trust::{MirrorFaultKind, Refreshed, Repository, Trust, TrustError};
use tough::schema::{Signed, Snapshot, Targets, Timestamp as TimestampRole};

use super::published::{Mirror, Publisher, forge, metafile};

/// An installation: the folder of its trusted state, and its shipped root.
pub struct Client {
    pub folder: tempfile::TempDir,
    pub trust: Trust,
}

impl Client {
    pub fn new(publisher: &Publisher) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let trust = Trust::new(folder.path().join("trust"), publisher.root());
        Self { folder, trust }
    }

    pub fn state(&self) -> std::path::PathBuf {
        self.folder.path().join("trust")
    }

    pub async fn refresh(
        &self,
        mirrors: impl IntoIterator<Item = Mirror>,
        now: Timestamp,
    ) -> Result<Refreshed, TrustError> {
        let mirrors: Vec<_> = mirrors.into_iter().map(Mirror::boxed).collect();
        self.trust.refresh(&mirrors, now).await
    }

    pub async fn accepts(&self, mirror: Mirror, now: Timestamp) -> Repository {
        let refreshed = self.refresh([mirror], now).await.unwrap();
        assert!(refreshed.faults.is_empty());
        refreshed.repository
    }

    /// Asserts that the client refuses the mirror with this fault, and uses nothing of it.
    pub async fn refuses(&self, mirror: Mirror, now: Timestamp, kind: MirrorFaultKind) -> String {
        let before = self.trust.cached();
        let error = self.refresh([mirror], now).await.unwrap_err();
        assert_eq!(error.fault(), Some(kind), "{error}");
        assert_eq!(self.trust.cached(), before, "a refused mirror left something behind: {error}");
        error.to_string()
    }

    /// Asserts that the client reports the mirror as lagging, and retains its trusted metadata.
    pub async fn goes_on_without(&self, mirror: Mirror, now: Timestamp) {
        let before = self.trust.cached();
        let refreshed = self.refresh([mirror], now).await.unwrap();
        let kinds: Vec<_> = refreshed.faults.iter().map(|fault| fault.kind).collect();
        assert_eq!(kinds, [MirrorFaultKind::Behind]);
        assert_eq!(Some(refreshed.repository), before);
        assert_eq!(self.trust.cached(), before);
    }
}

pub fn versions(repository: &Repository) -> Vec<String> {
    repository.releases.iter().map(|signed| signed.release.container.version.to_string()).collect()
}

pub fn version(number: u64) -> NonZeroU64 {
    NonZeroU64::new(number).unwrap()
}

/// Makes `mirror` consistent again above changed documents: the work of a thief of the online keys.
pub fn resign(
    mirror: &mut Mirror,
    publisher: &Publisher,
    targets: &Signed<Targets>,
    snapshot_version: u64,
    timestamp_version: u64,
) {
    let mut snapshot = mirror_snapshot(mirror);
    snapshot.signed.version = version(snapshot_version);
    let meta = snapshot.signed.meta.get_mut("targets.json").unwrap();
    (meta.version, meta.length, meta.hashes) = (targets.signed.version, None, None);
    let snapshot = forge(snapshot.signed, &publisher.key_files("snapshot"));
    mirror.put(&snapshot);
    let mut timestamp: Signed<TimestampRole> = mirror.document("timestamp.json");
    timestamp.signed.version = version(timestamp_version);
    let meta = timestamp.signed.meta.get_mut("snapshot.json").unwrap();
    (meta.version, meta.length, meta.hashes) = (snapshot.signed.version, None, None);
    mirror.put(&forge(timestamp.signed, &publisher.key_files("timestamp")));
}

/// Puts another list of patches in place, signed with `keys`, under a new snapshot and timestamp.
/// This is the work of a thief of the snapshot's and the timestamp's keys, or of a fault in the
/// publisher's own tool.
pub fn resign_patches(
    mirror: &mut Mirror,
    publisher: &Publisher,
    patches: Targets,
    keys: &[std::path::PathBuf],
) {
    let patches = forge(patches, keys);
    let mut snapshot = mirror_snapshot(mirror);
    snapshot.signed.version = next(snapshot.signed.version);
    snapshot.signed.meta.insert("patches.json".to_owned(), metafile(&patches));
    let location = format!("metadata/{}.patches.json", patches.signed.version);
    mirror.files.insert(location, serde_json::to_vec(&patches).unwrap());
    let snapshot = forge(snapshot.signed, &publisher.key_files("snapshot"));
    mirror.put(&snapshot);
    let mut timestamp: Signed<TimestampRole> = mirror.document("timestamp.json");
    timestamp.signed.version = next(timestamp.signed.version);
    timestamp.signed.meta.insert("snapshot.json".to_owned(), metafile(&snapshot));
    mirror.put(&forge(timestamp.signed, &publisher.key_files("timestamp")));
}

pub fn next(version: NonZeroU64) -> NonZeroU64 {
    version.checked_add(1).unwrap()
}

/// The list of patches, and its path.
pub fn mirror_patches(mirror: &Mirror) -> (Signed<Targets>, String) {
    let name =
        format!("{}.patches.json", mirror_snapshot(mirror).signed.meta["patches.json"].version);
    (mirror.document(&name), format!("metadata/{name}"))
}

pub fn packs(repository: &Repository) -> Vec<String> {
    repository.patches.iter().map(|pack| pack.target.clone()).collect()
}

pub fn mirror_snapshot(mirror: &Mirror) -> Signed<Snapshot> {
    let timestamp: Signed<TimestampRole> = mirror.document("timestamp.json");
    mirror.document(&format!("{}.snapshot.json", timestamp.signed.meta["snapshot.json"].version))
}

pub fn mirror_targets(mirror: &Mirror) -> Signed<Targets> {
    mirror.document(&format!(
        "{}.targets.json",
        mirror_snapshot(mirror).signed.meta["targets.json"].version
    ))
}
