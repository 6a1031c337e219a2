//! The question about the shortcuts of an earlier installation: what there is of them. The buttons
//! below have the answers.

use egui::{RichText, Ui};

use super::state::{Dialog, Headline};
use crate::gui::theme::{self, Palette};
use crate::gui::widgets::{self, Mark};

/// How many shortcuts are named; for the rest the card gives their number.
const NAMED: usize = 6;

impl Dialog {
    pub(super) fn old_shortcuts_headline(&self) -> Headline {
        let count = u64::try_from(self.view.old_shortcuts.found.len()).unwrap_or(u64::MAX);
        let title = self.texts.count("old-shortcuts-title", count, &[]);
        (title, self.texts.get("old-shortcuts-subtitle"), Some(Mark::Note))
    }

    /// The names of the shortcuts and their places.
    pub(super) fn old_shortcuts(&self, ui: &mut Ui) {
        let found = &self.view.old_shortcuts.found;
        let colours = Palette::of(ui);
        widgets::card(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 6.0;
            for shortcut in found.iter().take(NAMED) {
                let place =
                    if shortcut.on_desktop { "old-shortcut-desktop" } else { "old-shortcut-menu" };
                let place = RichText::new(self.texts.get(place)).size(13.0).color(colours.muted);
                let name = RichText::new(&shortcut.name).font(theme::title(14.0));
                egui::Sides::new().shrink_left().truncate().show(
                    ui,
                    |ui| ui.label(name),
                    |ui| ui.label(place),
                );
            }
            if found.len() > NAMED {
                let more = u64::try_from(found.len() - NAMED).unwrap_or(u64::MAX);
                let more = self.texts.count("notice-more", more, &[]);
                ui.label(RichText::new(more).color(colours.muted));
            }
        });
    }
}
