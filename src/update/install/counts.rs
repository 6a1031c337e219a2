//! What an incremental update has come to, as it travels with each piece of progress.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Counts that travel with each [`Progress`](crate::messages::protocol::Progress).
#[derive(Default)]
pub(super) struct Counts {
    /// Bytes that came over the network for parts that are finished.
    pub fetched: u64,
    /// Files that are made or taken over.
    pub files: Arc<AtomicU64>,
    /// Files for which a patch did not work out.
    pub fallen_back: u64,
    /// Installed files that were damaged, whose content was fetched again.
    pub mended: u64,
}
