//! Recalls, watersheds, plans, minimum systems and channels, through both executables.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use crate::support::release::{NodeProcess, World, kuzflow, started_versions, text};

/// A world in which `version` is published and installed.
fn world_with(version: &str, settings: &str) -> (World, NodeProcess) {
    let world = World::new();
    publish(&world, version, &[]);
    let node = world.serve();
    world.configure(&[&node.address], settings);
    world.update();
    (world, node)
}

fn publish(world: &World, version: &str, more: &[&str]) {
    let package = world.build(version, &BTreeMap::new());
    world.publish(&package, &[&["--no-patches"], more].concat());
}

/// Runs a verb of the publisher that must succeed.
fn steer(world: &World, arguments: &[&str]) {
    let folder = world.path("publisher");
    let reply = kuzflow(&[arguments, &["--repo", text(&folder)]].concat());
    assert_eq!(reply.code, 0, "{arguments:?}: {}", reply.errors);
}

fn user_file(world: &World, version: &str) -> std::path::PathBuf {
    world.container(version).join("data/drawing")
}

const ONLY_ON_REQUEST: &str = "[update]\ncheck = 'never'\n";

#[test]
fn a_recall_brings_the_version_before_back_with_its_files() {
    let (world, _node) = world_with("1.0.0", ONLY_ON_REQUEST);
    world.start();
    fs::create_dir_all(user_file(&world, "1.0.0").parent().unwrap()).unwrap();
    fs::write(user_file(&world, "1.0.0"), "whole").unwrap();
    publish(&world, "2.0.0", &[]);
    world.update();
    assert_eq!(started_versions(&world.start()), ["2.0.0"]);
    fs::write(user_file(&world, "2.0.0"), "spoilt").unwrap();

    let reason = ["--reason", "en=It spoils drawings", "--reason", "zh-CN=会损坏图纸"];
    steer(&world, &[&["recall", "2.0.0", "--to", "1.0.0"], &reason[..]].concat());
    let found = world.say(&["check"]).result;
    assert_eq!(
        (&found["status"], &found["version"]),
        (&json!("update_available"), &json!("1.0.0"))
    );
    assert_eq!(found["mandatory"], json!(true));
    let recalled = found["recalled"].as_object().unwrap();
    assert_eq!(
        (&recalled["version"], &recalled["reason"]),
        (&json!("2.0.0"), &json!("It spoils drawings"))
    );
    let files_of = recalled["files_of"].clone();
    assert!(files_of.is_string(), "{found}");
    assert_eq!(recalled.len(), 3);
    let update = world.say(&["update"]);
    assert_eq!(update.code, 0, "{}", update.errors);
    assert_eq!(world.active(), "1.0.0");
    // The terminal and the next start say where the rest is.
    let event = update.events.iter().find(|one| one["what"]["happened"] == "recalled").unwrap();
    let aside = std::path::PathBuf::from(event["what"]["kept"].as_str().unwrap());
    assert_eq!(fs::read_to_string(aside.join("data/drawing")).unwrap(), "spoilt");
    assert_eq!(event["what"]["from"], json!("2.0.0"));
    assert_eq!(fs::read_to_string(user_file(&world, "1.0.0")).unwrap(), "whole");
    assert_eq!(started_versions(&world.start()), ["1.0.0"]);
    // Who leaves it by a choice of his own takes his present files along.
    assert_eq!(world.say(&["switch", "2.0.0"]).code, 0);
    fs::write(user_file(&world, "2.0.0"), "of today").unwrap();
    assert_eq!(world.say(&["switch", "1.0.0"]).code, 0);
    assert_eq!(fs::read_to_string(user_file(&world, "1.0.0")).unwrap(), "of today");
    assert_eq!(world.say(&["remove", "2.0.0"]).code, 0);
    let again = world.say(&["update", "--to", "2.0.0"]);
    assert_eq!((again.code, &again.result["problem"]["kind"]), (1, &json!("no_such_version")));
    assert_eq!(world.say(&["check"]).result["status"], json!("nothing_to_do"));

    // A recall that was a mistake is taken back, and somebody resumes the release on purpose.
    steer(&world, &["recall", "2.0.0", "--take-back"]);
    assert_eq!(world.say(&["check"]).result["status"], json!("nothing_to_do"));
    steer(&world, &["rollout", "--version", "2.0.0", "--resume"]);
    assert_eq!(world.say(&["check"]).result["version"], json!("2.0.0"));
}

