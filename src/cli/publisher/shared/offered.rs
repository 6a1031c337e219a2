//! Reports for people and for scripts: what became of published packages, and the present terms of
//! releases.

use serde_json::{Value, json};

use super::output::Say;
use crate::app::streams::error_line;
use crate::model::rollout_plan::RolloutWord;
use crate::model::{Release, Version};
use crate::publish::{Offering, PlannedRollout, Project, PublishError, Standing, terms};

/// Tells each package's standing and terms, and what whoever published should know; gives the same
/// for scripts.
pub(crate) fn tell(offerings: &[Offering], say: &Say) -> Vec<Value> {
    let reported = offerings.iter().map(|offering| {
        let Offering { release, standing, remarks } = offering;
        let container = &release.container;
        let what = match standing {
            Standing::New => "published",
            Standing::Retained => "published already; nothing is changed",
            Standing::Changed => "published again",
        };
        say.line(&format!("{container}: {what} ({})", terms::in_words(release)));
        let remarks: Vec<String> = remarks.iter().map(|remark| remark.about(container)).collect();
        for remark in &remarks {
            error_line(&format!("warning: {remark}"));
        }
        let standing = match standing {
            Standing::New => "new",
            Standing::Retained => "kept",
            Standing::Changed => "changed",
        };
        let mut value = standing_of(release);
        value["standing"] = standing.into();
        value["warnings"] = json!(remarks);
        value
    });
    reported.collect()
}

/// Tells how the packages of a version stand now.
pub(crate) fn tell_version(
    project: &Project,
    version: &Version,
    say: &Say,
) -> Result<(), PublishError> {
    let rollouts = project.planned_rollouts()?;
    for release in
        project.releases()?.iter().filter(|release| release.container.version == *version)
    {
        let hint = match (&release.recalled, release.halted, word_of(&rollouts, release)) {
            (Some(_), ..) => "; `kuzflow recall --take-back` takes that back".to_owned(),
            (None, true, _) => "; `kuzflow rollout --resume` ends the halt".to_owned(),
            (None, false, Some(word)) if word.recalled => format!(
                "; recalled within its plan, which `kuzflow rollout --version {version} --online take-back` ends"
            ),
            (None, false, Some(word)) if word.halted => format!(
                "; halted within its plan, which `kuzflow rollout --version {version} --online resume` ends"
            ),
            (None, false, _) => String::new(),
        };
        say.line(&format!("{}: {}{hint}", release.container, terms::in_words(release)));
    }
    Ok(())
}

/// The word about a release with a plan.
pub(crate) fn word_of(rollouts: &[PlannedRollout], release: &Release) -> Option<RolloutWord> {
    let is_meant = |rollout: &&PlannedRollout| {
        let container = &release.container;
        release.plan.is_some()
            && (&rollout.app, &rollout.version) == (&container.app, &container.version)
    };
    rollouts.iter().find(is_meant)?.word
}

fn standing_of(release: &Release) -> Value {
    json!({
        "container": release.container,
        "channel": release.channel,
        "rollout_permille": release.rollout_permille,
        "halted": release.halted,
        "mandatory": release.mandatory,
        "watershed": release.watershed,
        "recalled": release.recalled,
        "plan": release.plan,
        "system": release.system,
    })
}
