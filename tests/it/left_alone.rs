//! An app on probation that never says that it is ready, with a window that its user has hidden, or
//! none at all: who may be using it is not ended, and is told. The app is a small client of X.

use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::support::display::Display;
use crate::support::release::{NodeProcess, World};
use crate::support::waiting::until;

/// Connects to the display, opens and hides windows as `WINDOWS` says, and goes on. It notes the
/// signal by which the launcher ends a version that hangs. Speaks the protocol itself: a toolkit
/// would be a part of the test.
const APP: &str = r#"#!/usr/bin/env python3
import os, signal, socket, struct, sys, time
folder = os.environ["NOTES"]

def note(name):
    open(folder + "/" + name, "w").close()

def ended(*_):
    note("ended")
    sys.exit(0)

signal.signal(signal.SIGTERM, ended)
kind = os.environ["WINDOWS"]
if kind != "no display":
    number = os.environ["DISPLAY"].split(":")[1].split(".")[0]
    display = socket.socket(socket.AF_UNIX)
    display.connect("/tmp/.X11-unix/X" + number)
    display.sendall(struct.pack("<BxHHHHxx", 0x6C, 11, 0, 0, 0))

    def read(length):
        data = b""
        while len(data) < length:
            data += display.recv(length - len(data))
        return data

    head = read(8)
    setup = read(4 * struct.unpack("<H", head[6:8])[0])
    base, vendor, formats = struct.unpack("<I", setup[4:8])[0], struct.unpack("<H", setup[16:18])[0], setup[21]
    root = struct.unpack("<I", setup[32 + (vendor + 3) // 4 * 4 + 8 * formats:][:4])[0]
    windows = [base + 1 + place for place in range(int(kind))]
    for window in windows:
        display.sendall(struct.pack("<BBHIIhhHHHHII", 1, 0, 8, window, root, 0, 0, 200, 100, 0, 1, 0, 0))
        display.sendall(struct.pack("<BBHI", 8, 0, 2, window))
    time.sleep(1)
    for window in windows:
        display.sendall(struct.pack("<BBHI", 10, 0, 2, window))
note("began")
while True:
    time.sleep(0.1)
"#;

/// A world in which the app is to say within some seconds that it is ready. An interpreter may need
/// long to begin on a busy computer.
fn world() -> (World, NodeProcess) {
    let world = World::new();
    fs::create_dir(world.path("notes")).unwrap();
    fs::create_dir_all(world.path("app 1.0.0")).unwrap();
    world.write_script("1.0.0", "run.py", APP);
    let named = ["--runtime", "none", "--display-name", "示例 Sample", "--reports-up"];
    world.publish(&world.pack("1.0.0", "exe:run.py", &named), &["--no-patches"]);
    let node = world.serve();
    world.configure(
        &[&node.address],
        "[update]\ncheck = 'never'\n[health]\nup_within_seconds = 15\n",
    );
    world.update();
    (world, node)
}

fn start(world: &World, display: &Display, windows: &str) -> Child {
    let mut command = world.launcher(&["--headless", "--verbose", "run"]);
    command.env("DISPLAY", &display.number).env("WINDOWS", windows);
    command.env("NOTES", world.path("notes"));
    let output = fs::File::create(world.path("output")).unwrap();
    let errors = fs::File::create(world.path("errors")).unwrap();
    command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn().unwrap()
}

fn is_noted(world: &World, name: &str) -> bool {
    world.path("notes").join(name).exists()
}

#[test]
fn an_app_whose_windows_are_all_hidden_or_that_has_none_is_left_alone() {
    let Some(display) = Display::open() else { return };
    // No window is an icon in the panel; two are closed to the panel one after the other.
    for windows in ["0", "1", "2"] {
        let (world, _node) = world();
        let mut launcher = start(&world, &display, windows);
        until("it runs", || is_noted(&world, "began"));
        let printed = |name: &str| fs::read_to_string(world.path(name)).unwrap();
        until("it is left alone", || printed("errors").contains("it is left alone"));
        let end = Instant::now() + Duration::from_secs(4);
        while Instant::now() < end {
            assert!(!is_noted(&world, "ended"), "{windows} windows: {}", printed("errors"));
            std::thread::sleep(Duration::from_millis(100));
        }
        let state = world.record("state.json");
        let was_noticed = state["notices"].to_string().contains("left_alone");
        let sentence = "Version 1.0.0 has not said that it is ready.";
        assert!(was_noticed || printed("output").contains(sentence), "{state}");
        world.end_apps();
        launcher.wait().unwrap();
    }
}

/// Nobody can be at work in a program that has neither display nor terminal.
#[test]
fn a_program_that_nobody_can_see_is_ended_when_it_hangs() {
    let Some(display) = Display::open() else { return };
    let (world, _node) = world();
    let mut launcher = start(&world, &display, "no display");
    until("it runs", || is_noted(&world, "began"));
    until("it is ended", || is_noted(&world, "ended"));
    world.end_apps();
    let _ = launcher.kill();
    launcher.wait().unwrap();
}
