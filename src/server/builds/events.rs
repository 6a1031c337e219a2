//! `GET /api/containers/build/{id}/events`: a build's log as it grows, by server-sent events.
//!
//! In: the log's file, the job. Out: `event: log` for each line, `event: status` for each change of
//! the build; after the last one the answer ends. Never: a line twice for a client that returns with
//! `Last-Event-ID`.
//!
//! The `id` of an event is the place in the log behind it. The last event has the word `end` in its
//! id: a client that returns with it gets 204, by which a browser knows that nothing more comes.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;

use super::answers::BuildAnswer;
use super::log;
use super::routes::{described, job, parts};
use crate::error_chain;
use crate::fleet::{Job, JobKind};
use crate::server::access::Client;
use crate::server::announcements::ListenerPlace;
use crate::server::refusal::Refusal;
use crate::server::state::ServerState;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// nginx passes bytes on as they arrive when it reads this header.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// The id of the last event.
const END: &str = "end";
/// How often the log and the job are looked at.
const LOOK: Duration = Duration::from_millis(500);
/// Proxies close connections that are silent for longer.
const SILENCE: Duration = Duration::from_secs(20);

/// `GET /api/containers/build/{id}/events`.
pub(in crate::server) async fn listen(
    State(shared): State<ServerState>,
    client: Option<Extension<Client>>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let job = job(&shared, &headers, id).await?;
    let heard = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
    if heard == END {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let origin = client.map(|Extension(Client(address))| address.into());
    let place = shared.events.place(origin, shared.limits.listeners_per_address);
    let place = place.ok_or_else(|| {
        let message = "as many as this server has room for are listening; ask for the build now and then instead";
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "no_room", message)
    })?;
    let following = Following {
        at: heard.parse().unwrap_or(0),
        ending: shared.ending.subscribe(),
        shared,
        id: job.id,
        stated: None,
        has_ended: false,
        silent_since: Instant::now(),
        _place: place,
    };
    let body = futures_util::stream::unfold(following, async |mut following| {
        let text = following.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(text)), following))
    });
    let fields = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (BUFFERING, HeaderValue::from_static("no")),
    ];
    Ok((HeaderMap::from_iter(fields), Body::from_stream(body)).into_response())
}

/// A client that follows a build.
struct Following {
    shared: ServerState,
    id: String,
    /// The place in the log behind what was sent.
    at: u64,
    /// What the client knows of the build.
    stated: Option<BuildAnswer>,
    has_ended: bool,
    ending: watch::Receiver<bool>,
    silent_since: Instant,
    _place: ListenerPlace,
}

impl Following {
    /// The next text to send; `None` at the end of the build or of the server.
    async fn next(&mut self) -> Option<String> {
        loop {
            if self.has_ended {
                return None;
            }
            let text = match self.news().await {
                Ok(text) => text,
                Err(refusal) => {
                    // The client comes back; the log says why.
                    drop(refusal);
                    return None;
                }
            };
            let is_late = self.silent_since.elapsed() > SILENCE;
            if !text.is_empty() || is_late {
                self.silent_since = Instant::now();
                return Some(if text.is_empty() { ":\n\n".to_owned() } else { text });
            }
            tokio::select! {
                _ = self.ending.wait_for(|ending| *ending) => return None,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// What is new. The job is looked at before the log: a worker writes its last line before its
    /// last word, so after the end of the job the log has everything.
    async fn news(&mut self) -> Result<String, Refusal> {
        let (fleet, builds) = parts(&self.shared)?;
        let job = fleet.store.job(JobKind::Build, &self.id).await;
        let job = job.map_err(|error| Refusal::internal(&error))?;
        let Some(job) = job else {
            self.has_ended = true;
            return Ok(String::new());
        };
        let path = builds.folder.log(&self.id);
        let at = self.at;
        let lines = tokio::task::spawn_blocking(move || log::read(&path, at)).await;
        let lines = lines.map_err(|panic| Refusal::internal(&panic))?;
        let lines = lines.unwrap_or_else(|error| {
            tracing::warn!(error = error_chain::line(&error), "a build's log cannot be read");
            Vec::new()
        });
        let mut text = String::new();
        for (behind, line) in &lines {
            text.push_str(&format!("id: {behind}\nevent: log\ndata: {line}\n\n"));
            self.at = *behind;
        }
        let is_last = job.state.has_ended() && lines.is_empty();
        text.push_str(&self.status(&job, is_last).await?);
        self.has_ended = is_last;
        Ok(text)
    }

    /// The event about the build itself, if it is another one than before; the last one always.
    async fn status(&mut self, job: &Job, is_last: bool) -> Result<String, Refusal> {
        if job.state.has_ended() && !is_last {
            return Ok(String::new());
        }
        let answer = described(&self.shared, job).await?;
        if !is_last && self.stated.as_ref() == Some(&answer) {
            return Ok(String::new());
        }
        let id = if is_last { END.to_owned() } else { self.at.to_string() };
        let data = serde_json::to_string(&answer).map_err(|error| Refusal::internal(&error))?;
        self.stated = Some(answer);
        Ok(format!("id: {id}\nevent: status\ndata: {data}\n\n"))
    }
}
