//! Applies a pack: decodes its groups on several cores into files of a folder, and hashes each file
//! while writing it. The literals that groups share come first, into a file of that folder that is
//! deleted at the end. Meanwhile the groups that need none of them are decoded.
//!
//! A group with a missing or damaged base, or with damaged bytes, fails alone: the caller gets its
//! files by another strategy. Each base is hashed before anything is made from it, so a wrong base
//! is reported as a wrong base.

use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use super::bytes::{FileBytes, SpanOfSource};
use super::group::{self, GroupError};
use super::{Group, Pack, PackError, literals};
use crate::error_chain;
use crate::file_error::{FileError, FileResult as _};
use crate::model::{Digest, Hasher, Manifest, RelativePath};
use crate::mutex;
use crate::parallel;
use kuzflow_delta::coder::STREAMS;
use kuzflow_delta::prediction::ReadAt;

/// Finds the files of the base.
pub trait Bases: Sync {
    /// Opens the file that should have this content; `None` if there is none. [`apply`] verifies
    /// the content.
    fn open(&self, path: &RelativePath, digest: &Digest) -> Option<File>;
}

/// Limits for applying a pack.
#[derive(Clone, Copy, Debug)]
pub struct ApplyOptions<'a> {
    /// Most cores to use.
    pub threads: usize,
    /// Most memory to take, in bytes; if it does not suffice for all cores, fewer are used.
    pub memory: u64,
    /// The caller sets it to stop the work.
    pub stop: &'a AtomicBool,
}

/// Most memory that one group takes, in bytes: models and history of the coder, a decoder's lists,
/// small bases.
pub(super) const MEMORY_OF_A_GROUP: u64 = 56 << 20;
/// Bases of a group up to this size together are read into memory, in bytes; larger ones stay on
/// disk and are read by position.
const SMALL_BASES: u64 = 8 << 20;
/// Bytes that are written at once.
const BLOCK: usize = 256 << 10;

/// A file that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The file's path in the folder.
    pub path: PathBuf,
    /// The digest of its bytes.
    pub digest: Digest,
}

/// Why a group was not applied.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// A base of the group does not exist.
    #[error("{path}, which it is made from, is not there")]
    NoBase {
        /// The path of the base.
        path: RelativePath,
    },
    /// A base of the group has other content than the pack needs.
    #[error("{path}, which it is made from, has other content than it should")]
    WrongBase {
        /// The path of the base.
        path: RelativePath,
    },
    /// The pack's bytes are damaged, or meant for another base.
    #[error("the patch is damaged")]
    Patch(#[source] GroupError),
    /// Reading a base failed, or writing a file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The caller has set [`ApplyOptions::stop`].
    #[error("it was stopped")]
    Stopped,
}

