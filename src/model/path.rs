//! A path inside a container. A dangerous path cannot be constructed, on any platform. A path that
//! is harmless on Linux but leaves the folder on Windows is refused everywhere, so that a package
//! means the same on every computer (docs/security.md, fault 11).

use std::borrow::Borrow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use unicode_normalization::UnicodeNormalization as _;

use super::text::serde_as_text;

/// A relative path with `/` between its parts. No part is empty, `.` or `..`, and no known file
/// system treats a part specially.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelativePath(String);

/// Why a path is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("unsafe path {path:?}: {reason}")]
pub struct UnsafePath {
    path: String,
    reason: &'static str,
}

/// Longest path, bytes; below a home folder it stays within the limit of every system in use.
const MAX_PATH_BYTES: usize = 1024;
const MAX_PATH_PART_BYTES: usize = 255;

impl RelativePath {
    /// The path as text with `/` between its parts.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path below `root`, with the system's separators.
    pub fn under(&self, root: &Path) -> PathBuf {
        let mut path = root.to_path_buf();
        path.extend(self.0.split('/'));
        path
    }

    /// The last part.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// The folder that contains it; `None` at the top.
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('/').map(|(parent, _)| Self(parent.to_owned()))
    }

    /// All folders that contain it, the innermost first.
    pub fn ancestors(&self) -> impl Iterator<Item = &str> {
        self.0.rmatch_indices('/').map(|(at, _)| &self.0[..at])
    }

    /// `self/other`, checked as a whole.
    pub fn join(&self, other: &str) -> Result<Self, UnsafePath> {
        format!("{}/{other}", self.0).parse()
    }

    /// Whether this is `folder` itself or is inside it.
    pub fn is_under(&self, folder: &str) -> bool {
        self.0.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// A key that is equal for two paths that some file system in use (NTFS, APFS) treats as the
    /// same.
    pub fn folded(&self) -> String {
        let upper: String =
            self.0.nfc().flat_map(char::to_lowercase).flat_map(char::to_uppercase).collect();
        upper.nfc().collect()
    }

    /// The path that a symlink at `self` with `target` points to, or `None` if it would leave the
    /// container. `..` is only allowed at the front: after a name that is a link itself, the system
    /// would go to another folder than this calculation.
    pub fn resolve_link(&self, target: &str) -> Option<String> {
        if target.is_empty() || target.starts_with('/') || target.contains(['\\', '\0', ':']) {
            return None;
        }
        let mut parts: Vec<&str> = self.0.split('/').collect();
        parts.pop();
        let mut named = false;
        for part in target.split('/') {
            match part {
                "" | "." => {}
                ".." if named => return None,
                ".." => {
                    parts.pop()?;
                }
                name => {
                    named = true;
                    parts.push(name);
                }
            }
        }
        Some(parts.join("/"))
    }
}

impl FromStr for RelativePath {
    type Err = UnsafePath;

    fn from_str(text: &str) -> Result<Self, UnsafePath> {
        let refuse = |reason| Err(UnsafePath { path: text.chars().take(200).collect(), reason });
        if text.is_empty() || text.len() > MAX_PATH_BYTES {
            return refuse("it is empty or too long");
        }
        for part in text.split('/') {
            if let Some(reason) = objection(part) {
                return refuse(reason);
            }
        }
        Ok(Self(text.to_owned()))
    }
}

fn objection(part: &str) -> Option<&'static str> {
    if part.is_empty() {
        return Some("it is absolute or has an empty part");
    }
    if part == "." || part == ".." {
        return Some("it has a part '.' or '..'");
    }
    if part.len() > MAX_PATH_PART_BYTES {
        return Some("a part is longer than 255 bytes");
    }
    if part.chars().any(|c| c.is_control() || "\\:*?\"<>|".contains(c)) {
        return Some(
            "it has a backslash, a colon, or another character that a file system treats specially",
        );
    }
    if part.ends_with(['.', ' ']) {
        return Some("a part ends with a dot or a space, which Windows drops");
    }
    is_device(part).then_some("a part is the name of a Windows device")
}

/// Whether Windows takes the name of a file for that of a device, whatever its ending.
pub(crate) fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end().to_ascii_uppercase();
    let numbered = |device: &str| {
        stem.strip_prefix(device).is_some_and(|n| {
            matches!(n, "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³")
        })
    };
    ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"].contains(&stem.as_str())
        || numbered("COM")
        || numbered("LPT")
}

impl fmt::Display for RelativePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for RelativePath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

serde_as_text!(RelativePath);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dangerous_names_cannot_be_constructed() {
        for bad in [
            "",
            "/etc/passwd",
            "../x",
            "a/../b",
            "a/./b",
            "a//b",
            "a/",
            "C:/x",
            "C:x",
            "\\\\server\\share",
            "a\\b",
            "a:stream",
            "CON",
            "app/nul.txt",
            "aux",
            "com1",
            "LPT9.log",
            "COM¹",
            "a/b.",
            "a/b ",
            "a\0b",
            "a\nb",
            "what?",
            "CON .txt",
            "conin$",
        ] {
            assert!(bad.parse::<RelativePath>().is_err(), "{bad:?}");
        }
        assert!("a".repeat(256).parse::<RelativePath>().is_err());
        assert!("a/".repeat(600).parse::<RelativePath>().is_err());
        for good in [
            "app/app.py",
            ".description",
            "a b/ü.txt",
            "数据/文件",
            "console",
            "com10",
            "lib..so",
            "nulls.txt",
        ] {
            assert!(good.parse::<RelativePath>().is_ok(), "{good:?}");
        }
    }

    #[test]
    fn links_stay_inside() {
        let link: RelativePath = "runtime/lib/libpython3.so".parse().unwrap();
        assert_eq!(
            link.resolve_link("libpython3.11.so").as_deref(),
            Some("runtime/lib/libpython3.11.so")
        );
        assert_eq!(link.resolve_link("../bin/python3").as_deref(), Some("runtime/bin/python3"));
        for outside in [
            "../../../etc/passwd",
            "/etc/passwd",
            "",
            "..\\..\\x",
            "../../../../runtime/x",
            "up/../../x",
        ] {
            assert_eq!(link.resolve_link(outside), None, "{outside}");
        }
    }

    #[test]
    fn names_that_a_file_system_takes_for_one_fold_to_one_key() {
        let folded = |text: &str| text.parse::<RelativePath>().unwrap().folded();
        assert_eq!(folded("App/README.md"), folded("app/readme.MD"));
        assert_eq!(folded("straße"), folded("STRASSE"));
        assert_eq!(folded("u\u{308}ber"), folded("Über"));
        assert_ne!(folded("app/a"), folded("app/b"));
    }

    #[test]
    fn parts() {
        let path: RelativePath = "a/b/c".parse().unwrap();
        assert_eq!(path.ancestors().collect::<Vec<_>>(), ["a/b", "a"]);
        assert_eq!(path.file_name(), "c");
        assert!(
            path.is_under("a/b")
                && path.is_under("a/b/c")
                && !path.is_under("a/bb")
                && !path.is_under("b")
        );
        assert_eq!(path.under(Path::new("root")), Path::new("root").join("a").join("b").join("c"));
    }
}
