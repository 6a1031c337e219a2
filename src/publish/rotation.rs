//! A new root: renewed before it expires, or with new keys for some roles.
//!
//! The old root's keys and the new root's own keys sign the new root. Documents whose keys change
//! are first published with both keys' signatures, so that clients can verify them at any time,
//! before and after the new root appears.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::path::PathBuf;

use jiff::Timestamp as Time;
use serde::Serialize;
use tough::schema::{Role, Root, Snapshot, Targets};

use super::current::Current;
use super::delegated;
use super::error::PublishError;
use super::keys::{KeyHome, KeyPair, Keyring, Password};
use super::metadata::{self, RoleDocuments, SignedDocument};
use super::project::Project;
use super::role::KeyRole;
use super::transaction::{Transaction, TransactionStep};
use crate::trust::PATCHES_ROLE;

/// The changes of a new root.
#[derive(Clone, Debug, Default)]
pub struct Rotation {
    /// Roles that get new keys; empty for a root that only expires later.
    pub replace: Vec<KeyRole>,
    /// Number of new root keys, and how many of them must sign, if the root's keys are replaced;
    /// `None` leaves both unchanged.
    pub root_keys: Option<(usize, u64)>,
    /// Encrypts new root and targets keys. Required if the previous ones are encrypted.
    pub offline_password: Option<Password>,
    /// Encrypts new snapshot, timestamp and patches keys. Required if the previous ones are
    /// encrypted.
    pub online_password: Option<Password>,
    /// The folder for new root and targets keys; if absent, the folder of the previous ones.
    pub offline_keys: Option<PathBuf>,
}

impl Project {
    /// Makes the requested new keys and prepares the root that names them. It needs enough of the
    /// old root keys. New keys are like the previous ones: in the same folder, and encrypted if
    /// those were.
    ///
    /// If a replaced key is lost, its role cannot sign with old and new keys at once. Then there is
    /// a moment between two steps in which clients refuse the repository and retain the version
    /// that they have.
    pub fn rotate(
        &self,
        rotation: &Rotation,
        keyring: &Keyring,
        now: Time,
    ) -> Result<Transaction, PublishError> {
        let lock = self.lock()?;
        let current = self.current_to_sign(now)?;
        let mut work = Work::begin(self, &current, rotation, keyring, now)?;
        let mut content = current.targets.signed.signed.clone();
        work.make_keys(&mut content)?;
        let targets = work.sign_targets(content)?;
        let roles = work.sign_roles(&targets)?;
        let snapshot = work.sign_snapshot(&targets, roles)?;
        Ok(Transaction::new(lock, work.finish(&snapshot)?))
    }

    /// The number of root keys, and how many of them must sign.
    ///
    /// # Errors
    /// The errors of reading the repository.
    pub fn root_keys(&self) -> Result<(usize, u64), PublishError> {
        let current = self.current()?;
        let root = &current.root.signed.signed;
        Ok((
            metadata::key_ids(root, KeyRole::Root).len(),
            metadata::threshold(root, KeyRole::Root).get(),
        ))
    }

    /// Whether a key that `rotation` replaces, offline or online, is encrypted: its successor then
    /// needs a password.
    ///
    /// # Errors
    /// The errors of reading the repository.
    pub fn needs_password(
        &self,
        rotation: &Rotation,
        keyring: &Keyring,
        offline: bool,
    ) -> Result<bool, PublishError> {
        let current = self.current()?;
        let mut roles = rotation.replace.iter().filter(|role| role.is_offline() == offline);
        Ok(roles.any(|role| self.new_home(&current, *role, keyring, rotation).is_encrypted))
    }

    /// The folder for new keys of `role`, and whether they must be encrypted: like the previous
    /// keys; if those are lost, like the root's.
    fn new_home(
        &self,
        current: &Current,
        role: KeyRole,
        keyring: &Keyring,
        rotation: &Rotation,
    ) -> KeyHome {
        let of = |role: KeyRole| keyring.home(role, current.key_ids(role));
        let before = of(role);
        let fallback = || {
            if role.is_offline() {
                of(KeyRole::Root).or_else(|| of(KeyRole::Targets))
            } else {
                None
            }
        };
        let elsewhere = || KeyHome { folder: self.keys_folder(), is_encrypted: false };
        let mut home = before.or_else(fallback).unwrap_or_else(elsewhere);
        if let Some(folder) = rotation.offline_keys.clone().filter(|_| role.is_offline()) {
            home.folder = folder;
        }
        home
    }

    fn versioned<T: Role>(&self, document: &SignedDocument<T>) -> TransactionStep {
        let path = self.metadata_folder().join(document.signed.signed.filename(true));
        TransactionStep::Write { path, bytes: document.bytes.clone() }
    }
}

