//! Compresses items on several cores into spool files. Memory stays bounded for files of any size,
//! and the package does not depend on the order in which the cores finish.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::effort::Effort;
use super::error::PackageError;
use super::stream::in_blocks;
use crate::container::{MAX_WINDOW_LOG, SpanReader};
use crate::file_error::FileResult as _;
use crate::model::manifest::Permissions;
use crate::model::package_index::{Compression, Packed};
use crate::model::{Digest, Hasher, RelativePath};
use crate::mutex;

/// A file or link to be packed.
#[derive(Clone, Debug)]
pub struct Item {
    /// The source of its bytes.
    pub content: Content,
    /// Its Unix permissions.
    pub permissions: Permissions,
}

/// The source of an item's bytes.
#[derive(Clone, Debug)]
pub enum Content {
    /// A file, and its length in bytes.
    File(PathBuf, u64),
    /// These bytes.
    Bytes(Vec<u8>),
    /// No bytes: a symlink with this text.
    Link(String),
}

impl Item {
    /// The content of a generated text file.
    pub fn text(text: impl Into<Vec<u8>>) -> Self {
        Self { content: Content::Bytes(text.into()), permissions: Permissions::FILE }
    }

    /// Bytes when unpacked.
    pub fn size(&self) -> u64 {
        match &self.content {
            Content::File(_, size) => *size,
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Link(_) => 0,
        }
    }

    /// The target, if this is a link.
    pub fn link(&self) -> Option<&str> {
        match &self.content {
            Content::Link(target) => Some(target),
            _ => None,
        }
    }
}

/// An item's packed bytes in a spool, and the data for its headers.
#[derive(Clone, Copy)]
pub(super) struct Squeezed {
    spool: usize,
    at: u64,
    pub packed_size: u64,
    pub size: u64,
    pub crc: u32,
    pub hash: Digest,
    pub compression: Compression,
}

/// One temporary file for each core.
pub(super) struct Spools {
    folder: PathBuf,
    files: Vec<File>,
}

impl Spools {
    /// Empty spools; they are nameless files in `folder` that end with this process.
    pub(super) fn new(folder: &Path, threads: usize) -> Result<Self, PackageError> {
        let open = |_| tempfile::tempfile_in(folder).at("create a temporary file in", folder);
        Ok(Self {
            folder: folder.to_path_buf(),
            files: (0..threads.max(1)).map(open).collect::<Result<_, _>>()?,
        })
    }

    /// The packed bytes of an item.
    pub(super) fn reader(&self, squeezed: &Squeezed) -> impl Read {
        let packed = Packed {
            offset: squeezed.at,
            size: squeezed.packed_size,
            compression: squeezed.compression,
        };
        SpanReader::new(&self.files[squeezed.spool], &packed)
    }
}

/// Files below this size, in bytes, are stored: a frame's header alone takes most of the gain.
const TINY: u64 = 64;

/// Compresses all items that have bytes, the largest first, so that no core has a long one left at
/// the end.
pub(super) fn squeeze<'a>(
    items: &'a BTreeMap<RelativePath, Item>,
    spools: &Spools,
    effort: Effort,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<BTreeMap<&'a RelativePath, Squeezed>, PackageError> {
    let mut queue: Vec<_> = items.iter().filter(|(_, item)| item.size() > 0).collect();
    queue.sort_by_key(|(_, item)| std::cmp::Reverse(item.size()));
    let next = AtomicUsize::new(0);
    let done = Mutex::new(BTreeMap::new());
    let work = |spool: usize| -> Result<(), PackageError> {
        let mut output =
            Spool { file: BufWriter::with_capacity(1 << 20, &spools.files[spool]), at: 0 };
        while let Some((path, item)) = queue.get(next.fetch_add(1, Ordering::Relaxed)) {
            let squeezed = output
                .take(spool, item, effort.level, &spools.folder)
                .inspect_err(|_| next.store(queue.len(), Ordering::Relaxed))?;
            mutex::lock(&done).insert(*path, squeezed);
            progress(item.size());
        }
        Ok(output.file.flush().at("write a temporary file in", &spools.folder)?)
    };
    std::thread::scope(|scope| {
        #[allow(clippy::disallowed_methods)] // on the publisher's computer a panic is a message
        let helpers: Vec<_> =
            (1..spools.files.len()).map(|spool| scope.spawn(move || work(spool))).collect();
        let own = work(0);
        let others = helpers
            .into_iter()
            .map(|helper| helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        others.fold(own, Result::and)
    })?;
    Ok(mutex::into_inner(done))
}

