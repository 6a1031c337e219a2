//! Decides which peers to ask in a round, and what follows from their answers. A pure core.
//!
//! In: which peers are known, what each answered. Out: which peers to ask, and what changed for a
//! download. Never: a question to a peer that has not answered the last one; a change that was
//! reported before.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::fetch::Availability;

/// Unanswered questions after which a peer counts as gone.
const UNANSWERED: u32 = 2;
/// After more than [`OFTEN`] answers in a row that it has nothing, a peer is asked only once in so
/// many rounds.
const SELDOM: u32 = 4;
const OFTEN: u32 = 20;

/// The number of the peer that answered, and what it has; `None` if it has nothing of the object.
pub(super) type PollAnswer = (u64, Option<Availability>);

/// A change that the download must know.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum PeerChange {
    Joined { instance: u64, address: SocketAddr },
    Updated { instance: u64, availability: Availability },
    Left { instance: u64 },
}

#[derive(Default)]
struct PolledPeer {
    /// A question is on its way.
    busy: bool,
    instance: Option<u64>,
    /// Whether it is this client, or a second address of another peer.
    ignored: bool,
    /// Whether the download knows what the peer has.
    noted: bool,
    /// Answers in a row that the peer has nothing.
    empty: u32,
    unanswered: u32,
}

impl PolledPeer {
    /// Reports that the peer's pieces are gone, if the download knew of them.
    fn leave(&mut self) -> Option<PeerChange> {
        let was_noted = std::mem::take(&mut self.noted);
        self.instance.filter(|_| was_noted).map(|instance| PeerChange::Left { instance })
    }
}

/// What is known of all addresses.
pub(super) struct PollState {
    /// This client's own number.
    own: u64,
    all: BTreeMap<SocketAddr, PolledPeer>,
    round: u32,
}

impl PollState {
    pub(super) fn new(own: u64) -> Self {
        Self { own, all: BTreeMap::new(), round: 0 }
    }

    /// Begins a round, and returns which of the known peers to ask. Each peer comes with the number
    /// under which it was announced, if it was.
    pub(super) fn round(
        &mut self,
        peers: &[(Option<u64>, SocketAddr)],
    ) -> (Vec<SocketAddr>, Vec<PeerChange>) {
        let mut changes: Vec<PeerChange> = self
            .all
            .iter_mut()
            .filter(|(address, _)| !peers.iter().any(|(_, known)| known == *address))
            .filter_map(|(_, asked)| asked.leave())
            .collect();
        let mut due = Vec::new();
        for (announced, address) in peers {
            let asked = self.all.entry(*address).or_default();
            let seldom = asked.empty > OFTEN && !self.round.is_multiple_of(SELDOM);
            if asked.busy || asked.ignored || seldom {
                continue;
            }
            asked.busy = true;
            due.push(*address);
            if asked.instance.is_none()
                && let Some(instance) = *announced
            {
                asked.instance = Some(instance);
                changes.push(PeerChange::Joined { instance, address: *address });
            }
        }
        self.round = self.round.wrapping_add(1);
        (due, changes)
    }

    /// Takes in the answer of an address, `None` if there was none. Returns which peer was asked
    /// and whether it answered, where that is known.
    pub(super) fn answered(
        &mut self,
        address: SocketAddr,
        answer: Option<PollAnswer>,
    ) -> (Option<(u64, bool)>, Vec<PeerChange>) {
        let is_double = answer.as_ref().is_some_and(|(instance, _)| {
            *instance == self.own || self.is_known_elsewhere(*instance, address)
        });
        let Some(asked) = self.all.get_mut(&address) else { return (None, Vec::new()) };
        asked.busy = false;
        let expected = asked.instance;
        let answer =
            answer.filter(|(instance, _)| expected.is_none_or(|expected| expected == *instance));
        let who = expected.map(|instance| (instance, answer.is_some()));
        let mut changes = Vec::new();
        match answer {
            Some(_) if expected.is_none() && is_double => asked.ignored = true,
            Some((instance, availability)) => {
                if expected.is_none() {
                    asked.instance = Some(instance);
                    changes.push(PeerChange::Joined { instance, address });
                }
                asked.unanswered = 0;
                if let Some(availability) = availability {
                    (asked.noted, asked.empty) = (true, 0);
                    changes.push(PeerChange::Updated { instance, availability });
                } else {
                    asked.empty = asked.empty.saturating_add(1);
                    changes.extend(asked.leave());
                }
            }
            None => {
                asked.unanswered += 1;
                if asked.unanswered >= UNANSWERED {
                    changes.extend(asked.leave());
                }
            }
        }
        (who, changes)
    }

