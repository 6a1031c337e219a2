//! What becomes of versions that start, hand over, fail, or cannot start on this computer, through
//! the real executables.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::display::Display;
use crate::support::release::{NodeProcess, World, started_versions, text};
use crate::support::waiting::until;

/// A version counts as up when it says so, and never by the time that it has run: on a busy
/// computer a version that ends at once may seem to run for a while.
const SETTINGS: &str = "[update]\ncheck = 'never'\n[health]\nsurvival_seconds = 3600\n";

/// Publishes a release with `code` as its shell program, which prints the version first.
fn release(world: &World, version: &str, code: &str) {
    let script = format!("#!/bin/sh\necho \"version=$KUZFLOW_VERSION\"\n{code}\n");
    fs::create_dir_all(world.path(&format!("app {version}"))).unwrap();
    world.write_script(version, "run.sh", &script);
    let named = ["--runtime", "none", "--display-name", "示例 Sample"];
    let package = world.pack(version, "exe:run.sh", &named);
    world.publish(&package, &["--no-patches"]);
}

/// A world in which this release is installed.
fn installed(version: &str, code: &str) -> (World, NodeProcess) {
    World::installed(SETTINGS, |world| release(world, version, code))
}

fn failed(world: &World) -> Value {
    world.record("state.json")["failed"].clone()
}

/// Comes up, and runs for a moment or for `STAY` seconds.
const STAYS: &str = "echo up > \"$KUZFLOW_HEALTH\"; exec sleep \"${STAY:-0.3}\"";
/// The same, unless `BROKEN_COMPUTER` is set: then the app misses a file on this computer.
const NEEDS_A_FILE: &str = "[ -z \"$BROKEN_COMPUTER\" ] || { echo 'libxcb is missing' >&2; exit 1; }\n\
    echo up > \"$KUZFLOW_HEALTH\"; exec sleep 0.3";

/// Hands over to a process that comes up, does `work`, and goes on until `GATE` is there.
fn hands_over(work: &str) -> String {
    format!(
        "(echo up > \"$KUZFLOW_HEALTH\"; {work}exec sh -c 'until [ -e \"$GATE\" ]; do sleep 0.05; done') \
         </dev/null >/dev/null 2>&1 &\nexit 0"
    )
}

/// Starts a version that hands over. What goes on ends only when the launcher knows of it, which
/// may be late on a busy computer.
fn start_handing_over(world: &World) -> Vec<String> {
    let (gate, log) = (world.path("gate"), world.path("log"));
    let _ = fs::remove_file(&gate);
    let mut command = world.launcher(&["--headless", "--verbose", "run"]);
    command.env("GATE", &gate).stdout(Stdio::piped()).stderr(fs::File::create(&log).unwrap());
    let launcher = command.spawn().unwrap();
    until("the launcher knows of it", || {
        fs::read_to_string(&log).unwrap().contains("the app was handed over")
    });
    fs::write(&gate, "").unwrap();
    started_versions(&launcher.wait_with_output().unwrap())
}

#[test]
fn an_app_whose_first_process_hands_over_is_not_taken_for_a_bad_one() {
    let (world, _node) = installed("1.0.0", STAYS);
    world.start();
    release(&world, "1.1.0", &hands_over("echo work >> \"$KUZFLOW_HOME/data/journal\"; "));
    world.update();
    for run in 0..7 {
        assert_eq!(start_handing_over(&world), ["1.1.0"]);
        if run == 0 {
            let probation = &world.record("active.json")["probation"];
            assert_eq!(probation["good_runs"], 1, "like any other, one good run proves nothing");
        }
    }
    assert_eq!((world.active(), failed(&world)), ("1.1.0".to_owned(), Value::Null));
    assert!(
        world.record("active.json")["probation"].is_null(),
        "what goes on in its place has proved it"
    );
    // A version that ends before anyone can see it run is not known to be bad either.
    release(&world, "1.2.0", "exit 0");
    world.update();
    for _ in 0..7 {
        assert_eq!(started_versions(&world.start()), ["1.2.0"]);
    }
    assert_eq!(failed(&world), Value::Null);
}

