//! Turns packed bytes, and files that are on this disk already, into files in an empty staging
//! folder.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::decode::{Decoder, Fault, SpanReader};
use super::file::{
    self, ReadFailure, copy, create, finish_file, open_plain, set_permissions, share_blocks,
    system_time,
};
use super::links::place_link;
use super::stoppable::Stoppable;
use super::tree;
use super::{ContainerError, prove};
use crate::file_error::{FileError, FileResult as _};
use crate::model::manifest::{Entry, MANIFEST_PATH, Permissions};
use crate::model::package_index::Packed;
use crate::model::{Digest, Manifest, PackageIndex, RelativePath};
use crate::mutex;
use crate::{look, parallel};

/// Unpacks entries, in any order and from several threads at once, into a folder that it creates
/// itself.
///
/// Three things ensure that nothing is ever written through a planted link: the folder is empty at
/// the start and this code makes all folders in it; it creates every file with "must not exist";
/// and [`Unpacker::finish`] makes the links last.
pub struct Unpacker {
    manifest: Arc<Manifest>,
    root: PathBuf,
    waiting: Mutex<HashSet<RelativePath>>,
    decoders: Mutex<Vec<Decoder>>,
    /// Cleared once the file system has refused to share blocks, so that the code does not try
    /// again for each file.
    shares_blocks: AtomicBool,
    /// Set by the owner to stop the work, within a large file as well.
    stop: Arc<AtomicBool>,
}

impl Unpacker {
    /// Creates `root` and every folder of the container. `root` must be absent or an empty folder.
    pub fn new(manifest: Arc<Manifest>, root: PathBuf) -> Result<Self, ContainerError> {
        file::create_root(&root).at("create the folder", &root)?;
        let metadata = fs::symlink_metadata(&root).at("look at", &root)?;
        let mut content = fs::read_dir(&root).at("list the folder", &root)?;
        let first = content.next().transpose().at("list the folder", &root)?;
        if !metadata.is_dir() || first.is_some() {
            return Err(ContainerError::NotEmpty { root });
        }
        for folder in tree::folders(&manifest) {
            let path = root.join(folder);
            file::create_folder(&path, tree::is_mutable(folder)).at("create the folder", &path)?;
        }
        let waiting =
            Mutex::new(manifest.files_with_bytes().map(|(path, _)| path.clone()).collect());
        Ok(Self {
            manifest,
            root,
            waiting,
            decoders: Mutex::default(),
            shares_blocks: AtomicBool::new(true),
            stop: Arc::default(),
        })
    }

    /// The same unpacker; once `stop` is set every entry fails, a large one midway.
    pub(crate) fn stopped_by(self, stop: &Arc<AtomicBool>) -> Self {
        Self { stop: Arc::clone(stop), ..self }
    }

    /// Whether somebody stopped it.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The manifest that is being unpacked.
    pub fn manifest(&self) -> &Arc<Manifest> {
        &self.manifest
    }

    /// Entries that still wait for their bytes.
    pub fn waiting(&self) -> usize {
        mutex::lock(&self.waiting).len()
    }

    /// Unpacks the entry `path` from a stream that stands at its first packed byte. After an error
    /// nothing of the entry remains, and the caller can try again with other bytes.
    pub fn entry(
        &self,
        path: &RelativePath,
        packed: &Packed,
        bytes: &mut dyn Read,
    ) -> Result<(), ContainerError> {
        let mut bytes = Stoppable::new(bytes, &self.stop);
        self.filled(path, |entry| self.write(path, entry, packed, &mut bytes))
    }

    /// Unpacks the entry `path` out of a file that has the package's bytes at their places (other
    /// bytes may be missing).
    pub fn entry_at(
        &self,
        path: &RelativePath,
        packed: &Packed,
        package: &File,
    ) -> Result<(), ContainerError> {
        self.entry(path, packed, &mut SpanReader::new(package, packed))
    }

