//! The notes of processes that run a version, or are about to start it.
//!
//! In: the folder of notes. Out: processes with their start times, as far as the notes are whole.
//! Never: takes a note that cannot be read for absent while its process may be alive.

use std::io;
use std::path::Path;

use crate::look;
use crate::store::processes;
use crate::store::successors::EndedProcess;

/// A process's note.
pub(super) struct LockRecord {
    pub(super) process: u32,
    /// Its start time, in the system's own form.
    pub(super) started: String,
    /// The process does not run the version, but is about to start it.
    pub(super) is_launcher: bool,
    /// The end of the process was seen.
    has_ended: bool,
}

impl LockRecord {
    /// The note in `entry`; `None` if there is no complete one. An error if it cannot be read and
    /// its process may be alive: the version may be running then.
    pub(super) fn read(entry: &std::fs::DirEntry) -> io::Result<Option<Self>> {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { return Ok(None) };
        let launcher = name.strip_suffix(LAUNCHER);
        let Ok(process) = launcher.unwrap_or(name).parse() else { return Ok(None) };
        let started = match look::read(&entry.path(), look::SMALL) {
            Err(error) if processes::may_be_alive(process) => return Err(error),
            started => started.ok().flatten().and_then(|started| String::from_utf8(started).ok()),
        };
        let Some(started) = started else { return Ok(None) };
        let (has_ended, started) = match started.strip_suffix(ENDED) {
            Some(started) => (true, started.to_owned()),
            None => (false, started),
        };
        Ok(Some(Self { process, started, is_launcher: launcher.is_some(), has_ended }))
    }

    pub(super) fn is_alive(&self) -> bool {
        !self.has_ended && processes::is_alive(self.process, &self.started)
    }

    /// Whether the process may have successors without a note.
    pub(super) fn may_have_successor(&self) -> bool {
        !self.is_launcher && !self.has_ended && !self.started.is_empty()
    }

    pub(super) fn ended(&self) -> EndedProcess<'_> {
        EndedProcess { started: &self.started, start: None, seen: None }
    }

    pub(super) fn name(&self) -> String {
        if self.is_launcher { launcher(self.process) } else { self.process.to_string() }
    }
}

/// Suffix of the start time in the note of a process whose end was seen.
pub(super) const ENDED: &str = " ended";

/// The name of a launcher's note.
pub(super) fn launcher(process: u32) -> String {
    format!("{process}{LAUNCHER}")
}

/// Suffix of the name of a launcher's note.
const LAUNCHER: &str = ".launcher";

/// Noted processes with their start times. Incomplete notes are skipped.
pub(super) fn recorded(folder: &Path) -> io::Result<Vec<LockRecord>> {
    let read = |entry| LockRecord::read(&entry).transpose();
    look::entries(folder)?.into_iter().filter_map(read).collect()
}