#[test]
fn a_rollback_goes_to_the_version_that_was_left_and_hides_nothing_that_was_written_in_it() {
    let (world, _node) = installed("1.0.0", STAYS);
    world.start();
    let diary =
        "echo \"line of $KUZFLOW_VERSION\" >> \"$KUZFLOW_HOME/data/diary.txt\"; exec sleep 0.2";
    release(&world, "1.1.0", diary);
    world.update();
    // The user opens it twice, and closes it each time before it could count as up.
    world.start();
    world.start();
    release(&world, "1.2.0", "exit 3");
    world.update();
    let output = world.start();
    assert_eq!(started_versions(&output), ["1.2.0", "1.2.0", "1.1.0"]);
    assert_eq!((world.active().as_str(), failed(&world)), ("1.1.0", json!(["1.2.0"])));
    let diary = fs::read_to_string(world.container("1.1.0").join("data/diary.txt")).unwrap();
    assert_eq!(diary.lines().count(), 3, "{diary}");
}

#[test]
fn a_failing_version_is_left_whatever_became_of_the_records() {
    let (world, _node) = installed("1.0.0", STAYS);
    world.start();
    release(&world, "9.0.0", "echo work >> \"$KUZFLOW_HOME/data/work\"; exit 7");
    world.update();
    assert_eq!(started_versions(&world.start()).last().unwrap(), "1.0.0");
    // The user can go back to it all the same.
    assert_eq!(world.say(&["rollback", "9.0.0"]).code, 0);
    assert_eq!(started_versions(&world.start()), ["9.0.0", "9.0.0", "1.0.0"]);
    let again = world.say(&["rollback", "9.0.0"]);
    assert_eq!(again.code, 0, "{}", again.errors);
    assert_eq!(world.say(&["rollback"]).code, 0, "the way back is there without a word as well");
    assert_eq!(world.active(), "1.0.0");
    // Without the records of retained user data, and with a damaged one.
    for damaged in [false, true] {
        assert_eq!(world.say(&["switch", "9.0.0"]).code, 0);
        let snapshots = world.home().join("snapshots");
        for note in fs::read_dir(&snapshots).unwrap().flatten().map(|entry| entry.path()) {
            if damaged {
                fs::write(note.join("snapshot.json"), "").unwrap()
            } else {
                fs::remove_dir_all(note).unwrap()
            }
        }
        assert_eq!(started_versions(&world.start()).last().unwrap(), "1.0.0", "damaged: {damaged}");
        assert_eq!((world.active().as_str(), failed(&world)), ("1.0.0", json!(["9.0.0"])));
    }
    // The pointer is lost, and with it the record that the newest version failed.
    assert_eq!(world.say(&["switch", "9.0.0"]).code, 0);
    fs::remove_file(world.home().join("active.json")).unwrap();
    fs::remove_file(world.home().join("state.json")).unwrap();
    let starts: Vec<_> = (0..3).flat_map(|_| started_versions(&world.start())).collect();
    assert_eq!(starts.last().unwrap(), "1.0.0", "{starts:?}");
}

#[test]
fn what_keeps_the_version_before_from_starting_too_is_not_held_against_the_new_one() {
    let (world, _node) = installed("1.0.0", NEEDS_A_FILE);
    world.start();
    release(&world, "1.1.0", NEEDS_A_FILE);
    world.update();
    for _ in 0..2 {
        let output =
            world.launcher(&["--headless", "run"]).env("BROKEN_COMPUTER", "1").output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(failed(&world), Value::Null, "{}", String::from_utf8_lossy(&output.stdout));
        assert!(
            world.record("state.json")["notices"].is_null(),
            "nobody is told that going back has helped"
        );
    }
    // Once the computer is repaired, the release is available as before.
    let check = world.say(&["check"]);
    assert_eq!(
        (check.code, check.result["version"].as_str()),
        (0, Some("1.1.0")),
        "{:?}",
        check.result
    );
    world.update();
    assert_eq!(started_versions(&world.start()), ["1.1.0"]);
    // If a release fails where the version before succeeds, the failure is its own.
    release(&world, "1.2.0", "exit 1");
    world.update();
    assert_eq!(started_versions(&world.start()).last().unwrap(), "1.1.0");
    assert_eq!(failed(&world), json!(["1.2.0"]));
}

