//! How the faces of the notification are drawn.

use egui::text::{LayoutJob, TextFormat, TextWrapping};
use egui::{
    Align2, Color32, CornerRadius, FontId, Rect, Role, Sense, Stroke, StrokeKind, Ui, UiBuilder,
    WidgetInfo, pos2, vec2,
};

use super::face::{Face, StripStep, done};
use super::{HEIGHT, Notification, NotificationEnd, RADIUS, STRIP, WIDTH};
use crate::gui::actions::Action;
use crate::gui::widgets::{self, Bar, Emphasis};
use crate::gui::{fonts, theme};
use crate::messages::protocol::{ClosingWait, Phase};

/// Distance between the window's edge and its contents, points.
const SIDE: f32 = 10.0;
/// Width and height of the icon, points.
const ICON: f32 = 24.0;
/// Size of a button, points.
const BUTTON: egui::Vec2 = vec2(64.0, 26.0);
/// Distance between two buttons, points.
const BETWEEN: f32 = 4.0;

/// Width beside the title of a strip, for the percentage and the cross, points.
const BESIDE_TITLE: f32 = 64.0;

/// The texts of a question.
struct NotificationQuestion {
    title: Title,
    /// The cost or the consequence; at most two lines.
    text: String,
    /// An additional remark.
    hint: String,
    now: Option<(String, Action)>,
    later: (String, Action),
    /// The sentence below the title.
    below: Option<String>,
}

/// A title with the app's name, and sometimes a version.
struct Title {
    message: &'static str,
    version: String,
}

/// Text at a position.
struct Words<'a> {
    text: &'a str,
    font: FontId,
    colour: Color32,
    rows: usize,
}

impl Notification {
    /// Draws a face and returns the height that it needs, points.
    pub(super) fn draw(&mut self, ui: &mut Ui, face: Face) -> f32 {
        let colours = theme::Palette::of(ui);
        let whole = ui.ctx().content_rect();
        ui.painter().rect_filled(whole, 0.0, colours.card);
        let corners = CornerRadius::same(if self.options.round { RADIUS as u8 } else { 0 });
        // This area is added first, so that buttons lie over it. A click on it opens the dialog,
        // which shows all that has no room here.
        let open = self.texts.get("notification-open");
        let back = ui.interact(whole, ui.scope_id().with("back"), Sense::click());
        back.widget_info(|| WidgetInfo::labeled(Role::Button, true, &open));
        let height = match face {
            Face::Offer => {
                let question = self.offered();
                self.question(ui, whole, &question)
            }
            Face::Restart => {
                let question = self.ready();
                self.question(ui, whole, &question)
            }
            Face::Waiting => {
                let question = self.waiting();
                self.question(ui, whole, &question)
            }
            Face::Strip(step) => {
                self.strip(ui, whole, step);
                STRIP
            }
            Face::Swapped => {
                self.swapped(ui, whole);
                STRIP
            }
        };
        // The border is stronger than a card's: the background may have the window's own colour.
        let border = colours.card.lerp_to_gamma(colours.muted, 0.35);
        let edge = if back.has_focus() {
            Stroke::new(2.0, colours.accent_text)
        } else {
            Stroke::new(1.0, border)
        };
        ui.painter().rect_stroke(whole, corners, edge, StrokeKind::Inside);
        if back.clicked() && self.settled {
            self.close(NotificationEnd::Details);
        }
        height
    }

    fn offered(&self) -> NotificationQuestion {
        let texts = &self.texts;
        let (version, text, hint) = self.view.offer().map_or_else(Default::default, |offer| {
            let hint = if offer.plan.requires_restart {
                String::new()
            } else {
                texts.get("notification-no-restart")
            };
            (offer.version().to_string(), texts.short_price(&offer.plan), hint)
        });
        NotificationQuestion {
            title: Title { message: "notification-title-short", version },
            text,
            hint,
            now: Some((texts.get("notification-now"), Action::Start)),
            later: (texts.get("action-later"), Action::Later),
            below: None,
        }
    }

