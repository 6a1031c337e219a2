//! Where on the screen a window goes, when and how it appears, and which corners are cut away. This
//! module does arithmetic in pixels; winit and [`crate::host::screen`] ask the system.

use egui::{Vec2, vec2};
use winit::event_loop::ActiveEventLoop;
use winit::monitor::MonitorHandle;
use winit::window::Window;

use super::rasteriser::Canvas;
use crate::host::screen::{self, Area};

/// Room around a window's contents for the title bar, the borders and a little distance, points.
pub(super) const AROUND: Vec2 = vec2(24.0, 56.0);
/// Room for the desktop's bars where the desktop does not report them, points.
pub(super) const BARS: f32 = 48.0;
/// The smallest size of a window, however small the reported screen is; points.
pub(super) const MIN_SIZE: Vec2 = vec2(320.0, 200.0);

/// The screen of a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Screen {
    /// The whole screen, in pixels of the desktop.
    pub whole: Area,
    /// The part of the screen without bars and docks.
    pub free: Area,
    /// Pixels per point.
    pub scale: f64,
    /// Whether another screen begins where this one ends on the right.
    pub is_beside: bool,
}

impl Screen {
    /// The primary screen of the desktop, else the screen of the window; `None` if the system
    /// reports none.
    pub(super) fn of(window: &Window) -> Option<Self> {
        let monitor = window.primary_monitor().or_else(|| window.current_monitor())?;
        let scale = window.scale_factor();
        Some(Self::from(&monitor, window.available_monitors(), scale, screen::work_area(scale)))
    }

    /// The screen of a window that does not exist yet: the primary screen. Where the system names
    /// none (Wayland) and may choose any, it is the screen with the least room.
    pub(super) fn before(event_loop: &ActiveEventLoop) -> Option<Self> {
        let asks = places_windows(event_loop);
        let screen = |monitor: &MonitorHandle| {
            let scale = monitor.scale_factor();
            Self::from(
                monitor,
                event_loop.available_monitors(),
                scale,
                asks.then(|| screen::work_area(scale)).flatten(),
            )
        };
        if let Some(primary) = event_loop.primary_monitor() {
            return Some(screen(&primary));
        }
        let height = |screen: &Self| screen.room().y;
        let screens = event_loop.available_monitors().map(|monitor| screen(&monitor));
        screens.min_by(|one, other| height(one).total_cmp(&height(other)))
    }

    fn from(
        monitor: &MonitorHandle,
        all: impl IntoIterator<Item = MonitorHandle>,
        scale: f64,
        free: Option<Area>,
    ) -> Self {
        let area = |monitor: &MonitorHandle| {
            let (start, size) = (monitor.position(), monitor.size());
            Area { left: start.x, top: start.y, width: size.width, height: size.height }
        };
        let whole = area(monitor);
        let is_beside = all.into_iter().any(|other| area(&other).begins_right_of(&whole));
        let free = free.and_then(|free| free.within(whole)).unwrap_or(whole);
        Self { whole, free, scale, is_beside }
    }

    /// The largest contents of a window that fits on the screen, points.
    pub(super) fn room(&self) -> Vec2 {
        let points = |pixels: u32| (f64::from(pixels) / self.scale.max(0.1)) as f32;
        let bars = if self.free == self.whole { BARS } else { 0.0 };
        (vec2(points(self.free.width), points(self.free.height) - bars) - AROUND).max(MIN_SIZE)
    }

    /// The upper left corner of a window with this size in pixels, so that it stands in the middle
    /// of the screen without its bars.
    pub(super) fn centre(&self, (width, height): (u32, u32)) -> (i32, i32) {
        let middle = |all: u32, own: u32| i32::try_from(all.saturating_sub(own) / 2).unwrap_or(0);
        (
            self.free.left + middle(self.free.width, width),
            self.free.top + middle(self.free.height, height),
        )
    }

    /// The same for a window with a title bar, of which only the size of its contents is known. In
    /// points, which the system counts from the desktop's corner.
    pub(super) fn centre_framed(&self, contents: Vec2) -> egui::Pos2 {
        let pixels = |points: f32| (f64::from(points) * self.scale).round().max(0.0) as u32;
        let frame = contents + vec2(2.0, 36.0);
        let (left, top) = self.centre((pixels(frame.x), pixels(frame.y)));
        egui::pos2((f64::from(left) / self.scale) as f32, (f64::from(top) / self.scale) as f32)
    }
}

/// Whether the desktop uses the coordinates of its screens. Wayland reports no bars, and the report
/// of X has other coordinates there.
#[cfg(all(unix, not(target_os = "macos")))]
fn places_windows(event_loop: &ActiveEventLoop) -> bool {
    use winit::platform::wayland::ActiveEventLoopExtWayland;
    !event_loop.is_wayland()
}

