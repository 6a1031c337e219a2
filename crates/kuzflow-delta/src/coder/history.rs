//! The newest bytes of the output: the models read them, and the sink receives them.
//!
//! Never: more memory than the ring that the caller's limits allow.

use std::io;

/// Bytes that are collected before the sink receives them.
const PORTION: u64 = 64 << 10;

/// A ring of the newest bytes.
pub(super) struct History {
    ring: Vec<u8>,
    mask: usize,
    at: u64,
    delivered: u64,
}

impl History {
    /// A ring of 2^`bits` bytes, at least 256 KiB.
    pub(super) fn new(bits: u32) -> Self {
        let length = 1_usize << bits.clamp(18, 30);
        Self { ring: vec![0; length], mask: length - 1, at: 0, delivered: 0 }
    }

    /// The byte at `position` of the output, if the ring still holds it; any other byte if it does
    /// not.
    #[inline]
    pub(super) fn byte(&self, position: u64) -> u8 {
        self.ring[position as usize & self.mask]
    }

    /// How many bytes back the ring can be read.
    pub(super) fn reach(&self) -> u64 {
        self.at.min(self.ring.len() as u64)
    }

    /// The newest eight bytes, the newest in the lowest place; zeros before the first.
    pub(super) fn newest(&self) -> u64 {
        (0..8_u64.min(self.at))
            .rev()
            .fold(0, |word, back| word << 8 | u64::from(self.byte(self.at - 1 - back)))
    }

    /// Appends a byte.
    #[inline]
    pub(super) fn push(&mut self, byte: u8) {
        self.ring[self.at as usize & self.mask] = byte;
        self.at += 1;
    }

    /// Appends bytes, at most 64 KiB at once.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        let start = self.at as usize & self.mask;
        let first = bytes.len().min(self.ring.len() - start);
        self.ring[start..start + first].copy_from_slice(&bytes[..first]);
        self.ring[..bytes.len() - first].copy_from_slice(&bytes[first..]);
        self.at += bytes.len() as u64;
    }

    /// Passes the collected bytes to the sink once there are enough of them, or if `all` is set.
    pub(super) fn deliver(
        &mut self,
        all: bool,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
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

/// The readable bytes: the old bytes as far as they are in memory, then the output. Positions count
/// from the first old byte.
pub(super) struct Space {
    base: Vec<u8>,
    history: History,
}

impl Space {
    /// Takes `base` and an output that is still empty.
    pub(super) fn new(base: Vec<u8>, history: History) -> Self {
        Self { base, history }
    }

    /// The old bytes.
    pub(super) fn base(&self) -> &[u8] {
        &self.base
    }

    /// The output.
    pub(super) fn history(&mut self) -> &mut History {
        &mut self.history
    }

    /// Number of output bytes so far.
    pub(super) fn written(&self) -> u64 {
        self.history.at
    }

    /// The position of the next byte of the output.
    #[inline]
    pub(super) fn at(&self) -> u64 {
        self.base.len() as u64 + self.history.at
    }

    /// The byte at `position`; any byte if it is out of reach.
    #[inline]
    pub(super) fn byte(&self, position: u64) -> u8 {
        match self.base.get(position as usize) {
            Some(&byte) if position < self.base.len() as u64 => byte,
            _ => self.history.byte(position - self.base.len() as u64),
        }
    }

    /// How many consecutive bytes can be read from `position` on.
    #[inline]
    pub(super) fn ahead(&self, position: u64) -> u64 {
        let base = self.base.len() as u64;
        if position < base {
            base - position
        } else if position >= self.lowest() && position < self.at() {
            self.at() - position
        } else {
            0
        }
    }

    /// The first position of the output that the ring still holds.
    #[inline]
    pub(super) fn lowest(&self) -> u64 {
        self.at() - self.history.reach()
    }

    /// How many bytes before `position` can be read in one piece, going back.
    #[inline]
    pub(super) fn behind(&self, position: u64) -> u64 {
        if position <= self.base.len() as u64 {
            position
        } else if position > self.lowest() && position <= self.at() {
            position - self.lowest()
        } else {
            0
        }
    }

    /// Appends a byte to the output.
    #[inline]
    pub(super) fn push(&mut self, byte: u8) {
        self.history.push(byte);
    }

    /// Appends at most 64 KiB to the output.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.history.extend(bytes);
    }

    /// The newest eight bytes of the output, the newest in the lowest place.
    pub(super) fn newest(&self) -> u64 {
        self.history.newest()
    }
}
