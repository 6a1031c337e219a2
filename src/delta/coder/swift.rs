//! The light model of fresh bytes: a guess that is right or wrong, and a few contexts for what was not guessed.
//!
//! Whoever follows a place in the old or new bytes says what comes next. One flag tells whether that is so; only where it is not, or
//! nobody says anything, eight bits are coded. It takes about a sixth of the time of the [`Mixture`](super::mixture::Mixture), and
//! more bytes. The encoder chooses; the choice is part of the stream.

use super::mixture::{VOICES, Voice, hash};
use super::models::{Counter, Logistic, Mixer};
use super::range::Coder;
use super::rows::{HALF, Rows, learned};

/// Contexts of a byte that was not guessed.
const CONTEXTS: usize = 6;
/// Contexts of a guess.
const FLAGS: usize = 7;
/// Size of a context's table: 2^this rows of 16 counters.
const ROWS: u32 = 15;
/// Size of the table of guesses.
const GUESSES: u32 = 14;

/// The model.
pub struct Swift {
    logistic: Logistic,
    bytes: Rows<CONTEXTS, { CONTEXTS + 2 }>,
    flags: Vec<u16>,
    flag_mixer: Mixer<{ FLAGS + 1 }>,
    sure: Counter,
    wrong: u32,
}

impl Swift {
    /// A model that knows nothing.
    pub fn new() -> Self {
        Self {
            logistic: Logistic::new(),
            bytes: Rows::new(ROWS, 3),
            flags: vec![HALF; FLAGS << GUESSES],
            flag_mixer: Mixer::new(256, 4096 * 3 / 10, 260),
            sure: Counter::NEW,
            wrong: 0,
        }
    }

    /// Codes one byte, of which `voices` expect something, behind the bytes `newest`; `known` is what it is (the encoder).
    #[inline]
    pub fn code<C: Coder>(&mut self, coder: &mut C, known: u8, newest: u64, voices: &[Voice; VOICES]) -> u8 {
        let front = &voices[1];
        let last = newest as u32;
        self.bytes.expect([
            hash(last & 0xFF, 1),
            hash(last & 0xFFFF, 2),
            hash(last & 0xFF_FFFF, 3),
            hash(last, 4),
            hash(last >> 8 & 0xFFFF, 5),
            hash(front.expected.map_or(256, u32::from) << 2 | front.grade & 3, last & 0xFF),
        ]);
        let (which, guess, state) = match (voices[0].expected, front.expected, voices[2].expected) {
            (Some(byte), _, _) => (0, byte, voices[0].state),
            (None, Some(byte), _) if front.grade > 1 => (1, byte, front.state),
            (None, _, Some(byte)) if voices[2].grade > 1 => (2, byte, voices[2].state),
            (None, Some(byte), _) => (3, byte, front.state),
            _ => return self.bytes.code(coder, known, 0, None),
        };
        let agree = if front.expected == Some(guess) { 1 } else { 0 };
        let two = if voices[2].expected == Some(guess) { 2 } else { 0 };
        if self.code_guess(coder, known == guess, newest, u32::from(guess), which, state, agree | two) {
            return guess;
        }
        let other = front.expected.filter(|byte| *byte != guess);
        let sure = self.logistic.stretch(self.sure.probability()) as i16;
        let byte = self.bytes.code(coder, known, 1 + usize::from(other.is_some()), other.map(|byte| (byte, sure)));
        if let Some(other) = other {
            self.sure.update(other == byte, 255);
        }
        byte
    }

    #[inline]
    fn code_guess<C: Coder>(&mut self, coder: &mut C, right: bool, newest: u64, guess: u32, which: u32, state: u32, agree: u32) -> bool {
        let last = newest as u32;
        let state = state & 63;
        let contexts = [
            which << 8 | state << 2 | agree,
            which << 12 | self.wrong & 0xFFF,
            hash(guess, which << 2 | (state >> 2)),
            hash(guess << 8 | last & 0xFF, 1),
            hash(guess << 16 | last & 0xFFFF, 2),
            hash(guess << 24 | last & 0xFF_FFFF, 3),
            hash(last & 0xFFFF, which << 6 | state),
        ];
        let mut inputs = [256_i16; FLAGS + 1];
        let mut places = [0; FLAGS];
        let stretches = self.logistic.coarse();
        for index in 0..FLAGS {
            let place = if index < 2 { contexts[index] & ((1 << GUESSES) - 1) } else { contexts[index] >> (32 - GUESSES) };
            places[index] = index << GUESSES | place as usize;
            inputs[index] = stretches[usize::from(self.flags[places[index]] >> 4)];
        }
        let mixed = self.flag_mixer.mix(self.logistic, &inputs, (which << 6 | state) as usize);
        let right = coder.code(right, self.logistic.squash(mixed).clamp(16, 65520));
        self.flag_mixer.update(&inputs, right);
        for place in places {
            self.flags[place] = learned(self.flags[place], right);
        }
        self.wrong = self.wrong << 1 | u32::from(!right);
        right
    }

}
