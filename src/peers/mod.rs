//! Neighbours: installations of the same app on the same local network that hand over to each other
//! what the publisher has signed.
//!
//! In: what is being fetched ([`PeerNetwork::share`]) and what is installed ([`Library`]), from the
//! engine. Out: news of neighbours for a download ([`crate::fetch::PeerSource`]), files by digest.
//! Never: trust (bytes of a neighbour are proved like a node's, and a liar is named and left), a
//! file outside this app's releases, anything of the user's, a wait for a neighbour that does not
//! answer.
//!
//! ```text
//! discover ── announcements ── roster ──┬── follow: what has each of an object? ── news ── a download
//!                                       └── files: whole files by digest
//! serve ── request: judged ── shelf ──┬── shares: proved pieces of what is fetched, or was (kept)
//!    └── upload_limit: rate           └── library: unchangeable files of installed versions, hashed before they are sent
//! ```
//!
//! The protocol is HTTP/1.1 with two addresses, and nothing else:
//!
//! ```text
//! GET /kuzflow/1/APP/have/SHA256       which pieces are here, which are coming (JSON); answered for any digest
//! GET /kuzflow/1/APP/content/SHA256    bytes of the object, with Range; 404 for what is not here or not proved
//! ```
//!
//! What an intruder on the network learns: that this computer has this app, and, by asking for
//! digests that the publisher has published, which release. All bytes that it can get are the
//! publisher's, and public. Requests as a web page can make them are refused ([`request`]);
//! announcements are not believed further than an address of this network ([`roster`]).
//! Connections, heads, times and bytes a second are bounded.
//!
//! Measured (2026-11-27, `benches/peer_network.py`, 20 launchers and all networks on two loaded
//! cores): an office that updates at once behind 100 Mbit/s fetches 1.4 to 1.6 packages in place of
//! 20.9, in 8.5 to 10.4 s in place of 108 s; what is above one are the first second, when not all
//! know each other, headers, and pieces that seem to be late where the cores are busy. Idle: 0.3
//! wake-ups a second, 2.1 MB.

mod address;
mod availability;
mod discover;
mod download_cache;
mod files;
mod follow;
mod poll;
mod request;
mod roster;
mod serve;
mod share_index;
mod upload_limit;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use url::Url;

use crate::error_chain;
use crate::fetch::{Availability, Client, FetchError, PeerEvent, PeerSource};
use crate::model::{Digest, PieceSet, PieceTable};
use crate::threads;
use discover::{Announced, Heard};
use download_cache::DownloadCache;
use roster::Roster;
use share_index::{Share, ShareIndex};
use upload_limit::UploadLimit;

pub(crate) use files::Wanted;

/// The version of the protocol.
const PROTOCOL: u32 = 1;

/// How long it is believed that neighbours may be served.
const BELIEVED: Duration = Duration::from_secs(1);
/// How long the last reads may take when it ends.
const ENDING: Duration = Duration::from_millis(300);

/// What an office is told.
#[derive(Clone, Debug)]
pub struct PeerOptions {
    /// The app's name: other apps' installations are strangers.
    pub app: String,
    /// The port to listen at if it is free; 0 for any.
    pub port: u16,
    /// Whether to announce oneself and look for others by multicast.
    pub discover: bool,
    /// Neighbours that are known without it.
    pub known: Vec<SocketAddr>,
    /// Bytes a second that neighbours get at most, all together; 0 for no limit.
    pub upload_bytes_per_second: u64,
    /// Connections of neighbours at most, and of one address.
    pub connections: usize,
    /// See [`PeerOptions::connections`].
    pub connections_per_address: usize,
    /// Where objects are kept for neighbours that come later.
    pub cache: PathBuf,
    /// Bytes that are kept at most.
    pub cache_bytes: u64,
    /// How long each is kept.
    pub cache_time: Duration,
}

/// A file that is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Where.
    pub path: PathBuf,
    /// Its bytes, as its manifest says.
    pub size: u64,
}

