//! The client workflow of the specification (5.3 to 5.6), step by step, without I/O and with time
//! as an argument. Each document that arrives is accepted, refused, or recognised as older than the
//! known one.

use jiff::Timestamp;
use tough::schema::{RoleType, Root};

use super::document::{
    self, Body as _, MetaFile, SnapshotBody, TargetsBody, Texts, TimestampBody, TufDocument,
    Unverified,
};
use super::error::{Expired, MirrorFaultKind, Refusal};
use super::role_names::RolePart;

/// Whether the two roles that only say "this is the newest" may have expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// They must not have expired.
    Required,
    /// They may have expired: a person was asked and agreed.
    Waived,
}

/// The documents that are trusted at a moment: the newest verified one of each role. They need not
/// fit together until a load has ended.
#[derive(Clone, Debug)]
pub(super) struct Trusted {
    pub(super) root: TufDocument<Root>,
    pub(super) timestamp: Option<TufDocument<TimestampBody>>,
    pub(super) snapshot: Option<TufDocument<SnapshotBody>>,
    pub(super) targets: Option<TufDocument<TargetsBody>>,
}

/// The three documents below the root, if they fit together.
#[derive(Clone, Debug)]
pub(super) struct Documents {
    pub(super) timestamp: TufDocument<TimestampBody>,
    pub(super) snapshot: TufDocument<SnapshotBody>,
    pub(super) targets: TufDocument<TargetsBody>,
    /// The documents of the delegated roles that hold releases and packs, see
    /// [`super::release_roles`]; those that a load does not need, or can do without, may be missing.
    pub(super) roles: Vec<RoleDocument>,
    /// Whether releases of this installation's app and platform are in roles that were not read.
    pub(super) lacks_history: bool,
}

/// The verified document of a role.
#[derive(Clone, Debug)]
pub(super) struct RoleDocument {
    pub(super) name: String,
    pub(super) part: RolePart,
    pub(super) document: TufDocument<TargetsBody>,
    /// Whether it has expired and counts in part: of words, the stops.
    pub(super) has_lapsed: bool,
}

fn refuse(reason: impl Into<String>) -> Refusal {
    Refusal::new(MirrorFaultKind::NotTrusted, reason.into())
}

impl Trusted {
    /// The documents in `texts` that the keys of `root` signed. Others are ignored.
    pub(super) fn remember(root: TufDocument<Root>, texts: &Texts) -> Self {
        fn read<T: document::Body>(text: Option<&String>, root: &Root) -> Option<TufDocument<T>> {
            let verified = Unverified::read(text?.as_bytes())
                .and_then(|unverified: Unverified<T>| unverified.verify(root));
            verified
                .inspect_err(|refusal| {
                    tracing::debug!("a stored document does not count: {}", refusal.cause)
                })
                .ok()
        }
        Self {
            timestamp: read(texts.timestamp.as_ref(), &root.signed),
            snapshot: read(texts.snapshot.as_ref(), &root.signed),
            targets: read(texts.targets.as_ref(), &root.signed),
            root,
        }
    }

    /// The documents, if the timestamp names the snapshot and the snapshot the targets.
    pub(super) fn documents(&self) -> Option<Documents> {
        let (timestamp, snapshot, targets) =
            (self.timestamp.clone()?, self.snapshot.clone()?, self.targets.clone()?);
        let fit = is_meant(snapshot_file(&timestamp).ok()?, &snapshot)
            && is_meant(targets_file(&snapshot).ok()?, &targets);
        fit.then_some(Documents {
            timestamp,
            snapshot,
            targets,
            roles: Vec::new(),
            lacks_history: false,
        })
    }

    /// 5.3.3 to 5.3.8, and 5.3.11: the next root. Returns whether it replaces keys of the timestamp
    /// or the snapshot, so that their documents are dropped. That is how clients recover from
    /// version numbers that were driven up with stolen keys.
    pub(super) fn next_root(&mut self, bytes: &[u8]) -> Result<bool, Refusal> {
        let next = document::root(bytes)?;
        Unverified::<Root>::read(bytes)?.is_signed_by(&self.root.signed)?;
        let (known, found) = (self.root.signed.version.get(), next.signed.version.get());
        if Some(found) != known.checked_add(1) {
            return Err(refuse(format!("the root after {known} has the version {found}")));
        }
        let replaced = |role| !self.root.signed.keys(role).eq(next.signed.keys(role));
        let forget = replaced(RoleType::Timestamp) || replaced(RoleType::Snapshot);
        if forget {
            (self.timestamp, self.snapshot) = (None, None);
        }
        self.root = next;
        Ok(forget)
    }

