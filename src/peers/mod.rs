//! The peer network: installations of the same app on the same local network give each other what
//! the publisher has signed.
//!
//! In: what is being fetched ([`PeerNetwork::share`]) and what is installed ([`Library`]), from the
//! engine. Out: peer events for a download ([`crate::fetch::PeerSource`]), files by digest. Never:
//! trust (a launcher verifies the bytes of a peer like those of a node, and names and leaves a peer
//! that lies), a file outside this app's releases, anything of the user's, a wait for a peer that
//! does not answer.
//!
//! ```text
//! discover ── announcements ── roster ──┬── follow: what each has ── peer events ── a download
//!                                       └── files: whole files by digest
//! serve ── request: judged ── share_index ──┬── shares: proved pieces of what is fetched,
//!    │                                      │   or was fetched (download_cache)
//!    └── upload_limit: rate                 └── library: unchangeable files of installed
//!                                               versions, hashed before they are sent
//! ```
//!
//! The protocol is HTTP/1.1 with two addresses, and nothing else:
//!
//! ```text
//! GET /kuzflow/1/APP/have/SHA256       which pieces are here and in flight (JSON); for any digest
//! GET /kuzflow/1/APP/content/SHA256    bytes of the object, with Range; 404 if absent or unproved
//! ```
//!
//! What an intruder on the network learns: that this computer has this app, and which release. For
//! the release, the intruder must ask for digests that the publisher has published. All bytes that
//! it can get are the publisher's, and public. The server refuses requests as a web page can make
//! them ([`request`]). An announcement can only lead to an address of this network ([`roster`]).
//! Connections, heads, times and bytes a second are bounded.
//!
//! Measured (2026-11-27, `benches/peer_sharing.py`, 20 launchers and all networks on two loaded
//! cores): launchers that update at once behind 100 Mbit/s fetch 1.4 to 1.6 packages in place of
//! 20.9, in 8.5 to 10.4 s in place of 108 s. What is above one package has three causes: the first
//! second, when not all know each other; headers; and pieces that seem to be late where the cores
//! are busy. Idle: 0.3 wake-ups a second, 2.1 MB.

mod address;
mod availability;
mod discover;
mod download_cache;
mod files;
mod follow;
mod inner;
mod library;
mod poll;
mod request;
mod roster;
mod serve;
mod share_index;
mod upload_limit;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};

use crate::error_chain;
use crate::fetch::{Availability, Client, FetchError, PeerSource};
use crate::model::{Digest, PieceSet, PieceTable};
use crate::mutex;
use crate::threads;
use discover::{Announced, Heard};
use download_cache::DownloadCache;
use inner::{Allowed, Inner};
use roster::Roster;
use share_index::{Share, ShareIndex};
use upload_limit::UploadLimit;

pub(crate) use files::WantedFile;
pub use inner::PeerOptions;
pub use library::{Library, Volume};

/// How long the last reads may take when the peer network ends.
const SHUTDOWN_TIME: Duration = Duration::from_millis(300);

