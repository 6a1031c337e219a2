//! The HTTP/1.1 server of a repository: its files, and questions of launchers about them.
//!
//! In: a repository's folder and requests. Out: files with ranges, JSON, Markdown. Never: decides
//! what may be installed (a launcher decides that from signed metadata alone; everything here is a
//! hint); signs or writes to the repository in a request. If the server makes patch packs, the
//! publisher's room makes them, in the background.
//!
//! ```text
//! GET /metadata/{name}  /targets/{name}  /nodes.json        the repository, as any static host serves it (packaging/nginx)
//! GET /api/containers/check_update                          newest release, nodes close to the user
//! GET /api/containers/download/{container_id}               the package under its container's id
//! GET /api/containers/changelog/{version}                   release notes in Markdown
//! POST /api/incremental/analyze                             the cheapest packs from one release to another
//! GET /api/incremental/patch/{id}                           a pack, or the status of its patch job
//! GET /api/events                                           notifies of changed releases
//! GET /healthz                                              this node, its releases, and their expiry; 503 after the expiry
//! ```
//!
//! TLS and HTTP/2 are a reverse proxy's work.
//!
//! Measured (2026-11-22, 2 cores under other load, release build, loopback, six runs each in turn):
//! 1 GiB from the page cache by `curl -so /dev/null URL` takes 0.60 to 1.29 s, nginx with one
//! worker and sendfile 1.18 to 1.40 s; the server's CPU time is 0.43 to 1.15 s a GiB, nginx's 0.09
//! to 0.33 s (bytes pass through user space here). Resident memory 7 MB. `ab -k -n 30000 -c 32`:
//! 14,000 update checks a second with release notes, 24,000 `timestamp.json`, 66,000 `/healthz`,
//! the access log included.

mod access;
mod compressed;
mod events;
pub mod fault_injection;
mod files;
mod health;
mod idle_timeout;
mod nodes;
mod open_files;
mod page;
mod patches;
mod places;
mod ranges;
mod refusal;
mod repository;
mod serve;
mod updates;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, StatusCode};
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use tokio::sync::{Semaphore, watch};
use tower_http::catch_panic::CatchPanicLayer;
use url::Url;

use crate::file_error::FileError;
use crate::publish::Lifetimes;
use crate::settings::Fallback;
use nodes::NodeBook;
use patches::Service;
use refusal::Refusal;
use repository::Repository;

pub(crate) use patches::ProjectMaker;
pub use patches::{JobOutcome, Maker, Making};
pub use serve::serve;

/// How a server is configured.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The repository's folder: `metadata/`, `targets/`, optionally `nodes.json`.
    pub repository: PathBuf,
    /// This node's name, sent in the `X-Kuzflow-Node` header and shown in `/healthz`.
    pub node: String,
    /// This node's region, as in `nodes.json`.
    pub region: String,
    /// Where clients reach this server; the only node on offer when `nodes.json` names none.
    pub public_url: Option<Url>,
    /// How often other nodes are checked; `None` for never.
    pub health_interval: Option<Duration>,
    /// When clients should fetch the whole package instead of patches.
    pub fallback: Fallback,
    /// How long signatures last: this decides when the server warns of their end.
    pub lifetimes: Lifetimes,
    /// A reverse proxy stands before this server. It says in `X-Forwarded-For` which client asks,
    /// and it limits what one address may hold.
    pub behind_proxy: bool,
    /// Whether the log contains the addresses of clients.
    pub log_addresses: bool,
    /// How packs are made on request; `None` if they are not.
    pub making: Option<Making>,
    /// Limits on what a client may ask for.
    pub limits: ServerLimits,
}

/// Limits on what one client, or all of them, can make the server hold or wait for.
#[derive(Clone, Debug)]
pub struct ServerLimits {
    /// Most connections at once, besides those of listeners; more wait in the system's queue.
    pub connections: usize,
    /// Most clients at once that listen to `/api/events` (503 beyond). Each holds a connection and
    /// some 13 kB (measured with 800) for as long as its app runs.
    pub listeners: usize,
    /// Most connections of one address (of IPv6: one /64). An idle one makes room for a new one; if
    /// requests are being answered on all, the new one is refused.
    pub connections_per_address: usize,
    /// Most listeners of one address (503 beyond).
    pub listeners_per_address: usize,
    /// All headers of a request with its first line, bytes (431 beyond). Also how much is queued
    /// for a slow client, besides one chunk of a file.
    pub header_bytes: usize,
    /// The path, bytes (414 beyond).
    pub path_bytes: usize,
    /// The query, bytes (414 beyond).
    pub query_bytes: usize,
    /// Time limit for a request's headers, or for the next request on an idle connection.
    pub header_time: Duration,
    /// Time limit until an answer begins (503 beyond).
    pub request_time: Duration,
    /// While the server waits for a client to read, the client must take
    /// [`ServerLimits::stall_bytes`] within this time; otherwise the server closes the connection.
    pub stall_time: Duration,
    /// See [`ServerLimits::stall_time`].
    pub stall_bytes: u64,
    /// How long running answers may take when the server is asked to stop.
    pub grace: Duration,
    /// Largest age of the server's view of the repository.
    pub look_interval: Duration,
}

