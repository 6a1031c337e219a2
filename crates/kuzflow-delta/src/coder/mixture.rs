//! The model of literals: bytes that stand nowhere in the old files, or where no copy could reach
//! them.
//!
//! Several contexts predict each bit: the last 1 to 6 bytes, the word, the bytes at that place in
//! the old file. Up to three match models expect a certain byte. A mixer weighs all of them (after
//! lpaq1 and paq8 by Matt Mahoney). The model can learn copied bytes around a gap as well, since an
//! edit resembles the text around it.

use super::history::Space;
use super::models::{Apm, Counter, Logistic, Mixer, SHARES};
use super::range::Coder;

/// Number of contexts that have a row of slots each.
const CONTEXTS: usize = 12;
/// Number of match models that expect a byte.
pub(super) const MODELS: usize = 3;
/// Two inputs for each context and match model, one for what is known without a context, and one
/// constant.
const INPUTS: usize = 2 * CONTEXTS + 2 * MODELS + 2;
/// How fast weights follow: as fast as a group of a few kilobytes needs. Large groups lose nothing
/// by it.
pub(super) const RATE: u32 = 260;
/// Words of a bucket: a check, and the 15 nodes of a tree over four bits.
const BUCKET: usize = 16;

/// The main kind of the bytes; it selects contexts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// Text: words and lines.
    Text,
    /// Machine code and tables.
    Binary,
}

/// What the next byte should be, by the match model or by the old bytes around a gap.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ExpectedByte {
    /// The expected byte, if there is one.
    pub expected: Option<u8>,
    /// How sure the expectation is, as a context (below 64).
    pub state: u32,
    /// The same certainty in four grades.
    pub grade: u32,
}

/// The next bit that each match model expects, if it expects one, and the model's state.
type ExpectedBits = [(Option<bool>, usize); MODELS];

/// The model of literals.
pub(super) struct Mixture {
    logistic: Logistic,
    nature: Nature,
    slots: Vec<[u32; BUCKET]>,
    mask: usize,
    /// The bucket of each context for the current half byte.
    buckets: [usize; CONTEXTS],
    hashes: [u32; CONTEXTS],
    /// The meaning of a short history of bits, for each context.
    pasts: Vec<[Counter; 256]>,
    order0: [Counter; 256],
    inputs: [i16; INPUTS],
    by_models: Mixer<INPUTS>,
    by_bits: Mixer<INPUTS>,
    by_last: Mixer<INPUTS>,
    correct_short: Apm,
    correct_long: Apm,
    /// How often each match model was right, by its state.
    sure: [[Counter; 64]; MODELS],
    predictions: [ExpectedByte; MODELS],
    /// The bits of the current byte so far, behind a leading one.
    partial: usize,
    newest: u64,
    word: u32,
    last_word: u32,
}

/// Mixes two numbers well enough for a hash table.
#[inline]
pub(super) fn hash(left: u32, right: u32) -> u32 {
    let mixed = left.wrapping_mul(0x9E37_79B1) ^ right.wrapping_mul(0x85EB_CA6B).rotate_left(13);
    (mixed ^ mixed >> 15).wrapping_mul(0xC2B2_AE35)
}

impl Mixture {
    /// A model that has learned nothing, with 2^`bits` buckets of 64 bytes.
    pub(super) fn new(nature: Nature, bits: u32) -> Self {
        let logistic = Logistic::new();
        let buckets = 1_usize << bits.clamp(4, 22);
        let weight = 4096 * 3 / 10;
        Self {
            logistic,
            nature,
            slots: vec![[0; BUCKET]; buckets],
            mask: buckets - 1,
            buckets: [0; CONTEXTS],
            hashes: [0; CONTEXTS],
            pasts: vec![starting_pasts(); CONTEXTS],
            order0: [Counter::NEW; 256],
            inputs: [0; INPUTS],
            by_models: Mixer::new(64, weight, RATE),
            by_bits: Mixer::new(256, weight, RATE),
            by_last: Mixer::new(256, weight, RATE),
            correct_short: Apm::new(logistic, 256, 6),
            correct_long: Apm::new(logistic, 1 << 11, 6),
            sure: [[Counter::NEW; 64]; MODELS],
            predictions: [ExpectedByte::default(); MODELS],
            partial: 1,
            newest: 0,
            word: 0,
            last_word: 0,
        }
    }

    /// Learns the copied output from `from` on.
    pub(super) fn train(&mut self, space: &Space, from: u64) {
        self.enter(space, from);
        self.predictions = [ExpectedByte::default(); MODELS];
        for at in from..space.at() {
            let byte = space.byte(at);
            self.begin_byte();
            for shift in (0..8).rev() {
                if shift == 3 {
                    self.find_buckets();
                }
                let bit = byte >> shift & 1 == 1;
                self.learn_slots(bit);
                self.partial = self.partial << 1 | usize::from(bit);
            }
            self.partial = 1;
            self.advance(byte);
        }
    }

