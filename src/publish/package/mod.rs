//! Packages on the publisher's side: writes them from a list of items, and inspects them before
//! they are signed.
//!
//! A package (`.kuzflow`) is a standard zip that describes its content twice: in its own headers
//! for any unzip program, and in its last two entries, `metadata/package.json` and
//! `metadata/container.json`, for the launcher. Before them lies the payload, cut into pieces;
//! behind them the zip's directory, which the launcher never fetches. Entries are stored or zstd
//! frames, without data descriptors, all with one time. Never: two different packages from the same
//! items.

mod inspect;
mod layout;
mod squeeze;
mod zip;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

pub use inspect::inspect;
pub use squeeze::{Content, Item};

use self::layout::{Kind, Slot};
use self::squeeze::{Spools, Squeezed};
use self::zip::{DosTime, ZipRecord};
use crate::container::Fault;
use crate::model::manifest::*;
use crate::model::package_index::{Compression, InvalidIndex, Packed};
use crate::model::release::{DocumentLocation, LARGEST_DOCUMENT, Release};
use crate::model::{Digest, Hasher, Manifest, PackageIndex, PieceTable, RelativePath};

/// The content and description of a package that is to be written.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Which release this is. Its build date is the time of every entry.
    pub container_info: ContainerInfo,
    /// The platform that it runs on.
    pub platform_info: PlatformInfo,
    /// The app's names, icon and launch.
    pub application_info: ApplicationInfo,
    /// The packages in it, for information.
    pub dependencies: Vec<Dependency>,
    /// Files and links.
    pub items: BTreeMap<RelativePath, Item>,
    /// Folders without a file in them.
    pub empty_folders: Vec<RelativePath>,
}

/// How much work goes into compression.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// zstd's level, 1 to 22.
    pub level: i32,
    /// Number of cores to use. At level 19 each takes about 90 MiB.
    pub threads: usize,
}

/// Most cores that are used by default: memory then stays below a gigabyte.
const MOST_THREADS: usize = 8;

/// The level for a person who waits. On 239 MB of a PyQt5 app level 12 took an eighth of the
/// processor's time that level 19 takes, for a package that is a tenth larger (74.2 and 67.4 MB);
/// level 6 half as long as 12 (76.3 MB), level 15 three times as long (73.2 MB).
pub const USUAL_LEVEL: i32 = 12;

impl Default for Effort {
    fn default() -> Self {
        Self {
            level: USUAL_LEVEL,
            threads: std::thread::available_parallelism()
                .map_or(1, |cores| cores.get().min(MOST_THREADS)),
        }
    }
}

/// A package that was written or inspected.
#[derive(Clone, Debug)]
pub struct Package {
    /// What it says about itself.
    pub manifest: Manifest,
    /// The places of its files' bytes.
    pub index: PackageIndex,
    /// The place of the manifest in the package.
    pub manifest_location: DocumentLocation,
    /// The place of the index in the package.
    pub index_location: DocumentLocation,
    /// Bytes of the whole file.
    pub length: u64,
    /// Digest of the whole file.
    pub hash: Digest,
}

/// Why writing a package failed, or why a package is refused.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// The file system returned an error.
    #[error("cannot {action} {}", path.display())]
    File {
        /// The attempted action.
        action: &'static str,
        /// The file of that action.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A file changed while it was being packed.
    #[error("{} changed while it was being packed", path.display())]
    Changed {
        /// The path of the file.
        path: PathBuf,
    },
    /// The manifest has a value that is not allowed.
    #[error("the package's manifest is refused")]
    Manifest(#[from] InvalidManifest),
    /// The index has a value that is not allowed.
    #[error("the package's index is refused")]
    Index(#[from] InvalidIndex),
    /// The file is no package.
    #[error("{} is no package: {reason}", path.display())]
    NoPackage {
        /// The path of the file.
        path: PathBuf,
        /// Why it is no package.
        reason: &'static str,
    },
    /// Manifest and headers disagree.
    #[error("the package's {part} of {entry} is not what its manifest says")]
    Disagreement {
        /// The part of the package that differs.
        part: &'static str,
        /// The path of the entry.
        entry: String,
    },
    /// An entry's bytes differ from those that the manifest names.
    #[error("the package's entry {entry} is not what its manifest says")]
    Content {
        /// The path of the entry.
        entry: String,
        /// The defect of its bytes.
        #[source]
        fault: Fault,
    },
}

impl PackageError {
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::File { action, path, source }
    }
}

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

    let failed = || PackageError::file("write", out);
    let temporary =
        tempfile::Builder::new().prefix(".kuzflow-").tempfile_in(folder).map_err(failed())?;
    let mut writer = Writer::new(
        BufWriter::with_capacity(1 << 20, temporary.as_file()),
        PieceTable::size_for(plan.payload),
    );
    for (record, slot) in plan.records.iter().zip(&plan.slots) {
        writer.write_all(&record.local(plan.time)).map_err(failed())?;
        match (&slot.kind, squeezed.get(slot.path)) {
            (Kind::Link(target), _) => writer.write_all(target.as_bytes()).map_err(failed())?,
            (Kind::File, Some(squeezed)) => {
                io::copy(&mut spools.reader(squeezed), &mut writer).map(drop).map_err(failed())?;
            }
            _ => {}
        }
    }
    let index = PackageIndex { places: plan.places, pieces: writer.finish_payload() };
    let manifest = finish_manifest(draft, plan.files)?;
    index.check(&manifest)?;
    let mut at = plan.payload;
    let mut records = plan.records;
    let mut locations = Vec::with_capacity(2);
    for (name, json) in [(INDEX_PATH, index.to_json()?), (MANIFEST_PATH, manifest.to_json()?)] {
        if json.len() as u64 > LARGEST_DOCUMENT {
            return Err(PackageError::NoPackage {
                path: out.to_path_buf(),
                reason: "it has more files than any launcher reads",
            });
        }
        let packed = squeeze::frame(&json, effort.level).map_err(failed())?;
        let record = document_record(
            name,
            at,
            packed.len() as u64,
            json.len() as u64,
            crc32fast::hash(&json),
        );
        let header = record.local(plan.time);
        let location = DocumentLocation {
            offset: at + header.len() as u64,
            packed_size: packed.len() as u64,
            size: json.len() as u64,
            hash: Digest::of(&json),
        };
        writer.write_all(&header).map_err(failed())?;
        writer.write_all(&packed).map_err(failed())?;
        at = location.offset + location.packed_size;
        locations.push(location);
        records.push(record);
    }
    let mut directory_size = 0;
    for record in &records {
        let header = record.central(plan.time);
        directory_size += header.len() as u64;
        writer.write_all(&header).map_err(failed())?;
    }
    writer.write_all(&zip::end(records.len() as u64, at, directory_size)).map_err(failed())?;
    let (length, hash) = writer.finish().map_err(failed())?;
    readable_by_all(temporary.as_file()).map_err(failed())?;
    temporary.as_file().sync_all().map_err(failed())?;
    temporary.persist(out).map_err(|error| failed()(error.error))?;
    let [index_location, manifest_location] = <[DocumentLocation; 2]>::try_from(locations)
        .map_err(|_| PackageError::NoPackage {
            path: out.to_path_buf(),
            reason: "it has no manifest",
        })?;
    Ok(Package { manifest, index, manifest_location, index_location, length, hash })
}

