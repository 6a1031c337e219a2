//! The windows of another program, and the message by which a window manager closes one.
//!
//! In: ids of processes. Out: their windows; a request to close one, the same as a click on its
//! close button. Never: closes a window or ends its program by force, decides which window to ask.

#[cfg(target_os = "macos")]
mod mac;
#[cfg(windows)]
mod win32;
mod window;
#[cfg(all(unix, not(target_os = "macos")))]
mod x11;

#[cfg(target_os = "macos")]
use mac as system;
#[cfg(windows)]
use win32 as system;
#[cfg(all(unix, not(target_os = "macos")))]
use x11 as system;

pub(crate) use self::window::{Unseen, Window, WindowKind};
use super::processes::{self, Process};

/// A connection to one display, for its windows.
pub(crate) struct DisplayConnection(system::DisplayConnection);

impl DisplayConnection {
    /// Connects to the display of this session.
    pub(crate) fn connect() -> Result<Self, Unseen> {
        system::DisplayConnection::connect().map(Self)
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
pub(crate) fn may_face_a_person(
    desktop: &Result<DisplayConnection, Unseen>,
    processes: &[Process],
) -> bool {
    let at_terminal = || processes.iter().any(|process| processes::reads_terminal(process.id));
    match desktop {
        Ok(desktop) => desktop.serves(processes) || system::hides_windows() || at_terminal(),
        Err(Unseen::NoDisplay) => at_terminal(),
        Err(_) => true,
    }
}

/// Whether windows may be open that this system does not show to other programs, or does not show
/// now.
pub(crate) fn may_hide_windows(desktop: &Result<DisplayConnection, Unseen>) -> bool {
    match desktop {
        Ok(_) => system::hides_windows(),
        Err(Unseen::NoDisplay) => false,
        Err(_) => true,
    }
}
