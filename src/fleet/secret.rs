//! Words that only their owner knows: tokens of programs, and cookies of browsers.
//!
//! In: the system's random numbers. Out: a word, and the digest of a word. Never: a word that the
//! store remembers; it has digests alone, and finds a word by its digest, so that the time of a
//! search tells nothing about the words that there are.

use std::io;

use super::error::FleetError;
use crate::model::Digest;

/// What a token begins with, so that it is known where it does not belong.
pub(super) const TOKEN: &str = "kuz_";
/// Random bytes of a word.
const BYTES: usize = 32;
/// Signs of base64url, which need no escape in a header or an address.
const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Random bytes from the system.
pub(super) fn random<const LENGTH: usize>() -> Result<[u8; LENGTH], FleetError> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes).map_err(|error| FleetError::Random(io::Error::other(error)))?;
    Ok(bytes)
}

/// A new word of 256 random bits after `begin`.
pub(super) fn word(begin: &str) -> Result<String, FleetError> {
    Ok(format!("{begin}{}", base64url(&random::<BYTES>()?)))
}

/// What the store has of a word: 256 random bits cannot be found by trying, so one plain SHA-256
/// does.
pub(super) fn digest(word: &str) -> String {
    Digest::of(word.as_bytes()).to_string()
}

/// Bytes as base64url without padding.
fn base64url(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for part in bytes.chunks(3) {
        let byte = |place: usize| part.get(place).copied().map_or(0, u32::from);
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        let signs = (0..=part.len()).map(|place| (bits >> (18 - 6 * place)) & 63);
        text.extend(signs.map(|sign| char::from(SIGNS[sign as usize])));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_base64url() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"f", "Zg"),
            (b"fo", "Zm8"),
            (b"foo", "Zm9v"),
            (b"foob", "Zm9vYg"),
            (&[0xfb, 0xff, 0xfe], "-__-"),
        ] {
            assert_eq!(base64url(bytes), text);
        }
    }

    #[test]
    fn words_have_256_bits_and_differ() {
        let (one, other) = (word(TOKEN).unwrap(), word(TOKEN).unwrap());
        assert_eq!((one.len(), one.starts_with("kuz_")), (4 + 43, true));
        assert_ne!(one, other);
        assert_ne!(digest(&one), digest(&other));
    }
}
