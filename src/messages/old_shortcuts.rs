//! The shortcuts of an earlier installation, as the engine reaches them.
//!
//! As with [`super::login_switch`], only the code above the engine knows the app's own entry.

use super::protocol::{OldShortcuts, Problem, ShortcutChoice};

/// What the engine asks about old shortcuts.
pub(crate) trait OldShortcutsSwitch: Send + Sync {
    /// How they stand now.
    fn state(&self) -> Result<OldShortcuts, Problem>;

    /// Does what the user has chosen, and remembers that the user has answered.
    fn choose(&self, choice: ShortcutChoice) -> Result<(), Problem>;
}