/// A rotation under way. All documents from the first role whose keys change down to the timestamp
/// are signed again, with old and new keys.
struct Work<'a> {
    project: &'a Project,
    current: &'a Current,
    rotation: &'a Rotation,
    keyring: &'a Keyring,
    now: Time,
    /// The new root, with the new keys that were made so far.
    root: Root,
    new_keys: Vec<(KeyRole, KeyPair)>,
    steps: Vec<TransactionStep>,
    /// Whether the old root's keys have signed everything as well, so that clients can verify all
    /// documents before they have the new root.
    is_seamless: bool,
}

impl<'a> Work<'a> {
    /// Checks that enough of the old root keys are here.
    fn begin(
        project: &'a Project,
        current: &'a Current,
        rotation: &'a Rotation,
        keyring: &'a Keyring,
        now: Time,
    ) -> Result<Self, PublishError> {
        let role = KeyRole::Root;
        let old = &current.root.signed.signed;
        let (ids, needed) = (metadata::key_ids(old, role), metadata::threshold(old, role).get());
        let found = keyring.available(role, ids, &[])?.len();
        if u64::try_from(found).is_ok_and(|found| found < needed) {
            return Err(keyring.missing(role, ids, needed, found));
        }
        let mut root = old.clone();
        root.version = current.next_version(role)?;
        root.expires = project.settings().lifetimes.expiry(role, now)?;
        Ok(Self {
            project,
            current,
            rotation,
            keyring,
            now,
            root,
            new_keys: Vec::new(),
            steps: Vec::new(),
            is_seamless: true,
        })
    }

    fn replaces(&self, role: KeyRole) -> bool {
        self.rotation.replace.contains(&role)
    }

    /// Makes the requested keys, and names them in the new root or, for patches, in `targets`.
    fn make_keys(&mut self, targets: &mut Targets) -> Result<(), PublishError> {
        let rotation = self.rotation;
        for role in KeyRole::ALL.into_iter().filter(|role| rotation.replace.contains(role)) {
            let (count, threshold) = wanted_keys(role, self.current, rotation)?;
            let password = if role.is_offline() {
                &rotation.offline_password
            } else {
                &rotation.online_password
            };
            let home = self.project.new_home(self.current, role, self.keyring, rotation);
            if home.is_encrypted && password.is_none() {
                return Err(PublishError::NewPassword { role });
            }
            let keys = (0..count).map(|_| KeyPair::generate()).collect::<Result<Vec<_>, _>>()?;
            self.steps.extend(keys.iter().map(|key| TransactionStep::Key {
                path: home.folder.join(key.file_name(role)),
                key: key.clone(),
                password: password.clone(),
            }));
            if role.is_delegated() {
                metadata::delegate(targets, role, &keys, threshold)?;
            } else {
                metadata::set_keys(&mut self.root, role, &keys, threshold);
            }
            self.new_keys.extend(keys.into_iter().map(|key| (role, key)));
        }
        delegated::give_keys(targets, &self.root);
        Ok(())
    }

    fn new_keys_of(&self, role: KeyRole) -> Vec<KeyPair> {
        self.new_keys.iter().filter(|(of, _)| *of == role).map(|(_, key)| key.clone()).collect()
    }

    /// Signs with the keys of the old root and of the new one.
    fn sign<T: Role + Serialize + Clone>(
        &self,
        role: KeyRole,
        document: T,
    ) -> Result<SignedDocument<T>, PublishError> {
        let roots = [&self.current.root.signed.signed, &self.root];
        metadata::sign(document, &roots, self.keyring, &self.new_keys_of(role))
    }

    /// Whether clients that know only the old root accept `document`.
    fn suits_old_root<T: Role + Serialize>(&self, document: &SignedDocument<T>) -> bool {
        metadata::satisfies(&self.current.root.signed.signed, &document.signed)
    }

    fn sign_targets(
        &mut self,
        mut content: Targets,
    ) -> Result<SignedDocument<Targets>, PublishError> {
        let changing = [KeyRole::Targets, KeyRole::Patches, KeyRole::Rollout];
        if !changing.into_iter().any(|role| self.replaces(role)) {
            return Ok(self.current.targets.clone());
        }
        content.version = self.current.next_version(KeyRole::Targets)?;
        content.expires = self.project.settings().lifetimes.expiry(KeyRole::Targets, self.now)?;
        let targets = self.sign(KeyRole::Targets, content)?;
        self.is_seamless &= self.suits_old_root(&targets);
        self.steps.push(self.project.versioned(&targets));
        Ok(targets)
    }

