//! A version that is started in the place of a damaged one, through the real executables: which one
//! it is and with which files is said, and what is done in it is kept.

use std::fs;
use std::path::Path;

use crate::support::release::{NodeProcess, World};

/// Notes what its user does: `WORK` becomes a line of a file of the user's.
const CODE: &str = "echo \"version=$KUZFLOW_VERSION\"\nmkdir -p \"$KUZFLOW_HOME/data\"\n[ -z \"$WORK\" ] || echo \"$WORK\" >>\"$KUZFLOW_HOME/data/work.txt\"\nexit 0\n";

fn publish(world: &World, version: &str) {
    fs::create_dir_all(world.path(&format!("app {version}"))).unwrap();
    // No other version has the bytes of this program.
    let script = format!("#!/bin/sh\n# {version}\n{CODE}");
    world.write_script(version, "run.sh", &script);
    let named = ["--runtime", "none", "--display-name", "示例 Sample"];
    world.publish(&world.pack(version, "exe:run.sh", &named), &["--no-patches"]);
}

fn update_to(world: &World, version: &str) {
    publish(world, version);
    world.update();
    assert!(start(world, "").contains(&format!("version={version}")));
}

/// Starts the app, whose user does `work`; returns everything that is printed.
fn start(world: &World, work: &str) -> String {
    let output = world.launcher(&["--headless", "run"]).env("WORK", work).output().unwrap();
    [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat()
}

/// How many files below a folder have this text.
fn count(folder: &Path, text: &str) -> usize {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let in_one = |path: std::path::PathBuf| match path.is_dir() {
        true => count(&path, text),
        false => fs::read_to_string(&path).is_ok_and(|found| found.contains(text)).into(),
    };
    entries.map(in_one).sum()
}

fn world() -> (World, NodeProcess) {
    let world = World::new();
    publish(&world, "1.2.0");
    let node = world.serve();
    let settings = "[update]\ncheck = 'never'\n[health]\nsurvival_seconds = 1\n";
    world.configure(&[&node.address], settings);
    world.update();
    assert!(start(&world, "early work").contains("version=1.2.0"));
    update_to(&world, "1.3.0");
    assert!(start(&world, "MYWORK").contains("version=1.3.0"));
    (world, node)
}

#[test]
fn a_version_that_stands_in_is_named_and_what_is_done_in_it_stays() {
    let (world, node) = world();
    let address = node.address.clone();
    drop(node);
    fs::remove_file(world.container("1.3.0").join("app/run.sh")).unwrap();
    for work in ["line b1", "line b2"] {
        let printed = start(&world, work);
        assert!(printed.contains("version=1.2.0\n"), "{printed}");
        let so = "Version 1.3.0 is damaged and could not be repaired yet, so version 1.2.0 was started. The next start tries again. In 1.2.0 your files are as they were on ";
        assert!(printed.contains(so), "{printed}");
        assert!(printed.contains("; your newer files are in 1.3.0, unchanged."), "{printed}");
    }
    let node = world.serve_at(&address, &[]);
    let printed = start(&world, "line b3");
    let so = "Version 1.3.0 was damaged and has been repaired. The next start uses it; until then version 1.2.0 runs. In 1.2.0 your files are as they were on ";
    assert!(printed.contains("version=1.2.0\n") && printed.contains(so), "{printed}");

    let printed = start(&world, "");
    assert!(printed.contains("version=1.3.0\n"), "{printed}");
    let place = world.container("1.2.0");
    let sentence = format!(
        "Version 1.3.0 runs again. What you did in version 1.2.0, which stood in for it, is kept in {}.",
        place.display()
    );
    assert!(printed.contains(&sentence), "{printed}");
    let read = |version: &str| {
        fs::read_to_string(world.container(version).join("data/work.txt")).unwrap_or_default()
    };
    assert_eq!(read("1.3.0"), "early work\nMYWORK\n");
    assert_eq!(read("1.2.0"), "early work\nline b1\nline b2\nline b3\n");
    assert!(!start(&world, "").contains("stood in"), "once");

    // The state outlives its version, and every later one.
    for version in ["1.4.0", "1.5.0", "1.6.0", "1.7.0", "1.8.0"] {
        update_to(&world, version);
        world.say(&["prune", "--keep", "0"]);
    }
    assert!(!place.exists());
    assert_eq!(count(&world.home(), "line b3"), 1);
    let list = world.say(&["list"]);
    let states = list.result["kept"].as_array().unwrap();
    assert!(states.iter().any(|state| state["version"] == "1.2.0"), "{states:?}");
    // Only its user deletes it.
    let output = world.launcher(&["list"]).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = "Your files of version 1.2.0, set aside on ";
    assert!(printed.contains(line) && printed.contains("prune --set-aside"), "{printed}");
    let reply = world.say(&["prune", "--set-aside"]);
    let deleted = reply.result["deleted"].as_array().unwrap();
    assert_eq!((reply.code, deleted.len()), (0, 1), "{deleted:?}");
    assert_eq!(count(&world.home(), "line b3"), 0);
    assert_eq!(world.say(&["prune", "--set-aside"]).code, 3);
    drop(node);
}

/// Nothing was changed, so nothing is said, and the way back is as it was.
#[test]
fn a_version_that_only_stood_in_is_not_spoken_of() {
    let (world, _node) = world();
    fs::remove_file(world.container("1.3.0").join("app/run.sh")).unwrap();
    let printed = start(&world, "");
    assert!(
        printed.contains("version=1.2.0\n") && printed.contains("has been repaired"),
        "{printed}"
    );
    let printed = start(&world, "");
    assert!(printed.contains("version=1.3.0\n") && !printed.contains("stood in"), "{printed}");
    assert_eq!(world.say(&["rollback"]).code, 0);
    assert!(start(&world, "").contains("version=1.2.0\n"));
}
