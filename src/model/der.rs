//! DER, the encoding of certificates and of signatures (ITU-T X.690): elements one after another.
//!
//! In: bytes. Out: elements that lie whole within them. Never: a copy, or a number that is computed
//! from a length without a check.

/// Tags that signatures and certificates are made of.
pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTETS: u8 = 0x04;
pub(super) const IDENTIFIER: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
/// The first element that stands for an optional part.
pub(super) const PART_0: u8 = 0xa0;
pub(super) const PART_1: u8 = 0xa1;

/// An element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
}

/// The elements of some bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Elements<'a>(pub(super) &'a [u8]);

impl<'a> Elements<'a> {
    /// The content of the next element, which must have this tag.
    pub(super) fn content(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|element| element.tag == tag).map(|element| element.content)
    }

    /// The elements in the next one, which must have this tag.
    pub(super) fn within(&mut self, tag: u8) -> Option<Self> {
        self.content(tag).map(Self)
    }

    /// Passes over the next element if it has this tag.
    pub(super) fn skip_part(&mut self, tag: u8) {
        if self.0.first() == Some(&tag) {
            self.next();
        }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    /// The next element; `None` at the end, and where no whole element is.
    fn next(&mut self) -> Option<Element<'a>> {
        let [tag, first, rest @ ..] = self.0 else { return None };
        let (length, rest) = match usize::from(*first) {
            short @ 0..=0x7f => (short, rest),
            // The low bits say how many bytes the length has; a file has no longer ones than four.
            long @ 0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(long & 0x7f)?;
                (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(Element { tag: *tag, content })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_that_is_not_whole_is_none() {
        let mut elements = Elements(&[4, 1, 7, 0x30, 0x81, 2, 2, 0]);
        assert_eq!(elements.content(OCTETS), Some(&[7][..]));
        let mut inner = elements.within(SEQUENCE).unwrap();
        assert_eq!((inner.content(INTEGER), inner.next()), (Some(&[][..]), None));
        for bytes in [
            &[4][..],
            &[4, 1],
            &[4, 0x80, 0, 0],
            &[4, 0x85, 0, 0, 0, 0, 0],
            &[4, 0x84, 0xff, 0xff, 0xff, 0xff, 1],
            &[4, 0x82, 1],
        ] {
            assert_eq!(Elements(bytes).next(), None, "{bytes:?}");
        }
    }
}