/// A version that runs well as long as its data has fewer lines than `MOST`, and adds a line at
/// each start.
const SPOILS_ITS_DATA: &str = "echo line >> \"$KUZFLOW_HOME/data/profile\"\n\
    [ $(wc -l < \"$KUZFLOW_HOME/data/profile\") -lt \"${MOST:-2}\" ] || { echo 'cannot read the profile' >&2; exit 1; }\n\
    echo up > \"$KUZFLOW_HEALTH\"; exec sleep 0.3";

#[test]
fn a_version_that_ran_well_once_and_fails_ever_after_is_left() {
    let (world, _node) = installed("1.0.0", STAYS);
    world.start();
    world.start();
    release(&world, "1.1.0", SPOILS_ITS_DATA);
    world.update();
    assert_eq!(started_versions(&world.start()), ["1.1.0"]);
    assert_eq!(
        world.record("active.json")["probation"]["good_runs"],
        1,
        "one good run proves nothing"
    );
    let starts: Vec<_> = (0..3).flat_map(|_| started_versions(&world.start())).collect();
    assert_eq!(starts, ["1.1.0", "1.1.0", "1.1.0", "1.0.0"]);
    assert_eq!((world.active().as_str(), failed(&world)), ("1.0.0", json!(["1.1.0"])));
}

#[test]
fn an_app_that_hands_over_well_once_and_fails_ever_after_is_left() {
    let (world, _node) = installed("1.0.0", STAYS);
    world.start();
    world.start();
    release(&world, "1.1.0", &format!("[ -z \"$FAIL\" ] || exit 1\n{}", hands_over("")));
    world.update();
    for proved in [false, true] {
        assert_eq!(start_handing_over(&world), ["1.1.0"]);
        assert_eq!(world.record("active.json")["probation"].is_null(), proved);
    }
    let failing = || {
        started_versions(&world.launcher(&["--headless", "run"]).env("FAIL", "1").output().unwrap())
    };
    let starts: Vec<_> = (0..3).flat_map(|_| failing()).collect();
    assert_eq!(starts, ["1.1.0", "1.1.0", "1.1.0", "1.0.0"]);
    assert_eq!((world.active().as_str(), failed(&world)), ("1.0.0", json!(["1.1.0"])));
}

/// A link to itself in place of a file: reading it is an error, for root as well, and no absence.
fn make_unreadable(file: &Path) -> PathBuf {
    let aside = file.with_extension("aside");
    fs::rename(file, &aside).unwrap();
    std::os::unix::fs::symlink(file, file).unwrap();
    aside
}

/// A world with 1.0.0 and 1.1.0, which was used last and fails on request.
fn with_two_versions() -> (World, NodeProcess) {
    let (world, node) = installed("1.0.0", STAYS);
    world.start();
    world.start();
    release(&world, "1.1.0", &format!("[ -z \"$FAIL\" ] || exit 1\n{STAYS}"));
    world.update();
    world.start();
    world.start();
    fs::write(world.container("1.1.0").join("data/work"), "mine").unwrap();
    (world, node)
}

