//! What is known of a process.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// A living process of this user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::store) struct Process {
    pub id: u32,
    /// Its start time, in the system's own form (see [`super::start`]).
    pub started: String,
    /// How long ago it was started, where the system reports that.
    pub age: Option<Duration>,
    /// The process that started it, where the system reports that.
    pub parent: Option<u32>,
    pub program: Option<PathBuf>,
    pub folder: Option<PathBuf>,
    /// Its command line, its own name first.
    pub arguments: Vec<OsString>,
    /// `KUZFLOW_HOME` in its environment: the version's folder.
    pub version: Option<OsString>,
    /// `KUZFLOW_HEALTH` in its environment: each start has a different value.
    pub start: Option<OsString>,
    /// It is just beginning another program: for a moment the system reports neither arguments nor
    /// environment.
    pub is_beginning: bool,
}

impl Process {
    /// A process of which only its identity matters.
    pub(in crate::store) fn identified(id: u32, started: String) -> Self {
        Self { id, started, ..Self::default() }
    }

    /// Whether both are the same process.
    pub(in crate::store) fn is_same(&self, other: &Self) -> bool {
        self.id == other.id && self.started == other.started
    }
}

/// Pause between two looks where the system offers no way to wait.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Clock ticks of [`Process::started`] in a second.
pub(in crate::store) const TICKS: u64 = if cfg!(windows) { 10_000_000 } else { 100 };
