//! What somebody has put among a version's own files: some apps keep settings or documents beside
//! their program. Before the version is deleted, these files move aside.
//!
//! In: the tree of a version that is about to be deleted. Out: the files that are not the release's,
//! in a folder that nothing deletes by itself. Never: deletes a file, follows a link, moves what
//! Python can make again.

use std::fs::DirEntry;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::StoreError;
use super::files::{digest_of, entries};
use crate::file_error::{FileError, FileResult as _};
use crate::model::Manifest;
use crate::model::manifest::{Entry, MANIFEST_PATH, PROGRAM_FOLDERS, is_bytecode};
use crate::{durable, look};

/// Moves the files in `tree` that the release did not bring, or that differ from what it brought,
/// to the same places below `to`. Returns whether there are any. A repetition continues an
/// interrupted call.
pub(super) fn move_aside(tree: &Path, to: &Path) -> Result<bool, StoreError> {
    let path = tree.join(MANIFEST_PATH);
    let json = look::read(&path, look::LARGE).at("read", &path)?.unwrap_or_default();
    let Ok(manifest) = Manifest::from_json(&json) else {
        tracing::warn!(manifest = %path.display(), "it is not known what belongs to this release");
        return Ok(false);
    };
    let aside = Aside { tree, to, manifest: &manifest };
    let mut any = false;
    for folder in PROGRAM_FOLDERS {
        any |= aside.folder(folder)?;
    }
    Ok(any)
}

struct Aside<'a> {
    tree: &'a Path,
    to: &'a Path,
    manifest: &'a Manifest,
}

impl Aside<'_> {
    /// Moves what is foreign in a folder of the tree; returns whether there was anything.
    fn folder(&self, inside: &str) -> Result<bool, FileError> {
        let mut any = false;
        for entry in entries(&self.tree.join(inside))? {
            any |= self.one(&entry, inside)?;
        }
        Ok(any)
    }

    fn one(&self, entry: &DirEntry, inside: &str) -> Result<bool, FileError> {
        let (name, from) = (entry.file_name(), entry.path());
        if is_bytecode(Path::new(&name)) {
            return Ok(false);
        }
        // A name that no manifest can hold is foreign, as a folder with all that is in it.
        let path = name.to_str().map(|name| format!("{inside}/{name}"));
        if let Some(path) = &path {
            if entry.file_type().at("look at", &from)?.is_dir() {
                // Where the disk has no links, a copy of the folder stands for one.
                let release = self.manifest.file_manifest.get(path.as_str());
                let is_link = release.is_some_and(|entry| entry.symlink.is_some());
                return if is_link { Ok(false) } else { self.folder(path) };
            }
            if let Some(entry) = self.manifest.file_manifest.get(path.as_str())
                && is_unchanged(&from, entry)?
            {
                return Ok(false);
            }
        }
        let to = self.to.join(inside).join(&name);
        if let Some(folder) = to.parent() {
            durable::create_folders(folder).at("create", folder)?;
        }
        durable::rename(&from, &to).at("set aside", &from)?;
        Ok(true)
    }
}

/// Whether a file is what the release brought, by size and time, or by its bytes where only the time
/// differs. A link has no content that could be lost.
fn is_unchanged(path: &Path, entry: &Entry) -> Result<bool, FileError> {
    let Some(found) = look::at(path).at("look at", path)? else { return Ok(true) };
    if found.is_symlink() || entry.symlink.is_some() {
        return Ok(true);
    }
    if !found.is_file() || found.len() != entry.size {
        return Ok(false);
    }
    let seconds = Duration::from_secs(u64::try_from(entry.mtime).unwrap_or_default());
    let is_of_that_time =
        found.modified().is_ok_and(|time| time == SystemTime::UNIX_EPOCH + seconds);
    Ok(is_of_that_time || digest_of(path)? == entry.hash)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::store::fixture::Fixture;
    use crate::store::{remove, retained};

    /// A version with work of its user among its own files.
    fn used(fixture: &Fixture) -> crate::model::ContainerId {
        let id = fixture.install("1.0.0", &[("app/a", "shipped"), ("app/settings.ini", "default")]);
        fixture.write(&id, "app/settings.ini", "changed");
        fixture.write(&id, "app/documents/letter.txt", "a month of work");
        fixture.write(&id, "app/__pycache__/a.pyc", "made again");
        id
    }

    #[test]
    fn what_a_user_has_among_a_versions_files_outlives_its_removal() {
        let fixture = Fixture::new();
        let (one, two) = (used(&fixture), fixture.install("2.0.0", &[("app/a", "shipped")]));
        let other = fixture.install("3.0.0", &[]);
        crate::store::switch::switch(
            &fixture.home,
            &other,
            crate::store::switch::SwitchOptions::PLAIN,
            &fixture.lock,
        )
        .unwrap();
        remove::set_aside(&fixture.home, &two, &fixture.lock).unwrap();
        assert!(fixture.home.set_aside().unwrap().is_empty(), "nobody has changed that one");
        remove::set_aside(&fixture.home, &one, &fixture.lock).unwrap();
        let aside = fixture.home.set_aside().unwrap();
        let read = |path: &str| fs::read_to_string(aside[0].join(path)).ok();
        assert_eq!(read("app/documents/letter.txt").as_deref(), Some("a month of work"));
        assert_eq!(read("app/settings.ini").as_deref(), Some("changed"));
        assert_eq!((read("app/a"), read("app/__pycache__/a.pyc"), aside.len()), (None, None, 1));
    }

    #[test]
    fn it_outlives_the_app_too() {
        let fixture = Fixture::new();
        let id = used(&fixture);
        let aside = fixture.home.containers().join(".damaged-x");
        fs::create_dir_all(&aside).unwrap();
        fs::write(aside.join("letter"), "of an earlier version").unwrap();
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        retained::put_away(&fixture.home, now, &fixture.lock).unwrap();
        let retained = retained::settle(&fixture.home, true, &fixture.lock).unwrap();
        let read = |path: &str| fs::read_to_string(retained[0].join(path)).unwrap();
        assert_eq!(read(&format!("{id}/app/documents/letter.txt")), "a month of work");
        assert_eq!(read(&format!("{id}/app/settings.ini")), "changed");
        assert_eq!(read(".damaged-x/letter"), "of an earlier version");
        assert!(!retained[0].join(id.to_string()).join("app/a").exists());
    }
}
