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
    let status = app.stop(Duration::from_secs(30)).unwrap();
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
    app.stop(Duration::from_secs(30)).unwrap();
    assert!(app.was_asked_to_end() && app.ended().is_some());
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
    let left = loop {
        if let Some(left) = fixture.read(&id, "left").and_then(|text| text.trim().parse().ok()) {
            break rustix::process::Pid::from_raw(left).unwrap();
        }
        std::thread::sleep(POLL_INTERVAL_WHILE_ENDING);
    };
    assert!(RunningLock::is_held(&fixture.home, &id));
    app.stop(Duration::from_secs(30)).unwrap();
    let lock = std::fs::File::open(fixture.home.running().join(id.to_string())).unwrap();
    assert!(lock.try_lock().is_err(), "the process left behind has inherited the lock");
    assert!(!RunningLock::is_held(&fixture.home, &id));
    rustix::process::kill_process(left, rustix::process::Signal::KILL).unwrap();
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
