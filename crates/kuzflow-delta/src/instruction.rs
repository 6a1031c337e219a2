//! How new bytes are put together from old ones.
//!
//! In: nothing. Out: [`CopyInstruction`], which the aligner makes and both sides of the coder
//! follow. Never: bytes.

/// `literals` bytes without a counterpart, then `length` bytes that stand at `old_at` in the bases,
/// mostly the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopyInstruction {
    /// Bytes without a counterpart.
    pub literals: u64,
    /// Where the copy begins in the bases; 0 when nothing is copied.
    pub old_at: u64,
    /// Bytes copied.
    pub length: u64,
}
