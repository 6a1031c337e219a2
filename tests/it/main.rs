//! The integration tests, in one program: one build, one link, and shared preparations are made
//! once. Each module is a subject; `cargo test --test it packs::` runs one of them.
//!
//! Three programs stay apart: `architecture` only reads sources, `crash` interrupts the launcher
//! for many minutes, and `real_windows` opens windows on its main thread.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic, its helpers too")]
#![allow(clippy::disallowed_methods, reason = "a test makes threads as it needs them")]
// The helpers serve every test, and some tests are for one system only.
#![cfg_attr(not(target_os = "linux"), allow(dead_code))]

#[cfg(target_os = "linux")]
mod autostart;
mod build;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod build_for_other_systems;
mod bundles;
#[cfg(target_os = "linux")]
mod closing;
mod desktop;
mod documents;
#[cfg(target_os = "linux")]
mod door;
mod executables;
mod fetch;
mod first_run;
#[cfg(target_os = "linux")]
mod first_start;
#[cfg(target_os = "linux")]
mod fleet;
#[cfg(target_os = "linux")]
mod full_disk;
#[cfg(target_os = "linux")]
mod handing_over;
#[cfg(unix)]
mod homes;
mod honest_answers;
#[cfg(unix)]
mod hooks;
#[cfg(target_os = "linux")]
mod hot;
mod incremental;
#[cfg(target_os = "linux")]
mod installers;
mod lasting_repairs;
mod leaked_keys;
#[cfg(target_os = "linux")]
mod left_alone;
mod making;
mod moving;
mod next_steps;
mod notification;
mod offline;
#[cfg(windows)]
mod on_windows;
#[cfg(target_os = "linux")]
mod own_products;
mod package;
mod packs;
mod patches;
mod peer_sharing;
mod peers;
mod published_again;
mod publisher_clock;
mod publisher_way;
mod publishing;
mod push;
mod release_roles;
mod repair;
mod retiring;
mod server;
mod slow_lines;
#[cfg(target_os = "linux")]
mod snapshots;
mod socks;
#[cfg(unix)]
mod stand_ins;
#[cfg(unix)]
mod starts;
#[cfg(unix)]
mod steering;
#[path = "../support/mod.rs"]
mod support;
#[cfg(target_os = "linux")]
mod surroundings;
mod survival;
#[cfg(unix)]
mod trial_changes;
mod trust;
mod tuf_interop;
mod window;
