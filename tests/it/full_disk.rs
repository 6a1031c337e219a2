//! A disk that is full to its last byte, or has no room for another file, through the real
//! executables. The home, the log and standard error are on it. Every verb ends and reports why,
//! the app starts, no user file is lost, and with room again the verb does its work.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::release::{NodeProcess, Reply, World, reply, text, tree};
use crate::support::small_disk::SmallDisk;

/// A verb on the full disk.
struct Scene {
    verb: &'static [&'static str],
    /// The active version after the verb had room.
    active: &'static str,
    /// Whether the verb may succeed without room.
    may_succeed: bool,
}

const SCENES: [Scene; 8] = [
    Scene { verb: &["check"], active: "2.0.0", may_succeed: true },
    Scene { verb: &["update"], active: "3.0.0", may_succeed: false },
    Scene { verb: &["switch", "1.0.0"], active: "1.0.0", may_succeed: true },
    Scene { verb: &["rollback"], active: "1.0.0", may_succeed: true },
    Scene { verb: &["prune", "--keep", "1"], active: "2.0.0", may_succeed: true },
    Scene { verb: &["remove", "1.0.0"], active: "2.0.0", may_succeed: true },
    Scene { verb: &["verify", "--repair"], active: "2.0.0", may_succeed: false },
    Scene { verb: &["run"], active: "2.0.0", may_succeed: true },
];

/// A home with 1.0.0 and 2.0.0, which is active, both with user files; 2.0.0 lacks one of its own
/// files. 3.0.0 is published.
fn world() -> (World, NodeProcess) {
    let world = World::new();
    for version in ["1.0.0", "2.0.0", "3.0.0"] {
        let noise: Vec<u8> = (0..2_000_000).map(|_| fastrand::u8(..)).collect();
        let package = world.build(version, &BTreeMap::from([("blob", noise)]));
        world.publish(&package, &["--no-patches"]);
        if version == "3.0.0" {
            break;
        }
        let node = world.serve();
        world.configure(&[&node.address], "[update]\ncheck = 'never'\n");
        assert_eq!(world.say(&["update"]).code, 0);
        assert!(starts(&world).contains(&format!("version={version}")));
        let mine = world.container(version).join("data/mine");
        fs::write(mine, format!("written with {version} {}", "x".repeat(100_000))).unwrap();
    }
    fs::remove_file(world.container("2.0.0").join("app/blob")).unwrap();
    let node = world.serve();
    world.configure(&[&node.address], "[update]\ncheck = 'never'\n");
    (world, node)
}

/// The output of a plain start.
fn starts(world: &World) -> String {
    let output = world.launcher(&["--headless", "run"]).stdin(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status();
    assert!(status.unwrap().success());
}

/// All files that the user wrote, wherever they are now.
fn users(home: &Path) -> BTreeSet<Vec<u8>> {
    tree(home).into_values().filter(|content| content.starts_with(b"written with ")).collect()
}

/// Runs a verb whose standard error goes to a file on the full disk.
fn say_on_disk(world: &World, verb: &[&str]) -> Reply {
    let errors = match File::create(world.home().join("errors")) {
        Ok(file) => file,
        Err(_) => File::options().write(true).open("/dev/full").unwrap(),
    };
    let mut command = world.launcher(&[&["--json", "--headless"], verb].concat());
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors).spawn().unwrap();
    reply(&child.wait_with_output().unwrap())
}

fn active(world: &World) -> String {
    let list = world.say(&["list"]).result;
    let active =
        list["versions"].as_array().unwrap().iter().find(|version| version["active"] == true);
    active.unwrap()["id"].as_str().unwrap().split('_').nth(1).unwrap().to_owned()
}

