//! A download in words: what is wanted, what its owner may say meanwhile, what is told on the way
//! and at the end.

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
    /// Digest of the whole object, by which neighbours know it; they are not asked for an object
    /// without.
    pub digest: Option<Digest>,
    /// Bytes of the whole object; a node that names another size has a different file.
    pub object_length: u64,
    /// The pieces: of the first [`PieceTable::length`] bytes of the object.
    pub pieces: Arc<PieceTable>,
    /// Which pieces are wanted; all if absent.
    pub wanted: Option<Vec<u32>>,
    /// Whom to ask, the best first.
    pub nodes: Vec<Node>,
    /// The file to write to; `PATH.journal` lies beside it. Both are kept by pause, cancel and
    /// failure, for the next time.
    pub partial: PathBuf,
    /// Where measurements of nodes are kept; none are kept if absent.
    pub memory: Option<PathBuf>,
    /// How long to keep trying while nothing comes from any node.
    pub timeout: Duration,
    /// Connections a node begins with, if it is unknown, and at most.
    pub connections: (usize, usize),
}

impl DownloadJob {
    /// A job with the usual limits: two minutes of patience, 2 to 16 connections a node, nothing
    /// remembered.
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

/// What the driver's owner wants, at any time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// Go on, wait, or end.
    pub state: RunState,
    /// Bytes a second at most, of all nodes together; `None` or 0 for no cap.
    pub limit: Option<u64>,
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunState {
    /// Download.
    #[default]
    Run,
    /// Close all connections and wait.
    Pause,
    /// End with [`FetchError::Cancelled`].
    Cancel,
}

/// What happens during a download.
#[derive(Clone, Debug, PartialEq)]
pub enum FetchEvent {
    /// Piece `index` is verified and in the partial file, which may be read there. Pieces from an
    /// earlier time come first.
    Piece(u32),
    /// How far it is, some times a second.
    Progress(Progress),
    /// A node misbehaved.
    Fault(NodeFault),
}

/// How far a download is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Verified bytes, those of an earlier time included, and what has come of the pieces that are
    /// not whole yet. It never falls.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
    /// Bytes a second, smoothed over some seconds.
    pub speed: f64,
    /// Seconds left at this speed; `None` while nothing comes.
    pub seconds_left: Option<u64>,
    /// One a node, in the order of [`DownloadJob::nodes`], and one for each neighbour that has
    /// given something.
    pub nodes: Vec<NodeProgress>,
}

/// How a download went.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Bytes that an earlier time had left, proved again.
    pub resumed: u64,
    /// Bytes that came over the network, including those fetched twice.
    pub received: u64,
    /// One a node, in the order of [`DownloadJob::nodes`], and one for each neighbour that has
    /// given something.
    pub nodes: Vec<NodeProgress>,
}
