//! What came of a repair, as a value.

use serde::Serialize;

use super::problem::Problem;
use crate::model::Version;

/// What came of a repair.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Repaired {
    /// Which version.
    pub version: Version,
    /// What was bad and is right again, by path.
    pub mended: Vec<Mended>,
    /// What is still bad, by path. Empty: the version is whole.
    pub left: Vec<Unmended>,
    /// What did not belong to the release and was taken out of its folders.
    #[serde(serialize_with = "crate::model::readable::list")]
    pub removed: Vec<std::path::PathBuf>,
    /// Where of that, and of what stood in the way, lies what may be somebody's work.
    #[serde(serialize_with = "crate::model::readable::optional")]
    pub aside: Option<std::path::PathBuf>,
    /// Why something is left.
    pub problem: Option<Problem>,
}

impl Repaired {
    /// Nothing was found yet.
    pub const fn begun(version: Version) -> Self {
        Self {
            version,
            mended: Vec::new(),
            left: Vec::new(),
            removed: Vec::new(),
            aside: None,
            problem: None,
        }
    }
}

/// A file, link, folder or record that was mended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mended {
    /// Relative to the version's folder.
    pub path: String,
    /// How.
    pub how: How,
}

/// How something was mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Its content was in another file on this disk.
    Cloned,
    /// It was made by a patch pack from another installed version.
    Patched,
    /// It was fetched.
    Fetched,
    /// It needs no content: a folder, a link, an empty file, the record.
    Made,
    /// Its permissions were set again.
    Permissions,
}

/// Something that could not be mended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unmended {
    /// Relative to the version's folder.
    pub path: String,
    /// What is wrong with it, in English.
    pub what: String,
}
