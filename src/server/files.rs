//! Serves the repository's files over HTTP: validators, ranges, bytes.
//!
//! `tower_http::services::ServeFile` is not used: its ETag is the modification time (which differs
//! between mirrors), and it ignores `If-Range`. With both corrected, only the reading of a file
//! would be left of it.
//!
//! Every name from a request passes [`requested`] before it touches the disk: one part, no
//! separator, no hidden file.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path as PathParameter, State};
use axum::http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, HeaderName, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream;

use super::compressed;
use super::documents::open;
use super::ranges::{Portion, portion};
use super::refusal::Refusal;
use super::state::ServerState;
use crate::error_chain;
use crate::file_error::FileError;
use crate::model::{Digest, RelativePath};

/// Bytes read at a time; a connection to a slow client holds as much. Smaller chunks cost more
/// switches between the threads that read and the ones that send: 64 KiB costs twice the CPU time,
/// and 1 MiB costs no less than 256 KiB.
const CHUNK: u64 = 256 << 10;

/// A target's name holds its digest, so its content never changes.
const FOREVER: &str = "public, max-age=31536000, immutable";

/// Clients ask for metadata again each time, which costs a 304.
const ASK_AGAIN: &str = "no-cache";

/// `GET /targets/{digest}.{name}`.
pub(super) async fn target(
    State(shared): State<ServerState>,
    name: Result<PathParameter<String>, PathRejection>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let location = format!("targets/{}", requested(name)?);
    send_target(shared.repository.root(), &location, &method, &headers).await
}

/// `GET /metadata/{name}`.
pub(super) async fn metadata(
    State(shared): State<ServerState>,
    name: Result<PathParameter<String>, PathRejection>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let name = requested(name)?;
    if !name.ends_with(".json") {
        return Err(Refusal::not_found());
    }
    send_document(&shared, format!("metadata/{name}"), &method, &headers).await
}

/// `GET /nodes.json`.
pub(super) async fn nodes(
    State(shared): State<ServerState>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    send_document(&shared, "nodes.json".to_owned(), &method, &headers).await
}

/// Sends `targets/{digest}.{name}` of the repository in `root`.
pub(super) async fn send_target(
    root: &Path,
    location: &str,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let name = location.strip_prefix("targets/").unwrap_or(location);
    let digest: Digest = name
        .split_once('.')
        .and_then(|(digest, _)| digest.parse().ok())
        .ok_or_else(Refusal::not_found)?;
    let path = root.join(location);
    let (file, length) = on_disk(path.clone(), open).await?;
    let entity = Entity {
        etag: format!("\"{digest}\""),
        length,
        content_type: content_type(name),
        cache: FOREVER,
    };
    Ok(entity.answer(method, headers, |span| FileBody { file, path, span }.into_body()))
}

/// Sends a file that is for whoever asks alone, from outside of the repository.
pub(super) async fn send_private(
    path: PathBuf,
    digest: Digest,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let (file, length) = on_disk(path.clone(), open).await?;
    let entity = Entity {
        etag: format!("\"{digest}\""),
        length,
        content_type: "application/octet-stream",
        cache: "private, no-store",
    };
    Ok(entity.answer(method, headers, |span| FileBody { file, path, span }.into_body()))
}

async fn send_document(
    shared: &ServerState,
    location: String,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let documents = shared.documents.clone();
    let wants_gzip = compressed::is_accepted(headers);
    let (document, packed) = on_disk(shared.repository.root().join(location), move |path| {
        let document = documents.read(path)?;
        let packed = if wants_gzip {
            documents.compressed.of(document.digest, &document.bytes)?
        } else {
            None
        };
        Ok((document, packed))
    })
    .await?;
    // Two encodings are two entities: a client that has a part of one must not continue with the
    // other.
    let (etag, is_packed) = match &packed {
        Some(_) => (format!("\"{}-gzip\"", document.digest), true),
        None => (format!("\"{}\"", document.digest), false),
    };
    let bytes = packed.unwrap_or_else(|| document.bytes.clone());
    let entity = Entity {
        etag,
        length: bytes.len() as u64,
        content_type: "application/json",
        cache: ASK_AGAIN,
    };
    let slice = |part: Range<u64>| {
        let bound = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
        Body::from(bytes.slice(bound(part.start)..bound(part.end)))
    };
    let mut response = entity.answer(method, headers, slice);
    response.headers_mut().insert(VARY, HeaderValue::from(ACCEPT_ENCODING));
    if is_packed && response.status() == StatusCode::OK {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        response.headers_mut().remove(ACCEPT_RANGES);
    }
    Ok(response)
}

