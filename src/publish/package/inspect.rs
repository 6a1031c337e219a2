//! Proves, byte by byte, that a package is what its manifest says, before anyone signs it
//! (docs/security.md, faults 11 to 13).
//!
//! There is only one way to write a package, so the inspection interprets nothing. Every header
//! follows from the manifest, and the file must consist of exactly these headers and the entries'
//! bytes. Duplicate names, overlapping entries, gaps, comments, data descriptors, headers that
//! disagree, or a second directory have no place in such a file.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::Mutex;

use super::draft::Package;
use super::error::PackageError;
use super::layout::{self, SlotKind, document_record};
use super::stream::{Writer, in_blocks};
use super::zip::{self, DosTime};
use crate::container::{Decoder, Fault, SpanReader};
use crate::file_error::FileResult as _;
use crate::model::manifest::{Entry, INDEX_PATH, MANIFEST_PATH};
use crate::model::package_index::{Compression, Packed};
use crate::model::release::{DocumentLocation, MAX_DOCUMENT_BYTES};
use crate::model::{Digest, Manifest, PackageIndex, RelativePath};
use crate::mutex;
use crate::parallel;

/// Reads and proves the package at `path` with `threads` threads. The result can be signed.
pub fn inspect(path: &Path, threads: usize) -> Result<Package, PackageError> {
    let file = File::open(path).at("open", path)?;
    let package = Inspection { file: &file, path };
    let [index_document, manifest_document] = package.documents()?;
    let manifest = Manifest::from_json(&manifest_document.json)?;
    let index = PackageIndex::from_json(&index_document.json, &manifest)?;
    if index.pieces.length != index_document.start {
        return Err(PackageError::Disagreement {
            part: "payload's length",
            entry: MANIFEST_PATH.to_owned(),
        });
    }
    let crcs = package.check_entries(&manifest, &index, threads)?;
    package.check_headers(&manifest, &index, [&index_document, &manifest_document], &crcs)?;
    let (length, hash) = package.check_pieces(&index)?;
    let (index_location, manifest_location) = (index_document.location, manifest_document.location);
    Ok(Package { manifest, index, manifest_location, index_location, length, hash })
}

/// Index or manifest, as its bytes lie in the package.
struct Document {
    name: &'static str,
    /// Where its local header begins.
    start: u64,
    location: DocumentLocation,
    json: Vec<u8>,
}

struct Inspection<'a> {
    file: &'a File,
    path: &'a Path,
}

