//! A publisher, its nodes and a launcher as real processes, in one temporary folder whose name has
//! a space and Chinese characters.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use kuzflow::testing::model::Platform;
use serde_json::Value;

use super::waiting::until;
use super::{processes, program};

pub use super::program::PROGRAM;

/// What keeps a launcher from opening a window. On Unix it finds no display; Windows always has a
/// screen, so there it is asked. It then writes its log to standard error.
pub const WITHOUT_SCREEN: &[&str] = if cfg!(windows) { &["--headless"] } else { &[] };

/// A publisher's folder, with its app folders and a home.
pub struct World {
    folder: tempfile::TempDir,
}

/// A `kuzflow serve`; killed when dropped.
pub struct NodeProcess {
    child: Child,
    pub address: String,
}

/// The output of a verb.
pub struct Reply {
    pub code: i32,
    pub events: Vec<Value>,
    pub result: Value,
    pub errors: String,
}

impl World {
    /// Runs `kuzflow init` with a made-up node, which the first serving node replaces.
    pub fn new() -> Self {
        let world =
            Self { folder: tempfile::Builder::new().prefix("kuzflow 测试 ").tempdir().unwrap() };
        let folder = world.path("publisher");
        world.kuzflow(&[
            "init",
            text(&folder),
            "--app",
            "sample",
            "--display-name",
            "示例 Sample",
            "--node",
            "http://127.0.0.1:9/",
        ]);
        // No node serves there, and launchers would follow the signed metadata.
        let settings = folder.join("kuzflow.toml");
        let text = fs::read_to_string(&settings).unwrap();
        fs::write(settings, text.split("[[nodes]]").next().unwrap()).unwrap();
        world
    }

