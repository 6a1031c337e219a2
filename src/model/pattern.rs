//! Patterns for files of the app: which files a running app can take over, and which it never can.
//!
//! `*` stands for any characters (also none, also `/` and `.`), `?` for exactly one. Python's
//! `fnmatch` treats the specification's patterns in the same way.

use std::fmt;
use std::str::FromStr;

use super::path::RelativePath;
use super::text::serde_as_text;

/// Modules of the app by their dotted names, for example `manipulate.*`: the specification's
/// `hot_swap_modules`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModulePattern(String);

/// Files of the app by their paths below `app`, for example `updater_core/*`: the specification's
/// `critical_files`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePattern(String);

/// Text that is not such a pattern.
#[derive(Debug, thiserror::Error)]
#[error("not a pattern: {text:?}, expected {expected}")]
pub struct InvalidPattern {
    text: String,
    expected: &'static str,
}

/// Longest pattern, bytes: matching costs its length times the name's length.
const MAX_PATTERN_BYTES: usize = 255;

/// The folder of a container to which the patterns apply.
const APP: &str = "app/";

impl ModulePattern {
    /// Whether the file at `path` in a container belongs to such a module: a source, its byte code,
    /// or a file that lies between the modules (`config/operation.json` is `config.operation`).
    /// Compiled extension modules never match, since no running Python can reload one.
    pub fn matches(&self, path: &RelativePath) -> bool {
        module_names(path).is_some_and(|names| names.iter().any(|name| matches(&self.0, name)))
    }
}

impl FilePattern {
    /// Whether the pattern matches the file at `path` in a container.
    pub fn matches(&self, path: &RelativePath) -> bool {
        path.as_str().strip_prefix(APP).is_some_and(|path| matches(&self.0, path))
    }
}

/// Which files of the app a running app can take over, and which files always need a restart.
#[derive(Clone, Copy, Debug)]
pub struct AppPatterns<'a> {
    /// Modules that a running app can take over.
    pub hot_swap_modules: &'a [ModulePattern],
    /// Files that it cannot take over, whatever the other list says.
    pub critical_files: &'a [FilePattern],
}

impl AppPatterns<'_> {
    /// Whether a change of this file in a container needs a restart, whatever else changes.
    pub fn is_critical(&self, path: &RelativePath) -> bool {
        self.critical_files.iter().any(|pattern| pattern.matches(path))
    }

    /// Whether a running app can take over a change of this file in a container; only files below
    /// `app` qualify.
    pub fn is_hot_updatable(&self, path: &RelativePath) -> bool {
        !self.is_critical(path) && self.hot_swap_modules.iter().any(|pattern| pattern.matches(path))
    }
}

/// The dotted names of the file at `path` in a container; `None` if it is in no module.
fn module_names(path: &RelativePath) -> Option<Vec<String>> {
    let path = path.as_str().strip_prefix(APP)?;
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let (stem, extension) = file.rsplit_once('.').unwrap_or((file, ""));
    if ["so", "pyd", "dll", "dylib"].contains(&extension) {
        return None;
    }
    let (folder, stem) = match folder.strip_suffix("__pycache__") {
        // executor.cpython-311.pyc, executor.cpython-311.opt-1.pyc
        Some(folder) if extension == "pyc" => {
            (folder.trim_end_matches('/'), stem.split('.').next().unwrap_or(stem))
        }
        _ => (folder, stem),
    };
    let package = folder.replace('/', ".");
    let name = if package.is_empty() { stem.to_owned() } else { format!("{package}.{stem}") };
    // `manipulate/__init__.py` is the module `manipulate`, and matches `manipulate.*` too.
    Some(if stem == "__init__" { vec![name, package] } else { vec![name] })
}

/// Whether `text` matches `pattern`, in time of the product of their lengths.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut place) = (0, 0);
    // The position of the last `*`, and how much of the text it has matched.
    let mut star: Option<(usize, usize)> = None;
    while place < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, place));
                at += 1;
            }
            Some(wanted) if *wanted == '?' || *wanted == text[place] => {
                at += 1;
                place += 1;
            }
            _ => {
                let Some((star_at, taken)) = star else { return false };
                star = Some((star_at, taken + 1));
                at = star_at + 1;
                place = taken + 1;
            }
        }
    }
    pattern[at..].iter().all(|rest| *rest == '*')
}

