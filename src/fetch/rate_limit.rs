//! The rate limit that all requests share, on one token bucket. Requests pay for bytes after they
//! have read them, so the limit holds on average. A request pays before its next read for what the
//! socket's buffer received meanwhile.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::job::Control;
use crate::mutex;
use crate::token_bucket::{Rate, TokenBucket};

/// Longest wait before the limit is read again: a change takes effect within this time.
const RECHECK: Duration = Duration::from_millis(100);
/// Unused bytes of this many seconds add up.
const SAVED: f64 = 0.1;

/// The present limit, and what requests have taken of it.
pub(super) struct RateLimit {
    control: watch::Receiver<Control>,
    bucket: Mutex<TokenBucket>,
    began: Instant,
    slowed: AtomicBool,
}

impl RateLimit {
    pub(super) fn new(control: watch::Receiver<Control>) -> Self {
        let (bucket, slowed) = (Mutex::default(), AtomicBool::new(false));
        Self { control, bucket, began: Instant::now(), slowed }
    }

    /// Whether a limit has made a request wait: then the measured rate is not the nodes' own.
    pub(super) fn has_slowed(&self) -> bool {
        self.slowed.load(Ordering::Relaxed)
    }

    /// Whether a limit is set now.
    pub(super) fn is_set(&self) -> bool {
        self.limit().is_some()
    }

    /// Pays for `bytes`, and waits until nothing is owed.
    pub(super) async fn pay(&self, bytes: usize) {
        let mut due = bytes as f64;
        while let Some(limit) = self.limit() {
            let rate = Rate { per_second: limit, capacity: limit * SAVED };
            let left = mutex::lock(&self.bucket).take(self.began.elapsed(), due, rate);
            if left >= 0.0 {
                return;
            }
            due = 0.0;
            self.slowed.store(true, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs_f64(-left / limit).min(RECHECK)).await;
        }
    }

    fn limit(&self) -> Option<f64> {
        self.control.borrow().limit.filter(|limit| *limit > 0).map(|limit| limit as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_a_limit_nobody_waits() {
        let (sender, receiver) = watch::channel(Control::default());
        RateLimit::new(receiver.clone()).pay(usize::MAX).await;
        sender.send_modify(|control| control.limit = Some(0));
        let rate_limit = RateLimit::new(receiver);
        rate_limit.pay(usize::MAX).await;
        assert!(!rate_limit.has_slowed());
        sender.send_modify(|control| control.limit = Some(1000));
        rate_limit.pay(100).await;
        assert!(rate_limit.has_slowed());
    }
}
