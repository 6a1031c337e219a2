//! The current metadata of a repository, as its folder has it: read and verified before anything is
//! built upon it.
//!
//! In: the folder `metadata` of a repository. Out: its documents, the targets of all of them, and
//! the numbers of the next ones. Never: a signature, a change.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use jiff::Timestamp as Time;
use serde::de::DeserializeOwned;
use tough::TargetName;
use tough::schema::decoded::{Decoded, Hex};
use tough::schema::{Metafile, Role, Root, Snapshot, Target, Targets, Timestamp};

use super::error::{PublishError, at};
use super::form::MetadataForm;
use super::metadata::{
    RoleDocuments, SignedDocument, delegation, key_ids, role_file, satisfies, signer_of,
};
use super::role::KeyRole;
use crate::trust::{PATCHES_ROLE, RolePart};

/// Number of old versions of each role that are retained, for clients and mirrors in the middle of a
/// load.
const RETAINED_VERSIONS: usize = 8;

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
    /// The documents of delegated roles. A repository that was made before there were patches has
    /// none.
    pub(super) roles: RoleDocuments,
}

impl Current {
    /// Reads `folder`, the folder `metadata` of a repository.
    pub(super) fn read(folder: &Path) -> Result<Self, PublishError> {
        let newest = versions_on_disk(folder, "root")?.into_iter().max().unwrap_or(1);
        let root: SignedDocument<Root> = read(folder, &format!("{newest}.root.json"))?;
        let timestamp: SignedDocument<Timestamp> = read(folder, "timestamp.json")?;
        let snapshot: SignedDocument<Snapshot> =
            follow(folder, "snapshot.json", timestamp.signed.signed.meta.get("snapshot.json"))?;
        let targets: SignedDocument<Targets> =
            follow(folder, "targets.json", snapshot.signed.signed.meta.get("targets.json"))?;
        let roles = read_roles(folder, &targets.signed.signed, &snapshot.signed.signed)?;
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
            roles,
        })
    }

    /// The list of all patches of a repository whose releases stand in the targets role.
    pub(super) fn patches(&self) -> Option<&SignedDocument<Targets>> {
        self.roles.get(PATCHES_ROLE)
    }

    /// Where the releases stand.
    pub(super) fn form(&self) -> MetadataForm {
        MetadataForm::of(&self.targets.signed.signed)
    }

    /// The targets document with the targets of all roles but packs: those of the role that a
    /// search visits first count.
    pub(super) fn content(&self) -> Targets {
        let mut content = self.targets.signed.signed.clone();
        for wanted in [RolePart::Offer, RolePart::History] {
            let of_part = |name: &&String| RolePart::of(name) == Some(wanted);
            for name in self.roles.keys().filter(of_part) {
                for (name, target) in &self.roles[name].signed.signed.targets {
                    content.targets.entry(name.clone()).or_insert_with(|| target.clone());
                }
            }
        }
        content
    }

    /// The lists of packs, by the name of their role.
    pub(super) fn lists(&self) -> impl Iterator<Item = (&str, &SignedDocument<Targets>)> {
        self.signed_by(KeyRole::Patches)
    }

    /// The documents of delegated roles that this one's keys sign, by the name of their role.
    pub(super) fn signed_by(
        &self,
        signer: KeyRole,
    ) -> impl Iterator<Item = (&str, &SignedDocument<Targets>)> {
        let signed = self.roles.iter().filter(move |(name, _)| signer_of(name) == signer);
        signed.map(|(name, document)| (name.as_str(), document))
    }

    /// The packs of all lists.
    pub(super) fn packs(&self) -> HashMap<TargetName, Target> {
        let all = self.lists().flat_map(|(_, list)| &list.signed.signed.targets);
        all.map(|(name, target)| (name.clone(), target.clone())).collect()
    }

    /// Until when the last signature holds.
    pub(super) fn timestamp_expires(&self) -> Time {
        self.timestamp.signed.signed.expires
    }

    /// When each role expires.
    pub(super) fn expiries(&self) -> Vec<(KeyRole, Time)> {
        let first = |signer| {
            let signed = self.roles.iter().filter(move |(name, _)| signer_of(name) == signer);
            signed.map(|(_, document)| document.signed.signed.expires).min()
        };
        let online = [KeyRole::Patches, KeyRole::Rollout];
        let online = online.into_iter().filter_map(|role| Some((role, first(role)?)));
        let targets = self.targets.signed.signed.expires;
        let targets = first(KeyRole::Targets).map_or(targets, |first| first.min(targets));
        let others = [
            (KeyRole::Root, self.root.signed.signed.expires),
            (KeyRole::Targets, targets),
            (KeyRole::Snapshot, self.snapshot.signed.signed.expires),
            (KeyRole::Timestamp, self.timestamp.signed.signed.expires),
        ];
        others.into_iter().chain(online).collect()
    }

    pub(super) fn key_ids(&self, role: KeyRole) -> &[Decoded<Hex>] {
        match role {
            KeyRole::Patches | KeyRole::Rollout => {
                delegation(&self.targets.signed.signed, &role.to_string())
                    .map_or(&[], |(_, role)| role.keyids.as_slice())
            }
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
            KeyRole::Patches | KeyRole::Rollout => return self.next_version_of(&role.to_string()),
        };
        self.version_after(current, &role.to_string())
    }

    /// The same for a delegated role. The snapshot names the roles for releases by version alone, so
    /// theirs is at least the next snapshot's: after a restore from a backup no client has seen
    /// another document of the same number.
    pub(super) fn next_version_of(&self, role: &str) -> Result<NonZeroU64, PublishError> {
        let next = self.version_after(self.version_of(role), role)?;
        match RolePart::of(role) {
            Some(_) => Ok(next.max(self.next_version(KeyRole::Snapshot)?)),
            None => Ok(next),
        }
    }

    fn version_after(&self, current: u64, role: &str) -> Result<NonZeroU64, PublishError> {
        let highest =
            versions_on_disk(&self.folder, role)?.into_iter().chain([current]).max().unwrap_or(0);
        // Roots are a chain without gaps.
        let at_least = if role == KeyRole::Root.to_string() { 0 } else { self.at_least };
        let next = highest.checked_add(1).map(|next| next.max(at_least)).and_then(NonZeroU64::new);
        next.ok_or_else(|| {
            PublishError::Options(format!("the {role} role has used up its version numbers"))
        })
    }

    /// Version of a delegated role's document; 0 if there is none yet.
    fn version_of(&self, role: &str) -> u64 {
        self.roles.get(role).map_or(0, |document| document.signed.signed.version.get())
    }

    /// Snapshots, targets and documents of delegated roles that nobody needs once the `next`
    /// versions are current.
    pub(super) fn outdated(
        &self,
        role: &str,
        next: NonZeroU64,
    ) -> Result<Vec<PathBuf>, PublishError> {
        let current = match role {
            "snapshot" => self.snapshot.signed.signed.version.get(),
            "targets" => self.targets.signed.signed.version.get(),
            // Clients need the whole chain of roots, and there is only one timestamp.
            "root" | "timestamp" => return Ok(Vec::new()),
            delegated => self.version_of(delegated),
        };
        let versions = versions_on_disk(&self.folder, role)?.into_iter();
        let mut before: Vec<u64> = versions.filter(|version| *version < next.get()).collect();
        before.sort_unstable_by(|a, b| b.cmp(a));
        let old = before.into_iter().skip(RETAINED_VERSIONS).filter(|version| *version != current);
        Ok(old.map(|version| self.folder.join(format!("{version}.{role}.json"))).collect())
    }
}

