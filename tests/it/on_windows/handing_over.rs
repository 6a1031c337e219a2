//! An app that goes on while its launcher, or its first process, has ended.

use std::process::{Child, Stdio};

use super::{installed, publish};
use crate::support::processes;
use crate::support::release::{World, started_versions};
use crate::support::waiting::until;

/// Starts the app with this order, and waits until a process of it stays.
fn start(world: &World, order: &str) -> Child {
    let mut launcher = world.launcher(&["run"]);
    let launcher = launcher.env(order, "600").stdout(Stdio::null()).spawn().unwrap();
    until("the app runs", || processes::is_any_running(&world.home()));
    launcher
}

fn runs(world: &World) -> bool {
    world.say(&["list"]).result["versions"][0]["running"] == true
}

/// Nothing switches or removes 1.0.0 while its app goes on; after its end 1.1.0 starts.
fn is_protected_until_its_end(world: &World) {
    publish(world, "1.1.0", &[]);
    world.update();
    assert_eq!(world.active(), "1.0.0", "no switch under the running app");
    assert_eq!(world.say(&["remove", "1.0.0"]).result["problem"]["kind"], "version_in_use");
    world.end_apps();
    until("the new version starts", || started_versions(&world.start()) == ["1.1.0"]);
}

#[test]
fn a_killed_launchers_app_still_runs_for_the_next_launcher() {
    let (world, _node) = installed();
    let mut launcher = start(&world, "STAY");
    launcher.kill().unwrap();
    launcher.wait().unwrap();
    assert!(runs(&world), "its process and start time are noted");
    is_protected_until_its_end(&world);
}

#[test]
fn what_continues_in_place_of_the_first_process_counts_as_the_app() {
    let (world, _node) = installed();
    let mut launcher = start(&world, "HAND_OVER");
    until("the launcher knows of it", || world.log().contains("the app was handed over"));
    assert!(launcher.try_wait().unwrap().is_none(), "the launcher stays with it");
    launcher.kill().unwrap();
    launcher.wait().unwrap();
    assert!(runs(&world), "the process that continues is noted");
    is_protected_until_its_end(&world);
}
