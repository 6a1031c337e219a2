//! The notification: the small window beside a running app. It shows an offer with "now" and
//! "later", the strip with the progress of the update, and how the update ended. It never takes the
//! keyboard when it appears, and it closes by itself.
//!
//! In: events from the mailbox, clicks. Out: commands into the mailbox, and how it ended with the
//! state so far, so that the dialog can continue from there. Never: a decision about updates, the
//! focus of the keyboard, or a text outside of the catalogue.
//!
//! ```text
//! face    pure: which of the four faces a state has      clock  pure: when it goes, how it slides
//! place   pure: the lower right of the screen            draw   the faces
//! end     how a notification can end
//! ```

mod clock;
mod draw;
mod end;
mod face;
mod place;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use egui::{Key, Ui, pos2, vec2};
use winit::event_loop::ActiveEventLoop;

use super::actions::Action;
use super::appearance::Appearance;
use super::screen::{Screen, Shape};
use super::software::{self, Contents};
use super::texts::Texts;
use super::view_state::ViewState;
use super::window_options::{WindowOptions, check_memory};
use super::{WindowError, icons};
use crate::messages::mailbox::Handle;
use crate::messages::protocol::{Command, Event, Phase};
use clock::Countdown;
pub use end::NotificationEnd;
pub(super) use face::{Face, done, face};
use place::SlidePath;

/// Width of the notification, points.
const WIDTH: f32 = 280.0;
/// Height of a question, points.
const HEIGHT: f32 = 80.0;
/// Height of the strip, points.
const STRIP: f32 = 60.0;
/// Radius of the corners, points.
const RADIUS: f32 = 8.0;
/// Time between two frames while the window slides.
const SLIDING: Duration = Duration::from_millis(16);

/// The result of a notification.
#[derive(Debug)]
pub struct Notified {
    /// How the notification ended.
    pub outcome: NotificationEnd,
    /// What the notification has seen of the engine until its end.
    pub state: ViewState,
}

/// What a notification needs besides the state.
pub struct NotificationOptions {
    /// The app's name for people.
    pub app_name: String,
    /// How the window looks.
    pub appearance: Appearance,
    /// Whether the window can have round corners.
    pub round: bool,
}

/// Shows the offer in a small window at the lower right of the screen and returns when it has
/// closed. Call it on the thread of [`super::open()`].
///
/// # Errors
/// [`WindowError::NoPlace`] where the window system chooses the place of windows (Wayland);
/// otherwise as [`super::open()`]. The caller then shows the dialog, or the system's notification,
/// with a new state. This window is always drawn without OpenGL.
pub fn notify(
    options: WindowOptions,
    handle: Handle,
    state: ViewState,
) -> Result<Notified, WindowError> {
    check_memory()?;
    let appearance = options.appearance();
    let icon = options.window_icon(&appearance);
    let mut notification = Notification::new(
        state,
        handle.clone(),
        NotificationOptions {
            app_name: options.app_name,
            appearance,
            round: crate::host::screen::blends(),
        },
    );
    let builder = egui::ViewportBuilder::default()
        .with_title(&options.title)
        .with_app_id(&options.class)
        .with_icon(icons::window(&icon))
        .with_inner_size(vec2(WIDTH, HEIGHT))
        .with_decorations(false)
        .with_resizable(false)
        .with_active(false)
        .with_always_on_top()
        .with_taskbar(false)
        .with_transparent(true)
        // X11: the desktop neither moves this window nor gives it the keyboard, as with every
        // notification there.
        .with_window_type(egui::X11WindowType::Notification)
        .with_override_redirect(true);
    // After a panic nothing inside the closure is used again.
    let ended = catch_unwind(AssertUnwindSafe(|| software::show(builder, &mut notification)));
    // The window's waker would retain all the memory of the window.
    handle.on_event(|| ());
    ended.map_err(|panic| WindowError::of_panic(panic.as_ref()))??;
    Ok(notification.end())
}

