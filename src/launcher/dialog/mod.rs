//! The window's contents: one screen a phase, the version menu, and the frame around them (tools, header, buttons, keys).
//!
//! In: events from the mailbox, clicks and keys. Out: commands into the mailbox, and when and why the window shall close. Never: a
//! decision about updates, or a text that is not in the catalogue.

mod download;
mod file;
mod head;
mod offer;
mod outcome;
mod question;
mod told;
mod versions;

use std::path::Path;
use std::time::Duration;

pub use file::{FileAnswer, FileQuestion, Picked};

use egui::{Key, Margin, RichText, Sense, Ui, vec2};

use super::markdown::Document;
use super::texts::{Language, Texts};
use super::theme::{self, GAP, MARGIN, Palette, WIDTH};
use super::view_state::{Action, ViewState};
use super::widgets::{self, Emphasis};
use super::{fonts, icons};
use crate::engine::mailbox::Handle;
use crate::engine::protocol::{Command, Event, Phase, Problem};
use crate::model::happened::Notice;
use crate::settings::Theme;
use question::Question;

/// The window is drawn at most this often while events come in: about 15 times a second.
const FRAME: Duration = Duration::from_millis(66);
/// Least and greatest height that the window asks for, points; beyond it the contents scroll.
const HEIGHT: std::ops::RangeInclusive<f32> = 190.0..=800.0;

/// Why the window closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// A person closed it, or chose something that ends the conversation (later, skip).
    ByUser,
    /// The app runs; there is nothing more to show.
    Launched,
    /// The engine ended.
    EngineEnded,
}

/// What a person changed in the window, to be stored by whoever opened it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// A language, if it was changed.
    pub language: Option<Language>,
    /// A theme, if it was changed.
    pub theme: Option<Theme>,
}

/// What a dialog needs to know besides the state.
pub struct DialogOptions {
    /// The app's name for people.
    pub app_name: String,
    /// The app's icon; the launcher's own if there is none.
    pub icon: Option<egui::ColorImage>,
    /// The language to begin with.
    pub language: Language,
    /// The theme to begin with.
    pub theme: Theme,
    /// Whether [`Theme::Auto`] is dark where the window system does not say.
    pub dark: bool,
    /// The zone that dates are written in.
    pub zone: jiff::tz::TimeZone,
    /// Shows a folder in the system's file manager.
    pub open_folder: fn(&Path) -> std::io::Result<()>,
    /// Asks for a file in the system's dialog, without waiting for it.
    pub pick_file: fn(FileQuestion, FileAnswer),
}

/// The window's contents. Any program that can draw egui can show it: eframe, the software window, a test.
pub struct Dialog {
    view: ViewState,
    handle: Handle,
    texts: Texts,
    options: DialogOptions,
    choices: Choices,
    icon: Option<egui::TextureHandle>,
    page: Page,
    /// What waits for a second click.
    asking: Option<Question>,
    /// What happened and is shown in full.
    unfolded: Vec<Notice>,
    /// The notes, and the text they were read from.
    notes: (String, Document),
    details_open: bool,
    copied: bool,
    /// A message about a folder that could not be opened.
    trouble: Option<String>,
    inbox: file::Inbox,
    closed: Option<CloseReason>,
    height: Height,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    Update,
    Versions,
}

/// The height that was asked for last, and for which screen.
#[derive(Default)]
struct Height {
    screen: Option<(std::mem::Discriminant<Phase>, bool, usize)>,
    asked: f32,
}

impl Dialog {
    /// A dialog that begins in a state.
    pub fn new(view: ViewState, handle: Handle, options: DialogOptions) -> Self {
        let mut dialog = Self {
            texts: Texts::new(options.language),
            notes: Default::default(),
            view,
            handle,
            options,
            choices: Choices::default(),
            icon: None,
            page: Page::Update,
            asking: None,
            unfolded: Vec::new(),
            details_open: false,
            copied: false,
            trouble: None,
            inbox: file::Inbox::default(),
            closed: None,
            height: Height::default(),
        };
        dialog.read_notes();
        dialog.unfold_what_is_a_list();
        dialog
    }