/// Makes all files of `pack` in `folder`, which must exist; the name of each file is its number in
/// [`super::outline::Outline::made`]. Returns for each of them the file, or `None`; and why groups failed.
/// `progress` receives the number of files made so far, from any thread.
pub fn apply(
    pack: &Pack,
    file: &(dyn ReadAt + Sync),
    base: &Manifest,
    bases: &dyn Bases,
    folder: &Path,
    options: ApplyOptions<'_>,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<(Vec<Option<Applied>>, Vec<Failed>), PackError> {
    let made: Vec<_> = pack.outline.made().map(|(_, made)| made.size).collect();
    let shared = SharedLiterals::new(pack, folder);
    let queue = queue(pack);
    let done = AtomicUsize::new(0);
    let results = Mutex::new((vec![None; made.len()], Vec::new()));
    let work = |(): &mut (), task: &Task<'_>| {
        let group = match task {
            Task::Literals => {
                // Dropped last, so that the caller sees the reason before its consequences.
                let _wakes = WakeWaiters(&shared);
                if let Err(failed) = shared.unpack(pack, file, options.stop) {
                    mutex::lock(&results).1.push(failed);
                }
                return Ok(());
            }
            Task::Group(_) if options.stop.load(Ordering::Relaxed) => {
                return Err(PackError::Stopped);
            }
            Task::Group(group) => group,
        };
        let mut makers = Makers {
            folder,
            sizes: &made,
            group,
            stop: options.stop,
            open: None,
            made: Vec::new(),
            member: 0,
        };
        let outcome = makers.run(pack, (file, &shared), base, bases);
        let mut results = mutex::lock(&results);
        match outcome {
            Ok(()) => {
                let count = makers.made.len();
                for (number, applied) in group.members.iter().zip(makers.made) {
                    results.0[*number] = Some(applied);
                }
                progress(done.fetch_add(count, Ordering::Relaxed) + count);
            }
            Err(failed) => {
                makers.remove();
                results.1.push(failed);
            }
        }
        Ok(())
    };
    let memory = usize::try_from(options.memory / MEMORY_OF_A_GROUP).unwrap_or(usize::MAX);
    let ended = parallel::each(&queue, options.threads.min(memory), || (), work);
    shared.remove();
    ended?;
    if options.stop.load(Ordering::Relaxed) {
        return Err(PackError::Stopped);
    }
    Ok(mutex::into_inner(results))
}

/// A piece of work.
enum Task<'a> {
    /// The literals that groups share.
    Literals,
    /// One group of files.
    Group(&'a Group),
}

/// The tasks in the order in which they begin: the shared literals, the groups that need none of
/// them, then the groups that wait for them; of each kind the largest first. So whenever a thread
/// waits for the literals, another one is already working on them.
fn queue(pack: &Pack) -> Vec<Task<'_>> {
    let mut groups: Vec<&Group> = pack.groups.iter().collect();
    groups.sort_by_key(|group| {
        (Pack::shares(group), std::cmp::Reverse(group.span.end - group.span.start))
    });
    let shared = groups.last().is_some_and(|group| Pack::shares(group));
    shared
        .then_some(Task::Literals)
        .into_iter()
        .chain(groups.into_iter().map(Task::Group))
        .collect()
}

/// The unpacked literals that groups share: the streams one behind the other.
struct SharedLiterals {
    path: PathBuf,
    /// How many bytes of each stream the groups need, from its beginning.
    needed: [u64; STREAMS],
    /// Where each stream begins.
    starts: [u64; STREAMS],
    /// Set once the streams are unpacked; `None` if that failed.
    file: OnceLock<Option<FileBytes>>,
}

/// A part of the shared streams, which may not be unpacked yet.
struct Awaited<'a> {
    shared: &'a SharedLiterals,
    span: Range<u64>,
    stream: Option<SpanOfSource<'a>>,
}

impl Read for Awaited<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.span.is_empty() {
            return Ok(0);
        }
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let file = self.shared.file.wait().as_ref().ok_or(io::ErrorKind::InvalidData)?;
                self.stream.insert(SpanOfSource::new(file, &self.span))
            }
        };
        stream.read(buffer)
    }
}

/// Ensures that no thread waits for ever, even after a panic.
struct WakeWaiters<'a>(&'a SharedLiterals);

impl Drop for WakeWaiters<'_> {
    fn drop(&mut self) {
        self.0.file.get_or_init(|| None);
    }
}

impl SharedLiterals {
    fn new(pack: &Pack, folder: &Path) -> Self {
        let mut end = 0;
        let needed = std::array::from_fn(|number| {
            let used = pack
                .groups
                .iter()
                .map(|group| &group.literals[number])
                .filter(|literals| !literals.is_empty());
            used.map(|literals| literals.end).max().unwrap_or(0)
        });
        let starts = needed.map(|length| {
            end += length;
            end - length
        });
        Self { path: folder.join("fresh"), needed, starts, file: OnceLock::new() }
    }

