//! The first start on a computer, with the real executable: the network is not there yet, or an
//! earlier installation has left a shortcut.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use crate::support::display::Display;
use crate::support::release::{World, text};
use crate::support::waiting::until;

/// Nobody has to press "Try again": the window looks again by itself, and offers the release.
#[test]
fn a_first_installation_goes_on_by_itself_when_the_network_is_back() {
    let Some(display) = Display::open() else { return };
    let world = World::new();
    world.release("1.0.0", 1 << 12);
    let address = world.serve().address.clone();
    world.configure(&[&address], "");
    let log = || fs::read_to_string(world.path("log")).unwrap_or_default();
    let mut launcher = world
        .launcher(&["--verbose", "run"])
        .env("DISPLAY", &display.number)
        .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(world.path("log")).unwrap())
        .spawn()
        .unwrap();
    until("the check fails", || log().contains("Failed {"));
    let _node = world.serve_at(&address, &[]);
    until("the release is offered", || log().contains("Offered {"));
    launcher.kill().unwrap();
    launcher.wait().unwrap();
}

/// A user with an entry of an earlier installation in the menu.
struct OldUser {
    world: World,
    display: Display,
    entry: PathBuf,
}

impl OldUser {
    /// `None` without a display.
    fn new() -> Option<Self> {
        let display = Display::open()?;
        let world = World::new();
        let orders = BTreeMap::from([("orders", b"STAY=600\n".to_vec())]);
        world.publish(&world.build("1.0.0", &orders), &["--no-patches"]);
        let program = world.path("user/old app/labelImg");
        fs::create_dir_all(program.parent().unwrap()).unwrap();
        fs::write(&program, "").unwrap();
        let entry = world.path("user/.local/share/applications/labelimg.desktop");
        fs::create_dir_all(entry.parent().unwrap()).unwrap();
        let exec = format!("Exec=\"{}\"", text(&program));
        let lines = format!("[Desktop Entry]\nType=Application\nName=LabelImg\n{exec}\n");
        fs::write(&entry, lines).unwrap();
        Some(Self { world, display, entry })
    }

    /// Starts the app as an icon does.
    fn start(&self) -> Child {
        let user = self.world.path("user");
        self.world
            .launcher(&["--verbose", "run"])
            .env("DISPLAY", &self.display.number)
            .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent")
            .env("HOME", &user)
            .env_remove("XDG_DATA_HOME")
            .env_remove("XDG_CONFIG_HOME")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(self.world.path("log")).unwrap())
            .spawn()
            .unwrap()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.world.path("log")).unwrap_or_default()
    }

    fn is_answered(&self) -> bool {
        self.world.record("state.json")["old_shortcuts_answered"] == true
    }

    /// Presses a key in the launcher's window until it has an effect.
    fn press_until(&self, key: &str, has_effect: impl FnMut() -> bool) {
        let window = self.display.window("Sample").expect("the launcher's window");
        self.display.press_until(&window, key, has_effect);
    }

    fn end(&self, mut launcher: Child) {
        self.world.end_apps();
        launcher.wait().unwrap();
    }
}

const REPLACES: &str = "[update]\ncheck = 'never'\n[desktop]\nreplaces = ['old app/labelImg']\n";

#[test]
fn the_window_of_the_first_installation_lets_old_shortcuts_give_way() {
    let Some(user) = OldUser::new() else { return };
    let node = user.world.serve();
    user.world.configure(&[&node.address], REPLACES);
    let launcher = user.start();
    until("the release is offered", || user.log().contains("Offered {"));
    user.press_until("Return", || user.log().contains("Launched {"));
    assert!(user.entry.exists(), "nothing is taken without a word of the user");
    user.press_until("Return", || !user.entry.exists());
    until("the window closes", || user.display.visible("Sample").is_none());
    assert!(user.is_answered());
    let own = user.entry.with_file_name("kuzflow-sample.desktop");
    let made = user.world.record("desktop.json")["files"].to_string();
    assert!(own.is_file() || made.contains("applications/kuzflow-sample-"), "{made}");
    user.end(launcher);
}

#[test]
fn a_start_asks_once_about_old_shortcuts_in_front_of_the_app() {
    let Some(mut user) = OldUser::new() else { return };
    let is_managed = user.display.start_window_manager();
    assert!(is_managed || std::env::var_os("CI").is_none(), "CI has openbox and xprop");
    let node = user.world.serve();
    user.world.configure(&[&node.address], REPLACES);
    user.world.update();
    let launcher = user.start();
    let window = user.display.window("Sample").expect("the question");
    let state = || user.display.run("xprop", &["-id", &window, "_NET_WM_STATE"]);
    until("no window of the app can hide it", || {
        !is_managed || state().contains("_NET_WM_STATE_ABOVE")
    });
    user.press_until("Escape", || user.is_answered());
    until("the window closes", || user.display.visible("Sample").is_none());
    assert!(user.entry.exists(), "the user wants it to stay");
    user.end(launcher);
    let launcher = user.start();
    until("the launcher has asked nothing", || {
        user.log().contains("old shortcuts: nothing to ask")
    });
    assert!(user.display.visible("Sample").is_none());
    user.end(launcher);
}
