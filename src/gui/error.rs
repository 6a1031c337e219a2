//! Why no window opened, or why it ended early.

use std::any::Any;

/// Why no window opened, or why it ended early.
#[derive(Debug, thiserror::Error)]
pub enum WindowError {
    /// There is no display, or none that lets us open a window.
    #[error("no window can be opened: {0}")]
    NoWindow(String),
    /// The window system chooses the position of windows, so no window can be put at the edge of
    /// the screen.
    #[error("this window system lets no program say where its window goes")]
    NoPlace,
    /// The system shows no notifications, or none with buttons.
    #[error("the system shows no notification that can be answered: {0}")]
    NoNotifications(String),
    /// A window opened, but this renderer cannot draw into it.
    #[error("the window cannot be drawn: {0}")]
    NoDrawing(String),
    /// A fault in the window's own code or in a library below it.
    #[error("the window failed: {0}")]
    Panicked(String),
}

impl WindowError {
    /// The error for a panic that was caught around a window.
    pub(super) fn of_panic(panic: &(dyn Any + Send)) -> Self {
        Self::Panicked(words(panic))
    }
}

/// What a panic said.
fn words(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "unknown panic".to_owned())
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    #[test]
    fn a_panics_words_are_retained() {
        let caught = |panic: fn()| words(catch_unwind(panic).unwrap_err().as_ref());
        assert_eq!(caught(|| panic!("missing {}", "libxkbcommon-x11")), "missing libxkbcommon-x11");
        assert_eq!(caught(|| panic!("plain")), "plain");
        assert_eq!(caught(|| std::panic::panic_any(1)), "unknown panic");
    }
}