fn try_all(options: &str, fill: impl Fn(&SmallDisk)) {
    let (world, _node) = world();
    let template: PathBuf = world.path("template");
    fs::rename(world.home(), &template).unwrap();
    for scene in &SCENES {
        let Some(disk) = SmallDisk::mount(&world.home(), options) else { return };
        copy(&template, &world.home());
        let written = users(&world.home());
        assert_eq!(written.len(), 2);
        fill(&disk);
        let what = scene.verb.join(" ");
        let reply = say_on_disk(&world, scene.verb);
        let kind = reply.result["problem"]["kind"].as_str();
        eprintln!("{what}: {} {kind:?} {}", reply.code, reply.result);
        let refused = reply.code == 1 && kind == Some("disk_full");
        assert!(
            refused || scene.may_succeed && [0, 3].contains(&reply.code),
            "{what}: {} {}",
            reply.code,
            reply.result
        );
        assert!(users(&world.home()).is_superset(&written), "{what}: something was lost");
        assert!(
            starts(&world).contains("version="),
            "{what}: the app does not start on the full disk"
        );
        disk.free();
        let again = world.say(&[&["--headless"], scene.verb].concat());
        // A removal that has begun is finished later: the version has left the list.
        let has_left = again.result["problem"]["kind"] == "not_installed";
        assert!(
            [0, 3].contains(&again.code) || !refused || has_left,
            "{what}, with room: {} {}",
            again.code,
            again.result
        );
        assert!(starts(&world).contains(&format!("version={}", scene.active)), "{what}, with room");
        assert_eq!(active(&world), scene.active, "{what}");
        assert!(users(&world.home()).is_superset(&written), "{what}: something was lost with room");
        assert_eq!(world.say(&["verify", "--repair"]).code, 0, "{what}");
    }
}

#[test]
fn on_a_disk_without_a_free_byte_every_verb_ends_the_app_starts_and_nothing_is_lost() {
    try_all("size=60m", SmallDisk::fill);
}

#[test]
fn on_a_disk_that_holds_no_more_files_every_verb_ends_the_app_starts_and_nothing_is_lost() {
    try_all("size=60m,nr_inodes=800", SmallDisk::fill_with_files);
}

/// A version that waits for the next start is recalled, and that it waits no more cannot be written.
#[test]
fn on_a_full_disk_the_app_starts_although_the_version_that_waits_was_recalled() {
    let world = World::new();
    let package = world.build("1.0.0", &BTreeMap::new());
    world.publish(&package, &["--no-patches"]);
    let node = world.serve();
    world.configure(&[&node.address], "[update]\ncheck = 'never'\n");
    assert_eq!(world.say(&["update"]).code, 0);
    assert!(starts(&world).contains("version=1.0.0"));
    let change = |file: &str, key: &str, value: serde_json::Value| {
        let path = world.home().join(file);
        let mut record: serde_json::Value =
            serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        record[key] = value;
        fs::write(&path, record.to_string()).unwrap();
    };
    let waiting = world.container("2.0.0");
    change("active.json", "pending", waiting.file_name().unwrap().to_str().unwrap().into());
    change("state.json", "recalled", serde_json::json!(["2.0.0"]));
    let template: PathBuf = world.path("template");
    fs::rename(world.home(), &template).unwrap();
    let Some(disk) = SmallDisk::mount(&world.home(), "size=60m") else { return };
    copy(&template, &world.home());
    disk.fill();
    assert!(starts(&world).contains("version=1.0.0"));
    disk.free();
    assert!(starts(&world).contains("version=1.0.0"));
    let active = fs::read_to_string(world.home().join("active.json")).unwrap();
    assert!(!active.contains("pending"), "{active}");
}

/// A script must not take an empty list for the truth.
#[test]
fn a_report_that_cannot_be_written_has_failed() {
    let world = World::new();
    let package = world.build("1.0.0", &BTreeMap::new());
    world.publish(&package, &[]);
    let node = world.serve();
    world.configure(&[&node.address], "");
    let full = || File::options().write(true).open("/dev/full").unwrap();
    assert_eq!(world.say(&["update"]).code, 0);
    world.release("1.1.0", 1 << 10);
    let node = world.serve();
    world.configure(&[&node.address], "");
    for verb in [
        &["list"][..],
        &["check"],
        &["--json", "list"],
        &["update", "--dry-run"],
        &["rollback", "--list"],
        &["verify"],
        &["peers", "status"],
    ] {
        let output = world.launcher(verb).stdout(full()).output().unwrap();
        let reported = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.code() == Some(1) && reported.contains("standard output"),
            "{verb:?}: {reported}"
        );
    }
    let repo = world.path("publisher");
    let (repo, package) = (text(&repo), text(&package));
    let dry_run = ["retire", "--repo", repo, "--keep", "1", "--dry-run"];
    for verb in [
        &["list", "--repo", repo][..],
        &["inspect", package],
        &["diff", package, package],
        &dry_run,
        &["try", package],
        &["completions", "bash"],
    ] {
        let mut kuzflow = Command::new(env!("CARGO_BIN_EXE_kuzflow"));
        let output = kuzflow.args(verb).stdout(full()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{verb:?}");
    }
    // What a verb does counts more than what it says.
    let update = world.launcher(&["update"]).stdout(full()).output().unwrap();
    assert_eq!(update.status.code(), Some(0));
}
