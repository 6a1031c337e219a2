//! The metadata files of a repository, with their digests, in memory where they are large.
//!
//! In: the path of a document. Out: its bytes, digest and packed form. Never: another state than the
//! file's; a file that has changed is read again.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use bytes::Bytes;

use super::compressed::Compressed;
use super::repository::MAX_DOCUMENT_BYTES;
use crate::look;
use crate::model::Digest;
use crate::mutex;

/// The server reads and hashes documents up to this size on each request (0.2 ms); it caches larger
/// ones.
const SMALL_DOCUMENT: u64 = 64 << 10;

/// Bytes of all cached documents together.
const CACHED_DOCUMENTS: u64 = 2 * MAX_DOCUMENT_BYTES;

/// Metadata files with their digests. Large ones are cached, since hashing them on each request
/// would let a client use up this server's time. Small ones are read again each time, since two of
/// them can differ with the same size and modification time.
#[derive(Default)]
pub(super) struct Documents {
    stored: Mutex<HashMap<PathBuf, Arc<CachedFile>>>,
    pub(super) compressed: Compressed,
    /// Held while a large document is read, so that many clients that ask for a new one at once
    /// cause only one read.
    reading: Mutex<()>,
}

pub(super) struct CachedFile {
    pub(super) bytes: Bytes,
    pub(super) digest: Digest,
    modified: SystemTime,
}

impl Documents {
    pub(super) fn read(&self, path: &Path) -> io::Result<Arc<CachedFile>> {
        let (file, length) = open(path)?;
        let modified = file.metadata()?.modified()?;
        if length > MAX_DOCUMENT_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if length <= SMALL_DOCUMENT {
            return read_document(file, modified);
        }
        let known = || {
            self.stored()
                .get(path)
                .filter(|stored| stored.modified == modified && stored.length() == length)
                .cloned()
        };
        if let Some(document) = known() {
            return Ok(document);
        }
        let _alone = mutex::lock(&self.reading);
        if let Some(document) = known() {
            return Ok(document);
        }
        let document = read_document(file, modified)?;
        let mut stored = self.stored();
        if stored.values().map(|stored| stored.length()).sum::<u64>() + document.length()
            > CACHED_DOCUMENTS
        {
            stored.clear();
        }
        stored.insert(path.to_owned(), document.clone());
        Ok(document)
    }

    fn stored(&self) -> MutexGuard<'_, HashMap<PathBuf, Arc<CachedFile>>> {
        mutex::lock(&self.stored)
    }
}

fn read_document(file: File, modified: SystemTime) -> io::Result<Arc<CachedFile>> {
    let mut bytes = Vec::new();
    file.take(MAX_DOCUMENT_BYTES).read_to_end(&mut bytes)?;
    Ok(Arc::new(CachedFile { digest: Digest::of(&bytes), bytes: bytes.into(), modified }))
}

impl CachedFile {
    fn length(&self) -> u64 {
        self.bytes.len() as u64
    }
}

/// Opens a regular file and gives its length. Everything else counts as absent: opening a pipe
/// would block for ever.
pub(super) fn open(path: &Path) -> io::Result<(File, u64)> {
    let file = look::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidInput => io::ErrorKind::NotFound.into(),
        _ => error,
    })?;
    let length = file.metadata()?.len();
    Ok((file, length))
}
