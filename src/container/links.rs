//! Places a container's links on disk: as links, or as copies of what they point to where the file
//! system has no links (exFAT, FAT, many network shares) or users may not make them (Windows).
//!
//! In: a tree that has all its files. Out: one more name in it. Never: a byte from outside of the
//! tree.

use std::fs;
use std::io;
use std::path::Path;

use super::file::{make_link, set_permissions, system_time};
use super::tree::{self, KEEPS_LINKS, LinkEnd};
use crate::model::manifest::Entry;
use crate::model::{Manifest, RelativePath};

/// The deepest chain of folders that are copied because copied folders contain links.
const DEEPEST: usize = 4;

/// Places `link` at `place`, for the tree in `root`: as a link to `target`, otherwise as a copy.
/// Returns `false` if the link points to nothing in the tree, so that no copy is possible.
pub(super) fn place_link(
    manifest: &Manifest,
    link: &RelativePath,
    target: &str,
    root: &Path,
    place: &Path,
) -> io::Result<bool> {
    if KEEPS_LINKS {
        match make_link(target, place) {
            Err(error) if has_no_links(&error) => {}
            made => return made.map(|()| true),
        }
    }
    let copied = copy(manifest, link, root, place, 0)?;
    if copied {
        tracing::debug!(%link, "a copy stands for this link: this file system has none");
    }
    Ok(copied)
}

/// Whether the error of making a link means that this file system has no links.
fn has_no_links(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported)
}

fn copy(
    manifest: &Manifest,
    link: &RelativePath,
    root: &Path,
    place: &Path,
    depth: usize,
) -> io::Result<bool> {
    match tree::end_of(manifest, link) {
        Some(LinkEnd::File(path, entry)) => {
            copy_file(entry, &path.under(root), place).map(|()| true)
        }
        Some(LinkEnd::Folder(folder)) if depth < DEEPEST => {
            copy_folder(manifest, &folder, root, place, depth).map(|()| true)
        }
        _ => Ok(false),
    }
}

fn copy_file(entry: &Entry, from: &Path, to: &Path) -> io::Result<()> {
    let mut source = fs::File::open(from)?;
    let mut copy = fs::OpenOptions::new().write(true).create_new(true).open(to)?;
    io::copy(&mut source, &mut copy)?;
    set_permissions(&copy, entry.permissions)?;
    copy.set_modified(system_time(entry.mtime))
}

fn copy_folder(
    manifest: &Manifest,
    folder: &str,
    root: &Path,
    place: &Path,
    depth: usize,
) -> io::Result<()> {
    fs::create_dir(place)?;
    let below = |path: &str| {
        path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')).map(str::to_owned)
    };
    for sub in tree::folders(manifest).into_iter().filter_map(below) {
        fs::create_dir_all(place.join(sub))?;
    }
    for (path, entry) in &manifest.file_manifest {
        let Some(rest) = below(path.as_str()) else { continue };
        let to = place.join(rest);
        match &entry.symlink {
            None => copy_file(entry, &path.under(root), &to)?,
            // A link to nothing has no copy, and a link back here would be copied without end.
            Some(_) => drop(copy(manifest, path, root, &to, depth + 1)?),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn a_copy_of_what_a_link_leads_to_stands_for_it() {
        let files: &[(&str, &[u8])] =
            &[("app/a", b"of a"), ("app/lib/x", b"of x"), ("app/lib/deep/y", b"of y")];
        let (mut manifest, _, _) = fixture::container(files);
        for (link, target) in [
            ("app/b", "a"),
            ("app/lib64", "lib"),
            ("app/lib/up", "../lib"),
            ("app/lib/a", "../a"),
            ("app/none", "nowhere"),
        ] {
            manifest.file_manifest.insert(link.parse().unwrap(), fixture::link(target));
        }
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for (path, bytes) in files {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), bytes).unwrap();
        }
        let placed = |link: &str| {
            copy(&manifest, &link.parse().unwrap(), root, &root.join(link), 0).unwrap()
        };
        assert_eq!(["app/b", "app/lib64", "app/none"].map(placed), [true, true, false]);
        let read = |path: &str| fs::read_to_string(root.join(path)).ok();
        assert_eq!(read("app/b").as_deref(), Some("of a"));
        assert_eq!(read("app/lib64/deep/y").as_deref(), Some("of y"));
        assert_eq!(read("app/lib64/a").as_deref(), Some("of a"));
        assert_eq!(read("app/lib64/up/x").as_deref(), Some("of x"), "to a depth that ends");
    }
}
