//! Carrying the user's files from one version to another, file by file, as dpkg treats conffiles: a shipped default that nobody
//! touched takes the new release's version; what the user changed or made is carried over; where both sides changed the user's file
//! stands and the new default is kept beside it.
//!
//! The old version's files are only read: going back finds them as they were.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Home, StoreError};
use crate::model::{ContainerId, Digest, Hasher, RelativePath};

/// Folders whose files are carried over. `temp` is not: it is for what may be lost.
const CARRIED: [&str; 3] = ["config", "data", "logs"];
/// Ending of a new default that the user's own file kept from its place.
const NEW_DEFAULT: &str = ".new-default";

/// What was done with the user's files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Migration {
    /// Carried over.
    pub carried: Vec<PathBuf>,
    /// Carried over, and the new default kept beside it.
    pub conflicts: Vec<PathBuf>,
}

impl Migration {
    /// Writes a line about it to the log.
    pub fn log(&self) {
        tracing::info!(carried = self.carried.len(), conflicts = ?self.conflicts, "user files carried over");
    }
}

/// Copies the user's files from `from` to `to`; repeating it after an interruption gives the same result.
pub fn carry_over(home: &Home, from: &ContainerId, to: &ContainerId) -> Result<Migration, StoreError> {
    let (source, target) = (home.container(from), home.container(to));
    let (old_defaults, new_defaults) = (defaults(&home.manifest(from))?, defaults(&home.manifest(to))?);
    let mut migration = Migration::default();
    for folder in CARRIED {
        let mut files = Vec::new();
        collect(&source.join(folder), &mut files)?;
        for path in files {
            let Ok(relative) = path.strip_prefix(&source) else { continue };
            let key = relative.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/");
            let digest = digest_of(&path)?;
            let old_default = old_defaults.get(key.as_str());
            if old_default == Some(&digest) {
                continue;
            }
            let place = target.join(relative);
            match new_defaults.get(key.as_str()) {
                // The new release ships just what the user has.
                Some(new_default) if *new_default == digest => continue,
                // The user changed a default that the new release changed too.
                Some(new_default) if old_default != Some(new_default) => {
                    let beside = with_ending(&place, NEW_DEFAULT);
                    if !beside.exists() && place.exists() && digest_of(&place)? == *new_default {
                        copy(&place, &beside)?;
                    }
                    migration.conflicts.push(relative.to_owned());
                }
                _ => migration.carried.push(relative.to_owned()),
            }
            copy(&path, &place)?;
        }
    }
    Ok(migration)
}

/// Digests of the defaults that a version ships in the user's folders.
fn defaults(manifest: &Path) -> Result<HashMap<String, Digest>, StoreError> {
    // Only what is needed here: the whole manifest was checked when the version was installed.
    #[derive(Deserialize)]
    struct Shipped {
        file_manifest: HashMap<RelativePath, Hash>,
    }
    #[derive(Deserialize)]
    struct Hash {
        hash: Digest,
    }
    let shipped: Option<Shipped> = super::files::read_json(manifest)?;
    let shipped = shipped.map(|shipped| shipped.file_manifest).unwrap_or_default();
    Ok(shipped
        .into_iter()
        .filter(|(path, _)| CARRIED.iter().any(|folder| path.is_under(folder)))
        .map(|(path, entry)| (path.to_string(), entry.hash))
        .collect())
}

/// Plain files below `folder`, in order. Links are passed over: what they point to may be anywhere.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), StoreError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::io("read", folder)(error)),
    };
    let mut entries: Vec<_> = entries.collect::<Result<_, _>>().map_err(StoreError::io("read", folder))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type().map_err(StoreError::io("read", &entry.path()))?;
        if kind.is_dir() {
            collect(&entry.path(), files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

fn digest_of(path: &Path) -> Result<Digest, StoreError> {
    let mut file = fs::File::open(path).map_err(StoreError::io("open", path))?;
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 128 << 10];
    loop {
        match std::io::Read::read(&mut file, &mut buffer).map_err(StoreError::io("read", path))? {
            0 => return Ok(hasher.finish()),
            count => hasher.update(&buffer[..count]),
        }
    }
}

/// A durable copy that is whole or absent.
fn copy(from: &Path, to: &Path) -> Result<(), StoreError> {
    let folder = to.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(StoreError::io("create", folder))?;
    let part = with_ending(to, ".part");
    fs::copy(from, &part).map_err(StoreError::io("copy", from))?;
    let handle = fs::OpenOptions::new().write(true).open(&part);
    handle.and_then(|file| file.sync_all()).map_err(StoreError::io("write", &part))?;
    fs::rename(&part, to).map_err(StoreError::io("rename", &part))
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use crate::store::fixture::Fixture;

    use super::*;

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
            let migration = carry_over(&fixture.home, &one, &two).unwrap();
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
}
