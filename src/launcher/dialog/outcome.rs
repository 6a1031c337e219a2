//! The screens without a question or with a short one: waiting, up to date, ready, failed.

use egui::{RichText, Ui};

use super::Dialog;
use crate::engine::protocol::Problem;
use crate::launcher::theme::{self, Palette};
use crate::launcher::widgets::{self, Bar, Emphasis};

impl Dialog {
    /// Nobody knows how long it takes.
    pub(super) fn waiting(&self, ui: &mut Ui) {
        let colours = Palette::of(ui);
        ui.add_space(4.0);
        let (name, _, _) = self.headline();
        widgets::bar(ui, &Bar { fraction: None, height: 6.0, colour: colours.accent, name: &name });
        ui.add_space(4.0);
    }

    /// One sentence.
    pub(super) fn statement(&self, ui: &mut Ui, text: &str) {
        widgets::card(ui, |ui| ui.label(text));
    }

    /// What happened, why, what next; and for whoever helps, the causes in English.
    pub(super) fn failure(&mut self, ui: &mut Ui, problem: &Problem) {
        let colours = Palette::of(ui);
        let [what, why, next] = self.texts.problem(problem);
        widgets::card(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 8.0;
            ui.label(RichText::new(what).font(theme::title(16.0)).color(colours.danger));
            ui.label(RichText::new(why).color(colours.muted));
            ui.label(next);
        });
        ui.horizontal(|ui| {
            ui.add_space(-widgets::QUIET_SIDE);
            let toggle = if self.details_open { "action-hide-details" } else { "action-show-details" };
            if widgets::small_button(ui, &self.texts.get(toggle), Emphasis::Quiet).clicked() {
                self.details_open = !self.details_open;
            }
            let copy = if self.copied { "action-copied" } else { "action-copy-details" };
            if widgets::small_button(ui, &self.texts.get(copy), Emphasis::Quiet).clicked() {
                ui.ctx().copy_text(self.report(problem));
                self.copied = true;
            }
        });
        if self.details_open {
            widgets::card(ui, |ui| {
                let report = RichText::new(self.report(problem).trim_end()).monospace().color(colours.muted);
                ui.add(egui::Label::new(report).wrap().selectable(true));
            });
        }
    }
}
