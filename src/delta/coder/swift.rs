//! The light model of fresh bytes: a guess that is right or wrong, and a few contexts for what was not guessed.
//!
//! Whoever follows a place in the old or new bytes says what comes next. One flag tells whether that is so; only where it is not, or
//! nobody says anything, eight bits are coded (after symbol ranking, Peter Fenwick; Matt Mahoney's sr2). It takes about an eighth of the
//! time of the [`Mixture`](super::mixture::Mixture) and a tenth more bytes. The encoder chooses; the choice is part of the stream.

use super::mixture::{VOICES, Voice, hash};
use super::models::{Counter, Logistic, Mixer};
use super::range::Coder;
use super::rows::{HALF, Rows, learned};

/// Contexts of a byte that was not guessed: the last one, the last two, two that stand behind the last or the word, and the old text.
/// More of them save less than a hundredth, and each is waited for.
const CONTEXTS: usize = 4;
/// Contexts of a guess.
const FLAGS: usize = 5;
/// Size of a context's table: 2^this rows of 16 counters.
const ROWS: u32 = 14;
/// Size of the table of guesses.
const GUESSES: u32 = 14;

/// The model.
pub struct Swift {
    logistic: Logistic,
    bytes: Rows<CONTEXTS, { CONTEXTS + 2 }>,
    /// Small counters of guesses, a table for each context.
    flags: Vec<u16>,
    flag_mixer: Mixer<{ FLAGS + 1 }>,
    /// How often the second guess is right.
    sure: Counter,
    /// What came last behind four and three bytes.
    long: Runs,
    short: Runs,
    /// The newest guesses, a one for each that was wrong.
    wrong: u32,
}

impl Swift {
    /// A model that knows nothing; 3 MiB, most of which a processor's caches hold.
    pub fn new() -> Self {
        Self {
            logistic: Logistic::new(),
            bytes: Rows::new(ROWS, 3),
            flags: vec![HALF; FLAGS << GUESSES],
            flag_mixer: Mixer::new(512, 4096 * 3 / 10, 260),
            sure: Counter::NEW,
            long: Runs::new(17),
            short: Runs::new(16),
            wrong: 0,
        }
    }

    /// Codes one byte, of which `voices` expect something, behind the bytes `newest` and in `word`; `known` is what it is (the encoder).
    #[inline]
    pub fn code<C: Coder>(&mut self, coder: &mut C, known: u8, newest: u64, word: u32, voices: &[Voice; VOICES]) -> u8 {
        let front = &voices[1];
        let last = newest as u32;
        let contexts = [
            hash(last & 0xFF, 1),
            hash(last & 0xFFFF, 2),
            hash(word, 5),
            hash(front.expected.map_or(256, u32::from) << 2 | front.grade & 3, last & 0xFF),
        ];
        // Where a long match goes on, these are hardly ever needed.
        let sure = voices[0].grade > 2;
        if !sure {
            self.bytes.expect(contexts);
        }
        let long = self.long.expect(hash(last, 9));
        let short = self.short.expect(hash(last & 0xFF_FFFF, 11));
        let guess = self.code_guessed(coder, known, newest, voices, (long, short));
        let byte = match guess {
            Guess::Right(byte) => byte,
            Guess::Wrong(set, other) => {
                if sure {
                    self.bytes.expect(contexts);
                }
                let sureness = self.logistic.stretch(self.sure.probability()) as i16;
                let byte = self.bytes.code(coder, known, set, other.map(|byte| (byte, sureness)));
                if let Some(other) = other {
                    self.sure.update(other == byte, 255);
                }
                byte
            }
        };
        self.long.learn(byte);
        self.short.learn(byte);
        byte
    }

