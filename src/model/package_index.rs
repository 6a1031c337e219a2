//! The package index, `metadata/package.json`: where each file's bytes lie in the package, and the
//! hash of every piece of it.
//!
//! The launcher never reads a zip's own headers: offsets and sizes come from this document, and its
//! digest is in signed metadata. So a contradiction between local headers and central directory has
//! no effect. A client fetches the index when it takes bytes out of the package; the index is not
//! installed.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::manifest::Manifest;
use super::path::RelativePath;
use super::pieces::{InvalidPieceTable, PieceTable};

/// The format version of this document that this program writes and reads.
const INDEX_FORMAT: u32 = 1;
/// Largest ratio of unpacked to packed size. No real file reaches it; a larger ratio is a
/// decompression bomb (zstd's own limit for zeros is about 32,000).
const MAX_RATIO: u64 = 40_000;

/// Where the bytes of each file lie in a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageIndex {
    /// The places of all files that have bytes.
    pub places: BTreeMap<RelativePath, Packed>,
    /// The pieces of the payload (all files' bytes; index, manifest and the zip's directory lie
    /// behind it).
    pub pieces: PieceTable,
}

/// Where a file's bytes lie in the package, behind its local header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Offset from the start of the package.
    pub offset: u64,
    /// Packed size, bytes.
    pub size: u64,
    /// The zip method.
    pub compression: Compression,
}

impl Packed {
    /// The bytes of the package that this file needs.
    pub fn span(&self) -> Range<u64> {
        self.offset..self.offset.saturating_add(self.size)
    }
}

/// The zip methods that packages use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Method 0.
    Stored,
    /// Method 93, one frame, window at most 8 MiB.
    Zstd,
}

/// The document: columns over those files of the manifest that have bytes, in the order of their
/// paths. So it need not repeat the paths.
#[derive(Serialize, Deserialize)]
struct IndexDocument {
    format: u32,
    offsets: Vec<u64>,
    sizes: Vec<u64>,
    /// Indexes of the stored files; all others are zstd frames.
    stored: Vec<u64>,
    pieces: PieceTable,
}

/// Why a package index is refused.
#[derive(Debug, thiserror::Error)]
pub enum InvalidIndex {
    /// It is not JSON of the index's form.
    #[error("the package index cannot be read")]
    Form(#[from] serde_json::Error),
    /// A newer program wrote it.
    #[error(
        "the package index has format {found}, this program reads format {INDEX_FORMAT}; update the launcher"
    )]
    Format {
        /// The format version of the document.
        found: u32,
    },
    /// It has another number of files than the manifest.
    #[error("the package index has {places} places for {files} files")]
    Count {
        /// Number of places in the index.
        places: usize,
        /// Number of files with bytes in the manifest.
        files: usize,
    },
    /// The bytes of a file lie outside the payload, overlap another file's, or have an impossible
    /// size.
    #[error("the place of {path} does not fit the package: {reason}")]
    Span {
        /// Path of the file.
        path: RelativePath,
        reason: &'static str,
    },
    /// The numbers of the piece table contradict each other.
    #[error(transparent)]
    Pieces(#[from] InvalidPieceTable),
}

impl PackageIndex {
    /// Parses and checks the index of the package that `manifest` describes. Every index, even a
    /// signed one, is read through this function.
    pub fn from_json(json: &[u8], manifest: &Manifest) -> Result<Self, InvalidIndex> {
        let document: IndexDocument = serde_json::from_slice(json)?;
        if document.format != INDEX_FORMAT {
            return Err(InvalidIndex::Format { found: document.format });
        }
        let files: Vec<&RelativePath> = manifest.files_with_bytes().map(|(path, _)| path).collect();
        if document.offsets.len() != files.len() || document.sizes.len() != files.len() {
            return Err(InvalidIndex::Count { places: document.offsets.len(), files: files.len() });
        }
        let mut columns: Vec<Packed> = document
            .offsets
            .into_iter()
            .zip(document.sizes)
            .map(|(offset, size)| Packed { offset, size, compression: Compression::Zstd })
            .collect();
        for number in document.stored {
            if let Some(packed) =
                usize::try_from(number).ok().and_then(|number| columns.get_mut(number))
            {
                packed.compression = Compression::Stored;
            }
        }
        let places = files.into_iter().cloned().zip(columns).collect();
        let index = Self { places, pieces: document.pieces };
        index.check(manifest)?;
        Ok(index)
    }

