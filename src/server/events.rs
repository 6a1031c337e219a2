//! `GET /api/events?app=&channel=&platform=` notifies launchers that releases have changed, by
//! server-sent events (WHATWG HTML, section 9.2). So launchers know soon and need not poll often.
//!
//! In: the catalogue, read again every second while a client listens. Out: `event: release` with
//! `app`, `channel`, `platform` and `version` (the newest that is not halted) when a release was
//! added, was removed, was halted or reaches more users; a comment at least twice a minute. Never:
//! sends anything that a client may trust. An event is a hint to check, and a client verifies what
//! the check finds.
//!
//! The `id` of an event stands for the state of the releases that the client listens to; it is the
//! same on every node. A client that returns with this id as `Last-Event-ID` gets the changes that
//! it missed at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::Instant;

use super::access::Client;
use super::announcements::{Announcements, ListenerPlace, Standing, Topic, events, id};
use super::refusal::Refusal;
use super::state::ServerState;
use super::updates::parsed;
use crate::model::Platform;
use crate::model::platform::AppName;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// nginx passes bytes on as they arrive when it reads this header.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// Seconds between two comments. Proxies close connections that are silent for longer; ours
/// (packaging/nginx) after 30.
const SILENCE: std::ops::Range<f64> = 22.0..28.0;
/// Milliseconds that a client waits at least before it connects again.
const RETRY: u32 = 10_000;
/// Seconds after which a client that found no free place may try again.
const NO_ROOM: &str = "600";
/// Shortest time between two looks at the repository, whatever the look interval is.
const MIN_POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The topics that a client wants; an absent value means all.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct EventQuery {
    app: Option<String>,
    channel: Option<String>,
    platform: Option<String>,
}

#[derive(Clone, Debug)]
struct Interest {
    app: Option<AppName>,
    channel: Option<String>,
    platform: Option<Platform>,
}

impl Interest {
    fn of(question: EventQuery) -> Result<Self, Refusal> {
        Ok(Self {
            app: parsed("app", question.app.as_deref())?,
            channel: question.channel.filter(|channel| !channel.is_empty()),
            platform: parsed("platform", question.platform.as_deref())?,
        })
    }

    fn in_topic(&self, topic: &Topic) -> bool {
        self.app.as_ref().is_none_or(|app| *app == topic.app)
            && self.channel.as_ref().is_none_or(|channel| *channel == topic.channel)
            && self.platform.as_ref().is_none_or(|platform| *platform == topic.platform)
    }

    fn among(&self, announcements: &Announcements) -> BTreeMap<Topic, Standing> {
        let topics = announcements.topics.iter().filter(|(topic, _)| self.in_topic(topic));
        topics.map(|(topic, standing)| (topic.clone(), standing.clone())).collect()
    }
}

/// `GET /api/events`.
pub(super) async fn listen(
    State(shared): State<ServerState>,
    client: Option<Extension<Client>>,
    question: Result<Query<EventQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let Query(question) = question.map_err(|error| Refusal::bad(error.body_text()))?;
    let interest = Interest::of(question)?;
    let origin = client.map(|Extension(Client(address))| address.into());
    let Some(place) = shared.events.place(origin, shared.limits.listeners_per_address) else {
        let message = "as many as this server has room for are listening; ask for metadata now and then instead";
        let mut response =
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "no_room", message).into_response();
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(NO_ROOM));
        return Ok(response);
    };
    look(&shared).await;
    let mut announcements = shared.events.announcements.subscribe();
    let stated = interest.among(&announcements.borrow_and_update());
    shared.events.somebody.notify_one();
    let mut first = format!("retry: {RETRY}\nid: {}\n\n", id(&stated));
    if headers.get(LAST_EVENT_ID).is_some_and(|heard| heard.as_bytes() != id(&stated).as_bytes()) {
        first.push_str(&events(&BTreeMap::new(), &stated));
    }
    let listening = Listening {
        interest,
        announcements,
        stated,
        ending: shared.ending.subscribe(),
        first: Some(first),
        silent_until: Instant::now(),
        _place: place,
    };
    let body = futures_util::stream::unfold(listening, async |mut listening| {
        let text = listening.next().await?;
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(text)), listening))
    });
    let fields = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (BUFFERING, HeaderValue::from_static("no")),
    ];
    Ok((HeaderMap::from_iter(fields), Body::from_stream(body)).into_response())
}

/// A listener.
struct Listening {
    interest: Interest,
    announcements: watch::Receiver<Arc<Announcements>>,
    stated: BTreeMap<Topic, Standing>,
    ending: watch::Receiver<bool>,
    first: Option<String>,
    silent_until: Instant,
    _place: ListenerPlace,
}

impl Listening {
    /// The next text to send; `None` when the server ends.
    async fn next(&mut self) -> Option<String> {
        let text = match self.first.take() {
            Some(first) => first,
            None => self.later().await?,
        };
        self.silent_until = Instant::now()
            + Duration::from_secs_f64(
                SILENCE.start + (SILENCE.end - SILENCE.start) * fastrand::f64(),
            );
        Some(text)
    }

    async fn later(&mut self) -> Option<String> {
        loop {
            tokio::select! {
                _ = self.ending.wait_for(|ending| *ending) => return None,
                changed = self.announcements.changed() => {
                    changed.ok()?;
                    let now = self.interest.among(&self.announcements.borrow_and_update());
                    let text = events(&self.stated, &now);
                    self.stated = now;
                    if !text.is_empty() {
                        return Some(text);
                    }
                }
                () = tokio::time::sleep_until(self.silent_until) => return Some(":\n\n".to_owned()),
            }
        }
    }
}

/// Looks at the repository as long as a client listens.
pub(super) async fn keep_looking(shared: ServerState) {
    loop {
        if shared.events.announcements.receiver_count() == 0 {
            shared.events.somebody.notified().await;
        }
        tokio::time::sleep(shared.limits.look_interval.max(MIN_POLL_INTERVAL)).await;
        look(&shared).await;
    }
}

/// Notifies the listeners if the catalogue has changed.
async fn look(shared: &ServerState) {
    let catalogue = shared.repository.catalogue().await;
    let is_known = shared
        .events
        .announcements
        .borrow()
        .of
        .as_ref()
        .is_some_and(|known| Arc::ptr_eq(known, &catalogue));
    if !is_known {
        shared.events.announcements.send_replace(Arc::new(Announcements::of(catalogue)));
    }
}
