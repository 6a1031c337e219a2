//! Each verb that fetches, with only a slow node, or with a silent first node.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::support::contents::noise;
use crate::support::release::{Reply, World};
use crate::support::slow_node::{SlowNode, Slowness};
use crate::support::waiting::LIMIT;

fn repository(world: &World) -> PathBuf {
    world.path("publisher/repository")
}

/// A release with two files of noise; one of them is equal in all releases.
fn publish(world: &World, version: u64) {
    let files =
        BTreeMap::from([("same.bin", noise(1, 60_000)), ("own.bin", noise(version, 60_000))]);
    let package = world.build(&format!("{version}.0.0"), &files);
    world.publish(&package, &[]);
}

/// A world in which 1.0.0 is installed and 2.0.0 is published.
fn installed() -> World {
    let (world, _node) = World::installed("", |world| publish(world, 1));
    publish(&world, 2);
    world
}

fn assert_done(reply: &Reply, verb: &str) {
    assert_eq!(reply.code, 0, "{verb}: {} {}", reply.result, reply.errors);
}

fn damage(world: &World, version: &str) {
    let path = world.container(version).join("app/own.bin");
    fs::remove_file(&path).unwrap();
    fs::write(path, "damaged").unwrap();
}

/// Runs all verbs one after another against these nodes.
fn every_verb(world: &World, nodes: &[&str]) {
    world.configure(nodes, "");
    assert_done(&world.say(&["check"]), "check");
    assert_done(&world.say(&["update"]), "update");
    damage(world, "2.0.0");
    assert_done(&world.say(&["verify", "--repair"]), "verify --repair");
    assert_eq!(fs::read(world.container("2.0.0").join("app/own.bin")).unwrap(), noise(2, 60_000));
    // A first start without an installed version fetches the app, and starts it.
    fs::remove_dir_all(world.home()).unwrap();
    let first = world.launcher(&["--headless", "run"]).output().unwrap();
    let output = String::from_utf8_lossy(&first.stdout).into_owned();
    assert!(
        output.contains("version=2.0.0"),
        "{output} {}",
        String::from_utf8_lossy(&first.stderr)
    );
}

/// 40 kB a second for everything, and a satellite's latency.
#[test]
fn a_lone_slow_and_steady_node_gets_every_verb_there() {
    let world = installed();
    let slow =
        Slowness { rate: 40_000, latency: Duration::from_millis(600), ..Slowness::default() };
    let node = SlowNode::start(&repository(&world), slow);
    every_verb(&world, &[&node.address]);
}

/// No verb of the launcher gives up after the first silence of the only node: the second request
/// gets its answer.
#[test]
fn an_answer_that_never_came_is_asked_for_again_by_every_verb() {
    let world = installed();
    let lost = || Slowness { lost: 1, ..Slowness::default() };
    world.configure(&[&SlowNode::start(&repository(&world), lost()).address], "");
    assert_done(&world.say(&["update"]), "update");
    damage(&world, "2.0.0");
    world.configure(&[&SlowNode::start(&repository(&world), lost()).address], "");
    assert_done(&world.say(&["verify", "--repair"]), "verify --repair");
    assert_eq!(fs::read(world.container("2.0.0").join("app/own.bin")).unwrap(), noise(2, 60_000));
}

/// The node in first place accepts connections and sends nothing, for documents and for packages.
/// The launcher waits for it about one second each time, and not a whole timeout for each document.
#[test]
fn a_silent_node_in_first_place_holds_up_no_verb() {
    let world = installed();
    let silent = Slowness { is_silent: true, ..Slowness::default() };
    let silent = SlowNode::start(&repository(&world), silent);
    let good = SlowNode::start(&repository(&world), Slowness::default());
    let began = Instant::now();
    every_verb(&world, &[&silent.address, &good.address]);
    // This takes seconds; with the timeouts of documents (30 s) it would take many minutes.
    assert!(began.elapsed() < LIMIT, "{:?}", began.elapsed());
}
