//! Puts changed content in force: signs the documents that change, and the snapshot and timestamp
//! that bring them to clients.
//!
//! In: the current repository, its targets as they should be, keys, the time. Out: steps of a
//! transaction, the timestamp last. Never: a new version of a document that does not change, except
//! one whose signature is due.

use std::collections::BTreeSet;
use std::num::NonZeroU64;

use jiff::Timestamp as Time;
use tough::schema::Targets;

use super::current::Current;
use super::delegated::{self, PacksToList};
use super::error::PublishError;
use super::form::MetadataForm;
use super::keys::{KeyPair, Keyring};
use super::metadata::{self, RoleDocuments, SignedDocument};
use super::project::Project;
use super::role::KeyRole;
use super::transaction::TransactionStep;
use crate::trust::{PATCHES_ROLE, RolePart};

/// New documents below the root, signed.
#[derive(Debug, Default)]
pub(super) struct NewDocuments {
    pub(super) targets: Option<SignedDocument<Targets>>,
    /// Those of delegated roles.
    pub(super) roles: RoleDocuments,
}

impl NewDocuments {
    pub(super) fn is_empty(&self) -> bool {
        self.targets.is_none() && self.roles.is_empty()
    }

    /// The targets document in force after the change.
    pub(super) fn targets_after<'a>(&'a self, current: &'a Current) -> &'a SignedDocument<Targets> {
        self.targets.as_ref().unwrap_or(&current.targets)
    }

    /// The documents of delegated roles in force after the change.
    pub(super) fn roles_after(&self, current: &Current) -> RoleDocuments {
        let mut roles = current.roles.clone();
        roles.extend(self.roles.iter().map(|(name, role)| (name.clone(), role.clone())));
        roles
    }
}

impl Project {
    /// Signs `content`, the targets of all roles but packs, then the documents that name them. A
    /// repository that was made before there were patches gets a role for them.
    pub(super) fn new_targets(
        &self,
        current: &Current,
        content: Targets,
        keyring: &Keyring,
        now: Time,
    ) -> Result<Vec<TransactionStep>, PublishError> {
        self.new_content(current, content, RoleDocuments::new(), keyring, now)
    }

    /// The same with other lists of patches that are signed already.
    pub(super) fn new_content(
        &self,
        current: &Current,
        content: Targets,
        lists: RoleDocuments,
        keyring: &Keyring,
        now: Time,
    ) -> Result<Vec<TransactionStep>, PublishError> {
        let (mut steps, form) = (Vec::new(), current.form());
        let moved = (form != MetadataForm::Single && lists.is_empty()).then(|| content.clone());
        let (mut new, key) = self.sign_content(current, content, form, keyring, now)?;
        if let Some(content) = moved {
            // A release that comes into another channel takes its packs along. Where their keys
            // are not available, the next pack does so.
            let packs = current.packs();
            let (new_packs, wanted) = (&BTreeSet::new(), self.packs_for_each_release());
            let listed =
                PacksToList { packs: &packs, new: new_packs, content: &content, form, wanted };
            let delegating = &new.targets_after(current).signed.signed;
            let lists = self.changed_lists(current, &listed, delegating, keyring, now);
            new.roles.extend(lists.unwrap_or_default());
        }
        new.roles.extend(lists);
        if let Some(key) = key {
            // Without a password, as a timer needs it; `rotate --replace patches` makes a key with
            // a password.
            let path = self.keys_folder().join(key.file_name(KeyRole::Patches));
            steps.push(TransactionStep::Key { path, key, password: None });
        }
        steps.extend(self.put_in_force(current, &new, keyring, now)?);
        Ok(steps)
    }

    /// Signs the documents that `content` changes in this form, and lists of patches that are due.
    /// Also returns the new key of the role for patches, if there was no such role.
    pub(super) fn sign_content(
        &self,
        current: &Current,
        content: Targets,
        form: MetadataForm,
        keyring: &Keyring,
        now: Time,
    ) -> Result<(NewDocuments, Option<KeyPair>), PublishError> {
        let (root, lifetimes) = (&current.root.signed.signed, &self.settings().lifetimes);
        let is_due = |document: &SignedDocument<Targets>| {
            lifetimes.is_half_over(KeyRole::Targets, document.signed.signed.expires, now)
        };
        let mut placed = delegated::place(&content.targets, form)?;
        let mut targets = content;
        targets.targets = std::mem::take(&mut placed.own);
        let key = if current.patches().is_none() { Some(KeyPair::generate()?) } else { None };
        if let Some(key) = &key {
            metadata::delegate(
                &mut targets,
                KeyRole::Patches,
                std::slice::from_ref(key),
                NonZeroU64::MIN,
            )?;
        }
        placed.delegate(&mut targets, root)?;
        form.note(&mut targets);
        let mut new = NewDocuments::default();
        let is_changed = {
            let before = &current.targets.signed.signed;
            (&targets.targets, &targets.delegations, &targets._extra)
                != (&before.targets, &before.delegations, &before._extra)
        };
        if form == MetadataForm::Single || is_changed || is_due(&current.targets) {
            targets.version = current.next_version(KeyRole::Targets)?;
            targets.expires = lifetimes.expiry(KeyRole::Targets, now)?;
            new.targets = Some(metadata::sign(targets, &[root], keyring, &[])?);
        }
        let delegating = new.targets_after(current).signed.signed.clone();
        // A kind without a release any more has an empty list: a role never ends.
        let known = current
            .roles
            .keys()
            .filter(|name| matches!(RolePart::of(name), Some(RolePart::Offer | RolePart::History)));
        for name in known {
            placed.roles.entry(name.clone()).or_default();
        }
        for (name, list) in placed.roles {
            let is_same = |before: &SignedDocument<Targets>| {
                before.signed.signed.targets == list && !is_due(before)
            };
            if current.roles.get(&name).is_some_and(is_same) {
                continue;
            }
            let version = current.next_version_of(&name)?;
            let mut document = metadata::new_role(&name, version, now, lifetimes)?;
            document.targets = list;
            let signed = metadata::sign_role(&name, document, &delegating, keyring, &[])?;
            new.roles.insert(name, signed);
        }
        let lists = self.lists_to_sign(current, &delegating, keyring, key.as_ref(), now)?;
        new.roles.extend(lists);
        Ok((new, key))
    }

