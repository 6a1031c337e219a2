//! Patch packs in a signed repository: adds them, replaces them, and removes old ones. The keys of
//! their role are online, so this code also runs where no release could be signed.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp as Time};
use tough::TargetName;
use tough::schema::{Target, Targets};

use super::current::Current;
use super::delegated::{self, PacksToList};
use super::entries::{release_of, target, target_name};
use super::error::{PublishError, at};
use super::in_force::NewDocuments;
use super::keys::{KeyPair, Keyring};
use super::metadata::{self, RoleDocuments, signer_of};
use super::project::Project;
use super::repository::{is_there, to_value};
use super::role::KeyRole;
use super::transaction::{Transaction, TransactionStep, digest_of};
use crate::model::patch::{PACK_SUFFIX, Patch, SignedPatch};
use crate::model::{ContainerId, Digest};
use crate::trust::PATCH_KEY;

#[derive(Clone, Debug)]
pub struct PackToPublish {
    /// The pack.
    pub path: PathBuf,
    /// Its description. This module fills in its pieces.
    pub patch: Patch,
}

impl Project {
    /// Prepares packs for publication, all in one step for clients, with the online keys alone. A
    /// pack replaces an older one of the same pair; the same bytes again give an empty transaction.
    ///
    /// # Errors
    /// [`PublishError::Package`] for a pack that does not fit its description or the published
    /// releases, [`PublishError::NoPatchesRole`] in a repository that was made before there were
    /// packs.
    pub fn add_patches(
        &self,
        packs: &[PackToPublish],
        keyring: &Keyring,
        now: Time,
    ) -> Result<Transaction, PublishError> {
        let lock = self.lock()?;
        let current = self.current_to_sign(now)?;
        let mut list = current.packs();
        let manifests = manifests(&current);
        let (mut steps, mut new) = (Vec::new(), BTreeSet::new());
        for pack in packs {
            let signed = describe(pack, &manifests, &list)?;
            let destination = self.repository().join(signed.location());
            if !is_there(&destination, signed.hash, signed.length)? {
                steps.push(TransactionStep::Copy {
                    source: pack.path.clone(),
                    destination,
                    hash: signed.hash,
                });
            }
            let custom = HashMap::from([(PATCH_KEY.to_owned(), to_value(&signed.patch)?)]);
            let name = target_name(&signed.target)?;
            list.insert(name.clone(), target(signed.hash, signed.length, custom));
            new.insert(name);
        }
        steps.extend(self.list_steps(&current, &list, &new, keyring, now)?);
        Ok(Transaction::new(lock, steps))
    }

    /// Prepares the removal of the packs that `unwanted` selects, and of the files of packs that no
    /// document names any more. A client that is fetching one of them goes on without it.
    ///
    /// # Errors
    /// [`PublishError::NoPatchesRole`] in a repository that was made before there were packs.
    pub fn remove_patches(
        &self,
        unwanted: impl Fn(&SignedPatch) -> bool,
        keyring: &Keyring,
        now: Time,
    ) -> Result<Transaction, PublishError> {
        let lock = self.lock()?;
        let current = self.current_to_sign(now)?;
        let steps = self.removal(&current, unwanted, keyring, now)?;
        Ok(Transaction::new(lock, steps))
    }

    /// Prepares the removal of packs that were made more than `retention_days` before `now`; of
    /// packs that lead to a release that is not published; and of packs from or to a release that
    /// is published with another manifest. 0 days retain no pack. Packs from a release that was
    /// taken out stay as long as others: installations that have it still update.
    ///
    /// # Errors
    /// The same as for [`Project::remove_patches`].
    pub fn expire_patches(
        &self,
        retention_days: u32,
        keyring: &Keyring,
        now: Time,
    ) -> Result<Transaction, PublishError> {
        let lock = self.lock()?;
        let current = self.current_to_sign(now)?;
        let manifests = manifests(&current);
        let longest = SignedDuration::from_hours(24 * i64::from(retention_days));
        let outdated = |signed: &SignedPatch| {
            let Patch { from, to, base_manifest, target_manifest, .. } = &signed.patch;
            let fits = manifests.get(from).is_none_or(|published| published == base_manifest)
                && manifests.get(to) == Some(target_manifest);
            !fits || now.duration_since(signed.patch.created) >= longest
        };
        let steps = self.removal(&current, outdated, keyring, now)?;
        Ok(Transaction::new(lock, steps))
    }

