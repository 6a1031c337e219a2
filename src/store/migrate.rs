//! Carrying the user's files from one version to another, file by file, as dpkg treats conffiles: a shipped default that nobody
//! touched takes the new release's version; what the user changed or made is carried over; where both sides changed the user's file
//! stands and the new default is kept beside it. Where one side has a folder and the other a file, the user's are kept beside.
//!
//! The version that is left is only read. The version that is switched to takes the user's present files; files of its own that the
//! user had changed or made there (at a switch back) are moved to a snapshot before they are replaced. The user's links are carried as
//! links.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::files::{copy_file, copy_link, digest_of, read_json, with_ending, writable};
use super::snapshots::Snapshot;
use super::{Home, StoreError};
use crate::durable;
use crate::model::manifest::MANIFEST_PATH;
use crate::model::{ContainerId, Digest, RelativePath};

/// Folders whose files are carried over. `temp` is not: it is for what may be lost.
const CARRIED: [&str; 3] = ["config", "data", "logs"];
/// Ending of a new default that the user's own file kept from its place.
const NEW_DEFAULT: &str = ".new-default";
/// Ending of a file or folder of the user's whose place is taken by something of another kind.
const KEPT: &str = ".kept";
/// A copy that is growing; one at a time in a folder, so what a killed launcher left is replaced by the next try.
const PART: &str = ".kuzflow-part";

/// What was done with the user's files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Migration {
    /// Carried over.
    pub carried: Vec<PathBuf>,
    /// Carried over, and both kept: the new default beside the user's file, or the user's file beside what took its place.
    pub conflicts: Vec<PathBuf>,
}

impl Migration {
    /// Writes a line about it to the log.
    pub fn log(&self) {
        tracing::info!(carried = self.carried.len(), conflicts = ?self.conflicts, "user files carried over");
    }
}

/// Copies the user's files from `from` to `to`; repeating it after an interruption gives the same result. What it replaces of the
/// user's own files in `to` goes to `snapshot`.
pub(super) fn carry_over(
    home: &Home,
    from: &ContainerId,
    to: &ContainerId,
    snapshot: &Snapshot,
) -> Result<Migration, StoreError> {
    let mut carrying = Carrying::new(&home.container(from), &home.container(to), Some(snapshot));
    for path in carrying.files()? {
        carrying.carry(&path)?;
    }
    carrying.finish()
}

/// Copies the user's files from `damaged`, what is left of a version, to `tree`, a whole one. A file that cannot be read is told in the log
/// and is no reason to fail: `damaged` stays. Without a `snapshot` nothing in `tree` may be the user's only copy.
pub(super) fn rescue(damaged: &Path, tree: &Path, snapshot: Option<&Snapshot>) -> Result<Migration, StoreError> {
    let mut carrying = Carrying::new(damaged, tree, snapshot);
    for path in carrying.files()? {
        match carrying.carry(&path) {
            Err(error) if !error.is_disk_full() => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a user file of a damaged version could not be carried over"
                );
            }
            result => result?,
        }
    }
    carrying.finish()
}

/// What stands at a path, as far as carrying over compares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    File(Digest),
    /// Digest of what the link points to, as in a manifest.
    Link(Digest),
}

struct Carrying<'a> {
    source: PathBuf,
    target: PathBuf,
    snapshot: Option<&'a Snapshot>,
    old_defaults: HashMap<String, Content>,
    new_defaults: HashMap<String, Content>,
    migration: Migration,
    /// Folders with new names in them, not yet durable.
    changed: BTreeSet<PathBuf>,
}

impl<'a> Carrying<'a> {
    fn new(source: &Path, target: &Path, snapshot: Option<&'a Snapshot>) -> Self {
        Self {
            source: source.to_owned(),
            target: target.to_owned(),
            snapshot,
            old_defaults: defaults(&source.join(MANIFEST_PATH)),
            new_defaults: defaults(&target.join(MANIFEST_PATH)),
            migration: Migration::default(),
            changed: BTreeSet::new(),
        }
    }

