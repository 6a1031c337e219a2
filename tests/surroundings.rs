//! The machine around the launcher, through the real executables: streams that take nothing, other processes that are stopped, file
//! systems that lack something. Whatever of it is in the way, the app starts, and nothing of the user's is lost.

#![cfg(all(target_os = "linux", feature = "publisher"))]
#![allow(dead_code)] // the world has more than is used here
#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests

#[path = "support/release.rs"]
mod release;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use release::{NodeProcess, World};

/// A world with 1.0.0 installed; its settings look before the start, at a node that is not there.
fn installed() -> (World, NodeProcess) {
    let world = World::new();
    let package = world.build("1.0.0", &BTreeMap::new());
    world.publish(&package, &["--no-patches"]);
    let node = world.serve();
    world.configure(&[&node.address], "[update]\ncheck = 'never'\n");
    assert_eq!(world.say(&["update"]).code, 0);
    (world, node)
}

/// Waits for a child that must not hang.
fn within(limit: Duration, command: &mut Command) -> (Option<ExitStatus>, Duration) {
    let begun = Instant::now();
    let mut child = command.spawn().unwrap();
    loop {
        match child.try_wait().unwrap() {
            Some(status) => return (Some(status), begun.elapsed()),
            None if begun.elapsed() > limit => {
                let _ = child.kill();
                let _ = child.wait();
                return (None, begun.elapsed());
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// The writing end of a pipe that is full; its reader lives and does not read.
fn full_pipe() -> (std::io::PipeReader, OwnedFd) {
    let (reader, writer) = std::io::pipe().unwrap();
    let writer = OwnedFd::from(writer);
    rustix::fs::fcntl_setfl(&writer, rustix::fs::OFlags::NONBLOCK).unwrap();
    let mut file = File::from(writer);
    while file.write(&[b'x'; 4096]).is_ok_and(|count| count > 0) {}
    while file.write(b"x").is_ok_and(|count| count > 0) {}
    let writer = OwnedFd::from(file);
    rustix::fs::fcntl_setfl(&writer, rustix::fs::OFlags::empty()).unwrap();
    (reader, writer)
}

/// What standard error may be: a full disk, a pipe whose reader has gone, one whose reader is stopped.
fn deaf(kind: &str) -> (Option<std::io::PipeReader>, Stdio) {
    match kind {
        "full disk" => (None, File::options().write(true).open("/dev/full").unwrap().into()),
        "nobody" => (None, std::io::pipe().unwrap().1.into()),
        _ => {
            let (reader, writer) = full_pipe();
            (Some(reader), writer.into())
        }
    }
}

#[test]
fn where_nothing_can_be_told_the_app_starts_and_every_verb_ends() {
    let (world, node) = installed();
    let started = world.path("started");
    let settings = fs::read_to_string(world.config()).unwrap();
    let run = |verb: &[&str], kind: &str| {
        let _ = fs::remove_file(&started);
        let (reader, errors) = deaf(kind);
        let mut command = world.launcher(&[&["--headless"], verb].concat());
        command.env("STARTS", &started).stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        let (status, took) = within(Duration::from_secs(60), &mut command);
        drop(reader);
        (status.and_then(|status| status.code()), took, started.exists())
    };
    // The app that a world builds says nothing to a file: this one does.
    let script = world.container("1.0.0").join("app/run.sh");
    let text =
        fs::read_to_string(&script).unwrap().replace("#!/bin/sh\n", "#!/bin/sh\n[ -z \"$STARTS\" ] || echo > \"$STARTS\"\n");
    fs::write(&script, text).unwrap();
    drop(node);
    for kind in ["full disk", "nobody", "stopped reader"] {
        for verb in ["check", "update"] {
            assert_eq!(run(&[verb], kind).0, Some(1), "{verb} {kind}");
        }
        fs::write(world.config(), settings.replace("'never'", "'before-start'")).unwrap();
        assert_eq!((run(&["run"], kind).0, run(&["run"], kind).2), (Some(0), true), "before-start, {kind}");
        fs::write(world.config(), "broken = [").unwrap();
        assert_eq!((run(&["run"], kind).0, run(&["run"], kind).2), (Some(0), true), "broken settings, {kind}");
        // With words about it.
        fs::write(world.config(), &settings).unwrap();
        fs::write(world.home().join("active.json"), "{").unwrap();
        assert_eq!((run(&["--verbose", "run"], kind).0, run(&["run"], kind).2), (Some(0), true), "lost pointer, {kind}");
    }
}

#[test]
fn a_version_that_crashes_is_left_also_where_nothing_can_be_told() {
    let (world, _node) = installed();
    for kind in ["full disk", "nobody", "stopped reader"] {
        let version = match kind {
            "full disk" => "1.1.0",
            "nobody" => "1.2.0",
            _ => "1.3.0",
        };
        let package = world.build(version, &BTreeMap::new());
        world.publish(&package, &["--no-patches"]);
        world.configure(&[&_node.address], "[update]\ncheck = 'never'\n");
        assert_eq!(world.say(&["update"]).result["version"], version);
        fs::write(world.container(version).join("app/run.sh"), "#!/bin/sh\nexit 7\n").unwrap();
        let (_reader, errors) = deaf(kind);
        let mut command = world.launcher(&["--headless", "run"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        let (status, _) = within(Duration::from_secs(60), &mut command);
        assert_eq!(status.and_then(|status| status.code()), Some(0), "{kind}");
        let list = world.say(&["list"]).result;
        let active = list["versions"].as_array().unwrap().iter().find(|version| version["active"] == true).unwrap();
        assert!(active["id"].as_str().unwrap().contains("_1.0.0_"), "{kind}: {active}");
    }
}
