//! Tests of `session::trial`: every small world of installed versions, on a real home, without
//! processes.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::environment::Environment;
use crate::session::channel::ChannelHandle;
use crate::settings::Settings;
use crate::store::Home;
use crate::store::fixture::Fixture;
use crate::store::switch::{SwitchOptions, switch};

/// How each start of a version ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Works,
    Fails,
    /// It fails, and what its user typed may be the cause.
    FailsInDoubt,
}

use Outcome::{Fails, FailsInDoubt, Works};

const RULES: Rules =
    Rules { survival: Duration::from_secs(10), up_within: Duration::from_secs(60), tries: 2 };
/// Starts after which every world has come to rest.
const STARTS: usize = 12;

/// A home in which the versions 1.0.0, 2.0.0 … were used one after the other; `proved` says which of
/// them came up then. The last one is active.
fn home(proved: &[bool]) -> Fixture {
    let fixture = Fixture::new();
    for (index, proved) in proved.iter().enumerate() {
        let id = fixture.install(&format!("{}.0.0", index + 1), &[]);
        switch(&fixture.home, &id, SwitchOptions::PLAIN, &fixture.lock).unwrap();
        fixture.write(&id, "data/work", &id.version.to_string());
        if *proved {
            probation::change(&fixture.home, &id, &fixture.lock, |_| None).unwrap();
        }
    }
    fixture
}

fn session(root: &Path) -> AppSession {
    let settings = "app = 'sample'\n[[nodes]]\nid = 'one'\nurl = 'http://127.0.0.1:9/'\n";
    let environment = Environment {
        home: Home::new(root),
        settings: Settings::parse(settings, Path::new("launcher.toml")).unwrap(),
        shipped_root: Vec::new(),
        included_bundle: None,
        arguments: Vec::new(),
        language: "en".to_owned(),
    };
    AppSession::new(Arc::new(environment), ChannelHandle::new(Vec::new()))
}

fn place(id: &ContainerId) -> usize {
    let version = id.version.to_string();
    version.split('.').next().unwrap().parse::<usize>().unwrap() - 1
}

/// One start by a person, as the supervisor performs it. Returns how often a program began.
fn start(session: &AppSession, outcomes: &[Outcome]) -> usize {
    let home = session.home();
    let (_, record) = home.active_for_start().unwrap();
    let mut trial = count(session, record);
    for begun in 1.. {
        let id = trial.record.container.clone();
        let is_sure = match outcomes[place(&id)] {
            Works => {
                trial.came_up(session);
                change(session, &trial.record, |_| None);
                return begun;
            }
            // What was typed is no failure of a version that worked.
            FailsInDoubt if trial.was_settled() => {
                take_back_start(session, &trial.record);
                return begun;
            }
            outcome => outcome == Fails,
        };
        if !trial.is_assessed() {
            if is_sure {
                let lock = session.lock_for_start().unwrap();
                probation::begin_again(home, &id, jiff::Timestamp::now(), &lock).unwrap();
            }
            return begun;
        }
        let failure = LaunchFailure::Crashed { status: 1 };
        let Some(next) = after_failure(session, &mut trial, &RULES, failure, is_sure) else {
            return begun;
        };
        assert!(begun < 20, "the versions take turns");
        if next.container != id {
            let probation = home.active().unwrap().0.probation;
            trial = Trial::new(session, next, probation);
        }
    }
    unreachable!()
}

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Starts the versions of a world until it has come to rest, and checks where.
fn live(prepared: &Path, proved: &[bool], outcomes: &[Outcome]) {
    let world = format!("proved {proved:?}, {outcomes:?}");
    let folder = tempfile::tempdir().unwrap();
    copy_tree(prepared, folder.path());
    let session = session(folder.path());
    let active = || session.home().active().unwrap().0.container;
    for _ in 0..STARTS {
        let begun = start(&session, outcomes);
        // Each version once more than its tries at most.
        assert!(begun <= 2 * outcomes.len() + 1, "{world}: {begun} starts at once");
        if outcomes[place(&active())] == Works {
            break;
        }
    }
    let (active, first) = (active(), proved.len() - 1);
    let found = place(&active);
    let failed = session.home().failed();
    let works = |index: usize| outcomes[index] == Works;
    let is_one = |is: &dyn Fn(usize) -> bool| (0..=first).any(is);
    if works(first) {
        assert_eq!((found, failed), (first, Vec::new()), "{world}");
    } else if is_one(&|index| works(index) && (proved[index] || !is_one(&|other| proved[other]))) {
        let undecided = proved[found] && outcomes[found] == FailsInDoubt;
        assert!(works(found) || undecided, "{world}: {found} is active");
    } else if outcomes.iter().all(|outcome| *outcome == Fails) {
        assert!(found == first || proved[found] && !proved[first], "{world}: {found} is active");
        assert_eq!(failed, [], "{world}: this computer lets none start");
        let work = session.home().container(&active).join("data/work");
        let work = std::fs::read_to_string(work).unwrap();
        assert_eq!(work, active.version.to_string(), "{world}: with its files");
    }
}

/// Every combination of `count` values.
fn all<T: Copy>(values: &[T], count: usize) -> Vec<Vec<T>> {
    (0..count).fold(vec![Vec::new()], |all, _| {
        let longer =
            |row: Vec<T>| values.iter().map(move |value| [row.clone(), vec![*value]].concat());
        all.into_iter().flat_map(longer).collect()
    })
}

/// All worlds with `count` versions of which the newest does not work and at most `working` others do.
fn live_in_all(count: usize, outcomes: &[Outcome], working: usize) {
    for proved in all(&[false, true], count) {
        let prepared = home(&proved);
        for outcomes in all(outcomes, count) {
            let works = outcomes.iter().filter(|outcome| **outcome == Works).count();
            if outcomes.last() != Some(&Works) && works <= working {
                live(prepared.home.root(), &proved, &outcomes);
            }
        }
    }
}

#[test]
fn a_failing_version_never_stays_while_one_that_works_is_installed() {
    live_in_all(1, &[Fails, FailsInDoubt], 0);
    live_in_all(2, &[Works, Fails, FailsInDoubt], 1);
    live_in_all(3, &[Works, Fails, FailsInDoubt], 1);
}

#[test]
fn nor_do_four_versions_take_turns() {
    live_in_all(4, &[Works, Fails], 1);
}

#[test]
fn a_version_that_works_is_never_left() {
    live(home(&[true, false]).home.root(), &[true, false], &[Fails, Works]);
}
