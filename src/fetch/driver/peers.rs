//! Peers that join and leave while a download runs.

use std::time::Duration;

use tokio::time::Instant;
use url::{Host, Url};

use super::{Driver, PeerConnection};
use crate::fetch::peer_source::{Availability, PeerEvent};
use crate::fetch::scheduler::SchedulerInput;
use crate::model::Node;
use crate::model::transfer::{PEER_ID_PREFIX, PEER_REGION};

/// Peers that a download knows at most.
const MAX_PEERS: usize = 32;
/// Of these, how many at one address: several users may share a computer. Peer numbers are easy to
/// invent, addresses less so.
const MAX_OF_ONE_ADDRESS: usize = 4;
/// How long peers may take for a first answer before the download asks the internet.
const ACQUAINTANCE: Duration = Duration::from_millis(150);

impl Driver {
    /// Gives peers a moment to report what they have: what this client asks of the internet before
    /// that, peers may fetch too.
    pub(super) async fn get_acquainted(&mut self) {
        let until = Instant::now() + ACQUAINTANCE;
        let mut heard = Vec::new();
        if let Some(peer_source) = &mut self.peer_source {
            while let Ok(Some(event)) =
                tokio::time::timeout_at(until, peer_source.events.recv()).await
            {
                if event == PeerEvent::Acquainted {
                    break;
                }
                heard.push(event);
            }
        }
        // All events must count before the first request is made.
        self.step(SchedulerInput::Pause);
        self.take_in(heard);
        self.step(SchedulerInput::Resume);
    }

    /// Takes in the peer events that have arrived.
    pub(super) fn hear(&mut self) {
        let Some(peer_source) = &mut self.peer_source else { return };
        let mut heard = Vec::new();
        while let Ok(event) = peer_source.events.try_recv() {
            heard.push(event);
        }
        self.take_in(heard);
    }

    fn take_in(&mut self, heard: Vec<PeerEvent>) {
        for event in heard {
            let (PeerEvent::Joined { instance, .. }
            | PeerEvent::Updated { instance, .. }
            | PeerEvent::Left { instance }) = event
            else {
                continue;
            };
            let known = self.peers.iter().position(|peer| peer.instance == instance);
            match (event, known.map(|position| self.job.nodes.len() + position)) {
                (PeerEvent::Joined { url, name, .. }, None) if self.has_room_for(&url) => {
                    let node = Node {
                        id: format!("{PEER_ID_PREFIX}{name}"),
                        name,
                        region: PEER_REGION.to_owned(),
                        ..Node::at(url.clone())
                    };
                    self.peers.push(PeerConnection { instance, node });
                    self.addresses.push(url);
                    self.step(SchedulerInput::Joined { instance });
                }
                (
                    PeerEvent::Updated {
                        availability: Availability { held, in_flight, takes_part, received },
                        ..
                    },
                    Some(node),
                ) => {
                    self.step(SchedulerInput::Updated {
                        node,
                        held,
                        in_flight,
                        takes_part,
                        received,
                    });
                }
                (PeerEvent::Left { .. }, Some(node)) => self.step(SchedulerInput::Left { node }),
                _ => {}
            }
        }
    }

    /// Whether one more peer at this address may join. Announcements never lead to this computer:
    /// peers on this computer come from the settings.
    fn has_room_for(&self, url: &Url) -> bool {
        let is_here = matches!(url.host(), Some(Host::Ipv4(address)) if address.is_loopback());
        let of_the_same =
            self.peers.iter().filter(|peer| peer.node.url.host() == url.host()).count();
        self.peers.len() < MAX_PEERS && (is_here || of_the_same < MAX_OF_ONE_ADDRESS)
    }

    /// Reports to the peers which pieces are here.
    pub(super) fn tell(&mut self, takes_part: bool) {
        let Some(peer_source) = &self.peer_source else { return };
        let (held, in_flight) = (self.held.clone(), self.scheduler.in_flight());
        let availability = Availability { held, in_flight, takes_part, received: self.received };
        peer_source.availability.send_if_modified(|noted| {
            *noted != availability && {
                *noted = availability;
                true
            }
        });
    }
}
