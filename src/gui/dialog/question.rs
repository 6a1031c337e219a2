//! The questions before an action that cannot be undone easily: in plain words, what becomes of the
//! user's files.

use egui::{RichText, Ui};

use super::state::{Dialog, Page, Question};
use crate::gui::theme::{self, Palette};
use crate::gui::widgets::{self, Emphasis};
use crate::messages::protocol::{Command, InstalledVersion, Phase, RetainedFiles};

/// Height of what surrounds the words of a question in the window, points: its frame, its answers,
/// and a little distance.
const AROUND_WORDS: f32 = 108.0;

/// A question in words.
struct Words {
    title: String,
    paragraphs: Vec<String>,
    yes: &'static str,
    emphasis: Emphasis,
    command: Command,
}

impl Dialog {
    /// Shows the open question, if there is one.
    pub(super) fn ask(&mut self, context: &egui::Context) {
        let Some(question) = self.asking.clone() else {
            self.focused = None;
            return;
        };
        let words = match &question {
            Question::Prune => self.about_pruning(),
            Question::StepBack => self.about_stepping_back(),
            Question::Delete(retained) => Some(self.about_deleting(retained)),
            Question::EndApp => self.about_ending(),
            Question::Remove(id) | Question::Switch(id) | Question::GoBack(id) => {
                let version = self.view.installed.iter().find(|version| version.id == *id);
                version.and_then(|version| self.about(&question, version))
            }
        };
        // The subject of the question has gone meanwhile, or an operation is under way.
        let Some(words) = words else {
            self.asking = None;
            return;
        };
        let is_new = self.focused.as_ref() != Some(&question);
        self.focused = Some(question.clone());
        let colours = Palette::for_theme(context.theme());
        let frame = theme::card(&colours).inner_margin(20);
        let shown = egui::Modal::new(egui::Id::unique("question"))
            .frame(frame)
            .show(context, |ui| self.words_and_answers(ui, &words, is_new));
        let (yes, no) = shown.inner;
        if yes {
            self.handle.send(words.command);
            if matches!(question, Question::Switch(_) | Question::GoBack(_)) {
                self.page = Page::Update;
            }
        }
        if yes || no || shown.should_close() {
            self.asking = None;
        }
    }

    /// Draws a question. Returns whether the user pressed yes, and whether no.
    fn words_and_answers(&self, ui: &mut Ui, words: &Words, is_new: bool) -> (bool, bool) {
        let colours = Palette::of(ui);
        ui.set_width(380.0);
        ui.spacing_mut().item_spacing.y = 8.0;
        // However many words there are, the answers stay in the window, and the words scroll.
        let room = ui.ctx().content_rect().height() - AROUND_WORDS;
        let words_in_room = egui::ScrollArea::vertical().max_height(room).min_scrolled_height(0.0);
        words_in_room.auto_shrink([false, true]).show(ui, |ui| {
            ui.add(egui::Label::new(RichText::new(&words.title).font(theme::title(17.0))).wrap());
            for (index, paragraph) in words.paragraphs.iter().enumerate() {
                let colour = if index == 0 { colours.text } else { colours.muted };
                ui.add(egui::Label::new(RichText::new(paragraph).color(colour)).wrap());
            }
        });
        ui.add_space(6.0);
        let (row, _) =
            ui.allocate_exact_size(egui::vec2(ui.available_width(), 36.0), egui::Sense::hover());
        widgets::trailing(ui, row, "answers", |ui| {
            let no = widgets::button(ui, &self.texts.get("action-cancel"), Emphasis::Secondary);
            if is_new {
                // Return presses the button that changes nothing.
                no.request_focus();
            }
            let yes = widgets::button(ui, &self.texts.get(words.yes), words.emphasis);
            (yes.clicked(), no.clicked())
        })
    }

    /// The question about a version; `None` if it cannot be answered now.
    fn about(&self, question: &Question, version: &InstalledVersion) -> Option<Words> {
        match question {
            Question::Remove(_) => Some(self.about_removing(version)),
            Question::Switch(_) if self.view.at_rest() => Some(self.about_switching(version)),
            Question::GoBack(_) if self.view.at_rest() => self.about_going_back(version),
            _ => None,
        }
    }

    fn about_removing(&self, version: &InstalledVersion) -> Words {
        let texts = &self.texts;
        let size = texts.size(self.view.size_of(version));
        let retains_files = version.left.is_some() && version.holds_files;
        Words {
            title: texts.with("remove-title", &[("version", &version.id.version.to_string())]),
            paragraphs: std::iter::once(texts.with("remove-text", &[("size", &size)]))
                .chain(retains_files.then(|| texts.get("remove-text-retained")))
                .collect(),
            yes: "action-remove",
            emphasis: Emphasis::Danger,
            command: Command::Remove(version.id.clone()),
        }
    }

