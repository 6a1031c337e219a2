//! Starts whose version needs a repair, while the only node accepts connections and sends nothing:
//! the repair would give up only after minutes.

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;

use crate::support::display::Display;
use crate::support::release::{PROGRAM, World};
use crate::support::slow_node::{SlowNode, Slowness};
use crate::support::waiting::{insist, until};

/// A world in which these versions are installed and the program of the last one is lost.
fn damaged(versions: &[&str]) -> World {
    let world = World::new();
    for version in versions {
        let package =
            world.build(version, &BTreeMap::from([("own.txt", version.as_bytes().to_vec())]));
        world.publish(&package, &["--no-patches"]);
        let node = world.serve();
        world.configure(&[&node.address], "");
        let update = world.say(&["update"]);
        assert_eq!(update.code, 0, "{}", update.errors);
        // The version has run.
        let _ = world.launcher(&["--headless", "run"]).output().unwrap();
    }
    let last = world.container(versions.last().unwrap());
    fs::remove_file(last.join("app").join(PROGRAM)).unwrap();
    // No other version has this file, so the repair needs the network.
    fs::remove_file(last.join("app/own.txt")).unwrap();
    let silent = Slowness { is_silent: true, ..Slowness::default() };
    let node = SlowNode::start(&world.path("publisher/repository"), silent);
    world.configure(&[&node.address], "[update]\ncheck = 'never'\n");
    world
}

fn was_cancelled(log: &str) -> bool {
    log.lines().any(|line| line.contains("the repair was cancelled"))
}

#[test]
fn a_start_that_waits_for_a_repair_says_so_in_the_terminal() {
    let world = damaged(&["1.0.0"]);
    let errors = world.path("errors");
    let mut launcher = world.launcher(&["--headless", "run"]);
    let launcher =
        launcher.stdout(Stdio::null()).stderr(fs::File::create(&errors).unwrap()).spawn();
    let mut launcher = launcher.unwrap();
    until("it says what it does", || {
        let printed = fs::read_to_string(&errors).unwrap();
        printed.lines().any(|line| line.contains("repairing") && line.contains("1.0.0"))
    });
    assert!(launcher.try_wait().unwrap().is_none(), "the repair goes on");
    launcher.kill().unwrap();
    launcher.wait().unwrap();
}

/// The window says what lasts. Whoever closes it ends the repair, and sees why nothing starts.
#[test]
fn a_start_that_waits_for_a_repair_shows_a_window_that_ends_the_wait() {
    let Some(mut display) = Display::open() else { return };
    if !display.start_window_manager() {
        assert!(std::env::var_os("CI").is_none(), "CI has a window manager");
        println!("not tried: there is no window manager");
        return;
    }
    // As a person does it: the window manager asks the window in front to close.
    let close = || {
        if let Some(window) = display.visible("Sample") {
            display.tool(&["windowfocus", "--sync", &window, "key", "alt+F4"]);
        }
    };
    let world = damaged(&["1.0.0"]);
    let mut command = world.launcher(&["run"]);
    command.env("DISPLAY", &display.number).env_remove("WAYLAND_DISPLAY");
    let mut launcher = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    display.window("Sample").expect("a window says what lasts");
    assert!(!was_cancelled(&world.log()));
    insist("it is closed", close, || was_cancelled(&world.log()));
    // The window of the failure follows.
    insist("that one too", close, || launcher.try_wait().unwrap().is_some());
}

/// The version before has run and has ended: nobody waits for the repair of the other one.
#[test]
fn a_repair_that_lasts_ends_soon_after_the_app() {
    let world = damaged(&["1.0.0", "2.0.0"]);
    let output = world.launcher(&["--headless", "run"]).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("version=1.0.0"), "{printed}");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(was_cancelled(&log), "{log}");
}
