//! The running app and its launcher: starts, closes and assesses the app, and carries the
//! conversation between the two.
//!
//! ```text
//! app_session   the environment, the app that was started, and the conversation with it
//! app           the app that was started          channel      the conversation with it
//! supervisor    a start, and its probation        trial        the record of a start on probation
//! restart       a start in place of another       switching    the version of the next start
//! closing       as its window manager would       health       whether it came up, pure
//! failed_start  what the user sees of it          instance     another start of the launcher asks
//! hooks         what a release runs before its first start     the one beside the app
//! set_aside     says when set-aside files are large
//! ```
//!
//! In: an installation that starts, connections of the app. Out: a running app, events for it,
//! commands from it.
//! Never: decides about an update; `engine` does.

pub(crate) mod app;
pub(crate) mod app_session;
pub(crate) mod channel;
pub(crate) mod closing;
pub(crate) mod failed_start;
pub(crate) mod health;
mod hooks;
pub(crate) mod instance;
pub(crate) mod restart;
mod set_aside;
pub(crate) mod supervisor;
pub(crate) mod switching;
mod trial;
