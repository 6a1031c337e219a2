//! Predicts the bytes of a copy from the old bytes.
//!
//! In: positions in the new bytes and their counterparts in the old bytes, which are read through
//! [`ReadAt`]. Out: predicted bytes in [`Chunk`]s, each with a kind that the entropy coder uses as
//! a context. Never: new bytes that the decoder has not decoded yet. Encoder and decoder call a
//! predictor in exactly the same order and must get the same answers.

use std::io;

/// Old bytes by position, so that a large file need not be in memory.
pub trait ReadAt {
    /// Length in bytes.
    fn len(&self) -> u64;
    /// Fills `buffer` with the bytes from `at` on. Returns an error if they reach past the end or
    /// cannot be read.
    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()>;
    /// Whether the length is 0.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl ReadAt for [u8] {
    fn len(&self) -> u64 {
        <[u8]>::len(self) as u64
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        let source = usize::try_from(at)
            .ok()
            .and_then(|at| self.get(at..)?.get(..buffer.len()))
            .ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        buffer.copy_from_slice(source);
        Ok(())
    }
}

impl ReadAt for Vec<u8> {
    fn len(&self) -> u64 {
        <[u8]>::len(self) as u64
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.as_slice().read_at(at, buffer)
    }
}

impl<T: ReadAt + ?Sized> ReadAt for &T {
    fn len(&self) -> u64 {
        (**self).len()
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        (**self).read_at(at, buffer)
    }
}

/// Predicted bytes and their kind: 0 is plain, each kind of field has its own number below
/// [`UNSURE`], and [`UNSURE`] is added where the prediction is a guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// How many bytes of the buffer were written, at least 1.
    pub length: usize,
    /// The kind of the bytes, a context for the entropy coder.
    pub kind: u8,
}

/// All kinds are below this.
pub const KINDS: u8 = 64;
/// Set in the kind of a field whose prediction is only a guess.
pub const UNSURE: u8 = 32;

/// Predicts the bytes of copy regions.
pub trait Predictor {
    /// The next chunk of the copy: the predicted bytes for `new_at..`, whose old counterpart is
    /// `old_at..`, at most `buffer.len()` of them. The caller asks for no byte past the copy's end.
    /// Plain runs are as long as possible. A field (4 or 8 bytes) is one whole chunk. Returns the
    /// errors of reading the old bytes.
    fn next(&mut self, new_at: u64, old_at: u64, buffer: &mut [u8]) -> io::Result<Chunk>;
    /// Receives the actual bytes of the last field, to learn from them. The caller calls this after
    /// each chunk with a kind above 0, and only then.
    fn settle(&mut self, actual: &[u8]);
}

/// Predicts the old bytes unchanged.
pub struct PlainPredictor<'a> {
    old: &'a dyn ReadAt,
}

impl<'a> PlainPredictor<'a> {
    /// A predictor that reads `old`.
    pub fn new(old: &'a dyn ReadAt) -> Self {
        Self { old }
    }
}

impl Predictor for PlainPredictor<'_> {
    fn next(&mut self, _new_at: u64, old_at: u64, buffer: &mut [u8]) -> io::Result<Chunk> {
        self.old.read_at(old_at, buffer)?;
        Ok(Chunk { length: buffer.len(), kind: 0 })
    }

    fn settle(&mut self, _actual: &[u8]) {}
}
