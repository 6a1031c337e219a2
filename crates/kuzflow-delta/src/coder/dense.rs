//! Bytes that nothing can be saved on: compressed or encrypted before.

/// Shorter pieces are not looked at.
pub(super) const SHORTEST: usize = 2048;
/// Bits of information of a byte, from which on bytes are dense.
const BITS: f64 = 7.97;

/// Whether all values are about equally frequent among `bytes`, of which there must be at least
/// [`SHORTEST`].
pub fn is_dense(bytes: &[u8]) -> bool {
    if bytes.len() < SHORTEST {
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
    // Few bytes seem to tell less than they do (the correction of Miller and Madow).
    bits / total + 255.0 / (2.0 * std::f64::consts::LN_2 * total) > BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_dense_and_text_and_code_are_not() {
        for length in [SHORTEST, 5000, 70_000] {
            let mut state = 1_u64;
            let noise: Vec<u8> = std::iter::repeat_with(|| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 33) as u8
            })
            .take(length)
            .collect();
            assert!(is_dense(&noise), "{length}");
            // Four bits of a byte each.
            assert!(!is_dense(&noise.iter().map(|byte| byte & 0x77).collect::<Vec<u8>>()));
            assert!(!is_dense(&b"Nothing is as it seems. ".repeat(length / 20)));
        }
        assert!(!is_dense(&[1, 2, 3]));
    }
}
