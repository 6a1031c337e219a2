//! Carries the user's files over from one version to another, file by file, as dpkg treats
//! conffiles. A shipped default that the user has not touched takes the new release's version.
//! Files that the user changed or made are carried over. Where both sides changed a file, the
//! user's file stays and the new default lies beside it. Where one side has a folder and the other
//! a file, the user's files lie beside.
//!
//! The version that is left is only read. [`lay_out`] prepares the files of the next version in a
//! separate folder: the defaults that it ships, then the user's files. They count only once the
//! switch moves them into place, so a failure or a kill here changes nothing. Files are cloned
//! where the file system can do that, else copied. The user's links are carried over as links.
//!
//! `walk` lists the files of the version that is left; `place` finds where each one goes;
//! `defaults` has the files that a version ships.

mod defaults;
mod place;
mod walk;

use std::collections::HashMap;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use self::defaults::{Content, Shipped, content_of, create};
use self::place::{free_place, free_place_of_folder};
pub(super) use self::walk::CARRIED;
use self::walk::{Found, Inode, Walk, inode_of_several_names};
use super::StoreError;
use super::copying::{as_far_as_can_be, clone_file};
use super::files::{copy_link, exists, name_beside, remove_file};
use crate::error_chain;
use crate::file_error::{FileError, FileResult as _};
use crate::look;
use crate::model::incident::Conflict;

/// Suffix of a new default whose place the user's own file has.
const NEW_DEFAULT: &str = ".new-default";
/// The result of carrying files over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CarriedOver {
    /// Files that were carried over.
    pub carried: Vec<PathBuf>,
    /// Files that were carried over with both sides preserved: the new default lies beside the
    /// user's file, or the user's file lies beside the item that has its place.
    pub conflicts: Vec<Conflict>,
}

impl CarriedOver {
    /// Logs the result in one line.
    pub(crate) fn log(&self) {
        tracing::info!(carried = self.carried.len(), conflicts = ?self.conflicts, "user files carried over");
    }
}

/// Receives the bytes done and the total bytes while files are carried over.
pub(crate) type ProgressSink<'a> = &'a dyn Fn(u64, u64);

/// Lays out the files of `container` in the empty folder `target`: the defaults that it ships, and
/// over them the user's files of `source`, another version. If `source` is `damaged`, a file that
/// cannot be read is logged and does not fail the call.
pub(super) fn lay_out(
    source: &Path,
    container: &Path,
    target: &Path,
    damaged: bool,
    on_progress: ProgressSink,
) -> Result<CarriedOver, StoreError> {
    let shipped = Shipped::of(container)?;
    shipped.lay(container, target)?;
    if !shipped.are_known() {
        // The files in `container` serve as defaults.
        Carrying::new(container, target, HashMap::new())?.all(false, &|_, _| ())?;
    }
    Carrying::new(source, target, shipped.contents())?.all(damaged, on_progress)
}

/// Bytes on disk of the files that [`lay_out`] reads from `source`.
pub(super) fn bytes_of(source: &Path) -> Result<u64, StoreError> {
    Ok(Walk::of(source)?.bytes())
}

/// Copies the user's files from `damaged`, the rest of a version, to `tree`, a new version that
/// does not count yet. A file that cannot be read is logged and does not fail the call: `damaged`
/// stays.
pub(super) fn rescue(damaged: &Path, tree: &Path) -> Result<CarriedOver, StoreError> {
    Carrying::new(damaged, tree, Shipped::of(tree)?.contents())?.all(true, &|_, _| ())
}

/// The time of the last change to a user file in `container`; `None` if it has none.
pub(super) fn last_change(container: &Path) -> Result<Option<SystemTime>, StoreError> {
    let walk = Walk::of(container)?;
    let mut last = None;
    for path in walk.files.iter().map(|found| &found.path).chain(&walk.folders) {
        // A file that disappears during the look changes its folder.
        let Some(found) = look::at(path).at("look at", path)? else {
            continue;
        };
        last = last.max(found.modified().ok());
    }
    Ok(last)
}