    /// 5.3.10, once there is no newer root. Also, file names must contain versions and digests,
    /// since clients ask nodes for those names.
    pub(super) fn check_root(&self, now: Timestamp) -> Result<(), Refusal> {
        not_expired("root", self.root.signed.expires, now, Freshness::Required)?;
        if self.root.signed.consistent_snapshot {
            Ok(())
        } else {
            Err(Refusal::new(
                MirrorFaultKind::Unusable,
                "the repository has no consistent snapshots".to_owned(),
            ))
        }
    }

    /// 5.4.2 to 5.4.5: a timestamp that arrived.
    pub(super) fn timestamp(
        &mut self,
        bytes: &[u8],
        now: Timestamp,
        freshness: Freshness,
    ) -> Result<(), Refusal> {
        let found: TufDocument<TimestampBody> =
            Unverified::read(bytes)?.verify(&self.root.signed)?;
        let meant = snapshot_file(&found)?.version;
        if let Some(known) = &self.timestamp {
            let versions = (known.signed.version(), found.signed.version());
            if versions.1 < versions.0 {
                let cause = format!(
                    "its timestamp is number {}, {} was seen before",
                    versions.1, versions.0
                );
                return Err(Refusal::new(MirrorFaultKind::Behind, cause));
            }
            if versions.1 == versions.0 {
                // The known timestamp stays in force, whatever the other one says.
                return not_expired("timestamp", known.signed.expires(), now, freshness);
            }
            let before = snapshot_file(known)?.version;
            if meant < before {
                return Err(refuse(format!(
                    "a newer timestamp names the snapshot {meant}, an older one named {before}"
                )));
            }
        }
        not_expired("timestamp", found.signed.expires(), now, freshness)?;
        self.timestamp = Some(found);
        Ok(())
    }

    /// The snapshot that the timestamp names.
    pub(super) fn wanted_snapshot(&self) -> Result<&MetaFile, Refusal> {
        snapshot_file(self.timestamp.as_ref().ok_or_else(|| refuse("there is no timestamp"))?)
    }

    /// The targets that the snapshot names.
    pub(super) fn wanted_targets(&self) -> Result<&MetaFile, Refusal> {
        targets_file(self.snapshot.as_ref().ok_or_else(|| refuse("there is no snapshot"))?)
    }

    /// 5.5.2 to 5.5.7: a snapshot that arrived.
    pub(super) fn snapshot(
        &mut self,
        bytes: &[u8],
        now: Timestamp,
        freshness: Freshness,
    ) -> Result<(), Refusal> {
        let found: TufDocument<SnapshotBody> =
            meant(self.wanted_snapshot()?, "snapshot", bytes, &self.root.signed)?;
        for (name, before) in self.snapshot.iter().flat_map(|known| &known.signed.0.meta) {
            match found.signed.0.meta.get(name) {
                None => {
                    return Err(refuse(format!("a newer snapshot does not name {name} any more")));
                }
                Some(file) if file.version < before.version => {
                    return Err(refuse(format!(
                        "a newer snapshot names {name} {}, an older one {}",
                        file.version, before.version
                    )));
                }
                Some(_) => {}
            }
        }
        targets_file(&found)?;
        not_expired("snapshot", found.signed.expires(), now, freshness)?;
        self.snapshot = Some(found);
        Ok(())
    }

    /// 5.5.6 for a snapshot that was known already.
    pub(super) fn check_snapshot(
        &self,
        now: Timestamp,
        freshness: Freshness,
    ) -> Result<(), Refusal> {
        let known = self.snapshot.as_ref().ok_or_else(|| refuse("there is no snapshot"))?;
        not_expired("snapshot", known.signed.expires(), now, freshness)
    }

    /// 5.6.2 to 5.6.6: the targets that arrived.
    pub(super) fn targets(&mut self, bytes: &[u8], now: Timestamp) -> Result<(), Refusal> {
        let found: TufDocument<TargetsBody> =
            meant(self.wanted_targets()?, "targets", bytes, &self.root.signed)?;
        not_expired("targets", found.signed.expires, now, Freshness::Required)?;
        self.targets = Some(found);
        Ok(())
    }

    /// Whether the known snapshot is the one that the timestamp names.
    pub(super) fn has_wanted_snapshot(&self) -> bool {
        self.wanted_snapshot()
            .is_ok_and(|file| self.snapshot.as_ref().is_some_and(|known| is_meant(file, known)))
    }

