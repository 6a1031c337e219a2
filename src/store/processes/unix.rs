//! Waits for processes and ends them, alike on every Unix.

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

/// Blocks until this child has ended, and leaves it unreaped: its id stays ours until its owner
/// takes it under the lock. `false` if the system does not wait.
pub(crate) fn wait_for_child(child: u32) -> bool {
    let pid = i32::try_from(child).ok().and_then(Pid::from_raw);
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    pid.is_some_and(|pid| waitid(WaitId::Pid(pid), options).is_ok())
}

/// Asks a process to end, or ends it.
pub(crate) fn end(process: u32, by_force: bool) {
    if let Some(id) = i32::try_from(process).ok().and_then(Pid::from_raw) {
        let _ = kill_process(id, if by_force { Signal::KILL } else { Signal::TERM });
    }
}
