//! Makes and reads signed documents. It verifies a document before anything is built upon it.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use jiff::Timestamp as Time;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tough::schema::decoded::{Decoded, Hex};
use tough::schema::{
    DelegatedRole, Delegations, Hashes, Metafile, PathPattern, PathSet, Role, RoleKeys, RoleType,
    Root, Signature, Signed, Snapshot, Targets, Timestamp,
};

use super::error::{PublishError, at};
use super::keys::{KeyPair, Keyring, crypto};
use super::role::KeyRole;
use super::settings::Lifetimes;
use crate::model::Digest;
use crate::model::patch::PACK_SUFFIX;
use crate::trust::PATCHES_ROLE;

/// The version of the TUF specification that the metadata follows.
const SPECIFICATION: &str = "1.0.31";
/// Number of old snapshots and targets that are retained besides the current ones, for clients and
/// mirrors in the middle of a load.
const RETAINED_VERSIONS: u64 = 8;

/// A signed document and the bytes of its file.
#[derive(Clone, Debug)]
pub(super) struct SignedDocument<T> {
    pub(super) signed: Signed<T>,
    pub(super) bytes: Vec<u8>,
}

impl<T: Role> SignedDocument<T> {
    /// The entry by which the next document names this one.
    pub(super) fn metafile(&self) -> Metafile {
        let sha256 = Digest::of(&self.bytes).as_bytes().to_vec().into();
        Metafile {
            length: u64::try_from(self.bytes.len()).ok(),
            hashes: Some(Hashes { sha256, _extra: HashMap::new() }),
            version: self.signed.signed.version(),
            _extra: HashMap::new(),
        }
    }
}

/// Signs `document` with every available key that one of `roots` names for its role. The signatures
/// must satisfy the last of `roots`; they satisfy the earlier ones if those keys are available (see
/// [`satisfies`]). `extra` are keys of this role that were made just now.
pub(super) fn sign<T: Role + Serialize + Clone>(
    document: T,
    roots: &[&Root],
    keyring: &Keyring,
    extra: &[KeyPair],
) -> Result<SignedDocument<T>, PublishError> {
    let role = KeyRole::of(T::TYPE)
        .ok_or_else(|| PublishError::Options(format!("{} is no role here", T::TYPE)))?;
    let mut keys: Vec<KeyPair> = extra.to_vec();
    for root in roots {
        let found = keyring.available(role, key_ids(root, role), &keys)?;
        keys.extend(found);
    }
    let document = signed_with(document, &mut keys)?;
    if let Some(root) = roots.last().filter(|root| !satisfies(root, &document.signed)) {
        let ids = key_ids(root, role);
        let ours = keys.iter().filter(|key| ids.contains(key.id())).count();
        return Err(keyring.missing(role, ids, threshold(root, role).get(), ours));
    }
    Ok(document)
}

/// Signs the list of patches with every available key that `targets` names for it. `extra` are keys
/// that were made just now.
pub(super) fn sign_patches(
    document: Targets,
    targets: &Targets,
    keyring: &Keyring,
    extra: &[KeyPair],
) -> Result<SignedDocument<Targets>, PublishError> {
    let (delegations, role) = delegation(targets).ok_or(PublishError::NoPatchesRole)?;
    let mut keys: Vec<KeyPair> = extra.to_vec();
    let found = keyring.available(KeyRole::Patches, &role.keyids, &keys)?;
    keys.extend(found);
    let document = signed_with(document, &mut keys)?;
    if delegations.verify_role(&document.signed, PATCHES_ROLE).is_err() {
        let ours = keys.iter().filter(|key| role.keyids.contains(key.id())).count();
        return Err(keyring.missing(KeyRole::Patches, &role.keyids, role.threshold.get(), ours));
    }
    Ok(document)
}

fn signed_with<T: Role + Serialize>(
    document: T,
    keys: &mut [KeyPair],
) -> Result<SignedDocument<T>, PublishError> {
    keys.sort_by(|a, b| a.id().cmp(b.id()));
    let message = document.canonical_form().map_err(|error| crypto("sign metadata", error))?;
    let signatures = keys
        .iter()
        .map(|key| Signature { keyid: key.id().clone(), sig: key.sign(&message).into() })
        .collect();
    let signed = Signed { signed: document, signatures };
    // By way of a value, whose keys are ordered, so that the same document has the same bytes.
    let value = serde_json::to_value(&signed).map_err(|error| crypto("write metadata", error))?;
    // Roots are few, and people read them to compare key ids. Every byte of other documents is part
    // of every check.
    let bytes = if T::TYPE == RoleType::Root {
        serde_json::to_vec_pretty(&value).map(|mut bytes| {
            bytes.push(b'\n');
            bytes
        })
    } else {
        serde_json::to_vec(&value)
    };
    Ok(SignedDocument { signed, bytes: bytes.map_err(|error| crypto("write metadata", error))? })
}

