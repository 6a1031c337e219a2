//! Throughput over the last seconds: counts bytes in slots of a tenth of a second.

/// Length of a slot in seconds.
const SLOT: f64 = 0.1;
/// Number of slots: two seconds smooth out lossy links and still follow a change.
const SLOTS: usize = 20;
/// The last slots of the window. A stream that is so many times as slow in them has nearly stopped:
/// the window would forget its bytes only later.
const RECENT_SLOTS: usize = 5;
const NEARLY_STOPPED: f64 = 10.0;
/// Over fewer seconds than this, a rate means nothing.
const MIN_SECONDS: f64 = 0.25;
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
        (now - self.began >= MIN_SECONDS).then(|| self.slots.iter().sum::<f64>() / covered)
    }

    /// The rate at which the next bytes are likely to come: that of the window, or that of its last
    /// slots if the stream has nearly stopped.
    pub(super) fn expected_rate(&mut self, now: f64) -> Option<f64> {
        let rate = self.rate(now)?;
        let covered = (now - self.began).min(RECENT_SLOTS as f64 * SLOT);
        let recent = (0..RECENT_SLOTS as u64).filter_map(|age| self.newest.checked_sub(age));
        let bytes: f64 = recent.map(|slot| self.slots[(slot % SLOTS as u64) as usize]).sum();
        let recent = bytes / covered;
        Some(if recent * NEARLY_STOPPED < rate { recent } else { rate })
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
        let mut meter = Meter::new(0.0);
        (1..=20).for_each(|step| meter.add(f64::from(step) / 10.0, 1000));
        assert!(meter.expected_rate(2.1).unwrap() > 9000.0, "a short gap is no end");
        assert!(meter.rate(2.6).unwrap() > 6000.0 && meter.expected_rate(2.6).unwrap() < 1.0);
        let mut meter = Meter::new(10.0);
        meter.add(10.1, 100_000);
        assert!((meter.burst(10.1).unwrap() - 1e6).abs() < 1.0);
    }
}