    /// Whether the known targets are those that the snapshot names.
    pub(super) fn has_wanted_targets(&self) -> bool {
        self.wanted_targets()
            .is_ok_and(|file| self.targets.as_ref().is_some_and(|known| is_meant(file, known)))
    }

    /// Takes every document of `other`, which has the same root, that is newer.
    pub(super) fn learn(&mut self, other: &Self) {
        fn version<T: document::Body>(document: &Option<TufDocument<T>>) -> Option<u64> {
            document.as_ref().map(|document| document.signed.version())
        }
        fn newer<T: document::Body + Clone>(
            known: &mut Option<TufDocument<T>>,
            found: &Option<TufDocument<T>>,
        ) {
            // A document with the same number counts too: a publisher's disk may have come back
            // from a backup.
            if found.is_some() && version(found) >= version(known) {
                known.clone_from(found);
            }
        }
        newer(&mut self.timestamp, &other.timestamp);
        let snapshots = (version(&self.snapshot), version(&other.snapshot));
        // The snapshot decides which targets count. They may be older ones after a new root has
        // undone a fast-forward.
        if other.snapshot.is_some() && snapshots.1 >= snapshots.0 {
            self.snapshot.clone_from(&other.snapshot);
            self.targets.clone_from(&other.targets);
        }
    }

    pub(super) fn texts(&self) -> Texts {
        Texts {
            timestamp: self.timestamp.as_ref().map(|document| document.text.clone()),
            snapshot: self.snapshot.as_ref().map(|document| document.text.clone()),
            targets: self.targets.as_ref().map(|document| document.text.clone()),
            ..Texts::default()
        }
    }
}

impl Documents {
    /// Whether nothing of them has expired; the expiries that can never be waived are checked
    /// first.
    pub(super) fn check(
        &self,
        root: &Root,
        now: Timestamp,
        freshness: Freshness,
    ) -> Result<(), Refusal> {
        not_expired("root", root.expires, now, Freshness::Required)?;
        not_expired("targets", self.targets.signed.expires, now, Freshness::Required)?;
        for role in self.roles.iter().filter(|role| role.part.holds_releases()) {
            not_expired("targets", role.document.signed.expires, now, Freshness::Required)?;
        }
        not_expired("timestamp", self.timestamp.signed.expires(), now, freshness)?;
        not_expired("snapshot", self.snapshot.signed.expires(), now, freshness)
    }
}

fn not_expired(
    role: &'static str,
    at: Timestamp,
    now: Timestamp,
    freshness: Freshness,
) -> Result<(), Refusal> {
    let waivable = matches!(role, "timestamp" | "snapshot");
    if at >= now || (waivable && freshness == Freshness::Waived) {
        return Ok(());
    }
    Err(Refusal { kind: MirrorFaultKind::Expired, cause: Expired { role, at, waivable }.into() })
}

fn snapshot_file(timestamp: &TufDocument<TimestampBody>) -> Result<&MetaFile, Refusal> {
    timestamp
        .signed
        .0
        .meta
        .get("snapshot.json")
        .ok_or_else(|| refuse("the timestamp names no snapshot"))
}

fn targets_file(snapshot: &TufDocument<SnapshotBody>) -> Result<&MetaFile, Refusal> {
    snapshot
        .signed
        .0
        .meta
        .get("targets.json")
        .ok_or_else(|| refuse("the snapshot names no targets"))
}

/// Whether a known document is the one that `file` names.
pub(super) fn is_meant<T: document::Body>(file: &MetaFile, known: &TufDocument<T>) -> bool {
    known.signed.version() == file.version.get() && file.is(known.text.as_bytes())
}

/// The verified document in `bytes`, if it is the one that another document names.
pub(super) fn meant<T: document::Body>(
    file: &MetaFile,
    role: &str,
    bytes: &[u8],
    keys: &Root,
) -> Result<TufDocument<T>, Refusal> {
    if !file.is(bytes) {
        return Err(document::foreign(role, bytes, file.length).unwrap_or_else(|| {
            refuse(format!(
                "the length or digest of the {role} document is not the one that is signed"
            ))
        }));
    }
    let found: TufDocument<T> = Unverified::read(bytes)?.verify(keys)?;
    let version = found.signed.version();
    if version != file.version.get() {
        return Err(refuse(format!(
            "the {role} document has the version {version}, {} was named",
            file.version
        )));
    }
    Ok(found)
}
