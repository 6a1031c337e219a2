//! The screen of an offer: the release, its cost, its news, and its sources.

use egui::text::{LayoutJob, TextFormat};
use egui::{Color32, RichText, Role, Ui, WidgetInfo};

use super::state::{Dialog, Headline};
use crate::gui::texts::{Language, Texts};
use crate::gui::theme::{self, Palette};
use crate::gui::view_state::NodeView;
use crate::gui::widgets;
use crate::model::Offer;

/// Least height of notes that scroll by themselves, points.
const NOTES_HEIGHT: f32 = 120.0;
/// Least height of notes below other cards, where they are only something to read meanwhile; points.
const NOTES_IN_THE_REST: f32 = 72.0;
/// Height of the edges and the title of the notes' card, points.
const NOTES_FRAME: f32 = 66.0;
/// Height of the button for the details, with its distance from the part above; points.
const FOLD: f32 = 42.0;

/// Title and subtitle: the app, the versions, and what it costs.
pub(super) fn headline(texts: &Texts, offer: &Offer) -> Headline {
    let version = offer.version().to_string();
    let cost = texts.cost(offer);
    let Some(current) = &offer.current else {
        let subtitle = texts.with("install-subtitle", &[("version", &version), ("size", &cost)]);
        return (texts.get("install-title"), subtitle, None);
    };
    let title = texts.offered(offer);
    let have = texts.with("offer-have", &[("version", &current.to_string())]);
    (title, format!("{have}\n{cost}"), None)
}

impl Dialog {
    pub(super) fn offer(&mut self, ui: &mut Ui, offer: &Offer) {
        let colours = Palette::of(ui);
        if let Some(text) = self.texts.obligation(offer, &self.options.zone) {
            ui.add(egui::Label::new(RichText::new(text).color(colours.warning)).wrap());
        }
        let has_notes = !self.notes.1.is_empty();
        self.release_notes(ui, if self.details_open { f32::INFINITY } else { FOLD });
        // Without notes the details are the only text to read, so they are always shown.
        if has_notes && !self.fold_details(ui) {
            return;
        }
        widgets::card(ui, |ui| self.details(ui, offer));
        if !self.view.nodes.is_empty() {
            widgets::card(ui, |ui| self.node_list(ui));
        }
    }

    /// The button that folds out the details. Returns whether the details are shown.
    pub(super) fn fold_details(&mut self, ui: &mut Ui) -> bool {
        let (row, _) =
            ui.allocate_exact_size(egui::vec2(ui.available_width(), 28.0), egui::Sense::hover());
        let row = row.with_min_x(row.left() - widgets::QUIET_SIDE);
        let layout = egui::Layout::left_to_right(egui::Align::Center);
        let mut row = ui.new_child(egui::UiBuilder::new().max_rect(row).layout(layout));
        let name = if self.details_open { "action-hide-details" } else { "action-details" };
        if widgets::disclosure(&mut row, &self.texts.get(name), self.details_open).clicked() {
            self.details_open = !self.details_open;
            self.choices.details = Some(self.details_open);
            if self.details_open {
                // On a low screen the details lie below the visible part.
                row.scroll_to_rect_animation(
                    row.max_rect(),
                    Some(egui::Align::Min),
                    egui::style::ScrollAnimation::none(),
                );
            }
        }
        self.details_open
    }

    /// The notes, if there are any, above a part of this height. Where the rest of the page is
    /// visible, longer notes scroll by themselves. Where the page itself scrolls, the notes take
    /// all the height that they need, so that there is one scroll bar and not two side by side.
    pub(super) fn release_notes(&self, ui: &mut Ui, below: f32) {
        if self.notes.1.is_empty() {
            return;
        }
        let room = self.room_for_notes(ui, below);
        self.notes_card(ui, Some(room).filter(|room| *room >= NOTES_HEIGHT));
    }

    /// The notes, if the rest of the page leaves room for some lines of them.
    pub(super) fn release_notes_in_the_rest(&self, ui: &mut Ui) {
        let room = self.room_for_notes(ui, 0.0);
        if room >= NOTES_IN_THE_REST && !self.notes.1.is_empty() {
            self.notes_card(ui, Some(room));
        }
    }

    /// The visible height that is left for the text of the notes above a part of this height.
    fn room_for_notes(&self, ui: &Ui, below: f32) -> f32 {
        let used = ui.cursor().top() - ui.min_rect().top();
        self.body_height - used - NOTES_FRAME - below
    }

