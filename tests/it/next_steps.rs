//! Verbs that change the repository say the next step: a web server with a copy of it shows
//! nothing of a release or a halt until somebody uploads.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::support::release::{World, text};

/// What a verb wrote for people, and whether it changed what launchers read.
struct Said {
    text: String,
    has_changed: bool,
}

struct Publisher {
    world: World,
    folder: PathBuf,
}

impl Publisher {
    fn say(&self, arguments: &[&str]) -> Said {
        let timestamp = self.folder.join("repository/metadata/timestamp.json");
        let before = fs::read(&timestamp).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_kuzflow"));
        let output = command.args(arguments).args(["--repo", text(&self.folder)]).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(0 | 3)), "{arguments:?}: {errors}");
        Said {
            text: String::from_utf8(output.stdout).unwrap(),
            has_changed: fs::read(&timestamp).unwrap() != before,
        }
    }
}

/// The lines that name a next step.
fn steps(said: &Said) -> Vec<&str> {
    said.text.lines().filter(|line| line.starts_with("next: ")).collect()
}

fn names_the_upload(said: &Said) -> bool {
    steps(said)
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
        let said = publisher.say(arguments);
        assert!(said.has_changed, "{arguments:?} changes nothing: {}", said.text);
        assert!(names_the_upload(&said), "{arguments:?}: {}", said.text);
    }
    // Whoever repeats a halt may have forgotten the upload.
    publisher.say(&[&rollout[..], &["--halt"]].concat());
    let again = publisher.say(&[&rollout[..], &["--halt"]].concat());
    assert!(!again.has_changed && names_the_upload(&again), "{}", again.text);
    // What only reports has no next step, and neither has a repository that is as before.
    for arguments in
        [&["list"][..], &["retire", "--keep", "1", "--dry-run"], &["retire", "--keep", "9"]]
    {
        let said = publisher.say(arguments);
        assert!(!said.has_changed && steps(&said).is_empty(), "{arguments:?}: {}", said.text);
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
    let said = publisher.say(&["publish", text(&package), "--rollout", "10"]);
    let found = steps(&said);
    assert_eq!(found.len(), 2, "{}", said.text);
    assert!(found[0].contains("timestamp.json last"), "{}", said.text);
    assert!(found[1].contains("--version 1.0.0 --percent 100"), "{}", said.text);
}