/// Finds an unchangeable file of an installed version by its digest. It is called on threads that
/// may block.
pub type Library = Arc<dyn Fn(&Digest) -> Option<Volume> + Send + Sync>;

/// Whether neighbours may still be served: the user may have changed their mind in another process.
pub(crate) type Allowed = Arc<dyn Fn() -> bool + Send + Sync>;

/// Why there are no neighbours.
#[derive(Debug, thiserror::Error)]
pub enum PeersError {
    /// No thread, no runtime.
    #[error("cannot start what looks after neighbours")]
    Start(#[source] std::io::Error),
    /// The port is taken, or the system forbids it.
    #[error("cannot listen for neighbours at port {port}")]
    Listen {
        /// The port.
        port: u16,
        /// Why.
        source: std::io::Error,
    },
    /// The HTTP client.
    #[error(transparent)]
    Client(#[from] FetchError),
}

/// What all parts share.
struct Inner {
    options: PeerOptions,
    instance: u64,
    client: Client,
    roster: Mutex<Roster>,
    shared: ShareIndex,
    upload_limit: UploadLimit,
    cache: DownloadCache,
    started: Instant,
    allowed: Allowed,
    /// The answer of `allowed`, and when it was given.
    allowed_then: Mutex<Option<(Instant, bool)>>,
}

impl Inner {
    /// Whether neighbours are to be served. Reads a file from time to time.
    fn is_allowed(&self) -> bool {
        let mut then = self.allowed_then.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((when, answer)) = *then
            && when.elapsed() < BELIEVED
        {
            return answer;
        }
        let answer = (self.allowed)();
        *then = Some((Instant::now(), answer));
        answer
    }

    /// Whom to ask: those that are known by their number, and those that are known by their address
    /// alone.
    fn peers(&self) -> Vec<(Option<u64>, SocketAddr)> {
        let known = self.options.known.iter().map(|address| (None, *address));
        let found = self.roster.lock().unwrap_or_else(PoisonError::into_inner).asked();
        known
            .chain(found.into_iter().map(|(instance, address)| (Some(instance), address)))
            .collect()
    }

    fn answered(&self, instance: u64, well: bool) {
        let now = self.started.elapsed().as_secs_f64();
        self.roster.lock().unwrap_or_else(PoisonError::into_inner).answered(now, instance, well);
    }

    fn joined(&self, instance: u64, address: SocketAddr, digest: &Digest) -> PeerEvent {
        let url = address_of(address, &self.options.app, "content", digest);
        // Four digits are enough to tell the computers of an office apart.
        PeerEvent::Joined {
            instance,
            url,
            name: roster::digits(instance).chars().take(4).collect(),
        }
    }
}

/// `http://ADDRESS/kuzflow/1/APP/KIND/DIGEST`.
fn address_of(address: SocketAddr, app: &str, kind: &str, digest: &Digest) -> Url {
    let mut url = NOWHERE.clone();
    // Neither can fail for an address of this scheme.
    let _ = url.set_ip_host(address.ip());
    let _ = url.set_port(Some(address.port()));
    url.set_path(&format!("/kuzflow/{PROTOCOL}/{app}/{kind}/{digest}"));
    url
}

#[expect(clippy::expect_used, reason = "a constant that a test parses")]
static NOWHERE: std::sync::LazyLock<Url> =
    std::sync::LazyLock::new(|| Url::parse("http://0.0.0.0/").expect("a constant"));

/// This client among its neighbours: it is announced and serves them until this is dropped.
pub struct PeerNetwork {
    inner: Arc<Inner>,
    address: SocketAddr,
    handle: tokio::runtime::Handle,
    /// Ends the thread when dropped.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl PeerNetwork {
    /// Opens the socket and starts to announce, listen and serve, on a thread of its own. Where
    /// multicast is not to be had the known neighbours remain.
    pub fn start(
        options: PeerOptions,
        library: Library,
        allowed: Allowed,
    ) -> Result<Self, PeersError> {
        let instance = fastrand::u64(1..);
        let port = options.port;
        let listen = |source| PeersError::Listen { port, source };
        let bind = |port| std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, port));
        // Another launcher, of another user or another home, may have the port: neighbours are told
        // which one it is.
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
        let thread = threads::spawn("neighbours", move || {
            runtime.block_on(live(shared, listener, port, stopped));
            // The socket is free again when this has ended; a read of a slow disk is not waited
            // for.
            runtime.shutdown_timeout(ENDING);
        });
        let thread = thread.map_err(PeersError::Start)?;
        tracing::info!(
            port = address.port(),
            instance = roster::digits(instance),
            "neighbours are looked after"
        );
        Ok(Self { inner, address, handle, stop: Some(stop), thread: Some(thread) })
    }

