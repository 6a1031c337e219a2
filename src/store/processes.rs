//! Asks the system about processes, which need not be children of this one.
//!
//! In: process ids. Out: when a process was started, and what binds it to a version. Never: decides
//! what that means ([`super::successors`] does that). A process that another user owns, or that
//! ends during the look, is left out.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(all(unix, not(target_os = "linux")))]
mod mac;
mod process;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(target_os = "linux")]
use linux as system;
#[cfg(all(unix, not(target_os = "linux")))]
use mac as system;
#[cfg(windows)]
use windows as system;

pub(super) use process::{Process, TICKS};
pub(super) use system::{
    all, ancestors, end, holds_open, is_alive, maps, may_be_alive, start, wait_for_any,
    wait_for_child,
};
