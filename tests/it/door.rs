//! The ways to the launcher's window through the real executable: its verb, a second start, and a
//! start that cannot begin. The window must be on the screen, at every scale.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::display::{Display, SCREEN};
use crate::support::release::{self, World};
use crate::support::waiting::{ends, until};

/// Starts a launcher on a display; the app's output goes to `app.log`.
fn start(world: &World, display: &Display, arguments: &[&str]) -> Child {
    let log = fs::File::options().create(true).append(true).open(world.path("app.log")).unwrap();
    let mut launcher = world.launcher(arguments);
    launcher
        .env("DISPLAY", &display.number)
        .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent")
        .env("STAY", "600");
    launcher
        .env("XDG_RUNTIME_DIR", world.path(""))
        .stdout(log)
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn installed() -> (World, release::NodeProcess) {
    let settings = "[update]\ncheck = 'never'\n";
    World::installed(settings, |world| world.release("1.0.0", 1 << 16))
}

/// The status with which a launcher ends.
fn status(child: &mut Child) -> Option<i32> {
    ends(child)?.code()
}

/// Whether a launcher of this world listens to other starts.
fn listens(world: &World) -> bool {
    let entries = fs::read_dir(world.path("")).unwrap().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .any(|name| name.starts_with("kuzflow-window-"))
}

fn starts_of_the_app(world: &World) -> usize {
    fs::read_to_string(world.path("app.log")).unwrap_or_default().matches("version=").count()
}

/// Ends the launcher and the app that it started.
fn end(world: &World, mut launcher: Child) {
    launcher.kill().unwrap();
    launcher.wait().unwrap();
    for entry in fs::read_dir(world.home().join("running"))
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().is_dir())
    {
        for record in fs::read_dir(entry.path()).into_iter().flatten().flatten() {
            if let Some(process) =
                record.file_name().to_str().filter(|name| name.parse::<u32>().is_ok())
            {
                Command::new("kill").arg(process).stderr(Stdio::null()).status().unwrap();
            }
        }
    }
}

#[test]
fn the_window_opens_without_the_app_and_a_second_wish_brings_the_same() {
    let Some(display) = Display::open() else { return };
    let (world, _node) = installed();
    let mut first = start(&world, &display, &["window"]);
    let window = display.window("Sample").expect("the window opens");
    until("it listens", || listens(&world));
    let mut second = start(&world, &display, &["window", "--versions"]);
    assert_eq!(status(&mut second), Some(0), "the first one shows it");
    assert_eq!(display.tool(&["search", "--onlyvisible", "--name", "Sample"]).lines().count(), 1);
    // Back from the versions, and then out of the window.
    display.press_until(&window, "Escape", || first.try_wait().unwrap().is_some());
    assert_eq!(status(&mut first), Some(0));
    assert_eq!(starts_of_the_app(&world), 0, "a look at the window starts nothing");
}

#[test]
fn a_second_start_brings_the_window_of_the_launcher_beside_the_app() {
    let Some(display) = Display::open() else { return };
    let (world, node) = installed();
    let launcher = start(&world, &display, &["run"]);
    let is_started = |count| until("the app starts", || starts_of_the_app(&world) == count);
    is_started(1);
    until("the launcher listens", || listens(&world));
    assert!(display.visible("Sample").is_none());
    let mut second = start(&world, &display, &[]);
    let window = display.window("Sample").expect("the launcher beside the app opens its window");
    assert_eq!(status(&mut second), Some(0));
    assert_eq!(starts_of_the_app(&world), 1, "the app is not started once more");
    display.press_until(&window, "Escape", || display.visible("Sample").is_none());
    // The shortcut's command works as before, and so does a start without a verb where the settings
    // ask for that.
    let third = start(&world, &display, &["run"]);
    is_started(2);
    world
        .configure(&[&node.address], "[update]\ncheck = 'never'\n[window]\nsecond_start = 'app'\n");
    let fourth = start(&world, &display, &[]);
    is_started(3);
    for launcher in [fourth, third, launcher] {
        end(&world, launcher);
    }
}

/// Sends a signal to a process.
fn signal(process: &Child, name: &str) {
    let id = process.id().to_string();
    assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
}

