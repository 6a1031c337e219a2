//! Wraps every request: applies the limits, takes logins out that nobody may claim, adds this node's name to the answer, counts it, and
//! writes one line to the log when the last byte has been sent.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{
    CONTENT_LENGTH, HeaderName, HeaderValue, RANGE, SERVER, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;

use super::builds::BUILD;
use super::refusal::Refusal;
use super::state::ServerState;
use super::traffic::Traffic;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const NODE: HeaderName = HeaderName::from_static("x-kuzflow-node");

/// The client's address, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client(pub(super) IpAddr);

impl Client {
    /// The connected address; behind a proxy, the last one that the proxy names: the client may
    /// have written the entries before it.
    fn of(request: &Request, behind_proxy: bool) -> Option<Self> {
        let forwarded = || {
            let last = request.headers().get_all(FORWARDED_FOR).iter().next_back()?;
            last.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
        };
        let connected =
            || request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        let named = if behind_proxy { forwarded() } else { None };
        named.or_else(connected).map(Self)
    }
}

/// Applies the limits, names the node and writes the access log.
pub(super) async fn around(
    State(shared): State<ServerState>,
    mut request: Request,
    next: Next,
) -> Response {
    let client = Client::of(&request, shared.options.behind_proxy);
    if let Some(logins) = shared.fleet.as_ref().and_then(|fleet| fleet.proxy_logins.as_ref()) {
        let connected = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let connected = connected.map(|info| info.0.ip());
        logins.clean(&mut request, connected);
    }
    let line = Line::of(&request, client.filter(|_| shared.options.log_addresses));
    if let Some(client) = client {
        request.extensions_mut().insert(client);
    }
    let limits = &shared.limits;
    let is_upload = request.method() == Method::POST && request.uri().path() == BUILD;
    let time = if is_upload { limits.upload_time } else { limits.request_time };
    let uri = request.uri();
    let too_long = uri.path().len() > limits.path_bytes
        || uri.query().is_some_and(|query| query.len() > limits.query_bytes);
    let mut response = if too_long {
        Refusal::new(StatusCode::URI_TOO_LONG, "uri_too_long", "the address is too long")
            .into_response()
    } else if let Ok(response) = tokio::time::timeout(time, next.run(request)).await {
        response
    } else {
        Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "timeout",
            "the answer took too long; try again later",
        )
        .into_response()
    };
    let fields = response.headers_mut();
    fields.insert(NODE, shared.node_header.clone());
    fields.insert(SERVER, HeaderValue::from_static("kuzflow"));
    fields.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let (head, body) = response.into_parts();
    let announced = announced(&head.headers, &line.method);
    let traffic = shared.traffic.clone();
    let logged = Logged { body, status: head.status, bytes: 0, announced, line, traffic };
    Response::from_parts(head, Body::new(logged))
}

fn announced(fields: &HeaderMap, method: &Method) -> u64 {
    let length = fields.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    length.filter(|_| method != Method::HEAD).unwrap_or(0)
}

struct Line {
    began: Instant,
    remote: Option<IpAddr>,
    method: Method,
    path: String,
    range: Option<String>,
}

impl Line {
    fn of(request: &Request, client: Option<Client>) -> Self {
        let path: String = request
            .uri()
            .path_and_query()
            .map_or("*", |path| path.as_str())
            .chars()
            .take(300)
            .collect();
        let range = request
            .headers()
            .get(RANGE)
            .and_then(|range| Some(range.to_str().ok()?.chars().take(100).collect()));
        let remote = client.map(|Client(address)| address);
        Self { began: Instant::now(), remote, method: request.method().clone(), path, range }
    }
}

/// A body that counts its bytes, and counts itself and writes the log line when it is dropped, whether it was sent in
/// full or not.
struct Logged {
    body: Body,
    status: StatusCode,
    bytes: u64,
    announced: u64,
    line: Line,
    traffic: Arc<Traffic>,
}

impl HttpBody for Logged {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
            self.bytes += bytes;
            self.traffic.sent(bytes);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        let line = &self.line;
        self.traffic.ended(self.status, line.range.is_some());
        tracing::info!(
            target: "kuzflow::access",
            remote = line.remote.map(tracing::field::display),
            method = %line.method,
            path = line.path,
            status = self.status.as_u16(),
            bytes = self.bytes,
            whole = self.bytes >= self.announced,
            ms = u64::try_from(line.began.elapsed().as_millis()).unwrap_or(u64::MAX),
            range = line.range,
        );
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_proxy_says_who_asks_and_nobody_else() {
        let remote: SocketAddr = "192.0.2.1:4711".parse().unwrap();
        let ask = |forwarded: Option<&str>, behind_proxy| {
            let mut request = Request::builder().uri("/");
            if let Some(forwarded) = forwarded {
                request = request.header(FORWARDED_FOR, forwarded);
            }
            let mut request = request.body(Body::empty()).unwrap();
            request.extensions_mut().insert(ConnectInfo(remote));
            Client::of(&request, behind_proxy).unwrap().0.to_string()
        };
        assert_eq!(ask(Some("198.51.100.7"), false), "192.0.2.1", "anybody can write this");
        assert_eq!(ask(Some("10.0.0.1, 198.51.100.7"), true), "198.51.100.7");
        assert_eq!(ask(Some("nonsense"), true), "192.0.2.1");
        assert_eq!(ask(None, true), "192.0.2.1");
    }

    #[test]
    fn a_line_reports_whether_the_answer_was_taken_in_full() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            let request = Request::builder()
                .uri("/targets/x?a=%0a")
                .header(RANGE, "bytes=0-3")
                .body(Body::empty())
                .unwrap();
            let line = || Line::of(&request, None);
            let body = |bytes| Logged {
                body: Body::empty(),
                status: StatusCode::OK,
                bytes,
                announced: 4,
                line: line(),
                traffic: Arc::default(),
            };
            drop(body(4));
            drop(body(3));
        });
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        for part in [
            "kuzflow::access",
            "method=GET",
            "path=\"/targets/x?a=%0a\"",
            "status=200",
            "bytes=4",
            "whole=true",
        ] {
            assert!(lines[0].contains(part), "{part}: {text}");
        }
        assert!(
            lines[0].contains("range=\"bytes=0-3\"") && lines[1].contains("bytes=3 whole=false"),
            "{text}"
        );
    }
}
