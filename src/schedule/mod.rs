//! When to check while the app runs, and which offers the launcher shows without being asked.
//!
//! ```text
//! watch                     when to check
//!    ├── schedule  push      the clock's part, pure; the server's push events
//!    ├── announcements       which offers are shown without being asked
//!    └── reminder            and when again, if nobody has answered
//! ```
//!
//! In: rules of the settings, the time, a server's events. Out: times to check, offers to show.
//! Never: the check itself.

pub(crate) mod announcements;
pub mod push;
pub(crate) mod reminder;
// The module with the pure plan of times has the same name as its parent.
#[allow(clippy::module_inception)]
pub mod schedule;
pub mod watch;
