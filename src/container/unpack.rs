//! From packed bytes, and from files that are on this disk already, to files in an empty staging folder.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::decode::{Decoder, Fault, SpanReader};
use super::file::{
    self, ReadFailure, copy, create, digest_of, finish_file, open_plain, set_permissions, share_blocks, system_time,
};
use super::links::place_link;
use super::tree;
use super::{ContainerError, prove};
use crate::model::manifest::{Entry, MANIFEST_PATH, Permissions};
use crate::model::package_index::Packed;
use crate::model::{Digest, Manifest, PackageIndex, RelativePath};
use crate::parallel;

/// Unpacks entries, in any order and from several threads at once, into a folder that it creates itself.
///
/// That nothing is ever written through a planted link follows from three things: the folder is empty at the start and all
/// folders in it are made here, every file is created with "must not exist", and links are made last, by [`Unpacker::finish`].
pub struct Unpacker {
    manifest: Arc<Manifest>,
    root: PathBuf,
    waiting: Mutex<HashSet<RelativePath>>,
    decoders: Mutex<Vec<Decoder>>,
    /// Cleared once the file system has refused to share blocks: nobody asks it again for each file.
    shares_blocks: AtomicBool,
}

impl Unpacker {
    /// Creates `root` and every folder of the container. `root` must not exist, or be an empty folder.
    pub fn new(manifest: Arc<Manifest>, root: PathBuf) -> Result<Self, ContainerError> {
        file::create_root(&root).map_err(ContainerError::file("create the folder", &root))?;
        let metadata = fs::symlink_metadata(&root).map_err(ContainerError::file("look at", &root))?;
        let mut content = fs::read_dir(&root).map_err(ContainerError::file("list the folder", &root))?;
        let first = content.next().transpose().map_err(ContainerError::file("list the folder", &root))?;
        if !metadata.is_dir() || first.is_some() {
            return Err(ContainerError::NotEmpty { root });
        }
        for folder in tree::folders(&manifest) {
            let path = root.join(folder);
            file::create_folder(&path, tree::is_mutable(folder)).map_err(ContainerError::file("create the folder", &path))?;
        }
        let waiting = Mutex::new(manifest.files_with_bytes().map(|(path, _)| path.clone()).collect());
        Ok(Self { manifest, root, waiting, decoders: Mutex::default(), shares_blocks: AtomicBool::new(true) })
    }

    /// The manifest that is being unpacked.
    pub fn manifest(&self) -> &Arc<Manifest> {
        &self.manifest
    }

