//! What happened while nobody looked: alone in a window of its own, or as cards above another screen.

use std::path::Path;

use egui::{RichText, Ui};

use super::Dialog;
use super::outcome::monospaced;
use crate::launcher::theme::{self, Palette};
use crate::launcher::widgets::{self, Emphasis, Mark};
use crate::model::Version;
use crate::model::happened::{Conflict, Failure, Happened, Notice};

/// Files that are named; of more there is the number.
const NAMED: usize = 8;

impl Dialog {
    /// Title and subtitle of a window that tells what happened.
    pub(super) fn headline_told(&self) -> (String, String, Option<Mark>) {
        let texts = &self.texts;
        match self.view.happened.as_slice() {
            [notice] => {
                let [title, text] = texts.told(&notice.what);
                (title, text, Some(Mark::Note))
            }
            several => {
                let count = u64::try_from(several.len()).unwrap_or(u64::MAX);
                (texts.count("told-several", count, &[]), texts.get("told-several-subtitle"), Some(Mark::Note))
            }
        }
    }

    /// A list of files is what a person needs; it is unfolded where nothing else is shown.
    pub(super) fn unfold_what_is_a_list(&mut self) {
        if self.view.tells()
            && let [notice @ Notice { what: Happened::Conflicts { .. }, .. }] = self.view.happened.as_slice()
        {
            self.unfolded.push(notice.clone());
        }
    }

    /// What happened, the newest first.
    pub(super) fn told(&mut self, ui: &mut Ui) {
        let tells = self.view.tells();
        let alone = tells && self.view.happened.len() == 1;
        for notice in self.view.happened.clone() {
            ui.push_id((notice.when, std::mem::discriminant(&notice.what)), |ui| {
                if alone {
                    // The headline says what it is.
                    ui.horizontal(|ui| {
                        ui.add_space(-widgets::QUIET_SIDE);
                        self.fold(ui, &notice, Emphasis::Quiet);
                    });
                    if self.unfolded.contains(&notice) {
                        widgets::card(ui, |ui| self.particulars(ui, &notice));
                    }
                } else {
                    widgets::card(ui, |ui| self.told_card(ui, &notice, tells));
                }
            });
        }
    }

    fn told_card(&mut self, ui: &mut Ui, notice: &Notice, tells: bool) {
        let colours = Palette::of(ui);
        let [title, text] = self.texts.told(&notice.what);
        ui.spacing_mut().item_spacing.y = 4.0;
        ui.add(egui::Label::new(RichText::new(title).font(theme::title(14.0))).wrap());
        ui.add(egui::Label::new(RichText::new(text).size(13.0).color(colours.muted)).wrap());
        ui.add_space(2.0);
        ui.horizontal(|ui| {
            // A window of its own is closed as a whole.
            if !tells && widgets::small_button(ui, &self.texts.get("action-dismiss"), Emphasis::Secondary).clicked() {
                let command = self.view.seen(notice);
                self.handle.send(command);
            }
            self.fold(ui, notice, Emphasis::Secondary);
        });
        if self.unfolded.contains(notice) {
            ui.add_space(6.0);
            self.particulars(ui, notice);
        }
    }

    fn fold(&mut self, ui: &mut Ui, notice: &Notice, emphasis: Emphasis) {
        let open = self.unfolded.contains(notice);
        let name = if open { "action-hide-details" } else { "action-details" };
        if widgets::small_button(ui, &self.texts.get(name), emphasis).clicked() {
            if open {
                self.unfolded.retain(|unfolded| unfolded != notice);
            } else {
                self.unfolded.push(notice.clone());
            }
        }
    }

    /// All that is known.
    fn particulars(&mut self, ui: &mut Ui, notice: &Notice) {
        ui.spacing_mut().item_spacing.y = 2.0;
        match &notice.what {
            Happened::RolledBack { from, failure, kept, .. } => self.rolled_back_by_itself(ui, (from, failure, kept)),
            Happened::NotSwitched { to, chain } => self.not_switched(ui, to, chain),
            Happened::Conflicts { version, files } => self.conflicts(ui, version, files),
        }
        let when = self.texts.moment(notice.when, &self.options.zone);
        ui.add_space(8.0);
        self.particular(ui, "told-when", &when);
    }

    fn rolled_back_by_itself(&mut self, ui: &mut Ui, (from, failure, kept): (&Version, &Failure, &Path)) {
        let version = from.to_string();
        self.particular(ui, "told-why", &self.texts.failure(failure));
        ui.add_space(8.0);
        self.particular(ui, "told-next", &self.texts.with("told-next-text", &[("version", &version)]));
        ui.add_space(8.0);
        let name = self.texts.with("told-kept", &[("version", &version)]);
        self.named(ui, &name, &self.texts.get("told-kept-text"));
        if self.place(ui, kept) {
            self.open_folder(kept);
        }
    }

    fn not_switched(&mut self, ui: &mut Ui, to: &Version, chain: &[String]) {
        self.particular(ui, "told-why", &self.texts.get("told-not-switched-why"));
        let report = self.report_of(&format!("not switched to {to}"), chain);
        ui.add_space(4.0);
        monospaced(ui, &report);
        ui.horizontal(|ui| {
            ui.add_space(-widgets::QUIET_SIDE);
            self.copy_button(ui, report);
        });
        ui.add_space(4.0);
        self.particular(ui, "told-next", &self.texts.with("told-next-text", &[("version", &to.to_string())]));
    }

    fn conflicts(&mut self, ui: &mut Ui, version: &Version, files: &[Conflict]) {
        let colours = Palette::of(ui);
        widgets::card_title(ui, &self.texts.get("told-files"));
        for Conflict { yours, beside } in files.iter().take(NAMED) {
            ui.add_space(2.0);
            ui.add(egui::Label::new(yours.display().to_string()).wrap());
            let name = beside.file_name().unwrap_or(beside.as_os_str()).to_string_lossy();
            let beside = self.texts.with("told-beside", &[("name", &name)]);
            ui.add(egui::Label::new(RichText::new(beside).size(12.5).color(colours.muted)).wrap());
        }
        if files.len() > NAMED {
            let more = u64::try_from(files.len() - NAMED).unwrap_or(u64::MAX);
            ui.add_space(2.0);
            ui.label(RichText::new(self.texts.count("told-more", more, &[])).color(colours.muted));
        }
        let Some(installed) = self.view.installed.iter().find(|installed| installed.id.version == *version) else { return };
        let folder = common_folder(&installed.folder, files);
        ui.add_space(4.0);
        if widgets::small_button(ui, &self.texts.get("action-open-folder"), Emphasis::Secondary).clicked() {
            self.open_folder(&folder);
        }
    }

    fn particular(&self, ui: &mut Ui, name: &str, text: &str) {
        self.named(ui, &self.texts.get(name), text);
    }

    fn named(&self, ui: &mut Ui, name: &str, text: &str) {
        widgets::card_title(ui, name);
        ui.add(egui::Label::new(text).wrap());
    }
}

/// The folder that all files lie in, if that is one; else the version's.
fn common_folder(version: &Path, files: &[Conflict]) -> std::path::PathBuf {
    let folders = || files.iter().filter_map(|file| file.yours.parent());
    match folders().next() {
        Some(first) if folders().all(|folder| folder == first) => version.join(first),
        _ => version.to_owned(),
    }
}
