//! Moves of a rollout within its signed plan: what a server may do by itself, and a person with its
//! token.
//!
//! In: a plan, the word that holds, a move, a time. Out: the next word, or why there is none. Never:
//! a word that the plan does not allow at that time; a clock.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use super::rollout_plan::{Hold, RolloutPlan, RolloutWord};

/// A move within a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RolloutMove {
    /// No new installations.
    Halt,
    /// Installations again, up to the share of the stage it had.
    Resume,
    /// The next stage.
    Next,
    /// Those who have the release go to the version that the plan names, and nobody gets it.
    Recall,
    /// The end of a recall. The rollout is halted then.
    TakeBack,
}

/// Why a move is not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefusedMove {
    #[error("the rollout is halted; resume it first")]
    Halted,
    #[error("the release is recalled by a word; take the recall back first")]
    Recalled,
    #[error("no word has recalled the release")]
    NotRecalled,
    #[error("the plan names no version that a recall leads to")]
    NowhereToGo,
    #[error("the rollout is at the last stage of its plan")]
    LastStage,
    #[error("the plan opens the next stage at {0}, not before")]
    TooEarly(Timestamp),
    #[error("by this plan the offline keys alone open the next stage")]
    Offline,
}

impl RolloutMove {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Halt, Self::Resume, Self::Next, Self::Recall, Self::TakeBack];

    /// The move as it stands in addresses.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Halt => "halt",
            Self::Resume => "resume",
            Self::Next => "next",
            Self::Recall => "recall",
            Self::TakeBack => "take-back",
        }
    }

    /// The word after this move; `None` if it changes nothing.
    ///
    /// # Errors
    /// [`RefusedMove`] if the plan does not allow it at `now`.
    pub fn after(
        self,
        plan: &RolloutPlan,
        word: Option<&RolloutWord>,
        now: Timestamp,
    ) -> Result<Option<RolloutWord>, RefusedMove> {
        let present = present(plan, word);
        let next = match self {
            Self::Halt | Self::Resume => {
                if present.recalled {
                    return Err(RefusedMove::Recalled);
                }
                let halted = self == Self::Halt;
                if present.halted == halted {
                    return Ok(None);
                }
                RolloutWord { halted, ..present }
            }
            Self::Next => RolloutWord { stage: next_stage(plan, &present, now)?, ..present },
            Self::Recall if present.recalled => return Ok(None),
            Self::Recall if plan.recall_to().is_none() => return Err(RefusedMove::NowhereToGo),
            Self::Recall => RolloutWord { recalled: true, ..present },
            Self::TakeBack if !present.recalled => return Err(RefusedMove::NotRecalled),
            Self::TakeBack => RolloutWord { recalled: false, halted: true, ..present },
        };
        Ok(Some(RolloutWord { sequence: present.sequence.saturating_add(1), ..next }))
    }
}

/// The word that holds, in terms of the present plan. Without one, and with one about another plan
/// or for a stage that the plan lacks, the rollout is where the offline keys left it; the stops of
/// such a word hold all the same.
pub fn present(plan: &RolloutPlan, word: Option<&RolloutWord>) -> RolloutWord {
    let (stage, digest) = (plan.stage_of(word), Some(plan.digest()));
    RolloutWord { stage, plan: digest, ..word.copied().unwrap_or_default() }
}

fn next_stage(
    plan: &RolloutPlan,
    present: &RolloutWord,
    now: Timestamp,
) -> Result<usize, RefusedMove> {
    if present.recalled {
        return Err(RefusedMove::Recalled);
    }
    if present.halted {
        return Err(RefusedMove::Halted);
    }
    let next = present.stage + 1;
    let Some(earliest) = plan.earliest(next) else { return Err(RefusedMove::LastStage) };
    // What the offline keys have signed as reached waits for nothing.
    if next <= plan.signed_stage() {
        return Ok(next);
    }
    if plan.hold() == Hold::Offline {
        return Err(RefusedMove::Offline);
    }
    if earliest > now { Err(RefusedMove::TooEarly(earliest)) } else { Ok(next) }
}

