//! Kuzflow: an update launcher for desktop apps, and the publisher's tools that feed it.
//!
//! The rooms, from the ground up; a room imports only rooms below it (`tests/architecture`
//! guards this):
//!
//! ```text
//! bin/  cli/  demo/       command lines: thin mains over the rooms below
//! app/                    the launcher's life: run, resident beside the app, its own update
//! gui/                    the window: view state, dialogs, texts
//! engine/                 commands in, events out: pure machine, driver
//! update/  schedule/      check, plan, install, repair | when to check
//! session/                the running app: its start, its end, the conversation with it
//! environment             what a launcher works with, from its start to its end
//! messages/               commands, events and problems as values
//! site/                   the download page                         (feature publisher)
//! installers/             what people download: .deb, .rpm, .run    (feature publisher)
//! server/                 HTTP routes over a repository          (feature publisher)
//! publish/                build, sign, write a repository        (feature publisher)
//! desktop/                shortcuts, uninstalling, the launcher's own executable
//! peers/                  peers on the local network: hand over, and take from, each other
//! fetch/   store/         bytes from nodes     | versions on disk: these two never meet
//! trust/   container/  pack/   signed metadata | packages: unpack, verify | patch packs: make, apply
//! host  settings  model/  the door to the system | resolved settings | values only
//! error_chain  durable  positional  token_bucket  backoff  hedge  https  look  parallel  plain
//! programs  threads  file_error  real_path  mutex  named_file (feature publisher)
//!                         ground floor: errors as text, files that survive a power cut, reads and
//!                         writes at a place, limits of rate, pauses between tries, several sources
//!                         asked for the same thing, HTTP clients, what is present and what is
//!                         unknown, work on several cores, text from outside made safe, programs
//!                         started, threads, the one error of files, paths that every program
//!                         takes, and files that a person names to be written
//! ```
//!
//! Everything is private to the library except the two programs' starts and `testing`, which names
//! the items that tests, examples and fuzz targets reach.
//!
//! Comments cite faults and promises of `docs/security.md` by number; "the specification" is
//! `docs/internals/specification.md`; `docs/internals/architecture.md` is the map of the rooms,
//! `docs/glossary.md` has the words.

// The `print` macros panic where they cannot print, and block on a reader that does not read;
// `app::streams` does neither. The build with all features finds unused code; the launcher alone
// leaves out much.
#![cfg_attr(not(all(feature = "publisher", target_os = "linux")), allow(dead_code, unused_imports))]
#![cfg_attr(feature = "publisher", warn(unreachable_pub))]
#![deny(clippy::print_stdout, clippy::print_stderr)]
// Tests make threads and look at the environment as they need it.
#![cfg_attr(test, allow(clippy::disallowed_methods))]

mod app;
mod backoff;
mod cli;
mod container;
#[cfg(feature = "publisher")]
mod demo;
mod desktop;
mod durable;
mod engine;
mod environment;
mod error_chain;
mod fetch;
mod file_error;
#[cfg(feature = "publisher")]
mod fleet;
mod gui;
mod hedge;
mod host;
mod https;
#[cfg(feature = "publisher")]
mod installers;
mod look;
mod messages;
mod model;
mod mutex;
#[cfg(feature = "publisher")]
mod named_file;
mod pack;
mod parallel;
mod peers;
mod plain;
mod positional;
mod process_group;
mod programs;
#[cfg(feature = "publisher")]
mod publish;
mod real_path;
mod reports;
mod schedule;
#[cfg(feature = "publisher")]
mod server;
mod session;
mod settings;
#[cfg(feature = "publisher")]
mod site;
mod store;
#[cfg(feature = "publisher")]
pub mod testing;
mod threads;
mod token_bucket;
mod trust;
mod update;

pub use cli::launcher::main as launcher_main;
#[cfg(feature = "publisher")]
pub use cli::publisher::main as publisher_main;
pub use host::{attach_console, outlive_size_limits, share_addresses};
