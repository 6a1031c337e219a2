//! The note of an exchange: what is under way, and which builds did not come up here.
//!
//! In: the file beside the executable. Out: [`Note`], read and written. Never: an error for a
//! damaged one; it is none.

use serde::{Deserialize, Serialize};

use super::file::LauncherFile;
use crate::desktop::remove_file;
use crate::error_chain;
use crate::file_error::{FileError, FileResult as _};
use crate::model::{Digest, Version};
use crate::{durable, look};

/// How many failed builds are recorded.
const REMEMBERED: usize = 8;

/// The exchange under way, and the builds that failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Note {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) exchange: Option<Exchange>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) failed: Vec<Failed>,
}

/// An exchange that is not confirmed yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Exchange {
    pub(super) from: Version,
    pub(super) to: Version,
    /// Digest of the new executable.
    pub(super) hash: Digest,
    /// How often the new one has begun to start.
    #[serde(default)]
    pub(super) starts: u32,
}

/// A build that did not come up on this computer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failed {
    pub(super) version: Version,
    pub(super) hash: Digest,
    pub(super) times: u32,
}

impl Note {
    /// Counts a failure of a build.
    pub(super) fn fail(&mut self, version: &Version, hash: Digest, times: u32) {
        match self.failed.iter_mut().find(|failed| failed.hash == hash) {
            Some(failed) => failed.times = failed.times.saturating_add(times),
            None => self.failed.push(Failed { version: version.clone(), hash, times }),
        }
        let surplus = self.failed.len().saturating_sub(REMEMBERED);
        self.failed.drain(..surplus);
    }
}

impl LauncherFile {
    /// The stored note. A damaged note counts as none: the failures that it named cost one more
    /// try.
    pub(super) fn note(&self) -> Result<Option<Note>, FileError> {
        let path = self.note_path();
        match look::read(&path, look::SMALL) {
            Ok(Some(json)) => Ok(serde_json::from_slice(&json)
                .inspect_err(|error| tracing::warn!(error = error_chain::line(error), path = %path.display(), "the note of an exchange is damaged"))
                .ok()),
            Ok(None) => Ok(None),
            Err(error) => Err(FileError::new("read", path, error)),
        }
    }

    pub(super) fn write_note(&self, note: &Note) -> Result<(), FileError> {
        let path = self.note_path();
        if *note == Note::default() {
            return remove_file(&path).map(drop);
        }
        let json = serde_json::to_vec_pretty(note).at("write", &path)?;
        durable::replace(&path, &json).at("write", &path)
    }
}