    /// Clones the entry `path` from a file of an installed version. It shares the blocks where the
    /// file system can do that, and otherwise copies; it never makes a hard link, which an app
    /// could write through. Reading the file proves that it has the right content.
    pub fn clone_from(&self, path: &RelativePath, source: &Path) -> Result<(), ContainerError> {
        self.filled(path, |entry| {
            let full = path.under(&self.root);
            let refuse = |fault| ContainerError::Entry { path: path.clone(), fault };
            if self.shares_blocks.load(Ordering::Relaxed) {
                match share_blocks(source, &full) {
                    Ok(file) => {
                        let checked = look::digest(Stoppable::new(&file, &self.stop))
                            .map_err(Fault::Read)
                            .and_then(|found| prove(entry.hash, found));
                        return finish_file(&full, file, entry, checked)
                            .map_err(|failure| failure.at(&full, || refuse));
                    }
                    Err(_) => self.shares_blocks.store(false, Ordering::Relaxed),
                }
            }
            let written = copy(source, &full, entry, &self.stop);
            written.map_err(|failure| failure.at(&full, || refuse))
        })
    }

    /// Moves the file `staged`, which this process has written and hashed, to the place of the
    /// entry `path`.
    pub fn adopt(
        &self,
        path: &RelativePath,
        staged: &Path,
        digest: Digest,
    ) -> Result<(), ContainerError> {
        self.filled(path, |entry| {
            prove(entry.hash, digest)
                .map_err(|fault| ContainerError::Entry { path: path.clone(), fault })?;
            let full = path.under(&self.root);
            let file = open_plain(staged).at("open", staged)?;
            let dressed = set_permissions(&file, entry.permissions)
                .and_then(|()| file.set_modified(system_time(entry.mtime)));
            Ok(dressed.and_then(|()| fs::rename(staged, &full)).at("move", staged)?)
        })
    }

    /// Runs `fill` for an entry that waits for bytes. Afterwards the entry no longer waits, unless
    /// `fill` failed.
    fn filled(
        &self,
        path: &RelativePath,
        fill: impl FnOnce(&Entry) -> Result<(), ContainerError>,
    ) -> Result<(), ContainerError> {
        // Taken out first: if two threads unpack the same entry, one of them gets an error.
        let waited = mutex::lock(&self.waiting).take(path);
        let (Some(waited), Some(entry)) = (waited, self.manifest.file_manifest.get(path)) else {
            return Err(ContainerError::Unknown { path: path.clone() });
        };
        let result = fill(entry);
        if result.is_err() {
            mutex::lock(&self.waiting).insert(waited);
        }
        result
    }

    /// Adds what has no bytes in the package: empty files, the manifest itself (`json`, its
    /// verified bytes), and at last the links. The tree is then whole, but not yet durable: the
    /// caller that registers it flushes it.
    pub fn finish(self, json: &[u8]) -> Result<(), ContainerError> {
        let waiting = mutex::lock(&self.waiting);
        if let Some(path) = waiting.iter().min() {
            return Err(ContainerError::Unfinished { count: waiting.len(), path: path.clone() });
        }
        let manifest_path = self.root.join(MANIFEST_PATH);
        let mtime = self.manifest.container_info.build_date.as_second();
        let size = json.len() as u64;
        let own = Entry {
            size,
            mtime,
            hash: Digest::of(json),
            permissions: Permissions::FILE,
            symlink: None,
        };
        create(&manifest_path, &own, |file| file.write_all(json).map_err(Fault::Write)).map_err(
            |failure| match failure {
                // These bytes are verified, so the disk is the cause.
                ReadFailure::Content(Fault::Write(source)) => {
                    FileError::new("write", &manifest_path, source).into()
                }
                failure => failure.at(&manifest_path, || ContainerError::Document),
            },
        )?;
        for (path, entry) in
            self.manifest.file_manifest.iter().filter(|(_, entry)| !entry.has_bytes())
        {
            let full = path.under(&self.root);
            if entry.symlink.is_none() {
                create(&full, entry, |_| prove(entry.hash, Digest::of(b""))).map_err(
                    |failure| {
                        failure.at(&full, || {
                            |fault| ContainerError::Entry { path: path.clone(), fault }
                        })
                    },
                )?;
            }
        }
        for (path, entry) in &self.manifest.file_manifest {
            if let Some(target) = &entry.symlink {
                let full = path.under(&self.root);
                let placed = place_link(&self.manifest, path, target, &self.root, &full);
                if !placed.at("create the link", &full)? {
                    return Err(ContainerError::Link {
                        path: path.clone(),
                        target: target.clone(),
                    });
                }
            }
        }
        Ok(())
    }

