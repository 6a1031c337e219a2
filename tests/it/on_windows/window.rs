//! The launcher's window, found and operated as another program of the same desktop does it.

use std::fs;
use std::process::Stdio;
use std::ptr::null;

use windows_sys::Win32::Foundation::HWND;
use windows_sys::Win32::UI::Input::KeyboardAndMouse::VK_RETURN;
use windows_sys::Win32::UI::WindowsAndMessaging::{
    FindWindowW, IsWindowVisible, PostMessageW, WM_CLOSE, WM_KEYDOWN, WM_KEYUP,
};

use super::installed;
use crate::support::release::{World, started_versions};
use crate::support::waiting::{ends, insist, until};

/// The title of the launcher's window: the app's name and what the window is about.
const TITLE: &str = "示例 Sample — update";

/// The window with this title, if it is visible.
fn visible_window(title: &str) -> Option<HWND> {
    let title: Vec<u16> = title.encode_utf16().chain([0]).collect();
    // SAFETY: the title ends with a zero and lives through the call; a null class means any.
    #[allow(unsafe_code)]
    let window = unsafe { FindWindowW(null(), title.as_ptr()) };
    // SAFETY: the call takes any handle, also one of a window that has closed.
    #[allow(unsafe_code)]
    let is_visible = !window.is_null() && unsafe { IsWindowVisible(window) } != 0;
    is_visible.then_some(window)
}

fn post(window: HWND, message: u32, first: usize) {
    // SAFETY: none of these messages carries a pointer; a handle of a closed window is refused.
    #[allow(unsafe_code)]
    unsafe {
        PostMessageW(window, message, first, 0);
    }
}

/// Presses Return in the launcher's window, if it is open.
fn press_return() {
    for message in [WM_KEYDOWN, WM_KEYUP] {
        if let Some(window) = visible_window(TITLE) {
            post(window, message, usize::from(VK_RETURN));
        }
    }
}

fn is_pending(world: &World) -> bool {
    fs::read_to_string(world.home().join("active.json")).is_ok_and(|text| text.contains("pending"))
}

#[test]
fn an_update_is_taken_in_the_window_beside_the_running_app() {
    let (world, node) = installed();
    world.release("1.1.0", 4 << 20);
    world.configure(&[&node.address], "[update]\ndelay_seconds = 0\n");
    let mut launcher =
        world.launcher(&["run"]).env("STAY", "600").stdout(Stdio::null()).spawn().unwrap();
    until("the window opens by itself", || visible_window(TITLE).is_some());
    insist("Return", press_return, || world.log().contains("Downloading"));
    until("installed, and chosen for the next start", || is_pending(&world));
    until("it can be closed", || {
        if let Some(window) = visible_window(TITLE) {
            post(window, WM_CLOSE, 0);
        }
        visible_window(TITLE).is_none()
    });
    assert!(launcher.try_wait().unwrap().is_none(), "the launcher stays with the app");
    world.end_apps();
    assert_eq!(ends(&mut launcher).unwrap().code(), Some(0));
    world.configure(&[&node.address], super::QUIET);
    assert_eq!(started_versions(&world.start()), ["1.1.0"]);
}
