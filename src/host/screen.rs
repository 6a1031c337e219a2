//! Facts about the screen that winit does not give: the area that bars and docks leave free, and
//! whether windows can be transparent.

/// A rectangle of the desktop, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Area {
    /// The left edge.
    pub left: i32,
    /// The upper edge.
    pub top: i32,
    pub width: u32,
    pub height: u32,
}

impl Area {
    /// The first pixel beyond its right edge.
    pub(crate) fn right(&self) -> i32 {
        self.left.saturating_add_unsigned(self.width)
    }

    /// The first pixel below its lower edge.
    pub(crate) fn bottom(&self) -> i32 {
        self.top.saturating_add_unsigned(self.height)
    }

    /// The part of it that lies in another area; `None` if no part does.
    pub(crate) fn within(&self, other: Self) -> Option<Self> {
        let (left, top) = (self.left.max(other.left), self.top.max(other.top));
        let width = u32::try_from(self.right().min(other.right()) - left)
            .ok()
            .filter(|width| *width > 0)?;
        let height = u32::try_from(self.bottom().min(other.bottom()) - top)
            .ok()
            .filter(|height| *height > 0)?;
        Some(Self { left, top, width, height })
    }

    /// Whether it touches the right edge of another one from outside.
    pub(crate) fn begins_right_of(&self, other: &Self) -> bool {
        self.left >= other.right() && self.top < other.bottom() && self.bottom() > other.top
    }
}

/// The part of the primary screen that bars leave free. On X11 it covers all screens together, so
/// the caller must cut it to one of them. `None` where the system gives no answer. `scale` is in
/// pixels per point, for systems that count in points.
#[cfg(all(unix, not(target_os = "macos")))]
pub(crate) fn work_area(_scale: f64) -> Option<Area> {
    use x11rb::connection::Connection;
    use x11rb::protocol::xproto::{AtomEnum, ConnectionExt};

    let (server, screen) = x11rb::connect(None).ok()?;
    let root = server.setup().roots.get(screen)?.root;
    let numbers = |name: &[u8]| -> Option<Vec<u32>> {
        let atom = server.intern_atom(true, name).ok()?.reply().ok()?.atom;
        let reply = server
            .get_property(false, root, atom, AtomEnum::CARDINAL, 0, 256)
            .ok()?
            .reply()
            .ok()?;
        Some(reply.value32()?.collect())
    };
    // The property has four numbers for each virtual desktop.
    let desktop =
        numbers(b"_NET_CURRENT_DESKTOP").and_then(|all| all.first().copied()).unwrap_or(0) as usize;
    let areas = numbers(b"_NET_WORKAREA")?;
    let [left, top, width, height] =
        *areas.chunks_exact(4).nth(desktop).or_else(|| areas.chunks_exact(4).next())?
    else {
        return None;
    };
    Some(Area { left: left as i32, top: top as i32, width, height })
}

/// Whether the desktop blends windows over each other, so that a window can have round corners.
#[cfg(all(unix, not(target_os = "macos")))]
pub(crate) fn blends() -> bool {
    use x11rb::protocol::xproto::ConnectionExt;

    // The program that blends windows owns this selection of the screen.
    let owner = || {
        let (server, screen) = x11rb::connect(None).ok()?;
        let atom = server
            .intern_atom(true, format!("_NET_WM_CM_S{screen}").as_bytes())
            .ok()?
            .reply()
            .ok()?
            .atom;
        (atom != x11rb::NONE).then(|| server.get_selection_owner(atom).ok()?.reply().ok()).flatten()
    };
    owner().is_some_and(|reply| reply.owner != x11rb::NONE)
}

/// How long nobody has used keyboard and pointer; `None` where the desktop gives no answer.
#[cfg(all(unix, not(target_os = "macos")))]
#[allow(clippy::disallowed_methods)] // the door
pub(crate) fn idle() -> Option<std::time::Duration> {
    use x11rb::protocol::sync::ConnectionExt;

    // Under Wayland the X server sees only the input of its own programs.
    if std::env::var_os("WAYLAND_DISPLAY").is_some() {
        return None;
    }
    let (server, _) = x11rb::connect(None).ok()?;
    server.sync_initialize(3, 1).ok()?.reply().ok()?;
    let counters = server.sync_list_system_counters().ok()?.reply().ok()?.counters;
    let counter = counters.iter().find(|counter| counter.name == b"IDLETIME")?.counter;
    let value = server.sync_query_counter(counter).ok()?.reply().ok()?.counter_value;
    let milliseconds = i64::from(value.hi) << 32 | i64::from(value.lo);
    u64::try_from(milliseconds).ok().map(std::time::Duration::from_millis)
}

/// How long nobody has used keyboard and pointer; `None` where the desktop gives no answer.
#[cfg(windows)]
pub(crate) fn idle() -> Option<std::time::Duration> {
    use windows_sys::Win32::System::SystemInformation::GetTickCount;
    use windows_sys::Win32::UI::Input::KeyboardAndMouse::{GetLastInputInfo, LASTINPUTINFO};

    let length = u32::try_from(size_of::<LASTINPUTINFO>()).ok()?;
    let mut last = LASTINPUTINFO { cbSize: length, dwTime: 0 };
    // SAFETY: the system writes to the address of one record, which holds its own length.
    #[allow(unsafe_code)]
    let (answered, now) = unsafe { (GetLastInputInfo(&raw mut last), GetTickCount()) };
    (answered != 0).then(|| since_tick(last.dwTime, now))
}

/// The time between two of Windows' counts of milliseconds, which begin anew after 49.7 days.
#[cfg(any(windows, test))]
fn since_tick(earlier: u32, now: u32) -> std::time::Duration {
    std::time::Duration::from_millis(u64::from(now.wrapping_sub(earlier)))
}

