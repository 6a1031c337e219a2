//! Packages on the launcher's side: from fetched bytes to a tree of files that is verified entry by
//! entry.
//!
//! In: a [`DocumentLocation`] out of signed metadata, packed bytes from anywhere, a staging folder.
//! Out: a [`Manifest`], files, and after the install a list of [`Damage`]. Offsets, sizes and
//! hashes come from the manifest alone; this code never reads a zip's own headers (the publisher's
//! `inspect` proves that they agree). Never: network, a file outside of the given folder, more
//! bytes than the manifest declares, a write through a link.

mod decode;
mod file;
mod links;
mod readiness;
mod restore;
mod stoppable;
mod tree;
mod unpack;
mod verify;

use std::path::PathBuf;

pub use decode::Fault;
pub(crate) use decode::{Decoder, MAX_WINDOW_LOG, SpanReader};
pub(crate) use readiness::Readiness;
pub(crate) use restore::{Substance, copy_entry, dress, make_empty, make_link_at, substance};
pub(crate) use stoppable::Stoppable;
pub use unpack::{Unpacker, unpack_package};
pub(crate) use unpack::{check_entry, unpack_entry};
pub use verify::verify_tree;
pub(crate) use verify::{Damage, Harm, Verification, verify_tree_unless_stopped};

use crate::file_error::{self, FileError};
use crate::model::manifest::InvalidManifest;
use crate::model::package_index::{Compression, InvalidIndex};
use crate::model::release::{DocumentLocation, MAX_DOCUMENT_BYTES};
use crate::model::{Digest, Manifest, PackageIndex, RelativePath};

/// Why reading or unpacking a package failed.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// The packed bytes of manifest or index differ from those that signed metadata names.
    #[error("the package's manifest or index is not the signed one")]
    Document(#[source] Fault),
    /// The manifest is the signed one, but it has a value that is not allowed.
    #[error(transparent)]
    Refused(#[from] InvalidManifest),
    /// The index is the signed one, but it has a value that is not allowed.
    #[error(transparent)]
    RefusedIndex(#[from] InvalidIndex),
    /// An entry's bytes differ from those that the manifest names.
    #[error("the package's entry {path} is not what its manifest says")]
    Entry {
        /// The entry's path.
        path: RelativePath,
        /// The defect of its bytes.
        #[source]
        fault: Fault,
    },
    /// The manifest has no such entry with bytes in the package, or the entry is unpacked already.
    #[error("the manifest has no entry {path} that waits for its bytes")]
    Unknown {
        /// The path that was asked for.
        path: RelativePath,
    },
    /// Some entries are not unpacked yet.
    #[error("{count} entries are not unpacked yet, {path} among them")]
    Unfinished {
        /// The number of these entries.
        count: usize,
        /// The path of one of them.
        path: RelativePath,
    },
    /// The staging folder is not empty.
    #[error("{} is not empty; a package is only unpacked into an empty folder", root.display())]
    NotEmpty {
        /// The staging folder.
        root: PathBuf,
    },
    /// A link of this container cannot exist on this system.
    #[error(
        "the link {path} -> {target} leads to no file, and this system has no links that could be kept as they are"
    )]
    Link {
        /// The link's path.
        path: RelativePath,
        /// The text of the link.
        target: String,
    },
    /// The file system returned an error.
    #[error(transparent)]
    File(#[from] FileError),
}

impl ContainerError {
    /// Whether the source's bytes are wrong or unreadable, so that another source may do better.
    pub fn is_the_sources(&self) -> bool {
        matches!(self, Self::Entry { fault: Fault::Hash { .. } | Fault::Read(_), .. })
    }

    /// Whether the disk was full, so that waiting or freeing space helps, and fetching again does
    /// not.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::File(error) => error.is_disk_full(),
            Self::Entry { fault: Fault::Write(source), .. } => file_error::is_disk_full(source),
            _ => false,
        }
    }
}

