//! What the launcher remembers between two reports, so that each step of an update is reported once,
//! and the numbers that stand for the installation.
//!
//! In: a happening, the time, random bits. Out: a report, or none. Never: a file or a clock.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::happening::{Happening, failure_word, problem_word, strategy_word};
use crate::model::incident::LaunchFailure;
use crate::model::launcher::own_version;
use crate::model::platform::AppName;
use crate::model::report::{
    NODE_FAULTS, REPORT_NODES, RandomId, Report, ReportKind, ReportedNode, label,
};
use crate::model::{Platform, Version};

/// How long one number stands for the installation, seconds: 28 days.
const IDENTITY_SECONDS: i64 = 28 * DAY;
const DAY: i64 = 24 * 60 * 60;
/// Updates that are remembered, until the app has come up in their versions.
const MOST_UPDATES: usize = 8;

/// What stands around a happening.
pub(super) struct Surroundings<'a> {
    pub(super) app: AppName,
    pub(super) channel: String,
    pub(super) platform: Platform,
    pub(super) region: String,
    /// Seconds since 1970.
    pub(super) now: i64,
    /// 128 random bits.
    pub(super) random: &'a dyn Fn() -> u128,
}

/// `reports/memory.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Memory {
    /// The number that stands for this installation, and since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<(RandomId, i64)>,
    /// Updates under way, the oldest first.
    updates: Vec<UpdateUnderWay>,
    /// What was reported on the day `day`, in days since 1970, and must not be reported again.
    day: i64,
    today: BTreeSet<String>,
    /// Reports that were dropped since the last batch that was taken.
    pub(super) dropped: u64,
    /// Nothing is sent before this time, seconds since 1970.
    pub(super) not_before: i64,
    /// How often sending has failed in a row.
    pub(super) failures: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct UpdateUnderWay {
    id: RandomId,
    #[serde(default)]
    from: Option<Version>,
    to: Version,
    reported: BTreeSet<ReportKind>,
}

impl Memory {
    /// The report of a happening; `None` if it was reported before, or is no part of an update.
    pub(super) fn report(
        &mut self,
        happening: &Happening,
        around: &Surroundings<'_>,
    ) -> Option<Report> {
        let kind = happening.kind();
        let update = match happening {
            Happening::Active(_) | Happening::Failed { way: None, .. } => {
                if !self.is_first_today(happening, around.now) {
                    return None;
                }
                None
            }
            _ => Some(self.update_of(happening, around)?),
        };
        let mut report = Report {
            id: RandomId::new((around.random)()),
            installation: self.identity(around),
            update: update.as_ref().map(|update| update.id.clone()),
            at: around.now - around.now.rem_euclid(60),
            kind,
            app: around.app.clone(),
            channel: around.channel.clone(),
            platform: around.platform.clone(),
            from: update.and_then(|update| update.from),
            to: happening.to().cloned(),
            launcher: own_version(),
            region: around.region.clone(),
            way: happening.way().map(|way| strategy_word(way.strategy)),
            bytes: None,
            full_bytes: None,
            milliseconds: None,
            nodes: Vec::new(),
            problem: None,
            reason: None,
            status: None,
        };
        complete(&mut report, happening);
        Some(report)
    }

    /// The update that a happening belongs to, unless it was reported before. It begins with an
    /// offer or a download: what a person does with installed versions is no update.
    fn update_of(
        &mut self,
        happening: &Happening,
        around: &Surroundings<'_>,
    ) -> Option<UpdateUnderWay> {
        let (kind, to) = (happening.kind(), happening.to()?);
        let known = self.updates.iter().position(|update| {
            update.to == *to && happening.way().is_none_or(|way| way.from == update.from)
        });
        let at = match (known, happening.way()) {
            (Some(at), _) => at,
            (None, None) => return None,
            (None, Some(way)) => {
                if self.updates.len() >= MOST_UPDATES {
                    self.updates.remove(0);
                }
                let id = RandomId::new((around.random)());
                let reported = BTreeSet::new();
                self.updates.push(UpdateUnderWay {
                    id,
                    from: way.from.clone(),
                    to: way.to.clone(),
                    reported,
                });
                self.updates.len() - 1
            }
        };
        let is_new = self.updates[at].reported.insert(kind);
        // Each try may fail in another way.
        if !is_new && kind != ReportKind::Failed {
            return None;
        }
        let update = self.updates[at].clone();
        if matches!(kind, ReportKind::Up | ReportKind::RolledBack) {
            self.updates.remove(at);
        }
        Some(update)
    }

    fn is_first_today(&mut self, happening: &Happening, now: i64) -> bool {
        let day = now.div_euclid(DAY);
        if day != self.day {
            (self.day, self.today) = (day, BTreeSet::new());
        }
        let what = match happening {
            Happening::Failed { problem, .. } => problem_word(*problem),
            _ => happening.kind().word().to_owned(),
        };
        self.today.insert(what)
    }

