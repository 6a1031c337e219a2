//! A group of files before and after it is coded.
//!
//! In: nothing. Out: the two forms that the plan and the jobs hand to each other. Never: a byte
//! read or coded.

use crate::pack::algorithm::Algorithm;
use crate::pack::group::Class;
use kuzflow_delta::coder::STREAMS;

/// A group that waits to be coded.
pub(super) struct CodingJob {
    /// Of which kind they all are.
    pub(super) class: Class,
    /// Its files, by number.
    pub members: Vec<usize>,
    /// Bytes of bases and targets together.
    pub(super) weight: u64,
}

/// A group that is coded.
pub(super) struct Coded {
    /// How.
    pub algorithm: Algorithm,
    pub bytes: Vec<u8>,
    /// How many literals it leaves to each shared stream.
    pub literals: [u64; STREAMS],
    /// For each member, its share of the group's cost.
    pub shares: Vec<f64>,
}
