//! The few controls of the window, drawn in its own style. Each has a name for screen readers and,
//! where it makes sense, a value.

use std::sync::Arc;

use egui::text::{LayoutJob, TextFormat};
use egui::{
    Align, Align2, Color32, CornerRadius, Layout, Rect, Response, Role, Sense, Stroke, StrokeKind,
    Ui, UiBuilder, Vec2, WidgetInfo, pos2, vec2,
};

use super::fonts;
use super::theme::{self, Palette};

/// How much a button stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Emphasis {
    /// The choice of most people.
    Primary,
    /// An equal choice.
    Secondary,
    /// A choice for people who look for it.
    Quiet,
    /// Deletes something.
    Danger,
}

/// Distance of a quiet button's text from its sides, points. The button has no visible edge, so it
/// is moved out by this much to align its text.
pub(crate) const QUIET_SIDE: f32 = 6.0;

/// A button of the dialog's size.
pub(crate) fn button(ui: &mut Ui, text: &str, emphasis: Emphasis) -> Response {
    sized_button(ui, text, emphasis, theme::title(14.0), vec2(18.0, 36.0), 88.0)
}

/// A button inside a card.
pub(crate) fn small_button(ui: &mut Ui, text: &str, emphasis: Emphasis) -> Response {
    sized_button(ui, text, emphasis, theme::body(13.0), vec2(10.0, 28.0), 0.0)
}

/// A button of a given size, for the small window.
pub(crate) fn fixed_button(ui: &mut Ui, text: &str, emphasis: Emphasis, size: Vec2) -> Response {
    sized_button(ui, text, emphasis, theme::body(12.0), vec2(4.0, size.y), size.x)
}

/// `size` is the distance of the text from the sides, and the height.
fn sized_button(
    ui: &mut Ui,
    text: &str,
    emphasis: Emphasis,
    font: egui::FontId,
    size: Vec2,
    smallest: f32,
) -> Response {
    let colours = Palette::of(ui);
    let galley = ui.painter().layout_no_wrap(text.to_owned(), font, Color32::PLACEHOLDER);
    let (side, smallest) =
        if emphasis == Emphasis::Quiet { (QUIET_SIDE, 0.0) } else { (size.x, smallest) };
    let wanted = vec2((galley.size().x + 2.0 * side).max(smallest), size.y);
    let (rect, response) = ui.allocate_exact_size(wanted, Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Button, ui.is_enabled(), text));
    if ui.is_rect_visible(rect) {
        let hot = response.hovered() || response.is_pointer_button_down_on();
        let (fill, stroke, ink) = match emphasis {
            Emphasis::Primary => (
                if hot { colours.accent_hover } else { colours.accent },
                Stroke::NONE,
                Color32::WHITE,
            ),
            Emphasis::Secondary => (
                if hot { colours.button_hover } else { colours.button },
                Stroke::new(1.0, colours.border),
                colours.text,
            ),
            Emphasis::Quiet => (
                if hot { colours.button_hover } else { Color32::TRANSPARENT },
                Stroke::NONE,
                if hot { colours.text } else { colours.muted },
            ),
            Emphasis::Danger => (
                if hot { colours.button_hover } else { colours.button },
                Stroke::new(1.0, colours.border),
                colours.danger,
            ),
        };
        let corners = CornerRadius::same(8);
        ui.painter().rect(rect, corners, fill, stroke, StrokeKind::Inside);
        ui.painter().galley(rect.center() - galley.size() / 2.0, galley, ink);
        focus_ring(ui, &response, rect, corners, &colours);
    }
    response
}