#[test]
fn a_record_that_cannot_be_read_is_reported_and_the_app_starts_with_its_files() {
    let (world, _node) = with_two_versions();
    let home = world.home();
    let installed = world.container("1.1.0").join("metadata/installed.json");
    for file in [&home.join("active.json"), &installed, &home.join("state.json")] {
        let aside = make_unreadable(file);
        // Where the state cannot be read nothing can be left for the next start: who listens while
        // the app runs is told, or nobody.
        let output = world.launcher(&["--headless", "run"]).env("STAY", "5").output().unwrap();
        let reported = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(started_versions(&output), ["1.1.0"], "{}: {reported}", file.display());
        let expected = format!("This computer cannot read {}", text(file));
        let count = reported.matches(&expected).count();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(count, 1, "{}: {reported}{errors}", file.display());
        let work = fs::read_to_string(world.container("1.1.0").join("data/work")).unwrap();
        assert_eq!(work, "mine");
        fs::remove_file(file).unwrap();
        fs::rename(aside, file).unwrap();
        let reported = String::from_utf8_lossy(&world.start().stdout).into_owned();
        assert!(!reported.contains("cannot read"), "{reported}");
    }
    assert_eq!((world.active().as_str(), failed(&world)), ("1.1.0", Value::Null));
    // `verify` reports it, and can repair it.
    make_unreadable(&installed);
    let verified = world.say(&["verify"]);
    assert_eq!(
        (verified.code, &verified.result["damaged"][0]),
        (1, &json!("metadata/installed.json"))
    );
    assert_eq!(world.say(&["verify", "--repair"]).code, 0);
    assert_eq!(world.say(&["verify"]).code, 0);
    // The pointer is no file of a version.
    make_unreadable(&home.join("active.json"));
    for verb in [["verify", "--repair"].as_slice(), &["prune"], &["list"], &["check"]] {
        let reply = world.say(verb);
        assert!(
            reply.code == 1 && reply.errors.contains("active.json"),
            "{verb:?}: {}",
            reply.errors
        );
    }
}

#[test]
fn a_version_that_fails_is_left_while_the_pointer_cannot_be_read() {
    let (world, _node) = with_two_versions();
    let pointer = world.home().join("active.json");
    let aside = make_unreadable(&pointer);
    let failing = || {
        started_versions(&world.launcher(&["--headless", "run"]).env("FAIL", "1").output().unwrap())
    };
    assert_eq!(failing(), ["1.1.0", "1.1.0", "1.0.0"]);
    assert_eq!(failing(), ["1.0.0"], "nobody is made to wait for it again");
    fs::remove_file(&pointer).unwrap();
    fs::rename(aside, &pointer).unwrap();
    assert_eq!(started_versions(&world.start()), ["1.1.0"], "its pointer is what counts again");
    assert_eq!(fs::read_to_string(world.container("1.1.0").join("data/work")).unwrap(), "mine");
}

#[test]
fn a_version_that_is_repaired_at_a_start_is_reported() {
    let (world, node) = with_two_versions();
    let program = world.container("1.1.0").join("app/run.sh");
    let printed = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    fs::remove_file(&program).unwrap();
    let output = world.start();
    assert_eq!(started_versions(&output), ["1.0.0"], "nobody waits for it");
    assert!(
        printed(&output).contains("Version 1.1.0 was damaged and has been repaired"),
        "{}",
        printed(&output)
    );
    let output = world.start();
    assert_eq!(started_versions(&output), ["1.1.0"]);
    assert!(!printed(&output).contains("repaired"), "{}", printed(&output));
    // Without the network a repair is impossible, and the launcher reports that too.
    drop(node);
    fs::remove_file(&program).unwrap();
    let output = world.start();
    assert_eq!(started_versions(&output), ["1.0.0"]);
    assert!(printed(&output).contains("could not be repaired yet"), "{}", printed(&output));
}

