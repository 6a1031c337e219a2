//! Files that somebody holds open, and paths longer than the system's usual limit.

use std::collections::BTreeMap;
use std::fs;
use std::os::windows::fs::OpenOptionsExt as _;
use std::path::Path;

use super::{QUIET, installed, publish};
use crate::support::release::{World, started_versions, text};

/// Opens a file so that no other process may open it, as a scanner or an editor does.
fn held(path: &Path) -> fs::File {
    fs::OpenOptions::new().read(true).write(true).share_mode(0).open(path).unwrap()
}

#[test]
fn a_file_that_somebody_holds_open_delays_a_switch_and_harms_nothing() {
    let (world, _node) = installed();
    let mine = world.container("1.0.0").join("data/mine.db");
    fs::write(&mine, "mine").unwrap();
    publish(&world, "1.1.0", &[]);
    let scanner = held(&mine);
    world.say(&["update"]);
    let output = world.start();
    assert_eq!(started_versions(&output).len(), 1, "{}", String::from_utf8_lossy(&output.stderr));
    drop(scanner);
    assert!(matches!(world.say(&["update"]).code, 0 | 3));
    assert_eq!(started_versions(&world.start()), ["1.1.0"]);
    let carried = world.container("1.1.0").join("data/mine.db");
    assert_eq!(fs::read_to_string(carried).unwrap(), "mine");
}

#[test]
fn a_version_with_a_file_that_somebody_holds_open_is_removed_later() {
    let (world, _node) = installed();
    publish(&world, "1.1.0", &[("notes.txt", "notes")]);
    world.update();
    world.start();
    assert_eq!(world.say(&["switch", "1.0.0"]).code, 0);
    let scanner = held(&world.container("1.1.0").join("app/notes.txt"));
    let first = world.say(&["remove", "1.1.0"]);
    assert_eq!(started_versions(&world.start()), ["1.0.0"], "{}", first.errors);
    drop(scanner);
    let again = world.say(&["remove", "1.1.0"]);
    assert!(first.code == 0 || again.code == 0, "{} {}", first.errors, again.errors);
    world.say(&["prune"]);
    let left = fs::read_dir(world.home().join("containers")).unwrap().count();
    assert_eq!(left, 1, "nothing stays of it");
}

#[test]
fn paths_longer_than_260_characters_are_installed_verified_and_updated() {
    let world = World::new();
    let deep = format!("{}module.py", "a folder 数据/".repeat(28));
    publish(&world, "1.0.0", &[(&deep, "VERSION = 1\n")]);
    let node = world.serve();
    world.configure(&[&node.address], QUIET);
    world.update();
    assert!(text(&world.container("1.0.0").join("app").join(&deep)).chars().count() > 260);
    assert_eq!(world.say(&["verify"]).code, 0);
    assert_eq!(started_versions(&world.start()), ["1.0.0"]);
    let package =
        world.build("1.1.0", &BTreeMap::from([(deep.as_str(), b"VERSION = 2\n".to_vec())]));
    world.publish(&package, &[]);
    world.update();
    assert_eq!(started_versions(&world.start()), ["1.1.0"]);
    let content = fs::read_to_string(world.container("1.1.0").join("app").join(&deep)).unwrap();
    assert_eq!(content, "VERSION = 2\n");
}
