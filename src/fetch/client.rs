//! The HTTP client of all downloads.
//!
//! It speaks HTTP/1.1 only, so that each request has its own connection. Bytes arrive as the node
//! stores them; only JSON documents may come compressed. The client follows few redirects, and
//! never one from https to http; what is sent follows none. It takes proxies from the environment.

use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, RANGE,
};
use reqwest::redirect::Policy;
use url::Url;

use super::FetchError;
use super::document_retry::{self, Failed};
use super::encoding::{self, Body, GZIP, Refused};
use crate::error_chain;
use crate::https;
use crate::model::node::{Locality, locality, redacted};

/// Redirects that a request follows at most.
const REDIRECTS: usize = 5;

/// The media type of a stream of server-sent events.
const EVENT_STREAM: &str = "text/event-stream";
const JSON: &str = "application/json";
/// Time for a peer's answer to begin: the peer may have to hash a large file first.
const PEER_ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// A peer may be silent for this time; after it, the peer must send this many bytes a second.
const PEER_GRACE: Duration = Duration::from_millis(1500);
const PEER_MIN_RATE: f64 = 128.0 * 1024.0;
/// Time for a connection to a peer.
const PEER_CONNECT_TIMEOUT: Duration = Duration::from_millis(1500);

/// Limits and proxy of a client.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Time for name, connection and TLS.
    pub connect_time: Duration,
    /// Time for the head of a small document's answer, and the longest silence within it. A slow
    /// connection that goes on may take as long as it needs.
    pub document_silence: Duration,
    /// A proxy for all requests, in place of those of the environment.
    pub proxy: Option<Url>,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            connect_time: Duration::from_secs(6),
            document_silence: Duration::from_secs(30),
            proxy: None,
        }
    }
}

/// The answer to something that was sent.
pub(crate) struct Posted {
    pub(crate) status: u16,
    /// Seconds after which the server wants to be asked again.
    pub(crate) retry_after: Option<f64>,
    pub(crate) body: Bytes,
}

/// An HTTP client; cheap to clone, its connections are shared.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    /// For peers: past every proxy, and without redirects.
    local: reqwest::Client,
    /// For what is sent: without redirects. Few launchers send anything, so it is made when it is
    /// needed.
    sending: Arc<OnceLock<reqwest::Client>>,
    options: ClientOptions,
}

impl Client {
    /// A client with the given limits.
    pub fn new(options: &ClientOptions) -> Result<Self, FetchError> {
        let http = remote(options, || Policy::custom(follow))?;
        let (sending, options) = (Arc::default(), options.clone());
        Ok(Self { http, local: local()?, sending, options })
    }

    /// A client for peers alone: it sends all requests directly.
    pub fn for_peers_only() -> Result<Self, FetchError> {
        let local = local()?;
        let sending = Arc::new(OnceLock::from(local.clone()));
        let options =
            ClientOptions { document_silence: PEER_CONNECT_TIMEOUT, ..ClientOptions::default() };
        Ok(Self { http: local.clone(), local, sending, options })
    }

    /// Fetches a small document of at most `limit` bytes, also where the node names no length. The
    /// caller checks the content: this returns a captive portal's page as it is.
    pub async fn get(&self, url: &Url, limit: u64) -> Result<Bytes, FetchError> {
        self.get_counting(url, limit, &|_| {}).await
    }

    /// Fetches like [`Self::get`], and reports to `arrived` how many bytes have come, as they come.
    /// It waits out a temporary fault (the connection broke, the node asks for a pause, a name was
    /// not found), as the download of a package does for pieces. JSON may come compressed; `limit`
    /// is that of the document itself.
    pub async fn get_counting(
        &self,
        url: &Url,
        limit: u64,
        arrived: &(dyn Fn(u64) + Sync),
    ) -> Result<Bytes, FetchError> {
        let (mut tries, mut compressed) = (0, encoding::is_worth_it(url));
        loop {
            tries += 1;
            let failed = match self.get_once(url, limit, compressed, arrived).await {
                Ok(body) => return Ok(body),
                Err(failed) => failed,
            };
            // Something on the way compresses badly; the uncompressed document may come through.
            if compressed && matches!(failed.error, FetchError::WrongAnswer { .. }) {
                compressed = false;
                continue;
            }
            let Some(pause) = document_retry::pause(&failed, tries) else {
                return Err(failed.error);
            };
            tracing::debug!(url = %redacted(url), error = error_chain::line(&failed.error), ?pause, "a small document is asked for again");
            tokio::time::sleep(pause).await;
        }
    }

    async fn get_once(
        &self,
        url: &Url,
        limit: u64,
        compressed: bool,
        arrived: &(dyn Fn(u64) + Sync),
    ) -> Result<Bytes, Failed> {
        let late = |_| FetchError::TimedOut {
            url: redacted(url),
            seconds: self.options.document_silence.as_secs(),
        };
        let mut request = self.http.get(url.clone());
        if compressed {
            request = request.header(ACCEPT_ENCODING, GZIP);
        }
        let response = tokio::time::timeout(self.options.document_silence, request.send()).await;
        let response = response.map_err(late)?.map_err(|source| http(url, source))?;
        if let Err(error) = check_status(url, response.status()) {
            return Err(Failed {
                error,
                retry_after: super::response::retry_after(response.headers()),
            });
        }
        Ok(read(response, url, limit, self.options.document_silence, arrived).await?)
    }

