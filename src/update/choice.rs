//! Which release of the repository this installation is offered.
//!
//! In: the settings, verified metadata and what the home remembers. Out: a release, or why there is
//! none. Never: the network or a file.

use crate::environment::Environment;
use crate::messages::problem;
use crate::messages::protocol::{NoUpdate, Problem, ProblemKind};
use crate::model::release::{Audience, Choice, Release, SignedRelease, put_aside};
use crate::model::{Platform, Version};
use crate::store::HomeState;
use crate::trust::Repository;

/// What the metadata has for this installation.
pub(super) enum CheckOutcome<'a> {
    Offer(&'a SignedRelease),
    /// Nothing to offer.
    UpToDate(NoUpdate),
}

/// The release to offer, or why there is none.
pub(super) fn choose<'a>(
    environment: &Environment,
    repository: &'a Repository,
    state: &HomeState,
    current: Option<&Version>,
    wanted: Option<Version>,
) -> Result<CheckOutcome<'a>, Problem> {
    match wanted {
        Some(version) => named_release(environment, repository, &version).map(CheckOutcome::Offer),
        None => best_release(environment, repository, state, current),
    }
}

/// The release that a person named. It may be older, skipped, or not rolled out to this installation
/// yet. A release that the publisher halted, or put into another channel, is refused.
fn named_release<'a>(
    environment: &Environment,
    repository: &'a Repository,
    version: &Version,
) -> Result<&'a SignedRelease, Problem> {
    let platform = Platform::current();
    let named = |signed: &&SignedRelease| {
        let container = &signed.release.container;
        container.version == *version
            && container.platform == platform
            && container.app.as_str() == environment.settings.app.as_str()
    };
    let refuse = |why: &str| Problem {
        kind: ProblemKind::NoSuchVersion,
        subject: version.to_string(),
        chain: vec![why.to_owned()],
    };
    let found = repository
        .releases
        .iter()
        .find(named)
        .ok_or_else(|| refuse("the repository has no such release"))?;
    if found.release.channel != environment.settings.channel {
        Err(refuse(&format!("it is in the channel {}", found.release.channel)))
    } else if found.release.halted {
        Err(refuse("the publisher has halted it"))
    } else {
        Ok(found)
    }
}

/// The release that the publisher wants this installation to have.
fn best_release<'a>(
    environment: &Environment,
    repository: &'a Repository,
    state: &HomeState,
    current: Option<&Version>,
) -> Result<CheckOutcome<'a>, Problem> {
    let platform = Platform::current();
    let app = environment.settings.app.as_str();
    // A version that did not come up here is not offered again.
    let mine: Vec<SignedRelease> = repository
        .releases
        .iter()
        .filter(|signed| concerns(environment, signed))
        .cloned()
        .collect();
    let aside = put_aside(&mine, &state.skipped);
    let unwanted: Vec<Version> = aside.into_iter().chain(state.failed.iter().cloned()).collect();
    let audience = Audience {
        app,
        platform: &platform,
        channel: &environment.settings.channel,
        current,
        installation_id: &state.installation_id,
        skipped: &unwanted,
    };
    let reason = match audience.choose(&repository.releases) {
        Choice::Offer(signed) if state.pinned.is_some() && !signed.release.mandatory => {
            NoUpdate::Pinned
        }
        Choice::Offer(signed) => return Ok(CheckOutcome::Offer(signed)),
        Choice::UpToDate => NoUpdate::Newest,
        Choice::Skipped(signed) if state.failed.contains(&signed.release.container.version) => {
            NoUpdate::FailedHere
        }
        Choice::Skipped(_) => NoUpdate::Skipped,
        Choice::NotYet(_) => NoUpdate::NotYet,
        Choice::Nothing => match problem::of_others_releases(
            [app, &environment.settings.channel, &platform.to_string()],
            repository,
        ) {
            Some(problem) => return Err(problem),
            None => NoUpdate::NothingPublished,
        },
    };
    Ok(CheckOutcome::UpToDate(reason))
}

/// Whether a release is for this app, system and channel.
pub(super) fn concerns(environment: &Environment, signed: &SignedRelease) -> bool {
    let Release { container, channel, .. } = &signed.release;
    container.app.as_str() == environment.settings.app.as_str()
        && container.platform == Platform::current()
        && *channel == environment.settings.channel
}
