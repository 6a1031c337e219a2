//! Bytes from nodes: small documents, spans of a package, and whole packages from several nodes at
//! the same time.
//!
//! In: addresses, the lengths and hashes that signed metadata gives, a bandwidth cap, pause and
//! cancel. Out: verified bytes: a [`FetchEvent::Piece`] says that a piece is in the partial file
//! and has its signed hash. Never: trust in a node. A node can only waste time; one that sends
//! wrong bytes is named and left.
//!
//! ```text
//! download ── driver: performs effects ──┬─ lane: one Range request, one connection ── client ── node
//!     │                                  ├─ partial: pieces on disk, journal of finished ones
//!     └─ scheduler: who fetches what     └─ rate_limit: bytes a second
//!        (no I/O, no clock)
//! ```
//!
//! Neighbours are nodes that come and go and have some of the pieces; the room `peers` looks after
//! them and sends [`PeerEvent`].
//!
//! [`scheduler`] decides: lanes (requests in flight) of a node follow its measured throughput, runs
//! of pieces are sized by what is left, the tail of a slow run is taken over by whoever is free
//! first.

mod client;
mod download;
mod driver;
mod encoding;
mod error;
mod job;
mod memory;
mod partial;
mod peer_source;
mod range_request;
mod rate_limit;
mod response;
mod retry;
pub(crate) mod scheduler;
mod span;

pub use client::{Client, ClientOptions};
pub use download::{download, download_among};
pub use error::FetchError;
pub use job::{Control, DownloadJob, FetchEvent, Progress, RunState, Summary};
pub use memory::NodeMemory;
pub use partial::Partial;
pub use peer_source::PeerSource;
pub(crate) use peer_source::{Availability, PeerEvent};
pub(crate) use scheduler::weight_of as weight;
pub use span::{Span, fetch_span};