    fn write(
        &self,
        path: &RelativePath,
        entry: &Entry,
        packed: &Packed,
        bytes: &mut dyn Read,
    ) -> Result<(), ContainerError> {
        let refuse = |fault| ContainerError::Entry { path: path.clone(), fault };
        let pooled = mutex::lock(&self.decoders).pop();
        let mut decoder = pooled.map_or_else(Decoder::new, Ok).map_err(refuse)?;
        let full = path.under(&self.root);
        let written = create(&full, entry, |file| {
            let mut sink = |block: &[u8]| file.write_all(block);
            let hash =
                decoder.unpack(bytes, packed.compression, packed.size, entry.size, &mut sink)?;
            prove(entry.hash, hash)
        });
        mutex::lock(&self.decoders).push(decoder);
        written.map_err(|failure| failure.at(&full, || refuse))
    }
}

/// Verifies that packed bytes are those of an entry, without storing the unpacked bytes.
pub(crate) fn check_entry(
    entry: &Entry,
    packed: &Packed,
    bytes: &mut dyn Read,
) -> Result<(), Fault> {
    let found =
        Decoder::new()?
            .unpack(bytes, packed.compression, packed.size, entry.size, &mut |_| Ok(()))?;
    prove(entry.hash, found)
}

/// Unpacks an entry into a separate file, which must not exist yet.
pub(crate) fn unpack_entry(
    path: &RelativePath,
    entry: &Entry,
    packed: &Packed,
    bytes: &mut dyn Read,
    to: &Path,
) -> Result<(), ContainerError> {
    let written = create(to, entry, |file| {
        let mut sink = |block: &[u8]| file.write_all(block);
        prove(
            entry.hash,
            Decoder::new()?.unpack(
                bytes,
                packed.compression,
                packed.size,
                entry.size,
                &mut sink,
            )?,
        )
    });
    written.map_err(|failure| {
        failure.at(to, || |fault| ContainerError::Entry { path: path.clone(), fault })
    })
}

/// Unpacks a whole package with `threads` threads, the largest entries first. `json` is the
/// manifest's verified bytes. `progress` receives the unpacked bytes of each finished entry, from
/// any thread.
pub fn unpack_package(
    package: &File,
    manifest: Arc<Manifest>,
    index: &PackageIndex,
    json: &[u8],
    root: PathBuf,
    threads: usize,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<(), ContainerError> {
    let unpacker = Unpacker::new(manifest.clone(), root)?;
    let mut entries: Vec<_> = manifest.files_with_bytes().zip(index.places.values()).collect();
    entries.sort_by_key(|((_, entry), _)| std::cmp::Reverse(entry.size));
    let unpack = |(): &mut (),
                  ((path, entry), packed): &((&RelativePath, &Entry), &Packed)|
     -> Result<(), ContainerError> {
        unpacker.entry_at(path, packed, package)?;
        progress(entry.size);
        Ok(())
    };
    parallel::each(&entries, threads, || (), unpack)?;
    unpacker.finish(json)
}

#[cfg(test)]
mod tests;
