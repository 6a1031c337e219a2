//! Bytes that stand nowhere in the old files, or not where a copy could reach them.
//!
//! Each bit is predicted by several contexts (the last 1 to 6 bytes, the word, what stands in the old file where this gap was cut),
//! by the longest match in the output so far, and a mixer weighs them (after lpaq1 and paq8 by Matt Mahoney). Copied bytes near a
//! gap are learned as well, since an edit resembles its surroundings.

use super::history::History;
use super::models::{Correction, Counter, Logistic, Mixer, SHARES};
use super::range::Coder;

/// Contexts that have a row of slots each.
pub const CONTEXTS: usize = 12;
/// Two inputs for each context, two for each of the match models.
const INPUTS: usize = 2 * CONTEXTS + 8;
/// Words of a bucket: a check, and the 15 nodes of a tree over four bits.
const BUCKET: usize = 16;
/// Shortest match that is looked up, in bytes.
const MATCHED: u64 = 6;
/// Matches are told apart up to this length.
const LONGEST: u32 = 32;

/// What the bytes mostly are; it selects contexts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// Text: words and lines.
    Text,
    /// Machine code and tables.
    Binary,
}

/// What stands in the old files around a gap.
#[derive(Default)]
pub struct Surroundings {
    /// Old bytes from the end of the copy before the gap on.
    pub front: Vec<u8>,
    /// Old bytes up to the start of the copy behind the gap.
    pub back: Vec<u8>,
}

/// A place that is expected to go on as it went on before.
#[derive(Clone, Copy, Default)]
struct Follower {
    at: u64,
    hits: u32,
    misses: u32,
    expected: Option<u8>,
}

/// The model of fresh bytes.
pub struct Fresh {
    logistic: Logistic,
    nature: Nature,
    slots: Vec<[u32; BUCKET]>,
    mask: usize,
    /// The bucket of each context for the current half byte.
    buckets: [usize; CONTEXTS],
    hashes: [u32; CONTEXTS],
    /// What a short past of bits means, for each context.
    pasts: Vec<[Counter; 256]>,
    order0: [Counter; 256],
    inputs: [i32; INPUTS],
    by_match: Mixer<INPUTS>,
    by_bits: Mixer<INPUTS>,
    by_last: Mixer<INPUTS>,
    correct_short: Correction,
    correct_long: Correction,
    /// Bits of the current byte behind a leading one.
    partial: usize,
    newest: u64,
    word: u32,
    last_word: u32,
    line: u32,
    positions: Vec<u32>,
    matching: Follower,
    front: Follower,
    back: Option<u8>,
    match_sure: Vec<Counter>,
    front_sure: Vec<Counter>,
    back_sure: Vec<Counter>,
    back_hits: u32,
    learned: u64,
}

#[inline]
fn hash(left: u32, right: u32) -> u32 {
    let mixed = left.wrapping_mul(0x9E37_79B1) ^ right.wrapping_mul(0x85EB_CA6B).rotate_left(13);
    (mixed ^ mixed >> 15).wrapping_mul(0xC2B2_AE35)
}

