//! Command lines: what a person or a script types, turned into calls of the rooms below, and their
//! outcome into words and exit codes.
//!
//! ```text
//! launcher    the verbs of `kuzflow-launcher`, one file a verb or a few that belong together
//! publisher   the verbs of `kuzflow`, one file a verb                                 (feature publisher)
//! ```
//!
//! In: arguments. Out: calls of `app`, `engine`, `publish` and `server`, and an `Ending`.
//! Never: the life of a running launcher; that is `app`.

pub(crate) mod launcher;
#[cfg(feature = "publisher")]
pub(crate) mod publisher;

/// Above the options that every verb has, apart from the verb's own in `--help`.
const GLOBAL_OPTIONS: &str = "Global options";
