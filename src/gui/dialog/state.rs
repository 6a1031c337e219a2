//! What a dialog holds from frame to frame, and what it is made from.

use std::path::Path;

use super::inbox::{FileAnswer, FileQuestion, Inbox};
use super::size::Size;
use crate::gui::appearance::Appearance;
use crate::gui::markdown::Markdown;
use crate::gui::texts::{Language, Texts};
use crate::gui::view_state::ViewState;
use crate::gui::widgets::Mark;
use crate::messages::mailbox::Handle;
use crate::messages::protocol::RetainedFiles;
use crate::model::ContainerId;
use crate::model::incident::{Incident, Notice};
use crate::settings::Theme;

/// Title, subtitle, and the mark at the app's icon.
pub(super) type Headline = (String, String, Option<Mark>);

/// Why the window closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The user closed it, or chose something that ends the conversation (later, skip).
    ByUser,
    /// The app runs and the window has nothing more to show.
    Launched,
    EngineEnded,
}

/// What the user changed in the window; the caller of the window stores it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// The new language, if the user changed it.
    pub language: Option<Language>,
    /// The new theme, if the user changed it.
    pub theme: Option<Theme>,
    /// Whether details are unfolded, if the user changed that.
    pub details: Option<bool>,
}

/// What a dialog needs besides the state.
pub struct DialogOptions {
    /// The app's name for people.
    pub app_name: String,
    /// How the window looks when it opens.
    pub appearance: Appearance,
    /// Whether details are unfolded when the window opens.
    pub details: bool,
    /// The time zone of the dates in the window.
    pub zone: jiff::tz::TimeZone,
    /// Shows a folder in the system's file manager.
    pub open_folder: fn(&Path) -> std::io::Result<()>,
    /// Asks for a file in the system's dialog and returns at once.
    pub pick_file: fn(FileQuestion, FileAnswer),
}

/// The contents of the window. Any program that can draw egui can show them: eframe, the software
/// window, a test.
pub struct Dialog {
    pub(super) view: ViewState,
    pub(super) handle: Handle,
    pub(super) texts: Texts,
    pub(super) options: DialogOptions,
    pub(super) choices: Choices,
    pub(super) icon: Option<egui::TextureHandle>,
    pub(super) page: Page,
    /// The action that waits for a second click.
    pub(super) asking: Option<Question>,
    /// The notices that are shown in full.
    pub(super) unfolded: Vec<Notice>,
    /// The parsed notes, and their source text.
    pub(super) notes: (String, Markdown),
    pub(super) details_open: bool,
    /// The question whose safe button already received the focus.
    pub(super) focused: Option<Question>,
    pub(super) copied: bool,
    /// The message about a folder that could not be opened.
    pub(super) trouble: Option<String>,
    pub(super) inbox: Inbox,
    pub(super) closed: Option<CloseReason>,
    pub(super) size: Size,
    /// Height of the part between header and buttons, points.
    pub(super) body_height: f32,
}

/// What the window shows between its header and its buttons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    Update,
    Versions,
}

/// The action that waits for a second click.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Question {
    /// Delete a version.
    Remove(ContainerId),
    /// Make the version active, with the present user files.
    Switch(ContainerId),
    /// Make the version active, with the user files of its snapshot.
    GoBack(ContainerId),
    /// Install an offered release that is older than the active version.
    StepBack,
    /// Delete the versions beyond the number to keep.
    Prune,
    /// Delete retained files.
    Delete(RetainedFiles),
    /// End the closing app by force.
    EndApp,
}

impl Dialog {
    /// A dialog that begins in the given state.
    pub fn new(view: ViewState, handle: Handle, options: DialogOptions) -> Self {
        let details_open = options.details;
        let mut dialog = Self {
            texts: Texts::new(options.appearance.language).of_app(&options.app_name),
            notes: Default::default(),
            view,
            handle,
            options,
            choices: Choices::default(),
            icon: None,
            page: Page::Update,
            asking: None,
            unfolded: Vec::new(),
            details_open,
            focused: None,
            copied: false,
            trouble: None,
            inbox: Inbox::default(),
            closed: None,
            size: Size::default(),
            body_height: 0.0,
        };
        dialog.read_notes();
        dialog.unfold_what_is_a_list();
        dialog
    }

    /// Parses the notes if they have changed.
    pub(super) fn read_notes(&mut self) {
        if self.notes.0 != self.view.notes {
            self.notes = (self.view.notes.clone(), Markdown::parse(&self.view.notes));
        }
    }

    /// Unfolds notices with a list of files where nothing else is shown: the user needs that list.
    fn unfold_what_is_a_list(&mut self) {
        let list = |notice: &&Notice| matches!(notice.what, Incident::Conflicts { .. });
        self.unfolded.extend(self.view.reports_one().filter(list).cloned());
    }
}
