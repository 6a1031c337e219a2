//! Errors of making installers.

use std::io;
use std::path::PathBuf;

use crate::desktop::DesktopError;
use crate::file_error::FileError;

/// Why an installer cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InstallerError {
    /// A file that goes into the installer could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The menu entry cannot be written.
    #[error(transparent)]
    Menu(#[from] DesktopError),
    /// The installer itself could not be written.
    #[error("cannot write the installer")]
    Output(#[from] io::Error),
    /// A value in `[app]` does not fit what the format allows.
    #[error("[app] {setting} in kuzflow.toml cannot be used: {reason}")]
    Setting { setting: &'static str, reason: String },
    /// The icon is no PNG, or far too large.
    #[error("{} is no PNG of at most 2048 pixels", path.display())]
    Icon { path: PathBuf },
    /// `launcher.toml` cannot be used.
    #[error("{} cannot be shipped: {reason}", path.display())]
    LauncherSettings { path: PathBuf, reason: String },
    /// The format's own limit is exceeded.
    #[error("it does not fit into a {format}: {reason}")]
    TooLarge { format: &'static str, reason: String },
}
