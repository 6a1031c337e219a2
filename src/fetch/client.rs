//! The HTTP client: HTTP/1.1 only, so that each request has a connection of its own; bytes as they are stored, never encoded;
//! redirects few and never from https to http; proxies from the environment.

use std::ops::Range;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, RANGE};
use reqwest::redirect::Policy;
use url::Url;

use super::FetchError;

/// Redirects that a request may take.
const REDIRECTS: usize = 5;

/// The kind of document that a stream of server-sent events is.
const EVENT_STREAM: &str = "text/event-stream";
/// Time for a connection to a neighbour.
const NEAR_CONNECT_TIME: Duration = Duration::from_millis(1500);

/// What the network is given.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Time for name, connection and TLS.
    pub connect_time: Duration,
    /// Time for a small document as a whole, however it drips.
    pub document_time: Duration,
    /// A proxy for everything, in place of those of the environment.
    pub proxy: Option<Url>,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self { connect_time: Duration::from_secs(6), document_time: Duration::from_secs(30), proxy: None }
    }
}

/// An HTTP client; cheap to clone, its connections are shared.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    /// For neighbours: past every proxy, and not to be sent elsewhere.
    near: reqwest::Client,
    document_time: Duration,
}

impl Client {
    /// A client with the given limits.
    pub fn new(options: &ClientOptions) -> Result<Self, FetchError> {
        let mut builder = plain().redirect(Policy::custom(follow)).connect_timeout(options.connect_time);
        if let Some(proxy) = &options.proxy {
            builder = builder.proxy(reqwest::Proxy::all(proxy.clone()).map_err(FetchError::Setup)?);
        }
        let http = builder.build().map_err(FetchError::Setup)?;
        Ok(Self { http, near: near()?, document_time: options.document_time })
    }

    /// A client for neighbours alone: whatever it asks, it asks directly.
    pub fn near_only() -> Result<Self, FetchError> {
        let near = near()?;
        Ok(Self { http: near.clone(), near, document_time: NEAR_CONNECT_TIME })
    }

    /// A small document, at most `limit` bytes, also where the node names no length. Its content is not judged here: a captive
    /// portal's page comes back as it is.
    pub async fn get(&self, url: &Url, limit: u64) -> Result<Bytes, FetchError> {
        let seconds = self.document_time.as_secs();
        let within = tokio::time::timeout(self.document_time, async {
            let response = self.http.get(url.clone()).send().await.map_err(|source| http(url, source))?;
            check_status(url, response.status())?;
            read(response, url, limit).await
        });
        within.await.map_err(|_| FetchError::TimedOut { url: url.clone(), seconds })?
    }

    /// A stream of server-sent events. `last` is the id of the last one that was heard. An answer that is none is refused: a captive
    /// portal's page, or a host that has one page for all addresses.
    pub async fn listen(&self, url: &Url, last: Option<&str>) -> Result<Stream, FetchError> {
        let mut request = self.http.get(url.clone()).header(ACCEPT, EVENT_STREAM);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let seconds = self.document_time.as_secs();
        let response = tokio::time::timeout(self.document_time, request.send()).await;
        let response =
            response.map_err(|_| FetchError::TimedOut { url: url.clone(), seconds })?.map_err(|source| http(url, source))?;
        check_status(url, response.status())?;
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case(EVENT_STREAM) {
            return Err(FetchError::WrongAnswer { url: url.clone(), reason: format!("no stream of events, but {kind:?}") });
        }
        Ok(Stream { response, url: url.clone() })
    }

    /// Asks for a span of bytes; the answer is judged by [`super::response::judge`].
    pub(super) async fn ask(&self, url: &Url, span: &Range<u64>, near: bool) -> Result<reqwest::Response, reqwest::Error> {
        let range = format!("bytes={}-{}", span.start, span.end.saturating_sub(1));
        let http = if near { &self.near } else { &self.http };
        http.get(url.clone()).header(RANGE, range).send().await
    }

    /// A document of a neighbour, at most `limit` bytes, within `time`.
    pub async fn get_near(&self, url: &Url, limit: u64, time: Duration) -> Result<Bytes, FetchError> {
        let within = tokio::time::timeout(time, async {
            let response = self.near.get(url.clone()).send().await.map_err(|source| http(url, source))?;
            check_status(url, response.status())?;
            read(response, url, limit).await
        });
        within.await.map_err(|_| FetchError::TimedOut { url: url.clone(), seconds: time.as_secs() })?
    }
}

