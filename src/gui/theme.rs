//! Colours, sizes and distances of the window, light and dark. There is one accent colour; every
//! other colour is a shade of grey or shows an outcome.

use egui::{Color32, CornerRadius, FontFamily, FontId, Margin, Stroke, TextStyle, Theme, Visuals};

use super::fonts;
use super::texts::Language;
use crate::settings::Theme as Choice;

/// Width of the window, points.
pub const WIDTH: f32 = 544.0;
/// Distance between the window's edge and its contents, points.
pub const MARGIN: f32 = 24.0;
/// Distance between cards, points.
pub const GAP: f32 = 12.0;

/// Opacity of an untouched scroll bar, over the colour of unused controls.
const SCROLL_OPACITY: f32 = 0.65;

/// The colours of a theme.
#[derive(Clone, Copy, Debug)]
pub struct Palette {
    /// The background of the window.
    pub background: Color32,
    /// The background of a card.
    pub card: Color32,
    /// The border of a card.
    pub border: Color32,
    pub text: Color32,
    /// Less important text. At least 4.5:1 on background and card.
    pub muted: Color32,
    /// The primary button; its text is white.
    pub accent: Color32,
    /// The primary button under the pointer.
    pub accent_hover: Color32,
    /// Links and bars.
    pub accent_text: Color32,
    /// The ring around the control with the keyboard focus, at a little distance. At least 3:1 on
    /// background and card.
    pub focus: Color32,
    /// The background of the other buttons.
    pub button: Color32,
    /// The background of the other buttons under the pointer.
    pub button_hover: Color32,
    /// The empty part of a progress bar.
    pub track: Color32,
    pub success: Color32,
    /// A state that needs attention.
    pub warning: Color32,
    /// A failure, or an action that deletes something.
    pub danger: Color32,
}

const LIGHT: Palette = Palette {
    background: Color32::from_rgb(0xf5, 0xf6, 0xf8),
    card: Color32::from_rgb(0xff, 0xff, 0xff),
    border: Color32::from_rgb(0xe4, 0xe7, 0xec),
    text: Color32::from_rgb(0x17, 0x1a, 0x21),
    muted: Color32::from_rgb(0x5c, 0x64, 0x72),
    accent: Color32::from_rgb(0x2b, 0x65, 0xe8),
    accent_hover: Color32::from_rgb(0x20, 0x55, 0xcf),
    accent_text: Color32::from_rgb(0x23, 0x5a, 0xd8),
    focus: Color32::from_rgb(0x17, 0x1a, 0x21),
    button: Color32::from_rgb(0xff, 0xff, 0xff),
    button_hover: Color32::from_rgb(0xec, 0xef, 0xf4),
    track: Color32::from_rgb(0xe5, 0xe9, 0xf0),
    success: Color32::from_rgb(0x15, 0x80, 0x4d),
    warning: Color32::from_rgb(0xa1, 0x5a, 0x00),
    danger: Color32::from_rgb(0xc6, 0x2f, 0x2f),
};

const DARK: Palette = Palette {
    background: Color32::from_rgb(0x16, 0x18, 0x1d),
    card: Color32::from_rgb(0x1f, 0x22, 0x29),
    border: Color32::from_rgb(0x2e, 0x33, 0x3d),
    text: Color32::from_rgb(0xec, 0xee, 0xf2),
    muted: Color32::from_rgb(0x9d, 0xa5, 0xb3),
    accent: Color32::from_rgb(0x35, 0x6d, 0xe6),
    accent_hover: Color32::from_rgb(0x3e, 0x74, 0xe9),
    accent_text: Color32::from_rgb(0x7d, 0xa8, 0xff),
    focus: Color32::from_rgb(0xff, 0xff, 0xff),
    button: Color32::from_rgb(0x2a, 0x2e, 0x37),
    button_hover: Color32::from_rgb(0x35, 0x3a, 0x45),
    track: Color32::from_rgb(0x31, 0x36, 0x41),
    success: Color32::from_rgb(0x4c, 0xc3, 0x8a),
    warning: Color32::from_rgb(0xe8, 0xa9, 0x4a),
    danger: Color32::from_rgb(0xf0, 0x71, 0x71),
};

impl Palette {
    /// The colours of the theme in which `ui` is drawn.
    pub fn of(ui: &egui::Ui) -> Self {
        Self::for_theme(if ui.visuals().dark_mode { Theme::Dark } else { Theme::Light })
    }

    /// The colours of a theme.
    pub const fn for_theme(theme: Theme) -> Self {
        match theme {
            Theme::Dark => DARK,
            Theme::Light => LIGHT,
        }
    }
}

/// The font of running text.
pub const fn body(size: f32) -> FontId {
    FontId::new(size, FontFamily::Proportional)
}

/// The font of titles and buttons.
pub fn title(size: f32) -> FontId {
    FontId::new(size, fonts::bold())
}