    fn ready(&self) -> NotificationQuestion {
        let texts = &self.texts;
        let (version, running) = match &self.view.phase {
            Phase::Ready { version, running } => (version.to_string(), *running),
            _ => Default::default(),
        };
        let (text, now) = if running {
            (texts.get("restart-subtitle"), (texts.get("restart-now"), Action::RestartNow))
        } else {
            (texts.get("ready-subtitle-stopped"), (texts.get("start-now"), Action::StartNow))
        };
        NotificationQuestion {
            title: Title { message: "ready-title", version },
            text,
            hint: String::new(),
            now: Some(now),
            later: (texts.get("action-restart-later"), Action::RestartLater),
            below: texts.blocker(&self.view.blockers),
        }
    }

    /// The app waits for its user. The dialog shows the other choices.
    fn waiting(&self) -> NotificationQuestion {
        let texts = &self.texts;
        let is_asked = matches!(self.view.phase, Phase::Closing { wait: ClosingWait::Person, .. });
        let (title, text) = if is_asked {
            ("closing-title-person", "closing-subtitle-person")
        } else {
            ("closing-title-unreachable", "closing-subtitle-unreachable")
        };
        NotificationQuestion {
            title: Title { message: title, version: String::new() },
            text: texts.get(text),
            hint: String::new(),
            now: None,
            later: (texts.get("action-restart-later"), Action::KeepRunning),
            below: None,
        }
    }

    /// A title with a limited number of lines. If they have too little room, the app's name is cut
    /// short, so that the text after it stays readable.
    fn fitting(&self, ui: &Ui, title: &Title, words: &Words<'_>, width: f32) -> String {
        let with = |name: &str| {
            self.texts.with(title.message, &[("app", name), ("version", &title.version)])
        };
        let fits = |text: &str| {
            let Words { font, rows, .. } = words;
            let words =
                Words { text, font: font.clone(), colour: Color32::PLACEHOLDER, rows: *rows };
            !lay_out(ui, &words, width).elided
        };
        let name = &self.options.app_name;
        let whole = with(name);
        if fits(&whole) {
            return whole;
        }
        let cut = |length: usize| {
            with(&format!("{}…", name.chars().take(length).collect::<String>().trim_end()))
        };
        let lengths: Vec<usize> = (1..name.chars().count()).collect();
        let fitting = lengths.partition_point(|length| fits(&cut(*length)));
        cut(fitting.max(1))
    }

