//! The longest match of the newest bytes in what can be looked back at.

use super::history::Space;
use super::mixture::Voice;

/// Shortest match that is looked up, in bytes.
const MATCHED: u64 = 6;
/// Matches are told apart up to this length.
pub const LONGEST: u32 = 32;
/// Every so many bytes of copied text are noted.
const STRIDE: u64 = 4;

/// Where each sequence of bytes stood last, and the place that is followed now.
pub struct Matches {
    positions: Vec<u32>,
    noted: u64,
    /// What comes next stands here, if `hits` is above 0.
    pub at: u64,
    /// Bytes before it that are the same as the newest, up to [`LONGEST`].
    pub hits: u32,
}

impl Matches {
    /// Nothing was seen yet; 2^`bits` places are kept.
    pub fn new(bits: u32) -> Self {
        Self { positions: vec![0; 1 << bits.clamp(10, 24)], noted: 0, at: 0, hits: 0 }
    }

    #[inline]
    fn place(&self, window: u64) -> usize {
        let window = window & ((1 << (8 * MATCHED)) - 1);
        (window.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize & (self.positions.len() - 1)
    }

    /// Takes note of old or copied bytes that were not noted yet. Not every place, so that long copies stay fast: a match is found a
    /// few bytes later.
    pub fn note(&mut self, space: &Space) {
        let base = space.base();
        let base_length = base.len() as u64;
        if self.noted < base_length {
            for (index, window) in base.windows(8).step_by(STRIDE as usize).enumerate() {
                let window = window[2..].iter().fold(0_u64, |window, &byte| window << 8 | u64::from(byte));
                let place = self.place(window);
                self.positions[place] = (index as u64 * STRIDE + 8) as u32;
            }
            self.noted = base_length;
        }
        self.noted = self.noted.max(space.lowest());
        let mut at = (self.noted + MATCHED).next_multiple_of(STRIDE);
        while at <= space.at() {
            let window = (1..=MATCHED).rev().fold(0_u64, |window, back| window << 8 | u64::from(space.byte(at - back)));
            let place = self.place(window);
            self.positions[place] = at as u32;
            at += STRIDE;
        }
        self.noted = self.noted.max(space.at().saturating_sub(MATCHED - 1));
    }

    /// Forgets the place that is followed.
    pub fn leave(&mut self) {
        self.hits = 0;
    }

    /// The newest byte of the output came: `newest` are the last eight.
    pub fn follow(&mut self, space: &Space, newest: u64) {
        if self.hits > 0 {
            if space.byte(self.at) == newest as u8 && space.ahead(self.at) > 1 {
                self.hits = (self.hits + 1).min(LONGEST);
                self.at += 1;
            } else {
                self.hits = 0;
            }
        }
        self.look_up(space, newest);
    }

    /// Finds a place to follow, unless there is one, and notes this one.
    pub fn look_up(&mut self, space: &Space, newest: u64) {
        let place = self.place(newest);
        if self.hits == 0 {
            let now = space.at();
            let back = u64::from((now as u32).wrapping_sub(self.positions[place]));
            if back > 0 && back <= now && self.positions[place] != 0 {
                let at = now - back;
                let longest = u64::from(LONGEST).min(space.behind(at)).min(space.written());
                let same = (1..=longest).take_while(|&step| space.byte(at - step) == space.byte(now - step)).count();
                if same as u64 >= MATCHED && space.ahead(at) > 0 {
                    (self.at, self.hits) = (at, same as u32);
                }
            }
        }
        self.positions[place] = space.at() as u32;
        self.noted = space.at();
    }

    /// What is expected next.
    #[inline]
    pub fn voice(&self, space: &Space) -> Voice {
        if self.hits == 0 {
            return Voice::default();
        }
        let grade = match self.hits {
            0..12 => 1,
            12..24 => 2,
            _ => 3,
        };
        Voice { expected: Some(space.byte(self.at)), state: self.hits, grade }
    }
}
