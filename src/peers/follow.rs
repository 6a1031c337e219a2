//! Follows what peers have of one object while it is downloaded. It asks each peer some times a
//! second, and a slow peer delays no other one. [`PollState`] decides.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::availability::{AvailabilityMessage, MAX_MESSAGE_BYTES};
use super::inner::Inner;
use super::poll::{PeerChange, PollAnswer, PollState};
use super::request::address_of;
use crate::fetch::PeerEvent;
use crate::model::Digest;

/// Time between two questions to the same peer. It grows with the number of peers, because many of
/// them ask each one.
const INTERVAL: Duration = Duration::from_millis(150);
const INTERVAL_EACH: Duration = Duration::from_millis(12);
/// Time limit for an answer.
const ANSWER_TIME: Duration = Duration::from_millis(2000);

/// Runs until the receiver of `events` is gone.
pub(super) async fn follow(
    inner: Arc<Inner>,
    digest: Digest,
    count: u32,
    events: mpsc::UnboundedSender<PeerEvent>,
) {
    let mut state = PollState::new(inner.instance);
    let mut asking = JoinSet::new();
    let mut acquainted = false;
    let tell = |changes: Vec<PeerChange>| {
        for change in changes {
            let _ = events.send(event(&inner, &digest, change));
        }
    };
    loop {
        let peers = inner.peers();
        let interval = INTERVAL + INTERVAL_EACH * u32::try_from(peers.len()).unwrap_or(u32::MAX);
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.reset();
        let (due, changes) = state.round(&peers);
        tell(changes);
        for address in due {
            asking.spawn(ask(Arc::clone(&inner), digest, count, address));
        }
        loop {
            if asking.is_empty() && !acquainted {
                acquainted = true;
                let _ = events.send(PeerEvent::Acquainted);
            }
            tokio::select! {
                Some(answer) = asking.join_next() => {
                    let Ok((address, answer)) = answer else { continue };
                    let (asked, changes) = state.answered(address, answer);
                    if let Some((instance, well)) = asked {
                        inner.answered(instance, well);
                    }
                    tell(changes);
                }
                _ = ticks.tick() => break,
                () = events.closed() => return,
            }
        }
    }
}

/// Asks the peer at `address` what it has.
async fn ask(
    inner: Arc<Inner>,
    digest: Digest,
    count: u32,
    address: SocketAddr,
) -> (SocketAddr, Option<PollAnswer>) {
    let url = address_of(address, &inner.options.app, "have", &digest);
    let answer = inner.client.get_from_peer(&url, MAX_MESSAGE_BYTES, ANSWER_TIME).await;
    (address, answer.ok().and_then(|json| AvailabilityMessage::read(&json, count)))
}

fn event(inner: &Inner, digest: &Digest, change: PeerChange) -> PeerEvent {
    match change {
        PeerChange::Joined { instance, address } => inner.joined(instance, address, digest),
        PeerChange::Updated { instance, availability } => {
            PeerEvent::Updated { instance, availability }
        }
        PeerChange::Left { instance } => PeerEvent::Left { instance },
    }
}
