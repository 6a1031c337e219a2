//! The contents of the window: one screen for each phase, the version menu, and the frame around
//! them (tools, header, buttons, keys).
//!
//! In: events from the mailbox, clicks and keys. Out: commands into the mailbox, and when and why
//! the window shall close. Never: a decision about updates, or a text outside of the catalogue.

mod download;
mod file;
mod foot;
mod head;
mod notices;
mod offer;
mod outcome;
mod question;
mod size;
mod versions;

use std::path::Path;

pub use file::Picked;
pub(crate) use file::{FileAnswer, FileQuestion};

use egui::{Key, Margin, RichText, Ui, UiBuilder, vec2};

use super::actions::Action;
use super::appearance::Appearance;
use super::markdown::Markdown;
use super::texts::{Language, Texts};
use super::theme::{self, GAP, MARGIN, Palette};
use super::view_state::ViewState;
use super::widgets::{self, Emphasis};
use crate::messages::mailbox::{Handle, WindowPart};
use crate::messages::protocol::{Command, Event, Phase, Problem};
use crate::model::incident::Notice;
use crate::settings::Theme;
use question::Question;

/// A window lower than this uses smaller margins at its top and bottom, points.
const LOW: f32 = 420.0;
/// In a path or message longer than this the middle is left out, characters.
const LONGEST_SUBJECT: usize = 240;

/// The same problem with its subject shortened to a readable length. The details contain the whole
/// subject.
fn shortened(problem: &Problem) -> Problem {
    Problem { subject: middle_left_out(&problem.subject), ..problem.clone() }
}

/// A text whose middle is left out if it is very long.
fn middle_left_out(text: &str) -> String {
    let count = text.chars().count();
    if count <= LONGEST_SUBJECT {
        return text.to_owned();
    }
    let part = LONGEST_SUBJECT / 2;
    let (start, end): (String, String) =
        (text.chars().take(part).collect(), text.chars().skip(count - part).collect());
    format!("{start}…{end}")
}

/// Why the window closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The user closed it, or chose something that ends the conversation (later, skip).
    ByUser,
    /// The app runs and the window has nothing more to show.
    Launched,
    /// The engine ended.
    EngineEnded,
}

/// What the user changed in the window; the caller of the window stores it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// The new language, if the user changed it.
    pub language: Option<Language>,
    /// The new theme, if the user changed it.
    pub theme: Option<Theme>,
    /// Whether details are unfolded, if the user changed that.
    pub details: Option<bool>,
}

/// What a dialog needs besides the state.
pub struct DialogOptions {
    /// The app's name for people.
    pub app_name: String,
    /// How the window looks when it opens.
    pub appearance: Appearance,
    /// Whether details are unfolded when the window opens.
    pub details: bool,
    /// The time zone of the dates in the window.
    pub zone: jiff::tz::TimeZone,
    /// Shows a folder in the system's file manager.
    pub open_folder: fn(&Path) -> std::io::Result<()>,
    /// Asks for a file in the system's dialog and returns at once.
    pub pick_file: fn(FileQuestion, FileAnswer),
}

/// The contents of the window. Any program that can draw egui can show them: eframe, the software
/// window, a test.
pub struct Dialog {
    view: ViewState,
    handle: Handle,
    texts: Texts,
    options: DialogOptions,
    choices: Choices,
    icon: Option<egui::TextureHandle>,
    page: Page,
    /// The action that waits for a second click.
    asking: Option<Question>,
    /// The notices that are shown in full.
    unfolded: Vec<Notice>,
    /// The parsed notes, and their source text.
    notes: (String, Markdown),
    details_open: bool,
    /// The question whose safe button already received the focus.
    focused: Option<Question>,
    copied: bool,
    /// The message about a folder that could not be opened.
    trouble: Option<String>,
    inbox: file::Inbox,
    closed: Option<CloseReason>,
    size: size::Size,
    /// Height of the part between header and buttons, points.
    body_height: f32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    Update,
    Versions,
}