    /// Entries that still wait for their bytes.
    pub fn waiting(&self) -> usize {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Unpacks the entry `path` from a stream that stands at its first packed byte. After an error nothing of it is left, and
    /// it can be tried again with other bytes.
    pub fn entry(&self, path: &RelativePath, packed: &Packed, bytes: &mut dyn Read) -> Result<(), ContainerError> {
        self.filled(path, |entry| self.write(path, entry, packed, bytes))
    }

    /// Unpacks the entry `path` out of a file that has the package's bytes at their places (others may be missing).
    pub fn entry_at(&self, path: &RelativePath, packed: &Packed, package: &File) -> Result<(), ContainerError> {
        self.entry(path, packed, &mut SpanReader::new(package, packed))
    }

    /// Takes the entry `path` from a file of an installed version: its blocks are shared where the file system can do that, else
    /// copied; never a hard link, which an app could write through. Whether it has the right content is proved by reading it.
    pub fn clone_from(&self, path: &RelativePath, source: &Path) -> Result<(), ContainerError> {
        self.filled(path, |entry| {
            let full = path.under(&self.root);
            let refuse = |fault| ContainerError::Entry { path: path.clone(), fault };
            if self.shares_blocks.load(Ordering::Relaxed) {
                match share_blocks(source, &full) {
                    Ok(file) => {
                        let checked = digest_of(&file).and_then(|found| prove(entry.hash, found));
                        return finish_file(&full, file, entry, checked).map_err(|failure| failure.at(&full, || refuse));
                    }
                    Err(_) => self.shares_blocks.store(false, Ordering::Relaxed),
                }
            }
            let written = copy(source, &full, entry);
            written.map_err(|failure| failure.at(&full, || refuse))
        })
    }

    /// Moves the file `staged`, which was written and hashed by this process, to the place of the entry `path`.
    pub fn adopt(&self, path: &RelativePath, staged: &Path, digest: Digest) -> Result<(), ContainerError> {
        self.filled(path, |entry| {
            prove(entry.hash, digest).map_err(|fault| ContainerError::Entry { path: path.clone(), fault })?;
            let full = path.under(&self.root);
            let file = open_plain(staged).map_err(ContainerError::file("open", staged))?;
            let dressed = set_permissions(&file, entry.permissions).and_then(|()| file.set_modified(system_time(entry.mtime)));
            dressed.and_then(|()| fs::rename(staged, &full)).map_err(ContainerError::file("move", staged))
        })
    }

    /// Runs `fill` for an entry that waits; afterwards it waits no more, unless that failed.
    fn filled(&self, path: &RelativePath, fill: impl FnOnce(&Entry) -> Result<(), ContainerError>) -> Result<(), ContainerError> {
        // Taken out first: of two threads that unpack the same entry, one is refused.
        let waited = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take(path);
        let (Some(waited), Some(entry)) = (waited, self.manifest.file_manifest.get(path)) else {
            return Err(ContainerError::Unknown { path: path.clone() });
        };
        let result = fill(entry);
        if result.is_err() {
            self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(waited);
        }
        result
    }

    /// Adds what has no bytes in the package: empty files, the manifest itself (`json`, its verified bytes), and at last the
    /// links. The tree is whole then, but not yet durable: flushing it is for who registers it.
    pub fn finish(self, json: &[u8]) -> Result<(), ContainerError> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = waiting.iter().min() {
            return Err(ContainerError::Unfinished { count: waiting.len(), path: path.clone() });
        }
        let manifest_path = self.root.join(MANIFEST_PATH);
        let mtime = self.manifest.container_info.build_date.as_second();
        let size = json.len() as u64;
        let own = Entry { size, mtime, hash: Digest::of(json), permissions: Permissions::FILE, symlink: None };
        create(&manifest_path, &own, |file| file.write_all(json).map_err(Fault::Write)).map_err(|failure| match failure {
            // These bytes have been proved; so it is the disk.
            ReadFailure::Content(Fault::Write(source)) => ContainerError::file("write", &manifest_path)(source),
            failure => failure.at(&manifest_path, || ContainerError::Document),
        })?;
        for (path, entry) in self.manifest.file_manifest.iter().filter(|(_, entry)| !entry.has_bytes()) {
            let full = path.under(&self.root);
            if entry.symlink.is_none() {
                create(&full, entry, |_| prove(entry.hash, Digest::of(b"")))
                    .map_err(|failure| failure.at(&full, || |fault| ContainerError::Entry { path: path.clone(), fault }))?;
            }
        }
        for (path, entry) in &self.manifest.file_manifest {
            if let Some(target) = &entry.symlink {
                let full = path.under(&self.root);
                let placed = place_link(&self.manifest, path, target, &self.root, &full);
                if !placed.map_err(ContainerError::file("create the link", &full))? {
                    return Err(ContainerError::Link { path: path.clone(), target: target.clone() });
                }
            }
        }
        Ok(())
    }

    fn write(&self, path: &RelativePath, entry: &Entry, packed: &Packed, bytes: &mut dyn Read) -> Result<(), ContainerError> {
        let refuse = |fault| ContainerError::Entry { path: path.clone(), fault };
        let pooled = self.decoders.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut decoder = pooled.map_or_else(Decoder::new, Ok).map_err(refuse)?;
        let full = path.under(&self.root);
        let written = create(&full, entry, |file| {
            let mut sink = |block: &[u8]| file.write_all(block);
            let hash = decoder.unpack(bytes, packed.compression, packed.size, entry.size, &mut sink)?;
            prove(entry.hash, hash)
        });
        self.decoders.lock().unwrap_or_else(PoisonError::into_inner).push(decoder);
        written.map_err(|failure| failure.at(&full, || refuse))
    }
}

/// Proves that packed bytes are those of an entry, without keeping what they unpack to.
pub fn check_entry(entry: &Entry, packed: &Packed, bytes: &mut dyn Read) -> Result<(), Fault> {
    let found = Decoder::new()?.unpack(bytes, packed.compression, packed.size, entry.size, &mut |_| Ok(()))?;
    prove(entry.hash, found)
}

/// Unpacks an entry into a file of its own, which must not exist yet.
pub fn unpack_entry(
    path: &RelativePath,
    entry: &Entry,
    packed: &Packed,
    bytes: &mut dyn Read,
    to: &Path,
) -> Result<(), ContainerError> {
    let written = create(to, entry, |file| {
        let mut sink = |block: &[u8]| file.write_all(block);
        prove(entry.hash, Decoder::new()?.unpack(bytes, packed.compression, packed.size, entry.size, &mut sink)?)
    });
    written.map_err(|failure| failure.at(to, || |fault| ContainerError::Entry { path: path.clone(), fault }))
}

