//! Compares an installed tree with its manifest: finds what is missing, changed, or extra.

use std::collections::BTreeSet;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::stoppable::Stoppable;
use super::tree::{self, LinkEnd, is_mutable};
use crate::model::manifest::{Entry, INDEX_PATH, MANIFEST_PATH, RETAINED_FOLDER};
use crate::model::{Digest, Hasher, Manifest, RelativePath};
use crate::mutex;
use crate::{look, threads};

/// One difference between the tree and the manifest.
#[derive(Debug)]
pub struct Damage {
    /// The path of the file, link or folder.
    pub path: RelativePath,
    /// The kind of damage.
    pub what: Harm,
}

/// The kinds of damage of a file, link or folder.
#[derive(Debug, thiserror::Error)]
pub enum Harm {
    /// The file, link or folder does not exist.
    #[error("it is missing")]
    Missing,
    /// The path exists, but it is not a file, link or folder as the manifest says.
    #[error("it is of another kind")]
    Kind,
    /// Its length differs.
    #[error("it has {found} bytes")]
    Size {
        /// The actual length.
        found: u64,
    },
    /// Its bytes differ.
    #[error("its content changed")]
    Content,
    /// The link points to another place.
    #[error("it points to {}", found.display())]
    Target {
        /// The actual text of the link.
        found: PathBuf,
    },
    /// The owner's right to execute the file differs.
    #[error("its permissions are {found:o}")]
    Permissions {
        /// The actual permission bits.
        found: u32,
    },
    /// Reading it failed.
    #[error("it cannot be read")]
    Unreadable(#[source] io::Error),
}

/// The result of a verification.
#[derive(Debug, Default)]
pub struct Verification {
    /// The damage, ordered by path.
    pub damaged: Vec<Damage>,
    /// Files in immutable folders that the manifest does not name, relative to the root. They do no
    /// harm to the others; the list lets a repair remove them.
    pub extra: Vec<PathBuf>,
}

impl Verification {
    /// Whether everything that the manifest names exists and is whole.
    pub fn is_whole(&self) -> bool {
        self.damaged.is_empty()
    }
}

/// Hashes every file outside of [`crate::model::manifest::MUTABLE_FOLDERS`] anew, with `threads` threads, and compares
/// links, permissions and folders. `progress` receives the bytes of each finished file, from any
/// thread. Damage is a result, not an error. The code never follows links.
pub fn verify_tree(
    root: &Path,
    manifest: &Manifest,
    threads: usize,
    progress: &(dyn Fn(u64) + Sync),
) -> Verification {
    compare(root, manifest, threads, progress, &AtomicBool::new(false))
}

/// The same; `None` soon after `stop` is set.
pub(crate) fn verify_tree_unless_stopped(
    root: &Path,
    manifest: &Manifest,
    threads: usize,
    progress: &(dyn Fn(u64) + Sync),
    stop: &AtomicBool,
) -> Option<Verification> {
    let found = compare(root, manifest, threads, progress, stop);
    (!stop.load(Ordering::Relaxed)).then_some(found)
}

/// The differences that were found until `stop` was set.
fn compare(
    root: &Path,
    manifest: &Manifest,
    threads: usize,
    progress: &(dyn Fn(u64) + Sync),
    stop: &AtomicBool,
) -> Verification {
    let mut entries: Vec<_> =
        manifest.file_manifest.iter().filter(|(path, _)| !is_mutable(path.as_str())).collect();
    entries.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.size));
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::new());
    let work = || {
        let mut hashing = Hashing { buffer: vec![0; READ_AT_ONCE], stop };
        while let Some((path, entry)) = entries.get(next.fetch_add(1, Ordering::Relaxed)) {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            if let Err(what) = check(root, manifest, path, entry, &mut hashing) {
                mutex::lock(&found).push(Damage { path: (*path).clone(), what });
            }
            progress(entry.size);
        }
    };
    std::thread::scope(|scope| {
        threads::help(scope, threads.saturating_sub(1), work);
        work();
    });
    let mut damaged = mutex::into_inner(found);
    let folders = tree::folders(manifest);
    for folder in folders.iter().filter(|folder| !is_mutable(folder)) {
        if let (Err(what), Ok(path)) = (check_folder(&root.join(folder)), folder.parse()) {
            damaged.push(Damage { path, what });
        }
    }
    if let (Err(what), Ok(path)) = (file_metadata(&root.join(MANIFEST_PATH)), MANIFEST_PATH.parse())
    {
        damaged.push(Damage { path, what });
    }
    let mut found = Verification { damaged, extra: Vec::new() };
    if stop.load(Ordering::Relaxed) {
        return found;
    }
    find_extra(root, "", manifest, &folders, &mut found);
    found.damaged.sort_by(|a, b| a.path.cmp(&b.path));
    found.extra.sort();
    found
}

