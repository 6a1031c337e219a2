//! The window without OpenGL. It uses winit for the window, egui-winit for input and screen
//! readers, [`super::rasteriser`] for the pixels, and softbuffer to show them. It is for remote
//! desktops, virtual machines and broken drivers.
//!
//! It is also the lighter one. In its trial (X11, the offer's screen) it needed 45 MB resident, 9
//! MB of them private, against 133 and 34 MB by OpenGL with llvmpipe; the pictures differed by at
//! most 2/255. Neither uses the CPU while nothing changes.

use std::num::NonZeroU32;
use std::rc::Rc;
use std::time::{Duration, Instant};

use eframe::UserEvent;
use egui::{Color32, Ui, ViewportEvent, ViewportId};
use egui_winit::accesskit_winit;
use winit::application::ApplicationHandler;
use winit::event::{StartCause, WindowEvent};
use winit::event_loop::{ActiveEventLoop, ControlFlow, EventLoop, EventLoopProxy};
use winit::window::{Window, WindowId};

use super::dialog::Dialog;
use super::error::WindowError;
use super::event_loop;
use super::rasteriser::{Canvas, Rasteriser};
use super::screen::{self, Screen, Shape};
use super::theme;
use super::window::{Identity, WindowEnd, viewport};

/// The contents of such a window.
pub(super) trait Contents {
    /// Prepares fonts, theme, pictures, and the waker for events of the engine.
    fn prepare(&mut self, context: &egui::Context);
    /// Whether this window system can show the contents; asked before the window is made.
    fn check(&self, _event_loop: &ActiveEventLoop) -> Result<(), WindowError> {
        Ok(())
    }
    /// Where the window of this size begins, in pixels of the desktop. Some systems place windows
    /// themselves and ignore it. `None` leaves the window where it was made.
    fn place(&mut self, _screen: &Screen, _size: (u32, u32)) -> Option<(i32, i32)> {
        None
    }
    /// Draws one frame.
    fn ui(&mut self, ui: &mut Ui);
    /// Whether the window shall close.
    fn is_over(&self) -> bool;
    /// The visible part of the window, where the desktop can show it.
    fn shape(&self) -> Shape {
        Shape::default()
    }
}

impl Contents for Dialog {
    fn prepare(&mut self, context: &egui::Context) {
        Self::prepare(self, context);
    }

    fn ui(&mut self, ui: &mut Ui) {
        Self::ui(self, ui);
    }

    fn is_over(&self) -> bool {
        self.closed().is_some()
    }
}

/// Shows the dialog until it closes.
pub(super) fn run(identity: &Identity<'_>, mut dialog: Dialog) -> Result<WindowEnd, WindowError> {
    event_loop::lend(|event_loop| {
        let screen = event_loop::screen(event_loop);
        let builder = viewport(identity, &mut dialog, screen.as_ref());
        show_in(event_loop, builder, &mut dialog)
    })?;
    Ok(WindowEnd { reason: dialog.closed(), choices: dialog.choices() })
}

/// Shows a window until its contents are over.
pub(super) fn show(
    builder: egui::ViewportBuilder,
    contents: &mut impl Contents,
) -> Result<(), WindowError> {
    event_loop::lend(|event_loop| show_in(event_loop, builder, contents))
}

fn show_in(
    event_loop: &mut EventLoop<UserEvent>,
    builder: egui::ViewportBuilder,
    contents: &mut impl Contents,
) -> Result<(), WindowError> {
    let context = egui::Context::default();
    let proxy = event_loop.create_proxy();
    let waker = proxy.clone();
    context.set_request_repaint_callback(move |request| {
        event_loop::repaint(&waker, Instant::now().checked_add(request.delay));
    });
    contents.prepare(&context);
    let mut app = App {
        builder,
        contents,
        context,
        proxy,
        shown: None,
        next: None,
        failure: None,
        info: egui::ViewportInfo::default(),
        rasteriser: Rasteriser::default(),
    };
    let run = event_loop::run(event_loop, &mut app);
    let failure = app.failure.take();
    drop(app);
    event_loop::let_windows_go(event_loop);
    run.and(failure.map_or(Ok(()), Err))
}

struct App<'a, C> {
    builder: egui::ViewportBuilder,
    contents: &'a mut C,
    context: egui::Context,
    proxy: EventLoopProxy<UserEvent>,
    shown: Option<Shown>,
    /// When to draw the next frame.
    next: Option<Instant>,
    failure: Option<WindowError>,
    info: egui::ViewportInfo,
    rasteriser: Rasteriser,
}

