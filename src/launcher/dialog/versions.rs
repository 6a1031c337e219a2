//! The version menu: what is installed, and what can be done with it.

use egui::{RichText, Ui};

use super::Dialog;
use crate::engine::protocol::{Command, InstalledVersion};
use crate::launcher::texts::Texts;
use crate::launcher::theme::{self, Palette};
use crate::launcher::view_state::ViewState;
use crate::launcher::widgets::{self, Emphasis, Mark};

/// Title and subtitle.
pub(super) fn headline(texts: &Texts, view: &ViewState) -> (String, String, Option<Mark>) {
    let size = view.installed.iter().map(|version| version.size).sum();
    let count = u64::try_from(view.installed.len()).unwrap_or(u64::MAX);
    let subtitle = match count {
        0 => String::new(),
        _ => texts.count("versions-subtitle", count, &[("size", &texts.size(size))]),
    };
    (texts.get("versions-title"), subtitle, None)
}

impl Dialog {
    pub(super) fn versions(&mut self, ui: &mut Ui) {
        if self.view.installed.is_empty() {
            let text = self.texts.get("versions-empty");
            return self.statement(ui, &text);
        }
        for version in self.view.installed.clone() {
            widgets::card(ui, |ui| self.version(ui, &version));
        }
    }

    fn version(&mut self, ui: &mut Ui, version: &InstalledVersion) {
        let colours = Palette::of(ui);
        ui.spacing_mut().item_spacing.y = 6.0;
        ui.horizontal(|ui| {
            ui.label(RichText::new(version.id.version.to_string()).font(theme::title(16.0)));
            if version.active {
                widgets::badge(ui, &self.texts.get("version-active"), colours.accent_text);
            }
            if version.running {
                widgets::badge(ui, &self.texts.get("version-running"), colours.success);
            }
            if version.ready && !version.running {
                widgets::badge(ui, &self.texts.get("version-ready"), colours.success);
            }
        });
        let date = self.texts.date(version.installed, &self.options.zone);
        let facts = self.texts.with("version-facts", &[("size", &self.texts.size(version.size)), ("date", &date)]);
        ui.label(RichText::new(facts).size(13.0).color(colours.muted));
        ui.add_space(2.0);
        ui.horizontal(|ui| {
            let at_rest = self.view.at_rest();
            if at_rest
                && !version.active
                && widgets::small_button(ui, &self.texts.get("action-switch"), Emphasis::Secondary).clicked()
            {
                self.handle.send(Command::Switch(version.id.clone()));
                self.page = super::Page::Update;
            }
            if widgets::small_button(ui, &self.texts.get("action-open-folder"), Emphasis::Secondary).clicked()
                && (self.options.open_folder)(&version.folder).is_err()
            {
                let path = version.folder.display().to_string();
                self.trouble = Some(self.texts.with("folder-failed", &[("path", &path)]));
            }
            if at_rest
                && !version.active
                && !version.running
                && widgets::small_button(ui, &self.texts.get("action-remove"), Emphasis::Danger).clicked()
            {
                self.removing = Some(version.id.clone());
            }
        });
    }

    /// Asks a second time before a version is deleted.
    pub(super) fn confirm_removal(&mut self, context: &egui::Context) {
        let Some(id) = self.removing.clone() else { return };
        let Some(version) = self.view.installed.iter().find(|version| version.id == id) else {
            self.removing = None;
            return;
        };
        let title = self.texts.with("remove-title", &[("version", &id.version.to_string())]);
        let text = self.texts.with("remove-text", &[("size", &self.texts.size(version.size))]);
        let colours = Palette::for_theme(context.theme());
        let frame = theme::card(&colours).inner_margin(20);
        let shown = egui::Modal::new(egui::Id::unique("remove")).frame(frame).show(context, |ui| {
            ui.set_width(360.0);
            ui.spacing_mut().item_spacing.y = 8.0;
            ui.label(RichText::new(title).font(theme::title(17.0)));
            ui.label(RichText::new(text).color(colours.muted));
            ui.add_space(6.0);
            egui::Sides::new()
                .show(
                    ui,
                    |_| (),
                    |ui| {
                        let remove = widgets::button(ui, &self.texts.get("action-remove"), Emphasis::Danger).clicked();
                        (remove, widgets::button(ui, &self.texts.get("action-cancel"), Emphasis::Secondary).clicked())
                    },
                )
                .1
        });
        let (remove, keep) = shown.inner;
        if remove {
            self.handle.send(Command::Remove(id));
        }
        if remove || keep || shown.should_close() {
            self.removing = None;
        }
    }
}
