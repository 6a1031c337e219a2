//! What is Windows' own, through the real executables: exit codes of four bytes, `.bat` programs,
//! files that somebody holds open, long paths, links and file types.

use std::collections::BTreeMap;
use std::fs;
use std::os::windows::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::release::{NodeProcess, World, started_versions, text};
use crate::support::waiting::until;

/// No checks; a version counts as up after a second.
const QUIET: &str = "[update]\ncheck = 'never'\n[health]\nsurvival_seconds = 1\n";
/// An access violation.
const VIOLATION: u32 = 0xC000_0005;

/// Publishes a version of the sample app with further files.
fn publish(world: &World, version: &str, files: &[(&str, &str)]) {
    let files = files.iter().map(|(path, text)| (*path, text.as_bytes().to_vec()));
    let package = world.build(version, &files.collect::<BTreeMap<_, _>>());
    world.publish(&package, &["--no-patches"]);
}

/// A world in which 1.0.0 is installed.
fn installed() -> (World, NodeProcess) {
    World::installed(QUIET, |world| publish(world, "1.0.0", &[]))
}

/// Opens a file so that no other process may open it, as a scanner or an editor does.
fn held(path: &Path) -> fs::File {
    fs::OpenOptions::new().read(true).write(true).share_mode(0).open(path).unwrap()
}

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
    assert!(world.log().contains("ended by exception 0xC0000005"), "{}", world.log());
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

#[test]
fn a_killed_launchers_app_still_runs_for_the_next_launcher() {
    let (world, _node) = installed();
    let mut launcher =
        world.launcher(&["run"]).env("STAY", "600").stdout(Stdio::null()).spawn().unwrap();
    let running = || world.say(&["list"]).result["versions"][0]["running"] == true;
    until("the app runs", running);
    launcher.kill().unwrap();
    launcher.wait().unwrap();
    assert!(running(), "its process and start time are noted");
    publish(&world, "1.1.0", &[]);
    world.update();
    assert_eq!(world.active(), "1.0.0", "no switch under the running app");
    assert_eq!(world.say(&["remove", "1.0.0"]).result["problem"]["kind"], "version_in_use");
    world.end_apps();
    until("the new version starts", || started_versions(&world.start()) == ["1.1.0"]);
}

/// The launcher's path as the system writes it; a cross-built test has it with slashes.
fn launcher_in_plain_form() -> String {
    env!("CARGO_BIN_EXE_kuzflow-launcher").replace('/', "\\")
}

/// A value of the registry, as `reg query` shows it.
fn registered(key: &str) -> Option<String> {
    let output = Command::new("reg").args(["query", key, "/ve"]).output().unwrap();
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn links_and_file_type_name_the_launcher_in_plain_form_and_go_with_the_app() {
    let (world, _node) = installed();
    let made = world.say(&["shortcut", "--desktop"]);
    assert_eq!(made.code, 0, "{}", made.errors);
    let written = made.result["written"].as_array().unwrap().iter();
    let written: Vec<PathBuf> = written.map(|path| path.as_str().unwrap().into()).collect();
    let links: Vec<&PathBuf> =
        written.iter().filter(|path| path.extension().is_some_and(|end| end == "lnk")).collect();
    assert!(links.len() >= 2, "the menu's and the desktop's: {written:?}");
    let launcher = launcher_in_plain_form();
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    for link in links {
        let bytes = fs::read(link).unwrap();
        let has = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
        assert!(has(&wide(r"kuzflow-launcher.exe")), "{}", link.display());
        assert!(!has(&wide(r"\\?\")), "{}", link.display());
    }
    let record = fs::read(world.home().join("desktop.json")).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    let class = format!(r"HKCU\Software\Classes\{}", record["class"].as_str().unwrap());
    let command = registered(&format!(r"{class}\shell\open\command")).unwrap();
    assert!(command.contains(&launcher) && command.contains("%1"), "{command}");
    assert!(!command.contains(r"\\?\"), "{command}");

    fs::write(world.container("1.0.0").join("data/mine.txt"), "mine").unwrap();
    let done = world.say(&["uninstall", "--yes"]);
    assert_eq!(done.code, 0, "{}", done.errors);
    assert!(written.iter().all(|path| !path.exists()), "{written:?}");
    assert_eq!(registered(&class), None);
    let left: Vec<_> =
        fs::read_dir(world.home()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["user-data"], "the user's files, and nothing else");
}