    fn question(&mut self, ui: &mut Ui, whole: Rect, question: &NotificationQuestion) -> f32 {
        let colours = theme::Palette::of(ui);
        let part = Rect::from_min_size(whole.min, vec2(whole.width(), HEIGHT));
        let at = Rect::from_center_size(
            pos2(part.left() + SIDE + ICON / 2.0, part.center().y),
            vec2(ICON, ICON),
        );
        match &self.icon {
            Some(icon) => {
                egui::Image::new((icon.id(), at.size())).corner_radius(6).paint_at(ui, at)
            }
            None => widgets::initial(ui, at, &self.options.app_name),
        }
        let right = part.right() - SIDE;
        let choices = question.now.iter().map(|choice| (choice, Emphasis::Primary));
        let choices: Vec<_> = choices.chain([(&question.later, Emphasis::Secondary)]).collect();
        let buttons = choices.len() as f32 * (BUTTON.y + BETWEEN) - BETWEEN;
        let mut place =
            Rect::from_min_size(pos2(right - BUTTON.x, part.center().y - buttons / 2.0), BUTTON);
        let mut chosen = None;
        for ((text, action), emphasis) in choices {
            let inside = UiBuilder::new().max_rect(place);
            if ui
                .scope_builder(inside, |ui| widgets::fixed_button(ui, text, emphasis, BUTTON))
                .inner
                .clicked()
            {
                chosen = Some(*action);
            }
            place = place.translate(vec2(0.0, BUTTON.y + BETWEEN));
        }
        let left = part.left() + SIDE + ICON + 9.0;
        let width = right - BUTTON.x - 8.0 - left;
        let rows = if question.hint.is_empty() { 2 } else { 1 };
        // A sentence may take two lines, a version stands in one.
        let title_rows = if question.title.version.is_empty() { 2 } else { 1 };
        let mut title =
            Words { text: "", font: theme::title(13.0), colour: colours.text, rows: title_rows };
        let text = self.fitting(ui, &question.title, &title, width);
        title.text = &text;
        let parts = [
            title,
            Words { text: &question.text, font: theme::body(11.0), colour: colours.muted, rows },
            Words {
                text: &question.hint,
                font: theme::body(11.0),
                colour: colours.success,
                rows: 1,
            },
        ];
        column(ui, &parts, left, width, part);
        if let Some(action) = chosen {
            self.act(action);
        }
        let Some(below) = &question.below else { return HEIGHT };
        let words = Words { text: below, font: theme::body(11.0), colour: colours.muted, rows: 3 };
        let galley = lay_out(ui, &words, WIDTH - 2.0 * SIDE);
        let height = galley.size().y;
        let line = part.bottom() - 4.0;
        ui.painter().hline(part.left() + SIDE..=right, line, Stroke::new(1.0, colours.border));
        say(ui, below, galley, pos2(part.left() + SIDE, line + 6.0));
        (HEIGHT - 4.0 + 6.0 + height + 10.0).ceil()
    }

    fn strip(&mut self, ui: &mut Ui, whole: Rect, step: StripStep) {
        let texts = &self.texts;
        let (place, places) = step.place(self.fetches);
        let (name, place, places) =
            (texts.get(step.name()), texts.number(place), texts.number(places));
        let title =
            texts.with("strip-step", &[("name", &name), ("step", &place), ("steps", &places)]);
        let detail = step.detail(texts, &self.view);
        let fraction = step.fraction(&self.view);
        let colours = theme::Palette::of(ui);
        let colour = if step == StripStep::Paused { colours.warning } else { colours.accent };
        let stoppable =
            matches!(step, StripStep::Preparing | StripStep::Downloading | StripStep::Paused);
        let percent = fraction
            .map_or_else(String::new, |fraction| format!("{:.0}%", (fraction * 100.0).floor()));
        let right = whole.right() - SIDE - if stoppable { 22.0 } else { 0.0 };
        let at = pos2(right, whole.top() + 16.0);
        ui.painter().text(at, Align2::RIGHT_CENTER, percent, theme::body(11.0), colours.muted);
        self.bar(ui, whole, &title, &detail, fraction, colour);
        if stoppable && self.cross(ui, whole, "action-cancel") {
            self.cancel();
        }
    }

    fn swapped(&mut self, ui: &mut Ui, whole: Rect) {
        let version = match &self.view.phase {
            Phase::Swapped { version, .. } => version.to_string(),
            _ => String::new(),
        };
        let title = Title { message: "swapped-title", version };
        let words =
            Words { text: "", font: theme::title(12.0), colour: Color32::PLACEHOLDER, rows: 1 };
        let title = self.fitting(ui, &title, &words, whole.width() - 2.0 * SIDE - BESIDE_TITLE);
        let detail = self.texts.get("notification-no-restart");
        let colour = theme::Palette::of(ui).success;
        self.bar(ui, whole, &title, &detail, Some(1.0), colour);
        if self.cross(ui, whole, "action-close") && self.settled {
            self.close(done(&self.view));
        }
    }

