//! A resemblance sketch of a file, in at most a few hundred numbers: it allows comparing files
//! without holding their contents.
//!
//! A sketch holds the smallest distinct hashes of all 16-byte windows of a file (bottom-k sampling:
//! A. Broder, "On the resemblance and containment of documents", 1997). The content alone selects
//! these windows, whatever their position. The sketch of a long file is comparable with that of a
//! short one, as far as both reach.

use std::cmp::Ordering;

/// Bytes of a window. Longer windows find almost nothing in recompiled code, where a moved
/// reference stands every few bytes; shorter ones find phrases that any two texts share.
const WINDOW: usize = 16;

/// Most samples of a file: estimates are right to about three in a hundred.
const SAMPLES: usize = 256;

/// Fewer samples in common than this may be chance.
const MIN_SHINGLES: usize = 4;

/// A file's samples, and whether they cover all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sketch {
    /// Ascending, distinct.
    samples: Vec<u64>,
    /// Whether the samples are all windows of the file.
    complete: bool,
}

/// How much of one sketch another one has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overlap {
    /// Samples of the first file that the other has too.
    pub common: usize,
    /// Samples of the first file that both sketches can compare.
    pub comparable: usize,
}

impl Overlap {
    /// The common part, in thousandths.
    pub(super) fn permille(self) -> u32 {
        u32::try_from(self.common * 1000 / self.comparable.max(1)).unwrap_or(1000)
    }

    /// Whether the common part is more than a phrase that any two files of a kind share; `of` is
    /// the sketch that was compared.
    pub(super) fn is_sure(self, of: &Sketch) -> bool {
        self.common >= MIN_SHINGLES.min(of.samples.len()).max(1)
    }
}

impl Sketch {
    /// Sketches a file's bytes. Linear time, about 8 KiB of memory.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut samples = Vec::with_capacity(2 * SAMPLES);
        let mut limit = u64::MAX;
        let mut complete = true;
        let mut last = None;
        for hash in windows(bytes) {
            // A run of one byte gives the same window over and over.
            if hash > limit || last == Some(hash) {
                continue;
            }
            last = Some(hash);
            samples.push(hash);
            if samples.len() == 2 * SAMPLES {
                shrink(&mut samples, &mut limit, &mut complete);
            }
        }
        shrink(&mut samples, &mut limit, &mut complete);
        samples.shrink_to_fit();
        Self { samples, complete }
    }

    /// The samples, ascending.
    pub(super) fn samples(&self) -> &[u64] {
        &self.samples
    }

    /// How much of this file the `other` one holds, as far as both sketches reach.
    pub(super) fn shared_with(&self, other: &Self) -> Overlap {
        let limit = self.reach().min(other.reach());
        let comparable = self.samples.partition_point(|sample| *sample <= limit);
        Overlap { common: self.common(other).count(), comparable }
    }

    /// How much of this file the `other` one holds and the `first` one does not, as far as all
    /// three sketches reach.
    pub(super) fn added_by(&self, other: &Self, first: &Self) -> Overlap {
        let limit = self.reach().min(other.reach()).min(first.reach());
        let comparable = self.samples.partition_point(|sample| *sample <= limit);
        let added = |sample: &u64| *sample <= limit && first.samples.binary_search(sample).is_err();
        Overlap { common: self.common(other).filter(added).count(), comparable }
    }

    /// The largest hash that would be among the samples if the file had it.
    fn reach(&self) -> u64 {
        if self.complete { u64::MAX } else { self.samples.last().copied().unwrap_or(u64::MAX) }
    }

    fn common<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = u64> + 'a {
        let (mut mine, mut theirs) = (self.samples.as_slice(), other.samples.as_slice());
        std::iter::from_fn(move || {
            while let (Some(first), Some(second)) = (mine.first(), theirs.first()) {
                match first.cmp(second) {
                    Ordering::Less => mine = &mine[1..],
                    Ordering::Greater => theirs = &theirs[1..],
                    Ordering::Equal => {
                        (mine, theirs) = (&mine[1..], &theirs[1..]);
                        return Some(*first);
                    }
                }
            }
            None
        })
    }
}

/// Retains only the smallest samples.
fn shrink(samples: &mut Vec<u64>, limit: &mut u64, complete: &mut bool) {
    samples.sort_unstable();
    samples.dedup();
    if samples.len() > SAMPLES {
        samples.truncate(SAMPLES);
        *complete = false;
    }
    if !*complete {
        *limit = samples.last().copied().unwrap_or(u64::MAX);
    }
}

/// The hash of each window, in order.
fn windows(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    let (head, tail) = bytes.split_at_checked(WINDOW).unwrap_or_default();
    let first = head.iter().fold(0, |state: u64, byte| state.rotate_left(1) ^ mixed(*byte));
    let rolled = tail.iter().zip(bytes).scan(first, |state, (entering, leaving)| {
        // Each byte's number has been rotated by one for each byte that came after it.
        *state =
            state.rotate_left(1) ^ mixed(*leaving).rotate_left(WINDOW as u32) ^ mixed(*entering);
        Some(*state)
    });
    // The sum above is linear: this step makes "smallest" independent of the content.
    (!head.is_empty()).then_some(first).into_iter().chain(rolled).map(finished)
}

/// A number for each byte.
fn mixed(byte: u8) -> u64 {
    const NUMBERS: [u64; 256] = {
        let mut numbers = [0; 256];
        let mut index = 0;
        while index < 256 {
            numbers[index] = finished((index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            index += 1;
        }
        numbers
    };
    NUMBERS[usize::from(byte)]
}

/// The last step of SplitMix64 (Steele, Lea, Flood 2014): each bit of the result depends on all
/// bits.
const fn finished(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seed: u64, length: usize) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(seed);
        std::iter::repeat_with(|| random.u8(..)).take(length).collect()
    }

    #[test]
    fn rolling_gives_what_each_window_alone_gives() {
        let bytes = noise(1, 200);
        let alone: Vec<u64> =
            bytes.windows(WINDOW).flat_map(|window| windows(window).collect::<Vec<_>>()).collect();
        assert_eq!(windows(&bytes).collect::<Vec<_>>(), alone);
        assert_eq!(alone.len(), 200 - WINDOW + 1);
        assert_eq!(windows(&bytes[..WINDOW - 1]).count(), 0);
    }

    #[test]
    fn containment_is_estimated() {
        let old = noise(2, 60_000);
        let mut new = noise(3, 20_000);
        new.splice(5_000..5_000, old[7..60_007 - 10].iter().copied());
        let Overlap { common, comparable } = Sketch::of(&new).shared_with(&Sketch::of(&old));
        let permille = common * 1000 / comparable;
        assert!((690..=810).contains(&permille), "{permille}");
        assert_eq!(Sketch::of(&noise(4, 50_000)).shared_with(&Sketch::of(&old)).common, 0);
    }

    #[test]
    fn a_short_file_inside_a_long_one_is_found() {
        let old = noise(5, 500_000);
        let Overlap { common, comparable } =
            Sketch::of(&old[100_000..150_000]).shared_with(&Sketch::of(&old));
        assert!(common == comparable && common > 8, "{common} of {comparable}");
    }

    #[test]
    fn long_runs_are_few_samples() {
        assert_eq!(Sketch::of(&vec![7; 1 << 20]).samples.len(), 1);
        let stripes: Vec<u8> = (0..1 << 20).map(|at: u32| (at % 8) as u8).collect();
        assert_eq!(Sketch::of(&stripes).samples.len(), 8);
    }
}
