//! The buttons at the bottom of the window. They stay in place while the contents scroll.

use egui::{Rect, Ui, UiBuilder};

use super::state::{Dialog, Page};
use crate::gui::actions::{Action, Actions};
use crate::gui::widgets::{self, Emphasis};

/// A longer name of an app is left out of a button's text, characters.
const MAX_NAME_CHARACTERS: usize = 20;

impl Dialog {
    /// The buttons in drawing order: the quiet one on the left, the others on the right with the
    /// primary one last.
    fn foot_actions(&self) -> Actions {
        match self.page {
            Page::Versions => Actions {
                quiet: self.view.at_rest().then_some(Action::Check),
                ..Actions::default()
            },
            Page::Update => self.view.actions(),
        }
    }

    /// Height of the part with the buttons, points.
    pub(super) fn foot_height(&self, low: bool) -> f32 {
        if self.page == Page::Update && self.foot_actions() == Actions::default() {
            return if low { 10.0 } else { 20.0 };
        }
        36.0 + if low { 18.0 } else { 32.0 }
    }

    /// Draws the buttons from left to right.
    pub(super) fn foot(&mut self, ui: &mut Ui, row: Rect) {
        let Actions { primary, secondary, quiet } = self.foot_actions();
        let add = |ui: &mut Ui, action: Option<Action>, emphasis: Emphasis| {
            action.filter(|action| widgets::button(ui, &self.name(*action), emphasis).clicked())
        };
        let left = row.with_min_x(row.left() - widgets::QUIET_SIDE);
        let left = UiBuilder::new()
            .max_rect(left)
            .layout(egui::Layout::left_to_right(egui::Align::Center));
        let mut left = ui.new_child(left);
        let mut chosen = add(&mut left, quiet, Emphasis::Quiet);
        if self.page == Page::Versions {
            let back = |ui: &mut Ui| {
                widgets::button(ui, &self.texts.get("action-back"), Emphasis::Secondary).clicked()
            };
            if widgets::trailing(ui, row, "foot", back) {
                self.page = Page::Update;
            }
        } else {
            let right = |ui: &mut Ui| {
                let chosen = add(ui, secondary, Emphasis::Secondary);
                add(ui, primary, Emphasis::Primary).or(chosen)
            };
            let right = widgets::trailing(ui, row, "foot", right);
            chosen = chosen.or(right);
            if let Some(notice) = self.view.reports_one().cloned() {
                self.fold(&mut left, &notice, |ui, name| {
                    widgets::button(ui, name, Emphasis::Quiet)
                });
            }
        }
        if let Some(action) = chosen {
            self.page = Page::Update;
            self.act(action);
        }
    }

    /// A button's text.
    fn name(&self, action: Action) -> String {
        match action {
            Action::RestartNow if self.has_long_name() => self.texts.get("action-restart-app"),
            Action::StartNow if self.has_long_name() => self.texts.get("action-start-app"),
            action => self.texts.get(action.text()),
        }
    }

    /// Whether the app's name is too long for a button.
    fn has_long_name(&self) -> bool {
        self.options.app_name.chars().count() > MAX_NAME_CHARACTERS
    }
}
