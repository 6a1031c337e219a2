//! Signs the same content again before its signatures expire: a timer does so with the online keys,
//! and the publisher once a year with the offline keys.
//!
//! A role without available keys stays unchanged and is reported: a launcher can do without
//! patches, but not without a timestamp.

use jiff::Timestamp as Time;
use tough::schema::Snapshot;

use super::current::Current;
use super::deadlines::{Deadline, deadlines};
use super::error::PublishError;
use super::in_force::NewDocuments;
use super::keys::Keyring;
use super::metadata::{self, SignedDocument};
use super::project::Project;
use super::role::KeyRole;
use super::transaction::{Transaction, TransactionStep};

/// How far a requested version number may lie above the known one; a typing error would use up
/// numbers for ever.
const MAX_VERSION_LEAP: u64 = 1_000_000;

/// The roles to sign again.
#[derive(Clone, Copy, Debug, Default)]
pub struct RenewalOptions {
    /// Whether to sign the root again, with the keys that it has.
    pub root: bool,
    /// Whether to sign the list of releases again.
    pub targets: bool,
    /// Version numbers of new documents begin here: after a restore from a backup, above the ones
    /// that clients have seen.
    pub at_least: u64,
}

/// A prepared renewal.
#[derive(Debug)]
pub struct Renewal {
    /// The change, ready to run.
    pub transaction: Transaction,
    /// The roles that sign again.
    pub renewed: Vec<KeyRole>,
    /// The roles that should sign and cannot, and why.
    pub left: Vec<(KeyRole, PublishError)>,
}

impl Project {
    /// Prepares new signatures with the online keys alone: of the timestamp, and of the snapshot
    /// and the list of patches once half of their lives is over.
    ///
    /// # Errors
    /// If the timestamp, or a snapshot that is due, cannot be signed; [`Project::renew`] signs what
    /// it can.
    pub fn refresh(&self, keyring: &Keyring, now: Time) -> Result<Transaction, PublishError> {
        let Renewal { transaction, left, .. } =
            self.renew(RenewalOptions::default(), keyring, now)?;
        // Clients can do without patches and words, but not for long without a snapshot.
        match left.into_iter().find(|(role, _)| !role.is_delegated()) {
            Some((_, error)) => Err(error),
            None => Ok(transaction),
        }
    }

    /// Prepares new signatures of the roles in `options` and of the online roles that are due.
    ///
    /// # Errors
    /// If the timestamp cannot be signed, or none of the requested offline roles.
    pub fn renew(
        &self,
        options: RenewalOptions,
        keyring: &Keyring,
        now: Time,
    ) -> Result<Renewal, PublishError> {
        let lock = self.lock()?;
        let mut current = self.current_to_sign(now)?;
        current.start_at(options.at_least)?;
        let mut work = Work {
            project: self,
            current: &current,
            keyring,
            now,
            renewed: Vec::new(),
            left: Vec::new(),
            files: Vec::new(),
        };
        let mut steps: Vec<TransactionStep> = self.nodes_step()?.into_iter().collect();
        let root = if options.root { work.root_steps()? } else { Vec::new() };
        match work.content_steps(options) {
            Ok(content) => steps.extend(content),
            // The root needs no other key: it may be signed on a machine that never had an online
            // key.
            Err(error) if !root.is_empty() => work.left.push((KeyRole::Timestamp, error)),
            Err(error) => return Err(error),
        }
        steps.extend(root);
        let Work { renewed, mut left, .. } = work;
        let wants_offline = options.root || options.targets;
        if wants_offline && !renewed.iter().any(|role| role.is_offline()) && !left.is_empty() {
            return Err(left.swap_remove(0).1);
        }
        Ok(Renewal { transaction: Transaction::new(lock, steps), renewed, left })
    }

    /// Until when each role's signature holds, the earliest first.
    ///
    /// # Errors
    /// The errors of reading the repository.
    pub fn deadlines(&self, now: Time) -> Result<Vec<Deadline>, PublishError> {
        let expiries = self.expiries()?.into_iter().map(|(role, expires)| (role, Some(expires)));
        Ok(deadlines(&expiries.collect::<Vec<_>>(), &self.settings().lifetimes, now))
    }
}

impl Current {
    /// Starts the version numbers of new documents at `at_least`.
    fn start_at(&mut self, at_least: u64) -> Result<(), PublishError> {
        let highest = self
            .timestamp
            .signed
            .signed
            .version
            .get()
            .max(self.snapshot.signed.signed.version.get());
        if at_least > highest.saturating_add(MAX_VERSION_LEAP) {
            let message = format!(
                "{at_least} is far above the repository's numbers ({highest}); take the number that clients name"
            );
            return Err(PublishError::Options(message));
        }
        self.at_least = at_least;
        Ok(())
    }
}

struct Work<'a> {
    project: &'a Project,
    current: &'a Current,
    keyring: &'a Keyring,
    now: Time,
    renewed: Vec<KeyRole>,
    left: Vec<(KeyRole, PublishError)>,
    /// The steps for files that signed documents name.
    files: Vec<TransactionStep>,
}

