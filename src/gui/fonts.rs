//! The embedded fonts. With them every text of the catalogue is readable on a machine without
//! Chinese fonts. Other characters (names of apps, release notes) come from the system's fonts.
//!
//! `packaging/fonts/subset.sh` makes the files; 178 kB for two weights and the code font.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};

use egui::epaint::text::{FallbackRequest, FontInsert, FontProvider};
use egui::{FontData, FontDefinitions, FontFamily};
use egui_system_font_provider::SystemFontProvider;

use super::texts::Language;

const REGULAR: &[u8] = include_bytes!("../../assets/fonts/NotoSansSC-Regular.otf");
const BOLD: &[u8] = include_bytes!("../../assets/fonts/NotoSansSC-Bold.otf");
const MARKS_REGULAR: &[u8] = include_bytes!("../../assets/fonts/NotoSansNarrowMarks-Regular.otf");
const MARKS_BOLD: &[u8] = include_bytes!("../../assets/fonts/NotoSansNarrowMarks-Bold.otf");
const MONOSPACE: &[u8] = include_bytes!("../../assets/fonts/NotoSansMonoSC-Regular.otf");

/// The characters in the bold font: those of the catalogue, and Latin-1.
static IN_BOLD: LazyLock<HashSet<char>> = LazyLock::new(|| {
    let catalogue =
        [include_str!("../../assets/texts/zh-CN.ftl"), include_str!("../../assets/texts/en.ftl")];
    let names = Language::ALL.into_iter().flat_map(|language| language.name().chars());
    catalogue
        .into_iter()
        .flat_map(str::chars)
        .chain(names)
        .chain('\u{20}'..='\u{7e}')
        .chain('\u{a0}'..='\u{ff}')
        .collect()
});

/// Whether the bold font has every character of a text. If not, single letters would come from a
/// system font that is not bold.
pub(crate) fn bold_has(text: &str) -> bool {
    text.chars().all(|character| IN_BOLD.contains(&character))
}

/// The font family of titles and buttons.
pub(crate) fn bold() -> FontFamily {
    FontFamily::Name("bold".into())
}

/// The embedded fonts alone. In English quotation marks and dashes are as narrow as letters; in
/// Chinese they fill a square.
pub(crate) fn definitions(language: Language) -> FontDefinitions {
    let mut fonts = FontDefinitions::empty();
    let mut add = |name: &str, bytes| {
        fonts.font_data.insert(name.to_owned(), Arc::new(FontData::from_static(bytes)))
    };
    add("regular", REGULAR);
    add("bold", BOLD);
    add("regular marks", MARKS_REGULAR);
    add("bold marks", MARKS_BOLD);
    add("monospace", MONOSPACE);
    let order = |marks: &str, names: &[&str]| {
        let marks = [marks].into_iter().filter(|_| language == Language::English);
        marks.chain(names.iter().copied()).map(str::to_owned).collect()
    };
    fonts.families.insert(FontFamily::Proportional, order("regular marks", &["regular"]));
    fonts.families.insert(bold(), order("bold marks", &["bold", "regular"]));
    fonts.families.insert(FontFamily::Monospace, order("regular marks", &["monospace", "regular"]));
    fonts
}

/// Installs the embedded fonts and, behind them, the system's. `language` decides between the
/// Chinese and the Japanese form of the same character.
pub(crate) fn install(context: &egui::Context, language: Language) {
    install_with(context, language, system_fonts(language));
}

fn install_with(context: &egui::Context, language: Language, system: Arc<Guarded<OnDemand>>) {
    context.set_fonts(definitions(language));
    context.set_font_providers(vec![system]);
}

/// The system's fonts. All windows of the process share them, since the system is searched for them
/// only once.
fn system_fonts(language: Language) -> Arc<Guarded<OnDemand>> {
    static CHINESE: LazyLock<Arc<Guarded<OnDemand>>> =
        LazyLock::new(|| Arc::new(Guarded::new(OnDemand::new("zh-Hans"))));
    static ENGLISH: LazyLock<Arc<Guarded<OnDemand>>> =
        LazyLock::new(|| Arc::new(Guarded::new(OnDemand::new("en"))));
    Arc::clone(match language {
        Language::Chinese => &CHINESE,
        Language::English => &ENGLISH,
    })
}

