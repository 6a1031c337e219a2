//! The window: a driver of the engine. It takes events, shows phases, and sends the user's choices.
//!
//! In: [`mailbox::Handle`], the state so far, names and settings. Out: commands, and why the window
//! closed. Never: a decision about updates, a file or a network connection. Every fault in this
//! module is returned as an error, so that the caller can start the app without a window.
//!
//! ```text
//! view_state  pure: events -> what a screen shows     actions  pure: a state -> its buttons
//! dialog/     the screens, the version menu, keys     theme, fonts, icons, widgets, markdown
//! texts       the catalogue, figures for people       plan_text  what an update costs, and why
//! notice_text  incidents in words                     blocker_text  why a restart is needed
//! appearance  how a window looks when it opens        file_dialog  the system's file dialog
//! window      with OpenGL (eframe)                    software, rasteriser  without OpenGL
//! event_loop  the only one of the process             screen  where a window goes, its corners
//! notification/         the small window beside a running app
//! system_notification/  the system's own notification in its place
//! ```

mod actions;
mod appearance;
mod blocker_text;
pub(crate) mod dialog;
mod event_loop;
mod file_dialog;
pub(crate) mod fonts;
pub(crate) mod icons;
pub(crate) mod letter;
pub(crate) mod markdown;
mod notice_text;
pub(crate) mod notification;
mod plan_text;
pub(crate) mod rasteriser;
mod screen;
mod software;
mod system_notification;
pub(crate) mod texts;
pub mod theme;
pub(crate) mod view_state;
pub(crate) mod widgets;
mod window;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use appearance::Appearance;
pub(crate) use dialog::Choices;
pub use dialog::{CloseReason, Dialog, DialogOptions, Picked};
pub(crate) use notification::Notified;
pub use notification::{Notification, NotificationEnd, NotificationOptions, notify};
pub(crate) use plan_text::{repaired_subtitle, repaired_title};
pub use system_notification::notify_by_system;
pub use texts::{Language, Texts};
pub use view_state::ViewState;

use crate::messages::mailbox;
use crate::messages::protocol::Problem;
use crate::settings::{Renderer, Theme};
use crate::threads;

/// How long the window waits for the desktop to report whether it is dark. Usually the answer takes
/// a few milliseconds.
const DESKTOP_ANSWER: std::time::Duration = std::time::Duration::from_millis(150);

/// What a window needs to open.
#[derive(Clone, Debug)]
pub struct WindowOptions {
    /// The title of the window.
    pub title: String,
    /// The app's name for people.
    pub app_name: String,
    /// The app's icon as PNG; the first letter of its name if there is none or it cannot be read.
    pub icon: Option<Vec<u8>>,
    /// The language when the window opens.
    pub language: Language,
    /// The theme when the window opens.
    pub theme: Theme,
    /// Which renderer draws the window.
    pub renderer: Renderer,
    /// Whether details are unfolded when the window opens.
    pub details: bool,
}

/// How a window ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Why the window closed.
    pub reason: CloseReason,
    /// What the user changed in the window; the caller stores it.
    pub choices: Choices,
}

/// Why no window opened, or why it ended early.
#[derive(Debug, thiserror::Error)]
pub enum WindowError {
    /// There is no display, or none that lets us open a window.
    #[error("no window can be opened: {0}")]
    NoWindow(String),
    /// The window system chooses the position of windows, so no window can be put at the edge of
    /// the screen.
    #[error("this window system lets no program say where its window goes")]
    NoPlace,
    /// The system shows no notifications, or none with buttons.
    #[error("the system shows no notification that can be answered: {0}")]
    NoNotifications(String),
    /// A window opened, but this renderer cannot draw into it.
    #[error("the window cannot be drawn: {0}")]
    NoDrawing(String),
    /// A fault in the window's own code or in a library below it.
    #[error("the window failed: {0}")]
    Panicked(String),
}

/// Memory that a window may need, bytes. A failed allocation ends the launcher without a message
/// and leaves the app alone. Without a window the launcher continues.
const WINDOW_MEMORY: usize = 96 << 20;

