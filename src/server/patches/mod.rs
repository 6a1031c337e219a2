//! Patch packs over HTTP: the cheapest chain from one release to another, the packs themselves, and
//! packs made on request.
//!
//! In: the catalogue of the repository, questions in the specification's form. Out: answers about
//! signed packs, and patch jobs. Never: makes a pack inside a request (the queue's threads make
//! packs, and only where this server was configured to); gives an answer that safety depends on (a
//! launcher plans from signed metadata).
//!
//! ```text
//! api      the question            chain    the cheapest chain of packs, pure
//! delivery a pack, or its job
//! queue    jobs, stored on disk   service  threads that work through the queue
//! allowance  which packs are made on request, pure
//! fingerprint  compares the installed files with those of their release, pure
//! ```

mod allowance;
pub(super) mod api;
mod chain;
pub(super) mod delivery;
mod fingerprint;
mod id;
mod queue;
mod service;
mod tree_slot;

pub use queue::JobOutcome;
pub(crate) use service::ProjectMaker;
pub(super) use service::Service;
pub use service::{Maker, Making};
pub(super) use tree_slot::TreeSlot;
