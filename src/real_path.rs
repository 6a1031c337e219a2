//! The real path of a file: absolute, with links resolved, in the form that every program takes.
//! Ground floor: every room that passes a path on, or compares it with one from the system, uses
//! this.
//!
//! In: a path. Out: the path that the system has for it. Never: Windows' verbatim form
//! (`\\?\C:\…`), where the plain one names the same file. The shell, `cmd.exe` and Python do not
//! take the verbatim form, which is what the standard library returns.

#![allow(clippy::disallowed_methods)] // the one room that asks for real paths

use std::io;
use std::path::{Path, PathBuf};

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
