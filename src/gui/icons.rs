//! Pictures: the launcher's own icon, and the few that are drawn.

use egui::{Color32, ColorImage, IconData, Painter, Rect, Shape, Stroke};

/// The launcher's own icon as PNG.
pub(crate) const LAUNCHER: &[u8] = include_bytes!("../../assets/icons/launcher.png");
/// Largest width and height of an app's icon, pixels; larger ones are not used.
const MAX_SIDE_PIXELS: u32 = 1024;

/// Reads a PNG; `None` if the bytes are no PNG, or the picture is far larger than any icon.
pub(crate) fn decode(png: &[u8]) -> Option<ColorImage> {
    // The size stands at a fixed position, so a picture of gigabytes is refused before it is
    // unpacked.
    let number = |at: usize| Some(u32::from_be_bytes(png.get(at..at + 4)?.try_into().ok()?));
    if !png.starts_with(b"\x89PNG")
        || number(16)? > MAX_SIDE_PIXELS
        || number(20)? > MAX_SIDE_PIXELS
    {
        return None;
    }
    let IconData { rgba, width, height } = eframe::icon_data::from_png_bytes(png).ok()?;
    let size = [usize::try_from(width).ok()?, usize::try_from(height).ok()?];
    Some(ColorImage::from_rgba_unmultiplied(size, &rgba))
}

/// The window's icon in the task bar.
pub(crate) fn window(image: &ColorImage) -> IconData {
    IconData {
        rgba: image.pixels.iter().flat_map(|pixel| pixel.to_srgba_unmultiplied()).collect(),
        width: u32::try_from(image.width()).unwrap_or(0),
        height: u32::try_from(image.height()).unwrap_or(0),
    }
}

/// The texture options that make an icon smaller without flickering edges.
pub(crate) fn filtering() -> egui::TextureOptions {
    egui::TextureOptions::LINEAR.with_mipmap_mode(Some(egui::TextureFilter::Linear))
}

/// The sign for light and dark: a circle with one half filled.
pub(crate) fn half_circle(painter: &Painter, rect: Rect, colour: Color32) {
    let (centre, radius) = (rect.center(), rect.width() / 2.0);
    let half = (0..=24).map(|step| {
        let angle = std::f32::consts::PI * (step as f32 / 24.0) - std::f32::consts::FRAC_PI_2;
        centre + radius * egui::vec2(angle.cos(), angle.sin())
    });
    painter.add(Shape::convex_polygon(half.collect(), colour, Stroke::NONE));
    painter.circle_stroke(centre, radius, Stroke::new(1.5, colour));
}

/// The sign for a file from outside: an arrow into a tray.
pub(crate) fn file_in(painter: &Painter, rect: Rect, colour: Color32) {
    let stroke = Stroke::new(1.5, colour);
    let at = |x: f32, y: f32| rect.lerp_inside(egui::vec2(x, y));
    painter.line(vec![at(0.5, 0.0), at(0.5, 0.68)], stroke);
    painter.line(vec![at(0.2, 0.38), at(0.5, 0.68), at(0.8, 0.38)], stroke);
    painter.line(vec![at(0.0, 0.6), at(0.0, 1.0), at(1.0, 1.0), at(1.0, 0.6)], stroke);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_launchers_icon_is_there_and_nonsense_is_not() {
        assert_eq!(decode(LAUNCHER).unwrap().size, [256, 256]);
        assert!(
            decode(b"").is_none()
                && decode(b"\x89PNG").is_none()
                && decode(&LAUNCHER[..200]).is_none()
        );
        let mut huge = LAUNCHER.to_vec();
        huge[16..20].copy_from_slice(&100_000_u32.to_be_bytes());
        assert!(decode(&huge).is_none());
    }
}
