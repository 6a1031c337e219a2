//! The screen as another program of the same desktop sees it: the launcher's windows by their
//! titles, messages to them, and what they look like.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::ptr::null;
use std::sync::{Mutex, MutexGuard, PoisonError};

use image::RgbaImage;
use windows_sys::Win32::Foundation::{HWND, RECT};
use windows_sys::Win32::Graphics::Gdi::{
    BI_RGB, BITMAPINFO, BITMAPINFOHEADER, BitBlt, CreateCompatibleBitmap, CreateCompatibleDC,
    DIB_RGB_COLORS, DeleteDC, DeleteObject, GetDC, GetDIBits, ReleaseDC, SRCCOPY, SelectObject,
};
use windows_sys::Win32::UI::Input::KeyboardAndMouse::VIRTUAL_KEY;
use windows_sys::Win32::UI::WindowsAndMessaging::{
    FindWindowExW, GetWindowRect, GetWindowTextW, IsWindowVisible, PostMessageW, WM_CLOSE,
    WM_KEYDOWN, WM_KEYUP,
};

use crate::support::waiting::until;

/// In the title of each window of the launcher: the app's name.
const TITLE: &str = "示例 Sample";
/// Fewer colours than any drawn text has: its edges are blended.
const FEW_COLOURS: usize = 40;

/// Waits until no other test has windows.
pub fn alone() -> MutexGuard<'static, ()> {
    static SCREEN: Mutex<()> = Mutex::new(());
    SCREEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a window of the launcher is open.
pub fn is_open() -> bool {
    !Window::visible().is_empty()
}

/// Presses a key in the launcher's window, if it is open.
pub fn press(key: VIRTUAL_KEY) {
    Window::visible().into_iter().for_each(|window| window.press(key));
}

/// Waits until the launcher's window is drawn, and saves a picture of it for people.
pub fn photograph(name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/pictures/windows");
    fs::create_dir_all(&folder).unwrap();
    until("the window is drawn", || {
        let Some(window) = Window::visible().first().copied() else { return false };
        let picture = window.picture();
        picture.save(folder.join(format!("{name}.png"))).unwrap();
        picture.pixels().collect::<HashSet<_>>().len() > FEW_COLOURS
    });
}

/// A window of the launcher. It may have closed meanwhile.
#[derive(Clone, Copy)]
pub struct Window(HWND);

impl Window {
    /// The launcher's visible windows.
    pub fn visible() -> Vec<Self> {
        let mut found = Vec::new();
        let mut last: HWND = std::ptr::null_mut();
        loop {
            // SAFETY: the handle is null or one that the system gave; null names mean any window.
            #[allow(unsafe_code)]
            let next = unsafe { FindWindowExW(std::ptr::null_mut(), last, null(), null()) };
            if next.is_null() {
                return found;
            }
            last = next;
            // SAFETY: the call takes any handle, also one of a window that has closed.
            #[allow(unsafe_code)]
            let is_visible = unsafe { IsWindowVisible(next) } != 0;
            if is_visible && Self(next).title().contains(TITLE) {
                found.push(Self(next));
            }
        }
    }

    fn title(self) -> String {
        let mut title = [0; 256];
        // SAFETY: the title is written to a buffer of the length that is passed.
        #[allow(unsafe_code)]
        let length = unsafe { GetWindowTextW(self.0, title.as_mut_ptr(), 256) };
        String::from_utf16_lossy(&title[..usize::try_from(length).unwrap()])
    }

    /// Presses and releases a key, as a person does in the window in front.
    fn press(self, key: VIRTUAL_KEY) {
        self.post(WM_KEYDOWN, usize::from(key));
        self.post(WM_KEYUP, usize::from(key));
    }

    /// Closes the window as its own button does.
    pub fn close(self) {
        self.post(WM_CLOSE, 0);
    }

    fn post(self, message: u32, first: usize) {
        // SAFETY: none of these messages carries a pointer; a handle of a closed window is refused.
        #[allow(unsafe_code)]
        unsafe {
            PostMessageW(self.0, message, first, 0);
        }
    }

    /// The part of the screen where the window is.
    fn picture(self) -> RgbaImage {
        let mut place = RECT { left: 0, top: 0, right: 0, bottom: 0 };
        // SAFETY: the place is written to a record of its kind.
        #[allow(unsafe_code)]
        let has_place = unsafe { GetWindowRect(self.0, &raw mut place) } != 0;
        assert!(has_place, "the window has closed");
        let (width, height) = (place.right - place.left, place.bottom - place.top);
        let mut header = BITMAPINFO::default();
        header.bmiHeader = BITMAPINFOHEADER {
            biSize: u32::try_from(size_of::<BITMAPINFOHEADER>()).unwrap(),
            biWidth: width,
            // A negative height puts the upper row first.
            biHeight: -height,
            biPlanes: 1,
            biBitCount: 32,
            biCompression: BI_RGB,
            ..BITMAPINFOHEADER::default()
        };
        let (columns, rows) = (u32::try_from(width).unwrap(), u32::try_from(height).unwrap());
        let mut pixels = vec![0_u8; columns as usize * rows as usize * 4];
        // SAFETY: each handle is made here and given back here; the pixels have the size that the
        // header says.
        #[allow(unsafe_code)]
        unsafe {
            let screen = GetDC(std::ptr::null_mut());
            let memory = CreateCompatibleDC(screen);
            let bitmap = CreateCompatibleBitmap(screen, width, height);
            let before = SelectObject(memory, bitmap);
            BitBlt(memory, 0, 0, width, height, screen, place.left, place.top, SRCCOPY);
            SelectObject(memory, before);
            let colours = DIB_RGB_COLORS;
            let bytes = pixels.as_mut_ptr().cast();
            GetDIBits(memory, bitmap, 0, rows, bytes, &raw mut header, colours);
            DeleteObject(bitmap);
            DeleteDC(memory);
            ReleaseDC(std::ptr::null_mut(), screen);
        }
        // Blue comes first, and the fourth byte is unused.
        for pixel in pixels.chunks_exact_mut(4) {
            pixel.swap(0, 2);
            pixel[3] = u8::MAX;
        }
        RgbaImage::from_raw(columns, rows, pixels).unwrap()
    }
}