    fn unpack(
        &self,
        pack: &Pack,
        file: &(dyn ReadAt + Sync),
        stop: &AtomicBool,
    ) -> Result<(), Failed> {
        let file = self.write(pack, file, stop)?;
        self.file.get_or_init(|| Some(file));
        Ok(())
    }

    fn write(
        &self,
        pack: &Pack,
        file: &(dyn ReadAt + Sync),
        stop: &AtomicBool,
    ) -> Result<FileBytes, Failed> {
        let mut out = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&self.path)
            .at("create", &self.path)?;
        let mut block = vec![0; BLOCK];
        for (number, stream) in
            pack.literals.iter().enumerate().filter(|(number, _)| self.needed[*number] > 0)
        {
            let packed = SpanOfSource::new(file, &stream.span);
            let mut unpacked = literals::unpack(packed, number, stream.length)
                .map_err(|error| Failed::Patch(error.into()))?;
            let mut left = self.needed[number];
            while left > 0 {
                if stop.load(Ordering::Relaxed) {
                    return Err(Failed::Stopped);
                }
                let count = block.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                unpacked
                    .read_exact(&mut block[..count])
                    .map_err(|error| Failed::Patch(error.into()))?;
                out.write_all(&block[..count]).at("write", &self.path)?;
                left -= count as u64;
            }
        }
        Ok(FileBytes::new(out).at("read", &self.path)?)
    }

    /// The bytes of one group in each stream. A group waits for them when it reads the first of
    /// them: until then it has enough to do.
    fn of(&self, group: &Group) -> [Awaited<'_>; STREAMS] {
        std::array::from_fn(|number| {
            let (start, literals) = (self.starts[number], &group.literals[number]);
            Awaited {
                shared: self,
                span: start + literals.start..start + literals.end,
                stream: None,
            }
        })
    }

    /// Whether unpacking the streams has already failed.
    fn failed(&self) -> bool {
        matches!(self.file.get(), Some(None))
    }

    fn remove(self) {
        let there = self.file.into_inner().is_some();
        if there
            && let Err(error) = fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::debug!(error = error_chain::line(&error), path = %self.path.display(), "the fresh bytes of a patch stay until the next try");
        }
    }
}

/// Writes the files of one group, one after another, as their bytes arrive.
struct Makers<'a> {
    folder: &'a Path,
    sizes: &'a [u64],
    group: &'a Group,
    stop: &'a AtomicBool,
    open: Option<Open>,
    made: Vec<Applied>,
    /// The next member of the group.
    member: usize,
}

struct Open {
    path: PathBuf,
    file: io::BufWriter<File>,
    hasher: Hasher,
    left: u64,
}

