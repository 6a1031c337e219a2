//! What the scheduler does while there are peers: it adds and removes them, compares the rates of
//! peers and internet, and chooses what a free node fetches.

use std::ops::Range;

use super::node::{Node, Standing};
use super::{Effect, NodeIndex, RangeRequest, RequestId, Scheduler};
use crate::model::PieceSet;

/// Seconds of work before a node's rate counts beside that of the peers: a burst is no rate.
const SUSTAINED: f64 = 1.0;
/// Bytes of a first request to a peer. A later request takes about so many seconds, and at most so
/// many bytes, because the pieces that others have change.
const FIRST_FROM_PEER: f64 = (256 << 10) as f64;
const PEER_RUN: f64 = 0.5;
const MAX_PEER_RUN_BYTES: f64 = (4 << 20) as f64;
/// Range requests of a peer: the first number, and the maximum.
const PEER_REQUESTS: (usize, usize) = (2, 2);

impl Scheduler {
    /// The pieces that are being fetched from the internet.
    pub(crate) fn in_flight(&self) -> PieceSet {
        let range_requests = self
            .range_requests
            .values()
            .filter(|range_request| range_request.node < self.internet && !range_request.cancelled);
        let pieces = range_requests.flat_map(|range_request| {
            self.work.piece_at(range_request.position)..range_request.run.end
        });
        PieceSet::of(self.work.count(), pieces.filter(|piece| !self.work.is_done(*piece)))
    }

    pub(super) fn joined(&mut self, now: f64, instance: u64) {
        self.order.insert(self.random.usize(self.internet..=self.nodes.len()), self.nodes.len());
        self.assignment.joined(now, self.nodes.len(), instance);
        self.nodes.push(Node::new(None, PEER_REQUESTS));
    }

    pub(super) fn left(&mut self, now: f64, node: NodeIndex, effects: &mut Vec<Effect>) {
        self.assignment.left(node);
        let range_requests: Vec<RequestId> = self
            .range_requests
            .iter()
            .filter(|(_, range_request)| range_request.node == node)
            .map(|(id, _)| *id)
            .collect();
        range_requests.into_iter().for_each(|range_request| self.cancel(range_request, effects));
        self.settle(now, effects);
    }

    /// Hands out a run of pieces that the peer has.
    pub(super) fn ask_peer(&mut self, now: f64, index: NodeIndex, effects: &mut Vec<Effect>) {
        let rate = self.nodes[index].request_rate(now);
        let bytes = rate.map_or(FIRST_FROM_PEER, |rate| (rate * PEER_RUN).min(MAX_PEER_RUN_BYTES));
        let assignment = &self.assignment;
        if let Some((run, start)) =
            self.work.take(bytes, assignment.beginning(), &|piece| assignment.holds(index, piece))
        {
            self.request(now, index, run, start, rate, effects);
        }
    }

    /// Compares the rates of the peers and of the internet.
    pub(super) fn compare(&mut self, now: f64) {
        // Pieces that the internet is being asked for count too. Otherwise the client would move
        // them from one side to the other and back.
        let range_requests = self
            .range_requests
            .values()
            .filter(|range_request| range_request.node < self.internet && !range_request.cancelled);
        let asked = range_requests.flat_map(|range_request| {
            self.work.piece_at(range_request.position) + 1..range_request.run.end
        });
        let offered = self.work.free().chain(asked).filter(|piece| self.assignment.offers(*piece));
        let waiting = offered.map(|piece| self.work.size(piece)).sum::<u64>();
        let (internet, peers) = self.nodes.split_at_mut(self.internet);
        let is_ready = |node: &Node| node.standing == Standing::Ready;
        let possible = rate_of(now, internet, is_ready);
        let peers = rate_of(now, peers, is_ready);
        let sustained = internet.iter().any(|node| node.works_since(now) >= SUSTAINED);
        let internet = possible.filter(|_| sustained);
        self.assignment.compare(now, waiting as f64, peers.unwrap_or(0.0), internet);
        // Under a rate limit the rates say nothing about the peers.
        if !self.paused && !self.capped {
            self.charge_peers(now, possible.unwrap_or(0.0));
        }
    }

    /// Counts what the peers cost: the time for which the nodes of the internet, whose rate is
    /// `possible`, have nothing to do.
    fn charge_peers(&mut self, now: f64, possible: f64) {
        let (internet, peers) = self.nodes.split_at_mut(self.internet);
        let at_work = rate_of(now, internet, |node| node.active > 0).unwrap_or(0.0);
        let delivered = peers.iter().map(|node| node.verified).sum();
        self.assignment.charge(now, at_work, possible, delivered);
    }

    /// The peers have changed: shortens requests to the internet so that they end before the first
    /// piece that is not this client's to fetch.
    pub(super) fn settle(&mut self, now: f64, effects: &mut Vec<Effect>) {
        let nodes = &self.nodes;
        // The client waits for no crawling peer: neither for what it has nor for what it claims to
        // fetch.
        let standing = |index: NodeIndex| {
            let Node { standing, crawls, .. } = &nodes[index];
            (*standing == Standing::Ready && !crawls, *standing == Standing::Banned || *crawls)
        };
        self.assignment.settle(now, standing);
        let shortened: Vec<(RequestId, Range<u32>)> = self
            .range_requests
            .iter()
            .filter(|(_, request)| request.node < self.internet && !request.cancelled)
            .filter_map(|(id, request)| {
                let next = self.work.piece_at(request.position) + 1;
                let mut rest = next..request.run.end;
                let end = rest.find(|piece| !self.assignment.keeps(now, *piece))?;
                Some((*id, end..request.run.end))
            })
            .collect();
        for (id, pieces) in shortened {
            pieces.clone().for_each(|piece| self.work.release(piece, 0));
            self.shorten(now, id, pieces.start, effects);
        }
    }

    /// Whether there is a free piece that this node should be asked for.
    pub(super) fn has_work(&self, now: f64, index: NodeIndex) -> bool {
        if index >= self.internet {
            self.work.free().any(|piece| self.assignment.holds(index, piece))
        } else if self.assignment.is_empty() {
            self.work.free_bytes() > 0
        } else {
            self.work.free().any(|piece| self.assignment.fetches(now, piece))
        }
    }

    /// Whether a piece of this client's own share is still to be fetched.
    pub(super) fn has_own_work(&self) -> bool {
        // The position of a request that has all of its bytes is the next piece, which is not its
        // own.
        let at_work = |range_request: &RangeRequest| {
            let piece = self.work.piece_at(range_request.position);
            range_request.node < self.internet
                && range_request.run.contains(&piece)
                && self.assignment.is_mine_alone(piece)
        };
        self.work.free().any(|piece| self.assignment.is_mine_alone(piece))
            || self.range_requests.values().any(at_work)
    }
}

/// Bytes a second of the nodes that count, together; `None` if no rate is known.
fn rate_of(now: f64, nodes: &mut [Node], counts: impl Fn(&Node) -> bool) -> Option<f64> {
    let counting = nodes.iter_mut().filter(|node| counts(node));
    counting.filter_map(|node| node.rate(now)).reduce(|a, b| a + b)
}
