//! How a group is coded.
//!
//! In: nothing. Out: the algorithms with their numbers in the format. Never: one of them at work.

/// The algorithm that coded a group. The number is part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// Our own: alignment, prediction, context mixing.
    Aligned = 0,
    /// zstd with the bases in its window.
    Zstd = 1,
    /// The classical bsdiff 4 format; one file with one base.
    Bsdiff4 = 2,
}

impl Algorithm {
    /// All of them, by their numbers.
    pub const ALL: [Self; 3] = [Self::Aligned, Self::Zstd, Self::Bsdiff4];
}
