//! How long a listener waits before it connects again, and how much it accepts from a server: pure
//! cores.
//!
//! In: how a connection ended, bytes and when they came. Out: waits, and whether a server sends too
//! much. Never: two clients that come back at the same moment; a server that keeps this computer
//! busy.

use std::time::Duration;

use crate::backoff::{self, Backoff};
use crate::token_bucket::{Rate, TokenBucket};

/// The wait times of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Wait after the first failure; it doubles with each further one.
    pub first: Duration,
    /// Longest wait after many failures.
    pub longest: Duration,
    /// Wait after the server answered that it has no events.
    pub absent: Duration,
    /// A connection that lasted this long counts as good.
    pub good: Duration,
    /// The longest wait that a server may ask for, after a good connection.
    pub asked: Duration,
    /// A connection that is silent for this long is dead, or a proxy holds its bytes back.
    pub silence: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        let minutes = |count: u64| Duration::from_secs(60 * count);
        Self {
            first: Duration::from_secs(30),
            longest: minutes(2 * 60),
            absent: minutes(6 * 60),
            good: minutes(1),
            asked: minutes(10),
            silence: Duration::from_secs(90),
        }
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The address has no events.
    Absent,
    /// The connection could not be made, or its answer was no stream of events, or too large.
    Failed,
    /// The connection ended, or fell silent, after something had come.
    Over {
        /// Time from the connection's start to the last bytes.
        lived: Duration,
    },
}

/// Minimum wait after a good connection.
const MIN_PAUSE: Duration = Duration::from_millis(10);

/// Computes the waits between connections.
#[derive(Debug)]
pub(super) struct Reconnecting {
    pace: Pace,
    random: fastrand::Rng,
    failures: u32,
    /// The wait that the server asked for.
    asked: Duration,
}

impl Reconnecting {
    /// Waits for one client; every client needs its own `seed`.
    pub(super) fn new(pace: Pace, seed: u64) -> Self {
        Self { pace, random: fastrand::Rng::with_seed(seed), failures: 0, asked: pace.first }
    }

    /// Notes the wait that the server asks for after a good connection.
    pub(super) fn asked_for(&mut self, wait: Duration) {
        self.asked = wait.min(self.pace.asked).max(MIN_PAUSE);
    }

    /// How long to wait before the next connection.
    pub(super) fn wait(&mut self, end: End) -> Duration {
        match end {
            End::Absent => self.between(self.pace.absent, 0.75, 1.25),
            // The server restarted, or a proxy cuts connections after a while: then all clients
            // come back together.
            End::Over { lived } if lived >= self.pace.good => {
                self.failures = 0;
                self.between(self.asked, 1.0, 3.0)
            }
            End::Over { .. } | End::Failed => {
                self.failures = self.failures.saturating_add(1);
                let backoff = Backoff { first: self.pace.first, longest: self.pace.longest };
                self.between(backoff.pause(self.failures), 0.5, 1.0)
            }
        }
    }

    fn between(&mut self, whole: Duration, from: f64, to: f64) -> Duration {
        backoff::between(whole, from, to, self.random.f64())
    }
}

/// Bytes that may come: a second in the long run, and at once. A server that only reports events
/// needs a hundredth.
const EVENT_BYTES: Rate = Rate { per_second: 512.0, capacity: (64 << 10) as f64 };

/// How many more bytes a connection may send.
#[derive(Debug)]
pub(super) struct EventLimit(TokenBucket);

impl Default for EventLimit {
    fn default() -> Self {
        Self(TokenBucket::with(EVENT_BYTES.capacity))
    }
}

impl EventLimit {
    /// Whether `bytes` that came at `now`, the time since the connection began, are within the
    /// limit.
    pub(super) fn covers(&mut self, now: Duration, bytes: usize) -> bool {
        self.0.take(now, bytes as f64, EVENT_BYTES) >= 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn failures_wait_longer_each_time_up_to_two_hours() {
        let mut reconnecting = Reconnecting::new(Pace::default(), 1);
        for mean in [30, 60, 120, 240, 480, 960, 1920, 3840, 7200, 7200] {
            let wait = reconnecting.wait(End::Failed);
            assert!(
                wait >= seconds(mean) / 2 && wait <= seconds(mean),
                "{wait:?} in place of at most {mean} s"
            );
        }
        let short =
            (0..100).map(|_| reconnecting.wait(End::Over { lived: seconds(59) })).min().unwrap();
        assert!(short >= seconds(3600), "a short connection is a failure too");
        reconnecting.wait(End::Over { lived: seconds(60) });
        assert!(
            reconnecting.wait(End::Failed) <= seconds(30),
            "a good one makes up for all of them"
        );
    }

    #[test]
    fn a_restarted_server_is_not_run_down() {
        let mut within = [0; 20];
        for seed in 0..2000 {
            let mut reconnecting = Reconnecting::new(Pace::default(), seed);
            reconnecting.asked_for(seconds(10));
            let wait = reconnecting.wait(End::Over { lived: seconds(3600) });
            within[usize::try_from(wait.as_secs() - 10).unwrap()] += 1;
        }
        assert!(within.iter().all(|count| (50..200).contains(count)), "{within:?}");
    }

    #[test]
    fn what_a_server_asks_for_is_bounded() {
        let mut reconnecting = Reconnecting::new(Pace::default(), 3);
        let good = End::Over { lived: seconds(3600) };
        reconnecting.asked_for(Duration::MAX);
        assert!(reconnecting.wait(good) <= seconds(1800));
        reconnecting.asked_for(Duration::ZERO);
        assert!(reconnecting.wait(good) >= Duration::from_millis(10));
    }

    #[test]
    fn where_nothing_is_to_be_heard_nobody_asks_for_hours() {
        let mut reconnecting = Reconnecting::new(Pace::default(), 4);
        for _ in 0..10 {
            let wait = reconnecting.wait(End::Absent);
            assert!(wait >= seconds(4 * 3600) && wait <= seconds(8 * 3600), "{wait:?}");
        }
    }

    #[test]
    fn a_flood_is_noticed_and_talk_is_not() {
        let mut talk = EventLimit::default();
        assert!((0..100_000).all(|k| talk.covers(seconds(25 * k), 300)));
        let mut flood = EventLimit::default();
        let taken = (0..).take_while(|_| flood.covers(seconds(1), 1000)).count();
        assert_eq!(taken, 65);
        let mut drip = EventLimit::default();
        let lasted = (0..).take_while(|k| drip.covers(seconds(*k), 1024)).count();
        assert!((100..200).contains(&lasted), "{lasted} s of twice the rate");
    }
}
