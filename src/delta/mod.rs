//! Differences between releases: made by the publisher, applied by the launcher.
//!
//! ```text
//! pack        one file from one release to another: outline + groups
//!   ├─ aligned: align ── forecast (plain, native) ── coder      our own algorithm, smallest on everything measured
//!   ├─ bsdiff4       the classical format, readable by others
//!   └─ dictionary    zstd with the old files in its window
//! kin         which old file a new one descends from                      (publisher)
//! ```
//!
//! In: manifests, old bytes, packs from anywhere. Out: packs (publisher), new files with their digests. Never: the network,
//! trust (what a pack makes counts only once its digests make up the signed manifest), more memory than it was given, a file outside
//! the folder it was given.

pub mod align;
#[cfg(feature = "publisher")]
pub mod base_selection;
pub mod bsdiff4;
pub mod coder;
pub mod dictionary;
pub mod native;
pub mod pack;
pub mod prediction;