/// The parts that exist only while there is a window.
struct Shown {
    window: Rc<Window>,
    input: egui_winit::State,
    surface: softbuffer::Surface<Rc<Window>, Rc<Window>>,
    /// The window is hidden until the first frame has been drawn, so that the user never sees it
    /// empty.
    hidden: bool,
    /// Whether the background can shine through the window.
    transparent: bool,
}

impl<C: Contents> App<'_, C> {
    fn open(&mut self, event_loop: &ActiveEventLoop) -> Result<Shown, WindowError> {
        self.contents.check(event_loop)?;
        let transparent = self.builder.transparent == Some(true) && crate::host::screen::blends();
        // accesskit must be attached before the window is visible.
        let builder = self.builder.clone().with_visible(false).with_transparent(transparent);
        let window = egui_winit::create_window(&self.context, event_loop, &builder)
            .map_err(|error| WindowError::NoWindow(error.to_string()))?;
        let window = Rc::new(window);
        let scale = window.scale_factor() as f32;
        let mut input = egui_winit::State::new(
            self.context.clone(),
            ViewportId::ROOT,
            event_loop,
            Some(scale),
            window.theme(),
            None,
        );
        input.init_accesskit(event_loop, &window, self.proxy.clone());
        let surface = softbuffer::Context::new(Rc::clone(&window))
            .and_then(|context| softbuffer::Surface::new(&context, Rc::clone(&window)))
            .map_err(no_drawing)?;
        egui_winit::update_viewport_info(&mut self.info, &self.context, &window, true);
        let place = Screen::of(&window)
            .and_then(|screen| self.contents.place(&screen, window.outer_size().into()));
        if let Some((x, y)) = place {
            window.set_outer_position(winit::dpi::PhysicalPosition::new(x, y));
        }
        Ok(Shown { window, input, surface, hidden: true, transparent })
    }

    fn fail(&mut self, event_loop: &ActiveEventLoop, failure: WindowError) {
        self.failure = Some(failure);
        event_loop.exit();
    }

    fn frame(&mut self, event_loop: &ActiveEventLoop) {
        let Some(shown) = &mut self.shown else { return };
        self.next = None;
        egui_winit::update_viewport_info(&mut self.info, &self.context, &shown.window, false);
        let mut input = shown.input.take_egui_input(&shown.window);
        input.viewports.insert(ViewportId::ROOT, self.info.clone());
        self.info.events.clear();
        let contents = &mut self.contents;
        let mut output = self.context.run_ui(input, |ui| contents.ui(ui));
        shown.input.handle_platform_output_with_event_loop(
            &shown.window,
            event_loop,
            output.platform_output,
        );
        self.rasteriser.update(&mut output.textures_delta);
        let primitives = self.context.tessellate(output.shapes, output.pixels_per_point);
        let colours = theme::Palette::for_theme(self.context.theme());
        let shape = self.contents.shape();
        let drawn = draw(
            &self.rasteriser,
            shown,
            colours.background,
            &primitives,
            output.pixels_per_point,
            shape,
        );
        self.rasteriser.free(&mut output.textures_delta);
        if std::mem::take(&mut shown.hidden) {
            let active = self.builder.active.unwrap_or(true);
            screen::appear(&shown.window, active);
            // A window manager of X11 accepts this wish only for windows that it already shows.
            if self.builder.window_level == Some(egui::WindowLevel::AlwaysOnTop) {
                shown.window.set_window_level(winit::window::WindowLevel::AlwaysOnTop);
                // Desktops of Wayland refuse the wish; they mark the window in their panel.
                let attention = active.then_some(winit::window::UserAttentionType::Informational);
                shown.window.request_user_attention(attention);
            }
        }
        if let Err(failure) = drawn {
            return self.fail(event_loop, no_drawing(failure));
        }
        if self.contents.is_over() {
            // The X server learns of the destroyed window only with the next request, and after the
            // loop there is no further request.
            shown.window.set_visible(false);
            return event_loop.exit();
        }
        let mut delay = Duration::MAX;
        for viewport in std::mem::take(&mut output.viewport_output).into_values() {
            egui_winit::process_viewport_commands(
                &self.context,
                &mut self.info,
                viewport.commands,
                &shown.window,
                &mut Vec::new(),
            );
            delay = delay.min(viewport.repaint_delay);
        }
        // A key for quitting is a wish to close the window; the contents decide.
        if self.info.close_requested() {
            delay = Duration::ZERO;
        }
        self.plan(Instant::now().checked_add(delay));
    }

    /// Schedules the earlier of two times for the next frame.
    fn plan(&mut self, at: Option<Instant>) {
        if let Some(at) = at {
            self.next = Some(self.next.map_or(at, |next| next.min(at)));
        }
    }
}

