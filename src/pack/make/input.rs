//! What a pack is made from, and how.
//!
//! In: the caller's choice. Out: [`Tree`], a release's files, and [`MakeOptions`]. Never: a byte
//! coded.

use std::io;

use super::error::MakePackError;
use crate::model::{Manifest, RelativePath};
use crate::pack::algorithm::Algorithm;

/// A release's files.
pub trait Tree: Sync {
    /// What they are.
    fn manifest(&self) -> &Manifest;
    /// The content of one of them.
    fn read(&self, path: &RelativePath) -> io::Result<Vec<u8>>;
}

/// The content of a file, or an error that names it.
pub(super) fn read(tree: &dyn Tree, path: &RelativePath) -> Result<Vec<u8>, MakePackError> {
    tree.read(path).map_err(|source| MakePackError::Read { path: path.clone(), source })
}

/// Which algorithm to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The smallest for each group.
    #[default]
    Smallest,
    /// This one wherever it can be used.
    Only(Algorithm),
}

/// How to make a pack.
#[derive(Clone, Copy, Debug)]
pub struct MakeOptions {
    /// Which algorithm.
    pub choice: Choice,
    /// Cores to use.
    pub threads: usize,
    /// Memory to take, bytes: fewer cores are used where it does not suffice for all of them, and
    /// alignment works in windows.
    pub memory: u64,
    /// Bytes without a counterpart that have the heavy model at most ([`MakeOptions::MOST_HEAVY`]);
    /// all others share streams.
    pub most_heavy: u64,
}

impl MakeOptions {
    /// What is best for users: such bytes take about 3 microseconds each with the heavy model, in
    /// the streams that groups share a hundredth of one. Enough for a small update, which should be
    /// as small as can be, and less than a second in a large one, where shared streams are hardly
    /// larger.
    pub const MOST_HEAVY: u64 = 288 << 10;
}