/// Whether enough of the keys in `root` have signed `document`.
pub(super) fn satisfies<T: Role + Serialize>(root: &Root, document: &Signed<T>) -> bool {
    root.verify_role(document).is_ok()
}

/// An empty targets document.
pub(super) fn new_targets(
    version: NonZeroU64,
    now: Time,
    lifetimes: &Lifetimes,
) -> Result<Targets, PublishError> {
    let mut targets =
        Targets::new(SPECIFICATION.to_owned(), version, lifetimes.expiry(KeyRole::Targets, now)?);
    targets.delegations = None;
    Ok(targets)
}

/// An empty list of patches.
pub(super) fn new_patches(
    version: NonZeroU64,
    now: Time,
    lifetimes: &Lifetimes,
) -> Result<Targets, PublishError> {
    let mut patches =
        Targets::new(SPECIFICATION.to_owned(), version, lifetimes.expiry(KeyRole::Patches, now)?);
    patches.delegations = None;
    Ok(patches)
}

/// Makes `keys` the keys of the role for patches, to which `targets` delegates. The role can name
/// packs and nothing else.
pub(super) fn delegate(
    targets: &mut Targets,
    keys: &[KeyPair],
    threshold: NonZeroU64,
) -> Result<(), PublishError> {
    let pattern = PathPattern::new(format!("*{PACK_SUFFIX}"))
        .map_err(|error| crypto("delegate to the role for patches", error))?;
    let role = DelegatedRole {
        name: PATCHES_ROLE.to_owned(),
        keyids: keys.iter().map(|key| key.id().clone()).collect(),
        threshold,
        paths: PathSet::Paths(vec![pattern]),
        terminating: false,
        targets: None,
    };
    let delegations = targets
        .delegations
        .get_or_insert_with(|| Delegations { keys: HashMap::new(), roles: Vec::new() });
    delegations.roles.retain(|other| other.name != PATCHES_ROLE);
    delegations.roles.push(role);
    delegations.keys.extend(keys.iter().map(|key| (key.id().clone(), key.public())));
    let roles = &delegations.roles;
    delegations.keys.retain(|id, _| roles.iter().any(|role| role.keyids.contains(id)));
    Ok(())
}

/// The role for patches, if `targets` delegates to it.
pub(super) fn delegation(targets: &Targets) -> Option<(&Delegations, &DelegatedRole)> {
    let delegations = targets.delegations.as_ref()?;
    delegations.roles.iter().find(|role| role.name == PATCHES_ROLE).map(|role| (delegations, role))
}

/// The file name of a version of the list of patches.
pub(super) fn patches_file(patches: &SignedDocument<Targets>) -> String {
    format!("{}.{PATCHES_ROLE}.json", patches.signed.signed.version)
}

/// A snapshot of `targets` and of the list of patches, if there is one.
pub(super) fn new_snapshot(
    version: NonZeroU64,
    targets: &SignedDocument<Targets>,
    patches: Option<&SignedDocument<Targets>>,
    now: Time,
    lifetimes: &Lifetimes,
) -> Result<Snapshot, PublishError> {
    let mut snapshot =
        Snapshot::new(SPECIFICATION.to_owned(), version, lifetimes.expiry(KeyRole::Snapshot, now)?);
    snapshot.meta.insert("targets.json".to_owned(), targets.metafile());
    snapshot
        .meta
        .extend(patches.map(|patches| (format!("{PATCHES_ROLE}.json"), patches.metafile())));
    Ok(snapshot)
}

/// A timestamp of `snapshot`.
pub(super) fn new_timestamp(
    version: NonZeroU64,
    snapshot: &SignedDocument<Snapshot>,
    now: Time,
    lifetimes: &Lifetimes,
) -> Result<Timestamp, PublishError> {
    let mut timestamp = Timestamp::new(
        SPECIFICATION.to_owned(),
        version,
        lifetimes.expiry(KeyRole::Timestamp, now)?,
    );
    timestamp.meta.insert("snapshot.json".to_owned(), snapshot.metafile());
    Ok(timestamp)
}

/// The first root, which has no keys yet.
pub(super) fn new_root(now: Time, lifetimes: &Lifetimes) -> Result<Root, PublishError> {
    Ok(Root {
        spec_version: SPECIFICATION.to_owned(),
        consistent_snapshot: true,
        version: NonZeroU64::MIN,
        expires: lifetimes.expiry(KeyRole::Root, now)?,
        keys: HashMap::new(),
        roles: HashMap::new(),
        _extra: HashMap::new(),
    })
}

