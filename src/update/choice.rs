//! Which release of the repository this installation is offered.
//!
//! In: the settings, verified metadata and what the home remembers. Out: a release, or why there is
//! none. Never: the network or a file.

use crate::environment::Environment;
use crate::host;
use crate::messages::problem;
use crate::messages::protocol::{NoUpdate, Problem, ProblemKind};
use crate::model::audience::{Audience, Choice, Words, is_stopped, next_watershed, put_aside};
use crate::model::offer::RecalledVersion;
use crate::model::release::{Release, SignedRelease};
use crate::model::system::SystemVersions;
use crate::model::{Platform, Version};
use crate::plain;
use crate::store::HomeState;
use crate::trust::Repository;

/// Longest reason of a recall that is shown, characters.
const MAX_REASON_CHARACTERS: usize = 300;

/// What the metadata has for this installation.
pub(super) enum CheckOutcome {
    Offer(Box<SignedRelease>, Option<RecalledVersion>),
    /// Nothing to offer.
    UpToDate(NoUpdate),
}

/// The facts of this installation that a choice needs, besides its state.
pub(super) struct Facts {
    platform: Platform,
    channel: String,
    system: SystemVersions,
    words: Words,
    unwanted: Vec<Version>,
    unusable: Vec<Version>,
}

impl Facts {
    pub(super) fn of(
        environment: &Environment,
        repository: &Repository,
        state: &HomeState,
        current: Option<&Version>,
    ) -> Self {
        let mine: Vec<SignedRelease> = repository
            .releases
            .iter()
            .filter(|signed| concerns(environment, signed))
            .cloned()
            .collect();
        // The system is asked only where a release needs something of it.
        let asks = mine.iter().any(|signed| !signed.release.system.is_none());
        // A version that did not come up here, or was recalled, is not offered again.
        let mut unusable = [state.failed.clone(), state.recalled.clone()].concat();
        // Nor is what could not take the place of the recalled version, while that is active.
        let refused = state.refused_recall.as_ref();
        unusable.extend(
            refused.filter(|it| Some(&it.from) == current).map(|refused| refused.to.clone()),
        );
        let words = repository.words_of(&environment.settings.app);
        let aside = put_aside(&mine, &state.skipped, &words);
        Self {
            platform: Platform::current(),
            channel: environment.channel(),
            system: if asks { host::system_versions() } else { SystemVersions::default() },
            words,
            unwanted: aside.into_iter().chain(unusable.iter().cloned()).collect(),
            unusable,
        }
    }

    pub(super) fn audience<'a>(
        &'a self,
        environment: &'a Environment,
        state: &'a HomeState,
        current: Option<&'a Version>,
    ) -> Audience<'a> {
        let settings = &environment.settings;
        Audience {
            app: settings.app.as_str(),
            platform: &self.platform,
            channel: &self.channel,
            current,
            installation_id: &state.installation_id,
            skipped: &self.unwanted,
            failed: &self.unusable,
            region: &settings.region,
            ring: &settings.ring,
            system: &self.system,
            words: &self.words,
            now: host::now(),
        }
    }
}

/// The release to offer, or why there is none.
pub(super) fn choose(
    environment: &Environment,
    repository: &Repository,
    state: &HomeState,
    current: Option<&Version>,
    wanted: Option<Version>,
) -> Result<CheckOutcome, Problem> {
    let facts = Facts::of(environment, repository, state, current);
    let audience = facts.audience(environment, state, current);
    match wanted {
        Some(version) => {
            let named = named_release(environment, repository, &audience, &version)?;
            Ok(CheckOutcome::Offer(Box::new(named.clone()), None))
        }
        None => best_release(environment, repository, state, &audience),
    }
}

/// The release that a person named. It may be older, skipped, or not rolled out to this installation
/// yet. A release that the publisher halted or recalled, or put into another channel, is refused, and
/// so is one that this installation may not go to in one step.
fn named_release<'a>(
    environment: &Environment,
    repository: &'a Repository,
    audience: &Audience<'_>,
    version: &Version,
) -> Result<&'a SignedRelease, Problem> {
    let platform = Platform::current();
    let app = environment.settings.app.as_str();
    let of_app = |release: &Release| {
        release.container.platform == platform && release.container.app.as_str() == app
    };
    let refuse = |why: &str| Problem {
        kind: ProblemKind::NoSuchVersion,
        subject: version.to_string(),
        chain: vec![why.to_owned()],
    };
    let mut releases = repository.releases.iter();
    let found = releases
        .find(|signed| of_app(&signed.release) && signed.release.container.version == *version)
        .ok_or_else(|| refuse("the repository has no such release"))?;
    let release = &found.release;
    if release.channel != audience.channel {
        return Err(refuse(&format!("it is in the channel {}", release.channel)));
    }
    if audience.recall(release).is_some() {
        return Err(refuse("the publisher has recalled it"));
    }
    if is_stopped(release, audience.words) {
        return Err(refuse("the publisher has halted it"));
    }
    if !release.open_to(audience.current) {
        let minimum = release.minimum_version.as_ref().map(Version::to_string);
        let minimum = minimum.unwrap_or_default();
        return Err(refuse(&format!("{minimum} must be installed before it")));
    }
    if let Some(too_old) = release.system.unmet_by(audience.system) {
        let (needed, found) = (too_old.needed, too_old.found);
        return Err(refuse(&format!("it needs {needed}, this computer has {found}")));
    }
    let mine = repository.releases.iter().map(|signed| &signed.release);
    let mine = mine.filter(|release| of_app(release) && release.channel == audience.channel);
    match next_watershed(mine, audience.current).filter(|watershed| *version > **watershed) {
        Some(watershed) => {
            Err(refuse(&format!("{watershed} must be installed before any newer version")))
        }
        None => Ok(found),
    }
}