/// Unpacks a whole package with `threads` threads, the largest entries first. `json` are the manifest's verified bytes;
/// `progress` is told the unpacked bytes of each entry as it is done, from any thread.
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
    let unpack = |(): &mut (), ((path, entry), packed): &((&RelativePath, &Entry), &Packed)| -> Result<(), ContainerError> {
        unpacker.entry_at(path, packed, package)?;
        progress(entry.size);
        Ok(())
    };
    parallel::each(&entries, threads, || (), unpack)?;
    unpacker.finish(json)
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;
    use crate::model::package_index::Compression;

    struct Staged {
        folder: tempfile::TempDir,
        manifest: Arc<Manifest>,
        index: PackageIndex,
        payload: Vec<u8>,
    }

    fn staged(files: &[(&str, &[u8])]) -> Staged {
        let (manifest, index, payload) = fixture::container(files);
        Staged { folder: tempfile::tempdir().unwrap(), manifest: Arc::new(manifest), index, payload }
    }

    impl Staged {
        fn root(&self) -> PathBuf {
            self.folder.path().join("tree")
        }

        fn unpack(&self) -> Result<(), ContainerError> {
            let mut package = tempfile::tempfile().unwrap();
            package.write_all(&self.payload).unwrap();
            unpack_package(&package, self.manifest.clone(), &self.index, b"{}", self.root(), 2, &|_| ())
        }

        fn change(&mut self, path: &str, change: impl FnOnce(&mut Entry, &mut Packed)) {
            let manifest = Arc::make_mut(&mut self.manifest);
            change(manifest.file_manifest.get_mut(path).unwrap(), self.index.places.get_mut(path).unwrap());
        }
    }

    #[test]
    fn a_whole_tree() {
        let long = b"text ".repeat(200_000);
        let mut staged = staged(&[("app/空 格/long.txt", &long), ("scripts/launch.sh", b"#!/bin/sh\n"), ("app/empty", b"")]);
        let manifest = Arc::make_mut(&mut staged.manifest);
        manifest.empty_folders.push("data/nothing/here".parse().unwrap());
        manifest.file_manifest.insert("app/link".parse().unwrap(), fixture::link("空 格/long.txt"));
        staged.unpack().unwrap();
        let root = staged.root();
        assert_eq!(fs::read(root.join("app/空 格/long.txt")).unwrap(), long);
        assert_eq!(fs::read(root.join("app/link")).unwrap(), long);
        assert_eq!(fs::read(root.join("app/empty")).unwrap(), b"");
        assert_eq!(fs::read(root.join("metadata/container.json")).unwrap(), b"{}");
        assert!(root.join("data/nothing/here").is_dir());
        let metadata = fs::metadata(root.join("scripts/launch.sh")).unwrap();
        assert_eq!(metadata.modified().unwrap(), system_time(1_700_000_000));
        #[cfg(unix)]
        {
            assert_eq!(std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o7777, 0o755);
            assert_eq!(fs::read_link(root.join("app/link")).unwrap(), Path::new("空 格/long.txt"));
        }
    }

    #[test]
    fn wrong_content_leaves_nothing_and_can_be_tried_again() {
        let mut staged = staged(&[("app/x", b"content")]);
        let good = staged.index.places["app/x"];
        let at = good.offset as usize;
        staged.payload[at] ^= 1;
        let unpacker = Unpacker::new(staged.manifest.clone(), staged.root()).unwrap();
        let path: RelativePath = "app/x".parse().unwrap();
        let error = unpacker.entry(&path, &good, &mut &staged.payload[at..]).unwrap_err();
        assert!(matches!(error, ContainerError::Entry { fault: Fault::Hash { .. }, .. }), "{error:?}");
        assert!(!staged.root().join("app/x").exists());
        assert_eq!(unpacker.waiting(), 2);
        staged.payload[at] ^= 1;
        unpacker.entry(&path, &good, &mut &staged.payload[at..]).unwrap();
        assert!(matches!(unpacker.entry(&path, &good, &mut &staged.payload[at..]), Err(ContainerError::Unknown { .. })));
        assert!(matches!(unpacker.finish(b"{}"), Err(ContainerError::Unfinished { count: 1, .. })));
    }

    #[test]
    fn bombs_truncations_and_tails_are_refused() {
        let zeros = vec![0u8; 8 << 20];
        type Change = fn(&mut Entry, &mut Packed);
        let cases: [(&str, Change); 4] = [
            ("bomb", |entry, _| entry.size = 1000),
            ("short", |entry, _| entry.size += 1),
            ("truncated", |_, packed| packed.size -= 1),
            ("trailing", |_, packed| packed.size += 1),
        ];
        for (name, change) in cases {
            let mut staged = staged(&[("app/zeros", &zeros)]);
            staged.change("app/zeros", change);
            let error = staged.unpack().unwrap_err();
            let as_expected = matches!(
                (name, &error),
                ("bomb", ContainerError::Entry { fault: Fault::TooLong { declared: 1000 }, .. })
                    | ("short", ContainerError::Entry { fault: Fault::TooShort { .. }, .. })
                    | ("truncated", ContainerError::Entry { fault: Fault::Truncated, .. })
                    | ("trailing", ContainerError::Entry { fault: Fault::Trailing, .. })
            );
            assert!(as_expected, "{name}: {error:?}");
            assert!(!staged.root().join("app/zeros").exists(), "{name}");
        }
        // A bomb that is declared as stored is caught by its length.
        let mut staged = staged(&[("app/zeros", &zeros)]);
        staged.change("app/zeros", |_, packed| packed.compression = Compression::Stored);
        assert!(matches!(staged.unpack(), Err(ContainerError::Entry { fault: Fault::TooShort { .. }, .. })));
    }

    #[test]
    fn files_of_another_version_are_used_if_they_are_the_right_ones() {
        let staged = staged(&[("app/x", b"content"), ("app/y", b"other")]);
        let unpacker = Unpacker::new(staged.manifest.clone(), staged.root()).unwrap();
        let [x, y, app]: [RelativePath; 3] = ["app/x", "app/y", "app/app.py"].map(|path| path.parse().unwrap());
        let file = staged.folder.path().join("installed");
        fs::write(&file, b"contenT").unwrap();
        let error = unpacker.clone_from(&x, &file).unwrap_err();
        assert!(matches!(error, ContainerError::Entry { fault: Fault::Hash { .. }, .. }), "{error:?}");
        fs::write(&file, b"content and more").unwrap();
        assert!(unpacker.clone_from(&x, &file).is_err());
        assert!(!staged.root().join("app/x").exists());
        fs::write(&file, b"content").unwrap();
        unpacker.clone_from(&x, &file).unwrap();
        // A copy: writing to it changes nothing in the other version.
        fs::write(staged.root().join("app/x"), b"changed").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"content");
        assert!(matches!(unpacker.clone_from(&x, &file), Err(ContainerError::Unknown { .. })));

        fs::write(&file, b"other").unwrap();
        assert!(unpacker.adopt(&y, &file, Digest::of(b"content")).is_err());
        unpacker.adopt(&y, &file, Digest::of(b"other")).unwrap();
        assert!(!file.exists() && unpacker.waiting() == 1);
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(staged.root().join("app/y"), &file).unwrap();
            assert!(unpacker.clone_from(&app, &file).is_err(), "a link is not followed");
        }
        assert!(unpacker.clone_from(&app, &staged.folder.path().join("none")).is_err());
    }

    #[test]
    fn a_folder_with_something_in_it_is_refused() {
        let staged = staged(&[]);
        fs::create_dir(staged.root()).unwrap();
        fs::write(staged.root().join("planted"), b"").unwrap();
        assert!(matches!(staged.unpack(), Err(ContainerError::NotEmpty { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn nothing_is_written_through_a_planted_link() {
        let staged = staged(&[("app/x", b"content")]);
        let outside = staged.folder.path().join("outside");
        fs::write(&outside, b"before").unwrap();
        let unpacker = Unpacker::new(staged.manifest.clone(), staged.root()).unwrap();
        std::os::unix::fs::symlink(&outside, staged.root().join("app/x")).unwrap();
        let path: RelativePath = "app/x".parse().unwrap();
        let good = staged.index.places["app/x"];
        let at = good.offset as usize;
        let error = unpacker.entry(&path, &good, &mut &staged.payload[at..]).unwrap_err();
        assert!(matches!(error, ContainerError::File { .. }), "{error:?}");
        assert_eq!(fs::read(&outside).unwrap(), b"before");
    }

    #[test]
    fn no_root_through_a_link_to_a_full_folder() {
        let staged = staged(&[]);
        fs::create_dir(staged.folder.path().join("full")).unwrap();
        fs::write(staged.folder.path().join("full/x"), b"").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink("full", staged.root()).unwrap();
        #[cfg(unix)]
        assert!(matches!(staged.unpack(), Err(ContainerError::NotEmpty { .. })));
    }
}