    /// Asks the first who says anything.
    #[inline]
    fn code_guessed<C: Coder>(
        &mut self,
        coder: &mut C,
        known: u8,
        newest: u64,
        voices: &[Voice; VOICES],
        (long, short): ((u8, u8), (u8, u8)),
    ) -> Guess {
        let front = &voices[1];
        let guesses = [
            (voices[0].expected, voices[0].state),
            (front.expected.filter(|_| front.grade > 1), front.state),
            (voices[2].expected.filter(|_| voices[2].grade > 1), voices[2].state),
            (Some(long.0).filter(|_| long.1 > 0), u32::from(long.1).min(15)),
            (Some(short.0).filter(|_| short.1 > 0), u32::from(short.1).min(15)),
            (front.expected, front.state),
        ];
        let found = guesses.iter().position(|(byte, _)| byte.is_some());
        let Some((which, (Some(guess), state))) = found.map(|which| (which as u32, guesses[which])) else {
            return Guess::Wrong(0, None);
        };
        let agrees = |byte: u8, there: bool| {
            if !there {
                0
            } else if byte == guess {
                1
            } else {
                2
            }
        };
        let agree = u32::from(front.expected == Some(guess)) | u32::from(voices[2].expected == Some(guess)) << 1;
        let agree = agree + 4 * agrees(long.0, long.1 > 0) + 12 * agrees(short.0, short.1 > 0);
        if self.code_guess(coder, known == guess, newest, guess, (which, state, agree)) {
            return Guess::Right(guess);
        }
        let other = guesses[which as usize + 1..].iter().find_map(|&(byte, _)| byte.filter(|byte| *byte != guess));
        Guess::Wrong(1 + usize::from(other.is_some()), other)
    }

    /// Whether a guess is right.
    #[inline]
    fn code_guess<C: Coder>(
        &mut self,
        coder: &mut C,
        right: bool,
        newest: u64,
        guess: u8,
        (which, state, agree): (u32, u32, u32),
    ) -> bool {
        let (last, guess) = (newest as u32, u32::from(guess));
        let state = state & 63;
        let contexts = [
            hash(which << 12 | state << 6 | agree, 0),
            which << 11 | self.wrong & 0x7FF,
            hash(guess, which << 10 | (state >> 2) << 6 | agree),
            hash(guess << 8 | last & 0xFF, 1),
            hash(guess << 16 | last & 0xFFFF, 2),
        ];
        let mut inputs = [256_i16; FLAGS + 1];
        let mut places = [0; FLAGS];
        let stretches = self.logistic.coarse();
        for (index, (place, input)) in places.iter_mut().zip(&mut inputs).enumerate() {
            let context = contexts[index];
            let within = if index == 1 { context & ((1 << GUESSES) - 1) } else { context >> (32 - GUESSES) };
            *place = index << GUESSES | within as usize;
            *input = stretches[usize::from(self.flags[*place] >> 4)];
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

/// What became of a guess.
enum Guess {
    /// The byte is this one.
    Right(u8),
    /// It is another one: the set of weights for that, and the next guess.
    Wrong(usize, Option<u8>),
}

/// The byte that came last under each context, and how often in a row.
struct Runs {
    slots: Vec<[u8; 4]>,
    bits: u32,
    place: usize,
    check: [u8; 2],
}

impl Runs {
    fn new(bits: u32) -> Self {
        Self { slots: vec![[0; 4]; 1 << bits], bits, place: 0, check: [0; 2] }
    }

    /// What is expected under a context, and how often it came; never if there is nothing.
    #[inline]
    fn expect(&mut self, context: u32) -> (u8, u8) {
        self.place = (context >> (32 - self.bits)) as usize;
        self.check = [context as u8, (context >> 8) as u8];
        let slot = self.slots[self.place];
        if slot[0] == self.check[0] && slot[1] == self.check[1] { (slot[2], slot[3]) } else { (0, 0) }
    }

    #[inline]
    fn learn(&mut self, byte: u8) {
        let slot = &mut self.slots[self.place];
        let [low, high] = self.check;
        *slot = match *slot {
            [a, b, last, count] if a == low && b == high && last == byte => [a, b, last, (count + 1).min(60)],
            [a, b, last, count] if a == low && b == high && count > 3 => [a, b, last, count / 4],
            _ => [low, high, byte, 1],
        };
    }
}
