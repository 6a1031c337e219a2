//! The installed files that may be given to peers.

use std::path::PathBuf;
use std::sync::Arc;

use crate::model::Digest;

/// An installed file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Path of the file.
    pub path: PathBuf,
    /// Its length in bytes, as the manifest says.
    pub size: u64,
}

/// Finds an unchangeable file of an installed version by its digest. The caller runs it on a thread
/// that may block.
pub type Library = Arc<dyn Fn(&Digest) -> Option<Volume> + Send + Sync>;