/// The contents of the notification. Any program that can draw egui can show them.
pub struct Notification {
    view: ViewState,
    handle: Handle,
    texts: Texts,
    options: NotificationOptions,
    icon: Option<egui::TextureHandle>,
    /// The user chose "now" for the offer.
    chosen: bool,
    /// Whether the offered release has to be fetched.
    fetches: bool,
    countdown: Countdown,
    /// The face of the last frame.
    face: Option<Face>,
    /// When the present face appeared, from which follows whether it takes answers yet.
    since: Duration,
    settled: bool,
    outcome: Option<NotificationEnd>,
    /// When the first frame was drawn.
    appeared: Option<Duration>,
    screen: Option<Screen>,
    /// The height that was requested last, points.
    height: f32,
    /// The part of its path that the window has covered, 0 to 1.
    slid: f32,
}

impl Notification {
    /// A notification that begins in the given state.
    pub fn new(view: ViewState, handle: Handle, options: NotificationOptions) -> Self {
        let mut notification = Self {
            texts: Texts::new(options.appearance.language).of_app(&options.app_name),
            view,
            handle,
            options,
            icon: None,
            chosen: false,
            fetches: true,
            countdown: Countdown::default(),
            face: None,
            since: Duration::ZERO,
            settled: false,
            outcome: None,
            appeared: None,
            screen: None,
            height: HEIGHT,
            slid: 0.0,
        };
        notification.note_offer();
        notification
    }

    /// Prepares an egui context: fonts, theme, the icon, and the waker for events of the engine.
    pub fn prepare(&mut self, context: &egui::Context) {
        self.icon = self.options.appearance.prepare(context, &self.handle);
    }

    /// How the notification ended; `None` while it is open.
    pub const fn outcome(&self) -> Option<NotificationEnd> {
        self.outcome
    }

    /// The height that the contents need, points.
    pub const fn height(&self) -> f32 {
        self.height
    }

    /// How the notification ended, and what it has seen until then.
    pub fn end(self) -> Notified {
        Notified { outcome: self.outcome.unwrap_or(NotificationEnd::TimedOut), state: self.view }
    }

    /// Takes events in and draws one frame.
    pub fn ui(&mut self, ui: &mut Ui) {
        self.take_events();
        let face = match face(&self.view, self.chosen) {
            Ok(face) if self.outcome.is_none() => face,
            Ok(face) => self.face.unwrap_or(face),
            Err(outcome) => return self.close(outcome),
        };
        let now = Duration::try_from_secs_f64(ui.input(|input| input.time)).unwrap_or_default();
        if self.face.as_ref().map(std::mem::discriminant) != Some(std::mem::discriminant(&face)) {
            self.countdown.restart();
            self.since = now;
        }
        self.face = Some(face);
        self.settled = clock::settled(self.since, now);
        self.slide(ui.ctx(), now);
        self.take_keys(ui, face);
        let wanted = self.draw(ui, face);
        self.fit(ui.ctx(), wanted);
        self.count_down(ui, face, now);
        // The window's name for screen readers.
        ui.ctx().accesskit_node_builder(egui::accesskit_root_id(), |node| {
            node.set_label(self.options.app_name.clone())
        });
    }

    fn take_events(&mut self) {
        let ended = self.handle.closed();
        for event in self.handle.take() {
            let offered = matches!(&event, Event::Phase { phase: Phase::Offered { .. } });
            self.view.apply(event);
            if offered {
                // Another offer is another question, so the earlier choice no longer counts.
                self.chosen = false;
                self.note_offer();
            }
        }
        if ended {
            self.close(NotificationEnd::EngineEnded);
        }
        if self.handle.wanted().is_some() {
            self.close(NotificationEnd::Details);
        }
    }

    fn note_offer(&mut self) {
        if let Some(offer) = self.view.offer() {
            self.fetches = !offer.plan.is_local();
        }
    }

    /// Escape means "not now", where the window has the keyboard. The window's own button means the
    /// same, if the system draws one.
    fn take_keys(&mut self, ui: &Ui, face: Face) {
        if self.settled
            && ui
                .input(|input| input.key_pressed(Key::Escape) || input.viewport().close_requested())
        {
            match face {
                Face::Offer => self.act(Action::Later),
                Face::Restart => self.act(Action::RestartLater),
                Face::Waiting => self.act(Action::KeepRunning),
                Face::Swapped => self.close(done(&self.view)),
                // Escape does not stop work; the cross does.
                Face::Strip(_) => {}
            }
        }
    }

