//! Repairs an installed version in place, file by file. Each new file is made in a separate folder
//! under `staging/` and made durable; one rename then puts it in place. A kill at any time leaves
//! the version no worse than it was, and the next repair begins anew.
//!
//! Never: writes into a file of the version, changes a user file in `config data logs temp`,
//! follows a link. A foreign file or folder in the way may be somebody's work: it is set aside in
//! `containers/.damaged-…`, as a damaged version is.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use super::files::{remove_tree, writable};
use super::home::RECORD;
use super::lock::HomeLock;
use super::names::REPAIR;
use super::{Home, InstalledRecord, StoreError};
use crate::container::{Verification, dress, verify_tree_unless_stopped};
use crate::file_error::{FileError, FileResult as _};
use crate::model::manifest::{Entry, MANIFEST_PATH, MUTABLE_FOLDERS, PROGRAM_FOLDERS, is_bytecode};
use crate::model::{ContainerId, Manifest, RelativePath};
use crate::{durable, look};

/// What became of a foreign file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    /// Deleted: Python can make it again at any time.
    Deleted,
    /// Moved to a folder beside the versions.
    SetAside,
    /// Left in place: its folder does not belong to the release alone.
    Left,
}

/// A version under repair. Dropping it removes the staged files.
pub(crate) struct Repair {
    home: Home,
    id: ContainerId,
    root: PathBuf,
    place: PathBuf,
    aside: PathBuf,
    /// Folders with new names in them, not yet durable.
    changed: BTreeSet<PathBuf>,
    numbers: u64,
}

impl Repair {
    /// Begins to repair `id`, whole or not. On Windows a running program's files cannot be
    /// replaced, so there a running version is refused.
    pub(crate) fn begin(
        home: &Home,
        id: &ContainerId,
        _lock: &HomeLock,
    ) -> Result<Self, StoreError> {
        let root = home.container(id);
        if !look::is_folder(&root).at("look at", &root)? {
            return Err(StoreError::NotInstalled { id: id.to_string() });
        }
        if cfg!(windows) && super::lock::RunningLock::is_held(home, id) {
            return Err(StoreError::InUse { id: id.to_string(), reason: "running" });
        }
        let place = home.staging().join(format!("{REPAIR}{id}"));
        remove_tree(&place)?;
        durable::create_private_folders(&place).at("create", &place)?;
        let aside = home.containers().join(format!(".damaged-{id}-{:08x}", fastrand::u32(..)));
        Ok(Self {
            home: home.clone(),
            id: id.clone(),
            root,
            place,
            aside,
            changed: BTreeSet::new(),
            numbers: 0,
        })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Returns a free path in the folder where new files are made.
    pub(crate) fn fresh(&mut self) -> PathBuf {
        self.numbers += 1;
        self.place.join(self.numbers.to_string())
    }

    /// The manifest's bytes as they are on the disk, if it can be read.
    pub(crate) fn manifest_on_disk(&self) -> Option<Vec<u8>> {
        let path = self.root.join(MANIFEST_PATH);
        let is_plain = fs::symlink_metadata(&path).is_ok_and(|found| found.is_file());
        is_plain.then(|| look::read(&path, look::LARGE).ok().flatten()).flatten()
    }

    /// Checks the version against its manifest, after it has made the version's folders accessible
    /// again; `None` soon after `stop` is set.
    pub(crate) fn look(
        &self,
        manifest: &Manifest,
        threads: usize,
        progress: &(dyn Fn(u64) + Sync),
        stop: &AtomicBool,
    ) -> Option<Verification> {
        self.open_up(&self.root);
        for folder in
            manifest.file_manifest.keys().flat_map(|path| path.ancestors()).collect::<BTreeSet<_>>()
        {
            if !is_mutable(Path::new(folder)) {
                self.open_up(&self.root.join(folder));
            }
        }
        verify_tree_unless_stopped(&self.root, manifest, threads, progress, stop)
    }

    #[cfg(unix)]
    fn open_up(&self, folder: &Path) {
        use std::os::unix::fs::PermissionsExt as _;
        let Ok(found) = fs::symlink_metadata(folder) else { return };
        let mode = found.permissions().mode();
        if found.is_dir() && mode & 0o700 != 0o700 {
            // If the folder stays closed, its content is reported as damage.
            let opened = fs::set_permissions(folder, fs::Permissions::from_mode(mode | 0o700));
            tracing::warn!(folder = %folder.display(), ?opened, "a folder could not be entered");
        }
    }

    #[cfg(not(unix))]
    fn open_up(&self, _: &Path) {}

    /// Makes all staged files durable, before any of them is put in place.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        Ok(durable::sync_tree(&self.place).at("make durable", &self.place)?)
    }

