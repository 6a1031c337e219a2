//! Exit codes of four bytes, also in `cmd`, and programs that are batch files.

use std::fs;
use std::process::Command;

use super::{QUIET, installed, launcher_in_plain_form, publish};
use crate::support::release::{World, started_versions, text};

/// An access violation.
const VIOLATION: u32 = 0xC000_0005;

#[test]
fn an_apps_code_comes_back_whole_also_in_cmd() {
    let (world, _node) = installed();
    for code in [1, 256, VIOLATION, 0xC000_0100, u32::MAX] {
        let output =
            world.launcher(&["--headless", "run"]).env("CODE", code.to_string()).output().unwrap();
        assert_eq!(output.status.code(), Some(code.cast_signed()), "{code:#x}");
    }
    let script = world.path("start.bat");
    fs::write(&script, "@%LAUNCHER% --headless run\r\n@echo status=%errorlevel%\r\n").unwrap();
    let launcher = format!(
        "\"{}\" --home \"{}\" --config \"{}\"",
        launcher_in_plain_form(),
        text(&world.home()),
        text(&world.config())
    );
    let output = Command::new("cmd")
        .arg("/c")
        .arg(&script)
        .env("LAUNCHER", launcher)
        .env("CODE", VIOLATION.to_string())
        .output()
        .unwrap();
    let reported = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(reported.contains("version=1.0.0"), "{reported}");
    assert!(reported.contains("status=-1073741819"), "{reported}");
}

#[test]
fn a_batch_file_is_a_program() {
    let world = World::new();
    let app = world.path("app 1.0.0");
    fs::create_dir_all(&app).unwrap();
    let script = "@echo off\r\necho version=%KUZFLOW_VERSION% args=%*\r\nexit /b 5\r\n";
    fs::write(app.join("start here.bat"), script).unwrap();
    let package = world.pack("1.0.0", "exe:start here.bat", &["--runtime", "none"]);
    world.publish(&package, &["--no-patches"]);
    let node = world.serve();
    world.configure(&[&node.address], QUIET);
    world.update();
    let output = world.launcher(&["--headless", "run", "--", "a", "b c"]).output().unwrap();
    let reported = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(reported.contains("version=1.0.0 args=a \"b c\""), "{reported}");
    assert_eq!(output.status.code(), Some(5));
}

#[test]
fn a_release_that_crashes_is_gone_back_from_with_its_exception() {
    let (world, _node) = installed();
    world.start();
    publish(&world, "1.1.0", &[("orders", "CODE=3221225477\n")]);
    world.update();
    let output = world.start();
    assert_eq!(started_versions(&output), ["1.1.0", "1.1.0", "1.0.0"]);
    assert_eq!(world.active(), "1.0.0");
    let reported = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(reported.contains("ended by exception 0xC0000005"), "{reported}");
}