/// Bytes of a file that are in memory at the same time.
const READ_AT_ONCE: usize = 256 << 10;

/// What a thread hashes with, from file to file.
struct Hashing<'a> {
    buffer: Vec<u8>,
    stop: &'a AtomicBool,
}

impl Hashing<'_> {
    /// The digest of a file. A stop makes it fail.
    fn digest(&mut self, file: File) -> io::Result<Digest> {
        let (mut bytes, mut hasher) = (Stoppable::new(file, self.stop), Hasher::default());
        loop {
            match bytes.read(&mut self.buffer) {
                Ok(0) => return Ok(hasher.finish()),
                Ok(count) => hasher.update(&self.buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn check(
    root: &Path,
    manifest: &Manifest,
    path: &RelativePath,
    entry: &Entry,
    hashing: &mut Hashing<'_>,
) -> Result<(), Harm> {
    let full = path.under(root);
    if let Some(target) = &entry.symlink {
        let found = metadata_of(&full)?;
        if found.is_symlink() {
            return check_link(&full, target);
        }
        // A copy stands in its place where there are no links.
        return match tree::end_of(manifest, path) {
            Some(LinkEnd::File(_, end)) => check_file(&full, end, hashing),
            Some(LinkEnd::Folder(folder)) if found.is_dir() => {
                check_copied_folder(&full, manifest, &folder, hashing)
            }
            _ => Err(Harm::Kind),
        };
    }
    check_file(&full, entry, hashing)
}

/// Checks a copy of a folder that a link points to: each file of it. Links in it are not checked a
/// second time.
fn check_copied_folder(
    full: &Path,
    manifest: &Manifest,
    folder: &str,
    hashing: &mut Hashing<'_>,
) -> Result<(), Harm> {
    for (path, entry) in manifest.file_manifest.iter().filter(|(_, entry)| entry.symlink.is_none())
    {
        let rest = path.as_str().strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
        if let Some(rest) = rest {
            check_file(&full.join(rest), entry, hashing)?;
        }
    }
    Ok(())
}

fn check_file(full: &Path, entry: &Entry, hashing: &mut Hashing<'_>) -> Result<(), Harm> {
    let metadata = file_metadata(full)?;
    if metadata.len() != entry.size {
        return Err(Harm::Size { found: metadata.len() });
    }
    let found = open(full).and_then(|file| hashing.digest(file)).map_err(Harm::Unreadable)?;
    if found != entry.hash {
        return Err(Harm::Content);
    }
    check_permissions(&metadata, entry)
}

/// Only the right to execute matters: an administrator may take rights away from others. A file
/// that is executable without need is no damage: file systems without modes (NTFS, FAT) report that
/// of every file, and no repair can change it.
#[cfg(unix)]
fn check_permissions(metadata: &Metadata, entry: &Entry) -> Result<(), Harm> {
    let found = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o7777;
    let lacks = entry.permissions.mode() & !found & 0o100 != 0;
    if lacks { Err(Harm::Permissions { found }) } else { Ok(()) }
}

#[cfg(not(unix))]
fn check_permissions(_: &Metadata, _: &Entry) -> Result<(), Harm> {
    Ok(())
}

fn check_link(full: &Path, target: &str) -> Result<(), Harm> {
    let found = fs::read_link(full).map_err(Harm::Unreadable)?;
    if found == Path::new(target) { Ok(()) } else { Err(Harm::Target { found }) }
}

fn check_folder(full: &Path) -> Result<(), Harm> {
    if metadata_of(full)?.is_dir() { Ok(()) } else { Err(Harm::Kind) }
}

fn file_metadata(full: &Path) -> Result<Metadata, Harm> {
    let metadata = metadata_of(full)?;
    if metadata.is_file() { Ok(metadata) } else { Err(Harm::Kind) }
}

fn metadata_of(full: &Path) -> Result<Metadata, Harm> {
    fs::symlink_metadata(full).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Harm::Missing,
        _ => Harm::Unreadable(error),
    })
}

/// Opens a file that was just recognised as one, without following a link that took its place
/// since.
#[cfg(unix)]
fn open(full: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags};
    Ok(rustix::fs::open(full, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?
        .into())
}

#[cfg(not(unix))]
fn open(full: &Path) -> io::Result<File> {
    File::open(full)
}

/// Walks the tree and collects the files that the manifest does not name. A folder that cannot be
/// listed is damage: nobody knows what is in it.
fn find_extra(
    root: &Path,
    folder: &str,
    manifest: &Manifest,
    folders: &BTreeSet<&str>,
    found: &mut Verification,
) {
    let content = match look::entries(&root.join(folder)) {
        Ok(content) => content,
        Err(error) => {
            let is_known = |path: &RelativePath| found.damaged.iter().any(|it| it.path == *path);
            if let Some(path) = folder.parse().ok().filter(|path| !is_known(path)) {
                found.damaged.push(Damage { path, what: Harm::Unreadable(error) });
            }
            return;
        }
    };
    for item in content {
        let Ok(name) = item.file_name().into_string() else {
            found.extra.push(Path::new(folder).join(item.file_name()));
            continue;
        };
        let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        let is_folder = item.file_type().is_ok_and(|kind| kind.is_dir());
        if is_mutable(&path)
            || [MANIFEST_PATH, INDEX_PATH, RETAINED_FOLDER].contains(&path.as_str())
            || manifest
                .file_manifest
                .get(path.as_str())
                .is_some_and(|entry| !is_folder || entry.symlink.is_some())
        {
            continue;
        }
        if is_folder && folders.contains(path.as_str()) {
            find_extra(root, &path, manifest, folders, found);
        } else {
            found.extra.push(PathBuf::from(path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{fixture, unpack_package};
    use super::*;
    use std::io::Write as _;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

    fn installed() -> (tempfile::TempDir, Arc<Manifest>) {
        let folder = tempfile::tempdir().unwrap();
        let files: &[(&str, &[u8])] = &[
            ("app/a.py", b"aaaa"),
            ("app/sub/b.py", b"b"),
            ("scripts/launch.sh", b"#!"),
            ("config/c.toml", b"c"),
        ];
        let (mut manifest, index, payload) = fixture::container(files);
        manifest.file_manifest.insert("app/link".parse().unwrap(), fixture::link("a.py"));
        manifest.empty_folders.push("runtime/empty".parse().unwrap());
        let manifest = Arc::new(manifest);
        let mut package = tempfile::tempfile().unwrap();
        package.write_all(&payload).unwrap();
        unpack_package(
            &package,
            manifest.clone(),
            &index,
            b"{}",
            folder.path().join("c"),
            1,
            &|_| (),
        )
        .unwrap();
        (folder, manifest)
    }

    #[test]
    fn an_untouched_tree_is_whole_and_user_data_is_free() {
        let (folder, manifest) = installed();
        let root = folder.path().join("c");
        fs::write(root.join("config/c.toml"), b"changed by the user").unwrap();
        fs::create_dir(root.join("logs")).unwrap();
        fs::write(root.join("logs/new.log"), b"").unwrap();
        let bytes = AtomicU64::new(0);
        let verification = verify_tree(&root, &manifest, 3, &|count| {
            bytes.fetch_add(count, Ordering::Relaxed);
        });
        assert!(verification.is_whole() && verification.extra.is_empty(), "{verification:?}");
        assert_eq!(bytes.into_inner(), manifest.unpacked_size() - 1);
    }

    #[test]
    fn every_kind_of_damage_is_named() {
        let (folder, manifest) = installed();
        let root = folder.path().join("c");
        fs::write(root.join("app/a.py"), b"aaab").unwrap();
        fs::remove_dir_all(root.join("app/sub")).unwrap();
        fs::write(root.join("scripts/launch.sh"), b"#!x").unwrap();
        fs::remove_dir(root.join("runtime/empty")).unwrap();
        fs::write(root.join("app/planted.py"), b"").unwrap();
        fs::remove_file(root.join(MANIFEST_PATH)).unwrap();
        fs::remove_file(root.join("app/link")).unwrap();
        fs::write(root.join("app/link"), b"aaaa").unwrap();
        let verification = verify_tree(&root, &manifest, 2, &|_| ());
        let reported: Vec<String> = verification
            .damaged
            .iter()
            .map(|damage| format!("{}: {}", damage.path, damage.what))
            .collect();
        // A copy of what a link points to stands in its place.
        let expected = [
            "app/a.py: its content changed",
            "app/sub: it is missing",
            "app/sub/b.py: it is missing",
            "metadata/container.json: it is missing",
            "runtime/empty: it is missing",
            "scripts/launch.sh: it has 3 bytes",
        ];
        assert_eq!(reported, expected);
        assert_eq!(verification.extra, [Path::new("app/planted.py")]);
    }

    #[test]
    fn a_stop_ends_it_within_a_large_file_and_gives_no_answer() {
        let (folder, manifest) = installed();
        let (root, stop) = (folder.path().join("c"), AtomicBool::new(false));
        let checked = AtomicU64::new(0);
        let stops_it = |count| {
            checked.fetch_add(count, Ordering::Relaxed);
            stop.store(true, Ordering::Relaxed);
        };
        assert!(verify_tree_unless_stopped(&root, &manifest, 1, &|_| (), &stop).is_some());
        assert!(verify_tree_unless_stopped(&root, &manifest, 1, &stops_it, &stop).is_none());
        assert_eq!(checked.into_inner(), 4, "the largest file comes first, and no other follows");
        let mut hashing = Hashing { buffer: vec![0; 2], stop: &stop };
        assert!(hashing.digest(File::open(root.join("app/a.py")).unwrap()).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn links_and_permissions() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let (folder, manifest) = installed();
        let root = folder.path().join("c");
        fs::remove_file(root.join("app/link")).unwrap();
        symlink("/etc/passwd", root.join("app/link")).unwrap();
        fs::set_permissions(root.join("scripts/launch.sh"), fs::Permissions::from_mode(0o644))
            .unwrap();
        fs::rename(root.join("app/a.py"), root.join("app/moved")).unwrap();
        symlink("moved", root.join("app/a.py")).unwrap();
        let verification = verify_tree(&root, &manifest, 1, &|_| ());
        let kinds: Vec<_> = verification
            .damaged
            .iter()
            .map(|damage| (damage.path.as_str(), &damage.what))
            .collect();
        assert!(
            matches!(
                kinds[..],
                [
                    ("app/a.py", Harm::Kind),
                    ("app/link", Harm::Target { .. }),
                    ("scripts/launch.sh", Harm::Permissions { found: 0o644 })
                ]
            ),
            "{kinds:?}"
        );
    }
}
