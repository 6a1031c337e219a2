//! A suffix array and the search in it.
//!
//! In: bytes, below 4 GiB. Out: their suffixes in order (SA-IS by Nong, Zhang and Chan, "Two
//! Efficient Algorithms for Linear Time Suffix Array Construction", 2011), and the suffixes that
//! share the longest start with a given text. Construction takes linear time and about 9 bytes for
//! each byte; the finished array takes 4 bytes for each byte.

/// Marks "no suffix" during construction.
const NONE: u32 = u32::MAX;
/// The search compares matches up to this length only, so that it stays cheap in long runs of one
/// byte.
pub(super) const MAX_MATCH_BYTES: usize = 4096;

/// A symbol of a text to be sorted: a byte, or the name of a substring one level down.
trait Symbol: Copy + Eq + Ord {
    fn index(self) -> usize;
}

impl Symbol for u8 {
    fn index(self) -> usize {
        usize::from(self)
    }
}

impl Symbol for u32 {
    fn index(self) -> usize {
        self as usize
    }
}

/// Which suffixes are S-type (smaller than the suffix behind them); the others are L-type.
struct Types(Vec<u64>);

impl Types {
    fn of<S: Symbol>(text: &[S]) -> Self {
        let mut bits = vec![0_u64; text.len() / 64 + 1];
        let mut is_s_type = false;
        for at in (0..text.len().saturating_sub(1)).rev() {
            is_s_type = if text[at] == text[at + 1] { is_s_type } else { text[at] < text[at + 1] };
            bits[at / 64] |= u64::from(is_s_type) << (at % 64);
        }
        Self(bits)
    }

    fn is_s_type(&self, at: usize) -> bool {
        self.0[at / 64] >> (at % 64) & 1 == 1
    }

    /// Whether the suffix is LMS, a leftmost S-type suffix: an L-type one stands before it.
    fn is_lms(&self, at: usize) -> bool {
        at > 0 && self.is_s_type(at) && !self.is_s_type(at - 1)
    }
}

/// Sorts all suffixes, given the order of the LMS suffixes. `starts`: where the L-type and the
/// S-type suffixes of each first symbol begin.
fn induce<S: Symbol>(
    text: &[S],
    types: &Types,
    starts: &(Vec<u32>, Vec<u32>),
    lms_suffixes: &[u32],
    array: &mut [u32],
) {
    let (l_type_starts, s_type_starts) = starts;
    array.fill(NONE);
    let mut next = s_type_starts.clone();
    let mut put = |array: &mut [u32], bucket: usize, suffix: u32| {
        array[next[bucket] as usize] = suffix;
        next[bucket] += 1;
    };
    for &suffix in lms_suffixes {
        put(array, text[suffix as usize].index(), suffix);
    }
    let mut next = l_type_starts.clone();
    let mut put = |array: &mut [u32], suffix: usize| {
        let bucket = text[suffix].index();
        array[next[bucket] as usize] = suffix as u32;
        next[bucket] += 1;
    };
    put(array, text.len() - 1);
    for at in 0..array.len() {
        let suffix = array[at];
        if suffix != NONE && suffix > 0 && !types.is_s_type(suffix as usize - 1) {
            put(array, suffix as usize - 1);
        }
    }
    let mut next = l_type_starts.clone();
    for at in (0..array.len()).rev() {
        let suffix = array[at];
        if suffix != NONE && suffix > 0 && types.is_s_type(suffix as usize - 1) {
            // An S-type suffix never begins with the greatest symbol, so there is a bucket behind
            // its own.
            let bucket = text[suffix as usize - 1].index() + 1;
            next[bucket] -= 1;
            array[next[bucket] as usize] = suffix - 1;
        }
    }
}

fn sort<S: Symbol>(text: &[S], greatest: usize) -> Vec<u32> {
    let length = text.len();
    if length < 2 {
        return (0..length as u32).collect();
    }
    let types = Types::of(text);
    let mut l_type_starts = vec![0_u32; greatest + 2];
    let mut s_type_starts = vec![0_u32; greatest + 2];
    for (at, symbol) in text.iter().enumerate() {
        if types.is_s_type(at) {
            l_type_starts[symbol.index() + 1] += 1;
        } else {
            s_type_starts[symbol.index()] += 1;
        }
    }
    for bucket in 0..=greatest {
        s_type_starts[bucket] += l_type_starts[bucket];
        l_type_starts[bucket + 1] += s_type_starts[bucket];
    }
    let starts = (l_type_starts, s_type_starts);
    let lms_suffixes: Vec<u32> =
        (1..length).filter(|&at| types.is_lms(at)).map(|at| at as u32).collect();
    let mut array = vec![NONE; length];
    induce(text, &types, &starts, &lms_suffixes, &mut array);
    if lms_suffixes.is_empty() {
        return array;
    }
    let mut sorted: Vec<u32> =
        array.iter().copied().filter(|&suffix| types.is_lms(suffix as usize)).collect();
    drop(array);
    // LMS suffixes are at least two symbols apart, so half the positions name them.
    let mut order = vec![0_u32; length / 2 + 1];
    for (number, &suffix) in lms_suffixes.iter().enumerate() {
        order[suffix as usize / 2] = number as u32;
    }
    let number_of = |suffix: u32| order[suffix as usize / 2] as usize;
    let end_of =
        |suffix: u32| lms_suffixes.get(number_of(suffix) + 1).map_or(length, |&next| next as usize);
    let mut names = vec![0_u32; lms_suffixes.len()];
    let mut name = 0;
    for pair in sorted.windows(2) {
        let (left, right) = (pair[0] as usize, pair[1] as usize);
        let (left_end, right_end) = (end_of(pair[0]), end_of(pair[1]));
        let same = left_end - left == right_end - right
            && left_end < length
            && right_end < length
            && text[left..=left_end] == text[right..=right_end];
        name += u32::from(!same);
        names[number_of(pair[1])] = name;
    }
    drop(order);
    if (name as usize) + 1 < lms_suffixes.len() {
        let inner = sort(&names, name as usize);
        drop(names);
        for (place, number) in sorted.iter_mut().zip(inner) {
            *place = lms_suffixes[number as usize];
        }
    }
    drop(lms_suffixes);
    let mut array = vec![NONE; length];
    induce(text, &types, &starts, &sorted, &mut array);
    array
}

