//! Tools: programs for a terminal with their manual pages and completions. Their packages bring
//! no app, no release and no settings; this project's own programs are published so.
//!
//! In: a folder as it is installed: for Linux with what lies below `/usr` (`bin`, `share`), for
//! Windows with the programs at its top. Out: its files. Never: a file outside of the folder.

use std::path::Path;

use super::error::InstallerError;
use super::payload::{Content as Bytes, PayloadFile};
use super::tree::{self, Content, Node};
use crate::model::Platform;

/// What a package of tools holds.
#[derive(Clone, Debug)]
pub(crate) struct Tools {
    pub platform: Platform,
    pub(super) nodes: Vec<Node>,
}

impl Tools {
    /// Reads the folder.
    ///
    /// # Errors
    /// [`InstallerError::Tools`] if it has no program or a link in it, [`InstallerError::File`] if
    /// it cannot be read.
    pub(crate) fn read(folder: &Path, platform: Platform) -> Result<Self, InstallerError> {
        let tools = Self { platform, nodes: tree::read(folder)? };
        let refuse = |reason: String| InstallerError::Tools { folder: folder.to_owned(), reason };
        if let Some(link) = link_in(&tools.nodes) {
            return Err(refuse(format!("{link} is a link; put the file itself there")));
        }
        if !tools.files().iter().any(|file| file.is_program) {
            let place = if tools.platform.is_windows() { "a file .exe at its top" } else { "bin" };
            return Err(refuse(format!("there is no program for {} in {place}", tools.platform)));
        }
        Ok(tools)
    }

    /// All files, named by their path with `/` between folders.
    pub(super) fn files(&self) -> Vec<PayloadFile> {
        let mut files = Vec::new();
        collect(&self.nodes, "", &mut files);
        for file in &mut files {
            file.is_program = if self.platform.is_windows() {
                !file.name.contains('/') && file.name.ends_with(".exe")
            } else {
                file.name.starts_with("bin/")
            };
        }
        files
    }
}

fn collect(nodes: &[Node], folder: &str, files: &mut Vec<PayloadFile>) {
    for node in nodes {
        let name = format!("{folder}{}", node.name);
        match &node.content {
            Content::Folder(below) => collect(below, &format!("{name}/"), files),
            Content::File { bytes, .. } => {
                let content = Bytes::Bytes(bytes.clone());
                files.push(PayloadFile { name, is_program: false, content });
            }
            Content::Link(_) => {}
        }
    }
}

fn link_in(nodes: &[Node]) -> Option<&str> {
    nodes.iter().find_map(|node| match &node.content {
        Content::Folder(below) => link_in(below),
        Content::File { .. } => None,
        Content::Link(_) => Some(node.name.as_str()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tools(platform: &str, files: &[&str]) -> Result<Vec<(String, bool)>, InstallerError> {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        let tools = Tools::read(folder.path(), platform.parse().unwrap())?;
        Ok(tools.files().into_iter().map(|file| (file.name, file.is_program)).collect())
    }

    #[test]
    fn programs_are_known_by_their_place() {
        let found = tools("Linux_x86_64", &["bin/one", "share/man/man1/one.1"]).unwrap();
        assert_eq!(
            found,
            [("bin/one".to_owned(), true), ("share/man/man1/one.1".to_owned(), false)]
        );
        let found = tools("Windows_AMD64", &["one.exe", "more/two.exe", "LICENSE"]).unwrap();
        let named = |name: &str, is_program| (name.to_owned(), is_program);
        assert_eq!(
            found,
            [named("LICENSE", false), named("more/two.exe", false), named("one.exe", true)]
        );
    }

    #[test]
    fn a_folder_without_a_program_is_refused() {
        for (platform, file) in [("Linux_x86_64", "one"), ("Windows_AMD64", "bin/one.exe")] {
            assert!(
                matches!(tools(platform, &[file]), Err(InstallerError::Tools { .. })),
                "{file}"
            );
        }
    }
}
