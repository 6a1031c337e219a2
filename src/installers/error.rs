//! Errors of making installers.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::desktop::DesktopError;
use crate::error_chain;
use crate::file_error::FileError;
use crate::named_file::OutputError;

/// All that is wrong with what installers say of the app.
#[derive(Debug)]
pub(crate) struct InstallerFaults(pub Vec<InstallerError>);

impl fmt::Display for InstallerFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.0.iter().map(|fault| error_chain::line(fault)).collect();
        f.write_str(&texts.join("\n  - "))
    }
}

impl std::error::Error for InstallerFaults {}

/// Why an installer cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InstallerError {
    /// A file that goes into the installer could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file of another kind stands where an installer is to be written.
    #[error(transparent)]
    Place(#[from] OutputError),
    /// The menu entry cannot be written.
    #[error(transparent)]
    Menu(#[from] DesktopError),
    /// The installer itself could not be written.
    #[error("cannot write the installer")]
    Output(#[from] io::Error),
    /// A value in `[app]` does not fit what the format allows.
    #[error("[app] {setting} in kuzflow.toml cannot be used: {reason}")]
    Setting { setting: &'static str, reason: String },
    /// The icon cannot be used.
    #[error("the icon {} {reason}", path.display())]
    Icon { path: PathBuf, reason: String },
    /// `launcher.toml` cannot be used.
    #[error("{} cannot be shipped: {reason}", path.display())]
    LauncherSettings { path: PathBuf, reason: String },
    /// The format's own limit is exceeded.
    #[error("it does not fit into a {format}: {reason}")]
    TooLarge { format: &'static str, reason: String },
    /// A folder of tools cannot be packaged.
    #[error("the tools in {} cannot be packaged: {reason}", folder.display())]
    Tools { folder: PathBuf, reason: String },
    /// There is no such package of tools.
    #[error("tools are not packaged as {format}: choose deb, rpm, setup or portable")]
    NoTools { format: &'static str },
    /// The launcher's file is none that can be shipped for its system.
    #[error("the launcher {} cannot be used: {reason}", path.display())]
    Launcher { path: PathBuf, reason: String },
    /// A program that makes installers is missing.
    #[error("{tool} is not installed: {advice}")]
    NoTool { tool: &'static str, advice: &'static str },
    /// It could not be started.
    #[error("cannot start {tool}")]
    Start { tool: &'static str, source: io::Error },
    /// It failed.
    #[error("{tool} has failed: {output}")]
    Tool { tool: &'static str, output: String },
    /// The command in `[sign]` does not say what it signs.
    #[error(
        "[sign] in kuzflow.toml: `{command}` has no {{file}}, which stands for what is to be signed"
    )]
    SignCommand { command: String },
    /// The command in `[sign]` failed.
    #[error("{} is not signed: `{command}` has failed: {reason}", path.display())]
    Sign { command: String, path: PathBuf, reason: String },
    /// The archive cannot be made.
    #[error("cannot make the archive")]
    Archive(#[from] zip::result::ZipError),
    /// The disk image cannot be made.
    #[error(transparent)]
    Volume(#[from] super::mac::VolumeError),
}
