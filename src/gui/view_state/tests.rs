//! The view state after sequences of events.

use super::*;
use crate::gui::actions::{Action, Actions};
use crate::gui::texts::Texts;
use crate::messages::protocol::{FaultKind, NoUpdate, NodeProgress, ProblemKind};
use crate::model::Version;
use crate::model::digest::Digest;
use crate::model::incident::Incident;
use crate::model::release::{Release, SignedRelease};

fn offer() -> Offer {
    let hash = Digest::of(b"");
    Offer {
        signed: SignedRelease {
            target: String::new(),
            length: 1,
            hash,
            release: Release::sample("1.0.0"),
        },
        current: Some(Version::new(0, 9, 0)),
        plan: crate::model::Plan::full(1, 1, crate::model::plan::Reason::Cheapest),
        bytes_to_fetch: 1,
        notes: String::new(),
        nodes: Vec::new(),
        estimated_seconds: None,
        recalled: None,
        installing_seconds: None,
        file: None,
    }
}

fn node(id: &str, done: u64, state: NodeState) -> NodeProgress {
    NodeProgress {
        id: id.to_owned(),
        name: id.to_owned(),
        region: "Global".to_owned(),
        done,
        speed: 1.0,
        state,
    }
}

fn progress(nodes: Vec<NodeProgress>) -> Event {
    let done = nodes.iter().map(|node| node.done).sum();
    Event::Progress(Progress {
        done,
        total: 100,
        speed: 2.0,
        seconds_left: Some(3),
        nodes,
        ..Progress::default()
    })
}

fn downloading() -> Event {
    Event::Phase { phase: Phase::Downloading { version: Version::new(1, 0, 0) } }
}

#[test]
fn the_parts_of_the_nodes_add_up_to_the_whole() {
    let mut state = ViewState::default();
    assert_eq!(state.fraction(), 0.0);
    state.apply(downloading());
    state.apply(progress(vec![node("a", 30, NodeState::Active), node("b", 20, NodeState::Active)]));
    let parts: f32 = state.nodes.iter().map(|node| state.share(node)).sum();
    assert!((state.fraction() - 0.5).abs() < 1e-6 && (parts - 0.5).abs() < 1e-6);
    assert_eq!(state.active_nodes(), 2);
    state.apply(progress(vec![node("a", 300, NodeState::Active)]));
    assert_eq!(state.fraction(), 1.0);
}

#[test]
fn a_fault_stays_until_the_node_sends_again() {
    let mut state = ViewState::default();
    state.apply(progress(vec![node("a", 0, NodeState::Active)]));
    let fault = NodeFault {
        node: "a".to_owned(),
        name: "a".to_owned(),
        fault: FaultKind::Stalled,
        detail: String::new(),
        dropped: false,
    };
    state.apply(Event::NodeFault(fault.clone()));
    assert_eq!(
        (state.nodes[0].state, state.nodes[0].fault),
        (NodeState::Waiting, Some(FaultKind::Stalled))
    );
    state.apply(progress(vec![node("a", 0, NodeState::Waiting)]));
    assert_eq!(state.nodes[0].fault, Some(FaultKind::Stalled));
    state.apply(progress(vec![node("a", 5, NodeState::Active)]));
    assert_eq!(state.nodes[0].fault, None);
    state.apply(Event::NodeFault(NodeFault { dropped: true, ..fault }));
    assert_eq!(state.nodes[0].state, NodeState::Dropped);
}

#[test]
fn known_nodes_keep_their_place_and_published_bandwidth() {
    let mut known = Node::at("http://127.0.0.1:1/".parse().unwrap());
    (known.id, known.bandwidth) = ("a".to_owned(), Some(100.0));
    let mut state = ViewState::with_nodes(&[known]);
    state.apply(progress(vec![node("b", 1, NodeState::Active), node("a", 2, NodeState::Active)]));
    let seen: Vec<_> =
        state.nodes.iter().map(|node| (node.id.as_str(), node.published, node.done)).collect();
    assert_eq!(seen, [("a", Some(100.0), 2), ("b", None, 1)]);
}

