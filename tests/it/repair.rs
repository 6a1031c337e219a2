//! `verify --repair` through the real executable: after any damage an installed version is the
//! published release again, and the user files are unchanged.

use std::collections::BTreeMap;
use std::fs;
#[cfg(unix)]
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::json;

use crate::support::contents::noise;
use crate::support::release::{NodeProcess, PROGRAM, Reply, World, mode, tree};
use crate::support::waiting::until;

/// Publishes `version`: some files that are equal in all versions, some that differ.
fn publish(world: &World, version: u64, more: &[&str]) {
    let files = BTreeMap::from([
        ("same.bin", noise(1, 200_000)),
        ("twin.bin", noise(1, 200_000)),
        ("sub/own.bin", noise(100 + version, 60_000)),
        ("sub/deep/small.py", format!("VERSION = {version}\n").into_bytes()),
        ("empty", Vec::new()),
        ("settings.json", b"{\"default\": true}\n".to_vec()),
    ]);
    let package = world.build(&format!("{version}.0.0"), &files);
    world.publish(&package, more);
}

/// A world with these versions published and installed; the last one is active.
fn installed(versions: std::ops::RangeInclusive<u64>, more: &[&str]) -> (World, NodeProcess) {
    let world = World::new();
    publish(&world, 1, more);
    let node = world.serve();
    for version in versions {
        if version > 1 {
            publish(&world, version, more);
        }
        world.configure(&[&node.address], "");
        assert_eq!(world.say(&["update"]).code, 0);
    }
    (world, node)
}

/// Everything that a repair restores in a version: content and permissions of every file, and
/// links.
fn state(container: &Path) -> BTreeMap<PathBuf, (Vec<u8>, u32)> {
    let mut state = BTreeMap::new();
    let mut folders = vec![container.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let found = fs::symlink_metadata(&path).unwrap();
            let mode = mode(&found);
            let content = if found.is_dir() {
                folders.push(path.clone());
                Vec::new()
            } else if found.is_symlink() {
                fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
            } else if path.ends_with("installed.json") {
                // This file has the time of the installation.
                Vec::new()
            } else {
                fs::read(&path).unwrap()
            };
            state.insert(path.strip_prefix(container).unwrap().to_owned(), (content, mode));
        }
    }
    state
}

#[track_caller]
fn assert_same(
    before: &BTreeMap<PathBuf, (Vec<u8>, u32)>,
    after: &BTreeMap<PathBuf, (Vec<u8>, u32)>,
) {
    let names =
        |state: &BTreeMap<PathBuf, (Vec<u8>, u32)>| state.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(before), names(after));
    let different: Vec<_> = before.keys().filter(|path| before[*path] != after[*path]).collect();
    assert!(different.is_empty(), "{different:?}");
}

