//! Packages on the publisher's side: writes them from a list of items, and inspects them before
//! they are signed.
//!
//! A package (`.kuzflow`) is a standard zip that describes its content twice: in its own headers
//! for any unzip program, and in its last two entries, `metadata/package.json` and
//! `metadata/container.json`, for the launcher. Before them lies the payload, cut into pieces;
//! behind them the zip's directory, which the launcher never fetches. Entries are stored or zstd
//! frames, without data descriptors, all with one time. Never: two different packages from the same
//! items.

mod draft;
mod effort;
mod error;
mod inspect;
mod layout;
mod squeeze;
mod stream;
mod zip;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

pub use draft::{Draft, Package, release_of};
pub use effort::{Effort, USUAL_LEVEL};
pub use error::PackageError;
pub use inspect::inspect;
pub use squeeze::{Content, Item};

use self::layout::{Slot, SlotKind, document_record};
use self::squeeze::{Spools, Squeezed};
use self::stream::Writer;
use self::zip::{DosTime, ZipRecord};
use crate::file_error::FileResult as _;
use crate::model::manifest::*;
use crate::model::package_index::Packed;
use crate::model::release::{DocumentLocation, MAX_DOCUMENT_BYTES};
use crate::model::{Digest, Manifest, PackageIndex, PieceTable, RelativePath};

/// Writes a package to `out`, and replaces an existing file in one step. Meanwhile temporary files
/// of about the package's size lie beside it. `progress` receives the unpacked bytes of each packed
/// item, from any thread.
pub fn write_package(
    out: &Path,
    draft: &Draft,
    effort: Effort,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Package, PackageError> {
    let folder = match out.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let spools = Spools::new(folder, effort.threads)?;
    let squeezed = squeeze::squeeze(&draft.items, &spools, effort, progress)?;
    let plan = plan(draft, &squeezed);

    let temporary =
        tempfile::Builder::new().prefix(".kuzflow-").tempfile_in(folder).at("write", out)?;
    let mut writer = Writer::new(
        BufWriter::with_capacity(1 << 20, temporary.as_file()),
        PieceTable::size_for(plan.payload),
    );
    for (record, slot) in plan.records.iter().zip(&plan.slots) {
        writer.write_all(&record.local(plan.time)).at("write", out)?;
        match (&slot.kind, squeezed.get(slot.path)) {
            (SlotKind::Link(target), _) => writer.write_all(target.as_bytes()).at("write", out)?,
            (SlotKind::File, Some(squeezed)) => {
                io::copy(&mut spools.reader(squeezed), &mut writer).map(drop).at("write", out)?;
            }
            _ => {}
        }
    }
    let index = PackageIndex { places: plan.places, pieces: writer.finish_payload() };
    let manifest = finish_manifest(draft, plan.files)?;
    index.check(&manifest)?;
    let mut tail = Tail { at: plan.payload, records: plan.records, time: plan.time, effort };
    let index_location = tail.write(&mut writer, out, INDEX_PATH, &index.to_json()?)?;
    let manifest_location = tail.write(&mut writer, out, MANIFEST_PATH, &manifest.to_json()?)?;
    tail.write_directory(&mut writer).at("write", out)?;
    let (length, hash) = writer.finish().at("write", out)?;
    readable_by_all(temporary.as_file()).at("write", out)?;
    temporary.as_file().sync_all().at("write", out)?;
    temporary.persist(out).at("write", out)?;
    Ok(Package { manifest, index, manifest_location, index_location, length, hash })
}

/// The part of a package behind the payload: the documents, and the directory of all entries.
struct Tail {
    /// Where the next byte stands.
    at: u64,
    records: Vec<ZipRecord>,
    time: DosTime,
    effort: Effort,
}

impl Tail {
    /// Writes a document as an entry of its own. Returns where it lies.
    fn write(
        &mut self,
        writer: &mut impl Write,
        out: &Path,
        name: &str,
        json: &[u8],
    ) -> Result<DocumentLocation, PackageError> {
        if json.len() as u64 > MAX_DOCUMENT_BYTES {
            return Err(PackageError::NoPackage {
                path: out.to_path_buf(),
                reason: "it has more files than any launcher reads",
            });
        }
        let packed = squeeze::frame(json, self.effort.level).at("write", out)?;
        let (packed_size, size) = (packed.len() as u64, json.len() as u64);
        let record = document_record(name, self.at, packed_size, size, crc32fast::hash(json));
        let header = record.local(self.time);
        let offset = self.at + header.len() as u64;
        writer.write_all(&header).at("write", out)?;
        writer.write_all(&packed).at("write", out)?;
        self.at = offset + packed_size;
        self.records.push(record);
        Ok(DocumentLocation { offset, packed_size, size, hash: Digest::of(json) })
    }

    /// Writes the directory, which ends the package.
    fn write_directory(&self, writer: &mut impl Write) -> io::Result<()> {
        let mut directory_size = 0;
        for record in &self.records {
            let header = record.central(self.time);
            directory_size += header.len() as u64;
            writer.write_all(&header)?;
        }
        writer.write_all(&zip::end(self.records.len() as u64, self.at, directory_size))
    }
}

/// Every header and offset of a package, computed before its first byte is written.
struct Plan<'a> {
    slots: Vec<Slot<'a>>,
    records: Vec<ZipRecord>,
    files: BTreeMap<RelativePath, Entry>,
    places: BTreeMap<RelativePath, Packed>,
    /// Bytes of the payload.
    payload: u64,
    time: DosTime,
}