/// A name from a request as one plain part of a path. Every other name gets a 404: separators of
/// any system, `..`, device names, control characters, and hidden files, which may be half-written.
fn requested(name: Result<PathParameter<String>, PathRejection>) -> Result<String, Refusal> {
    let PathParameter(name) = name.map_err(|_| Refusal::not_found())?;
    let plain = name.parse::<RelativePath>().is_ok_and(|path| path.parent().is_none());
    if plain && !name.starts_with('.') { Ok(name) } else { Err(Refusal::not_found()) }
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("json") => "application/json",
        Some("md") => "text/markdown; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// The facts of a file before its bytes are sent.
struct Entity {
    etag: String,
    length: u64,
    content_type: &'static str,
    cache: &'static str,
}

impl Entity {
    /// Answers with the portion that the request asks for; `body` makes the bytes of a span.
    fn answer(
        &self,
        method: &Method,
        headers: &HeaderMap,
        body: impl FnOnce(Range<u64>) -> Body,
    ) -> Response {
        let mut fields = vec![
            (ETAG, self.etag.clone()),
            (CACHE_CONTROL, self.cache.to_owned()),
            (ACCEPT_RANGES, "bytes".to_owned()),
        ];
        let (status, span) = match portion(method, headers, &self.etag, self.length) {
            Portion::Whole => (StatusCode::OK, 0..self.length),
            Portion::Part(part) => {
                fields.push((
                    CONTENT_RANGE,
                    format!("bytes {}-{}/{}", part.start, part.end - 1, self.length),
                ));
                (StatusCode::PARTIAL_CONTENT, part)
            }
            Portion::NotModified => {
                return respond(StatusCode::NOT_MODIFIED, fields, Body::empty());
            }
            Portion::OtherContent => {
                let refusal = Refusal::new(
                    StatusCode::PRECONDITION_FAILED,
                    "other_content",
                    "the file is not the one asked for",
                );
                return refusal.into_response();
            }
            Portion::OutOfRange => {
                let message = format!("no such range in a file of {} bytes", self.length);
                let refusal =
                    Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, "out_of_range", message);
                let size = [(CONTENT_RANGE, format!("bytes */{}", self.length))];
                return (size, refusal).into_response();
            }
        };
        fields.push((CONTENT_TYPE, self.content_type.to_owned()));
        fields.push((CONTENT_LENGTH, (span.end - span.start).to_string()));
        let body = if method == Method::HEAD { Body::empty() } else { body(span) };
        respond(status, fields, body)
    }
}

fn respond(status: StatusCode, fields: Vec<(HeaderName, String)>, body: Body) -> Response {
    let mut response = (status, body).into_response();
    for (name, value) in fields {
        match value.parse() {
            Ok(value) => _ = response.headers_mut().insert(name, value),
            Err(error) => return Refusal::internal(&error).into_response(),
        }
    }
    response
}

/// The rest of `span` to send, read a chunk at a time as the client takes it.
struct FileBody {
    file: File,
    path: PathBuf,
    span: Range<u64>,
}

impl FileBody {
    /// If the file cannot be read to the end, the connection breaks, so that the client does not
    /// take a part for the whole.
    fn into_body(self) -> Body {
        Body::from_stream(stream::try_unfold(self, async |body| {
            if body.span.is_empty() {
                return Ok(None);
            }
            let read = tokio::task::spawn_blocking(move || body.next_chunk()).await;
            read.map_err(io::Error::other)?.map(Some)
        }))
    }

    fn next_chunk(mut self) -> io::Result<(Bytes, Self)> {
        let length = CHUNK.min(self.span.end - self.span.start);
        let mut chunk = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        let read = self
            .file
            .seek(SeekFrom::Start(self.span.start))
            .and_then(|_| (&self.file).take(length).read_to_end(&mut chunk));
        let complete = read.and_then(|read| {
            if read as u64 == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
        });
        if let Err(error) = complete {
            tracing::error!(path = %self.path.display(), error = error_chain::line(&error), "a file cannot be read to its end");
            return Err(error);
        }
        self.span.start += length;
        Ok((Bytes::from(chunk), self))
    }
}

/// Runs file work on a thread that may block; a missing file gives a 404.
pub(super) async fn on_disk<T: Send + 'static>(
    path: PathBuf,
    work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> Result<T, Refusal> {
    let outcome =
        tokio::task::spawn_blocking(move || work(&path).map_err(|error| (path, error))).await;
    match outcome.map_err(|panic| Refusal::internal(&panic))? {
        Ok(value) => Ok(value),
        Err((_, error))
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Err(Refusal::not_found())
        }
        Err((path, error)) => Err(Refusal::internal(&FileError::new("read", path, error))),
    }
}
