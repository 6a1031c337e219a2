//! The reports that wait to be sent: one file each, so that two launchers of one home never write the
//! same file, and a kill leaves whole reports.
//!
//! In: reports, what is remembered. Out: the same later. Never: more files or bytes than the bounds
//! allow; a lock; a file with a name of somebody else's.

use std::io;
use std::path::{Path, PathBuf};

use super::memory::Memory;
use crate::file_error::{FileError, FileResult as _};
use crate::model::report::Report;
use crate::store::Home;
use crate::{durable, error_chain, look};

/// Most reports that wait.
const MOST_REPORTS: usize = 256;
/// Most bytes of them.
const MOST_BYTES: u64 = 256 << 10;
/// Largest file that is read, bytes.
const LARGEST_FILE: u64 = 64 << 10;

const MEMORY: &str = "memory.json";

/// The queue of a home.
pub(super) struct Queue {
    folder: PathBuf,
}

/// A report that waits, and its file.
pub(super) struct Waiting {
    pub(super) path: PathBuf,
    pub(super) report: Report,
}

impl Queue {
    pub(super) fn of(home: &Home) -> Self {
        Self { folder: home.reports() }
    }

    /// What is remembered; nothing if its file is damaged.
    pub(super) fn memory(&self) -> Memory {
        let bytes = look::read(&self.memory_path(), LARGEST_FILE);
        bytes
            .ok()
            .flatten()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }

    pub(super) fn remember(&self, memory: &Memory) -> Result<(), FileError> {
        self.write(&self.memory_path(), memory)
    }

    fn memory_path(&self) -> PathBuf {
        self.folder.join(MEMORY)
    }

    /// Adds a report. Returns how many had to go for it, the oldest first.
    pub(super) fn add(&self, report: &Report) -> Result<u64, FileError> {
        durable::remove_left(&self.folder);
        let mut files = self.files()?;
        let mut bytes: u64 = files.iter().map(|(_, bytes)| bytes).sum();
        let mut dropped = 0;
        while files.len() >= MOST_REPORTS || bytes >= MOST_BYTES {
            let (path, size) = files.remove(0);
            remove(&path)?;
            (bytes, dropped) = (bytes.saturating_sub(size), dropped + 1);
        }
        let name = format!("{:012}-{}.json", report.at.max(0), report.id);
        self.write(&self.folder.join(name), report)?;
        Ok(dropped)
    }

    /// The reports that wait, the oldest first. One that nobody can read any more is removed.
    pub(super) fn waiting(&self) -> Vec<Waiting> {
        let files = self.files().unwrap_or_else(|error| {
            tracing::debug!(error = error_chain::line(&error), "reports cannot be listed");
            Vec::new()
        });
        let mut waiting = Vec::new();
        for (path, _) in files {
            let Ok(Some(bytes)) = look::read(&path, LARGEST_FILE) else { continue };
            match serde_json::from_slice(&bytes) {
                Ok(report) => waiting.push(Waiting { path, report }),
                Err(error) => {
                    tracing::debug!(error = error_chain::line(&error), "a report is damaged");
                    let _ = remove(&path);
                }
            }
        }
        waiting
    }

    /// Removes these reports; no error for those that are gone.
    pub(super) fn remove(&self, paths: &[PathBuf]) -> Result<(), FileError> {
        paths.iter().try_for_each(|path| remove(path))
    }

    /// Removes everything, what is remembered as well.
    pub(super) fn clear(&self) -> Result<(), FileError> {
        durable::remove_left(&self.folder);
        for (path, _) in self.files()? {
            remove(&path)?;
        }
        remove(&self.memory_path())
    }

    /// The reports' files with their sizes, the oldest first.
    fn files(&self) -> Result<Vec<(PathBuf, u64)>, FileError> {
        let mut files = Vec::new();
        for entry in look::entries(&self.folder).at("read", &self.folder)? {
            let name = entry.file_name();
            let is_report = name.to_str().is_some_and(|name| {
                name.starts_with(|first: char| first.is_ascii_digit()) && name.ends_with(".json")
            });
            if is_report {
                // A file that went away meanwhile takes no room.
                let bytes = entry.metadata().map_or(0, |found| found.len());
                files.push((entry.path(), bytes));
            }
        }
        files.sort();
        Ok(files)
    }

    fn write(&self, path: &Path, value: &impl serde::Serialize) -> Result<(), FileError> {
        let bytes = serde_json::to_vec(value).map_err(io::Error::other).at("write", path)?;
        durable::create_private_folders(&self.folder).at("create", &self.folder)?;
        durable::replace(path, &bytes).at("write", path)
    }
}

fn remove(path: &Path) -> Result<(), FileError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(FileError::new("remove", path, error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::report::RandomId;

    fn report(number: u128) -> Report {
        let json = serde_json::json!({
            "id": RandomId::new(number), "installation": RandomId::new(1), "at": 1_796_000_000 + number as i64, "kind": "up",
            "app": "sample", "channel": "stable", "platform": "Linux_x86_64", "launcher": "0.1.0", "region": "Europe",
        });
        serde_json::from_value(json).unwrap()
    }

    fn numbers(queue: &Queue) -> Vec<i64> {
        queue.waiting().iter().map(|waiting| waiting.report.at - 1_796_000_000).collect()
    }

    #[test]
    fn the_oldest_reports_go_first_and_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let queue = Queue::of(&Home::new(folder.path()));
        assert_eq!(numbers(&queue), [0; 0]);
        let dropped: u64 =
            (0..MOST_REPORTS as u128 + 3).map(|number| queue.add(&report(number)).unwrap()).sum();
        assert_eq!(dropped, 3);
        let left = numbers(&queue);
        assert_eq!((left.len(), left[0], left[255]), (MOST_REPORTS, 3, 258));
        let paths: Vec<PathBuf> =
            queue.waiting().into_iter().take(2).map(|waiting| waiting.path).collect();
        queue.remove(&paths).unwrap();
        queue.remove(&paths).unwrap();
        assert_eq!(numbers(&queue)[0], 5);
        let mut memory = Memory::default();
        memory.dropped += dropped;
        queue.remember(&memory).unwrap();
        assert_eq!(queue.memory().dropped, 3);
        queue.clear().unwrap();
        assert_eq!((numbers(&queue).len(), queue.memory()), (0, Memory::default()));
    }

    #[test]
    fn large_reports_are_bounded_by_their_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let queue = Queue::of(&Home::new(folder.path()));
        let large = |number| {
            let region = "x".repeat(20_000);
            Report { region, ..report(number) }
        };
        let dropped: u64 = (0..20).map(|number| queue.add(&large(number)).unwrap()).sum();
        assert!(dropped >= 6, "{dropped}");
        assert_eq!(numbers(&queue).len() as u64 + dropped, 20);
    }

    #[test]
    fn damage_costs_one_report_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let queue = Queue::of(&Home::new(folder.path()));
        queue.add(&report(1)).unwrap();
        queue.add(&report(2)).unwrap();
        let first = queue.waiting().remove(0).path;
        std::fs::write(&first, "{").unwrap();
        std::fs::write(queue.memory_path(), "{").unwrap();
        std::fs::write(queue.folder.join("notes.txt"), "mine").unwrap();
        assert_eq!(numbers(&queue), [2]);
        assert!(!first.exists() && queue.folder.join("notes.txt").exists());
        assert_eq!(queue.memory(), Memory::default());
    }
}