    /// Performs the action of a button.
    fn act(&mut self, action: Action) {
        if !self.settled {
            return;
        }
        match action {
            Action::Start => self.chosen = true,
            Action::Later => self.close(NotificationEnd::Declined),
            Action::RestartLater | Action::KeepRunning => self.close(done(&self.view)),
            _ => {}
        }
        if let Some(command) = action.command() {
            self.handle.send(command);
        }
    }

    fn cancel(&mut self) {
        if !self.settled {
            return;
        }
        self.handle.send(Command::Cancel);
        self.close(NotificationEnd::Declined);
    }

    fn close(&mut self, outcome: NotificationEnd) {
        self.outcome.get_or_insert(outcome);
    }

    /// An offer and a good outcome close by themselves. A question about a restart stays, since it
    /// answers something that the user began.
    fn count_down(&mut self, ui: &Ui, face: Face, now: Duration) {
        if !matches!(face, Face::Offer | Face::Swapped) {
            return;
        }
        let cared = ui
            .input(|input| input.pointer.has_pointer() || input.viewport().focused == Some(true))
            || self.slid < 1.0;
        let left = self.countdown.left(now, cared);
        if left.is_zero() {
            self.close(if face == Face::Offer {
                NotificationEnd::TimedOut
            } else {
                done(&self.view)
            });
        } else if !cared {
            ui.ctx().request_repaint_after(left);
        }
    }

    fn slide(&mut self, context: &egui::Context, now: Duration) {
        let Some(screen) = self.screen.filter(|_| self.slid < 1.0) else {
            self.slid = 1.0;
            return;
        };
        let appeared = *self.appeared.get_or_insert(now);
        self.slid = clock::slid(now.saturating_sub(appeared));
        self.stand(context, &screen);
        context.request_repaint_after(SLIDING);
    }

    /// Moves the window to its present position.
    fn stand(&self, context: &egui::Context, screen: &Screen) {
        let pixels_per_point = context.pixels_per_point();
        let size = [WIDTH, self.height].map(|points| (points * pixels_per_point).round() as u32);
        let (x, y) = SlidePath::new(screen, size.into()).at(self.slid);
        let at = pos2(x as f32, y as f32) / pixels_per_point;
        context.send_viewport_cmd(egui::ViewportCommand::OuterPosition(at));
    }

    /// Requests another height, and keeps the window's lower edge in place.
    fn fit(&mut self, context: &egui::Context, wanted: f32) {
        if (wanted - self.height).abs() > 0.5 {
            self.height = wanted;
            context.send_viewport_cmd(egui::ViewportCommand::InnerSize(vec2(WIDTH, wanted)));
            if let Some(screen) = self.screen {
                self.stand(context, &screen);
            }
            context.request_repaint();
        }
    }
}

impl Contents for Notification {
    fn prepare(&mut self, context: &egui::Context) {
        Self::prepare(self, context);
    }

    #[cfg(all(unix, not(target_os = "macos")))]
    fn check(&self, event_loop: &ActiveEventLoop) -> Result<(), WindowError> {
        use winit::platform::wayland::ActiveEventLoopExtWayland;
        if event_loop.is_wayland() { Err(WindowError::NoPlace) } else { Ok(()) }
    }

    #[cfg(not(all(unix, not(target_os = "macos"))))]
    fn check(&self, _event_loop: &ActiveEventLoop) -> Result<(), WindowError> {
        Ok(())
    }

    fn place(&mut self, screen: &Screen, size: (u32, u32)) -> Option<(i32, i32)> {
        self.screen = Some(*screen);
        Some(SlidePath::new(screen, size).at(0.0))
    }

    fn ui(&mut self, ui: &mut Ui) {
        Self::ui(self, ui);
    }

    fn is_over(&self) -> bool {
        self.outcome.is_some()
    }

    fn shape(&self) -> Shape {
        Shape { radius: RADIUS, opacity: self.slid }
    }
}
