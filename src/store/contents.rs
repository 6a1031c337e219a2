//! Finds the content of installed versions by digest: files that a new version can be made from.
//!
//! A file's fingerprint is its digest, size and modification time as the manifest names them;
//! installing gives each file that time. So this room asks for each file's size and time once, and
//! hashes only a file whose time differs. The result serves planning: a fingerprint can be forged,
//! so the reader of a file verifies its content while reading.
//!
//! Damaged versions count as well, file by file: their good files are used. The user may change the
//! files of `config`, `data`, `logs` and `temp`. Of the small ones that came with a release, a copy
//! lies beside the manifest, so an update finds their content whatever the user did.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use super::files::{digest_of, exists};
use super::{Home, StoreError};
use crate::container::Stoppable;
use crate::error_chain;
use crate::file_error::FileResult as _;
use crate::model::manifest::{Entry, MANIFEST_PATH, MUTABLE_FOLDERS, RETAINED_FOLDER};
use crate::model::{Digest, Manifest, RelativePath};
use crate::{durable, look};

/// Files of mutable folders up to this size are stored a second time, bytes.
const MAX_RETAINED: u64 = 8 << 20;

/// Contents by digest, with the files that have them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contents {
    places: HashMap<Digest, Vec<PathBuf>>,
    /// Manifests of the versions, whole or not, by their digest.
    manifests: HashMap<Digest, Manifest>,
}

impl Contents {
    /// Reads all versions in `home`. A version that cannot be read is skipped.
    pub(crate) fn of(home: &Home) -> Self {
        Self::as_far_as(home, &AtomicBool::new(false))
    }

    /// The same; `None` soon after `stop` is set.
    pub(crate) fn of_unless_stopped(home: &Home, stop: &AtomicBool) -> Option<Self> {
        let contents = Self::as_far_as(home, stop);
        (!stop.load(Ordering::Relaxed)).then_some(contents)
    }

    /// The contents that were found until `stop` was set.
    fn as_far_as(home: &Home, stop: &AtomicBool) -> Self {
        let mut contents = Self::default();
        for folder in look::entries_if_readable(&home.containers()) {
            let root = folder.path();
            let Ok(Some(json)) = look::read(&root.join(MANIFEST_PATH), look::LARGE) else {
                continue;
            };
            match Manifest::from_json(&json) {
                Ok(manifest) => contents.add(&root, &json, manifest, stop),
                Err(error) => {
                    tracing::info!(error = error_chain::line(&error), folder = %root.display(), "a version whose manifest cannot be read")
                }
            }
        }
        contents
    }

    fn add(&mut self, root: &Path, json: &[u8], manifest: Manifest, stop: &AtomicBool) {
        for (path, entry) in manifest.files_with_bytes() {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let retained = retained_at(root, &entry.hash);
            for full in [path.under(root), retained]
                .into_iter()
                .filter(|full| matches_fingerprint(full, entry, stop))
            {
                self.places.entry(entry.hash).or_default().push(full);
            }
        }
        self.manifests.insert(Digest::of(json), manifest);
    }

    /// Adds the file `path` with this content.
    pub(crate) fn insert(&mut self, digest: Digest, path: PathBuf) {
        self.places.entry(digest).or_default().push(path);
    }

    /// Adds the manifest of a release that is not installed, but can be made from these contents.
    pub(crate) fn insert_manifest(&mut self, digest: Digest, manifest: Manifest) {
        self.manifests.insert(digest, manifest);
    }

    /// Whether some file seems to have this content (not verified).
    pub(crate) fn holds(&self, digest: &Digest) -> bool {
        self.places.contains_key(digest)
    }

    /// Files that seem to have this content (not verified).
    pub(crate) fn places(&self, digest: &Digest) -> &[PathBuf] {
        self.places.get(digest).map_or(&[], Vec::as_slice)
    }

    /// Drops a file that turned out to have other content.
    pub(crate) fn forget(&mut self, digest: &Digest, path: &Path) {
        if let Some(places) = self.places.get_mut(digest) {
            places.retain(|place| place != path);
            if places.is_empty() {
                self.places.remove(digest);
            }
        }
    }

    /// Reads the files that seem to have this content, up to the first that has it, and drops those
    /// that have not. Returns how many it dropped.
    pub(crate) fn prove(&mut self, digest: &Digest) -> usize {
        let mut forgotten = 0;
        while let Some(path) = self.places(digest).first().cloned() {
            let plain = fs::symlink_metadata(&path).is_ok_and(|found| found.is_file());
            if plain && digest_of(&path).is_ok_and(|found| found == *digest) {
                break;
            }
            tracing::warn!(file = %path.display(), "an installed file is damaged or gone; it is not used");
            self.forget(digest, &path);
            forgotten += 1;
        }
        forgotten
    }

    /// Opens a file that seems to have this content. Links are not followed.
    pub(crate) fn open(&self, digest: &Digest) -> Option<File> {
        let plain = |path: &&PathBuf| fs::symlink_metadata(path).is_ok_and(|found| found.is_file());
        self.places(digest).iter().filter(plain).find_map(|path| look::open(path).ok())
    }