impl Makers<'_> {
    fn run(
        &mut self,
        pack: &Pack,
        (file, shared): (&(dyn ReadAt + Sync), &SharedLiterals),
        base: &Manifest,
        bases: &dyn Bases,
    ) -> Result<(), Failed> {
        let paths = pack.bases_of(self.group);
        let entry = |path: &RelativePath| {
            base.file_manifest.get(path).ok_or_else(|| Failed::NoBase { path: path.clone() })
        };
        let total = paths
            .iter()
            .map(|path| entry(path).map(|entry| entry.size))
            .sum::<Result<u64, Failed>>()?;
        let mut opened: Vec<Box<dyn ReadAt>> = Vec::with_capacity(paths.len());
        for path in paths {
            let digest = entry(path)?.hash;
            let found =
                bases.open(path, &digest).ok_or_else(|| Failed::NoBase { path: path.clone() })?;
            opened.push(proved(path, &digest, found, total <= SMALL_BASES)?);
        }
        let opened: Vec<&dyn ReadAt> = opened.iter().map(|base| &**base).collect();
        let members = self.group.members.clone();
        let lengths: Vec<u64> =
            members.iter().filter_map(|number| self.sizes.get(*number).copied()).collect();
        let mut packed = SpanOfSource::new(file, &self.group.span);
        let mut literals = shared.of(self.group);
        let mut failed = None;
        let literals = literals.each_mut().map(|literals| literals as &mut dyn Read);
        let decoded = group::decode(
            self.group.algorithm,
            &opened,
            &lengths,
            (&mut packed, literals),
            MEMORY_OF_A_GROUP,
            &mut |bytes| {
                self.take(bytes).map_err(|error| {
                    failed = Some(error);
                    io::ErrorKind::Other.into()
                })
            },
        );
        match (failed, decoded) {
            (Some(error), _) => Err(error),
            (None, Err(_)) if Pack::shares(self.group) && shared.failed() => {
                Err(Failed::Patch(GroupError::SharedLiterals))
            }
            (None, Err(error)) => Err(Failed::Patch(error)),
            (None, Ok(())) => Ok(()),
        }
    }

    /// Writes bytes to the file that they belong to.
    fn take(&mut self, mut bytes: &[u8]) -> Result<(), Failed> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Failed::Stopped);
        }
        while !bytes.is_empty() {
            let mut open = match self.open.take() {
                Some(open) => open,
                None => self.begin()?,
            };
            let count = bytes.len().min(usize::try_from(open.left).unwrap_or(usize::MAX));
            let (now, rest) = bytes.split_at(count);
            open.hasher.update(now);
            let written = open.file.write_all(now);
            let left = open.left - count as u64;
            let written =
                if left == 0 { written.and_then(|()| open.file.flush()) } else { written };
            if let Err(source) = written {
                let path = open.path.clone();
                // The file stays listed, so that its bytes are deleted with the others of its
                // group.
                self.open = Some(open);
                return Err(FileError::new("write", path, source).into());
            }
            open.left = left;
            bytes = rest;
            if open.left > 0 {
                self.open = Some(open);
                continue;
            }
            self.made.push(Applied { path: open.path, digest: open.hasher.finish() });
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<Open, FileError> {
        let number = self.group.members.get(self.member).copied();
        let (Some(number), Some(size)) = (number, number.and_then(|number| self.sizes.get(number)))
        else {
            return Err(FileError::new("find a place in", self.folder, io::ErrorKind::InvalidData));
        };
        self.member += 1;
        let path = self.folder.join(number.to_string());
        let created = File::create(&path).at("create", &path)?;
        let file = io::BufWriter::with_capacity(BLOCK, created);
        Ok(Open { path, file, hasher: Hasher::default(), left: *size })
    }

    /// Deletes everything that a failed group has written.
    fn remove(self) {
        let paths = self
            .made
            .into_iter()
            .map(|applied| applied.path)
            .chain(self.open.map(|open| open.path));
        for path in paths {
            if let Err(error) = fs::remove_file(&path) {
                tracing::debug!(error = error_chain::line(&error), path = %path.display(), "a file of a failed patch stays until the next try");
            }
        }
    }
}

/// A base with verified content: in memory, or as the open file, so that no other process can
/// exchange it meanwhile.
fn proved(
    path: &RelativePath,
    digest: &Digest,
    file: File,
    in_memory: bool,
) -> Result<Box<dyn ReadAt>, Failed> {
    let file = FileBytes::new(file).at("read", Path::new(path.as_str()))?;
    let (mut hasher, mut retained, mut at) = (Hasher::default(), Vec::new(), 0);
    let mut block = vec![0; BLOCK];
    while at < file.len() {
        let count = block.len().min(usize::try_from(file.len() - at).unwrap_or(usize::MAX));
        file.read_at(at, &mut block[..count]).at("read", Path::new(path.as_str()))?;
        hasher.update(&block[..count]);
        if in_memory {
            retained.extend_from_slice(&block[..count]);
        }
        at += count as u64;
    }
    if hasher.finish() != *digest {
        return Err(Failed::WrongBase { path: path.clone() });
    }
    Ok(if in_memory { Box::new(retained) } else { Box::new(file) })
}
