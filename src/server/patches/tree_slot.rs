//! The version tree of the last question, in memory.

use std::sync::Arc;

use crate::model::VersionTree;

/// A cache for the version tree of the last question, by its location. It holds one tree, since a
/// tree may be large (16 MiB of JSON).
pub(in crate::server) type TreeSlot = tokio::sync::Mutex<Option<(String, Arc<VersionTree>)>>;