/// Compresses `content` to one zstd frame.
pub(super) fn frame(content: &[u8], level: i32) -> io::Result<Vec<u8>> {
    let mut encoder = encoder(Vec::new(), level, content.len() as u64)?;
    encoder.write_all(content)?;
    encoder.finish()
}

/// An encoder without a checksum: the manifest has a better one.
fn encoder<W: Write>(writer: W, level: i32, size: u64) -> io::Result<zstd::Encoder<'static, W>> {
    let mut encoder = zstd::Encoder::new(writer, level)?;
    encoder.set_pledged_src_size(Some(size))?;
    // Levels up to 19 stay below this by themselves; the limit must not raise the window of small
    // inputs.
    if level > 19 && size > 1 << MAX_WINDOW_LOG {
        encoder.window_log(MAX_WINDOW_LOG)?;
    }
    Ok(encoder)
}

/// A spool that is being written.
struct Spool<'a> {
    file: BufWriter<&'a File>,
    at: u64,
}

impl Spool<'_> {
    fn take(
        &mut self,
        spool: usize,
        item: &Item,
        level: i32,
        folder: &Path,
    ) -> Result<Squeezed, PackageError> {
        let (mut sums, mut packed_size) = (Sums::default(), item.size());
        let mut compression = Compression::Stored;
        if item.size() >= TINY {
            let mut counting = Counting { inner: &mut self.file, count: 0 };
            sums = item.compress(&mut counting, level)?;
            packed_size = counting.count;
            compression = Compression::Zstd;
        }
        if item.size() < TINY || packed_size >= item.size() {
            self.file.seek(SeekFrom::Start(self.at)).at("write a temporary file in", folder)?;
            let again = item.copy(&mut self.file)?;
            if compression == Compression::Zstd && again != sums {
                return Err(item.changed());
            }
            (sums, packed_size, compression) = (again, item.size(), Compression::Stored);
        }
        let at = self.at;
        self.at += packed_size;
        Ok(Squeezed {
            spool,
            at,
            packed_size,
            size: item.size(),
            crc: sums.crc,
            hash: sums.hash,
            compression,
        })
    }
}

impl Item {
    fn compress(&self, out: &mut dyn Write, level: i32) -> Result<Sums, PackageError> {
        let mut encoder = encoder(out, level, self.size()).at("pack", self.path())?;
        let sums = self.copy(&mut encoder)?;
        encoder.finish().at("pack", self.path())?;
        Ok(sums)
    }

    /// Copies the bytes and computes their checksums. It copies exactly as many bytes as the item
    /// had when it was listed.
    fn copy(&self, out: &mut dyn Write) -> Result<Sums, PackageError> {
        let (mut crc, mut hasher, mut count) = (crc32fast::Hasher::new(), Hasher::default(), 0);
        let take = |block: &[u8]| {
            count += block.len() as u64;
            if count > self.size() {
                return Ok(());
            }
            crc.update(block);
            hasher.update(block);
            out.write_all(block)
        };
        match &self.content {
            Content::File(path, _) => {
                let file = File::open(path).at("open", path)?;
                in_blocks(file, take).at("pack", path)?;
            }
            Content::Bytes(bytes) => in_blocks(&bytes[..], take).at("pack", Path::new(""))?,
            Content::Link(_) => {}
        }
        if count != self.size() {
            return Err(self.changed());
        }
        Ok(Sums { crc: crc.finalize(), hash: hasher.finish() })
    }

    fn path(&self) -> &Path {
        match &self.content {
            Content::File(path, _) => path,
            _ => Path::new(""),
        }
    }

    fn changed(&self) -> PackageError {
        PackageError::Changed { path: self.path().to_path_buf() }
    }
}

/// Both checksums of an item.
#[derive(PartialEq, Eq)]
struct Sums {
    crc: u32,
    hash: Digest,
}

impl Default for Sums {
    fn default() -> Self {
        Self { crc: 0, hash: Digest::of(b"") }
    }
}

struct Counting<W> {
    inner: W,
    count: u64,
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.count += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
