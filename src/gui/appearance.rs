//! How a window of the launcher looks when it opens, and the preparation of its egui context.
//!
//! In: the app's icon, language and theme. Out: a prepared context that events of the engine wake.
//! Never: the contents of the window.

use std::time::Duration;

use egui::{ColorImage, TextureHandle};

use super::texts::Language;
use super::{icons, theme};
use crate::messages::mailbox::Handle;
use crate::settings::Theme;

/// The shortest time between two frames while events arrive: about 15 frames a second.
const FRAME: Duration = Duration::from_millis(66);

/// How a window looks when it opens.
pub struct Appearance {
    /// The app's icon; the first letter of its name if there is none.
    pub icon: Option<ColorImage>,
    /// The language of all texts in the window.
    pub language: Language,
    /// The theme; the user can change it in the window.
    pub theme: Theme,
    /// Whether [`Theme::Auto`] is dark where the window system does not report it.
    pub dark: bool,
}

impl Appearance {
    /// Gives fonts, theme and the icon to an egui context, which events of the engine wake from now
    /// on. Returns the icon as the context holds it.
    pub(super) fn prepare(
        &self,
        context: &egui::Context,
        handle: &Handle,
    ) -> Option<TextureHandle> {
        theme::prepare(context, self.language, self.theme, self.dark);
        let waker = context.clone();
        handle.on_event(move || waker.request_repaint_after(FRAME));
        let icon = self.icon.clone()?;
        Some(context.load_texture("icon", icon, icons::filtering()))
    }
}