    /// The published packs, ordered by name; none in a repository that was made before there were
    /// packs.
    pub fn patches(&self) -> Result<Vec<SignedPatch>, PublishError> {
        let list = self.current()?.packs();
        let mut packs: Vec<SignedPatch> =
            list.iter().filter_map(|(name, target)| signed_patch(name.raw(), target)).collect();
        packs.sort_by(|a, b| a.target.cmp(&b.target));
        Ok(packs)
    }

    /// The next version of the role's list of patches, with the same packs; an empty list if there
    /// is none yet.
    pub(super) fn next_list(
        &self,
        current: &Current,
        role: &str,
        now: Time,
    ) -> Result<Targets, PublishError> {
        let version = current.next_version_of(role)?;
        let mut next = metadata::new_role(role, version, now, &self.settings().lifetimes)?;
        if let Some(before) = current.roles.get(role) {
            next.targets = before.signed.signed.targets.clone();
        }
        Ok(next)
    }

    /// The same lists of patches signed again, as far as they are due and enough of their keys are
    /// available.
    pub(super) fn renewed_lists(
        &self,
        current: &Current,
        targets: &Targets,
        keyring: &Keyring,
        extra: &[KeyPair],
        now: Time,
    ) -> RoleDocuments {
        let lifetimes = &self.settings().lifetimes;
        let due = current.lists().filter(|(_, list)| {
            lifetimes.is_half_over(KeyRole::Patches, list.signed.signed.expires, now)
        });
        let signed = |(role, _): (&str, _)| {
            let document = self.next_list(current, role, now).ok()?;
            let signed = metadata::sign_role(role, document, targets, keyring, extra).ok()?;
            Some((role.to_owned(), signed))
        };
        due.filter_map(signed).collect()
    }

    /// The lists that change, signed as `delegating` delegates to them.
    pub(super) fn changed_lists(
        &self,
        current: &Current,
        packs: &PacksToList<'_>,
        delegating: &Targets,
        keyring: &Keyring,
        now: Time,
    ) -> Result<RoleDocuments, PublishError> {
        let mut changed = RoleDocuments::new();
        for (role, list) in delegated::lists(current, packs)? {
            let before = current.roles.get(&role);
            if before.is_some_and(|before| before.signed.signed.targets == list) {
                continue;
            }
            let mut document = self.next_list(current, &role, now)?;
            document.targets = list;
            let signed = metadata::sign_role(&role, document, delegating, keyring, &[])?;
            changed.insert(role, signed);
        }
        Ok(changed)
    }

    /// How many packs the settings want for a release.
    pub(super) fn packs_for_each_release(&self) -> usize {
        self.settings().incremental_update.latest_releases
    }

    fn removal(
        &self,
        current: &Current,
        unwanted: impl Fn(&SignedPatch) -> bool,
        keyring: &Keyring,
        now: Time,
    ) -> Result<Vec<TransactionStep>, PublishError> {
        let mut list = current.packs();
        // A newer program wrote the entries that this one cannot read, and it knows better.
        list.retain(|name, target| {
            signed_patch(name.raw(), target).is_none_or(|signed| !unwanted(&signed))
        });
        self.list_steps(current, &list, &BTreeSet::new(), keyring, now)
    }

