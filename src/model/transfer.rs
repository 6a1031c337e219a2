//! How nodes do during a download, and the ways in which they misbehave.

use serde::Serialize;

/// The region of a node that is another computer of the local network, and how its id begins.
pub const PEER_REGION: &str = "LAN";
/// See [`PEER_REGION`].
pub const PEER_ID_PREFIX: &str = "near:";

/// How a node does.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeProgress {
    /// The node's id.
    pub id: String,
    /// For people.
    pub name: String,
    /// Its region.
    pub region: String,
    /// Verified bytes from it.
    pub done: u64,
    /// Bytes a second now.
    pub speed: f64,
    /// What it is doing.
    pub state: NodeState,
}

/// What a node is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// Not asked yet, or nothing left to ask for.
    Idle,
    /// Sending.
    Active,
    /// Failed; will be asked again after a pause.
    Waiting,
    /// Left for this download.
    Dropped,
}

/// A node that misbehaved.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeFault {
    /// The node's id.
    pub node: String,
    /// For people.
    pub name: String,
    /// What it did.
    pub fault: FaultKind,
    /// The cause in English, for the log.
    pub detail: String,
    /// Whether it was left for this download.
    pub dropped: bool,
}

/// Ways in which a node misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// No connection, or it broke.
    Unreachable,
    /// Answered with an error status.
    Refused,
    /// Sent nothing for too long.
    Stalled,
    /// Ended a body early.
    Truncated,
    /// Sent bytes that do not have the signed hash.
    WrongBytes,
    /// Answered a Range request with something else.
    IgnoredRange,
    /// Holds a file of another size or another build.
    DifferentFile,
}
