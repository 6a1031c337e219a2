//! A tree of files while an installer is made: what an application bundle, a disk image and an
//! archive hold.
//!
//! In: names and bytes. Out: the tree on a disk, for a program that signs it, and back. Never: a
//! look beyond the tree.

use std::fs;
use std::path::Path;

use crate::file_error::{FileError, FileResult as _};

/// One entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub name: String,
    pub content: Content,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Folder(Vec<Node>),
    File {
        bytes: Vec<u8>,
        is_executable: bool,
    },
    /// A link to an absolute path.
    Link(String),
}

impl Node {
    pub(super) fn folder(name: &str, nodes: Vec<Self>) -> Self {
        Self { name: name.to_owned(), content: Content::Folder(nodes) }
    }

    pub(super) fn file(name: &str, bytes: Vec<u8>, is_executable: bool) -> Self {
        Self { name: name.to_owned(), content: Content::File { bytes, is_executable } }
    }
}

/// Writes a tree into `folder`.
pub(super) fn write(nodes: &[Node], folder: &Path) -> Result<(), FileError> {
    for node in nodes {
        let path = folder.join(&node.name);
        match &node.content {
            Content::Folder(below) => {
                fs::create_dir(&path).at("create", &path)?;
                write(below, &path)?;
            }
            Content::File { bytes, is_executable } => {
                fs::write(&path, bytes).at("write", &path)?;
                if *is_executable {
                    make_executable(&path)?;
                }
            }
            // Only the root of a disk image has links, and that is never written.
            Content::Link(_) => {}
        }
    }
    Ok(())
}

/// Reads a tree, sorted by name. A program that signs has added files.
pub(super) fn read(folder: &Path) -> Result<Vec<Node>, FileError> {
    let mut nodes = Vec::new();
    for entry in fs::read_dir(folder).at("read", folder)? {
        let entry = entry.at("read", folder)?;
        let path = entry.path();
        let found = entry.metadata().at("look at", &path)?;
        let content = if found.is_dir() {
            Content::Folder(read(&path)?)
        } else if found.is_symlink() {
            let target = fs::read_link(&path).at("read", &path)?;
            Content::Link(target.to_string_lossy().into_owned())
        } else {
            let bytes = fs::read(&path).at("read", &path)?;
            Content::File { bytes, is_executable: is_executable(&path, &found) }
        };
        nodes.push(Node { name: entry.file_name().to_string_lossy().into_owned(), content });
    }
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(nodes)
}

#[cfg(unix)]
fn make_executable(path: &Path) -> Result<(), FileError> {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(path, mode).at("make executable", path)
}

#[cfg(unix)]
fn is_executable(_path: &Path, found: &fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o111 != 0
}

/// Windows has no such mark; there the programs of a bundle are known by their folder.
#[cfg(not(unix))]
fn make_executable(_path: &Path) -> Result<(), FileError> {
    Ok(())
}

#[cfg(not(unix))]
fn is_executable(path: &Path, _found: &fs::Metadata) -> bool {
    path.parent().is_some_and(|folder| folder.ends_with("MacOS"))
}
