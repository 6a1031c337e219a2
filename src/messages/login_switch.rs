//! The user's switch for the start of the app at login, as the engine reaches it.
//!
//! The engine stands below the code that knows the app's name and the launcher's own path, which
//! the system's entry needs. So that code passes this switch down.

use super::protocol::{LoginStart, Problem};

/// The user's switch for the start of the app at login.
pub(crate) trait LoginSwitch: Send + Sync {
    /// How it stands now.
    fn state(&self) -> Result<LoginStart, Problem>;

    /// Makes the system start the app at login, or no longer.
    fn turn(&self, on: bool) -> Result<(), Problem>;
}