fn how(reply: &Reply, path: &str) -> String {
    let repaired = reply.result["mended"].as_array().cloned().unwrap_or_default();
    let found = repaired.iter().find(|repaired| repaired["path"] == path);
    found.map(|repaired| repaired["how"].as_str().unwrap().to_owned()).unwrap_or_default()
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn every_kind_of_damage_is_repaired_and_the_users_files_are_not_touched() {
    let (world, _node) = installed(1..=1, &[]);
    let root = world.container("1.0.0");
    fs::write(root.join("config/mine.ini"), "mine").unwrap();
    fs::write(root.join("data/mine.db"), "mine").unwrap();
    let before = state(&root);
    assert_eq!(world.say(&["verify", "--repair"]).result["mended"], json!([]), "nothing to mend");

    flip(&root.join("app/same.bin"));
    fs::remove_dir_all(root.join("app/sub")).unwrap();
    fs::write(root.join("app/settings.json"), "").unwrap();
    fs::remove_file(root.join("app/empty")).unwrap();
    fs::create_dir_all(root.join("app/empty/folder")).unwrap();
    fs::write(root.join("app/empty/folder/work.txt"), "somebody's work").unwrap();
    #[cfg(unix)]
    fs::set_permissions(root.join("app").join(PROGRAM), PermissionsExt::from_mode(0o644)).unwrap();
    fs::create_dir(root.join("app/__pycache__")).unwrap();
    fs::write(root.join("app/__pycache__/x.pyc"), "bytecode").unwrap();
    fs::write(root.join("app/extra.py"), "planted").unwrap();
    let repaired = world.say(&["verify", "--repair"]);
    assert_eq!(
        (repaired.code, &repaired.result["status"]),
        (0, &json!("done")),
        "{}",
        repaired.errors
    );
    assert_same(&before, &state(&root));
    // This file has a whole copy in another version; the others exist nowhere else.
    assert_eq!(how(&repaired, "app/same.bin"), "cloned");
    assert_eq!(how(&repaired, "app/sub/own.bin"), "fetched");
    assert_eq!(how(&repaired, "app/settings.json"), "fetched");
    #[cfg(unix)]
    assert_eq!(how(&repaired, &format!("app/{PROGRAM}")), "permissions");
    assert_eq!(
        (how(&repaired, "app/empty").as_str(), how(&repaired, "app/sub").as_str()),
        ("made", "made")
    );
    assert_eq!(repaired.result["removed"], json!(["app/__pycache__", "app/empty", "app/extra.py"]));
    let aside = PathBuf::from(repaired.result["aside"].as_str().unwrap());
    let retained = tree(&aside);
    assert_eq!(
        retained.keys().collect::<Vec<_>>(),
        [Path::new("app/empty/folder/work.txt"), Path::new("app/extra.py")]
    );
    assert_eq!(world.say(&["verify"]).code, 0);
    assert_eq!(
        fs::read_dir(world.home().join("staging")).unwrap().count(),
        0,
        "nothing is left in staging"
    );
    assert_eq!(
        String::from_utf8(world.launcher(&["--headless"]).output().unwrap().stdout).unwrap(),
        "version=1.0.0 args=\n"
    );
}

/// On Windows only administrators may make links.
#[cfg(unix)]
#[test]
fn links_in_the_way_are_replaced_and_never_followed() {
    let (world, _node) = installed(1..=1, &[]);
    let root = world.container("1.0.0");
    let before = state(&root);
    let outside = world.path("outside");
    fs::create_dir_all(outside.join("deep")).unwrap();
    fs::write(outside.join("file"), "outside").unwrap();
    // A link to a copy replaces a folder of the release. All files are readable through it, and
    // none is the version's own.
    let moved = world.path("moved");
    fs::rename(root.join("app/sub"), &moved).unwrap();
    symlink(&moved, root.join("app/sub")).unwrap();
    fs::remove_file(root.join("app/settings.json")).unwrap();
    symlink(outside.join("file"), root.join("app/settings.json")).unwrap();
    fs::remove_dir_all(root.join("scripts")).unwrap();
    symlink(&outside, root.join("scripts")).unwrap();
    let repaired = world.say(&["verify", "--repair"]);
    assert_eq!(repaired.code, 0, "{}", repaired.errors);
    assert_same(&before, &state(&root));
    assert_eq!(
        tree(&outside).into_iter().collect::<Vec<_>>(),
        [(PathBuf::from("file"), b"outside".to_vec())]
    );
    assert!(moved.join("own.bin").exists());
}

#[test]
fn a_lost_manifest_or_record_comes_back_from_signed_metadata() {
    let (world, _node) = installed(1..=1, &[]);
    let root = world.container("1.0.0");
    let before = state(&root);
    type Damage = fn(&Path);
    let damages: [Damage; 6] = [
        |metadata| fs::remove_file(metadata.join("container.json")).unwrap(),
        |metadata| fs::write(metadata.join("installed.json"), "{\"contai").unwrap(),
        |metadata| fs::remove_dir_all(metadata).unwrap(),
        |metadata| flip(&metadata.join("container.json")),
        |metadata| {
            // The program to start is now another one.
            let record = metadata.join("installed.json");
            fs::write(&record, fs::read_to_string(&record).unwrap().replace("app/run", "app/bad"))
                .unwrap();
        },
        |metadata| {
            fs::remove_file(metadata.join("installed.json")).unwrap();
            fs::remove_file(metadata.join("container.json")).unwrap();
            fs::create_dir(metadata.join("container.json")).unwrap();
        },
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        damage(&root.join("metadata"));
        let looked = world.say(&["verify", "1.0.0"]);
        assert_eq!(looked.code, 1, "{number}: {}", looked.errors);
        // Without a record the launcher knows the version by its folder, and by `active.json`.
        let verb: &[&str] = if number % 2 == 0 {
            &["verify", "--repair", "1.0.0"]
        } else {
            &["verify", "--repair"]
        };
        let repaired = world.say(verb);
        assert_eq!(
            (repaired.code, &repaired.result["left"]),
            (0, &json!([])),
            "{number}: {}",
            repaired.errors
        );
        let mut after = state(&root);
        after.retain(|path, _| !path.starts_with("metadata/kept"));
        let mut before = before.clone();
        before.retain(|path, _| !path.starts_with("metadata/kept"));
        assert_same(&before, &after);
        assert_eq!(world.say(&["list"]).result["versions"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn without_a_network_a_clone_suffices_and_what_is_nowhere_else_is_reported() {
    let (world, node) = installed(1..=2, &[]);
    drop(node);
    let root = world.container("2.0.0");
    flip(&root.join("app/same.bin"));
    fs::remove_file(root.join("app/twin.bin")).unwrap();
    let repaired = world.say(&["verify", "--repair"]);
    assert_eq!(repaired.code, 0, "{}", repaired.errors);
    assert_eq!(
        (how(&repaired, "app/same.bin").as_str(), how(&repaired, "app/twin.bin").as_str()),
        ("cloned", "cloned")
    );

    flip(&root.join("app/same.bin"));
    flip(&root.join("app/sub/own.bin"));
    let repaired = world.say(&["verify", "--repair"]);
    assert_eq!((repaired.code, &repaired.result["status"]), (1, &json!("damaged")));
    assert_eq!(how(&repaired, "app/same.bin"), "cloned");
    assert_eq!(repaired.result["left"][0]["path"], "app/sub/own.bin");
    assert_eq!(repaired.result["problem"]["kind"], "no_network");
    assert!(repaired.errors.contains("The update server cannot be reached"), "{}", repaired.errors);
    // When a node is there again, the repair completes.
    let node = world.serve();
    world.configure(&[&node.address], "");
    let repaired = world.say(&["verify", "--repair"]);
    assert_eq!(
        (repaired.code, how(&repaired, "app/sub/own.bin").as_str()),
        (0, "fetched"),
        "{}",
        repaired.errors
    );
}

#[test]
fn a_patch_repairs_where_that_is_cheaper() {
    let world = World::new();
    let words = |version: u64| {
        let mut random = fastrand::Rng::with_seed(5);
        let mut lines: Vec<String> =
            (0..4000).map(|number| format!("line {number} says {}\n", random.u64(..))).collect();
        lines[100] = format!("version {version}\n");
        lines.concat().into_bytes()
    };
    let publish = |version: u64| {
        let files =
            BTreeMap::from([("words.txt", words(version)), ("large.bin", noise(3, 400_000))]);
        world.publish(&world.build(&format!("{version}.0.0"), &files), &[]);
    };
    publish(1);
    let node = world.serve();
    world.configure(&[&node.address], "");
    assert_eq!(world.say(&["update"]).code, 0);
    publish(2);
    world.configure(&[&node.address], "");
    assert_eq!(world.say(&["update"]).code, 0);
    let root = world.container("2.0.0");
    let before = state(&root);
    flip(&root.join("app/words.txt"));
    let repaired = world.say(&["verify", "--repair"]);
    assert_eq!(
        (repaired.code, how(&repaired, "app/words.txt").as_str()),
        (0, "patched"),
        "{}",
        repaired.errors
    );
    assert_same(&before, &state(&root));
    // Where the base is damaged too, the repair fetches the entry.
    flip(&root.join("app/words.txt"));
    flip(&world.container("1.0.0").join("app/words.txt"));
    let repaired = world.say(&["verify", "--repair"]);
    assert_eq!(
        (repaired.code, how(&repaired, "app/words.txt").as_str()),
        (0, "fetched"),
        "{}",
        repaired.errors
    );
    assert_same(&before, &state(&root));
}

#[test]
fn a_kill_at_any_time_leaves_it_no_worse_and_the_next_run_converges() {
    let (world, _node) = installed(1..=2, &[]);
    let root = world.container("2.0.0");
    fs::write(root.join("data/mine.db"), "mine").unwrap();
    let before = state(&root);
    let mut random = fastrand::Rng::with_seed(11);
    for round in 0..12 {
        flip(&root.join("app/same.bin"));
        flip(&root.join("app/sub/own.bin"));
        fs::remove_file(root.join("app/sub/deep/small.py")).unwrap();
        if round % 3 == 0 {
            fs::remove_file(root.join("metadata/container.json")).unwrap();
        }
        let mut repair = world
            .launcher(&["--json", "verify", "--repair"])
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(random.u64(0..120)));
        let _ = repair.kill();
        let _ = repair.wait();
        // Every file is whole, the old one or the new one.
        let same = fs::read(root.join("app/same.bin")).unwrap();
        assert_eq!(same.len(), 200_000);
        let repaired = world.say(&["verify", "--repair"]);
        assert_eq!(repaired.code, 0, "{}", repaired.errors);
        assert_same(&before, &state(&root));
        assert_eq!(
            fs::read_dir(world.home().join("staging")).unwrap().count(),
            0,
            "nothing is left in staging"
        );
    }
}

#[test]
fn two_at_a_time_are_refused() {
    let (world, _node) = installed(1..=1, &[]);
    let lock = fs::OpenOptions::new().write(true).open(world.home().join("lock")).unwrap();
    lock.lock().unwrap();
    let refused = world.say(&["verify", "--repair"]);
    assert_eq!(
        (refused.code, &refused.result["problem"]["kind"]),
        (1, &json!("busy")),
        "{}",
        refused.errors
    );
    assert_eq!(
        world.say(&["verify", "--repair", "9.9.9"]).result["problem"]["kind"],
        "not_installed"
    );
}

/// The launcher skips a version that cannot start, and repairs it while the other one runs.
#[test]
fn a_version_that_was_stepped_over_is_repaired_for_the_next_start() {
    let (world, node) = installed(1..=2, &[]);
    world.configure(&[&node.address], "[update]\ndelay_seconds = 0\n");
    let root = world.container("2.0.0");
    let before = state(&root);
    let files = tree(&root.join("app"));
    // The started app runs until the other version is whole again.
    let start = || {
        let log = world.path("app.log");
        let output = fs::File::create(&log).unwrap();
        let reply = || fs::read_to_string(&log).unwrap();
        let mut launcher = world.launcher(&["--headless", "run"]);
        let mut launcher =
            launcher.env("STAY", "600").stdout(output).stderr(Stdio::null()).spawn().unwrap();
        until("the app runs", || reply().ends_with('\n'));
        let is_whole = || {
            fs::read(root.join("metadata/installed.json")).is_ok_and(|record| !record.is_empty())
        };
        until("it is repaired", || {
            root.join("app").exists() && tree(&root.join("app")) == files && is_whole()
        });
        world.end_apps();
        launcher.wait().unwrap();
        reply()
    };
    for record in [false, true] {
        if record {
            fs::write(root.join("metadata/installed.json"), "").unwrap();
        } else {
            fs::remove_dir_all(root.join("app")).unwrap();
        }
        // What was repaired may be told by then.
        assert_eq!(start().lines().next(), Some("version=1.0.0 args="));
        assert_same(&before, &state(&root));
        assert_eq!(start(), "version=2.0.0 args=\n");
    }
}

#[test]
fn the_only_version_is_repaired_before_it_starts() {
    let (world, node) = installed(1..=1, &[]);
    world.configure(&[&node.address], "");
    let root = world.container("1.0.0");
    fs::write(root.join("data/mine.db"), "mine").unwrap();
    let program = format!("app/{PROGRAM}");
    for victim in [program.as_str(), "metadata/installed.json", "metadata/container.json"] {
        fs::remove_file(root.join(victim)).unwrap();
        let output = world.launcher(&["--headless", "run"]).output().unwrap();
        let reply = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            reply.lines().next(),
            Some("version=1.0.0 args="),
            "{victim}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    assert_eq!(
        world.say(&["verify", "--repair"]).result["mended"][0]["path"],
        "metadata/container.json",
        "not needed for a start"
    );
    assert_eq!(fs::read_to_string(root.join("data/mine.db")).unwrap(), "mine");
}