    fn files(&self) -> Result<Vec<PathBuf>, StoreError> {
        let mut files = Vec::new();
        CARRIED.iter().try_for_each(|folder| collect(&self.source.join(folder), &mut files))?;
        Ok(files)
    }

    fn carry(&mut self, path: &Path) -> Result<(), StoreError> {
        let Ok(relative) = path.strip_prefix(&self.source) else { return Ok(()) };
        let key = relative.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/");
        let Some(content) = content_of(path)? else { return Ok(()) };
        let old_default = self.old_defaults.get(&key).copied();
        if old_default == Some(content) {
            return Ok(());
        }
        // A new default that an earlier switch put beside the user's file, untouched: the next release brings its own.
        if key.strip_suffix(NEW_DEFAULT).is_some_and(|name| self.old_defaults.get(name) == Some(&content)) {
            return Ok(());
        }
        let (place, moved) = free_place(&self.target, relative);
        let there = content_of(&place)?;
        let new_default = self.new_defaults.get(&key).copied().filter(|_| !moved);
        // The new release ships just what the user has.
        if new_default == Some(content) && there == Some(content) {
            return Ok(());
        }
        let conflict = match new_default {
            // The user changed a default that the new release changed too.
            Some(default) if default != content && old_default != Some(default) => {
                let beside = with_ending(&place, NEW_DEFAULT);
                if there == Some(default) && fs::symlink_metadata(&beside).is_err() {
                    self.copy(&place, &beside)?;
                }
                true
            }
            _ => moved,
        };
        if there != Some(content) {
            // The release can bring its own default again; anything else there is the user's.
            let users = there.is_some() && there != new_default;
            let part = self.part(path, &place)?;
            match self.snapshot {
                Some(snapshot) if users => {
                    snapshot.keep(&place, place.strip_prefix(&self.target).unwrap_or(relative))?;
                }
                _ => writable(&place),
            }
            durable::rename(&part, &place).map_err(StoreError::io("rename", &part))?;
        }
        let list = if conflict { &mut self.migration.conflicts } else { &mut self.migration.carried };
        list.push(relative.to_owned());
        Ok(())
    }

    fn copy(&mut self, from: &Path, to: &Path) -> Result<(), StoreError> {
        let part = self.part(from, to)?;
        durable::rename(&part, to).map_err(StoreError::io("rename", &part))
    }

    /// A durable copy of `from` in the folder of `place`, to be renamed to it.
    fn part(&mut self, from: &Path, place: &Path) -> Result<PathBuf, StoreError> {
        let folder = place.parent().unwrap_or(&self.target);
        fs::create_dir_all(folder).map_err(StoreError::io("create", folder))?;
        self.changed.extend(folder.ancestors().take_while(|parent| parent.starts_with(&self.target)).map(Path::to_owned));
        let part = folder.join(PART);
        writable(&part);
        match fs::remove_file(&part) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(StoreError::io("remove", &part)(error)),
            _ => {}
        }
        let metadata = fs::symlink_metadata(from).map_err(StoreError::io("look at", from))?;
        if metadata.is_symlink() {
            copy_link(from, &part)?;
        } else {
            copy_file(from, &part, &metadata)?;
        }
        Ok(part)
    }

    fn finish(self) -> Result<Migration, StoreError> {
        for folder in &self.changed {
            durable::sync_folder(folder).map_err(StoreError::io("make durable", folder))?;
        }
        Ok(self.migration)
    }
}

/// What a version ships in the user's folders. A manifest that is missing or cannot be read ships nothing that is known: then every
/// file counts as the user's.
fn defaults(manifest: &Path) -> HashMap<String, Content> {
    // Only what is needed here: the whole manifest was checked when the version was installed.
    #[derive(Deserialize)]
    struct Shipped {
        file_manifest: HashMap<RelativePath, Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        hash: Digest,
        symlink: Option<String>,
    }
    let shipped = read_json::<Shipped>(manifest).unwrap_or_else(|error| {
        tracing::warn!(error = &error as &dyn std::error::Error, "the shipped defaults are not known");
        None
    });
    let shipped = shipped.map(|shipped| shipped.file_manifest).unwrap_or_default();
    shipped
        .into_iter()
        .filter(|(path, _)| CARRIED.iter().any(|folder| path.is_under(folder)))
        .map(|(path, entry)| {
            (path.to_string(), if entry.symlink.is_some() { Content::Link(entry.hash) } else { Content::File(entry.hash) })
        })
        .collect()
}