/// Unpacks the JSON of manifest or index from its packed bytes. It must be exactly as long as
/// declared, and it is hashed before anyone parses it.
pub fn read_document(
    packed: &[u8],
    location: &DocumentLocation,
) -> Result<Vec<u8>, ContainerError> {
    if location.size > MAX_DOCUMENT_BYTES {
        return Err(ContainerError::Document(Fault::TooLong { declared: MAX_DOCUMENT_BYTES }));
    }
    if u64::try_from(packed.len()).ok() != Some(location.packed_size) {
        return Err(ContainerError::Document(Fault::Truncated));
    }
    // The declared size is signed and capped, but a false one must not cost memory before the bytes
    // have arrived.
    let mut json = Vec::new();
    let mut source = packed;
    let hash = Decoder::new()
        .and_then(|mut decoder| {
            let mut keep = |block: &[u8]| {
                json.extend_from_slice(block);
                Ok(())
            };
            decoder.unpack(
                &mut source,
                Compression::Zstd,
                location.packed_size,
                location.size,
                &mut keep,
            )
        })
        .map_err(ContainerError::Document)?;
    if hash != location.hash {
        return Err(ContainerError::Document(Fault::Hash { expected: location.hash, found: hash }));
    }
    Ok(json)
}

/// Reads the manifest from its packed bytes, verified and checked.
#[cfg(test)]
fn read_manifest(packed: &[u8], location: &DocumentLocation) -> Result<Manifest, ContainerError> {
    Ok(Manifest::from_json(&read_document(packed, location)?)?)
}

/// Reads the index from its packed bytes, verified and checked against the package's manifest.
pub fn read_index(
    packed: &[u8],
    location: &DocumentLocation,
    manifest: &Manifest,
) -> Result<PackageIndex, ContainerError> {
    Ok(PackageIndex::from_json(&read_document(packed, location)?, manifest)?)
}

/// Returns an error unless `found` is the `expected` digest.
fn prove(expected: Digest, found: Digest) -> Result<(), Fault> {
    if expected == found { Ok(()) } else { Err(Fault::Hash { expected, found }) }
}

#[cfg(test)]
pub(crate) mod fixture;

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(json: &[u8]) -> (Vec<u8>, DocumentLocation) {
        let packed = zstd::encode_all(json, 3).unwrap();
        let location = DocumentLocation {
            offset: 0,
            packed_size: packed.len() as u64,
            size: json.len() as u64,
            hash: Digest::of(json),
        };
        (packed, location)
    }

    #[test]
    fn a_manifest_is_proved_before_it_is_parsed() {
        let manifest = fixture::container(&[("app/app.py", b"print()")]).0;
        let (bytes, location) = packed(&manifest.to_json().unwrap());
        assert_eq!(read_manifest(&bytes, &location).unwrap(), manifest);

        let other = DocumentLocation { hash: Digest::of(b"other"), ..location.clone() };
        assert!(matches!(
            read_manifest(&bytes, &other),
            Err(ContainerError::Document(Fault::Hash { .. }))
        ));
        let short = DocumentLocation { size: location.size - 1, ..location.clone() };
        assert!(matches!(
            read_manifest(&bytes, &short),
            Err(ContainerError::Document(Fault::TooLong { .. }))
        ));
        let long = DocumentLocation { size: location.size + 1, ..location.clone() };
        assert!(matches!(
            read_manifest(&bytes, &long),
            Err(ContainerError::Document(Fault::TooShort { .. }))
        ));
        assert!(matches!(
            read_manifest(&bytes[1..], &location),
            Err(ContainerError::Document(Fault::Truncated))
        ));
        let huge = DocumentLocation { size: MAX_DOCUMENT_BYTES + 1, ..location };
        assert!(matches!(
            read_manifest(&bytes, &huge),
            Err(ContainerError::Document(Fault::TooLong { .. }))
        ));
    }

    #[test]
    fn what_is_proved_but_no_manifest_is_refused() {
        let (bytes, location) = packed(b"{\"format\": 2}");
        assert!(matches!(read_manifest(&bytes, &location), Err(ContainerError::Refused(_))));
    }
}
