//! The window with OpenGL, through eframe.

use egui::ViewportBuilder;

use super::dialog::{Choices, CloseReason, Dialog};
use super::error::WindowError;
use super::screen::Screen;
use super::{event_loop, icons};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// What a desktop shows of a window outside of it.
pub(super) struct Identity<'a> {
    pub title: &'a str,
    pub class: &'a str,
    pub icon: &'a egui::ColorImage,
}

/// How the native window is made, with both renderers: in its final size, in the middle of the
/// screen.
pub(super) fn viewport(
    identity: &Identity<'_>,
    dialog: &mut Dialog,
    screen: Option<&Screen>,
) -> ViewportBuilder {
    let size = dialog.size_on(screen.map(Screen::room));
    let builder = ViewportBuilder::default()
        .with_title(identity.title)
        .with_app_id(identity.class)
        .with_icon(icons::window(identity.icon))
        .with_inner_size(size)
        .with_min_inner_size(size.min(egui::vec2(480.0, 240.0)));
    // The report of an incident appears beside the app, whose window has just come up.
    let builder = if dialog.comes_by_itself() { builder.with_always_on_top() } else { builder };
    match screen {
        Some(screen) => builder.with_position(screen.centre_framed(size)),
        None => builder,
    }
}

/// How a window ended.
#[derive(Clone, Copy, Default)]
pub(super) struct WindowEnd {
    pub reason: Option<CloseReason>,
    pub choices: Choices,
}

/// Shows the dialog until it closes.
pub(super) fn run(identity: &Identity<'_>, mut dialog: Dialog) -> Result<WindowEnd, WindowError> {
    let ended = Rc::new(RefCell::new(WindowEnd::default()));
    let shared = Rc::clone(&ended);
    let began = Rc::new(Cell::new(false));
    let beginning = Rc::clone(&began);
    event_loop::lend(move |event_loop| {
        let screen = event_loop::screen(event_loop);
        let options = eframe::NativeOptions {
            viewport: viewport(identity, &mut dialog, screen.as_ref()),
            // The dialog installs its own system fonts, for the language of the window.
            system_font_fallback: false,
            centered: screen.is_none(),
            ..eframe::NativeOptions::default()
        };
        let start = move |context: &eframe::CreationContext<'_>| {
            beginning.set(true);
            crate::host::screen::in_dock(true);
            let rises = dialog.comes_by_itself();
            let mut app = App { dialog, ended: shared, rises, frames: 0 };
            app.dialog.prepare(&context.egui_ctx);
            Ok(Box::new(app) as Box<dyn eframe::App>)
        };
        let mut app = eframe::create_native(identity.title, options, Box::new(start), event_loop);
        let run = event_loop::run(event_loop, &mut app);
        drop(app);
        event_loop::let_windows_go(event_loop);
        run
    })?;
    // eframe keeps its error to itself when the loop is not its own; the error is in the log.
    if !began.get() {
        return Err(WindowError::NoDrawing("OpenGL cannot be used".to_owned()));
    }
    let ended = *ended.borrow();
    Ok(ended)
}

struct App {
    dialog: Dialog,
    ended: Rc<RefCell<WindowEnd>>,
    /// The window belongs in front of all other windows.
    rises: bool,
    /// The number of drawn frames; counted until the window is in front.
    frames: u8,
}

impl App {
    /// Brings the window to the front. eframe shows the window after its first frame, and a window
    /// manager of X11 accepts this wish only for windows that it already shows. Where a desktop
    /// refuses it, as those of Wayland do, it marks the window in its panel.
    fn rise(&mut self, context: &egui::Context) {
        self.frames += 1;
        if self.frames < 2 {
            return context.request_repaint();
        }
        self.rises = false;
        context
            .send_viewport_cmd(egui::ViewportCommand::WindowLevel(egui::WindowLevel::AlwaysOnTop));
        context.send_viewport_cmd(egui::ViewportCommand::RequestUserAttention(
            egui::UserAttentionType::Informational,
        ));
    }
}

impl eframe::App for App {
    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        if self.rises {
            self.rise(ui.ctx());
        }
        self.dialog.ui(ui);
        *self.ended.borrow_mut() =
            WindowEnd { reason: self.dialog.closed(), choices: self.dialog.choices() };
    }
}
