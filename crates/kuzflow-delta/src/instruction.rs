//! The instruction that builds new bytes from old ones.
//!
//! In: nothing. Out: [`CopyInstruction`], which the aligner makes and both sides of the coder
//! follow. Never: bytes of a file.

/// `literals` bytes without a counterpart, then `length` bytes that stand at `old_at` in the bases,
/// mostly unchanged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopyInstruction {
    /// Number of bytes without a counterpart.
    pub literals: u64,
    /// Where the copy begins in the bases; 0 when nothing is copied.
    pub old_at: u64,
    /// Number of bytes copied.
    pub length: u64,
}
