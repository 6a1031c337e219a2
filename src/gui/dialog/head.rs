//! The top of the window: the quiet controls, the app's icon, and the headline of the screen.

use egui::{RichText, Sense, Ui, UiBuilder, vec2};

use super::state::{Dialog, Page};
use super::versions;
use crate::gui::texts::Language;
use crate::gui::theme::{self, Palette};
use crate::gui::widgets::{self, Emphasis};
use crate::gui::{fonts, icons};
use crate::settings::Theme;

/// A title longer than this is written in smaller letters, characters.
const LONG_TITLE: usize = 50;
/// Rows of a title in a low window.
const LOW_ROWS: usize = 2;

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
                let mut title = widgets::plain(title, colours.text);
                if low {
                    // A very long version would otherwise push the subtitle below the buttons.
                    title.wrap.max_rows = LOW_ROWS;
                }
                widgets::strong(ui, title, size);
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
            self.theme_button(ui);
            self.language_button(ui);
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

    /// Changes between the system's colours, light and dark.
    fn theme_button(&mut self, ui: &mut Ui) {
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
    }

    /// Changes to the other language.
    fn language_button(&mut self, ui: &mut Ui) {
        let other = match self.texts.language() {
            Language::Chinese => Language::English,
            Language::English => Language::Chinese,
        };
        let hint =
            self.texts.with("action-language", &[("language", self.texts.language().name())]);
        if widgets::small_button(ui, other.name(), Emphasis::Quiet).on_hover_text(hint).clicked() {
            self.set_language(ui.ctx(), other);
        }
    }

    fn set_language(&mut self, context: &egui::Context, language: Language) {
        self.choices.language = Some(language);
        self.texts = self.texts.in_language(language);
        fonts::install(context, language);
    }
}
