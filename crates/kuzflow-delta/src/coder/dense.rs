//! Detects dense bytes: bytes that were compressed or encrypted before, so that coding saves
//! nothing.

/// Pieces shorter than this are never called dense.
pub(super) const MIN_BYTES: usize = 2048;
/// Bytes with at least this many bits of information each are dense.
const BITS: f64 = 7.97;

/// Whether all values are about equally frequent among `bytes`, of which there must be at least
/// [`MIN_BYTES`].
pub fn is_dense(bytes: &[u8]) -> bool {
    if bytes.len() < MIN_BYTES {
        return false;
    }
    let mut counts = [0_u32; 256];
    bytes.iter().for_each(|&byte| counts[usize::from(byte)] += 1);
    let total = bytes.len() as f64;
    let bits: f64 = counts
        .iter()
        .filter(|count| **count > 0)
        .map(|&count| f64::from(count) * (total / f64::from(count)).log2())
        .sum();
    // Few bytes show less information than they have (the correction of Miller and Madow).
    bits / total + 255.0 / (2.0 * std::f64::consts::LN_2 * total) > BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_dense_and_text_and_code_are_not() {
        for length in [MIN_BYTES, 5000, 70_000] {
            let mut state = 1_u64;
            let noise: Vec<u8> = std::iter::repeat_with(|| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 33) as u8
            })
            .take(length)
            .collect();
            assert!(is_dense(&noise), "{length}");
            // Noise with four bits of information for each byte.
            assert!(!is_dense(&noise.iter().map(|byte| byte & 0x77).collect::<Vec<u8>>()));
            assert!(!is_dense(&b"Nothing is as it seems. ".repeat(length / 20)));
        }
        assert!(!is_dense(&[1, 2, 3]));
    }
}