    /// The notes in a card: whole, or scrolling by themselves in this height.
    fn notes_card(&self, ui: &mut Ui, room: Option<f32>) {
        widgets::card(ui, |ui| {
            let title = self.texts.get("notes-title");
            let title = match self.notes_language() {
                Some(language) => {
                    self.texts.with("notes-title-in", &[("title", &title), ("language", &language)])
                }
                None => title,
            };
            widgets::card_title(ui, &title);
            let text = |ui: &mut Ui| {
                ui.spacing_mut().item_spacing.y = 4.0;
                self.notes.1.show(ui);
            };
            let Some(room) = room else { return text(ui) };
            let area = egui::ScrollArea::vertical()
                .id_salt("notes")
                .max_height(room)
                .auto_shrink([false, true]);
            area.min_scrolled_height(room).show(ui, text);
        });
    }

    /// The language of the notes, where it differs from the window's language.
    fn notes_language(&self) -> Option<String> {
        let tag = self.view.notes_tag(self.options.appearance.language)?;
        let of = |tag: &str| tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
        if tag.is_empty() || of(tag) == of(self.texts.language().tag()) {
            return None;
        }
        let known = Language::ALL.into_iter().find(|language| of(language.tag()) == of(tag));
        Some(known.map_or_else(|| tag.to_owned(), |language| language.name().to_owned()))
    }

    fn details(&self, ui: &mut Ui, offer: &Offer) {
        let texts = &self.texts;
        let plan = &offer.plan;
        let mut rows = Vec::new();
        rows.extend(offer.current.as_ref().map(|current| ("detail-current", current.to_string())));
        rows.push(("detail-target", offer.version().to_string()));
        rows.push(("detail-size", texts.fetched(plan, offer.bytes_to_fetch)));
        if plan.is_local() {
            let name = offer.file.as_ref().and_then(|file| file.file_name());
            rows.push(("detail-way", texts.strategy(plan)));
            rows.extend(name.map(|name| ("detail-file", name.to_string_lossy().into_owned())));
        } else {
            rows.push(("detail-time", texts.time(offer)));
            // A first installation has no choice of methods.
            if offer.current.is_some() {
                rows.push(("detail-way", texts.strategy(plan)));
                // Less than the whole package is reason enough. Then the counts of files are of
                // interest.
                let files = || ("detail-files", texts.files(plan.files));
                let reason = texts.reason(plan).map(|reason| ("detail-reason", reason));
                rows.push(reason.unwrap_or_else(files));
            }
        }
        let colours = Palette::of(ui);
        ui.spacing_mut().item_spacing.y = 5.0;
        for (name, value) in rows {
            let name = RichText::new(texts.get(name)).color(colours.muted);
            egui::Sides::new().shrink_right().truncate().show(
                ui,
                |ui| ui.label(name),
                |ui| ui.label(value),
            );
        }
    }

    /// The nodes before the download: name, region, and the measured speed, else the published one.
    fn node_list(&self, ui: &mut Ui) {
        let colours = Palette::of(ui);
        let count = u64::try_from(self.view.nodes.len()).unwrap_or(u64::MAX);
        ui.spacing_mut().item_spacing.y = 5.0;
        widgets::line(
            ui,
            RichText::new(self.texts.get("nodes-title"))
                .font(theme::title(13.0))
                .color(colours.muted),
            RichText::new(self.texts.count("nodes-count", count, &[]))
                .size(13.0)
                .color(colours.muted),
        );
        for node in &self.view.nodes {
            let speed = self.speed_hint(node);
            let colour = if node.speed > 0.0 { colours.success } else { colours.muted };
            egui::Sides::new().shrink_left().truncate().show(
                ui,
                |ui| self.node_name(ui, node, colour),
                |ui| ui.label(RichText::new(speed).color(colours.muted)),
            );
        }
    }

    fn speed_hint(&self, node: &NodeView) -> String {
        match node.published {
            _ if node.speed > 0.0 => self.texts.speed(node.speed),
            Some(bandwidth) => {
                self.texts.with("node-published", &[("bandwidth", &format!("{bandwidth:.0}"))])
            }
            None => String::new(),
        }
    }

    /// A dot in a colour, the node's name and its region. Name and region are cut short together
    /// where they are too long.
    pub(super) fn node_name(&self, ui: &mut Ui, node: &NodeView, colour: Color32) {
        let colours = Palette::of(ui);
        widgets::dot(ui, colour);
        let mut text = LayoutJob::default();
        let part =
            |size, color| TextFormat { font_id: theme::body(size), color, ..TextFormat::default() };
        let name = self.texts.node(&node.name, node.is_peer());
        text.append(&name, 0.0, part(14.0, colours.text));
        text.append(&self.texts.region(&node.region), 8.0, part(12.5, colours.muted));
        let response = ui.add(egui::Label::new(text));
        response.widget_info(|| WidgetInfo::labeled(Role::Label, ui.is_enabled(), &name));
    }
}
