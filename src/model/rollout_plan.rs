//! The plan of a rollout, which the offline keys sign, and the word, by which a server moves within
//! it: how large a share of installations may see a release at a time.
//!
//! In: a signed plan, a word, a time. Out: the share; the version that a recall leads to. Never: a
//! share beyond what the plan allows at that time, whatever the word says; a clock.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::platform::Platform;
use super::version::Version;
use super::version_range::VersionRange;

/// All installations, or all updates, in thousandths.
const WHOLE: u16 = 1000;
/// Most stages of a plan.
const MOST_STAGES: usize = 16;
/// Longest plan, hours: two years.
const MOST_HOURS: u64 = 2 * 366 * 24;
/// Most samples that a stage can ask for.
const MOST_SAMPLES: u64 = 10_000_000;
/// Most names in one list of a scope.
const MOST_NAMES: usize = 64;

/// A plan that has passed [`RolloutPlan::check`]. A release whose plan has another form is left out
/// by a launcher, as everything that it does not understand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct RolloutPlan {
    stages: Vec<Stage>,
    begins: Timestamp,
    #[serde(skip_serializing_if = "Scope::is_everyone")]
    only: Scope,
    #[serde(skip_serializing_if = "Option::is_none")]
    recall_to: Option<Version>,
    #[serde(skip_serializing_if = "is_usual")]
    hold: Hold,
    #[serde(rename = "stage", skip_serializing_if = "is_first")]
    signed_stage: usize,
}

/// A plan as it is written, before anybody has checked it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// Each stage reaches more installations than the one before it.
    pub stages: Vec<Stage>,
    /// Before this nobody sees the release.
    pub begins: Timestamp,
    /// For whom the release is at all.
    #[serde(default)]
    pub only: Scope,
    /// Where a server may send those who have the release, if it is bad.
    #[serde(default)]
    pub recall_to: Option<Version>,
    /// What a next stage needs.
    #[serde(default)]
    pub hold: Hold,
    /// The stage that is signed as reached, counted from 0.
    #[serde(default)]
    pub stage: usize,
}

/// One stage: how many may see the release, for how long at least, and what must have come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Share of installations, in thousandths.
    pub permille: u16,
    /// How long it lasts at least.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub hours: u64,
    /// Updates that must have come up before the next stage, in thousandths of those that ended.
    #[serde(default, skip_serializing_if = "is_no_share")]
    pub success: u16,
    /// Updates that may be rolled back, in thousandths. More halt the rollout.
    #[serde(default = "whole", skip_serializing_if = "is_whole")]
    pub rollbacks: u16,
    /// Updates that may be rolled back, in number; so many halt the rollout whatever their share is.
    /// 0: any number.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub most_rollbacks: u64,
    /// Updates that must have ended before the next stage.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub samples: u64,
}

/// What a next stage needs beside time and numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// Nothing.
    #[default]
    Numbers,
    /// A person who may operate the server.
    Approval,
    /// A new signature of the offline keys.
    Offline,
}

/// For whom a release is. An empty list, and an absent range, is for everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// Systems.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<Platform>,
    /// The installed version; a first installation is in no range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<VersionRange>,
    /// Regions, as in the launcher's settings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<String>,
    /// Rings, as in the launcher's settings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rings: Vec<String>,
}

/// What an installation is, as far as a scope asks.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Its system.
    pub platform: &'a Platform,
    /// Its active version.
    pub current: Option<&'a Version>,
    /// Its region.
    pub region: &'a str,
    /// Its ring; empty if it is in none.
    pub ring: &'a str,
}

/// What the role `rollout` signs: a move within a plan. Its stops hold for every plan of the version,
/// its stage for the one that it names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutWord {
    /// Grows with each word.
    pub sequence: u64,
    /// The stage, counted from 0.
    pub stage: usize,
    /// The plan whose stage that is, as [`RolloutPlan::digest`] names it. By a word without one, or
    /// about another plan, a release is at the stage that the offline keys signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Digest>,
    /// Whether new installations are stopped.
    #[serde(default)]
    pub halted: bool,
    /// Whether those who have the release go to the plan's `recall_to`.
    #[serde(default)]
    pub recalled: bool,
}

