//! Shows progress while the app's start takes long: every step that lasts longer than a moment is
//! shown in the window or on standard error, and written to the log.
//!
//! In: a start. Out: its result, and messages while it lasts. Never: lets the start wait for a
//! message (the user may close the window, and standard error may have no reader; the start goes
//! on); shows a message for a start of the usual length.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::output::Output;
use super::streams::error_line;
use crate::gui::ViewState;
use crate::messages::mailbox::{self, Handle};
use crate::messages::protocol::{Event, Phase};
use crate::threads;

/// After this time a start counts as long: nobody should wait five seconds without a message, and a
/// window needs some time to open.
pub(super) const TELL_AFTER: Duration = Duration::from_millis(2500);
/// How often standard error repeats that the start still lasts.
pub(super) const TELL_AGAIN: Duration = Duration::from_secs(30);

/// Receives the steps of a start.
pub(crate) type Tell<'a> = &'a (dyn Fn(Event) + Sync);

/// Begins a start on a thread of its own; tells what it does if it lasts: by `show`, a window that
/// may not be had, else on standard error. Without a thread nothing is told. The clock is that of
/// the program, which `began` then: waits before this one count as well.
pub(crate) fn start<T: Send>(
    began: Instant,
    show: impl FnOnce(&Handle, ViewState) -> bool,
    output: &Output,
    begin: impl Fn(Tell) -> T + Sync,
) -> T {
    let (handle, end) = mailbox::channel();
    let emitter = end.emitter();
    let tell = move |event| emitter.emit(event);
    let (ended, is_ended) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let work = || {
            // Both end with the start, even if it panics: then the window closes and the waiting
            // thread goes on.
            let (_end, _ended) = (end, ended);
            begin(&tell)
        };
        let Ok(starting) = threads::spawn_scoped(scope, "start", work) else {
            return begin(&|_| ());
        };
        if is_ended.recv_timeout(TELL_AFTER.saturating_sub(began.elapsed()))
            == Err(RecvTimeoutError::Timeout)
        {
            let view = what_lasts(&handle);
            tracing::warn!(phase = ?view.phase, "the start lasts");
            if !show(&handle, view) {
                tell_in_terminal(&handle, output, &is_ended);
            }
        }
        starting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The state that the window begins with.
fn what_lasts(handle: &Handle) -> ViewState {
    let mut view = ViewState::of_start();
    handle.take().into_iter().for_each(|event| view.apply(event));
    view
}

fn tell_in_terminal(handle: &Handle, output: &Output, is_ended: &mpsc::Receiver<()>) {
    let mut view = ViewState::of_start();
    // Earlier events were taken when the wait was noticed.
    view.apply(Event::Phase { phase: handle.phase() });
    loop {
        for event in handle.take() {
            output.event(&event);
            view.apply(event);
        }
        error_line(&line(output, &view));
        if is_ended.recv_timeout(TELL_AGAIN) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

fn line(output: &Output, view: &ViewState) -> String {
    let texts = &output.texts;
    let (title, why) = match &view.phase {
        Phase::Switching { version } => {
            let title = texts.with("switching-title", &[("version", &version.to_string())]);
            let (done, total) = (view.progress.done, view.progress.total);
            let why = if total > done {
                texts.taken_along(done, total)
            } else {
                texts.get("switching-subtitle-start")
            };
            (title, why)
        }
        _ => (texts.get("starting-title"), texts.get("starting-subtitle")),
    };
    texts.with("detail-line", &[("name", &title), ("value", &why)])
}

/// Shows on standard error that the launcher itself waits for a slow disk, until the value is
/// dropped: before the settings are read there is no window.
pub(crate) struct SlowDisk(#[allow(dead_code)] mpsc::Sender<()>);

impl SlowDisk {
    /// Prints `words` once the wait is long.
    pub(crate) fn watch(words: String) -> Option<Self> {
        let (ended, is_ended) = mpsc::channel::<()>();
        let began = Instant::now();
        let watch = move || {
            if is_ended.recv_timeout(TELL_AFTER) == Err(RecvTimeoutError::Timeout) {
                error_line(&words);
                let _ = is_ended.recv();
                tracing::warn!(
                    seconds = began.elapsed().as_secs(),
                    "the launcher's own files came slowly"
                );
            }
        };
        threads::spawn("slow disk", watch).ok().map(|_| Self(ended))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gui::texts::{Language, Texts};

    #[test]
    fn a_start_whose_program_has_waited_before_is_shown_at_once() {
        let began = Instant::now().checked_sub(TELL_AFTER).unwrap();
        let output = Output::silent(Texts::new(Language::English));
        let (shown, is_shown) = mpsc::channel();
        let is_shown = std::sync::Mutex::new(is_shown);
        let show = |_: &Handle, _| shown.send(()).is_ok();
        // With a clock of its own the start would end before anything is shown.
        let begin = |_: Tell| is_shown.lock().unwrap().recv_timeout(TELL_AFTER / 2).is_ok();
        assert!(start(began, show, &output, begin));
    }
}
