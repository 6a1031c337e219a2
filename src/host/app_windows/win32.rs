//! Windows: visible top-level windows, and the message that their close button sends.

use windows_sys::Win32::Foundation::{HWND, LPARAM};
use windows_sys::Win32::UI::Input::KeyboardAndMouse::IsWindowEnabled;
use windows_sys::Win32::UI::WindowsAndMessaging::{
    EnumWindows, GW_OWNER, GWL_EXSTYLE, GetWindow, GetWindowLongW, GetWindowThreadProcessId,
    IsWindowVisible, PostMessageW, SetForegroundWindow, WM_CLOSE, WS_EX_TOOLWINDOW,
};

use super::window::{Unseen, Window, WindowKind};
use crate::host::processes::Process;

pub(super) struct DisplayConnection;

/// This program can see all windows of this user's session.
pub(super) const fn hides_windows() -> bool {
    false
}

impl DisplayConnection {
    #[allow(clippy::unnecessary_wraps)] // other systems can fail here
    pub(super) fn connect() -> Result<Self, Unseen> {
        Ok(Self)
    }

    #[allow(clippy::unused_self)] // other systems have a connection
    pub(super) fn windows(&self, processes: &[Process]) -> Result<Vec<Window>, Unseen> {
        let mut windows: Vec<Window> =
            all().into_iter().filter_map(|handle| look_at(handle, processes)).collect();
        // The system names the foremost window first; the oldest is asked first.
        windows.reverse();
        Ok(windows)
    }

    #[allow(clippy::unused_self)]
    pub(super) fn ask_to_close(&self, window: &Window) -> Result<(), Unseen> {
        // SAFETY: the message has no pointers; if the window has gone the call fails, and nothing
        // more is to be done.
        #[allow(unsafe_code)]
        unsafe {
            PostMessageW(handle(window), WM_CLOSE, 0, 0);
        }
        Ok(())
    }

    #[allow(clippy::unused_self)]
    pub(super) fn bring_forward(&self, window: &Window) -> Result<(), Unseen> {
        // SAFETY: as above. The system allows the call to the program that the user has just
        // clicked in.
        #[allow(unsafe_code)]
        unsafe {
            SetForegroundWindow(handle(window));
        }
        Ok(())
    }

    /// A program without a window may have an icon in the notification area: only a person knows
    /// what it is doing.
    #[allow(clippy::unused_self)]
    pub(super) const fn serves(&self, _processes: &[Process]) -> bool {
        true
    }
}

#[allow(clippy::cast_possible_truncation)]
const fn handle(window: &Window) -> HWND {
    window.id as usize as HWND
}

fn all() -> Vec<HWND> {
    #[allow(unsafe_code)]
    unsafe extern "system" fn add(window: HWND, found: LPARAM) -> i32 {
        // SAFETY: the address is that of the vector below, which lives through the enumeration and
        // is used by it alone.
        let found = unsafe { &mut *(found as *mut Vec<HWND>) };
        found.push(window);
        1
    }
    let mut found: Vec<HWND> = Vec::new();
    // SAFETY: the function treats its argument as the vector's address, see there.
    #[allow(unsafe_code)]
    unsafe {
        EnumWindows(Some(add), &raw mut found as LPARAM);
    }
    found
}

fn look_at(window: HWND, processes: &[Process]) -> Option<Window> {
    // SAFETY: questions about a handle that may have gone, which then say nothing; the process's
    // number is written to the address of one.
    #[allow(unsafe_code)]
    let (process, shown, owner, owner_waits, style) = unsafe {
        let mut process = 0;
        GetWindowThreadProcessId(window, &raw mut process);
        let owner = GetWindow(window, GW_OWNER);
        let owner_waits = !owner.is_null() && IsWindowEnabled(owner) == 0;
        (
            process,
            IsWindowVisible(window) != 0,
            owner,
            owner_waits,
            GetWindowLongW(window, GWL_EXSTYLE),
        )
    };
    if !shown || !processes.iter().any(|known| known.id == process) {
        return None;
    }
    let is_tool = style.cast_unsigned() & WS_EX_TOOLWINDOW != 0;
    Some(Window {
        id: window as usize as u64,
        process,
        kind: match (is_tool, owner.is_null()) {
            (true, _) => WindowKind::Other,
            (false, true) => WindowKind::Main,
            (false, false) => WindowKind::Dialog,
        },
        owner: (!owner.is_null()).then_some(owner as usize as u64),
        modal: owner_waits,
        can_close: true,
    })
}