    /// The manifest with this digest, if a version has it.
    pub(crate) fn manifest(&self, digest: &Digest) -> Option<&Manifest> {
        self.manifests.get(digest)
    }

    /// Digests of all versions' manifests.
    pub(crate) fn manifests(&self) -> impl Iterator<Item = (&Digest, &Manifest)> {
        self.manifests.iter()
    }
}

/// Whether a file matches the manifest, by size and time; by its bytes where only the time differs.
fn matches_fingerprint(path: &Path, entry: &Entry, stop: &AtomicBool) -> bool {
    let Ok(found) = fs::symlink_metadata(path) else { return false };
    if !found.is_file() || found.len() != entry.size {
        return false;
    }
    let time = SystemTime::UNIX_EPOCH
        + Duration::from_secs(u64::try_from(entry.mtime).unwrap_or_default());
    let digest = || look::digest(Stoppable::new(look::open(path)?, stop));
    found.modified().is_ok_and(|modified| modified == time)
        || digest().is_ok_and(|digest| digest == entry.hash)
}

pub(super) fn retained_at(root: &Path, digest: &Digest) -> PathBuf {
    root.join(RETAINED_FOLDER).join(digest.to_string())
}

/// Stores copies of the files that a release ships in the folders that the user may change: bytes
/// for a later update, and the defaults that a switch back lays out. The caller passes a newly
/// unpacked tree.
pub(super) fn keep(tree: &Path, manifest: &Manifest) -> Result<(), StoreError> {
    let mutable = |path: &RelativePath| MUTABLE_FOLDERS.iter().any(|folder| path.is_under(folder));
    let wanted = manifest
        .files_with_bytes()
        .filter(|(path, entry)| mutable(path) && entry.size <= MAX_RETAINED);
    for (path, entry) in wanted {
        let (full, retained) = (path.under(tree), retained_at(tree, &entry.hash));
        if exists(&retained)? {
            continue;
        }
        keep_one(&full, &retained).at("write", &retained)?;
    }
    Ok(())
}

fn keep_one(from: &Path, to: &Path) -> io::Result<()> {
    if let Some(folder) = to.parent() {
        durable::create_folders(folder)?;
    }
    let time = fs::metadata(from)?.modified()?;
    reflink_copy::reflink_or_copy(from, to)?;
    File::options().write(true).open(to)?.set_modified(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::Fixture;

    #[test]
    fn contents_are_found_in_every_version_and_what_changed_is_not() {
        let fixture = Fixture::new();
        let one = fixture.install(
            "1.0.0",
            &[("app/same", "same"), ("app/one", "only in one"), ("config/c", "default")],
        );
        let two = fixture.install("2.0.0", &[("app/same", "same"), ("app/two", "only in two")]);
        let held =
            |text: &str| Contents::of(&fixture.home).places(&Digest::of(text.as_bytes())).len();
        assert_eq!(
            (held("same"), held("only in one"), held("only in two"), held("none")),
            (2, 1, 1, 0)
        );
        // One file is damaged and has another time, one has only another time, one is gone.
        fixture.write(&one, "app/same", "SAME");
        fixture.write(&one, "app/one", "only in one");
        fs::remove_file(fixture.home.container(&two).join("app/two")).unwrap();
        assert_eq!((held("same"), held("only in one"), held("only in two")), (1, 1, 0));
        // The user changed a default: its content is found nevertheless, and a version without its
        // record still counts.
        fixture.write(&one, "config/c", "mine");
        fs::remove_file(fixture.home.container(&one).join("metadata/installed.json")).unwrap();
        assert_eq!((held("default"), held("mine"), held("only in one")), (1, 0, 1));
    }

    #[test]
    fn a_file_that_lied_is_forgotten_and_links_are_not_followed() {
        let fixture = Fixture::new();
        let one = fixture.install("1.0.0", &[("app/file", "content")]);
        let mut contents = Contents::of(&fixture.home);
        let digest = Digest::of(b"content");
        assert!(contents.open(&digest).is_some());
        let path = fixture.home.container(&one).join("app/file");
        #[cfg(unix)]
        {
            let other = path.with_file_name("other");
            fs::rename(&path, &other).unwrap();
            std::os::unix::fs::symlink(&other, &path).unwrap();
            assert!(contents.open(&digest).is_none());
        }
        contents.forget(&digest, &path);
        assert!(!contents.holds(&digest));
    }

    #[test]
    fn of_many_places_the_first_that_is_sound_is_retained() {
        let fixture = Fixture::new();
        let ids = ["1.0.0", "2.0.0", "3.0.0"]
            .map(|version| fixture.install(version, &[("app/file", "content")]));
        let mut contents = Contents::of(&fixture.home);
        let digest = Digest::of(b"content");
        let paths = contents.places(&digest).to_vec();
        fs::write(&paths[0], "CONTENT").unwrap();
        fs::remove_file(&paths[1]).unwrap();
        assert_eq!(
            (paths.len(), contents.prove(&digest), contents.prove(&digest)),
            (ids.len(), 2, 0)
        );
        assert_eq!(contents.places(&digest), &paths[2..]);
        fs::write(&paths[2], "").unwrap();
        assert_eq!((contents.prove(&digest), contents.holds(&digest)), (1, false));
    }
}
