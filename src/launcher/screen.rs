//! Where on the screen a window goes, when and how it appears, and what of it is cut away. Arithmetic in pixels; the questions to the
//! system are winit's and [`crate::host::screen`]'s.

use winit::window::Window;

use super::rasteriser::Canvas;
use crate::host::screen::{self, Area};

/// The screen that a window is for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Screen {
    /// All of it, in pixels of the desktop.
    pub whole: Area,
    /// What bars and docks leave of it.
    pub free: Area,
    /// Pixels per point.
    pub scale: f64,
    /// Whether another screen begins where this one ends on the right.
    pub neighbour: bool,
}

impl Screen {
    /// The primary screen of the desktop, else the one that the window is on; `None` if the system tells of none.
    pub fn of(window: &Window) -> Option<Self> {
        let monitor = window.primary_monitor().or_else(|| window.current_monitor())?;
        let area = |monitor: &winit::monitor::MonitorHandle| {
            let (start, size) = (monitor.position(), monitor.size());
            Area { left: start.x, top: start.y, width: size.width, height: size.height }
        };
        let whole = area(&monitor);
        let others: Vec<Area> = window.available_monitors().map(|other| area(&other)).collect();
        let scale = window.scale_factor();
        let free = screen::work_area(scale).and_then(|free| free.within(whole)).unwrap_or(whole);
        Some(Self { whole, free, scale, neighbour: others.iter().any(|other| other.begins_right_of(&whole)) })
    }

    /// The upper left corner of a window in the middle.
    pub fn centre(&self, (width, height): (u32, u32)) -> (i32, i32) {
        let middle = |all: u32, own: u32| i32::try_from(all.saturating_sub(own) / 2).unwrap_or(0);
        (self.whole.left + middle(self.whole.width, width), self.whole.top + middle(self.whole.height, height))
    }
}

/// Shows a window that was made hidden; one that is not to be active leaves the keyboard where it is.
#[cfg(not(target_os = "macos"))]
pub(super) fn appear(window: &Window, active: bool) {
    if !active {
        round(window);
    }
    // Windows: a window that was made inactive is shown so the first time. X11: the window's kind tells the desktop.
    window.set_visible(true);
}

/// Windows 11 rounds the corners of a window that has no title bar only when it is asked to; earlier ones do not.
#[cfg(windows)]
fn round(window: &Window) {
    use winit::platform::windows::{CornerPreference, WindowExtWindows};
    window.set_corner_preference(CornerPreference::Round);
}

#[cfg(not(any(windows, target_os = "macos")))]
const fn round(_window: &Window) {}

/// Shows a window that was made hidden; one that is not to be active leaves the keyboard where it is.
#[cfg(target_os = "macos")]
pub(super) fn appear(window: &Window, active: bool) {
    use winit::raw_window_handle::{HasWindowHandle, RawWindowHandle};

    if active {
        screen::in_dock(true);
        window.set_visible(true);
        return window.focus_window();
    }
    match window.window_handle().map(|handle| handle.as_raw()) {
        Ok(RawWindowHandle::AppKit(handle)) => screen::order_front(handle.ns_view),
        _ => window.set_visible(true),
    }
}

/// How much of a window is there to be seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shape {
    /// Of the corners, points.
    pub radius: f32,
    /// 0 to 1.
    pub opacity: f32,
}

impl Default for Shape {
    fn default() -> Self {
        Self { radius: 0.0, opacity: 1.0 }
    }
}

impl Shape {
    /// Gives a finished picture its transparency: colours multiplied by it, and it in the uppermost byte.
    pub fn cut(&self, canvas: &mut Canvas<'_>, pixels_per_point: f32) {
        let radius = self.radius * pixels_per_point;
        let (width, height) = (canvas.width as f32, canvas.height as f32);
        for (index, pixel) in canvas.pixels.iter_mut().enumerate() {
            let x = (index % canvas.width) as f32 + 0.5;
            let y = (index / canvas.width) as f32 + 0.5;
            // How far it is into a corner's square, from the corner's centre.
            let deep = |at: f32, all: f32| (radius - at).max(at - (all - radius)).max(0.0);
            let (x, y) = (deep(x, width), deep(y, height));
            let inside = (radius - x.hypot(y) + 0.5).clamp(0.0, 1.0);
            let inside = if x > 0.0 && y > 0.0 { inside } else { 1.0 };
            let seen = (inside * self.opacity.clamp(0.0, 1.0) * 255.0).round() as u32;
            let part = |shift: u32| ((*pixel >> shift & 0xff) * seen / 255) << shift;
            *pixel = seen << 24 | part(16) | part(8) | part(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_are_cut_and_the_middle_stays() {
        let (width, height) = (20, 12);
        let mut pixels = vec![0x00ff_8040; width * height];
        Shape { radius: 4.0, opacity: 1.0 }.cut(&mut Canvas { pixels: &mut pixels, width, height }, 1.0);
        let at = |x: usize, y: usize| pixels[y * width + x];
        assert_eq!([at(0, 0), at(19, 0), at(0, 11), at(19, 11)], [0; 4]);
        assert_eq!([at(10, 0), at(0, 6), at(10, 6), at(19, 6)], [0xffff_8040; 4]);
        let edge = at(1, 1) >> 24;
        assert!((1..255).contains(&edge), "{edge}");

        let mut pixels = vec![0x00ff_8040; width * height];
        Shape { radius: 0.0, opacity: 0.5 }.cut(&mut Canvas { pixels: &mut pixels, width, height }, 2.0);
        assert!(pixels.iter().all(|pixel| *pixel == 0x8080_4020), "{:x}", pixels[0]);
    }

    #[test]
    fn the_middle_is_the_middle_also_of_a_second_screen() {
        let whole = Area { left: 1920, top: -100, width: 1000, height: 800 };
        let screen = Screen { whole, free: whole, scale: 1.0, neighbour: false };
        assert_eq!(screen.centre((400, 200)), (2220, 200));
        assert_eq!(screen.centre((4000, 2000)), (1920, -100));
    }
}
