//! Listens to the server that the settings name (`api`). The server sends a push when releases have
//! changed: server-sent events on one connection.
//!
//! In: a stream of events. Out: calls that mean "there may be a new release". Never: trust. The
//! listener reads an event only to see whether it concerns this app. No version in an event counts,
//! and an event can only make the schedule check a little sooner. When a server sends too much,
//! nothing, or nonsense, the listener stops for a while. It asks a server that has no events again
//! hours later.

mod event_stream;
mod reconnecting;

use std::convert::Infallible;
use std::time::{Duration, Instant};

use serde::Deserialize;
use url::Url;

use crate::error_chain;
use crate::fetch::{Client, FetchError};
use crate::model::Platform;
use crate::model::node::redacted;
use crate::settings::Settings;
use event_stream::{Parser, ServerSentEvent};
use reconnecting::{End, EventLimit, Reconnecting};

pub use reconnecting::Pace;

/// Time between two log lines about hints.
const BETWEEN_NOTES: Duration = Duration::from_secs(600);

/// The server to listen to, and the releases that matter.
#[derive(Clone, Debug)]
pub struct Subscription {
    url: Url,
    app: String,
    channel: String,
    platform: String,
}

impl Subscription {
    /// The subscription that the settings ask for; `None` if they name no server, or switch push
    /// off.
    pub fn of(settings: &Settings) -> Option<Self> {
        let mut url = settings.api.clone().filter(|_| settings.update.push)?;
        let (app, channel) = (settings.app.to_string(), settings.channel.clone());
        let platform = Platform::current().to_string();
        url.set_path(&format!("{}/api/events", url.path().trim_end_matches('/')));
        url.query_pairs_mut()
            .append_pair("app", &app)
            .append_pair("channel", &channel)
            .append_pair("platform", &platform);
        Some(Self { url, app, channel, platform })
    }

    /// Whether an event concerns releases of this app, in this channel, for this platform. A
    /// missing field counts as a match.
    fn concerns(&self, name: &str, data: &str) -> bool {
        #[derive(Deserialize)]
        struct Announced {
            app: Option<String>,
            channel: Option<String>,
            platform: Option<String>,
        }
        let Ok(announced) = serde_json::from_str::<Announced>(data) else { return false };
        let fits = |events: Option<String>, ours: &str| events.is_none_or(|events| events == ours);
        name == "release"
            && fits(announced.app, &self.app)
            && fits(announced.channel, &self.channel)
            && fits(announced.platform, &self.platform)
    }
}

/// Listens until dropped, and calls `hint` when there may be a new release. Every client needs its
/// own `seed`.
pub async fn listen(
    client: &Client,
    subscription: &Subscription,
    pace: Pace,
    seed: u64,
    hint: impl Fn(),
) -> Infallible {
    let mut reconnecting = Reconnecting::new(pace, seed);
    let mut listener =
        PushListener { client, subscription, pace, last_id: None, hint, noted: None, unnoted: 0 };
    let mut is_first = true;
    loop {
        let end = listener.connection(&mut reconnecting, is_first).await;
        is_first = false;
        let wait = reconnecting.wait(end);
        tracing::info!(?end, seconds = wait.as_secs(), "not told of releases for a while");
        tokio::time::sleep(wait).await;
    }
}

struct PushListener<'a, H> {
    client: &'a Client,
    subscription: &'a Subscription,
    pace: Pace,
    last_id: Option<String>,
    hint: H,
    /// Time of the last log line about a hint, and the number of hints since.
    noted: Option<Instant>,
    unnoted: u64,
}

impl<H: Fn()> PushListener<'_, H> {
    /// Logs a hint, with a limit: a server that sends hints all the time does not fill the log.
    fn note_hint(&mut self) {
        if self.noted.is_some_and(|noted| noted.elapsed() < BETWEEN_NOTES) {
            self.unnoted = self.unnoted.saturating_add(1);
            return;
        }
        let before = std::mem::take(&mut self.unnoted);
        tracing::info!(before, "the server says that releases may have changed");
        self.noted = Some(Instant::now());
    }

    /// One connection, from its start to its end: one loop over what arrives.
    async fn connection(&mut self, reconnecting: &mut Reconnecting, is_first: bool) -> End {
        let began = Instant::now();
        let mut stream =
            match self.client.listen(&self.subscription.url, self.last_id.as_deref()).await {
                Ok(stream) => stream,
                Err(FetchError::NotFound { .. }) => return End::Absent,
                Err(error) => {
                    tracing::info!(error = error_chain::line(&error), "no stream of events");
                    return End::Failed;
                }
            };
        tracing::info!(url = %redacted(&self.subscription.url), "listening for releases");
        // At the first connection, the check at the start has just been made. After a later one,
        // this client may have missed an event.
        let mut may_have_missed = !is_first && self.last_id.is_none();
        let (mut parser, mut limit, mut last_heard) =
            (Parser::default(), EventLimit::default(), None);
        // A connection that ends or falls silent still counts as good if something came.
        let over = |last_heard: Option<Duration>| {
            last_heard.map_or(End::Failed, |lived| End::Over { lived })
        };
        loop {
            let bytes = match tokio::time::timeout(self.pace.silence, stream.next()).await {
                Ok(Ok(Some(bytes))) => bytes,
                Ok(Ok(None)) => return over(last_heard),
                Ok(Err(error)) => {
                    tracing::info!(error = error_chain::line(&error), "the stream of events broke");
                    return over(last_heard);
                }
                Err(_) => {
                    tracing::info!("the stream of events is silent");
                    return over(last_heard);
                }
            };
            last_heard = Some(began.elapsed());
            if !limit.covers(began.elapsed(), bytes.len()) {
                tracing::warn!(url = %redacted(&self.subscription.url), "the server says too much");
                return End::Failed;
            }
            let events = match parser.feed(&bytes) {
                Ok(events) => events,
                Err(error) => {
                    tracing::warn!(url = %redacted(&self.subscription.url), error = error_chain::line(&error), "what the server says is not understood");
                    return End::Failed;
                }
            };
            if let Some(id) = parser.last_id() {
                self.last_id = Some(id.to_owned());
            }
            let mut concerns =
                may_have_missed && (!events.is_empty() || parser.last_id().is_some());
            may_have_missed &= !concerns;
            for events in events {
                match events {
                    ServerSentEvent::Retry(wait) => reconnecting.asked_for(wait),
                    ServerSentEvent::Event { name, data } => {
                        concerns |= self.subscription.concerns(&name, &data)
                    }
                }
            }
            if concerns {
                self.note_hint();
                (self.hint)();
            }
        }
    }
}
