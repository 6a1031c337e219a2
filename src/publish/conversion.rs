//! Converts a repository whose releases stand in the targets role into one with a role for each
//! app, channel and platform, so that a check fetches what concerns it alone.
//!
//! In: the current repository, keys, the time. Out: a transaction, and what changes for clients.
//! Never: a moment in which an installed launcher finds no release: first the releases stand in
//! both places, and they leave the targets role only where no launcher that reads them there alone
//! can be left.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp as Time};

use super::current::Current;
use super::delegated::PacksToList;
use super::entries::release_of;
use super::error::PublishError;
use super::form::MetadataForm;
use super::in_force::NewDocuments;
use super::keys::Keyring;
use super::metadata::RoleDocuments;
use super::necessity::{self, Need};
use super::project::Project;
use super::transaction::Transaction;
use crate::model::{ContainerId, Release, Version};

/// The first version of the launcher that reads releases in roles of their own.
const FIRST_READER: Version = Version::new(0, 1, 0);

/// The step of a conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConversionStep {
    /// Adds the roles, and leaves the releases in the targets role too.
    Add,
    /// Takes the releases out of the targets role, if every installation has had this many days for
    /// a launcher that reads the roles.
    DropOld { days: u32 },
}

/// What a conversion changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversion {
    /// Where the releases stood, and where they stand after it.
    pub before: MetadataForm,
    pub after: MetadataForm,
    /// The documents that are signed, with their bytes.
    pub documents: Vec<(String, usize)>,
}

impl Project {
    /// Prepares a step of the conversion; the transaction is empty if it was taken before.
    ///
    /// # Errors
    /// [`PublishError::OldLaunchers`] if an installed launcher may not read the new form yet,
    /// [`PublishError::Options`] if the roles were not added before.
    pub fn convert(
        &self,
        step: ConversionStep,
        keyring: &Keyring,
        now: Time,
    ) -> Result<(Transaction, Conversion), PublishError> {
        let lock = self.lock()?;
        let current = self.current_to_sign(now)?;
        let before = current.form();
        let after = match (before, step) {
            (MetadataForm::Single, ConversionStep::Add) => MetadataForm::Both,
            (MetadataForm::Single, ConversionStep::DropOld { .. }) => {
                let message = "the releases stand in the targets role alone; add the roles first, without --drop-old";
                return Err(PublishError::Options(message.to_owned()));
            }
            (MetadataForm::Both, ConversionStep::DropOld { days }) => {
                refuse_old_launchers(&current, days, now)?;
                MetadataForm::Roles
            }
            (form, _) => form,
        };
        let mut conversion = Conversion { before, after, documents: Vec::new() };
        if before == after {
            return Ok((Transaction::new(lock, []), conversion));
        }
        let new = self.converted(&current, after, keyring, now)?;
        let documents = new.roles.iter().map(|(name, role)| (name.clone(), role.bytes.len()));
        let targets = new.targets.iter().map(|new| ("targets".to_owned(), new.bytes.len()));
        conversion.documents = targets.chain(documents).collect();
        Ok((Transaction::new(lock, self.put_in_force(&current, &new, keyring, now)?), conversion))
    }

    fn converted(
        &self,
        current: &Current,
        form: MetadataForm,
        keyring: &Keyring,
        now: Time,
    ) -> Result<NewDocuments, PublishError> {
        if current.patches().is_none() {
            return Err(PublishError::NoPatchesRole);
        }
        let content = current.content();
        let (mut new, _) = self.sign_content(current, content.clone(), form, keyring, now)?;
        let packs = current.packs();
        let (new_packs, wanted) = (&BTreeSet::new(), self.packs_for_each_release());
        let listed = PacksToList { packs: &packs, new: new_packs, content: &content, form, wanted };
        let delegating = &new.targets_after(current).signed.signed;
        let lists: RoleDocuments =
            self.changed_lists(current, &listed, delegating, keyring, now)?;
        new.roles.extend(lists);
        Ok(new)
    }
}

/// Refuses unless what every installation is offered has needed a launcher that reads the roles for
/// this many days.
fn refuse_old_launchers(current: &Current, days: u32, now: Time) -> Result<(), PublishError> {
    let content = current.content();
    let releases: Vec<Release> = content.targets.values().filter_map(release_of).collect();
    let since = SignedDuration::from_hours(24 * i64::from(days));
    for kind in necessity::kinds(&releases) {
        let needs = necessity::needed(&kind);
        let offered =
            kind.iter().filter(|release| needs.get(&release.container) == Some(&Need::Offered));
        for release in offered {
            let has_reader =
                release.minimum_launcher.as_ref().is_some_and(|it| *it >= FIRST_READER);
            if !has_reader || now.duration_since(release.published) < since {
                let container: ContainerId = release.container.clone();
                return Err(PublishError::OldLaunchers {
                    container: Box::new(container),
                    launcher: Box::new(FIRST_READER),
                    days,
                });
            }
        }
    }
    Ok(())
}
