//! What an app changed among its own program files during its trial. An update brings the files of
//! the next release, and none of these.
//!
//! In: the container after the trial, and its manifest. Out: what was written, changed or deleted
//! outside of the user's folders. Never: bytecode caches, which Python makes again.

use std::path::Path;

use serde::Serialize;

use crate::container::{Damage, Harm, verify_tree};
use crate::model::Manifest;
use crate::model::manifest::is_bytecode;

/// How many changes are named on a terminal.
const MAX_NAMED: usize = 5;

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum ChangeKind {
    Written,
    Changed,
    Deleted,
}

/// A file that the app wrote, changed or deleted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct FileChange {
    path: String,
    change: ChangeKind,
}

/// All changes in the container at `root`, ordered by path.
pub(super) fn find(root: &Path, manifest: &Manifest, threads: usize) -> Vec<FileChange> {
    let found = verify_tree(root, manifest, threads, &|_| ());
    let known = found.damaged.iter().filter_map(|damage| of_release(damage, manifest));
    let new = found.extra.iter().flat_map(|extra| files_in(root, extra));
    let mut changes: Vec<FileChange> = known
        .chain(new.map(|path| FileChange { path, change: ChangeKind::Written }))
        .filter(|change| !is_bytecode(Path::new(&change.path)))
        .collect();
    changes.sort();
    changes
}

/// The change of a file that the release brought. The right to execute a file is no content.
fn of_release(damage: &Damage, manifest: &Manifest) -> Option<FileChange> {
    let change = match damage.what {
        Harm::Permissions { .. } => return None,
        Harm::Missing => ChangeKind::Deleted,
        _ => ChangeKind::Changed,
    };
    let is_file = manifest.file_manifest.contains_key(&damage.path);
    is_file.then(|| FileChange { path: damage.path.to_string(), change })
}

/// The files of a folder that the release does not have, or the file itself.
fn files_in(root: &Path, extra: &Path) -> Vec<String> {
    let entries = walkdir::WalkDir::new(root.join(extra)).into_iter().flatten();
    let files = entries.filter(|entry| !entry.file_type().is_dir());
    let inside = |path: &Path| {
        let parts = path.strip_prefix(root).unwrap_or(path).iter();
        parts.map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/")
    };
    files.map(|entry| inside(entry.path())).collect()
}

/// A warning for each of the first changes, and one for all others.
pub(super) fn warnings(changes: &[FileChange]) -> Vec<String> {
    let mut warnings: Vec<String> = changes.iter().take(MAX_NAMED).map(warning).collect();
    match changes.len().saturating_sub(MAX_NAMED) {
        0 => {}
        more => warnings.push(format!("and {more} more files of its own; --json names all")),
    }
    warnings
}

fn warning(change: &FileChange) -> String {
    let path = &change.path;
    match change.change {
        ChangeKind::Written => format!(
            "it wrote {path}: an update would not bring that along; write to KUZFLOW_HOME/data"
        ),
        ChangeKind::Changed => format!(
            "it changed {path}: an update would not bring that along; write to KUZFLOW_HOME/data, or to KUZFLOW_HOME/config for settings"
        ),
        ChangeKind::Deleted => format!(
            "it deleted {path}: a repair would bring that back, and so would an update; leave it out of the release"
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use super::*;
    use crate::container::{Unpacker, fixture};

    /// An unpacked container, and its manifest.
    fn unpacked() -> (tempfile::TempDir, Manifest) {
        let folder = tempfile::tempdir().unwrap();
        let files: [(&str, &[u8]); 5] = [
            ("app/app.py", b"a"),
            ("app/settings.ini", b"default"),
            ("app/old.txt", b"o"),
            ("app/__pycache__/app.cpython-313.pyc", b"code"),
            ("config/c.toml", b"c"),
        ];
        let manifest = fixture::container(&files).0;
        let source = folder.path().join("source");
        for (path, bytes) in files {
            let path = source.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let shared = Arc::new(manifest.clone());
        let unpacker = Unpacker::new(shared, folder.path().join("container")).unwrap();
        for (path, _) in manifest.files_with_bytes() {
            unpacker.clone_from(path, &path.under(&source)).unwrap();
        }
        unpacker.finish(&manifest.to_json().unwrap()).unwrap();
        (folder, manifest)
    }

    #[test]
    fn what_an_app_does_to_its_own_files_is_found_and_its_users_files_and_caches_are_not() {
        let (folder, manifest) = unpacked();
        let root = folder.path().join("container");
        let write = |path: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "written by the app").unwrap();
        };
        assert_eq!(find(&root, &manifest, 1), []);
        for path in [
            "data/letter.txt",
            "logs/app.log",
            "config/c.toml",
            "app/__pycache__/app.cpython-313.pyc",
            "app/new/__pycache__/other.pyc",
        ] {
            write(path);
        }
        fs::create_dir(root.join("app/empty")).unwrap();
        assert_eq!(find(&root, &manifest, 1), [], "these are its user's, or made again");
        for path in ["app/settings.ini", "app/documents/a.txt", "runtime/cache", "state.db"] {
            write(path);
        }
        fs::remove_file(root.join("app/old.txt")).unwrap();
        let found: Vec<_> = find(&root, &manifest, 1)
            .into_iter()
            .map(|change| (change.path.clone(), change.change))
            .collect();
        assert_eq!(
            found,
            [
                ("app/documents/a.txt".to_owned(), ChangeKind::Written),
                ("app/old.txt".to_owned(), ChangeKind::Deleted),
                ("app/settings.ini".to_owned(), ChangeKind::Changed),
                ("runtime/cache".to_owned(), ChangeKind::Written),
                ("state.db".to_owned(), ChangeKind::Written),
            ]
        );
    }

    #[test]
    fn a_terminal_gets_the_first_of_many() {
        let change =
            |number| FileChange { path: format!("app/{number}"), change: ChangeKind::Written };
        let few: Vec<FileChange> = (0..MAX_NAMED).map(change).collect();
        assert_eq!(warnings(&few).len(), MAX_NAMED);
        let many: Vec<FileChange> = (0..MAX_NAMED + 3).map(change).collect();
        assert_eq!(warnings(&many).len(), MAX_NAMED + 1);
        assert!(warnings(&many)[MAX_NAMED].contains("3 more"));
    }
}
