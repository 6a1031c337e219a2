//! The top of the window: the quiet controls, the app's icon, and the title of the screen.

use egui::{RichText, Sense, Ui, UiBuilder, vec2};

use super::state::{Dialog, Page};
use super::{offer, versions};
use crate::gui::texts::Language;
use crate::gui::theme::{self, Palette};
use crate::gui::widgets::{self, Emphasis, Mark};
use crate::gui::{fonts, icons, repaired_subtitle, repaired_title};
use crate::messages::protocol::{ClosingWait, NoUpdate, Phase, ProblemKind};
use crate::settings::Theme;

/// A title longer than this is written in smaller letters, characters.
const LONG_TITLE: usize = 50;

impl Dialog {
    pub(super) fn head(&mut self, ui: &mut Ui, low: bool) {
        let colours = Palette::of(ui);
        let (title, subtitle, mark) = match self.page {
            Page::Update => self.headline(),
            Page::Versions => versions::headline(&self.texts, &self.view),
        };
        let is_named = title.contains(&self.options.app_name);
        self.tools(ui, !is_named);
        ui.add_space(if low { 0.0 } else { 2.0 });
        let icon = if low { 44.0 } else { 64.0 };
        ui.horizontal(|ui| {
            let (rect, _) = ui.allocate_exact_size(vec2(icon, icon), Sense::hover());
            match &self.icon {
                Some(texture) => {
                    egui::Image::new((texture.id(), rect.size()))
                        .corner_radius(icon * 0.22)
                        .paint_at(ui, rect);
                }
                None => widgets::initial(ui, rect, &self.options.app_name),
            }
            if let Some(mark) = mark {
                widgets::mark(ui, rect.right_bottom() - vec2(5.0, 5.0), mark);
            }
            ui.add_space(8.0);
            ui.vertical(|ui| {
                ui.spacing_mut().item_spacing.y = 2.0;
                let subtitle = RichText::new(subtitle).color(colours.muted).line_height(Some(20.0));
                ui.add_space(if low { 0.0 } else { 6.0 });
                let size = if low || title.chars().count() > LONG_TITLE { 18.0 } else { 22.0 };
                widgets::strong(ui, widgets::plain(title, colours.text), size);
                ui.add(egui::Label::new(subtitle).wrap());
            });
        });
    }

