//! A window under test: the launcher's own rasteriser draws it, the test reads and presses its
//! labels, and the test plays the engine.

use egui_kittest::kittest::Queryable as _;
use egui_kittest::{Harness, HarnessBuilder, TestRenderer};
use image::RgbaImage;
use kuzflow::testing::gui::{Appearance, Language, theme};
use kuzflow::testing::gui::{Canvas, Rasteriser};
use kuzflow::testing::messages::mailbox::EngineEnd;
use kuzflow::testing::messages::protocol::{Command, Event};
use kuzflow::testing::settings::Theme;

/// The look of a window.
#[derive(Clone, Copy)]
pub struct Look {
    pub language: Language,
    pub theme: Theme,
    pub scale: f32,
    pub app: &'static str,
}

/// The usual look.
pub const ENGLISH: Look =
    Look { language: Language::English, theme: Theme::Light, scale: 1.0, app: "LabelImg" };

impl Look {
    /// The look as a window's appearance.
    pub fn appearance(self) -> Appearance {
        Appearance { icon: None, language: self.language, theme: self.theme, dark: false }
    }
}

/// The app whose windows are drawn into pictures.
pub fn app() -> &'static str {
    std::env::var("KUZFLOW_APP").map_or(ENGLISH.app, |name| Box::leak(name.into_boxed_str()))
}

/// The contents of a window.
pub trait Shown: 'static {
    /// Prepares the contents once, before the first frame.
    fn prepare(&mut self, context: &egui::Context);
    /// Draws one frame.
    fn show(&mut self, ui: &mut egui::Ui);
}

/// The window, and the engine's end of its mailbox until the engine ends.
pub struct Window<T: Shown> {
    pub harness: Harness<'static, T>,
    pub engine: Option<EngineEnd>,
}

impl<T: Shown> Window<T> {
    /// Opens the window; `builder` sets its size and its clock.
    pub fn around(shown: T, engine: EngineEnd, look: Look, builder: HarnessBuilder<T>) -> Self {
        let mut prepared = false;
        let harness =
            builder.with_pixels_per_point(look.scale).renderer(Pictures::default()).build_ui_state(
                move |ui, shown: &mut T| {
                    if !std::mem::replace(&mut prepared, true) {
                        shown.prepare(ui.ctx());
                        ui.ctx().request_discard("fonts have changed");
                        return;
                    }
                    // The harness leaves a margin around its ui; a window has none.
                    let whole = egui::UiBuilder::new().max_rect(ui.ctx().content_rect());
                    ui.scope_builder(whole, |ui| shown.show(ui));
                },
                shown,
            );
        Self { harness, engine: Some(engine) }
    }

    /// Whether the window shows this label.
    pub fn sees(&self, text: &str) -> bool {
        self.harness.query_all_by_label(text).next().is_some()
    }

    /// Puts an event into the mailbox; no frame is drawn.
    pub fn send(&self, event: Event) {
        self.engine.as_ref().unwrap().emitter().emit(event);
    }

    /// All commands to the engine since the last call.
    pub fn all_commands(&mut self) -> Vec<Command> {
        let engine = self.engine.as_mut().unwrap();
        std::iter::from_fn(|| engine.commands.try_recv().ok()).collect()
    }
}

/// The window's own rasteriser as the tests' renderer.
#[derive(Default)]
struct Pictures(Rasteriser);

impl TestRenderer for Pictures {
    fn handle_delta(&mut self, delta: &mut egui::TexturesDelta) {
        self.0.update(delta);
        self.0.free(delta);
    }

    fn render(
        &mut self,
        context: &egui::Context,
        output: &egui::FullOutput,
    ) -> Result<RgbaImage, String> {
        let scale = context.pixels_per_point();
        let size = context.content_rect().size() * scale;
        let (width, height) = (size.x.round() as usize, size.y.round() as usize);
        let mut pixels = vec![0; width * height];
        let primitives = context.tessellate(output.shapes.clone(), scale);
        let background = theme::Palette::for_theme(context.theme()).background;
        self.0.draw(
            &mut Canvas { pixels: &mut pixels, width, height },
            background,
            &primitives,
            scale,
        );
        let bytes = pixels.iter().flat_map(|pixel| (pixel << 8 | 0xff).to_be_bytes()).collect();
        RgbaImage::from_raw(width as u32, height as u32, bytes)
            .ok_or_else(|| "no picture".to_owned())
    }
}