    /// The number that stands for this installation now. A clock that was set back does not prolong
    /// its life.
    fn identity(&mut self, around: &Surroundings<'_>) -> RandomId {
        let age = |since: i64| around.now.saturating_sub(since);
        match &self.identity {
            Some((id, since)) if (0..IDENTITY_SECONDS).contains(&age(*since)) => id.clone(),
            _ => {
                let id = RandomId::new((around.random)());
                self.identity = Some((id.clone(), around.now));
                id
            }
        }
    }
}

/// Adds what belongs to the kind.
fn complete(report: &mut Report, happening: &Happening) {
    match happening {
        Happening::Fetched(_, download) => {
            report.bytes = Some(download.bytes);
            report.full_bytes = Some(download.full_bytes);
            report.milliseconds = Some(download.milliseconds);
            report.nodes.clone_from(&download.nodes);
        }
        Happening::Failed { problem, nodes, .. } => {
            report.problem = Some(problem_word(*problem));
            report.nodes.clone_from(nodes);
        }
        Happening::NotSwitched { problem, .. } => report.problem = Some(problem_word(*problem)),
        Happening::RolledBack { failure, .. } => {
            report.reason = Some(failure_word(failure).to_owned());
            if let LaunchFailure::Crashed { status } = failure {
                report.status = Some(*status);
            }
        }
        Happening::Recalled(_) => report.reason = Some("recalled".to_owned()),
        _ => {}
    }
    report.nodes = labelled(&report.nodes);
}

