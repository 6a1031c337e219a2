//! The launcher's window, found and operated as another program of the same desktop does it.

use std::fs;
use std::process::{Child, Stdio};

use windows_sys::Win32::UI::Input::KeyboardAndMouse::{VK_ESCAPE, VK_RETURN};

use super::screen::{self, Window, is_open, photograph, press};
use super::{QUIET, installed};
use crate::support::processes;
use crate::support::release::{World, started_versions};
use crate::support::waiting::{ends, insist, until};

fn is_pending(world: &World) -> bool {
    fs::read_to_string(world.home().join("active.json")).is_ok_and(|text| text.contains("pending"))
}

/// Starts a launcher, whose app stays. `temp` is the folder in which launchers find each other.
fn start(world: &World, arguments: &[&str]) -> Child {
    let temp = world.path("temp");
    fs::create_dir_all(&temp).unwrap();
    let mut launcher = world.launcher(arguments);
    launcher.env("STAY", "600").env("TMP", &temp).env("TEMP", &temp).stdout(Stdio::null());
    launcher.spawn().unwrap()
}

/// Whether a launcher of this world listens to other starts.
fn listens(world: &World) -> bool {
    let entries = fs::read_dir(world.path("temp")).unwrap().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .any(|name| name.starts_with("kuzflow-window-"))
}

#[test]
fn an_update_is_taken_in_the_window_beside_the_running_app() {
    let _alone = screen::alone();
    let (world, node) = installed();
    world.release("1.1.0", 4 << 20);
    world.configure(&[&node.address], "[update]\ndelay_seconds = 0\n");
    let mut launcher = start(&world, &["run"]);
    until("the window opens by itself", is_open);
    photograph("offer");
    insist("Return", || press(VK_RETURN), || world.log().contains("Downloading"));
    until("installed, and chosen for the next start", || is_pending(&world));
    photograph("installed");
    until("it can be closed", || {
        Window::visible().into_iter().for_each(Window::close);
        !is_open()
    });
    assert!(launcher.try_wait().unwrap().is_none(), "the launcher stays with the app");
    world.end_apps();
    assert_eq!(ends(&mut launcher).unwrap().code(), Some(0));
    world.configure(&[&node.address], QUIET);
    assert_eq!(started_versions(&world.start()), ["1.1.0"]);
}

#[test]
fn a_second_start_shows_the_window_of_the_launcher_that_runs() {
    let _alone = screen::alone();
    let (world, _node) = installed();
    let mut first = start(&world, &["run"]);
    until("the app runs", || processes::is_any_running(&world.home()));
    until("the launcher listens", || listens(&world));
    assert!(!is_open());
    let mut second = start(&world, &[]);
    assert_eq!(ends(&mut second).unwrap().code(), Some(0));
    until("one window, of the first launcher", || Window::visible().len() == 1);
    assert!(first.try_wait().unwrap().is_none());
    photograph("second-start");
    insist("Escape", || press(VK_ESCAPE), || !is_open());
    world.end_apps();
    assert_eq!(ends(&mut first).unwrap().code(), Some(0));
}