    /// Prepares an egui context: fonts, theme, the icon, and being woken by the engine.
    pub fn prepare(&mut self, context: &egui::Context) {
        fonts::install(context, self.options.language);
        theme::install(context, preference(self.options.theme));
        let fallback = if self.options.dark { egui::Theme::Dark } else { egui::Theme::Light };
        context.options_mut(|options| {
            options.fallback_theme = fallback;
            // Slow machines and slow hands: a press is a click however long it takes, as everywhere else.
            options.input_options.max_click_duration = f64::INFINITY;
        });
        let image = self.options.icon.clone().unwrap_or_else(icons::launcher);
        self.icon = Some(context.load_texture("icon", image, icons::filtering()));
        let waker = context.clone();
        self.handle.on_event(move || waker.request_repaint_after(FRAME));
    }

    /// The size that the first screen needs, points: laid out once without a window, so that the window opens in its final size
    /// and in the middle of the monitor.
    pub fn first_size(&mut self) -> egui::Vec2 {
        let context = egui::Context::default();
        context.set_fonts(fonts::definitions(self.options.language));
        theme::install(&context, preference(self.options.theme));
        let screen = egui::Rect::from_min_size(egui::Pos2::ZERO, vec2(WIDTH, *HEIGHT.end()));
        // The first pass learns the sizes of the panels, the second lays out with them.
        for _ in 0..2 {
            let input = egui::RawInput { screen_rect: Some(screen), ..egui::RawInput::default() };
            context.run_ui(input, |ui| self.ui(ui)).drop_without_applying_deltas();
        }
        vec2(WIDTH, self.height.asked)
    }

    /// Whether and why the window shall close.
    pub const fn closed(&self) -> Option<CloseReason> {
        self.closed
    }

    /// What the person changed so far.
    pub const fn choices(&self) -> Choices {
        self.choices
    }

    /// Takes events in and draws one frame.
    pub fn ui(&mut self, ui: &mut Ui) {
        self.take_events();
        if self.closed.is_none() {
            self.take_keys(ui);
        }
        if self.closed.is_none() {
            self.take_files(ui);
        }
        // The window's own button; or the answer to this dialog's wish to be closed.
        if self.closed.is_none() && ui.input(|input| input.viewport().close_requested()) {
            match self.view.dismissal() {
                Some(action) => self.act(action),
                None => self.close(CloseReason::ByUser),
            }
        }
        let colours = Palette::of(ui);
        ui.painter().rect_filled(ui.max_rect(), 0.0, colours.background);
        let bottom = self.frame(ui, "foot", false, Margin { left: 24, right: 24, top: 12, bottom: 20 }, Self::foot);
        let top = self.frame(ui, "head", true, Margin { left: 24, right: 24, top: 12, bottom: 14 }, Self::head);
        let body = egui::CentralPanel::no_frame()
            .show(ui, |ui| {
                egui::ScrollArea::vertical().auto_shrink([false, true]).show(ui, |ui| {
                    let margin = Margin { left: MARGIN as i8, right: MARGIN as i8, top: 0, bottom: 0 };
                    egui::Frame::new().inner_margin(margin).show(ui, |ui| {
                        ui.spacing_mut().item_spacing.y = GAP;
                        self.body(ui);
                    });
                })
            })
            .inner
            .content_size
            .y;
        // The window's name for screen readers.
        ui.ctx().accesskit_node_builder(egui::accesskit_root_id(), |node| node.set_label(self.options.app_name.clone()));
        self.ask(ui.ctx());
        self.drop_hint(ui);
        self.fit(ui.ctx(), top + body + bottom);
        // What was drawn before a click was answered shows the state before it.
        let answered = |event: &egui::Event| {
            matches!(event, egui::Event::Key { .. } | egui::Event::PointerButton { .. } | egui::Event::AccessKitActionRequest(_))
        };
        if ui.input(|input| input.events.iter().any(answered)) {
            ui.ctx().request_repaint();
        }
        if self.closed.is_some() {
            // Hidden first: on X11 a window whose process lives on (it waits for the app) is otherwise never seen to go.
            ui.ctx().send_viewport_cmd(egui::ViewportCommand::Visible(false));
            ui.ctx().send_viewport_cmd(egui::ViewportCommand::Close);
        }
    }

    fn frame(&mut self, ui: &mut Ui, id: &str, top: bool, margin: Margin, contents: fn(&mut Self, &mut Ui)) -> f32 {
        let panel = if top { egui::Panel::top(id) } else { egui::Panel::bottom(id) };
        let frame = egui::Frame::new().inner_margin(margin);
        let shown = panel.resizable(false).show_separator_line(false).frame(frame).show(ui, |ui| contents(self, ui));
        shown.response.rect.height()
    }

