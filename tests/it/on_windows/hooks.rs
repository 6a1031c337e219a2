//! The hooks of a release as Windows runs them: batch files and programs.

use std::fs;
use std::path::PathBuf;

use crate::support::program::{self, PROGRAM};
use crate::support::release::{NodeProcess, World, started_versions, text};
use crate::support::waiting::until;

const SETTINGS: &str = "[update]\ncheck = 'never'\n";

/// Notes the hook beside the home.
const NOTES: &str = "echo %KUZFLOW_HOOK% from=%KUZFLOW_FROM% version=%KUZFLOW_VERSION% >>\"%KUZFLOW_HOME%\\..\\..\\..\\steps\"";

/// Publishes a release with these hooks: the option, the file's name, its content.
fn release(world: &World, version: &str, hooks: &[(&str, &str, &[u8])]) {
    let app = world.path(&format!("app {version}"));
    fs::create_dir_all(&app).unwrap();
    program::write(&app.join(PROGRAM));
    let mut options = vec!["--runtime".to_owned(), "none".to_owned()];
    for (option, name, content) in hooks {
        let path = world.path(&format!("{version} {name}"));
        fs::write(&path, content).unwrap();
        options.extend([format!("--{option}"), text(&path).to_owned()]);
    }
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let package = world.pack(version, &format!("exe:{PROGRAM}"), &options);
    world.publish(&package, &["--no-patches"]);
}

fn installed(hooks: &[(&str, &str, &[u8])]) -> (World, NodeProcess) {
    World::installed(SETTINGS, |world| release(world, "1.0.0", hooks))
}

fn batch(lines: &str) -> Vec<u8> {
    format!("@echo off\r\n{}\r\n", lines.replace('\n', "\r\n")).into_bytes()
}

/// What ran since the last look.
fn steps(world: &World) -> Vec<String> {
    let path = world.path("steps");
    let text = fs::read_to_string(&path).unwrap_or_default();
    let _ = fs::remove_file(path);
    text.lines().map(|line| line.trim_end().to_owned()).collect()
}

/// What the hooks of a version have written.
fn hook_log(world: &World, version: &str) -> String {
    let logs = fs::read_dir(world.home().join("logs")).unwrap();
    let logs = logs.map(|entry| entry.unwrap().path());
    let is_it = |path: &PathBuf| text(path).contains(&format!("hooks-sample_{version}_"));
    logs.filter(is_it).map(|path| fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn batch_files_run_once_before_the_first_start_and_before_uninstalling() {
    let notes = batch(NOTES);
    let hooks: [(&str, &str, &[u8]); 2] =
        [("after-install", "after.bat", &notes), ("before-uninstall", "before.cmd", &notes)];
    let (world, _node) = installed(&hooks);
    assert!(steps(&world).is_empty(), "installing starts nothing");
    world.start();
    world.start();
    assert_eq!(steps(&world), ["after-install from= version=1.0.0"]);
    release(&world, "1.1.0", &hooks);
    world.update();
    assert_eq!(started_versions(&world.start()), ["1.1.0"]);
    world.start();
    assert_eq!(steps(&world), ["after-install from=1.0.0 version=1.1.0"]);
    let done = world.say(&["uninstall", "--yes", "--delete-data"]);
    assert_eq!(done.code, 0, "{}", done.errors);
    assert_eq!(steps(&world), ["before-uninstall from= version=1.1.0"]);
    assert!(!world.home().exists());
}

#[test]
fn a_program_is_a_hook_and_its_words_are_in_the_log() {
    let sample = tempfile::tempdir().unwrap();
    let path = sample.path().join(PROGRAM);
    program::write(&path);
    let bytes = fs::read(path).unwrap();
    let (world, _node) = installed(&[("after-install", "after.exe", &bytes)]);
    assert_eq!(started_versions(&world.start()), ["1.0.0"]);
    assert_eq!(hook_log(&world, "1.0.0").trim_end(), "version=1.0.0 args=");
}

#[test]
fn a_hook_that_fails_is_reported_and_the_version_starts() {
    let fails = batch("echo the service is not there 1>&2\nexit /b 3");
    let (world, _node) = installed(&[("after-install", "after.cmd", &fails)]);
    world.start_after_failed_hook("the service is not there");
    assert!(hook_log(&world, "1.0.0").contains("the service is not there"));
}

/// The batch file waits for another program, which the end of `cmd` alone would not end.
#[test]
fn a_hook_that_hangs_is_ended_with_all_that_it_has_started() {
    let sample = tempfile::tempdir().unwrap();
    let path = sample.path().join(PROGRAM);
    program::write(&path);
    let waits = batch(&format!("{NOTES}\nset STAY=600\n\"%KUZFLOW_HOME%\\app\\{PROGRAM}\""));
    let (world, node) = installed(&[("before-uninstall", "before.bat", &waits)]);
    world.start();
    // Only here: Wine on a busy computer may need some seconds for a hook that does well.
    world.configure(&[&node.address], &format!("{SETTINGS}hook_seconds = 10\n"));
    let done = world.say(&["uninstall", "--yes", "--delete-data"]);
    assert_eq!(done.code, 0, "{}", done.errors);
    let failure = done.result["hook_failed"].to_string();
    assert!(failure.contains("was not done after 10 s"), "{failure}");
    assert_eq!(steps(&world), ["before-uninstall from= version=1.0.0"]);
    // Windows deletes no program that still runs.
    until("the home is gone", || !world.home().exists());
}
