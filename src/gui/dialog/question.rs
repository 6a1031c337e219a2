//! The questions before an action that cannot be undone easily: in plain words, what becomes of the
//! user's files.

use egui::RichText;

use super::state::{Dialog, Page, Question};
use crate::gui::theme::{self, Palette};
use crate::gui::widgets::{self, Emphasis};
use crate::messages::protocol::{Command, InstalledVersion, Phase};

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
        let shown =
            egui::Modal::new(egui::Id::unique("question")).frame(frame).show(context, |ui| {
                ui.set_width(380.0);
                ui.spacing_mut().item_spacing.y = 8.0;
                ui.add(
                    egui::Label::new(RichText::new(words.title).font(theme::title(17.0))).wrap(),
                );
                for (index, paragraph) in words.paragraphs.into_iter().enumerate() {
                    let colour = if index == 0 { colours.text } else { colours.muted };
                    ui.add(egui::Label::new(RichText::new(paragraph).color(colour)).wrap());
                }
                ui.add_space(6.0);
                let (row, _) = ui.allocate_exact_size(
                    egui::vec2(ui.available_width(), 36.0),
                    egui::Sense::hover(),
                );
                widgets::trailing(ui, row, "answers", |ui| {
                    let no =
                        widgets::button(ui, &self.texts.get("action-cancel"), Emphasis::Secondary);
                    if is_new {
                        // Return presses the button that changes nothing.
                        no.request_focus();
                    }
                    (
                        widgets::button(ui, &self.texts.get(words.yes), words.emphasis).clicked(),
                        no.clicked(),
                    )
                })
            });
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

    fn about(&self, question: &Question, version: &InstalledVersion) -> Option<Words> {
        let texts = &self.texts;
        let id = version.id.clone();
        let number = id.version.to_string();
        let with = |name: &str| texts.with(name, &[("version", &number)]);
        let running = self.view.installed.iter().any(|version| version.running);
        match question {
            Question::Remove(_) => Some(Words {
                title: with("remove-title"),
                paragraphs: std::iter::once(
                    texts.with("remove-text", &[("size", &texts.size(self.view.size_of(version)))]),
                )
                .chain(
                    version
                        .left
                        .filter(|_| version.holds_files)
                        .map(|_| texts.get("remove-text-retained")),
                )
                .collect(),
                yes: "action-remove",
                emphasis: Emphasis::Danger,
                command: Command::Remove(id),
            }),
            Question::Switch(_) if self.view.at_rest() => {
                let active = self.view.active().map(|active| active.id.version.to_string());
                // If the app stores its files elsewhere, the question does not mention them.
                let carries = self.view.holds_files();
                let back = active
                    .filter(|_| carries)
                    .map(|active| texts.with("switch-text-back", &[("version", &active)]));
                let rest = [
                    back,
                    version.failed.then(|| texts.get("switch-text-failed")),
                    running.then(|| texts.get("switch-text-running")),
                ];
                Some(Words {
                    title: with("switch-title"),
                    paragraphs: carries
                        .then(|| texts.get("switch-text"))
                        .into_iter()
                        .chain(rest.into_iter().flatten())
                        .collect(),
                    yes: "action-switch-now",
                    emphasis: Emphasis::Primary,
                    command: Command::Switch(id),
                })
            }
            Question::GoBack(_) if self.view.at_rest() => {
                let date = texts.moment(version.left?, &self.options.zone);
                let keeps = self.view.holds_files();
                let rest = [
                    keeps.then(|| texts.get("go-back-text-retained")),
                    running.then(|| texts.get("go-back-text-running")),
                ];
                let first = if version.holds_files || keeps {
                    "go-back-text"
                } else {
                    "go-back-text-plain"
                };
                let first = texts.with(first, &[("version", &number), ("date", &date)]);
                Some(Words {
                    title: with("go-back-title"),
                    paragraphs: std::iter::once(first).chain(rest.into_iter().flatten()).collect(),
                    yes: "action-go-back-now",
                    emphasis: Emphasis::Primary,
                    command: Command::RollBack(Some(id)),
                })
            }
            _ => None,
        }
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
