//! A launcher that is killed in the middle of a verb, at any change that a watcher of its home can
//! see. One plain start then runs a healthy version with the user's files, and the same verb can
//! be repeated. `tests/crash` tries each single call, and needs Linux for it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::SystemTime;

use super::{installed, publish};
use crate::support::release::{World, copy_tree, reply, started_versions};

/// The most kills of one verb. There are more points; each run of the tests tries a sample.
const MAX_KILLS: usize = 4;
/// What the user has written in the version that runs before the verb.
const DOCUMENT: &str = "the user's document";

/// A verb that changes a home.
struct Scene {
    name: &'static str,
    home: PathBuf,
    verb: &'static [&'static str],
    /// The version that runs at the end.
    after: &'static str,
}

/// Every file of a home with its size and time, without the log.
fn state(home: &Path) -> BTreeMap<PathBuf, (u64, Option<SystemTime>)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![home.to_owned()];
    while let Some(folder) = folders.pop() {
        // Files and folders may go while the watcher looks.
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            if entry.file_name() == "logs" {
                continue;
            }
            if metadata.is_dir() {
                folders.push(entry.path());
            }
            found.insert(entry.path(), (metadata.len(), metadata.modified().ok()));
        }
    }
    found
}

/// Runs the verb and kills it when the home has changed `number` times. Returns whether that number
/// was reached.
fn kill_at(world: &World, home: &Path, verb: &[&str], number: usize) -> bool {
    let mut launcher = world
        .launcher_at(home, &world.config(), &[&["--json"], verb].concat())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut last, mut changes) = (state(home), 0);
    while launcher.try_wait().unwrap().is_none() {
        let now = state(home);
        changes += usize::from(now != last);
        last = now;
        if changes == number {
            let _ = launcher.kill();
            launcher.wait().unwrap();
            return true;
        }
    }
    false
}

/// The versions that a plain start runs.
fn start(world: &World, home: &Path) -> Vec<String> {
    let mut command = world.launcher_at(home, &world.config(), &["--headless", "run"]);
    started_versions(&command.output().unwrap())
}

fn check(world: &World, scene: &Scene, home: &Path, what: &str) {
    let say = |verb: &[&str]| {
        let mut command = world.launcher_at(home, &world.config(), &[&["--json"], verb].concat());
        reply(&command.output().unwrap())
    };
    let document = |version: &str| {
        let container = world.container(version);
        let container = home.join("containers").join(container.file_name().unwrap());
        fs::read_to_string(container.join("data/document")).unwrap_or_default()
    };
    let started = start(world, home);
    assert!(
        matches!(started.as_slice(), [one] if ["1.0.0", "1.1.0"].contains(&one.as_str())),
        "{what}: {started:?}"
    );
    assert_eq!(document(&started[0]), DOCUMENT, "{what}");
    let again = say(scene.verb);
    let is_done = again.result["problem"]["kind"] == "no_rollback_point";
    assert!(matches!(again.code, 0 | 3) || is_done, "{what}: {}", again.errors);
    assert_eq!(start(world, home), [scene.after], "{what}");
    assert_eq!(document(scene.after), DOCUMENT, "{what}");
    assert_eq!(say(&["verify"]).code, 0, "{what}");
    assert!(!home.join("journal.json").exists() && !home.join("incoming").exists(), "{what}");
    let staged = fs::read_dir(home.join("staging")).map_or(0, Iterator::count);
    assert_eq!(staged, 0, "{what}: something is left in staging");
}

#[test]
fn a_kill_at_any_change_of_a_file_is_made_good_by_the_next_start() {
    let (world, _node) = installed();
    fs::write(world.container("1.0.0").join("data/document"), DOCUMENT).unwrap();
    world.start();
    let template = |name: &str| {
        let copy = world.path(name);
        copy_tree(&world.home(), &copy);
        copy
    };
    let one = template("one");
    publish(&world, "1.1.0", &[("new/module.py", "VERSION = 1\n")]);
    world.update();
    world.start();
    let two = template("two");
    let scenes = [
        Scene { name: "update", home: one, verb: &["update"], after: "1.1.0" },
        Scene { name: "switch", home: two.clone(), verb: &["switch", "1.0.0"], after: "1.0.0" },
        Scene { name: "rollback", home: two, verb: &["rollback"], after: "1.0.0" },
    ];
    for scene in &scenes {
        let mut number = 1;
        for kill in 0..MAX_KILLS {
            let what = format!("{} killed at change {number}", scene.name);
            let home = world.path(&what);
            copy_tree(&scene.home, &home);
            let reached = kill_at(&world, &home, scene.verb, number);
            assert!(reached || kill > 0, "{what}: it was never killed");
            check(&world, scene, &home, &what);
            if !reached {
                break;
            }
            // Where there are many changes they are much alike, so the test skips some.
            number += number;
        }
    }
}