#[test]
fn a_version_that_was_good_for_long_and_then_fails_at_each_start_is_left() {
    let (world, _node) = installed("1.0.0", STAYS);
    world.start();
    world.start();
    release(&world, "1.1.0", SPOILS_ITS_DATA);
    world.update();
    let with_most = |most: &str| {
        let output = world.launcher(&["--headless", "run"]).env("MOST", most).output().unwrap();
        (
            output.status.code(),
            started_versions(&output),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    for _ in 0..3 {
        assert_eq!(with_most("100").1, ["1.1.0"]);
    }
    assert!(world.record("active.json")["probation"].is_null(), "it has proved itself");
    // Two failures and a good start are no reason to leave it, nor is a wrong argument.
    for _ in 0..2 {
        let (code, started, reported) = with_most("1");
        assert_eq!((code, started), (Some(1), vec!["1.1.0".to_owned()]));
        assert!(reported.contains("did not start"), "{reported}");
    }
    assert_eq!(world.record("active.json")["probation"]["relapsed"], true);
    assert_eq!(with_most("100").1, ["1.1.0"]);
    assert!(world.record("active.json")["probation"].is_null(), "it has come up again");
    for _ in 0..4 {
        world.launcher(&["--headless", "run", "--", "argument"]).env("MOST", "1").output().unwrap();
    }
    assert_eq!(world.active(), "1.1.0");
    let starts: Vec<_> = (0..3).flat_map(|_| with_most("1").1).collect();
    assert_eq!(starts, ["1.1.0", "1.1.0", "1.1.0", "1.0.0"]);
    assert_eq!((world.active().as_str(), failed(&world)), ("1.0.0", json!(["1.1.0"])));
    // Files that the user wrote in it are retained.
    let retained = fs::read_dir(world.home().join("snapshots")).unwrap().flatten();
    assert!(
        retained
            .map(|entry| entry.path().join("files/data/profile"))
            .any(|profile| profile.exists())
    );
}

#[test]
fn a_computer_that_lets_no_version_start_leaves_the_proved_one_active() {
    let (world, _node) = installed("1.0.0", NEEDS_A_FILE);
    world.start();
    world.start();
    release(&world, "1.1.0", NEEDS_A_FILE);
    world.update();
    world.start();
    world.start();
    assert!(world.record("active.json")["probation"].is_null());
    let work = world.container("1.1.0").join("data/work");
    // Files of an earlier time are set aside: somebody went to the version before, and came back.
    fs::write(&work, "of an earlier time").unwrap();
    for version in ["1.0.0", "1.1.0"] {
        let reply = world.say(&["switch", version]);
        assert_eq!(reply.code, 0, "{version}: {}", reply.errors);
        world.start();
        world.start();
    }
    assert!(world.record("active.json")["probation"].is_null());
    fs::write(&work, "mine").unwrap();
    for _ in 0..8 {
        let output =
            world.launcher(&["--headless", "run"]).env("BROKEN_COMPUTER", "1").output().unwrap();
        assert_eq!(output.status.code(), Some(1));
    }
    assert_eq!((world.active().as_str(), failed(&world)), ("1.1.0", Value::Null));
    assert_eq!(fs::read_to_string(&work).unwrap(), "mine", "with its files");
    assert_eq!(started_versions(&world.start()), ["1.1.0"]);
    assert!(world.record("active.json")["probation"].is_null());
}

#[test]
fn a_version_that_fails_whatever_it_is_given_is_left_too() {
    let (world, _node) = installed("1.0.0", STAYS);
    world.start();
    release(&world, "1.1.0", &format!("[ \"$1\" = good ] || exit 1\n{STAYS}"));
    world.update();
    let with = |argument: &str| {
        started_versions(&world.launcher(&["--headless", "run", "--", argument]).output().unwrap())
    };
    assert_eq!(
        [with("bad"), with("bad")].concat(),
        ["1.1.0", "1.1.0"],
        "what was typed may have been wrong"
    );
    assert_eq!([with("good"), with("bad")].concat(), ["1.1.0", "1.1.0"]);
    release(&world, "1.2.0", "exit 1");
    world.update();
    let starts: Vec<_> = (0..3).flat_map(|_| with("good")).collect();
    assert_eq!(starts, ["1.2.0", "1.2.0", "1.2.0", "1.1.0"]);
    assert_eq!(failed(&world), json!(["1.2.0"]));
}

/// Neither has run for long enough to prove itself, and a cause outside of both keeps them from
/// starting.
#[test]
fn two_unproved_versions_that_both_fail_do_not_take_turns() {
    let looks_in = "[ -z \"$BROKEN_COMPUTER\" ] || { echo 'no display' >&2; exit 2; }\nexit 0";
    let (world, _node) = installed("1.2.0", looks_in);
    world.start();
    release(&world, "1.3.0", looks_in);
    world.update();
    world.start();
    let output =
        world.launcher(&["--headless", "run"]).env("BROKEN_COMPUTER", "1").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(started_versions(&output), ["1.3.0", "1.3.0", "1.2.0"]);
    assert_eq!((world.active().as_str(), failed(&world)), ("1.3.0", Value::Null));
    assert_eq!(started_versions(&world.start()), ["1.3.0"], "the computer is well again");
}

#[test]
fn a_disk_that_lets_no_program_start_is_reported_and_no_release_is_recorded_as_failed() {
    let world = World::new();
    release(&world, "1.0.0", STAYS);
    release(&world, "1.1.0", STAYS);
    let node = world.serve();
    world.configure(&[&node.address], SETTINGS);
    let home = world.home();
    fs::create_dir_all(&home).unwrap();
    let mount = |options: &[&str]| {
        Command::new("mount")
            .args(options)
            .arg(text(&home))
            .status()
            .is_ok_and(|status| status.success())
    };
    if !mount(&["-t", "tmpfs", "-o", "size=40m", "tmpfs"]) {
        assert!(std::env::var_os("CI").is_none(), "CI can mount a small disk");
        return;
    }
    struct Unmount(std::path::PathBuf);
    impl Drop for Unmount {
        fn drop(&mut self) {
            let _ = Command::new("umount").args(["-l", text(&self.0)]).status();
        }
    }
    let _unmount = Unmount(home.clone());
    assert_eq!(world.say(&["update", "--to", "1.0.0"]).code, 0);
    world.start();
    world.update();
    assert!(mount(&["-o", "remount,noexec"]));
    for _ in 0..3 {
        let output = world.start();
        let reported = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && reported.contains("noexec"), "{reported}");
    }
    assert_eq!((world.active().as_str(), failed(&world)), ("1.1.0", Value::Null));
    assert!(mount(&["-o", "remount,exec"]));
    assert_eq!(started_versions(&world.start()), ["1.1.0"]);
}

const CANNOT_START: &str = "echo 'ImportError: libxcb.so.1: cannot open shared object file' >&2\n\
    [ ! -e \"$KUZFLOW_HOME/data/repaired\" ] || { echo up > \"$KUZFLOW_HEALTH\"; exec sleep 600; }\nexit 1";

#[test]
fn a_first_version_that_cannot_start_is_reported_in_the_terminal() {
    let (world, _node) = installed("1.0.0", CANNOT_START);
    for _ in 0..2 {
        let output = world.start();
        let reported = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(
            (output.status.code(), started_versions(&output).len()),
            (Some(1), 1),
            "{reported}"
        );
        for part in ["did not start", "error code 1", "libxcb.so.1"] {
            assert!(reported.contains(part), "{part}: {reported}");
        }
    }
    assert_eq!(failed(&world), Value::Null, "there is nothing else to start");
    // A version that was used for long may fail as well, when a file of this computer disappears.
    let repaired = world.container("1.0.0").join("data/repaired");
    fs::write(&repaired, "").unwrap();
    let mut command = world.launcher(&["--headless", "run"]);
    let mut launcher = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("it comes up", || world.record("active.json")["probation"]["up"] == true);
    world.end_apps();
    launcher.wait().unwrap();
    fs::remove_file(&repaired).unwrap();
    assert!(String::from_utf8_lossy(&world.start().stderr).contains("did not start"));
}

#[test]
fn a_first_version_that_cannot_start_is_shown_with_what_it_wrote_and_can_be_tried_again() {
    let Some(display) = Display::open() else { return };
    let (world, _node) = installed("1.0.0", CANNOT_START);
    let mut command = world.launcher(&["run"]);
    let command = command.env("DISPLAY", &display.number).env_remove("WAYLAND_DISPLAY");
    let mut launcher = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let window = display.window("Sample").expect("a window says that it did not start");
    until("it is written down", || {
        world.log().contains("the app did not start") && world.log().contains("libxcb.so.1")
    });
    let retained = || {
        fs::read_dir(world.home().join("logs"))
            .unwrap()
            .flatten()
            .find(|entry| text(&entry.path()).contains("app-sample_1.0.0"))
    };
    assert!(fs::read_to_string(retained().unwrap().path()).unwrap().contains("libxcb.so.1"));
    // The administrator has repaired this computer: "Try again".
    fs::write(world.container("1.0.0").join("data/repaired"), "").unwrap();
    display.press_until(&window, "Return", || {
        world.say(&["list"]).result["versions"][0]["running"] == true
    });
    assert!(display.goes("Sample"), "the window goes");
    world.end_apps();
    let _ = launcher.kill();
    launcher.wait().unwrap();
}

#[test]
fn a_first_version_that_cannot_open_a_file_is_shown_with_what_it_wrote() {
    let Some(display) = Display::open() else { return };
    let (world, _node) = installed("1.0.0", CANNOT_START);
    let mut command = world.launcher(&["run", "document.txt"]);
    let command = command.env("DISPLAY", &display.number).env_remove("WAYLAND_DISPLAY");
    let mut launcher = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    display.window("Sample").expect("a window says that it did not start");
    until("it is written down", || world.log().contains("libxcb.so.1"));
    assert_eq!(failed(&world), Value::Null);
    let _ = launcher.kill();
    launcher.wait().unwrap();
}

/// The app promised a health report and never sends one, but a person types into it.
#[test]
fn an_app_in_a_terminal_keeps_what_is_typed_whatever_it_forgets_to_report() {
    let world = World::new();
    fs::create_dir_all(world.path("app 1.0.0")).unwrap();
    let code = "#!/bin/sh\ntext=\"$KUZFLOW_HOME/data/text\"\n\
        trap 'echo signalled > \"$text\"; exit 143' TERM\nread line\necho \"$line\" >> \"$text\"\n";
    world.write_script("1.0.0", "run.sh", code);
    let package = world.pack("1.0.0", "exe:run.sh", &["--runtime", "none", "--reports-up"]);
    world.publish(&package, &[]);
    let node = world.serve();
    let settings = "[update]\ncheck = 'never'\n[health]\nup_within_seconds = 1\n";
    world.configure(&[&node.address], settings);
    world.update();

    let run = world.launcher(&["--headless", "run"]);
    let words = [run.get_program()].into_iter().chain(run.get_args());
    let line: String = words.map(|word| format!("'{}' ", word.to_str().unwrap())).collect();
    // `script` gives the launcher a terminal, where its log appears.
    let shown = world.path("shown");
    let mut terminal = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .stdin(Stdio::piped())
        .stdout(fs::File::create(&shown).unwrap())
        .spawn()
        .unwrap();
    until("its time to report is over", || {
        fs::read_to_string(&shown).unwrap().contains("it is left alone")
    });
    terminal.stdin.as_ref().unwrap().write_all(b"an hour of work\n").unwrap();
    assert!(terminal.wait().unwrap().success());
    let written = fs::read_to_string(world.container("1.0.0").join("data/text")).unwrap();
    assert_eq!(written, "an hour of work\n");
}

#[test]
fn a_rollback_is_reported_in_a_window_while_the_version_before_runs() {
    let Some(display) = Display::open() else { return };
    let (world, _node) = installed("1.0.0", STAYS);
    world.start();
    release(&world, "1.1.0", "echo 'no such module' >&2; exit 1");
    world.update();
    let mut command = world.launcher(&["run"]);
    let command =
        command.env("DISPLAY", &display.number).env_remove("WAYLAND_DISPLAY").env("STAY", "600");
    let mut launcher = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    display.window("Sample").expect("what happened is told");
    until("the version before is active", || world.active() == "1.0.0");
    assert!(launcher.try_wait().unwrap().is_none(), "the version before runs");
    world.end_apps();
    let _ = launcher.kill();
    launcher.wait().unwrap();
}

#[test]
fn a_file_that_is_named_relative_to_the_callers_folder_is_found() {
    let (world, _node) = installed(
        "1.0.0",
        "pwd; echo \"caller=$KUZFLOW_CALLER_FOLDER\"; cat \"$1\"; printf '%s|' \"$@\"",
    );
    let documents = world.path("documents");
    fs::create_dir_all(documents.join("build")).unwrap();
    fs::write(documents.join("some file.txt"), "its text\n").unwrap();
    let mut command = world.launcher(&[
        "--headless",
        "run",
        "--",
        "some file.txt",
        "build",
        "build/",
        ".",
        "--out=x.txt",
        "missing.txt",
    ]);
    let output = command.current_dir(&documents).output().unwrap();
    let reply = String::from_utf8_lossy(&output.stdout).into_owned();
    let file = documents.join("some file.txt");
    assert!(
        reply.contains("its text") && reply.contains(&format!("caller={}", text(&documents))),
        "{reply}"
    );
    let folder = text(&documents);
    let expected =
        format!("{}|build|{folder}/build/|{folder}|--out=x.txt|missing.txt|", text(&file));
    assert!(reply.ends_with(&expected), "{reply}");
}

/// A world in which the next start switches to a release with this migration script.
fn migrating(code: &str) -> (World, NodeProcess) {
    let (world, node) = installed("1.0.0", "exec sleep ${STAY:-0.1}");
    release(&world, "1.1.0", "exec sleep ${STAY:-0.1}");
    let mut first = world
        .launcher(&["--headless", "run"])
        .env("STAY", "60")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until("it runs", || world.say(&["list"]).result["versions"][0]["running"] == true);
    world.update();
    let script = world.container("1.1.0").join("scripts/migrate");
    fs::create_dir_all(script.parent().unwrap()).unwrap();
    fs::write(&script, format!("#!/bin/sh\n{code}\n")).unwrap();
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    world.end_apps();
    first.wait().unwrap();
    (world, node)
}

#[test]
fn a_start_that_waits_for_a_migration_says_so_in_the_terminal_and_its_next_one_says_nothing() {
    let (world, _node) = migrating("sleep 5");
    let output = world.start();
    let reported = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(started_versions(&output), ["1.1.0"], "{reported}");
    assert_eq!(
        reported
            .lines()
            .filter(|line| line.contains("1.1.0") && line.contains("Your files"))
            .count(),
        1,
        "{reported}"
    );
    let output = world.start();
    let reported = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!reported.contains("Your files"), "{reported}");
}

