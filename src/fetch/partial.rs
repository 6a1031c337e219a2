//! Pieces on disk: a sparse file that grows piece by piece, and beside it a journal of the finished
//! ones.
//!
//! The journal marks a piece only after its bytes were written and the file was synced, in batches.
//! A journal proves nothing, since the disk may have rotted or a person may have changed the file.
//! Therefore opening hashes all marked pieces again. With another piece table, both files start
//! anew.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::error::{FetchError, WRITE_OR_READ};
use crate::file_error::{FileError, FileResult as _};
use crate::model::{Digest, Hasher, PieceTable};
use crate::mutex;
use crate::{durable, look, parallel, positional, threads};

/// The journal writes a batch of marks when this much time has passed since its first piece. A
/// power loss costs at most so much work.
const BATCH: Duration = Duration::from_millis(1500);
/// Maximum number of hashing threads: more would only compete for the disk.
const HASHERS: usize = 4;

/// An opened partial file: which pieces it holds, proved by their hash.
pub struct Partial {
    path: PathBuf,
    file: Arc<File>,
    journal: File,
    table: Arc<PieceTable>,
    held: Vec<bool>,
}

impl Partial {
    /// Opens or makes the file and its journal, and hashes every piece again that the journal
    /// marks. Blocks: hashing runs on several threads at the speed of disk and cores.
    pub fn open(path: &Path, table: Arc<PieceTable>) -> Result<Self, FetchError> {
        table.check()?;
        let journal_path = journal_path(path);
        // A journal that cannot be read must not throw away what was fetched.
        let marked = marks(&journal_path, &table).at(WRITE_OR_READ, &journal_path)?;
        let fresh = marked.is_none() || !look::is_there(path).at(WRITE_OR_READ, path)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(fresh);
        let file = durable::written_by_owner(&mut options).open(path).at(WRITE_OR_READ, path)?;
        file.set_len(table.length).at(WRITE_OR_READ, path)?;
        let mut options = OpenOptions::new();
        options.append(!fresh).write(true).create(true).truncate(fresh);
        let mut journal = durable::written_by_owner(&mut options)
            .open(&journal_path)
            .at(WRITE_OR_READ, &journal_path)?;
        let mut held = vec![false; table.hashes.len()];
        match marked {
            Some(marked) if !fresh => {
                rehash(&file, &table, &marked, &mut held).at(WRITE_OR_READ, path)?;
                // Ends a mark that was cut in the middle.
                journal.write_all(b"\n").at(WRITE_OR_READ, &journal_path)?;
            }
            _ => journal.write_all(header(&table).as_bytes()).at(WRITE_OR_READ, &journal_path)?,
        }
        Ok(Self { path: path.to_owned(), file: Arc::new(file), journal, table, held })
    }

    /// Whether the file holds piece `index`.
    pub fn holds(&self, index: u32) -> bool {
        self.held.get(index as usize).copied().unwrap_or(false)
    }

    /// The pieces that the file holds, in order.
    pub fn held(&self) -> impl Iterator<Item = u32> {
        (0..self.table.count()).filter(|index| self.holds(*index))
    }

    /// Bytes that need not be fetched again, by the journal alone: quick, for showing a price.
    pub fn marked_bytes(path: &Path, table: &PieceTable) -> u64 {
        let is_there = look::is_there(path).unwrap_or(false);
        let marked =
            if is_there { marks(&journal_path(path), table).unwrap_or_default() } else { None };
        marked
            .unwrap_or_default()
            .into_iter()
            .map(|index| table.span(index))
            .map(|span| span.end - span.start)
            .sum()
    }

