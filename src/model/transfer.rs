//! The state of each node during a download, and the kinds of node faults.

use serde::Serialize;

/// The region of a node that is a peer: another computer of the local network.
pub const PEER_REGION: &str = "LAN";
/// How the id of a peer's node begins; see [`PEER_REGION`].
pub const PEER_ID_PREFIX: &str = "near:";

/// The progress of one node in a download.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeProgress {
    /// The node's id.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Region of the node.
    pub region: String,
    /// Verified bytes from this node.
    pub done: u64,
    /// Present speed, bytes a second.
    pub speed: f64,
    /// The present state.
    pub state: NodeState,
}

/// The state of a node in a download.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// No request is running: it was not asked yet, or no piece is left for it.
    Idle,
    /// It is sending.
    Active,
    /// It failed; it will be asked again after a pause.
    Waiting,
    /// It is no longer used in this download.
    Dropped,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeFault {
    /// The node's id.
    pub node: String,
    /// Name for people.
    pub name: String,
    pub fault: FaultKind,
    /// The cause in English, for the log.
    pub detail: String,
    /// Whether the node is no longer used in this download.
    pub dropped: bool,
}

/// The kinds of faults of nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// There was no connection, or it broke.
    Unreachable,
    /// It answered with an error status.
    Refused,
    /// It sent nothing for too long.
    Stalled,
    /// It ended a body early.
    Truncated,
    /// Its bytes do not have the signed hash.
    WrongBytes,
    /// It ignored the range of a request.
    IgnoredRange,
    /// Its file has another size, or is from another build.
    DifferentFile,
}
