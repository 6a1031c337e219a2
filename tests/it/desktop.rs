//! Shortcuts, uninstalling and the launcher's own update through the real executables
//! (docs/security.md, fault 25). The folders have spaces, quotes and Chinese characters in their
//! names.

use std::env::consts::EXE_SUFFIX;
use std::fs;
#[cfg(unix)]
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::release::{NodeProcess, Reply, WITHOUT_SCREEN, World, reply, text};
use crate::support::waiting::until;

/// The version in the launcher's file, before the test changes it.
const STAMP: &str = concat!("kuzflow-launcher-version:[", env!("CARGO_PKG_VERSION"), "]");

/// A user's machine: a launcher in its own folder, the user's folders, and a node.
struct Machine {
    world: World,
    node: NodeProcess,
    launcher: PathBuf,
}

/// Runs a program that was just written. Another test may start a process at the same moment, and
/// that process holds this file open for writing until it has become its program. The system does
/// not start a file that is open for writing.
fn ended(mut command: Command) -> std::process::Output {
    for _ in 0..1000 {
        match command.output() {
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            output => return output.unwrap(),
        }
    }
    panic!("the program stays busy");
}

impl Machine {
    fn new() -> Self {
        let world = World::new();
        world.release("1.0.0", 400_000);
        let node = world.serve();
        world.configure(&[&node.address], "[update]\ncheck = 'never'\n");
        // Windows forbids quotes in names.
        let folder = world.path(if cfg!(windows) { "程序 100%" } else { "程序 \"q\" 100%" });
        fs::create_dir(&folder).unwrap();
        let launcher = folder.join(format!("kuzflow-launcher{EXE_SUFFIX}"));
        fs::copy(env!("CARGO_BIN_EXE_kuzflow-launcher"), &launcher).unwrap();
        fs::create_dir_all(world.path("user/Desktop")).unwrap();
        Self { world, node, launcher }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.launcher);
        let (home, config) = (self.world.home(), self.world.config());
        command.args(["--home", text(&home), "--config", text(&config), "--language", "en"]);
        command.args(arguments);
        command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").env_remove("WAYLAND_SOCKET");
        #[cfg(unix)]
        command
            .env("HOME", self.world.path("user"))
            .env("XDG_DATA_HOME", self.data())
            .env_remove("XDG_CONFIG_HOME");
        command
    }

    fn say(&self, arguments: &[&str]) -> Reply {
        reply(&ended(self.command(&[&["--json"], arguments].concat())))
    }

    /// The output of a start.
    fn start(&self) -> String {
        let output = ended(self.command(&[WITHOUT_SCREEN, &["run"]].concat()));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    #[cfg(unix)]
    fn data(&self) -> PathBuf {
        self.world.path("user/数据")
    }

    /// The launcher as a build of another version: the same program with another version in its
    /// file.
    fn build(&self, version: &str) -> PathBuf {
        assert_eq!(version.len(), env!("CARGO_PKG_VERSION").len());
        let mut bytes = fs::read(env!("CARGO_BIN_EXE_kuzflow-launcher")).unwrap();
        let at = bytes.windows(STAMP.len()).position(|window| window == STAMP.as_bytes()).unwrap();
        let stamp = STAMP.replace(env!("CARGO_PKG_VERSION"), version);
        bytes[at..at + stamp.len()].copy_from_slice(stamp.as_bytes());
        let path = self.world.path(&format!("launcher {version}{EXE_SUFFIX}"));
        fs::write(&path, bytes).unwrap();
        path
    }

    /// A "launcher" that is a script.
    #[cfg(unix)]
    fn script(&self, body: &str) -> PathBuf {
        let path = self.world.path("launcher script");
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        path
    }

    fn publish_launcher(&self, path: &Path, more: &[&str]) {
        let folder = self.world.path("publisher");
        self.world.kuzflow(
            &[&["publish-launcher", text(path), "--repo", text(&folder), "--level", "1"], more]
                .concat(),
        );
    }

    /// The version of the executable in place, as it reports it.
    fn version(&self) -> String {
        self.say(&["self-test"]).result["version"].as_str().unwrap_or_default().to_owned()
    }

    /// A file beside the launcher, which has a name of the launcher's.
    fn beside(&self, what: &str) -> PathBuf {
        let ending = if ["old", "new"].contains(&what) { EXE_SUFFIX } else { "" };
        self.launcher.with_file_name(format!("kuzflow-launcher.{what}{ending}"))
    }

    fn log(&self) -> String {
        fs::read_to_string(self.world.home().join("logs/launcher.log")).unwrap_or_default()
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_shortcut_passes_the_systems_own_checks_and_goes_again() {
    let machine = Machine::new();
    assert_eq!(machine.say(&["update"]).code, 0);
    assert!(!machine.data().join("applications").exists(), "nobody wanted a shortcut");
    let made = machine.say(&["shortcut", "--desktop"]);
    assert_eq!(made.code, 0, "{}", made.errors);
    assert_eq!(made.result["written"].as_array().unwrap().len(), 6, "{:?}", made.result);
    assert_eq!(machine.say(&["shortcut", "--desktop"]).code, 3);
    let mut entries: Vec<PathBuf> = ["数据/applications", "Desktop"]
        .iter()
        .flat_map(|folder| fs::read_dir(machine.world.path("user").join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "desktop"))
        .collect();
    entries.sort();
    assert_eq!(entries.len(), 3);
    for entry in &entries {
        let reported = fs::read_to_string(entry).unwrap();
        assert!(
            reported.contains("\nName=示例 Sample\n") && reported.contains("\nComment[zh_CN]="),
            "{reported}"
        );
        // CI installs this program; without it the texts are still checked against our own reader.
        if let Ok(output) = Command::new("desktop-file-validate").arg(entry).output() {
            assert!(
                output.status.success(),
                "{}\n{reported}",
                String::from_utf8_lossy(&output.stdout)
            );
        }
    }
    let removed = machine.say(&["shortcut", "--remove"]);
    assert_eq!((removed.code, removed.result["removed"].as_array().unwrap().len()), (0, 6));
    assert!(entries.iter().all(|entry| !entry.exists()));
    assert_eq!(machine.say(&["shortcut", "--remove"]).code, 3);
}

#[cfg(target_os = "linux")]
#[test]
fn the_first_installation_makes_a_shortcut_if_set_and_a_new_icon_follows() {
    let machine = Machine::new();
    machine.world.configure(
        &[&machine.node.address],
        "[update]\ncheck = 'never'\n[desktop]\nshortcut = true\n",
    );
    assert_eq!(machine.say(&["update"]).code, 0);
    let applications = machine.data().join("applications");
    let menu = || {
        let entries = fs::read_dir(&applications).unwrap().map(|entry| entry.unwrap().path());
        entries.into_iter().find(|path| {
            text(path).ends_with(".desktop") && !text(path).ends_with("-install.desktop")
        })
    };
    let entry = menu().expect("there is a menu entry");
    let package = machine.world.path("2.kuzflow");
    let app = machine.world.path("app 1.0.0");
    let build = [
        "build",
        "--app",
        text(&app),
        "--name",
        "sample",
        "--app-version",
        "2.0.0",
        "--entry",
        "exe:run.sh",
    ];
    machine.world.kuzflow(
        &[
            &build[..],
            &[
                "--runtime",
                "none",
                "--display-name",
                "新名 New",
                "--level",
                "1",
                "--out",
                text(&package),
            ],
        ]
        .concat(),
    );
    machine.world.publish(&package, &["--no-patches"]);
    assert_eq!(machine.say(&["update"]).code, 0);
    assert!(fs::read_to_string(&entry).unwrap().contains("\nName=新名 New\n"));
    fs::remove_file(&entry).unwrap();
    machine.start();
    assert!(menu().is_none(), "what the user threw away stays away");
}

#[cfg(target_os = "linux")]
#[test]
fn uninstalling_keeps_the_users_files_and_the_next_installation_takes_them_over() {
    let machine = Machine::new();
    let home = machine.world.home();
    assert_eq!(machine.say(&["uninstall"]).code, 3, "nothing is there");
    assert_eq!(machine.say(&["update"]).code, 0);
    assert_eq!(machine.say(&["shortcut"]).code, 0);
    fs::create_dir_all(machine.world.container("1.0.0").join("data")).unwrap();
    fs::write(machine.world.container("1.0.0").join("data/我的.txt"), "mine").unwrap();
    fs::write(home.join("a photo"), "foreign").unwrap();

    // Uninstalling is refused while the app runs.
    let mut app =
        machine.command(&["run"]).env("STAY", "600").stdout(Stdio::null()).spawn().unwrap();
    until("the app runs", || machine.say(&["list"]).result["versions"][0]["running"] == true);
    let refused = machine.say(&["uninstall", "--yes"]);
    assert_eq!(
        (refused.code, refused.result["problem"]["kind"].as_str()),
        (1, Some("app_running")),
        "{}",
        refused.errors
    );
    assert!(machine.world.container("1.0.0").is_dir());
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", app.id())).unwrap();
    for child in children.split_whitespace() {
        assert!(Command::new("kill").arg(child).status().unwrap().success());
    }
    app.wait().unwrap();

    let done = machine.say(&["uninstall", "--yes"]);
    assert_eq!(done.code, 0, "{}", done.errors);
    assert_eq!(done.result["foreign"][0], text(&home.join("a photo")));
    let retained = PathBuf::from(done.result["kept"][0].as_str().unwrap());
    assert!(retained.starts_with(home.join("user-data")));
    let mut left: Vec<String> = fs::read_dir(&home)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["a photo", "user-data"]);
    assert!(
        !machine
            .data()
            .join("applications")
            .read_dir()
            .unwrap()
            .any(|entry| text(&entry.unwrap().path()).ends_with(".desktop"))
    );
    assert_eq!(machine.say(&["uninstall", "--yes"]).code, 3);
    assert!(machine.launcher.exists());

    assert_eq!(machine.say(&["update"]).code, 0);
    assert_eq!(
        fs::read_to_string(machine.world.container("1.0.0").join("data/我的.txt")).unwrap(),
        "mine"
    );
    fs::remove_file(home.join("a photo")).unwrap();
    assert_eq!(machine.say(&["uninstall", "--delete-data"]).code, 0);
    assert!(!home.exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_killed_uninstall_leaves_the_app_or_its_data_and_is_ended_by_the_next_run() {
    if Command::new("strace").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "CI has strace");
        println!("not tried: there is no strace");
        return;
    }
    let machine = Machine::new();
    let home = machine.world.home();
    for (call, reinstall) in
        [("rename", true), ("rename", false), ("unlinkat", false), ("unlink", true)]
    {
        let mut point = 1;
        loop {
            assert_eq!(machine.say(&["update"]).code, 0, "{call} {point}");
            fs::create_dir_all(machine.world.container("1.0.0").join("data")).unwrap();
            fs::write(
                machine.world.container("1.0.0").join("data/mine"),
                format!("{call} {point}"),
            )
            .unwrap();
            let plain = machine.command(&["uninstall", "--yes"]);
            let mut traced = Command::new("strace");
            traced.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")]);
            traced
                .args(["-e", &format!("inject={call}:signal=SIGKILL:when={point}")])
                .arg(plain.get_program())
                .args(plain.get_args());
            traced.env("HOME", machine.world.path("user")).env("XDG_DATA_HOME", machine.data());
            let status = traced.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
            let killed = !status.success();
            if reinstall {
                let update = machine.say(&["update"]);
                assert!(matches!(update.code, 0 | 3), "{call} {point}: {}", update.errors);
                let mine =
                    fs::read_to_string(machine.world.container("1.0.0").join("data/mine")).unwrap();
                assert_eq!(mine, format!("{call} {point}"));
            }
            let ended = machine.say(&["uninstall", "--keep-data"]);
            assert!(matches!(ended.code, 0 | 3), "{call} {point}: {}", ended.errors);
            let left: Vec<_> =
                fs::read_dir(&home).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(left, ["user-data"], "{call} {point}");
            let retained =
                fs::read_dir(home.join("user-data")).unwrap().map(|entry| entry.unwrap().path());
            let mine =
                retained.flat_map(|folder| fs::read_dir(folder).unwrap()).filter_map(|version| {
                    fs::read_to_string(version.unwrap().path().join("data/mine")).ok()
                });
            assert!(
                mine.into_iter().any(|mine| mine == format!("{call} {point}")),
                "{call} {point}"
            );
            fs::remove_dir_all(&home).unwrap();
            if !killed {
                assert!(point > 1, "{call}: nothing was interrupted");
                break;
            }
            // Where there are many points they are much alike, so the test skips some.
            point += 1 + point / 3;
        }
    }
}

#[test]
fn a_newer_launcher_takes_the_place_and_the_old_one_goes_after_the_first_start() {
    let machine = Machine::new();
    #[cfg(unix)]
    fs::set_permissions(&machine.launcher, fs::Permissions::from_mode(0o750)).unwrap();
    machine.publish_launcher(&machine.build("0.9.0"), &[]);
    // A check only looks, and exchanges nothing.
    assert_eq!(machine.say(&["check"]).code, 0);
    assert_eq!(machine.version(), env!("CARGO_PKG_VERSION"));
    assert_eq!(machine.say(&["update"]).code, 0);
    assert_eq!((machine.version().as_str(), machine.beside("old").exists()), ("0.9.0", true));
    #[cfg(unix)]
    assert_eq!(fs::metadata(&machine.launcher).unwrap().permissions().mode() & 0o777, 0o750);
    assert!(machine.start().contains("version=1.0.0"));
    assert!(!machine.beside("old").exists() && !machine.beside("update.json").exists());
    assert_eq!(machine.say(&["update"]).code, 3, "it is not exchanged again");
    // A start that checks for releases does the same beside the app.
    let newest = machine.build("0.9.1");
    machine.publish_launcher(&newest, &[]);
    machine.world.configure(&[&machine.node.address], "[update]\ndelay_seconds = 0\n");
    let mut beside =
        machine.command(&["run"]).env("STAY", "600").stdout(Stdio::null()).spawn().unwrap();
    let newest = fs::read(newest).unwrap();
    until("it is exchanged", || fs::read(&machine.launcher).is_ok_and(|bytes| bytes == newest));
    machine.world.end_apps();
    beside.wait().unwrap();
    assert_eq!(machine.version(), "0.9.1", "{}", machine.log());
}

#[test]
fn a_launcher_that_does_not_come_up_is_replaced_by_the_old_one() {
    let machine = Machine::new();
    assert_eq!(machine.say(&["update"]).code, 0);
    machine.publish_launcher(&machine.build("0.9.0"), &[]);
    machine.say(&["update"]);
    assert_eq!(machine.version(), "0.9.0");
    // It passed its self-test, began to start, and died before the app was up.
    let note = fs::read_to_string(machine.beside("update.json")).unwrap();
    fs::write(machine.beside("update.json"), note.replace("\"starts\": 0", "\"starts\": 1"))
        .unwrap();
    assert!(
        machine.start().contains("version=1.0.0"),
        "the very start that finds it out starts the app"
    );
    assert_eq!(
        (machine.version().as_str(), machine.beside("old").exists()),
        (env!("CARGO_PKG_VERSION"), false)
    );
    machine.say(&["update"]);
    assert_eq!(
        machine.version(),
        env!("CARGO_PKG_VERSION"),
        "the build that failed is not tried again"
    );
    machine.publish_launcher(&machine.build("0.9.1"), &[]);
    machine.say(&["update"]);
    assert_eq!(machine.version(), "0.9.1", "the one that mends it is");
}

#[cfg(target_os = "linux")]
#[test]
fn a_launcher_that_does_not_run_never_takes_the_place() {
    let machine = Machine::new();
    assert_eq!(machine.say(&["update"]).code, 0);
    let bodies =
        ["exit 1", "kill -9 $$", "echo '{\"result\":{\"status\":\"done\",\"version\":\"9.0.0\"}}'"];
    for (index, body) in bodies.iter().enumerate() {
        machine.publish_launcher(
            &machine.script(body),
            &["--launcher-version", &format!("2.0.{index}")],
        );
        let update = machine.say(&["update"]);
        assert_eq!(
            (update.code, update.result["status"].as_str()),
            (3, Some("nothing_to_do")),
            "{body}: {}",
            update.errors
        );
        assert!(update.errors.contains("self-test"), "{body}: {}", update.errors);
        assert_eq!(machine.version(), env!("CARGO_PKG_VERSION"), "{body}");
        assert!(machine.start().contains("version=1.0.0"));
        assert!(!machine.beside("new").exists() && !machine.beside("old").exists());
    }
}

#[test]
fn a_flipped_bit_on_the_node_is_no_launcher() {
    let machine = Machine::new();
    machine.publish_launcher(&machine.build("0.9.0"), &[]);
    let targets = machine.world.path("publisher/repository/targets");
    let target = fs::read_dir(targets)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| text(path).ends_with(".launcher"));
    let target = target.unwrap();
    let good = fs::read(&target).unwrap();
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    fs::write(&target, &bad).unwrap();
    assert_eq!(machine.say(&["update"]).code, 0, "the app's own update is not concerned");
    assert_eq!(machine.version(), env!("CARGO_PKG_VERSION"));
    assert!(!machine.beside("new").exists());
    fs::write(&target, good).unwrap();
    machine.say(&["update"]);
    assert_eq!(machine.version(), "0.9.0", "the next time goes on where it was");
}

