//! Files that the user gives to the window, chosen in the system's dialog or dropped.

use std::path::PathBuf;

use egui::{Align2, Color32, RichText, Stroke, StrokeKind, Ui};

use super::inbox::{FileAnswer, FileQuestion, Picked};
use super::state::{Dialog, Page};
use crate::gui::theme::{self, Palette};
use crate::messages::protocol::{CheckTrigger, Command};
use crate::model::release::BUNDLE_EXTENSION;

impl Dialog {
    /// Opens the system's dialog if the user asked for it, and takes files that were chosen or
    /// dropped.
    pub(super) fn take_files(&mut self, ui: &Ui) {
        if self.inbox.is_to_ask() {
            let (answered, context) = (self.inbox.ask(), ui.ctx().clone());
            let question = FileQuestion {
                title: self.texts.get("action-install-file"),
                kind: self.texts.get("file-kind"),
                extension: BUNDLE_EXTENSION,
            };
            let answer: FileAnswer = Box::new(move |chosen| {
                // The window may have closed before the answer arrives.
                let _ = answered.send(chosen);
                context.request_repaint();
            });
            (self.options.pick_file)(question, answer);
        }
        while let Some(chosen) = self.inbox.answer() {
            match chosen {
                Picked::File(path) => self.give(path),
                Picked::Nothing => {}
                Picked::NoDialog => self.trouble = Some(self.texts.get("file-dialog-failed")),
            }
        }
        let dropped: Vec<PathBuf> = ui.input(|input| {
            input.raw.dropped_files.iter().map(|file| file.path().to_owned()).collect()
        });
        let is_bundle = |path: &&PathBuf| {
            path.extension().is_some_and(|extension| extension == BUNDLE_EXTENSION)
        };
        if let Some(path) = dropped.iter().find(is_bundle).or(dropped.first()) {
            self.give(path.clone());
        }
    }

    fn give(&mut self, path: PathBuf) {
        if self.view.at_rest() {
            self.view.file_given = true;
            self.page = Page::Update;
            self.handle.send(Command::Check(CheckTrigger::Bundle(path)));
        }
    }

    /// The hint while a file hovers over the window: what dropping it does.
    pub(super) fn drop_hint(&self, ui: &Ui) {
        if ui.input(|input| input.raw.hovered_files.is_empty()) {
            return;
        }
        let colours = Palette::of(ui);
        let screen = ui.ctx().content_rect();
        let (text, colour) = if self.view.at_rest() {
            ("drop-title", colours.accent_text)
        } else {
            ("drop-busy", colours.muted)
        };
        let area = egui::Area::new(egui::Id::unique("drop"))
            .order(egui::Order::Foreground)
            .fixed_pos(screen.min);
        area.interactable(false).show(ui.ctx(), |ui| {
            let shade = colours.background.gamma_multiply(0.92);
            ui.painter().rect_filled(screen, 0.0, shade);
            let stroke = Stroke::new(2.0, colour);
            ui.painter().rect(
                screen.shrink(14.0),
                12.0,
                Color32::TRANSPARENT,
                stroke,
                StrokeKind::Inside,
            );
            let label = RichText::new(self.texts.get(text)).font(theme::title(20.0)).color(colour);
            let place = Align2::CENTER_CENTER
                .align_size_within_rect(egui::vec2(screen.width() - 60.0, 60.0), screen);
            ui.put(place, egui::Label::new(label).selectable(false));
        });
    }
}
