//! Whole numbers in few bytes: seven bits in each byte, the lowest first; the eighth bit says that
//! more bytes follow.

use super::error::PackError;

/// Appends a number.
pub(super) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a difference; small differences of either sign are short.
pub(super) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put(out, (value.unsigned_abs() << 1).wrapping_sub(u64::from(value < 0)));
}

/// Reads numbers one after another.
#[derive(Clone, Debug)]
pub struct Numbers<'a>(&'a [u8]);

impl<'a> Numbers<'a> {
    /// Reads from the beginning of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next number.
    pub fn next(&mut self) -> Result<u64, PackError> {
        let mut value = 0u64;
        for shift in (0..).step_by(7).take(10) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(PackError::Form("a number is too large"))
    }

    /// The next number, which must be below `end`.
    pub fn below(&mut self, end: usize) -> Result<usize, PackError> {
        let value = usize::try_from(self.next()?).ok();
        value.filter(|value| *value < end).ok_or(PackError::Form("a number is out of bounds"))
    }

    /// The next difference.
    pub fn signed(&mut self) -> Result<i64, PackError> {
        let value = self.next()?;
        let half = (value >> 1) as i64;
        // `-half` of 0 is 0, so odd numbers stand for `-half - 1`: no number is written in two
        // forms.
        Ok(if value & 1 == 0 { half } else { -half - 1 })
    }

    /// The next byte.
    pub fn byte(&mut self) -> Result<u8, PackError> {
        let (first, rest) =
            self.0.split_first().ok_or(PackError::Form("its outline ends too early"))?;
        self.0 = rest;
        Ok(*first)
    }

    /// The next `length` bytes.
    pub fn bytes(&mut self, length: usize) -> Result<&'a [u8], PackError> {
        let taken = self.0.get(..length).ok_or(PackError::Form("its outline ends too early"))?;
        self.0 = &self.0[length..];
        Ok(taken)
    }

    /// The bytes that are not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        let values = [0, 1, 127, 128, 300, 1 << 32, u64::MAX];
        let signed = [0, 1, -1, 63, -64, 64, i64::MAX, i64::MIN, i64::MIN + 1];
        let mut out = Vec::new();
        values.iter().for_each(|value| put(&mut out, *value));
        signed.iter().for_each(|value| put_signed(&mut out, *value));
        let mut numbers = Numbers::new(&out);
        assert!(values.iter().all(|value| numbers.next().unwrap() == *value));
        assert!(signed.iter().all(|value| numbers.signed().unwrap() == *value), "{signed:?}");
        assert!(numbers.rest().is_empty() && numbers.next().is_err());
    }

    #[test]
    fn what_is_too_large_or_cut_is_refused() {
        assert!(Numbers::new(&[0xff; 9]).next().is_err());
        assert!(Numbers::new(&[0xff; 20]).next().is_err());
        assert!(
            Numbers::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2])
                .next()
                .is_err()
        );
        assert!(Numbers::new(&[5]).below(5).is_err());
        assert_eq!(Numbers::new(&[4]).below(5).unwrap(), 4);
        assert!(Numbers::new(&[1, 2]).bytes(3).is_err());
    }
}
