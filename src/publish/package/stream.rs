//! A package's bytes as they go by: hashed by pieces and as a whole.
//!
//! In: bytes in order. Out: the piece table, the length and the digest. Never: bytes kept.

use std::io::{self, Read, Write};

use crate::model::{Digest, Hasher, PieceTable};

/// Hashes all bytes that it writes: the pieces until the payload ends, and the whole file.
pub(super) struct Writer<W> {
    inner: W,
    whole: Hasher,
    length: u64,
    piece_size: u32,
    piece: Hasher,
    in_piece: u32,
    pieces: Vec<Digest>,
    in_payload: bool,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(inner: W, piece_size: u32) -> Self {
        let (whole, piece) = (Hasher::default(), Hasher::default());
        Self {
            inner,
            whole,
            length: 0,
            piece_size,
            piece,
            in_piece: 0,
            pieces: Vec::new(),
            in_payload: true,
        }
    }

    /// Ends the payload: the bytes behind it belong to no piece.
    pub(super) fn finish_payload(&mut self) -> PieceTable {
        self.in_payload = false;
        if self.in_piece > 0 {
            self.pieces.push(std::mem::take(&mut self.piece).finish());
        }
        PieceTable {
            piece_size: self.piece_size,
            length: self.length,
            hashes: std::mem::take(&mut self.pieces),
        }
    }

    pub(super) fn finish(mut self) -> io::Result<(u64, Digest)> {
        self.inner.flush()?;
        Ok((self.length, self.whole.finish()))
    }

    fn hash_pieces(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let wanted = usize::try_from(self.piece_size - self.in_piece).unwrap_or(usize::MAX);
            let (now, rest) = bytes.split_at(wanted.min(bytes.len()));
            self.piece.update(now);
            self.in_piece += u32::try_from(now.len()).unwrap_or(0);
            if self.in_piece == self.piece_size {
                self.pieces.push(std::mem::take(&mut self.piece).finish());
                self.in_piece = 0;
            }
            bytes = rest;
        }
    }
}

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write_all(bytes)?;
        self.whole.update(bytes);
        self.length += bytes.len() as u64;
        if self.in_payload {
            self.hash_pieces(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Reads `file` to its end in blocks of 256 KiB.
pub(super) fn in_blocks<R: Read>(
    mut file: R,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => take(&buffer[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
