//! The picture of an app without an icon, for the task bar and the menu: the first letter of its
//! name, as the window shows it.
//!
//! In: a name. Out: pixels. Never: a window, a display, or the launcher's own icon for an app.

use egui::{Color32, ColorImage, Pos2, RawInput, Rect, Theme, vec2};

use super::rasteriser::{Canvas, Rasteriser};
use super::screen::Shape;
use super::texts::Language;
use super::theme::Palette;
use super::{fonts, widgets};

/// Width and height of the picture, pixels.
const SIDE: usize = 256;

/// Draws the letter into a picture.
pub(crate) fn icon(name: &str) -> ColorImage {
    let context = egui::Context::default();
    fonts::install(&context, Language::English);
    context.set_theme(Theme::Light);
    let place = Rect::from_min_size(Pos2::ZERO, vec2(SIDE as f32, SIDE as f32));
    let input = || RawInput { screen_rect: Some(place), ..RawInput::default() };
    let mut rasteriser = Rasteriser::default();
    let mut pixels = vec![0; SIDE * SIDE];
    // If the letter comes from a font of the system, its shape is known only from the second frame
    // on.
    for _ in 0..2 {
        let mut output = context.run_ui(input(), |ui| widgets::initial(ui, place, name));
        rasteriser.update(&mut output.textures_delta);
        let primitives = context.tessellate(output.shapes, 1.0);
        let mut canvas = Canvas { pixels: &mut pixels, width: SIDE, height: SIDE };
        rasteriser.draw(&mut canvas, Palette::for_theme(Theme::Light).muted, &primitives, 1.0);
        rasteriser.free(&mut output.textures_delta);
    }
    let mut canvas = Canvas { pixels: &mut pixels, width: SIDE, height: SIDE };
    Shape { radius: SIDE as f32 * widgets::INITIAL_ROUNDNESS, opacity: 1.0 }.cut(&mut canvas, 1.0);
    let colour = |pixel: &u32| {
        let [alpha, red, green, blue] = pixel.to_be_bytes();
        Color32::from_rgba_premultiplied(red, green, blue, alpha)
    };
    ColorImage::new([SIDE, SIDE], pixels.iter().map(colour).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_letter_stands_on_a_tile_with_round_corners() {
        let [sample, other, none] = ["Sample", "other", "…"].map(icon);
        assert_eq!(sample.size, [SIDE, SIDE]);
        let at = |picture: &ColorImage, x: usize, y: usize| picture.pixels[y * SIDE + x];
        assert_eq!((at(&sample, 0, 0).a(), at(&sample, 128, 4).a()), (0, 255));
        let light = |picture: &ColorImage| {
            picture.pixels.iter().filter(|pixel| pixel.a() == 255 && pixel.r() > 200).count()
        };
        assert!(
            light(&sample) > 1500 && light(&other) > 1500 && light(&none) == 0,
            "a letter in light on dark"
        );
        assert!(sample.pixels != other.pixels);
    }
}
