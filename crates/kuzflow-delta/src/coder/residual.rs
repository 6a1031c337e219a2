//! The residual: what differs from the prediction within a copy.
//!
//! A long run without a difference costs one flag for a span of 32, 256 or 4096 bytes; the calm
//! before it selects the length. Around differences, each byte or field has a flag that several
//! contexts predict, and the actual byte is coded bit by bit.

use super::mixture::RATE;
use super::models::{Apm, Counter, Logistic, Mixer};
use super::range::Coder;
use super::rows::{Rows, learned};
use crate::prediction;

/// Contexts of a flag.
const FLAGS: usize = 5;
/// Contexts of a byte that differs.
const VALUES: usize = 6;
/// Bytes covered by one flag, by level.
pub(super) const SPANS: [u64; 4] = [1, 32, 256, 4096];
const LIMIT: u32 = 250;
/// A flag's counter that has learned nothing.
const UNLIKELY: u16 = 1 << 12;
/// Positions within fields of all kinds, whether the last difference holds, and how the last two
/// guesses ended.
const GUESSES: usize = KINDS * 8 * 2 * 4 + 64;
/// A repeated change has a flag from this probability on, of 65536.
const LIKELY: u32 = 24_000;
/// Kinds of fields.
const KINDS: usize = prediction::KINDS as usize;
const _: () = assert!(KINDS.is_power_of_two());

/// The model of residuals, which lives as long as its stream.
pub(super) struct Residual {
    logistic: Logistic,
    spans: [[Counter; 32]; 4],
    /// A table of small counters with checks, for each context.
    flags: Vec<[u16; 2]>,
    flag_mixer: Mixer<{ FLAGS + 1 }>,
    flag_apm: Apm,
    values: Rows<VALUES, { VALUES + 2 }>,
    /// The amount that was added to a plain byte that differed, by the distance from the difference
    /// before: tables whose entries all grow by the same amount.
    changes: [u8; 32],
    /// Whether that amount repeats, by that distance.
    again: [Counter; 32 * 4],
    /// How the newest of those guesses ended.
    repeated: u32,
    /// Whether bytes of fields are guessed.
    guesses: Vec<Counter>,
    /// The newest guesses, a one for each that was right.
    guessed: u32,
    flag_bits: u32,
    /// The newest flags of plain bytes; a one is a difference.
    recent: u32,
    /// The newest flags of fields, by kind.
    recent_fields: [u32; KINDS],
    /// Bytes since the last difference.
    calm: u64,
    /// Bytes between the last two differences.
    rhythm: u64,
    newest: u32,
    last_predicted: u8,
    last_actual: u8,
    deltas: [u64; KINDS],
    /// The level that a failed span allows until its difference is found.
    cap: usize,
}

#[inline]
fn hash(left: u32, right: u32) -> u32 {
    let mixed = left.wrapping_mul(0x9E37_79B1) ^ right.wrapping_mul(0x85EB_CA6B).rotate_left(13);
    (mixed ^ mixed >> 15).wrapping_mul(0xC2B2_AE35)
}

/// A distance as a context: exact when short.
#[inline]
fn scale(distance: u64) -> u32 {
    if distance < 16 { distance as u32 } else { (distance.ilog2() + 12).min(31) }
}

impl Residual {
    /// A model that has learned nothing, in about 2^(`bits` + 1) bytes.
    pub(super) fn new(bits: u32) -> Self {
        let logistic = Logistic::new();
        let bits = bits.clamp(12, 22);
        Self {
            logistic,
            spans: [[Counter::at(1 << 12, 0); 32]; 4],
            flags: vec![[0, UNLIKELY]; FLAGS << (bits - 6)],
            flag_mixer: Mixer::new(32 + KINDS, 4096 / 4, RATE),
            flag_apm: Apm::new(logistic, (32 + KINDS) * 16, 6),
            values: Rows::new(bits - 8, 24),
            changes: [0; 32],
            again: [Counter::at(1 << 12, 2); 32 * 4],
            repeated: 0,
            guesses: vec![Counter::NEW; GUESSES],
            guessed: 0,
            flag_bits: bits - 6,
            recent: 0,
            recent_fields: [0; KINDS],
            calm: 32,
            rhythm: 0,
            newest: 0,
            last_predicted: 0,
            last_actual: 0,
            deltas: [0; KINDS],
            cap: SPANS.len() - 1,
        }
    }

    /// Begins a copy behind the output `newest`.
    pub(super) fn enter(&mut self, newest: u64) {
        self.newest = newest as u32;
        self.calm = self.calm.clamp(32, 400);
        self.cap = SPANS.len() - 1;
    }