#[test]
fn a_pause_keeps_what_was_reached_and_shows_no_speed() {
    let mut state = ViewState::default();
    state.apply(downloading());
    state.apply(progress(vec![node("a", 30, NodeState::Active)]));
    state.apply(Event::Phase { phase: Phase::Paused { version: Version::new(1, 0, 0) } });
    assert_eq!(
        (state.progress.done, state.progress.speed, state.progress.seconds_left),
        (30, 0.0, None)
    );
    state.apply(Event::Phase { phase: Phase::Checking });
    assert_eq!((state.progress.done, state.nodes[0].done), (0, 0));
}

#[test]
fn what_an_earlier_try_left_is_done_from_the_first_moment_on() {
    let mut offer = offer();
    offer.plan.bytes = 100;
    offer.bytes_to_fetch = 30;
    let mut state = ViewState::default();
    state.apply(Event::Phase { phase: Phase::Offered { offer: Box::new(offer) } });
    state.apply(downloading());
    assert_eq!((state.progress.done, state.progress.total), (70, 100));
    assert!((state.fraction() - 0.7).abs() < 1e-6);
}

#[test]
fn what_was_reached_stays_reached_while_earlier_parts_are_counted_again() {
    let mut offer = offer();
    offer.plan.bytes = 100;
    offer.bytes_to_fetch = 30;
    let mut state = ViewState::default();
    state.apply(Event::Phase { phase: Phase::Offered { offer: Box::new(offer.clone()) } });
    state.apply(downloading());
    // Two patches: the first is on disk and counts alone, then half of the second.
    let mut reached = Vec::new();
    for done in [0, 40, 55, 70, 85] {
        state.apply(progress(vec![node("a", done, NodeState::Active)]));
        reached.push(state.progress.done);
    }
    state.apply(Event::Phase { phase: Phase::Paused { version: Version::new(1, 0, 0) } });
    state.apply(downloading());
    state.apply(progress(vec![node("a", 80, NodeState::Active)]));
    reached.push(state.progress.done);
    assert_eq!(reached, [70, 70, 70, 70, 85, 85]);
    // Another strategy, such as the whole package, and another offer are counted anew.
    state.apply(Event::Progress(Progress { done: 10, total: 600, ..Progress::default() }));
    assert_eq!((state.progress.done, state.progress.total), (10, 600));
    state.apply(Event::Phase { phase: Phase::Offered { offer: Box::new(offer) } });
    assert_eq!(state.progress.done, 70);
}

#[test]
fn an_incremental_offer_is_counted_in_its_own_bytes_and_its_files_while_they_are_written() {
    let mut offer = offer();
    offer.plan = crate::model::Plan {
        strategy: crate::model::plan::UpdateStrategy::Entries,
        bytes: 40,
        ..offer.plan
    };
    offer.bytes_to_fetch = 40;
    let mut state = ViewState::default();
    state.apply(Event::Phase { phase: Phase::Offered { offer: Box::new(offer) } });
    state.apply(downloading());
    assert_eq!((state.incremental, state.progress.total), (true, 40));
    let written = |files_done, nodes| {
        let progress = Progress {
            done: 40,
            total: 40,
            files_done,
            files_total: 8,
            nodes,
            ..Progress::default()
        };
        Event::Progress(progress)
    };
    state.apply(written(2, vec![node("a", 40, NodeState::Active)]));
    assert!((state.fraction() - 1.0).abs() < 1e-6 && state.shows_nodes());
    state.apply(Event::Phase { phase: Phase::Installing { version: Version::new(1, 0, 0) } });
    assert!((state.fraction() - 0.25).abs() < 1e-6 && !state.shows_nodes());
    assert_eq!(step(&state.progress), (3, 8));
    // After all a file is fetched whole.
    state.apply(written(4, vec![node("a", 45, NodeState::Active)]));
    assert!((state.fraction() - 0.5).abs() < 1e-6 && state.shows_nodes());
    state.apply(written(8, Vec::new()));
    assert_eq!(step(&state.progress), (8, 8));
}

