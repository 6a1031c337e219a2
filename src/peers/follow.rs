//! Follows what neighbours have of one object, for as long as it is being downloaded: asks each
//! some times a second, waits for nobody.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::availability::{AvailabilityMessage, LARGEST};
use super::{Inner, address_of};
use crate::fetch::PeerEvent;
use crate::model::Digest;

/// Time between two questions to the same neighbour: more in a large office, where each is asked by
/// many.
const INTERVAL: Duration = Duration::from_millis(150);
const INTERVAL_EACH: Duration = Duration::from_millis(12);
/// How long an answer may take.
const ANSWER_TIME: Duration = Duration::from_millis(2000);
/// Unanswered questions after which a neighbour counts as gone.
const UNANSWERED: u32 = 2;
/// Rounds in which a neighbour that has nothing is asked once, after the first so many.
const SELDOM: u32 = 4;
const OFTEN: u32 = 20;

#[derive(Default)]
struct Asked {
    busy: bool,
    instance: Option<u64>,
    /// It is this client, or another one's double.
    ignored: bool,
    noted: bool,
    empty: u32,
    unanswered: u32,
}

/// Runs until nobody listens to `events` any more.
pub(super) async fn follow(
    inner: Arc<Inner>,
    digest: Digest,
    count: u32,
    events: mpsc::UnboundedSender<PeerEvent>,
) {
    let mut all: BTreeMap<SocketAddr, Asked> = BTreeMap::new();
    let mut asking = JoinSet::new();
    let mut round = 0_u32;
    let mut acquainted = false;
    loop {
        let peers = inner.peers();
        let interval = INTERVAL + INTERVAL_EACH * u32::try_from(peers.len()).unwrap_or(u32::MAX);
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.reset();
        // One that is no longer known, and has not been told to be gone.
        for (address, asked) in &mut all {
            if asked.noted && !peers.iter().any(|(_, known)| known == address) {
                asked.noted = false;
                asked.instance.map(|instance| events.send(PeerEvent::Left { instance }));
            }
        }
        for (expected, address) in peers {
            let asked = all.entry(address).or_default();
            let seldom = asked.empty > OFTEN && !round.is_multiple_of(SELDOM);
            if asked.busy || asked.ignored || seldom {
                continue;
            }
            asked.busy = true;
            if asked.instance.is_none()
                && let Some(instance) = expected
            {
                asked.instance = Some(instance);
                let _ = events.send(inner.joined(instance, address, &digest));
            }
            let inner = Arc::clone(&inner);
            asking.spawn(async move {
                let url = address_of(address, &inner.options.app, "have", &digest);
                let answer = inner.client.get_from_peer(&url, LARGEST, ANSWER_TIME).await;
                (address, answer.ok().and_then(|json| AvailabilityMessage::read(&json, count)))
            });
        }
        round = round.wrapping_add(1);
        loop {
            if asking.is_empty() && !acquainted {
                acquainted = true;
                let _ = events.send(PeerEvent::Acquainted);
            }
            tokio::select! {
                Some(answer) = asking.join_next() => {
                    let Ok((address, answer)) = answer else { continue };
                    let known: Vec<u64> = all.iter().filter(|(other, _)| **other != address).filter_map(|(_, asked)| asked.instance).collect();
                    let Some(asked) = all.get_mut(&address) else { continue };
                    asked.busy = false;
                    let answer = answer.filter(|(instance, _)| asked.instance.is_none_or(|expected| expected == *instance));
                    if let Some(instance) = asked.instance {
                        inner.answered(instance, answer.is_some());
                    }
                    match answer {
                        Some((instance, _)) if asked.instance.is_none() && (instance == inner.instance || known.contains(&instance)) => {
                            asked.ignored = true;
                        }
                        Some((instance, availability)) => {
                            if asked.instance.is_none() {
                                asked.instance = Some(instance);
                                let _ = events.send(inner.joined(instance, address, &digest));
                            }
                            asked.unanswered = 0;
                            match availability {
                                Some(availability) => {
                                    (asked.noted, asked.empty) = (true, 0);
                                    let _ = events.send(PeerEvent::Updated { instance, availability });
                                }
                                None => {
                                    asked.empty = asked.empty.saturating_add(1);
                                    if std::mem::take(&mut asked.noted) {
                                        let _ = events.send(PeerEvent::Left { instance });
                                    }
                                }
                            }
                        }
                        None => {
                            asked.unanswered += 1;
                            if asked.unanswered >= UNANSWERED && std::mem::take(&mut asked.noted) {
                                asked.instance.map(|instance| events.send(PeerEvent::Left { instance }));
                            }
                        }
                    }
                }
                _ = ticks.tick() => break,
                () = events.closed() => return,
            }
        }
    }
}
