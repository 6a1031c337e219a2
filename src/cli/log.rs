//! The log: English, with cause chains, in `<home>/logs/launcher.log`; the file before it is kept as `launcher.log.1`.

use std::fs::{self, File, OpenOptions};
use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::Arc;

use tracing::Level;

/// A log longer than this, in bytes, is put aside at the next start.
const LONGEST_LOG: u64 = 2 << 20;

/// Writes the log into `folder` from now on. That there is none is no reason not to start an app.
pub fn to_folder(folder: &Path) {
    if let Some(file) = open(folder) {
        let subscriber =
            tracing_subscriber::fmt().with_max_level(Level::INFO).with_ansi(false).with_writer(Arc::new(file)).finish();
        // Only the first subscriber of a process counts.
        let _ = tracing::subscriber::set_global_default(subscriber);
    }
}

/// Writes warnings and errors, or everything if `verbose`, to standard error.
pub fn to_terminal(verbose: bool) {
    let colours = std::io::stderr().is_terminal();
    let level = if verbose { Level::INFO } else { Level::WARN };
    let subscriber = tracing_subscriber::fmt().with_max_level(level).with_ansi(colours).with_writer(std::io::stderr).finish();
    let _ = tracing::subscriber::set_global_default(subscriber);
}

fn open(folder: &Path) -> Option<File> {
    fs::create_dir_all(folder).ok()?;
    let path = folder.join("launcher.log");
    if fs::metadata(&path).is_ok_and(|found| found.len() > LONGEST_LOG) {
        // Another launcher may do the same at this moment; then one of the two finds nothing to rename.
        let _ = fs::rename(&path, folder.join("launcher.log.1"));
    }
    OpenOptions::new().create(true).append(true).open(path).ok()
}
