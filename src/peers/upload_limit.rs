//! The rate limit on uploads to peers: one token bucket for all connections.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::mutex;
use crate::token_bucket::{Rate, TokenBucket};

/// Unused bytes of this many seconds add up.
const SAVED: f64 = 0.2;

/// How many bytes may be sent to peers.
pub(super) struct UploadLimit {
    /// `None` for no limit.
    rate: Option<Rate>,
    bucket: Mutex<TokenBucket>,
    began: Instant,
}

impl UploadLimit {
    /// At most `rate` bytes a second; 0 for no limit.
    pub(super) fn new(rate: u64) -> Self {
        let rate = (rate > 0).then_some(rate as f64);
        Self {
            rate: rate.map(|per_second| Rate { per_second, capacity: per_second * SAVED }),
            bucket: Mutex::default(),
            began: Instant::now(),
        }
    }

    /// Waits until `bytes` may be sent.
    pub(super) async fn pay(&self, bytes: u64) {
        let wait = self.take(bytes, self.began.elapsed());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Takes `bytes` at `now`, the time since the limit began, and returns how long they have to
    /// wait.
    fn take(&self, bytes: u64, now: Duration) -> Duration {
        let Some(rate) = self.rate else { return Duration::ZERO };
        let mut bucket = mutex::lock(&self.bucket);
        let left = bucket.take(now, bytes as f64, rate);
        Duration::from_secs_f64((-left / rate.per_second).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_connections_together_stay_below_the_limit() {
        let limit = UploadLimit::new(1000);
        let waits = [(); 4].map(|()| limit.take(500, Duration::ZERO).as_secs_f64());
        assert_eq!(waits, [0.5, 1.0, 1.5, 2.0]);
        // An hour of silence does not add up.
        assert_eq!(limit.take(1200, Duration::from_secs(3600)), Duration::from_secs(1));
        assert_eq!(UploadLimit::new(0).take(u64::MAX, Duration::ZERO), Duration::ZERO);
    }
}
