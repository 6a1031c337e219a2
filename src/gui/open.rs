//! Opens the window on the process's main thread, and reports to the person what fails, in a window
//! or, where none can open, in a message of the system.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::dialog::{Choices, CloseReason, Dialog, DialogOptions};
use super::error::WindowError;
use super::texts::Texts;
use super::view_state::ViewState;
use super::window_options::{WindowOptions, check_memory};
use super::{file_dialog, software, window};
use crate::error_chain;
use crate::messages::mailbox;
use crate::messages::protocol::Problem;
use crate::settings::Renderer;

/// How a window ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Why the window closed.
    pub reason: CloseReason,
    /// What the user changed in the window; the caller stores it.
    pub choices: Choices,
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
    let appearance = options.appearance();
    let icon = options.window_icon(&appearance);
    let dialog = Dialog::new(
        state,
        handle.clone(),
        DialogOptions {
            app_name: options.app_name,
            appearance,
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
    let identity = window::Identity { title: &options.title, class: &options.class, icon: &icon };
    // After a panic nothing inside the closure is used again.
    let ended = catch_unwind(AssertUnwindSafe(|| run(&identity, dialog)));
    // The window's waker would retain all the memory of the window.
    handle.on_event(|| ());
    crate::host::screen::in_dock(false);
    let ended = ended.map_err(|panic| WindowError::of_panic(panic.as_ref()))??;
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
        tracing::info!(error = error_chain::line(&error), "no window for what failed");
        tell_problem(&title, &texts, problem);
    }
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
