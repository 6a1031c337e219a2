//! Kuzflow: an update launcher for desktop apps, and the publisher's tools that feed it.
//!
//! The rooms, from the ground up; a room imports only rooms below it (`tests/architecture.rs`
//! guards this):
//!
//! ```text
//! bin/  cli/  demo/       command lines: thin mains over the rooms below
//! app/                    the launcher's life: run, resident beside the app, its own update
//! gui/                    the window: view state, dialogs, texts
//! engine/                 commands in, events out: pure machine, driver
//! update/  schedule/      check, plan, install, repair | when to check
//! session/                the running app: its start, its end, the conversation with it
//! messages/               commands, events and problems as values
//! server/                 HTTP routes over a repository          (feature publisher)
//! publish/                build, sign, write a repository        (feature publisher)
//! desktop/                shortcuts, uninstalling, the launcher's own executable
//! peers/                  neighbours on the local network: hand over, and take from, each other
//! fetch/   store/         bytes from nodes     | versions on disk: these two never meet
//! trust/   container/  pack/   signed metadata | packages: unpack, verify | patch packs: make, apply
//! host  settings  model/  the door to the system | resolved settings | values only
//! causes  durable  hedge  https  look  parallel  programs  threads   ground floor: errors as text, files that survive a power cut,
//!                         several sources asked for the same thing, HTTP clients, what is there and what is not known, work on
//!                         several cores, programs started, and threads
//! ```
//!
//! Comments cite faults and promises of `docs/security.md` by number; "the specification" is
//! `docs/internals/specification.md`; `docs/internals/architecture.md` is the map of the rooms,
//! `docs/glossary.md` has the words.

// Printing panics where it cannot print, and waits for a reader that does not read; `app::streams`
// does neither.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod app;
pub mod cli;
pub mod container;
#[cfg(feature = "publisher")]
pub mod demo;
pub mod desktop;
pub mod durable;
pub mod engine;
pub mod error_chain;
pub mod fetch;
pub mod gui;
pub mod hedge;
pub mod host;
mod https;
pub mod look;
pub mod messages;
pub mod model;
pub mod pack;
pub mod parallel;
pub mod peers;
pub mod plain;
pub mod programs;
#[cfg(feature = "publisher")]
pub mod publish;
pub mod schedule;
#[cfg(feature = "publisher")]
pub mod server;
pub mod session;
pub mod settings;
pub mod store;
pub mod threads;
pub mod trust;
pub mod update;
