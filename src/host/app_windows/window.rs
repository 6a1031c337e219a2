//! What is known of a window, and why one may not be seen.
//!
//! In: nothing. Out: plain values that the systems' looks give. Never: a look.

/// The purpose of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum WindowKind {
    /// One that a person works in.
    Main,
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
    pub kind: WindowKind,
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