/// The release that the publisher wants this installation to have.
fn best_release(
    environment: &Environment,
    repository: &Repository,
    state: &HomeState,
    audience: &Audience<'_>,
) -> Result<CheckOutcome, Problem> {
    let reason = match audience.choose(&repository.releases) {
        Choice::Offer(signed) if state.pinned.is_some() && !signed.release.mandatory => {
            NoUpdate::Pinned
        }
        Choice::Offer(signed) => return Ok(CheckOutcome::Offer(Box::new(signed.clone()), None)),
        Choice::Recalled { bad, to } => {
            return Ok(in_place_of_recalled(environment, &bad.release, to));
        }
        Choice::Withdrawn(_) | Choice::UpToDate => {
            at_the_end_of_its_channel(environment, repository, audience)
        }
        Choice::Skipped(signed) if has_failed(state, &signed.release.container.version) => {
            NoUpdate::FailedHere
        }
        Choice::Skipped(_) => NoUpdate::Skipped,
        Choice::NotYet(_) => NoUpdate::NotYet,
        Choice::SystemTooOld(_, too_old) => NoUpdate::SystemTooOld(too_old),
        Choice::Nothing => match problem::of_others_releases(
            [audience.app, audience.channel, &audience.platform.to_string()],
            repository,
        ) {
            Some(problem) => return Err(problem),
            None => NoUpdate::NothingPublished,
        },
    };
    Ok(CheckOutcome::UpToDate(with_recall(environment, repository, audience, reason)))
}

/// Whether a version did not come up here, or could not take the place of a recalled one.
fn has_failed(state: &HomeState, version: &Version) -> bool {
    let refused = state.refused_recall.as_ref().is_some_and(|refused| refused.to == *version);
    refused || state.failed.contains(version)
}

/// Why there is nothing to do where a check ends after its choice.
pub(super) fn beside_recall(
    environment: &Environment,
    repository: &Repository,
    state: &HomeState,
    current: Option<&Version>,
    reason: NoUpdate,
) -> NoUpdate {
    let facts = Facts::of(environment, repository, state, current);
    let audience = facts.audience(environment, state, current);
    with_recall(environment, repository, &audience, reason)
}

/// The same reason, and that the active version is recalled, if it is.
fn with_recall(
    environment: &Environment,
    repository: &Repository,
    audience: &Audience<'_>,
    reason: NoUpdate,
) -> NoUpdate {
    let Some(bad) = audience.recalled_active(&repository.releases) else { return reason };
    let besides = Some(reason).filter(|reason| *reason != NoUpdate::Newest).map(Box::new);
    NoUpdate::Recalled { why: reason_of(environment, &bad.release), besides }
}

/// Why the publisher has recalled a release, in the best available language.
fn reason_of(environment: &Environment, bad: &Release) -> String {
    let language = std::slice::from_ref(&environment.language);
    let reason = bad.recalled.as_ref().map_or("", |recall| recall.reason_in(language));
    plain::line(reason, MAX_REASON_CHARACTERS)
}

/// Nothing newer is there: the newest version is active, or one that is newer than all of the channel
/// that the user has chosen.
fn at_the_end_of_its_channel(
    environment: &Environment,
    repository: &Repository,
    audience: &Audience<'_>,
) -> NoUpdate {
    if environment.settings.channels.is_empty() {
        return NoUpdate::Newest;
    }
    // What a first installation would be offered: neither halted, recalled, nor for newer systems.
    let as_new = Audience { current: None, ..*audience };
    match as_new.choose(&repository.releases) {
        Choice::Offer(signed) if audience.current > Some(&signed.release.container.version) => {
            NoUpdate::AheadOfChannel { newest: signed.release.container.version.clone() }
        }
        _ => NoUpdate::Newest,
    }
}

/// The release that takes the place of a recalled one. It comes as a mandatory one does.
fn in_place_of_recalled(
    environment: &Environment,
    bad: &Release,
    to: &SignedRelease,
) -> CheckOutcome {
    let recalled = RecalledVersion {
        version: bad.container.version.clone(),
        reason: reason_of(environment, bad),
        files_of: None,
    };
    let mut to = to.clone();
    to.release.mandatory = true;
    CheckOutcome::Offer(Box::new(to), Some(recalled))
}

/// The recalled versions, of those that this home has or knew to be recalled: what no list has stays
/// as it was known.
pub(super) fn recalled_versions(
    environment: &Environment,
    repository: &Repository,
    state: &HomeState,
    installed: &[Version],
) -> Vec<Version> {
    let facts = Facts::of(environment, repository, state, None);
    let audience = facts.audience(environment, state, None);
    let has_recalled = |version: &Version| audience.has_recalled(&repository.releases, version);
    let known = state.recalled.iter().filter(|version| has_recalled(version) != Some(false));
    let new = installed.iter().filter(|version| !state.recalled.contains(version));
    known.chain(new.filter(|version| has_recalled(version) == Some(true))).cloned().collect()
}

/// Whether a list of this app and system has this version, in whatever channel.
pub(super) fn is_listed(
    environment: &Environment,
    repository: &Repository,
    version: &Version,
) -> bool {
    repository.releases.iter().any(|signed| {
        let container = &signed.release.container;
        container.app.as_str() == environment.settings.app.as_str()
            && container.platform == Platform::current()
            && container.version == *version
    })
}

/// Whether a release is for this app, system and channel.
pub(super) fn concerns(environment: &Environment, signed: &SignedRelease) -> bool {
    let Release { container, channel, .. } = &signed.release;
    container.app.as_str() == environment.settings.app.as_str()
        && container.platform == Platform::current()
        && *channel == environment.channel()
}
