//! The system's file dialog: through the desktop portal on Linux, natively elsewhere. The window
//! continues meanwhile.

use std::time::{Duration, Instant};

use super::dialog::{FileAnswer, FileQuestion, Picked};
use crate::error_chain;
use crate::threads;

/// No person closes a dialog faster than this. An earlier answer without a file means that the
/// system has no dialog: the library writes that only to its log.
const FASTEST_PERSON: Duration = Duration::from_millis(250);

/// Asks for a file. Call it on the window's thread (macOS insists); the answer arrives on another
/// thread.
pub(super) fn pick(question: FileQuestion, answer: FileAnswer) {
    let dialog = rfd::AsyncFileDialog::new()
        .set_title(question.title)
        .add_filter(question.kind, &[question.extension]);
    let asked = Instant::now();
    let choosing = dialog.pick_file();
    let waiting = threads::spawn("file dialog", move || {
        let runtime = threads::runtime(0);
        let chosen = runtime
            .inspect_err(|error| {
                tracing::error!(error = error_chain::line(error), "no file dialog")
            })
            .ok();
        let chosen = chosen.and_then(|runtime| runtime.block_on(choosing));
        answer(match chosen {
            Some(file) => Picked::File(file.path().to_owned()),
            None if asked.elapsed() < FASTEST_PERSON => Picked::NoDialog,
            None => Picked::Nothing,
        });
    });
    if let Err(error) = waiting {
        tracing::error!(error = error_chain::line(&error), "no file dialog");
    }
}
