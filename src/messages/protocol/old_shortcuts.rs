//! The shortcuts of an earlier installation, as the window shows them.

use serde::Serialize;

/// The shortcuts that an earlier installation of the app has left.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OldShortcuts {
    /// Those that still start the earlier installation.
    pub found: Vec<FoundShortcut>,
    /// How many have given way to this installation; they can be put back.
    pub replaced: usize,
    /// Whether the user has said what becomes of them, so that nobody asks again.
    pub answered: bool,
}

impl OldShortcuts {
    /// Whether the user is still to be asked.
    pub const fn asks(&self) -> bool {
        !self.answered && !self.found.is_empty()
    }
}

/// A shortcut that still starts the earlier installation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FoundShortcut {
    /// Its name as the user sees it.
    pub name: String,
    /// Whether it lies on the desktop; otherwise it is in the menu.
    pub on_desktop: bool,
}

/// What the user wants of the old shortcuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShortcutChoice {
    /// They give way to the app's own.
    Replace,
    /// They stay as they are.
    Leave,
    /// Those that have given way come back.
    Restore,
}