#[test]
fn an_administrators_launcher_and_one_that_is_set_so_stay() {
    let machine = Machine::new();
    machine.publish_launcher(&machine.build("0.9.0"), &[]);
    machine.world.configure(&[&machine.node.address], "[launcher]\nself_update = false\n");
    assert_eq!(machine.say(&["update"]).code, 0);
    assert_eq!(machine.version(), env!("CARGO_PKG_VERSION"));
    machine.world.configure(&[&machine.node.address], "");
    // A folder in place of the lock is a refusal that also works for the superuser.
    fs::create_dir(machine.beside("update.lock")).unwrap();
    let update = machine.say(&["update"]);
    assert_eq!(update.code, 3, "no error for anybody: {}", update.errors);
    assert_eq!(machine.version(), env!("CARGO_PKG_VERSION"));
    let folder = machine.launcher.parent().unwrap();
    assert_eq!(fs::read_dir(folder).unwrap().count(), 2);
}

#[test]
fn a_release_that_needs_a_newer_launcher_gets_one_first() {
    let machine = Machine::new();
    let package = machine.world.build("2.0.0", &std::collections::BTreeMap::new());
    machine.world.publish(&package, &["--no-patches", "--minimum-launcher", "0.9.0"]);
    let update = machine.say(&["update"]);
    assert_eq!(
        (update.code, update.result["problem"]["kind"].as_str()),
        (1, Some("launcher_too_old")),
        "{}",
        update.errors
    );
    machine.publish_launcher(&machine.build("0.9.0"), &[]);
    let update = machine.say(&["update"]);
    assert_eq!(
        (update.code, update.result["version"].as_str()),
        (0, Some("2.0.0")),
        "{}",
        update.errors
    );
    assert_eq!(machine.version(), "0.9.0");
    assert!(machine.start().contains("version=2.0.0"));
}