impl Dialog {
    /// A dialog that begins in the given state.
    pub fn new(view: ViewState, handle: Handle, options: DialogOptions) -> Self {
        let details_open = options.details;
        let mut dialog = Self {
            texts: Texts::new(options.appearance.language).of_app(&options.app_name),
            notes: Default::default(),
            view,
            handle,
            options,
            choices: Choices::default(),
            icon: None,
            page: Page::Update,
            asking: None,
            unfolded: Vec::new(),
            details_open,
            focused: None,
            copied: false,
            trouble: None,
            inbox: file::Inbox::default(),
            closed: None,
            size: size::Size::default(),
            body_height: 0.0,
        };
        dialog.read_notes();
        dialog.unfold_what_is_a_list();
        dialog
    }

    /// Prepares an egui context: fonts, theme, the icon, and the waker for events of the engine.
    pub fn prepare(&mut self, context: &egui::Context) {
        self.icon = self.options.appearance.prepare(context, &self.handle);
    }

    /// Whether and why the window shall close.
    pub const fn closed(&self) -> Option<CloseReason> {
        self.closed
    }

    /// What the user has changed so far.
    pub const fn choices(&self) -> Choices {
        self.choices
    }

    /// Takes events in and draws one frame.
    pub fn ui(&mut self, ui: &mut Ui) {
        self.take_events();
        self.take_wish(ui.ctx());
        if self.closed.is_none() {
            self.take_keys(ui);
        }
        if self.closed.is_none() {
            self.take_files(ui);
        }
        // The user pressed the window's own button, or the window system answers this dialog's own
        // request to close.
        if self.closed.is_none() && ui.input(|input| input.viewport().close_requested()) {
            match self.view.dismissal() {
                Some(action) => self.act(action),
                None => self.close(CloseReason::ByUser),
            }
        }
        let colours = Palette::of(ui);
        ui.painter().rect_filled(ui.max_rect(), 0.0, colours.background);
        // The order of these calls is the order of the Tab key: from top to bottom.
        let whole = ui.max_rect();
        let low = whole.height() < LOW;
        let (above, beside) = (if low { 6.0 } else { 12.0 }, MARGIN);
        let head = whole.shrink2(vec2(beside, above));
        let head = ui
            .scope_builder(UiBuilder::new().max_rect(head), |ui| self.head(ui, low))
            .response
            .rect;
        let foot = whole.with_min_y(whole.bottom() - self.foot_height(low));
        let body =
            whole.with_min_y(head.bottom() + if low { 8.0 } else { 14.0 }).with_max_y(foot.top());
        self.body_height = body.height();
        ui.scope_builder(UiBuilder::new().max_rect(body), |ui| {
            // However low the window is, the scrolled contents never reach below the buttons.
            let page = egui::ScrollArea::vertical().auto_shrink([false, false]);
            page.min_scrolled_height(0.0).show(ui, |ui| {
                let margin = Margin { left: beside as i8, right: beside as i8, top: 0, bottom: 0 };
                egui::Frame::new().inner_margin(margin).show(ui, |ui| {
                    ui.spacing_mut().item_spacing.y = GAP;
                    self.body(ui);
                });
            })
        });
        let row = foot
            .shrink2(vec2(beside, 0.0))
            .with_min_y(foot.top() + if low { 8.0 } else { 12.0 })
            .with_max_y(foot.bottom() - if low { 10.0 } else { 20.0 });
        self.foot(ui, row);
        // The window's name for screen readers.
        ui.ctx().accesskit_node_builder(egui::accesskit_root_id(), |node| {
            node.set_label(self.options.app_name.clone())
        });
        self.ask(ui.ctx());
        self.drop_hint(ui);
        self.keep_size(ui.ctx());
        // If a click was answered after something was drawn, the picture shows the state before the
        // click.
        let answered = |event: &egui::Event| {
            matches!(
                event,
                egui::Event::Key { .. }
                    | egui::Event::PointerButton { .. }
                    | egui::Event::AccessKitActionRequest(_)
            )
        };
        if ui.input(|input| input.events.iter().any(answered)) {
            ui.ctx().request_repaint();
        }
        if self.closed.is_some() {
            // The window is hidden first. On X11 a window otherwise stays visible while its process
            // lives on and waits for the app.
            ui.ctx().send_viewport_cmd(egui::ViewportCommand::Visible(false));
            ui.ctx().send_viewport_cmd(egui::ViewportCommand::Close);
        }
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

    /// Fulfils the wish of another start of the launcher: brings this window in front of all
    /// others.
    fn take_wish(&mut self, context: &egui::Context) {
        let Some(part) = self.handle.take_wanted() else { return };
        context.send_viewport_cmd(egui::ViewportCommand::Minimized(false));
        context.send_viewport_cmd(egui::ViewportCommand::Focus);
        match part {
            WindowPart::Versions => self.turn_to(Page::Versions),
            WindowPart::Check if self.view.at_rest() => {
                self.page = Page::Update;
                self.act(Action::Check);
            }
            WindowPart::Any | WindowPart::Check => {}
        }
        context.request_repaint();
    }

    fn read_notes(&mut self) {
        if self.notes.0 != self.view.notes {
            self.notes = (self.view.notes.clone(), Markdown::parse(&self.view.notes));
        }
    }

    /// Enter presses the primary button unless another control has the focus. Escape goes back or
    /// answers "not now".
    fn take_keys(&mut self, ui: &Ui) {
        let (enter, escape) =
            ui.input(|input| (input.key_pressed(Key::Enter), input.key_pressed(Key::Escape)));
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
        match (action, &self.view.phase) {
            (Action::InstallFile, _) => self.inbox.wanted = true,
            (Action::Versions, _) => self.page = Page::Versions,
            (Action::EndApp, _) => self.asking = Some(Question::EndApp),
            (Action::StayHere, Phase::RolledBack { to, .. }) => {
                self.handle.send(Command::Pin(Some(to.clone())))
            }
            _ => {}
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

    /// Opens a folder in the file manager, or shows why it cannot be opened.
    fn open_folder(&mut self, folder: &Path) {
        if (self.options.open_folder)(folder).is_err() {
            self.trouble =
                Some(self.texts.with("folder-failed", &[("path", &folder.display().to_string())]));
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
        self.notice_text(ui);
        match self.view.phase.clone() {
            Phase::Offered { offer } => self.offer(ui, &offer),
            Phase::Checking
            | Phase::Swapping { .. }
            | Phase::Switching { .. }
            | Phase::RollingBack
            | Phase::Repairing { .. } => self.waiting(ui),
            Phase::Closing { version, back, wait } => {
                self.closing(ui, version.as_ref(), back, wait)
            }
            Phase::RolledBack { from, retained, files, .. } => {
                if files.of_left {
                    self.rolled_back(ui, &from, &retained);
                }
            }
            Phase::Downloading { .. } | Phase::Paused { .. } | Phase::Installing { .. } => {
                self.download(ui)
            }
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
            Phase::Ready { .. } | Phase::Swapped { .. } => {
                if let Some(why) =
                    self.texts.obstacle(&self.view.obstacles).filter(|_| self.view.is_ready())
                {
                    self.statement(ui, &why);
                }
                self.release_notes(ui, 0.0);
            }
            Phase::Idle if self.view.starts => self.waiting(ui),
            Phase::Idle | Phase::Launched { .. } | Phase::Cancelled => {}
        }
    }

    /// Shows what went wrong without ending the phase.
    fn notices(&mut self, ui: &mut Ui) {
        if let Some(problem) = self.view.notice.clone() {
            let [what, why, next] = self.texts.problem(&shortened(&problem));
            if self.notice(ui, &what, &self.texts.paragraph(&[&why, &next])) {
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
        let frame = theme::card(&colours)
            .fill(colours.warning.gamma_multiply(0.10))
            .stroke(egui::Stroke::NONE);
        frame
            .show(ui, |ui| {
                ui.take_available_width();
                ui.spacing_mut().item_spacing.y = 4.0;
                ui.label(RichText::new(title).font(theme::title(14.0)));
                if !text.is_empty() {
                    ui.label(RichText::new(text).size(13.0).color(colours.muted));
                }
                widgets::small_button(ui, &self.texts.get("action-dismiss"), Emphasis::Secondary)
                    .clicked()
            })
            .inner
    }

    /// Whether this window only reports notices and asks nothing.
    pub(super) fn only_reports(&self) -> bool {
        self.view.reports()
    }

    /// The text that "copy details" puts on the clipboard: English, for the person who helps.
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