    /// Starts the journal's thread, which calls `failed` when the disk refuses.
    pub(super) fn start(
        self,
        failed: impl FnOnce(FetchError) + Send + 'static,
    ) -> Result<(PieceFile, Journal), FetchError> {
        let (sender, receiver) = mpsc::channel();
        let file = PieceFile {
            path: self.path.clone(),
            file: Arc::clone(&self.file),
            table: Arc::clone(&self.table),
        };
        let thread = threads::spawn("journal", move || {
            if let Err(source) = keep_journal(&self.file, self.journal, &self.held, &receiver) {
                failed(FileError::new(WRITE_OR_READ, self.path, source).into());
            }
        });
        let thread = thread.map_err(FetchError::Thread)?;
        Ok((file, Journal { sender: Some(sender), thread: Some(thread) }))
    }
}

/// The file that pieces are written to; cheap to clone, safe from several threads.
#[derive(Clone)]
pub(super) struct PieceFile {
    path: PathBuf,
    file: Arc<File>,
    table: Arc<PieceTable>,
}

impl PieceFile {
    /// Whether `bytes` have the signed hash of piece `index`. If so, they are in the file when this
    /// returns.
    pub(super) fn verify_and_write(&self, index: u32, bytes: &[u8]) -> Result<bool, FetchError> {
        if self.table.hashes.get(index as usize) != Some(&Digest::of(bytes)) {
            return Ok(false);
        }
        let written = positional::write_all_at(&self.file, bytes, self.table.span(index).start);
        written.at(WRITE_OR_READ, &self.path)?;
        Ok(true)
    }
}

/// The journal's thread. Dropping it without [`Journal::finish`] writes the outstanding marks in
/// the background.
pub(super) struct Journal {
    sender: Option<mpsc::Sender<u32>>,
    thread: Option<JoinHandle<()>>,
}

impl Journal {
    /// Marks piece `index` as written.
    pub(super) fn written(&self, index: u32) {
        // The thread ends early only when the disk refused, and it has reported that.
        self.sender.as_ref().map(|sender| sender.send(index));
    }

    /// Blocks until all marks are written.
    pub(super) fn finish(mut self) {
        self.sender = None;
        // A panic of the thread loses marks and nothing else.
        self.thread.take().map(JoinHandle::join);
    }
}

fn keep_journal(
    file: &File,
    mut journal: File,
    held: &[bool],
    written: &mpsc::Receiver<u32>,
) -> io::Result<()> {
    let mut missing = held.iter().filter(|held| !**held).count();
    let mut open = true;
    while open {
        let Ok(first) = written.recv() else { break };
        let mut batch = vec![first];
        let until = Instant::now() + BATCH;
        loop {
            match written.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(index) => batch.push(index),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => {
                    open = false;
                    break;
                }
            }
        }
        missing = missing.saturating_sub(batch.len());
        // A whole file is about to be used and then deleted. Waiting for the disk would delay the
        // user for nothing, and after a power loss the hashes would show what is missing.
        if open || missing > 0 {
            file.sync_data()?;
        }
        let lines: String = batch.iter().map(|index| format!("{index}\n")).collect();
        journal.write_all(lines.as_bytes())?;
    }
    Ok(())
}

fn journal_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".journal");
    path.with_file_name(name)
}

/// The journal's first line, which ties the journal to one piece table.
fn header(table: &PieceTable) -> String {
    let mut hasher = Hasher::default();
    hasher.update(&table.piece_size.to_le_bytes());
    hasher.update(&table.length.to_le_bytes());
    table.hashes.iter().for_each(|hash| hasher.update(hash.as_bytes()));
    format!("pieces {}\n", hasher.finish())
}

/// The marked pieces, in order and once each; `None` if the journal is absent or belongs to another
/// table.
fn marks(journal: &Path, table: &PieceTable) -> io::Result<Option<Vec<u32>>> {
    let Some(text) = look::read(journal, look::LARGE)? else { return Ok(None) };
    let text = String::from_utf8_lossy(&text);
    let Some(lines) = text.strip_prefix(&header(table)) else { return Ok(None) };
    // A line without its end was cut; the number in it may be wrong.
    let whole = lines.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let mut marked: Vec<u32> = whole
        .lines()
        .filter_map(|line| line.parse().ok())
        .filter(|index| *index < table.count())
        .collect();
    marked.sort_unstable();
    marked.dedup();
    Ok(Some(marked))
}

