//! The scheduler's language: what it takes in ([`SchedulerInput`]) and what it wants done
//! ([`Effect`]).

use std::ops::Range;
use std::time::Duration;

use crate::model::PieceSet;
use crate::model::transfer::{FaultKind, NodeState};

/// Identifies a request.
pub(crate) type RequestId = u64;
/// Index of a node, in the order in which the nodes were given.
pub(crate) type NodeIndex = usize;

/// What the client knows of a node before the download.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Prior {
    /// Bytes a second of all its range requests together.
    pub bytes_per_second: f64,
    /// Seconds from a request to the head of its answer.
    pub latency_seconds: f64,
    /// The number of connections that served best.
    pub connections: usize,
}

/// Limits of one download.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SchedulerLimits {
    /// Range requests that an unknown node begins with.
    pub first_requests: usize,
    /// Range requests of one node at most.
    pub max_requests: usize,
    /// How long to go on while no bytes come from any node.
    pub timeout: Duration,
    /// Seeds the jitter of pauses.
    pub seed: u64,
    /// This client's number among its peers.
    pub instance: u64,
}

/// What happened since the last step.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SchedulerInput {
    /// The head of an answer came.
    Answered {
        range_request: RequestId,
        /// Seconds since the request was made.
        seconds: f64,
    },
    /// Bytes of an answer came since the last report.
    Received {
        range_request: RequestId,
        /// Bytes since the last report.
        bytes: u64,
    },
    /// Bytes came that lie before the requested ones: the node sends the whole object.
    PassedOver {
        range_request: RequestId,
        /// Bytes since the last report.
        bytes: u64,
    },
    /// A piece has its signed hash and is on disk.
    Verified {
        piece: u32,
        /// The node that sent the piece, or its last part.
        node: NodeIndex,
    },
    /// A piece does not have its signed hash.
    Wrong {
        piece: u32,
        /// All nodes that sent a part of it.
        nodes: Vec<NodeIndex>,
    },
    /// A request ended: done, shortened, cancelled, or by a fault.
    Ended {
        range_request: RequestId,
        /// Everything before this byte of the object was received. The driver retains the bytes of
        /// a piece that is not whole for its next request.
        position: u64,
        /// The reason, if it ended early.
        fault: Option<Fault>,
    },
    /// Time passed. `capped` says that a rate limit slows the requests, so that their rate says
    /// nothing about the nodes.
    Tick {
        /// Whether a rate limit is set.
        capped: bool,
    },
    /// A peer joined: a node that has some of the pieces, or none. It gets the next index.
    Joined {
        /// The peer's number, the same for all peers.
        instance: u64,
    },
    /// A peer reported its availability.
    Updated {
        node: NodeIndex,
        /// Pieces that it holds.
        held: PieceSet,
        /// Pieces that it is fetching from the internet.
        in_flight: PieceSet,
        /// Whether it downloads the object itself.
        takes_part: bool,
        /// Bytes that it has received, from any source.
        received: u64,
    },
    /// A peer left. It may report again.
    Left {
        /// Its index, as [`SchedulerInput::Joined`] gave it.
        node: NodeIndex,
    },
    /// Stop all requests until [`SchedulerInput::Resume`].
    Pause,
    /// Go on.
    Resume,
}

/// Why a request ended early.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fault {
    pub kind: FaultKind,
    /// In English, for the log.
    pub detail: String,
    /// Whether another try is unlikely to help: other nodes are asked first.
    pub lasting: bool,
    /// Seconds after which the node wants to be asked again.
    pub retry_after: Option<f64>,
}

/// What the driver must do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Effect {
    /// Ask a node for bytes.
    Request(Request),
    /// The request shall end before piece `end`; another request fetches the rest.
    Shorten {
        range_request: RequestId,
        /// The first piece that the request need not fetch.
        end: u32,
    },
    /// End the request now.
    Cancel {
        /// The request to end; its report still comes.
        range_request: RequestId,
    },
    /// Name a node's fault.
    Fault {
        node: NodeIndex,
        fault: Fault,
        /// Whether the scheduler left the node.
        dropped: bool,
    },
    /// The piece is there for good; reported once for each piece.
    Have {
        /// Index in the piece table.
        piece: u32,
    },
    /// All pieces are there.
    Finished,
    /// No node delivers any more.
    GiveUp,
}

/// A range request to make.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request {
    pub range_request: RequestId,
    pub node: NodeIndex,
    /// The pieces to fetch.
    pub pieces: Range<u32>,
    /// The bytes to ask for: all of these pieces, without the retained beginning of the first one.
    pub bytes: Range<u64>,
    /// Whether to accept an answer with the whole object.
    pub whole_allowed: bool,
    /// How long the answer may take to begin.
    pub answer_within: Duration,
    /// How long the node may be silent after the answer has begun.
    pub silence: Duration,
}

/// State and progress of a node, for display.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct NodeView {
    /// Verified bytes.
    pub done: u64,
    /// Bytes a second right now.
    pub speed: f64,
    pub state: NodeState,
}
