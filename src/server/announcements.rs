//! What listeners of `/api/events` are notified of: the state of each app, channel and platform.
//!
//! In: a catalogue. Out: the state of its topics, the text of the events between two states, and
//! places for listeners. Never: a request.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};

use super::places::{Origin, Share, Shares};
use super::repository::Catalogue;
use crate::model::platform::AppName;
use crate::model::release::SignedRelease;
use crate::model::{Digest, Platform, Version};

/// The listeners, and the state that they were notified of last.
pub(super) struct Events {
    places: Arc<Semaphore>,
    shares: Shares,
    most: usize,
    pub(super) announcements: watch::Sender<Arc<Announcements>>,
    /// Wakes the task that looks at the repository.
    pub(super) somebody: Notify,
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
    pub(super) fn place(&self, origin: Option<Origin>, most: usize) -> Option<ListenerPlace> {
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
pub(super) struct Announcements {
    pub(super) of: Option<Arc<Catalogue>>,
    pub(super) topics: BTreeMap<Topic, Standing>,
}

/// One app, channel and platform that a client can listen to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Topic {
    pub(super) app: AppName,
    pub(super) channel: String,
    pub(super) platform: Platform,
}

/// The state of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    version: Version,
    /// Digest of everything that is signed about its releases.
    mark: Digest,
}

impl Announcements {
    pub(super) fn of(catalogue: Arc<Catalogue>) -> Self {
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

/// The place that one listener holds.
pub(super) struct ListenerPlace {
    _permit: OwnedSemaphorePermit,
    _share: Option<Share>,
}

/// The id of a state, the same on every node.
pub(super) fn id(state: &BTreeMap<Topic, Standing>) -> String {
    let marks: Vec<u8> = state.values().flat_map(|standing| *standing.mark.as_bytes()).collect();
    Digest::of(&marks).to_string().chars().take(16).collect()
}

/// The events that lead from one state to another, each with the id of the latter.
pub(super) fn events(
    before: &BTreeMap<Topic, Standing>,
    now: &BTreeMap<Topic, Standing>,
) -> String {
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
