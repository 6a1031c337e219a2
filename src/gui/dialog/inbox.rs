//! A question to the system's file dialog, and the way of its answer into the window.

use std::path::PathBuf;
use std::sync::mpsc;

/// What the system's file dialog shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileQuestion {
    /// The dialog's title.
    pub title: String,
    /// The name of the kind of files that the dialog lists.
    pub kind: String,
    /// The extension of those files, without the dot.
    pub extension: &'static str,
}

/// The answer of the system's file dialog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Picked {
    /// The user chose this file.
    File(PathBuf),
    /// The user closed the dialog without a file.
    Nothing,
    /// This system has no file dialog.
    NoDialog,
}

/// Takes the answer; any thread may call it.
pub(crate) type FileAnswer = Box<dyn FnOnce(Picked) + Send>;

/// How a file gets into the window.
pub(super) struct Inbox {
    sender: mpsc::Sender<Picked>,
    answers: mpsc::Receiver<Picked>,
    /// The next frame opens the system's dialog.
    pub wanted: bool,
    /// The system's dialog is open.
    asking: bool,
}

impl Default for Inbox {
    fn default() -> Self {
        let (sender, answers) = mpsc::channel();
        Self { sender, answers, wanted: false, asking: false }
    }
}

impl Inbox {
    /// Whether this frame opens the system's dialog.
    pub(super) fn is_to_ask(&mut self) -> bool {
        std::mem::take(&mut self.wanted) && !self.asking
    }

    /// The system's dialog opens; it sends its answer here.
    pub(super) fn ask(&mut self) -> mpsc::Sender<Picked> {
        self.asking = true;
        self.sender.clone()
    }

    /// The next answer, if one has arrived.
    pub(super) fn answer(&mut self) -> Option<Picked> {
        let answer = self.answers.try_recv().ok()?;
        self.asking = false;
        Some(answer)
    }
}
