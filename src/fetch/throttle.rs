//! The bandwidth cap: a token bucket that all lanes share. Lanes pay for bytes after they have read them, so the cap holds on
//! average; what a socket's buffer took in between is paid for before the next read.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::download::Control;

/// Longest wait before the cap is looked at again: a change of the cap takes effect within this time.
const RECHECK: Duration = Duration::from_millis(100);

/// The shared bucket.
pub(super) struct Throttle {
    control: watch::Receiver<Control>,
    bucket: Mutex<Bucket>,
}

struct Bucket {
    /// Bytes that may be read now; negative while lanes are in debt.
    tokens: f64,
    at: Instant,
}

impl Throttle {
    pub(super) fn new(control: watch::Receiver<Control>) -> Self {
        Self { control, bucket: Mutex::new(Bucket { tokens: 0.0, at: Instant::now() }) }
    }

    /// Whether a cap is set now.
    pub(super) fn capped(&self) -> bool {
        self.limit().is_some()
    }

    /// Pays for `bytes` and waits until the debt is settled.
    pub(super) async fn pay(&self, bytes: usize) {
        let mut due = bytes as f64;
        while let Some(limit) = self.limit() {
            let debt = self.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(due, limit, Instant::now());
            if debt <= 0.0 {
                return;
            }
            due = 0.0;
            tokio::time::sleep(Duration::from_secs_f64(debt / limit).min(RECHECK)).await;
        }
    }

    fn limit(&self) -> Option<f64> {
        self.control.borrow().limit.filter(|limit| *limit > 0).map(|limit| limit as f64)
    }
}

impl Bucket {
    /// Refills, takes `bytes`, and tells the debt. At most a tenth of a second of unused allowance is kept.
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

    #[tokio::test(start_paused = true)]
    async fn lanes_together_stay_below_the_cap_and_a_change_is_seen() {
        let (sender, receiver) = watch::channel(Control { limit: Some(1000), ..Control::default() });
        let throttle = std::sync::Arc::new(Throttle::new(receiver));
        let start = Instant::now();
        let lanes: Vec<_> = (0..4)
            .map(|_| {
                let throttle = throttle.clone();
                tokio::spawn(async move {
                    for _ in 0..5 {
                        throttle.pay(500).await;
                    }
                })
            })
            .collect();
        for lane in lanes {
            lane.await.unwrap();
        }
        let seconds = start.elapsed().as_secs_f64();
        assert!((9.0..=11.0).contains(&seconds), "10,000 bytes at 1000 a second took {seconds} s");
        sender.send_modify(|control| control.limit = Some(1));
        let waiting = tokio::spawn(async move { throttle.pay(1_000_000).await });
        tokio::time::sleep(Duration::from_secs(1)).await;
        sender.send_modify(|control| control.limit = None);
        tokio::time::timeout(Duration::from_secs(1), waiting).await.unwrap().unwrap();
    }
}
