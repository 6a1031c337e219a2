//! From packed bytes to files in an empty staging folder.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::decode::{Decoder, Fault, SpanReader};
use super::tree::{self, KEEPS_LINKS};
use super::{ContainerError, prove};
use crate::model::manifest::{Entry, MANIFEST_PATH, Permissions};
use crate::model::{Manifest, RelativePath};

/// Unpacks entries, in any order and from several threads at once, into a folder that it creates itself.
///
/// That nothing is ever written through a planted link follows from three things: the folder is empty at the start and all
/// folders in it are made here, every file is created with "must not exist", and links are made last, by [`Unpacker::finish`].
pub struct Unpacker {
    manifest: Arc<Manifest>,
    root: PathBuf,
    waiting: Mutex<HashSet<RelativePath>>,
    decoders: Mutex<Vec<Decoder>>,
}

impl Unpacker {
    /// Creates `root` and every folder of the container. `root` must not exist, or be an empty folder.
    pub fn new(manifest: Arc<Manifest>, root: PathBuf) -> Result<Self, ContainerError> {
        fs::create_dir_all(&root).map_err(ContainerError::file("create the folder", &root))?;
        let metadata = fs::symlink_metadata(&root).map_err(ContainerError::file("look at", &root))?;
        let mut content = fs::read_dir(&root).map_err(ContainerError::file("list the folder", &root))?;
        if !metadata.is_dir() || content.next().is_some() {
            return Err(ContainerError::NotEmpty { root });
        }
        for folder in tree::folders(&manifest) {
            let path = root.join(folder);
            fs::create_dir(&path).map_err(ContainerError::file("create the folder", &path))?;
        }
        let packed = manifest.file_manifest.iter().filter(|(_, entry)| entry.packed.is_some());
        let waiting = Mutex::new(packed.map(|(path, _)| path.clone()).collect());
        Ok(Self { manifest, root, waiting, decoders: Mutex::default() })
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
    pub fn entry(&self, path: &RelativePath, packed: &mut dyn Read) -> Result<(), ContainerError> {
        // Taken out first: of two threads that unpack the same entry, one is refused.
        let waited = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take(path);
        let (Some(waited), Some(entry)) = (waited, self.manifest.file_manifest.get(path)) else {
            return Err(ContainerError::Unknown { path: path.clone() });
        };
        let result = self.write(path, entry, packed);
        if result.is_err() {
            self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(waited);
        }
        result
    }

    /// Unpacks the entry `path` out of a file that has the package's bytes at their places (others may be missing).
    pub fn entry_at(&self, path: &RelativePath, package: &File) -> Result<(), ContainerError> {
        match self.manifest.file_manifest.get(path).and_then(|entry| entry.packed) {
            Some(packed) => self.entry(path, &mut SpanReader::new(package, &packed)),
            None => Err(ContainerError::Unknown { path: path.clone() }),
        }
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
        create(&manifest_path, Permissions::FILE, mtime, |file| file.write_all(json).map_err(Fault::Write))
            .map_err(|failure| failure.at(&manifest_path, || ContainerError::Manifest))?;
        for (path, entry) in self.manifest.file_manifest.iter().filter(|(_, entry)| entry.packed.is_none()) {
            let full = path.under(&self.root);
            match &entry.symlink {
                None => create(&full, entry.permissions, entry.mtime, |_| prove(entry.hash, crate::model::Digest::of(b"")))
                    .map_err(|failure| failure.at(&full, || |fault| ContainerError::Entry { path: path.clone(), fault }))?,
                Some(_) if KEEPS_LINKS => {}
                Some(target) => self.copy_link(path, target, &full)?,
            }
        }
        if KEEPS_LINKS {
            for (path, entry) in &self.manifest.file_manifest {
                if let Some(target) = &entry.symlink {
                    let full = path.under(&self.root);
                    make_link(target, &full).map_err(ContainerError::file("create the link", &full))?;
                }
            }
        }
        Ok(())
    }

    fn write(&self, path: &RelativePath, entry: &Entry, packed_bytes: &mut dyn Read) -> Result<(), ContainerError> {
        let refuse = |fault| ContainerError::Entry { path: path.clone(), fault };
        let Some(packed) = entry.packed else { return Err(ContainerError::Unknown { path: path.clone() }) };
        let pooled = self.decoders.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut decoder = pooled.map_or_else(Decoder::new, Ok).map_err(refuse)?;
        let full = path.under(&self.root);
        let written = create(&full, entry.permissions, entry.mtime, |file| {
            let mut sink = |block: &[u8]| file.write_all(block);
            let hash = decoder.unpack(packed_bytes, packed.compression, packed.size, entry.size, &mut sink)?;
            prove(entry.hash, hash)
        });
        self.decoders.lock().unwrap_or_else(PoisonError::into_inner).push(decoder);
        written.map_err(|failure| failure.at(&full, || refuse))
    }

    fn copy_link(&self, link: &RelativePath, target: &str, full: &Path) -> Result<(), ContainerError> {
        let refuse = || ContainerError::Link { path: link.clone(), target: target.to_owned() };
        let end = tree::link_end(&self.manifest, link).ok_or_else(refuse)?;
        // A file without bytes may come later in the order of names; it is empty either way.
        if self.manifest.file_manifest.get(end).is_some_and(|entry| entry.packed.is_none()) {
            return File::create_new(full).map(drop).map_err(ContainerError::file("create", full));
        }
        fs::copy(end.under(&self.root), full).map(drop).map_err(ContainerError::file("create", full))
    }
}

/// Unpacks a whole package with `threads` threads, the largest entries first. `json` are the manifest's verified bytes;
/// `progress` is told the unpacked bytes of each entry as it is done, from any thread.
pub fn unpack_package(
    package: &File,
    manifest: Arc<Manifest>,
    json: &[u8],
    root: PathBuf,
    threads: usize,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<(), ContainerError> {
    let unpacker = Unpacker::new(manifest.clone(), root)?;
    let mut entries: Vec<_> = manifest.file_manifest.iter().filter(|(_, entry)| entry.packed.is_some()).collect();
    entries.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.size));
    let next = AtomicUsize::new(0);
    let work = || -> Result<(), ContainerError> {
        while let Some((path, entry)) = entries.get(next.fetch_add(1, Ordering::Relaxed)) {
            unpacker.entry_at(path, package).inspect_err(|_| next.store(entries.len(), Ordering::Relaxed))?;
            progress(entry.size);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let helpers: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let own = work();
        let others = helpers.into_iter().map(|helper| helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        others.fold(own, Result::and)
    })?;
    unpacker.finish(json)
}

/// Why a file could not be created: the file system, or its content.
enum Failure {
    Create(std::io::Error),
    Content(Fault),
}

impl Failure {
    fn at<E: FnOnce(Fault) -> ContainerError>(self, path: &Path, content: impl FnOnce() -> E) -> ContainerError {
        match self {
            Self::Create(source) => ContainerError::file("create", path)(source),
            Self::Content(fault) => content()(fault),
        }
    }
}

/// Creates a file that must not exist yet, lets `fill` write it, and deletes it again if that fails.
fn create(
    path: &Path,
    permissions: Permissions,
    mtime: i64,
    fill: impl FnOnce(&mut File) -> Result<(), Fault>,
) -> Result<(), Failure> {
    // "create new" also refuses a link at the path, wherever it leads.
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(Failure::Create)?;
    let filled = fill(&mut file).map_err(Failure::Content).and_then(|()| {
        set_permissions(&file, permissions).and_then(|()| file.set_modified(system_time(mtime))).map_err(Failure::Create)
    });
    if filled.is_err() {
        drop(file);
        // The error that led here is the one worth telling.
        let _ = fs::remove_file(path);
    }
    filled
}

fn system_time(seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let time =
        if seconds >= 0 { SystemTime::UNIX_EPOCH.checked_add(distance) } else { SystemTime::UNIX_EPOCH.checked_sub(distance) };
    time.unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(unix)]
fn set_permissions(file: &File, permissions: Permissions) -> std::io::Result<()> {
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(permissions.mode()))
}