fn rehash(file: &File, table: &PieceTable, marked: &[u32], held: &mut [bool]) -> io::Result<()> {
    let held = Mutex::new(held);
    let buffer = || vec![0; table.piece_size as usize];
    parallel::each(marked, parallel::workers().min(HASHERS), buffer, |bytes, index| {
        let span = table.span(*index);
        let bytes = &mut bytes[..(span.end - span.start) as usize];
        positional::read_exact_at(file, bytes, span.start)?;
        if table.hashes.get(*index as usize) == Some(&Digest::of(bytes)) {
            mutex::lock(&held)[*index as usize] = true;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(data: &[u8], piece_size: u32) -> Arc<PieceTable> {
        let hashes = data.chunks(piece_size as usize).map(Digest::of).collect();
        Arc::new(PieceTable { piece_size, length: data.len() as u64, hashes })
    }

    fn held(path: &Path, table: &Arc<PieceTable>) -> Vec<u32> {
        Partial::open(path, Arc::clone(table)).unwrap().held().collect()
    }

    fn write(path: &Path, table: &Arc<PieceTable>, data: &[u8], pieces: &[u32]) {
        let (file, journal) = Partial::open(path, Arc::clone(table))
            .unwrap()
            .start(|error| panic!("{error}"))
            .unwrap();
        for index in pieces {
            let span = table.span(*index);
            assert!(
                file.verify_and_write(*index, &data[span.start as usize..span.end as usize])
                    .unwrap()
            );
            journal.written(*index);
        }
        journal.finish();
    }

    #[test]
    fn only_proved_pieces_are_held() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("package.partial");
        let data: Vec<u8> = (0..=99).collect();
        let table = table(&data, 16);
        assert!(held(&path, &table).is_empty());
        write(&path, &table, &data, &[0, 2, 6]);
        assert_eq!(held(&path, &table), [0, 2, 6]);
        assert_eq!(Partial::marked_bytes(&path, &table), 16 + 16 + 4);
        // One byte rots; a mark is cut; a mark lies.
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[33] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let mut journal = OpenOptions::new().append(true).open(journal_path(&path)).unwrap();
        journal.write_all(b"5\n900\n-1\nx\n3").unwrap();
        assert_eq!(held(&path, &table), [0, 6]);
        write(&path, &table, &data, &[2, 3]);
        assert_eq!(held(&path, &table), [0, 2, 3, 6]);
        // The file was cut: missing pieces do not count as held, and nothing fails.
        File::options().write(true).open(&path).unwrap().set_len(20).unwrap();
        assert_eq!(held(&path, &table), [0]);
        std::fs::remove_file(&path).unwrap();
        std::fs::remove_file(journal_path(&path)).unwrap();
        assert_eq!(Partial::marked_bytes(&path, &table), 0);
    }

    #[test]
    fn another_table_starts_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("package.partial");
        let data: Vec<u8> = (0..=99).collect();
        write(&path, &table(&data, 16), &data, &[0, 1]);
        let other = table(&data[..99], 16);
        assert!(held(&path, &other).is_empty());
        assert!(held(&path, &table(&data, 16)).is_empty());
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 100);
    }

    #[test]
    fn wrong_bytes_never_reach_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("package.partial");
        let data = [7; 32];
        let table = table(&data, 16);
        let (file, journal) = Partial::open(&path, Arc::clone(&table))
            .unwrap()
            .start(|error| panic!("{error}"))
            .unwrap();
        assert!(!file.verify_and_write(1, &[8; 16]).unwrap());
        assert!(!file.verify_and_write(9, &[7; 16]).unwrap());
        journal.finish();
        assert_eq!(std::fs::read(&path).unwrap(), [0; 32]);
    }
}