/// Whether the desktop uses the coordinates of its screens.
#[cfg(not(all(unix, not(target_os = "macos"))))]
const fn places_windows(_event_loop: &ActiveEventLoop) -> bool {
    true
}

/// Shows a window that was made hidden. A window that is not to be active leaves the keyboard where
/// it is.
#[cfg(not(target_os = "macos"))]
pub(super) fn appear(window: &Window, active: bool) {
    if !active {
        round(window);
    }
    // Windows: a window that was made inactive first appears inactive. X11: the desktop knows it
    // from the window's type.
    window.set_visible(true);
}

/// Asks for round corners: Windows 11 rounds a window without a title bar only on request, and
/// earlier versions never do.
#[cfg(windows)]
fn round(window: &Window) {
    use winit::platform::windows::{CornerPreference, WindowExtWindows};
    window.set_corner_preference(CornerPreference::Round);
}

#[cfg(not(any(windows, target_os = "macos")))]
const fn round(_window: &Window) {}

/// Shows a window that was made hidden. A window that is not to be active leaves the keyboard where
/// it is.
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

/// The visible part of a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shape {
    /// Radius of the corners, points.
    pub radius: f32,
    /// Opacity, 0 to 1.
    pub opacity: f32,
}

impl Default for Shape {
    fn default() -> Self {
        Self { radius: 0.0, opacity: 1.0 }
    }
}

impl Shape {
    /// Gives a finished picture its transparency: colours multiplied by the opacity, and the
    /// opacity in the uppermost byte.
    pub(super) fn cut(&self, canvas: &mut Canvas<'_>, pixels_per_point: f32) {
        let radius = self.radius * pixels_per_point;
        let (width, height) = (canvas.width as f32, canvas.height as f32);
        for (index, pixel) in canvas.pixels.iter_mut().enumerate() {
            let x = (index % canvas.width) as f32 + 0.5;
            let y = (index / canvas.width) as f32 + 0.5;
            // The distance into a corner's square, from the corner's centre.
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
        Shape { radius: 4.0, opacity: 1.0 }
            .cut(&mut Canvas { pixels: &mut pixels, width, height }, 1.0);
        let at = |x: usize, y: usize| pixels[y * width + x];
        assert_eq!([at(0, 0), at(19, 0), at(0, 11), at(19, 11)], [0; 4]);
        assert_eq!([at(10, 0), at(0, 6), at(10, 6), at(19, 6)], [0xffff_8040; 4]);
        let edge = at(1, 1) >> 24;
        assert!((1..255).contains(&edge), "{edge}");

        let mut pixels = vec![0x00ff_8040; width * height];
        Shape { radius: 0.0, opacity: 0.5 }
            .cut(&mut Canvas { pixels: &mut pixels, width, height }, 2.0);
        assert!(pixels.iter().all(|pixel| *pixel == 0x8080_4020), "{:x}", pixels[0]);
    }

    fn screen(width: u32, height: u32, scale: f64) -> Screen {
        let whole = Area { left: 0, top: 0, width, height };
        Screen { whole, free: whole, scale, is_beside: false }
    }

    #[test]
    fn there_is_room_for_what_fits_with_its_title_and_the_desktops_bars() {
        assert_eq!(screen(1920, 1080, 1.0).room(), vec2(1896.0, 976.0));
        assert_eq!(screen(1280, 800, 2.0).room(), vec2(616.0, 296.0));
        let bar = Screen {
            free: Area { left: 0, top: 32, width: 1024, height: 568 },
            ..screen(1024, 600, 1.0)
        };
        assert_eq!(bar.room(), vec2(1000.0, 512.0));
        assert_eq!(screen(100, 100, 3.0).room(), MIN_SIZE, "whoever says so is wrong");
    }

    #[test]
    fn a_framed_window_stands_in_the_middle_of_what_bars_leave() {
        let bar = Screen {
            free: Area { left: 0, top: 100, width: 2000, height: 1500 },
            ..screen(2000, 1600, 2.0)
        };
        let place = bar.centre_framed(vec2(500.0, 400.0));
        assert_eq!(place, egui::pos2(249.0, 207.0));
        assert!(place.y + 400.0 + 36.0 <= 1600.0 / 2.0);
    }

    #[test]
    fn the_middle_is_the_middle_also_of_a_second_screen() {
        let whole = Area { left: 1920, top: -100, width: 1000, height: 800 };
        let screen = Screen { whole, free: whole, scale: 1.0, is_beside: false };
        assert_eq!(screen.centre((400, 200)), (2220, 200));
        assert_eq!(screen.centre((4000, 2000)), (1920, -100));
    }
}
