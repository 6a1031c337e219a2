//! Growing pauses between tries.
//!
//! In: how many tries have failed. Out: how long to wait. Never: a clock, a wait, two clients that
//! come back in step: whoever waits spreads its pause.

use std::time::Duration;

/// Pauses that double from the first one to the longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Backoff {
    /// After the first failure.
    pub(crate) first: Duration,
    /// After many.
    pub(crate) longest: Duration,
}

impl Backoff {
    /// The pause after `failures` in a row, of which the first is 1.
    pub(crate) fn pause(self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1);
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.longest)
    }
}

/// `pause` made longer or shorter by up to the share `by`; `random` is in 0..1.
pub(crate) fn spread(pause: Duration, by: f64, random: f64) -> Duration {
    between(pause, 1.0 - by, 1.0 + by, random)
}

/// `pause` times something from `from` to `to`; `random` is in 0..1.
pub(crate) fn between(pause: Duration, from: f64, to: f64, random: f64) -> Duration {
    pause.mul_f64(from + (to - from) * random)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff =
        Backoff { first: Duration::from_millis(500), longest: Duration::from_secs(30) };

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses: Vec<u128> =
            (0..9).map(|failures| BACKOFF.pause(failures).as_millis()).collect();
        assert_eq!(pauses, [500, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
        for failures in [32, 33, 64, u32::MAX] {
            assert_eq!(BACKOFF.pause(failures), BACKOFF.longest, "{failures}");
        }
    }

    #[test]
    fn pauses_are_spread() {
        let pause = Duration::from_secs(4);
        assert_eq!(spread(pause, 0.25, 0.0), Duration::from_secs(3));
        assert_eq!(spread(pause, 0.25, 1.0), Duration::from_secs(5));
        assert_eq!(between(pause, 1.0, 3.0, 0.5), Duration::from_secs(8));
    }
}
