//! The role that signs patch packs: delegated by the targets role to online keys, for names that end in `.kuzpatch` and nothing
//! else.
//!
//! `tough` loads delegated roles together with all the others, so that a broken one ends the whole load. Packs only save bytes:
//! whatever is wrong with their role must not keep a release from anybody. So `tough` is not given this role's document (see
//! [`super::source`]), it is verified here, and what is wrong with it means that there are no packs.
//! A rollback of it is still noticed by `tough`, since the snapshot names its version.

use std::collections::HashMap;

use serde::Deserialize as _;
use tough::TargetName;
use tough::schema::{self, Delegations, Metafile, Signed, Snapshot, Targets};

use super::error::Cause;
use super::repository::{is_plain_name, signed_length_and_hash};
use crate::model::patch::{PACK_SUFFIX, Patch, SignedPatch};
use crate::model::release::SignedRelease;
use crate::model::{ContainerId, Digest};

/// The name of the delegated role that signs patch packs.
pub const PATCHES_ROLE: &str = "patches";
/// The key in a target's custom metadata that holds its [`Patch`].
pub const PATCH_KEY: &str = "patch";

/// The role's document as the other roles want it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    delegations: &'a Delegations,
    file: &'a Metafile,
}

/// What `targets` and `snapshot` say of the role; `None` if the repository has no such role.
pub(super) fn wanted<'a>(targets: &'a Targets, snapshot: &'a Snapshot) -> Option<Wanted<'a>> {
    let delegations = targets.delegations.as_ref()?;
    delegations.roles.iter().find(|role| role.name == PATCHES_ROLE)?;
    let file = snapshot.meta.get(&format!("{PATCHES_ROLE}.json"));
    if file.is_none() {
        tracing::warn!("the snapshot does not name the document of the role {PATCHES_ROLE}: there are no patches");
    }
    Some(Wanted { delegations, file: file? })
}

impl Wanted<'_> {
    /// Where mirrors have it.
    pub(super) fn location(&self) -> String {
        format!("metadata/{}.{PATCHES_ROLE}.json", self.file.version)
    }

    /// How long it may be, bytes; `most` if the snapshot does not say it.
    pub(super) fn limit(&self, most: u64) -> u64 {
        self.file.length.unwrap_or(most).min(most)
    }

    /// Whether these are the bytes that the snapshot means, as far as it says.
    pub(super) fn is(&self, bytes: &[u8]) -> bool {
        let length = self.file.length.is_none_or(|length| bytes.len() as u64 == length);
        length && self.file.hashes.as_ref().is_none_or(|hashes| Digest::of(bytes).as_bytes()[..] == hashes.sha256[..])
    }

    /// The document in `bytes`, if it is the wanted one and the role's keys signed it.
    pub(super) fn verify(&self, bytes: &[u8]) -> Result<Signed<Targets>, Cause> {
        if !self.is(bytes) {
            return Err("its length or digest is not the one in the snapshot".into());
        }
        let document: Signed<Targets> = serde_json::from_slice(bytes)?;
        self.delegations.verify_role(&document, PATCHES_ROLE)?;
        if document.signed.version != self.file.version {
            return Err(format!("its version is {}, not {}", document.signed.version, self.file.version).into());
        }
        Ok(document)
    }
}

/// The packs that `patches` signs. One that contradicts itself, its release, or what the role may sign is left out with a warning.
pub(super) fn packs(targets: &Targets, patches: &Targets, releases: &[SignedRelease]) -> Vec<SignedPatch> {
    let Some(role) = targets.delegations.iter().flat_map(|found| &found.roles).find(|role| role.name == PATCHES_ROLE) else {
        return Vec::new();
    };
    let role = Delegations { keys: HashMap::new(), roles: vec![role.clone()] };
    let manifests = releases.iter().map(|signed| (&signed.release.container, signed.release.manifest.hash)).collect();
    let mut packs = Vec::new();
    for (name, target) in &patches.targets {
        // The order of TUF: what the delegating role names itself, the delegated one cannot name differently.
        let read = if targets.targets.contains_key(name) {
            Err("the targets role names it as well".to_owned())
        } else {
            read_pack(&role, name, target, &manifests)
        };
        match read {
            Ok(pack) => packs.push(pack),
            Err(reason) => tracing::warn!("the patch {:?} is left out: {reason}", name.raw()),
        }
    }
    packs.sort_by(|a, b| a.target.cmp(&b.target));
    packs
}

fn read_pack(
    role: &Delegations,
    name: &TargetName,
    target: &schema::Target,
    manifests: &HashMap<&ContainerId, Digest>,
) -> Result<SignedPatch, String> {
    if !is_plain_name(name.raw()) || !name.raw().ends_with(PACK_SUFFIX) || !role.target_is_delegated(name) {
        return Err(format!("the role {PATCHES_ROLE} may not sign such a name"));
    }
    let (length, hash) = signed_length_and_hash(target)?;
    let value = target.custom.get(PATCH_KEY).ok_or_else(|| "it has no description".to_owned())?;
    let patch = Patch::deserialize(value).map_err(|error| error.to_string())?;
    let pack = SignedPatch { target: name.raw().to_owned(), length, hash, patch };
    pack.check().map_err(|error| error.to_string())?;
    match manifests.get(&pack.patch.to) {
        None => Err(format!("there is no release {}", pack.patch.to)),
        Some(manifest) if *manifest != pack.patch.target_manifest => {
            Err(format!("it makes another {} than the release", pack.patch.to))
        }
        Some(_) => Ok(pack),
    }
}
