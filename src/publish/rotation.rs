//! A new root: renewed before it expires, or with new keys for some roles.
//!
//! The old root's keys and the new root's own keys sign the new root. Documents whose keys change
//! are first published with both keys' signatures, so that clients can verify them at any time,
//! before and after the new root appears.

use std::num::NonZeroU64;
use std::path::PathBuf;

use jiff::Timestamp as Time;
use tough::schema::Role;

use super::error::PublishError;
use super::keys::{KeyHome, KeyPair, Keyring, Password};
use super::metadata::{self, Current, SignedDocument};
use super::project::Project;
use super::role::KeyRole;
use super::transaction::{Transaction, TransactionStep};

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
        let lifetimes = &self.settings().lifetimes;
        let old = &current.root.signed.signed;
        let (needed, found) = (
            metadata::threshold(old, KeyRole::Root),
            keyring.available(KeyRole::Root, metadata::key_ids(old, KeyRole::Root), &[])?.len(),
        );
        if u64::try_from(found).is_ok_and(|found| found < needed.get()) {
            return Err(keyring.missing(
                KeyRole::Root,
                metadata::key_ids(old, KeyRole::Root),
                needed.get(),
                found,
            ));
        }
        let mut root = old.clone();
        root.version = current.next_version(KeyRole::Root)?;
        root.expires = lifetimes.expiry(KeyRole::Root, now)?;
        let mut new_targets = current.targets.signed.signed.clone();
        let mut new_keys: Vec<(KeyRole, KeyPair)> = Vec::new();
        let mut steps = Vec::new();
        for role in KeyRole::ALL.into_iter().filter(|role| rotation.replace.contains(role)) {
            let (count, threshold) = wanted_keys(role, &current, rotation)?;
            let password = if role.is_offline() {
                &rotation.offline_password
            } else {
                &rotation.online_password
            };
            let home = self.new_home(&current, role, keyring, rotation);
            if home.is_encrypted && password.is_none() {
                return Err(PublishError::NewPassword { role });
            }
            let keys = (0..count).map(|_| KeyPair::generate()).collect::<Result<Vec<_>, _>>()?;
            steps.extend(keys.iter().map(|key| {
                let path = home.folder.join(key.file_name(role));
                TransactionStep::Key { path, key: key.clone(), password: password.clone() }
            }));
            if role == KeyRole::Patches {
                metadata::delegate(&mut new_targets, &keys, threshold)?;
            } else {
                metadata::set_keys(&mut root, role, &keys, threshold);
            }
            new_keys.extend(keys.into_iter().map(|key| (role, key)));
        }
        let fresh = |role| {
            new_keys
                .iter()
                .filter(|(of, _)| *of == role)
                .map(|(_, key)| key.clone())
                .collect::<Vec<_>>()
        };
        let roots = [old, &root];
        let replaced = |role| rotation.replace.contains(&role);

        // All documents from the first role whose keys change down to the timestamp are signed
        // again, with old and new keys.
        let mut seamless = true;
        let mut targets = current.targets.clone();
        if replaced(KeyRole::Targets) || replaced(KeyRole::Patches) {
            new_targets.version = current.next_version(KeyRole::Targets)?;
            new_targets.expires = lifetimes.expiry(KeyRole::Targets, now)?;
            targets = metadata::sign(new_targets, &roots, keyring, &fresh(KeyRole::Targets))?;
            seamless &= metadata::satisfies(old, &targets.signed);
            steps.push(self.versioned(&targets));
        }
        // The snapshot names it together with the targets that name its new keys: no client sees
        // one without the other.
        let mut patches = current.patches.clone();
        if replaced(KeyRole::Patches) {
            let document = self.next_patches(&current, now)?;
            let signed = metadata::sign_patches(
                document,
                &targets.signed.signed,
                keyring,
                &fresh(KeyRole::Patches),
            )?;
            steps.push(self.patches_step(&signed));
            patches = Some(signed);
        }
        let mut snapshot = current.snapshot.clone();
        let must_sign =
            [KeyRole::Targets, KeyRole::Patches, KeyRole::Snapshot].into_iter().any(replaced);
        // A new timestamp is an occasion to sign the due documents below it as well.
        let signs_timestamp = must_sign || replaced(KeyRole::Timestamp);
        let renewed_patches = (signs_timestamp && !replaced(KeyRole::Patches))
            .then(|| self.renewed_patches(&current, &targets.signed.signed, keyring, &[], now))
            .flatten();
        let is_due = renewed_patches.is_some()
            || lifetimes.is_half_over(KeyRole::Snapshot, snapshot.signed.signed.expires, now);
        if must_sign || signs_timestamp && is_due {
            let version = current.next_version(KeyRole::Snapshot)?;
            let listed = renewed_patches.as_ref().or(patches.as_ref());
            let document = metadata::new_snapshot(version, &targets, listed, now, lifetimes)?;
            match metadata::sign(document, &roots, keyring, &fresh(KeyRole::Snapshot)) {
                Ok(signed) => {
                    seamless &= metadata::satisfies(old, &signed.signed);
                    steps.extend(renewed_patches.iter().map(|list| self.patches_step(list)));
                    steps.push(self.versioned(&signed));
                    snapshot = signed;
                }
                Err(error) if must_sign => return Err(error),
                // Its keys are not available; the deadlines show how long it lasts.
                Err(_) => {}
            }
        }
        let mut last = Vec::new();
        if signs_timestamp {
            let version = current.next_version(KeyRole::Timestamp)?;
            let document = metadata::new_timestamp(version, &snapshot, now, lifetimes)?;
            let timestamp = metadata::sign(document, &roots, keyring, &fresh(KeyRole::Timestamp))?;
            seamless &= metadata::satisfies(old, &timestamp.signed);
            last.push(TransactionStep::Write {
                path: self.metadata_folder().join("timestamp.json"),
                bytes: timestamp.bytes,
            });
        }
        let signed_root = metadata::sign(root.clone(), &roots, keyring, &fresh(KeyRole::Root))?;
        last.push(self.versioned(&signed_root));
        if !seamless {
            last.reverse();
        }
        steps.extend(last);
        steps.push(TransactionStep::Write {
            path: self.launcher_folder().join("root.json"),
            bytes: signed_root.bytes,
        });
        Ok(Transaction::new(lock, steps))
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

/// The number of a role's keys, and how many of them must sign.
fn wanted_keys(
    role: KeyRole,
    current: &Current,
    rotation: &Rotation,
) -> Result<(usize, NonZeroU64), PublishError> {
    let root = &current.root.signed.signed;
    if role == KeyRole::Patches {
        let before = metadata::delegation(&current.targets.signed.signed)
            .map(|(_, role)| (role.keyids.len(), role.threshold));
        return Ok(before.unwrap_or((1, NonZeroU64::MIN)));
    }
    let as_before = (root.keys(role.tuf()).count(), metadata::threshold(root, role));
    let Some((count, threshold)) = rotation.root_keys.filter(|_| role == KeyRole::Root) else {
        return Ok(as_before);
    };
    metadata::checked_threshold(count, threshold).map(|threshold| (count, threshold))
}