    /// The question about an older release on offer; `None` once it is offered no longer.
    fn about_stepping_back(&self) -> Option<Words> {
        let Phase::Offered { offer } = &self.view.phase else { return None };
        offer.replaces_newer()?;
        let mut paragraphs = vec![self.texts.offered(offer)];
        paragraphs.extend(self.what_comes_along());
        Some(Words {
            title: self.texts.with("switch-title", &[("version", &offer.version().to_string())]),
            paragraphs,
            yes: "action-switch-now",
            emphasis: Emphasis::Primary,
            command: Command::Start,
        })
    }

    fn about_deleting(&self, retained: &RetainedFiles) -> Words {
        let texts = &self.texts;
        let date = texts.moment(retained.left, &self.options.zone);
        let last = if retained.only_copy { "delete-text-only" } else { "delete-text" };
        Words {
            title: texts.with("delete-title", &[("version", &retained.version.to_string())]),
            paragraphs: vec![texts.with("delete-text-date", &[("date", &date)]), texts.get(last)],
            yes: "action-delete-now",
            emphasis: Emphasis::Danger,
            command: Command::DeleteRetained(retained.folder.clone()),
        }
    }

    /// What becomes of the user's files at a switch; nothing if the app stores its files elsewhere.
    fn what_comes_along(&self) -> impl Iterator<Item = String> {
        let texts = &self.texts;
        let active = self.view.active().map(|active| active.id.version.to_string());
        let carries = self.view.holds_files();
        let back = active
            .filter(|_| carries)
            .map(|active| texts.with("switch-text-back", &[("version", &active)]));
        carries.then(|| texts.get("switch-text")).into_iter().chain(back)
    }

    fn about_switching(&self, version: &InstalledVersion) -> Words {
        let texts = &self.texts;
        let more = [
            version.failed.then(|| texts.get("switch-text-failed")),
            self.app_runs().then(|| texts.get("switch-text-running")),
        ];
        Words {
            title: texts.with("switch-title", &[("version", &version.id.version.to_string())]),
            paragraphs: self.what_comes_along().chain(more.into_iter().flatten()).collect(),
            yes: "action-switch-now",
            emphasis: Emphasis::Primary,
            command: Command::Switch(version.id.clone()),
        }
    }

    fn about_going_back(&self, version: &InstalledVersion) -> Option<Words> {
        let texts = &self.texts;
        let number = version.id.version.to_string();
        let date = texts.moment(version.left?, &self.options.zone);
        let keeps = self.view.holds_files();
        let what = if version.holds_files || keeps { "go-back-text" } else { "go-back-text-plain" };
        let paragraphs = [
            Some(texts.with(what, &[("version", &number), ("date", &date)])),
            keeps.then(|| texts.get("go-back-text-retained")),
            self.app_runs().then(|| texts.get("go-back-text-running")),
        ];
        Some(Words {
            title: texts.with("go-back-title", &[("version", &number)]),
            paragraphs: paragraphs.into_iter().flatten().collect(),
            yes: "action-go-back-now",
            emphasis: Emphasis::Primary,
            command: Command::RollBack(Some(version.id.clone())),
        })
    }

    fn app_runs(&self) -> bool {
        self.view.installed.iter().any(|version| version.running)
    }

    /// The question about ending the app; `None` once the app is no longer closing.
    fn about_ending(&self) -> Option<Words> {
        let texts = &self.texts;
        matches!(self.view.phase, Phase::Closing { .. }).then(|| Words {
            title: texts.get("end-app-title"),
            paragraphs: vec![texts.get("end-app-text"), texts.get("end-app-text-instead")],
            yes: "action-end-app-now",
            emphasis: Emphasis::Danger,
            command: Command::EndApp,
        })
    }

    fn about_pruning(&self) -> Option<Words> {
        let texts = &self.texts;
        let versions: Vec<_> = self.view.surplus().collect();
        let names = versions.iter().map(|version| version.id.version.to_string());
        let list = names
            .reduce(|before, next| texts.with("list", &[("before", &before), ("next", &next)]))?;
        let size = texts.size(versions.iter().map(|version| self.view.size_of(version)).sum());
        Some(Words {
            title: texts.get("prune-title"),
            paragraphs: [
                texts.with("prune-text", &[("list", &list), ("size", &size)]),
                texts.get("prune-text-stays"),
            ]
            .into_iter()
            .chain(self.view.holds_any_files().then(|| texts.get("prune-text-files")))
            .collect(),
            yes: "action-prune-now",
            emphasis: Emphasis::Danger,
            command: Command::Prune,
        })
    }
}
