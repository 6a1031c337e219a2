//! The start at login through the real executables, with the user's folders elsewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::release::{NodeProcess, Reply, World, reply, text};

const SETTINGS: &str =
    "[update]\ncheck = 'never'\n[desktop]\nlogin_arguments = ['--minimized', 'two words']\n";

/// A user whose app writes its arguments down.
struct User {
    world: World,
    _node: NodeProcess,
}

impl User {
    fn new() -> Self {
        let (world, _node) = World::installed(SETTINGS, |world| {
            fs::create_dir_all(world.path("app 1.0.0")).unwrap();
            let script = "#!/bin/sh\nprintf '%s|' \"$@\" > \"$KUZFLOW_HOME/data/arguments\"\n";
            world.write_script("1.0.0", "run.sh", script);
            let package = world.pack("1.0.0", "exe:run.sh", &["--runtime", "none"]);
            world.publish(&package, &["--no-patches"]);
        });
        fs::create_dir_all(world.container("1.0.0").join("data")).unwrap();
        Self { world, _node }
    }

    fn config(&self) -> PathBuf {
        self.world.path("user/设置")
    }

    fn with_folders(&self, mut command: Command) -> Command {
        command.env("HOME", self.world.path("user")).env("XDG_CONFIG_HOME", self.config());
        command.env("XDG_DATA_HOME", self.world.path("user/data"));
        command
    }

    /// A launcher in another place, which is called with the same settings and home.
    fn say_with(&self, program: &Path, arguments: &[&str]) -> Reply {
        let (home, config) = (self.world.home(), self.world.config());
        let place = ["--home", text(&home), "--config", text(&config), "--json"];
        let mut command = Command::new(program);
        command.args(place).args(arguments).env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
        reply(&self.with_folders(command).output().unwrap())
    }

    fn say(&self, arguments: &[&str]) -> Reply {
        self.say_with(Path::new(env!("CARGO_BIN_EXE_kuzflow-launcher")), arguments)
    }

    fn entry(&self) -> Option<PathBuf> {
        let folder = fs::read_dir(self.config().join("autostart")).ok()?;
        folder.map(|entry| entry.unwrap().path()).next()
    }

    /// Starts what the desktop would start at login.
    fn log_in(&self) -> String {
        let entry = fs::read_to_string(self.entry().unwrap()).unwrap();
        let line = entry.lines().find_map(|line| line.strip_prefix("Exec=")).unwrap();
        // Its quotes are those of a shell; escapes of the entry itself do not occur here.
        let mut command = Command::new("sh");
        command.args(["-c", line]).env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
        assert!(self.with_folders(command).status().unwrap().success(), "{line}");
        fs::read_to_string(self.world.container("1.0.0").join("data/arguments")).unwrap()
    }
}

#[test]
fn the_app_starts_at_login_from_the_users_word_until_the_user_takes_it_back() {
    let user = User::new();
    assert_eq!(user.say(&["autostart", "status"]).result["autostart"], false);
    assert!(user.entry().is_none(), "nothing starts at login by itself");
    let on = user.say(&["autostart", "on"]);
    assert_eq!((on.code, &on.result["autostart"]), (0, &true.into()), "{}", on.errors);
    assert_eq!(user.say(&["autostart", "on"]).code, 3, "it was on before");
    assert_eq!(user.log_in(), "--minimized|two words|");
    // A start by hand has no such arguments.
    user.say(&["run"]);
    let arguments = user.world.container("1.0.0").join("data/arguments");
    assert_eq!(fs::read_to_string(&arguments).unwrap(), "|");
    let entry = user.entry().unwrap();
    if let Ok(checked) = Command::new("desktop-file-validate").arg(&entry).output() {
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    }
    let off = user.say(&["autostart", "off"]);
    assert_eq!((off.code, &off.result["autostart"]), (0, &false.into()), "{}", off.errors);
    assert!(user.entry().is_none());
    assert_eq!(user.say(&["autostart", "off"]).code, 3);
}

#[test]
fn the_start_at_login_follows_a_moved_launcher_and_goes_with_the_app() {
    let user = User::new();
    let old = user.world.path("old place/launcher");
    let new = user.world.path("new place/launcher");
    for program in [&old, &new] {
        fs::create_dir_all(program.parent().unwrap()).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_kuzflow-launcher"), program).unwrap();
    }
    assert_eq!(user.say_with(&old, &["autostart", "on"]).code, 0);
    fs::remove_file(&old).unwrap();
    // The moved launcher writes the entry anew while the app runs.
    let app = user.world.container("1.0.0").join("app/run.sh");
    fs::write(&app, "#!/bin/sh\nsleep 8\n").unwrap();
    user.say_with(&new, &["run"]);
    let entry = fs::read_to_string(user.entry().unwrap()).unwrap();
    assert!(entry.contains(text(&new)) && !entry.contains("old place"), "{entry}");
    assert_eq!(user.say_with(&new, &["uninstall", "--delete-data"]).code, 0);
    assert!(user.entry().is_none() && !user.world.home().exists());
}
