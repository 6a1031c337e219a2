//! `[peers]`: whether and how installations of one office share. Off unless the publisher says
//! otherwise; the user has the last word.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// `[peers]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Peers {
    /// Whether installations on the same local network share releases.
    pub enabled: bool,
    /// Bytes a second that neighbours get at most, all together; 0 for no limit.
    pub upload_bytes_per_second: u64,
    /// The port to listen at if it is free; 0 for any.
    pub port: u16,
    /// Whether neighbours are looked for by multicast.
    pub multicast: bool,
    /// Addresses of neighbours that multicast does not reach.
    pub known: Vec<SocketAddr>,
    /// Connections of neighbours at most.
    pub connections: usize,
    /// Of these, from one address.
    pub connections_per_address: usize,
    /// Hours for which what was fetched is kept for neighbours that come later; 0 for not at all.
    pub keep_hours: u64,
    /// Bytes that are kept so at most.
    pub keep_bytes: u64,
}

impl Peers {
    /// How long what was fetched is kept.
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