/// Makes `keys` the keys of `role`, and removes keys that no role names any more.
pub(super) fn set_keys(root: &mut Root, role: KeyRole, keys: &[KeyPair], threshold: NonZeroU64) {
    root.keys.extend(keys.iter().map(|key| (key.id().clone(), key.public())));
    let keyids = keys.iter().map(|key| key.id().clone()).collect();
    root.roles.insert(role.tuf(), RoleKeys { keyids, threshold, _extra: HashMap::new() });
    let roles = &root.roles;
    root.keys.retain(|id, _| roles.values().any(|keys| keys.keyids.contains(id)));
}

/// A repository's current metadata, verified from the newest root down.
#[derive(Debug)]
pub(super) struct Current {
    folder: PathBuf,
    /// New documents have at least this version number; clients may have seen higher ones than this
    /// folder has.
    pub(super) at_least: u64,
    pub(super) root: SignedDocument<Root>,
    pub(super) timestamp: SignedDocument<Timestamp>,
    pub(super) snapshot: SignedDocument<Snapshot>,
    pub(super) targets: SignedDocument<Targets>,
    /// `None` in a repository that was made before there were patches.
    pub(super) patches: Option<SignedDocument<Targets>>,
}

impl Current {
    /// Reads `folder`, the folder `metadata` of a repository.
    pub(super) fn read(folder: &Path) -> Result<Self, PublishError> {
        let newest = versions_on_disk(folder, KeyRole::Root)?.into_iter().max().unwrap_or(1);
        let root: SignedDocument<Root> = read(folder, &format!("{newest}.root.json"))?;
        let timestamp: SignedDocument<Timestamp> = read(folder, "timestamp.json")?;
        let snapshot: SignedDocument<Snapshot> =
            follow(folder, "snapshot.json", timestamp.signed.signed.meta.get("snapshot.json"))?;
        let targets: SignedDocument<Targets> =
            follow(folder, "targets.json", snapshot.signed.signed.meta.get("targets.json"))?;
        let patches = match delegation(&targets.signed.signed) {
            None => None,
            Some((delegations, _)) => {
                let name = format!("{PATCHES_ROLE}.json");
                let patches: SignedDocument<Targets> =
                    follow(folder, &name, snapshot.signed.signed.meta.get(&name))?;
                delegations.verify_role(&patches.signed, PATCHES_ROLE).map_err(|error| {
                    PublishError::Damaged {
                        file: patches_file(&patches),
                        reason: error.to_string(),
                    }
                })?;
                Some(patches)
            }
        };
        let verified = root.signed.signed.version.get() == newest
            && satisfies(&root.signed.signed, &root.signed)
            && satisfies(&root.signed.signed, &timestamp.signed)
            && satisfies(&root.signed.signed, &snapshot.signed)
            && satisfies(&root.signed.signed, &targets.signed);
        if !verified {
            let reason = "the root's keys did not sign all of the metadata".to_owned();
            return Err(PublishError::Damaged { file: format!("{newest}.root.json"), reason });
        }
        Ok(Self {
            folder: folder.to_owned(),
            at_least: 0,
            root,
            timestamp,
            snapshot,
            targets,
            patches,
        })
    }

    /// Until when the last signature holds.
    pub(super) fn timestamp_expires(&self) -> Time {
        self.timestamp.signed.signed.expires
    }

    /// When each role expires.
    pub(super) fn expiries(&self) -> Vec<(KeyRole, Time)> {
        let patches =
            self.patches.as_ref().map(|patches| (KeyRole::Patches, patches.signed.signed.expires));
        let others = [
            (KeyRole::Root, self.root.signed.signed.expires),
            (KeyRole::Targets, self.targets.signed.signed.expires),
            (KeyRole::Snapshot, self.snapshot.signed.signed.expires),
            (KeyRole::Timestamp, self.timestamp.signed.signed.expires),
        ];
        others.into_iter().chain(patches).collect()
    }

    pub(super) fn key_ids(&self, role: KeyRole) -> &[Decoded<Hex>] {
        match role {
            KeyRole::Patches => delegation(&self.targets.signed.signed)
                .map_or(&[], |(_, role)| role.keyids.as_slice()),
            _ => key_ids(&self.root.signed.signed, role),
        }
    }