fn plan<'a>(draft: &'a Draft, squeezed: &BTreeMap<&RelativePath, Squeezed>) -> Plan<'a> {
    let mtime = draft.container_info.build_date.as_second();
    let time = DosTime::new(draft.container_info.build_date);
    let (mut files, mut places) = (BTreeMap::new(), BTreeMap::new());
    for (path, item) in &draft.items {
        let squeezed = squeezed.get(path);
        let (symlink, hash) = match &item.content {
            Content::Link(target) => (Some(target.clone()), Digest::of(target.as_bytes())),
            _ => (None, squeezed.map_or_else(|| Digest::of(b""), |squeezed| squeezed.hash)),
        };
        let size = squeezed.map_or(0, |squeezed| squeezed.size);
        if let Some(squeezed) = squeezed {
            // The offset is known once all sizes are known.
            places.insert(
                path.clone(),
                Packed { offset: 0, size: squeezed.packed_size, compression: squeezed.compression },
            );
        }
        let permissions = if symlink.is_some() { Permissions::PROGRAM } else { item.permissions };
        files.insert(path.clone(), Entry { size, mtime, hash, permissions, symlink });
    }
    let slots = layout::slots(
        draft.items.iter().map(|(path, item)| (path, item.link())),
        &draft.empty_folders,
        &files,
    );
    let mut records = Vec::with_capacity(slots.len());
    let mut at = 0;
    for slot in &slots {
        let crc = squeezed.get(slot.path).map_or(0, |squeezed| squeezed.crc);
        let record = slot.record(files.get(slot.path), places.get(slot.path), crc, at);
        let data = at + record.local(time).len() as u64;
        at = data + record.packed_size;
        if let Some(packed) = places.get_mut(slot.path) {
            packed.offset = data;
        }
        records.push(record);
    }
    Plan { slots, records, files, places, payload: at, time }
}

fn finish_manifest(
    draft: &Draft,
    files: BTreeMap<RelativePath, Entry>,
) -> Result<Manifest, PackageError> {
    let mut dependencies = draft.dependencies.clone();
    dependencies.sort();
    let mut empty_folders = draft.empty_folders.clone();
    empty_folders.sort();
    let manifest = Manifest {
        format: MANIFEST_FORMAT,
        container_info: draft.container_info.clone(),
        platform_info: draft.platform_info.clone(),
        application_info: draft.application_info.clone(),
        dependencies,
        file_manifest: files,
        empty_folders,
        signature: None,
    };
    manifest.check()?;
    Ok(manifest)
}

/// Makes a file readable by all: a temporary file is readable only by its owner, and a web server
/// must read a package.
#[cfg(unix)]
fn readable_by_all(file: &File) -> io::Result<()> {
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(Permissions::FILE.mode()))
}

#[cfg(not(unix))]
fn readable_by_all(_: &File) -> io::Result<()> {
    Ok(())
}
