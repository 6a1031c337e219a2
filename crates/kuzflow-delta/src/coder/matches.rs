//! Finds the longest match of the newest bytes in the old bytes and the output.

use super::history::Space;
use super::mixture::ExpectedByte;

/// Number of bytes whose sequence is looked up; the byte behind them must be equal as well.
const MATCHED: u64 = 5;
/// Longer matches count as this long.
pub(super) const MAX_MATCH_LENGTH: u32 = 32;
/// Of copied text, one position in this many is recorded.
const STRIDE: u64 = 4;

/// Low bits of an entry that hold a position; the bits above are a check. Positions beyond these
/// bits are not stored.
const POSITION: u32 = 25;

/// Where each sequence of bytes stood last, and the place that the model follows now.
pub(super) struct MatchModel {
    /// The place behind a sequence: the low bits of its position, and a check.
    entries: Vec<u32>,
    noted: u64,
    /// The entry for the sequence before the newest byte. It is requested before the newest byte is
    /// known, so that the processor does not wait for memory.
    pending: Pending,
    /// The expected next byte stands here, if `hits` is above 0.
    pub at: u64,
    /// Number of bytes before `at` that equal the newest ones, up to [`MAX_MATCH_LENGTH`].
    pub hits: u32,
}

/// An entry that was looked up in advance.
#[derive(Clone, Copy, Default)]
struct Pending {
    place: usize,
    check: u32,
    entry: u32,
}

impl MatchModel {
    /// Has seen nothing yet; stores 2^`bits` places.
    pub(super) fn new(bits: u32) -> Self {
        Self {
            entries: vec![0; 1 << bits.clamp(10, 24)],
            noted: 0,
            pending: Pending::default(),
            at: 0,
            hits: 0,
        }
    }

    /// The place of a sequence, and its check.
    #[inline]
    fn place(&self, window: u64) -> (usize, u32) {
        let hashed = (window & ((1 << (8 * MATCHED)) - 1)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (
            (hashed >> 36) as usize & (self.entries.len() - 1),
            (hashed >> 20) as u32 >> POSITION << POSITION,
        )
    }

    #[inline]
    fn set(&mut self, window: u64, at: u64) {
        let (place, check) = self.place(window);
        self.entries[place] = check | at as u32 & ((1 << POSITION) - 1);
    }

    /// Records old or copied bytes that are not recorded yet. It skips most places, so that long
    /// copies stay fast; the model then finds a match a few bytes later.
    pub(super) fn note(&mut self, space: &Space) {
        let base = space.base();
        let base_length = base.len() as u64;
        if self.noted < base_length {
            for (index, window) in base.windows(8).step_by(STRIDE as usize).enumerate() {
                let window =
                    window[2..].iter().fold(0_u64, |window, &byte| window << 8 | u64::from(byte));
                self.set(window, index as u64 * STRIDE + 8);
            }
            self.noted = base_length;
        }
        self.noted = self.noted.max(space.lowest());
        let mut at = (self.noted + MATCHED).next_multiple_of(STRIDE);
        while at <= space.at() {
            let window = (1..=MATCHED)
                .rev()
                .fold(0_u64, |window, back| window << 8 | u64::from(space.byte(at - back)));
            self.set(window, at);
            at += STRIDE;
        }
        self.noted = self.noted.max(space.at().saturating_sub(MATCHED - 1));
    }

    /// Stops following a place.
    pub(super) fn leave(&mut self) {
        self.hits = 0;
    }

    /// Processes the newest byte of the output: `newest` are the last eight bytes.
    #[inline]
    pub(super) fn follow(&mut self, space: &Space, newest: u64) {
        if self.hits > 0 {
            if space.byte(self.at) == newest as u8 && space.ahead(self.at) > 1 {
                self.hits = (self.hits + 1).min(MAX_MATCH_LENGTH);
                self.at += 1;
            } else {
                self.hits = 0;
            }
        }
        let Pending { place, check, entry } = self.pending;
        if self.hits == 0 && entry != 0 && (entry ^ check) >> POSITION == 0 {
            self.try_follow(space, newest, entry);
        }
        self.entries[place] = check | (space.at() - 1) as u32 & ((1 << POSITION) - 1);
        self.noted = space.at();
        self.expect(newest);
    }

    /// Requests the entry that is needed once one more byte is known.
    #[inline]
    fn expect(&mut self, newest: u64) {
        let (place, check) = self.place(newest);
        self.pending = Pending { place, check, entry: self.entries[place] };
    }

    /// Follows the place in an entry, if the bytes before it equal the newest ones.
    fn try_follow(&mut self, space: &Space, newest: u64, entry: u32) {
        let now = space.at();
        let back = u64::from(((now - 1) as u32).wrapping_sub(entry) & ((1 << POSITION) - 1));
        if back == 0 || back >= now || space.byte(now - 1 - back) != newest as u8 {
            return;
        }
        let at = now - back;
        let longest = u64::from(MAX_MATCH_LENGTH).min(space.behind(at)).min(space.written());
        let same = (1..=longest)
            .take_while(|&step| space.byte(at - step) == space.byte(now - step))
            .count();
        if same as u64 > MATCHED && space.ahead(at) > 0 {
            (self.at, self.hits) = (at, same as u32);
        }
    }

    /// Finds a place to follow at the start of a gap.
    pub(super) fn look_up(&mut self, space: &Space, newest: u64) {
        if space.written() == 0 {
            self.pending = Pending::default();
            return;
        }
        self.expect(newest >> 8);
        self.follow(space, newest);
    }

    /// The byte that is expected next.
    #[inline]
    pub(super) fn prediction(&self, space: &Space) -> ExpectedByte {
        if self.hits == 0 {
            return ExpectedByte::default();
        }
        let grade = match self.hits {
            0..12 => 1,
            12..24 => 2,
            _ => 3,
        };
        ExpectedByte { expected: Some(space.byte(self.at)), state: self.hits, grade }
    }
}
