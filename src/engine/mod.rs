//! The update engine: commands in, events out. Window, headless mode and tests are three equal drivers of it.
//!
//! [`protocol`] is the language, [`machine`] the pure core (`step(input) -> effects`), [`driver`] performs effects.
//!
//! ```text
//! channel ── take_over         the conversation with the running app; a new version without a restart
//! closing                      closing the running app as its window manager would
//! check ── planning ── planner  what there is, and the cheapest way to it (planner: pure)
//! update  repair               a new version, an old one mended
//!    └──┬────┘
//! applying  entries  described   packs applied; single files and documents of a package, over a line
//!
//! instance                     another start of the launcher asks the one beside the app for its window
//! watch                        when to check beside the running app
//!    ├── schedule  push         the clock's part, pure; what a server says
//!    ├── announcements          which offers are shown by themselves
//!    └── reminder               and when again, if nobody has answered
//! ```

pub mod announcements;
pub mod app;
mod applying;
pub mod channel;
pub mod check;
mod closing;
pub mod context;
mod download_sources;
pub mod driver;
mod entries;
mod from_file;
mod health;
mod hot_swap;
pub mod instance;
pub mod machine;
pub mod mailbox;
pub mod package_documents;
pub mod peer_service;
mod planner;
mod planning;
pub mod problem;
pub mod protocol;
pub mod push;
pub mod reminder;
mod renewal;
pub mod repair;
pub mod schedule;
pub mod self_update;
mod sources;
mod starter;
pub mod supervisor;
mod update;
pub mod watch;