/// Why a plan is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPlan {
    #[error("a plan has 1 to {MOST_STAGES} stages, this one has {0}")]
    Stages(usize),
    #[error(
        "stage {stage} is for {permille} permille: each stage is larger than the one before it, at most {WHOLE}"
    )]
    Share { stage: usize, permille: u16 },
    #[error("stage {stage}: {name} is in thousandths, at most {WHOLE}")]
    Threshold { stage: usize, name: &'static str },
    #[error(
        "stage {0} has a threshold for success or rollbacks, and so it needs samples: 1 to {MOST_SAMPLES}"
    )]
    Samples(usize),
    #[error("a plan lasts at most {MOST_HOURS} hours")]
    Hours,
    #[error("the plan has no stage {0}")]
    NoSuchStage(usize),
    #[error(
        "a list of platforms, regions or rings has at most {MOST_NAMES} names, none of them empty"
    )]
    Names,
}

impl TryFrom<Written> for RolloutPlan {
    type Error = InvalidPlan;

    fn try_from(written: Written) -> Result<Self, InvalidPlan> {
        let Written { stages, begins, only, recall_to, hold, stage } = written;
        let plan = Self { stages, begins, only, recall_to, hold, signed_stage: stage };
        plan.check().map(|()| plan)
    }
}

impl RolloutPlan {
    /// The rules that each plan follows.
    fn check(&self) -> Result<(), InvalidPlan> {
        if self.stages.is_empty() || self.stages.len() > MOST_STAGES {
            return Err(InvalidPlan::Stages(self.stages.len()));
        }
        let mut before = 0;
        for (index, stage) in self.stages.iter().enumerate() {
            check_stage(stage, index + 1, before)?;
            before = stage.permille;
        }
        let hours = self.stages.iter().try_fold(0_u64, |sum, stage| sum.checked_add(stage.hours));
        if hours.is_none_or(|hours| hours > MOST_HOURS) {
            return Err(InvalidPlan::Hours);
        }
        if self.signed_stage >= self.stages.len() {
            return Err(InvalidPlan::NoSuchStage(self.signed_stage + 1));
        }
        let names = |list: &[String]| {
            list.len() <= MOST_NAMES && list.iter().all(|name| !name.trim().is_empty())
        };
        let only = &self.only;
        let fits = only.platforms.len() <= MOST_NAMES && names(&only.regions) && names(&only.rings);
        if fits { Ok(()) } else { Err(InvalidPlan::Names) }
    }

    /// The stages, the smallest first; at least one.
    #[cfg(feature = "publisher")]
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// When the first stage begins.
    #[cfg(feature = "publisher")]
    pub fn begins(&self) -> Timestamp {
        self.begins
    }

    /// For whom the release is.
    pub fn only(&self) -> &Scope {
        &self.only
    }

    /// What a next stage needs.
    #[cfg(feature = "publisher")]
    pub fn hold(&self) -> Hold {
        self.hold
    }

    /// The stage that is signed as reached, counted from 0.
    #[cfg(feature = "publisher")]
    pub fn signed_stage(&self) -> usize {
        self.signed_stage
    }

    /// Where a server may send those who have the release.
    #[cfg(feature = "publisher")]
    pub fn recall_to(&self) -> Option<&Version> {
        self.recall_to.as_ref()
    }

    /// What a word names this plan by: SHA-256 of its stages, beginning and scope. It is the same
    /// whatever stage is signed as reached, and wherever a recall leads.
    pub fn digest(&self) -> Digest {
        // Fields in the order of their declaration, whatever the order of JSON objects is. Writing
        // numbers, texts and lists does not fail.
        let terms = serde_json::to_string(&(&self.stages, self.begins, &self.only));
        Digest::of(terms.unwrap_or_default().as_bytes())
    }

    /// Whether another plan differs in nothing but when it begins, and the stage that is signed.
    #[cfg(feature = "publisher")]
    pub fn differs_in_time(&self, other: &Self) -> bool {
        let Self { stages, only, recall_to, hold, .. } = self;
        (stages, only, recall_to, hold)
            == (&other.stages, &other.only, &other.recall_to, &other.hold)
    }

    /// The stage that `word` says; the signed one if there is no word, or if it is about another
    /// plan or a stage that the plan lacks.
    pub fn stage_of(&self, word: Option<&RolloutWord>) -> usize {
        let stages = 0..self.stages.len();
        word.filter(|word| word.plan == Some(self.digest()))
            .map(|word| word.stage)
            .filter(|stage| stages.contains(stage))
            .unwrap_or(self.signed_stage)
    }