    /// Moves the finished file or link `staged` to its place in the version.
    pub(crate) fn put(&mut self, path: &RelativePath, staged: &Path) -> Result<(), StoreError> {
        self.check_path(path)?;
        let full = path.under(&self.root);
        if look::is_folder(&full).at("look at", &full)? {
            self.set_aside(Path::new(path.as_str()))?;
        }
        writable(&full);
        durable::rename(staged, &full).at("replace", &full)?;
        self.changed.extend(full.parent().map(Path::to_owned));
        Ok(())
    }

    /// Makes a folder of the version; its parents exist.
    pub(crate) fn make_folder(&mut self, path: &RelativePath) -> Result<(), StoreError> {
        self.check_path(path)?;
        let full = path.under(&self.root);
        match look::at(&full).at("look at", &full)? {
            Some(found) if found.is_dir() => return Ok(()),
            // A link has no content that could be lost.
            Some(found) if found.is_symlink() => fs::remove_file(&full).at("remove", &full)?,
            Some(_) => self.set_aside(Path::new(path.as_str()))?,
            None => {}
        }
        let create = if is_mutable(Path::new(path.as_str())) {
            durable::create_user_folders
        } else {
            durable::create_shared_folders
        };
        create(&full).at("create", &full)?;
        self.changed.extend(full.parent().map(Path::to_owned));
        Ok(())
    }

    /// Sets the permissions and the time of a file whose content is right.
    pub(crate) fn dress(&self, path: &RelativePath, entry: &Entry) -> Result<(), StoreError> {
        self.check_path(path)?;
        let full = path.under(&self.root);
        Ok(dress(entry, &full).map_err(io::Error::other).at("change", &full)?)
    }

    /// Replaces the manifest.
    pub(crate) fn put_manifest(&mut self, json: &[u8]) -> Result<(), StoreError> {
        self.put_document(MANIFEST_PATH, json)
    }

    /// Writes the record that makes the folder a whole version, unless it is there already.
    pub(crate) fn put_record(&mut self, record: &InstalledRecord) -> Result<bool, StoreError> {
        if self
            .home
            .written_record(&self.id)
            .is_ok_and(|found| InstalledRecord { installed: record.installed, ..found } == *record)
        {
            return Ok(false);
        }
        let mut json = serde_json::to_vec_pretty(record)
            .map_err(|source| StoreError::Damaged { path: self.root.join(RECORD), source })?;
        json.push(b'\n');
        self.put_document(RECORD, &json)?;
        Ok(true)
    }

    fn put_document(&mut self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let full = self.root.join(path);
        let wrong = |_| FileError::new("replace", &full, io::ErrorKind::InvalidInput);
        let path: RelativePath = path.parse().map_err(wrong)?;
        if let Some(folder) = path.ancestors().last() {
            self.make_folder(&folder.parse().map_err(wrong)?)?;
        }
        let staged = self.fresh();
        durable::replace(&staged, bytes).at("write", &staged)?;
        self.put(&path, &staged)
    }

    /// Takes a foreign file out of the version, as [`Verification::extra`] names it.
    pub(crate) fn take_away(&mut self, extra: &Path) -> Result<Removal, StoreError> {
        let first = extra.iter().next().and_then(|first| first.to_str()).unwrap_or_default();
        let left = is_ours(extra) || !PROGRAM_FOLDERS.contains(&first) && !is_temporary(extra);
        if left || extra.iter().count() < 2 {
            return Ok(Removal::Left);
        }
        let full = self.root.join(extra);
        if !is_bytecode(extra) && !is_temporary(extra) {
            self.set_aside(extra)?;
            return Ok(Removal::SetAside);
        }
        let away = self.fresh();
        durable::rename(&full, &away).at("remove", &full)?;
        Ok(Removal::Deleted)
    }

    /// Moves an item of the version to the folder beside the versions.
    fn set_aside(&mut self, path: &Path) -> Result<(), StoreError> {
        let (from, to) = (self.root.join(path), self.aside.join(path));
        if let Some(folder) = to.parent() {
            durable::create_folders(folder).at("create", folder)?;
        }
        tracing::warn!(path = %from.display(), to = %to.display(), "what does not belong to the release is set aside");
        durable::rename(&from, &to).at("set aside", &from)?;
        self.changed.extend([from.parent(), to.parent()].into_iter().flatten().map(Path::to_owned));
        Ok(())
    }

    /// The folder of the set-aside files, if there are any.
    pub(crate) fn aside(&self) -> Option<&Path> {
        look::is_there(&self.aside).unwrap_or(true).then_some(self.aside.as_path())
    }

    /// Makes all changes durable.
    pub(crate) fn finish(&mut self) -> Result<(), StoreError> {
        for folder in std::mem::take(&mut self.changed) {
            durable::sync_folder(&folder).at("make durable", &folder)?;
        }
        Ok(())
    }