impl Work<'_> {
    /// The document, if `role` could sign it; otherwise `None`, and the error is recorded for the
    /// report.
    fn note<T>(&mut self, role: KeyRole, signed: Result<T, PublishError>) -> Option<T> {
        match signed {
            Ok(signed) => {
                self.renewed.push(role);
                Some(signed)
            }
            Err(error) => {
                self.left.push((role, error));
                None
            }
        }
    }

    /// Cancels the signature of `role`, since the document that would bring it to clients cannot be
    /// signed.
    fn give_up(&mut self, role: KeyRole) {
        self.renewed.retain(|renewed| *renewed != role);
    }

    fn root_steps(&mut self) -> Result<Vec<TransactionStep>, PublishError> {
        let mut root = self.current.root.signed.signed.clone();
        root.version = self.current.next_version(KeyRole::Root)?;
        root.expires = self.project.settings().lifetimes.expiry(KeyRole::Root, self.now)?;
        let signed = metadata::sign(root.clone(), &[&root], self.keyring, &[]);
        let Some(signed) = self.note(KeyRole::Root, signed) else { return Ok(Vec::new()) };
        let path = self.project.metadata_folder().join(format!("{}.root.json", root.version));
        let shipped = self.project.launcher_folder().join("root.json");
        Ok(vec![
            TransactionStep::Write { path, bytes: signed.bytes.clone() },
            TransactionStep::Write { path: shipped, bytes: signed.bytes },
        ])
    }

    /// The steps for everything below the root.
    fn content_steps(
        &mut self,
        options: RenewalOptions,
    ) -> Result<Vec<TransactionStep>, PublishError> {
        let all = options.targets || options.at_least > 0;
        let mut new = NewDocuments::default();
        if options.targets {
            self.targets(&mut new)?;
        }
        for signer in [KeyRole::Patches, KeyRole::Rollout] {
            self.lists(signer, all, &mut new)?;
        }
        let is_due = all
            || !new.is_empty()
            || self.is_old(KeyRole::Snapshot, self.current.snapshot.signed.signed.expires);
        let snapshot = if is_due { self.snapshot(&new)? } else { None };
        let mut steps = std::mem::take(&mut self.files);
        if let Some(snapshot) = &snapshot {
            steps.extend(self.project.document_steps(&new));
            let path = self
                .project
                .metadata_folder()
                .join(format!("{}.snapshot.json", snapshot.signed.signed.version));
            steps.push(TransactionStep::Write { path, bytes: snapshot.bytes.clone() });
        } else {
            self.give_up(KeyRole::Targets);
            self.give_up(KeyRole::Patches);
            self.give_up(KeyRole::Rollout);
        }
        let current = snapshot.as_ref().unwrap_or(&self.current.snapshot);
        steps.extend(self.project.new_timestamp(self.current, current, self.keyring, self.now)?);
        self.renewed.push(KeyRole::Timestamp);
        if let Some(snapshot) = &snapshot {
            let version = snapshot.signed.signed.version;
            steps.extend(self.project.outdated_steps(self.current, &new, Some(version))?);
        }
        Ok(steps)
    }

    /// The list of releases, and those of the roles that it delegates releases to.
    fn targets(&mut self, new: &mut NewDocuments) -> Result<(), PublishError> {
        let mut targets = self.current.targets.signed.signed.clone();
        self.files.extend(self.project.renew_launcher_settings(&mut targets)?);
        targets.version = self.current.next_version(KeyRole::Targets)?;
        targets.expires = self.project.settings().lifetimes.expiry(KeyRole::Targets, self.now)?;
        let signed =
            metadata::sign(targets, &[&self.current.root.signed.signed], self.keyring, &[]);
        new.targets = self.note(KeyRole::Targets, signed);
        if new.targets.is_none() {
            return Ok(());
        }
        let delegating = new.targets_after(self.current).signed.signed.clone();
        let roles = self.current.roles.keys();
        for name in roles.filter(|name| metadata::signer_of(name) == KeyRole::Targets) {
            let document = self.project.next_list(self.current, name, self.now)?;
            let signed = metadata::sign_role(name, document, &delegating, self.keyring, &[])?;
            new.roles.insert(name.clone(), signed);
        }
        Ok(())
    }

    /// The lists of patches, or the words, that are due; the delegations of the targets in force after this verify
    /// them.
    fn lists(
        &mut self,
        signer: KeyRole,
        all: bool,
        new: &mut NewDocuments,
    ) -> Result<(), PublishError> {
        let delegating = new.targets_after(self.current).signed.signed.clone();
        let mut signed = Vec::new();
        for (name, before) in self.current.signed_by(signer) {
            if !all && !self.is_old(signer, before.signed.signed.expires) {
                continue;
            }
            let document = self.project.next_list(self.current, name, self.now)?;
            let list = metadata::sign_role(name, document, &delegating, self.keyring, &[]);
            signed.push(list.map(|list| (name.to_owned(), list)));
        }
        // All of them have the same keys.
        let signed: Result<Vec<_>, PublishError> = signed.into_iter().collect();
        if signed.as_ref().is_ok_and(Vec::is_empty) {
            return Ok(());
        }
        new.roles.extend(self.note(signer, signed).into_iter().flatten());
        Ok(())
    }

    fn snapshot(
        &mut self,
        new: &NewDocuments,
    ) -> Result<Option<SignedDocument<Snapshot>>, PublishError> {
        let version = self.current.next_version(KeyRole::Snapshot)?;
        let snapshot = metadata::new_snapshot(
            version,
            new.targets_after(self.current),
            &new.roles_after(self.current),
            self.now,
            &self.project.settings().lifetimes,
        )?;
        let signed =
            metadata::sign(snapshot, &[&self.current.root.signed.signed], self.keyring, &[]);
        Ok(self.note(KeyRole::Snapshot, signed))
    }

    fn is_old(&self, role: KeyRole, expires: Time) -> bool {
        let lifetimes = &self.project.settings().lifetimes;
        // A clock that was ahead signed for too long; a signing with the right clock corrects that.
        let is_too_long = expires.duration_since(self.now) > lifetimes.of(role);
        lifetimes.is_half_over(role, expires, self.now) || self.project.trusts_clock && is_too_long
    }
}
