//! Command lines: what a person or a script types, turned into calls of the rooms below, and their outcome into words and exit codes.
//!
//! `launcher` and `publisher` hold the verbs of the two programs; `run` is what a desktop shortcut does; `terminal` follows an
//! engine without a window.

#[cfg(feature = "publisher")]
mod build;
#[cfg(feature = "publisher")]
mod bundle;
mod desktop;
#[cfg(feature = "publisher")]
mod diff;
#[cfg(feature = "publisher")]
mod init;
#[cfg(feature = "publisher")]
mod listing;
mod log;
#[cfg(feature = "publisher")]
mod manual;
#[cfg(feature = "publisher")]
mod offered;
mod output;
#[cfg(feature = "publisher")]
mod passwords;
#[cfg(feature = "publisher")]
mod patches;
mod peers;
mod place;
#[cfg(feature = "publisher")]
mod progress;
#[cfg(feature = "publisher")]
mod project;
#[cfg(feature = "publisher")]
mod publish_launcher;
#[cfg(feature = "publisher")]
mod release;
#[cfg(feature = "publisher")]
mod renew;
mod resident;
#[cfg(feature = "publisher")]
mod retire;
#[cfg(feature = "publisher")]
mod rotate;
mod run;
mod self_update;
#[cfg(feature = "publisher")]
mod serve;
mod shown;
mod starting;
mod streams;
mod terminal;
#[cfg(feature = "publisher")]
mod try_start;

pub mod launcher;
#[cfg(feature = "publisher")]
pub mod publisher;

/// Above the options that every verb has, apart from the verb's own in `--help`.
const GLOBAL_OPTIONS: &str = "Global options";

/// How a command ended; also the process's exit status.
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