    /// Signs the lists that `packs` change, and removes the files that none of them names. `new` are
    /// the names of packs that come with this change.
    fn list_steps(
        &self,
        current: &Current,
        packs: &HashMap<TargetName, Target>,
        new: &BTreeSet<TargetName>,
        keyring: &Keyring,
        now: Time,
    ) -> Result<Vec<TransactionStep>, PublishError> {
        if current.patches().is_none() {
            return Err(PublishError::NoPatchesRole);
        }
        let content = current.content();
        let (form, wanted) = (current.form(), self.packs_for_each_release());
        let packs = PacksToList { packs, new, content: &content, form, wanted };
        let delegating = &current.targets.signed.signed;
        let changes = NewDocuments {
            targets: None,
            roles: self.changed_lists(current, &packs, delegating, keyring, now)?,
        };
        let mut steps = Vec::new();
        if !changes.is_empty() {
            steps.extend(self.put_in_force(current, &changes, keyring, now)?);
        }
        // This includes packs that this program cannot read.
        let file_name = |(name, target): (&TargetName, &Target)| {
            Some(format!("{}.{}", hash_of(target)?, name.raw()))
        };
        let lists = changes.roles_after(current);
        let lists = lists.iter().filter(|(role, _)| signer_of(role) == KeyRole::Patches);
        let named: HashSet<String> = lists
            .flat_map(|(_, list)| list.signed.signed.targets.iter().filter_map(file_name))
            .collect();
        let folder = self.targets_folder();
        for entry in std::fs::read_dir(&folder).map_err(at(&folder))? {
            let name = entry.map_err(at(&folder))?.file_name();
            let stray = |name: &&str| name.ends_with(PACK_SUFFIX) && !named.contains(*name);
            steps.extend(
                name.to_str()
                    .filter(stray)
                    .map(|name| TransactionStep::Remove { path: folder.join(name) }),
            );
        }
        Ok(steps)
    }
}

/// The description of a pack that is signed, checked against its file, the releases, and the
/// present list.
fn describe(
    pack: &PackToPublish,
    manifests: &BTreeMap<ContainerId, Digest>,
    list: &HashMap<TargetName, Target>,
) -> Result<SignedPatch, PublishError> {
    let refuse = |reason: String| PublishError::Package { path: pack.path.clone(), reason };
    let mut patch = pack.patch.clone();
    for (container, manifest) in
        [(&patch.from, patch.base_manifest), (&patch.to, patch.target_manifest)]
    {
        match manifests.get(container) {
            None => return Err(refuse(format!("it needs {container}, which is not published"))),
            Some(published) if *published != manifest => {
                return Err(refuse(format!("{container} is published with another manifest")));
            }
            Some(_) => {}
        }
    }
    let (hash, length) = digest_of(&pack.path)?;
    patch.piece_size = Patch::piece_size_for(length);
    patch.pieces = pieces_of(&pack.path, patch.piece_size)?;
    let target = patch.target_name();
    let earlier =
        list.get(&target_name(&target)?).and_then(|earlier| signed_patch(&target, earlier));
    if let Some(earlier) = earlier.filter(|earlier| earlier.hash == hash) {
        patch.created = earlier.patch.created;
    }
    let signed = SignedPatch { target, length, hash, patch };
    signed.check().map_err(|error| refuse(error.to_string()))?;
    Ok(signed)
}

/// The digests of a file's pieces; none if the piece size is 0.
fn pieces_of(path: &Path, piece_size: u32) -> Result<Vec<Digest>, PublishError> {
    let mut pieces = Vec::new();
    if piece_size == 0 {
        return Ok(pieces);
    }
    let mut file = std::fs::File::open(path).map_err(at(path))?;
    loop {
        let mut piece = Vec::new();
        (&mut file).take(u64::from(piece_size)).read_to_end(&mut piece).map_err(at(path))?;
        if piece.is_empty() {
            return Ok(pieces);
        }
        pieces.push(Digest::of(&piece));
    }
}

/// The published releases with the digests of their manifests.
fn manifests(current: &Current) -> BTreeMap<ContainerId, Digest> {
    let content = current.content();
    let releases = content.targets.values().filter_map(release_of);
    releases.map(|release| (release.container, release.manifest.hash)).collect()
}

/// A pack of the list; `None` for one that this program cannot read.
pub(super) fn signed_patch(name: &str, target: &Target) -> Option<SignedPatch> {
    let patch = serde_json::from_value(target.custom.get(PATCH_KEY)?.clone()).ok()?;
    Some(SignedPatch {
        target: name.to_owned(),
        length: target.length,
        hash: hash_of(target)?,
        patch,
    })
}

/// A target's digest, if it is a SHA-256.
pub(super) fn hash_of(target: &Target) -> Option<Digest> {
    let hash: [u8; 32] = target.hashes.sha256[..].try_into().ok()?;
    Some(hash.into())
}