#[test]
fn an_installation_without_a_number_of_files_is_counted_in_bytes() {
    let mut state = ViewState::default();
    state.apply(progress(vec![node("a", 30, NodeState::Active)]));
    state.apply(Event::Phase { phase: Phase::Installing { version: Version::new(1, 0, 0) } });
    assert!(!state.counts_files() && (state.fraction() - 0.3).abs() < 1e-6);
    assert_eq!(step(&state.progress), (0, 0));
}

#[test]
fn escape_never_interrupts_work_and_answers_questions_with_not_now() {
    let dismissal = |phase| {
        let mut state = ViewState::default();
        state.apply(Event::Phase { phase });
        state.dismissal()
    };
    let version = Version::new(1, 0, 0);
    for busy in [
        Phase::Downloading { version: version.clone() },
        Phase::Paused { version: version.clone() },
        Phase::Installing { version: version.clone() },
        Phase::Switching { version: version.clone() },
    ] {
        assert_eq!(dismissal(busy), None);
    }
    assert_eq!(dismissal(Phase::Ready { version, running: true }), Some(Action::RestartLater));
    assert_eq!(dismissal(Phase::Cancelled), Some(Action::Close));
    assert_eq!(
        dismissal(Phase::UpToDate { reason: NoUpdate::Newest, current: None }),
        Some(Action::Close)
    );
    assert_eq!(dismissal(Phase::Offered { offer: Box::new(offer()) }), Some(Action::Later));
}

#[test]
fn a_mandatory_release_cannot_be_skipped_and_a_first_install_is_called_so() {
    let mut offer = offer();
    offer.signed.release.mandatory = true;
    let mut state = ViewState::default();
    state.apply(Event::Phase { phase: Phase::Offered { offer: Box::new(offer.clone()) } });
    assert_eq!(
        state.actions(),
        Actions { primary: Some(Action::Start), secondary: Some(Action::Later), quiet: None }
    );
    offer.current = None;
    state.apply(Event::Phase { phase: Phase::Offered { offer: Box::new(offer) } });
    assert_eq!(state.actions().primary, Some(Action::Install));
    assert!(state.first_install());
}

#[test]
fn every_action_that_is_not_about_the_window_is_a_command() {
    use Action::*;
    for action in [
        Start,
        Install,
        Later,
        Skip,
        Pause,
        Resume,
        Cancel,
        RestartNow,
        StartNow,
        RestartLater,
        Retry,
        Check,
        Close,
        Ok,
    ] {
        assert_eq!(action.command().is_none(), matches!(action, Close | Ok), "{action:?}");
    }
}

#[test]
fn a_problem_is_tried_again_by_a_button_where_its_text_says_so() {
    let texts = Texts::new(Language::English);
    for kind in ProblemKind::ALL {
        let problem = Problem { kind, subject: String::new(), chain: Vec::new() };
        let says = texts.problem(&problem)[2].to_lowercase().contains("try again");
        let state = ViewState { phase: Phase::Failed { problem }, ..ViewState::default() };
        let button = state.actions().primary == Some(Action::Retry);
        // The text names somebody or something else that has to change first.
        let is_after_a_change = matches!(
            kind,
            ProblemKind::VersionInUse
                | ProblemKind::MigrationFailed
                | ProblemKind::NothingForThis
                | ProblemKind::ProgramsForbidden
        );
        assert_eq!(button, says || is_after_a_change, "{kind:?}");
    }
}

