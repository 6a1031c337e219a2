//! The progress of a download, as users see it.

use super::Driver;
use crate::fetch::job::{FetchEvent, Progress};
use crate::model::Node;
use crate::model::transfer::{NodeProgress, NodeState};

impl Driver {
    pub(super) fn progress(&mut self) {
        let missing = self.scheduler.missing_bytes();
        let seconds_left = (self.speed >= 1.0).then(|| (missing as f64 / self.speed).ceil() as u64);
        let total = self.total;
        // With large pieces on slow connections, the progress would not move for long. Bytes that
        // are lost again are not subtracted: they will come once more.
        let in_flight = self.scheduler.in_flight_bytes().min(missing);
        self.done = self.done.max(total - missing + in_flight);
        let progress = Progress {
            done: self.done,
            total,
            speed: self.speed,
            seconds_left,
            nodes: self.nodes(),
        };
        let _ = self.events.send(FetchEvent::Progress(progress));
    }

    pub(super) fn nodes(&mut self) -> Vec<NodeProgress> {
        let now = self.started.elapsed();
        let line = |(index, node): (usize, &Node)| {
            let view = self.scheduler.view(now, index);
            NodeProgress {
                id: node.id.clone(),
                name: node.label().to_owned(),
                region: node.region.clone(),
                done: view.map_or(0, |view| view.done),
                speed: view.map_or(0.0, |view| view.speed),
                state: view.map_or(NodeState::Idle, |view| view.state),
            }
        };
        let peers = self.peers.iter().map(|peer| &peer.node);
        let lines: Vec<NodeProgress> =
            self.job.nodes.iter().chain(peers).enumerate().map(line).collect();
        // A peer that has sent nothing is not shown.
        let first = self.job.nodes.len();
        let worth = |(index, line): &(usize, NodeProgress)| {
            *index < first || line.done > 0 || line.state == NodeState::Active
        };
        lines.into_iter().enumerate().filter(worth).map(|(_, line)| line).collect()
    }

    pub(super) fn node(&self, index: usize) -> Option<&Node> {
        let peer = |index: usize| self.peers.get(index).map(|peer| &peer.node);
        self.job.nodes.get(index).or_else(|| peer(index - self.job.nodes.len()))
    }
}
