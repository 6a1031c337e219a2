//! The update pipeline: what there is, the cheapest way to it, and a new version on disk, or an old
//! one mended.
//!
//! ```text
//! check      sources  renewal               what there is
//! planning   planner                        the cheapest way to it
//! install    from_file  repair              a new version from nodes or a file, an old one mended
//!    └── applying  entries  package_documents  download_sources    packs, single files, documents over a line
//! peer_service                              the computers of the local network
//! hot_swap                                  a new version without a restart
//! self_update                               this launcher's own
//! ```
//!
//! In: an environment, an offer. Out: versions in the store, values of [`crate::messages`].
//! Never: a start of the app, a decision about what comes next; `engine` takes those.

mod applying;
pub(crate) mod check;
mod download_sources;
mod entries;
pub(crate) mod from_file;
pub(crate) mod hot_swap;
pub(crate) mod install;
pub(crate) mod package_documents;
pub(crate) mod peer_service;
mod planner;
mod planning;
mod renewal;
pub(crate) mod repair;
pub(crate) mod self_update;
mod sources;
