//! What becomes of a rollout next: the plan, the word that holds, and the numbers of the present
//! stage decide, and nothing else.
//!
//! In: a signed plan, a word, counts of updates since the stage began, times. Out: one step. Never:
//! a clock, a database, a signature; a step beyond the plan; a resumed rollout, which is a person's
//! decision.
//!
//! Anybody can send false reports. Going on needs the signed hours as well; a number of rollbacks
//! halts however many updates are said to have come up.

use jiff::{SignedDuration, Timestamp};

use crate::model::rollout_plan::{Hold, RolloutPlan, RolloutWord, Stage};

/// Fewest updates from which a halt may follow, unless the stage asks for fewer samples.
const FEWEST: u64 = 30;
/// The 97.5th percentile of the normal distribution: a two-sided confidence of 95 %.
const CONFIDENCE: f64 = 1.959_964;

/// Distinct updates to a release since its present stage began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// The app came up in the new version.
    pub up: u64,
    /// The app did not come up, and the version before is active again.
    pub rolled_back: u64,
    /// A download or an installation failed. One that succeeds later counts here as well: failures
    /// make a rollout slower.
    pub failed: u64,
}

/// What the conductor does now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Step {
    /// Nothing.
    Stay,
    /// Opens the next stage.
    Next,
    /// The next stage is earned, and waits for a person.
    Ask,
    /// Stops new installations.
    Halt(TooManyRollbacks),
    /// The last stage has lasted its hours, and its numbers are good.
    Finish,
}

/// Why a rollout is halted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct TooManyRollbacks {
    /// Updates that were rolled back.
    pub rolled_back: u64,
    /// Updates whose app came up, or was rolled back.
    pub ended: u64,
    /// The share of rollbacks is at least this, with a confidence of 95 %, in thousandths.
    pub at_least_permille: f64,
    /// What the plan allows, in thousandths.
    pub allowed_permille: u16,
}

impl Tally {
    /// Updates after which it is known whether the app comes up.
    fn ended(self) -> u64 {
        self.up.saturating_add(self.rolled_back)
    }

    /// Whether so many thousandths of all updates that ended, or failed, came up.
    fn succeeds(self, permille: u16) -> bool {
        let all = u128::from(self.ended()) + u128::from(self.failed);
        u128::from(self.up) * 1000 >= all * u128::from(permille)
    }
}

/// The step that follows. `began` is when the present stage began; the tally counts from then on.
pub(crate) fn step(
    plan: &RolloutPlan,
    word: &RolloutWord,
    began: Timestamp,
    tally: Tally,
    now: Timestamp,
) -> Step {
    let stages = plan.stages();
    // Who has halted or recalled it decides when it goes on. A word for a stage that the plan lacks
    // is for an older plan: nothing follows from its numbers.
    let Some(stage) = stages.get(word.stage).filter(|_| !word.halted && !word.recalled) else {
        return Step::Stay;
    };
    if let Some(reason) = too_many_rollbacks(stage, tally) {
        return Step::Halt(reason);
    }
    let is_enough = tally.ended() >= stage.samples && tally.succeeds(stage.success);
    if !is_enough || !has_lasted(stage, began, now) {
        return Step::Stay;
    }
    let next = word.stage + 1;
    match plan.earliest(next) {
        None => Step::Finish,
        // What the offline keys have signed as reached waits for no hours: it is in force already.
        Some(earliest) if earliest > now && next > plan.signed_stage() => Step::Stay,
        Some(_) => match plan.hold() {
            Hold::Numbers => Step::Next,
            Hold::Approval => Step::Ask,
            Hold::Offline if next <= plan.signed_stage() => Step::Next,
            Hold::Offline => Step::Stay,
        },
    }
}

/// Whether a stage has lasted its hours.
fn has_lasted(stage: &Stage, began: Timestamp, now: Timestamp) -> bool {
    let Ok(hours) = i64::try_from(stage.hours) else { return false };
    began.checked_add(SignedDuration::from_hours(hours)).is_ok_and(|ends| ends <= now)
}

/// The reason for a halt, if the share of rollbacks is above the threshold beyond reasonable doubt,
/// or their number is reached, which no false report can hide.
fn too_many_rollbacks(stage: &Stage, tally: Tally) -> Option<TooManyRollbacks> {
    let (rolled_back, ended) = (tally.rolled_back, tally.ended());
    let at_least_permille = 1000.0 * lower_bound(rolled_back, ended);
    let allowed_permille = stage.rollbacks;
    let by_number = stage.most_rollbacks > 0 && rolled_back >= stage.most_rollbacks;
    let is_known = ended >= stage.samples.clamp(1, FEWEST);
    let by_share = is_known && at_least_permille > f64::from(allowed_permille);
    (by_number || by_share).then_some(TooManyRollbacks {
        rolled_back,
        ended,
        at_least_permille,
        allowed_permille,
    })
}

/// The lower end of Wilson's interval for a share of which `hits` of `all` are a sample.
fn lower_bound(hits: u64, all: u64) -> f64 {
    if hits == 0 || all == 0 {
        return 0.0;
    }
    let (hits, all) = (hits as f64, all as f64);
    let (share, squared) = (hits / all, CONFIDENCE * CONFIDENCE);
    let centre = share + squared / (2.0 * all);
    let spread =
        CONFIDENCE * (share * (1.0 - share) / all + squared / (4.0 * all * all)).max(0.0).sqrt();
    ((centre - spread) / (1.0 + squared / all)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests;
