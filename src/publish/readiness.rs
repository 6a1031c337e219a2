//! Whether a release could be published now: asked before hours go into it.

use super::error::PublishError;
use super::keys::Keyring;
use super::metadata;
use super::project::Project;

impl Project {
    /// Refuses if a key that a new release needs is missing, or cannot be used. What is published is signed again for this, and thrown
    /// away; a keyring that remembers asks for passwords now and not later.
    pub fn check_keys(&self, keyring: &Keyring) -> Result<(), PublishError> {
        let current = self.current()?;
        let root = &current.root.signed.signed;
        metadata::sign(current.targets.signed.signed.clone(), &[root], keyring, &[])?;
        metadata::sign(current.snapshot.signed.signed.clone(), &[root], keyring, &[])?;
        metadata::sign(current.timestamp.signed.signed.clone(), &[root], keyring, &[])?;
        Ok(())
    }
}
