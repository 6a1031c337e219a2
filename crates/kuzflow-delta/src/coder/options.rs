//! How a stream is coded, and what a decoder accepts.
//!
//! In: lengths of the old and the new bytes, or the beginning of a stream. Out: [`CoderOptions`],
//! which are part of the stream, and the memory that they take. Never: an option that the stream
//! does not carry.

use super::mixture::Nature;
use super::operands::Mode;
use super::range::Coder;

/// Old files larger than this are not read into memory for the coding of literals.
pub(super) const MAX_RECALLED_BYTES: u64 = 20 << 20;

/// What a decoder accepts.
#[derive(Clone, Copy, Debug)]
pub struct CoderLimits {
    /// Most instructions of one stream; each takes 24 bytes of memory.
    pub most_steps: usize,
    /// Most bytes for the models and the history together.
    pub most_memory: u64,
}

/// How a stream is coded; it is part of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoderOptions {
    /// The main kind of the literals.
    pub nature: Nature,
    /// Number of copied bytes before each gap that the model learns: 0, or 2 to the power of this
    /// (at most 30) less one.
    pub training: u32,
    /// Size of the literals' tables: 2^this buckets of 64 bytes (4 to 20).
    pub tables: u32,
    /// Size of the history ring: 2^this bytes (18 to 25).
    pub history: u32,
    /// Whether literals are looked up in all old bytes, which are then in memory.
    pub recall: bool,
    /// Whether literals stand apart: the encoder returns them, the decoder receives them, and they
    /// cost nothing in this stream.
    pub apart: bool,
    /// Set if those literals are x86 code, which is split into streams; otherwise all are in the
    /// first.
    pub code: Option<Mode>,
}

impl CoderOptions {
    /// Sensible options for a target of `length` bytes, of which `literals` are literals.
    pub fn for_target(nature: Nature, length: u64, literals: u64) -> Self {
        let bits = |value: u64| 64 - value.leading_zeros();
        Self {
            nature,
            training: if nature == Nature::Text && length <= 1 << 20 {
                16
            } else if nature == Nature::Text {
                5
            } else {
                0
            },
            tables: (bits(literals) + 2).clamp(12, 18),
            history: bits(length).clamp(18, 22),
            recall: nature == Nature::Text && length <= MAX_RECALLED_BYTES,
            apart: false,
            code: None,
        }
    }

    /// Writes the options, or reads them.
    pub(super) fn code<C: Coder>(self, coder: &mut C) -> Self {
        let nature = if coder.code_plain(u64::from(self.nature == Nature::Binary), 1) == 1 {
            Nature::Binary
        } else {
            Nature::Text
        };
        let training = coder.code_plain(self.training.into(), 5) as u32;
        let tables = coder.code_plain(self.tables.saturating_sub(4).into(), 4) as u32 + 4;
        let history = coder.code_plain(self.history.saturating_sub(18).into(), 3) as u32 + 18;
        let recall = coder.code_plain(self.recall.into(), 1) == 1;
        let apart = coder.code_plain(self.apart.into(), 1) == 1;
        let mode = match self.code {
            None => 0,
            Some(Mode::Narrow) => 1,
            Some(Mode::Wide) => 2,
        };
        let code = match if apart { coder.code_plain(mode, 2) } else { 0 } {
            1 => Some(Mode::Narrow),
            2 => Some(Mode::Wide),
            _ => None,
        };
        Self { nature, training, tables, history, recall, apart, code }
    }

    /// Size of the tables for differences, as a power of two: bytes, about twice.
    pub(super) fn differences(self) -> u32 {
        (self.tables + 4).clamp(12, if self.nature == Nature::Text { 18 } else { 21 })
    }

    /// Size of the table of places, as a power of two.
    pub(super) fn lookups(self, old: u64) -> u32 {
        if self.recall { (64 - old.leading_zeros()).clamp(18, 21) } else { 19 }
    }

    /// Approximate bytes of memory that the models take.
    pub(super) fn memory(self, old: u64) -> u64 {
        let recalled = if self.recall { old } else { 0 };
        let literals = if self.apart { 0 } else { (64 << self.tables) + (4 << self.lookups(old)) };
        let tables = literals + (2 << self.differences());
        recalled.saturating_add(tables + (1 << self.history) + (3 << 20))
    }
}