/// The description of a package for signed metadata. The publisher adds mandatory, rollout, minimum
/// version and notes.
pub fn release_of(package: &Package, channel: &str, published: jiff::Timestamp) -> Release {
    let manifest = &package.manifest;
    Release {
        container: manifest.id(),
        display_name: manifest.application_info.display_name.clone(),
        channel: channel.to_owned(),
        published,
        manifest: package.manifest_location.clone(),
        index: package.index_location.clone(),
        unpacked_size: manifest.unpacked_size(),
        file_count: manifest.file_manifest.len() as u64,
        mandatory: false,
        rollout_permille: 1000,
        halted: false,
        minimum_version: None,
        minimum_launcher: None,
        hot_swap: None,
        notes: BTreeMap::new(),
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

/// The header of the index or the manifest.
fn document_record(name: &str, offset: u64, packed_size: u64, size: u64, crc: u32) -> ZipRecord {
    ZipRecord {
        name: name.to_owned(),
        mode: zip::FILE | Permissions::FILE.mode(),
        compression: Compression::Zstd,
        crc,
        packed_size,
        size,
        offset,
    }
}

/// Hashes all bytes that it writes: the pieces until the payload ends, and the whole file.
struct Writer<W> {
    inner: W,
    whole: Hasher,
    length: u64,
    piece_size: u32,
    piece: Hasher,
    in_piece: u32,
    pieces: Vec<Digest>,
    in_payload: bool,
}

impl<W: Write> Writer<W> {
    fn new(inner: W, piece_size: u32) -> Self {
        let (whole, piece) = (Hasher::default(), Hasher::default());
        Self {
            inner,
            whole,
            length: 0,
            piece_size,
            piece,
            in_piece: 0,
            pieces: Vec::new(),
            in_payload: true,
        }
    }

    /// Ends the payload: the bytes behind it belong to no piece.
    fn finish_payload(&mut self) -> PieceTable {
        self.in_payload = false;
        if self.in_piece > 0 {
            self.pieces.push(std::mem::take(&mut self.piece).finish());
        }
        PieceTable {
            piece_size: self.piece_size,
            length: self.length,
            hashes: std::mem::take(&mut self.pieces),
        }
    }

    fn finish(mut self) -> io::Result<(u64, Digest)> {
        self.inner.flush()?;
        Ok((self.length, self.whole.finish()))
    }

    fn hash_pieces(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let wanted = usize::try_from(self.piece_size - self.in_piece).unwrap_or(usize::MAX);
            let (now, rest) = bytes.split_at(wanted.min(bytes.len()));
            self.piece.update(now);
            self.in_piece += u32::try_from(now.len()).unwrap_or(0);
            if self.in_piece == self.piece_size {
                self.pieces.push(std::mem::take(&mut self.piece).finish());
                self.in_piece = 0;
            }
            bytes = rest;
        }
    }
}

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write_all(bytes)?;
        self.whole.update(bytes);
        self.length += bytes.len() as u64;
        if self.in_payload {
            self.hash_pieces(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Reads `file` to its end in blocks of 256 KiB.
fn in_blocks<R: Read>(
    mut file: R,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => take(&buffer[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
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
