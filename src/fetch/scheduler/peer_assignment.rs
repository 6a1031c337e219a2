//! Decides which of the peers that download the same object fetches which piece from the internet
//! first.
//!
//! In: the peers, what each holds and is fetching, the time. Out: which pieces to request from a
//! node of the internet now. Never: a wait without an end; an effect on a download without peers.
//!
//! All peers compute the same order without exchanging messages. The weight of a block of pieces is
//! a hash of the block and of the peer's number, and the peer with the highest weight fetches the
//! block first (rendezvous hashing, Thaler and Ravishankar 1998). A peer that joins or leaves
//! changes the order of its own blocks only. All others take the block from a peer that has it.
//! When a peer does not deliver, the next one in the order fetches the block. So a peer network
//! does not fetch a piece twice because one of its computers is slow.

use std::collections::BTreeMap;

use super::NodeIndex;
use super::peer_budget::PeerBudget;
use crate::model::{Digest, PieceSet};

/// Approximate number of blocks of an object: enough to share finely, and few enough that a request
/// is worth its round trip.
const WANTED_BLOCKS: u32 = 128;
/// Seconds without a byte after which a peer that is fetching counts as stopped.
const STOPPED_AFTER_SECONDS: f64 = 4.0;
/// Bytes that count as a sign of life. The second number counts pieces: a peer may receive their
/// bytes before it has one piece more, because it has several requests in flight.
const MIN_LIVENESS_BYTES: u64 = 4 << 10;
const MAX_IN_FLIGHT_PIECES: u64 = 24;
/// Before this client fetches another peer's pieces, it must have had nothing of its own to fetch
/// for so many seconds, and for this share of the time that its own pieces took.
const RANK_DELAY_SECONDS: f64 = 1.0;
const RANK_DELAY_SHARE: f64 = 0.25;
/// Extra steps of waiting for a piece that another peer claims to be fetching.
const CLAIMED_PIECE_DELAYS: f64 = 3.0;
/// From this rank on, all peers wait equally long.
const LAST_RANK: usize = 4;
/// When the peers need more seconds than this for what they hold, the client may ask the internet
/// too. It first waits a moment, in which it measures their rate.
const LONG_REMAINDER_SECONDS: f64 = 4.0;
const MEASURING_SECONDS: f64 = 1.0;
/// Below this part of their usual rate the nodes of the internet count as idle.
const IDLE_SHARE: f64 = 0.5;
/// Weight of one measurement of the internet nodes' rate, while they are at work: a burst must not
/// count as a rate.
const SMOOTHING: f64 = 0.1;

/// A peer of this download.
struct PeerState {
    /// The peer's number, the same for all peers.
    instance: u64,
    held: PieceSet,
    in_flight: PieceSet,
    /// Whether the peer downloads the object itself.
    takes_part: bool,
    /// Three values about the bytes that the peer reports as received from any source: their number
    /// at the last change that was large enough to count, the time of that change, and their number
    /// when the peer last had a new piece.
    received: u64,
    moved: f64,
    received_at_gain: u64,
    /// Whether the peer may be asked now.
    reachable: bool,
    /// Whether the peer was left for good.
    banned: bool,
}

/// The peers of one download, and the assignment of pieces among them.
pub(super) struct PeerAssignment {
    instance: u64,
    count: u32,
    piece_size: u64,
    block: u32,
    peers: BTreeMap<NodeIndex, PeerState>,
    /// By block: how many peers that take part come before this client.
    ranks: Vec<usize>,
    /// By block: whether this client would be the first if all peers took part, as they soon may.
    expected: Vec<bool>,
    /// By piece: number of peers that hold it and may be asked.
    offered: Vec<u16>,
    /// By piece: whether a peer that takes part is fetching it.
    claimed: Vec<bool>,
    /// Since when this client has had nothing of its own to fetch.
    idle_since: Option<f64>,
    /// Whether to ask the internet also for pieces that peers hold.
    joins: bool,
    /// Smoothed bytes a second of the internet's nodes.
    internet: Option<f64>,
    /// Number of peers that take part: they share the connection to the internet.
    taking_part: usize,
    /// Time of the first piece on offer.
    offered_since: Option<f64>,
    /// What all peers together have cost.
    budget: PeerBudget,
}

impl PeerAssignment {
    pub(super) fn new(instance: u64, count: u32, piece_size: u64) -> Self {
        let block = (count / WANTED_BLOCKS).clamp(1, 8);
        Self {
            instance,
            count,
            piece_size,
            block,
            peers: BTreeMap::new(),
            ranks: vec![0; count.div_ceil(block) as usize],
            expected: vec![true; count.div_ceil(block) as usize],
            offered: vec![0; count as usize],
            claimed: vec![false; count as usize],
            idle_since: None,
            joins: false,
            internet: None,
            taking_part: 0,
            offered_since: None,
            budget: PeerBudget::default(),
        }
    }

