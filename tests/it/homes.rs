//! Where an app is installed, and whose that folder is, through the real executables: the launcher
//! neither changes nor deletes files of another program, and an earlier home stays in use.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::release::{NodeProcess, Reply, World, reply, started_versions, text, tree};

/// What an app keeps in its own data folder, under names that the launcher uses in a home.
const FILES: [&str; 8] = [
    "state.json",
    "nodes.json",
    "active.json",
    "incoming/mail.txt",
    "neighbours/list",
    "logs/app.log",
    "staging/draft.txt",
    "containers/my/box.txt",
];

struct User {
    world: World,
    _node: NodeProcess,
}

impl User {
    fn new() -> Self {
        let world = World::new();
        world.release("1.0.0", 1 << 10);
        let node = world.serve();
        world.configure(&[&node.address], "[update]\ncheck = 'never'\n");
        Self { world, _node: node }
    }

    /// The launcher as its user starts it: without a word about the home.
    fn launcher(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kuzflow-launcher"));
        command.args(["--config", text(&self.world.config()), "--language", "en", "--headless"]);
        command.args(arguments).env("HOME", self.world.path("user"));
        for variable in ["XDG_DATA_HOME", "DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET"] {
            command.env_remove(variable);
        }
        command
    }

    fn say(&self, arguments: &[&str]) -> Reply {
        reply(&self.launcher(&[&["--json"], arguments].concat()).output().unwrap())
    }

    /// The folder of the user's data by the system's own rules.
    fn data(&self, name: &str) -> PathBuf {
        self.world
            .path("user")
            .join(if cfg!(target_os = "macos") {
                "Library/Application Support"
            } else {
                ".local/share"
            })
            .join(name)
    }
}

fn fill(folder: &Path) {
    for name in FILES {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "{\"theirs\": 1}").unwrap();
    }
}

#[test]
#[cfg(target_os = "linux")]
fn an_apps_own_data_folder_is_not_its_home() {
    let user = User::new();
    let theirs = user.data("sample");
    fill(&theirs);
    let before = tree(&theirs);
    let update = user.say(&["update"]);
    assert_eq!(update.code, 0, "{}", update.errors);
    let home = user.data("kuzflow/sample");
    assert!(home.join("kuzflow-home.txt").is_file() && home.join("active.json").is_file());
    let run = user.launcher(&["run"]).output().unwrap();
    assert_eq!(started_versions(&run), ["1.0.0"]);
    assert_eq!(user.say(&["uninstall", "--yes"]).result["status"], "done");
    assert_eq!(tree(&theirs), before);
    assert!(!home.join("containers").exists());
}

#[test]
fn a_folder_of_another_program_is_refused_before_anything_is_changed() {
    let user = User::new();
    let theirs = user.world.path("theirs");
    fill(&theirs);
    let before = tree(&theirs);
    let within = |verb: &[&str]| user.say(&[&["--home", text(&theirs)], verb].concat());
    for verb in [&["run"][..], &["check"], &["update"], &["list"], &["prune"], &["verify"]] {
        let refused = within(verb);
        let kind = refused.result["problem"]["kind"].as_str();
        assert_eq!((refused.code, kind), (1, Some("home_of_another_program")), "{verb:?}");
        assert_eq!(tree(&theirs), before, "{verb:?}");
    }
    let words = user.launcher(&["--home", text(&theirs), "update"]).output().unwrap();
    let words = String::from_utf8_lossy(&words.stderr).into_owned();
    assert!(words.contains("This folder holds files of another program"), "{words}");
    let uninstalled = within(&["uninstall", "--yes", "--delete-data"]);
    assert_eq!(uninstalled.result["status"], "nothing_to_do", "{}", uninstalled.errors);
    assert_eq!(tree(&theirs), before);
}

#[test]
fn files_that_somebody_put_into_a_home_survive_updates_and_uninstalling() {
    let user = User::new();
    let world = &user.world;
    world.update();
    let foreign = ["incoming/mail.txt", "logs/app.log", "staging/draft.txt", "containers/my/box"];
    for name in foreign {
        let path = world.home().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "theirs").unwrap();
    }
    world.release("1.1.0", 1 << 10);
    world.update();
    assert_eq!(started_versions(&world.start()), ["1.1.0"]);
    let uninstalled = world.say(&["uninstall", "--yes", "--delete-data"]);
    assert_eq!(uninstalled.result["status"], "done", "{}", uninstalled.errors);
    let left: Vec<PathBuf> = tree(&world.home()).into_keys().collect();
    assert_eq!(left.len(), foreign.len() + 1, "the marker stays beside them: {left:?}");
    for name in foreign {
        assert_eq!(fs::read_to_string(world.home().join(name)).unwrap(), "theirs", "{name}");
    }
    world.update();
    assert_eq!(started_versions(&world.start()), ["1.1.0"], "a new installation goes there");
}