    /// Lists of patches that are due or new, as far as their keys are available. A publisher of
    /// another change thus protects launchers from an expired list.
    fn lists_to_sign(
        &self,
        current: &Current,
        delegating: &Targets,
        keyring: &Keyring,
        key: Option<&KeyPair>,
        now: Time,
    ) -> Result<RoleDocuments, PublishError> {
        let extra = key.map(std::slice::from_ref).unwrap_or_default();
        let mut lists = self.renewed_lists(current, delegating, keyring, extra, now);
        let roles = delegating.delegations.iter().flat_map(|delegations| &delegations.roles);
        for role in roles {
            let is_list = metadata::signer_of(&role.name) == KeyRole::Patches;
            if !is_list || current.roles.contains_key(&role.name) {
                continue;
            }
            let version = current.next_version_of(&role.name)?;
            let lifetimes = &self.settings().lifetimes;
            let document = metadata::new_role(&role.name, version, now, lifetimes)?;
            match metadata::sign_role(&role.name, document, delegating, keyring, extra) {
                Ok(signed) => _ = lists.insert(role.name.clone(), signed),
                // The list is signed with the first pack.
                Err(_) if role.name != PATCHES_ROLE => {}
                Err(error) => return Err(error),
            }
        }
        Ok(lists)
    }

    /// The steps that write new documents, and those that put them in force.
    pub(super) fn put_in_force(
        &self,
        current: &Current,
        new: &NewDocuments,
        keyring: &Keyring,
        now: Time,
    ) -> Result<Vec<TransactionStep>, PublishError> {
        let mut steps = self.document_steps(new);
        let version = current.next_version(KeyRole::Snapshot)?;
        let snapshot = metadata::new_snapshot(
            version,
            new.targets_after(current),
            &new.roles_after(current),
            now,
            &self.settings().lifetimes,
        )?;
        let snapshot = metadata::sign(snapshot, &[&current.root.signed.signed], keyring, &[])?;
        let path = self.metadata_folder().join(format!("{version}.snapshot.json"));
        steps.push(TransactionStep::Write { path, bytes: snapshot.bytes.clone() });
        steps.extend(self.new_timestamp(current, &snapshot, keyring, now)?);
        steps.extend(self.outdated_steps(current, new, Some(version))?);
        Ok(steps)
    }

    /// The steps that write new documents, those of delegated roles first.
    pub(super) fn document_steps(&self, new: &NewDocuments) -> Vec<TransactionStep> {
        let roles = new.roles.iter().map(|(name, role)| self.role_step(name, role));
        let targets = new.targets.iter();
        roles.chain(targets.map(|targets| self.role_step("targets", targets))).collect()
    }

    /// The step that writes the document of the targets role or of a delegated one.
    pub(super) fn role_step(
        &self,
        name: &str,
        document: &SignedDocument<Targets>,
    ) -> TransactionStep {
        TransactionStep::Write {
            path: self.metadata_folder().join(metadata::role_file(name, document)),
            bytes: document.bytes.clone(),
        }
    }

    /// The steps that remove documents that nobody needs once the new ones are in force.
    pub(super) fn outdated_steps(
        &self,
        current: &Current,
        new: &NewDocuments,
        snapshot: Option<NonZeroU64>,
    ) -> Result<Vec<TransactionStep>, PublishError> {
        let roles = new.roles.iter().map(|(name, role)| (name.as_str(), role));
        let targets = new.targets.iter().map(|targets| ("targets", targets));
        let versions = roles
            .chain(targets)
            .map(|(name, document)| (name, document.signed.signed.version))
            .chain(snapshot.map(|version| ("snapshot", version)));
        let mut steps = Vec::new();
        for (name, version) in versions {
            let outdated = current.outdated(name, version)?.into_iter();
            steps.extend(outdated.map(|path| TransactionStep::Remove { path }));
        }
        Ok(steps)
    }

    pub(super) fn new_timestamp(
        &self,
        current: &Current,
        snapshot: &SignedDocument<tough::schema::Snapshot>,
        keyring: &Keyring,
        now: Time,
    ) -> Result<Vec<TransactionStep>, PublishError> {
        let version = current.next_version(KeyRole::Timestamp)?;
        let timestamp =
            metadata::new_timestamp(version, snapshot, now, &self.settings().lifetimes)?;
        let timestamp = metadata::sign(timestamp, &[&current.root.signed.signed], keyring, &[])?;
        Ok(vec![TransactionStep::Write {
            path: self.metadata_folder().join("timestamp.json"),
            bytes: timestamp.bytes,
        }])
    }
}
