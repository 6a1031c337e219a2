//! What is worth a report, event by event.

use super::*;
use crate::messages::fixture::offer;
use crate::messages::protocol::{InstalledVersion, NoUpdate, ProblemKind};
use crate::model::Version;
use crate::model::transfer::{FaultKind, NodeProgress, NodeState};

struct Engine {
    observer: Observer,
    began: Instant,
    seconds: u64,
}

impl Engine {
    fn new() -> Self {
        Self { observer: Observer::default(), began: Instant::now(), seconds: 0 }
    }

    fn event(&mut self, event: Event) -> Seen {
        self.observer.see(&event, self.began + Duration::from_secs(self.seconds))
    }

    fn phase(&mut self, phase: Phase) -> Vec<Happening> {
        self.event(Event::Phase { phase }).happenings
    }
}

fn version() -> Version {
    offer().version().clone()
}

fn way() -> Way {
    Way { from: None, to: version(), strategy: offer().plan.strategy }
}

fn problem(kind: ProblemKind) -> Problem {
    Problem { kind, subject: "/a/path".to_owned(), chain: vec!["/a/path".to_owned()] }
}

fn progress(nodes: &[(&str, u64)]) -> Event {
    let node = |(id, done): &(&str, u64)| NodeProgress {
        id: (*id).to_owned(),
        name: (*id).to_owned(),
        region: "Europe".to_owned(),
        done: *done,
        speed: 1.0,
        state: NodeState::Active,
    };
    let done = nodes.iter().map(|(_, done)| done).sum();
    Event::Progress(Progress {
        done,
        nodes: nodes.iter().map(node).collect(),
        ..Progress::default()
    })
}

fn installed() -> Event {
    let id = offer().signed.release.container;
    let versions = vec![InstalledVersion {
        id,
        size: 1,
        installed: jiff::Timestamp::UNIX_EPOCH,
        active: false,
        running: false,
        left: None,
        holds_files: false,
        failed: false,
        recalled: false,
        ready: true,
        pinned: false,
        surplus: false,
        folder: "/a/path".into(),
    }];
    Event::Installed { versions, retained: Vec::new() }
}

#[test]
fn an_update_is_seen_from_offer_to_installation_with_its_bytes_and_nodes() {
    let mut engine = Engine::new();
    engine.phase(Phase::Checking);
    let offered = engine.event(Event::Phase { phase: Phase::Offered { offer: offer() } });
    assert_eq!(offered.happenings, [Happening::Offered(way())]);
    assert!(offered.check_ended);
    let downloading = Phase::Downloading { version: version() };
    assert_eq!(engine.phase(downloading.clone()), [Happening::Started(way())]);
    engine.event(progress(&[("asia", 10), ("near:7", 3), ("near:9", 4)]));
    let fault = |node: &str| NodeFault {
        node: node.to_owned(),
        name: node.to_owned(),
        fault: FaultKind::Stalled,
        detail: "/a/path".to_owned(),
        dropped: false,
    };
    engine.event(Event::NodeFault(fault("asia")));
    engine.event(Event::NodeFault(fault("near:7")));
    // A pause is no time of the download.
    engine.seconds = 2;
    engine.phase(Phase::Paused { version: version() });
    engine.seconds = 100;
    assert_eq!(engine.phase(downloading), [], "it goes on");
    engine.event(progress(&[("asia", 20), ("near:7", 3), ("near:9", 4)]));
    engine.seconds = 101;
    let node = |node: &str, bytes, faults| ReportedNode { node: node.to_owned(), bytes, faults };
    let download = Download {
        bytes: 27,
        full_bytes: 1,
        milliseconds: 3000,
        nodes: vec![node(PEER_REGION, 7, 1), node("asia", 20, 1)],
    };
    let installing = Phase::Installing { version: version() };
    assert_eq!(engine.phase(installing.clone()), [Happening::Fetched(way(), download)]);
    assert_eq!(engine.phase(installing), []);
    assert_eq!(engine.event(installed()).happenings, [Happening::Installed(way())]);
    assert_eq!(engine.event(installed()).happenings, []);
}

#[test]
fn a_release_that_is_fetched_before_anybody_wants_it_is_installed_then() {
    let mut engine = Engine::new();
    engine.phase(Phase::Checking);
    engine.phase(Phase::Offered { offer: offer() });
    engine.phase(Phase::Downloading { version: version() });
    engine.phase(Phase::Installing { version: version() });
    let mut again = offer();
    again.plan.strategy = UpdateStrategy::Installed;
    let offered = Phase::Offered { offer: again };
    assert_eq!(engine.phase(offered), [Happening::Installed(way())]);
    // Somebody wants it. There is nothing to fetch, so the update ends with the list; what fails
    // after that is the switch, which the session reports.
    let way = Way { strategy: UpdateStrategy::Installed, ..way() };
    let downloading = Phase::Downloading { version: version() };
    assert_eq!(engine.phase(downloading), [Happening::Started(way.clone())]);
    assert_eq!(engine.event(installed()).happenings, [Happening::Installed(way)]);
    let problem = problem(ProblemKind::MigrationFailed);
    assert_eq!(engine.phase(Phase::Failed { problem }), []);
}

#[test]
fn what_lies_on_this_computer_goes_through_the_same_steps() {
    let mut engine = Engine::new();
    engine.phase(Phase::Offered { offer: offer() });
    let seen = engine.phase(Phase::Installing { version: version() });
    let kinds: Vec<&str> = seen.iter().map(|happening| happening.kind().word()).collect();
    assert_eq!(kinds, ["started", "fetched"]);
}

#[test]
fn failures_are_those_of_updates_and_of_checks_that_say_something_about_the_repository() {
    let mut engine = Engine::new();
    let failed = |way, problem| Happening::Failed { way, problem, nodes: Vec::new() };
    for (kind, is_reported) in [
        (ProblemKind::MetadataExpired, true),
        (ProblemKind::NotTrusted, true),
        (ProblemKind::NoNetwork, false),
    ] {
        let wanted = if is_reported { vec![failed(None, kind)] } else { Vec::new() };
        engine.phase(Phase::Checking);
        assert_eq!(engine.phase(Phase::Failed { problem: problem(kind) }), wanted);
        engine.phase(Phase::Checking);
        let noticed = engine.event(Event::Notice { problem: problem(kind) });
        assert_eq!(noticed.happenings, wanted);
        assert!(engine.event(Event::Phase { phase: Phase::Idle }).check_ended);
        // A version that cannot be removed is another matter.
        assert_eq!(engine.event(Event::Notice { problem: problem(kind) }).happenings, []);
    }
    engine.phase(Phase::Offered { offer: offer() });
    engine.phase(Phase::Downloading { version: version() });
    let problem = problem(ProblemKind::NoNetwork);
    let seen = engine.phase(Phase::Failed { problem: problem.clone() });
    assert_eq!(seen, [failed(Some(way()), ProblemKind::NoNetwork)]);
    assert_eq!(engine.phase(Phase::Failed { problem }), [], "the app's start, perhaps");
}

#[test]
fn the_version_in_use_is_known_after_a_check() {
    let mut engine = Engine::new();
    engine.phase(Phase::Checking);
    let current = Some(Version::new(1, 0, 0));
    let phase = Phase::UpToDate { reason: NoUpdate::Newest, current };
    assert_eq!(engine.phase(phase), [Happening::Active(Version::new(1, 0, 0))]);
}
