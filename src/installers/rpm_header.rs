//! A header of an RPM package: numbered values, an index of them, and one span that holds all.
//!
//! In: tags with values. Out: bytes, with the region by which rpm proves that a header is whole.
//! Never: knows what a tag means.

use std::collections::BTreeMap;

const MAGIC: [u8; 8] = [0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0];
/// Bytes of one line of the index.
const INDEX_LINE: usize = 16;

/// A value of a header.
#[derive(Clone, Debug)]
pub(super) enum HeaderValue {
    Int16(Vec<u16>),
    Int32(Vec<u32>),
    /// One text.
    Text(String),
    Texts(Vec<String>),
    /// A text in the language of the header, which is none.
    Translated(String),
}

/// Tags with their values; rpm wants them in the order of their numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Header {
    values: BTreeMap<u32, HeaderValue>,
}

impl Header {
    pub(super) fn set(&mut self, tag: u32, value: HeaderValue) {
        self.values.insert(tag, value);
    }

    pub(super) fn text(&mut self, tag: u32, value: impl Into<String>) {
        self.set(tag, HeaderValue::Text(value.into()));
    }

    pub(super) fn number(&mut self, tag: u32, value: u32) {
        self.set(tag, HeaderValue::Int32(vec![value]));
    }

    /// The bytes of the header; `region` is the tag of the line that spans all others.
    pub(super) fn to_bytes(&self, region: u32) -> Vec<u8> {
        let lines = self.values.len() + 1;
        let (mut index, mut store) = (Vec::new(), Vec::new());
        for (tag, value) in &self.values {
            let (kind, align, count) = value.kind();
            while store.len() % align != 0 {
                store.push(0);
            }
            index.extend(line(*tag, kind, number(store.len()), count));
            value.append_to(&mut store);
        }
        // The region's own value ends the store: a line that leads back to the beginning.
        let trailer = number(store.len());
        let back = number(lines * INDEX_LINE).wrapping_neg();
        store.extend(line(region, 7, back, number(INDEX_LINE)));
        let mut bytes = MAGIC.to_vec();
        bytes.extend(number(lines).to_be_bytes());
        bytes.extend(number(store.len()).to_be_bytes());
        bytes.extend(line(region, 7, trailer, number(INDEX_LINE)));
        bytes.extend(index);
        bytes.extend(store);
        bytes
    }
}

impl HeaderValue {
    /// The type's number, its alignment, and how many values there are.
    fn kind(&self) -> (u32, usize, u32) {
        match self {
            Self::Int16(values) => (3, 2, number(values.len())),
            Self::Int32(values) => (4, 4, number(values.len())),
            Self::Text(_) => (6, 1, 1),
            Self::Texts(texts) => (8, 1, number(texts.len())),
            Self::Translated(_) => (9, 1, 1),
        }
    }

    fn append_to(&self, store: &mut Vec<u8>) {
        let text = |store: &mut Vec<u8>, text: &str| {
            // A zero byte would end the text early.
            store.extend(text.bytes().filter(|byte| *byte != 0));
            store.push(0);
        };
        match self {
            Self::Int16(values) => {
                store.extend(values.iter().flat_map(|value| value.to_be_bytes()))
            }
            Self::Int32(values) => {
                store.extend(values.iter().flat_map(|value| value.to_be_bytes()))
            }
            Self::Text(value) | Self::Translated(value) => text(store, value),
            Self::Texts(values) => values.iter().for_each(|value| text(store, value)),
        }
    }
}

fn line(tag: u32, kind: u32, offset: u32, count: u32) -> [u8; INDEX_LINE] {
    let mut bytes = [0; INDEX_LINE];
    for (place, value) in bytes.chunks_exact_mut(4).zip([tag, kind, offset, count]) {
        place.copy_from_slice(&value.to_be_bytes());
    }
    bytes
}

/// A header has a few kilobytes; the largest number says that it cannot be right.
fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_aligned_and_the_region_spans_them() {
        let mut header = Header::default();
        header.text(1000, "sample");
        header.number(1009, 7);
        let bytes = header.to_bytes(63);
        let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!((word(8), word(12)), (3, 8 + 4 + 16));
        // region, name, size
        assert_eq!((word(16), word(24)), (63, 12));
        assert_eq!((word(32), word(40)), (1000, 0));
        assert_eq!((word(48), word(56)), (1009, 8));
        let store = 16 + 3 * 16;
        assert_eq!(&bytes[store..store + 7], b"sample\0");
        assert_eq!(word(store + 12 + 8), (3 * 16u32).wrapping_neg());
    }
}
