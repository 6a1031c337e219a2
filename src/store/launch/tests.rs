//! Tests of `store::launch`.

use super::*;
use crate::store::fixture::Fixture;
use std::ffi::OsString;

#[test]
#[cfg(unix)]
fn the_app_gets_its_environment_arguments_and_folder() {
    let fixture = Fixture::new();
    let id = fixture.install("1.0.0", &[]);
    let variable = |name: &str| (name == "LIST").then(|| OsString::from("/before:/after"));
    let call = Call {
        arguments: &["a b".into(), "数据".into()],
        variable: &variable,
        environment: &[],
        keep_errors: false,
    };
    let app = start(&fixture.home, &fixture.record(&id), Which::Any, call).unwrap();
    assert!(app.wait().success());
    let root = fixture.home.container(&id);
    let root = root.to_str().unwrap();
    let reported = fixture.read(&id, "temp-out").unwrap();
    assert_eq!(
        reported.trim_end(),
        format!("1.0.0|{root}|{root}/app:/before:/after|{root}/metadata|--root={root}/x a b 数据")
    );
}

#[test]
#[cfg(unix)]
fn ending_it_is_asked_first_and_its_lock_goes_with_it() {
    let fixture = Fixture::new();
    let id = fixture.install("1.0.0", &[]);
    let mut record = fixture.record(&id);
    record.launch.environment.insert("SLEEP".to_owned(), "60".to_owned());
    let app = start(&fixture.home, &record, Which::Any, Call::PLAIN).unwrap();
    assert!(RunningLock::is_held(&fixture.home, &id) && app.ended().is_none());
    let status = app.stop(Duration::from_secs(30), &WindowOwners::default()).unwrap();
    assert_eq!(exit_code(status), 128 + 15);
    assert!(!RunningLock::is_held(&fixture.home, &id));
}

#[test]
#[cfg(unix)]
fn an_app_that_goes_on_after_all_was_not_asked_to_end() {
    let fixture = Fixture::new();
    let id = fixture.install("1.0.0", &[]);
    let mut record = fixture.record(&id);
    record.launch.environment.insert("SLEEP".to_owned(), "60".to_owned());
    let app = start(&fixture.home, &record, Which::Any, Call::PLAIN).unwrap();
    app.note_asked();
    assert!(app.was_asked_to_end() && app.ended().is_none());
    app.goes_on();
    assert!(!app.was_asked_to_end() && app.ended().is_none());
    app.stop(Duration::from_secs(30), &WindowOwners::default()).unwrap();
    assert!(app.was_asked_to_end() && app.ended().is_some());
}

