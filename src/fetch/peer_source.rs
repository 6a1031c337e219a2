//! What a download has to do with the neighbours: whom it may ask besides its nodes, and what it
//! tells them.
//!
//! In: news of neighbours, from whoever looks after them. Out: what is held and what is coming.
//! Never: trust; a neighbour's bytes are proved like a node's. Neighbours are asked directly, past
//! every proxy, and may not send this client anywhere else.

use tokio::sync::{mpsc, watch};
use url::Url;

use crate::model::PieceSet;

/// The neighbours of one download.
pub struct PeerSource {
    /// This client's number among its neighbours.
    pub instance: u64,
    /// What is heard of them.
    pub events: mpsc::UnboundedReceiver<PeerEvent>,
    /// What this client tells them.
    pub availability: watch::Sender<Availability>,
}

/// Something about a neighbour, named by its number.
#[derive(Clone, Debug, PartialEq)]
pub enum PeerEvent {
    /// It is there.
    Joined {
        /// Its number.
        instance: u64,
        /// Where it hands out the object.
        url: Url,
        /// For people, and for the log.
        name: String,
    },
    /// What it says of itself.
    Updated {
        /// Its number.
        instance: u64,
        /// What it holds and is fetching.
        availability: Availability,
    },
    /// All neighbours that were known at the beginning have answered, or have not: more is known
    /// only later.
    Acquainted,
    /// It does not answer any more.
    Left {
        /// Its number.
        instance: u64,
    },
}

/// What a client has of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Availability {
    /// Pieces that are proved and on disk.
    pub held: PieceSet,
    /// Pieces that it is fetching from the internet.
    pub in_flight: PieceSet,
    /// It is downloading.
    pub takes_part: bool,
    /// Bytes that it has received, from anybody.
    pub received: u64,
}