#[test]
fn a_shortcut_before_the_first_start_keeps_nobody_from_installing() {
    let user = User::new();
    let shortcut = user.launcher(&["shortcut"]).output().unwrap();
    assert!(shortcut.status.success(), "{}", String::from_utf8_lossy(&shortcut.stderr));
    assert_eq!(user.say(&["update"]).code, 0);
}

#[test]
#[cfg(target_os = "linux")]
fn a_home_that_was_moved_and_left_a_link_stays_in_use() {
    let user = User::new();
    user.world.update();
    let elsewhere = user.data("elsewhere");
    fs::create_dir_all(elsewhere.parent().unwrap()).unwrap();
    fs::rename(user.world.home(), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, user.data("sample")).unwrap();
    let run = user.launcher(&["run"]).output().unwrap();
    assert_eq!(started_versions(&run), ["1.0.0"]);
    assert!(!user.data("kuzflow").exists());
    // The disk is not there: nothing is begun anew.
    fs::rename(&elsewhere, user.data("away")).unwrap();
    assert!(!user.launcher(&["run"]).output().unwrap().status.success());
    assert!(!user.data("kuzflow").exists());
}

#[test]
#[cfg(target_os = "linux")]
fn a_home_of_an_earlier_launcher_stays_in_use_where_it_is() {
    let user = User::new();
    user.world.update();
    let earlier = user.data("sample");
    fs::create_dir_all(earlier.parent().unwrap()).unwrap();
    fs::rename(user.world.home(), &earlier).unwrap();
    fs::remove_file(earlier.join("kuzflow-home.txt")).unwrap();
    let run = user.launcher(&["run"]).output().unwrap();
    assert_eq!(started_versions(&run), ["1.0.0"]);
    user.world.release("1.1.0", 1 << 10);
    assert_eq!(user.say(&["update"]).code, 0);
    assert!(earlier.join("kuzflow-home.txt").is_file(), "from now on it is marked");
    assert!(!user.data("kuzflow").exists());
    assert_eq!(user.say(&["uninstall", "--yes"]).result["status"], "done");
    assert!(!earlier.join("containers").exists());
}
/// A launcher of `publisher` for the home of `of`.
fn run_in_home_of(publisher: &World, of: &World, arguments: &[&str]) -> Reply {
    let arguments = [&["--json"], arguments].concat();
    reply(&publisher.launcher_at(&of.home(), &publisher.config(), &arguments).output().unwrap())
}

#[test]
fn two_publishers_apps_of_one_name_are_not_confused() {
    let (first, second) = (User::new(), World::new());
    first.world.update();
    second.release("9.0.0", 1 << 10);
    let node = second.serve();
    second.configure(&[&node.address], "");
    let before = tree(&first.world.home());
    for verb in [&["--headless", "run"][..], &["check"], &["update"], &["uninstall", "--yes"]] {
        let refused = run_in_home_of(&second, &first.world, verb);
        let kind = refused.result["problem"]["kind"].as_str();
        // An installer that removes its launcher goes on.
        let code = if verb[0] == "uninstall" { 3 } else { 1 };
        assert_eq!((refused.code, kind), (code, Some("app_of_another_publisher")), "{verb:?}");
        assert_eq!(tree(&first.world.home()), before, "{verb:?}");
    }
    assert_eq!(started_versions(&first.world.start()), ["1.0.0"], "the app's own launcher");
}

#[test]
fn a_publisher_who_replaced_all_keys_is_still_the_same() {
    let user = User::new();
    let world = &user.world;
    let root = world.path("publisher/launcher/root.json");
    let first = fs::read(&root).unwrap();
    world.update();
    for _ in 0..2 {
        let repo = world.path("publisher");
        let roles = ["root", "targets", "snapshot", "timestamp"];
        let replace = roles.iter().flat_map(|role| ["--replace", role]);
        let rotate: Vec<&str> =
            ["rotate", "--repo", text(&repo)].into_iter().chain(replace).collect();
        world.kuzflow(&rotate);
        let newer = fs::read(&root).unwrap();
        assert_ne!(newer, first);
        // The launcher of a new installer, before and after the home has followed; then the first.
        for shipped in [&newer, &first] {
            fs::write(&root, shipped).unwrap();
            assert_eq!(started_versions(&world.start()), ["1.0.0"]);
            let check = world.say(&["check"]);
            assert_ne!(check.code, 1, "{}", check.errors);
            assert_eq!(started_versions(&world.start()), ["1.0.0"]);
        }
        fs::write(&root, newer).unwrap();
    }
}
