//! The version menu: the installed versions, what the user can do with each, the retained user
//! data, the disk space of all that, and the user's switches.

use egui::{RichText, Ui};

use super::state::{Dialog, Headline, Question};
use crate::gui::texts::Texts;
use crate::gui::theme::{self, Palette};
use crate::gui::view_state::ViewState;
use crate::gui::widgets::{self, Emphasis};
use crate::messages::protocol::{Command, InstalledVersion, RetainedFiles};

/// Title and subtitle.
pub(super) fn headline(texts: &Texts, view: &ViewState) -> Headline {
    let count = u64::try_from(view.installed.len()).unwrap_or(u64::MAX);
    let (name, size) = match &view.disk_use {
        Some(disk_use) => ("versions-subtitle-measured", disk_use.whole),
        None => ("versions-subtitle", view.installed.iter().map(|version| version.size).sum()),
    };
    let subtitle = if count == 0 {
        String::new()
    } else {
        texts.count(name, count, &[("size", &texts.size(size))])
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
            ui.push_id(&version.folder, |ui| widgets::card(ui, |ui| self.version(ui, &version)));
        }
        self.surplus(ui);
        if !self.view.retained.is_empty() {
            widgets::card(ui, |ui| self.retained(ui));
        }
        self.switches(ui);
    }

    fn version(&mut self, ui: &mut Ui, version: &InstalledVersion) {
        let colours = Palette::of(ui);
        ui.spacing_mut().item_spacing.y = 6.0;
        ui.horizontal_wrapped(|ui| {
            ui.label(RichText::new(version.id.version.to_string()).font(theme::title(16.0)));
            // Another version runs now: this one comes with the next start.
            let waits = version.active
                && !version.running
                && self.view.installed.iter().any(|other| other.running);
            let badges = [
                (version.active && !waits, "version-active", colours.accent_text),
                (waits, "version-next", colours.accent_text),
                (version.running, "version-running", colours.success),
                (version.pinned, "version-pinned", colours.muted),
                (version.failed, "version-failed", colours.warning),
                (version.recalled, "version-recalled", colours.warning),
            ];
            for (_, name, colour) in badges.into_iter().filter(|(applies, _, _)| *applies) {
                widgets::badge(ui, &self.texts.get(name), colour);
            }
            if version.ready && !version.running {
                widgets::badge(ui, &self.texts.get("version-ready"), colours.success);
            }
        });
        let date = self.texts.date(version.installed, &self.options.zone);
        let size = self.texts.size(self.view.size_of(version));
        let facts = self.texts.with("version-facts", &[("size", &size), ("date", &date)]);
        ui.label(RichText::new(facts).size(13.0).color(colours.muted));
        ui.add_space(2.0);
        ui.horizontal_wrapped(|ui| self.choices_for(ui, version));
        self.strategies_to(ui, version);
    }

    fn choices_for(&mut self, ui: &mut Ui, version: &InstalledVersion) {
        let button = |ui: &mut Ui, name: &str, emphasis| {
            widgets::small_button(ui, &self.texts.get(name), emphasis).clicked()
        };
        let other = self.view.at_rest() && !version.active;
        let id = || version.id.clone();
        let mut asking = None;
        if other && button(ui, "action-switch", Emphasis::Secondary) {
            asking = Some(Question::Switch(id()));
        }
        if other && version.left.is_some() && button(ui, "action-go-back", Emphasis::Secondary) {
            asking = Some(Question::GoBack(id()));
        }
        if version.active {
            let name = if version.pinned { "action-unpin" } else { "action-pin" };
            if button(ui, name, Emphasis::Secondary) {
                self.handle
                    .send(Command::Pin((!version.pinned).then(|| version.id.version.clone())));
            }
        }
        let open = button(ui, "action-open-folder", Emphasis::Secondary);
        if other && !version.running && button(ui, "action-remove", Emphasis::Danger) {
            asking = Some(Question::Remove(id()));
        }
        if asking.is_some() {
            self.asking = asking;
        }
        if open {
            self.open_folder(&version.folder);
        }
    }

    /// What the two ways to a version do to the user's files, where both ways exist.
    fn strategies_to(&self, ui: &mut Ui, version: &InstalledVersion) {
        let of_interest = self.view.at_rest()
            && !version.active
            && (version.holds_files || self.view.holds_files());
        let Some(left) = version.left.filter(|_| of_interest) else { return };
        let date = self.texts.date(left, &self.options.zone);
        let colours = Palette::of(ui);
        ui.spacing_mut().item_spacing.y = 2.0;
        for text in [
            self.texts.get("version-way-switch"),
            self.texts.with("version-way-back", &[("date", &date)]),
        ] {
            ui.add(egui::Label::new(RichText::new(text).size(12.5).color(colours.muted)).wrap());
        }
    }

    /// The versions beyond the number to keep, if there are any.
    fn surplus(&mut self, ui: &mut Ui) {
        let count = u64::try_from(self.view.surplus().count()).unwrap_or(u64::MAX);
        if count == 0 || !self.view.at_rest() {
            return;
        }
        let colours = Palette::of(ui);
        let size = self.view.surplus().map(|version| self.view.size_of(version)).sum();
        let text = self.texts.count("surplus", count, &[("size", &self.texts.size(size))]);
        let free = egui::Sides::new().height(28.0).shrink_left().truncate().show(
            ui,
            |ui| ui.label(RichText::new(text).size(13.0).color(colours.muted)),
            |ui| {
                widgets::small_button(ui, &self.texts.get("action-prune"), Emphasis::Secondary)
                    .clicked()
            },
        );
        if free.1 {
            self.asking = Some(Question::Prune);
        }
    }

    /// The retained user data.
    fn retained(&mut self, ui: &mut Ui) {
        let colours = Palette::of(ui);
        ui.spacing_mut().item_spacing.y = 2.0;
        widgets::card_title(ui, &self.texts.get("retained-title"));
        ui.add(
            egui::Label::new(
                RichText::new(self.texts.get("retained-text")).size(12.5).color(colours.muted),
            )
            .wrap(),
        );
        for retained in self.view.retained.clone() {
            ui.add_space(8.0);
            let (open, delete) = self.retained_files(ui, &retained);
            if open {
                self.open_folder(&retained.folder);
            }
            if delete {
                self.asking = Some(Question::Delete(retained));
            }
        }
    }

    /// Returns whether to open the folder, and whether to delete it.
    fn retained_files(&self, ui: &mut Ui, retained: &RetainedFiles) -> (bool, bool) {
        let colours = Palette::of(ui);
        let name = self.texts.with("retained-of", &[("version", &retained.version.to_string())]);
        let mut facts = self.texts.moment(retained.left, &self.options.zone);
        // User data inside the version's folder already counts in the size of that version.
        let own = self.view.installed.iter().all(|version| version.folder != retained.folder);
        if let Some(bytes) = self
            .view
            .disk_use
            .as_ref()
            .and_then(|disk_use| disk_use.of(&retained.folder))
            .filter(|_| own)
        {
            facts.push_str(&format!(" • {}", self.texts.size(bytes)));
        }
        let lines = |ui: &mut Ui| {
            ui.vertical(|ui| {
                ui.spacing_mut().item_spacing.y = 2.0;
                ui.label(name);
                ui.label(RichText::new(facts).size(12.5).color(colours.muted));
            })
        };
        let button = |ui: &mut Ui, name: &str, emphasis| {
            widgets::small_button(ui, &self.texts.get(name), emphasis).clicked()
        };
        let buttons = |ui: &mut Ui| {
            // Files in a version's folder go with the version.
            let delete = own && button(ui, "action-delete", Emphasis::Danger);
            (button(ui, "action-open-folder", Emphasis::Secondary), delete)
        };
        egui::Sides::new().height(38.0).shrink_left().show(ui, lines, buttons).1
    }
}
