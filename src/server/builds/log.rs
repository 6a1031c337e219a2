//! The log of a build, a file with a line of JSON for each line of its programs.
//!
//! In: what programs print. Out: lines, each with the place behind it, by which a reader goes on
//! later. Never: more than [`MOST_BYTES`]; a sign that does something in a terminal.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use serde::Serialize;

use crate::error_chain;
use crate::host;
use crate::{look, plain};

/// Most bytes of a log; what comes then is left out.
const MOST_BYTES: u64 = 8 << 20;
/// Longest line, signs.
const LONGEST_LINE: usize = 2000;
/// Bytes that a reader gets at a time.
const READ_BYTES: u64 = 256 << 10;

/// A line as it is stored and sent.
#[derive(Serialize)]
struct Line<'a> {
    /// Seconds since 1970.
    at: i64,
    text: &'a str,
}

/// A log that grows.
pub(super) struct LogFile {
    file: File,
    bytes: u64,
}

impl LogFile {
    /// Goes on with the log at `path`, or begins it.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { file, bytes })
    }

    /// Adds a line. A log that cannot be written ends no build.
    pub(super) fn line(&mut self, text: &str) {
        if self.bytes > MOST_BYTES {
            return;
        }
        let text = plain::line(text.trim_end(), LONGEST_LINE);
        self.write(&text);
        if self.bytes > MOST_BYTES {
            self.write("the log is full; what comes now is left out");
        }
    }

    fn write(&mut self, text: &str) {
        let line = Line { at: host::now().as_second(), text };
        let Ok(mut line) = serde_json::to_string(&line) else { return };
        line.push('\n');
        // One call: a worker that has lost its job may write beside its successor.
        match self.file.write_all(line.as_bytes()) {
            Ok(()) => self.bytes += line.len() as u64,
            Err(error) => {
                tracing::warn!(error = error_chain::line(&error), "a build's log lacks a line");
            }
        }
    }
}

/// Whole lines of the log from `place` on, each with the place behind it. A place that is between
/// no lines counts as the beginning.
pub(super) fn read(path: &Path, place: u64) -> io::Result<Vec<(u64, String)>> {
    if !look::is_there(path)? {
        return Ok(Vec::new());
    }
    let mut file = File::open(path)?;
    let begin = if is_between_lines(&mut file, place)? { place } else { 0 };
    file.seek(SeekFrom::Start(begin))?;
    let mut bytes = Vec::new();
    file.take(READ_BYTES).read_to_end(&mut bytes)?;
    let mut at = begin;
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').filter_map(|line| {
        at += line.len() as u64;
        let line = line.strip_suffix(b"\n")?;
        Some((at, String::from_utf8_lossy(line).into_owned()))
    });
    Ok(lines.collect())
}

fn is_between_lines(file: &mut File, place: u64) -> io::Result<bool> {
    if place == 0 {
        return Ok(true);
    }
    if place > file.metadata()?.len() {
        return Ok(false);
    }
    let mut before = [0];
    file.seek(SeekFrom::Start(place - 1))?;
    file.read_exact(&mut before)?;
    Ok(before == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_goes_on_where_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        assert!(read(&path, 0).unwrap().is_empty());
        let mut log = LogFile::open(&path).unwrap();
        log.line("one\n");
        log.line("two \u{1b}[31m\"red\"");
        let lines = read(&path, 0).unwrap();
        assert_eq!(lines.len(), 2);
        let value: serde_json::Value = serde_json::from_str(&lines[1].1).unwrap();
        let text = value["text"].as_str().unwrap();
        assert!(text.starts_with("two ") && !text.contains('\u{1b}'), "{text:?}");
        assert_eq!(read(&path, lines[0].0).unwrap(), lines[1..]);
        assert!(read(&path, lines[1].0).unwrap().is_empty());
        // Places that nobody was given.
        for place in [1, lines[1].0 + 1, u64::MAX] {
            assert_eq!(read(&path, place).unwrap(), lines, "{place}");
        }
        LogFile::open(&path).unwrap().line("three");
        assert_eq!(read(&path, lines[1].0).unwrap().len(), 1);
        // A line that is still being written is not there yet.
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"at\"").unwrap();
        assert_eq!(read(&path, 0).unwrap().len(), 3);
    }

    #[test]
    fn a_log_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = LogFile::open(&path).unwrap();
        let line = "x".repeat(5000);
        for _ in 0..2 * MOST_BYTES / 2000 {
            log.line(&line);
        }
        let length = std::fs::metadata(&path).unwrap().len();
        assert!((MOST_BYTES..MOST_BYTES + 8192).contains(&length), "{length}");
    }
}