impl Inspection<'_> {
    fn documents(&self) -> Result<[Document; 2], PackageError> {
        let refuse = |reason| PackageError::NoPackage { path: self.path.to_path_buf(), reason };
        let length = self.file.metadata().at("look at", self.path)?.len();
        let tail =
            self.bytes(length.saturating_sub(zip::TAIL as u64), length.min(zip::TAIL as u64))?;
        let [index, manifest] = zip::last_entries(&tail, [INDEX_PATH, MANIFEST_PATH]).ok_or_else(|| {
            refuse(
                "it does not end with a zip directory whose last entries are metadata/package.json and metadata/container.json",
            )
        })?;
        Ok([
            self.document(INDEX_PATH, &index, length)?,
            self.document(MANIFEST_PATH, &manifest, length)?,
        ])
    }

    fn document(
        &self,
        name: &'static str,
        last: &zip::LastEntry,
        length: u64,
    ) -> Result<Document, PackageError> {
        let refuse = |reason| PackageError::NoPackage { path: self.path.to_path_buf(), reason };
        if last.size > MAX_DOCUMENT_BYTES || last.packed_size > MAX_DOCUMENT_BYTES {
            return Err(refuse("its manifest or index is larger than any launcher reads"));
        }
        let record = document_record(name, last.offset, last.packed_size, last.size, last.crc);
        let header = record.local(DosTime::new(jiff::Timestamp::UNIX_EPOCH));
        let offset = last.offset.checked_add(header.len() as u64).filter(|offset| *offset < length);
        let offset = offset.ok_or_else(|| refuse("its manifest or index lies outside of it"))?;
        let mut json = Vec::new();
        let packed = Packed { offset, size: last.packed_size, compression: Compression::Zstd };
        let mut keep = |block: &[u8]| {
            json.extend_from_slice(block);
            Ok(())
        };
        let hash = Decoder::new()
            .and_then(|mut decoder| {
                let mut source = SpanReader::new(self.file, &packed);
                decoder.unpack(&mut source, packed.compression, packed.size, last.size, &mut keep)
            })
            .map_err(|fault| PackageError::Content { entry: name.to_owned(), fault })?;
        let location = DocumentLocation { offset, packed_size: packed.size, size: last.size, hash };
        Ok(Document { name, start: last.offset, location, json })
    }

    /// Unpacks every entry without storing it, proves its hash, and returns its CRC.
    fn check_entries<'m>(
        &self,
        manifest: &'m Manifest,
        index: &PackageIndex,
        threads: usize,
    ) -> Result<BTreeMap<&'m RelativePath, u32>, PackageError> {
        // The index is already checked: it has the manifest's files in the same order.
        let files = manifest.files_with_bytes().zip(index.places.values());
        let mut entries: Vec<_> =
            files.map(|((path, entry), packed)| (path, entry, packed)).collect();
        entries.sort_by_key(|(_, entry, _)| std::cmp::Reverse(entry.size));
        let crcs = Mutex::new(BTreeMap::new());
        type Checked<'m, 'p> = (&'m RelativePath, &'m Entry, &'p Packed);
        let check = |decoder: &mut Option<Decoder>,
                     (path, entry, packed): &Checked<'m, '_>|
         -> Result<(), PackageError> {
            let refuse = |fault| PackageError::Content { entry: path.to_string(), fault };
            let decoder = match decoder {
                Some(decoder) => decoder,
                none => none.insert(Decoder::new().map_err(refuse)?),
            };
            let crc = self.check_entry(decoder, entry, packed).map_err(refuse)?;
            mutex::lock(&crcs).insert(*path, crc);
            Ok(())
        };
        parallel::each(&entries, threads, || None, check)?;
        Ok(mutex::into_inner(crcs))
    }

    fn check_entry(
        &self,
        decoder: &mut Decoder,
        entry: &Entry,
        packed: &Packed,
    ) -> Result<u32, Fault> {
        let mut crc = crc32fast::Hasher::new();
        let mut source = SpanReader::new(self.file, packed);
        let found = decoder.unpack(
            &mut source,
            packed.compression,
            packed.size,
            entry.size,
            &mut |block| {
                crc.update(block);
                Ok(())
            },
        )?;
        if found != entry.hash {
            return Err(Fault::Hash { expected: entry.hash, found });
        }
        Ok(crc.finalize())
    }

    /// Writes every header again from the manifest, and compares it with the actual one.
    fn check_headers(
        &self,
        manifest: &Manifest,
        index: &PackageIndex,
        documents: [&Document; 2],
        crcs: &BTreeMap<&RelativePath, u32>,
    ) -> Result<(), PackageError> {
        let time = DosTime::new(manifest.container_info.build_date);
        let files =
            manifest.file_manifest.iter().map(|(path, entry)| (path, entry.symlink.as_deref()));
        let mut records = Vec::new();
        let mut at = 0;
        for slot in layout::slots(files, &manifest.empty_folders, &manifest.file_manifest) {
            let (entry, packed) =
                (manifest.file_manifest.get(slot.path), index.places.get(slot.path));
            let record = slot.record(entry, packed, crcs.get(slot.path).copied().unwrap_or(0), at);
            let mut expected = record.local(time);
            let data = at + expected.len() as u64;
            if packed.is_some_and(|packed| packed.offset != data) {
                return Err(PackageError::Disagreement { part: "place", entry: record.name });
            }
            if let SlotKind::Link(target) = slot.kind {
                expected.extend(target.as_bytes());
            }
            self.compare(at, &expected, "local header", &record.name)?;
            at = data + record.packed_size;
            records.push(record);
        }
        let mut names = HashSet::new();
        if let Some(twice) =
            records.iter().find(|record| !names.insert(record.name.trim_end_matches('/')))
        {
            return Err(PackageError::Disagreement {
                part: "only entry",
                entry: twice.name.clone(),
            });
        }
        for Document { name, location, json, .. } in documents {
            let record = document_record(
                name,
                at,
                location.packed_size,
                location.size,
                crc32fast::hash(json),
            );
            self.compare(at, &record.local(time), "local header", name)?;
            at = location.offset + location.packed_size;
            records.push(record);
        }
        let directory = at;
        for record in &records {
            let expected = record.central(time);
            self.compare(at, &expected, "directory header", &record.name)?;
            at += expected.len() as u64;
        }
        let end = zip::end(records.len() as u64, directory, at - directory);
        self.compare(at, &end, "end", "the directory")?;
        let length = self.file.metadata().at("look at", self.path)?.len();
        match length == at + end.len() as u64 {
            true => Ok(()),
            false => {
                Err(PackageError::Disagreement { part: "length", entry: "the file".to_owned() })
            }
        }
    }

    fn check_pieces(&self, index: &PackageIndex) -> Result<(u64, Digest), PackageError> {
        let mut writer = Writer::new(std::io::sink(), index.pieces.piece_size);
        let mut file = self.file;
        file.seek(SeekFrom::Start(0)).at("read", self.path)?;
        let copy = |from: &mut dyn std::io::Read, writer: &mut Writer<_>| {
            in_blocks(from, |block| std::io::Write::write_all(writer, block)).at("read", self.path)
        };
        copy(&mut file.take(index.pieces.length), &mut writer)?;
        if writer.finish_payload() != index.pieces {
            return Err(PackageError::Disagreement {
                part: "piece table",
                entry: "the payload".to_owned(),
            });
        }
        copy(&mut file, &mut writer)?;
        Ok(writer.finish().at("read", self.path)?)
    }

    fn compare(
        &self,
        at: u64,
        expected: &[u8],
        part: &'static str,
        entry: &str,
    ) -> Result<(), PackageError> {
        match self.bytes(at, expected.len() as u64)? == expected {
            true => Ok(()),
            false => Err(PackageError::Disagreement { part, entry: entry.to_owned() }),
        }
    }

    /// At most `length` bytes from `offset` on; fewer at the end of the file.
    fn bytes(&self, offset: u64, length: u64) -> Result<Vec<u8>, PackageError> {
        let mut bytes = Vec::new();
        let span = Packed { offset, size: length, compression: Compression::Stored };
        SpanReader::new(self.file, &span).read_to_end(&mut bytes).at("read", self.path)?;
        Ok(bytes)
    }
}
