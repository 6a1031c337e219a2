//! Verbs that change the repository say the next step: a web server with a copy of it shows
//! nothing of a release or a halt until somebody uploads.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::support::release::{World, text};

/// What a verb wrote for people, and whether it changed what launchers read.
struct Output {
    text: String,
    has_changed: bool,
}

struct Publisher {
    world: World,
    folder: PathBuf,
}

impl Publisher {
    fn say(&self, arguments: &[&str]) -> Output {
        let timestamp = self.folder.join("repository/metadata/timestamp.json");
        let before = fs::read(&timestamp).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_kuzflow"));
        let done = command.args(arguments).args(["--repo", text(&self.folder)]).output().unwrap();
        let errors = String::from_utf8_lossy(&done.stderr);
        assert!(matches!(done.status.code(), Some(0 | 3)), "{arguments:?}: {errors}");
        Output {
            text: String::from_utf8(done.stdout).unwrap(),
            has_changed: fs::read(&timestamp).unwrap() != before,
        }
    }
}

/// The lines that name a next step.
fn steps(output: &Output) -> Vec<&str> {
    output.text.lines().filter(|line| line.starts_with("next: ")).collect()
}

fn names_the_upload(output: &Output) -> bool {
    steps(output)
        .iter()
        .any(|step| step.contains("to your web server") && step.contains("timestamp.json last"))
}

#[test]
fn each_verb_that_changes_the_repository_says_that_it_must_be_uploaded() {
    let world = World::new();
    let folder = world.path("publisher");
    let noise = BTreeMap::from([("text", b"the same in all releases".repeat(200))]);
    let packages =
        ["1.0.0", "1.1.0", "1.2.0"].map(|version| text(&world.build(version, &noise)).to_owned());
    let launcher = world.path("launcher");
    fs::write(&launcher, "a launcher of few bytes").unwrap();
    let launcher = text(&launcher).to_owned();
    let publisher = Publisher { world, folder };
    let [one, two, three] = packages.each_ref().map(String::as_str);
    let rollout = ["rollout", "--version", "1.1.0"];
    for arguments in [
        &["publish", one][..],
        &["publish", two],
        &["publish", three, "--rollout", "10"],
        &[&rollout[..], &["--percent", "50"]].concat(),
        &[&rollout[..], &["--halt"]].concat(),
        &[&rollout[..], &["--resume"]].concat(),
        &["patch", "--from", "1.1.0", "--to", "1.0.0"],
        &["publish-launcher", &launcher, "--launcher-version", "9.0.0"],
        &["publish", one, "--again", "--mandatory"],
        &["refresh"],
        &["renew"],
        &["rotate", "--replace", "timestamp"],
        &["rollout", "--version", "1.2.0", "--percent", "100"],
        &["retire", "1.0.0"],
    ] {
        let output = publisher.say(arguments);
        assert!(output.has_changed, "{arguments:?} changes nothing: {}", output.text);
        assert!(names_the_upload(&output), "{arguments:?}: {}", output.text);
    }
    // Whoever repeats a halt may have forgotten the upload.
    publisher.say(&[&rollout[..], &["--halt"]].concat());
    let again = publisher.say(&[&rollout[..], &["--halt"]].concat());
    assert!(!again.has_changed && names_the_upload(&again), "{}", again.text);
    // What only reports has no next step, and neither has a repository that is as before.
    for arguments in
        [&["list"][..], &["retire", "--keep", "1", "--dry-run"], &["retire", "--keep", "9"]]
    {
        let output = publisher.say(arguments);
        assert!(!output.has_changed && steps(&output).is_empty(), "{arguments:?}: {}", output.text);
    }
    drop(publisher.world);
}

/// A release for a tenth of the installations reaches nobody either before the upload.
#[test]
fn a_release_for_a_part_says_both_steps_in_their_order() {
    let world = World::new();
    let package = world.build("1.0.0", &BTreeMap::new());
    let folder = world.path("publisher");
    let publisher = Publisher { world, folder };
    let output = publisher.say(&["publish", text(&package), "--rollout", "10"]);
    let found = steps(&output);
    assert_eq!(found.len(), 2, "{}", output.text);
    assert!(found[0].contains("timestamp.json last"), "{}", output.text);
    assert!(found[1].contains("--version 1.0.0 --percent 100"), "{}", output.text);
}

/// What was halted goes on by another step than what was meant for a part.
#[test]
fn a_halted_release_that_is_published_again_is_resumed_next() {
    let world = World::new();
    let package = world.build("1.0.0", &BTreeMap::new());
    let folder = world.path("publisher");
    let publisher = Publisher { world, folder };
    publisher.say(&["publish", text(&package), "--rollout", "10"]);
    publisher.say(&["rollout", "--version", "1.0.0", "--halt"]);
    let output = publisher.say(&["publish", text(&package), "--again", "--mandatory"]);
    let found = steps(&output);
    assert_eq!(found.len(), 2, "{}", output.text);
    assert!(found[1].contains("--version 1.0.0 --resume"), "{}", output.text);
}
