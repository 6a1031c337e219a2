//! A token bucket: how much of something may happen, on the whole and at once.
//!
//! In: amounts, a rate, and the time since any fixed moment. Out: what is left, or owed. Never: a
//! clock, a wait.

use std::time::Duration;

/// How fast a bucket fills, and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rate {
    /// Tokens a second.
    pub(crate) per_second: f64,
    /// What is not used adds up to so much.
    pub(crate) capacity: f64,
}

/// The tokens that are there. The rate is said with each call, since it may change meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct TokenBucket {
    /// Negative while something is owed.
    tokens: f64,
    at: Duration,
}

impl TokenBucket {
    /// A bucket with so many tokens at the time zero.
    pub(crate) fn with(tokens: f64) -> Self {
        Self { tokens, at: Duration::ZERO }
    }

    /// Takes `amount` in any case and gives what is left: below zero it is owed, and whoever waits
    /// for `-left / per_second` has paid.
    pub(crate) fn take(&mut self, now: Duration, amount: f64, rate: Rate) -> f64 {
        self.fill(now, rate);
        self.tokens -= amount;
        self.tokens
    }

    /// Takes `amount` if it is there; whether it was.
    pub(crate) fn try_take(&mut self, now: Duration, amount: f64, rate: Rate) -> bool {
        self.fill(now, rate);
        let is_there = self.tokens >= amount;
        if is_there {
            self.tokens -= amount;
        }
        is_there
    }

    fn fill(&mut self, now: Duration, rate: Rate) {
        let gained = now.saturating_sub(self.at).as_secs_f64() * rate.per_second;
        self.tokens = (self.tokens + gained).min(rate.capacity);
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 1000.0, capacity: 100.0 };

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn takers_together_stay_below_the_rate() {
        let mut bucket = TokenBucket::default();
        // Four take 500 each at once, at 1000 a second: two seconds are owed.
        let left = [(); 4].map(|()| bucket.take(Duration::ZERO, 500.0, RATE));
        assert_eq!(left, [-500.0, -1000.0, -1500.0, -2000.0]);
        assert_eq!(bucket.take(seconds(1), 0.0, RATE), -1000.0);
        assert_eq!(bucket.take(seconds(2), 0.0, RATE), 0.0);
    }

    #[test]
    fn idle_time_adds_up_to_the_capacity_and_no_more() {
        let mut bucket = TokenBucket::default();
        assert_eq!(bucket.take(seconds(3600), 1100.0, RATE), -1000.0);
    }

    #[test]
    fn what_is_not_there_is_not_taken() {
        let mut bucket = TokenBucket::with(64.0);
        let rate = Rate { per_second: 10.0, capacity: 64.0 };
        let taken = (0..1000).filter(|_| bucket.try_take(Duration::ZERO, 1.0, rate)).count();
        assert_eq!(taken, 64);
        let taken = (0..1000).filter(|_| bucket.try_take(seconds(1), 1.0, rate)).count();
        assert_eq!(taken, 10, "nothing is owed by what was refused");
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let mut bucket = TokenBucket::default();
        bucket.take(seconds(10), 100.0, RATE);
        assert_eq!(bucket.take(seconds(5), 0.0, RATE), 0.0);
    }

    #[test]
    fn a_rate_that_changes_holds_from_then_on() {
        let mut bucket = TokenBucket::default();
        assert_eq!(bucket.take(Duration::ZERO, 1000.0, RATE), -1000.0);
        let half = Rate { per_second: 500.0, ..RATE };
        assert_eq!(bucket.take(seconds(1), 0.0, half), -500.0);
    }
}