    /// The last eight bytes, the newest in the lowest place.
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// Sets the contexts to the bytes before `at`.
    pub(super) fn enter(&mut self, space: &Space, at: u64) {
        (self.word, self.last_word, self.newest, self.partial) = (0, 0, 0, 1);
        let known = 64.min(at.saturating_sub(space.lowest()));
        for back in (1..=known).rev() {
            self.advance(space.byte(at - back));
        }
    }

    /// Codes one byte, with the expectations in `predictions`; `known` is the byte, which only the
    /// encoder has.
    #[inline]
    pub(super) fn code<C: Coder>(
        &mut self,
        coder: &mut C,
        known: u8,
        predictions: [ExpectedByte; MODELS],
    ) -> u8 {
        self.predictions = predictions;
        self.begin_byte();
        for shift in (0..8).rev() {
            if shift == 3 {
                self.find_buckets();
            }
            self.code_bit(coder, known >> shift & 1 == 1, shift);
        }
        let byte = self.partial as u8;
        self.partial = 1;
        self.advance(byte);
        byte
    }

    #[inline]
    fn note_word(&mut self, byte: u8) {
        let lower = byte.to_ascii_lowercase();
        if lower.is_ascii_alphanumeric() || byte == b'_' || byte >= 128 {
            self.word = hash(self.word, u32::from(lower) + 1);
        } else if self.word != 0 {
            self.last_word = self.word;
            self.word = 0;
        }
    }

    #[inline]
    fn advance(&mut self, byte: u8) {
        self.newest = self.newest << 8 | u64::from(byte);
        self.note_word(byte);
    }

    /// The contexts of the next byte.
    #[inline]
    fn begin_byte(&mut self) {
        let newest = self.newest;
        let last = |bytes: u32| (newest & ((1 << (8 * bytes)) - 1)) as u32;
        let long = |bytes: u32| {
            let retained = newest & ((1 << (8 * bytes)) - 1);
            hash(retained as u32, (retained >> 32) as u32 + 1)
        };
        let front = self.predictions[1].expected.map_or(256, u32::from);
        let back = self.predictions[2].expected.map_or(256, u32::from);
        let (front_grade, back_grade) =
            (self.predictions[1].grade & 3, self.predictions[2].grade & 3);
        let common = [last(1), last(2), last(3), hash(last(4), 4), long(5), long(6)];
        let own = match self.nature {
            Nature::Text => [
                hash(self.word, last(1)),
                hash(self.word, self.last_word),
                hash(front << 2 | front_grade, back),
                hash(front, last(1)),
                (newest >> 8 & 0xFFFF) as u32,
                hash(back << 2 | back_grade, last(1)),
            ],
            Nature::Binary => [
                (newest >> 8 & 0xFFFF) as u32,
                (newest >> 16 & 0xFFFF) as u32,
                hash(front << 2 | front_grade, back),
                hash(front, last(1)),
                (newest & 0xFF00_FF00) as u32,
                (newest >> 24 & 0xFF) as u32 | (newest >> 48 & 0xFF00) as u32,
            ],
        };
        for (index, hashed) in self.hashes.iter_mut().enumerate() {
            let context = if index < 6 { common[index] } else { own[index - 6] };
            *hashed = hash(context, index as u32 + 1);
        }
        self.find_buckets();
    }

    /// The buckets for the next half byte.
    #[inline]
    fn find_buckets(&mut self) {
        for index in 0..CONTEXTS {
            let hashed = hash(self.hashes[index], self.partial as u32);
            let check = (hashed >> 16) | 1 << 16;
            let place = (hashed as usize).wrapping_mul(CONTEXTS) & self.mask;
            let other = place ^ 1;
            self.buckets[index] = if self.slots[place][0] == check {
                place
            } else if self.slots[other][0] == check {
                other
            } else {
                let weaker = if self.slots[place][1] & 255 <= self.slots[other][1] & 255 {
                    place
                } else {
                    other
                };
                self.slots[weaker] = [0; BUCKET];
                self.slots[weaker][0] = check;
                weaker
            };
        }
    }

    #[inline]
    fn code_bit<C: Coder>(&mut self, coder: &mut C, known: bool, shift: u32) {
        let partial = self.partial;
        let expected = self.expected_bits(shift);
        self.gather_inputs(&expected);
        let probability = self.probability(&expected);

        let bit = coder.code(known, probability);

        self.by_models.update(&self.inputs, bit);
        self.by_bits.update(&self.inputs, bit);
        self.by_last.update(&self.inputs, bit);
        self.correct_short.update(bit);
        self.correct_long.update(bit);
        self.order0[partial & 255].update(bit, 255);
        for ((expected, state), sure) in expected.iter().zip(&mut self.sure) {
            if let Some(expected) = expected {
                sure[*state].update(*expected == bit, 255);
            }
        }
        self.learn_slots(bit);
        self.partial = partial << 1 | usize::from(bit);
    }

