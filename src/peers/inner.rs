//! What all parts of the peer network share: its settings, the peers that it knows and what it
//! offers.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::download_cache::DownloadCache;
use super::request::address_of;
use super::roster::{self, Roster};
use super::share_index::ShareIndex;
use super::upload_limit::UploadLimit;
use crate::fetch::{Client, PeerEvent};
use crate::model::Digest;
use crate::mutex;

/// How long an answer to "may peers be served?" is valid.
const BELIEVED: Duration = Duration::from_secs(1);

/// Settings of the peer network.
#[derive(Clone, Debug)]
pub struct PeerOptions {
    /// The app's name: installations of other apps are ignored.
    pub app: String,
    /// The port to listen at if it is free; 0 for any.
    pub port: u16,
    /// Whether to announce this client and to discover others by multicast.
    pub discover: bool,
    /// Addresses of peers that are known without discovery.
    pub known: Vec<SocketAddr>,
    /// Bytes a second that all peers together get at most; 0 for no limit.
    pub upload_bytes_per_second: u64,
    /// Connections from peers at most.
    pub connections: usize,
    /// Connections from one address at most.
    pub connections_per_address: usize,
    /// Folder of the download cache, for peers that come later.
    pub cache: PathBuf,
    /// Bytes in the download cache at most.
    pub cache_bytes: u64,
    /// How long each object stays in the download cache.
    pub cache_time: Duration,
}

/// Whether peers may still be served: the user may have changed the setting in another process.
pub(crate) type Allowed = Arc<dyn Fn() -> bool + Send + Sync>;

/// What all parts of the peer network share.
pub(super) struct Inner {
    pub(super) options: PeerOptions,
    pub(super) instance: u64,
    pub(super) client: Client,
    pub(super) roster: Mutex<Roster>,
    pub(super) shared: ShareIndex,
    pub(super) upload_limit: UploadLimit,
    pub(super) cache: DownloadCache,
    pub(super) started: Instant,
    pub(super) allowed: Allowed,
    /// The last answer of `allowed`, and its time.
    pub(super) allowed_then: Mutex<Option<(Instant, bool)>>,
}

impl Inner {
    /// Whether to serve peers. Reads a file from time to time.
    pub(super) fn is_allowed(&self) -> bool {
        let mut then = mutex::lock(&self.allowed_then);
        if let Some((when, answer)) = *then
            && when.elapsed() < BELIEVED
        {
            return answer;
        }
        let answer = (self.allowed)();
        *then = Some((Instant::now(), answer));
        answer
    }

    /// The peers to ask: those with a known number, and those of which only the address is known.
    pub(super) fn peers(&self) -> Vec<(Option<u64>, SocketAddr)> {
        let known = self.options.known.iter().map(|address| (None, *address));
        let found = mutex::lock(&self.roster).asked();
        known
            .chain(found.into_iter().map(|(instance, address)| (Some(instance), address)))
            .collect()
    }

    pub(super) fn answered(&self, instance: u64, well: bool) {
        let now = self.started.elapsed().as_secs_f64();
        mutex::lock(&self.roster).answered(now, instance, well);
    }

    pub(super) fn joined(&self, instance: u64, address: SocketAddr, digest: &Digest) -> PeerEvent {
        let url = address_of(address, &self.options.app, "content", digest);
        // Four digits are enough to distinguish the computers of a local network.
        PeerEvent::Joined {
            instance,
            url,
            name: roster::digits(instance).chars().take(4).collect(),
        }
    }
}