/// How long nobody has used keyboard and pointer; `None` where the desktop gives no answer.
#[cfg(target_os = "macos")]
pub(crate) fn idle() -> Option<std::time::Duration> {
    /// `kCGEventSourceStateCombinedSessionState`: all devices of this session.
    const ALL_DEVICES: i32 = 0;
    /// `kCGAnyInputEventType`.
    const ANY_INPUT: u32 = u32::MAX;

    #[link(name = "CoreGraphics", kind = "framework")]
    #[allow(unsafe_code)]
    unsafe extern "C" {
        safe fn CGEventSourceSecondsSinceLastEventType(state: i32, kind: u32) -> f64;
    }
    let seconds = CGEventSourceSecondsSinceLastEventType(ALL_DEVICES, ANY_INPUT);
    std::time::Duration::try_from_secs_f64(seconds).ok()
}

/// The part of the primary screen that the taskbar leaves free.
#[cfg(windows)]
pub(crate) fn work_area(_scale: f64) -> Option<Area> {
    use windows_sys::Win32::Foundation::RECT;
    use windows_sys::Win32::UI::WindowsAndMessaging::{SPI_GETWORKAREA, SystemParametersInfoW};

    let mut area = RECT { left: 0, top: 0, right: 0, bottom: 0 };
    // SAFETY: for this question the system writes one rectangle to the address, which is that of
    // one.
    #[allow(unsafe_code)]
    let answered = unsafe {
        SystemParametersInfoW(SPI_GETWORKAREA, 0, std::ptr::from_mut(&mut area).cast(), 0)
    };
    let length = |from: i32, to: i32| u32::try_from(to - from).ok();
    (answered != 0).then_some(())?;
    Some(Area {
        left: area.left,
        top: area.top,
        width: length(area.left, area.right)?,
        height: length(area.top, area.bottom)?,
    })
}

/// The part of the primary screen that menu bar and Dock leave free.
#[cfg(target_os = "macos")]
pub fn work_area(scale: f64) -> Option<Area> {
    use objc2::MainThreadMarker;
    use objc2_app_kit::NSScreen;

    let screens = NSScreen::screens(MainThreadMarker::new()?);
    let primary = screens.firstObject()?;
    let (whole, free) = (primary.frame(), primary.visibleFrame());
    // macOS counts from below, in points.
    let top = whole.size.height - (free.origin.y + free.size.height);
    let pixels = |points: f64| (points * scale).round();
    Some(Area {
        left: pixels(free.origin.x) as i32,
        top: pixels(top) as i32,
        width: pixels(free.size.width) as u32,
        height: pixels(free.size.height) as u32,
    })
}

/// On these systems pixels are shown as they are drawn; Windows rounds corners by itself on
/// request.
#[cfg(not(all(unix, not(target_os = "macos"))))]
pub(crate) fn blends() -> bool {
    false
}

/// Whether this program has a place in the Dock and may come to the front: while a whole window is
/// open. A launcher beside its app has none. On other systems the window alone is enough.
#[cfg(target_os = "macos")]
pub fn in_dock(shown: bool) {
    use objc2::MainThreadMarker;
    use objc2_app_kit::{NSApplication, NSApplicationActivationPolicy};

    let Some(main) = MainThreadMarker::new() else { return };
    let app = NSApplication::sharedApplication(main);
    if shown {
        app.setActivationPolicy(NSApplicationActivationPolicy::Regular);
        // Its replacement needs macOS 14.
        #[allow(deprecated)]
        app.activateIgnoringOtherApps(true);
    } else {
        app.setActivationPolicy(NSApplicationActivationPolicy::Accessory);
    }
}

/// Whether this program has a place in the Dock; only macOS has one.
#[cfg(not(target_os = "macos"))]
pub(crate) const fn in_dock(_shown: bool) {}

/// Shows the window of a view in front of all others, without giving it the keyboard. The view must
/// be alive, and this the main thread; otherwise nothing changes.
#[cfg(target_os = "macos")]
pub fn order_front(view: std::ptr::NonNull<std::ffi::c_void>) {
    use objc2_app_kit::NSView;

    // SAFETY: the handle of a living window holds its view.
    #[allow(unsafe_code)]
    let view: &NSView = unsafe { view.cast().as_ref() };
    if let Some(window) = view.window() {
        window.orderFrontRegardless();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCREEN: Area = Area { left: 0, top: 0, width: 1920, height: 1080 };

    #[test]
    fn an_area_is_cut_to_a_screen() {
        let all = Area { left: 0, top: 32, width: 4480, height: 1400 };
        assert_eq!(all.within(SCREEN), Some(Area { left: 0, top: 32, width: 1920, height: 1048 }));
        let second = Area { left: 1920, top: 0, width: 2560, height: 1440 };
        assert_eq!(
            all.within(second).map(|area| (area.right(), area.bottom())),
            Some((4480, 1432))
        );
        assert_eq!(SCREEN.within(Area { left: 1920, ..SCREEN }), None);
    }

    #[test]
    fn a_count_that_has_begun_anew_is_no_long_absence() {
        let since = |earlier, now| since_tick(earlier, now).as_millis();
        assert_eq!((since(1_000, 21_000), since(u32::MAX - 4_999, 15_000)), (20_000, 20_000));
    }

    #[test]
    fn a_screen_beside_is_only_beside() {
        assert!(Area { left: 1920, top: -300, ..SCREEN }.begins_right_of(&SCREEN));
        assert!(!Area { left: 1920, top: 1080, ..SCREEN }.begins_right_of(&SCREEN));
        assert!(!Area { left: -1920, ..SCREEN }.begins_right_of(&SCREEN));
        assert!(!SCREEN.begins_right_of(&SCREEN));
    }
}
