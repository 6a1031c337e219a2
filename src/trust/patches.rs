//! The role that signs patch packs. The targets role delegates to it, with online keys, for names
//! that end in `.kuzpatch` and nothing else.
//!
//! Packs only save bytes: a fault of this role must not keep a release from any user. So its
//! document is verified separately, and a fault in it means that there are no packs. A rollback of
//! it is detected all the same, since the snapshot names its version.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Deserialize as _;

use super::document::{
    DelegatedRole, Delegations, MetaFile, SnapshotBody, TargetFile, TargetsBody, TufDocument,
    signed_length_and_hash,
};
use super::error::Refusal;
use super::names::{fits, is_plain_name};
use super::workflow::meant;
use crate::model::patch::{PACK_SUFFIX, Patch, SignedPatch};
use crate::model::release::SignedRelease;
use crate::model::{ContainerId, Digest};

/// The name of the delegated role that signs patch packs.
pub(crate) const PATCHES_ROLE: &str = "patches";
/// The key in a target's custom metadata that holds its [`Patch`].
pub(crate) const PATCH_KEY: &str = "patch";

/// The role's document as targets and snapshot describe it.
#[derive(Clone, Copy, Debug)]
pub(super) struct DescribedRole<'a> {
    delegations: &'a Delegations,
    role: &'a DelegatedRole,
    file: &'a MetaFile,
}

/// How `targets` and `snapshot` describe the role's document; `None` if the repository has no such
/// role.
pub(super) fn wanted<'a>(
    targets: &'a TargetsBody,
    snapshot: &'a SnapshotBody,
) -> Option<DescribedRole<'a>> {
    let delegations = targets.delegations.as_ref()?;
    let role = delegations.roles.iter().find(|role| role.name == PATCHES_ROLE)?;
    let file = snapshot.0.meta.get(&format!("{PATCHES_ROLE}.json"));
    if file.is_none() {
        tracing::warn!(
            "the snapshot does not name the document of the role {PATCHES_ROLE}: there are no patches"
        );
    }
    Some(DescribedRole { delegations, role, file: file? })
}

impl DescribedRole<'_> {
    /// The document's location on a mirror.
    pub(super) fn location(&self) -> String {
        format!("metadata/{}.{PATCHES_ROLE}.json", self.file.version)
    }

    /// The longest that the document may be, bytes; `most` if the snapshot gives no length.
    pub(super) fn limit(&self, most: u64) -> u64 {
        self.file.limit(most)
    }

    /// The verified document in `bytes`, if it is the wanted one and the role's keys signed it.
    pub(super) fn verify(&self, bytes: &[u8]) -> Result<TufDocument<TargetsBody>, Refusal> {
        meant(self.file, PATCHES_ROLE, bytes, &self.delegations.keys_of(self.role))
    }
}

/// Whether the list of patches has expired.
pub(super) fn have_expired(patches: &TufDocument<TargetsBody>, now: Timestamp) -> bool {
    let expires = patches.signed.expires;
    if expires < now {
        tracing::warn!("the list of patches expired at {expires}: there are none");
    }
    expires < now
}

/// The packs that `patches` signs. A pack that contradicts itself, its release, or the role's
/// rights is left out with a warning.
pub(super) fn packs(
    targets: &TargetsBody,
    patches: &TargetsBody,
    releases: &[SignedRelease],
) -> Vec<SignedPatch> {
    let Some(role) = targets
        .delegations
        .iter()
        .flat_map(|found| &found.roles)
        .find(|role| role.name == PATCHES_ROLE)
    else {
        return Vec::new();
    };
    let manifests = releases
        .iter()
        .map(|signed| (&signed.release.container, signed.release.manifest.hash))
        .collect();
    let mut packs = Vec::new();
    for (name, target) in &patches.targets {
        // TUF's order: a delegated role cannot redefine a name that the delegating role itself
        // names.
        let read = if targets.targets.contains_key(name) {
            Err("the targets role names it as well".to_owned())
        } else {
            read_pack(role, name, target, &manifests)
        };
        match read {
            Ok(pack) => packs.push(pack),
            Err(reason) => tracing::warn!("the patch {name:?} is left out: {reason}"),
        }
    }
    packs.sort_by(|a, b| a.target.cmp(&b.target));
    packs
}

fn read_pack(
    role: &DelegatedRole,
    name: &str,
    target: &TargetFile,
    manifests: &HashMap<&ContainerId, Digest>,
) -> Result<SignedPatch, String> {
    let delegated = role.paths.iter().flatten().any(|pattern| fits(pattern, name));
    if !is_plain_name(name) || !name.ends_with(PACK_SUFFIX) || !delegated {
        return Err(format!("the role {PATCHES_ROLE} may not sign such a name"));
    }
    let (length, hash) = signed_length_and_hash(target)?;
    let value = target.custom.get(PATCH_KEY).ok_or_else(|| "it has no description".to_owned())?;
    let patch = Patch::deserialize(value).map_err(|error| error.to_string())?;
    let pack = SignedPatch { target: name.to_owned(), length, hash, patch };
    pack.check().map_err(|error| error.to_string())?;
    match manifests.get(&pack.patch.to) {
        None => Err(format!("there is no release {}", pack.patch.to)),
        Some(manifest) if *manifest != pack.patch.target_manifest => {
            Err(format!("it makes another {} than the release", pack.patch.to))
        }
        Some(_) => Ok(pack),
    }
}
