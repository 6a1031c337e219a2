//! Tests of `session::instance`.

use super::*;
use crate::messages::mailbox;

/// Takes the request as a window does, after a moment.
fn show(handle: &Handle) -> WindowPart {
    loop {
        handle.wait(Duration::from_millis(50));
        if let Some(part) = handle.take_wanted() {
            return part;
        }
    }
}

#[test]
fn another_start_finds_the_launcher_of_its_home_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let folders = [folder.path().to_owned()];
    let (home, other) =
        (Home::new(folder.path().join("one")), Home::new(folder.path().join("two")));
    assert!(!ask(&home, &folders, WindowPart::Any), "nobody is there");
    let (handle, _engine) = mailbox::channel();
    let instance = Instance::listen(&home, &folders, handle.clone()).unwrap();
    for part in [WindowPart::Any, WindowPart::Versions, WindowPart::Check] {
        let window = handle.clone();
        let window = std::thread::spawn(move || show(&window));
        assert!(ask(&home, &folders, part));
        assert_eq!(window.join().unwrap(), part);
    }
    assert!(!ask(&other, &folders, WindowPart::Any), "it serves another home");
    drop(instance);
    assert!(!ask(&home, &folders, WindowPart::Any), "it has ended");
}

#[test]
fn a_start_hears_at_once_that_a_launcher_works_and_passes_over_a_stopped_one() {
    let folder = tempfile::tempdir().unwrap();
    let folders = [folder.path().to_owned()];
    let home = Home::new(folder.path().join("home"));
    let stopped = system::listen(&folder.path().join(format!("{}0", prefix(&home)))).unwrap();
    assert!(!ask_before_start(&home, &folders), "nobody accepts the request");
    drop(stopped);
    std::fs::remove_file(folder.path().join(format!("{}0", prefix(&home)))).unwrap();
    let (handle, _engine) = mailbox::channel();
    let _instance = Instance::listen(&home, &folders, handle.clone()).unwrap();
    // The answer comes before the window takes the request.
    let (open, opens) = mpsc::channel();
    let window = std::thread::spawn(move || {
        opens.recv().unwrap();
        show(&handle)
    });
    let on_answer = || open.send(()).unwrap();
    assert!(ask_all(&home, &folders, WindowPart::Any, &on_answer));
    assert_eq!(window.join().unwrap(), WindowPart::Any);
}

#[test]
fn a_stopped_launcher_hides_no_other_and_only_one_shows_its_window() {
    let folder = tempfile::tempdir().unwrap();
    let folders = [folder.path().to_owned()];
    let home = Home::new(folder.path().join("home"));
    // In the order of their names these come before and behind the others.
    let _stopped = ["", "~"].map(|name| {
        system::listen(&folder.path().join(format!("{}{name}", prefix(&home)))).unwrap()
    });
    let at = |number| folder.path().join(format!("{}{number}", prefix(&home)));
    let handles = [1, 2].map(|number| {
        let (handle, engine) = mailbox::channel();
        let service = Service::new(system::listen(&at(number)).unwrap(), handle.clone());
        std::thread::spawn(move || serve(&service));
        (handle, engine)
    });
    let (shown, is_shown) = mpsc::channel();
    for (handle, _) in &handles {
        let (handle, shown) = (handle.clone(), shown.clone());
        std::thread::spawn(move || shown.send(show(&handle)));
    }
    assert!(ask_before_start(&home, &folders));
    is_shown.recv().unwrap();
    assert!(is_shown.try_recv().is_err(), "the other one shows nothing");
    // So that its thread ends.
    handles.iter().for_each(|(handle, _)| handle.want(WindowPart::Any));
    is_shown.recv().unwrap();
}

#[test]
fn a_window_that_cannot_be_opened_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let folders = [folder.path().to_owned()];
    let home = Home::new(folder.path().join("home"));
    let (handle, _engine) = mailbox::channel();
    let _instance = Instance::listen(&home, &folders, handle.clone()).unwrap();
    let refusing = std::thread::spawn(move || {
        while handle.wanted().is_none() {
            handle.wait(Duration::from_millis(50));
        }
        handle.refuse_wanted();
    });
    assert!(!ask(&home, &folders, WindowPart::Any));
    refusing.join().unwrap();
}

#[test]
#[cfg(unix)]
fn what_a_killed_launcher_left_is_removed_and_what_is_no_socket_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let folders = [folder.path().to_owned()];
    let home = Home::new(folder.path().join("home"));
    let (dead, file) = (
        folder.path().join(format!("{}1", prefix(&home))),
        folder.path().join(format!("{}2", prefix(&home))),
    );
    drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
    std::fs::write(&file, "somebody's").unwrap();
    assert!(!ask(&home, &folders, WindowPart::Any));
    assert_eq!((dead.exists(), file.exists()), (false, true));
}
