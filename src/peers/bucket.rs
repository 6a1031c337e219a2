//! The cap on what is sent to neighbours: one token bucket for all connections. A pure core, and
//! the waiting around it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Seconds of unused allowance that are kept.
const SAVED: f64 = 0.2;

/// Bytes that may be sent.
pub(super) struct Bucket {
    /// Bytes a second; `None` for no cap.
    rate: Option<f64>,
    state: Mutex<(f64, Instant)>,
}

impl Bucket {
    /// A bucket of `rate` bytes a second; 0 for no cap.
    pub(super) fn new(rate: u64) -> Self {
        Self { rate: (rate > 0).then_some(rate as f64), state: Mutex::new((0.0, Instant::now())) }
    }

    /// Waits until `bytes` may be sent.
    pub(super) async fn pay(&self, bytes: u64) {
        let debt = self.take(bytes, Instant::now());
        if !debt.is_zero() {
            tokio::time::sleep(debt).await;
        }
    }

    /// Takes `bytes` and tells how long they have to wait.
    fn take(&self, bytes: u64, now: Instant) -> Duration {
        let Some(rate) = self.rate else { return Duration::ZERO };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = now.saturating_duration_since(state.1).as_secs_f64();
        *state = ((state.0 + elapsed * rate).min(rate * SAVED) - bytes as f64, now);
        Duration::from_secs_f64((-state.0 / rate).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_connections_together_stay_below_the_cap() {
        let bucket = Bucket::new(1000);
        let start = Instant::now();
        let waits: Vec<f64> = (0..4).map(|_| bucket.take(500, start).as_secs_f64()).collect();
        assert!(waits.windows(2).all(|pair| (pair[1] - pair[0] - 0.5).abs() < 0.01), "{waits:?}");
        assert!((waits[3] - 2.0).abs() < 0.3, "{waits:?}");
        // An hour of silence is not saved up.
        let later = start + Duration::from_secs(3600);
        assert!((bucket.take(1200, later).as_secs_f64() - 1.0).abs() < 0.01);
        assert_eq!(Bucket::new(0).take(u64::MAX, start), Duration::ZERO);
    }
}
