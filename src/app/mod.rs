//! The launcher's life: from the start of a shortcut until the app has ended and no work is left.
//!
//! ```text
//! installation   settings and home      starting   a start that takes long   run          the action of a shortcut
//! resident       beside the app         reports    what happened to the app  self_update  this executable
//! present        windows, notifications terminal   an engine without a window
//! shortcuts      the entry in the menu  output, log, streams   printed output, the log, and the streams for both
//! ```
//!
//! In: an installation and options. Out: an `Ending`, printed output and windows. Never: reads
//! command lines; `cli` reads them and calls this room.

pub(crate) mod installation;
pub(crate) mod log;
pub(crate) mod output;
pub(crate) mod present;
mod reports;
mod resident;
pub(crate) mod run;
pub(crate) mod self_update;
pub(crate) mod shortcuts;
pub(crate) mod starting;
pub(crate) mod streams;
pub(crate) mod terminal;

/// How a command ended; its value is the process's exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Status 0.
    Done,
    /// Status 1.
    Failed,
    /// Status 3: there was nothing to do.
    NothingToDo,
    /// Status 4: done, but a signature expires soon or has expired.
    Expiring,
    /// The started app's own status.
    App(u8),
}

impl Ending {
    /// The ending of a verb whose only work is its output: it has failed if that is lost.
    pub(crate) fn of_report(self) -> Self {
        if self == Self::Failed || !streams::output_is_lost() {
            return self;
        }
        streams::error_line("error: standard output cannot be written; is its disk full?");
        Self::Failed
    }
}

impl From<Ending> for std::process::ExitCode {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Done => Self::SUCCESS,
            Ending::Failed => Self::FAILURE,
            Ending::NothingToDo => Self::from(3),
            Ending::Expiring => Self::from(4),
            Ending::App(status) => Self::from(status),
        }
    }
}
