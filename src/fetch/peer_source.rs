//! The link between a download and the peer network: the peers that the download may ask besides
//! its nodes, and what it reports to them.
//!
//! In: peer events, from the peer network. Out: which pieces are held and which are in flight.
//! Never: trust. A download verifies the bytes of a peer like those of a node. It asks peers
//! directly, past every proxy, and follows no redirect of theirs.

use tokio::sync::{mpsc, watch};
use url::Url;

use crate::model::PieceSet;

/// The peers of one download.
pub struct PeerSource {
    /// This client's number among its peers.
    pub instance: u64,
    /// Events about peers, from the peer network.
    pub events: mpsc::UnboundedReceiver<PeerEvent>,
    /// What this client reports to its peers.
    pub availability: watch::Sender<Availability>,
}

/// An event about one peer, which its number names.
#[derive(Clone, Debug, PartialEq)]
pub enum PeerEvent {
    /// The peer is there.
    Joined {
        /// The peer's number.
        instance: u64,
        /// Address of the object on this peer.
        url: Url,
        /// The peer's name for users and for the log.
        name: String,
    },
    /// The peer's availability has changed.
    Updated {
        /// The peer's number.
        instance: u64,
        /// Which pieces the peer holds and is fetching.
        availability: Availability,
    },
    /// Every peer that was known at the beginning has answered, or its time to answer is over. More
    /// becomes known only later.
    Acquainted,
    /// The peer no longer answers.
    Left {
        /// The peer's number.
        instance: u64,
    },
}

/// What a client has of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Availability {
    /// Pieces that are verified and on disk.
    pub held: PieceSet,
    /// Pieces that the client is fetching from the internet.
    pub in_flight: PieceSet,
    /// Whether the client is downloading the object itself.
    pub takes_part: bool,
    /// Bytes that the client has received, from any source.
    pub received: u64,
}
