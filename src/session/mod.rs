//! The running app and its launcher: how it is started, closed and judged, and what the two say to
//! each other.
//!
//! ```text
//! app_session   the environment, the app that was started, and the conversation with it
//! app           the app that was started          channel      the conversation with it
//! supervisor    a start, and who stays with it    trial        what is written down of a start
//! restart       a start in place of another       switching    which version the next one is of
//! closing       as its window manager would       health       whether it came up, pure
//! failed_start  for the person who sees nothing   instance     another start of the launcher asks
//!                                                              the one beside the app for its window
//! ```
//!
//! In: an installation that starts, connections of the app. Out: a running app, events for it,
//! commands from it.
//! Never: a decision about an update; `engine` takes those.

pub(crate) mod app;
pub(crate) mod app_session;
pub(crate) mod channel;
pub(crate) mod closing;
pub(crate) mod failed_start;
pub(crate) mod health;
pub(crate) mod instance;
pub(crate) mod restart;
pub(crate) mod supervisor;
pub(crate) mod switching;
mod trial;
