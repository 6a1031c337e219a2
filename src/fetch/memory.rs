//! What this client measured of nodes and of its own computer, stored in a small JSON file. The
//! scheduler uses it as the prior of the next download, and an offer bases its estimated time on it. A file that cannot be
//! read counts as an empty memory, because nothing depends on it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::{FetchError, WRITE_OR_READ};
use crate::durable;
use crate::file_error::FileResult as _;
use crate::look;
use crate::model::Node;

/// Nodes that the memory holds at most; the ones used longest ago go first.
const NODES: usize = 64;

/// Measurements of one node.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Bytes a second while the node was busy for this client.
    pub bytes_per_second: f64,
    /// Seconds from a request to the head of its answer.
    pub latency_seconds: f64,
    /// The number of connections that served best.
    pub connections: u32,
    /// Number of the download that measured it; the lowest is forgotten first.
    pub used: u64,
}

/// All measurements, by node address.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeMemory {
    #[serde(default)]
    downloads: u64,
    #[serde(default)]
    nodes: BTreeMap<String, Measured>,
    /// Bytes of a version that this computer puts together in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    installing: Option<f64>,
}

impl NodeMemory {
    /// Reads the file; an empty memory if the file is absent or invalid.
    pub fn load(path: &Path) -> Self {
        let memory = look::read(path, look::SMALL)
            .ok()
            .flatten()
            .and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok())
            .unwrap_or_default();
        let sound = |measured: &Measured| {
            measured.bytes_per_second.is_finite()
                && measured.bytes_per_second > 0.0
                && measured.latency_seconds.is_finite()
                && measured.latency_seconds >= 0.0
        };
        Self {
            nodes: memory.nodes.into_iter().filter(|(_, measured)| sound(measured)).collect(),
            installing: memory.installing.filter(|rate| rate.is_finite() && *rate > 0.0),
            ..memory
        }
    }

    /// Writes the file in one step.
    pub fn save(&self, path: &Path) -> Result<(), FetchError> {
        let text = serde_json::to_vec_pretty(self).at(WRITE_OR_READ, path)?;
        Ok(durable::replace(path, &text).at(WRITE_OR_READ, path)?)
    }

    /// The measurements of a node.
    pub fn of(&self, node: &Node) -> Option<Measured> {
        self.nodes.get(node.url.as_str()).copied()
    }

    /// Seconds to fetch `bytes` from these nodes together, at `cap` bytes a second at most. With
    /// only `cap` known, that is the rate: it is what a connection gives that was slowed on
    /// purpose. `None` if none of the nodes was ever measured and there is no cap.
    pub fn estimated_seconds(&self, nodes: &[Node], bytes: u64, cap: Option<u64>) -> Option<f64> {
        let known: Vec<Measured> = nodes.iter().filter_map(|node| self.of(node)).collect();
        let measured: f64 = known.iter().map(|measured| measured.bytes_per_second).sum();
        let latency = known
            .iter()
            .map(|measured| measured.latency_seconds)
            .reduce(f64::min)
            .unwrap_or_default();
        let cap = cap.filter(|cap| *cap > 0).map(|cap| cap as f64);
        let rate =
            Some(measured).filter(|rate| *rate > 0.0).into_iter().chain(cap).reduce(f64::min)?;
        Some(latency + bytes as f64 / rate)
    }

    /// Seconds in which this computer puts a version of `bytes` together; `None` before a
    /// measurement.
    pub fn installing_seconds(&self, bytes: u64) -> Option<u64> {
        self.installing.map(|rate| (bytes as f64 / rate).round() as u64)
    }

    /// Takes the time of one installation of `bytes` into account. `is_whole`: nothing of the work
    /// was done while bytes still arrived. A time that is not whole says only that it takes at
    /// least as long, so it serves until a whole one is known.
    pub fn learn_installing(&mut self, bytes: u64, seconds: f64, is_whole: bool) {
        let rate = bytes as f64 / seconds;
        if rate.is_finite() && rate > 0.0 && (is_whole || self.installing.is_none()) {
            self.installing = Some(rate);
        }
    }

    /// Stores the measurements of one download.
    pub(super) fn learn(&mut self, measured: impl IntoIterator<Item = (String, Measured)>) {
        self.downloads += 1;
        for (address, measured) in measured {
            self.nodes.insert(address, Measured { used: self.downloads, ..measured });
        }
        while self.nodes.len() > NODES {
            let oldest = self
                .nodes
                .iter()
                .min_by_key(|(_, measured)| measured.used)
                .map(|(address, _)| address.clone());
            oldest.and_then(|address| self.nodes.remove(&address));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(bytes_per_second: f64) -> Measured {
        Measured { bytes_per_second, latency_seconds: 0.5, connections: 4, used: 0 }
    }

    #[test]
    fn an_installation_is_as_slow_as_the_last_one_was() {
        let mut memory = NodeMemory::default();
        assert_eq!(memory.installing_seconds(1_000_000), None);
        memory.learn_installing(10_000_000, 1.0, false);
        assert_eq!(memory.installing_seconds(20_000_000), Some(2));
        memory.learn_installing(10_000_000, 5.0, true);
        assert_eq!(memory.installing_seconds(20_000_000), Some(10));
        // Part of the work was done during the download.
        memory.learn_installing(10_000_000, 0.5, false);
        // A clock that stood still, and an empty version.
        memory.learn_installing(10_000_000, 0.0, true);
        memory.learn_installing(0, 1.0, true);
        assert_eq!(memory.installing_seconds(20_000_000), Some(10));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nodes.json");
        memory.save(&path).unwrap();
        assert_eq!(NodeMemory::load(&path), memory);
    }

    #[test]
    fn what_was_learned_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nodes.json");
        assert_eq!(NodeMemory::load(&path), NodeMemory::default());
        let nodes: Vec<Node> =
            (1..4).map(|k| Node::at(format!("http://127.0.0.1:{k}/").parse().unwrap())).collect();
        let mut memory = NodeMemory::default();
        memory.learn([
            (nodes[0].url.to_string(), measured(1e6)),
            (nodes[1].url.to_string(), measured(3e6)),
        ]);
        memory.save(&path).unwrap();
        let memory = NodeMemory::load(&path);
        assert_eq!(memory.of(&nodes[1]).map(|measured| measured.used), Some(1));
        assert_eq!(memory.estimated_seconds(&nodes, 8_000_000, None), Some(2.5));
        assert_eq!(memory.estimated_seconds(&nodes, 8_000_000, Some(0)), Some(2.5));
        assert_eq!(memory.estimated_seconds(&nodes, 8_000_000, Some(1_000_000)), Some(8.5));
        assert_eq!(memory.estimated_seconds(&nodes, 8_000_000, Some(100_000_000)), Some(2.5));
        assert_eq!(memory.estimated_seconds(&nodes[2..], 8_000_000, Some(1_000_000)), Some(8.0));
        assert_eq!(memory.estimated_seconds(&nodes[2..], 8_000_000, None), None);
    }

    #[test]
    fn nonsense_in_the_file_is_no_memory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nodes.json");
        for text in ["", "[]", "{\"nodes\": 1}"] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(NodeMemory::load(&path), NodeMemory::default(), "{text}");
        }
        let zero = "{\"nodes\": {\"http://a/\": {\"bytes_per_second\": 0, \"latency_seconds\": 0, \"connections\": 1, \"used\": 1}}}";
        std::fs::write(&path, zero).unwrap();
        assert_eq!(NodeMemory::load(&path).nodes.len(), 0);
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut memory = NodeMemory::default();
        for k in 0..100 {
            memory.learn([(format!("http://{k}/"), measured(1.0))]);
        }
        assert_eq!(memory.nodes.len(), NODES);
        assert!(memory.nodes.contains_key("http://99/") && !memory.nodes.contains_key("http://0/"));
    }
}
