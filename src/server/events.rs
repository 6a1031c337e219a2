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
use std::fmt::Write as _;
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
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use super::ServerState;
use super::access::Client;
use super::places::{Origin, Share, Shares};
use super::refusal::Refusal;
use super::repository::Catalogue;
use super::updates::parsed;
use crate::model::platform::AppName;
use crate::model::release::SignedRelease;
use crate::model::{Digest, Platform, Version};

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

/// The listeners, and the state that they were notified of last.
pub(super) struct Events {
    places: Arc<Semaphore>,
    shares: Shares,
    most: usize,
    announcements: watch::Sender<Arc<Announcements>>,
    somebody: Notify,
}

impl Events {
    /// Room for `most` listeners.
    pub(super) fn new(most: usize) -> Self {
        let places = Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
        Self {
            places,
            shares: Shares::default(),
            most,
            announcements: watch::Sender::default(),
            somebody: Notify::new(),
        }
    }

    /// A place for one more listener; one `origin` gets at most `most`.
    fn place(&self, origin: Option<Origin>, most: usize) -> Option<ListenerPlace> {
        let share = match origin {
            Some(origin) => Some(self.shares.take(origin, most)?),
            None => None,
        };
        let permit = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(ListenerPlace { _permit: permit, _share: share })
    }

    /// How many clients listen now.
    pub(super) fn listeners(&self) -> usize {
        self.most.saturating_sub(self.places.available_permits())
    }
}

/// The state of all topics, as of one catalogue.
#[derive(Default)]
struct Announcements {
    of: Option<Arc<Catalogue>>,
    topics: BTreeMap<Topic, Standing>,
}

/// One app, channel and platform that a client can listen to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Topic {
    app: AppName,
    channel: String,
    platform: Platform,
}

/// The state of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Standing {
    version: Version,
    /// Digest of everything that is signed about its releases.
    mark: Digest,
}

impl Announcements {
    fn of(catalogue: Arc<Catalogue>) -> Self {
        let mut releases: BTreeMap<Topic, Vec<&SignedRelease>> = BTreeMap::new();
        for signed in &catalogue.releases {
            let container = &signed.release.container;
            let (app, channel, platform) =
                (container.app.clone(), signed.release.channel.clone(), container.platform.clone());
            releases.entry(Topic { app, channel, platform }).or_default().push(signed);
        }
        let topics = releases.into_iter().filter_map(|(topic, mut releases)| {
            releases.sort_by(|a, b| a.release.container.version.cmp(&b.release.container.version));
            let newest =
                releases.iter().rev().find(|signed| !signed.release.halted).or(releases.last())?;
            let version = newest.release.container.version.clone();
            // Values of this program's own become JSON without fail.
            let mark = Digest::of(&serde_json::to_vec(&releases).unwrap_or_default());
            Some((topic, Standing { version, mark }))
        });
        let topics = topics.collect();
        Self { of: Some(catalogue), topics }
    }
}

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

fn id(state: &BTreeMap<Topic, Standing>) -> String {
    let marks: Vec<u8> = state.values().flat_map(|standing| *standing.mark.as_bytes()).collect();
    Digest::of(&marks).to_string().chars().take(16).collect()
}

/// The events that lead from one state to another, each with the id of the latter.
fn events(before: &BTreeMap<Topic, Standing>, now: &BTreeMap<Topic, Standing>) -> String {
    let id = id(now);
    let changed = now.iter().filter(|(topic, standing)| before.get(topic) != Some(standing));
    changed.fold(String::new(), |mut text, (Topic { app, channel, platform }, standing)| {
        let data = serde_json::json!({
            "app": app, "channel": channel, "platform": platform.to_string(), "version": standing.version,
        });
        // Writing to a string cannot fail.
        let _ = write!(text, "event: release\nid: {id}\ndata: {data}\n\n");
        text
    })
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

struct ListenerPlace {
    _permit: OwnedSemaphorePermit,
    _share: Option<Share>,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn state(given: &[(&str, &str, &str)]) -> BTreeMap<Topic, Standing> {
        let topic = |platform: &str| Topic {
            app: "sample".parse().unwrap(),
            channel: "stable".to_owned(),
            platform: platform.parse().unwrap(),
        };
        let standing = |version: &str, mark: &str| Standing {
            version: version.parse().unwrap(),
            mark: Digest::of(mark.as_bytes()),
        };
        given
            .iter()
            .map(|(platform, version, mark)| (topic(platform), standing(version, mark)))
            .collect()
    }

    #[test]
    fn only_what_changed_is_reported() {
        let before = state(&[("Linux_x86_64", "1.0.0", "a"), ("Windows_AMD64", "1.0.0", "b")]);
        assert_eq!(events(&before, &before), "");
        let after = state(&[("Linux_x86_64", "1.0.0", "a"), ("Windows_AMD64", "1.1.0", "c")]);
        let id = id(&after);
        let data =
            r#"{"app":"sample","channel":"stable","platform":"Windows_AMD64","version":"1.1.0"}"#;
        assert_eq!(events(&before, &after), format!("event: release\nid: {id}\ndata: {data}\n\n"));
        let wider = state(&[("Linux_x86_64", "1.0.0", "a"), ("Windows_AMD64", "1.0.0", "rollout")]);
        assert!(
            events(&before, &wider).contains("\"version\":\"1.0.0\""),
            "the same version, for more users"
        );
    }

    #[test]
    fn ids_stand_for_the_state() {
        let one = state(&[("Linux_x86_64", "1.0.0", "a")]);
        assert_eq!(id(&one), id(&one.clone()));
        assert_ne!(id(&one), id(&state(&[("Linux_x86_64", "1.0.0", "b")])));
        assert_ne!(id(&one), id(&BTreeMap::new()));
        assert_eq!(id(&one).len(), 16);
    }
}
