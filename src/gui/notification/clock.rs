//! When the notification closes by itself, and how it slides in. Pure: the time is an argument,
//! counted from any moment.

use std::time::Duration;

/// How long the notification stays without the user's attention.
pub(super) const STAY: Duration = Duration::from_secs(15);
/// How long a new face must have been visible before it takes an answer. This ignores the second
/// half of a double click, and a click that was meant for what lay under the window a moment
/// before.
const SETTLE: Duration = Duration::from_millis(500);
/// How long the notification takes to slide in.
const SLIDE: Duration = Duration::from_millis(300);

/// Counts the time without the user's attention.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Countdown {
    /// When the attention ended; `None` while the user points at the window, or before the first
    /// look.
    alone_since: Option<Duration>,
}

impl Countdown {
    /// The time that is left at this moment; at zero the window closes. While `cared` (the pointer
    /// is on the window, or it has the keyboard) the full time is left, and afterwards the count
    /// begins anew.
    pub(super) fn left(&mut self, now: Duration, cared: bool) -> Duration {
        if cared {
            self.alone_since = None;
            return STAY;
        }
        let since = *self.alone_since.get_or_insert(now);
        STAY.saturating_sub(now.saturating_sub(since))
    }

    /// Begins the count anew, for a new text to read.
    pub(super) fn restart(&mut self) {
        self.alone_since = None;
    }
}

/// Whether the user can have seen a face that came at a given moment.
pub(super) fn settled(since: Duration, now: Duration) -> bool {
    now.saturating_sub(since) >= SETTLE
}

/// The part of its path that the window has covered so long after it appeared, 0 to 1: fast at
/// first, then slower (cubic).
pub(super) fn slid(after: Duration) -> f32 {
    let part = (after.as_secs_f32() / SLIDE.as_secs_f32()).clamp(0.0, 1.0);
    1.0 - (1.0 - part).powi(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn it_goes_after_fifteen_seconds_alone() {
        let mut countdown = Countdown::default();
        assert_eq!(countdown.left(at(70_000), false), STAY);
        assert_eq!(countdown.left(at(72_000), false), at(13_000));
        assert_eq!(countdown.left(at(85_000), false), Duration::ZERO);
        assert_eq!(countdown.left(at(99_000), false), Duration::ZERO);
    }

    #[test]
    fn a_pointer_on_it_keeps_it_and_leaving_begins_anew() {
        let mut countdown = Countdown::default();
        countdown.left(at(0), false);
        assert_eq!(countdown.left(at(4_900), true), STAY);
        assert_eq!(countdown.left(at(60_000), true), STAY);
        assert_eq!(countdown.left(at(60_001), false), STAY);
        assert_eq!(countdown.left(at(63_001), false), at(12_000));
        countdown.restart();
        assert_eq!(countdown.left(at(64_000), false), STAY);
        assert_eq!(countdown.left(at(79_000), false), Duration::ZERO);
    }

    #[test]
    fn a_clock_that_goes_back_takes_nothing_away() {
        let mut countdown = Countdown::default();
        countdown.left(at(9_000), false);
        assert_eq!(countdown.left(at(1_000), false), STAY);
    }

    #[test]
    fn an_answer_takes_longer_than_a_double_click() {
        assert_eq!(
            [at(0), at(499), at(500), at(9_000)].map(|after| settled(at(70), at(70) + after)),
            [false, false, true, true]
        );
        assert!(!settled(at(70), at(0)));
    }

    #[test]
    fn it_slides_fast_and_then_slower() {
        assert_eq!([slid(at(0)), slid(at(300)), slid(at(10_000))], [0.0, 1.0, 1.0]);
        let half = slid(at(150));
        assert!((half - 0.875).abs() < 1e-6, "{half}");
        assert!(slid(at(100)) - slid(at(50)) > slid(at(250)) - slid(at(200)));
    }
}