    /// The quiet controls above the header: versions, a file, theme, language.
    fn tools(&mut self, ui: &mut Ui, with_name: bool) {
        let colours = Palette::of(ui);
        let (row, _) = ui.allocate_exact_size(vec2(ui.available_width(), 28.0), Sense::hover());
        let whole = row.with_max_x(row.right() + widgets::QUIET_SIDE);
        let tools = widgets::trailing(ui, whole, "tools", |ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            let empty = self.view.installed.is_empty();
            let versions = self.texts.get("action-versions");
            if self.page == Page::Update
                && !empty
                && widgets::small_button(ui, &versions, Emphasis::Quiet).clicked()
            {
                self.turn_to(Page::Versions);
            }
            let hint = self.texts.get("action-install-file");
            if self.view.at_rest() && widgets::icon_button(ui, &hint, icons::file_in).clicked() {
                self.inbox.wanted = true;
            }
            let (now, next) = match self.choices.theme.unwrap_or(self.options.appearance.theme) {
                Theme::Auto => ("theme-auto", Theme::Light),
                Theme::Light => ("theme-light", Theme::Dark),
                Theme::Dark => ("theme-dark", Theme::Auto),
            };
            let hint = self.texts.with("action-theme", &[("theme", &self.texts.get(now))]);
            if widgets::icon_button(ui, &hint, icons::half_circle).clicked() {
                self.choices.theme = Some(next);
                ui.ctx().set_theme(theme::preference(next));
            }
            let other = match self.texts.language() {
                Language::Chinese => Language::English,
                Language::English => Language::Chinese,
            };
            let hint =
                self.texts.with("action-language", &[("language", self.texts.language().name())]);
            if widgets::small_button(ui, other.name(), Emphasis::Quiet)
                .on_hover_text(hint)
                .clicked()
            {
                self.set_language(ui.ctx(), other);
            }
            ui.min_rect()
        });
        if with_name {
            // A long name is cut at the left edge of the controls.
            let left = row.with_max_x(tools.left() - 12.0);
            let left = UiBuilder::new()
                .max_rect(left)
                .layout(egui::Layout::left_to_right(egui::Align::Center));
            let name = RichText::new(&self.options.app_name).size(13.0).color(colours.muted);
            ui.new_child(left).add(egui::Label::new(name).truncate());
        }
    }

    fn set_language(&mut self, context: &egui::Context, language: Language) {
        self.choices.language = Some(language);
        self.texts = self.texts.in_language(language);
        fonts::install(context, language);
    }

    /// Title, subtitle and mark of the current phase.
    pub(super) fn headline(&self) -> (String, String, Option<Mark>) {
        let texts = &self.texts;
        let versioned = |name: &str, version: &dyn std::fmt::Display| {
            texts.with(name, &[("version", &version.to_string())])
        };
        match &self.view.phase {
            Phase::Idle if self.view.reports() => self.incidents_headline(),
            Phase::Idle if self.view.starts => {
                (texts.get("starting-title"), texts.get("starting-subtitle"), None)
            }
            Phase::Idle => (texts.get("idle-title"), texts.get("idle-subtitle"), None),
            Phase::Checking if self.view.file_given => {
                (texts.get("checking-file-title"), texts.get("checking-file-subtitle"), None)
            }
            Phase::Checking => (texts.get("checking-title"), texts.get("checking-subtitle"), None),
            Phase::UpToDate { current: None, .. } => {
                (texts.get("nothing-title"), texts.get("current-subtitle-none"), Some(Mark::Note))
            }
            Phase::UpToDate { current: Some(current), reason } => {
                // The title says "newest" only if no newer release exists.
                let newest = matches!(reason, NoUpdate::Newest | NoUpdate::Installed);
                let (title, mark) = if newest {
                    ("current-title", Mark::Done)
                } else {
                    ("no-update-title", Mark::Note)
                };
                (versioned(title, current), versioned("current-subtitle", current), Some(mark))
            }
            Phase::Offered { offer } => offer::headline(texts, offer),
            Phase::Downloading { version } => {
                let first = self.view.first_install();
                let subtitle =
                    if first { "downloading-subtitle-first" } else { "downloading-subtitle" };
                (versioned("downloading-title", version), self.texts.get(subtitle), None)
            }
            Phase::Paused { .. } => {
                (texts.get("paused-title"), texts.get("paused-subtitle"), Some(Mark::Paused))
            }
            Phase::Installing { version } => {
                let subtitle = match (self.view.incremental, self.view.from_file) {
                    (true, _) => "installing-subtitle-incremental",
                    (false, true) => "installing-subtitle-file",
                    (false, false) => "installing-subtitle",
                };
                (versioned("installing-title", version), self.texts.get(subtitle), None)
            }
            Phase::Ready { version, running } => {
                let subtitle = match (running, self.view.elsewhere) {
                    (true, true) => "ready-subtitle-elsewhere",
                    (true, false) => "ready-subtitle-running",
                    (false, _) => "ready-subtitle-stopped",
                };
                (versioned("ready-title", version), versioned(subtitle, version), Some(Mark::Done))
            }
            Phase::Swapping { version } => {
                (versioned("swapping-title", version), texts.get("swapping-subtitle"), None)
            }
            Phase::Swapped { version, .. } => (
                versioned("swapped-title", version),
                texts.get("swapped-subtitle"),
                Some(Mark::Done),
            ),
            Phase::Closing { wait, .. } => {
                let (title, subtitle, mark) = match wait {
                    ClosingWait::App => ("closing-title", "closing-subtitle", None),
                    ClosingWait::Person => {
                        ("closing-title-person", "closing-subtitle-person", Some(Mark::Paused))
                    }
                    ClosingWait::Unreachable => (
                        "closing-title-unreachable",
                        "closing-subtitle-unreachable",
                        Some(Mark::Paused),
                    ),
                };
                (texts.get(title), texts.get(subtitle), mark)
            }
            Phase::Switching { version } => {
                let subtitle = if self.view.starts {
                    "switching-subtitle-start"
                } else {
                    "switching-subtitle"
                };
                (versioned("switching-title", version), texts.get(subtitle), None)
            }
            Phase::Launched { version } => {
                let subtitle = if self.view.finished() {
                    "launched-subtitle"
                } else {
                    "launched-subtitle-notice"
                };
                (versioned("launched-title", version), texts.get(subtitle), Some(Mark::Done))
            }
            Phase::RollingBack => {
                let subtitle = if self.view.holds_any_files() {
                    "rolling-back-subtitle"
                } else {
                    "rolling-back-subtitle-plain"
                };
                (texts.get("rolling-back-title"), texts.get(subtitle), None)
            }
            Phase::RolledBack { from, to, files, .. } => {
                let subtitle = if files.any() {
                    texts.get("rolled-back-subtitle")
                } else {
                    versioned("rolled-back-subtitle-plain", from)
                };
                (versioned("rolled-back-title", to), subtitle, Some(Mark::Done))
            }
            Phase::Failed { problem } if problem.kind == ProblemKind::DidNotStart => (
                texts.problem(problem)[0].clone(),
                texts.get("failed-subtitle-did-not-start"),
                Some(Mark::Failed),
            ),
            Phase::Failed { problem } if problem.kind == ProblemKind::EndedWithError => (
                texts.problem(problem)[0].clone(),
                texts.get("failed-subtitle-ended-with-error"),
                Some(Mark::Failed),
            ),
            Phase::Failed { problem } if is_no_start(problem.kind) => (
                texts.get("failed-title-start"),
                texts.get("failed-subtitle-launch"),
                Some(Mark::Failed),
            ),
            Phase::Failed { problem } if is_no_update(problem.kind) => (
                texts.get("failed-title-other"),
                texts.get("failed-subtitle-start"),
                Some(Mark::Failed),
            ),
            Phase::Failed { .. } if self.view.is_alone() => (
                texts.get("failed-title-start"),
                texts.get("failed-subtitle-start"),
                Some(Mark::Failed),
            ),
            Phase::Failed { .. } => {
                let (title, subtitle) = if self.view.first_install() {
                    ("failed-title-first", "failed-subtitle")
                } else {
                    ("failed-title", "failed-subtitle-safe")
                };
                (self.texts.get(title), self.texts.get(subtitle), Some(Mark::Failed))
            }
            Phase::Repairing { version } => {
                (versioned("repairing-title", version), texts.get("repairing-subtitle"), None)
            }
            Phase::Repaired(repaired) => {
                let mark = if repaired.left.is_empty() { Mark::Done } else { Mark::Failed };
                (
                    versioned(repaired_title(repaired), &repaired.version),
                    repaired_subtitle(texts, repaired),
                    Some(mark),
                )
            }
            Phase::Cancelled if self.view.first_install() => (
                texts.get("cancelled-title-first"),
                texts.get("cancelled-subtitle"),
                Some(Mark::Paused),
            ),
            Phase::Cancelled => {
                (texts.get("cancelled-title"), texts.get("cancelled-subtitle"), Some(Mark::Paused))
            }
        }
    }
}

/// Whether the failed step is the start of an installed version.
const fn is_no_start(kind: ProblemKind) -> bool {
    matches!(kind, ProblemKind::LaunchFailed | ProblemKind::ProgramsForbidden)
}

/// Whether the failed step is a choice among the installed versions, and not an update.
const fn is_no_update(kind: ProblemKind) -> bool {
    matches!(
        kind,
        ProblemKind::NoRollbackPoint
            | ProblemKind::DataTooNew
            | ProblemKind::VersionInUse
            | ProblemKind::NoSuchVersion
            | ProblemKind::NotInstalled
            | ProblemKind::AppRunning
    )
}
