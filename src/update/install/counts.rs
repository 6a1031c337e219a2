//! Counts of an incremental update, sent with each piece of progress.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Counts that are sent with each [`Progress`](crate::messages::protocol::Progress).
#[derive(Default)]
pub(super) struct Counts {
    /// Bytes that the network brought for finished parts.
    pub fetched: u64,
    /// Files that are made or cloned.
    pub files: Arc<AtomicU64>,
    /// Files for which a patch failed.
    pub fallen_back: u64,
    /// Damaged installed files whose content was fetched again.
    pub repaired_bases: u64,
}