    fn take_events(&mut self) {
        let ended = self.handle.closed();
        for event in self.handle.take() {
            if matches!(event, Event::Installed { .. }) && self.page == Page::Versions {
                self.handle.send(Command::MeasureDisk);
            }
            self.view.apply(event);
            self.copied = false;
            self.read_notes();
        }
        if self.view.finished() {
            self.close(CloseReason::Launched);
        } else if ended {
            self.close(CloseReason::EngineEnded);
        }
    }

    fn read_notes(&mut self) {
        if self.notes.0 != self.view.notes {
            self.notes = (self.view.notes.clone(), Document::parse(&self.view.notes));
        }
    }

    /// Enter presses the primary button unless another control has the focus; Escape goes back or answers "not now".
    fn take_keys(&mut self, ui: &Ui) {
        let (enter, escape) = ui.input(|input| (input.key_pressed(Key::Enter), input.key_pressed(Key::Escape)));
        let free = ui.memory(|memory| memory.focused().is_none()) && self.asking.is_none();
        if escape {
            if self.asking.take().is_some() {
            } else if self.page == Page::Versions {
                self.page = Page::Update;
            } else if let Some(action) = self.view.dismissal() {
                self.act(action);
            }
        } else if enter
            && free
            && self.page == Page::Update
            && let Some(action) = self.view.actions().primary
        {
            self.act(action);
        }
    }

    fn act(&mut self, action: Action) {
        if action == Action::InstallFile {
            self.inbox.wanted = true;
        }
        if let Some(command) = action.command() {
            self.handle.send(command);
        }
        if action.closes() {
            self.close(CloseReason::ByUser);
        }
    }

    fn turn_to(&mut self, page: Page) {
        self.page = page;
        if page == Page::Versions {
            self.handle.send(Command::MeasureDisk);
        }
    }

    /// Shows a folder, or says that it cannot be shown.
    fn open_folder(&mut self, folder: &Path) {
        if (self.options.open_folder)(folder).is_err() {
            self.trouble = Some(self.texts.with("folder-failed", &[("path", &folder.display().to_string())]));
        }
    }

    fn close(&mut self, reason: CloseReason) {
        self.closed.get_or_insert(reason);
    }

    fn body(&mut self, ui: &mut Ui) {
        self.notices(ui);
        if self.page == Page::Versions {
            return self.versions(ui);
        }
        self.told(ui);
        match self.view.phase.clone() {
            Phase::Offered { offer } => self.offer(ui, &offer),
            Phase::Checking | Phase::Swapping { .. } | Phase::Switching { .. } | Phase::RollingBack | Phase::Repairing { .. } => {
                self.waiting(ui)
            }
            Phase::RolledBack { from, kept, .. } => self.rolled_back(ui, &from, &kept),
            Phase::Downloading { .. } | Phase::Paused { .. } | Phase::Installing { .. } => self.download(ui),
            Phase::UpToDate { reason, .. } => {
                let text = self.texts.no_update(reason);
                self.statement(ui, &text);
            }
            Phase::Repaired(repaired) => {
                if let Some(problem) = &repaired.problem {
                    self.failure(ui, problem);
                }
            }
            Phase::Failed { problem } => self.failure(ui, &problem),
            Phase::Ready { .. } | Phase::Swapped { .. } => self.release_notes(ui),
            Phase::Idle | Phase::Launched { .. } | Phase::Cancelled => {}
        }
    }

    /// What went wrong without ending the phase.
    fn notices(&mut self, ui: &mut Ui) {
        if let Some(problem) = self.view.notice.clone() {
            let [what, why, next] = self.texts.problem(&problem);
            if self.notice(ui, &what, &format!("{why} {next}")) {
                self.view.notice = None;
            }
        }
        if let Some(text) = self.trouble.clone()
            && self.notice(ui, &text, "")
        {
            self.trouble = None;
        }
    }

