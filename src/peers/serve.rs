//! The server for peers: few connections, short heads, one answer at a time, at a bounded rate.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderName, HeaderValue,
};
use hyper::server::conn::http1;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::address::may_ask;
use super::inner::Inner;
use super::request::{PeerRequest, judge};
use super::share_index::{Portion, SharedSource};
use crate::error_chain;
use crate::mutex;
use crate::positional;

/// Bytes of a request's head at most.
const HEAD: usize = 8 << 10;
/// Time limit for a head, and for the next request of a connection.
const HEAD_TIME: Duration = Duration::from_secs(20);
/// Time limit for the peer to take a chunk.
const STALL_TIME: Duration = Duration::from_secs(20);
/// Bytes that are read at a time.
const CHUNK: u64 = 128 << 10;

/// Accepts connections until the task is dropped.
pub(super) async fn serve(inner: Arc<Inner>, listener: TcpListener) {
    let places = Places::new(inner.options.connections, inner.options.connections_per_address);
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                // A peer that finds no place is dropped: its next try may find one.
                let Some(place) = may_ask(remote.ip()).then(|| places.take(remote.ip())).flatten()
                else {
                    continue;
                };
                tokio::spawn(connection(Arc::clone(&inner), stream, place));
            }
            Err(error) => {
                tracing::debug!(
                    error = error_chain::line(&error),
                    "a peer's connection cannot be taken"
                );
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

async fn connection(inner: Arc<Inner>, stream: TcpStream, _place: PeerPlace) {
    let Ok(here) = stream.local_addr() else { return };
    // Only the speed depends on this.
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |request| {
        let inner = Arc::clone(&inner);
        async move { Ok::<_, Infallible>(answer(&inner, here, &request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(error = error_chain::line(&error), "a peer's connection broke");
    }
}

async fn answer(
    inner: &Arc<Inner>,
    here: SocketAddr,
    request: &Request<Incoming>,
) -> Response<Sent> {
    match judge(request.method(), request.uri(), request.headers(), here, &inner.options.app) {
        Ok(PeerRequest::Have(digest)) => {
            let shared = Arc::clone(inner);
            let message = tokio::task::spawn_blocking(move || {
                shared.is_allowed().then(|| shared.shared.have(&digest))
            })
            .await;
            let Ok(Some(message)) = message else { return refusal(StatusCode::NOT_FOUND) };
            let json = serde_json::to_vec(&message).unwrap_or_default();
            let mut response = Response::new(Sent::Whole(Some(Bytes::from(json))));
            response
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            guarded(response)
        }
        Ok(PeerRequest::Content(digest, span)) => {
            let (shared, wanted) = (Arc::clone(inner), span.clone());
            let opened = tokio::task::spawn_blocking(move || {
                shared.is_allowed().then(|| shared.shared.open(&digest, wanted.as_ref())).flatten()
            })
            .await;
            match opened {
                Ok(Some(portion)) => guarded(content(
                    inner,
                    portion,
                    span.is_some(),
                    request.method() == Method::HEAD,
                )),
                _ => refusal(StatusCode::NOT_FOUND),
            }
        }
        Err(status) => refusal(status),
    }
}

fn content(inner: &Arc<Inner>, portion: Portion, partial: bool, head_only: bool) -> Response<Sent> {
    let Portion { source, span, length } = portion;
    let bytes = span.end - span.start;
    let body =
        if head_only { Sent::Whole(None) } else { stream(Arc::clone(inner), source, span.clone()) };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    if partial {
        let range = format!("bytes {}-{}/{length}", span.start, span.end - 1);
        if let Ok(range) = HeaderValue::try_from(range) {
            headers.insert(CONTENT_RANGE, range);
        }
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    response
}

fn refusal(status: StatusCode) -> Response<Sent> {
    let mut response = Response::new(Sent::Whole(None));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(0));
    guarded(response)
}

/// Adds headers that keep a browser from using the answer.
fn guarded(mut response: Response<Sent>) -> Response<Sent> {
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// An answer's body.
enum Sent {
    Whole(Option<Bytes>),
    Stream { chunks: mpsc::Receiver<Bytes>, left: u64 },
}

impl Body for Sent {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream { chunks, left } => chunks.poll_recv(context).map(|chunk| match chunk {
                Some(chunk) => {
                    *left = left.saturating_sub(chunk.len() as u64);
                    Some(Ok(Frame::data(chunk)))
                }
                None if *left == 0 => None,
                None => Some(Err(io::ErrorKind::UnexpectedEof.into())),
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Stream { left, .. } => *left == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Stream { left, .. } => SizeHint::with_exact(*left),
        }
    }
}

/// Reads the bytes of `span` while sending them, at the allowed rate.
fn stream(inner: Arc<Inner>, source: SharedSource, span: Range<u64>) -> Sent {
    let (sender, chunks) = mpsc::channel(1);
    let left = span.end - span.start;
    tokio::spawn(async move {
        let source = Arc::new(source);
        let mut at = span.start;
        while at < span.end {
            let count = (span.end - at).min(CHUNK);
            inner.upload_limit.pay(count).await;
            let reading = Arc::clone(&source);
            let read = tokio::task::spawn_blocking(move || {
                let count = usize::try_from(count).unwrap_or(0);
                match &*reading {
                    SharedSource::File(file) => {
                        let mut bytes = vec![0; count];
                        positional::read_exact_at(file, &mut bytes, at).map(|()| Bytes::from(bytes))
                    }
                    SharedSource::Memory(document) => {
                        let start = usize::try_from(at).unwrap_or(usize::MAX).min(document.len());
                        Ok(document.slice(start..(start + count).min(document.len())))
                    }
                }
            });
            let Ok(Ok(bytes)) = read.await else { return };
            // The peer is gone, or takes too long: the answer ends early, and with it the
            // connection.
            if !matches!(tokio::time::timeout(STALL_TIME, sender.send(bytes)).await, Ok(Ok(()))) {
                return;
            }
            at += count;
        }
    });
    Sent::Stream { chunks, left }
}

/// Places for connections: a number in all, and a number for one address.
struct Places {
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
    most: usize,
    most_per_address: usize,
}

/// One place; it is free again when dropped.
struct PeerPlace {
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
    address: IpAddr,
}

impl Places {
    fn new(most: usize, most_per_address: usize) -> Self {
        Self { taken: Arc::default(), most, most_per_address }
    }

    fn take(&self, address: IpAddr) -> Option<PeerPlace> {
        let mut taken = mutex::lock(&self.taken);
        let of_this = taken.get(&address).copied().unwrap_or(0);
        if of_this >= self.most_per_address || taken.values().sum::<usize>() >= self.most {
            return None;
        }
        taken.insert(address, of_this + 1);
        Some(PeerPlace { taken: Arc::clone(&self.taken), address })
    }
}

impl Drop for PeerPlace {
    fn drop(&mut self) {
        let mut taken = mutex::lock(&self.taken);
        if let Some(count) = taken.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_few_and_come_back() {
        let places = Places::new(3, 2);
        let [one, two] = ["10.0.0.1", "10.0.0.2"].map(|address| address.parse().unwrap());
        let held: Vec<PeerPlace> =
            [one, one, two].iter().map(|address| places.take(*address).unwrap()).collect();
        assert!(places.take(one).is_none() && places.take(two).is_none());
        drop(held);
        assert!(places.taken.lock().unwrap().is_empty());
        assert!(places.take(two).is_some());
    }
}
