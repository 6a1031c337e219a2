//! A change to a published release that reaches every platform of its version: its share or plan, a
//! halt, a recall.
//!
//! In: a change, a release as it is signed. Out: the release as it is to be signed. Never: a file, a
//! signature; a change that leaves installations nowhere to go.

use super::error::PublishError;
use super::terms::{follow_plan, follow_share};
use crate::model::release::Recall;
use crate::model::rollout_plan::RolloutPlan;
use crate::model::{Release, Version};

/// Most watersheds of an app's channel and platform: each stays among the releases that every
/// launcher is told of.
const MOST_WATERSHEDS: usize = 2;

/// A change to a release that is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RolloutChange {
    /// Share of installations that may see it, in thousandths; a plan ends with it.
    Permille(u16),
    /// No new installs.
    Halt,
    /// Ends a halt: installs again, up to the previous share.
    Resume,
    /// It reaches more installations step by step.
    Plan(Box<RolloutPlan>),
    /// The stage of its plan that is reached, counted from 0.
    Stage(usize),
    /// Installations that have it go to another version, and nobody is offered it.
    Recall(Recall),
    /// It is no longer recalled. Nobody is offered it until it is resumed.
    TakeBackRecall,
    /// Whether older installations pass through it before they are offered a newer one.
    Watershed(bool),
}

impl RolloutChange {
    /// Refuses a change that makes no sense whatever the release is.
    pub(super) fn check(&self) -> Result<(), PublishError> {
        match self {
            Self::Permille(share) if *share > 1000 => Err(PublishError::Options(
                "a rollout is a share of 0 to 1000 thousandths".to_owned(),
            )),
            _ => Ok(()),
        }
    }

    /// Changes one release; `others` are all that are published, this one included.
    pub(super) fn apply(
        &self,
        release: &mut Release,
        others: &[Release],
    ) -> Result<(), PublishError> {
        match self {
            Self::Permille(share) => follow_share(release, *share),
            Self::Halt => release.halted = true,
            Self::Resume if release.recalled.is_some() => {
                return Err(PublishError::Options(format!(
                    "{} is recalled: `kuzflow recall {} --take-back` comes first",
                    release.container, release.container.version
                )));
            }
            Self::Resume => release.halted = false,
            Self::Plan(plan) => {
                check_way_back(release, plan, others)?;
                follow_plan(release, (**plan).clone());
            }
            Self::Stage(stage) => to_stage(release, *stage)?,
            Self::Recall(recall) => {
                check_recall(release, &recall.to, others)?;
                // A launcher that knows no recall still stops offering it.
                release.halted = true;
                release.recalled = Some(recall.clone());
            }
            Self::TakeBackRecall => release.recalled = None,
            Self::Watershed(watershed) => {
                release.watershed = *watershed;
                check_watersheds(release, others)?;
            }
        }
        Ok(())
    }
}

/// Signs a stage as reached.
fn to_stage(release: &mut Release, stage: usize) -> Result<(), PublishError> {
    let plan = release.plan.as_ref().ok_or_else(|| {
        PublishError::Options(format!(
            "{} has no plan: `kuzflow rollout --plan FILE` gives it one",
            release.container
        ))
    })?;
    let plan = plan.at_stage(stage).map_err(|error| PublishError::Options(error.to_string()))?;
    follow_plan(release, plan);
    Ok(())
}

/// Whether two releases are of the same app, channel and platform.
fn are_of_one_row(a: &Release, b: &Release) -> bool {
    a.container.app == b.container.app
        && a.container.platform == b.container.platform
        && a.channel == b.channel
}

/// Refuses a plan whose recall would lead to what launchers would not go to.
pub(super) fn check_way_back(
    release: &Release,
    plan: &RolloutPlan,
    others: &[Release],
) -> Result<(), PublishError> {
    plan.recall_to().map_or(Ok(()), |to| check_recall(release, to, others))
}

/// Refuses a recall to what launchers would not go to. A version can lack `to` on one platform, where
/// it was the first one: there a recall only says that the release is bad.
fn check_recall(release: &Release, to: &Version, others: &[Release]) -> Result<(), PublishError> {
    let refuse = |why: &str| {
        let container = &release.container;
        Err(PublishError::Options(format!("{container} cannot be recalled to {to}: {why}")))
    };
    if *to == release.container.version {
        return refuse("that is the same version");
    }
    let found = others
        .iter()
        .find(|other| are_of_one_row(other, release) && other.container.version == *to);
    let is_elsewhere = || {
        let is_other = |other: &&Release| {
            other.container.app == release.container.app && other.container.version == *to
        };
        let is_bad = |other: &&Release| other.container.version == release.container.version;
        let has_bad =
            |of: &Release| others.iter().filter(is_bad).any(|bad| are_of_one_row(bad, of));
        others.iter().filter(is_other).any(has_bad)
    };
    match found {
        None if is_elsewhere() => Ok(()),
        None => refuse("no such release is published for its platform and channel"),
        Some(to) if to.recalled.is_some() => refuse("that one is recalled as well"),
        Some(to) if to.halted => refuse("that one is halted"),
        Some(_) => Ok(()),
    }
}