#[test]
fn a_start_without_settings_that_waits_says_so_and_its_next_one_says_nothing() {
    let (world, _node) = migrating("sleep 5");
    fs::remove_file(world.config()).unwrap();
    let output = world.start();
    let reported = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(started_versions(&output), ["1.1.0"], "{reported}");
    let waits = |line: &&str| line.contains("1.1.0") && line.contains("Your files");
    assert_eq!(reported.lines().filter(waits).count(), 1, "{reported}");
    // This is longer than a user waits without a message.
    let output = world.launcher(&["--headless", "run"]).env("STAY", "4").output().unwrap();
    let reported = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(reported.contains("settings cannot be read"), "{reported}");
    assert!(!reported.contains("Your files") && !reported.contains("slow"), "{reported}");
}

#[test]
fn a_start_that_waits_for_a_migration_shows_a_window_until_the_app_runs() {
    let Some(display) = Display::open() else { return };
    let (world, _node) = migrating("while [ ! -e \"$GATE\" ]; do sleep 0.1; done");
    let mut command = world.launcher(&["run"]);
    let command =
        command.env("DISPLAY", &display.number).env_remove("WAYLAND_DISPLAY").env("STAY", "60");
    let gate = world.path("gate");
    let mut launcher =
        command.env("GATE", &gate).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    display.window("Sample").expect("a window says what is waited for");
    assert_eq!(world.active(), "1.0.0", "while it lasts");
    fs::write(&gate, "").unwrap();
    until("it starts", || {
        world.active() == "1.1.0" && world.say(&["list"]).result["versions"][0]["running"] == true
    });
    assert!(display.goes("Sample"), "the window goes");
    world.end_apps();
    launcher.wait().unwrap();
}