    /// Whether there are no peers: then the assignment changes nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    pub(super) fn joined(&mut self, now: f64, node: NodeIndex, instance: u64) {
        let (held, in_flight) = (PieceSet::none(self.count), PieceSet::none(self.count));
        let peer = PeerState {
            instance,
            held,
            in_flight,
            takes_part: false,
            received: 0,
            moved: now,
            received_at_gain: 0,
            reachable: true,
            banned: false,
        };
        self.peers.insert(node, peer);
    }

    pub(super) fn noted(
        &mut self,
        now: f64,
        node: NodeIndex,
        pieces: (PieceSet, PieceSet),
        takes_part: bool,
        received: u64,
    ) {
        let (held, in_flight) = pieces;
        let fits = held.count() == self.count && in_flight.count() == self.count;
        let Some(peer) = self.peers.get_mut(&node).filter(|_| fits) else { return };
        if received >= peer.received.saturating_add(MIN_LIVENESS_BYTES) || !peer.takes_part {
            (peer.moved, peer.received) = (now, received);
        }
        if held.pieces().any(|piece| !peer.held.holds(piece)) || !peer.takes_part {
            peer.received_at_gain = received;
        }
        (peer.held, peer.in_flight, peer.takes_part) = (held, in_flight, takes_part);
    }

    /// Forgets what the peer holds and fetches; the peer may report again.
    pub(super) fn left(&mut self, node: NodeIndex) {
        if let Some(peer) = self.peers.get_mut(&node) {
            (peer.held, peer.in_flight) = (PieceSet::none(self.count), PieceSet::none(self.count));
            peer.takes_part = false;
        }
    }

    /// Computes the assignment again: after a peer event, and from time to time. `standing` says of
    /// a peer whether it may be asked now, and whether it was left for good.
    pub(super) fn settle(&mut self, now: f64, standing: impl Fn(NodeIndex) -> (bool, bool)) {
        for (index, peer) in &mut self.peers {
            (peer.reachable, peer.banned) = standing(*index);
        }
        // A peer that waits for others receives nothing either, and has not stopped. Bytes that
        // never become a piece are no sign of work.
        let most = self.piece_size * MAX_IN_FLIGHT_PIECES;
        let honest = |peer: &PeerState| peer.received.saturating_sub(peer.received_at_gain) <= most;
        let at_work = |peer: &PeerState| now - peer.moved <= STOPPED_AFTER_SECONDS && honest(peer);
        let moves = |peer: &PeerState| peer.in_flight.is_empty() || at_work(peer);
        // A failed request to a peer says nothing about what the peer fetches for itself.
        let part = |peer: &&PeerState| peer.takes_part && !peer.banned && moves(peer);
        let others: Vec<&PeerState> = self.peers.values().filter(part).collect();
        self.taking_part = others.len();
        for (block, rank) in self.ranks.iter_mut().enumerate() {
            let mine = weight(self.instance, block);
            let first = u32::try_from(block).unwrap_or(u32::MAX).saturating_mul(self.block);
            let pieces = first..first.saturating_add(self.block).min(self.count);
            // A peer that has the block already, but cannot be asked, brings it to no other peer.
            let is_of_use = |other: &PeerState| {
                other.reachable || !pieces.clone().all(|piece| other.held.holds(piece))
            };
            *rank = others
                .iter()
                .filter(|other| {
                    (weight(other.instance, block), other.instance) > (mine, self.instance)
                        && is_of_use(other)
                })
                .count();
        }
        let all: Vec<u64> =
            self.peers.values().filter(|peer| !peer.banned).map(|other| other.instance).collect();
        for (block, expected) in self.expected.iter_mut().enumerate() {
            let mine = weight(self.instance, block);
            *expected = all.iter().all(|other| weight(*other, block) < mine);
        }
        for piece in 0..self.count {
            let at = piece as usize;
            self.claimed[at] = others.iter().any(|other| other.in_flight.holds(piece));
            let holders =
                self.peers.values().filter(|peer| peer.reachable && peer.held.holds(piece)).count();
            self.offered[at] = u16::try_from(holders).unwrap_or(u16::MAX);
        }
    }

    /// Whether this peer has the piece.
    pub(super) fn holds(&self, node: NodeIndex, piece: u32) -> bool {
        self.peers.get(&node).is_some_and(|peer| peer.held.holds(piece))
    }

    /// Whether a peer that may be asked has the piece.
    pub(super) fn offers(&self, piece: u32) -> bool {
        self.offered.get(piece as usize).is_some_and(|holders| *holders > 0)
    }

    /// Whether a node of the internet should be asked for the piece now.
    pub(super) fn fetches(&self, now: f64, piece: u32) -> bool {
        if self.is_empty() || self.costs_too_much() {
            return true;
        }
        if self.offers(piece) {
            return self.joins;
        }
        let rank =
            self.ranks.get((piece / self.block) as usize).copied().unwrap_or(0).min(LAST_RANK);
        let claimed = self.claimed.get(piece as usize).copied().unwrap_or(false);
        let due = rank as f64 + if claimed { CLAIMED_PIECE_DELAYS } else { 0.0 };
        due == 0.0
            || self.idle_since.is_some_and(|since| {
                now - since >= due * (since * RANK_DELAY_SHARE).max(RANK_DELAY_SECONDS)
            })
    }

    /// Whether to ask for the piece before others: it stays this client's own also when all peers
    /// take part. This costs nothing where they do not take part. Where all begin at once, the
    /// choice is right before the peers know each other.
    pub(super) fn prefers(&self, piece: u32) -> bool {
        self.expected.get((piece / self.block) as usize).copied().unwrap_or(true)
    }

    /// Whether the piece is this client's own to fetch.
    pub(super) fn is_mine(&self, piece: u32) -> bool {
        !self.offers(piece)
            && self.ranks.get((piece / self.block) as usize).copied().unwrap_or(0) == 0
    }

    /// Whether the piece is this client's own, and no peer has begun with it.
    pub(super) fn is_mine_alone(&self, piece: u32) -> bool {
        self.is_mine(piece) && !self.claimed.get(piece as usize).copied().unwrap_or(false)
    }

    /// Whether a request to the internet that is under way should go on to this piece.
    pub(super) fn keeps(&self, now: f64, piece: u32) -> bool {
        self.is_mine(piece) || self.fetches(now, piece)
    }

    /// Where this client begins among its pieces. Each client begins at another place, because at
    /// first the assignment is unknown.
    pub(super) fn beginning(&self) -> u32 {
        if self.is_empty() {
            0
        } else {
            (weight(self.instance, usize::MAX) % u64::from(self.count.max(1))) as u32 / self.block
                * self.block
        }
    }

    /// Notes whether this client has pieces of its own left to fetch.
    pub(super) fn note_work(&mut self, now: f64, any: bool) {
        self.idle_since = if any { None } else { self.idle_since.or(Some(now)) };
    }

    /// Counts what the peers cost. The nodes of the internet have the rate `at_work` now, and could
    /// have their usual one, or `possible` if they have not worked for long. All peers together
    /// have delivered so many bytes.
    pub(super) fn charge(&mut self, now: f64, at_work: f64, possible: f64, delivered: u64) {
        let usual = self.internet.unwrap_or(possible);
        self.budget.charge(now, at_work < usual * IDLE_SHARE, usual, delivered);
    }

    /// Whether the peers have cost this download so much time that it waits for none of them.
    pub(super) fn costs_too_much(&self) -> bool {
        self.budget.is_used_up()
    }

    /// Compares both sides. `bytes` is how much of the peers' offer is still wanted. `peers` and
    /// `internet` are rates in bytes a second; `internet` is known only while the nodes of the
    /// internet are at work.
    pub(super) fn compare(&mut self, now: f64, bytes: f64, peers: f64, internet: Option<f64>) {
        if let Some(rate) = internet {
            let known = self.internet.get_or_insert(rate);
            *known += (rate - *known) * SMOOTHING;
        }
        if bytes <= 0.0 {
            (self.offered_since, self.joins) = (None, false);
            return;
        }
        let since = *self.offered_since.get_or_insert(now);
        let slow = bytes / peers.max(1.0) > LONG_REMAINDER_SECONDS;
        // If this client asks the internet for what peers have, all peers do so too.
        let all = (1 + self.taking_part) as f64;
        self.joins = now - since >= MEASURING_SECONDS
            && slow
            && self.internet.is_none_or(|rate| peers < rate / all);
    }
}