/// Prepares a context for a window: fonts, theme, and what counts as a click. `dark` is for
/// [`Choice::Auto`] where the window system does not report its theme.
pub fn prepare(context: &egui::Context, language: Language, theme: Choice, dark: bool) {
    fonts::install(context, language);
    install(context, preference(theme));
    let fallback = if dark { Theme::Dark } else { Theme::Light };
    context.options_mut(|options| {
        options.fallback_theme = fallback;
        // For slow machines and slow hands a press is a click however long it takes, as in other
        // programs.
        options.input_options.max_click_duration = f64::INFINITY;
    });
}

/// A choice of theme as egui's type.
pub const fn preference(theme: Choice) -> egui::ThemePreference {
    match theme {
        Choice::Auto => egui::ThemePreference::System,
        Choice::Light => egui::ThemePreference::Light,
        Choice::Dark => egui::ThemePreference::Dark,
    }
}

/// Gives both themes to egui and chooses one.
pub fn install(context: &egui::Context, preference: egui::ThemePreference) {
    context.set_theme(preference);
    for theme in [Theme::Light, Theme::Dark] {
        context.set_visuals_of(theme, visuals(theme));
        context.style_mut_of(theme, |style| {
            style.text_styles = [
                (TextStyle::Small, body(12.0)),
                (TextStyle::Body, body(14.0)),
                (TextStyle::Button, body(14.0)),
                (TextStyle::Heading, title(22.0)),
                (TextStyle::Monospace, FontId::new(12.5, FontFamily::Monospace)),
            ]
            .into();
            style.spacing.item_spacing = egui::vec2(8.0, 6.0);
            // The bar lies beside the cards, over the window's margin. It is visible wherever the
            // contents are longer than the window.
            style.spacing.scroll = egui::style::ScrollStyle {
                floating_allocated_width: 0.0,
                floating_width: 6.0,
                bar_width: 10.0,
                foreground_color: true,
                dormant_handle_opacity: SCROLL_OPACITY,
                active_handle_opacity: 0.8,
                interact_handle_opacity: 1.0,
                ..egui::style::ScrollStyle::thin()
            };
            // The animation is too short to wait for, and after it the window is still.
            style.animation_time = 0.08;
        });
    }
}

fn visuals(theme: Theme) -> Visuals {
    let colours = Palette::for_theme(theme);
    let mut visuals = theme.default_visuals();
    visuals.override_text_color = Some(colours.text);
    visuals.panel_fill = colours.background;
    visuals.window_fill = colours.card;
    visuals.window_stroke = Stroke::new(1.0, colours.border);
    visuals.window_corner_radius = CornerRadius::same(14);
    visuals.menu_corner_radius = CornerRadius::same(8);
    visuals.hyperlink_color = colours.accent_text;
    visuals.code_bg_color = colours.track;
    visuals.extreme_bg_color = colours.track;
    visuals.selection.bg_fill = colours.accent.gamma_multiply(0.35);
    visuals.selection.stroke = Stroke::new(1.0, colours.accent_text);
    visuals
}

pub fn card(colours: &Palette) -> egui::Frame {
    egui::Frame::new()
        .fill(colours.card)
        .stroke(Stroke::new(1.0, colours.border))
        .corner_radius(CornerRadius::same(12))
        .inner_margin(Margin::symmetric(16, 14))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Contrast of two colours by WCAG 2.
    fn contrast(one: Color32, other: Color32) -> f32 {
        let luminance = |colour: Color32| {
            let [r, g, b, _] = egui::Rgba::from(colour).to_array();
            0.2126 * r + 0.7152 * g + 0.0722 * b
        };
        let (light, dark) =
            (luminance(one).max(luminance(other)), luminance(one).min(luminance(other)));
        (light + 0.05) / (dark + 0.05)
    }

    #[test]
    fn a_scroll_bar_is_seen_also_while_nobody_touches_it() {
        for theme in [Theme::Light, Theme::Dark] {
            let palette = Palette::for_theme(theme);
            let handle = visuals(theme).widgets.inactive.fg_stroke.color;
            for background in [palette.background, palette.card] {
                let seen = background.lerp_to_gamma(handle, SCROLL_OPACITY);
                assert!(contrast(seen, background) >= 3.0, "{seen:?} on {background:?}");
            }
        }
    }

    #[test]
    fn all_text_can_be_read() {
        for palette in [LIGHT, DARK] {
            for background in [palette.background, palette.card] {
                for colour in [
                    palette.text,
                    palette.muted,
                    palette.accent_text,
                    palette.success,
                    palette.warning,
                    palette.danger,
                ] {
                    assert!(contrast(colour, background) >= 4.5, "{colour:?} on {background:?}");
                }
            }
            for background in [palette.background, palette.card] {
                assert!(
                    contrast(palette.focus, background) >= 3.0,
                    "{:?} on {background:?}",
                    palette.focus
                );
            }
            for button in [palette.accent, palette.accent_hover] {
                assert!(contrast(Color32::WHITE, button) >= 4.0, "white on {button:?}");
            }
        }
    }
}