    fn notice(&self, ui: &mut Ui, title: &str, text: &str) -> bool {
        let colours = Palette::of(ui);
        let frame = theme::card(&colours).fill(colours.warning.gamma_multiply(0.10)).stroke(egui::Stroke::NONE);
        frame
            .show(ui, |ui| {
                ui.take_available_width();
                ui.spacing_mut().item_spacing.y = 4.0;
                ui.label(RichText::new(title).font(theme::title(14.0)));
                if !text.is_empty() {
                    ui.label(RichText::new(text).size(13.0).color(colours.muted));
                }
                widgets::small_button(ui, &self.texts.get("action-dismiss"), Emphasis::Secondary).clicked()
            })
            .inner
    }

    /// The buttons: the quiet one on the left, the choice on the right with the primary one last.
    fn foot(&mut self, ui: &mut Ui) {
        if self.page == Page::Versions {
            let row = vec2(ui.available_width(), 36.0);
            ui.allocate_ui_with_layout(row, egui::Layout::right_to_left(egui::Align::Center), |ui| {
                if widgets::button(ui, &self.texts.get("action-back"), Emphasis::Secondary).clicked() {
                    self.page = Page::Update;
                }
            });
            return;
        }
        let actions = self.view.actions();
        let shown =
            [(actions.quiet, Emphasis::Quiet), (actions.secondary, Emphasis::Secondary), (actions.primary, Emphasis::Primary)];
        if shown.iter().all(|(action, _)| action.is_none()) {
            return;
        }
        let add = |ui: &mut Ui, (action, emphasis): (Option<Action>, Emphasis)| {
            action.filter(|action| widgets::button(ui, &self.texts.get(action.text()), emphasis).clicked())
        };
        let [quiet, secondary, primary] = shown;
        // Tab goes in the order in which controls are added: what most people want comes first.
        let (row, _) = ui.allocate_exact_size(vec2(ui.available_width(), 36.0), Sense::hover());
        let side = |layout| egui::UiBuilder::new().max_rect(row).layout(layout);
        let right = ui.scope_builder(side(egui::Layout::right_to_left(egui::Align::Center)), |ui| {
            let chosen = add(ui, primary);
            add(ui, secondary).or(chosen)
        });
        let left = ui.scope_builder(side(egui::Layout::left_to_right(egui::Align::Center)), |ui| {
            ui.add_space(-widgets::QUIET_SIDE);
            add(ui, quiet)
        });
        let chosen = left.inner.or(right.inner);
        if let Some(notice) = self.view.tells_one().cloned() {
            ui.scope_builder(side(egui::Layout::left_to_right(egui::Align::Center)), |ui| {
                ui.add_space(-widgets::QUIET_SIDE);
                self.fold(ui, &notice, |ui, name| widgets::button(ui, name, Emphasis::Quiet));
            });
        }
        if let Some(action) = chosen {
            self.act(action);
        }
    }

    /// Asks for the height that the contents need: always on a new screen, and when they have grown.
    fn fit(&mut self, context: &egui::Context, wanted: f32) {
        let unfolded = if self.view.tells() { self.unfolded.len() } else { 0 };
        let screen = Some((std::mem::discriminant(&self.view.phase), self.page == Page::Versions, unfolded));
        let monitor = context.input(|input| input.viewport().monitor_size).map_or(f32::INFINITY, |size| size.y * 0.85);
        let wanted = wanted.ceil().clamp(*HEIGHT.start(), HEIGHT.end().min(monitor).max(*HEIGHT.start()));
        if self.height.screen != screen || wanted > self.height.asked + 0.5 {
            if (wanted - self.height.asked).abs() > 0.5 {
                context.send_viewport_cmd(egui::ViewportCommand::InnerSize(vec2(WIDTH, wanted)));
            }
            self.height = Height { screen, asked: wanted };
        }
    }

    /// The text that "copy details" puts on the clipboard: English, for whoever helps.
    fn report(&self, problem: &Problem) -> String {
        self.report_of(&format!("{:?} {}", problem.kind, problem.subject), &problem.chain)
    }

    fn report_of(&self, what: &str, chain: &[String]) -> String {
        let mut text = format!("{} {}\n", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        text.push_str(&format!("{}\n{what}\n", self.options.app_name));
        for (depth, cause) in chain.iter().enumerate() {
            text.push_str(&format!("{}{cause}\n", "  ".repeat(depth)));
        }
        text
    }
}

fn preference(theme: Theme) -> egui::ThemePreference {
    match theme {
        Theme::Auto => egui::ThemePreference::System,
        Theme::Light => egui::ThemePreference::Light,
        Theme::Dark => egui::ThemePreference::Dark,
    }
}