/// A button that is only an icon. `draw` draws it into a rectangle in a colour; `name` is for
/// screen readers and is the hint.
pub(crate) fn icon_button(
    ui: &mut Ui,
    name: &str,
    draw: impl FnOnce(&egui::Painter, Rect, Color32),
) -> Response {
    let colours = Palette::of(ui);
    let (rect, response) = ui.allocate_exact_size(Vec2::splat(28.0), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Button, ui.is_enabled(), name));
    if ui.is_rect_visible(rect) {
        let hot = response.hovered();
        let corners = CornerRadius::same(8);
        if hot {
            ui.painter().rect_filled(rect, corners, colours.button_hover);
        }
        draw(ui.painter(), rect.shrink(7.0), if hot { colours.text } else { colours.muted });
        focus_ring(ui, &response, rect, corners, &colours);
    }
    response.on_hover_text(name)
}

/// A small cross that closes or stops something; `name` is for screen readers.
pub(crate) fn cross(ui: &mut Ui, name: &str) -> Response {
    let colours = Palette::of(ui);
    let (rect, response) = ui.allocate_exact_size(Vec2::splat(20.0), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Button, ui.is_enabled(), name));
    let hot = response.hovered();
    let corners = CornerRadius::same(6);
    if hot {
        ui.painter().rect_filled(rect, corners, colours.button_hover);
    }
    let stroke = Stroke::new(1.4, if hot { colours.text } else { colours.muted });
    let arms = rect.shrink(6.0);
    ui.painter().line_segment([arms.left_top(), arms.right_bottom()], stroke);
    ui.painter().line_segment([arms.right_top(), arms.left_bottom()], stroke);
    focus_ring(ui, &response, rect, corners, &colours);
    response
}

/// A ring at a distance from the focused control, so that it is visible around every colour.
fn focus_ring(ui: &Ui, response: &Response, rect: Rect, corners: CornerRadius, colours: &Palette) {
    if response.has_focus() {
        let stroke = Stroke::new(2.0, colours.focus);
        ui.painter().rect_stroke(
            rect.expand(4.0),
            corners + CornerRadius::same(4),
            stroke,
            StrokeKind::Inside,
        );
    }
}

/// Controls at the right end of a row. The order of adding them, and so of Tab, is from left to
/// right.
pub(crate) fn trailing<R>(
    ui: &mut Ui,
    row: Rect,
    salt: &str,
    contents: impl FnOnce(&mut Ui) -> R,
) -> R {
    let id = ui.scope_id().with(salt);
    let width = ui.data(|data| data.get_temp::<f32>(id)).unwrap_or(0.0);
    let place = row.with_min_x(row.right() - width);
    let mut inner = ui.new_child(
        UiBuilder::new().id_salt(salt).max_rect(place).layout(Layout::left_to_right(Align::Center)),
    );
    let result = contents(&mut inner);
    let used = inner.min_rect().width();
    if (used - width).abs() > 0.5 {
        // Only now the width of the controls is known.
        ui.data_mut(|data| data.insert_temp(id, used));
        ui.ctx().request_discard("other controls at the right");
    }
    result
}

/// A quiet button that folds something out below it; `name` names the effect of pressing it.
pub(crate) fn disclosure(ui: &mut Ui, name: &str, open: bool) -> Response {
    let colours = Palette::of(ui);
    let galley =
        ui.painter().layout_no_wrap(name.to_owned(), theme::body(13.0), Color32::PLACEHOLDER);
    let arrow = 16.0;
    let (rect, response) = ui.allocate_exact_size(
        vec2(galley.size().x + arrow + 2.0 * QUIET_SIDE, 28.0),
        Sense::click(),
    );
    response.widget_info(|| WidgetInfo::labeled(Role::Button, ui.is_enabled(), name));
    let hot = response.hovered();
    let corners = CornerRadius::same(8);
    if hot {
        ui.painter().rect_filled(rect, corners, colours.button_hover);
    }
    let ink = if hot { colours.text } else { colours.muted };
    let centre = pos2(rect.left() + QUIET_SIDE + 4.0, rect.center().y);
    let points = if open {
        [vec2(-4.0, -2.0), vec2(0.0, 2.5), vec2(4.0, -2.0)]
    } else {
        [vec2(-2.0, -4.0), vec2(2.5, 0.0), vec2(-2.0, 4.0)]
    };
    ui.painter().line(points.map(|point| centre + point).to_vec(), Stroke::new(1.6, ink));
    let text = pos2(rect.left() + QUIET_SIDE + arrow, rect.center().y - galley.size().y / 2.0);
    ui.painter().galley(text, galley, ink);
    focus_ring(ui, &response, rect, corners, &colours);
    response
}

