//! The first start on a computer whose network is not there yet, with the real executable.

use std::fs;
use std::process::Stdio;

use crate::support::display::Display;
use crate::support::release::World;
use crate::support::waiting::until;

/// Nobody has to press "Try again": the window looks again by itself, and offers the release.
#[test]
fn a_first_installation_goes_on_by_itself_when_the_network_is_back() {
    let Some(display) = Display::open() else { return };
    let world = World::new();
    world.release("1.0.0", 1 << 12);
    let address = world.serve().address.clone();
    world.configure(&[&address], "");
    let log = || fs::read_to_string(world.path("log")).unwrap_or_default();
    let mut launcher = world
        .launcher(&["--verbose", "run"])
        .env("DISPLAY", &display.number)
        .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(world.path("log")).unwrap())
        .spawn()
        .unwrap();
    until("the check fails", || log().contains("Failed {"));
    let _node = world.serve_at(&address, &[]);
    until("the release is offered", || log().contains("Offered {"));
    launcher.kill().unwrap();
    launcher.wait().unwrap();
}
