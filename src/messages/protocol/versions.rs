//! Installed versions, the files kept of left ones and their room on the disk, as a person sees
//! them.

use serde::Serialize;

use crate::model::{ContainerId, Version};

/// An installed version, as the version menu shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InstalledVersion {
    /// Its id.
    pub id: ContainerId,
    /// Bytes on disk.
    pub size: u64,
    /// When it was installed.
    pub installed: jiff::Timestamp,
    /// Whether the next start uses it.
    pub active: bool,
    /// Whether it is running now.
    pub running: bool,
    /// When it was left, if the user's files are kept as they were then: a point to go back to.
    pub left: Option<jiff::Timestamp>,
    /// Whether any file of the user lies in it.
    pub holds_files: bool,
    /// Whether it did not come up here.
    pub failed: bool,
    /// Whether it is newer than the active one and only waits to be chosen.
    pub ready: bool,
    /// Whether the user stays at it: it is active, and newer ones are not offered.
    pub pinned: bool,
    /// Whether it is more than the settings want to keep.
    pub surplus: bool,
    /// Its folder.
    #[serde(serialize_with = "crate::model::readable::path")]
    pub folder: std::path::PathBuf,
}

/// Which of two versions have files of the user in the launcher's folders; an app may keep them
/// elsewhere. Without them nothing is said of files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FilesHeld {
    /// The version that was left.
    pub of_left: bool,
    /// The version that is active now.
    pub of_active: bool,
}

impl FilesHeld {
    /// Whether either has some.
    pub const fn any(self) -> bool {
        self.of_left || self.of_active
    }
}

/// The user's files as a version had them when it was left.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RetainedFiles {
    /// Whose.
    pub version: Version,
    /// When it was left.
    pub left: jiff::Timestamp,
    /// Where they are: the version's folder, or one of their own.
    #[serde(serialize_with = "crate::model::readable::path")]
    pub folder: std::path::PathBuf,
}

/// Room on the disk, bytes. Blocks that files share are counted for each of them, so it is at most
/// as much.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DiskUse {
    /// Of all: versions, kept files, downloads under way, logs.
    pub whole: u64,
    /// Of single folders: those of versions, and those of kept files that have their own.
    pub folders: Vec<FolderUse>,
}

/// A folder's part of the room.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FolderUse {
    /// Which folder.
    #[serde(serialize_with = "crate::model::readable::path")]
    pub folder: std::path::PathBuf,
    /// Bytes on disk.
    pub bytes: u64,
}

impl DiskUse {
    /// Bytes on disk of a folder, if it was looked at.
    pub fn of(&self, folder: &std::path::Path) -> Option<u64> {
        self.folders.iter().find(|found| found.folder == folder).map(|found| found.bytes)
    }
}
