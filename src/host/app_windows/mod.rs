//! The windows of another program, and the message by which a window manager closes one.
//!
//! In: ids of processes. Out: what windows they have; a wish to close one, as a click on its cross
//! gives it. Never: a window or its program ended by force, and never a decision about which window
//! to ask.

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

/// What a window is for.
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
    /// Its number.
    pub id: u64,
    /// Whose it is.
    pub process: u32,
    /// What it is for.
    pub kind: Kind,
    /// The window that it belongs to.
    pub owner: Option<u64>,
    /// It keeps the person from using the others: a question, usually.
    pub modal: bool,
    /// It understands the wish to be closed.
    pub can_close: bool,
}

/// Why the windows are not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unseen {
    /// This session has no display.
    #[error("there is no display")]
    NoDisplay,
    /// There may be windows, but they cannot be seen from here: Wayland shows nobody another
    /// program's.
    #[error("the windows of other programs cannot be seen here")]
    Hidden,
    /// The display does not answer.
    #[error("the display does not answer: {0}")]
    Broken(String),
}

/// A look at the windows of one display.
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

    /// Asks a window to close, as its cross does. One that cannot be asked is left alone.
    pub(crate) fn ask_to_close(&self, window: &Window) -> Result<(), Unseen> {
        if window.can_close { self.0.ask_to_close(window) } else { Ok(()) }
    }

    /// Brings a window before the others, so that what it asks is seen.
    pub(crate) fn bring_forward(&self, window: &Window) -> Result<(), Unseen> {
        self.0.bring_forward(window)
    }

    /// Whether one of these processes is connected to the display, with a window or without.
    fn serves(&self, processes: &[Process]) -> bool {
        self.0.serves(processes)
    }
}

/// Whether a person may have work in an app none of whose windows is open: it could still open one,
/// its windows cannot be seen from here, or it reads from a terminal. Whatever is not known counts
/// as yes.
pub(crate) fn may_face_a_person(desktop: &Result<Desktop, Unseen>, processes: &[Process]) -> bool {
    let at_terminal = || processes.first().is_some_and(|root| processes::reads_terminal(root.id));
    match desktop {
        Ok(desktop) => desktop.serves(processes) || system::hides_windows() || at_terminal(),
        Err(Unseen::NoDisplay) => at_terminal(),
        Err(_) => true,
    }
}