#[cfg(not(unix))]
fn set_permissions(_: &File, _: Permissions) -> std::io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn make_link(target: &str, path: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(not(unix))]
fn make_link(_: &str, _: &Path) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;
    use crate::model::manifest::Compression;

    struct Staged {
        folder: tempfile::TempDir,
        manifest: Arc<Manifest>,
        payload: Vec<u8>,
    }

    fn staged(files: &[(&str, &[u8])]) -> Staged {
        let (manifest, payload) = fixture::container(files);
        Staged { folder: tempfile::tempdir().unwrap(), manifest: Arc::new(manifest), payload }
    }

    impl Staged {
        fn root(&self) -> PathBuf {
            self.folder.path().join("tree")
        }

        fn unpack(&self) -> Result<(), ContainerError> {
            let mut package = tempfile::tempfile().unwrap();
            package.write_all(&self.payload).unwrap();
            unpack_package(&package, self.manifest.clone(), b"{}", self.root(), 2, &|_| ())
        }

        fn change(&mut self, path: &str, change: impl FnOnce(&mut Entry)) {
            let manifest = Arc::make_mut(&mut self.manifest);
            change(manifest.file_manifest.get_mut(path).unwrap());
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
        let good = staged.manifest.file_manifest["app/x"].packed.unwrap();
        let at = good.offset as usize;
        staged.payload[at] ^= 1;
        let unpacker = Unpacker::new(staged.manifest.clone(), staged.root()).unwrap();
        let path: RelativePath = "app/x".parse().unwrap();
        let error = unpacker.entry(&path, &mut &staged.payload[at..]).unwrap_err();
        assert!(matches!(error, ContainerError::Entry { fault: Fault::Hash { .. }, .. }), "{error:?}");
        assert!(!staged.root().join("app/x").exists());
        assert_eq!(unpacker.waiting(), 2);
        staged.payload[at] ^= 1;
        unpacker.entry(&path, &mut &staged.payload[at..]).unwrap();
        assert!(matches!(unpacker.entry(&path, &mut &staged.payload[at..]), Err(ContainerError::Unknown { .. })));
        assert!(matches!(unpacker.finish(b"{}"), Err(ContainerError::Unfinished { count: 1, .. })));
    }

    #[test]
    fn bombs_truncations_and_tails_are_refused() {
        let zeros = vec![0u8; 8 << 20];
        type Change = fn(&mut Entry);
        let cases: [(&str, Change); 4] = [
            ("bomb", |entry| entry.size = 1000),
            ("short", |entry| entry.size += 1),
            ("truncated", |entry| entry.packed.as_mut().unwrap().size -= 1),
            ("trailing", |entry| entry.packed.as_mut().unwrap().size += 1),
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
        staged.change("app/zeros", |entry| entry.packed.as_mut().unwrap().compression = Compression::Stored);
        assert!(matches!(staged.unpack(), Err(ContainerError::Entry { fault: Fault::TooShort { .. }, .. })));
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
        let at = staged.manifest.file_manifest["app/x"].packed.unwrap().offset as usize;
        let error = unpacker.entry(&path, &mut &staged.payload[at..]).unwrap_err();
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