    fn is_known_elsewhere(&self, instance: u64, address: SocketAddr) -> bool {
        self.all.iter().any(|(other, asked)| *other != address && asked.instance == Some(instance))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PieceSet;

    const OWN: u64 = 1;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 1], port))
    }

    fn has(received: u64) -> Availability {
        let (held, in_flight) = (PieceSet::of(2, [0]), PieceSet::none(2));
        Availability { held, in_flight, takes_part: true, received }
    }

    #[test]
    fn a_peer_joins_has_something_and_falls_silent() {
        let mut state = PollState::new(OWN);
        let peers = [(Some(7), at(1))];
        let joined = PeerChange::Joined { instance: 7, address: at(1) };
        assert_eq!(state.round(&peers), (vec![at(1)], vec![joined]));
        assert_eq!(state.round(&peers), (vec![], vec![]), "it has not answered yet");
        let updated = PeerChange::Updated { instance: 7, availability: has(5) };
        let answer = state.answered(at(1), Some((7, Some(has(5)))));
        assert_eq!(answer, (Some((7, true)), vec![updated]));
        state.round(&peers);
        assert_eq!(state.answered(at(1), None), (Some((7, false)), vec![]), "once is nothing");
        state.round(&peers);
        let left = vec![PeerChange::Left { instance: 7 }];
        assert_eq!(state.answered(at(1), None), (Some((7, false)), left));
        state.round(&peers);
        assert_eq!(state.answered(at(1), None).1, [], "it left once");
    }

    #[test]
    fn who_is_no_longer_known_leaves_once() {
        let mut state = PollState::new(OWN);
        state.round(&[(Some(7), at(1))]);
        state.answered(at(1), Some((7, Some(has(0)))));
        assert_eq!(state.round(&[]).1, [PeerChange::Left { instance: 7 }]);
        assert_eq!(state.round(&[]).1, []);
    }

    #[test]
    fn oneself_doubles_and_impostors_are_not_taken_in() {
        let mut state = PollState::new(OWN);
        let peers = [(None, at(1)), (None, at(2)), (Some(9), at(3)), (None, at(4))];
        state.round(&peers);
        assert_eq!(state.answered(at(1), Some((OWN, Some(has(0))))), (None, vec![]));
        assert_eq!(state.answered(at(2), Some((9, Some(has(0))))), (None, vec![]), "9 is at 3");
        // The peer was announced as 9, and its answer has the number 8.
        assert_eq!(state.answered(at(3), Some((8, Some(has(0))))), (Some((9, false)), vec![]));
        let joined = PeerChange::Joined { instance: 5, address: at(4) };
        assert_eq!(state.answered(at(4), Some((5, None))), (None, vec![joined]));
        assert_eq!(state.round(&peers).0, [at(3), at(4)], "the first two are asked no more");
    }

    #[test]
    fn who_has_nothing_is_asked_seldom_after_a_while() {
        let mut state = PollState::new(OWN);
        let peers = [(Some(7), at(1))];
        let mut asked = 0;
        for _ in 0..100 {
            if !state.round(&peers).0.is_empty() {
                asked += 1;
                state.answered(at(1), Some((7, None)));
            }
        }
        assert_eq!(asked, 21 + 19, "each of the first ones, then each fourth");
    }
}
