//! The messages between the rooms of the engine and its drivers, as values.
//!
//! ```text
//! protocol   commands in, events out          language   the machine's inputs and effects
//! problem    errors as what, why, what next   mailbox    the queues to an engine and back
//! login_switch   the switch for the start at login, as the engine reaches it
//! old_shortcuts  the shortcuts of an earlier installation, likewise
//! ```
//!
//! In: errors of the rooms below. Out: values, and the two ends of the queues between a driver and
//! an engine. Never: works on files or the network.

#[cfg(test)]
pub(crate) mod fixture;
pub(crate) mod language;
pub(crate) mod login_switch;
pub mod mailbox;
pub(crate) mod old_shortcuts;
pub(crate) mod problem;
pub mod protocol;