    /// Sends JSON, and returns the answer, whatever its status, with at most `limit` bytes of its
    /// body. One try: the caller decides about others. What is sent is for this address alone, so a
    /// redirect is an answer like any other.
    pub(crate) async fn post_json(
        &self,
        url: &Url,
        json: Vec<u8>,
        limit: u64,
    ) -> Result<Posted, FetchError> {
        let request = self.sending()?.post(url.clone()).header(CONTENT_TYPE, JSON).body(json);
        let response = request.send().await.map_err(|source| http(url, source))?;
        let status = response.status().as_u16();
        let retry_after = super::response::retry_after(response.headers());
        let body = read(response, url, limit, self.options.document_silence, &|_| {}).await?;
        Ok(Posted { status, retry_after, body })
    }

    fn sending(&self) -> Result<&reqwest::Client, FetchError> {
        if let Some(http) = self.sending.get() {
            return Ok(http);
        }
        let http = remote(&self.options, Policy::none)?;
        Ok(self.sending.get_or_init(|| http))
    }

    /// Opens a stream of server-sent events. `last` is the id of the last event that was received.
    /// Any other answer is an error: a captive portal's page, or a host that has one page for all
    /// addresses.
    pub async fn listen(&self, url: &Url, last: Option<&str>) -> Result<StreamedBody, FetchError> {
        let mut request = self.http.get(url.clone()).header(ACCEPT, EVENT_STREAM);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let late = |_| FetchError::TimedOut {
            url: redacted(url),
            seconds: self.options.document_silence.as_secs(),
        };
        let response = tokio::time::timeout(self.options.document_silence, request.send()).await;
        let response = response.map_err(late)?.map_err(|source| http(url, source))?;
        check_status(url, response.status())?;
        let kind = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
            .unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case(EVENT_STREAM) {
            return Err(FetchError::WrongAnswer {
                url: redacted(url),
                reason: format!("no stream of events, but {kind:?}"),
            });
        }
        Ok(StreamedBody { response, url: url.clone() })
    }

    /// Requests a span of bytes; [`super::response::judge`] checks the answer.
    pub(super) async fn ask(
        &self,
        url: &Url,
        span: &Range<u64>,
        local: bool,
    ) -> Result<reqwest::Response, reqwest::Error> {
        let range = format!("bytes={}-{}", span.start, span.end.saturating_sub(1));
        let http = if local { &self.local } else { &self.http };
        http.get(url.clone()).header(RANGE, range).send().await
    }

    /// Fetches a document of a peer, of at most `limit` bytes, within `time`. Peers are on the
    /// local network, so a silent or crawling one is left at once.
    pub async fn get_from_peer(
        &self,
        url: &Url,
        limit: u64,
        time: Duration,
    ) -> Result<Bytes, FetchError> {
        let within = tokio::time::timeout(time, async {
            let late = |_| FetchError::TimedOut {
                url: redacted(url),
                seconds: PEER_ANSWER_TIMEOUT.as_secs(),
            };
            let response =
                tokio::time::timeout(PEER_ANSWER_TIMEOUT, self.local.get(url.clone()).send())
                    .await
                    .map_err(late)?;
            let response = response.map_err(|source| http(url, source))?;
            check_status(url, response.status())?;
            read_from_peer(response, url, limit).await
        });
        within
            .await
            .map_err(|_| FetchError::TimedOut { url: redacted(url), seconds: time.as_secs() })?
    }
}

/// A client for servers anywhere.
fn remote(
    options: &ClientOptions,
    redirects: impl Fn() -> Policy,
) -> Result<reqwest::Client, FetchError> {
    let builder = || {
        let builder = plain().redirect(redirects()).connect_timeout(options.connect_time);
        match &options.proxy {
            Some(proxy) => Ok(builder.proxy(reqwest::Proxy::all(proxy.clone())?)),
            None => Ok(builder),
        }
    };
    https::client(builder).map_err(FetchError::Setup)
}

fn local() -> Result<reqwest::Client, FetchError> {
    let client = plain().redirect(Policy::none()).no_proxy().connect_timeout(PEER_CONNECT_TIMEOUT);
    https::plain_client(client).map_err(FetchError::Setup)
}

