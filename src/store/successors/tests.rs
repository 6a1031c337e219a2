//! Tests of `store::successors`.

use super::*;

fn process(program: &str, folder: &str, arguments: &[&str]) -> Process {
    let arguments = arguments.iter().map(Into::into).collect();
    Process {
        id: 7,
        program: Some(program.into()),
        folder: Some(folder.into()),
        arguments,
        ..Process::default()
    }
}

#[test]
fn what_runs_a_versions_files_uses_it_and_what_only_has_its_environment_descends_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let version = folder.path().join("1.0.0");
    for file in ["app/main.py", "app/run", "data/report.pdf", "runtime/bin/python3"] {
        std::fs::create_dir_all(version.join(file).parent().unwrap()).unwrap();
        std::fs::write(version.join(file), "").unwrap();
    }
    let place = Place::new(&version, &folder.path().join("lock"));
    let text = |name: &str| version.join(name).to_str().unwrap().to_owned();
    let app = text("app");
    let bond = |program: &str, at: &str, arguments: &[&str]| {
        place.plain_bond(&process(program, at, arguments))
    };
    assert_eq!(bond(&text("runtime/bin/python3"), "/", &["python3"]), Some(Bond::Uses));
    assert_eq!(bond(&text("app/helper (deleted)"), "/", &["helper"]), Some(Bond::Uses));
    #[cfg(windows)]
    assert_eq!(bond(&text("APP/HELPER.EXE"), "/", &["helper"]), Some(Bond::Uses));
    assert_eq!(
        bond("/usr/bin/python3", "/", &["python3", "-E", &text("app/main.py")]),
        Some(Bond::Uses)
    );
    assert_eq!(bond("/usr/bin/python3", &app, &["python3", "main.py"]), Some(Bond::Uses));
    assert_eq!(bond("/bin/sh", "/", &["/bin/sh", &text("app/run")]), Some(Bond::Uses));
    assert_eq!(
        bond("/usr/bin/evince", "/", &["evince", &text("data/report.pdf")]),
        None,
        "a document"
    );
    assert_eq!(bond("/usr/bin/ls", "/", &["ls", &app]), None, "a folder");
    assert_eq!(
        bond("/usr/bin/python3", "/tmp", &["python3", "main.py"]),
        None,
        "another script of that name"
    );
    assert_eq!(
        bond(&format!("{}0/app/run", version.display()), "/", &["run"]),
        None,
        "another version"
    );
    let browser = Process {
        version: Some(version.clone().into()),
        ..process("/usr/bin/firefox", &app, &["firefox"])
    };
    assert_eq!(place.plain_bond(&browser), Some(Bond::Descends));
    #[cfg(unix)]
    {
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path(), &link).unwrap();
        let named = Process { version: Some(link.join("1.0.0").into()), ..browser };
        assert_eq!(place.plain_bond(&named), Some(Bond::Descends));
    }
}

#[test]
fn an_orphan_that_tells_nothing_is_waited_for_a_moment() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(&folder.path().join("1.0.0"), &folder.path().join("lock"));
    // A time of the system's clock.
    let at = |milliseconds: u64| (milliseconds * TICKS / 1000).to_string();
    let started = &at(1_000_000);
    let seen = SeenEnd { lifetime: Duration::from_millis(600), asked: false };
    let ended = EndedProcess { started, start: None, seen: Some(seen) };
    let orphan = Process {
        parent: Some(1),
        started: at(1_000_500),
        age: Some(Duration::from_millis(100)),
        ..process("/bin/sh", "/", &["sh", "-c", "sleep 0.1; exec \"$PROGRAM\""])
    };
    let may_begin = |process: &Process| {
        place.may_begin(process, &[20, 1], &|process| ended.may_have_left(process))
    };
    assert!(may_begin(&orphan));
    let with = |change: &dyn Fn(&mut Process)| {
        let mut other = orphan.clone();
        change(&mut other);
        may_begin(&other)
    };
    let began = |milliseconds| with(&|other| other.started = at(milliseconds));
    assert!(!with(&|other| other.parent = Some(30)), "a program's child");
    assert!(!began(999_990), "it was there before the app");
    assert!(began(1_000_650), "a child's child");
    assert!(!began(1_000_900), "it came later");
    assert!(!with(&|other| other.age = Some(Duration::from_secs(3))), "it stays as it is");
    assert!(!with(&|other| other.start = Some("/h".into())), "another app's");
    assert!(with(&|other| {
        other.is_beginning = true;
        other.age = Some(Duration::from_secs(60));
    }));
}

