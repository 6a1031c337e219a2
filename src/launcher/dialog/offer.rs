//! The screen of an offer: what it is, what it costs, what is new, where it comes from.

use egui::text::{LayoutJob, TextFormat};
use egui::{Color32, RichText, Role, Ui, WidgetInfo};

use super::Dialog;
use crate::launcher::texts::Texts;
use crate::launcher::theme::{self, Palette};
use crate::launcher::view_state::NodeView;
use crate::launcher::widgets::{self, Mark};
use crate::model::Offer;
use crate::model::transfer::NEAR_REGION;

/// Greatest height of the notes, points; longer ones scroll.
const NOTES_HEIGHT: f32 = 190.0;

/// Title and subtitle.
pub(super) fn headline(texts: &Texts, offer: &Offer, app: &str) -> (String, String, Option<Mark>) {
    let version = offer.version().to_string();
    if offer.current.is_none() {
        let price = if offer.plan.is_local() { texts.way(&offer.plan) } else { texts.size(offer.plan.bytes) };
        let subtitle = texts.with("install-subtitle", &[("version", &version), ("size", &price)]);
        return (texts.with("install-title", &[("app", app)]), subtitle, None);
    }
    (texts.with("offer-title", &[("version", &version)]), texts.price(&offer.plan), None)
}

impl Dialog {
    pub(super) fn offer(&mut self, ui: &mut Ui, offer: &Offer) {
        let colours = Palette::of(ui);
        if offer.signed.release.mandatory && offer.current.is_some() {
            ui.label(RichText::new(self.texts.get("mandatory")).color(colours.warning));
        }
        widgets::card(ui, |ui| self.details(ui, offer));
        self.release_notes(ui);
        if !self.view.nodes.is_empty() {
            widgets::card(ui, |ui| self.node_list(ui));
        }
    }

    /// The notes, if there are any.
    pub(super) fn release_notes(&self, ui: &mut Ui) {
        if self.notes.1.is_empty() {
            return;
        }
        widgets::card(ui, |ui| {
            widgets::card_title(ui, &self.texts.get("notes-title"));
            let area = egui::ScrollArea::vertical().id_salt("notes").max_height(NOTES_HEIGHT).auto_shrink([false, true]);
            // In a window that is still too low they take their room all the same, so that it grows.
            area.min_scrolled_height(NOTES_HEIGHT).show(ui, |ui| {
                ui.spacing_mut().item_spacing.y = 4.0;
                self.notes.1.show(ui);
            });
        });
    }

    fn details(&self, ui: &mut Ui, offer: &Offer) {
        let texts = &self.texts;
        let plan = &offer.plan;
        let current = offer.current.as_ref().map(ToString::to_string);
        let mut rows = vec![
            ("detail-current", current.unwrap_or_else(|| texts.get("detail-none"))),
            ("detail-target", offer.version().to_string()),
            ("detail-size", texts.fetched(plan, offer.bytes_to_fetch)),
        ];
        if plan.is_local() {
            let name = offer.file.as_ref().and_then(|file| file.file_name());
            rows.push(("detail-way", texts.way(plan)));
            rows.extend(name.map(|name| ("detail-file", name.to_string_lossy().into_owned())));
        } else {
            rows.push(("detail-time", texts.time(offer)));
            rows.push(("detail-way", texts.way(plan)));
            // Less than the whole package is reason enough; then it is of interest what becomes of the files.
            let files = || ("detail-files", texts.files(plan.files));
            rows.push(texts.reason(plan).map_or_else(files, |reason| ("detail-reason", reason)));
        }
        let colours = Palette::of(ui);
        ui.spacing_mut().item_spacing.y = 5.0;
        for (name, value) in rows {
            let name = RichText::new(texts.get(name)).color(colours.muted);
            egui::Sides::new().shrink_right().truncate().show(ui, |ui| ui.label(name), |ui| ui.label(value));
        }
    }

    /// The nodes before the download: name, region, and the speed measured, or else published.
    fn node_list(&self, ui: &mut Ui) {
        let colours = Palette::of(ui);
        let count = u64::try_from(self.view.nodes.len()).unwrap_or(u64::MAX);
        ui.spacing_mut().item_spacing.y = 5.0;
        widgets::line(
            ui,
            RichText::new(self.texts.get("nodes-title")).font(theme::title(13.0)).color(colours.muted),
            RichText::new(self.texts.count("nodes-count", count, &[])).size(13.0).color(colours.muted),
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
            Some(bandwidth) => self.texts.with("node-published", &[("bandwidth", &format!("{bandwidth:.0}"))]),
            None => String::new(),
        }
    }

    /// A dot in a colour, the node's name and its region; cut short together where they are too long.
    pub(super) fn node_name(&self, ui: &mut Ui, node: &NodeView, colour: Color32) {
        let colours = Palette::of(ui);
        widgets::dot(ui, colour);
        let mut text = LayoutJob::default();
        let part = |size, color| TextFormat { font_id: theme::body(size), color, ..TextFormat::default() };
        let name = self.texts.node(&node.name, node.region == NEAR_REGION);
        text.append(&name, 0.0, part(14.0, colours.text));
        text.append(&self.texts.region(&node.region), 8.0, part(12.5, colours.muted));
        let response = ui.add(egui::Label::new(text));
        response.widget_info(|| WidgetInfo::labeled(Role::Label, ui.is_enabled(), &name));
    }
}