/// The settings that all clients have in common.
fn plain() -> reqwest::ClientBuilder {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    reqwest::Client::builder()
        .user_agent(concat!("kuzflow-launcher/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers)
        .http1_only()
        .referer(false)
        // A connection that idled longer may be dead without a sign (the network changed, NAT
        // forgot it).
        .pool_idle_timeout(Duration::from_secs(15))
        .tcp_nodelay(true)
}

/// A body that arrives in parts and need not end; dropping it ends the connection.
#[derive(Debug)]
pub struct StreamedBody {
    response: reqwest::Response,
    url: Url,
}

impl StreamedBody {
    /// Waits for the next part, however long that takes; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, FetchError> {
        self.response.chunk().await.map_err(|source| http(&self.url, source))
    }
}

/// Reads a whole body of at most `limit` bytes. It may take as long as it needs while bytes come
/// steadily.
async fn read(
    mut response: reqwest::Response,
    url: &Url,
    limit: u64,
    silence: Duration,
    arrived: &(dyn Fn(u64) + Sync),
) -> Result<Bytes, FetchError> {
    let encoding =
        response.headers().get(CONTENT_ENCODING).map(|encoding| encoding.as_bytes().to_vec());
    let (mut body, mut steady) =
        (Body::new(encoding.as_deref(), limit), Steady::new(silence, Instant::now()));
    let refused = |refused| match refused {
        Refused::TooLarge => FetchError::TooLarge { url: redacted(url), limit },
        Refused::NotGzip => FetchError::WrongAnswer {
            url: redacted(url),
            reason: "what came is not whole gzip".to_owned(),
        },
    };
    loop {
        let late = |_| FetchError::TimedOut { url: redacted(url), seconds: silence.as_secs() };
        let chunk = tokio::time::timeout(silence, response.chunk()).await.map_err(late)?;
        let Some(chunk) = chunk.map_err(|source| http(url, source))? else {
            return body.finish().map_err(refused);
        };
        body.push(&chunk).map_err(refused)?;
        arrived(chunk.len() as u64);
        if !steady.goes_on(chunk.len() as u64, Instant::now()) {
            return Err(FetchError::TimedOut { url: redacted(url), seconds: silence.as_secs() });
        }
    }
}

/// Reads a body like [`read`], from a peer. The peer has a grace time, and then a minimum rate.
async fn read_from_peer(
    mut response: reqwest::Response,
    url: &Url,
    limit: u64,
) -> Result<Bytes, FetchError> {
    let (mut body, began) = (BytesMut::new(), Instant::now());
    loop {
        let earned = Duration::from_secs_f64(body.len() as f64 / PEER_MIN_RATE);
        let chunk =
            tokio::time::timeout_at((began + PEER_GRACE + earned).into(), response.chunk()).await;
        let late = |_| FetchError::TimedOut { url: redacted(url), seconds: PEER_GRACE.as_secs() };
        let Some(chunk) = chunk.map_err(late)?.map_err(|source| http(url, source))? else {
            return Ok(body.freeze());
        };
        if (body.len() + chunk.len()) as u64 > limit {
            return Err(FetchError::TooLarge { url: redacted(url), limit });
        }
        body.extend_from_slice(&chunk);
    }
}

/// Distinguishes a slow connection from one that only drips, so that an unattended request ends
/// some time.
struct Steady {
    time: Duration,
    since: Instant,
    bytes: u64,
}

impl Steady {
    /// Minimum bytes a second in each `time`: a tenth of what the slowest phone lines give.
    const MIN_BYTES_PER_SECOND: u64 = 64;

    fn new(time: Duration, now: Instant) -> Self {
        Self { time, since: now, bytes: 0 }
    }

    /// Takes in `bytes` more, and says whether it is still worth waiting.
    fn goes_on(&mut self, bytes: u64, now: Instant) -> bool {
        self.bytes += bytes;
        let passed = now.saturating_duration_since(self.since);
        if passed < self.time {
            return true;
        }
        let enough = self.bytes as f64 >= Self::MIN_BYTES_PER_SECOND as f64 * passed.as_secs_f64();
        *self = Self::new(self.time, now);
        enough
    }
}

/// Turns a status that is no success into an error.
fn check_status(url: &Url, status: reqwest::StatusCode) -> Result<(), FetchError> {
    match status.as_u16() {
        200..=299 => Ok(()),
        status @ (403 | 404 | 410) => Err(FetchError::NotFound { url: redacted(url), status }),
        status => Err(FetchError::Status { url: redacted(url), status }),
    }
}

/// An error of the transport, without the address that reqwest repeats.
pub(super) fn http(url: &Url, source: reqwest::Error) -> FetchError {
    FetchError::Http { url: redacted(url), source: source.without_url() }
}

fn follow(attempt: reqwest::redirect::Attempt) -> reqwest::redirect::Action {
    match refused(attempt.url(), attempt.previous()) {
        Some(reason) => attempt.error(reason),
        None => attempt.follow(),
    }
}

/// Why a redirect to `to` is not followed, where `from` are the addresses so far, the first one
/// first.
fn refused(to: &Url, from: &[Url]) -> Option<&'static str> {
    if !matches!(to.scheme(), "http" | "https") {
        Some("redirect to another protocol refused")
    } else if to.scheme() != "https" && from.iter().any(|url| url.scheme() == "https") {
        Some("redirect from https to http refused")
    } else if locality(to) != Locality::Remote
        && from.first().is_some_and(|first| locality(first) != locality(to))
    {
        // A server on the internet must not make this computer ask itself or others on the same
        // network.
        Some("redirect to an address of this computer refused")
    } else if !to.username().is_empty() || to.password().is_some() {
        Some("redirect to an address with a password refused")
    } else if from.len() > REDIRECTS {
        Some("too many redirects")
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
