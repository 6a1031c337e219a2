//! What several verbs of the publisher share.
//!
//! ```text
//! place    the publisher's folder and its keys    project   where that folder is    passwords   of keys
//! offered  what a release became                  progress  bars                    output      lines and JSON
//! upload   what follows a change of the repository      faults    all that is wrong in one error
//! token    of a server
//! ```

pub(crate) mod faults;
pub(crate) mod offered;
pub(crate) mod output;
pub(crate) mod passwords;
pub(crate) mod place;
pub(crate) mod progress;
pub(crate) mod project;
pub(crate) mod token;
pub(crate) mod upload;

/// What ends a verb.
pub(crate) type VerbError = Box<dyn std::error::Error>;
