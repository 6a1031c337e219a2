//! What is started, as a publisher writes it.
//!
//! In: text. Out: [`EntryPoint`]. Never: a look whether it is there.

use std::fmt;
use std::str::FromStr;

use crate::model::RelativePath;
use crate::model::path::UnsafePath;

/// An entry point as text: `app.py` (a script, from the app's top), `module:package` (like `python
/// -m package`), `module:package.main:run` (a function, as installed scripts name them),
/// `exe:bin/program` (an executable, from the app's top).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryPoint {
    /// A Python file.
    Script(RelativePath),
    /// A module or package.
    Module(String),
    /// A function in a module; its return value is the exit code.
    Function {
        /// The module's dotted name.
        module: String,
        /// The function, or a path of attributes to it.
        function: String,
    },
    /// A program that needs no interpreter.
    Executable(RelativePath),
}

/// The text names no entry point.
#[derive(Debug, thiserror::Error)]
#[error(
    "not an entry point: {text:?}, expected for example app.py, module:package, module:package:function or exe:bin/program"
)]
pub struct InvalidEntryPoint {
    text: String,
    source: Option<UnsafePath>,
}

impl FromStr for EntryPoint {
    type Err = InvalidEntryPoint;

    fn from_str(text: &str) -> Result<Self, InvalidEntryPoint> {
        let invalid = |source| InvalidEntryPoint { text: text.chars().take(120).collect(), source };
        let path =
            |path: &str| path.parse::<RelativePath>().map_err(|source| invalid(Some(source)));
        if let Some(program) = text.strip_prefix("exe:") {
            return Ok(Self::Executable(path(program)?));
        }
        let Some(module) = text.strip_prefix("module:") else {
            return Ok(Self::Script(path(text)?));
        };
        let (module, function) = module
            .split_once(':')
            .map_or((module, None), |(module, function)| (module, Some(function)));
        if ![Some(module), function].into_iter().flatten().all(is_dotted_name) {
            return Err(invalid(None));
        }
        let module = module.to_owned();
        Ok(match function {
            None => Self::Module(module),
            Some(function) => Self::Function { module, function: function.to_owned() },
        })
    }
}

impl fmt::Display for EntryPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Script(path) => write!(f, "{path}"),
            Self::Module(module) => write!(f, "module:{module}"),
            Self::Function { module, function } => write!(f, "module:{module}:{function}"),
            Self::Executable(path) => write!(f, "exe:{path}"),
        }
    }
}

impl serde::Serialize for EntryPoint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for EntryPoint {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Whether the text is Python names joined by dots.
fn is_dotted_name(text: &str) -> bool {
    let is_name = |part: &str| {
        part.starts_with(|first: char| first.is_alphabetic() || first == '_')
            && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    text.split('.').all(is_name)
}
