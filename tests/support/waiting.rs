//! Waiting for what comes, in tests that also run on a computer that is busy with other work:
//! nothing is looked at once, a fixed time after what leads to it, and no limit says how fast a
//! computer has to be.

use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// Ends a test that would hang. Far longer than anything here takes, so that it says nothing about
/// speed.
pub const LIMIT: Duration = Duration::from_secs(180);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(30);
/// After which a person tries again what had no effect.
const TRY_AGAIN: Duration = Duration::from_secs(10);

/// Whether something comes to be so.
pub fn comes(mut is_so: impl FnMut() -> bool) -> bool {
    comes_within(LIMIT, &mut is_so)
}

fn comes_within(limit: Duration, is_so: &mut dyn FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        // The time is taken first: whoever is held up after a look has looked in time.
        let is_last = Instant::now() > end;
        if is_so() {
            return true;
        }
        if is_last {
            return false;
        }
        std::thread::sleep(LOOK);
    }
}

/// Waits until something is so, which must come.
#[track_caller]
pub fn until(what: &str, is_so: impl FnMut() -> bool) {
    assert!(comes(is_so), "never: {what}");
}

/// Does what a person does, and again every few seconds until it has an effect: a window takes no
/// answer before it is drawn and has stood for a moment, and on a busy computer nobody knows when
/// that is.
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

/// How a child ends, which it must do by itself; it is killed if it does not.
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
