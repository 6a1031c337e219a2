//! The running app and its launcher: who started it, how it is closed, whether it came up, and what
//! the two say to each other.
//!
//! ```text
//! app        the app that was started         channel    the conversation with it
//! closing    as its window manager would      health     whether it came up, pure
//! instance   another start of the launcher asks the one beside the app for its window
//! ```
//!
//! In: an installation that starts, connections of the app. Out: a running app, events for it,
//! commands from it.
//! Never: a decision about an update; `engine` takes those.

pub(crate) mod app;
pub(crate) mod channel;
pub(crate) mod closing;
pub(crate) mod health;
pub(crate) mod instance;
