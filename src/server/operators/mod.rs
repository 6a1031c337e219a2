//! `/fleet`: what launchers report, as a page for the people who operate a server.
//!
//! In: requests with a cookie, numbers of the room `fleet`. Out: HTML that is complete without a
//! script. Never: a number for a stranger; a number that `kuzflow stats` does not have; a script, a
//! picture or a style from elsewhere; a text of a report as anything but text.
//!
//! ```text
//! routes   requests and answers             login     cookies (pure)
//! question what is asked for (pure)         view      rows -> what is shown (pure)
//! builds   jobs as a table                  rollouts  how they stand, and buttons
//! moves    what a button does               timeline  what happened
//! visitor  who looks                        meanings  of the words of reports and of the audit
//! page     the page        parts  its parts        charts   pictures        words   both languages
//! ```

mod builds;
mod charts;
mod login;
mod meanings;
mod moves;
mod page;
mod parts;
mod question;
mod rollouts;
mod routes;
mod timeline;
mod view;
mod visitor;
mod words;

pub(super) use moves::move_rollout;
pub(super) use routes::{log_in, log_out, show, style};