/// Why there is no peer network.
#[derive(Debug, thiserror::Error)]
pub enum PeersError {
    /// The system cannot start a thread or a runtime.
    #[error("cannot start the peer network")]
    Start(#[source] std::io::Error),
    /// The port is taken, or the system forbids it.
    #[error("cannot listen for peers at port {port}")]
    Listen {
        /// The port that was to be opened.
        port: u16,
        source: std::io::Error,
    },
    /// The HTTP client could not be set up.
    #[error(transparent)]
    Client(#[from] FetchError),
}

/// This client in the peer network: it is announced and serves its peers until this is dropped.
pub struct PeerNetwork {
    inner: Arc<Inner>,
    address: SocketAddr,
    handle: tokio::runtime::Handle,
    /// Ends the thread when dropped.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl PeerNetwork {
    /// Opens the socket and starts to announce, listen and serve, on its own thread. Without
    /// multicast, only the known peers remain.
    pub fn start(
        options: PeerOptions,
        library: Library,
        allowed: Allowed,
    ) -> Result<Self, PeersError> {
        let instance = fastrand::u64(1..);
        let port = options.port;
        let listen = |source| PeersError::Listen { port, source };
        let bind = |port| std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, port));
        // A launcher of another user or another home may have the port: the announcement names the
        // actual one.
        let listener = bind(port).or_else(|_| bind(0)).map_err(listen)?;
        listener.set_nonblocking(true).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let runtime = threads::runtime(1).map_err(PeersError::Start)?;
        let inner = Arc::new(Inner {
            instance,
            client: Client::for_peers_only()?,
            roster: Mutex::new(Roster::new(instance, &options.app)),
            shared: ShareIndex::new(instance, library),
            upload_limit: UploadLimit::new(options.upload_bytes_per_second),
            cache: DownloadCache {
                folder: options.cache.clone(),
                bytes: options.cache_bytes,
                time: options.cache_time,
            },
            started: Instant::now(),
            allowed,
            allowed_then: Mutex::new(None),
            options,
        });
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let (shared, port) = (Arc::clone(&inner), address.port());
        let thread = threads::spawn("peers", move || {
            runtime.block_on(live(shared, listener, port, stopped));
            // The socket is free again after this; the shutdown does not wait long for a read from
            // a slow disk.
            runtime.shutdown_timeout(SHUTDOWN_TIME);
        });
        let thread = thread.map_err(PeersError::Start)?;
        tracing::info!(
            port = address.port(),
            instance = roster::digits(instance),
            "the peer network is open"
        );
        Ok(Self { inner, address, handle, stop: Some(stop), thread: Some(thread) })
    }

    /// This client's number among its peers.
    pub fn instance(&self) -> u64 {
        self.inner.instance
    }

    /// The port that this client listens at.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Number of peers that are known now.
    pub fn known(&self) -> usize {
        mutex::lock(&self.inner.roster).len() + self.inner.options.known.len()
    }

    /// The objects that are offered in pieces, with the number of bytes that are here.
    pub fn shares(&self) -> Vec<(Digest, u64)> {
        self.inner.shared.shares().into_iter().collect()
    }

    /// Offers an object that is about to be downloaded into `file`, piece by piece as it arrives.
    /// The result reports the peers that have some of it.
    pub fn share(
        &self,
        digest: Digest,
        table: &Arc<PieceTable>,
        object_length: u64,
        file: &Path,
    ) -> PeerSource {
        let count = table.count();
        let nothing = Availability {
            held: PieceSet::none(count),
            in_flight: PieceSet::none(count),
            ..Availability::default()
        };
        let (sender, availability) = watch::channel(nothing);
        let share =
            Share { table: Arc::clone(table), object_length, file: file.to_owned(), availability };
        self.inner.shared.put(digest, share);
        let (events, heard) = mpsc::unbounded_channel();
        self.handle.spawn(follow::follow(Arc::clone(&self.inner), digest, count, events));
        PeerSource { instance: self.inner.instance, events: heard, availability: sender }
    }

    /// Offers the object in `file` for some time more; `file` is whole and about to be deleted.
    /// Works on files.
    pub fn keep(&self, digest: Digest, table: &Arc<PieceTable>, object_length: u64, file: &Path) {
        if let Some(share) = self.inner.cache.keep(&digest, table, object_length, file) {
            self.inner.shared.put(digest, share);
        }
    }

    /// Offers a document that was proved to have this digest, as long as it is among the last few.
    pub fn offer(&self, digest: Digest, document: &[u8]) {
        self.inner.shared.put_document(digest, bytes::Bytes::copy_from_slice(document));
    }

    /// Fetches a document of `size` bytes from a peer and verifies it. This takes a second at most,
    /// and the time for the bytes on a slow local network.
    pub async fn document(&self, digest: Digest, size: u64, waits: bool) -> Option<bytes::Bytes> {
        let inner = Arc::clone(&self.inner);
        if inner.peers().is_empty() {
            return None;
        }
        self.handle
            .spawn(async move { files::document(&inner, digest, size, waits).await })
            .await
            .ok()
            .flatten()
    }