/// Refuses more watersheds than every launcher is told of.
pub(super) fn check_watersheds(release: &Release, others: &[Release]) -> Result<(), PublishError> {
    let mut watersheds: Vec<&Release> = others
        .iter()
        .filter(|other| other.watershed && are_of_one_row(other, release))
        .filter(|other| other.container != release.container)
        .collect();
    if !release.watershed || watersheds.len() < MOST_WATERSHEDS {
        return Ok(());
    }
    watersheds.sort_by(|a, b| a.container.version.cmp(&b.container.version));
    let versions: Vec<String> =
        watersheds.iter().map(|other| other.container.version.to_string()).collect();
    Err(PublishError::Options(format!(
        "{} and {} are watersheds already, and there are at most {MOST_WATERSHEDS}: \
         `kuzflow rollout --version {} --watershed=false` makes the oldest an ordinary release",
        versions[..versions.len() - 1].join(", "),
        versions[versions.len() - 1],
        versions[0]
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recall(to: &str) -> RolloutChange {
        RolloutChange::Recall(Recall { to: to.parse().unwrap(), reason: [].into() })
    }

    fn refusal(change: &RolloutChange, release: &Release, others: &[Release]) -> String {
        change.apply(&mut release.clone(), others).unwrap_err().to_string()
    }

    #[test]
    fn a_recall_leads_to_what_launchers_go_to() {
        let (one, two) = (Release::sample("1.0.0"), Release::sample("2.0.0"));
        let all = [one.clone(), two.clone()];
        let mut bad = two.clone();
        recall("1.0.0").apply(&mut bad, &all).unwrap();
        assert_eq!(bad.recalled.as_ref().unwrap().to, Version::new(1, 0, 0));
        assert!(bad.halted, "for launchers that know no recall");
        assert!(refusal(&RolloutChange::Resume, &bad, &all).contains("--take-back"));
        RolloutChange::TakeBackRecall.apply(&mut bad, &all).unwrap();
        assert!(bad.recalled.is_none() && bad.halted, "somebody resumes it on purpose");
        assert!(refusal(&recall("2.0.0"), &two, &all).contains("same version"));
        assert!(refusal(&recall("3.0.0"), &two, &all).contains("no such release"));
        let halted = Release { halted: true, ..one.clone() };
        assert!(refusal(&recall("1.0.0"), &two, &[halted]).contains("halted"));
        let beta = Release { channel: "beta".to_owned(), ..one };
        assert!(refusal(&recall("1.0.0"), &two, &[beta]).contains("channel"));
    }

    #[test]
    fn the_first_version_of_a_platform_is_recalled_with_the_others() {
        let windows = |release: &Release| {
            let mut other = release.clone();
            other.container.platform = "Windows_AMD64".parse().unwrap();
            other
        };
        let (one, two) = (Release::sample("1.0.0"), Release::sample("2.0.0"));
        let all = [one, two.clone(), windows(&two)];
        let mut bad = windows(&two);
        recall("1.0.0").apply(&mut bad, &all).unwrap();
        assert!(bad.halted && bad.recalled.is_some());
        assert!(refusal(&recall("1.5.0"), &windows(&two), &all).contains("no such release"));
    }

    #[test]
    fn a_share_ends_a_plan_and_a_stage_needs_one() {
        let plan: RolloutPlan = serde_json::from_value(serde_json::json!({
            "stages": [{"permille": 10}, {"permille": 500}], "begins": "2026-12-01T00:00:00Z",
        }))
        .unwrap();
        let mut release = Release::sample("2.0.0");
        assert!(refusal(&RolloutChange::Stage(1), &release, &[]).contains("has no plan"));
        RolloutChange::Plan(Box::new(plan)).apply(&mut release, &[]).unwrap();
        assert_eq!(release.rollout_permille, 10, "for launchers that know no plans");
        RolloutChange::Stage(1).apply(&mut release, &[]).unwrap();
        assert_eq!(
            (release.plan.as_ref().unwrap().signed_stage(), release.rollout_permille),
            (1, 500)
        );
        assert!(refusal(&RolloutChange::Stage(2), &release, &[]).contains("no stage 3"));
        RolloutChange::Permille(1000).apply(&mut release, &[]).unwrap();
        assert_eq!((release.plan, release.rollout_permille), (None, 1000));
    }

    #[test]
    fn a_plan_names_a_way_back_that_is_there() {
        let plan = |to: &str| {
            let plan = serde_json::json!({"stages": [{"permille": 10}], "begins": "2026-12-01T00:00:00Z", "recall_to": to});
            RolloutChange::Plan(Box::new(serde_json::from_value(plan).unwrap()))
        };
        let (one, two) = (Release::sample("1.0.0"), Release::sample("2.0.0"));
        let all = [one, two.clone()];
        assert!(refusal(&plan("1.0.1"), &two, &all).contains("no such release"));
        assert!(refusal(&plan("2.0.0"), &two, &all).contains("same version"));
        let mut planned = two;
        plan("1.0.0").apply(&mut planned, &all).unwrap();
        assert_eq!(planned.plan.unwrap().recall_to(), Some(&Version::new(1, 0, 0)));
    }

    #[test]
    fn a_third_watershed_is_refused_by_name_of_the_oldest() {
        let marked = |version| Release { watershed: true, ..Release::sample(version) };
        let all = [marked("2.0.0"), marked("1.0.0"), Release::sample("3.0.0")];
        let third = RolloutChange::Watershed(true);
        assert!(refusal(&third, &all[2], &all).contains("--version 1.0.0 --watershed=false"));
        third.apply(&mut all[0].clone(), &all).unwrap();
        third.apply(&mut all[2].clone(), &all[1..]).unwrap();
        let other = Release { channel: "beta".to_owned(), ..Release::sample("3.0.0") };
        third.apply(&mut other.clone(), &all).unwrap();
    }
}