    /// A version number that no file of this role ever had here. A publisher that was killed may
    /// have left files. These are never overwritten, so a cache that has seen such a file serves
    /// nothing wrong.
    pub(super) fn next_version(&self, role: KeyRole) -> Result<NonZeroU64, PublishError> {
        let current = match role {
            KeyRole::Root => self.root.signed.signed.version.get(),
            KeyRole::Targets => self.targets.signed.signed.version.get(),
            KeyRole::Snapshot => self.snapshot.signed.signed.version.get(),
            KeyRole::Timestamp => self.timestamp.signed.signed.version.get(),
            KeyRole::Patches => self.patches_version(),
        };
        let highest =
            versions_on_disk(&self.folder, role)?.into_iter().chain([current]).max().unwrap_or(0);
        // Roots are a chain without gaps.
        let at_least = if role == KeyRole::Root { 0 } else { self.at_least };
        let next = highest.checked_add(1).map(|next| next.max(at_least)).and_then(NonZeroU64::new);
        next.ok_or_else(|| {
            PublishError::Options(format!("the {role} role has used up its version numbers"))
        })
    }

    /// Version of the list of patches; 0 if there is none yet.
    fn patches_version(&self) -> u64 {
        self.patches.as_ref().map_or(0, |patches| patches.signed.signed.version.get())
    }

    /// Snapshots, targets and lists of patches that nobody needs once the `next` versions are
    /// current.
    pub(super) fn outdated(
        &self,
        role: KeyRole,
        next: NonZeroU64,
    ) -> Result<Vec<PathBuf>, PublishError> {
        let current = match role {
            KeyRole::Snapshot => self.snapshot.signed.signed.version.get(),
            KeyRole::Targets => self.targets.signed.signed.version.get(),
            KeyRole::Patches => self.patches_version(),
            // Clients need the whole chain of roots, and there is only one timestamp.
            KeyRole::Root | KeyRole::Timestamp => return Ok(Vec::new()),
        };
        let versions = versions_on_disk(&self.folder, role)?.into_iter();
        let old = versions.filter(|version| {
            *version != current && version.saturating_add(RETAINED_VERSIONS) < next.get()
        });
        Ok(old.map(|version| self.folder.join(format!("{version}.{role}.json"))).collect())
    }
}

/// Reads the file that `entry` names, and checks its length, digest and version.
fn follow<T: Role + DeserializeOwned>(
    folder: &Path,
    name: &str,
    entry: Option<&Metafile>,
) -> Result<SignedDocument<T>, PublishError> {
    let damaged = |file: &str, reason: &str| PublishError::Damaged {
        file: file.to_owned(),
        reason: reason.to_owned(),
    };
    let entry = entry.ok_or_else(|| damaged(name, "it is not listed"))?;
    let file = format!("{}.{name}", entry.version);
    let document: SignedDocument<T> = read(folder, &file)?;
    if document.metafile() != *entry {
        return Err(damaged(&file, "its length, digest or version is not the listed one"));
    }
    Ok(document)
}

fn read<T: DeserializeOwned>(folder: &Path, file: &str) -> Result<SignedDocument<T>, PublishError> {
    let path = folder.join(file);
    let bytes = std::fs::read(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => PublishError::Incomplete { path },
        _ => at(&path)(error),
    })?;
    let signed = serde_json::from_slice(&bytes).map_err(|error| PublishError::Damaged {
        file: file.to_owned(),
        reason: error.to_string(),
    })?;
    Ok(SignedDocument { signed, bytes })
}

/// The version numbers of a role's files, in any order.
fn versions_on_disk(folder: &Path, role: KeyRole) -> Result<Vec<u64>, PublishError> {
    let end = format!(".{role}.json");
    let mut versions = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(at(folder))? {
        let name = entry.map_err(at(folder))?.file_name();
        versions.extend(
            name.to_str()
                .and_then(|name| name.strip_suffix(&end))
                .and_then(|number| number.parse::<u64>().ok()),
        );
    }
    Ok(versions)
}

/// The keys of a role that `root` names.
pub(super) fn key_ids(root: &Root, role: KeyRole) -> &[Decoded<Hex>] {
    root.roles.get(&role.tuf()).map(|keys| keys.keyids.as_slice()).unwrap_or_default()
}

/// How many keys of `role` must sign.
pub(super) fn threshold(root: &Root, role: KeyRole) -> NonZeroU64 {
    root.roles.get(&role.tuf()).map_or(NonZeroU64::MIN, |keys| keys.threshold)
}

/// The threshold, if this many keys can meet it.
pub(super) fn checked_threshold(keys: usize, threshold: u64) -> Result<NonZeroU64, PublishError> {
    let fits = |threshold: &NonZeroU64| {
        usize::try_from(threshold.get()).is_ok_and(|threshold| threshold <= keys)
    };
    let message = "the root threshold must be between 1 and the number of root keys";
    NonZeroU64::new(threshold).filter(fits).ok_or_else(|| PublishError::Options(message.to_owned()))
}