#[test]
fn a_first_start_with_an_old_launcher_exchanges_it_and_begins_again() {
    let machine = Machine::new();
    let package = machine.world.build("2.0.0", &std::collections::BTreeMap::new());
    machine.world.publish(&package, &["--no-patches", "--minimum-launcher", "0.9.0"]);
    machine.publish_launcher(&machine.build("0.9.0"), &[]);
    assert!(machine.start().contains("version=2.0.0"), "{}", machine.log());
    assert_eq!(machine.version(), "0.9.0");
    // Windows deletes no running program, and there the old one waits for the end of the new one.
    let old = machine.beside("old");
    assert_eq!(old.exists(), cfg!(windows));
    fs::write(&old, "no longer running").unwrap();
    assert!(machine.start().contains("version=2.0.0"));
    assert!(!old.exists(), "the next start removes it");
}

#[test]
fn a_publisher_cannot_mistake_a_launcher() {
    let machine = Machine::new();
    let folder = machine.world.path("publisher");
    let refused = |path: &Path, more: &[&str]| {
        let arguments =
            [&["publish-launcher", text(path), "--repo", text(&folder), "--level", "1"], more]
                .concat();
        let output = Command::new(env!("CARGO_BIN_EXE_kuzflow")).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    // Its version is the launcher's, and so is its stamp of a version: by its name it is known.
    let tool = PathBuf::from(env!("CARGO_BIN_EXE_kuzflow"));
    let reason = refused(&tool, &[]);
    assert!(reason.contains("it is kuzflow, not kuzflow-launcher"), "{reason}");
    let build = machine.build("0.9.0");
    assert!(
        refused(&build, &["--launcher-version", "0.9.1"]).contains("says that it is version 0.9.0")
    );
    let (own, other) = if cfg!(windows) {
        ("a program for Windows", "Linux_x86_64")
    } else {
        ("a program for Linux", "Windows_AMD64")
    };
    assert!(refused(&build, &["--platform", other]).contains(own));
    let silent = machine.world.path("silent");
    fs::write(&silent, "no version").unwrap();
    assert!(refused(&silent, &[]).contains("does not say its version"));
    machine.publish_launcher(&build, &[]);
    assert!(refused(&machine.build("0.8.0"), &[]).contains("0.9.0 is published"));
}