/// How a bar is drawn.
pub(crate) struct Bar<'a> {
    /// The filled part, 0 to 1; `None` while it is unknown.
    pub fraction: Option<f32>,
    /// Thickness, points.
    pub height: f32,
    /// Colour of the filled part.
    pub colour: Color32,
    /// The bar's name for screen readers.
    pub name: &'a str,
}

/// A progress bar of the available width. Without a fraction it asks to be drawn again, ten times a
/// second.
pub(crate) fn bar(ui: &mut Ui, bar: &Bar<'_>) -> Response {
    let colours = Palette::of(ui);
    let (rect, response) =
        ui.allocate_exact_size(vec2(ui.available_width(), bar.height), Sense::hover());
    response.widget_info(|| {
        let mut info = WidgetInfo::labeled(Role::ProgressIndicator, ui.is_enabled(), bar.name);
        info.value = bar.fraction.map(|fraction| f64::from(fraction * 100.0).floor());
        info
    });
    if ui.is_rect_visible(rect) {
        let corners = CornerRadius::same((bar.height / 2.0) as u8);
        ui.painter().rect_filled(rect, corners, colours.track);
        match bar.fraction {
            // A sliver narrower than the bar's height would not be round.
            Some(fraction) if fraction > 0.0 => {
                let width = (rect.width() * fraction).max(bar.height);
                ui.painter().rect_filled(
                    Rect::from_min_size(rect.min, vec2(width, bar.height)),
                    corners,
                    bar.colour,
                );
            }
            Some(_) => {}
            None => {
                let phase = (ui.input(|input| input.time) * 0.6).fract() as f32;
                let start = rect.left() + rect.width() * (phase * 1.3 - 0.3);
                let part = Rect::from_min_size(
                    egui::pos2(start, rect.top()),
                    vec2(rect.width() * 0.3, bar.height),
                );
                ui.painter().rect_filled(part.intersect(rect), corners, bar.colour);
                ui.ctx().request_repaint_after(std::time::Duration::from_millis(100));
            }
        }
    }
    response
}

/// A card of the available width.
pub(crate) fn card<R>(ui: &mut Ui, contents: impl FnOnce(&mut Ui) -> R) -> R {
    let colours = Palette::of(ui);
    theme::card(&colours)
        .show(ui, |ui| {
            ui.take_available_width();
            contents(ui)
        })
        .inner
}

/// The heading of a card.
pub(crate) fn card_title(ui: &mut Ui, text: &str) {
    let colours = Palette::of(ui);
    ui.label(egui::RichText::new(text).font(theme::title(13.0)).color(colours.muted));
}

/// Text on the left and text on the right of one line; the left one is cut short if both do not
/// fit.
pub(crate) fn line(ui: &mut Ui, left: egui::RichText, right: egui::RichText) {
    egui::Sides::new().shrink_left().truncate().show(ui, |ui| ui.label(left), |ui| ui.label(right));
}

/// Bold text that wraps. Characters that the bold font lacks (in an app's name or release notes)
/// are drawn twice, half a point apart: a regular font made bold looks better than bold and regular
/// letters in one word.
pub(crate) fn strong(ui: &mut Ui, text: impl Into<LayoutJob>, size: f32) -> Response {
    let mut job: LayoutJob = text.into();
    let thicken = !fonts::bold_has(&job.text);
    for section in &mut job.sections {
        section.format.font_id = if thicken { theme::body(size) } else { theme::title(size) };
    }
    let text = job.text.clone();
    let (position, galley, response) = egui::Label::new(job).selectable(false).layout_in_ui(ui);
    response.widget_info(|| WidgetInfo::labeled(Role::Label, ui.is_enabled(), &text));
    let ink = Palette::of(ui).text;
    if thicken {
        ui.painter().galley(position + vec2(size / 32.0, 0.0), Arc::clone(&galley), ink);
    }
    ui.painter().galley(position, galley, ink);
    response
}