    /// The documents of delegated roles, those whose keys are replaced signed anew. The snapshot
    /// names them together with the targets that name their new keys: no client sees one without
    /// the other.
    fn sign_roles(
        &mut self,
        targets: &SignedDocument<Targets>,
    ) -> Result<RoleDocuments, PublishError> {
        let mut roles = self.current.roles.clone();
        // The keys of the role for patches may be its first ones.
        let names = roles.keys().cloned().chain([PATCHES_ROLE.to_owned()]);
        for name in names.collect::<BTreeSet<String>>() {
            let name = name.as_str();
            let signer = metadata::signer_of(name);
            if !self.replaces(signer) {
                continue;
            }
            let document = self.project.next_list(self.current, name, self.now)?;
            let (keyring, new_keys) = (self.keyring, self.new_keys_of(signer));
            let delegating = &targets.signed.signed;
            let role = metadata::sign_role(name, document, delegating, keyring, &new_keys)?;
            self.steps.push(self.project.role_step(name, &role));
            roles.insert(name.to_owned(), role);
        }
        Ok(roles)
    }

    fn must_sign_snapshot(&self) -> bool {
        let roles = [KeyRole::Targets, KeyRole::Patches, KeyRole::Rollout, KeyRole::Snapshot];
        roles.into_iter().any(|role| self.replaces(role))
    }

    fn must_sign_timestamp(&self) -> bool {
        self.must_sign_snapshot() || self.replaces(KeyRole::Timestamp)
    }

    fn sign_snapshot(
        &mut self,
        targets: &SignedDocument<Targets>,
        mut roles: RoleDocuments,
    ) -> Result<SignedDocument<Snapshot>, PublishError> {
        let present = self.current.snapshot.clone();
        if !self.must_sign_timestamp() {
            return Ok(present);
        }
        // A new timestamp is an occasion to sign the due documents below it as well.
        let (project, current, now) = (self.project, self.current, self.now);
        let renewed_lists = if self.replaces(KeyRole::Patches) {
            RoleDocuments::new()
        } else {
            project.renewed_lists(current, &targets.signed.signed, self.keyring, &[], now)
        };
        let lifetimes = &project.settings().lifetimes;
        let is_due = !renewed_lists.is_empty()
            || lifetimes.is_half_over(KeyRole::Snapshot, present.signed.signed.expires, now);
        if !self.must_sign_snapshot() && !is_due {
            return Ok(present);
        }
        let version = current.next_version(KeyRole::Snapshot)?;
        let written = renewed_lists.iter().map(|(name, list)| project.role_step(name, list));
        let written: Vec<TransactionStep> = written.collect();
        roles.extend(renewed_lists);
        let document = metadata::new_snapshot(version, targets, &roles, now, lifetimes)?;
        match self.sign(KeyRole::Snapshot, document) {
            Ok(signed) => {
                self.is_seamless &= self.suits_old_root(&signed);
                self.steps.extend(written);
                self.steps.push(project.versioned(&signed));
                Ok(signed)
            }
            Err(error) if self.must_sign_snapshot() => Err(error),
            // Its keys are not available; the deadlines show how long it lasts.
            Err(_) => Ok(present),
        }
    }

    /// The timestamp and the root come last; in which order depends on what clients can verify.
    fn finish(
        mut self,
        snapshot: &SignedDocument<Snapshot>,
    ) -> Result<Vec<TransactionStep>, PublishError> {
        let mut last = Vec::new();
        if self.must_sign_timestamp() {
            let version = self.current.next_version(KeyRole::Timestamp)?;
            let lifetimes = &self.project.settings().lifetimes;
            let document = metadata::new_timestamp(version, snapshot, self.now, lifetimes)?;
            let timestamp = self.sign(KeyRole::Timestamp, document)?;
            self.is_seamless &= self.suits_old_root(&timestamp);
            last.push(TransactionStep::Write {
                path: self.project.metadata_folder().join("timestamp.json"),
                bytes: timestamp.bytes,
            });
        }
        let root = self.sign(KeyRole::Root, self.root.clone())?;
        last.push(self.project.versioned(&root));
        if !self.is_seamless {
            last.reverse();
        }
        self.steps.extend(last);
        self.steps.push(TransactionStep::Write {
            path: self.project.launcher_folder().join("root.json"),
            bytes: root.bytes,
        });
        Ok(self.steps)
    }
}

/// The number of a role's keys, and how many of them must sign.
fn wanted_keys(
    role: KeyRole,
    current: &Current,
    rotation: &Rotation,
) -> Result<(usize, NonZeroU64), PublishError> {
    let root = &current.root.signed.signed;
    if role.is_delegated() {
        let before = metadata::delegation(&current.targets.signed.signed, &role.to_string())
            .map(|(_, role)| (role.keyids.len(), role.threshold));
        return Ok(before.unwrap_or((1, NonZeroU64::MIN)));
    }
    let as_before = (root.keys(role.tuf()).count(), metadata::threshold(root, role));
    let Some((count, threshold)) = rotation.root_keys.filter(|_| role == KeyRole::Root) else {
        return Ok(as_before);
    };
    metadata::checked_threshold(count, threshold).map(|threshold| (count, threshold))
}