#[test]
fn a_recall_by_a_word_leads_where_the_plan_says() {
    let (world, _node) = world_with("1.0.0", ONLY_ON_REQUEST);
    let plan = world.path("plan.toml");
    fs::write(&plan, "recall_to = \"1.0.0\"\n\n[[stages]]\npercent = 100\n").unwrap();
    publish(&world, "2.0.0", &["--plan", text(&plan)]);
    world.update();
    assert_eq!(world.active(), "2.0.0");
    let online = ["rollout", "--version", "2.0.0", "--online"];
    steer(&world, &[&online[..], &["recall"]].concat());
    let found = world.say(&["check"]).result;
    assert_eq!(
        (&found["version"], &found["mandatory"]),
        (&json!("1.0.0"), &json!(true)),
        "{found}"
    );
    world.update();
    assert_eq!(world.active(), "1.0.0");
    assert_eq!(world.say(&["check"]).result["status"], json!("nothing_to_do"));
    steer(&world, &[&online[..], &["take-back"]].concat());
    assert_eq!(world.say(&["check"]).result["status"], json!("nothing_to_do"), "it is halted");
    steer(&world, &[&online[..], &["resume"]].concat());
    assert_eq!(world.say(&["check"]).result["version"], json!("2.0.0"));
    // A plan that leads nowhere is refused before anybody relies on it.
    fs::write(&plan, "recall_to = \"1.5.0\"\n\n[[stages]]\npercent = 100\n").unwrap();
    let folder = world.path("publisher");
    let new_plan =
        ["rollout", "--version", "2.0.0", "--plan", text(&plan), "--repo", text(&folder)];
    let refused = kuzflow(&new_plan);
    assert!(refused.code == 1 && refused.errors.contains("no such release"), "{}", refused.errors);
}

#[test]
fn a_recalled_version_that_crashes_at_once_is_left_at_the_next_start() {
    let world = World::new();
    publish(&world, "1.0.0", &[]);
    world.build("2.0.0", &BTreeMap::new());
    world.write_script("2.0.0", "crash", "#!/bin/sh\necho version=2.0.0\nexit 3\n");
    let package = world.pack("2.0.0", "exe:crash", &["--runtime", "none"]);
    world.publish(&package, &["--no-patches"]);
    let node = world.serve();
    world.configure(&[&node.address], "");
    world.update();
    assert_eq!(world.active(), "2.0.0", "the only version that is installed");
    assert!(started_versions(&world.start()).contains(&"2.0.0".to_owned()));
    steer(&world, &["recall", "2.0.0", "--to", "1.0.0"]);
    // The launcher learns of the recall once the app has ended, or by the check of a script.
    world.start();
    world.say(&["check"]);
    let started = world.start();
    assert_eq!(started_versions(&started).last().map(String::as_str), Some("1.0.0"));
    assert_eq!(world.active(), "1.0.0");
    // Without a network the recalled version is still not gone back to.
    drop(node);
    assert_eq!(started_versions(&world.start()), ["1.0.0"]);
}

#[test]
fn nobody_goes_past_a_watershed_and_an_old_system_reads_what_it_lacks() {
    let (world, _node) = world_with("1.0.0", ONLY_ON_REQUEST);
    publish(&world, "2.0.0", &["--watershed"]);
    publish(&world, "3.0.0", &[]);
    let past = world.say(&["update", "--to", "3.0.0"]);
    assert_eq!(past.code, 1);
    let chain = past.result["problem"]["chain"].to_string();
    assert!(chain.contains("2.0.0 must be installed before"), "{chain}");
    for version in ["2.0.0", "3.0.0"] {
        world.update();
        assert_eq!(world.active(), version);
    }
    publish(&world, "4.0.0", &["--system", "glibc=99.1,kernel=2.6"]);
    let found: Value = world.say(&["check"]).result;
    if cfg!(all(target_os = "linux", target_env = "gnu")) {
        assert_eq!(found["status"], json!("nothing_to_do"));
        assert_eq!(
            (&found["reason"], &found["needed"]),
            (&json!("system_too_old"), &json!("glibc 99.1"))
        );
        assert!(found["found"].as_str().unwrap().starts_with("glibc 2."), "{found}");
    }
    let folder = world.path("publisher");
    let package = world.path("4.0.0.kuzflow");
    let again = ["publish", text(&package), "--repo", text(&folder), "--again", "--system", "none"];
    assert_eq!(kuzflow(&again).code, 0);
    assert_eq!(world.say(&["check"]).result["version"], json!("4.0.0"));
}

