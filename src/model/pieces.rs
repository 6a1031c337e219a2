//! Pieces: fixed-size spans of a package's payload, each with its own hash in signed metadata. A
//! piece is the unit of download, of resume and of blame.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::digest::Digest;

/// How a span of bytes is cut, and the hash of each piece. Piece `k` covers `[k * piece_size,
/// min((k + 1) * piece_size, length))`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PieceTable {
    /// Bytes a piece; the last one may be shorter.
    pub piece_size: u32,
    /// Length of the whole span, bytes.
    pub length: u64,
    /// One hash a piece, in order.
    pub hashes: Vec<Digest>,
}

/// A table whose numbers contradict each other.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("piece table: {length} bytes in pieces of {piece_size} do not make {count} pieces")]
pub struct InvalidPieceTable {
    length: u64,
    piece_size: u32,
    count: usize,
}

/// Smallest and largest piece that a builder makes, bytes.
const MIN_PIECE_BYTES: u32 = 64 << 10;
const MAX_PIECE_BYTES: u32 = 4 << 20;
/// The approximate number of pieces: enough to distribute work finely, few enough that their hashes
/// stay below 64 KiB.
const WANTED_PIECES: u64 = 768;

impl PieceTable {
    /// The piece size for a payload of `length` bytes: a power of two.
    pub fn size_for(length: u64) -> u32 {
        let mut size = MIN_PIECE_BYTES;
        while size < MAX_PIECE_BYTES && length / u64::from(size) > WANTED_PIECES {
            size *= 2;
        }
        size
    }

    /// Refuses a table whose numbers contradict each other; call it on every table from outside.
    pub fn check(&self) -> Result<(), InvalidPieceTable> {
        let fits = self.piece_size > 0
            && self.piece_size <= 64 << 20
            && usize::try_from(self.length.div_ceil(u64::from(self.piece_size)))
                .is_ok_and(|count| count == self.hashes.len());
        if fits {
            Ok(())
        } else {
            Err(InvalidPieceTable {
                length: self.length,
                piece_size: self.piece_size,
                count: self.hashes.len(),
            })
        }
    }

    /// The number of pieces.
    pub fn count(&self) -> u32 {
        u32::try_from(self.hashes.len()).unwrap_or(u32::MAX)
    }

    /// The bytes that piece `index` covers.
    pub fn span(&self, index: u32) -> Range<u64> {
        let size = u64::from(self.piece_size);
        let start = u64::from(index) * size;
        start.min(self.length)..(start + size).min(self.length)
    }

    /// The pieces that hold the bytes of `span`; empty for an empty span.
    pub fn covering(&self, span: &Range<u64>) -> Range<u32> {
        if span.is_empty() {
            return 0..0;
        }
        let size = u64::from(self.piece_size);
        let index = |at: u64| u32::try_from(at).unwrap_or(u32::MAX);
        index(span.start / size)..index(span.end.min(self.length).div_ceil(size))
    }
}

/// A subset of an object's pieces: those that a peer has, or is fetching. It is sent as hexadecimal
/// digits, with piece 0 in the lowest bit of the first byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PieceSet {
    count: u32,
    bits: Vec<u8>,
}

impl PieceSet {
    /// The empty set for an object of `count` pieces.
    pub fn none(count: u32) -> Self {
        Self { count, bits: vec![0; count.div_ceil(8) as usize] }
    }

    /// These pieces of an object of `count` pieces; numbers behind the last piece are ignored.
    pub fn of(count: u32, pieces: impl IntoIterator<Item = u32>) -> Self {
        let mut set = Self::none(count);
        pieces.into_iter().for_each(|index| set.insert(index));
        set
    }

    /// Number of the object's pieces, in the set or not.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.pieces().next().is_none()
    }

    /// Whether piece `index` is in it.
    pub fn holds(&self, index: u32) -> bool {
        index < self.count
            && self.bits.get(index as usize / 8).is_some_and(|bits| bits & (1 << (index % 8)) != 0)
    }

    /// Puts piece `index` in.
    pub fn insert(&mut self, index: u32) {
        if let Some(bits) = self.bits.get_mut(index as usize / 8).filter(|_| index < self.count) {
            *bits |= 1 << (index % 8);
        }
    }

    /// Takes piece `index` out.
    pub fn remove(&mut self, index: u32) {
        if let Some(bits) = self.bits.get_mut(index as usize / 8) {
            *bits &= !(1 << (index % 8));
        }
    }

    /// The pieces in it, in order.
    pub fn pieces(&self) -> impl Iterator<Item = u32> {
        (0..self.count).filter(|index| self.holds(*index))
    }

    /// Two hexadecimal digits a byte.
    pub fn to_hex(&self) -> String {
        self.bits.iter().map(|bits| format!("{bits:02x}")).collect()
    }

    /// Parses the text of [`PieceSet::to_hex`] for an object of `count` pieces; `None` for any
    /// other text.
    pub fn from_hex(count: u32, text: &str) -> Option<Self> {
        let length = count.div_ceil(8) as usize;
        if text.len() != 2 * length || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let bits = (0..length)
            .map(|at| u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok())
            .collect::<Option<_>>()?;
        Some(Self { count, bits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_travel_as_digits() {
        let set = PieceSet::of(11, [0, 3, 10, 11, 99]);
        assert_eq!(
            (set.to_hex().as_str(), set.pieces().collect::<Vec<_>>()),
            ("0904", vec![0, 3, 10])
        );
        assert_eq!(PieceSet::from_hex(11, "0904"), Some(set.clone()));
        for wrong in ["", "090", "090400", "zz04", "+904", "09\u{e9}"] {
            assert_eq!(PieceSet::from_hex(11, wrong), None, "{wrong}");
        }
        // Bits behind the last piece make the text invalid.
        assert_eq!(
            PieceSet::from_hex(11, "09fc").unwrap().pieces().collect::<Vec<_>>(),
            [0, 3, 10]
        );
        let mut set = set;
        set.remove(3);
        set.remove(400);
        assert!(!set.holds(3) && set.holds(0) && PieceSet::none(0).pieces().next().is_none());
    }

    fn table(length: u64, piece_size: u32) -> PieceTable {
        let count = length.div_ceil(u64::from(piece_size)) as usize;
        PieceTable { piece_size, length, hashes: vec![Digest::of(b""); count] }
    }

    #[test]
    fn spans_tile_the_payload() {
        for (length, size) in [(0, 4), (1, 4), (4, 4), (9, 4), (12, 4)] {
            let table = table(length, size);
            table.check().unwrap();
            let covered: u64 =
                (0..table.count()).map(|k| table.span(k).end - table.span(k).start).sum();
            assert_eq!(covered, length);
        }
        let table = table(9, 4);
        assert_eq!(
            (table.covering(&(3..5)), table.covering(&(8..9)), table.covering(&(2..2))),
            (0..2, 2..3, 0..0)
        );
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        let good = table(9, 4);
        assert!(PieceTable { piece_size: 0, ..good.clone() }.check().is_err());
        assert!(PieceTable { length: 13, ..good.clone() }.check().is_err());
        assert!(PieceTable { length: u64::MAX, ..good }.check().is_err());
    }

    #[test]
    fn sizes_grow_with_the_payload() {
        assert_eq!(PieceTable::size_for(1), 64 << 10);
        assert_eq!(PieceTable::size_for(60 << 20), 128 << 10);
        assert_eq!(PieceTable::size_for(300 << 20), 512 << 10);
        assert_eq!(PieceTable::size_for(1 << 40), 4 << 20);
    }
}
