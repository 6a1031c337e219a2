//! `<home>/desktop.json`: the files that the launcher made outside of its home.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::desktop::DesktopError;
use crate::desktop::windows::FileClass;
use crate::durable;
use crate::error_chain;
use crate::file_error::FileResult as _;
use crate::look;
use crate::model::Digest;
use crate::store::Home;

/// The content of `<home>/desktop.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ShortcutRecord {
    /// Whether the user wanted an icon on the desktop.
    pub desktop: bool,
    pub files: Vec<Made>,
    /// The class in Windows' registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The classes of the app's documents there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<FileClass>,
    /// Digest of the values in the registry; absent until they are known to be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered: Option<Digest>,
}

/// A file that was made for a shortcut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::desktop) struct Made {
    pub kind: String,
    pub path: PathBuf,
    /// Digest of the content that it was made from.
    pub source: Digest,
    /// Digest of the file; absent until the file is known to be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<Digest>,
}

/// The digest of a small file; `None` if it cannot be read.
pub(in crate::desktop) fn digest_of(path: &Path) -> Option<Digest> {
    look::read(path, look::SMALL).ok().flatten().map(|bytes| Digest::of(&bytes))
}

/// The stored record; `None` if there is none. A damaged record counts as none: the files that it
/// named stay.
pub(super) fn read(home: &Home) -> Result<Option<ShortcutRecord>, DesktopError> {
    let path = home.desktop_record();
    let json = look::read(&path, look::SMALL).at("read", &path)?;
    let Some(json) = json else { return Ok(None) };
    Ok(serde_json::from_slice(&json)
        .inspect_err(|error| tracing::warn!(error = error_chain::line(error), path = %path.display(), "the list of shortcuts is damaged"))
        .ok())
}

/// Stores the record.
pub(super) fn write(home: &Home, record: &ShortcutRecord) -> Result<(), DesktopError> {
    let path = home.desktop_record();
    let json = serde_json::to_vec_pretty(record).at("write", &path)?;
    home.create()?;
    Ok(durable::replace(&path, &json).at("write", &path)?)
}
