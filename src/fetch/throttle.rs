//! The bandwidth cap: a token bucket that all lanes share. Lanes pay for bytes after they have read
//! them, so the cap holds on average; what a socket's buffer took in between is paid for before the
//! next read.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::job::Control;

/// Longest wait before the cap is looked at again: a change of the cap takes effect within this
/// time.
const RECHECK: Duration = Duration::from_millis(100);

/// The shared bucket.
pub(super) struct Throttle {
    control: watch::Receiver<Control>,
    bucket: Mutex<Bucket>,
    slowed: AtomicBool,
}

struct Bucket {
    /// Bytes that may be read now; negative while lanes are in debt.
    tokens: f64,
    at: Instant,
}

impl Throttle {
    pub(super) fn new(control: watch::Receiver<Control>) -> Self {
        let bucket = Mutex::new(Bucket { tokens: 0.0, at: Instant::now() });
        Self { control, bucket, slowed: AtomicBool::new(false) }
    }

    /// Whether a cap has made a lane wait: what was measured is not the nodes' own rate.
    pub(super) fn has_slowed(&self) -> bool {
        self.slowed.load(Ordering::Relaxed)
    }

    /// Whether a cap is set now.
    pub(super) fn capped(&self) -> bool {
        self.limit().is_some()
    }

    /// Pays for `bytes` and waits until the debt is settled.
    pub(super) async fn pay(&self, bytes: usize) {
        let mut due = bytes as f64;
        while let Some(limit) = self.limit() {
            let debt = self.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(
                due,
                limit,
                Instant::now(),
            );
            if debt <= 0.0 {
                return;
            }
            due = 0.0;
            self.slowed.store(true, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs_f64(debt / limit).min(RECHECK)).await;
        }
    }

    fn limit(&self) -> Option<f64> {
        self.control.borrow().limit.filter(|limit| *limit > 0).map(|limit| limit as f64)
    }
}

impl Bucket {
    /// Refills, takes `bytes`, and tells the debt. At most a tenth of a second of unused allowance
    /// is kept.
    fn take(&mut self, bytes: f64, limit: f64, now: Instant) -> f64 {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.tokens = (self.tokens + elapsed * limit).min(limit / 10.0) - bytes;
        -self.tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_together_stay_below_the_cap() {
        let start = Instant::now();
        let mut bucket = Bucket { tokens: 0.0, at: start };
        // Four lanes take 500 bytes each at once, at 1000 bytes a second: two seconds of debt.
        let debts: Vec<f64> = (0..4).map(|_| bucket.take(500.0, 1000.0, start)).collect();
        assert_eq!(debts, [500.0, 1000.0, 1500.0, 2000.0]);
        assert_eq!(bucket.take(0.0, 1000.0, start + Duration::from_secs(1)), 1000.0);
        assert_eq!(bucket.take(0.0, 1000.0, start + Duration::from_secs(2)), 0.0);
    }

    #[test]
    fn idle_time_is_not_saved_up() {
        let start = Instant::now();
        let mut bucket = Bucket { tokens: 0.0, at: start };
        assert_eq!(bucket.take(1100.0, 1000.0, start + Duration::from_secs(60)), 1000.0);
    }

    #[tokio::test]
    async fn without_a_cap_nobody_waits() {
        let (sender, receiver) = watch::channel(Control::default());
        Throttle::new(receiver.clone()).pay(usize::MAX).await;
        sender.send_modify(|control| control.limit = Some(0));
        let throttle = Throttle::new(receiver);
        throttle.pay(usize::MAX).await;
        assert!(!throttle.has_slowed());
        sender.send_modify(|control| control.limit = Some(1000));
        throttle.pay(100).await;
        assert!(throttle.has_slowed());
    }
}