/// The weight of a whole object for a client: it decides which client fetches it first.
pub(crate) fn weight_of(instance: u64, digest: &Digest) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&digest.as_bytes()[..8]);
    weight(instance ^ u64::from_le_bytes(first), 0)
}

/// A hash that spreads both of its parts over all bits (the finaliser of `splitmix64`, twice).
fn weight(instance: u64, block: usize) -> u64 {
    let mix = |mut word: u64| {
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    };
    mix(mix(instance.wrapping_add(0x9e37_79b9_7f4a_7c15))
        ^ (block as u64).wrapping_mul(0xd6e8_feb8_6659_fd93))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNT: u32 = 512;

    fn assignment(me: u64, others: &[u64]) -> PeerAssignment {
        let mut assignment = PeerAssignment::new(me, COUNT, 1000);
        for (node, instance) in others.iter().enumerate() {
            assignment.joined(0.0, node + 1, *instance);
            assignment.noted(
                0.0,
                node + 1,
                (PieceSet::none(COUNT), PieceSet::none(COUNT)),
                true,
                1,
            );
        }
        assignment.settle(0.0, |_| (true, false));
        assignment
    }

    fn mine(assignment: &PeerAssignment, now: f64) -> Vec<u32> {
        (0..COUNT).filter(|piece| assignment.fetches(now, *piece)).collect()
    }

    #[test]
    fn all_agree_on_who_fetches_what_and_shares_are_fair() {
        let instances: Vec<u64> = (0..20).map(|number| number * number + 7).collect();
        let mut fetched = vec![0; COUNT as usize];
        for me in &instances {
            let others: Vec<u64> = instances.iter().copied().filter(|other| other != me).collect();
            let mine = mine(&assignment(*me, &others), 0.0);
            assert!(mine.len() < COUNT as usize / 6, "{}", mine.len());
            mine.into_iter().for_each(|piece| fetched[piece as usize] += 1);
        }
        assert!(fetched.iter().all(|times| *times == 1));
        assert_eq!(mine(&assignment(1, &[]), 0.0).len(), COUNT as usize);
    }

    #[test]
    fn one_that_leaves_or_stops_hands_only_its_own_blocks_on() {
        let mut assignment = assignment(1, &[2, 3]);
        let before = mine(&assignment, 0.0);
        assignment.left(1);
        assignment.settle(0.1, |_| (true, false));
        let after = mine(&assignment, 0.1);
        assert!(before.iter().all(|piece| after.contains(piece)) && after.len() < COUNT as usize);
        // The other peer goes on: what it holds stays its own. This client no longer waits for it
        // after it has stopped.
        assignment.noted(
            3.0,
            2,
            (PieceSet::of(COUNT, [0]), PieceSet::of(COUNT, [1])),
            true,
            10_000,
        );
        assignment.settle(6.9, |_| (true, false));
        assert!(mine(&assignment, 6.9).len() < COUNT as usize);
        assignment.settle(7.1, |_| (true, false));
        assert_eq!(
            mine(&assignment, 7.1),
            (1..COUNT).collect::<Vec<_>>(),
            "what it holds is still taken from it"
        );
        assignment.settle(7.1, |node| (node != 2, node == 2));
        assert_eq!(mine(&assignment, 7.1).len(), COUNT as usize);
    }

    #[test]
    fn what_others_do_not_fetch_is_fetched_in_turn() {
        let mut assignment = assignment(1, &[2, 3, 4]);
        let claimed = (0..COUNT).find(|piece| !assignment.fetches(0.0, *piece)).unwrap();
        let weight_of =
            |node: usize| weight(node as u64 + 1, (claimed / assignment.block) as usize);
        let owner = (1..=3).max_by_key(|node| weight_of(*node));
        assignment.noted(
            0.0,
            owner.unwrap(),
            (PieceSet::none(COUNT), PieceSet::of(COUNT, [claimed])),
            true,
            2,
        );
        assignment.note_work(8.0, false);
        let mut before = 0;
        for step in 0..=3 {
            let now = 8.0 + 2.0 * f64::from(step);
            for node in 1..=3 {
                assignment.peers.get_mut(&node).unwrap().moved = now;
            }
            assignment.settle(now, |_| (true, false));
            let mine = mine(&assignment, now);
            assert!(mine.len() > before && !mine.contains(&claimed), "{step}");
            before = mine.len();
        }
        assignment.peers.get_mut(&owner.unwrap()).unwrap().moved = 8.0 + 2.0 * 7.0;
        assignment.settle(8.0 + 2.0 * 7.0, |node| (node == owner.unwrap(), node != owner.unwrap()));
        assert!(assignment.fetches(8.0 + 2.0 * 7.0, claimed));
        assignment.note_work(9.0, true);
        assert!(!assignment.fetches(8.0 + 2.0 * 7.0, claimed));
    }

    #[test]
    fn the_internet_helps_where_peers_are_slow() {
        let mut assignment = assignment(1, &[2]);
        assignment.noted(0.0, 1, (PieceSet::of(COUNT, 0..COUNT), PieceSet::none(COUNT)), false, 2);
        assignment.settle(0.0, |_| (true, false));
        assignment.compare(0.0, 100e6, 0.0, None);
        assert!(mine(&assignment, 0.0).is_empty());
        assignment.compare(1.1, 100e6, 100e6, Some(10e6));
        assert!(mine(&assignment, 1.1).is_empty());
        assignment.compare(1.2, 100e6, 15e6, None);
        assert!(mine(&assignment, 1.2).is_empty());
        assignment.compare(1.2, 100e6, 5e6, Some(10e6));
        assert_eq!(mine(&assignment, 1.2).len(), COUNT as usize);
        assignment.compare(1.3, 1e6, 5e6, Some(10e6));
        assert!(mine(&assignment, 1.3).is_empty());
    }
}
