//! Refuses packages that would bring the keys of this repository to every user.
//!
//! In: a package, and the repository's keys as its metadata names them. Out: a refusal. Never: a
//! change.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use super::bundling::secrets::{MAX_KEY_BYTES, is_key_name, is_private_key};
use super::error::PublishError;
use super::keys::KeyPair;
use super::package::Package;
use super::project::Project;
use crate::container::{Decoder, Fault, SpanReader};
use crate::file_error::FileResult as _;
use crate::model::package_index::Packed;

impl Project {
    /// # Errors
    /// [`PublishError::OwnKey`] if the package at `path` has a private key that signs this
    /// repository: everybody who installs it could sign releases. An encrypted key is known by its
    /// file's name, since nobody can read its id without the password.
    pub fn refuse_signing_keys(&self, path: &Path, package: &Package) -> Result<(), PublishError> {
        let current = self.current()?;
        let patches = current.targets.signed.signed.delegations.iter();
        let ids: BTreeSet<_> = (current.root.signed.signed.keys.keys())
            .chain(patches.flat_map(|delegations| delegations.keys.keys()))
            .cloned()
            .collect();
        let refuse = |reason: String| PublishError::Package { path: path.to_owned(), reason };
        let file = File::open(path).at("open", path)?;
        let mut decoder = Decoder::new().map_err(|fault| refuse(fault.to_string()))?;
        for ((entry, about), packed) in
            package.manifest.files_with_bytes().zip(package.index.places.values())
        {
            if about.size > MAX_KEY_BYTES {
                continue;
            }
            let bytes = unpack(&mut decoder, &file, packed, about.size)
                .map_err(|fault| refuse(format!("{entry}: {fault}")))?;
            let Ok(text) = std::str::from_utf8(&bytes) else { continue };
            if !is_private_key(&bytes) {
                continue;
            }
            let name = entry.as_str().rsplit('/').next().unwrap_or_default();
            let is_own = match KeyPair::from_pem(text, || None) {
                Ok(key) => ids.contains(key.id()),
                Err(_) => is_key_name(name),
            };
            if is_own {
                return Err(PublishError::OwnKey { entry: entry.clone() });
            }
        }
        Ok(())
    }
}

fn unpack(
    decoder: &mut Decoder,
    file: &File,
    packed: &Packed,
    size: u64,
) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    decoder.unpack(
        &mut SpanReader::new(file, packed),
        packed.compression,
        packed.size,
        size,
        &mut |block| {
            bytes.extend_from_slice(block);
            Ok(())
        },
    )?;
    Ok(bytes)
}
