//! Finds range requests that are never silent and yet get nowhere, distinguishes them from slow
//! ones, and ends them.
//!
//! In: how far each range request has come, what the other ones do. Out: the end of a request whose
//! work others would do many times as fast. Never: a rate that every node must have. Where no node
//! is better, a slow node is a good one.

use std::collections::BTreeMap;

use super::node::Standing;
use super::{Effect, Fault, NodeIndex, RequestId, Scheduler};
use crate::model::transfer::FaultKind;

/// Seconds between two checks of a range request: to the internet, and to a peer. A peer is close
/// and fast, or of no use.
const CHECK_INTERVALS_SECONDS: (f64, f64) = (5.0, 2.0);
/// How many times as fast another request must be.
const MIN_SPEED_RATIO: f64 = 50.0;
/// Seconds that the request must still need for its piece, at least.
const MIN_REMAINING_SECONDS: f64 = 10.0;

impl Scheduler {
    /// For each of these range requests (seconds to its end, rate, id): when its current piece will
    /// arrive. The result has each piece once, with its earliest arrival and the node that sends
    /// it.
    pub(super) fn arrivals(
        &self,
        late: &[(f64, f64, RequestId)],
    ) -> BTreeMap<u32, (f64, NodeIndex)> {
        let mut arrivals = BTreeMap::new();
        for (_, rate, id) in late {
            let Some(range_request) = self.range_requests.get(id) else { continue };
            let piece = self.work.piece_at(range_request.position);
            let left =
                self.work.bytes(&(piece..piece + 1)).end.saturating_sub(range_request.position);
            let arrival = left as f64 / rate;
            let first = arrivals.entry(piece).or_insert((arrival, range_request.node));
            if arrival < first.0 {
                *first = (arrival, range_request.node);
            }
        }
        arrivals
    }

    /// Ends range requests that crawl while others, of any node, are many times as fast, and names
    /// their nodes.
    pub(super) fn leave_crawling(&mut self, now: f64, effects: &mut Vec<Effect>) {
        let mut rates: Vec<Option<f64>> = Vec::new();
        for node in &mut self.nodes {
            let works =
                node.standing == Standing::Ready && node.active > 0 && node.sent_within(now, 1.0);
            let range_requests = node.active.max(1) as f64;
            rates.push(node.rate(now).filter(|_| works).map(|rate| rate / range_requests));
        }
        let best = rates.iter().flatten().copied().fold(0.0, f64::max);
        let mut crawling = Vec::new();
        for (id, range_request) in
            self.range_requests.iter_mut().filter(|(_, range_request)| !range_request.cancelled)
        {
            if self.work.piece_at(range_request.position) >= range_request.run.end {
                continue;
            }
            let seconds = now - range_request.looked.0;
            let bytes = range_request.position - range_request.looked.1;
            if seconds
                < if range_request.node < self.internet {
                    CHECK_INTERVALS_SECONDS.0
                } else {
                    CHECK_INTERVALS_SECONDS.1
                }
            {
                continue;
            }
            range_request.looked = (now, range_request.position);
            // A request without any bytes is silent, which has its own limit.
            let rate = bytes as f64 / seconds;
            let piece = self.work.piece_at(range_request.position);
            let left =
                self.work.bytes(&(piece..piece + 1)).end.saturating_sub(range_request.position)
                    as f64;
            if bytes > 0 && rate * MIN_SPEED_RATIO < best && left / rate > MIN_REMAINING_SECONDS {
                crawling.push((
                    *id,
                    range_request.node,
                    rate,
                    rates[range_request.node].is_some_and(|own| rate * MIN_SPEED_RATIO < own),
                ));
            }
        }
        for (id, node, rate, others_of_it_do) in crawling {
            self.cancel(id, effects);
            if !others_of_it_do {
                self.nodes[node].crawls = true;
                let detail =
                    format!("sends {rate:.0} bytes a second, which is no help beside the others");
                self.fault(
                    now,
                    node,
                    Fault { kind: FaultKind::Stalled, detail, lasting: false, retry_after: None },
                    false,
                    effects,
                );
            }
        }
    }
}