/// The nodes under names that the server takes, each name once: what shortening makes equal is added.
fn labelled(nodes: &[ReportedNode]) -> Vec<ReportedNode> {
    let mut labelled: Vec<ReportedNode> = Vec::new();
    for ReportedNode { node, bytes, faults } in nodes {
        let (name, faults) = (label(node), (*faults).min(NODE_FAULTS));
        if let Some(known) = labelled.iter_mut().find(|known| known.node == name) {
            known.bytes = known.bytes.saturating_add(*bytes);
            known.faults = (known.faults + faults).min(NODE_FAULTS);
        } else if labelled.len() < REPORT_NODES {
            labelled.push(ReportedNode { node: name, bytes: *bytes, faults });
        }
    }
    labelled
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::super::happening::{Download, Way};
    use super::*;
    use crate::messages::protocol::{Problem, ProblemKind};
    use crate::model::plan::UpdateStrategy;

    const NOW: i64 = 1_796_000_030;

    struct Launcher {
        memory: Memory,
        numbers: Cell<u128>,
        now: i64,
    }

    impl Launcher {
        fn new() -> Self {
            Self { memory: Memory::default(), numbers: Cell::new(0), now: NOW }
        }

        fn report(&mut self, happening: &Happening) -> Option<Report> {
            let numbers = &self.numbers;
            let random = || {
                numbers.set(numbers.get() + 1);
                numbers.get()
            };
            let around = Surroundings {
                app: "sample".parse().unwrap(),
                channel: "stable".to_owned(),
                platform: Platform::current(),
                region: "Europe".to_owned(),
                now: self.now,
                random: &random,
            };
            self.memory.report(happening, &around)
        }
    }

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    fn way() -> Way {
        Way {
            from: Some(version("1.0.0")),
            to: version("2.0.0"),
            strategy: UpdateStrategy::Patches,
        }
    }

    #[test]
    fn each_step_of_an_update_is_reported_once_and_all_of_them_belong_together() {
        let mut launcher = Launcher::new();
        let steps = [
            Happening::Offered(way()),
            Happening::Started(way()),
            Happening::Fetched(way(), Download::default()),
            Happening::Installed(way()),
            Happening::Switched(version("2.0.0")),
            Happening::Up(version("2.0.0")),
        ];
        let mut updates = BTreeSet::new();
        for (step, kind) in steps.iter().zip(ReportKind::STEPS) {
            let report = launcher.report(step).unwrap();
            assert_eq!((report.kind, report.from), (kind, Some(version("1.0.0"))));
            updates.insert(report.update.unwrap());
            if kind != ReportKind::Up {
                assert_eq!(launcher.report(step), None, "{kind:?}");
            }
        }
        assert_eq!(updates.len(), 1);
        // It has ended: the app comes up in it every day, and a person switches as he likes.
        assert_eq!(launcher.report(&steps[5]), None);
        assert_eq!(launcher.report(&Happening::Switched(version("1.0.0"))), None);
        // The same release is offered after a rollback by hand: another update.
        assert!(!updates.contains(&launcher.report(&steps[0]).unwrap().update.unwrap()));
    }

    #[test]
    fn an_update_may_fail_often_and_a_check_once_a_day() {
        let mut launcher = Launcher::new();
        launcher.report(&Happening::Offered(way()));
        let failed =
            |way| Happening::Failed { way, problem: ProblemKind::DiskFull, nodes: Vec::new() };
        for _ in 0..2 {
            let report = launcher.report(&failed(Some(way()))).unwrap();
            assert_eq!(report.problem.as_deref(), Some("disk_full"));
        }
        for (now, is_reported) in [(NOW, true), (NOW, false), (NOW + DAY, true)] {
            launcher.now = now;
            for happening in [failed(None), Happening::Active(version("1.0.0"))] {
                assert_eq!(launcher.report(&happening).is_some(), is_reported, "{happening:?}");
            }
        }
    }

    #[test]
    fn an_update_that_fails_at_the_switch_is_reported_and_the_switch_of_a_person_is_not() {
        let mut launcher = Launcher::new();
        let problem = |kind| Problem { kind, subject: "/a/path".to_owned(), chain: Vec::new() };
        let failed = |kind| Happening::not_switched(&version("2.0.0"), &problem(kind));
        let migration = failed(ProblemKind::MigrationFailed).unwrap();
        assert_eq!(launcher.report(&migration), None, "a person has chosen an installed version");
        let update = launcher.report(&Happening::Offered(way())).unwrap().update;
        launcher.report(&Happening::Installed(way()));
        for (kind, word) in [
            (ProblemKind::MigrationFailed, "migration_failed"),
            (ProblemKind::DataTooNew, "data_too_new"),
            (ProblemKind::DiskFull, "disk_full"),
        ] {
            let report = launcher.report(&failed(kind).unwrap()).unwrap();
            assert_eq!((report.kind, report.problem.as_deref()), (ReportKind::Failed, Some(word)));
            assert_eq!((&report.update, report.from), (&update, Some(version("1.0.0"))));
            assert_eq!((report.to, report.way), (Some(version("2.0.0")), None));
        }
        // It goes on: the next try switches.
        assert_eq!(launcher.report(&Happening::Switched(version("2.0.0"))).unwrap().update, update);
        for waits in [ProblemKind::Busy, ProblemKind::VersionInUse] {
            assert_eq!(failed(waits), None);
        }
    }

    #[test]
    fn the_number_of_an_installation_lives_for_28_days() {
        let (mut launcher, mut minor) = (Launcher::new(), 0);
        let mut number = |now| {
            launcher.now = now;
            minor += 1;
            let to = Version::new(2, minor, 0);
            launcher.report(&Happening::Offered(Way { to, ..way() })).unwrap().installation
        };
        let first = number(NOW);
        assert_eq!(number(NOW + IDENTITY_SECONDS - 60), first);
        let second = number(NOW + IDENTITY_SECONDS);
        assert_ne!(second, first);
        assert_ne!(number(NOW), second, "the clock was set back");
    }

    #[test]
    fn a_report_holds_nothing_of_the_person_or_the_computer() {
        let mut launcher = Launcher::new();
        let secret = "/home/anna/taxes";
        launcher.report(&Happening::Offered(way()));
        let failure = LaunchFailure::Reported { reason: secret.to_owned() };
        let (from, to) = (version("2.0.0"), version("1.0.0"));
        let back = launcher.report(&Happening::RolledBack { from, to, failure }).unwrap();
        assert_eq!(back.reason.as_deref(), Some("reported"));
        let text = serde_json::to_string(&back).unwrap();
        assert!(!text.contains("anna"), "{text}");
        assert_eq!(back.at % 60, 0);
    }

    #[test]
    fn what_is_long_or_much_is_shortened_so_that_the_server_takes_it() {
        let mut launcher = Launcher::new();
        let node = |number: usize| ReportedNode {
            node: format!("{number}{}", "n\n".repeat(100)),
            bytes: 1,
            faults: u64::MAX,
        };
        // The second half has the same names again.
        let nodes = (0..20).map(|number| node(number % 10)).collect();
        let failed = Happening::Failed { way: None, problem: ProblemKind::NodesUnusable, nodes };
        let report = launcher.report(&failed).unwrap();
        assert_eq!(report.nodes.len(), REPORT_NODES);
        assert!(report.nodes.iter().all(|node| node.bytes == 2), "{:?}", report.nodes);
        Report::parse(serde_json::to_value(report).unwrap()).unwrap();
    }

    #[test]
    fn few_updates_are_remembered() {
        let mut launcher = Launcher::new();
        for minor in 0..20 {
            let to = Version::new(2, minor, 0);
            launcher.report(&Happening::Offered(Way { to, ..way() })).unwrap();
        }
        assert_eq!(launcher.memory.updates.len(), MOST_UPDATES);
        let json = serde_json::to_string(&launcher.memory).unwrap();
        assert_eq!(serde_json::from_str::<Memory>(&json).unwrap(), launcher.memory);
    }
}
