//! The update pipeline: finds a release and the cheapest plan for it, puts the new version on disk,
//! and repairs installed ones.
//!
//! ```text
//! check      choice  sources  renewal       the releases there are
//! planning   planner                        the cheapest plan
//! install    from_file  repair              a version from nodes or a file, an old one repaired
//!    └── applying  entries  package_documents  download_sources    what they download
//! peer_service                              the peers of the local network
//! hot_swap                                  a new version without a restart
//! self_update                               a new version of the launcher
//! ```
//!
//! In: an environment, an offer. Out: versions in the store, values of [`crate::messages`].
//! Never: starts the app, or decides what comes next; `engine` does.

mod applying;
pub(crate) mod check;
mod choice;
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
