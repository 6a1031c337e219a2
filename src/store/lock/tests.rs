//! Tests of `store::lock`.

use super::*;

#[cfg(unix)]
#[test]
fn a_lock_that_all_could_open_is_its_owners_afterwards() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lock");
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    drop(HomeLock::take(&Home::new(folder.path())).unwrap());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn one_launcher_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    let first = HomeLock::take(&home).unwrap();
    assert!(matches!(HomeLock::take(&home), Err(StoreError::Busy { .. })));
    drop(first);
    HomeLock::take(&home).unwrap();
}

#[test]
fn running_is_seen_while_held() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    let id: ContainerId = "a_1.0.0_Linux_x86_64".parse().unwrap();
    assert!(!RunningLock::is_held(&home, &id));
    let (one, two) =
        (RunningLock::hold(&home, &id).unwrap(), RunningLock::hold(&home, &id).unwrap());
    drop(one);
    assert!(RunningLock::is_held(&home, &id));
    drop(two);
    assert!(!RunningLock::is_held(&home, &id));
}
#[test]
fn a_lock_that_cannot_be_asked_is_reported_as_that_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    let id: ContainerId = "a_1.0.0_Linux_x86_64".parse().unwrap();
    // The lock file cannot be opened: a folder has its place.
    std::fs::create_dir_all(home.running().join(id.to_string())).unwrap();
    assert!(RunningLock::is_held(&home, &id));
    for refused in
        [RunningLock::refuse_if_held(&home, &id), RunningLock::refuse_if_running(&home, &id)]
    {
        assert!(matches!(refused, Err(StoreError::File(_))), "{refused:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_process_that_the_app_left_behind_does_not_count_as_the_app() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    let id: ContainerId = "a_1.0.0_Linux_x86_64".parse().unwrap();
    // The lock stays held, as by a browser that inherited it.
    let lock = RunningLock::hold(&home, &id).unwrap();
    let sleep = || std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let (mut one, mut two) = (sleep(), sleep());
    lock.run_by(one.id());
    lock.run_by(two.id());
    let end = |child: &mut std::process::Child| {
        child.kill().unwrap();
        child.wait().unwrap();
    };
    end(&mut one);
    assert!(RunningLock::is_held(&home, &id), "another instance runs");
    // Another process uses its id, and has another start time.
    let record = records(&home, &id).join(two.id().to_string());
    let started = std::fs::read_to_string(&record).unwrap();
    std::fs::write(&record, "1").unwrap();
    assert!(!RunningLock::is_held(&home, &id));
    std::fs::write(&record, started).unwrap();
    assert!(RunningLock::is_held(&home, &id));
    end(&mut two);
    assert!(!RunningLock::is_held(&home, &id));
    // The next start notes itself, and removes the notes of ended processes.
    let again = RunningLock::hold(&home, &id).unwrap();
    let noted = recorded(&records(&home, &id))
        .unwrap()
        .iter()
        .map(|record| (record.process, record.is_launcher))
        .collect::<Vec<_>>();
    assert_eq!(noted, [(std::process::id(), true)]);
    assert!(RunningLock::is_held(&home, &id));
    // Without notes only the lock counts.
    std::fs::remove_dir_all(records(&home, &id)).unwrap();
    assert!(RunningLock::is_held(&home, &id));
    drop((lock, again));
    assert!(!RunningLock::is_held(&home, &id));
}

#[test]
#[cfg(any(target_os = "linux", windows))]
fn an_app_that_has_not_inherited_the_lock_is_known_after_its_launcher_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    let id: ContainerId = "a_1.0.0_Linux_x86_64".parse().unwrap();
    let lock = RunningLock::hold(&home, &id).unwrap();
    let mut app = std::process::Command::new(if cfg!(windows) { "ping" } else { "sleep" });
    let mut app = app
        .args(if cfg!(windows) { &["-n", "60", "127.0.0.1"][..] } else { &["60"] })
        .spawn()
        .unwrap();
    lock.run_by(app.id());
    // The launcher ends.
    drop(lock);
    assert!(RunningLock::is_held(&home, &id));
    app.kill().unwrap();
    app.wait().unwrap();
    assert!(!RunningLock::is_held(&home, &id));
    // A launcher that was about to start it and did not.
    drop(RunningLock::hold(&home, &id).unwrap());
    assert!(!RunningLock::is_held(&home, &id));
}

#[test]
fn those_who_ask_at_the_same_time_do_not_take_each_other_for_the_app() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    let id: ContainerId = "a_1.0.0_Linux_x86_64".parse().unwrap();
    drop(RunningLock::hold(&home, &id).unwrap());
    let path = home.running().join(id.to_string());
    let ask = || {
        let file = open(&path).unwrap();
        file.try_lock().unwrap();
        Some(file)
    };
    let mut asking = ask();
    assert!(!is_locked(&path, || drop(asking.take())).unwrap());
    let _app = ask();
    assert!(is_locked(&path, || {}).unwrap());
}

#[test]
#[cfg(target_os = "linux")]
fn a_note_that_cannot_be_read_leaves_it_open_whether_the_version_runs() {
    use crate::store::fixture::{make_readable, make_unreadable};
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    let id: ContainerId = "a_1.0.0_Linux_x86_64".parse().unwrap();
    let lock = RunningLock::hold(&home, &id).unwrap();
    let mut app = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    lock.run_by(app.id());
    drop(lock);
    let refused = || RunningLock::refuse_if_held(&home, &id);
    let note = records(&home, &id).join(app.id().to_string());
    for unreadable in [note.as_path(), &records(&home, &id)] {
        let aside = make_unreadable(unreadable);
        assert!(matches!(refused(), Err(StoreError::File(_))), "{}", unreadable.display());
        assert!(RunningLock::is_held(&home, &id), "so it is left alone");
        make_readable(unreadable, &aside);
        assert!(matches!(refused(), Err(StoreError::InUse { .. })));
    }
    // Of a process that has ended a note says nothing, whatever it holds.
    app.kill().unwrap();
    app.wait().unwrap();
    make_unreadable(&note);
    refused().unwrap();
}
