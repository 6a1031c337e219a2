//! The types that describe a download: the job, what its owner controls while it runs, its events,
//! and its summary.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::model::transfer::{NodeFault, NodeProgress};
use crate::model::{Digest, Node, PieceTable};

/// What to download, from where, to where.
#[derive(Clone, Debug)]
pub struct DownloadJob {
    /// Relative to each node's address, for example `targets/HASH.name.kuzflow`.
    pub location: String,
    /// Digest of the whole object, by which peers know it. Without a digest, the download asks no
    /// peers.
    pub digest: Option<Digest>,
    /// Bytes of the whole object; a node that names another size has a different file.
    pub object_length: u64,
    /// The pieces: of the first [`PieceTable::length`] bytes of the object.
    pub pieces: Arc<PieceTable>,
    /// Indexes of the wanted pieces, in order; all pieces if absent.
    pub wanted: Option<Vec<u32>>,
    /// The nodes to ask, the best first.
    pub nodes: Vec<Node>,
    /// The file to write to; `PATH.journal` lies beside it. Both stay on disk after pause, cancel
    /// and failure, for the next time.
    pub partial: PathBuf,
    /// File for the measurements of nodes; without it, none are stored.
    pub memory: Option<PathBuf>,
    /// How long to go on while no bytes come from any node.
    pub timeout: Duration,
    /// Connections to one node: the first number for an unknown node, and the maximum.
    pub connections: (usize, usize),
}

impl DownloadJob {
    /// A job with the usual limits: a timeout of two minutes, 2 to 16 connections a node, no
    /// memory.
    pub fn new(
        location: impl Into<String>,
        object_length: u64,
        pieces: Arc<PieceTable>,
        nodes: Vec<Node>,
        partial: PathBuf,
    ) -> Self {
        let timeout = Duration::from_secs(120);
        Self {
            location: location.into(),
            digest: None,
            object_length,
            pieces,
            wanted: None,
            nodes,
            partial,
            memory: None,
            timeout,
            connections: (2, 16),
        }
    }
}

/// What the download's owner wants; it may change at any time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// Whether to go on, wait, or end.
    pub state: RunState,
    /// Bytes a second at most, of all nodes together; `None` or 0 for no limit.
    pub limit: Option<u64>,
}

/// Whether the download goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunState {
    /// Download.
    #[default]
    Run,
    /// Close all connections and wait.
    Pause,
    /// End with [`super::FetchError::Cancelled`].
    Cancel,
}

/// An event during a download.
#[derive(Clone, Debug, PartialEq)]
pub enum FetchEvent {
    /// Piece `index` is verified and in the partial file, which may be read there. Pieces of an
    /// earlier run come first.
    Piece(u32),
    /// The progress, some times a second.
    Progress(Progress),
    /// A node misbehaved.
    Fault(NodeFault),
}

/// The progress of a download.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Verified bytes, those of an earlier run included, and the bytes of pieces that are not whole
    /// yet. It never falls.
    pub done: u64,
    /// Bytes of all wanted pieces.
    pub total: u64,
    /// Bytes a second, smoothed over some seconds.
    pub speed: f64,
    /// Seconds left at this speed; `None` while nothing comes.
    pub seconds_left: Option<u64>,
    /// One for each node, in the order of [`DownloadJob::nodes`], and one for each peer that has
    /// sent something.
    pub nodes: Vec<NodeProgress>,
}

/// The result of a download.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Bytes that an earlier run had left on disk, verified again.
    pub resumed: u64,
    /// Bytes that came over the network, including those fetched twice.
    pub received: u64,
    /// One for each node, in the order of [`DownloadJob::nodes`], and one for each peer that has
    /// sent something.
    pub nodes: Vec<NodeProgress>,
}