/// The number that the app writes to this file.
#[cfg(target_os = "linux")]
fn process_in(fixture: &Fixture, id: &ContainerId, file: &str) -> u32 {
    loop {
        if let Some(process) = fixture.read(id, file).and_then(|text| text.trim().parse().ok()) {
            return process;
        }
        std::thread::sleep(POLL_INTERVAL_WHILE_ENDING);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn what_the_app_leaves_behind_is_not_the_app() {
    let fixture = Fixture::new();
    let id = fixture.install("1.0.0", &[]);
    fixture.write(
        &id,
        "runtime/run",
        "#!/bin/sh\nsleep 60 &\necho $! > \"$KUZFLOW_HOME/left\"\nexec sleep 60\n",
    );
    let app = start(&fixture.home, &fixture.record(&id), Which::Any, Call::PLAIN).unwrap();
    let left = process_in(&fixture, &id, "left");
    assert!(RunningLock::is_held(&fixture.home, &id));
    // Somebody else ends it, as the system does where memory is short.
    processes::end(app.process(), true);
    app.wait();
    let lock = std::fs::File::open(fixture.home.running().join(id.to_string())).unwrap();
    assert!(lock.try_lock().is_err(), "the process left behind has inherited the lock");
    assert!(!RunningLock::is_held(&fixture.home, &id));
    processes::end(left, true);
}

/// A script that starts the app and waits for it, which ends by a signal sooner than the app.
#[cfg(target_os = "linux")]
fn started_by_a_script(fixture: &Fixture, id: &ContainerId, on_signal: &str) -> (RunningApp, u32) {
    let app = format!(
        "trap '{on_signal}' TERM; echo $$ > \"$KUZFLOW_HOME/app-runs\"; while :; do sleep 0.1; done"
    );
    // A program of the system: nothing in its call names the version.
    fixture.write(id, "runtime/run", "#!/bin/sh\nsh -c \"$APP\"\ntrue\n");
    let mut record = fixture.record(id);
    record.launch.environment.insert("APP".to_owned(), app);
    let app = start(&fixture.home, &record, Which::Any, Call::PLAIN).unwrap();
    let process = process_in(fixture, id, "app-runs");
    assert_ne!(process, app.process());
    (app, process)
}

#[test]
#[cfg(target_os = "linux")]
fn an_app_that_a_script_has_started_is_asked_itself_and_has_ended_only_when_it_is_gone() {
    let fixture = Fixture::new();
    let id = fixture.install("1.0.0", &[]);
    let (app, process) = started_by_a_script(
        &fixture,
        &id,
        "echo >> \"$KUZFLOW_HOME/asked\"; until [ -e \"$KUZFLOW_HOME/may-end\" ]; do sleep 0.1; done; exit 0",
    );
    app.ask_politely();
    while app.first_ended().is_none() || fixture.read(&id, "asked").is_none() {
        std::thread::sleep(POLL_INTERVAL_WHILE_ENDING);
    }
    assert!(app.ended().is_none() && app.was_handed_over());
    assert_eq!(app.processes().first(), Some(&process));
    assert!(RunningLock::is_held(&fixture.home, &id), "its files are not carried over");
    // A launcher that looks again sends no second signal, which often means "at once".
    app.ask_politely();
    fixture.write(&id, "may-end", "");
    app.wait();
    assert_eq!(fixture.read(&id, "asked").unwrap().lines().count(), 1);
    assert!(processes::start(process).is_none());
    assert!(!RunningLock::is_held(&fixture.home, &id));
}

#[test]
#[cfg(target_os = "linux")]
fn an_app_that_a_script_has_started_is_ended_by_force_with_the_script() {
    let fixture = Fixture::new();
    let id = fixture.install("1.0.0", &[]);
    let (app, process) = started_by_a_script(&fixture, &id, "");
    app.stop(Duration::from_secs(1), &WindowOwners::default()).unwrap();
    assert!(processes::start(process).is_none());
    assert!(!RunningLock::is_held(&fixture.home, &id));
}

/// A browser that the app has opened may hold other work of the same person.
#[test]
#[cfg(target_os = "linux")]
fn another_program_with_a_window_beside_the_apps_lives_on() {
    let fixture = Fixture::new();
    let id = fixture.install("1.0.0", &[]);
    let (app, other) = started_by_a_script(&fixture, &id, "");
    let windows = WindowOwners { own: vec![app.process()], beside: vec![other] };
    app.stop(Duration::from_secs(1), &windows).unwrap();
    assert!(processes::start(other).is_some() && !RunningLock::is_held(&fixture.home, &id));
    processes::end(other, true);
}

#[test]
#[cfg(unix)]
fn a_version_that_somebody_switched_away_from_is_not_started_as_the_active_one() {
    let fixture = Fixture::new();
    let (one, two) = (fixture.install("1.0.0", &[]), fixture.install("2.0.0", &[]));
    let chosen = fixture.record(&one);
    crate::store::switch::switch(
        &fixture.home,
        &two,
        crate::store::switch::SwitchOptions::PLAIN,
        &fixture.lock,
    )
    .unwrap();
    let stale = start(&fixture.home, &chosen, Which::Active, Call::PLAIN);
    assert!(matches!(stale, Err(StoreError::Switched { .. })), "{stale:?}");
    start(&fixture.home, &chosen, Which::Any, Call::PLAIN).unwrap().wait();
    start(&fixture.home, &fixture.record(&two), Which::Active, Call::PLAIN).unwrap().wait();
}

#[test]
#[cfg(windows)]
fn a_code_of_four_bytes_is_reported_whole() {
    use std::os::windows::process::ExitStatusExt as _;
    for code in [0, 1, 256, 0xC000_0005, 0xC000_0100, u32::MAX] {
        assert_eq!(exit_code(ExitStatus::from_raw(code)), code);
    }
}

#[test]
fn a_program_that_is_missing_is_named() {
    let fixture = Fixture::new();
    let id = fixture.install("1.0.0", &[]);
    let record = fixture.record(&id);
    std::fs::remove_file(fixture.home.container(&id).join("runtime/run")).unwrap();
    let error = start(&fixture.home, &record, Which::Any, Call::PLAIN).unwrap_err();
    assert!(error.to_string().contains("run"), "{error}");
}

#[test]
#[cfg(unix)]
fn how_long_an_app_ran_is_noted_while_nobody_asks() {
    let fixture = Fixture::new();
    let id = fixture.install("1.0.0", &[]);
    let app = start(&fixture.home, &fixture.record(&id), Which::Any, Call::PLAIN).unwrap();
    app.note_first_end();
    let ran = *app.first_ran.get().unwrap();
    // This launcher is busy with other things.
    std::thread::sleep(Duration::from_millis(200));
    assert!(app.ended().is_some());
    assert_eq!(app.lifetime(), ran);
    assert!(app.age() >= ran + Duration::from_millis(200));
}

#[test]
#[cfg(target_os = "linux")]
fn a_second_instance_is_not_taken_for_the_own_one() {
    let fixture = Fixture::new();
    let id = fixture.install("1.0.0", &[]);
    let mut record = fixture.record(&id);
    record.launch.environment.insert("SLEEP".to_owned(), "60".to_owned());
    let begin = || start(&fixture.home, &record, Which::Any, Call::PLAIN).unwrap();
    let is_run_beside =
        |own: &RunningApp| RunningLock::is_run_beside(&fixture.home, &id, &own.processes());
    let first = begin();
    assert!(!is_run_beside(&first));
    let second = begin();
    assert!(is_run_beside(&first) && is_run_beside(&second));
    second.stop(Duration::from_secs(30), &WindowOwners::default()).unwrap();
    assert!(!is_run_beside(&first));
    first.stop(Duration::from_secs(30), &WindowOwners::default()).unwrap();
}
