//! The nodes that the server offers to clients: the best three for the user's region.
//!
//! In: the nodes of `nodes.json`, the results of their checks. Out: a ranked list. Never: a check;
//! `node_checks` makes them.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use crate::model::Node;
use crate::model::node::rank;

/// How many nodes the server offers, by the specification.
const OFFERED: usize = 3;

/// Failures in a row up to which the server still offers a node.
const FAILURES_ALLOWED: u32 = 1;

/// Weight of the newest check in a node's latency and availability.
const NEWEST_WEIGHT: f64 = 0.2;

/// The results of the checks, by node id.
#[derive(Default)]
pub(super) struct NodeBook(RwLock<HashMap<String, Health>>);

#[derive(Clone, Copy, Debug, PartialEq)]
struct Health {
    latency_ms: Option<f64>,
    availability_percent: f64,
    failures: u32,
}

/// The result of the checks of a node.
#[derive(Debug, PartialEq)]
pub(super) struct CheckedNode {
    pub(super) id: String,
    /// Whether it is offered.
    pub(super) is_up: bool,
    pub(super) latency_ms: Option<f64>,
}

impl NodeBook {
    /// Those of the published nodes that were checked.
    pub(super) fn checked(&self, published: &[Node]) -> Vec<CheckedNode> {
        let book = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let checked = published.iter().filter_map(|node| {
            let health = book.get(&node.id)?;
            let is_up = health.failures <= FAILURES_ALLOWED;
            Some(CheckedNode { id: node.id.clone(), is_up, latency_ms: health.latency_ms })
        });
        checked.collect()
    }

    /// The best nodes for a user in `region`. If every node fails its checks, all are offered: then
    /// this server is more likely cut off from them than the client is.
    pub(super) fn offer(&self, published: &[Node], region: &str) -> Vec<Node> {
        let book = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let measured = |node: &Node| {
            let mut node = node.clone();
            if let Some(health) = book.get(&node.id) {
                node.metrics.latency_ms = health.latency_ms.or(node.metrics.latency_ms);
                node.metrics.availability_percent = Some(health.availability_percent);
            }
            node
        };
        let healthy = |node: &&Node| {
            book.get(&node.id).is_none_or(|health| health.failures <= FAILURES_ALLOWED)
        };
        let mut offered: Vec<Node> = published.iter().filter(healthy).map(measured).collect();
        if offered.is_empty() {
            offered = published.iter().map(measured).collect();
        }
        rank(&mut offered, region);
        offered.truncate(OFFERED);
        offered
    }

    /// Records the result of a check: the latency in milliseconds, or the reason for the failure.
    pub(super) fn enter(&self, node: &Node, outcome: Result<f64, String>) {
        let mut book = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let before = book.get(&node.id).copied();
        let after = Health::after(before, outcome.as_ref().ok().copied());
        let was_offered = before.is_none_or(|health| health.failures <= FAILURES_ALLOWED);
        match (was_offered, after.failures <= FAILURES_ALLOWED, outcome) {
            (true, false, Err(cause)) => {
                tracing::warn!(node = node.id, cause, "a node fails its checks; it is not offered")
            }
            (false, true, _) => tracing::info!(node = node.id, "a node passes its checks again"),
            _ => {}
        }
        book.insert(node.id.clone(), after);
    }
}

impl Health {
    fn after(before: Option<Self>, latency_ms: Option<f64>) -> Self {
        let success = if latency_ms.is_some() { 100.0 } else { 0.0 };
        let blend = |old: f64, new: f64| old + (new - old) * NEWEST_WEIGHT;
        Self {
            latency_ms: match (before.and_then(|health| health.latency_ms), latency_ms) {
                (Some(old), Some(new)) => Some(blend(old, new)),
                (old, new) => new.or(old),
            },
            availability_percent: before
                .map_or(success, |health| blend(health.availability_percent, success)),
            failures: if latency_ms.is_some() {
                0
            } else {
                before.map_or(1, |health| health.failures.saturating_add(1))
            },
        }
    }
}

/// The region of a user's location: a region's own name, or a time zone such as `Asia/Shanghai`;
/// `Global` for any other text.
pub(super) fn region_of(location: &str) -> &'static str {
    let area = location.split_once('/').map_or(location, |(area, _)| area).to_ascii_lowercase();
    match area.as_str() {
        "asia-pacific" | "asia" | "australia" | "pacific" | "indian" => "Asia-Pacific",
        "europe" | "africa" | "arctic" => "Europe",
        "americas" | "america" => "Americas",
        _ => "Global",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str, region: &str) -> Node {
        Node {
            id: id.to_owned(),
            region: region.to_owned(),
            ..Node::at("http://127.0.0.1:1/".parse().unwrap())
        }
    }

    fn ids(nodes: &[Node]) -> Vec<&str> {
        nodes.iter().map(|node| node.id.as_str()).collect()
    }

    #[test]
    fn the_best_three_for_the_region() {
        let nodes = [
            node("us", "Americas"),
            node("eu", "Europe"),
            node("cdn", "Global"),
            node("ap", "Asia-Pacific"),
        ];
        assert_eq!(ids(&NodeBook::default().offer(&nodes, "Asia-Pacific")), ["ap", "cdn", "eu"]);
        assert_eq!(ids(&NodeBook::default().offer(&nodes, "Europe")), ["eu", "cdn", "us"]);
    }

    #[test]
    fn a_failing_node_is_left_out_until_it_is_back() {
        let (book, nodes) = (NodeBook::default(), [node("a", "Global"), node("b", "Global")]);
        book.enter(&nodes[0], Err("down".to_owned()));
        assert_eq!(book.offer(&nodes, "Global").len(), 2, "one failure is forgiven");
        book.enter(&nodes[0], Err("down".to_owned()));
        assert_eq!(ids(&book.offer(&nodes, "Global")), ["b"]);
        let down = CheckedNode { id: "a".to_owned(), is_up: false, latency_ms: None };
        assert_eq!(book.checked(&nodes), [down], "b was not checked");
        book.enter(&nodes[0], Ok(10.0));
        assert_eq!(book.offer(&nodes, "Global").len(), 2);
        for node in nodes.iter().chain(&nodes) {
            book.enter(node, Err("down".to_owned()));
        }
        assert_eq!(book.offer(&nodes, "Global").len(), 2, "all failing: all are offered");
    }

    #[test]
    fn measured_latency_decides_among_equals() {
        let (book, nodes) = (NodeBook::default(), [node("far", "Global"), node("near", "Global")]);
        book.enter(&nodes[0], Ok(300.0));
        book.enter(&nodes[1], Ok(20.0));
        let offered = book.offer(&nodes, "Global");
        assert_eq!(ids(&offered), ["near", "far"]);
        assert_eq!(offered[0].metrics.latency_ms, Some(20.0));
        assert_eq!(offered[0].metrics.availability_percent, Some(100.0));
    }

    #[test]
    fn locations() {
        for (location, region) in [
            ("Asia-Pacific", "Asia-Pacific"),
            ("asia/Shanghai", "Asia-Pacific"),
            ("America/Sao_Paulo", "Americas"),
            ("Europe", "Europe"),
            ("Global", "Global"),
            ("", "Global"),
            ("nowhere", "Global"),
        ] {
            assert_eq!(region_of(location), region, "{location}");
        }
    }
}
