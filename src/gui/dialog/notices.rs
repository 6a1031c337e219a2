//! The notices of incidents that nobody saw. They stand alone in a window, or as cards above
//! another screen.

use std::path::Path;

use egui::{Response, RichText, Ui};

use super::outcome::{middle_left_out, monospaced};
use super::state::{Dialog, Headline};
use crate::gui::theme::{self, Palette};
use crate::gui::widgets::{self, Emphasis, Mark};
use crate::model::Version;
use crate::model::incident::{Conflict, Incident, Notice};

/// How many files are named; for the rest the notice gives their number.
const NAMED: usize = 8;
/// Distance between two details, points.
const PAUSE: f32 = 8.0;

impl Dialog {
    /// Title and subtitle of a window that only reports notices.
    pub(super) fn incidents_headline(&self) -> Headline {
        let texts = &self.texts;
        let (title, text) = match self.view.reports_one() {
            Some(notice) => texts.notice_text(&notice.what, &self.options.zone).into(),
            None => {
                let count = u64::try_from(self.view.incidents.len()).unwrap_or(u64::MAX);
                let plain = self.view.incidents.iter().all(|notice| !notice.what.concerns_files());
                let subtitle =
                    if plain { "notice-several-subtitle-plain" } else { "notice-several-subtitle" };
                (texts.count("notice-several", count, &[]), texts.get(subtitle))
            }
        };
        (title, text, Some(Mark::Note))
    }

    /// The notices, the newest first.
    pub(super) fn notice_text(&mut self, ui: &mut Ui) {
        // The headline already says what it is, and the foot has the button for the rest.
        if let Some(notice) = self.view.reports_one().cloned() {
            if self.unfolded.contains(&notice) {
                widgets::card(ui, |ui| self.particulars(ui, &notice));
            }
            return;
        }
        let reports = self.view.reports();
        for notice in self.view.incidents.clone() {
            ui.push_id((notice.when, std::mem::discriminant(&notice.what)), |ui| {
                widgets::card(ui, |ui| self.incident_card(ui, &notice, reports));
            });
        }
    }

    fn incident_card(&mut self, ui: &mut Ui, notice: &Notice, reports: bool) {
        let colours = Palette::of(ui);
        let [title, text] = self.texts.notice_text(&notice.what, &self.options.zone);
        ui.spacing_mut().item_spacing.y = 4.0;
        ui.add(egui::Label::new(RichText::new(title).font(theme::title(14.0))).wrap());
        ui.add(egui::Label::new(RichText::new(text).size(13.0).color(colours.muted)).wrap());
        ui.add_space(2.0);
        ui.horizontal(|ui| {
            // A window that only reports notices is acknowledged as a whole.
            if !reports
                && widgets::small_button(ui, &self.texts.get("action-dismiss"), Emphasis::Secondary)
                    .clicked()
            {
                let command = self.view.seen(notice);
                self.handle.send(command);
            }
            self.fold(ui, notice, |ui, name| widgets::small_button(ui, name, Emphasis::Secondary));
        });
        if self.unfolded.contains(notice) {
            ui.add_space(6.0);
            self.particulars(ui, notice);
        }
    }

    /// The control that shows or hides the rest.
    pub(super) fn fold(
        &mut self,
        ui: &mut Ui,
        notice: &Notice,
        button: fn(&mut Ui, &str) -> Response,
    ) {
        let open = self.unfolded.contains(notice);
        let name = if open { "action-hide-details" } else { "action-details" };
        if button(ui, &self.texts.get(name)).clicked() {
            if open {
                self.unfolded.retain(|unfolded| unfolded != notice);
            } else {
                self.unfolded.push(notice.clone());
            }
        }
    }