    /// The peers that have the object `digest` as an installed file. For the manifest of a release,
    /// these are the peers that have installed the release. It takes a second at most.
    pub async fn holders(&self, digest: Digest) -> Vec<SocketAddr> {
        let inner = Arc::clone(&self.inner);
        if inner.peers().is_empty() {
            return Vec::new();
        }
        self.handle
            .spawn(async move { files::holders(&inner, digest).await })
            .await
            .unwrap_or_default()
    }

    /// Whether a peer has, or is fetching, the object `digest` in pieces. It takes a second at
    /// most.
    pub async fn has_pieces(&self, digest: Digest) -> bool {
        let inner = Arc::clone(&self.inner);
        if inner.peers().is_empty() {
            return false;
        }
        self.handle
            .spawn(async move { !files::sharers(&inner, digest).await.is_empty() })
            .await
            .unwrap_or_default()
    }

    /// Fetches files from these peers into `folder` until the deadline, verifies them, and names
    /// them by their digests. It calls `noted` with the length of each file. Returns the files that
    /// arrived.
    pub async fn files(
        &self,
        holders: Vec<SocketAddr>,
        wanted: Vec<WantedFile>,
        folder: &Path,
        until: Instant,
        noted: impl Fn(u64) + Clone + Send + Sync + 'static,
    ) -> Vec<(Digest, PathBuf)> {
        let (inner, folder) = (Arc::clone(&self.inner), folder.to_owned());
        let fetching = self.handle.spawn(async move {
            files::fetch(&inner, holders, wanted, &folder, until, &noted).await
        });
        // If the caller stops waiting, the fetch stops.
        let _stop = StopOnDrop(fetching.abort_handle());
        fetching.await.unwrap_or_default()
    }
}

struct StopOnDrop(tokio::task::AbortHandle);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Drop for PeerNetwork {
    fn drop(&mut self) {
        self.stop = None;
        // The panic hook has already reported a panic of that thread.
        self.thread.take().map(std::thread::JoinHandle::join);
    }
}

impl std::fmt::Debug for PeerNetwork {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("PeerNetwork")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// Everything that the thread of the peer network does.
async fn live(
    inner: Arc<Inner>,
    listener: std::net::TcpListener,
    port: u16,
    stopped: oneshot::Receiver<()>,
) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            return tracing::warn!(error = error_chain::line(&error), "peers cannot be served");
        }
    };
    let loading = Arc::clone(&inner);
    tokio::task::spawn_blocking(move || {
        loading
            .cache
            .load()
            .into_iter()
            .for_each(|(digest, share)| loading.shared.put(digest, share));
    });
    tokio::spawn(serve::serve(Arc::clone(&inner), listener));
    let announced = if inner.options.discover { listen(&inner, port) } else { None };
    // The sender is dropped, never used.
    let _ = stopped.await;
    let _ = tokio::task::spawn_blocking(move || drop(announced)).await;
}

/// Announces this client, and takes in the announcements of others.
fn listen(inner: &Arc<Inner>, port: u16) -> Option<Announced> {
    let (announced, events) = match discover::announce(inner.instance, &inner.options.app, port) {
        Ok(announced) => announced,
        Err(error) => {
            tracing::warn!(
                error = error_chain::line(&error),
                "no multicast here: peers are not found by themselves"
            );
            return None;
        }
    };
    let inner = Arc::clone(inner);
    tokio::spawn(async move {
        while let Ok(event) = events.recv_async().await {
            let now = inner.started.elapsed().as_secs_f64();
            let mut roster = mutex::lock(&inner.roster);
            match discover::heard(event) {
                Some(Heard::Found(announcement)) => match roster.found(now, &announcement) {
                    Ok(_) => {
                        tracing::info!(peer = announcement.name, at = ?announcement.addresses, "a peer is there")
                    }
                    Err(why) => tracing::debug!(
                        name = announcement.name,
                        ?why,
                        "an announcement is not taken"
                    ),
                },
                Some(Heard::Gone(name)) => roster.left(&name),
                None => {}
            }
        }
    });
    Some(announced)
}

#[cfg(test)]
mod tests;