fn near() -> Result<reqwest::Client, FetchError> {
    let client = plain().redirect(Policy::none()).no_proxy().connect_timeout(NEAR_CONNECT_TIME);
    client.build().map_err(FetchError::Setup)
}

/// What every request has in common.
fn plain() -> reqwest::ClientBuilder {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    reqwest::Client::builder()
        .user_agent(concat!("kuzflow-launcher/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers)
        .http1_only()
        .referer(false)
        // A connection that idled longer may be dead without saying so (network changed, NAT forgot it).
        .pool_idle_timeout(Duration::from_secs(15))
        .tcp_nodelay(true)
}

/// A body that comes bit by bit and need not end; dropping it ends the connection.
#[derive(Debug)]
pub struct Stream {
    response: reqwest::Response,
    url: Url,
}

impl Stream {
    /// What comes next, however long that takes; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, FetchError> {
        self.response.chunk().await.map_err(|source| http(&self.url, source))
    }
}

/// Reads a whole body, at most `limit` bytes.
async fn read(mut response: reqwest::Response, url: &Url, limit: u64) -> Result<Bytes, FetchError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|source| http(url, source))? {
        if (body.len() + chunk.len()) as u64 > limit {
            return Err(FetchError::TooLarge { url: url.clone(), limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// Reads the first `length` bytes of a body and leaves the rest.
pub(super) async fn read_exactly(mut response: reqwest::Response, url: &Url, length: u64) -> Result<Bytes, FetchError> {
    let mut body = BytesMut::new();
    while (body.len() as u64) < length {
        let Some(chunk) = response.chunk().await.map_err(|source| http(url, source))? else {
            let reason = format!("sent {} bytes in place of {length}", body.len());
            return Err(FetchError::WrongAnswer { url: url.clone(), reason });
        };
        body.extend_from_slice(&chunk);
    }
    body.truncate(usize::try_from(length).unwrap_or(usize::MAX));
    Ok(body.freeze())
}

/// `length` bytes of an answer behind the first `skip`, which are not kept. No part may be late by more than `silence`.
pub(super) async fn read_behind(
    mut response: reqwest::Response,
    url: &Url,
    skip: u64,
    length: u64,
    silence: Duration,
) -> Result<Bytes, FetchError> {
    let (mut body, mut skip) = (BytesMut::new(), skip);
    while (body.len() as u64) < length {
        let late = |_| FetchError::TimedOut { url: url.clone(), seconds: silence.as_secs() };
        let chunk = tokio::time::timeout(silence, response.chunk()).await.map_err(late)?;
        let Some(mut chunk) = chunk.map_err(|source| http(url, source))? else {
            let reason = format!("ended {} bytes too early", skip + length - body.len() as u64);
            return Err(FetchError::WrongAnswer { url: url.clone(), reason });
        };
        let passed = chunk.len().min(usize::try_from(skip).unwrap_or(usize::MAX));
        skip -= passed as u64;
        body.extend_from_slice(&chunk.split_off(passed));
    }
    body.truncate(usize::try_from(length).unwrap_or(usize::MAX));
    Ok(body.freeze())
}

/// Turns a status that is no success into an error.
fn check_status(url: &Url, status: reqwest::StatusCode) -> Result<(), FetchError> {
    match status.as_u16() {
        200..=299 => Ok(()),
        status @ (403 | 404 | 410) => Err(FetchError::NotFound { url: url.clone(), status }),
        status => Err(FetchError::Status { url: url.clone(), status }),
    }
}

/// An error of the transport, without the address that reqwest repeats.
pub(super) fn http(url: &Url, source: reqwest::Error) -> FetchError {
    FetchError::Http { url: url.clone(), source: source.without_url() }
}

fn follow(attempt: reqwest::redirect::Attempt) -> reqwest::redirect::Action {
    let leaves_tls = attempt.url().scheme() != "https" && attempt.previous().iter().any(|url| url.scheme() == "https");
    if leaves_tls {
        attempt.error("redirect from https to http refused")
    } else if attempt.previous().len() > REDIRECTS {
        attempt.error("too many redirects")
    } else {
        attempt.follow()
    }
}
