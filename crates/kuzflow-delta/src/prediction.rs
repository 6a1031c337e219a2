//! What the bytes of a copy region will be, as far as the old bytes tell.
//!
//! In: positions in the new bytes and their counterparts in the old bytes, which are read through
//! [`ReadAt`]. Out: predicted bytes in [`Chunk`]s, each with a kind that the entropy coder uses as
//! a context. Never: a look at new bytes that the decoder has not decoded yet; encoder and decoder
//! call a forecast in exactly the same order and must get the same answers.

use std::io;

/// Old bytes by position, so that a large file need not be in memory.
pub trait ReadAt {
    /// Length in bytes.
    fn len(&self) -> u64;
    /// Fills `buffer` with the bytes from `at` on. An error when they reach past the end or cannot
    /// be read.
    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()>;
    /// Whether there is no byte.
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

/// Predicted bytes, and what kind of bytes they are: 0 is plain, each kind of field has a number of
/// its own below [`UNSURE`], and that is added where the forecast is a guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// How many bytes of the buffer were written, at least 1.
    pub length: usize,
    /// A context for the entropy coder.
    pub kind: u8,
}

/// All kinds are below this.
pub const KINDS: u8 = 64;
/// Set in the kind of a field whose forecast is no more than a guess.
pub const UNSURE: u8 = 32;

/// Predicts the bytes of copy regions.
pub trait Predictor {
    /// The next chunk of the copy region: the predicted bytes for `new_at..`, whose old counterpart
    /// is `old_at..`, at most `buffer.len()` of them. The caller asks for no byte past the region's
    /// end. Plain runs are as long as possible, a field (4 or 8 bytes) is a chunk of its own and
    /// whole. Errors are those of reading the old bytes.
    fn next(&mut self, new_at: u64, old_at: u64, buffer: &mut [u8]) -> io::Result<Chunk>;
    /// What the bytes of the last field really were: to learn from. Called after each chunk with a
    /// kind above 0, and only then.
    fn settle(&mut self, actual: &[u8]);
}

/// The old bytes as they are.
pub struct PlainPredictor<'a> {
    old: &'a dyn ReadAt,
}

impl<'a> PlainPredictor<'a> {
    /// A forecast from `old`.
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
