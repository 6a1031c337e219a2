//! The log, in English, with error chains, in `<home>/logs/launcher.log`. The previous file stays
//! as `launcher.log.1`.
//!
//! In: log messages of the rooms. Out: at most two files of [`MAX_LOG_BYTES`] bytes. Never: returns
//! an error. A failure to write the log (a full disk) must not keep an app from starting.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tracing::Level;

use super::streams::StandardError;
use crate::durable;
use crate::mutex;

/// Size of the log, bytes, above which it becomes the previous file.
const MAX_LOG_BYTES: u64 = 2 << 20;
/// After this many bytes the launcher reads the file's length again: other launchers write to it as
/// well.
const RECHECK_AFTER_BYTES: u64 = 64 << 10;

/// Writes the log into `folder` from now on. A folder that cannot be written is no reason not to
/// start an app.
pub(crate) fn to_folder(folder: &Path) {
    let writer = LogFile::in_folder(folder);
    let subscriber = tracing_subscriber::fmt().with_max_level(Level::INFO).with_ansi(false);
    let subscriber =
        subscriber.log_internal_errors(false).with_writer(move || writer.clone()).finish();
    // Only the first subscriber of a process counts.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Writes warnings and errors, or everything if `verbose`, to standard error.
pub(crate) fn to_terminal(verbose: bool) {
    let colours = io::stderr().is_terminal();
    let level = if verbose { Level::INFO } else { Level::WARN };
    let subscriber = tracing_subscriber::fmt().with_max_level(level).with_ansi(colours);
    let subscriber = subscriber.log_internal_errors(false).with_writer(|| StandardError).finish();
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// A log file that accepts every line, and becomes the previous file when it is too long.
#[derive(Clone)]
struct LogFile {
    path: PathBuf,
    longest: u64,
    open: Arc<Mutex<Open>>,
}

#[derive(Default)]
struct Open {
    file: Option<File>,
    /// Bytes written since the length was last read.
    written: u64,
}

impl LogFile {
    fn in_folder(folder: &Path) -> Self {
        let log = Self {
            path: folder.join("launcher.log"),
            longest: MAX_LOG_BYTES,
            open: Arc::default(),
        };
        log.look(&mut mutex::lock(&log.open));
        log
    }

    /// Opens the file, or a new one if the present one is too long. If it cannot be opened now, the
    /// next call tries again.
    fn look(&self, open: &mut Open) {
        let is_long =
            |path: &Path| fs::metadata(path).is_ok_and(|found| found.len() > self.longest);
        if is_long(&self.path) {
            // Another launcher may do the same at this moment; then one of the two finds no file to
            // rename.
            let _ = fs::rename(&self.path, self.path.with_extension("log.1"));
        }
        *open = Open { file: self.open_file().ok(), written: 0 };
    }

    fn open_file(&self) -> io::Result<File> {
        if let Some(folder) = self.path.parent() {
            durable::create_folders(folder)?;
        }
        let mut options = OpenOptions::new();
        durable::written_by_owner(options.create(true).append(true));
        // If somebody put a pipe there, opening it would block.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, nonblocking());
        let file = options.open(&self.path)?;
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
    }
}

#[cfg(unix)]
fn nonblocking() -> i32 {
    rustix::fs::OFlags::NONBLOCK.bits().cast_signed()
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut open = mutex::lock(&self.open);
        if open.written >= RECHECK_AFTER_BYTES.min(self.longest) {
            self.look(&mut open);
        }
        open.written += bytes.len() as u64;
        if let Some(file) = &mut open.file {
            let _ = file.write_all(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(path: &Path) -> u64 {
        fs::metadata(path).map_or(0, |found| found.len())
    }

    #[test]
    fn a_launcher_that_stays_for_weeks_writes_no_more_than_two_files() {
        let folder = tempfile::tempdir().unwrap();
        let mut one = LogFile { longest: 10_000, ..LogFile::in_folder(folder.path()) };
        let mut two = LogFile { longest: 10_000, ..LogFile::in_folder(folder.path()) };
        for number in 0..2_000 {
            one.write_all(format!("line {number} of the one\n").as_bytes()).unwrap();
            two.write_all(format!("line {number} of the other\n").as_bytes()).unwrap();
        }
        let [now, before] = ["launcher.log", "launcher.log.1"].map(|name| folder.path().join(name));
        // Each of the two reads the length after 10,000 bytes that it has written itself.
        assert!((1..=30_000).contains(&length(&now)) && (1..=30_000).contains(&length(&before)));
        assert!(fs::read_to_string(&now).unwrap().ends_with("line 1999 of the other\n"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_log_that_cannot_be_written_takes_everything() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        LogFile::in_folder(&folder.path().join("file")).write_all(b"a line\n").unwrap();
        fs::create_dir(folder.path().join("launcher.log")).unwrap();
        LogFile::in_folder(folder.path()).write_all(b"a line\n").unwrap();
    }
}
