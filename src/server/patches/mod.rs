//! Patch packs over HTTP: the cheapest way from one release to another, the packs themselves, and
//! packs made when somebody asks.
//!
//! In: the catalogue of the repository, questions in the specification's form. Out: answers of
//! signed packs, and jobs. Never: a pack made in a request (that is the queue's, and only where
//! this server was told to make packs), an answer that anything hangs on: a launcher plans from
//! signed metadata.
//!
//! ```text
//! api      the two routes         chain    the cheapest chain of packs, pure
//! queue    jobs, kept on disk     service  threads that work the queue off
//! allowance  which packs are made on request, pure
//! fingerprint  what is installed, held against the release that it should be, pure
//! ```

mod allowance;
pub(super) mod api;
mod chain;
mod fingerprint;
mod id;
mod queue;
mod service;

pub use queue::JobOutcome;
pub(crate) use service::ProjectMaker;
pub(super) use service::Service;
pub use service::{Maker, Making};
