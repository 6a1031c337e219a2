//! Parts that learn probabilities: counters, the logistic scale, mixers that weigh several
//! predictions, and adaptive probability maps that correct the result.
//!
//! The mathematics is that of Matt Mahoney's PAQ family (lpaq1, paq8: logistic mixing, adaptive
//! maps), in integers alone, so that every machine learns the same. Never: floating point; a table
//! whose size depends on the input.

use std::sync::LazyLock;

/// A stretched probability, ln(p / (1 - p)), has 8 fractional bits and stays within ±`LIMIT`.
pub(super) const LIMIT: i32 = 12 * 256 - 1;

/// 65536 / (1 + e^-x) for x = -12 to 12 in steps of one half; values between are interpolated.
const SQUASHED: [u16; 49] = [
    1, 1, 1, 2, 3, 5, 8, 13, 22, 36, 60, 98, 162, 267, 439, 720, 1179, 1921, 3108, 4971, 7812,
    11955, 17625, 24743, 32768, 40793, 47911, 53581, 57724, 60565, 62428, 63615, 64357, 64816,
    65097, 65269, 65374, 65438, 65476, 65500, 65514, 65523, 65528, 65531, 65533, 65534, 65535,
    65535, 65535,
];

/// Both directions of the logistic scale.
struct Scale {
    squash: [u16; 2 * (LIMIT as usize + 1)],
    /// Stretched probability, by probability / 16.
    stretch: [i16; 4096],
    /// The ends of the scale by probability: the first 2048, and the distance from 65536 for the
    /// last.
    end: [i16; 2048],
}

static SCALE: LazyLock<Box<Scale>> = LazyLock::new(|| {
    let mut scale = Box::new(Scale {
        squash: [0; 2 * (LIMIT as usize + 1)],
        stretch: [0; 4096],
        end: [0; 2048],
    });
    for (index, squashed) in scale.squash.iter_mut().enumerate() {
        let (step, part) = (index >> 7, (index & 127) as u32);
        let below = u32::from(SQUASHED[step]);
        let above = u32::from(SQUASHED[(step + 1).min(SQUASHED.len() - 1)]);
        *squashed = (below + ((above - below) * part + 64) / 128).clamp(1, 65535) as u16;
    }
    let mut index = 0;
    for probability in 0..65536_usize {
        while index < scale.squash.len() - 1 && usize::from(scale.squash[index]) < probability {
            index += 1;
        }
        let stretched = (index as i32 - LIMIT - 1).clamp(-LIMIT, LIMIT) as i16;
        if probability % 16 == 8 {
            scale.stretch[probability / 16] = stretched;
        }
        if probability < scale.end.len() {
            scale.end[probability] = stretched;
        }
    }
    scale
});

/// The logistic scale, fetched once for each model instead of once for each bit.
#[derive(Clone, Copy)]
pub(super) struct Logistic(&'static Scale);

impl Logistic {
    /// The only scale.
    pub(super) fn new() -> Self {
        Self(&SCALE)
    }

    /// The probability, 1 to 65535, of a stretched one.
    #[inline]
    pub(super) fn squash(self, stretched: i32) -> u32 {
        u32::from(self.0.squash[(stretched.clamp(-LIMIT, LIMIT) + LIMIT + 1) as usize])
    }

    /// Stretched probabilities in 4096ths.
    #[inline]
    pub(super) fn coarse(self) -> &'static [i16; 4096] {
        &self.0.stretch
    }

    /// ln(p / (1 - p)) of a probability in 65536ths.
    #[inline]
    pub(super) fn stretch(self, probability: u32) -> i32 {
        if probability < 2048 {
            i32::from(self.0.end[probability as usize & 2047])
        } else if probability >= 65536 - 2048 {
            -i32::from(self.0.end[(65536 - probability) as usize & 2047])
        } else {
            i32::from(self.0.stretch[(probability >> 4) as usize & 4095])
        }
    }
}

/// How often a bit was a one: 22 bits of probability and 10 bits of count. The first bits have the
/// most effect.
#[derive(Clone, Copy)]
pub(super) struct Counter(u32);

/// 65536 / (n + 1.5): the weight of the n-th bit.
pub(super) static SHARES: [u32; 1024] = {
    let mut shares = [0; 1024];
    let mut count = 0;
    while count < shares.len() {
        shares[count] = (2 << 16) / (2 * count as u32 + 3);
        count += 1;
    }
    shares
};

impl Counter {
    /// A counter that has learned nothing.
    pub(super) const NEW: Self = Self(1 << 31);

