//! The result of a repair, as a value.

use serde::Serialize;

use super::problem::Problem;
use crate::model::Version;

/// The result of a repair.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Repaired {
    /// The repaired version.
    pub version: Version,
    /// Damaged items that are right again, by path.
    #[serde(rename = "mended")]
    pub items: Vec<RepairedItem>,
    /// Items that are still damaged, by path. Empty: the version is whole.
    pub left: Vec<DamagedItem>,
    /// Files that did not belong to the release and were taken out of its folders.
    #[serde(serialize_with = "crate::model::readable::list")]
    pub removed: Vec<std::path::PathBuf>,
    /// The folder of those removed or obstructing files that may be somebody's work.
    #[serde(serialize_with = "crate::model::readable::optional")]
    pub aside: Option<std::path::PathBuf>,
    /// Why items are still damaged.
    pub problem: Option<Problem>,
}

impl Repaired {
    /// The result before anything was found.
    pub const fn begun(version: Version) -> Self {
        Self {
            version,
            items: Vec::new(),
            left: Vec::new(),
            removed: Vec::new(),
            aside: None,
            problem: None,
        }
    }
}

/// A file, link, folder or record that was repaired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RepairedItem {
    /// Relative to the version's folder.
    pub path: String,
    /// How it was repaired.
    pub how: How,
}

/// How an item was repaired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Its content came from another file on this disk.
    Cloned,
    /// A patch pack made it from another installed version.
    Patched,
    /// Its content was downloaded.
    Fetched,
    /// It needs no content: a folder, a link, an empty file, the record.
    Made,
    /// Only its permissions were set again.
    Permissions,
}

/// An item that could not be repaired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DamagedItem {
    /// Relative to the version's folder.
    pub path: String,
    /// What is wrong with it, in English.
    pub what: String,
}
