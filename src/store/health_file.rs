//! The file in which the app reports that it is up, or that it failed.
//!
//! In: a folder for health files. Out: a new file for each start, and the app's last report. Never:
//! decides what a report means (the session's `health` does that).

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::{durable, look};

/// Longest part of a health file that is read, bytes.
const MAX_HEALTH_REPORT: u64 = 4096;
const PREFIX: &str = "health-";
/// How long a health file stays; several instances of an app may be starting.
const REPORT_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// The app's report about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HealthReport {
    /// `up`: the app works.
    Up,
    /// `failed …`: the app does not work, with its reason.
    Failed(String),
}

/// The file that a started app writes to, one line at a time: `up`, or `failed` and why.
#[derive(Clone, Debug)]
pub(crate) struct HealthFile(PathBuf);

impl HealthFile {
    /// Creates a new one in `folder`. It is a file and not a socket for four reasons: a shell can
    /// write to it without a tool, nothing listens on the machine, an app never waits for a
    /// launcher that has ended, and the report outlives the launcher.
    pub(super) fn create(folder: &Path) -> std::io::Result<Self> {
        durable::create_folders(folder)?;
        for (file, modified) in files(folder) {
            // Deletes the files of starts that ended long ago.
            if modified.elapsed().is_ok_and(|age| age > REPORT_LIFETIME) {
                let _ = fs::remove_file(file);
            }
        }
        let path = folder.join(format!("{PREFIX}{:016x}", fastrand::u64(..)));
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&path)?;
        Ok(Self(path))
    }

    /// The most recently written one in `folder`, if it was written after `since`.
    pub(super) fn last(folder: &Path, since: jiff::Timestamp) -> Option<Self> {
        let since = SystemTime::from(since);
        files(folder)
            .filter(|(_, modified)| *modified >= since)
            .max_by_key(|(_, modified)| *modified)
            .map(|(path, _)| Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes `up`, as the app itself would.
    pub(super) fn say_up(&self) -> std::io::Result<()> {
        use std::io::Write as _;
        fs::OpenOptions::new().append(true).open(&self.0)?.write_all(b"up\n")
    }

    /// The app's last report.
    pub(crate) fn health_report(&self) -> Option<HealthReport> {
        use std::io::{Read as _, Seek as _, SeekFrom};
        let end = || {
            let mut text = Vec::new();
            let mut file = look::open(&self.0)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(MAX_HEALTH_REPORT)))?;
            file.take(MAX_HEALTH_REPORT).read_to_end(&mut text).map(|_| text)
        };
        let text = look::again(end).ok()?;
        let text = String::from_utf8_lossy(&text);
        text.lines().rev().find_map(|line| {
            let line = line.trim();
            match line.strip_prefix("failed") {
                Some(reason) => {
                    Some(HealthReport::Failed(reason.trim_start_matches([':', ' ']).to_owned()))
                }
                None => (line == "up").then_some(HealthReport::Up),
            }
        })
    }
}

/// Health files in `folder`, with the time each was written.
fn files(folder: &Path) -> impl Iterator<Item = (PathBuf, SystemTime)> {
    let is_health = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(PREFIX);
    let entries = look::entries_if_readable(folder).into_iter().filter(is_health);
    entries.filter_map(|entry| Some((entry.path(), entry.metadata().ok()?.modified().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_thing_an_app_stated_counts_and_noise_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = HealthFile::create(folder.path()).unwrap();
        let after = |text: &[u8]| {
            fs::write(file.path(), text).unwrap();
            file.health_report()
        };
        assert_eq!(file.health_report(), None);
        assert_eq!(after(b"starting\n"), None);
        assert_eq!(after(b"starting\r\nup \r\n"), Some(HealthReport::Up));
        assert_eq!(
            after(b"up\nfailed: no database\n"),
            Some(HealthReport::Failed("no database".to_owned()))
        );
        assert_eq!(after(&[0xFF; 100_000]), None);
        assert_eq!(
            after(format!("{}\nup\n", "noise\n".repeat(2000)).as_bytes()),
            Some(HealthReport::Up),
            "the end is read"
        );
        // Another instance starts: it has its own file, and the most recent writer counts, if it
        // wrote after the given time.
        let next = HealthFile::create(folder.path()).unwrap();
        fs::File::options()
            .write(true)
            .open(file.path())
            .unwrap()
            .set_modified(SystemTime::UNIX_EPOCH + REPORT_LIFETIME)
            .unwrap();
        let since = jiff::Timestamp::from_second(90_000).unwrap();
        assert_eq!(HealthFile::last(folder.path(), since).unwrap().path(), next.path());
        assert!(
            HealthFile::last(
                folder.path(),
                jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1)
            )
            .is_none()
        );
        HealthFile::create(folder.path()).unwrap();
        assert!(!file.path().exists() && next.path().exists());
    }
}
