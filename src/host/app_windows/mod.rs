//! The windows of another program, and the message by which a window manager closes one.
//!
//! In: ids of processes. Out: their windows; a request to close one, the same as a click on its
//! close button. Never: closes a window or ends its program by force, decides which window to ask.

#[cfg(target_os = "macos")]
mod mac;
#[cfg(windows)]
mod win32;
#[cfg(all(unix, not(target_os = "macos")))]
mod x11;

#[cfg(target_os = "macos")]
use mac as system;
#[cfg(windows)]
use win32 as system;
#[cfg(all(unix, not(target_os = "macos")))]
use x11 as system;

use super::processes::{self, Process};

/// The purpose of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// One that a person works in.
    Main,
    /// A dialog.
    Dialog,
    /// A tool bar, a panel, a splash screen.
    Other,
}

/// A window that is open, which includes a minimised one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub id: u64,
    /// The id of the process that it belongs to.
    pub process: u32,
    pub kind: Kind,
    /// The window that it belongs to.
    pub owner: Option<u64>,
    /// It blocks the other windows of the app: usually a question.
    pub modal: bool,
    /// It accepts a request to close.
    pub can_close: bool,
}

/// Why the windows cannot be listed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unseen {
    /// This session has no display.
    #[error("there is no display")]
    NoDisplay,
    /// Windows may exist, but this program cannot see them: Wayland shows no program the windows of
    /// another.
    #[error("the windows of other programs cannot be seen here")]
    Hidden,
    /// The display does not answer.
    #[error("the display does not answer: {0}")]
    Broken(String),
}

/// A connection to one display, for its windows.
pub(crate) struct Desktop(system::Desktop);

impl Desktop {
    /// Connects to the display of this session.
    pub(crate) fn connect() -> Result<Self, Unseen> {
        system::Desktop::connect().map(Self)
    }

    /// The windows of these processes, the oldest first where the system knows.
    pub(crate) fn windows(&self, processes: &[Process]) -> Result<Vec<Window>, Unseen> {
        self.0.windows(processes)
    }

    /// Asks a window to close, as its close button does. A window that accepts no request is left
    /// alone.
    pub(crate) fn ask_to_close(&self, window: &Window) -> Result<(), Unseen> {
        if window.can_close { self.0.ask_to_close(window) } else { Ok(()) }
    }

    /// Brings a window to the front, so that the user sees its question.
    pub(crate) fn bring_forward(&self, window: &Window) -> Result<(), Unseen> {
        self.0.bring_forward(window)
    }

    /// Whether one of these processes is connected to the display, with a window or without.
    fn serves(&self, processes: &[Process]) -> bool {
        self.0.serves(processes)
    }
}

/// Whether a person may have unsaved work in an app without an open window: it could still open
/// one, its windows cannot be seen, or it reads from a terminal. An unknown answer counts as yes.
pub(crate) fn may_face_a_person(desktop: &Result<Desktop, Unseen>, processes: &[Process]) -> bool {
    let at_terminal = || processes.first().is_some_and(|root| processes::reads_terminal(root.id));
    match desktop {
        Ok(desktop) => desktop.serves(processes) || system::hides_windows() || at_terminal(),
        Err(Unseen::NoDisplay) => at_terminal(),
        Err(_) => true,
    }
}
