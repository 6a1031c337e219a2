//! Makes and reads signed documents. It verifies a document before anything is built upon it.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU64;

use jiff::Timestamp as Time;
use serde::Serialize;
use tough::schema::decoded::{Decoded, Hex};
use tough::schema::{
    DelegatedRole, Delegations, Hashes, Metafile, PathPattern, PathSet, Role, RoleKeys, RoleType,
    Root, Signature, Signed, Snapshot, Targets, Timestamp,
};

use super::error::PublishError;
use super::keys::{KeyPair, Keyring, crypto};
use super::role::KeyRole;
use super::settings::Lifetimes;
use crate::model::Digest;
use crate::model::patch::PACK_SUFFIX;
use crate::trust::{PATCHES_ROLE, RolePart, WORD_SUFFIX};

/// The version of the TUF specification that the metadata follows.
const SPECIFICATION: &str = "1.0.31";

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
    sign_role(PATCHES_ROLE, document, targets, keyring, extra)
}

/// Signs the document of the role `name` with every available key that `targets` names for it.
/// `extra` are keys that were made just now.
pub(super) fn sign_role(
    name: &str,
    document: Targets,
    targets: &Targets,
    keyring: &Keyring,
    extra: &[KeyPair],
) -> Result<SignedDocument<Targets>, PublishError> {
    let signer = signer_of(name);
    let missing = match signer {
        KeyRole::Rollout => PublishError::NoRolloutRole,
        _ => PublishError::NoPatchesRole,
    };
    let (delegations, role) = delegation(targets, name).ok_or(missing)?;
    let mut keys: Vec<KeyPair> = extra.to_vec();
    let found = keyring.available(signer, &role.keyids, &keys)?;
    keys.extend(found);
    let document = signed_with(document, &mut keys)?;
    if delegations.verify_role(&document.signed, name).is_err() {
        let ours = keys.iter().filter(|key| role.keyids.contains(key.id())).count();
        return Err(keyring.missing(signer, &role.keyids, role.threshold.get(), ours));
    }
    Ok(document)
}

/// Whose keys sign the document of a delegated role.
pub(super) fn signer_of(role: &str) -> KeyRole {
    match RolePart::of(role) {
        Some(RolePart::Offer | RolePart::History) => KeyRole::Targets,
        Some(RolePart::Words) => KeyRole::Rollout,
        Some(RolePart::Patches) | None => KeyRole::Patches,
    }
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
    new_role(PATCHES_ROLE, version, now, lifetimes)
}

/// An empty document of a delegated role.
pub(super) fn new_role(
    name: &str,
    version: NonZeroU64,
    now: Time,
    lifetimes: &Lifetimes,
) -> Result<Targets, PublishError> {
    let expires = lifetimes.expiry(signer_of(name), now)?;
    let mut document = Targets::new(SPECIFICATION.to_owned(), version, expires);
    document.delegations = None;
    Ok(document)
}

/// Makes `keys` the keys of the role for patches, or for words, to which `targets` delegates. The
/// role can name packs, or words, and nothing else.
pub(super) fn delegate(
    targets: &mut Targets,
    role: KeyRole,
    keys: &[KeyPair],
    threshold: NonZeroU64,
) -> Result<(), PublishError> {
    let suffix = if role == KeyRole::Rollout { WORD_SUFFIX } else { PACK_SUFFIX };
    let pattern = PathPattern::new(format!("*{suffix}"))
        .map_err(|error| crypto("delegate to a role for the online keys", error))?;
    let name = role.to_string();
    let role = DelegatedRole {
        name: name.clone(),
        keyids: keys.iter().map(|key| key.id().clone()).collect(),
        threshold,
        paths: PathSet::Paths(vec![pattern]),
        terminating: false,
        targets: None,
    };
    let delegations = targets
        .delegations
        .get_or_insert_with(|| Delegations { keys: HashMap::new(), roles: Vec::new() });
    delegations.roles.retain(|other| other.name != name);
    delegations.roles.push(role);
    delegations.keys.extend(keys.iter().map(|key| (key.id().clone(), key.public())));
    let roles = &delegations.roles;
    delegations.keys.retain(|id, _| roles.iter().any(|role| role.keyids.contains(id)));
    Ok(())
}

/// The role `name`, if `targets` delegates to it.
pub(super) fn delegation<'a>(
    targets: &'a Targets,
    name: &str,
) -> Option<(&'a Delegations, &'a DelegatedRole)> {
    let delegations = targets.delegations.as_ref()?;
    delegations.roles.iter().find(|role| role.name == name).map(|role| (delegations, role))
}

/// The file name of a version of a role's document.
pub(super) fn role_file(name: &str, document: &SignedDocument<Targets>) -> String {
    format!("{}.{name}.json", document.signed.signed.version)
}

/// The documents of delegated roles, by the role's name.
pub(super) type RoleDocuments = BTreeMap<String, SignedDocument<Targets>>;

/// A snapshot of `targets` and of the documents of delegated roles.
pub(super) fn new_snapshot(
    version: NonZeroU64,
    targets: &SignedDocument<Targets>,
    roles: &RoleDocuments,
    now: Time,
    lifetimes: &Lifetimes,
) -> Result<Snapshot, PublishError> {
    let mut snapshot =
        Snapshot::new(SPECIFICATION.to_owned(), version, lifetimes.expiry(KeyRole::Snapshot, now)?);
    snapshot.meta.insert("targets.json".to_owned(), targets.metafile());
    for (name, document) in roles {
        let mut entry = document.metafile();
        // Every client fetches every byte of the snapshot. Each version of a document is signed
        // once, so its number names it.
        if RolePart::of(name).is_some() {
            (entry.length, entry.hashes) = (None, None);
        }
        snapshot.meta.insert(format!("{name}.json"), entry);
    }
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
