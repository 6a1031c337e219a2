//! What the rooms of the engine say to each other and to those who drive them, as values.
//!
//! ```text
//! protocol   commands in, events out          language   what goes into the machine, and its effects
//! problem    errors as what, why, what next   mailbox    the way to an engine and back
//! ```
//!
//! In: errors of the rooms below. Out: values, and the two ends of a conversation with an engine.
//! Never: work on files or the network.

#[cfg(test)]
pub(crate) mod fixture;
pub(crate) mod language;
pub mod mailbox;
pub(crate) mod problem;
pub mod protocol;
