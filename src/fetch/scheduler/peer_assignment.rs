//! Who of the neighbours that download the same object fetches which piece from the internet first.
//!
//! In: which neighbours there are, what they hold and are fetching, the time. Out: which pieces a
//! node of the internet should be asked for now. Never: a wait without an end, and without
//! neighbours no influence at all.
//!
//! Every neighbour computes the same order without a word: the weight of a block of pieces is a
//! hash of the block and of the neighbour's number, and the one with the highest weight fetches it
//! first (rendezvous hashing, Thaler and Ravishankar 1998). One that joins or leaves changes the
//! order of its own blocks only. Everybody else takes the block from whoever has it. One that does
//! not deliver is stepped over, the next in the order first, so that an office does not fetch a
//! piece twice because one of its computers is slow.

use std::collections::BTreeMap;

use super::NodeIndex;
use crate::model::{Digest, PieceSet};

/// Blocks that an object is cut into, about: enough to share finely, few enough that a request is
/// worth its round trip.
const WANTED_BLOCKS: u32 = 128;
/// Seconds without a byte after which a neighbour that is fetching is taken to have stopped.
const STOPPED: f64 = 4.0;
/// Bytes that count as a sign of life; and pieces' worth of bytes that a neighbour may receive
/// before it has one more: it has some requests in flight.
const LEAST: u64 = 4 << 10;
const EXCUSES: u64 = 24;
/// Seconds with nothing of one's own to fetch before somebody else's pieces are, at least; and the
/// share of the time that one's own took.
const STEP: f64 = 1.0;
const STEP_SHARE: f64 = 0.25;
/// Steps by which pieces wait longer that somebody says to be fetching.
const CLAIMED_STEPS: f64 = 3.0;
/// From this place in the order on everybody is the next.
const LAST_RANK: usize = 4;
/// Seconds that neighbours may take for what they hold before the internet is asked as well; a
/// moment for their rate to be known.
const LONG: f64 = 4.0;
const MOMENT: f64 = 1.0;
/// What one look at the rate of the internet's nodes counts, while they are at work: a burst is no
/// rate.
const SMOOTHING: f64 = 0.1;

/// A neighbour.
struct PeerState {
    /// Its number, the same for everybody.
    instance: u64,
    held: PieceSet,
    in_flight: PieceSet,
    /// It downloads the object itself.
    takes_part: bool,
    /// Bytes that it has received from anybody, by its own account, when that changed last by
    /// enough to count, and how many they were when it had a piece more than before.
    received: u64,
    moved: f64,
    received_at_gain: u64,
    /// It may be asked now.
    reachable: bool,
    /// It was left for good.
    banned: bool,
}

