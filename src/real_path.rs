//! The real path of a file: absolute, with links resolved, in the form that every program takes; and
//! the simplified path, as a person would write it. Ground floor: every room that passes a path on,
//! compares it with one from the system, or shows one that it has put together, uses this.
//!
//! In: a path. Out: the path that the system has for it, or a shorter one for the same file. Never: Windows' verbatim form
//! (`\\?\C:\…`), where the plain one names the same file. The shell, `cmd.exe` and Python do not
//! take the verbatim form, which is what the standard library returns.

#![allow(clippy::disallowed_methods)] // the one room that asks for real paths

use std::io;
use std::path::{Component, Path, PathBuf};

use crate::model::RelativePath;

/// Windows' prefix of the verbatim form.
const VERBATIM: &str = r"\\?\";
/// The same for a folder of another computer: server and share follow.
const VERBATIM_SHARE: &str = r"UNC\";
/// UTF-16 units of the longest path in plain form, without its final zero.
const MAX_PLAIN: usize = 259;

/// The real path of a file or folder that exists.
///
/// # Errors
/// If there is no such file, or it cannot be looked at.
pub(crate) fn resolve(path: &Path) -> io::Result<PathBuf> {
    let real = std::fs::canonicalize(path)?;
    let plain = real.to_str().and_then(plain);
    Ok(plain.map_or(real, PathBuf::from))
}

/// `path` from `folder`, simplified.
pub(crate) fn joined(folder: &Path, path: impl AsRef<Path>) -> PathBuf {
    simplified(&folder.join(path))
}

/// The same path without `.`, doubled separators and folders that `..` leaves again; on Windows with
/// its own separators. `..` behind a link stays, since it leads somewhere else, and so does `..`
/// behind what is no folder, or cannot be looked at. Not for programs to be started: without a
/// folder, a program's name is searched for.
pub(crate) fn simplified(path: &Path) -> PathBuf {
    // Such a path means each of its names as it is.
    if path.as_os_str().as_encoded_bytes().starts_with(VERBATIM.as_bytes()) {
        return path.to_owned();
    }
    let mut simple = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if simple.file_name().is_some() && is_left_by_dots(&simple) => {
                simple.pop();
            }
            part => simple.push(part),
        }
    }
    if simple.as_os_str().is_empty() && !path.as_os_str().is_empty() { ".".into() } else { simple }
}

/// Whether `..` behind this path leads to the folder above it. Windows takes it so in any case.
fn is_left_by_dots(path: &Path) -> bool {
    cfg!(windows) || std::fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

/// The plain form of a verbatim path; `None` if this is none, or has no plain form. In the plain
/// form Windows drops dots and spaces at the end of a name, and reads some names as devices.
fn plain(path: &str) -> Option<String> {
    let verbatim = path.strip_prefix(VERBATIM)?;
    let (plain, names) = match verbatim.strip_prefix(VERBATIM_SHARE) {
        Some(share) => (format!(r"\\{share}"), share),
        None => (verbatim.to_owned(), below_drive(verbatim)?),
    };
    let mut names = names.split('\\').filter(|name| !name.is_empty());
    let is_plain = plain.encode_utf16().count() <= MAX_PLAIN
        && names.all(|name| name.parse::<RelativePath>().is_ok());
    is_plain.then_some(plain)
}

/// What follows the drive (`C:\`).
fn below_drive(path: &str) -> Option<&str> {
    let mut characters = path.chars();
    let is_drive = characters.next()?.is_ascii_alphabetic() && characters.next()? == ':';
    characters.as_str().strip_prefix('\\').filter(|_| is_drive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbatim_paths_become_plain_where_the_plain_one_names_the_same_file() {
        for (verbatim, expected) in [
            (r"\\?\C:\", r"C:\"),
            (r"\\?\C:\Program Files\应用\a.exe", r"C:\Program Files\应用\a.exe"),
            (r"\\?\UNC\server\share\folder", r"\\server\share\folder"),
        ] {
            assert_eq!(plain(verbatim).as_deref(), Some(expected));
        }
        let long = format!(r"\\?\C:\{}", r"long name\".repeat(30));
        for other in [
            "/usr/bin/env",
            r"C:\plain",
            r"\\?\C:\folder\NUL",
            r"\\?\C:\ends with a dot.\file",
            r"\\?\Volume{b75e2c83-0000-0000-0000-602f00000000}\file",
            r"\\?\GLOBALROOT\Device",
            long.as_str(),
        ] {
            assert_eq!(plain(other), None, "{other}");
        }
    }

    #[test]
    fn a_simplified_path_is_shorter_and_leads_to_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let root = real(folder.path());
        std::fs::create_dir_all(root.join("one/two")).unwrap();
        std::fs::create_dir(root.join("other")).unwrap();
        std::fs::write(root.join("file"), "").unwrap();
        let simple = |path: &str| {
            let simple = simplified(&root.join(path));
            simple.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/")
        };
        assert_eq!(simple("one/./two//../../other/icon.png"), "other/icon.png");
        assert_eq!(simple("one/../none"), "none");
        assert_eq!(joined(&root.join("one"), "../file"), root.join("file"));
        if cfg!(windows) {
            assert_eq!(simplified(Path::new(r"C:\a/b\\c/..\d")), Path::new(r"C:\a\b\d"));
            assert_eq!(simplified(Path::new(r"\\?\C:\a\..\b")), Path::new(r"\\?\C:\a\..\b"));
        } else {
            assert_eq!(simple("none/../file"), "none/../file", "which is no file");
            assert_eq!(simple("file/../file"), "file/../file", "which is no file either");
        }
        for (path, expected) in [
            ("./a", "a"),
            (".", "."),
            ("./", "."),
            ("", ""),
            ("..//../b/.", "../../b"),
            ("/..", "/.."),
        ] {
            let expected = expected.replace('/', std::path::MAIN_SEPARATOR_STR);
            assert_eq!(simplified(Path::new(path)).to_str().unwrap(), expected, "{path}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn dots_behind_a_link_stay() {
        let folder = tempfile::tempdir().unwrap();
        let root = real(folder.path());
        std::fs::create_dir_all(root.join("deep/below")).unwrap();
        std::fs::write(root.join("deep/file"), "").unwrap();
        std::os::unix::fs::symlink("deep/below", root.join("link")).unwrap();
        let path = root.join("./link/../file");
        assert_eq!(simplified(&path), root.join("link/../file"));
        assert!(std::fs::metadata(simplified(&path)).is_ok());
    }

    fn real(path: &Path) -> PathBuf {
        resolve(path).unwrap()
    }

    #[test]
    fn a_real_path_is_one_that_every_program_takes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a 数据.txt");
        std::fs::write(&path, "").unwrap();
        let real = resolve(&folder.path().join(".").join("a 数据.txt")).unwrap();
        assert!(real.is_absolute() && !real.to_str().unwrap().starts_with(VERBATIM), "{real:?}");
        assert_eq!(resolve(&real).unwrap(), real);
        assert!(resolve(&folder.path().join("none")).is_err());
    }
}
