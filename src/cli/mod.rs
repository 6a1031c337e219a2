//! Command lines: they turn typed arguments into calls of the rooms below, and the outcome into
//! words and exit codes.
//!
//! ```text
//! launcher    the verbs of `kuzflow-launcher`, one file a verb or a few that belong together
//! publisher   the verbs of `kuzflow`, one file a verb (feature publisher)
//! ```
//!
//! In: arguments. Out: calls of `app`, `engine`, `publish` and `server`, and an `Ending`. Never:
//! the life of a running launcher; that is `app`.

pub(crate) mod launcher;
#[cfg(feature = "publisher")]
pub(crate) mod publisher;

/// The heading of the options that every verb has, separate from the verb's own in `--help`.
const GLOBAL_OPTIONS: &str = "Global options";
