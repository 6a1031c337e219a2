//! The files that a version ships in the user's folders: its defaults.
//!
//! In: a version's manifest, its folders, and the stored copies of its defaults. Out: what each
//! default holds, and the defaults in a new folder. Never: takes a default that cannot be read for
//! one that is gone.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::walk::CARRIED;
use crate::error_chain;
use crate::file_error::{FileError, FileResult as _};
use crate::model::manifest::{Entry, MANIFEST_PATH};
use crate::model::{Digest, RelativePath};
use crate::store::StoreError;
use crate::store::contents::retained_at;
use crate::store::copying::{as_far_as_can_be, clone_file};
#[cfg(not(unix))]
use crate::store::files::{copy_link, exists};
use crate::store::files::{digest_of, read_json_of};
use crate::{durable, look};

/// The content at a path, as far as carrying over compares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    File(Digest),
    /// Digest of the link's target, as in a manifest.
    Link(Digest),
}

/// The files that a version ships in the user's folders.
pub(super) struct Shipped {
    /// `None`: the manifest is missing or cannot be read; then every file counts as the user's.
    entries: Option<HashMap<RelativePath, Entry>>,
    empty_folders: Vec<RelativePath>,
}

impl Shipped {
    pub(super) fn of(container: &Path) -> Result<Self, StoreError> {
        // Only the needed fields: the whole manifest was verified when the version was installed.
        #[derive(Deserialize)]
        struct Manifest {
            file_manifest: HashMap<RelativePath, Entry>,
            #[serde(default)]
            empty_folders: Vec<RelativePath>,
        }
        let manifest = match read_json_of::<Manifest>(&container.join(MANIFEST_PATH), look::LARGE) {
            Err(error @ StoreError::Damaged { .. }) => {
                tracing::warn!(
                    error = error_chain::line(&error),
                    "the shipped defaults are not known"
                );
                None
            }
            read => read?,
        };
        let carried = |path: &RelativePath| CARRIED.iter().any(|folder| path.is_under(folder));
        Ok(match manifest {
            Some(manifest) => Self {
                entries: Some(
                    manifest.file_manifest.into_iter().filter(|(path, _)| carried(path)).collect(),
                ),
                empty_folders: manifest
                    .empty_folders
                    .into_iter()
                    .filter(|path| carried(path))
                    .collect(),
            },
            None => Self { entries: None, empty_folders: Vec::new() },
        })
    }

    /// Bytes of each default; 0 for a link.
    pub(super) fn sizes(&self) -> HashMap<String, u64> {
        self.entries.iter().flatten().map(|(path, entry)| (path.to_string(), entry.size)).collect()
    }

    pub(super) fn contents(&self) -> HashMap<String, Content> {
        let content = |entry: &Entry| {
            if entry.symlink.is_some() {
                Content::Link(entry.hash)
            } else {
                Content::File(entry.hash)
            }
        };
        self.entries
            .iter()
            .flatten()
            .map(|(path, entry)| (path.to_string(), content(entry)))
            .collect()
    }

    /// Whether the manifest can be read.
    pub(super) fn are_known(&self) -> bool {
        self.entries.is_some()
    }

    /// Puts the defaults into `target`. A default that the user changed in `container` comes from
    /// the stored copy. A default that is nowhere any more is logged.
    pub(super) fn lay(&self, container: &Path, target: &Path) -> Result<(), StoreError> {
        for folder in CARRIED {
            create(&target.join(folder))?;
        }
        for folder in &self.empty_folders {
            create(&folder.under(target))?;
        }
        for (path, entry) in self.entries.iter().flatten() {
            let (own, place) = (path.under(container), path.under(target));
            create(place.parent().unwrap_or(target))?;
            if let Some(link) = &entry.symlink {
                copy_shipped_link(link, &own, &place)?;
                continue;
            }
            match place_of_default([retained_at(container, &entry.hash), own], entry.hash)? {
                Some(from) => {
                    clone_file(&from, &place)?;
                    set_mode(&place, entry.permissions.mode())?;
                }
                None => tracing::warn!(default = %path, "this default is nowhere any more"),
            }
        }
        Ok(())
    }
}

/// Which of these files has the bytes of a default; `None` if it is nowhere any more. A file that
/// cannot be read may have them: if no other file has them, its error is the answer.
fn place_of_default(places: [PathBuf; 2], default: Digest) -> Result<Option<PathBuf>, StoreError> {
    let mut unknown = Ok(None);
    for place in places {
        match content_of(&place) {
            Ok(content) if content == Some(Content::File(default)) => return Ok(Some(place)),
            Ok(_) => {}
            Err(error) => unknown = unknown.and(Err(error)),
        }
    }
    unknown
}

#[cfg(unix)]
fn copy_shipped_link(link: &str, _own: &Path, place: &Path) -> Result<(), FileError> {
    std::os::unix::fs::symlink(link, place).at("create", place)
}

#[cfg(not(unix))]
fn copy_shipped_link(_link: &str, own: &Path, place: &Path) -> Result<(), FileError> {
    if exists(own)? { copy_link(own, place) } else { Ok(()) }
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) -> Result<(), FileError> {
    use std::os::unix::fs::PermissionsExt as _;
    as_far_as_can_be(fs::set_permissions(path, fs::Permissions::from_mode(mode))).at("change", path)
}

#[cfg(not(unix))]
fn set_mode(_path: &Path, _mode: u32) -> Result<(), FileError> {
    Ok(())
}

pub(super) fn create(folder: &Path) -> Result<(), FileError> {
    durable::create_user_folders(folder).at("create", folder)
}

/// The content at `path`; `None` if it holds nothing, or neither a file nor a link.
pub(super) fn content_of(path: &Path) -> Result<Option<Content>, StoreError> {
    let Some(metadata) = look::at(path).at("look at", path)? else {
        return Ok(None);
    };
    if metadata.is_symlink() {
        let link = look::again(|| fs::read_link(path)).at("read", path)?;
        return Ok(Some(Content::Link(Digest::of(link.as_os_str().as_encoded_bytes()))));
    }
    if metadata.is_file() { Ok(Some(Content::File(digest_of(path)?))) } else { Ok(None) }
}
