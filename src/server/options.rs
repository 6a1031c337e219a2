//! How a server is configured, and which limits hold for its clients.
//!
//! In: values of the operator, or of a test. Out: the same with defaults. Never: a file or a socket.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::patches::Making;
use super::steering::Steering;
use crate::fleet::Place;
use crate::model::platform::AppName;
use crate::publish::{BuildSettings, Lifetimes, LoginSettings, Runtimes};
use crate::settings::Fallback;

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
    /// Where reports of launchers are stored; `None` if the server takes none.
    pub fleet: Option<FleetOptions>,
    /// How builds are made on request; `None` if they are not. Only a server with a store has them.
    pub builds: Option<BuildOptions>,
    /// How words about rollouts are signed; `None` if the server signs none.
    pub steering: Option<Steering>,
    /// Limits on what a client may ask for.
    pub limits: ServerLimits,
}

/// Where reports are stored, and where the operator's word is.
#[derive(Clone, Debug)]
pub struct FleetOptions {
    pub(crate) place: Place,
    /// The file with the operator's word; made if it is missing. `None` if the tokens of the store
    /// are all that there are.
    pub(crate) token: Option<PathBuf>,
    /// Whose logins are taken from a reverse proxy; `None` if nobody's.
    pub(crate) login: Option<LoginSettings>,
}

/// Where builds are, and what holds for them.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// The folder of uploads, logs and results; servers that share a store share it as well.
    pub(crate) folder: PathBuf,
    pub(crate) settings: BuildSettings,
    /// Whether builds run without a sandbox.
    pub(crate) unsandboxed: bool,
    /// The app whose publisher's folder this is, if it is one.
    pub(crate) app: Option<AppName>,
    /// Runtimes of platforms, and the folder from which their paths count.
    pub(crate) runtimes: (Runtimes, PathBuf),
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
    /// The same for the upload of an app.
    pub upload_time: Duration,
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
            fleet: None,
            builds: None,
            steering: None,
            limits: ServerLimits::default(),
        }
    }

    /// How many connections one address may hold, listeners included. Behind a proxy all
    /// connections come from the proxy's address.
    pub(super) fn connections_of_one_address(&self) -> usize {
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
            upload_time: Duration::from_secs(60 * 60),
            stall_time: Duration::from_secs(30),
            stall_bytes: 16 << 10,
            grace: Duration::from_secs(20),
            look_interval: Duration::from_secs(1),
        }
    }
}
