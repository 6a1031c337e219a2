//! Links of an earlier installation, which a stranger has made: they give way and come back.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use windows_sys::Win32::UI::Input::KeyboardAndMouse::VK_RETURN;

use super::screen::{self, is_open, photograph, press};
use crate::support::program::{self, PROGRAM};
use crate::support::release::{World, text};
use crate::support::waiting::{ends, insist, until};

/// As an installer of another maker does it, without a word of ours.
const MAKE_LINK: &str = "Set link = CreateObject(\"WScript.Shell\").CreateShortcut(WScript.Arguments(0))\r\n\
                         link.TargetPath = WScript.Arguments(1)\r\nlink.Save\r\n";

/// The app's name, which the earlier installation had as well.
const NAME: &str = "示例 Sample Label";

/// A computer on which the earlier installation has left its links.
struct Computer {
    world: World,
    /// In a folder of the Start menu.
    menu: PathBuf,
    /// On the desktop, where the app's own link has the same name.
    desktop: PathBuf,
    /// Their bytes.
    before: [Vec<u8>; 2],
    _program: tempfile::TempDir,
}

impl Computer {
    fn new() -> Self {
        let world = World::new();
        let app = world.path("app 1.0.0");
        fs::create_dir_all(&app).unwrap();
        program::write(&app.join(PROGRAM));
        let entry = format!("exe:{PROGRAM}");
        let more = ["--runtime", "none", "--display-name", NAME];
        world.publish(&world.pack("1.0.0", &entry, &more), &["--no-patches"]);
        let settings = "[update]\ncheck = 'never'\n[desktop]\nreplaces = ['OldLabel/label.exe']\n";
        let node = world.serve();
        world.configure(&[&node.address], settings);
        world.update();
        let folders = folders(&world);

        let program = tempfile::tempdir().unwrap();
        let old = program.path().join("OldLabel/label.exe");
        fs::create_dir_all(old.parent().unwrap()).unwrap();
        fs::write(&old, "the old program").unwrap();
        let menu = folders[0].join("Old Label Ltd").join(format!("{NAME}.lnk"));
        let desktop = folders[1].join(format!("{NAME}.lnk"));
        fs::create_dir_all(menu.parent().unwrap()).unwrap();
        let script = world.path("link.vbs");
        fs::write(&script, MAKE_LINK).unwrap();
        for link in [&menu, &desktop] {
            let mut make = Command::new("cscript");
            make.args(["//nologo", text(&script), text(link), &text(&old).replace('/', "\\")]);
            let made = make.output().unwrap();
            assert!(made.status.success() && link.is_file(), "{made:?}");
        }
        let before = [&menu, &desktop].map(|link| fs::read(link).unwrap());
        Self { world, menu, desktop, before, _program: program }
    }

    /// The paths that the verb names, and its exit code.
    fn old_shortcuts(&self, what: &str) -> (i32, Vec<PathBuf>) {
        let reply = self.world.say(&["old-shortcuts", what]);
        let paths = reply.result["old_shortcuts"].as_array().unwrap().iter();
        let mut paths: Vec<PathBuf> = paths.map(|path| path.as_str().unwrap().into()).collect();
        paths.sort();
        (reply.code, paths)
    }

    fn both(&self) -> Vec<PathBuf> {
        let mut both = vec![self.menu.clone(), self.desktop.clone()];
        both.sort();
        both
    }
}

/// The folders of the Start menu and of the desktop, by the launcher's own links there.
fn folders(world: &World) -> [PathBuf; 2] {
    let made = world.say(&["shortcut", "--desktop"]);
    assert_eq!(made.code, 0, "{}", made.errors);
    let links = made.result["written"].as_array().unwrap().iter();
    let links: Vec<PathBuf> = links.map(|path| path.as_str().unwrap().into()).collect();
    let named = |is_menu: bool| {
        let is_it = |link: &&PathBuf| {
            link.file_name().is_some_and(|name| name == format!("{NAME}.lnk").as_str())
                && text(link).contains("Start Menu") == is_menu
        };
        links.iter().find(is_it).unwrap().parent().unwrap().to_owned()
    };
    let folders = [named(true), named(false)];
    assert_eq!(world.say(&["shortcut", "--remove"]).code, 0);
    folders
}

fn starts_the_launcher(link: &Path) -> bool {
    let name: Vec<u8> = "kuzflow-launcher.exe".encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::read(link).unwrap().windows(name.len()).any(|part| part == name)
}

#[test]
fn a_strangers_links_give_way_to_the_apps_own_and_come_back() {
    // Both scenes leave links of the same names in one Start menu.
    let _alone = screen::alone();
    let computer = Computer::new();
    let Computer { world, menu, desktop, before, .. } = &computer;
    assert_eq!(computer.old_shortcuts("status"), (0, computer.both()));
    assert_eq!(computer.old_shortcuts("replace"), (0, computer.both()));
    assert!(!menu.exists());
    assert!(starts_the_launcher(desktop), "the app's own has the name of the old one");
    let own = menu.parent().unwrap().parent().unwrap().join(format!("{NAME}.lnk"));
    assert!(starts_the_launcher(&own));
    for what in ["status", "replace"] {
        assert_eq!(computer.old_shortcuts(what), (3, Vec::new()), "{what}");
    }

    assert_eq!(computer.old_shortcuts("restore"), (0, vec![menu.clone()]));
    assert_eq!(fs::read(menu).unwrap(), before[0]);
    assert!(starts_the_launcher(desktop), "its place is taken while the app is installed");
    assert_eq!(computer.old_shortcuts("replace"), (0, vec![menu.clone()]));

    let done = world.say(&["uninstall", "--yes"]);
    assert_eq!(done.code, 0, "{}", done.errors);
    assert!(!own.exists());
    assert_eq!([menu, desktop].map(|link| fs::read(link).unwrap()), *before);
    fs::remove_file(desktop).unwrap();
    fs::remove_dir_all(menu.parent().unwrap()).unwrap();
}

#[test]
fn the_window_beside_the_app_asks_and_lets_them_give_way() {
    let _alone = screen::alone();
    let computer = Computer::new();
    let Computer { world, menu, desktop, .. } = &computer;
    let mut launcher = world.launcher(&["run"]);
    let mut launcher = launcher.env("STAY", "600").stdout(Stdio::null()).spawn().unwrap();
    until("the window asks", is_open);
    photograph("old-shortcuts");
    assert!(menu.exists(), "nothing is taken without a word of the user");
    insist("Return", || press(VK_RETURN), || !menu.exists());
    until("the window closes", || !is_open());
    assert!(starts_the_launcher(desktop));
    assert_eq!(world.record("state.json")["old_shortcuts_answered"], true);
    world.end_apps();
    assert_eq!(ends(&mut launcher).unwrap().code(), Some(0));
    assert_eq!(world.say(&["uninstall", "--yes"]).code, 0);
    fs::remove_file(desktop).unwrap();
    fs::remove_dir_all(menu.parent().unwrap()).unwrap();
}
