//! Fetches bytes from nodes: small documents, spans of a package, and whole packages from several
//! nodes at the same time.
//!
//! In: addresses, the lengths and hashes that signed metadata gives, a rate limit, pause and
//! cancel. Out: verified bytes. A [`FetchEvent::Piece`] says that a piece is in the partial file
//! and has its signed hash. Never: trust in a node. A node can only waste time: the download names
//! a node that sends wrong bytes, and stops using it.
//!
//! ```text
//! download ── driver: performs effects ──┬─ range_request: one connection ── client ── node
//!     │                                  ├─ partial: pieces on disk, journal of finished ones
//!     └─ scheduler: who fetches what     └─ rate_limit: bytes a second
//!        (no I/O, no clock)
//! ```
//!
//! Peers are nodes that join and leave, and that have some of the pieces. The module `peers` finds
//! them and sends [`PeerEvent`].
//!
//! [`scheduler`] decides. The number of range requests of a node follows its measured throughput.
//! The length of a run of pieces follows what is left to fetch. The first node that is free steals
//! the tail of a slow run.

mod client;
mod document_retry;
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
