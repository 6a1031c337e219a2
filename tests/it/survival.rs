//! Apps that say nothing of themselves, through the real executables: they count as up once they
//! have run for a while.

use std::collections::BTreeMap;
use std::process::Stdio;

use crate::support::display::Display;
use crate::support::release::{NodeProcess, World};
use crate::support::waiting::until;

/// One second is enough to be up.
const SETTINGS: &str = "[update]\ncheck = 'never'\n[health]\nsurvival_seconds = 1\n";
/// Comes up in this sense, and ends with an error.
const ENDS_LATER: &str = "SILENT=1\nSTAY=2\nCOMPLAINT=the-database-is-locked\nCODE=3\n";

/// A world in which a release with these orders is installed.
fn installed(orders: &str) -> (World, NodeProcess) {
    World::installed(SETTINGS, |world| {
        let files = BTreeMap::from([("orders", orders.as_bytes().to_vec())]);
        world.publish(&world.build("1.0.0", &files), &["--no-patches"]);
    })
}

#[test]
fn an_app_that_says_nothing_is_up_once_it_has_survived() {
    let (world, _node) = installed("SILENT=1\nSTAY=600\n");
    assert!(world.record("active.json")["probation"]["up"] != true, "it has not run");
    let mut command = world.launcher(&["--headless", "run"]);
    let mut launcher = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("it is up", || world.record("active.json")["probation"]["up"] == true);
    world.end_apps();
    launcher.wait().unwrap();
}

#[test]
fn a_first_version_that_ends_with_an_error_after_it_was_up_is_reported_in_the_terminal() {
    let (world, _node) = installed(ENDS_LATER);
    let output = world.start();
    let reported = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{reported}");
    assert!(reported.contains("ended with an error") && reported.contains("error code 3"));
    for part in ["did not start", "Installed versions", "switch VERSION"] {
        assert!(!reported.contains(part), "{part}: {reported}");
    }
}

#[test]
fn a_first_version_that_ends_with_an_error_after_it_was_up_is_shown_with_what_it_wrote() {
    let Some(display) = Display::open() else { return };
    let (world, _node) = installed(ENDS_LATER);
    for _ in 0..2 {
        let mut command = world.launcher(&["run"]);
        let command = command.env("DISPLAY", &display.number).env_remove("WAYLAND_DISPLAY");
        let mut launcher = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let window = display.window("Sample").expect("a window says that it ended with an error");
        until("it is written down", || {
            let log = world.log();
            log.contains("the app ended with an error") && log.contains("the-database-is-locked")
        });
        display.press_until(&window, "Escape", || launcher.try_wait().unwrap().is_some());
    }
}