    /// The span of the next flag, as a level.
    #[inline]
    pub(super) fn level(&self) -> usize {
        let level = match self.calm {
            0..16 => 0,
            16..512 => 1,
            512..4096 => 2,
            _ => 3,
        };
        level.min(self.cap)
    }

    /// Codes whether something differs in a span of a level above 0.
    #[inline]
    pub(super) fn code_span<C: Coder>(
        &mut self,
        coder: &mut C,
        level: usize,
        differs: bool,
    ) -> bool {
        let context = if self.cap < SPANS.len() - 1 {
            31
        } else {
            (self.calm.max(1).ilog2() as usize).min(30)
        };
        let counter = &mut self.spans[level & 3][context];
        let differs = coder.code(differs, counter.probability());
        counter.update(differs, LIMIT);
        if differs {
            self.cap = level - 1;
        }
        differs
    }

    /// Records that `bytes` equalled the prediction within a span, without flags for single bytes.
    #[inline]
    pub(super) fn pass(&mut self, bytes: &[u8]) {
        for &byte in &bytes[bytes.len().saturating_sub(4)..] {
            self.newest = self.newest << 8 | u32::from(byte);
        }
        self.calm += bytes.len() as u64;
        self.recent = if bytes.len() < 32 { self.recent << bytes.len() } else { 0 };
    }

    /// Codes one plain byte, where `predictor` is predicted and `ahead` follows; returns the actual
    /// byte.
    pub(super) fn code_byte<C: Coder>(
        &mut self,
        coder: &mut C,
        predictor: u8,
        ahead: u8,
        known: Option<u8>,
    ) -> u8 {
        let predicted = u32::from(predictor);
        let differs = known.is_some_and(|byte| byte != predictor);
        let contexts = [
            hash(predicted << 3 | self.recent & 7, 2),
            hash(predicted << 8 | self.newest & 0xFF, 3 << 8 | self.recent & 1),
            hash(predicted << 16 | self.newest & 0xFFFF, 4),
            hash(scale(self.calm) << 8 | scale(self.rhythm), 5),
            hash(predicted << 8 | u32::from(ahead), 7),
        ];
        let set = scale(self.calm).min(31) as usize;
        if self.code_flag(coder, &contexts, set, differs) {
            let byte = self.code_changed(coder, predictor, ahead, known);
            self.recent = self.recent << 1 | 1;
            self.rhythm = self.calm;
            self.calm = 0;
            self.cap = SPANS.len() - 1;
            (self.last_predicted, self.last_actual) = (predictor, byte);
            self.newest = self.newest << 8 | u32::from(byte);
            byte
        } else {
            self.pass(&[predictor]);
            predictor
        }
    }

    /// Codes a plain byte that differs from the prediction. It may differ by the same amount as the
    /// last difference at this distance from another one: a flag says so where that is likely;
    /// otherwise that amount is only one input among others.
    fn code_changed<C: Coder>(
        &mut self,
        coder: &mut C,
        predictor: u8,
        ahead: u8,
        known: Option<u8>,
    ) -> u8 {
        let distance = scale(self.calm) as usize & 31;
        let guess = predictor.wrapping_add(self.changes[distance]);
        let context = distance * 4 + (self.repeated & 3) as usize;
        let probability = self.again[context].probability();
        let flagged = guess != predictor && probability > LIKELY;
        let byte = if flagged && coder.code(known == Some(guess), probability) {
            guess
        } else {
            let prediction = (guess != predictor && !flagged)
                .then(|| (guess, self.logistic.stretch(probability) as i16));
            self.code_value(coder, (predictor, prediction), 0, 0, u32::from(ahead), known)
        };
        if guess != predictor {
            self.again[context].update(byte == guess, LIMIT);
            self.repeated = self.repeated << 1 | u32::from(byte == guess);
        }
        self.changes[distance] = byte.wrapping_sub(predictor);
        byte
    }