impl Fresh {
    /// A model that knows nothing, with 2^`bits` buckets of 64 bytes.
    pub fn new(nature: Nature, bits: u32) -> Self {
        let logistic = Logistic::new();
        let buckets = 1_usize << bits.clamp(4, 22);
        let weight = (1 << 16) * 3 / 10;
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
            by_match: Mixer::new(256, weight, 6),
            by_bits: Mixer::new(256, weight, 6),
            by_last: Mixer::new(256, weight, 6),
            correct_short: Correction::new(logistic, 256, 6),
            correct_long: Correction::new(logistic, 1 << 16, 6),
            partial: 1,
            newest: 0,
            word: 0,
            last_word: 0,
            line: 0,
            positions: vec![0; 1 << 18],
            matching: Follower::default(),
            front: Follower::default(),
            back: None,
            match_sure: vec![Counter::NEW; 64 * 2],
            front_sure: vec![Counter::NEW; 64 * 16],
            back_sure: vec![Counter::NEW; 64],
            back_hits: 0,
            learned: 0,
        }
    }

    /// Takes note of where copied bytes stand in the output, for matches only.
    pub fn note_copied(&mut self, history: &History) {
        // Every fourth place: a match is found at most three bytes later, and long copies stay fast.
        let reach = history.reach();
        self.learned = self.learned.max(history.at() - reach);
        let mut at = (self.learned.max(MATCHED) + 3) & !3;
        while at <= history.at() {
            let mut window = 0_u64;
            for back in (1..=MATCHED).rev() {
                window = window << 8 | u64::from(history.byte(at - back));
            }
            let place = position_of(window, self.positions.len());
            self.positions[place] = at as u32;
            at += 4;
        }
        self.learned = history.at();
    }

    /// Learns the newest `count` bytes of the output, which were copied.
    pub fn train(&mut self, history: &History, from: u64) {
        self.enter(history, from);
        self.front = Follower::default();
        self.back = None;
        let mut at = from;
        while at < history.at() {
            let byte = history.byte(at);
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
            at += 1;
        }
    }

    /// Sets the contexts to what precedes `at`.
    fn enter(&mut self, history: &History, at: u64) {
        self.newest = (1..=8_u64.min(at)).rev().fold(0, |word, back| word << 8 | u64::from(history.byte(at - back)));
        (self.word, self.last_word, self.line) = (0, 0, 0);
        self.partial = 1;
        let known = 64.min(at).min(history.reach());
        for back in (1..=known).rev() {
            self.note_word(history.byte(at - back));
        }
    }

    /// Codes `length` bytes of a gap that has `remaining` left. `actual` are the bytes if they are known (the encoder).
    pub fn code<C: Coder>(
        &mut self,
        coder: &mut C,
        actual: Option<&[u8]>,
        length: usize,
        remaining: u64,
        around: &Surroundings,
        history: &mut History,
    ) {
        for index in 0..length {
            let known = actual.and_then(|bytes| bytes.get(index)).copied().unwrap_or(0);
            self.expect(history, around, remaining - index as u64);
            let byte = self.code_byte(coder, known);
            history.push(byte);
            self.advance(byte);
            self.follow(byte, history, around);
        }
    }

    /// Starts a gap.
    pub fn start(&mut self, history: &History) {
        self.enter(history, history.at());
        self.matching = Follower::default();
        self.front = Follower { at: 0, hits: 1, misses: 0, expected: None };
        self.back_hits = 0;
        self.look_up(history);
    }

    fn expect(&mut self, history: &History, around: &Surroundings, remaining: u64) {
        self.matching.expected = (self.matching.hits > 0).then(|| history.byte(self.matching.at));
        self.front.expected = around.front.get(self.front.at as usize).copied();
        self.back = (around.back.len() as u64).checked_sub(remaining).and_then(|at| around.back.get(at as usize)).copied();
    }

    fn look_up(&mut self, history: &History) {
        if history.at() < MATCHED {
            return;
        }
        let window = self.newest & ((1 << (8 * MATCHED)) - 1);
        let place = position_of(window, self.positions.len());
        if self.matching.hits == 0 {
            let now = history.at() as u32;
            let back = u64::from(now.wrapping_sub(self.positions[place]));
            if back > 0 && back < history.reach() {
                let at = history.at() - back;
                let longest = u64::from(LONGEST).min(history.reach() - back);
                let same = (1..=longest).take_while(|&step| history.byte(at - step) == history.byte(history.at() - step)).count();
                if same as u64 >= MATCHED {
                    self.matching = Follower { at, hits: same as u32, misses: 0, expected: None };
                }
            }
        }
        self.positions[place] = history.at() as u32;
    }

    fn follow(&mut self, byte: u8, history: &History, around: &Surroundings) {
        if self.matching.hits > 0 {
            if self.matching.expected == Some(byte) {
                self.matching.hits = (self.matching.hits + 1).min(LONGEST);
                self.matching.at += 1;
                if history.at() - self.matching.at >= history.reach() {
                    self.matching.hits = 0;
                }
            } else {
                self.matching.hits = 0;
            }
        }
        self.look_up(history);
        self.learned = history.at();
        if self.back == Some(byte) {
            self.back_hits = (self.back_hits + 1).min(7);
        } else {
            self.back_hits = 0;
        }
        if self.front.expected == Some(byte) {
            self.front.hits = (self.front.hits + 1).min(15);
            self.front.misses >>= u32::from(self.front.hits & 3 == 0);
            self.front.at += 1;
        } else {
            self.front.hits = 0;
            self.front.misses = (self.front.misses + 1).min(15);
            self.front.at += 1;
            // Where do the last three bytes stand in the old text? The nearest place ahead counts, then one behind.
            let last = [(self.newest >> 16) as u8, (self.newest >> 8) as u8, self.newest as u8];
            let at = (self.front.at as usize).min(around.front.len());
            let start = at.saturating_sub(64);
            let end = around.front.len().min(at + 256);
            let found = around.front[start..end].windows(3).enumerate().filter(|(_, window)| *window == last);
            if let Some((index, _)) = found.min_by_key(|(index, _)| (start + index).abs_diff(at)) {
                self.front.at = (start + index + 3) as u64;
                self.front.hits = 1;
            }
        }
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
        self.line = if byte == b'\n' { 0 } else { (self.line + 1).min(255) };
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
            let kept = newest & ((1 << (8 * bytes)) - 1);
            hash(kept as u32, (kept >> 32) as u32 + 1)
        };
        let front = self.front.expected.map_or(256, u32::from);
        let back = self.back.map_or(256, u32::from);
        let common = [last(1), last(2), last(3), hash(last(4), 4), long(5), long(6)];
        let own = match self.nature {
            Nature::Text => [
                hash(self.word, last(1)),
                hash(self.word, self.last_word),
                hash(front << 4 | self.front.hits.min(3), back),
                hash(front, last(1)),
                (newest >> 8 & 0xFFFF) as u32,
                hash(back << 3 | self.back_hits.min(3), last(1)),
            ],
            Nature::Binary => [
                (newest >> 8 & 0xFFFF) as u32,
                (newest >> 16 & 0xFFFF) as u32,
                hash(front << 4 | self.front.hits.min(3), back),
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
                let weaker = if self.slots[place][1] & 255 <= self.slots[other][1] & 255 { place } else { other };
                self.slots[weaker] = [0; BUCKET];
                self.slots[weaker][0] = check;
                weaker
            };
        }
    }

    #[inline]
    fn code_byte<C: Coder>(&mut self, coder: &mut C, known: u8) -> u8 {
        self.begin_byte();
        for shift in (0..8).rev() {
            if shift == 3 {
                self.find_buckets();
            }
            self.code_bit(coder, known >> shift & 1 == 1, shift);
        }
        let byte = self.partial as u8;
        self.partial = 1;
        byte
    }

    #[inline]
    fn code_bit<C: Coder>(&mut self, coder: &mut C, known: bool, shift: u32) {
        let logistic = self.logistic;
        let node = tree_node(self.partial);
        for index in 0..CONTEXTS {
            let slot = self.slots[self.buckets[index]][node];
            let (direct, past) = if slot == 0 {
                (0, 0)
            } else {
                (logistic.stretch(slot >> 16), logistic.stretch(self.pasts[index][(slot >> 8 & 255) as usize].probability()))
            };
            self.inputs[2 * index] = direct;
            self.inputs[2 * index + 1] = past;
        }
        let mut at = 2 * CONTEXTS;
        // A follower speaks as long as what it expects begins with the bits so far.
        let partial = self.partial;
        let speaks = |expected: Option<u8>| {
            expected
                .map(|byte| usize::from(byte) | 256)
                .filter(|&byte| byte >> (shift + 1) == partial)
                .map(|byte| byte >> shift & 1 == 1)
        };
        let voices = [
            (speaks(self.matching.expected), self.matching.hits.min(LONGEST) as usize),
            (speaks(self.front.expected), (self.front.hits.min(7) * 4 + self.front.misses.min(3)) as usize),
            (speaks(self.back), self.back_hits as usize),
        ];
        for ((voice, state), sure) in voices.iter().zip([&self.match_sure, &self.front_sure, &self.back_sure]) {
            let (mut first, mut second) = (0, 0);
            if let Some(bit) = voice {
                let counter = sure[*state];
                let stretched = logistic.stretch(counter.probability());
                let confident = (counter.probability() as i32 - 32768) >> 5;
                first = if *bit { stretched } else { -stretched };
                second = if *bit { confident } else { -confident };
            }
            self.inputs[at] = first;
            self.inputs[at + 1] = second;
            at += 2;
        }
        self.inputs[at] = logistic.stretch(self.order0[partial & 255].probability());
        self.inputs[at + 1] = 256;
        let matched = if voices[0].0.is_some() { (self.matching.hits.ilog2() as usize).min(5) + 1 } else { 0 };
        let fronted =
            if voices[1].0.is_some() { 1 + usize::from(self.front.hits > 0) + usize::from(self.front.hits > 3) } else { 0 };
        let backed = if voices[2].0.is_some() { 1 + usize::from(self.back_hits > 1) } else { 0 };
        let one = self.by_match.mix(logistic, &self.inputs, matched * 12 + fronted * 3 + backed);
        let two = self.by_bits.mix(logistic, &self.inputs, partial & 255);
        let three = self.by_last.mix(logistic, &self.inputs, (self.newest & 255) as usize);
        let mixed = (one + two + three) / 3;
        let plain = logistic.squash(mixed);
        let short = self.correct_short.refine(mixed, partial & 255);
        let long = self.correct_long.refine(mixed, (hash((self.newest & 0xFFFF) as u32, partial as u32) & 0xFFFF) as usize);
        let probability = ((2 * plain + short + long + 2) / 4).clamp(1, 65535);

        let bit = coder.code(known, probability);

        self.by_match.update(&self.inputs, bit);
        self.by_bits.update(&self.inputs, bit);
        self.by_last.update(&self.inputs, bit);
        self.correct_short.update(bit);
        self.correct_long.update(bit);
        self.order0[partial & 255].update(bit, 255);
        for ((voice, state), sure) in voices.iter().zip([&mut self.match_sure, &mut self.front_sure, &mut self.back_sure]) {
            if let Some(expected) = voice {
                sure[*state].update(*expected == bit, 255);
            }
        }
        self.learn_slots(bit);
        self.partial = partial << 1 | usize::from(bit);
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

/// The node of a half byte's tree: 1 to 15.
#[inline]
fn tree_node(partial: usize) -> usize {
    let bits = partial.ilog2();
    if bits < 4 { partial & 15 } else { (partial & ((1 << (bits - 4)) - 1) | 1 << (bits - 4)) & 15 }
}

/// A slot holds a probability (16 bits), the last seven bits behind a leading one (8 bits) and a count (8 bits).
#[inline]
fn learned_slot(slot: u32, bit: bool) -> u32 {
    let (probability, past, count) = if slot == 0 { (1 << 15, 1, 0) } else { (slot >> 16, slot >> 8 & 255, slot & 255) };
    let share = SHARES[count as usize & 1023];
    let target = if bit { 65535 } else { 0 };
    let moved = (probability as i32 + (((target - probability as i32) * (share as i32 >> 2)) >> 14)).clamp(1, 65535) as u32;
    let longer = past << 1 | u32::from(bit);
    let past = if past >= 128 { longer & 127 | 128 } else { longer };
    moved << 16 | past << 8 | (count + 1).min(60)
}

/// What a short past means before anything was learned: mostly the same again.
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

/// Where a match table remembers the place behind six bytes (the newest in the lowest place).
#[inline]
fn position_of(window: u64, length: usize) -> usize {
    ((window.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize) & (length - 1)
}