#[test]
fn a_plan_says_for_whom_a_release_is_and_how_far_it_is() {
    let (world, node) = world_with("1.0.0", ONLY_ON_REQUEST);
    let plan = world.path("plan.toml");
    let ring = "[only]\nrings = ['insiders']\n";
    fs::write(&plan, format!("[[stages]]\npercent = 100\n{ring}")).unwrap();
    publish(&world, "2.0.0", &["--plan", text(&plan)]);
    let check = || world.say(&["check"]).result;
    assert_eq!(check()["reason"], json!("not_yet"));
    world.configure(&[&node.address], &format!("ring = 'insiders'\n{ONLY_ON_REQUEST}"));
    assert_eq!(check()["version"], json!("2.0.0"));
    // It has not begun yet.
    fs::write(&plan, "begins = 2100-01-01T00:00:00Z\n[[stages]]\npercent = 100\n").unwrap();
    steer(&world, &["rollout", "--version", "2.0.0", "--plan", text(&plan)]);
    assert_eq!(check()["reason"], json!("not_yet"));
    // The first stage is for nobody but one in a thousand, whatever the time is; the second for all.
    let stages = "[[stages]]\npercent = 0.1\n[[stages]]\npercent = 100\n";
    fs::write(&plan, format!("begins = 2020-01-01T00:00:00Z\n{stages}")).unwrap();
    steer(&world, &["rollout", "--version", "2.0.0", "--plan", text(&plan)]);
    let state = world.home().join("state.json");
    let mut known: Value = serde_json::from_slice(&fs::read(&state).unwrap()).unwrap();
    known["installation_id"] = json!("outside of one in a thousand");
    fs::write(&state, known.to_string()).unwrap();
    assert_eq!(check()["reason"], json!("not_yet"));
    steer(&world, &["rollout", "--version", "2.0.0", "--stage", "2"]);
    assert_eq!(check()["version"], json!("2.0.0"));
    let folder = world.path("publisher");
    let beyond = ["rollout", "--version", "2.0.0", "--stage", "3", "--repo", text(&folder)];
    assert_eq!(kuzflow(&beyond).code, 1);
    let missing = ["rollout", "--version", "2.0.0", "--plan", "none.toml", "--repo", text(&folder)];
    assert!(kuzflow(&missing).errors.contains("no such file"));
}

#[test]
fn a_user_joins_a_channel_and_leaves_it_with_the_files_of_then() {
    let (world, node) = world_with("1.0.0", ONLY_ON_REQUEST);
    let settings = fs::read_to_string(world.config()).unwrap();
    fs::write(world.config(), format!("channels = ['stable', 'beta']\n{settings}")).unwrap();
    publish(&world, "2.0.0", &["--channel", "beta"]);
    world.start();
    fs::create_dir_all(user_file(&world, "1.0.0").parent().unwrap()).unwrap();
    fs::write(user_file(&world, "1.0.0"), "of the stable one").unwrap();
    let answer = world.say(&["channel"]);
    assert_eq!(answer.result["channel"], json!("stable"));
    assert_eq!(answer.result["channels"], json!(["stable", "beta"]));
    let unknown = world.say(&["channel", "nightly"]);
    assert_eq!((unknown.code, &unknown.result["status"]), (3, &json!("nothing_to_do")));
    assert_eq!(world.say(&["check"]).result["reason"], json!("newest"));

    assert_eq!(world.say(&["channel", "beta"]).result["channel"], json!("beta"));
    world.update();
    assert_eq!(started_versions(&world.start()), ["2.0.0"]);
    fs::write(user_file(&world, "2.0.0"), "of the beta").unwrap();

    // Without a word the newer version stays, until the channel has caught up.
    assert_eq!(world.say(&["channel", "stable"]).code, 0);
    let ahead = world.say(&["check"]).result;
    assert_eq!((&ahead["reason"], &ahead["newest"]), (&json!("ahead_of_channel"), &json!("1.0.0")));
    assert_eq!(started_versions(&world.start()), ["2.0.0"]);
    // What is recalled in the channel that was left is heard of here too, and so is its end, which no
    // offer names any more.
    let beta = |version: &str| publish(&world, version, &["--channel", "beta"]);
    let is_recalled =
        || world.say(&["list"]).result["versions"].to_string().contains("\"recalled\":true");
    beta("2.0.1");
    steer(&world, &["recall", "2.0.0", "--to", "2.0.1"]);
    let found = world.say(&["check"]).result;
    assert_eq!(
        (&found["version"], &found["mandatory"]),
        (&json!("2.0.1"), &json!(true)),
        "{found}"
    );
    assert!(is_recalled());
    beta("2.0.2");
    steer(&world, &["recall", "2.0.0", "--take-back"]);
    assert_eq!(world.say(&["check"]).result["reason"], json!("ahead_of_channel"));
    assert!(!is_recalled());
    let back = world.say(&["channel", "stable", "--back"]);
    assert_eq!((back.code, &back.result["status"]), (0, &json!("rolled_back")), "{}", back.errors);
    assert_eq!(world.active(), "1.0.0");
    assert_eq!(fs::read_to_string(user_file(&world, "1.0.0")).unwrap(), "of the stable one");
    assert_eq!(world.say(&["channel", "stable", "--back"]).code, 3, "it is there already");
    publish(&world, "2.1.0", &[]);
    assert_eq!(world.say(&["check"]).result["version"], json!("2.1.0"));
    // A publisher who offers no choice any more decides again.
    assert_eq!(world.say(&["channel", "beta"]).code, 0);
    world.configure(&[&node.address], ONLY_ON_REQUEST);
    assert_eq!(world.say(&["channel"]).result["channel"], json!("stable"));
    assert_eq!(world.say(&["channel", "beta"]).code, 3);
}