fn draw(
    rasteriser: &Rasteriser,
    shown: &mut Shown,
    background: Color32,
    primitives: &[egui::ClippedPrimitive],
    pixels_per_point: f32,
    shape: Shape,
) -> Result<(), softbuffer::SoftBufferError> {
    let size = shown.window.inner_size();
    let (Some(width), Some(height)) = (NonZeroU32::new(size.width), NonZeroU32::new(size.height))
    else {
        return Ok(());
    };
    shown.surface.resize(width, height)?;
    let mut pixels = shown.surface.buffer_mut()?;
    let mut canvas =
        Canvas { pixels: &mut pixels, width: size.width as usize, height: size.height as usize };
    rasteriser.draw(&mut canvas, background, primitives, pixels_per_point);
    if shown.transparent {
        shape.cut(&mut canvas, pixels_per_point);
    }
    pixels.present()
}

fn no_drawing(error: softbuffer::SoftBufferError) -> WindowError {
    WindowError::NoDrawing(error.to_string())
}

impl<C: Contents> ApplicationHandler<UserEvent> for App<'_, C> {
    fn resumed(&mut self, event_loop: &ActiveEventLoop) {
        if self.shown.is_none() {
            match self.open(event_loop) {
                Ok(shown) => self.shown = Some(shown),
                Err(failure) => return self.fail(event_loop, failure),
            }
            // A hidden window gets no request to draw.
            self.frame(event_loop);
        }
    }

    fn new_events(&mut self, event_loop: &ActiveEventLoop, cause: StartCause) {
        if matches!(cause, StartCause::ResumeTimeReached { .. })
            && let Some(shown) = &self.shown
        {
            shown.window.request_redraw();
            event_loop.set_control_flow(ControlFlow::Wait);
        }
    }

    fn user_event(&mut self, _event_loop: &ActiveEventLoop, event: UserEvent) {
        let Some(shown) = &mut self.shown else { return };
        match event {
            UserEvent::RequestRepaint { when, .. } => self.plan(Some(when)),
            // A screen reader that still asks the previous window.
            UserEvent::AccessKitActionRequest(event) if event.window_id != shown.window.id() => {}
            UserEvent::AccessKitActionRequest(event) => {
                match event.window_event {
                    accesskit_winit::WindowEvent::InitialTreeRequested => {
                        self.context.enable_accesskit()
                    }
                    accesskit_winit::WindowEvent::ActionRequested(request) => {
                        shown.input.on_accesskit_action_request(request);
                    }
                    accesskit_winit::WindowEvent::AccessibilityDeactivated => {
                        self.context.disable_accesskit()
                    }
                }
                shown.window.request_redraw();
            }
        }
    }

    fn window_event(&mut self, event_loop: &ActiveEventLoop, window: WindowId, event: WindowEvent) {
        let Some(shown) = self.shown.as_mut().filter(|shown| shown.window.id() == window) else {
            return;
        };
        match event {
            WindowEvent::RedrawRequested => return self.frame(event_loop),
            WindowEvent::CloseRequested => self.info.events.push(ViewportEvent::Close),
            _ => {}
        }
        let close = matches!(event, WindowEvent::CloseRequested);
        let resized =
            matches!(event, WindowEvent::Resized(_) | WindowEvent::ScaleFactorChanged { .. });
        if shown.input.on_window_event(&shown.window, &event).repaint || close || resized {
            shown.window.request_redraw();
        }
    }

    fn about_to_wait(&mut self, event_loop: &ActiveEventLoop) {
        let Some(next) = self.next else { return event_loop.set_control_flow(ControlFlow::Wait) };
        if next <= Instant::now() {
            self.next = None;
            if let Some(shown) = &self.shown {
                shown.window.request_redraw();
            }
            event_loop.set_control_flow(ControlFlow::Wait);
        } else {
            // The clock may be a little early; nobody notices a millisecond more.
            event_loop.set_control_flow(ControlFlow::WaitUntil(next + Duration::from_millis(1)));
        }
    }
}