impl fmt::Display for RolloutMove {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for RolloutMove {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|known| known.word() == text);
        let words = Self::ALL.map(Self::word).join(", ");
        found.ok_or_else(|| format!("not a move: {text:?}, expected one of {words}"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::rollout_plan::share;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn plan(hold: &str) -> RolloutPlan {
        serde_json::from_value(json!({
            "stages": [{"permille": 10, "hours": 24}, {"permille": 500, "hours": 24}, {"permille": 1000}],
            "begins": "2026-12-01T00:00:00Z", "hold": hold,
        }))
        .unwrap()
    }

    #[test]
    fn a_halt_and_its_end_leave_the_stage_as_it_is() {
        let plan = plan("numbers");
        let now = time("2026-12-01T00:00:00Z");
        let halted = RolloutMove::Halt.after(&plan, None, now).unwrap().unwrap();
        assert_eq!((halted.sequence, halted.stage, halted.halted), (1, 0, true));
        assert_eq!(RolloutMove::Halt.after(&plan, Some(&halted), now), Ok(None));
        assert_eq!(RolloutMove::Next.after(&plan, Some(&halted), now), Err(RefusedMove::Halted));
        let resumed = RolloutMove::Resume.after(&plan, Some(&halted), now).unwrap().unwrap();
        assert_eq!((resumed.sequence, resumed.stage, resumed.halted), (2, 0, false));
    }

    #[test]
    fn a_recall_stops_everything_until_it_is_taken_back_and_leaves_a_halt() {
        let now = time("2026-12-01T00:00:00Z");
        let nowhere = RolloutMove::Recall.after(&plan("numbers"), None, now);
        assert_eq!(nowhere, Err(RefusedMove::NowhereToGo));
        let mut written = serde_json::to_value(plan("numbers")).unwrap();
        written["recall_to"] = "1.0.0".into();
        let plan: RolloutPlan = serde_json::from_value(written).unwrap();
        assert_eq!(RolloutMove::TakeBack.after(&plan, None, now), Err(RefusedMove::NotRecalled));
        let recalled = RolloutMove::Recall.after(&plan, None, now).unwrap().unwrap();
        assert_eq!((recalled.recalled, recalled.sequence), (true, 1));
        assert_eq!(plan.recalled_by(Some(&recalled)), plan.recall_to());
        assert_eq!(RolloutMove::Recall.after(&plan, Some(&recalled), now), Ok(None));
        for refused in [RolloutMove::Halt, RolloutMove::Resume, RolloutMove::Next] {
            let after = refused.after(&plan, Some(&recalled), now);
            assert_eq!(after, Err(RefusedMove::Recalled), "{refused}");
        }
        let back = RolloutMove::TakeBack.after(&plan, Some(&recalled), now).unwrap().unwrap();
        assert_eq!((back.recalled, back.halted, back.sequence), (false, true, 2));
        assert!(RolloutMove::Resume.after(&plan, Some(&back), now).unwrap().is_some());
    }

    #[test]
    fn a_word_about_another_plan_stops_and_its_stage_does_not_count() {
        let before = plan("numbers");
        let late = time("2027-01-01T00:00:00Z");
        let second = RolloutMove::Next.after(&before, None, late).unwrap().unwrap();
        let careful: RolloutPlan = serde_json::from_value(json!({
            "stages": [{"permille": 1, "hours": 24}, {"permille": 900}],
            "begins": "2026-12-01T00:00:00Z",
        }))
        .unwrap();
        assert_eq!(share(&before, Some(&second), late), 500);
        assert_eq!(share(&careful, Some(&second), late), 1);
        let here = present(&careful, Some(&second));
        assert_eq!((here.stage, here.sequence, here.plan), (0, 1, Some(careful.digest())));
        let halted = RolloutMove::Halt.after(&before, Some(&second), late).unwrap().unwrap();
        assert_eq!(share(&careful, Some(&halted), late), 0);
        assert!(present(&careful, Some(&halted)).halted);
        let next = RolloutMove::Next.after(&careful, Some(&second), late).unwrap().unwrap();
        assert_eq!((next.sequence, share(&careful, Some(&next), late)), (2, 900));
    }

    #[test]
    fn a_stage_opens_by_the_plans_hours_and_never_beyond_its_end() {
        let plan = plan("numbers");
        let opens = time("2026-12-02T00:00:00Z");
        let early = RolloutMove::Next.after(&plan, None, time("2026-12-01T23:59:59Z"));
        assert_eq!(early, Err(RefusedMove::TooEarly(opens)));
        let second = RolloutMove::Next.after(&plan, None, opens).unwrap().unwrap();
        assert_eq!((second.sequence, second.stage), (1, 1));
        let late = time("2027-01-01T00:00:00Z");
        let third = RolloutMove::Next.after(&plan, Some(&second), late).unwrap().unwrap();
        assert_eq!(third.stage, 2);
        let beyond = RolloutMove::Next.after(&plan, Some(&third), late);
        assert_eq!(beyond, Err(RefusedMove::LastStage));
        let wrong = RolloutWord { stage: 99, sequence: 5, ..second };
        assert_eq!(present(&plan, Some(&wrong)).stage, 0);
    }

    #[test]
    fn a_plan_that_holds_for_the_offline_keys_takes_no_word_for_a_stage() {
        let plan = plan("offline");
        let late = time("2027-01-01T00:00:00Z");
        assert_eq!(RolloutMove::Next.after(&plan, None, late), Err(RefusedMove::Offline));
        assert!(RolloutMove::Halt.after(&plan, None, late).unwrap().is_some());
        let moved = plan.at_stage(1).unwrap();
        assert_eq!(present(&moved, None).stage, 1);
        let halted = RolloutMove::Halt.after(&plan, None, late).unwrap().unwrap();
        let resumed = RolloutMove::Resume.after(&moved, Some(&halted), late).unwrap().unwrap();
        let second = RolloutMove::Next.after(&moved, Some(&resumed), late).unwrap().unwrap();
        assert_eq!(second.stage, 1, "the offline keys have opened it");
        let third = RolloutMove::Next.after(&moved, Some(&second), late);
        assert_eq!(third, Err(RefusedMove::Offline));
    }
}
