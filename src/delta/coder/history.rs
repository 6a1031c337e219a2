//! The newest bytes of the output: what models look back at, and what is on its way to the sink.
//!
//! Never: more memory than the ring that the caller's limits allow.

use std::io;

/// Bytes gathered before the sink gets them.
const PORTION: u64 = 64 << 10;

/// A ring of the newest bytes.
pub struct History {
    ring: Vec<u8>,
    mask: usize,
    at: u64,
    delivered: u64,
}

impl History {
    /// A ring of 2^`bits` bytes, at least 256 KiB.
    pub fn new(bits: u32) -> Self {
        let length = 1_usize << bits.clamp(18, 30);
        Self { ring: vec![0; length], mask: length - 1, at: 0, delivered: 0 }
    }

    /// Bytes so far.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// The byte at `position` of the output, if the ring still holds it; any other byte if it does not.
    #[inline]
    pub fn byte(&self, position: u64) -> u8 {
        self.ring[position as usize & self.mask]
    }

    /// How many bytes back one may look.
    pub fn reach(&self) -> u64 {
        self.at.min(self.ring.len() as u64)
    }

    /// The newest eight bytes, the newest in the lowest place; zeros before the first.
    pub fn newest(&self) -> u64 {
        (0..8_u64.min(self.at)).rev().fold(0, |word, back| word << 8 | u64::from(self.byte(self.at - 1 - back)))
    }

    /// Appends a byte.
    #[inline]
    pub fn push(&mut self, byte: u8) {
        self.ring[self.at as usize & self.mask] = byte;
        self.at += 1;
    }

    /// Appends bytes, at most 64 KiB at once.
    pub fn extend(&mut self, bytes: &[u8]) {
        let start = self.at as usize & self.mask;
        let first = bytes.len().min(self.ring.len() - start);
        self.ring[start..start + first].copy_from_slice(&bytes[..first]);
        self.ring[..bytes.len() - first].copy_from_slice(&bytes[first..]);
        self.at += bytes.len() as u64;
    }

    /// Hands on what has gathered, once that is worth a call or `all` is asked for.
    pub fn deliver(&mut self, all: bool, sink: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        if !all && self.at - self.delivered < PORTION {
            return Ok(());
        }
        while self.delivered < self.at {
            let start = self.delivered as usize & self.mask;
            let length = (self.at - self.delivered).min((self.ring.len() - start) as u64) as usize;
            sink(&self.ring[start..start + length])?;
            self.delivered += length as u64;
        }
        Ok(())
    }
}
