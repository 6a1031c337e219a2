//! How a window of the launcher looks to begin with, and an egui context made ready for it.
//!
//! In: the app's icon, language and theme. Out: a prepared context, which an event of the engine
//! wakes. Never: what is shown in the window.

use std::time::Duration;

use egui::{ColorImage, TextureHandle};

use super::texts::Language;
use super::{icons, theme};
use crate::messages::mailbox::Handle;
use crate::settings::Theme;

/// A window is drawn at most this often while events come in: about 15 times a second.
const FRAME: Duration = Duration::from_millis(66);

/// How a window looks to begin with.
pub struct Appearance {
    /// The app's icon; the first letter of its name if there is none.
    pub icon: Option<ColorImage>,
    /// The language.
    pub language: Language,
    /// The theme.
    pub theme: Theme,
    /// Whether [`Theme::Auto`] is dark where the window system does not say.
    pub dark: bool,
}

impl Appearance {
    /// Gives fonts, theme and the icon to an egui context, which events of the engine wake from now
    /// on. Gives the icon as the context holds it.
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
