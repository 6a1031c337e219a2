//! What several verbs of the publisher share.
//!
//! ```text
//! place    the publisher's folder and its keys    project   where that folder is    passwords   of keys
//! offered  what a release became                  progress  bars                    output      lines and JSON
//! ```

pub(super) mod offered;
pub(super) mod output;
pub(super) mod passwords;
pub(super) mod place;
pub(super) mod progress;
pub(super) mod project;

/// What ends a verb.
pub type VerbError = Box<dyn std::error::Error>;
