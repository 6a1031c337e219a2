//! The launcher's life: from the start of a shortcut until the app has ended and no work is left.
//!
//! ```text
//! installation   settings and home      starting   a start that takes long   run          the action of a shortcut
//! resident       beside the app         reports    what happened to the app  self_update  this executable
//! present        windows, notifications terminal   an engine without a window
//! repairing      a version that does not start
//! shortcuts      the entry in the menu  login_switch   the start at login
//! old_shortcuts  those of an earlier installation        program_list   the list of installed programs
//! output, log, streams   printed output, the log, and the streams for both
//! ```
//!
//! In: an installation and options. Out: an `Ending`, printed output and windows. Never: reads
//! command lines; `cli` reads them and calls this room.

pub(crate) mod installation;
pub(crate) mod log;
pub(crate) mod login_switch;
pub(crate) mod old_shortcuts;
pub(crate) mod output;
pub(crate) mod present;
mod program_list;
mod repairing;
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
    /// The started app's own exit code.
    App(u32),
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

    /// The exit code of this process.
    const fn code(self) -> u32 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::NothingToDo => 3,
            Self::Expiring => 4,
            Self::App(code) => code,
        }
    }

    /// What `main` returns. A code that has more than one byte, which only Windows knows, ends the
    /// process here: [`std::process::ExitCode`] does not hold it.
    pub fn end_process(self) -> std::process::ExitCode {
        let code = self.code();
        u8::try_from(code).map_or_else(|_| std::process::exit(code.cast_signed()), Into::into)
    }
}
