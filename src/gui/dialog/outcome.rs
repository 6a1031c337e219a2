//! The screens without a question or with a short one: waiting, up to date, rolled back, failed.

use std::path::Path;

use egui::{RichText, Ui};

use super::state::Dialog;
use crate::gui::theme::{self, Palette};
use crate::gui::widgets::{self, Bar, Emphasis};
use crate::messages::protocol::{ClosingWait, Problem};
use crate::model::Version;

/// In a path or message longer than this the middle is left out, characters.
const MAX_SUBJECT_CHARACTERS: usize = 240;

impl Dialog {
    /// A waiting screen shows no progress, except while the launcher carries the user's files over.
    pub(super) fn waiting(&self, ui: &mut Ui) {
        let colours = Palette::of(ui);
        ui.add_space(4.0);
        let (name, _, _) = self.headline();
        let progress = &self.view.progress;
        let fraction = self.view.takes_files_along().then(|| self.view.fraction());
        widgets::bar(ui, &Bar { fraction, height: 6.0, colour: colours.accent, name: &name });
        if fraction.is_some() {
            let amount = self.texts.taken_along(progress.done, progress.total);
            ui.label(RichText::new(amount).size(13.0).color(colours.muted));
        }
        ui.add_space(4.0);
    }

    /// The app is closing: the screen shows what follows, and what the user can do until then.
    pub(super) fn closing(
        &self,
        ui: &mut Ui,
        version: Option<&Version>,
        back: bool,
        wait: ClosingWait,
    ) {
        if wait == ClosingWait::App {
            return self.waiting(ui);
        }
        let what = match version {
            Some(version) => {
                let name = if back { "closing-then-back" } else { "closing-then" };
                self.texts.with(name, &[("version", &version.to_string())])
            }
            None => self.texts.get("closing-then-other"),
        };
        let how =
            if wait == ClosingWait::Person { "closing-person" } else { "closing-unreachable" };
        let (how, colours) = (self.texts.get(how), Palette::of(ui));
        widgets::card(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 6.0;
            ui.label(how);
            ui.label(RichText::new(what).color(colours.muted));
        });
    }

    /// Shows the folder of the retained user data after a rollback.
    pub(super) fn rolled_back(&mut self, ui: &mut Ui, from: &Version, retained: &Path) {
        let text = self.texts.with("rolled-back-retained-here", &[("version", &from.to_string())]);
        let opened = widgets::card(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 4.0;
            ui.label(text);
            self.place(ui, retained)
        });
        if opened {
            self.open_folder(retained);
        }
    }

    /// A folder's path with a button. Returns whether the user wants to open the folder.
    pub(super) fn place(&self, ui: &mut Ui, folder: &Path) -> bool {
        let colours = Palette::of(ui);
        ui.add(
            egui::Label::new(
                RichText::new(folder.display().to_string()).size(12.5).color(colours.muted),
            )
            .wrap(),
        );
        ui.add_space(2.0);
        widgets::small_button(ui, &self.texts.get("action-open-folder"), Emphasis::Secondary)
            .clicked()
    }

    /// A single sentence in a card.
    pub(super) fn statement(&self, ui: &mut Ui, text: &str) {
        widgets::card(ui, |ui| ui.label(text));
    }

    /// The problem: what happened, why, what next. For the person who helps it also has the error
    /// chain in English.
    pub(super) fn failure(&mut self, ui: &mut Ui, problem: &Problem) {
        let colours = Palette::of(ui);
        let [what, why, mut next] = self.texts.problem(&shortened(problem));
        if problem.kind.is_the_apps_end() && !self.view.has_other_versions() {
            next = self.texts.get("did-not-start-alone");
        }
        let is_headline = self.headline().0 == what;
        widgets::card(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 8.0;
            if !is_headline {
                ui.label(RichText::new(what).font(theme::title(16.0)).color(colours.danger));
            }
            ui.label(RichText::new(breakable(&why)).color(colours.muted));
            ui.label(next);
        });
        // What the app wrote last is shown at once.
        let open = problem.kind.is_the_apps_end() || self.fold_details(ui);
        if open {
            widgets::card(ui, |ui| {
                let report = self.report(problem);
                monospaced(ui, &report);
                ui.add_space(4.0);
                self.copy_button(ui, report, Emphasis::Secondary);
            });
        }
    }

    /// A button that puts a text on the clipboard and confirms it.
    pub(super) fn copy_button(&mut self, ui: &mut Ui, report: String, emphasis: Emphasis) {
        let copy = if self.copied { "action-copied" } else { "action-copy-details" };
        if widgets::small_button(ui, &self.texts.get(copy), emphasis).clicked() {
            ui.ctx().copy_text(report);
            self.copied = true;
        }
    }
}

/// Technical lines in a fixed-width font, for the person who helps.
pub(super) fn monospaced(ui: &mut Ui, text: &str) {
    let colours = Palette::of(ui);
    let text = RichText::new(text.trim_end()).monospace().color(colours.muted);
    ui.add(egui::Label::new(text).wrap().selectable(true));
}

/// The same problem with its subject shortened to a readable length. The details contain the whole
/// subject.
pub(super) fn shortened(problem: &Problem) -> Problem {
    Problem { subject: middle_left_out(&problem.subject), ..problem.clone() }
}

/// A text in which a line may end after a full-width colon. egui breaks lines at spaces and between
/// Chinese characters, and would tear the word before such a colon from a long path after it.
pub(super) fn breakable(text: &str) -> String {
    const THIN_SPACE: &str = "\u{2009}";
    text.replace('：', &format!("：{THIN_SPACE}"))
}

/// A text whose middle is left out if it is very long.
pub(super) fn middle_left_out(text: &str) -> String {
    let count = text.chars().count();
    if count <= MAX_SUBJECT_CHARACTERS {
        return text.to_owned();
    }
    let part = MAX_SUBJECT_CHARACTERS / 2;
    let (start, end): (String, String) =
        (text.chars().take(part).collect(), text.chars().skip(count - part).collect());
    format!("{start}…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_after_a_chinese_colon_leaves_the_words_before_it_whole() {
        let why =
            "系统无法读写：/home/user/.local/share/sample/containers/sample_1.0.0_Linux_x86_64";
        let context = egui::Context::default();
        let mut rows = Vec::new();
        let mut output = context.run_ui(egui::RawInput::default(), |ui| {
            let font = egui::FontId::proportional(14.0);
            let laid_out = ui.painter().layout(breakable(why), font, egui::Color32::BLACK, 400.0);
            rows = laid_out.rows.iter().map(|row| row.text()).collect();
        });
        // Nothing is drawn on a screen.
        output.textures_delta.clear();
        assert_eq!(rows[0].trim_end(), "系统无法读写：");
        assert!(rows[1].starts_with("/home/user"), "{rows:?}");
    }
}
