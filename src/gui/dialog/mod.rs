//! The contents of the window: one screen for each phase, the version menu, and the frame around
//! them (tools, header, buttons, keys).
//!
//! In: events from the mailbox, clicks and keys. Out: commands into the mailbox, and when and why
//! the window shall close. Never: a decision about updates, or a text outside of the catalogue.
//!
//! ```text
//! state     what a dialog holds from frame to frame    head, foot  above and below the screens
//! offer     a release to take                          download    its progress
//! outcome   waiting, up to date, failed                notices     incidents that nobody saw
//! versions  the version menu                           switches    the user's switches below it
//! question  before what cannot be undone               old_shortcuts  of an earlier installation
//! file      files that the user gives                  inbox       the way of their answer
//! size      how large the window is
//! ```

mod download;
mod file;
mod foot;
mod head;
mod headline;
mod inbox;
mod notices;
mod offer;
mod old_shortcuts;
mod outcome;
mod question;
mod size;
mod state;
mod switches;
mod versions;

use std::path::Path;

pub use inbox::Picked;
pub(crate) use inbox::{FileAnswer, FileQuestion};
pub(crate) use state::Choices;
pub use state::{CloseReason, Dialog, DialogOptions};

use egui::{Key, Margin, RichText, Ui, UiBuilder, Vec2, vec2};

use super::actions::Action;
use super::theme::{self, GAP, MARGIN, Palette};
use super::widgets::{self, Emphasis};
use crate::messages::mailbox::WindowPart;
use crate::messages::protocol::{Command, Event, NoUpdate, Phase, Problem};
use crate::model::Version;
use outcome::{breakable, shortened};
use state::{Page, Question};

/// A window lower than this uses smaller margins at its top and bottom, points.
const LOW: f32 = 420.0;

impl Dialog {
    /// Prepares an egui context: fonts, theme, the icon, and the waker for events of the engine.
    pub fn prepare(&mut self, context: &egui::Context) {
        self.icon = self.options.appearance.prepare(context, &self.handle);
    }

    /// The first size of the window, points, on a screen with this much room.
    pub fn size_on(&mut self, room: Option<Vec2>) -> Vec2 {
        self.size.first(self.wanted_size(), room)
    }

    fn wanted_size(&self) -> Vec2 {
        if self.comes_by_itself() && self.page == Page::Update {
            size::REPORT
        } else {
            size::UPDATE
        }
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
        self.take_input(ui);
        self.draw(ui);
        self.ask(ui.ctx());
        self.drop_hint(ui);
        let size = self.wanted_size();
        self.size.keep(size, ui.ctx());
        // If a click was answered after something was drawn, the picture shows the state before the
        // click.
        if ui.input(|input| input.events.iter().any(may_be_answered)) {
            ui.ctx().request_repaint();
        }
        if self.closed.is_some() {
            // The window is hidden first. On X11 a window otherwise stays visible while its process
            // lives on and waits for the app.
            ui.ctx().send_viewport_cmd(egui::ViewportCommand::Visible(false));
            ui.ctx().send_viewport_cmd(egui::ViewportCommand::Close);
        }
    }

    /// Takes in what came from the engine, other launchers, the keyboard and the window system.
    fn take_input(&mut self, ui: &mut Ui) {
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
    }

    /// Draws head, body and foot. The order of these calls is the order of the Tab key: from top to
    /// bottom.
    fn draw(&mut self, ui: &mut Ui) {
        let whole = ui.max_rect();
        ui.painter().rect_filled(whole, 0.0, Palette::of(ui).background);
        let low = whole.height() < LOW;
        let head = whole.shrink2(vec2(MARGIN, if low { 6.0 } else { 12.0 }));
        let head = ui
            .scope_builder(UiBuilder::new().max_rect(head), |ui| self.head(ui, low))
            .response
            .rect;
        let foot = whole.with_min_y(whole.bottom() - self.foot_height(low));
        let body =
            whole.with_min_y(head.bottom() + if low { 8.0 } else { 14.0 }).with_max_y(foot.top());
        self.body_height = body.height();
        ui.scope_builder(UiBuilder::new().max_rect(body), |ui| self.scrolled_body(ui));
        let row = foot
            .shrink2(vec2(MARGIN, 0.0))
            .with_min_y(foot.top() + if low { 8.0 } else { 12.0 })
            .with_max_y(foot.bottom() - if low { 10.0 } else { 20.0 });
        self.foot(ui, row);
        // The window's name for screen readers.
        ui.ctx().accesskit_node_builder(egui::accesskit_root_id(), |node| {
            node.set_label(self.options.app_name.clone())
        });
    }

    fn scrolled_body(&mut self, ui: &mut Ui) {
        // However low the window is, the scrolled contents never reach below the buttons.
        let page = egui::ScrollArea::vertical().auto_shrink([false, false]);
        page.min_scrolled_height(0.0).show(ui, |ui| {
            let margin = Margin { left: MARGIN as i8, right: MARGIN as i8, top: 0, bottom: 0 };
            egui::Frame::new().inner_margin(margin).show(ui, |ui| {
                ui.spacing_mut().item_spacing.y = GAP;
                self.body(ui);
            });
        });
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
        } else if self.view.is_answered() && self.page == Page::Update {
            self.close(CloseReason::ByUser);
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

    /// Back to an older version of the channel: with the files as they were where it was left, else
    /// by an offer.
    fn go_back_to(&mut self, newest: Version) {
        let mut installed = self.view.installed.iter();
        match installed.find(|one| one.id.version == newest && one.left.is_some()) {
            Some(point) => self.asking = Some(Question::GoBack(point.id.clone())),
            None => self.handle.send(Command::CheckVersion(newest)),
        }
    }

    fn act(&mut self, action: Action) {
        match (action, &self.view.phase) {
            (Action::Install | Action::Start, Phase::Offered { offer })
                if offer.replaces_newer().is_some() =>
            {
                self.asking = Some(Question::StepBack);
                return;
            }
            (Action::BackToChannel, Phase::UpToDate { reason, .. }) => {
                if let NoUpdate::AheadOfChannel { newest } = reason.of_newer() {
                    let newest = newest.clone();
                    self.go_back_to(newest);
                }
            }
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
        if self.view.asks_about_shortcuts() {
            return self.old_shortcuts(ui);
        }
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
                let text = self.texts.no_update(&reason);
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
                    self.texts.blocker(&self.view.blockers).filter(|_| self.view.is_ready())
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
            if self.notice(ui, &what, &breakable(&self.texts.paragraph(&[&why, &next]))) {
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

    /// Whether this window came by itself beside the app: it reports notices, or asks about old
    /// shortcuts.
    pub(super) fn comes_by_itself(&self) -> bool {
        self.view.reports() || self.view.is_only_asking()
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

/// Whether an event can be an answer: a key, a mouse button, or what a screen reader pressed.
const fn may_be_answered(event: &egui::Event) -> bool {
    matches!(
        event,
        egui::Event::Key { .. }
            | egui::Event::PointerButton { .. }
            | egui::Event::AccessKitActionRequest(_)
    )
}