impl FromStr for ModulePattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        let plain = |part: &str| {
            !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || "_-*?".contains(c))
        };
        if text.len() <= MAX_PATTERN_BYTES && text.split('.').all(plain) {
            return Ok(Self(text.to_owned()));
        }
        let expected = "a module's dotted name below the app's folder, with * and ? for any characters, for example manipulate.*";
        Err(InvalidPattern { text: text.chars().take(80).collect(), expected })
    }
}

impl FromStr for FilePattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        let plain = |part: &str| {
            !part.is_empty()
                && part != "."
                && part != ".."
                && part.chars().all(|c| !c.is_control() && !"\\:\"<>|".contains(c))
        };
        if text.len() <= MAX_PATTERN_BYTES && text.split('/').all(plain) {
            return Ok(Self(text.to_owned()));
        }
        let expected = "a path below the app's folder, with / between its parts and * and ? for any characters, for example core/*";
        Err(InvalidPattern { text: text.chars().take(80).collect(), expected })
    }
}

impl fmt::Display for ModulePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for FilePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(ModulePattern, FilePattern);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, text) in [
            ("a", "a"),
            ("*", ""),
            ("*", "a.b"),
            ("a*c", "abc"),
            ("a*b*c", "a.b.b.c"),
            ("?", "ü"),
            ("a**", "a"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in
            [("a", "ab"), ("", "a"), ("a*c", "abcd"), ("?", ""), ("a?", "a"), ("*b", "a")]
        {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
        // The time is not exponential.
        assert!(!matches(
            &"a*".repeat(100),
            &format!("{}b", "a".repeat(1000))[..1000].replace('a', "c")
        ));
    }

    #[test]
    fn modules_are_found_by_their_files() {
        let hot = |pattern: &str, path: &str| {
            pattern.parse::<ModulePattern>().unwrap().matches(&path.parse().unwrap())
        };
        for (pattern, path) in [
            ("manipulate.*", "app/manipulate/executor.py"),
            ("manipulate.*", "app/manipulate/deep/er.py"),
            ("manipulate.*", "app/manipulate/__init__.py"),
            ("manipulate", "app/manipulate/__init__.py"),
            ("manipulate.executor", "app/manipulate/__pycache__/executor.cpython-311.pyc"),
            ("manipulate.executor", "app/manipulate/__pycache__/executor.cpython-311.opt-1.pyc"),
            ("config.*", "app/config/operation.json"),
            ("tools", "app/tools.py"),
            ("tools", "app/__pycache__/tools.cpython-313.pyc"),
        ] {
            assert!(hot(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("manipulate.*", "app/manipulate.py"),
            ("manipulate.*", "app/ui/manipulate/x.py"),
            ("manipulate.*", "app/manipulate/native.cpython-311-x86_64-linux-gnu.so"),
            ("manipulate.*", "runtime/manipulate/executor.py"),
            ("*", "runtime/bin/python3"),
            ("config.*", "config/operation.json"),
        ] {
            assert!(!hot(pattern, path), "{pattern} {path}");
        }
    }

    #[test]
    fn critical_wins() {
        let (hot, critical) = (
            ["*".parse().unwrap()],
            ["app.py".parse().unwrap(), "updater_core/*".parse().unwrap()],
        );
        let patterns = AppPatterns { hot_swap_modules: &hot, critical_files: &critical };
        let reported = |path: &str| {
            (
                patterns.is_critical(&path.parse().unwrap()),
                patterns.is_hot_updatable(&path.parse().unwrap()),
            )
        };
        assert_eq!(reported("app/app.py"), (true, false));
        assert_eq!(reported("app/updater_core/deep/x.py"), (true, false));
        assert_eq!(reported("app/ui/app.py"), (false, true));
        assert_eq!(reported("runtime/app.py"), (false, false));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for bad in ["", ".", "a..b", ".a", "manipulate/*", "a b", "a\\b"] {
            assert!(bad.parse::<ModulePattern>().is_err(), "{bad}");
        }
        for bad in ["", "/etc", "a//b", "../x", "a/./b", "a\\b", "C:x"] {
            assert!(bad.parse::<FilePattern>().is_err(), "{bad}");
        }
        assert!("*".repeat(256).parse::<ModulePattern>().is_err());
    }
}