/// The neighbours of one download.
pub(super) struct PeerAssignment {
    instance: u64,
    count: u32,
    piece_size: u64,
    block: u32,
    peers: BTreeMap<NodeIndex, PeerState>,
    /// By block: how many of those that take part come before this client.
    ranks: Vec<usize>,
    /// By block: whether this client would be the first if all neighbours took part, as they soon
    /// may.
    expected: Vec<bool>,
    /// By piece: neighbours that hold it and may be asked.
    offered: Vec<u16>,
    /// By piece: somebody who takes part is fetching it.
    claimed: Vec<bool>,
    /// Since when there was nothing of one's own to fetch.
    idle_since: Option<f64>,
    /// The internet is asked also for what neighbours hold.
    joins: bool,
    /// Bytes a second of the internet's nodes, smoothed.
    internet: Option<f64>,
    /// Neighbours that take part: they share the line to the internet.
    taking_part: usize,
    /// When pieces were on offer first.
    offered_since: Option<f64>,
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
        }
    }

    /// Nobody is there: everything is as it would be without an office.
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
        if received >= peer.received.saturating_add(LEAST) || !peer.takes_part {
            (peer.moved, peer.received) = (now, received);
        }
        if held.pieces().any(|piece| !peer.held.holds(piece)) || !peer.takes_part {
            peer.received_at_gain = received;
        }
        (peer.held, peer.in_flight, peer.takes_part) = (held, in_flight, takes_part);
    }

    /// Forgets what it holds and fetches; it may tell anew.
    pub(super) fn left(&mut self, node: NodeIndex) {
        if let Some(peer) = self.peers.get_mut(&node) {
            (peer.held, peer.in_flight) = (PieceSet::none(self.count), PieceSet::none(self.count));
            peer.takes_part = false;
        }
    }

    /// Computes anew who is there: after news, and from time to time. `standing` says who may be
    /// asked now, and who was left for good.
    pub(super) fn settle(&mut self, now: f64, standing: impl Fn(NodeIndex) -> (bool, bool)) {
        for (index, peer) in &mut self.peers {
            (peer.reachable, peer.banned) = standing(*index);
        }
        // One that waits for others gets nothing either, and has not stopped. Bytes without a piece
        // in the end are an excuse.
        let most = self.piece_size * EXCUSES;
        let honest = |peer: &PeerState| peer.received.saturating_sub(peer.received_at_gain) <= most;
        let at_work = |peer: &PeerState| now - peer.moved <= STOPPED && honest(peer);
        let moves = |peer: &PeerState| peer.in_flight.is_empty() || at_work(peer);
        // A request that failed says nothing about what it fetches for itself.
        let part = |peer: &&PeerState| peer.takes_part && !peer.banned && moves(peer);
        let others: Vec<&PeerState> = self.peers.values().filter(part).collect();
        self.taking_part = others.len();
        for (block, rank) in self.ranks.iter_mut().enumerate() {
            let mine = weight(self.instance, block);
            let first = u32::try_from(block).unwrap_or(u32::MAX).saturating_mul(self.block);
            let pieces = first..first.saturating_add(self.block).min(self.count);
            // One that has the block already, and cannot be asked for it, brings it to nobody.
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

    /// Whether this neighbour has the piece.
    pub(super) fn holds(&self, node: NodeIndex, piece: u32) -> bool {
        self.peers.get(&node).is_some_and(|peer| peer.held.holds(piece))
    }

    /// Whether some neighbour that may be asked has the piece.
    pub(super) fn offers(&self, piece: u32) -> bool {
        self.offered.get(piece as usize).is_some_and(|holders| *holders > 0)
    }

    /// Whether a node of the internet should be asked for the piece now.
    pub(super) fn fetches(&self, now: f64, piece: u32) -> bool {
        if self.is_empty() {
            return true;
        }
        if self.offers(piece) {
            return self.joins;
        }
        let rank =
            self.ranks.get((piece / self.block) as usize).copied().unwrap_or(0).min(LAST_RANK);
        let claimed = self.claimed.get(piece as usize).copied().unwrap_or(false);
        let due = rank as f64 + if claimed { CLAIMED_STEPS } else { 0.0 };
        due == 0.0
            || self
                .idle_since
                .is_some_and(|since| now - since >= due * (since * STEP_SHARE).max(STEP))
    }

    /// Whether the piece should rather be asked for than others: it is this client's own also when
    /// all of the neighbours take part. That costs nothing where they do not, and where all begin
    /// at once it is right before they have heard of each other.
    pub(super) fn prefers(&self, piece: u32) -> bool {
        self.expected.get((piece / self.block) as usize).copied().unwrap_or(true)
    }

    /// Whether the piece is this client's own to fetch.
    pub(super) fn is_mine(&self, piece: u32) -> bool {
        !self.offers(piece)
            && self.ranks.get((piece / self.block) as usize).copied().unwrap_or(0) == 0
    }

    /// Whether it is, and nobody else has begun with it.
    pub(super) fn is_mine_alone(&self, piece: u32) -> bool {
        self.is_mine(piece) && !self.claimed.get(piece as usize).copied().unwrap_or(false)
    }

    /// Whether a request to the internet that was made should go on to this piece.
    pub(super) fn keeps(&self, now: f64, piece: u32) -> bool {
        self.is_mine(piece) || self.fetches(now, piece)
    }

    /// Where this client begins among its pieces: each at another place, for the time before it is
    /// known who takes what.
    pub(super) fn beginning(&self) -> u32 {
        if self.is_empty() {
            0
        } else {
            (weight(self.instance, usize::MAX) % u64::from(self.count.max(1))) as u32 / self.block
                * self.block
        }
    }

    /// Notes whether there is anything of one's own left to fetch.
    pub(super) fn note_work(&mut self, now: f64, any: bool) {
        self.idle_since = if any { None } else { self.idle_since.or(Some(now)) };
    }

    /// Looks at what the neighbours hold, `bytes` of it still wanted, and at the rates of both
    /// sides, bytes a second; that of the internet while it is at work.
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
        let slow = bytes / peers.max(1.0) > LONG;
        // If this client asks the internet for what neighbours have, so do they all.
        let all = (1 + self.taking_part) as f64;
        self.joins =
            now - since >= MOMENT && slow && self.internet.is_none_or(|rate| peers < rate / all);
    }
}

/// The weight of a whole object for a client: who of an office fetches it first.
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
        // The other one goes on: what it holds is its, and it is no longer waited for once it has
        // stopped.
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