    /// A world in which the release that `publish` publishes is installed, from a node that goes
    /// on.
    pub fn installed(settings: &str, publish: impl FnOnce(&Self)) -> (Self, NodeProcess) {
        let world = Self::new();
        publish(&world);
        let node = world.serve();
        world.configure(&[&node.address], settings);
        world.update();
        (world, node)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn home(&self) -> PathBuf {
        self.path("home")
    }

    /// The folder of an installed version.
    pub fn container(&self, version: &str) -> PathBuf {
        self.home().join("containers").join(format!("sample_{version}_{}", Platform::current()))
    }

    /// The log of this home's launchers.
    pub fn log(&self) -> String {
        fs::read_to_string(self.home().join("logs/launcher.log")).unwrap_or_default()
    }

    /// Asks the apps of this home to end.
    pub fn end_apps(&self) {
        processes::ask_apps_to_end(&self.home());
    }

    /// Runs `kuzflow`, which must succeed.
    pub fn kuzflow(&self, arguments: &[&str]) -> Output {
        let output = Command::new(env!("CARGO_BIN_EXE_kuzflow")).args(arguments).output().unwrap();
        assert!(
            output.status.success(),
            "kuzflow {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        output
    }

    /// Builds a release whose program prints its version and arguments. `files` (path in the app to
    /// content) are added to it.
    pub fn build(&self, version: &str, files: &BTreeMap<&str, Vec<u8>>) -> PathBuf {
        let app = self.path(&format!("app {version}"));
        fs::create_dir_all(&app).unwrap();
        program::write(&app.join(PROGRAM));
        for (path, content) in files {
            let path = app.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let entry = format!("exe:{PROGRAM}");
        self.pack(version, &entry, &["--runtime", "none", "--display-name", "示例 Sample"])
    }

    /// Builds the package of the folder `app VERSION`, which starts with `entry`.
    pub fn pack(&self, version: &str, entry: &str, more: &[&str]) -> PathBuf {
        let (app, out) =
            (self.path(&format!("app {version}")), self.path(&format!("{version}.kuzflow")));
        let place = ["build", "--app", text(&app), "--out", text(&out), "--level", "1"];
        let names = ["--name", "sample", "--app-version", version, "--entry", entry];
        self.kuzflow(&[&place[..], &names, more].concat());
        out
    }

    /// Gives the folder `app VERSION` another start script.
    #[cfg(unix)]
    pub fn write_script(&self, version: &str, name: &str, script: &str) {
        program::write_script(&self.path(&format!("app {version}")).join(name), script);
    }

    pub fn publish(&self, package: &Path, more: &[&str]) {
        let folder = self.path("publisher");
        self.kuzflow(&[&["publish", text(package), "--repo", text(&folder)], more].concat());
    }

    /// Publishes a release with `size` bytes of noise in 40 files, without packs: packs save
    /// nothing on noise.
    pub fn release(&self, version: &str, size: usize) {
        let mut random = fastrand::Rng::with_seed(size as u64 ^ version.len() as u64);
        let mut noise = vec![0; size / 40];
        let mut files = BTreeMap::new();
        let names: Vec<String> = (0..40).map(|index| format!("data/file {index}.bin")).collect();
        for name in &names {
            random.fill(&mut noise);
            files.insert(name.as_str(), noise.clone());
        }
        let package = self.build(version, &files);
        self.publish(&package, &["--no-patches"]);
    }

    /// The package of the only published release, in the folder that nodes serve.
    pub fn published(&self) -> PathBuf {
        let targets = fs::read_dir(self.path("publisher/repository/targets")).unwrap();
        targets
            .flatten()
            .map(|entry| entry.path())
            .find(|path| text(path).ends_with(".kuzflow"))
            .unwrap()
    }

    /// Starts a node.
    pub fn serve(&self) -> NodeProcess {
        self.serve_with(&[])
    }

    /// Starts a node with further arguments.
    pub fn serve_with(&self, more: &[&str]) -> NodeProcess {
        self.serve_at("127.0.0.1:0", more)
    }

    /// Starts a node at this address.
    pub fn serve_at(&self, address: &str, more: &[&str]) -> NodeProcess {
        let folder = self.path("publisher");
        let without_checks: &[&str] =
            if more.contains(&"--health-interval") { &[] } else { &["--health-interval", "0"] };
        let mut child = Command::new(env!("CARGO_BIN_EXE_kuzflow"))
            .args(["serve", "--repo", text(&folder), "--listen", address, "--json"])
            .args(without_checks)
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let reported: Value = serde_json::from_str(&line).unwrap();
        NodeProcess { child, address: reported["address"].as_str().unwrap().to_owned() }
    }

    /// Writes the launcher's settings for these nodes.
    pub fn configure(&self, addresses: &[&str], more: &str) {
        let mut settings = "app = 'sample'\n".to_owned();
        let (top, tables) = more
            .split_once("[")
            .map_or((more, String::new()), |(top, tables)| (top, format!("[{tables}")));
        settings.push_str(top);
        for (index, address) in addresses.iter().enumerate() {
            settings
                .push_str(&format!("[[nodes]]\nid = 'node-{index}'\nurl = 'http://{address}/'\n"));
        }
        settings.push_str(&tables);
        fs::write(self.config(), settings).unwrap();
        // The publisher's list names the made-up node of `new`.
        self.write_node_list("[]");
    }

    /// Replaces the published list of nodes in one step, since a node may be reading it.
    pub fn write_node_list(&self, nodes: &str) {
        let list = self.path("publisher/repository/nodes.json");
        fs::write(self.path("nodes.json.new"), nodes).unwrap();
        // On Windows that is refused while the node has it open.
        until("the list is replaced", || fs::rename(self.path("nodes.json.new"), &list).is_ok());
    }

    pub fn config(&self) -> PathBuf {
        self.path("publisher/launcher/launcher.toml")
    }

    /// The launcher; add a verb to it.
    pub fn launcher(&self, arguments: &[&str]) -> Command {
        self.launcher_at(&self.home(), &self.config(), arguments)
    }

    /// The launcher where it has a reason to open a window, and no screen for it.
    pub fn launcher_without_screen(&self, arguments: &[&str]) -> Command {
        self.launcher(&[WITHOUT_SCREEN, arguments].concat())
    }

    /// A launcher of another computer: it has another home.
    pub fn launcher_at(&self, home: &Path, config: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kuzflow-launcher"));
        command.args(["--home", text(home), "--config", text(config), "--language", "en"]);
        command.args(arguments);
        // No window can open here, even if the machine has a display.
        command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").env_remove("WAYLAND_SOCKET");
        command
    }

    /// Installs the newest release.
    pub fn update(&self) {
        let update = self.say(&["update"]);
        assert_eq!(update.code, 0, "{}", update.errors);
    }

    /// Starts the app, as its shortcut does, and waits for its end.
    pub fn start(&self) -> Output {
        self.launcher(&["--headless", "run"]).output().unwrap()
    }

    /// Starts 1.0.0, whose hook has failed with these words: both are reported, and it runs.
    pub fn start_after_failed_hook(&self, words: &str) {
        let output = self.start();
        assert_eq!(started_versions(&output), ["1.0.0"]);
        let [shown, log] = [output.stdout, output.stderr]
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        assert!(shown.contains("A setup step of version 1.0.0 did not succeed"), "{shown}");
        assert!(log.contains(words), "{log}");
    }

    /// A JSON file of the home; null if it is missing.
    pub fn record(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.home().join(name)).unwrap_or_default())
            .unwrap_or_default()
    }

    /// The version that `active.json` names.
    pub fn active(&self) -> String {
        let id = self.record("active.json")["container"].as_str().unwrap().to_owned();
        id.split('_').nth(1).unwrap().to_owned()
    }

    /// Runs a verb with `--json`.
    pub fn say(&self, arguments: &[&str]) -> Reply {
        reply(&self.launcher(&[&["--json"], arguments].concat()).output().unwrap())
    }
}

/// Runs a verb of `kuzflow` with `--json`, whether it succeeds or fails.
pub fn kuzflow(arguments: &[&str]) -> Reply {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kuzflow"));
    reply(&command.arg("--json").args(arguments).output().unwrap())
}

/// The versions of the app that said `version=…` first, in their order.
pub fn started_versions(output: &Output) -> Vec<String> {
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = |line: &str| Some(line.strip_prefix("version=")?.split(' ').next()?.to_owned());
    lines.lines().filter_map(version).collect()
}

/// Reads the output of a verb with `--json`.
pub fn reply(output: &Output) -> Reply {
    let stdout = String::from_utf8(output.stdout.clone()).unwrap();
    let mut events: Vec<Value> = stdout
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let result = events
        .pop_if(|last| last.get("result").is_some())
        .map(|last| last["result"].clone())
        .unwrap_or_default();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    Reply { code: output.status.code().unwrap_or(-1), events, result, errors }
}

impl Drop for World {
    /// After a failed test the launchers' log is printed. No app and no launcher stays behind,
    /// which would disturb later tests.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!(
                "the end of launcher.log:\n{}",
                lines[lines.len().saturating_sub(60)..].join("\n")
            );
        }
        processes::end_all(self.folder.path());
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A path of these tests as text; it is always Unicode.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Copies a folder with the times of its files and, where the system has them, modes and links.
#[cfg(unix)]
pub fn copy_tree(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-aT").args([from, to]).status();
    assert!(status.unwrap().success());
}

/// Copies a folder with the times of its files.
#[cfg(windows)]
pub fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let copy = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_tree(&path, &copy);
        } else {
            fs::copy(&path, &copy).unwrap();
        }
    }
}

/// The permissions of a file that a container stores: Windows has none of them.
pub fn mode(metadata: &fs::Metadata) -> u32 {
    #[cfg(unix)]
    return std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o7777;
    #[cfg(windows)]
    return u32::from(metadata.permissions().readonly());
}

/// Every file below `folder` with its content; files that disappear meanwhile are left out.
pub fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let entries = match fs::read_dir(&next) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound && next != folder => continue,
            Err(error) => panic!("{}: {error}", next.display()),
        };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            match fs::read(&path) {
                Ok(content) => {
                    _ = found.insert(path.strip_prefix(folder).unwrap().to_owned(), content)
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => panic!("{}: {error}", path.display()),
            }
        }
    }
    found
}
