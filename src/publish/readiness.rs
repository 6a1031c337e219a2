//! Checks whether publishing would succeed now, before the caller spends hours on preparations.

use std::path::Path;

use super::current::Current;
use super::entries::release_of;
use super::error::PublishError;
use super::keys::Keyring;
use super::metadata;
use super::patches::hash_of;
use super::project::Project;
use super::transaction::digest_of;

impl Project {
    /// Refuses if a key that a new release needs is missing or unusable. It signs the published
    /// documents again for this and discards the result. A keyring that remembers keys asks for
    /// passwords now and not later.
    pub fn check_keys(&self, keyring: &Keyring) -> Result<(), PublishError> {
        let current = self.current()?;
        metadata::sign(
            current.targets.signed.signed.clone(),
            &[&current.root.signed.signed],
            keyring,
            &[],
        )?;
        sign_online(&current, keyring)
    }

    /// The same check for the keys that new patch packs need.
    pub fn check_pack_keys(&self, keyring: &Keyring) -> Result<(), PublishError> {
        let current = self.current()?;
        let patches = current.patches().ok_or(PublishError::NoPatchesRole)?;
        metadata::sign_patches(
            patches.signed.signed.clone(),
            &current.targets.signed.signed,
            keyring,
            &[],
        )?;
        sign_online(&current, keyring)
    }

    /// Whether exactly this file is a published package.
    pub fn is_published(&self, package: &Path) -> Result<bool, PublishError> {
        let (digest, _) = digest_of(package)?;
        let current = self.current()?;
        let content = current.content();
        Ok(content
            .targets
            .values()
            .any(|target| hash_of(target) == Some(digest) && release_of(target).is_some()))
    }
}

fn sign_online(current: &Current, keyring: &Keyring) -> Result<(), PublishError> {
    let root = &current.root.signed.signed;
    metadata::sign(current.snapshot.signed.signed.clone(), &[root], keyring, &[])?;
    metadata::sign(current.timestamp.signed.signed.clone(), &[root], keyring, &[])?;
    Ok(())
}
