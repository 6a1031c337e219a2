//! What a system's message consists of, and what each system must be able to do with one.

use std::time::Duration;

use crate::gui::WindowError;
use crate::gui::actions::Action;

/// A message of the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub title: String,
    pub text: String,
    /// Named buttons; none for a message that only reports.
    pub buttons: Vec<(Action, String)>,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(target_os = "macos", allow(dead_code))] // there is no answer there
pub(super) enum MessageAnswer {
    /// The user pressed this button, counted from 0.
    Button(usize),
    /// The user pressed the message itself.
    Clicked,
    /// The user dismissed the message.
    PutAway,
    /// The message expired.
    Expired,
}

/// Shows messages and reports what became of them.
pub(super) trait Messenger {
    /// Shows a message in place of the previous one.
    fn show(&mut self, message: &Message) -> Result<(), WindowError>;
    /// What became of the message, within a limit.
    fn answer(&mut self, limit: Duration) -> Option<MessageAnswer>;
    /// Takes the message back.
    fn withdraw(&mut self);
}