/// Text of one colour for [`strong`].
pub(crate) fn plain(text: impl Into<String>, colour: Color32) -> LayoutJob {
    LayoutJob::single_section(text.into(), TextFormat { color: colour, ..TextFormat::default() })
}

/// A word in a tinted pill.
pub(crate) fn badge(ui: &mut Ui, text: &str, colour: Color32) {
    let galley = ui.painter().layout_no_wrap(text.to_owned(), theme::body(12.0), colour);
    let (rect, response) =
        ui.allocate_exact_size(vec2(galley.size().x + 14.0, 20.0), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, ui.is_enabled(), text));
    ui.painter().rect_filled(rect, CornerRadius::same(10), colour.gamma_multiply(0.14));
    ui.painter().galley(rect.center() - galley.size() / 2.0, galley, colour);
}

/// A small filled circle.
pub(crate) fn dot(ui: &mut Ui, colour: Color32) {
    let (rect, _) = ui.allocate_exact_size(vec2(8.0, 18.0), Sense::hover());
    ui.painter().circle_filled(rect.center(), 4.0, colour);
}

/// Radius of the corners of [`initial`], as a part of its width.
pub(crate) const INITIAL_ROUNDNESS: f32 = 0.22;

/// The picture of an app without an icon: the first letter of its name.
pub(crate) fn initial(ui: &Ui, rect: Rect, name: &str) {
    let colours = Palette::of(ui);
    let letter: String = name
        .chars()
        .find(|letter| letter.is_alphanumeric())
        .map(|letter| letter.to_uppercase().collect())
        .unwrap_or_default();
    let size = rect.width() * 0.5;
    let font = if fonts::bold_has(&letter) { theme::title(size) } else { theme::body(size) };
    ui.painter().rect_filled(
        rect,
        CornerRadius::same((rect.width() * INITIAL_ROUNDNESS) as u8),
        colours.muted,
    );
    ui.painter().text(rect.center(), Align2::CENTER_CENTER, letter, font, colours.background);
}

/// The outcome of a screen at a glance, at the corner of the app's icon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// A success.
    Done,
    /// The screen waits for the user.
    Paused,
    /// A failure.
    Failed,
    /// Something to know; nothing is wrong now.
    Note,
}

/// Draws a mark with its centre at the corner of an icon.
pub(crate) fn mark(ui: &Ui, centre: egui::Pos2, mark: Mark) {
    let colours = Palette::of(ui);
    let painter = ui.painter();
    let colour = match mark {
        Mark::Done => colours.success,
        Mark::Paused => colours.warning,
        Mark::Failed => colours.danger,
        Mark::Note => colours.accent_text,
    };
    let ink = Stroke::new(2.4, colours.background);
    painter.circle_filled(centre, 14.0, colours.background);
    painter.circle_filled(centre, 11.0, colour);
    match mark {
        Mark::Done => {
            let points =
                [vec2(-4.6, 0.4), vec2(-1.4, 3.6), vec2(4.8, -3.2)].map(|offset| centre + offset);
            painter.line(points.to_vec(), ink);
        }
        Mark::Paused => {
            for x in [-2.8, 2.8] {
                painter.line_segment([centre + vec2(x, -4.2), centre + vec2(x, 4.2)], ink);
            }
        }
        Mark::Failed => {
            painter.text(
                centre,
                Align2::CENTER_CENTER,
                "!",
                theme::title(15.0),
                colours.background,
            );
        }
        Mark::Note => {
            painter.circle_filled(centre - vec2(0.0, 4.6), 1.6, colours.background);
            painter.line_segment([centre - vec2(0.0, 0.8), centre + vec2(0.0, 5.2)], ink);
        }
    }
}