    /// The same plan with another stage signed as reached, counted from 0.
    ///
    /// # Errors
    /// [`InvalidPlan::NoSuchStage`] if the plan lacks it.
    #[cfg(feature = "publisher")]
    pub fn at_stage(&self, stage: usize) -> Result<Self, InvalidPlan> {
        let plan = Self { signed_stage: stage, ..self.clone() };
        plan.check().map(|()| plan)
    }

    /// When a stage begins at the earliest by the signed hours; `None` if the plan lacks it.
    pub fn earliest(&self, stage: usize) -> Option<Timestamp> {
        self.stages.get(stage)?;
        let hours: u64 = self.stages[..stage].iter().map(|stage| stage.hours).sum();
        // A sum beyond the end of time is never reached.
        let hours = SignedDuration::from_hours(i64::try_from(hours).ok()?);
        Some(self.begins.checked_add(hours).unwrap_or(Timestamp::MAX))
    }

    /// The stage that holds at `now`; `None` before the plan begins.
    ///
    /// Without a word, and by a word about another plan or for a stage that this one lacks, it is
    /// the stage that the offline keys signed: the first one, unless they have moved it.
    pub fn stage(&self, word: Option<&RolloutWord>, now: Timestamp) -> Option<usize> {
        if now < self.begins {
            return None;
        }
        Some(self.stage_of(word).min(self.latest(now)))
    }

    /// The last stage that a word may open at `now`.
    fn latest(&self, now: Timestamp) -> usize {
        let is_open = |stage: &usize| self.earliest(*stage).is_some_and(|begins| begins <= now);
        match self.hold {
            Hold::Offline => self.signed_stage,
            Hold::Numbers | Hold::Approval => (0..self.stages.len())
                .take_while(is_open)
                .last()
                .unwrap_or_default()
                .max(self.signed_stage),
        }
    }

    /// Where a word's recall leads: nowhere but to what the plan names.
    pub fn recalled_by(&self, word: Option<&RolloutWord>) -> Option<&Version> {
        word.filter(|word| word.recalled).and(self.recall_to.as_ref())
    }
}

/// The share of installations that may see a release at `now`, in thousandths.
pub fn share(plan: &RolloutPlan, word: Option<&RolloutWord>, now: Timestamp) -> u16 {
    let is_stopped = word.is_some_and(|word| word.halted || word.recalled);
    let stage = plan.stage(word, now).filter(|_| !is_stopped);
    stage.and_then(|stage| plan.stages.get(stage)).map_or(0, |stage| stage.permille)
}

/// The rules of one stage, counted from 1 in messages. `before` is the share of the one before it.
fn check_stage(stage: &Stage, number: usize, before: u16) -> Result<(), InvalidPlan> {
    if stage.permille <= before || stage.permille > WHOLE {
        return Err(InvalidPlan::Share { stage: number, permille: stage.permille });
    }
    for (name, share) in [("success", stage.success), ("rollbacks", stage.rollbacks)] {
        if share > WHOLE {
            return Err(InvalidPlan::Threshold { stage: number, name });
        }
    }
    let has_threshold = stage.success > 0 || stage.rollbacks < WHOLE;
    if (has_threshold && stage.samples == 0) || stage.samples > MOST_SAMPLES {
        return Err(InvalidPlan::Samples(number));
    }
    Ok(())
}

impl Scope {
    /// Whether an installation is meant.
    pub fn contains(&self, place: Place<'_>) -> bool {
        let listed = |names: &[String], name: &str| {
            names.is_empty() || names.iter().any(|one| one.eq_ignore_ascii_case(name))
        };
        let from = self
            .from
            .as_ref()
            .is_none_or(|range| place.current.is_some_and(|current| range.contains(current)));
        (self.platforms.is_empty() || self.platforms.contains(place.platform))
            && from
            && listed(&self.regions, place.region)
            && listed(&self.rings, place.ring)
    }

    fn is_everyone(&self) -> bool {
        *self == Self::default()
    }
}

fn whole() -> u16 {
    WHOLE
}

// The forms that serde's `skip_serializing_if` calls.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_whole(share: &u16) -> bool {
    *share == WHOLE
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_no_share(share: &u16) -> bool {
    *share == 0
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_nothing(number: &u64) -> bool {
    *number == 0
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_first(stage: &usize) -> bool {
    *stage == 0
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_usual(hold: &Hold) -> bool {
    *hold == Hold::default()
}

#[cfg(test)]
mod tests;
