//! Bounds what all peers together may cost a download: the time for which the nodes of the internet
//! idled for their sake, less the time that their bytes saved.
//!
//! In: the passing time, and what both sides did in it. Out: whether the peers have used up their
//! share of it. Never: judges a single peer, which may be one of many names of one computer.

/// Part of the time so far that peers may cost, and the seconds that they may cost in any case: a
/// late answer is no fault.
const SHARE: f64 = 0.2;
const ALWAYS: f64 = 0.5;
/// Longest time between two calls that counts, seconds: calls come ten times a second, and a
/// download that was paused, or a computer that slept, is no cost of the peers.
const MAX_STEP_SECONDS: f64 = 0.5;
/// The client waits for the peers again when they have used up less than this part of their share.
const RESUMED_BELOW: f64 = 0.5;

/// What the peers have cost so far.
#[derive(Default)]
pub(super) struct PeerBudget {
    /// Time and delivered bytes at the last call.
    seen: Option<(f64, u64)>,
    /// Seconds so far, without pauses.
    time: f64,
    /// Seconds; negative after a gain. A gain counts only up to the share: a peer that was fast and
    /// then stops must not be waited for as long as it was of use.
    cost: f64,
    used_up: bool,
}

impl PeerBudget {
    /// Takes in the time since the last call. The nodes of the internet have `rate` bytes a second
    /// when they work; `is_idle` says that they did not. `delivered` counts the bytes of all peers.
    pub(super) fn charge(&mut self, now: f64, is_idle: bool, rate: f64, delivered: u64) {
        let (then, before) = self.seen.replace((now, delivered)).unwrap_or((now, delivered));
        let passed = (now - then).min(MAX_STEP_SECONDS);
        self.time += passed;
        let idled = if is_idle { passed } else { 0.0 };
        let saved = delivered.saturating_sub(before) as f64 / rate.max(1.0);
        let share = (self.time * SHARE).max(ALWAYS);
        self.cost = (self.cost + idled - saved).max(-share);
        self.used_up = self.cost > if self.used_up { share * RESUMED_BELOW } else { share };
    }

    /// Whether this client should ask the internet for whatever is missing.
    pub(super) fn is_used_up(&self) -> bool {
        self.used_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: f64 = 1e6;

    /// Ten times a second from `from` to `until`.
    fn run(budget: &mut PeerBudget, (from, until): (u32, u32), is_idle: bool, rate_of_peers: f64) {
        for tick in from * 10..=until * 10 {
            let now = f64::from(tick) / 10.0;
            let before = budget.seen.map_or((now, 0), |seen| seen);
            let delivered = before.1 + ((now - before.0) * rate_of_peers) as u64;
            budget.charge(now, is_idle, RATE, delivered);
        }
    }

    #[test]
    fn peers_that_deliver_less_than_the_internet_would_are_waited_for_only_so_long() {
        let mut budget = PeerBudget::default();
        run(&mut budget, (0, 20), false, 0.0);
        assert!(!budget.is_used_up(), "nobody idled");
        run(&mut budget, (20, 24), true, 0.0);
        assert!(!budget.is_used_up());
        run(&mut budget, (24, 26), true, 0.0);
        assert!(budget.is_used_up());
        // The share grows with the time: at 60 s half of it is more than what they have cost.
        run(&mut budget, (26, 50), false, 0.0);
        assert!(budget.is_used_up());
        run(&mut budget, (50, 70), false, 0.0);
        assert!(!budget.is_used_up());
    }

    #[test]
    fn peers_that_deliver_as_much_cost_nothing_and_save_no_more_than_their_share() {
        let mut budget = PeerBudget::default();
        run(&mut budget, (0, 20), true, RATE);
        assert!(!budget.is_used_up());
        run(&mut budget, (20, 60), true, 9.0 * RATE);
        assert!(budget.cost >= -60.0 * SHARE, "{}", budget.cost);
        // Twelve seconds are saved by now, and at 100 s another twenty may be lost.
        run(&mut budget, (60, 80), true, 0.0);
        assert!(!budget.is_used_up());
        run(&mut budget, (80, 100), true, 0.0);
        assert!(budget.is_used_up());
    }

    #[test]
    fn a_pause_costs_nothing_and_adds_nothing_to_the_share() {
        let mut budget = PeerBudget::default();
        run(&mut budget, (0, 20), true, RATE);
        // The next call after a pause of ten minutes.
        run(&mut budget, (620, 623), true, 0.0);
        assert!(!budget.is_used_up());
        run(&mut budget, (623, 626), true, 0.0);
        assert!(budget.is_used_up());
    }

    #[test]
    fn a_late_answer_is_no_fault() {
        let mut budget = PeerBudget::default();
        budget.charge(0.0, true, RATE, 0);
        budget.charge(0.4, true, RATE, 0);
        assert!(!budget.is_used_up());
        budget.charge(0.7, true, RATE, 0);
        assert!(budget.is_used_up());
        budget.charge(0.8, true, RATE, 2_000_000);
        assert!(!budget.is_used_up());
    }
}
