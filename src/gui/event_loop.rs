//! The only event loop of this process. Window systems allow no second one, and a launcher that
//! lives as long as its app opens one window after another.
//!
//! In: an application that takes the events while a window is open. Out: only errors. Never: two
//! windows at a time. The loop has eframe's type, so that windows with and without OpenGL share it.

use std::cell::RefCell;
use std::time::Instant;

use eframe::UserEvent;
use egui::ViewportId;
use winit::application::ApplicationHandler;
use winit::event::WindowEvent;
use winit::event_loop::{ActiveEventLoop, EventLoop, EventLoopProxy};
use winit::platform::run_on_demand::EventLoopExtRunOnDemand;
use winit::window::WindowId;

use super::error::WindowError;
use super::screen::Screen;

thread_local! {
    static LOOP: RefCell<Option<EventLoop<UserEvent>>> = const { RefCell::new(None) };
}

/// Lends the loop, which the first call makes. A panic in `run` drops the loop, since it would
/// continue in the middle of its work.
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

/// Takes in the messages that the window system has sent since the last window closed, if there was
/// one. The window system reports every key that changes letters to every program; without this
/// call the messages would pile up for hours. A launcher that stays without a window calls this now
/// and then, on the thread of [`super::open()`].
pub fn catch_up() {
    if LOOP.with(|retained| retained.borrow().is_some()) {
        // The next window meets the same fault and reports it.
        let _ = lend(|event_loop| {
            let_windows_go(event_loop);
            Ok(())
        });
    }
}

/// Lets the system remove the closed windows. On Wayland only the loop does this, at its next turn;
/// until then the windows stay on the screen.
pub(super) fn let_windows_go(event_loop: &mut EventLoop<UserEvent>) {
    // The next window meets the same fault and reports it.
    let _ = run(event_loop, &mut Leaving);
}

/// A wish to draw again, as an event of the loop.
pub(super) fn repaint(proxy: &EventLoopProxy<UserEvent>, when: Option<Instant>) {
    if let Some(when) = when {
        // Without a loop no window needs a repaint.
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

/// Keeps a launcher beside its app out of the Dock, and lets it take the keyboard from no other
/// program by itself.
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

/// The screen that a window will be on; `None` if the system reports none.
pub(super) fn screen(event_loop: &mut EventLoop<UserEvent>) -> Option<Screen> {
    let mut asking = Asking(None);
    // The next window meets the same fault and reports it.
    let _ = run(event_loop, &mut asking);
    asking.0
}

/// Asks for the screen and leaves: only a running loop knows the screens.
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

/// Leaves as soon as the loop has handled all waiting events.
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