#[test]
fn what_is_on_this_computer_needs_no_node() {
    let mut state = ViewState::with_nodes(&[Node::at("http://127.0.0.1:9/".parse().unwrap())]);
    let mut local = offer();
    local.plan = crate::model::Plan::without_fetching(crate::model::plan::UpdateStrategy::File, 40);
    local.file = Some("f".into());
    for (offer, from_file) in [(offer(), false), (local, true)] {
        state.apply(Event::Phase { phase: Phase::Offered { offer: Box::new(offer) } });
        assert_eq!((state.from_file, state.nodes.is_empty()), (from_file, from_file));
    }
    let actions = state.actions();
    assert_eq!(
        (actions.primary, actions.quiet),
        (Some(Action::Install), None),
        "a file that was given is not skipped for ever"
    );
}

#[test]
fn an_app_of_another_launcher_is_not_started_anew() {
    let ready = Phase::Ready { version: "2.0.0".parse().unwrap(), running: true };
    let state = |elsewhere| ViewState { phase: ready.clone(), elsewhere, ..ViewState::default() };
    assert_eq!(state(false).actions().primary, Some(Action::RestartNow));
    let actions = state(true).actions();
    assert_eq!((actions.primary, actions.secondary), (Some(Action::Close), None));
}

fn notice(patch: u64) -> Notice {
    Notice {
        when: jiff::Timestamp::UNIX_EPOCH,
        what: Incident::NotSwitched { to: Version::new(1, 0, patch), chain: Vec::new() },
    }
}

#[test]
fn a_window_that_reports_asks_nothing_until_something_else_is_chosen() {
    let mut state = ViewState::telling(vec![notice(1), notice(2)]);
    assert_eq!(state.incidents, [notice(2), notice(1)], "the newest first");
    assert!(state.reports());
    assert_eq!(
        state.actions(),
        Actions { primary: Some(Action::Ok), secondary: None, quiet: None }
    );
    assert_eq!(state.dismissal(), Some(Action::Ok));
    state.apply(Event::Phase {
        phase: Phase::Ready { version: Version::new(1, 0, 0), running: true },
    });
    assert!(!state.reports() && state.incidents.is_empty());
    assert_eq!(state.actions().primary, Some(Action::RestartNow));
    assert_eq!(ViewState::default().actions().primary, Some(Action::Check));
}

#[test]
fn what_was_seen_is_forgotten_and_what_was_not_keeps_the_window_open() {
    let mut state = ViewState::default();
    for patch in [1, 2] {
        let Notice { when, what } = notice(patch);
        state.apply(Event::Incident { when, what });
    }
    assert_eq!(state.incidents[0], notice(2));
    state.apply(Event::Phase { phase: Phase::Launched { version: Version::new(1, 0, 0) } });
    assert!(!state.finished());
    assert_eq!(
        (state.actions().primary, state.dismissal()),
        (Some(Action::Close), Some(Action::Close))
    );
    assert_eq!(state.seen(&notice(2)), Command::Seen(Box::new(notice(2).what)));
    assert!(!state.finished());
    state.seen(&notice(1));
    assert!(state.finished() && state.actions() == Actions::default());
}

#[test]
fn the_bytes_of_a_download_are_not_taken_for_the_users_files() {
    let mut state = ViewState::default();
    state.apply(progress(vec![node("a", 30, NodeState::Active)]));
    state.apply(Event::Phase { phase: Phase::Switching { version: Version::new(1, 0, 0) } });
    assert!(!state.takes_files_along());
    state.apply(Event::Progress(Progress { done: 1, total: 4, ..Progress::default() }));
    assert!(state.takes_files_along() && (state.fraction() - 0.25).abs() < 1e-6);
}

#[test]
fn versions_are_not_switched_while_one_is_repaired() {
    let mut state = ViewState::default();
    assert!(state.at_rest());
    state.apply(Event::Phase { phase: Phase::Repairing { version: Version::new(1, 0, 0) } });
    assert!(!state.at_rest());
    state.apply(Event::Phase { phase: Phase::Cancelled });
    assert!(state.at_rest());
}
