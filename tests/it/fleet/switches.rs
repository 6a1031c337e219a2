//! Who wants reports: the publisher's switch, the user's, and a server that takes none.

use std::collections::BTreeMap;
use std::process::Command;

use super::{address, settings};
use crate::server::client::{ask, post};
use crate::support::release::{World, text};

#[test]
fn without_the_publishers_word_nothing_is_collected() {
    let (world, _node) = World::installed("", |world| {
        world.publish(&world.build("1.0.0", &BTreeMap::new()), &["--no-patches"]);
    });
    assert!(!world.home().join("reports").exists());
    let on = world.say(&["reports", "on"]);
    assert_eq!((on.code, on.result["reporting"].as_bool()), (3, Some(false)), "{}", on.errors);
    world.say(&["check"]);
    assert!(!world.home().join("reports").exists());
}

#[test]
fn the_users_word_counts_and_what_waits_is_deleted() {
    let world = World::new();
    world.publish(&world.build("1.0.0", &BTreeMap::new()), &["--no-patches"]);
    let node = world.serve();
    // Nobody takes reports there, so they wait.
    world.configure(&[&node.address], &settings("127.0.0.1:9"));
    world.update();
    let reports = || world.home().join("reports").read_dir().map_or(0, Iterator::count);
    assert!(reports() > 3, "{}", reports());
    let off = world.say(&["reports", "off"]);
    assert_eq!((off.code, off.result["reporting"].as_bool()), (0, Some(false)), "{}", off.errors);
    assert_eq!(reports(), 0);
    world.publish(&world.build("1.1.0", &BTreeMap::new()), &["--no-patches"]);
    world.update();
    assert_eq!(reports(), 0, "nothing is collected");
    let on = world.say(&["reports", "on"]);
    assert_eq!(on.result["reporting"], true);
    world.say(&["check"]);
    assert_eq!(world.say(&["reports", "show"]).result["reports"][0]["kind"], "active");
}

#[test]
fn a_server_without_a_place_for_reports_is_left_alone_for_a_day() {
    let world = World::new();
    world.publish(&world.build("1.0.0", &BTreeMap::new()), &["--no-patches"]);
    let node = world.serve();
    for path in ["/metrics", "/api/statistics"] {
        assert_eq!(ask(address(&node), "GET", path, &[]).status, 404, "{path}");
    }
    assert_eq!(post(address(&node), "/api/reports", b"{\"reports\": []}").status, 404);
    world.configure(&[&node.address], &settings(&node.address));
    world.update();
    world.say(&["check"]);
    let wait = world.record("reports/memory.json")["not_before"].as_i64().unwrap()
        - jiff::Timestamp::now().as_second();
    assert!((60_000..120_000).contains(&wait), "{wait} s");
    assert!(!world.say(&["reports", "show"]).result["reports"].as_array().unwrap().is_empty());
}

#[test]
fn a_second_server_does_not_use_the_folder_of_the_first() {
    let world = World::new();
    world.publish(&world.build("1.0.0", &BTreeMap::new()), &["--no-patches"]);
    let _node = super::serve(&world);
    let output = Command::new(env!("CARGO_BIN_EXE_kuzflow"))
        .args(["serve", "--repo", text(&world.path("publisher")), "--listen", "127.0.0.1:0"])
        .args(["--data", text(&world.path("data"))])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("another server"), "{errors}");
}