    /// All known details of a notice.
    fn particulars(&mut self, ui: &mut Ui, notice: &Notice) {
        ui.spacing_mut().item_spacing.y = 2.0;
        match &notice.what {
            Incident::RolledBack { failure, .. } => {
                self.particular(ui, "notice-why", &middle_left_out(&self.texts.failure(failure)))
            }
            Incident::Recalled { .. } => {
                self.particular(ui, "notice-why", &self.texts.get("notice-recalled-why"))
            }
            Incident::Withdrawn { .. } => {
                self.particular(ui, "notice-why", &self.texts.get("notice-withdrawn-why"))
            }
            Incident::NotSwitched { to, chain } => {
                self.particular(ui, "notice-why", &self.texts.get("notice-not-switched-why"));
                self.report_card(ui, &format!("not switched to {to}"), chain);
            }
            Incident::HookFailed { version, chain } => {
                self.particular(ui, "notice-why", &self.texts.get("notice-hook-failed-why"));
                self.report_card(ui, &format!("a hook of {version} failed"), chain);
            }
            Incident::Conflicts { version, files } => self.conflicts(ui, version, files),
            Incident::Unreadable { path, chain, .. } => {
                let path = path.display().to_string();
                let why = self.texts.with("notice-unreadable-why", &[("path", &path)]);
                self.particular(ui, "notice-why", &why);
                self.report_card(ui, &format!("cannot read {path}"), chain);
            }
            Incident::Repaired { .. } => {
                self.particular(ui, "notice-why", &self.texts.get("notice-repaired-why"))
            }
            Incident::NotRepaired { .. } => {
                self.particular(ui, "notice-why", &self.texts.get("notice-not-repaired-why"))
            }
            Incident::LeftAlone { .. } => {
                self.particular(ui, "notice-why", &self.texts.get("notice-left-alone-why"))
            }
            Incident::SetAside { .. } => {
                self.particular(ui, "notice-why", &self.texts.get("notice-set-aside-why"))
            }
            Incident::WorkedInStandIn { .. } => {
                self.particular(ui, "notice-why", &self.texts.get("notice-worked-in-why"))
            }
        }
        let when = self.texts.moment(notice.when, &self.options.zone);
        ui.add_space(PAUSE);
        self.particular(ui, "notice-when", &when);
        if let Incident::RolledBack { from: failed, .. }
        | Incident::NotSwitched { to: failed, .. } = &notice.what
        {
            ui.add_space(PAUSE);
            self.particular(
                ui,
                "notice-next",
                &self.texts.with("notice-next-text", &[("version", &failed.to_string())]),
            );
        }
        if let Incident::RolledBack { from, retained, holds_files: true, .. }
        | Incident::Recalled { from, retained, holds_files: true, .. }
        | Incident::WorkedInStandIn { worked_in: from, retained, .. } = &notice.what
        {
            ui.add_space(PAUSE);
            widgets::card_title(
                ui,
                &self.texts.with("notice-retained", &[("version", &from.to_string())]),
            );
            ui.add(egui::Label::new(self.texts.get("notice-retained-text")).wrap());
            if self.place(ui, retained) {
                self.open_folder(retained);
            }
        }
    }

    fn conflicts(&mut self, ui: &mut Ui, version: &Version, files: &[Conflict]) {
        let colours = Palette::of(ui);
        widgets::card_title(ui, &self.texts.get("notice-files"));
        for Conflict { yours, beside } in files.iter().take(NAMED) {
            ui.add_space(2.0);
            ui.add(egui::Label::new(yours.display().to_string()).wrap());
            let name = beside.file_name().unwrap_or(beside.as_os_str()).to_string_lossy();
            let beside = self.texts.with("notice-beside", &[("name", &name)]);
            ui.add(egui::Label::new(RichText::new(beside).size(12.5).color(colours.muted)).wrap());
        }
        if files.len() > NAMED {
            let more = u64::try_from(files.len() - NAMED).unwrap_or(u64::MAX);
            ui.add_space(2.0);
            ui.label(
                RichText::new(self.texts.count("notice-more", more, &[])).color(colours.muted),
            );
        }
        let Some(installed) =
            self.view.installed.iter().find(|installed| installed.id.version == *version)
        else {
            return;
        };
        let folder = common_folder(&installed.folder, files);
        ui.add_space(4.0);
        if widgets::small_button(ui, &self.texts.get("action-open-folder"), Emphasis::Secondary)
            .clicked()
        {
            self.open_folder(&folder);
        }
    }

    /// The report for the person who helps, with a button to copy it.
    fn report_card(&mut self, ui: &mut Ui, what: &str, chain: &[String]) {
        let report = self.report_of(what, chain);
        ui.add_space(4.0);
        monospaced(ui, &report);
        ui.add_space(4.0);
        self.copy_button(ui, report, Emphasis::Secondary);
    }

    fn particular(&self, ui: &mut Ui, name: &str, text: &str) {
        widgets::card_title(ui, &self.texts.get(name));
        ui.add(egui::Label::new(text).wrap());
    }
}

/// The folder that contains all files if there is one, else the folder of the version.
fn common_folder(version: &Path, files: &[Conflict]) -> std::path::PathBuf {
    let folders = || files.iter().filter_map(|file| file.yours.parent());
    match folders().next() {
        Some(first) if folders().all(|folder| folder == first) => version.join(first),
        _ => version.to_owned(),
    }
}
