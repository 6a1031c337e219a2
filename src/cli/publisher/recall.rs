//! `kuzflow recall`: a release is bad, and the installations that have it go to another one.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;

use super::renew;
use super::rollout::change_release;
use super::shared::VerbError;
use super::shared::output::Say;
use super::shared::place::RepositoryPlace;
use crate::app::Ending;
use crate::app::streams::error_line;
use crate::model::Version;
use crate::model::release::Recall;
use crate::publish::{Project, RolloutChange};

/// Longest reason, characters: what the window shows of it.
const MOST_CHARACTERS: usize = 300;

pub(super) const HELP: &str = "\
Installations that have VERSION are offered OTHER as a mandatory update, also if it is older. Where OTHER was active
before, it comes back with the user's files of that time; what was done in VERSION is set aside. Nobody is offered
VERSION any more.

Example: kuzflow recall 1.3.0 --to 1.2.4 --reason en=\"It loses drawings\" --reason zh-CN=\"会丢失图纸\" --repo my-app";

/// The arguments of `kuzflow recall`.
#[derive(Debug, Args)]
pub(super) struct RecallArguments {
    #[command(flatten)]
    place: RepositoryPlace,
    /// The bad release.
    #[arg(value_name = "VERSION")]
    version: Version,
    /// The release that takes its place.
    #[arg(long, value_name = "OTHER", required_unless_present = "take_back")]
    to: Option<Version>,
    /// Why, for users: TEXT for every language, or TAG=TEXT for one (zh-CN, en).
    #[arg(long, value_name = "[TAG=]TEXT", conflicts_with = "take_back")]
    reason: Vec<String>,
    /// The release is good after all. Nobody is offered it until `kuzflow rollout --resume`.
    #[arg(long, conflicts_with = "to")]
    take_back: bool,
}

/// Recalls a release, or takes a recall back.
pub(super) fn recall(arguments: &RecallArguments, say: &Say) -> Result<Ending, VerbError> {
    let (project, keyring) = arguments.place.open()?;
    let change = match &arguments.to {
        Some(to) => {
            let reason = reasons(&arguments.reason)?;
            RolloutChange::Recall(Recall { to: to.clone(), reason })
        }
        None => RolloutChange::TakeBackRecall,
    };
    let ending = change_release((&project, &keyring), &arguments.version, &change, say)?;
    if let Some(to) = &arguments.to {
        warn_of_dead_ends(&project, &arguments.version, to)?;
    }
    Ok(renew::warn_after(&project, ending))
}

/// Names the platforms on which nothing can take the place of the bad release.
fn warn_of_dead_ends(project: &Project, bad: &Version, to: &Version) -> Result<(), VerbError> {
    let releases = project.releases()?;
    let app = &project.settings().app;
    let of = |version: &Version| -> BTreeSet<String> {
        let of_version = releases
            .iter()
            .map(|release| &release.container)
            .filter(|container| container.version == *version && container.app == *app);
        of_version.map(|container| container.platform.to_string()).collect()
    };
    for platform in of(bad).difference(&of(to)) {
        error_line(&format!(
            "warning: there is no {to} for {platform}: who has {bad} there is told that it is recalled, and keeps it until a newer release comes"
        ));
    }
    Ok(())
}

/// The reasons by language.
fn reasons(typed: &[String]) -> Result<BTreeMap<String, String>, VerbError> {
    let mut reasons = BTreeMap::new();
    for text in typed {
        let (tag, reason) = match text.split_once('=') {
            Some((tag, reason))
                if !tag.is_empty()
                    && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') =>
            {
                (tag, reason)
            }
            _ => ("", text.as_str()),
        };
        if reason.chars().count() > MOST_CHARACTERS {
            return Err(format!("--reason: at most {MOST_CHARACTERS} characters are shown").into());
        }
        reasons.insert(tag.to_owned(), reason.trim().to_owned());
    }
    Ok(reasons)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_for_one_language_or_for_all() {
        let typed = ["en=It loses files", "zh-CN=会丢失文件", "See a = b"].map(str::to_owned);
        let found = reasons(&typed).unwrap();
        assert_eq!(found["en"], "It loses files");
        assert_eq!(found["zh-CN"], "会丢失文件");
        assert_eq!(found[""], "See a = b");
        assert!(reasons(&["x".repeat(301)]).is_err());
    }
}
