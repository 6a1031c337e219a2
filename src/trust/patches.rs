//! The roles that sign patch packs. The targets role delegates to them, with online keys, for names
//! that end in `.kuzpatch` and nothing else: one role for each kind of release, or, in a repository
//! from before there were these, the one role `patches`.
//!
//! Packs only save bytes: a fault of this role must not keep a release from any user. So its
//! document is verified separately, and a fault in it means that there are no packs. A rollback of
//! it is detected all the same, since the snapshot names its version.

use std::collections::HashMap;

use serde::Deserialize as _;

use super::document::{TargetFile, TargetsBody, signed_length_and_hash};
use super::names::is_plain_name;
use super::release_roles::may_name;
use super::role_names::{PATCHES_ROLE, ReleaseKind, RolePart};
use crate::model::patch::{PACK_SUFFIX, Patch, SignedPatch};
use crate::model::release::SignedRelease;
use crate::model::{ContainerId, Digest};

/// The key in a target's custom metadata that holds its [`Patch`].
pub(crate) const PATCH_KEY: &str = "patch";

/// The packs that the role `name` signs in `list`. A pack that contradicts itself, its release, or
/// the role's rights is left out with a warning.
pub(super) fn packs(
    targets: &TargetsBody,
    (name, list): (&str, &TargetsBody),
    releases: &[SignedRelease],
) -> Vec<SignedPatch> {
    let manifests = releases
        .iter()
        .filter(|signed| {
            let own = || ReleaseKind::of(&signed.release).role(RolePart::Patches);
            name == PATCHES_ROLE || name == own()
        })
        .map(|signed| (&signed.release.container, signed.release.manifest.hash))
        .collect();
    let mut packs = Vec::new();
    for (target_name, target) in &list.targets {
        // TUF's order: a delegated role cannot redefine a name that the delegating role itself
        // names.
        let read = if targets.targets.contains_key(target_name) {
            Err("the targets role names it as well".to_owned())
        } else if !may_name(targets, name, target_name) {
            Err(format!("the role {name} may not sign such a name"))
        } else {
            read_pack(target_name, target, &manifests)
        };
        match read {
            Ok(pack) => packs.push(pack),
            Err(reason) => tracing::warn!("the patch {target_name:?} is left out: {reason}"),
        }
    }
    packs
}

fn read_pack(
    name: &str,
    target: &TargetFile,
    manifests: &HashMap<&ContainerId, Digest>,
) -> Result<SignedPatch, String> {
    if !is_plain_name(name) || !name.ends_with(PACK_SUFFIX) {
        return Err("no role for patches may sign such a name".to_owned());
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
