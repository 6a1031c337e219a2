//! Single entries of an installed tree made anew, each as a file of its own beside the tree:
//! whoever puts it into its place does so by one rename.

use std::fs::{self, OpenOptions};
use std::path::Path;

use super::file::{self, create, set_permissions, system_time};
use super::links::place_link;
use super::tree::{self, KEEPS_LINKS};
use super::{ContainerError, prove};
use crate::model::manifest::Entry;
use crate::model::{Digest, Manifest, RelativePath};

/// What stands on this system's disk for an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Substance<'a> {
    /// A file with bytes: those of this entry, which is another one where a link became a copy.
    Bytes(&'a Entry),
    /// An empty file.
    Empty(&'a Entry),
    /// A link to this.
    Link(&'a str),
}

/// What stands on this system's disk for the entry `path`; `None` if the manifest has none, or a
/// link that leads nowhere.
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

/// Copies the bytes of `source` into the new file `to`, if they are those of `entry`, and gives it
/// permissions and time.
pub(crate) fn copy_entry(
    path: &RelativePath,
    entry: &Entry,
    source: &Path,
    to: &Path,
) -> Result<(), ContainerError> {
    let refuse = |fault| ContainerError::Entry { path: path.clone(), fault };
    file::copy(source, to, entry).map_err(|failure| failure.at(to, || refuse))
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

/// Makes the new link `to`, or what stands for it where there are none: a copy out of the tree in
/// `root`.
pub(crate) fn make_link_at(
    manifest: &Manifest,
    link: &RelativePath,
    target: &str,
    root: &Path,
    to: &Path,
) -> Result<(), ContainerError> {
    match place_link(manifest, link, target, root, to)
        .map_err(ContainerError::file("create the link", to))?
    {
        true => Ok(()),
        false => Err(ContainerError::Link { path: link.clone(), target: target.to_owned() }),
    }
}

/// Gives a file whose content was proved the permissions and the time of `entry`.
pub(crate) fn dress(entry: &Entry, file: &Path) -> Result<(), ContainerError> {
    // Where it may not be written to it can be opened all the same once it may.
    set_permissions_at(file, entry).map_err(ContainerError::file("change", file))?;
    let opened =
        OpenOptions::new().write(true).open(file).map_err(ContainerError::file("open", file))?;
    let dressed = set_permissions(&opened, entry.permissions)
        .and_then(|()| opened.set_modified(system_time(entry.mtime)));
    dressed.map_err(ContainerError::file("change", file))
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