    /// The document's bytes: compact JSON with a line feed at the end.
    pub fn to_json(&self) -> Result<Vec<u8>, InvalidIndex> {
        let stored = |(number, packed): (u64, &Packed)| {
            (packed.compression == Compression::Stored).then_some(number)
        };
        let document = IndexDocument {
            format: INDEX_FORMAT,
            offsets: self.places.values().map(|packed| packed.offset).collect(),
            sizes: self.places.values().map(|packed| packed.size).collect(),
            stored: (0u64..).zip(self.places.values()).filter_map(stored).collect(),
            pieces: self.pieces.clone(),
        };
        let mut json = serde_json::to_vec(&document)?;
        json.push(b'\n');
        Ok(json)
    }

    /// Refuses overlapping or impossible spans, and places that do not belong to the manifest's
    /// files (docs/security.md, fault 13).
    pub fn check(&self, manifest: &Manifest) -> Result<(), InvalidIndex> {
        self.pieces.check()?;
        if !manifest.files_with_bytes().map(|(path, _)| path).eq(self.places.keys()) {
            return Err(InvalidIndex::Count {
                places: self.places.len(),
                files: manifest.files_with_bytes().count(),
            });
        }
        let mut spans = Vec::with_capacity(self.places.len());
        for ((path, packed), (_, entry)) in self.places.iter().zip(manifest.files_with_bytes()) {
            let refuse = |reason| Err(InvalidIndex::Span { path: path.clone(), reason });
            let Some(end) = packed.offset.checked_add(packed.size) else {
                return refuse("its end is beyond all numbers");
            };
            if end > self.pieces.length || packed.size == 0 {
                return refuse("its bytes lie outside the payload");
            }
            if entry.size / MAX_RATIO > packed.size {
                return refuse("it would unpack to far more than any real file does");
            }
            if packed.compression == Compression::Stored && packed.size != entry.size {
                return refuse("it is stored, but its two sizes differ");
            }
            spans.push((packed.offset, end, path));
        }
        spans.sort_unstable();
        for pair in spans.windows(2) {
            if pair[1].0 < pair[0].1 {
                return Err(InvalidIndex::Span {
                    path: pair[1].2.clone(),
                    reason: "its bytes overlap another file's",
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Digest;
    use crate::model::manifest::{Entry, Permissions};

    fn manifest(sizes: &[u64]) -> Manifest {
        let entry = |size| Entry {
            size,
            mtime: 0,
            hash: Digest::of(b"x"),
            permissions: Permissions::FILE,
            symlink: None,
        };
        let files = sizes
            .iter()
            .enumerate()
            .map(|(number, size)| (format!("app/{number}").parse().unwrap(), entry(*size)));
        Manifest::sample(files.collect())
    }

    fn packed(offset: u64, size: u64) -> Packed {
        Packed { offset, size, compression: Compression::Stored }
    }

    fn index(manifest: &Manifest, places: &[Packed]) -> PackageIndex {
        let places = manifest.file_manifest.keys().cloned().zip(places.iter().copied()).collect();
        PackageIndex {
            places,
            pieces: PieceTable { piece_size: 1024, length: 1000, hashes: vec![Digest::of(b"")] },
        }
    }

    #[test]
    fn json_and_back() {
        let manifest = manifest(&[10, 50]);
        let index = index(
            &manifest,
            &[packed(0, 10), Packed { compression: Compression::Zstd, ..packed(10, 20) }],
        );
        assert_eq!(PackageIndex::from_json(&index.to_json().unwrap(), &manifest).unwrap(), index);
        let text = String::from_utf8(index.to_json().unwrap()).unwrap();
        let newer = text.replace("\"format\":1", "\"format\":2");
        assert!(matches!(
            PackageIndex::from_json(newer.as_bytes(), &manifest),
            Err(InvalidIndex::Format { found: 2 })
        ));
        let other = super::tests::manifest(&[10]);
        assert!(matches!(
            PackageIndex::from_json(text.as_bytes(), &other),
            Err(InvalidIndex::Count { .. })
        ));
    }

    #[test]
    fn impossible_spans_are_refused() {
        let refused = |size: u64, place: Packed| {
            let manifest = manifest(&[10, size]);
            index(&manifest, &[packed(0, 10), place]).check(&manifest).unwrap_err().to_string()
        };
        assert!(refused(10, packed(5, 10)).contains("overlap"));
        assert!(refused(10, packed(995, 10)).contains("outside"));
        assert!(refused(10, packed(20, 0)).contains("outside"));
        assert!(refused(10, packed(u64::MAX, 10)).contains("beyond"));
        assert!(refused(9, packed(10, 10)).contains("sizes differ"));
        let bomb = Packed { compression: Compression::Zstd, ..packed(10, 20) };
        assert!(refused(1 << 40, bomb).contains("far more"));
    }
}