#[test]
fn looks_for_what_may_begin_end_with_the_time_however_long_each_takes() {
    use std::cell::Cell;
    // How long a look takes, which look finds something (none: 0), and how many are made.
    for (each, found_at, expected) in [(0, 0, 51), (200, 0, 3), (9000, 0, 1), (0, 4, 4)] {
        let (looks, now) = (Cell::new(0), Cell::new(Duration::ZERO));
        let wait = |time: Duration| now.set(now.get() + time);
        let look = || {
            looks.set(looks.get() + 1);
            wait(Duration::from_millis(each));
            let found = looks.get() == found_at;
            Ok((if found { vec![Process::default()] } else { Vec::new() }, true))
        };
        let found = look_until_known(look, || now.get(), || wait(RETRY_INTERVAL)).unwrap();
        assert_eq!((looks.get(), found.len()), (expected, usize::from(found_at > 0)), "{each}");
    }
    let broken = || Err(io::ErrorKind::Other.into());
    assert!(look_until_known(broken, || Duration::ZERO, || ()).is_err());
}

#[test]
fn what_a_bound_process_starts_counts_by_it_unless_it_uses_the_version_itself() {
    let browser = Process { id: 5, ..process("/usr/bin/firefox", "/", &["firefox"]) };
    let bound = [(&browser, Bond::Descends)];
    let child = |start: Option<&str>, parent| Process {
        start: start.map(Into::into),
        parent: Some(parent),
        ..process("/usr/bin/firefox", "/", &["firefox", "-tab"])
    };
    let by_parent = |child: &Process, bond| counts_by_its_parent(child, bond, &bound);
    assert!(by_parent(&child(Some("/h"), 5), Bond::Descends));
    assert!(by_parent(&child(None, 5), Bond::Uses));
    assert!(!by_parent(&child(Some("/h"), 5), Bond::Uses));
    assert!(!by_parent(&child(Some("/h"), 1), Bond::Descends), "an orphan");
}

#[test]
fn a_successor_differs_from_a_browser_by_when_it_was_started() {
    let seconds = |seconds: u64| (seconds * TICKS).to_string();
    let started = seconds(1000);
    let ended = |seen| EndedProcess { started: &started, start: Some(OsStr::new("/h")), seen };
    let seen =
        |lifetime, asked| ended(Some(SeenEnd { lifetime: Duration::from_secs(lifetime), asked }));
    let one = |at: u64, age: u64| Process {
        started: seconds(at),
        age: Some(Duration::from_secs(age)),
        start: Some("/h".into()),
        ..Process::default()
    };
    use Bond::{Descends, Uses};
    assert!(seen(1, false).is_followed_by(&one(1001, 0), Descends), "it hands over at once");
    assert!(
        seen(900, false).is_followed_by(&one(1899, 1), Descends),
        "it starts itself anew after a while"
    );
    assert!(!seen(900, false).is_followed_by(&one(1100, 800), Descends), "a browser");
    assert!(seen(900, false).is_followed_by(&one(1100, 800), Uses), "a helper of its own");
    assert!(!seen(1, true).is_followed_by(&one(1001, 0), Descends), "it was asked to end");
    assert!(seen(1, true).is_followed_by(&one(1001, 0), Uses));
    assert!(ended(None).is_followed_by(&one(1001, 900), Descends), "nobody saw how it ended");
    assert!(!ended(None).is_followed_by(&one(1031, 900), Descends));
    let other = |start: Option<&str>| Process { start: start.map(Into::into), ..one(1001, 0) };
    assert!(!seen(1, false).is_followed_by(&other(Some("/other")), Uses), "another instance");
    assert!(seen(1, false).is_followed_by(&other(None), Uses), "its environment was taken away");
    assert!(
        !seen(1, false).is_followed_by(&Process { started: seconds(999), ..other(None) }, Uses)
    );
    let unknown = EndedProcess { started: "", ..seen(1, false) };
    assert!(
        !unknown.is_followed_by(&other(None), Uses),
        "it ended before the system could say when it was started"
    );
    assert!(unknown.is_followed_by(&one(1001, 0), Descends));
}