/// How many bytes two texts share at their start, at most [`MAX_MATCH_BYTES`].
pub(super) fn common(left: &[u8], right: &[u8]) -> usize {
    let limit = left.len().min(right.len()).min(MAX_MATCH_BYTES);
    let (left, right) = (&left[..limit], &right[..limit]);
    let mut at = 0;
    for (one, other) in left.chunks_exact(8).zip(right.chunks_exact(8)) {
        if one != other {
            break;
        }
        at += 8;
    }
    at + left[at..].iter().zip(&right[at..]).take_while(|(one, other)| one == other).count()
}

/// The suffixes of a text in order, with an index over their first two bytes.
pub(super) struct Suffixes<'a> {
    text: &'a [u8],
    array: Vec<u32>,
    starts: Vec<u32>,
}

impl<'a> Suffixes<'a> {
    /// Sorts the suffixes of the first 4 GiB of `text`.
    pub(super) fn new(text: &'a [u8]) -> Self {
        let text = &text[..text.len().min(u32::MAX as usize - 1)];
        let array = sort(text, 255);
        let mut starts = vec![0_u32; 65537];
        for pair in text.windows(2) {
            starts[(usize::from(pair[0]) << 8 | usize::from(pair[1])) + 1] += 1;
        }
        // The last suffix has only one byte and stands before all others with that first byte.
        if let Some(&last) = text.last() {
            starts[usize::from(last) << 8] += 1;
        }
        for bucket in 0..65536 {
            starts[bucket + 1] += starts[bucket];
        }
        Self { text, array, starts }
    }

    /// Visits the suffixes that share the longest start with `wanted`, longest match first: calls
    /// `visit` with position and length of the match until it returns false. Matches have two bytes
    /// at least.
    pub(super) fn search(&self, wanted: &[u8], mut visit: impl FnMut(usize, usize) -> bool) {
        let [first, second, ..] = wanted else { return };
        let bucket = usize::from(*first) << 8 | usize::from(*second);
        let (mut low, mut high) = (self.starts[bucket] as usize, self.starts[bucket + 1] as usize);
        // The suffix of one byte stands at the end of the bucket before its own.
        if self.text.last().is_some_and(|&last| usize::from(last) << 8 == bucket + 1) {
            high -= 1;
        }
        let (bottom, top) = (low, high);
        let wanted = &wanted[..wanted.len().min(MAX_MATCH_BYTES)];
        let (mut low_common, mut high_common) = (2, 2);
        while low < high {
            let middle = low + (high - low) / 2;
            let suffix = &self.text[self.array[middle] as usize..];
            let known = low_common.min(high_common).min(suffix.len());
            let same = known + common(&suffix[known..], &wanted[known..]);
            // The search passes suffixes that begin with all of `wanted`: in a run of one byte, the
            // suffix with the most bytes left is last.
            let less = match (suffix.get(same), wanted.get(same)) {
                (Some(one), Some(other)) => one < other,
                (_, None) | (None, Some(_)) => true,
            };
            if less {
                low = middle + 1;
                low_common = same;
            } else {
                high = middle;
                high_common = same;
            }
        }
        // The search goes outwards from the place of `wanted`, the longer match first.
        let length_at = |at: usize| common(&self.text[self.array[at] as usize..], wanted);
        let (mut below, mut above) = (low, low);
        let mut below_length = if below > bottom { length_at(below - 1) } else { 0 };
        let mut above_length = if above < top { length_at(above) } else { 0 };
        while below_length.max(above_length) >= 2 {
            let (place, length) = if below_length >= above_length {
                below -= 1;
                let found = (below, below_length);
                below_length = if below > bottom { length_at(below - 1) } else { 0 };
                found
            } else {
                above += 1;
                let found = (above - 1, above_length);
                above_length = if above < top { length_at(above) } else { 0 };
                found
            };
            if !visit(self.array[place] as usize, length) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &[u8]) {
        let mut plain: Vec<u32> = (0..text.len() as u32).collect();
        plain.sort_by_key(|&at| &text[at as usize..]);
        assert_eq!(sort(text, 255), plain);
    }

    #[test]
    fn known_texts() {
        for text in [
            &b""[..],
            b"a",
            b"banana",
            b"mississippi",
            &[0; 300],
            &[255; 300],
            b"abcabcabcabcabc\xff\xff\x00",
        ] {
            check(text);
        }
    }

    proptest! {
        #[test]
        fn suffixes_are_sorted(text in proptest::collection::vec(0..4_u8, 0..400)) {
            check(&text);
        }

        #[test]
        fn the_longest_match_comes_first(text in proptest::collection::vec(0..3_u8, 0..300), wanted in proptest::collection::vec(0..3_u8, 2..40)) {
            let longest = (0..text.len()).map(|at| common(&text[at..], &wanted)).max().unwrap_or(0);
            let mut found = 0;
            Suffixes::new(&text).search(&wanted, |at, length| {
                assert_eq!(length, common(&text[at..], &wanted));
                found = length;
                false
            });
            prop_assert!(found == longest || longest < 2);
        }
    }
}