impl ServerOptions {
    /// A server of the repository in this folder; the caller can change node names, limits and
    /// checks afterwards.
    pub fn new(repository: impl Into<PathBuf>) -> Self {
        Self {
            repository: repository.into(),
            node: "kuzflow".to_owned(),
            region: "Global".to_owned(),
            public_url: None,
            health_interval: Some(Duration::from_secs(30)),
            fallback: Fallback::default(),
            lifetimes: Lifetimes::default(),
            behind_proxy: false,
            log_addresses: true,
            making: None,
            limits: ServerLimits::default(),
        }
    }

    /// How many connections one address may hold, listeners included. Behind a proxy all
    /// connections come from the proxy's address.
    fn connections_of_one_address(&self) -> usize {
        let ServerLimits { connections_per_address, listeners_per_address, .. } = self.limits;
        if self.behind_proxy {
            usize::MAX
        } else {
            connections_per_address.saturating_add(listeners_per_address)
        }
    }
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections: 1024,
            listeners: 1024,
            connections_per_address: 256,
            listeners_per_address: 256,
            header_bytes: 16 << 10,
            path_bytes: 1024,
            query_bytes: 1024,
            header_time: Duration::from_secs(15),
            request_time: Duration::from_secs(15),
            stall_time: Duration::from_secs(30),
            stall_bytes: 16 << 10,
            grace: Duration::from_secs(20),
            look_interval: Duration::from_secs(1),
        }
    }
}

/// Why a server does not start, or why it ends.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A file of the repository cannot be read.
    #[error("cannot read {} of the repository", path.display())]
    Repository { path: PathBuf, source: std::io::Error },
    /// A file of the repository has another form than its name promises.
    #[error("{} of the repository is not in the expected form", path.display())]
    Form {
        path: PathBuf,
        /// The place of the mistake in the JSON, and its kind.
        source: serde_json::Error,
    },
    /// The node's name cannot be sent in a header.
    #[error("not a node's name: {0:?}, control characters are not allowed")]
    NodeName(String),
    /// The HTTP client that checks other nodes cannot be made.
    #[error("cannot prepare the checks of other nodes")]
    HealthClient(#[source] reqwest::Error),
    /// The folder of the jobs that make patch packs cannot be used.
    #[error(transparent)]
    Jobs(FileError),
    /// The listening socket does not give its address, or has ended.
    #[error("cannot listen")]
    Listen(#[source] std::io::Error),
}

/// How many questions of more than 64 KiB, up to 4 MiB each, the server reads at the same time.
const LARGE_QUESTIONS: usize = 8;

/// What all requests share.
#[derive(Clone)]
struct ServerState(Arc<Parts>);

struct Parts {
    repository: Repository,
    documents: Arc<files::Documents>,
    nodes: NodeBook,
    options: ServerOptions,
    node_header: HeaderValue,
    limits: ServerLimits,
    patches: Option<Service>,
    /// The version tree of the last question.
    tree: patches::api::TreeSlot,
    events: events::Events,
    /// True once the server was asked to stop.
    ending: watch::Sender<bool>,
    /// Limits how many large questions are read at the same time.
    large_questions: Semaphore,
}

impl std::ops::Deref for ServerState {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl ServerState {
    fn open(options: &ServerOptions) -> Result<Self, ServerError> {
        let node_header = HeaderValue::from_bytes(options.node.as_bytes())
            .map_err(|_| ServerError::NodeName(options.node.clone()))?;
        Ok(Self(Arc::new(Parts {
            repository: Repository::open(options.repository.clone(), options.limits.look_interval)?,
            documents: Arc::default(),
            nodes: NodeBook::default(),
            options: options.clone(),
            node_header,
            limits: options.limits.clone(),
            patches: options.making.as_ref().map(Service::start).transpose()?,
            tree: patches::api::TreeSlot::default(),
            events: events::Events::new(options.limits.listeners),
            ending: watch::Sender::new(false),
            large_questions: Semaphore::new(LARGE_QUESTIONS),
        })))
    }

    fn router(&self) -> Router {
        Router::new()
            .route("/", get(page::front))
            .route("/metadata/{name}", get(files::metadata))
            .route("/targets/{name}", get(files::target))
            .route("/nodes.json", get(files::nodes))
            .route("/api/containers/check_update", get(updates::check_update))
            .route("/api/containers/download/{container_id}", get(updates::download))
            .route("/api/containers/changelog/{version}", get(updates::changelog))
            .route("/api/incremental/analyze", post(patches::api::analyze))
            .route("/api/incremental/patch/{id}", get(patches::delivery::patch))
            .route("/api/events", get(events::listen))
            .route("/healthz", get(health::healthz))
            .fallback(async || Refusal::not_found())
            .method_not_allowed_fallback(async || {
                Refusal::new(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "method_not_allowed",
                    "this address does not take this method",
                )
            })
            .layer(CatchPanicLayer::custom(|_| Refusal::internal(&"panic").into_response()))
            .layer(axum::middleware::from_fn_with_state(self.clone(), access::around))
            .with_state(self.clone())
    }
}

/// The server's routes, without a socket, without checks of other nodes, and without regular looks
/// at the repository (events need those). Reads the repository once, so that a wrong folder is
/// reported before the first request.
pub fn app(options: &ServerOptions) -> Result<Router, ServerError> {
    Ok(ServerState::open(options)?.router())
}
