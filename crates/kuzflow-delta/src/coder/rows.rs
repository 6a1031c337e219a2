//! Codes bytes under a few contexts, bit by bit: small counters in rows, one row for each context
//! and half byte.
//!
//! A row is half a cache line: a check, so that contexts do not disturb each other, and the 15
//! nodes of a tree over four bits. Memory access takes most of the time here. So the code requests
//! all rows of a half byte at once, and as early as their contexts are known ([`Rows::expect`]).

use super::mixture::hash;
use super::models::{Logistic, Mixer};
use super::range::Coder;

/// A counter that has learned nothing: 13 bits of probability, and 3 bits that count the learned
/// bits.
pub(super) const HALF: u16 = 1 << 15;

/// The weight of the next bit by that count, in 65536ths.
static SHARES: [i32; 8] = [43690, 26214, 18724, 14563, 10000, 7000, 5000, 3300];

/// A small counter after one more bit.
#[inline]
pub(super) fn learned(counter: u16, bit: bool) -> u16 {
    let count = counter & 7;
    let probability = i32::from(counter >> 3);
    let target = if bit { (1 << 13) - 1 } else { 0 };
    let moved =
        probability + (((target - probability) * SHARES[usize::from(count)] + (1 << 15)) >> 16);
    (moved as u16) << 3 | (count + u16::from(count < 7))
}

/// A check, and the 15 nodes of a tree; aligned, so that it never lies in two cache lines.
#[derive(Clone, Copy)]
#[repr(align(32))]
struct Row([u16; 16]);

/// Counters for bytes under `CONTEXTS` contexts; `INPUTS` is two more: one expected byte, and one
/// constant.
pub(super) struct Rows<const CONTEXTS: usize, const INPUTS: usize> {
    logistic: Logistic,
    rows: Vec<Row>,
    bits: u32,
    hashes: [u32; CONTEXTS],
    /// The row of each context for the current half byte.
    places: [usize; CONTEXTS],
    /// The checks in those rows.
    found: [u16; CONTEXTS],
    mixer: Mixer<INPUTS>,
}

impl<const CONTEXTS: usize, const INPUTS: usize> Rows<CONTEXTS, INPUTS> {
    /// Has learned nothing; 2^`bits` rows of 32 bytes for each context. The mixer has 256 weights
    /// for each of `sets`.
    pub(super) fn new(bits: u32, sets: usize) -> Self {
        const { assert!(INPUTS == CONTEXTS + 2) };
        let bits = bits.clamp(4, 20);
        Self {
            logistic: Logistic::new(),
            rows: vec![Row([HALF; 16]); CONTEXTS << bits],
            bits,
            hashes: [0; CONTEXTS],
            places: [0; CONTEXTS],
            found: [0; CONTEXTS],
            mixer: Mixer::new(256 * sets, 4096 * 3 / 10, 260),
        }
    }

    #[inline]
    fn find(&mut self, partial: u32) {
        for index in 0..CONTEXTS {
            let hashed = hash(self.hashes[index], partial);
            self.places[index] = index << self.bits | (hashed >> (32 - self.bits)) as usize;
        }
        for index in 0..CONTEXTS {
            self.found[index] = self.rows[self.places[index]].0[0];
        }
    }

    /// Sets the contexts of the next byte, so that the processor can load the rows early.
    #[inline]
    pub(super) fn expect(&mut self, contexts: [u32; CONTEXTS]) {
        self.hashes = contexts;
        self.find(1);
    }

    /// Codes a byte under the contexts that were set. `prediction` may give the expected byte and
    /// how sure it is (a stretched probability).
    #[inline]
    pub(super) fn code<C: Coder>(
        &mut self,
        coder: &mut C,
        known: u8,
        set: usize,
        prediction: Option<(u8, i16)>,
    ) -> u8 {
        let logistic = self.logistic;
        let stretches = logistic.coarse();
        let mut inputs = [0_i16; INPUTS];
        inputs[INPUTS - 1] = 256;
        let mut partial = 1_usize;
        for half in 0..2 {
            if half == 1 {
                self.find(partial as u32);
            }
            // Local copies, so that the compiler knows that nothing else points to them; they are
            // written back at the end.
            let mut rows = [[HALF; 16]; CONTEXTS];
            for (index, row) in rows.iter_mut().enumerate() {
                let check = hash(self.hashes[index], partial as u32) as u16;
                if self.found[index] == check {
                    *row = self.rows[self.places[index]].0;
                }
                row[0] = check;
            }
            let mut node = 1_usize;
            for step in 0..4 {
                let shift = 7 - (half * 4 + step);
                for (input, row) in inputs.iter_mut().zip(&rows) {
                    *input = stretches[usize::from(row[node & 15] >> 4)];
                }
                inputs[CONTEXTS] =
                    match prediction {
                        Some((byte, sure))
                            if (usize::from(byte) | 256) >> (shift + 1) == partial =>
                        {
                            if byte >> shift & 1 == 1 { sure } else { -sure }
                        }
                        _ => 0,
                    };
                let mixed = self.mixer.mix(logistic, &inputs, set << 8 | partial & 255);
                let bit =
                    coder.code(known >> shift & 1 == 1, logistic.squash(mixed).clamp(16, 65520));
                self.mixer.update(&inputs, bit);
                for row in &mut rows {
                    row[node & 15] = learned(row[node & 15], bit);
                }
                partial = partial << 1 | usize::from(bit);
                node = node << 1 | usize::from(bit);
            }
            for (row, &place) in rows.into_iter().zip(&self.places) {
                self.rows[place].0 = row;
            }
        }
        partial as u8
    }
}
