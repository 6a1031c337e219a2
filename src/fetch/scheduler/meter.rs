//! Throughput over the last seconds: counts bytes in slots of a tenth of a second.

/// Length of a slot in seconds.
const SLOT: f64 = 0.1;
/// Number of slots: two seconds smooth out lossy links and still follow a change.
const SLOTS: usize = 20;
/// Over fewer seconds than this, a rate means nothing.
const SHORTEST: f64 = 0.25;
/// Bytes that a burst must have before its rate means anything.
const BURST: f64 = 64e3;

/// A sliding window over arrived bytes.
#[derive(Clone, Debug)]
pub(super) struct Meter {
    slots: [f64; SLOTS],
    newest: u64,
    began: f64,
}

impl Meter {
    pub(super) fn new(now: f64) -> Self {
        Self { slots: [0.0; SLOTS], newest: (now / SLOT) as u64, began: now }
    }

    /// Takes in bytes that arrived by `now`.
    pub(super) fn add(&mut self, now: f64, bytes: u64) {
        self.advance(now);
        self.slots[(self.newest % SLOTS as u64) as usize] += bytes as f64;
    }

    /// Bytes a second over the window; `None` while it is too short to measure.
    pub(super) fn rate(&mut self, now: f64) -> Option<f64> {
        self.advance(now);
        // Reports come once a slot, and cover the whole time since the last one.
        let covered = (now - self.began).min(SLOTS as f64 * SLOT);
        (now - self.began >= SHORTEST).then(|| self.slots.iter().sum::<f64>() / covered)
    }

    /// Bytes a second of a burst too short for [`Meter::rate`]; `None` if too few bytes came to
    /// measure.
    pub(super) fn burst(&mut self, now: f64) -> Option<f64> {
        let bytes = self.slots.iter().sum::<f64>();
        (bytes >= BURST).then(|| bytes / (now - self.began).max(SLOT / 5.0))
    }

    fn advance(&mut self, now: f64) {
        let slot = (now / SLOT) as u64;
        for stale in (self.newest + 1..=slot).take(SLOTS) {
            self.slots[(stale % SLOTS as u64) as usize] = 0.0;
        }
        self.newest = self.newest.max(slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_stream_is_measured_and_silence_is_seen() {
        let mut meter = Meter::new(10.0);
        assert_eq!((meter.rate(10.1), meter.burst(10.1)), (None, None));
        for step in 1..=400 {
            meter.add(10.0 + f64::from(step) * 0.01, 10);
        }
        let rate = meter.rate(14.0).unwrap();
        assert!((rate - 1000.0).abs() < 60.0, "{rate}");
        assert!(meter.rate(15.0).unwrap() < 600.0);
        assert_eq!(meter.rate(17.0), Some(0.0));
        let mut meter = Meter::new(10.0);
        meter.add(10.1, 100_000);
        assert!((meter.burst(10.1).unwrap() - 1e6).abs() < 1.0);
    }
}