    /// Refuses a path that leads through anything but folders: a link would put the file elsewhere.
    fn check_path(&self, path: &RelativePath) -> Result<(), StoreError> {
        for folder in path.ancestors() {
            let full = self.root.join(folder);
            let found = fs::symlink_metadata(&full).at("enter", &full)?;
            if !found.is_dir() {
                return Err(FileError::new("enter", full, io::ErrorKind::NotADirectory).into());
            }
        }
        Ok(())
    }
}

impl Drop for Repair {
    fn drop(&mut self) {
        // The next repair or update removes what stays.
        let _ = remove_tree(&self.place);
    }
}

fn is_mutable(path: &Path) -> bool {
    MUTABLE_FOLDERS.iter().any(|folder| path.starts_with(folder))
}

/// Whether this program wrote the file beside the manifest.
fn is_ours(path: &Path) -> bool {
    path == Path::new(RECORD)
}

fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    path.starts_with("metadata") && name.starts_with(durable::TEMPORARY_PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::Fixture;

    fn begin(fixture: &Fixture, id: &ContainerId) -> Repair {
        Repair::begin(&fixture.home, id, &fixture.lock).unwrap()
    }

    fn path(text: &str) -> RelativePath {
        text.parse().unwrap()
    }

    #[test]
    fn a_file_takes_its_place_whatever_stands_there() {
        let fixture = Fixture::new();
        let id = fixture.install("1.0.0", &[("app/a", "a"), ("app/b", "b"), ("app/c", "c")]);
        let root = fixture.home.container(&id);
        fs::remove_file(root.join("app/b")).unwrap();
        fs::create_dir(root.join("app/b")).unwrap();
        fs::write(root.join("app/b/work"), "mine").unwrap();
        let mut repair = begin(&fixture, &id);
        let outside = fixture.home.root().join("outside");
        fs::write(&outside, "outside").unwrap();
        #[cfg(unix)]
        {
            fs::remove_file(root.join("app/c")).unwrap();
            std::os::unix::fs::symlink(&outside, root.join("app/c")).unwrap();
        }
        for name in ["app/a", "app/b", "app/c"] {
            let staged = repair.fresh();
            fs::write(&staged, "new").unwrap();
            repair.put(&path(name), &staged).unwrap();
            assert_eq!(fixture.read(&id, name).as_deref(), Some("new"));
        }
        repair.finish().unwrap();
        assert_eq!(fs::read_to_string(repair.aside().unwrap().join("app/b/work")).unwrap(), "mine");
        assert_eq!(fs::read_to_string(&outside).unwrap(), "outside");
        let place = repair.place.clone();
        drop(repair);
        assert!(!place.exists());
    }

    #[cfg(unix)]
    #[test]
    fn nothing_is_put_through_a_link() {
        use std::os::unix::fs::symlink;
        let fixture = Fixture::new();
        let id = fixture.install("1.0.0", &[("app/sub/a", "a")]);
        let root = fixture.home.container(&id);
        let outside = fixture.home.root().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::remove_dir_all(root.join("app/sub")).unwrap();
        symlink(&outside, root.join("app/sub")).unwrap();
        let mut repair = begin(&fixture, &id);
        let staged = repair.fresh();
        fs::write(&staged, "new").unwrap();
        assert!(repair.put(&path("app/sub/a"), &staged).is_err());
        repair.make_folder(&path("app/sub")).unwrap();
        repair.put(&path("app/sub/a"), &staged).unwrap();
        assert_eq!(fixture.read(&id, "app/sub/a").as_deref(), Some("new"));
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    }

    #[test]
    fn what_does_not_belong_is_taken_away_only_from_the_releases_own_folders() {
        let fixture = Fixture::new();
        let id = fixture.install("1.0.0", &[("app/a.py", "a")]);
        let extras = [
            ("app/__pycache__/a.pyc", "app/__pycache__", Removal::Deleted),
            ("app/work.txt", "app/work.txt", Removal::SetAside),
            ("metadata/.tmp-x", "metadata/.tmp-x", Removal::Deleted),
            ("metadata/installed.json", "metadata/installed.json", Removal::Left),
            ("metadata/something", "metadata/something", Removal::Left),
            ("elsewhere/x", "elsewhere", Removal::Left),
            ("app", "app", Removal::Left),
        ];
        for (file, _, _) in
            extras.iter().filter(|(file, _, _)| !["metadata/installed.json", "app"].contains(file))
        {
            fixture.write(&id, file, "extra");
        }
        let mut repair = begin(&fixture, &id);
        for (file, extra, expected) in extras {
            assert_eq!(repair.take_away(Path::new(extra)).unwrap(), expected, "{file}");
            assert_eq!(
                fixture.home.container(&id).join(file).exists(),
                expected == Removal::Left,
                "{file}"
            );
        }
        assert!(repair.aside().unwrap().join("app/work.txt").exists());
    }
}
