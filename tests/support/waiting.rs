//! Helpers that wait for an event, for tests that also run on a busy computer. They never look only
//! once at a fixed time after the cause, and no limit requires a fast computer.

use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// Ends a test that would hang. The limit is far longer than any step here takes, so it measures no
/// speed.
pub const LIMIT: Duration = Duration::from_secs(180);
/// Time between two looks.
const POLL_INTERVAL: Duration = Duration::from_millis(30);
/// After this time a user repeats an action without effect.
const TRY_AGAIN: Duration = Duration::from_secs(10);

/// Whether a condition becomes true.
pub fn comes(mut is_so: impl FnMut() -> bool) -> bool {
    comes_within(LIMIT, &mut is_so)
}

fn comes_within(limit: Duration, is_so: &mut dyn FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        // The time is taken first: a delay after a look does not make that look late.
        let is_last = Instant::now() > end;
        if is_so() {
            return true;
        }
        if is_last {
            return false;
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Waits until a condition is true; fails if it never is.
#[track_caller]
pub fn until(what: &str, is_so: impl FnMut() -> bool) {
    assert!(comes(is_so), "never: {what}");
}

/// Repeats a user's action every few seconds until it has an effect. A window takes no answer
/// before it is drawn and has stood for a moment, and on a busy computer that time is unknown.
#[track_caller]
pub fn insist(what: &str, mut act: impl FnMut(), mut has_effect: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    loop {
        act();
        if comes_within(TRY_AGAIN, &mut has_effect) {
            return;
        }
        assert!(Instant::now() < end, "it has no effect: {what}");
    }
}

/// How a child ends, which it must do by itself; otherwise it is killed.
pub fn ends(child: &mut Child) -> Option<ExitStatus> {
    let mut status = None;
    comes(|| {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    if status.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    status
}
