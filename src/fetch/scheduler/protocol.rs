//! The scheduler's language: what it is told ([`SchedulerInput`]) and what it wants done
//! ([`Effect`]).

use std::ops::Range;
use std::time::Duration;

use crate::model::PieceSet;
use crate::model::transfer::{FaultKind, NodeState};

/// Names a request.
pub(crate) type RequestId = u64;
/// Index of a node in the order they were given.
pub(crate) type NodeIndex = usize;

/// What is known of a node beforehand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Prior {
    /// Bytes a second of all its lanes together.
    pub bytes_per_second: f64,
    /// Seconds from a request to its answer.
    pub latency_seconds: f64,
    /// Lanes that served best.
    pub connections: usize,
}

/// Limits of one download.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SchedulerLimits {
    /// Lanes a node begins with, if it is unknown.
    pub first_requests: usize,
    /// Lanes a node may have.
    pub max_requests: usize,
    /// How long to keep trying while nothing comes from any node.
    pub timeout: Duration,
    /// Seeds the jitter of pauses.
    pub seed: u64,
    /// This client's number among its neighbours.
    pub instance: u64,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SchedulerInput {
    /// The head of an answer came, `seconds` after its request.
    Answered {
        /// Which request.
        range_request: RequestId,
        /// Seconds since it was made.
        seconds: f64,
    },
    /// Bytes of an answer came since the last report.
    Received {
        /// Which request.
        range_request: RequestId,
        /// How many.
        bytes: u64,
    },
    /// Bytes came that lie before what was asked for: the node sends the whole object.
    PassedOver {
        /// Which request.
        range_request: RequestId,
        /// How many.
        bytes: u64,
    },
    /// A piece has its signed hash and is on disk.
    Verified {
        /// Which piece.
        piece: u32,
        /// Who sent (the last part of) it.
        node: NodeIndex,
    },
    /// A piece does not have its signed hash.
    Wrong {
        /// Which piece.
        piece: u32,
        /// Everyone who sent a part of it.
        nodes: Vec<NodeIndex>,
    },
    /// A request ended: done, shortened, cancelled, or by a fault.
    Ended {
        /// Which request.
        range_request: RequestId,
        /// Everything before this byte of the object was received; bytes of a piece that is not
        /// whole are kept for its next request.
        position: u64,
        /// Why it ended early.
        fault: Option<Fault>,
    },
    /// Time passed. `capped` says that a bandwidth cap slows the lanes, so that their rate says
    /// nothing about the nodes.
    Tick {
        /// Whether a cap is set.
        capped: bool,
    },
    /// A neighbour is there: a node that has some of the pieces, if any. Its index is the next one.
    Joined {
        /// Its number, the same for everybody.
        instance: u64,
    },
    /// What a neighbour says of itself.
    Updated {
        /// Which.
        node: NodeIndex,
        /// What it has.
        held: PieceSet,
        /// What it is fetching from the internet.
        in_flight: PieceSet,
        /// It downloads the object itself.
        takes_part: bool,
        /// Bytes that it has received.
        received: u64,
    },
    /// A neighbour is gone. It may tell of itself again.
    Left {
        /// Which.
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
    /// What the node did.
    pub kind: FaultKind,
    /// In English.
    pub detail: String,
    /// Whether asking again is unlikely to help: others are asked first.
    pub lasting: bool,
    /// Seconds after which the node wants to be asked again.
    pub retry_after: Option<f64>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Effect {
    /// Ask a node for bytes.
    Request(Request),
    /// The lane shall end before piece `end`; another one fetches the rest.
    Shorten {
        /// Which request.
        range_request: RequestId,
        /// The first piece that it need not fetch.
        end: u32,
    },
    /// End the request now.
    Cancel {
        /// Which request.
        range_request: RequestId,
    },
    /// Name a node's fault.
    Fault {
        /// Which node.
        node: NodeIndex,
        /// What it did.
        fault: Fault,
        /// Whether it was left.
        dropped: bool,
    },
    /// The piece is there for good; told once a piece.
    Have {
        /// Which piece.
        piece: u32,
    },
    /// All pieces are there.
    Finished,
    /// No node delivers any more.
    GiveUp,
}

/// A request to make.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request {
    /// Its name.
    pub range_request: RequestId,
    /// Whom to ask.
    pub node: NodeIndex,
    /// The pieces to fetch.
    pub pieces: Range<u32>,
    /// The bytes to ask for: of these pieces, without the beginning of the first one if that was
    /// kept.
    pub bytes: Range<u64>,
    /// Whether an answer with the whole object is welcome.
    pub whole_allowed: bool,
    /// How long the answer may take to begin.
    pub answer_within: Duration,
    /// How long it may be silent later.
    pub silence: Duration,
}

/// How a node does, for people.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct NodeView {
    /// Verified bytes.
    pub done: u64,
    /// Bytes a second.
    pub speed: f64,
    /// What it is doing.
    pub state: NodeState,
}