    /// What the match models expect of the next bit. A model contributes as long as its expected byte
    /// begins with the bits so far.
    #[inline]
    fn expected_bits(&self, shift: u32) -> ExpectedBits {
        self.predictions.map(|prediction| {
            let bit = prediction
                .expected
                .map(|byte| usize::from(byte) | 256)
                .filter(|&byte| byte >> (shift + 1) == self.partial)
                .map(|byte| byte >> shift & 1 == 1);
            (bit, prediction.state as usize & 63)
        })
    }

    /// Puts together what the mixers mix: two inputs of each context, two of each match model, and
    /// two of the whole.
    #[inline]
    fn gather_inputs(&mut self, expected: &ExpectedBits) {
        let logistic = self.logistic;
        let node = tree_node(self.partial);
        for index in 0..CONTEXTS {
            let slot = self.slots[self.buckets[index]][node];
            let (direct, past) = if slot == 0 {
                (0, 0)
            } else {
                (
                    logistic.stretch(slot >> 16),
                    logistic.stretch(self.pasts[index][(slot >> 8 & 255) as usize].probability()),
                )
            };
            self.inputs[2 * index] = direct as i16;
            self.inputs[2 * index + 1] = past as i16;
        }
        let mut at = 2 * CONTEXTS;
        for ((bit, state), sure) in expected.iter().zip(&self.sure) {
            let (mut first, mut second) = (0, 0);
            if let Some(bit) = bit {
                let probability = sure[*state].probability();
                let stretched = logistic.stretch(probability);
                let confident = (probability as i32 - 32768) >> 5;
                first = if *bit { stretched } else { -stretched };
                second = if *bit { confident } else { -confident };
            }
            self.inputs[at] = first as i16;
            self.inputs[at + 1] = second as i16;
            at += 2;
        }
        self.inputs[at] = logistic.stretch(self.order0[self.partial & 255].probability()) as i16;
        self.inputs[at + 1] = 256;
    }

    /// The probability that the next bit is set: the mean of the three mixers, corrected by two
    /// adaptive probability maps.
    #[inline]
    fn probability(&mut self, expected: &ExpectedBits) -> u32 {
        let (logistic, partial) = (self.logistic, self.partial);
        let grades = expected.iter().zip(&self.predictions).map(|((bit, _), prediction)| {
            if bit.is_some() { prediction.grade as usize & 3 } else { 0 }
        });
        let set = grades.fold(0, |set, grade| set << 2 | grade);
        let one = self.by_models.mix(logistic, &self.inputs, set);
        let two = self.by_bits.mix(logistic, &self.inputs, partial & 255);
        let three = self.by_last.mix(logistic, &self.inputs, (self.newest & 255) as usize);
        let mixed = (one + two + three) / 3;
        let plain = logistic.squash(mixed);
        let short = self.correct_short.refine(mixed, partial & 255);
        let long = self
            .correct_long
            .refine(mixed, (hash((self.newest & 0xFF) as u32, partial as u32) & 0x7FF) as usize);
        ((2 * plain + short + long + 2) / 4).clamp(1, 65535)
    }

    #[inline]
    fn learn_slots(&mut self, bit: bool) {
        let node = tree_node(self.partial);
        for index in 0..CONTEXTS {
            let slot = &mut self.slots[self.buckets[index]][node];
            let past = (*slot >> 8 & 255) as usize;
            if *slot != 0 {
                self.pasts[index][past].update(bit, 255);
            }
            *slot = learned_slot(*slot, bit);
        }
    }
}

/// The node of a half byte's tree, 1 to 15.
#[inline]
fn tree_node(partial: usize) -> usize {
    let bits = partial.ilog2();
    if bits < 4 { partial & 15 } else { (partial & ((1 << (bits - 4)) - 1) | 1 << (bits - 4)) & 15 }
}

/// A slot holds a probability (16 bits), the last seven bits behind a leading one (8 bits) and a
/// count (8 bits).
#[inline]
fn learned_slot(slot: u32, bit: bool) -> u32 {
    let (probability, past, count) =
        if slot == 0 { (1 << 15, 1, 0) } else { (slot >> 16, slot >> 8 & 255, slot & 255) };
    let share = SHARES[count as usize & 1023];
    let target = if bit { 65535 } else { 0 };
    let moved = (probability as i32 + (((target - probability as i32) * (share as i32 >> 2)) >> 14))
        .clamp(1, 65535) as u32;
    let longer = past << 1 | u32::from(bit);
    let past = if past >= 128 { longer & 127 | 128 } else { longer };
    moved << 16 | past << 8 | (count + 1).min(250)
}

/// The initial meaning of a short history, before anything was learned: mostly the same bit again.
fn starting_pasts() -> [Counter; 256] {
    let mut pasts = [Counter::NEW; 256];
    for (past, counter) in pasts.iter_mut().enumerate().skip(2) {
        let bits = past.ilog2();
        let mut probability = 1_u32 << 15;
        for step in (0..bits).rev() {
            let target = if past >> step & 1 == 1 { 65535 } else { 0 };
            probability = (probability + target) / 2;
        }
        *counter = Counter::at(probability.clamp(512, 65024), 4);
    }
    pasts
}
