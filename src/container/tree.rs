//! What represents an entry on this system's disk: where links stay links, and which folders there
//! must be.

use std::collections::BTreeSet;

use crate::model::manifest::{Entry, MUTABLE_FOLDERS};
use crate::model::{Manifest, RelativePath};

/// The longest chain of links that is followed where a link becomes a copy.
const MAX_CHAIN: usize = 16;

/// Whether this system lets users make links. On Windows that needs a privilege that few users
/// have. There, and on file systems without links, a copy of what the link points to stands in its
/// place.
pub(super) const KEEPS_LINKS: bool = cfg!(unix);

/// Whether a path lies in a folder of the user.
pub(super) fn is_mutable(path: &str) -> bool {
    MUTABLE_FOLDERS.iter().any(|folder| {
        path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// Every folder of the container, parents before their children.
pub(super) fn folders(manifest: &Manifest) -> BTreeSet<&str> {
    let of_files = manifest.file_manifest.keys().flat_map(RelativePath::ancestors);
    let empty = manifest
        .empty_folders
        .iter()
        .flat_map(|folder| std::iter::once(folder.as_str()).chain(folder.ancestors()));
    let own = crate::model::manifest::MANIFEST_PATH.rsplit_once('/').map(|(folder, _)| folder);
    of_files.chain(empty).chain(own).collect()
}

/// What a link points to, through further links.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum LinkEnd<'a> {
    File(&'a RelativePath, &'a Entry),
    Folder(String),
}

/// What `link` points to; `None` if that is nothing in this container.
pub(super) fn end_of<'a>(manifest: &'a Manifest, link: &RelativePath) -> Option<LinkEnd<'a>> {
    let mut at = link.clone();
    for _ in 0..MAX_CHAIN {
        let Some((path, entry)) = manifest.file_manifest.get_key_value(&at) else {
            return folders(manifest)
                .contains(at.as_str())
                .then(|| LinkEnd::Folder(at.to_string()));
        };
        match &entry.symlink {
            None => return Some(LinkEnd::File(path, entry)),
            Some(target) => at = path.resolve_link(target)?.parse().ok()?,
        }
    }
    None
}

/// The file that a link ends at, through further links.
pub(super) fn link_end<'a>(
    manifest: &'a Manifest,
    link: &RelativePath,
) -> Option<&'a RelativePath> {
    match end_of(manifest, link)? {
        LinkEnd::File(path, _) => Some(path),
        LinkEnd::Folder(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn links_end_at_files_or_nowhere() {
        let (mut manifest, _, _) = fixture::container(&[("app/a", b"a")]);
        for (link, target) in [
            ("app/b", "a"),
            ("app/c", "b"),
            ("app/x", "y"),
            ("app/y", "x"),
            ("app/d", "../app"),
            ("app/n", "none"),
        ] {
            manifest.file_manifest.insert(link.parse().unwrap(), fixture::link(target));
        }
        let end =
            |link: &str| link_end(&manifest, &link.parse().unwrap()).map(RelativePath::as_str);
        assert_eq!(
            (end("app/b"), end("app/c"), end("app/a")),
            (Some("app/a"), Some("app/a"), Some("app/a"))
        );
        assert_eq!((end("app/x"), end("app/d"), end("app/n")), (None, None, None));
    }

    #[test]
    fn folders_come_with_their_parents() {
        let (mut manifest, _, _) = fixture::container(&[("a/b/c/d", b"")]);
        manifest.empty_folders.push("x/y".parse().unwrap());
        assert_eq!(
            folders(&manifest).into_iter().collect::<Vec<_>>(),
            ["a", "a/b", "a/b/c", "app", "metadata", "x", "x/y"]
        );
    }
}
