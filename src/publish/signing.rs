//! `[sign]` of `kuzflow.toml`: the commands with which each system's programs and installers are
//! signed.
//!
//! In: the table as it is written. Out: the same. Never: a key or a password; the commands have
//! them.

use serde::{Deserialize, Serialize};

/// For each system the words of a command; `{file}` stands for what is signed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SigningCommands {
    /// Signs the launcher's executable, the uninstaller and `Setup.exe`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<String>,
    /// Signs the application bundle and the disk image.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub macos: Vec<String>,
}

impl SigningCommands {
    pub(super) fn is_empty(&self) -> bool {
        self.windows.is_empty() && self.macos.is_empty()
    }
}
