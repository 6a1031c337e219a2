//! When to check beside the running app, and which offers are shown by themselves.
//!
//! ```text
//! watch                     when to check
//!    ├── schedule  push      the clock's part, pure; what a server says
//!    ├── announcements       which offers are shown by themselves
//!    └── reminder            and when again, if nobody has answered
//! ```
//!
//! In: rules of the settings, the time, a server's events. Out: times to check, offers to show.
//! Never: the check itself.

pub(crate) mod announcements;
pub mod push;
pub(crate) mod reminder;
// The pure plan of times has the room's own name.
#[allow(clippy::module_inception)]
pub mod schedule;
pub mod watch;
