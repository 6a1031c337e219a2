//! The hooks of a release, through the real executables.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::support::program::write_script;
use crate::support::release::{NodeProcess, World, kuzflow, started_versions, text};
use crate::support::waiting::until;

/// Looks for no release by itself.
const SETTINGS: &str = "[update]\ncheck = 'never'\n";

/// Notes each hook in the order of the steps, beside the home.
const NOTES: &str = "echo \"$KUZFLOW_HOOK from=$KUZFLOW_FROM version=$KUZFLOW_VERSION\" >> \"$KUZFLOW_HOME/../../../steps\"";

/// Builds a release whose app and hooks are these shell scripts.
fn build(world: &World, version: &str, hooks: &[(&str, &str)]) -> PathBuf {
    fs::create_dir_all(world.path(&format!("app {version}"))).unwrap();
    let app = "#!/bin/sh\necho \"version=$KUZFLOW_VERSION\"\necho \"app\" >> \"$KUZFLOW_HOME/../../../steps\"\nexec sleep \"${STAY:-0.1}\"\n";
    world.write_script(version, "run.sh", app);
    let mut options = vec!["--runtime".to_owned(), "none".to_owned()];
    for (name, script) in hooks {
        let path = world.path(&format!("{name} {version}.sh"));
        write_script(&path, &format!("#!/bin/sh\n{script}\n"));
        options.extend([format!("--{name}"), text(&path).to_owned()]);
    }
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    world.pack(version, "exe:run.sh", &options)
}

fn release(world: &World, version: &str, hooks: &[(&str, &str)]) {
    let package = build(world, version, hooks);
    world.publish(&package, &["--no-patches"]);
}

fn installed(hooks: &[(&str, &str)]) -> (World, NodeProcess) {
    World::installed(SETTINGS, |world| release(world, "1.0.0", hooks))
}

/// What ran since the last look, in its order.
fn steps(world: &World) -> Vec<String> {
    let path = world.path("steps");
    let text = fs::read_to_string(&path).unwrap_or_default();
    let _ = fs::remove_file(path);
    text.lines().map(str::to_owned).collect()
}

#[test]
fn each_version_is_set_up_once_before_its_first_start_and_cleaned_up_at_the_end() {
    let hooks = [("after-install", NOTES), ("before-uninstall", NOTES)];
    let (world, _node) = installed(&hooks);
    assert!(steps(&world).is_empty(), "installing starts nothing");
    world.start();
    world.start();
    assert_eq!(steps(&world), ["after-install from= version=1.0.0", "app", "app"]);
    release(&world, "1.1.0", &hooks);
    world.update();
    let output = world.start();
    assert_eq!(started_versions(&output), ["1.1.0"]);
    world.start();
    assert_eq!(steps(&world), ["after-install from=1.0.0 version=1.1.0", "app", "app"]);
    // A version that was set up before is not set up again.
    assert_eq!(world.say(&["switch", "1.0.0"]).code, 0);
    world.start();
    assert_eq!(steps(&world), ["app"]);
    let done = world.say(&["uninstall", "--delete-data"]);
    assert_eq!(done.code, 0, "{}", done.errors);
    assert_eq!(steps(&world), ["before-uninstall from= version=1.0.0"]);
    assert!(!world.home().exists());
}

#[test]
fn hooks_that_fail_are_reported_and_keep_nobody_from_starting_or_uninstalling() {
    let fails = "echo the service is not there >&2; exit 3";
    let hangs = format!("{NOTES}; sleep 60 & sleep 60");
    let (world, node) = installed(&[("after-install", fails), ("before-uninstall", &hangs)]);
    world.start_after_failed_hook("the service is not there");
    steps(&world);
    // Only here: a busy computer may need that long for a hook that does well.
    world.configure(&[&node.address], &format!("{SETTINGS}hook_seconds = 2\n"));
    let done = world.say(&["uninstall", "--delete-data"]);
    assert_eq!(done.code, 0, "{}", done.errors);
    let failure = done.result["hook_failed"].to_string();
    assert!(failure.contains("was not done after 2 s"), "{failure}");
    assert!(!world.home().exists());
}

/// Starts the app, and kills the launcher while the hook waits. Then the hook ends by itself.
fn kill_in_hook(world: &World, gate: &Path) {
    steps(world);
    let ended = world.path("ended");
    // A hook that ran to its end before has left one.
    let _ = fs::remove_file(&ended);
    let mut command = world.launcher(&["--headless", "run"]);
    let mut launcher = command.env("GATE", gate).stdout(Stdio::null()).spawn().unwrap();
    until("the hook runs", || world.path("steps").exists());
    launcher.kill().unwrap();
    launcher.wait().unwrap();
    fs::write(gate, "").unwrap();
    // Its shell lives on for a moment after its last step, and its version is in use until then.
    until("the hook that lost its launcher ends", || {
        let process = fs::read_to_string(&ended).unwrap_or_default();
        process.ends_with('\n') && !Path::new(&format!("/proc/{}/exe", process.trim())).exists()
    });
    for path in [gate, &ended] {
        fs::remove_file(path).unwrap();
    }
    steps(world);
}

#[test]
fn a_launcher_that_is_killed_in_a_hook_leaves_it_to_the_next_start() {
    let waits = format!(
        "{NOTES}; while [ ! -e \"$GATE\" ]; do sleep 0.1; done; echo $$ > \"$KUZFLOW_HOME/../../../ended\""
    );
    let (world, _node) = installed(&[("after-install", &waits)]);
    let [closed, open] = ["closed", "open"].map(|name| world.path(name));
    fs::write(&open, "").unwrap();
    kill_in_hook(&world, &closed);
    let output = world.launcher(&["--headless", "run"]).env("GATE", &open).output().unwrap();
    assert_eq!(started_versions(&output), ["1.0.0"]);
    assert_eq!(steps(&world), ["after-install from= version=1.0.0", "app"]);
    // A version whose hook is killed each time is no version that fails: it starts in the end.
    release(&world, "1.1.0", &[("after-install", &waits)]);
    world.update();
    (0..3).for_each(|_| kill_in_hook(&world, &closed));
    let output = world.launcher(&["--headless", "run"]).env("GATE", &open).output().unwrap();
    assert_eq!(started_versions(&output), ["1.1.0"]);
    assert_eq!(steps(&world), ["app"]);
}

#[test]
fn a_hook_that_could_not_run_is_never_packed() {
    let world = World::new();
    fs::create_dir_all(world.path("app 1.0.0")).unwrap();
    world.write_script("1.0.0", "run.sh", "#!/bin/sh\nexit 0\n");
    let unfit = world.path("hook.sh");
    fs::write(&unfit, "echo no first line\n").unwrap();
    let app = world.path("app 1.0.0");
    let out = world.path("1.0.0.kuzflow");
    let place = ["build", "--app", text(&app), "--out", text(&out), "--name", "sample"];
    let what = ["--app-version", "1.0.0", "--entry", "exe:run.sh", "--runtime", "none"];
    let what = [&what[..], &["--before-uninstall", text(&unfit)]].concat();
    let refused = kuzflow(&[&place[..], &what[..]].concat());
    assert!(refused.code != 0 && refused.errors.contains("#!/bin/sh"), "{}", refused.errors);
}
