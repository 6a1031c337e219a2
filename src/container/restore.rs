//! Makes single entries of an installed tree anew. Each becomes a separate file beside the tree;
//! the caller moves it into its place with one rename.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use super::file::{self, create, set_permissions, system_time};
use super::links::place_link;
use super::tree::{self, KEEPS_LINKS};
use super::{ContainerError, prove};
use crate::file_error::FileResult as _;
use crate::model::manifest::Entry;
use crate::model::{Digest, Manifest, RelativePath};

/// What represents an entry on this system's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Substance<'a> {
    /// A file with the bytes of this entry; this is another entry where a link became a copy.
    Bytes(&'a Entry),
    /// An empty file.
    Empty(&'a Entry),
    /// A link with this text.
    Link(&'a str),
}

/// What represents the entry `path` on this system's disk; `None` if the manifest has no such
/// entry, or the entry is a link to nothing.
pub(crate) fn substance<'a>(manifest: &'a Manifest, path: &RelativePath) -> Option<Substance<'a>> {
    let entry = manifest.file_manifest.get(path)?;
    match &entry.symlink {
        Some(target) if KEEPS_LINKS => return Some(Substance::Link(target)),
        _ => {}
    }
    let end = if entry.symlink.is_some() {
        manifest.file_manifest.get(tree::link_end(manifest, path)?)?
    } else {
        entry
    };
    Some(if end.has_bytes() { Substance::Bytes(end) } else { Substance::Empty(end) })
}

/// Copies the bytes of `source` into the new file `to`, if they are those of `entry`, and sets its
/// permissions and time. It fails once `stop` is set.
pub(crate) fn copy_entry(
    path: &RelativePath,
    entry: &Entry,
    source: &Path,
    to: &Path,
    stop: &AtomicBool,
) -> Result<(), ContainerError> {
    let refuse = |fault| ContainerError::Entry { path: path.clone(), fault };
    file::copy(source, to, entry, stop).map_err(|failure| failure.at(to, || refuse))
}

/// Makes the new empty file `to` for `entry`.
pub(crate) fn make_empty(
    path: &RelativePath,
    entry: &Entry,
    to: &Path,
) -> Result<(), ContainerError> {
    let written = create(to, entry, |_| prove(entry.hash, Digest::of(b"")));
    written.map_err(|failure| {
        failure.at(to, || |fault| ContainerError::Entry { path: path.clone(), fault })
    })
}

/// Makes the new link `to`, or a copy out of the tree in `root` where there are no links.
pub(crate) fn make_link_at(
    manifest: &Manifest,
    link: &RelativePath,
    target: &str,
    root: &Path,
    to: &Path,
) -> Result<(), ContainerError> {
    match place_link(manifest, link, target, root, to).at("create the link", to)? {
        true => Ok(()),
        false => Err(ContainerError::Link { path: link.clone(), target: target.to_owned() }),
    }
}

/// Sets the permissions and the time of `entry` on a file with verified content.
pub(crate) fn dress(entry: &Entry, file: &Path) -> Result<(), ContainerError> {
    // A read-only file can be opened for writing once its permissions allow that.
    set_permissions_at(file, entry).at("change", file)?;
    let opened = OpenOptions::new().write(true).open(file).at("open", file)?;
    let dressed = set_permissions(&opened, entry.permissions)
        .and_then(|()| opened.set_modified(system_time(entry.mtime)));
    Ok(dressed.at("change", file)?)
}

#[cfg(unix)]
fn set_permissions_at(file: &Path, entry: &Entry) -> std::io::Result<()> {
    fs::set_permissions(
        file,
        std::os::unix::fs::PermissionsExt::from_mode(entry.permissions.mode()),
    )
}

#[cfg(not(unix))]
#[allow(clippy::permissions_set_readonly_false)] // the one permission that Windows has here
fn set_permissions_at(file: &Path, _: &Entry) -> std::io::Result<()> {
    let mut permissions = fs::metadata(file)?.permissions();
    permissions.set_readonly(false);
    fs::set_permissions(file, permissions)
}