    /// This client's number.
    pub fn instance(&self) -> u64 {
        self.inner.instance
    }

    /// The port that it listens at.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many neighbours are known now.
    pub fn known(&self) -> usize {
        self.inner.roster.lock().unwrap_or_else(PoisonError::into_inner).len()
            + self.inner.options.known.len()
    }

    /// Objects that are offered in pieces, with their bytes that are there.
    pub fn shares(&self) -> Vec<(Digest, u64)> {
        self.inner.shared.shares().into_iter().collect()
    }

    /// An object is about to be downloaded into `file`: it is offered as it comes, and neighbours
    /// that have some of it are told of.
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

    /// The object in `file` is whole, and the file about to go: it is offered for some time more.
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

    /// A document of `size` bytes from a neighbour, proved. It takes a second at most, and the time
    /// that its bytes need on a slow local network.
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

    /// Neighbours that have the object `digest` as an installed file: for the manifest of a
    /// release, those that have installed it. It takes a second at most.
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

    /// Whether some neighbour has, or is fetching, the object `digest` in pieces. It takes a second
    /// at most.
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

    /// Fetches files from these neighbours into `folder` until that time, proved and named by their
    /// digests; `noted` hears of the bytes of each. What none of them gives is not there
    /// afterwards.
    pub async fn files(
        &self,
        holders: Vec<SocketAddr>,
        wanted: Vec<Wanted>,
        folder: &Path,
        until: Instant,
        noted: impl Fn(u64) + Clone + Send + Sync + 'static,
    ) -> Vec<(Digest, PathBuf)> {
        let (inner, folder) = (Arc::clone(&self.inner), folder.to_owned());
        let fetching = self.handle.spawn(async move {
            files::fetch(&inner, holders, wanted, &folder, until, &noted).await
        });
        // Whoever stops waiting stops it.
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
        // A panic there was told by the panic hook.
        self.thread.take().map(std::thread::JoinHandle::join);
    }
}

impl std::fmt::Debug for PeerNetwork {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Office").field("address", &self.address).finish_non_exhaustive()
    }
}

/// The thread's life.
async fn live(
    inner: Arc<Inner>,
    listener: std::net::TcpListener,
    port: u16,
    stopped: oneshot::Receiver<()>,
) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::warn!(%error, "neighbours cannot be served"),
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
    // Its sender is dropped, not used.
    let _ = stopped.await;
    let _ = tokio::task::spawn_blocking(move || drop(announced)).await;
}

/// Announces this client, and takes in what is heard of others.
fn listen(inner: &Arc<Inner>, port: u16) -> Option<Announced> {
    let (announced, events) = match discover::announce(inner.instance, &inner.options.app, port) {
        Ok(announced) => announced,
        Err(error) => {
            tracing::warn!(
                cause = error_chain::line(&error),
                "no multicast here: neighbours are not found by themselves"
            );
            return None;
        }
    };
    let inner = Arc::clone(inner);
    tokio::spawn(async move {
        while let Ok(event) = events.recv_async().await {
            let now = inner.started.elapsed().as_secs_f64();
            let mut roster = inner.roster.lock().unwrap_or_else(PoisonError::into_inner);
            match discover::heard(event) {
                Some(Heard::Found(announcement)) => match roster.found(now, &announcement) {
                    Ok(_) => {
                        tracing::info!(peer = announcement.name, at = ?announcement.addresses, "a neighbour is there")
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
