//! A node or a peer as the window shows it, at a fixed place in the list.

use crate::messages::protocol::{FaultKind, NodeProgress, NodeState};
use crate::model::Node;
use crate::model::transfer::PEER_REGION;

/// A node as the window shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeView {
    /// The node's id.
    pub id: String,
    /// The node's name for people.
    pub name: String,
    /// Its region as the node list names it.
    pub region: String,
    /// Published bandwidth, Mbit/s.
    pub published: Option<f64>,
    /// Verified bytes from this node.
    pub done: u64,
    /// Bytes a second, measured; 0 if unknown.
    pub speed: f64,
    /// What the node is doing.
    pub state: NodeState,
    /// The node's last fault, until it sends again.
    pub fault: Option<FaultKind>,
}

impl NodeView {
    /// Whether it is a peer on the local network, and not a server.
    pub fn is_peer(&self) -> bool {
        self.region == PEER_REGION
    }

    pub(super) fn published(node: &Node) -> Self {
        Self {
            id: node.id.clone(),
            name: node.label().to_owned(),
            region: node.region.clone(),
            published: node.metrics.bandwidth_mbps.or(node.bandwidth),
            done: 0,
            speed: 0.0,
            state: NodeState::Idle,
            fault: None,
        }
    }

    pub(super) fn seen(node: NodeProgress) -> Self {
        Self {
            id: node.id,
            name: node.name,
            region: node.region,
            published: None,
            done: node.done,
            speed: node.speed,
            state: node.state,
            fault: None,
        }
    }

    pub(super) fn update(&mut self, seen: NodeProgress) {
        // A node that sends again is forgiven.
        let fault = self.fault.filter(|_| seen.state != NodeState::Active);
        *self = Self { published: self.published, fault, ..Self::seen(seen) };
    }
}
