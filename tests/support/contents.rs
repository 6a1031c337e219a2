//! What made-up files hold.

/// Bytes that nothing can compress or predict; the same for the same seed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| random.u8(..)).take(length).collect()
}

/// Text of some 60 KB in which each version changes a few words.
pub fn words(version: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(1);
    let mut lines: Vec<String> =
        (0..1500).map(|number| format!("line {number} says {}\n", random.u64(..))).collect();
    lines[usize::try_from(version).unwrap() * 10] = format!("version {version} was here\n");
    lines.concat().into_bytes()
}
