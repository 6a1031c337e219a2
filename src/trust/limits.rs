//! How much metadata is read at most.
//!
//! In: nothing. Out: the limits. Never: another number elsewhere in this room.

/// Limits of the metadata that is read; sizes in bytes.
pub(super) struct TrustLimits {
    pub(super) root: u64,
    pub(super) timestamp: u64,
    pub(super) snapshot: u64,
    pub(super) targets: u64,
    /// Most roots that one load follows.
    pub(super) roots: usize,
}

/// A targets file of 16 MiB describes some 10,000 releases.
pub(super) const LIMITS: TrustLimits = TrustLimits {
    root: 512 << 10,
    timestamp: 64 << 10,
    snapshot: 512 << 10,
    targets: 16 << 20,
    roots: 1024,
};
