//! Counts and hashes bytes on their way into a file.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use crate::file_error::{FileError, FileResult as _};
use crate::model::{Digest, Hasher};

/// The length and the digest of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Measured {
    pub length: u64,
    pub hash: Digest,
}

/// Reads the file at `path`.
pub(super) fn measured(path: &Path) -> Result<Measured, FileError> {
    let mut hashed = HashedWriter::new(io::sink());
    io::copy(&mut File::open(path).at("read", path)?, &mut hashed).at("read", path)?;
    let (_, hash, length) = hashed.finish();
    Ok(Measured { length, hash })
}

/// A writer that knows the digest and the length of what went through it.
pub(super) struct HashedWriter<W> {
    inner: W,
    hasher: Hasher,
    length: u64,
}

impl<W: Write> HashedWriter<W> {
    pub(super) fn new(inner: W) -> Self {
        Self { inner, hasher: Hasher::default(), length: 0 }
    }

    /// How many bytes were written.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The inner writer, the digest and the length.
    pub(super) fn finish(self) -> (W, Digest, u64) {
        (self.inner, self.hasher.finish(), self.length)
    }
}

impl<W: Write> Write for HashedWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.length += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