    fn bar(
        &self,
        ui: &mut Ui,
        whole: Rect,
        title: &str,
        detail: &str,
        fraction: Option<f32>,
        colour: Color32,
    ) {
        let colours = theme::Palette::of(ui);
        let part = Rect::from_min_size(whole.min, vec2(whole.width(), STRIP));
        let (left, width) = (part.left() + SIDE, part.width() - 2.0 * SIDE);
        let words = Words { text: title, font: theme::title(12.0), colour: colours.text, rows: 1 };
        let galley = lay_out(ui, &words, width - BESIDE_TITLE);
        announce(ui, title, galley, pos2(left, part.top() + 7.0));
        let bar = Rect::from_min_size(pos2(left, part.top() + 28.0), vec2(width, 6.0));
        ui.scope_builder(UiBuilder::new().max_rect(bar), |ui| {
            widgets::bar(
                ui,
                &Bar { fraction, height: 6.0, colour, name: &self.texts.get("strip-progress") },
            );
        });
        let words = Words { text: detail, font: theme::body(11.0), colour: colours.muted, rows: 1 };
        let galley = lay_out(ui, &words, width);
        say(ui, detail, galley, pos2(left, part.top() + 38.0));
    }

    /// A small cross in the upper right corner; returns whether it was pressed.
    fn cross(&self, ui: &mut Ui, whole: Rect, name: &str) -> bool {
        let place =
            Rect::from_min_size(pos2(whole.right() - 28.0, whole.top() + 6.0), vec2(20.0, 20.0));
        let inside = UiBuilder::new().max_rect(place);
        ui.scope_builder(inside, |ui| widgets::cross(ui, &self.texts.get(name))).inner.clicked()
    }
}

/// Lines one below the other, centred in a part of the window.
fn column(ui: &mut Ui, parts: &[Words<'_>], left: f32, width: f32, part: Rect) {
    let laid_out: Vec<_> = parts
        .iter()
        .filter(|words| !words.text.is_empty())
        .map(|words| (words.text, lay_out(ui, words, width)))
        .collect();
    let height: f32 = laid_out.iter().map(|(_, galley)| galley.size().y).sum();
    let mut top = part.center().y - height / 2.0;
    for (number, (text, galley)) in laid_out.into_iter().enumerate() {
        let below = galley.size().y;
        let tell = if number == 0 { announce } else { say };
        tell(ui, text, galley, pos2(left, top));
        top += below;
    }
}

fn lay_out(ui: &Ui, words: &Words<'_>, width: f32) -> std::sync::Arc<egui::Galley> {
    let lacks = words.font.family == fonts::bold() && !fonts::bold_has(words.text);
    // A single bold letter from another font looks worse than no bold at all.
    let font = if lacks { theme::body(words.font.size) } else { words.font.clone() };
    let format = TextFormat { font_id: font, color: words.colour, ..TextFormat::default() };
    let mut job = LayoutJob::single_section(words.text.to_owned(), format);
    job.wrap = TextWrapping {
        max_width: width,
        max_rows: words.rows,
        break_anywhere: words.rows == 1,
        ..TextWrapping::default()
    };
    ui.painter().layout_job(job)
}

/// Draws text that a screen reader reads out when it appears or changes, without the focus, as soon
/// as the reader is silent.
fn announce(ui: &mut Ui, text: &str, galley: std::sync::Arc<egui::Galley>, at: egui::Pos2) {
    let id = ui.scope_id().with("title");
    draw(ui, id, text, galley, at);
    ui.ctx().accesskit_node_builder(id, |node| node.set_live(egui::accesskit::Live::Polite));
}

/// Draws text that a screen reader finds; clicks go through it.
fn say(ui: &mut Ui, text: &str, galley: std::sync::Arc<egui::Galley>, at: egui::Pos2) {
    let id = ui.scope_id().with(text);
    draw(ui, id, text, galley, at);
}

fn draw(
    ui: &mut Ui,
    id: egui::Id,
    text: &str,
    galley: std::sync::Arc<egui::Galley>,
    at: egui::Pos2,
) {
    let response = ui.interact(Rect::from_min_size(at, galley.size()), id, Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, text));
    ui.painter().galley(at, galley, Color32::PLACEHOLDER);
}