/// The system's fonts, searched for when a character is needed that no embedded font has. Most
/// windows need none, and the search loads each of the system's fonts.
struct OnDemand {
    locale: &'static str,
    provider: OnceLock<SystemFontProvider>,
}

impl OnDemand {
    const fn new(locale: &'static str) -> Self {
        Self { locale, provider: OnceLock::new() }
    }
}

impl FontProvider for OnDemand {
    fn font_for(&self, request: &FallbackRequest<'_>) -> Option<FontInsert> {
        let search = || SystemFontProvider::new().with_locale(Some(self.locale));
        self.provider.get_or_init(search).font_for(request)
    }
}

/// A font provider that finds nothing once it has panicked. fontique panics on a machine without a
/// single font, where the window must open all the same.
struct Guarded<P> {
    provider: P,
    broken: AtomicBool,
}

impl<P> Guarded<P> {
    const fn new(provider: P) -> Self {
        Self { provider, broken: AtomicBool::new(false) }
    }
}

impl<P: FontProvider> FontProvider for Guarded<P> {
    fn font_for(&self, request: &FallbackRequest<'_>) -> Option<FontInsert> {
        if self.broken.load(Ordering::Relaxed) {
            return None;
        }
        catch_unwind(AssertUnwindSafe(|| self.provider.font_for(request))).unwrap_or_else(|_| {
            self.broken.store(true, Ordering::Relaxed);
            None
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gui::theme;

    #[test]
    fn a_broken_provider_is_asked_only_once() {
        struct Broken(std::sync::atomic::AtomicU32);
        impl FontProvider for Broken {
            fn font_for(&self, _: &FallbackRequest<'_>) -> Option<FontInsert> {
                self.0.fetch_add(1, Ordering::Relaxed);
                panic!("no font at all")
            }
        }
        let guarded = Guarded::new(Broken(0.into()));
        let request = FallbackRequest { cluster: "字", family: &FontFamily::Proportional };
        assert!(guarded.font_for(&request).is_none() && guarded.font_for(&request).is_none());
        assert_eq!(guarded.provider.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn the_system_is_searched_for_fonts_once_and_only_on_need() {
        for language in Language::ALL {
            assert!(Arc::ptr_eq(&system_fonts(language), &system_fonts(language)));
            let (context, fonts) =
                (egui::Context::default(), Arc::new(Guarded::new(OnDemand::new("en"))));
            install_with(&context, language, Arc::clone(&fonts));
            let draw = |text: &str| {
                let mut output = context.run_ui(egui::RawInput::default(), |ui| {
                    for font in [theme::body(14.0), theme::title(14.0)] {
                        ui.label(egui::RichText::new(text).font(font));
                    }
                });
                // Nothing is drawn on a screen.
                output.textures_delta.clear();
            };
            draw(&IN_BOLD.iter().filter(|character| !character.is_control()).collect::<String>());
            assert!(fonts.provider.provider.get().is_none(), "the embedded fonts are enough");
            draw("የአማርኛ");
            assert!(fonts.provider.provider.get().is_some(), "they have no such letters");
        }
    }

    #[test]
    fn every_character_of_the_catalogue_has_a_glyph() {
        let mut definitions = definitions(Language::Chinese);
        definitions.families.insert(bold(), vec!["bold".to_owned()]);
        let mut fonts =
            egui::epaint::text::Fonts::new(egui::epaint::TextOptions::default(), definitions);
        for &character in
            IN_BOLD.iter().filter(|character| !character.is_control() && **character != '\u{ad}')
        {
            for font in [theme::body(14.0), theme::title(14.0)] {
                assert!(
                    fonts.has_glyph(&font, character),
                    "{character:?} is not in {:?}: run packaging/fonts/subset.sh",
                    font.family
                );
            }
        }
    }
}
