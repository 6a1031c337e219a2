//! Why settings are refused.
//!
//! In: what reading and checking find. Out: one error with the file, and the setting where one is
//! to blame. Never: a value.

use std::path::PathBuf;

use crate::file_error::FileError;

/// Why settings are refused.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is no such file.
    #[error("there is no settings file {}; it belongs beside the launcher, or is named with --config", path.display())]
    Missing { path: PathBuf },
    /// Not TOML, or a key is misspelt or has the wrong kind of value.
    #[error("{}: not valid settings", path.display())]
    Form {
        path: PathBuf,
        /// The place of the mistake, and its kind.
        source: Box<toml::de::Error>,
    },
    /// A value makes no sense.
    #[error("{}: {setting}: {reason}", path.display())]
    Value {
        path: PathBuf,
        /// Name of the setting.
        setting: &'static str,
        /// The values that it may have.
        reason: String,
    },
}
