//! A small cache of blocks in front of [`ReadAt`], for many small reads close to each other.

use std::io;

use crate::prediction::ReadAt;

/// Bytes of a block.
const BLOCK: usize = 16 << 10;
/// Number of blocks in the cache: 2 MiB.
const SLOTS: usize = 128;

/// The cache.
pub(super) struct Blocks<'a> {
    source: &'a dyn ReadAt,
    length: u64,
    slots: Vec<Slot>,
}

#[derive(Clone, Default)]
struct Slot {
    /// Number of the block plus 1; 0 while empty.
    number: u64,
    bytes: Vec<u8>,
}

impl<'a> Blocks<'a> {
    /// A cache in front of `source`.
    pub(super) fn new(source: &'a dyn ReadAt) -> Self {
        Self { source, length: source.len(), slots: vec![Slot::default(); SLOTS] }
    }

    /// Length of the source.
    pub(super) fn len(&self) -> u64 {
        self.length
    }

    /// The longest run of bytes from `at` on, at most `longest`, that lies in one block; empty at
    /// the end.
    fn run(&mut self, at: u64, longest: usize) -> io::Result<&[u8]> {
        if at >= self.length {
            return Ok(&[]);
        }
        let number = at / BLOCK as u64;
        let slot = &mut self.slots[(number % SLOTS as u64) as usize];
        if slot.number != number + 1 {
            slot.number = 0;
            let from = number * BLOCK as u64;
            slot.bytes.resize((self.length - from).min(BLOCK as u64) as usize, 0);
            self.source.read_at(from, &mut slot.bytes)?;
            slot.number = number + 1;
        }
        let from = (at % BLOCK as u64) as usize;
        let to = slot.bytes.len().min(from.saturating_add(longest));
        Ok(&slot.bytes[from..to])
    }

    /// Fills `buffer` with the bytes at `at`; returns an error past the end.
    pub(super) fn read(&mut self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut done = 0;
        while done < buffer.len() {
            let run = self.run(at + done as u64, buffer.len() - done)?;
            if run.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            buffer[done..done + run.len()].copy_from_slice(run);
            done += run.len();
        }
        Ok(())
    }

    /// `N` bytes at `at`; zeros behind the end.
    pub(super) fn array<const N: usize>(&mut self, at: u64) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        let there = self.length.saturating_sub(at).min(N as u64) as usize;
        self.read(at, &mut bytes[..there])?;
        Ok(bytes)
    }

    /// A little-endian 32-bit number.
    pub(super) fn u32(&mut self, at: u64) -> io::Result<u32> {
        Ok(u32::from_le_bytes(self.array(at)?))
    }

    /// A little-endian 64-bit number.
    pub(super) fn u64(&mut self, at: u64) -> io::Result<u64> {
        Ok(u64::from_le_bytes(self.array(at)?))
    }
}
