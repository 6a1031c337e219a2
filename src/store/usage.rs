//! Measures how much space a home takes on its disk: the blocks that the file system has allocated
//! to each file, whatever length the files report.
//!
//! In: a home. Out: bytes. Never: takes a lock, returns an error (files that cannot be read are not
//! counted, and files may go while they are counted). Blocks that files share where the file system
//! can clone are counted for each of them, so the result is an upper bound.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::carry_over::CARRIED;
use super::{Home, snapshots};
use crate::look::{self, entries_if_readable};

/// Disk use, bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// The whole home.
    pub whole: u64,
    /// The parts for each version's folder and each snapshot's own folder.
    pub folders: Vec<(PathBuf, u64)>,
}

/// Reads the size of every file of `home`; takes tens of milliseconds for some ten thousand files.
pub(crate) fn measure(home: &Home) -> Usage {
    let mut measuring = Measuring::default();
    let mut usage = Usage::default();
    for entry in entries_if_readable(home.root()).into_iter().map(|entry| entry.path()) {
        if entry == home.containers() || entry == home.snapshots() {
            for folder in entries_if_readable(&entry).into_iter().map(|entry| entry.path()) {
                let bytes = measuring.bytes(&folder);
                usage.whole += bytes;
                usage.folders.push((folder, bytes));
            }
        } else {
            usage.whole += measuring.bytes(&entry);
        }
    }
    usage.folders.sort();
    usage
}

/// Bytes on disk of what was set aside and nothing removes by itself.
pub(crate) fn set_aside(home: &Home) -> u64 {
    let only_copies = snapshots::only_copies(home).unwrap_or_default();
    let folders = only_copies.iter().map(|only_copy| only_copy.folder().to_owned());
    let mut measuring = Measuring::default();
    let all = folders.chain(home.set_aside().unwrap_or_default());
    all.map(|folder| measuring.bytes(&folder)).sum()
}

/// Whether any user file lies in a version's folder, or in a folder of retained files. A file that
/// cannot be read counts as one. Not those behind a link of the user's: all versions share them.
pub(crate) fn holds_user_files(folder: &Path) -> bool {
    let mut parts = CARRIED.iter().map(|part| folder.join(part));
    parts.any(|part| !is_link(&part) && holds_files(&part))
}

/// The same, and whether they are all of the user's files: only then may the user be told that the
/// files are as they were, or that what was done since is kept.
pub(crate) fn holds_all_user_files(folder: &Path) -> bool {
    holds_user_files(folder) && !CARRIED.iter().any(|part| is_link(&folder.join(part)))
}

fn is_link(path: &Path) -> bool {
    look::at(path).is_ok_and(|found| found.is_some_and(|found| found.is_symlink()))
}

fn holds_files(folder: &Path) -> bool {
    match look::entries(folder) {
        Ok(entries) => entries.iter().any(|entry| {
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            !is_folder || holds_files(&entry.path())
        }),
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    }
}

#[derive(Default)]
struct Measuring {
    /// Files with several names that were counted.
    #[cfg_attr(not(unix), allow(dead_code))]
    seen: HashSet<(u64, u64)>,
}

impl Measuring {
    /// Bytes on disk of a file, or of a folder with its content. Links are not followed.
    fn bytes(&mut self, path: &Path) -> u64 {
        let Ok(found) = fs::symlink_metadata(path) else { return 0 };
        let own = self.own(&found);
        if found.is_dir() {
            own + entries_if_readable(path)
                .iter()
                .map(|entry| self.bytes(&entry.path()))
                .sum::<u64>()
        } else {
            own
        }
    }

    #[cfg(unix)]
    fn own(&mut self, found: &fs::Metadata) -> u64 {
        use std::os::unix::fs::MetadataExt;
        if !found.is_dir() && found.nlink() > 1 && !self.seen.insert((found.dev(), found.ino())) {
            return 0;
        }
        // Always this unit, whatever block size the file system has.
        found.blocks() * 512
    }

    #[cfg(not(unix))]
    fn own(&mut self, found: &fs::Metadata) -> u64 {
        if found.is_file() { found.len() } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::Fixture;

    fn of(usage: &Usage, folder: &Path) -> u64 {
        usage.folders.iter().find(|(path, _)| path == folder).unwrap().1
    }

    #[test]
    fn every_folder_is_counted_once_and_the_whole_is_more_than_its_parts() {
        let fixture = Fixture::new();
        let (one, two) =
            (fixture.install("1.0.0", &[("app/file", "x")]), fixture.install("2.0.0", &[]));
        let before = measure(&fixture.home);
        fixture.write(&one, "data/large", &"x".repeat(1 << 20));
        let after = measure(&fixture.home);
        let grown =
            |id| of(&after, &fixture.home.container(id)) - of(&before, &fixture.home.container(id));
        assert!((1 << 20..2 << 20).contains(&grown(&one)), "{}", grown(&one));
        assert_eq!((grown(&two), after.whole - before.whole), (0, grown(&one)));
        assert!(after.whole > after.folders.iter().map(|(_, bytes)| bytes).sum());
    }

    #[cfg(unix)]
    #[test]
    fn files_that_the_user_keeps_on_another_disk_are_no_versions_own() {
        let fixture = Fixture::new();
        let one = fixture.install("1.0.0", &[]);
        let (container, elsewhere) = (fixture.home.container(&one), tempfile::tempdir().unwrap());
        let answers = || (holds_user_files(&container), holds_all_user_files(&container));
        fs::write(elsewhere.path().join("document"), "x").unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), container.join("data")).unwrap();
        assert_eq!(answers(), (false, false));
        fixture.write(&one, "config/settings", "x");
        assert_eq!(answers(), (true, false), "some of the user's files, and not all");
        fs::remove_file(container.join("data")).unwrap();
        assert_eq!(answers(), (true, true));
    }

    #[cfg(unix)]
    #[test]
    fn a_second_name_of_a_file_and_what_a_link_leads_to_count_nothing() {
        let fixture = Fixture::new();
        let one = fixture.install("1.0.0", &[]);
        fixture.write(&one, "data/large", &"x".repeat(1 << 20));
        let before = measure(&fixture.home).whole;
        let data = fixture.home.container(&one).join("data");
        fs::hard_link(data.join("large"), data.join("again")).unwrap();
        std::os::unix::fs::symlink("/", data.join("all")).unwrap();
        assert!(measure(&fixture.home).whole - before < 1 << 20);
    }
}