#[test]
fn a_stopped_launcher_does_not_hide_another_one() {
    let Some(display) = Display::open() else { return };
    let (world, _node) = installed();
    let is_started = |count| until("the app starts", || starts_of_the_app(&world) == count);
    let listening = || {
        let entries = fs::read_dir(world.path("")).unwrap().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter(|name| name.starts_with("kuzflow-window-")).count()
    };
    let launchers = [1, 2, 3].map(|count| {
        let launcher = start(&world, &display, &["run"]);
        is_started(count);
        until("it listens", || listening() == count);
        launcher
    });
    // Whichever is asked first, one that is stopped is among those before the one that works.
    let [stopped, working, stopped_too] = &launchers;
    signal(stopped, "-STOP");
    signal(stopped_too, "-STOP");
    let mut second = start(&world, &display, &[]);
    display.window("Sample").expect("the launcher that works opens its window");
    assert_eq!(status(&mut second), Some(0), "{working:?} shows it");
    assert_eq!(starts_of_the_app(&world), 3, "the app is not started once more");
    signal(stopped, "-CONT");
    signal(stopped_too, "-CONT");
    for launcher in launchers {
        end(&world, launcher);
    }
}

#[test]
fn the_window_can_be_asked_for_right_after_it_has_started_the_app() {
    let Some(display) = Display::open() else { return };
    let world = World::new();
    world.release("1.0.0", 1 << 16);
    let node = world.serve();
    world.configure(&[&node.address], "[update]\ncheck = 'never'\n");
    let launcher = start(&world, &display, &[]);
    let window = display.window("Sample").expect("the first installation is offered");
    let of_the_app = display.tool(&["search", "--onlyvisible", "--class", "^sample$"]);
    assert!(
        of_the_app.lines().any(|found| found == window),
        "its menu entry is found by its class"
    );
    display.press_until(&window, "Return", || starts_of_the_app(&world) == 1);
    assert!(display.goes("Sample"), "the window goes when the app has started");
    until("the launcher listens", || listens(&world));
    let mut second = start(&world, &display, &["window", "--versions"]);
    let window = display.window("Sample").expect("the window opens");
    assert_eq!(status(&mut second), Some(0));
    // A further request finds the same window: it stays.
    let mut third = start(&world, &display, &["window"]);
    assert_eq!(status(&mut third), Some(0));
    assert_eq!(display.visible("Sample"), Some(window.clone()));
    display.press_until(&window, "Escape", || display.visible("Sample").is_none());
    end(&world, launcher);
}

#[test]
fn settings_that_are_missing_are_reported_in_a_window() {
    let Some(display) = Display::open() else { return };
    let world = World::new();
    fs::remove_file(world.config()).unwrap();
    let mut launcher = start(&world, &display, &[]);
    let window = display.window("kuzflow-launcher").expect("a window tells what is missing");
    display.press_until(&window, "Return", || launcher.try_wait().unwrap().is_some());
    assert_eq!(status(&mut launcher), Some(1));
}

#[test]
fn the_window_is_on_the_screen_at_every_scale() {
    let Some(mut display) = Display::open() else { return };
    let managed = display.start_window_manager();
    println!("{}", if managed { "with a window manager" } else { "without a window manager" });
    let (world, _node) = installed();
    for scale in ["1", "1.5", "2", "2.5"] {
        let mut launcher = world.launcher(&["window"]);
        launcher
            .env("DISPLAY", &display.number)
            .env("WINIT_X11_SCALE_FACTOR", scale)
            .env("XDG_RUNTIME_DIR", world.path(""));
        let mut launcher = launcher.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let window = display.window("Sample").expect("the window opens");
        for look in 0..4 {
            let place = display.place(&window);
            let (right, bottom) = (place.left + place.width, place.top + place.height);
            assert!(
                place.left >= 0 && place.top >= 0 && right <= SCREEN.0 && bottom <= SCREEN.1,
                "{scale}, look {look}: {place:?}"
            );
            std::thread::sleep(Duration::from_millis(300));
        }
        launcher.kill().unwrap();
        launcher.wait().unwrap();
        assert!(display.goes("Sample"));
    }
}
