//! How hard to compress.
//!
//! In: the publisher's choice. Out: level and cores. Never: more memory than a machine has unless
//! asked for.

/// How hard to try.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// zstd's level, 1 to 22.
    pub level: i32,
    /// Cores to use. At level 19 each takes about 90 MiB.
    pub threads: usize,
}

/// More cores than this are not used unless asked for: memory stays below a gigabyte.
const MOST_THREADS: usize = 8;

/// The level that a person waits for. On 239 MB of a PyQt5 app level 12 took an eighth of the
/// processor's time that level 19 takes, for a package that is a tenth larger (74.2 and 67.4 MB);
/// level 6 half as long as 12 (76.3 MB), level 15 three times as long (73.2 MB).
pub const USUAL_LEVEL: i32 = 12;

impl Default for Effort {
    fn default() -> Self {
        Self {
            level: USUAL_LEVEL,
            threads: std::thread::available_parallelism()
                .map_or(1, |cores| cores.get().min(MOST_THREADS)),
        }
    }
}
