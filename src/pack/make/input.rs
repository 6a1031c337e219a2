//! What a pack is made from, and how.
//!
//! In: the caller's choice. Out: [`Tree`], a release's files, and [`MakeOptions`]. Never: a byte
//! coded.

use std::io;

use super::error::MakePackError;
use crate::model::{Manifest, RelativePath};
use crate::pack::algorithm::Algorithm;

/// The files of a release.
pub trait Tree: Sync {
    /// The manifest that lists them.
    fn manifest(&self) -> &Manifest;
    /// Reads the content of one of them.
    fn read(&self, path: &RelativePath) -> io::Result<Vec<u8>>;
}

/// The content of a file, or an error that names it.
pub(super) fn read(tree: &dyn Tree, path: &RelativePath) -> Result<Vec<u8>, MakePackError> {
    tree.read(path).map_err(|source| MakePackError::Read { path: path.clone(), source })
}

/// The algorithm to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The one with the smallest result, for each group.
    #[default]
    Smallest,
    /// This one wherever it is possible.
    Only(Algorithm),
}

/// Algorithm and limits for making a pack.
#[derive(Clone, Copy, Debug)]
pub struct MakeOptions {
    /// The algorithm to use.
    pub choice: Choice,
    /// Number of cores to use.
    pub threads: usize,
    /// Memory to take, in bytes. If it does not suffice for all cores, fewer are used, and
    /// alignment works in windows.
    pub memory: u64,
    /// Most literals that have the heavy model ([`MakeOptions::MAX_HEAVY_BYTES`]); all others share
    /// streams.
    pub most_heavy: u64,
}

impl MakeOptions {
    /// The best value for users: a literal takes about 3 microseconds with the heavy model, and a
    /// hundredth of that in the streams that groups share. This is enough for a small update, which
    /// should be as small as can be, and costs less than a second in a large one, where shared
    /// streams are hardly larger.
    pub const MAX_HEAVY_BYTES: u64 = 288 << 10;
}
