//! Copies trees into the container, and leaves out what does not belong there.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

use super::BuildError;
use crate::file_error::{FileError, FileResult as _};
use crate::model::RelativePath;
use crate::model::manifest::Permissions;
use crate::real_path;

/// Prefix of the builder's temporary folders.
pub(super) const WORK_PREFIX: &str = ".kuzflow-build-";

/// Names that are never part of an app: caches, version control, environments and their secrets,
/// packages, and files that an interrupted `kuzflow` leaves.
pub const NEVER: [&str; 25] = [
    "__pycache__",
    "*.pyc",
    "*.pyo",
    ".git",
    ".gitignore",
    ".gitattributes",
    ".hg",
    ".svn",
    ".venv",
    "venv",
    ".env",
    ".netrc",
    ".ssh",
    ".tox",
    ".mypy_cache",
    ".pytest_cache",
    ".idea",
    ".vscode",
    ".DS_Store",
    "Thumbs.db",
    "*.kuzflow",
    "*.kuzflow-bundle",
    "*.kuzpatch",
    ".kuzflow-*",
    ".tmp-*",
];

/// How the copy treats links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Links {
    /// Links stay links; a link that points out of the tree is an error.
    Keep,
    /// Links inside of the tree stay links; a link that points out of it becomes a copy of its
    /// target, or nothing if the target is missing.
    KeepInside,
    /// All links become copies of their targets.
    Resolve,
}

/// Copies the content of `from` into the folder `to`, which may have content already. `skip`
/// receives paths from the top, with `/` between their parts.
pub(super) fn copy_tree(
    from: &Path,
    to: &Path,
    links: Links,
    skip: &dyn Fn(&str) -> bool,
) -> Result<(), BuildError> {
    let root = real_path::resolve(from).at("find", from)?;
    Copier { root: &root, links, skip }.folder(&root, to, "", 0)
}

/// Folders deeper than this are a loop of links.
const DEEPEST: usize = 64;

struct Copier<'a> {
    root: &'a Path,
    links: Links,
    skip: &'a dyn Fn(&str) -> bool,
}

impl Copier<'_> {
    fn folder(&self, from: &Path, to: &Path, inside: &str, depth: usize) -> Result<(), BuildError> {
        if depth > DEEPEST {
            return Err(BuildError::Kind {
                path: from.to_path_buf(),
                reason: "it lies too deep; is there a link to its own folder?",
            });
        }
        fs::create_dir_all(to).at("create the folder", to)?;
        for entry in fs::read_dir(from).at("list", from)? {
            let entry = entry.at("list", from)?;
            let path = entry.path();
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| BuildError::Kind {
                path: path.clone(),
                reason: "its name is not Unicode",
            })?;
            let inside =
                if inside.is_empty() { name.to_owned() } else { format!("{inside}/{name}") };
            if !(self.skip)(&inside) {
                self.one(&path, &to.join(name), &inside, depth)?;
            }
        }
        Ok(())
    }

    fn one(&self, from: &Path, to: &Path, inside: &str, depth: usize) -> Result<(), BuildError> {
        let mut metadata = fs::symlink_metadata(from).at("look at", from)?;
        if metadata.is_symlink() {
            if self.links != Links::Resolve && self.stays_inside(from, inside) {
                let target = fs::read_link(from).at("read the link", from)?;
                return Ok(make_link(&target, to).at("create the link", to)?);
            }
            metadata = match fs::metadata(from) {
                Ok(metadata) if self.links != Links::Keep => metadata,
                Err(_) if self.links == Links::KeepInside => return Ok(()),
                _ => {
                    let target = fs::read_link(from).unwrap_or_default();
                    return Err(BuildError::Link { path: from.to_path_buf(), target });
                }
            };
        }
        if metadata.is_dir() {
            self.folder(from, to, inside, depth + 1)
        } else if metadata.is_file() {
            Ok(copy_file(from, to)?)
        } else {
            Err(BuildError::Kind {
                path: from.to_path_buf(),
                reason: "it is neither a file nor a folder nor a link",
            })
        }
    }

    /// Whether a link can stay as it is: it is relative, and its target is copied too.
    fn stays_inside(&self, link: &Path, inside: &str) -> bool {
        let relative = || -> Option<String> {
            let target = fs::read_link(link).ok()?;
            let resolved = inside.parse::<RelativePath>().ok()?.resolve_link(target.to_str()?)?;
            // Through further links, too: each of them is checked by itself, but the last target
            // must exist.
            let end = real_path::resolve(link).ok()?;
            end.starts_with(self.root).then_some(resolved)
        };
        relative().is_some_and(|resolved| {
            let parts = resolved
                .match_indices('/')
                .map(|(at, _)| &resolved[..at])
                .chain([resolved.as_str()]);
            !parts.into_iter().any(|part| !part.is_empty() && (self.skip)(part))
        })
    }
}

fn copy_file(from: &Path, to: &Path) -> Result<(), FileError> {
    // `fs::copy` writes through existing links: a link of a runtime must not redirect the app's
    // copy.
    if fs::symlink_metadata(to).is_ok() {
        fs::remove_file(to).at("replace", to)?;
    }
    fs::copy(from, to).at("copy", from)?;
    // A read-only original must not make a copy that cannot be deleted later.
    make_writable(to).at("set the permissions of", to)
}

/// The container's path for `inside`; the error names `path`.
pub(super) fn relative(path: &Path, inside: &Path) -> Result<RelativePath, BuildError> {
    let parts: Option<Vec<&str>> = inside.iter().map(|part| part.to_str()).collect();
    let parts = parts.ok_or_else(|| BuildError::Kind {
        path: path.to_path_buf(),
        reason: "its name is not Unicode",
    })?;
    parts.join("/").parse().map_err(|source| BuildError::Name { path: path.to_path_buf(), source })
}