    /// Codes a field of `kind` (below the number of kinds). `field` holds the predicted bytes, and
    /// the actual ones afterwards.
    pub(super) fn code_field<C: Coder>(
        &mut self,
        coder: &mut C,
        field: &mut [u8],
        kind: u8,
        known: Option<&[u8]>,
    ) {
        let kind = kind & (KINDS as u8 - 1);
        let number = u32::from(kind);
        let past = self.recent_fields[usize::from(kind)];
        let differs = known.is_some_and(|bytes| bytes != field);
        let contexts = [
            hash(number << 8 | past & 0xFF, 11),
            hash(number << 16 | self.newest & 0xFFFF, 12),
            hash(number << 8 | u32::from(field[0]), 13),
            hash(number << 8 | scale(self.calm), 14),
            hash(
                u32::from(field[0])
                    | u32::from(field[1 % field.len()]) << 8
                    | u32::from(field[2 % field.len()]) << 16,
                17 + number,
            ),
        ];
        let differs = self.code_flag(coder, &contexts, 32 + usize::from(kind), differs);
        self.recent_fields[usize::from(kind)] = past << 1 | u32::from(differs);
        if !differs {
            self.pass(field);
            return;
        }
        let read = |field: &[u8]| {
            field.iter().rev().fold(0_u64, |number, &byte| number << 8 | u64::from(byte))
        };
        let before = read(field);
        let again = before.wrapping_add(self.deltas[usize::from(kind)]).to_le_bytes();
        let mut same = true;
        for index in 0..field.len() {
            let known = known.and_then(|bytes| bytes.get(index)).copied();
            let expected = again[index & 7];
            let place = number * 8 + index as u32 + 1;
            let guess = if same { expected } else { field[index] };
            let value = if self.code_guess(coder, place, same, known.map(|known| known == guess)) {
                guess
            } else {
                self.code_value(
                    coder,
                    (field[index], None),
                    place,
                    1 + u32::from(same),
                    u32::from(expected),
                    known,
                )
            };
            same &= value == expected;
            field[index] = value;
            self.newest = self.newest << 8 | u32::from(value);
        }
        self.deltas[usize::from(kind)] = read(field).wrapping_sub(before);
        self.rhythm = self.calm;
        self.calm = 0;
        self.cap = SPANS.len() - 1;
        self.recent = self.recent << 1 | 1;
    }

    fn code_flag<C: Coder>(
        &mut self,
        coder: &mut C,
        contexts: &[u32; FLAGS],
        set: usize,
        differs: bool,
    ) -> bool {
        let mut inputs = [0_i16; FLAGS + 1];
        let mut places = [0; FLAGS];
        let stretches = self.logistic.coarse();
        for (index, (place, &context)) in places.iter_mut().zip(contexts).enumerate() {
            *place = index << self.flag_bits | (context >> (32 - self.flag_bits)) as usize;
        }
        for ((input, &place), &context) in inputs.iter_mut().zip(&places).zip(contexts) {
            let [check, counter] = self.flags[place];
            *input = stretches
                [usize::from(if check == context as u16 { counter } else { UNLIKELY } >> 4)];
        }
        inputs[FLAGS] = 256;
        let mixed = self.flag_mixer.mix(self.logistic, &inputs, set);
        let refined = self.flag_apm.refine(mixed, set * 16 + (self.recent & 15) as usize);
        let probability = (self.logistic.squash(mixed) + refined) / 2;
        let differs = coder.code(differs, probability.clamp(1, 65535));
        self.flag_mixer.update(&inputs, differs);
        self.flag_apm.update(differs);
        for (&place, &context) in places.iter().zip(contexts) {
            let slot = &mut self.flags[place];
            if slot[0] != context as u16 {
                *slot = [context as u16, UNLIKELY];
            }
            slot[1] = learned(slot[1], differs);
        }
        differs
    }

    /// Codes whether a byte of a field is the most likely one: by the last difference of its kind
    /// as long as that holds, else the predicted one.
    #[inline]
    fn code_guess<C: Coder>(
        &mut self,
        coder: &mut C,
        place: u32,
        same: bool,
        known: Option<bool>,
    ) -> bool {
        let context = (place as usize * 2 + usize::from(same)) * 4 + (self.guessed & 3) as usize;
        let counter = &mut self.guesses[context % GUESSES];
        let right = coder.code(known.unwrap_or(false), counter.probability());
        counter.update(right, LIMIT);
        self.guessed = self.guessed << 1 | u32::from(right);
        right
    }

    /// Codes a byte where `predictor` was predicted. `prediction` may give a likely value and how
    /// sure it is (a stretched probability). Within a field the actual byte may equal `predictor`.
    fn code_value<C: Coder>(
        &mut self,
        coder: &mut C,
        (predictor, prediction): (u8, Option<(u8, i16)>),
        place: u32,
        state: u32,
        expected: u32,
        known: Option<u8>,
    ) -> u8 {
        let predicted = u32::from(predictor);
        let newest = self.newest;
        let change = u32::from(self.last_actual.wrapping_sub(self.last_predicted));
        let contexts = [
            hash(place << 8 | predicted, 101),
            hash(place << 16 | predicted << 8 | newest & 0xFF, 102),
            hash(place << 8 | expected, 104 + state),
            hash(
                place << 16 | predicted << 8 | u32::from(self.last_actual),
                105 + (u32::from(self.last_predicted) << 8),
            ),
            hash(place, 106 + state),
            hash(predicted << 8 | change, 108 + (place << 8)),
        ];
        self.values.expect(contexts);
        self.values.code(coder, known.unwrap_or(0), (state + 3 * (place & 7)) as usize, prediction)
    }
}
