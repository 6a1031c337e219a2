//! The light model of fresh bytes, for packs in which there are many: a few contexts without checks, two voices, one mixer.
//!
//! It takes about a quarter of the time of the [`Mixture`](super::mixture::Mixture), and more bytes. The encoder chooses;
//! the choice is part of the stream.

use super::mixture::{VOICES, Voice, hash};
use super::models::{Counter, Logistic, Mixer};
use super::range::Coder;

/// Contexts: the last one to four bytes, two bytes behind the last, and what stands in the old file.
const CONTEXTS: usize = 6;
/// Voices that are heard: all.
const HEARD: usize = VOICES;
/// One input for each context and voice, one that is constant.
const INPUTS: usize = CONTEXTS + HEARD + 1;
/// Size of a context's table: 2^this rows of 16 counters.
const ROWS: u32 = 14;
/// How far a counter's average reaches back, bits.
const REACH: u32 = 120;

/// The model.
pub struct Swift {
    logistic: Logistic,
    rows: Vec<[Counter; 16]>,
    /// The row of each context for the current half byte.
    places: [usize; CONTEXTS],
    hashes: [u32; CONTEXTS],
    inputs: [i16; INPUTS],
    mixer: Mixer<INPUTS>,
    sure: [[Counter; 64]; HEARD],
}

impl Swift {
    /// A model that knows nothing; 6 MiB, which a processor's caches hold.
    pub fn new() -> Self {
        Self {
            logistic: Logistic::new(),
            rows: vec![[Counter::NEW; 16]; CONTEXTS << ROWS],
            places: [0; CONTEXTS],
            hashes: [0; CONTEXTS],
            inputs: [0; INPUTS],
            mixer: Mixer::new(64 * 8, 4096 * 3 / 10, 260),
            sure: [[Counter::NEW; 64]; HEARD],
        }
    }

    /// Codes one byte, of which `voices` expect something, behind the bytes `newest`; `known` is what it is (the encoder).
    #[inline]
    pub fn code<C: Coder>(&mut self, coder: &mut C, known: u8, newest: u64, voices: &[Voice; VOICES]) -> u8 {
        let front = voices[1].expected.map_or(256, u32::from);
        let last = newest as u32;
        self.hashes = [
            hash(last & 0xFF, 1),
            hash(last & 0xFFFF, 2),
            hash(last & 0xFF_FFFF, 3),
            hash(last, 4),
            hash(last >> 8 & 0xFFFF, 5),
            hash(front << 2 | voices[1].grade & 3, last & 0xFF),
        ];
        let logistic = self.logistic;
        let mut partial = 1_usize;
        for shift in (0..8).rev() {
            if shift == 7 || shift == 3 {
                for index in 0..CONTEXTS {
                    let row = hash(self.hashes[index], partial as u32) >> (32 - ROWS);
                    self.places[index] = index << ROWS | row as usize;
                }
            }
            let node = if shift > 3 { partial } else { partial & ((1 << (3 - shift)) - 1) | 1 << (3 - shift) } & 15;
            for index in 0..CONTEXTS {
                self.inputs[index] = logistic.stretch(self.rows[self.places[index]][node].probability()) as i16;
            }
            let mut heard = [None; HEARD];
            let mut set = 0;
            for (index, voice) in voices.iter().take(HEARD).enumerate() {
                let expected = voice.expected.map(|byte| usize::from(byte) | 256).filter(|byte| byte >> (shift + 1) == partial);
                let bit = expected.map(|byte| byte >> shift & 1 == 1);
                let stretched = logistic.stretch(self.sure[index][voice.state as usize & 63].probability());
                self.inputs[CONTEXTS + index] = match bit {
                    Some(true) => stretched as i16,
                    Some(false) => -stretched as i16,
                    None => 0,
                };
                set = set << 2 | if bit.is_some() { voice.grade as usize & 3 } else { 0 };
                heard[index] = bit;
            }
            self.inputs[INPUTS - 1] = 256;
            let mixed = self.mixer.mix(logistic, &self.inputs, (7 - shift as usize) << 6 | set);
            let bit = coder.code(known >> shift & 1 == 1, logistic.squash(mixed).clamp(16, 65520));
            self.mixer.update(&self.inputs, bit);
            for index in 0..CONTEXTS {
                self.rows[self.places[index]][node].update(bit, REACH);
            }
            for (index, expected) in heard.iter().enumerate() {
                if let Some(expected) = expected {
                    self.sure[index][voices[index].state as usize & 63].update(*expected == bit, 255);
                }
            }
            partial = partial << 1 | usize::from(bit);
        }
        partial as u8
    }
}
