//! The one event loop of this process: window systems allow no second, and a launcher that lives as
//! long as its app opens one window after another.
//!
//! In: who takes events while a window is open. Out: nothing but errors. Never: two windows at a
//! time. The loop is of eframe's kind, so that the windows with OpenGL and those without share it.

use std::cell::RefCell;
use std::time::Instant;

use eframe::UserEvent;
use egui::ViewportId;
use winit::application::ApplicationHandler;
use winit::event::WindowEvent;
use winit::event_loop::{ActiveEventLoop, EventLoop, EventLoopProxy};
use winit::platform::run_on_demand::EventLoopExtRunOnDemand;
use winit::window::WindowId;

use super::WindowError;
use super::screen::Screen;

thread_local! {
    static LOOP: RefCell<Option<EventLoop<UserEvent>>> = const { RefCell::new(None) };
}

/// Lends the loop, made at the first call. After a panic in `run` it is gone, since it would go on
/// in the middle of what it did.
pub(super) fn lend<R>(
    run: impl FnOnce(&mut EventLoop<UserEvent>) -> Result<R, WindowError>,
) -> Result<R, WindowError> {
    let retained = LOOP.with(|retained| retained.borrow_mut().take());
    let mut event_loop = match retained {
        Some(event_loop) => event_loop,
        None => builder().build().map_err(|error| no_window(&error))?,
    };
    let result = run(&mut event_loop);
    LOOP.with(|retained| *retained.borrow_mut() = Some(event_loop));
    result
}

/// Runs until the application wants to leave.
pub(super) fn run(
    event_loop: &mut EventLoop<UserEvent>,
    app: &mut impl ApplicationHandler<UserEvent>,
) -> Result<(), WindowError> {
    event_loop.run_app_on_demand(app).map_err(|error| no_window(&error))
}

/// Takes in what the window system has sent since the last window closed, if there was one. It
/// tells every key that changes letters, to every program; without this it would keep that for
/// hours.
pub(super) fn catch_up() {
    if LOOP.with(|retained| retained.borrow().is_some()) {
        // The next window meets the same fault, and says so.
        let _ = lend(|event_loop| {
            let_windows_go(event_loop);
            Ok(())
        });
    }
}

/// Tells the system of the windows that are gone: on Wayland this is done by the loop alone, at its
/// next turn, and until then they stay on the screen.
pub(super) fn let_windows_go(event_loop: &mut EventLoop<UserEvent>) {
    // The next window meets the same fault, and says so.
    let _ = run(event_loop, &mut Leaving);
}

/// A wish to draw again, as an event of the loop.
pub(super) fn repaint(proxy: &EventLoopProxy<UserEvent>, when: Option<Instant>) {
    if let Some(when) = when {
        // Without a loop there is nothing to repaint.
        let _ = proxy.send_event(UserEvent::RequestRepaint {
            viewport_id: ViewportId::ROOT,
            when,
            cumulative_pass_nr: 0,
        });
    }
}

#[cfg(not(target_os = "macos"))]
fn builder() -> winit::event_loop::EventLoopBuilder<UserEvent> {
    EventLoop::with_user_event()
}

/// A launcher beside its app has no place of its own in the Dock, and takes the keyboard from
/// nobody by itself.
#[cfg(target_os = "macos")]
fn builder() -> winit::event_loop::EventLoopBuilder<UserEvent> {
    use winit::platform::macos::{ActivationPolicy, EventLoopBuilderExtMacOS};

    let mut builder = EventLoop::with_user_event();
    builder
        .with_activation_policy(ActivationPolicy::Accessory)
        .with_activate_ignoring_other_apps(false);
    builder
}

fn no_window(error: &dyn std::error::Error) -> WindowError {
    WindowError::NoWindow(error.to_string())
}

/// The screen that a window will be on; `None` if the system tells of none.
pub(super) fn screen(event_loop: &mut EventLoop<UserEvent>) -> Option<Screen> {
    let mut asking = Asking(None);
    // Whoever opens a window next meets the same fault, and says so.
    let _ = run(event_loop, &mut asking);
    asking.0
}

/// Only a running loop knows of screens: it asks, and leaves.
struct Asking(Option<Screen>);

impl ApplicationHandler<UserEvent> for Asking {
    fn resumed(&mut self, event_loop: &ActiveEventLoop) {
        self.0 = Screen::before(event_loop);
        event_loop.exit();
    }

    fn window_event(
        &mut self,
        _event_loop: &ActiveEventLoop,
        _window: WindowId,
        _event: WindowEvent,
    ) {
    }
}

/// Leaves as soon as what waits is taken.
struct Leaving;

impl ApplicationHandler<UserEvent> for Leaving {
    fn resumed(&mut self, event_loop: &ActiveEventLoop) {
        event_loop.exit();
    }

    fn window_event(
        &mut self,
        _event_loop: &ActiveEventLoop,
        _window: WindowId,
        _event: WindowEvent,
    ) {
    }
}