/// Whether `container` has any of the user's folders, or the user's link to one.
pub(super) fn has_files(container: &Path) -> Result<bool, StoreError> {
    for folder in CARRIED.map(|folder| container.join(folder)) {
        let found = look::at(&folder).at("look at", &folder)?;
        if found.is_some_and(|found| found.is_dir() || found.is_symlink()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A number that changes as soon as a user file in `container` is changed, made or removed.
pub(super) fn fingerprint(container: &Path) -> Result<u64, StoreError> {
    let walk = Walk::of(container)?;
    let mut hasher = DefaultHasher::new();
    for path in walk.files.iter().map(|found| &found.path).chain(&walk.folders).chain(&walk.links) {
        let found = look::at(path).at("look at", path)?;
        (path, found.map(|found| (found.len(), found.modified().ok()))).hash(&mut hasher);
    }
    Ok(hasher.finish())
}

/// Whether nobody ever changed or made a file in the user's folders of `container`. A file that
/// cannot be read, even when asked for again, counts as changed.
pub(super) fn is_pristine(container: &Path) -> bool {
    let unchanged = look::again(|| is_unchanged(container).map_err(io::Error::other));
    unchanged.unwrap_or_else(|error| {
        tracing::warn!(
            error = error_chain::line(&error),
            "files that cannot be read are kept as the user's"
        );
        false
    })
}

fn is_unchanged(container: &Path) -> Result<bool, StoreError> {
    let shipped = Shipped::of(container)?;
    let (sizes, contents) = (shipped.sizes(), shipped.contents());
    let walk = Walk::of(container)?;
    for Found { path, size, .. } in &walk.files {
        let Ok(relative) = path.strip_prefix(container) else { return Ok(false) };
        let key = key_of(relative);
        // Compares the size first, so that a large user file does not cause a default's bytes to be
        // read.
        let same_size = sizes.get(&key).is_some_and(|known| *known == *size || *known == 0);
        let Some(known) = contents.get(&key).filter(|_| same_size) else { return Ok(false) };
        if content_of(path)?.as_ref() != Some(known) {
            return Ok(false);
        }
    }
    Ok(walk.links.is_empty())
}

struct Carrying {
    source: PathBuf,
    target: PathBuf,
    old_defaults: HashMap<String, Content>,
    new_defaults: HashMap<String, Content>,
    /// Where files with several names were carried to; the other names become links to the same
    /// file there.
    carried_as: HashMap<Inode, PathBuf>,
    result: CarriedOver,
}

impl Carrying {
    fn new(
        source: &Path,
        target: &Path,
        new_defaults: HashMap<String, Content>,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            source: source.to_owned(),
            target: target.to_owned(),
            old_defaults: Shipped::of(source)?.contents(),
            new_defaults,
            carried_as: HashMap::new(),
            result: CarriedOver::default(),
        })
    }

    fn all(mut self, damaged: bool, on_progress: ProgressSink) -> Result<CarriedOver, StoreError> {
        let walk = Walk::of(&self.source)?;
        let total = walk.bytes();
        let mut done = 0;
        for Found { path, room, .. } in &walk.files {
            match self.carry(path) {
                // A program that still works with these files deleted it meanwhile: it needs no
                // carrying over.
                Err(_) if has_gone(path)? => {
                    tracing::info!(file = %path.display(), "it went while files were carried over")
                }
                Err(error) if damaged && !error.is_disk_full() => {
                    tracing::error!(
                        error = error_chain::line(&error),
                        "a user file of a damaged version could not be carried over"
                    );
                }
                result => result?,
            }
            done += room;
            on_progress(done, total);
        }
        self.folders(&walk)?;
        for link in &walk.links {
            let Ok(relative) = link.strip_prefix(&self.source) else { continue };
            super::files::remove_tree(&self.target.join(relative))?;
            copy_link(link, &self.target.join(relative))?;
        }
        Ok(self.result)
    }

    fn carry(&mut self, path: &Path) -> Result<(), StoreError> {
        let Ok(relative) = path.strip_prefix(&self.source) else { return Ok(()) };
        let key = key_of(relative);
        let (old_default, default_there) =
            (self.old_defaults.get(&key).copied(), self.new_defaults.get(&key).copied());
        let beside = self.default_beside(&key);
        // Most user files correspond to no default: their bytes need not be read.
        let content = if old_default.is_some() || default_there.is_some() || beside.is_some() {
            content_of(path)?
        } else {
            None
        };
        if content.is_some() {
            // The user has not touched the default; or it is a new default that an earlier switch
            // put beside the user's file. The next release ships its own.
            if beside.copied() == content {
                return Ok(());
            }
            if old_default == content {
                // The new release ships the same default again, and its bytes were nowhere else any
                // more.
                let place = self.target.join(relative);
                if default_there == content && !exists(&place)? {
                    create(place.parent().unwrap_or(&self.target))?;
                    clone_or_link(path, &place)?;
                }
                return Ok(());
            }
        }
        let (place, moved) = free_place(&self.target, relative)?;
        let new_default = default_there.filter(|_| !moved);
        let is_there = exists(&place)?;
        // The new release ships exactly the user's content.
        if is_there && content.is_some() && new_default == content {
            return Ok(());
        }
        let conflict = match new_default {
            // The user changed a default that the new release changed too.
            Some(default) if old_default != Some(default) => {
                let beside = name_beside(&place, NEW_DEFAULT);
                if is_there && !exists(&beside)? {
                    fs::rename(&place, &beside).at("rename", &place)?;
                }
                // Without the default's bytes nothing lies beside it.
                exists(&beside)?
            }
            _ => moved,
        };
        remove_file(&place)?;
        create(place.parent().unwrap_or(&self.target))?;
        self.copy(path, &place)?;
        if conflict {
            self.result.conflicts.push(self.conflict(relative, &place, moved));
        } else {
            self.result.carried.push(relative.to_owned());
        }
        Ok(())
    }

    /// Keeps a file with several names one file: as copies they would take space several times, and
    /// a change in one would not appear in the others.
    fn copy(&mut self, from: &Path, to: &Path) -> Result<(), StoreError> {
        let inode = look::at(from).at("look at", from)?.as_ref().and_then(inode_of_several_names);
        let before = inode.and_then(|inode| self.carried_as.get(&inode));
        // A file system without hard links gets copies.
        if before.is_some_and(|before| fs::hard_link(before, to).is_ok()) {
            return Ok(());
        }
        clone_or_link(from, to)?;
        if let Some(inode) = inode {
            self.carried_as.insert(inode, to.to_owned());
        }
        Ok(())
    }

    /// The old default that lies beside the user's file at `key`, where an earlier switch put it;
    /// its name may be shortened.
    fn default_beside(&self, key: &str) -> Option<&Content> {
        let name = key.strip_suffix(NEW_DEFAULT)?;
        let shortened = || {
            let is_it =
                |default: &&String| name_beside(Path::new(default), NEW_DEFAULT) == Path::new(key);
            self.old_defaults.get(self.old_defaults.keys().find(is_it)?)
        };
        self.old_defaults.get(name).or_else(shortened)
    }

    /// Both sides of a conflict: a moved file lies beside the item that has its place; otherwise a
    /// new default lies beside the file.
    fn conflict(&self, relative: &Path, place: &Path, moved: bool) -> Conflict {
        let yours = place.strip_prefix(&self.target).unwrap_or(relative).to_owned();
        if !moved {
            return Conflict { beside: name_beside(&yours, NEW_DEFAULT), yours };
        }
        // The first part whose name differs is the one that moved.
        let mut beside = PathBuf::new();
        for (wanted, found) in relative.iter().zip(yours.iter()) {
            beside.push(wanted);
            if wanted != found {
                break;
            }
        }
        Conflict { yours, beside }
    }

    /// Makes the user's empty folders, and sets the permissions of all the user's folders. Called
    /// last: a folder may be read-only.
    fn folders(&self, walk: &Walk) -> Result<(), StoreError> {
        for folder in walk.folders.iter().rev() {
            let Ok(relative) = folder.strip_prefix(&self.source) else { continue };
            let (place, moved) = free_place_of_folder(&self.target, relative)?;
            if moved {
                continue;
            }
            let Some(found) = look::at(folder).at("look at", folder)? else {
                continue;
            };
            create(&place)?;
            as_far_as_can_be(fs::set_permissions(&place, found.permissions()))
                .at("change", &place)?;
        }
        Ok(())
    }
}

fn clone_or_link(from: &Path, to: &Path) -> Result<(), FileError> {
    if fs::symlink_metadata(from).at("look at", from)?.is_symlink() {
        copy_link(from, to)
    } else {
        clone_file(from, to)
    }
}

fn has_gone(path: &Path) -> Result<bool, StoreError> {
    Ok(look::at(path).at("look at", path)?.is_none())
}

/// A path as manifests write it.
fn key_of(relative: &Path) -> String {
    relative.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests;
