//! A program of an earlier installation of the app, whose shortcuts this one replaces.
//!
//! In: the end of a path as the publisher writes it (`LabelImg/Update.exe`). Out: whether a path is
//! that program. Never: matches a program that many apps share, such as `python3`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Programs that start those of many apps. By themselves they say nothing of the app.
const SHARED: [&str; 22] = [
    "bash",
    "cmd.exe",
    "env",
    "explorer.exe",
    "flatpak",
    "java",
    "java.exe",
    "javaw.exe",
    "msiexec.exe",
    "node",
    "powershell.exe",
    "py.exe",
    "python",
    "python.exe",
    "python2",
    "python3",
    "pythonw.exe",
    "sh",
    "snap",
    "update.exe",
    "wine",
    "xdg-open",
];

/// The end of the path of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReplacedProgram {
    written: String,
    /// Its names from the end of the path to the front, in lower case.
    names: Vec<String>,
}

/// A text that names no program of an app.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidReplacedProgram(String);

impl ReplacedProgram {
    /// Whether `path` ends with these names. Capital letters do not count, as on Windows.
    pub(crate) fn is(&self, path: &str) -> bool {
        let found = names(path);
        found.len() >= self.names.len() && found.iter().zip(&self.names).all(|(a, b)| a == b)
    }
}

/// The names in a path of any system, from its end, in lower case.
fn names(path: &str) -> Vec<String> {
    let names = path.rsplit(['/', '\\']).filter(|name| !name.is_empty());
    names.map(str::to_lowercase).collect()
}

impl FromStr for ReplacedProgram {
    type Err = InvalidReplacedProgram;

    fn from_str(text: &str) -> Result<Self, InvalidReplacedProgram> {
        let refuse = |reason: String| Err(InvalidReplacedProgram(reason));
        let names = names(text);
        let Some(program) = names.first() else {
            return refuse(format!("{text:?} names no program"));
        };
        if text.chars().any(char::is_control)
            || names.iter().any(|name| name == "." || name == "..")
        {
            return refuse(format!("{text:?} is no end of a path, such as LabelImg/Update.exe"));
        }
        if names.len() == 1 && SHARED.contains(&program.as_str()) {
            return refuse(format!(
                "{text:?} starts other apps as well; write its folder, too: MyApp/{text}"
            ));
        }
        Ok(Self { written: text.to_owned(), names })
    }
}

impl TryFrom<String> for ReplacedProgram {
    type Error = InvalidReplacedProgram;

    fn try_from(text: String) -> Result<Self, InvalidReplacedProgram> {
        text.parse()
    }
}

impl From<ReplacedProgram> for String {
    fn from(program: ReplacedProgram) -> Self {
        program.written
    }
}

impl fmt::Display for ReplacedProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_path_is_compared_by_whole_names_on_every_system() {
        let is = |written: &str, path: &str| written.parse::<ReplacedProgram>().unwrap().is(path);
        assert!(is("LabelImg/Update.exe", r"C:\Users\x\AppData\Local\labelimg\Update.exe"));
        assert!(is(r"LabelImg\Update.exe", r"C:\LabelImg\Update.exe"));
        assert!(is("labelImg", "labelImg") && is("labelImg", "/opt/label/labelImg"));
        assert!(!is("LabelImg/Update.exe", r"C:\Other\Update.exe"));
        assert!(!is("labelImg", "/opt/my-labelImg") && !is("labelImg", "/opt/labelImg/run"));
        assert!(!is("opt/labelImg", "labelImg"));
    }

    #[test]
    fn a_program_of_many_apps_needs_its_folder() {
        for text in ["", "/", "python3", "Update.exe", "../x", "a\nb"] {
            assert!(text.parse::<ReplacedProgram>().is_err(), "{text:?}");
        }
        assert!("my-app/python3".parse::<ReplacedProgram>().is_ok());
    }
}
