//! Reads from the engine's events what is worth a report.
//!
//! In: events, in order, and the time. Out: happenings, and whether a check has ended. Never: a
//! file, a clock; keeps a path or a text of an event.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::happening::{Download, Happening, Way, is_worth_a_report};
use crate::messages::protocol::{Event, Phase, Problem, Progress};
use crate::model::Offer;
use crate::model::plan::UpdateStrategy;
use crate::model::report::ReportedNode;
use crate::model::transfer::{NodeFault, PEER_ID_PREFIX, PEER_REGION};

/// What an event said.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Seen {
    pub(crate) happenings: Vec<Happening>,
    /// A check has ended: a good time to send reports.
    pub(crate) check_ended: bool,
}

/// Follows the events of one engine.
#[derive(Debug, Default)]
pub(crate) struct Observer {
    checking: bool,
    /// What was offered last.
    offer: Option<Offered>,
    /// The update under way.
    update: Option<UpdateSeen>,
}

#[derive(Clone, Debug)]
struct Offered {
    way: Way,
    full_bytes: u64,
}

#[derive(Debug)]
struct UpdateSeen {
    offered: Offered,
    /// When bytes began to come, unless they are paused.
    running_since: Option<Instant>,
    /// How long they came before that.
    ran: Duration,
    /// Whether all bytes are here.
    fetched: bool,
    nodes: BTreeMap<String, ReportedNode>,
    bytes: u64,
}

impl Observer {
    /// Takes one event.
    pub(crate) fn see(&mut self, event: &Event, now: Instant) -> Seen {
        let mut seen = Seen::default();
        match event {
            Event::Phase { phase } => self.phase(phase, now, &mut seen),
            Event::Progress(progress) => self.progress(progress),
            Event::NodeFault(fault) => self.fault(fault),
            // The list comes after each change of the installed versions.
            Event::Installed { versions, .. } => {
                let is_there = |update: &UpdateSeen| {
                    let way = &update.offered.way;
                    (update.fetched || way.strategy == UpdateStrategy::Installed)
                        && versions.iter().any(|one| one.id.version == way.to)
                };
                if let Some(update) = self.update.take_if(|update| is_there(update)) {
                    seen.happenings.push(Happening::Installed(update.offered.way));
                }
            }
            // A check by the schedule fails with a notice.
            Event::Notice { problem } if self.checking => failed_check(problem, &mut seen),
            _ => {}
        }
        seen
    }

    fn phase(&mut self, phase: &Phase, now: Instant, seen: &mut Seen) {
        let was_checking = std::mem::replace(&mut self.checking, matches!(phase, Phase::Checking));
        seen.check_ended = was_checking && !self.checking;
        match phase {
            Phase::Offered { offer } => self.offered(offer, seen),
            Phase::UpToDate { current: Some(current), .. } => {
                seen.happenings.push(Happening::Active(current.clone()));
            }
            Phase::Downloading { .. } => {
                if self.update.is_none() {
                    self.begin(seen);
                }
                if let Some(update) = &mut self.update {
                    update.running_since.get_or_insert(now);
                }
            }
            Phase::Paused { .. } => {
                if let Some(update) = &mut self.update {
                    update.stop(now);
                }
            }
            Phase::Installing { .. } => {
                if self.update.is_none() {
                    self.begin(seen);
                }
                self.fetched(now, seen);
            }
            Phase::Failed { problem } => match self.update.take() {
                Some(update) => seen.happenings.push(Happening::Failed {
                    problem: problem.kind,
                    nodes: update.nodes.into_values().collect(),
                    way: Some(update.offered.way),
                }),
                None if was_checking => failed_check(problem, seen),
                None => {}
            },
            Phase::Cancelled | Phase::Checking | Phase::Idle => self.update = None,
            _ => {}
        }
    }

    fn offered(&mut self, offer: &Offer, seen: &mut Seen) {
        let way = Way {
            from: offer.current.clone(),
            to: offer.version().clone(),
            strategy: offer.plan.strategy,
        };
        self.offer = Some(Offered { way: way.clone(), full_bytes: offer.plan.full_bytes });
        // A release that was fetched before anybody wanted it is offered again when it is there.
        if let Some(update) =
            self.update.take_if(|update| update.fetched && update.offered.way.to == way.to)
        {
            seen.happenings.push(Happening::Installed(update.offered.way));
            return;
        }
        self.update = None;
        seen.happenings.extend(offer.current.clone().map(Happening::Active));
        seen.happenings.push(Happening::Offered(way));
    }

    fn begin(&mut self, seen: &mut Seen) {
        let Some(offered) = self.offer.clone() else { return };
        seen.happenings.push(Happening::Started(offered.way.clone()));
        self.update = Some(UpdateSeen {
            offered,
            running_since: None,
            ran: Duration::ZERO,
            fetched: false,
            nodes: BTreeMap::new(),
            bytes: 0,
        });
    }

    fn fetched(&mut self, now: Instant, seen: &mut Seen) {
        let Some(update) = self.update.as_mut().filter(|update| !update.fetched) else { return };
        update.stop(now);
        update.fetched = true;
        let download = Download {
            bytes: update.bytes,
            full_bytes: update.offered.full_bytes,
            milliseconds: u64::try_from(update.ran.as_millis()).unwrap_or(u64::MAX),
            nodes: update.nodes.values().cloned().collect(),
        };
        seen.happenings.push(Happening::Fetched(update.offered.way.clone(), download));
    }

    fn progress(&mut self, progress: &Progress) {
        let Some(update) = self.update.as_mut().filter(|update| !update.fetched) else { return };
        // A download in several steps reports each of them by itself.
        update.bytes = update.bytes.max(progress.done);
        // Peers stand together: which computers of a network share is nobody's business.
        let mut peers = 0;
        for node in &progress.nodes {
            if node.id.starts_with(PEER_ID_PREFIX) || node.region == PEER_REGION {
                peers += node.done;
            } else {
                let known = update.node(&node.id);
                known.bytes = known.bytes.max(node.done);
            }
        }
        if peers > 0 {
            let known = update.node(PEER_REGION);
            known.bytes = known.bytes.max(peers);
        }
    }

    fn fault(&mut self, fault: &NodeFault) {
        let Some(update) = &mut self.update else { return };
        let is_peer = fault.node.starts_with(PEER_ID_PREFIX);
        update.node(if is_peer { PEER_REGION } else { &fault.node }).faults += 1;
    }
}

impl UpdateSeen {
    fn stop(&mut self, now: Instant) {
        if let Some(since) = self.running_since.take() {
            self.ran += now.saturating_duration_since(since);
        }
    }

    fn node(&mut self, id: &str) -> &mut ReportedNode {
        self.nodes
            .entry(id.to_owned())
            .or_insert_with(|| ReportedNode { node: id.to_owned(), ..ReportedNode::default() })
    }
}

fn failed_check(problem: &Problem, seen: &mut Seen) {
    if is_worth_a_report(problem) {
        seen.happenings.push(Happening::Failed {
            way: None,
            problem: problem.kind,
            nodes: Vec::new(),
        });
    }
}

#[cfg(test)]
mod tests;