/// Files and links below `folder`, in order. Links are not followed: what they point to may be anywhere.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), StoreError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(()),
        Err(error) => return Err(StoreError::io("read", folder)(error)),
    };
    let mut entries: Vec<_> = entries.collect::<Result<_, _>>().map_err(StoreError::io("read", folder))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type().map_err(StoreError::io("read", &entry.path()))?;
        if kind.is_dir() {
            collect(&entry.path(), files)?;
        } else if kind.is_symlink() && cfg!(not(unix)) {
            // Making one needs a right there that users do not have.
            tracing::warn!(link = %entry.path().display(), "a link is not carried over");
        } else if (kind.is_file() || kind.is_symlink()) && entry.file_name() != PART {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// Where `relative` can lie below `target`, and whether it had to move: a folder where a file is to lie, and anything else where a folder
/// is to lie, stay, and what is the user's gets a name beside. Only kinds decide, so that a repetition finds the same place.
fn free_place(target: &Path, relative: &Path) -> (PathBuf, bool) {
    let mut place = target.to_owned();
    let mut moved = false;
    let parts = relative.iter().count();
    for (index, part) in relative.iter().enumerate() {
        place.push(part);
        let is_last = index + 1 == parts;
        while fs::symlink_metadata(&place).is_ok_and(|found| found.is_dir() == is_last) && !is_users_root(index, &place) {
            place = with_ending(&place, KEPT);
            moved = true;
        }
    }
    (place, moved)
}

/// `config` and its like may be links to folders of the user's choice.
fn is_users_root(index: usize, place: &Path) -> bool {
    index == 0 && place.is_dir()
}

/// What stands at `path`; `None` if that is nothing, or neither a file nor a link.
fn content_of(path: &Path) -> Result<Option<Content>, StoreError> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io("look at", path)(error)),
    };
    if metadata.is_symlink() {
        let link = fs::read_link(path).map_err(StoreError::io("read", path))?;
        return Ok(Some(Content::Link(Digest::of(link.as_os_str().as_encoded_bytes()))));
    }
    if metadata.is_file() { Ok(Some(Content::File(digest_of(path)?))) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use crate::store::fixture::Fixture;

    use super::*;

    fn carry(fixture: &Fixture, from: &ContainerId, to: &ContainerId) -> Migration {
        let snapshot = Snapshot::of(&fixture.home, to, jiff::Timestamp::UNIX_EPOCH);
        carry_over(&fixture.home, from, to, &snapshot).unwrap()
    }

    /// Files of the only snapshot, with their texts.
    fn kept(fixture: &Fixture) -> Vec<(String, String)> {
        let Some(folder) = fs::read_dir(fixture.home.snapshots()).into_iter().flatten().flatten().next() else {
            return Vec::new();
        };
        let mut files = Vec::new();
        collect(&folder.path(), &mut files).unwrap();
        let relative = |path: &Path| path.strip_prefix(folder.path()).unwrap().to_str().unwrap().to_owned();
        files.iter().map(|path| (relative(path), fs::read_to_string(path).unwrap())).collect()
    }

    #[test]
    fn each_file_goes_its_own_way() {
        let fixture = Fixture::new();
        let old = [
            ("config/untouched", "a"),
            ("config/changed", "a"),
            ("config/both", "a"),
            ("config/same", "a"),
            ("config/gone", "a"),
            ("temp/t", "a"),
        ];
        let new = [("config/untouched", "b"), ("config/changed", "a"), ("config/both", "b"), ("config/same", "b")];
        let (one, two) = (fixture.install("1.0.0", &old), fixture.install("2.0.0", &new));
        fixture.write(&one, "config/changed", "mine");
        fixture.write(&one, "config/both", "mine");
        fixture.write(&one, "config/same", "b");
        fixture.write(&one, "data/folder/made", "mine");
        fixture.write(&one, "temp/made", "mine");
        for round in 0..2 {
            let migration = carry(&fixture, &one, &two);
            assert_eq!(migration.conflicts, [Path::new("config/both")], "round {round}");
            assert_eq!(migration.carried, [Path::new("config/changed"), Path::new("data/folder/made")]);
            let read = |path: &str| fixture.read(&two, path);
            assert_eq!(read("config/untouched").as_deref(), Some("b"), "an untouched default moves on");
            assert_eq!(read("config/changed").as_deref(), Some("mine"));
            assert_eq!(read("config/both").as_deref(), Some("mine"));
            assert_eq!(read("config/both.new-default").as_deref(), Some("b"));
            assert_eq!(read("config/same").as_deref(), Some("b"));
            assert_eq!(read("config/gone"), None, "an untouched default that is no longer shipped goes");
            assert_eq!(read("data/folder/made").as_deref(), Some("mine"));
            assert_eq!(read("temp/made"), None);
        }
        assert_eq!(fixture.read(&one, "config/both").as_deref(), Some("mine"), "the old version is as it was");
    }
    #[test]
    fn going_back_takes_the_present_files_along_and_keeps_the_older_ones_in_a_snapshot() {
        let fixture = Fixture::new();
        let files = [("config/default", "a"), ("config/reset", "a"), ("config/moved", "a")];
        let one = fixture.install("1.0.0", &files);
        let two = fixture.install("2.0.0", &[("config/default", "a"), ("config/reset", "b"), ("config/moved", "b")]);
        for (path, text) in [("data/document", "old"), ("data/only here", "old"), ("config/reset", "mine")] {
            fixture.write(&one, path, text);
        }
        for (path, text) in
            [("data/document", "present"), ("config/default", "present"), ("config/reset", "a"), ("data/new", "present")]
        {
            fixture.write(&two, path, text);
        }
        for _ in 0..2 {
            let migration = carry(&fixture, &two, &one);
            assert!(migration.conflicts.is_empty(), "{migration:?}");
            let read = |path: &str| fixture.read(&one, path);
            for path in ["data/document", "config/default", "data/new"] {
                assert_eq!(read(path).as_deref(), Some("present"), "{path}");
            }
            assert_eq!(read("data/only here").as_deref(), Some("old"));
            assert_eq!(read("config/reset").as_deref(), Some("a"), "what the user has now, though it is a shipped default here");
            assert_eq!(read("config/moved").as_deref(), Some("a"));
            let expected = [("config/reset", "mine"), ("data/document", "old")];
            assert_eq!(
                kept(&fixture),
                expected.map(|(path, text)| (path.to_owned(), text.to_owned())),
                "shipped defaults are not kept"
            );
        }
    }

    #[test]
    fn a_file_where_the_other_side_has_a_folder_is_kept_beside() {
        let fixture = Fixture::new();
        let one = fixture.install("1.0.0", &[]);
        let two = fixture.install("2.0.0", &[("config/file/inside", "b"), ("config/folder", "b")]);
        fixture.write(&one, "config/file", "mine");
        fixture.write(&one, "config/folder/deep/inside", "mine");
        for _ in 0..2 {
            let migration = carry(&fixture, &one, &two);
            assert_eq!(migration.conflicts, [Path::new("config/file"), Path::new("config/folder/deep/inside")]);
            let read = |path: &str| fixture.read(&two, path);
            assert_eq!(read("config/file/inside").as_deref(), Some("b"));
            assert_eq!(read("config/file.kept").as_deref(), Some("mine"));
            assert_eq!(read("config/folder").as_deref(), Some("b"));
            assert_eq!(read("config/folder.kept/deep/inside").as_deref(), Some("mine"));
        }
        assert!(kept(&fixture).is_empty());
    }

    #[test]
    fn a_read_only_file_keeps_mode_and_time_and_a_stale_copy_is_no_obstacle() {
        let fixture = Fixture::new();
        let (one, two) = (fixture.install("1.0.0", &[]), fixture.install("2.0.0", &[]));
        let read_only = |path: &Path| {
            let mut permissions = fs::metadata(path).unwrap().permissions();
            permissions.set_readonly(true);
            fs::set_permissions(path, permissions).unwrap();
        };
        fixture.write(&one, "data/file", "mine");
        let source = fixture.home.container(&one).join("data/file");
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        fs::File::options().write(true).open(&source).unwrap().set_modified(time).unwrap();
        read_only(&source);
        fixture.write(&two, &format!("data/{PART}"), "half");
        read_only(&fixture.home.container(&two).join("data").join(PART));
        // The second time a read-only file is to be replaced.
        for text in ["mine", "another"] {
            fs::remove_file(&source).unwrap();
            fs::write(&source, text).unwrap();
            fs::File::options().write(true).open(&source).unwrap().set_modified(time).unwrap();
            read_only(&source);
            carry(&fixture, &one, &two);
            assert_eq!(fixture.read(&two, "data/file").as_deref(), Some(text));
            let copy = fs::metadata(fixture.home.container(&two).join("data/file")).unwrap();
            assert!(copy.permissions().readonly());
            assert_eq!(copy.modified().unwrap(), time);
        }
        assert_eq!(fs::read_dir(fixture.home.container(&two).join("data")).unwrap().count(), 1, "no copy is left");
        assert_eq!(kept(&fixture), [("data/file".to_owned(), "mine".to_owned())]);
    }

    #[test]
    #[cfg(unix)]
    fn links_stay_links() {
        use std::os::unix::fs::symlink;
        let fixture = Fixture::new();
        let (one, two) = (fixture.install("1.0.0", &[]), fixture.install("2.0.0", &[]));
        let outside = fixture.home.root().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("photo"), "x").unwrap();
        fixture.write(&one, "data/file", "mine");
        let (source, target) = (fixture.home.container(&one).join("data"), fixture.home.container(&two).join("data"));
        symlink(&outside, source.join("folder")).unwrap();
        symlink("file", source.join("near")).unwrap();
        symlink("nowhere", source.join("broken")).unwrap();
        for _ in 0..2 {
            assert_eq!(carry(&fixture, &one, &two).carried.len(), 4);
            assert_eq!(fs::read_link(target.join("folder")).unwrap(), outside);
            assert_eq!(fs::read_link(target.join("near")).unwrap(), Path::new("file"));
            assert_eq!(fs::read_link(target.join("broken")).unwrap(), Path::new("nowhere"));
        }
        assert!(kept(&fixture).is_empty());
        // A folder in the place of the link: nothing is written through it.
        fs::remove_file(source.join("folder")).unwrap();
        fixture.write(&one, "data/folder/photo", "another");
        carry(&fixture, &one, &two);
        assert_eq!(fs::read_to_string(outside.join("photo")).unwrap(), "x");
        assert_eq!(fixture.read(&two, "data/folder.kept/photo").as_deref(), Some("another"));
    }

    #[test]
    fn a_new_default_put_beside_does_not_outlive_its_release() {
        let fixture = Fixture::new();
        let ids = [("1.0.0", "a"), ("2.0.0", "b"), ("3.0.0", "c")]
            .map(|(version, text)| fixture.install(version, &[("config/x", text)]));
        fixture.write(&ids[0], "config/x", "mine");
        carry(&fixture, &ids[0], &ids[1]);
        assert_eq!(fixture.read(&ids[1], "config/x.new-default").as_deref(), Some("b"));
        carry(&fixture, &ids[1], &ids[2]);
        assert_eq!(fixture.read(&ids[2], "config/x").as_deref(), Some("mine"));
        assert_eq!(fixture.read(&ids[2], "config/x.new-default").as_deref(), Some("c"));
    }

    #[test]
    fn with_a_damaged_manifest_everything_is_the_users() {
        let fixture = Fixture::new();
        let (one, two) = (fixture.install("1.0.0", &[("config/x", "a")]), fixture.install("2.0.0", &[("config/x", "b")]));
        fs::write(fixture.home.manifest(&one), "{").unwrap();
        assert_eq!(carry(&fixture, &one, &two).conflicts, [Path::new("config/x")]);
        assert_eq!(fixture.read(&two, "config/x").as_deref(), Some("a"));
    }
}
