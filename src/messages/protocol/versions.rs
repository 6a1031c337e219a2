//! Installed versions, the retained user files of versions that were left, and their size on disk,
//! as the user sees them.

use serde::Serialize;

use crate::model::{ContainerId, Version};

/// An installed version, as the version menu shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InstalledVersion {
    /// The version, app and platform.
    pub id: ContainerId,
    /// Bytes on disk.
    pub size: u64,
    /// When it was installed.
    pub installed: jiff::Timestamp,
    /// Whether the next start uses it.
    pub active: bool,
    /// Whether it is running now.
    pub running: bool,
    /// When it was left, if a snapshot retains the user's files as they were then: a rollback can
    /// return to it.
    pub left: Option<jiff::Timestamp>,
    /// Whether any user file lies in it.
    pub holds_files: bool,
    /// Whether it did not come up on this computer.
    pub failed: bool,
    /// Whether the publisher has recalled it.
    pub recalled: bool,
    /// Whether it is newer than the active one and can be switched to at once.
    pub ready: bool,
    /// Whether the user pinned it: it is active, and newer ones are not offered.
    pub pinned: bool,
    /// Whether it is beyond the number that the settings retain.
    pub surplus: bool,
    /// Where its files lie.
    #[serde(serialize_with = "crate::model::readable::path")]
    pub folder: std::path::PathBuf,
}

/// Which of two versions have user files in the launcher's folders; an app may store them
/// elsewhere. If neither has any, the texts mention no files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FilesHeld {
    /// The version that was left.
    pub of_left: bool,
    /// The version that is active now.
    pub of_active: bool,
}

impl FilesHeld {
    /// Whether either version has user files.
    pub const fn any(self) -> bool {
        self.of_left || self.of_active
    }
}

/// The user's files as a version had them when it was left.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RetainedFiles {
    /// The version whose files they are.
    pub version: Version,
    /// When it was left.
    pub left: jiff::Timestamp,
    /// Where they are: the version's folder, or a separate one.
    #[serde(serialize_with = "crate::model::readable::path")]
    pub folder: std::path::PathBuf,
    /// Whether they exist nowhere else, in a folder of their own: only a person deletes them.
    pub only_copy: bool,
}

/// Disk use in bytes. Blocks that files share are counted for each of them, so it is an upper
/// bound.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DiskUse {
    /// The whole home: versions, retained files, downloads under way, logs.
    pub whole: u64,
    /// Single folders: those of versions, and those of retained files that have a separate folder.
    pub folders: Vec<FolderUse>,
}

/// The disk use of one folder.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FolderUse {
    #[serde(serialize_with = "crate::model::readable::path")]
    pub folder: std::path::PathBuf,
    /// Bytes on disk.
    pub bytes: u64,
}

impl DiskUse {
    /// Bytes on disk of a folder, if it was measured. Retained files lie in a folder that is measured
    /// as a whole.
    pub fn of(&self, folder: &std::path::Path) -> Option<u64> {
        let is_it = |found: &&FolderUse| {
            found.folder == folder || Some(found.folder.as_path()) == folder.parent()
        };
        self.folders.iter().find(is_it).map(|found| found.bytes)
    }
}