/// Fails if there is too little memory for a window.
pub(super) fn check_memory() -> Result<(), WindowError> {
    threads::check_memory(WINDOW_MEMORY).map_err(|error| WindowError::NoWindow(error.to_string()))
}

/// Opens the window and returns when it has closed. Call it always on the process's main thread
/// (macOS insists). Windows open one at a time, as many one after another as the launcher needs.
///
/// `state` is what the caller has seen of the engine so far; later events come from `handle`. After
/// the window has closed the engine still runs. The caller chooses whether a download continues or
/// [`crate::messages::protocol::Command::Quit`] is sent.
pub fn open(
    options: WindowOptions,
    handle: mailbox::Handle,
    state: ViewState,
) -> Result<Closed, WindowError> {
    check_memory()?;
    let icon = options.icon.as_deref().and_then(icons::decode);
    let shown = icon.clone().unwrap_or_else(|| letter::icon(&options.app_name));
    let dialog = Dialog::new(
        state,
        handle.clone(),
        DialogOptions {
            app_name: options.app_name,
            appearance: Appearance {
                icon,
                language: options.language,
                theme: options.theme,
                dark: crate::host::desktop_is_dark(DESKTOP_ANSWER).unwrap_or(false),
            },
            details: options.details,
            zone: crate::host::time_zone(),
            open_folder: crate::host::open_folder,
            pick_file: file_dialog::pick,
        },
    );
    let run = match options.renderer {
        // The same picture with a third of the memory, on every machine: figures in `software`.
        Renderer::Auto | Renderer::Software => software::run,
        Renderer::Opengl => window::run,
    };
    // After a panic nothing inside the closure is used again.
    let ended = catch_unwind(AssertUnwindSafe(|| run(&options.title, &shown, dialog)));
    // The window's waker would retain all the memory of the window.
    handle.on_event(|| ());
    crate::host::screen::in_dock(false);
    let ended = ended.map_err(|panic| WindowError::Panicked(words(panic.as_ref())))??;
    Ok(Closed { reason: ended.reason.unwrap_or(CloseReason::ByUser), choices: ended.choices })
}

/// Shows why the launcher could not begin, in a window that contains only that, and returns when it
/// has closed. Where no window can open, a message of the system shows it.
pub(crate) fn show_problem(options: WindowOptions, problem: &Problem) {
    let texts = Texts::new(options.language).of_app(&options.app_name);
    let title = options.title.clone();
    // Nothing answers the window; it stays open as long as this end of the mailbox exists.
    let (handle, _engine) = mailbox::channel();
    if let Err(error) = open(options, handle, ViewState::of_problem(problem.clone())) {
        tracing::info!(error = &error as &dyn std::error::Error, "no window for what failed");
        tell_problem(&title, &texts, problem);
    }
}

/// Takes in the messages that the window system has sent since the last window closed, if there was
/// one. A launcher that stays without a window for hours calls this now and then, on the thread of
/// [`open`].
pub fn catch_up() {
    event_loop::catch_up();
}

/// Shows a problem in a message of the system, as far as the system can, and waits until the user
/// has read it.
fn tell_problem(title: &str, texts: &Texts, problem: &Problem) {
    tell(title, &texts.problem(problem).join("\n\n"));
}

/// Reports in a message of the system that [`open`] failed and the app starts without a window, as
/// far as the system can. It waits until the user has read the message, so call it from a thread of
/// its own.
pub(crate) fn tell_no_window(title: &str, texts: &Texts) {
    tell(title, &texts.get("no-window"));
}

fn tell(title: &str, text: &str) {
    let message = rfd::MessageDialog::new()
        .set_level(rfd::MessageLevel::Warning)
        .set_title(title)
        .set_description(text);
    // A system that cannot even show this may panic on the way; no other way to report it is left.
    let _ = catch_unwind(AssertUnwindSafe(|| message.show()));
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "unknown panic".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panics_words_are_retained() {
        let caught = |panic: fn()| words(catch_unwind(panic).unwrap_err().as_ref());
        assert_eq!(caught(|| panic!("missing {}", "libxkbcommon-x11")), "missing libxkbcommon-x11");
        assert_eq!(caught(|| panic!("plain")), "plain");
        assert_eq!(caught(|| std::panic::panic_any(1)), "unknown panic");
    }
}
