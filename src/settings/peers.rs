//! `[peers]`: whether and how installations on one local network share downloads. Off unless the
//! publisher switches it on; the user has the last word.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The table `[peers]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Peers {
    /// Whether installations on the same local network share releases.
    pub enabled: bool,
    /// Most bytes a second that all peers together get; 0 for no limit.
    pub upload_bytes_per_second: u64,
    /// The port to listen on if it is free; 0 for any.
    pub port: u16,
    /// Whether peers are searched by multicast.
    pub multicast: bool,
    /// Addresses of peers that multicast does not reach.
    pub known: Vec<SocketAddr>,
    /// Most connections of peers.
    pub connections: usize,
    /// Most of these connections from one address.
    pub connections_per_address: usize,
    /// Hours for which downloads stay in the download cache for later peers; 0 for no cache.
    pub keep_hours: u64,
    /// Most bytes in the download cache.
    pub keep_bytes: u64,
}

impl Peers {
    /// How long downloads stay in the download cache.
    pub fn keep_time(&self) -> Duration {
        Duration::from_secs(self.keep_hours.saturating_mul(60 * 60))
    }
}

impl Default for Peers {
    fn default() -> Self {
        Self {
            enabled: false,
            upload_bytes_per_second: 20_000_000,
            port: 0,
            multicast: true,
            known: Vec::new(),
            connections: 96,
            connections_per_address: 8,
            keep_hours: 24,
            keep_bytes: 1 << 30,
        }
    }
}
