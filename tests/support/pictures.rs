//! egui's pictures by the launcher's own rasteriser, for tests of the windows.

use egui_kittest::TestRenderer;
use image::RgbaImage;
use kuzflow::launcher::rasteriser::{Canvas, Rasteriser};
use kuzflow::launcher::theme;

/// The window's own rasteriser as the tests' renderer.
#[derive(Default)]
pub struct Pictures(Rasteriser);

impl TestRenderer for Pictures {
    fn handle_delta(&mut self, delta: &mut egui::TexturesDelta) {
        self.0.update(delta);
        self.0.free(delta);
    }

    fn render(&mut self, context: &egui::Context, output: &egui::FullOutput) -> Result<RgbaImage, String> {
        let scale = context.pixels_per_point();
        let size = context.content_rect().size() * scale;
        let (width, height) = (size.x.round() as usize, size.y.round() as usize);
        let mut pixels = vec![0; width * height];
        let primitives = context.tessellate(output.shapes.clone(), scale);
        let background = theme::Palette::for_theme(context.theme()).background;
        self.0.draw(&mut Canvas { pixels: &mut pixels, width, height }, background, &primitives, scale);
        let bytes = pixels.iter().flat_map(|pixel| (pixel << 8 | 0xff).to_be_bytes()).collect();
        RgbaImage::from_raw(width as u32, height as u32, bytes).ok_or_else(|| "no picture".to_owned())
    }
}
