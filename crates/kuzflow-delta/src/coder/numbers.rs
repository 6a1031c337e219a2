//! Codes numbers of any size: the position of the highest bit, then the bits below it. The first of
//! these have learned probabilities; the rest are plain.

use super::models::Counter;
use super::range::Coder;

/// Number of bits below the highest one that have learned probabilities.
const LEARNED: u32 = 3;
const LIMIT: u32 = 40;

/// Codes numbers of one kind under a few contexts.
pub(super) struct Numbers {
    /// By context: a binary tree over the position of the highest bit.
    exponents: Vec<[Counter; 64]>,
    /// By that position: a binary tree over the next bits.
    mantissas: Vec<[Counter; 1 << LEARNED]>,
}

impl Numbers {
    /// A coder under `contexts` contexts that has learned nothing.
    pub(super) fn new(contexts: usize) -> Self {
        Self {
            exponents: vec![[Counter::NEW; 64]; contexts.max(1)],
            mantissas: vec![[Counter::NEW; 1 << LEARNED]; 64],
        }
    }

    /// Codes `value` (below 2^64 - 1) under `context`; returns it.
    pub(super) fn code<C: Coder>(&mut self, coder: &mut C, value: u64, context: usize) -> u64 {
        let value = value.saturating_add(1);
        let context = context.min(self.exponents.len() - 1);
        let exponents = &mut self.exponents[context];
        let highest = 63 - value.leading_zeros();
        let mut node = 1_usize;
        for shift in (0..6).rev() {
            let counter = &mut exponents[node & 63];
            let bit = coder.code(highest >> shift & 1 == 1, counter.probability());
            counter.update(bit, LIMIT);
            node = node << 1 | usize::from(bit);
        }
        let highest = node as u32 & 63;
        let mantissas = &mut self.mantissas[highest as usize];
        let mut read = 1_u64;
        let mut node = 1_usize;
        for step in 0..highest.min(LEARNED) {
            let counter = &mut mantissas[node & ((1 << LEARNED) - 1)];
            let bit = coder.code(value >> (highest - 1 - step) & 1 == 1, counter.probability());
            counter.update(bit, LIMIT);
            node = node << 1 | usize::from(bit);
            read = read << 1 | u64::from(bit);
        }
        let plain = highest.saturating_sub(LEARNED);
        let low = coder.code_plain(value, plain);
        (read << plain | low) - 1
    }
}

/// The position of a number's highest bit, as a context.
pub(super) fn magnitude(value: u64) -> usize {
    (64 - value.leading_zeros()) as usize
}
