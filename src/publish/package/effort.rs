//! How hard to compress.
//!
//! In: the publisher's choice. Out: level and cores. Never: more memory than a machine has unless
//! asked for.

use crate::parallel;

/// How much work goes into compression.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// zstd's level, 1 to 22.
    pub level: i32,
    /// Number of cores to use. At level 19 each takes about 90 MiB.
    pub threads: usize,
}

/// Most cores that are used by default: memory then stays below a gigabyte.
const MAX_THREADS: usize = 8;

/// The level for a person who waits. On 239 MB of a PyQt5 app level 12 took an eighth of the
/// processor's time that level 19 takes, for a package that is a tenth larger (74.2 and 67.4 MB);
/// level 6 half as long as 12 (76.3 MB), level 15 three times as long (73.2 MB).
pub const USUAL_LEVEL: i32 = 12;

impl Default for Effort {
    fn default() -> Self {
        Self { level: USUAL_LEVEL, threads: parallel::workers().min(MAX_THREADS) }
    }
}