    /// A counter that starts at `probability` (of 65536) as if it had seen `count` bits.
    pub(super) const fn at(probability: u32, count: u32) -> Self {
        Self(probability << 16 | count)
    }

    /// The probability of a one, 1 to 65535.
    #[inline]
    pub(super) fn probability(self) -> u32 {
        (self.0 >> 16).clamp(1, 65535)
    }

    /// Learns a bit, as an average over at most about `limit` (below 1024) bits.
    #[inline]
    pub(super) fn update(&mut self, bit: bool, limit: u32) {
        let count = self.0 & 1023;
        let probability = i64::from(self.0 >> 10);
        let target = if bit { (1 << 22) - 1 } else { 0 };
        let moved = probability
            + (((target - probability) * i64::from(SHARES[count as usize & 1023])) >> 16);
        self.0 = (moved as u32) << 10 | if count < limit { count + 1 } else { count };
    }
}

/// Weighs `N` predictions, with a set of weights for each situation.
pub(super) struct Mixer<const N: usize> {
    weights: Vec<[i16; N]>,
    selected: usize,
    rate: u32,
    output: u32,
}

impl<const N: usize> Mixer<N> {
    /// `sets` sets of weights that start at `weight` / 4096 each (all weights stay within ±8).
    /// `rate`, below 512, is the speed of learning.
    pub(super) fn new(sets: usize, weight: i16, rate: u32) -> Self {
        Self { weights: vec![[weight; N]; sets.max(1)], selected: 0, rate, output: ONE_HALF }
    }

    /// The stretched sum of `inputs` under the weights of `set`.
    #[inline]
    pub(super) fn mix(&mut self, logistic: Logistic, inputs: &[i16; N], set: usize) -> i32 {
        self.selected = set.min(self.weights.len() - 1);
        let weights = &self.weights[self.selected];
        // Products of 16 by 16 bits, so that a compiler can compute eight at once on any machine.
        let sum = inputs.iter().zip(weights).fold(0_i32, |sum, (&input, &weight)| {
            sum.wrapping_add(i32::from(input) * i32::from(weight))
        });
        let stretched = (sum >> 12).clamp(-LIMIT, LIMIT);
        self.output = logistic.squash(stretched);
        stretched
    }

    /// Learns from the actual bit after the last `mix`.
    #[inline]
    pub(super) fn update(&mut self, inputs: &[i16; N], bit: bool) {
        let error = (((i32::from(bit) << 16) - self.output as i32) * self.rate as i32) >> 10;
        let error = error.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
        for (&input, weight) in inputs.iter().zip(&mut self.weights[self.selected]) {
            let change = (((i32::from(input) * i32::from(error)) >> 15) + 1) >> 1;
            *weight = weight.saturating_add(change as i16);
        }
    }
}

const ONE_HALF: u32 = 1 << 15;

/// Corrects a probability, under a context, by the bits that followed when it was predicted before
/// (paq8's adaptive probability map, APM).
pub(super) struct Apm {
    table: Vec<u16>,
    index: usize,
    rate: u32,
}

/// Points of the stretched scale that each context learns.
const POINTS: usize = 25;

impl Apm {
    /// One map for each of `contexts` contexts; each bit moves it by 1 / 2^`rate`.
    pub(super) fn new(logistic: Logistic, contexts: usize, rate: u32) -> Self {
        let row = (0..POINTS).map(|point| logistic.squash((point as i32 - 12) * 256) as u16);
        Self { table: (0..contexts).flat_map(|_| row.clone()).collect(), index: 0, rate }
    }

    /// The corrected probability of a stretched one.
    #[inline]
    pub(super) fn refine(&mut self, stretched: i32, context: usize) -> u32 {
        let place = (stretched.clamp(-LIMIT, LIMIT) + 12 * 256) as usize;
        let (point, part) = (place >> 8, (place & 255) as u32);
        let at = (context * POINTS + point).min(self.table.len() - 2);
        self.index = if part < 128 { at } else { at + 1 };
        ((u32::from(self.table[at]) * (256 - part) + u32::from(self.table[at + 1]) * part) >> 8)
            .clamp(1, 65535)
    }

    /// Learns from the actual bit after the last `refine`.
    #[inline]
    pub(super) fn update(&mut self, bit: bool) {
        let value = &mut self.table[self.index];
        let target = if bit { 65535 } else { 0 };
        *value = (i32::from(*value) + ((target - i32::from(*value)) >> self.rate)).clamp(1, 65535)
            as u16;
    }
}
