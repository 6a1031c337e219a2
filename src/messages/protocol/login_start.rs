//! Whether the app starts when its user logs in, as the window shows it.

use serde::Serialize;

/// Whether the app starts when its user logs in, and whether the launcher can change that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginStart {
    /// It does.
    On,
    /// It does not.
    Off,
    /// The launcher asks the system to start it, and a person has switched that off in the settings
    /// of the system. Only there it can be switched on again.
    OffInSystem,
    /// The system has no place for programs that start at login.
    Unavailable,
}

impl LoginStart {
    /// Whether the launcher can change it.
    pub const fn can_change(self) -> bool {
        matches!(self, Self::On | Self::Off)
    }
}
