//! What a window needs to open, and what follows from it.

use std::path::PathBuf;
use std::time::Duration;

use egui::ColorImage;

use super::appearance::Appearance;
use super::error::WindowError;
use super::texts::Language;
use super::{icons, letter};
use crate::settings::{Renderer, Theme};
use crate::threads;

/// How long the window waits for the desktop to report whether it is dark. Usually the answer takes
/// a few milliseconds.
const DESKTOP_ANSWER: Duration = Duration::from_millis(150);

/// Memory that a window may need, bytes. A failed allocation ends the launcher without a message
/// and leaves the app alone. Without a window the launcher continues.
const WINDOW_MEMORY: usize = 96 << 20;

/// What a window needs to open.
#[derive(Clone, Debug)]
pub struct WindowOptions {
    /// The title of the window.
    pub title: String,
    /// The app's name for people.
    pub app_name: String,
    /// The class of the window, by which the desktop finds the menu entry of the app: its icon, its
    /// name, and its group in the bar. It is what `StartupWMClass` in that entry says.
    pub class: String,
    /// The app's icon as PNG; the first letter of its name if there is none or it cannot be read.
    pub icon: Option<Vec<u8>>,
    /// The file of the icon, for systems that show it themselves.
    pub icon_file: Option<PathBuf>,
    /// The language when the window opens.
    pub language: Language,
    /// The theme when the window opens.
    pub theme: Theme,
    /// Which renderer draws the window.
    pub renderer: Renderer,
    /// Whether details are unfolded when the window opens.
    pub details: bool,
}

impl WindowOptions {
    /// How the window looks when it opens. The desktop reports whether it is dark.
    pub(super) fn appearance(&self) -> Appearance {
        Appearance {
            icon: self.icon.as_deref().and_then(icons::decode),
            language: self.language,
            theme: self.theme,
            dark: crate::host::desktop_is_dark(DESKTOP_ANSWER).unwrap_or(false),
        }
    }

    /// The icon of the window itself: the app's, else the first letter of its name.
    pub(super) fn window_icon(&self, appearance: &Appearance) -> ColorImage {
        appearance.icon.clone().unwrap_or_else(|| letter::icon(&self.app_name))
    }

    /// The same where no window opens.
    #[cfg(all(unix, not(target_os = "macos")))]
    pub(super) fn app_icon(&self) -> ColorImage {
        let icon = self.icon.as_deref().and_then(icons::decode);
        icon.unwrap_or_else(|| letter::icon(&self.app_name))
    }
}

/// Fails if there is too little memory for a window.
pub(super) fn check_memory() -> Result<(), WindowError> {
    threads::check_memory(WINDOW_MEMORY).map_err(|error| WindowError::NoWindow(error.to_string()))
}