/// The error for a folder that could not be walked.
pub(super) fn walk_error(root: &Path, error: walkdir::Error) -> FileError {
    let path = error.path().unwrap_or(root).to_path_buf();
    let source = error
        .into_io_error()
        .unwrap_or_else(|| std::io::Error::other("a link leads to a folder it lies in"));
    FileError::new("list", path, source)
}

/// Whether `path` is a program on this system.
#[cfg(unix)]
pub fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// Whether `path` is a program on this system.
#[cfg(not(unix))]
pub fn is_program(path: &Path) -> bool {
    path.is_file() && path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("exe"))
}

/// The part of a file's permissions that a container stores.
#[cfg(unix)]
pub(super) fn permissions(metadata: &Metadata) -> Permissions {
    Permissions::from_mode(std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()))
}

/// The permissions that a container stores: Windows has no bit for execution.
#[cfg(not(unix))]
pub(super) fn permissions(_: &Metadata) -> Permissions {
    Permissions::FILE
}

#[cfg(unix)]
fn make_writable(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path)?.permissions().mode();
    fs::set_permissions(path, fs::Permissions::from_mode(Permissions::from_mode(mode).mode()))
}

#[cfg(not(unix))]
fn make_writable(path: &Path) -> std::io::Result<()> {
    let mut permissions = fs::metadata(path)?.permissions();
    permissions.set_readonly(false);
    fs::set_permissions(path, permissions)
}

/// Creates a link.
#[cfg(unix)]
pub(super) fn make_link(target: &Path, path: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

/// Refuses: Windows cannot lay out links for other systems.
#[cfg(not(unix))]
pub(super) fn make_link(_: &Path, _: &Path) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// Patterns with `*` (anything but `/`) and `?` (one character). A pattern without `/` matches a
/// name at any depth, one with `/` a path from the top.
#[derive(Debug, Default)]
pub(super) struct Exclusions(Vec<String>);

impl Exclusions {
    /// Takes patterns. A `/` at the end, which means a folder in other tools, has no effect.
    pub(super) fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Self {
        Self(
            patterns
                .into_iter()
                .map(|pattern| pattern.trim_end_matches('/').to_owned())
                .filter(|p| !p.is_empty())
                .collect(),
        )
    }

    /// Whether `path` itself is left out (the caller has checked its folders before).
    pub(super) fn covers(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        self.0.iter().any(|pattern| match pattern.strip_prefix('/').unwrap_or(pattern) {
            top if pattern.contains('/') => fits(top, path),
            anywhere => fits(anywhere, name),
        })
    }
}

fn fits(pattern: &str, text: &str) -> bool {
    let mut pattern = pattern.chars();
    match pattern.next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = pattern.as_str();
            let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            ends.into_iter()
                .take_while(|at| !text[..*at].contains('/'))
                .any(|at| fits(rest, &text[at..]))
        }
        Some(wanted) => {
            let mut text = text.chars();
            text.next().is_some_and(|c| c == wanted || (wanted == '?' && c != '/'))
                && fits(pattern.as_str(), text.as_str())
        }
    }
}

/// The folder or file in `folder` whose name matches `pattern`; if several do, the last by name.
pub(super) fn find_name(folder: &Path, pattern: &str) -> Option<PathBuf> {
    let names = fs::read_dir(folder).ok()?.flatten();
    names
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| fits(pattern, name)))
        .map(|entry| entry.path())
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let skip = Exclusions::new(["*.log", "docs/*.md", "build/", "/top", "a?c"]);
        for covered in ["x.log", "deep/er/x.log", "docs/a.md", "build", "src/build", "top", "abc"] {
            assert!(skip.covers(covered), "{covered}");
        }
        for retained in ["x.logs", "docs/deep/a.md", "other/docs/a.md", "sub/top", "ac", "builds"] {
            assert!(!skip.covers(retained), "{retained}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_of_an_app_stay_inside() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(from.join("sub")).unwrap();
        fs::write(from.join("sub/file"), b"x").unwrap();
        fs::write(folder.path().join("outside"), b"secret").unwrap();
        make_link(Path::new("sub/file"), &from.join("link")).unwrap();
        make_link(Path::new("sub"), &from.join("folder")).unwrap();
        copy_tree(&from, &to, Links::Keep, &|_| false).unwrap();
        assert!(fs::symlink_metadata(to.join("folder")).unwrap().is_symlink());

        let resolved = folder.path().join("resolved");
        copy_tree(&from, &resolved, Links::Resolve, &|_| false).unwrap();
        assert!(fs::symlink_metadata(resolved.join("folder/file")).unwrap().is_file());
        assert!(fs::symlink_metadata(resolved.join("link")).unwrap().is_file());

        for target in ["../outside", "missing", "/etc/hostname"] {
            make_link(Path::new(target), &from.join("bad")).unwrap();
            let error = copy_tree(&from, &folder.path().join("again"), Links::Keep, &|_| false)
                .unwrap_err();
            assert!(matches!(error, BuildError::Link { .. }), "{target}: {error:?}");
            fs::remove_file(from.join("bad")).unwrap();
            let _ = fs::remove_dir_all(folder.path().join("again"));
        }
        // A link is left out if its target is left out.
        copy_tree(&from, &folder.path().join("part"), Links::KeepInside, &|path| path == "sub")
            .unwrap();
        assert!(fs::symlink_metadata(folder.path().join("part/link")).unwrap().is_file());
    }
}