/// Reads and verifies the documents of the delegated roles that this program knows.
fn read_roles(
    folder: &Path,
    targets: &Targets,
    snapshot: &Snapshot,
) -> Result<RoleDocuments, PublishError> {
    let mut roles = RoleDocuments::new();
    let Some(delegations) = &targets.delegations else { return Ok(roles) };
    for role in &delegations.roles {
        let (part, name) = (RolePart::of(&role.name), format!("{}.json", role.name));
        let entry = snapshot.meta.get(&name);
        // The list is signed with the first pack, and with the first word.
        let may_be_absent = matches!(part, Some(RolePart::Patches | RolePart::Words));
        let is_new_list = may_be_absent && entry.is_none();
        if is_new_list || part.is_none() && role.name != PATCHES_ROLE {
            continue;
        }
        let document: SignedDocument<Targets> = follow(folder, &name, entry)?;
        delegations.verify_role(&document.signed, &role.name).map_err(|error| {
            PublishError::Damaged {
                file: role_file(&role.name, &document),
                reason: error.to_string(),
            }
        })?;
        roles.insert(role.name.clone(), document);
    }
    Ok(roles)
}

/// Reads the file that `entry` names, and checks its version, and its length and digest where they
/// are listed.
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
    let mut found = document.metafile();
    if entry.length.is_none() && entry.hashes.is_none() {
        (found.length, found.hashes) = (None, None);
    }
    if found != *entry {
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
fn versions_on_disk(folder: &Path, role: &str) -> Result<Vec<u64>, PublishError> {
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
