//! Checks a bundle: which release is in it, whether signed metadata covers that release, and
//! whether it suits this installation.
//!
//! A person who opens a bundle asks for its release by name. So the check also offers an older
//! release, a skipped one, or one whose rollout has not reached this installation. It refuses a
//! release that the publisher has withdrawn, made for another system or channel, or does not let
//! this version move to directly.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::check::{self, MAX_NOTES_BYTES};
use super::choice;
use crate::environment::Environment;
use crate::error_chain;
use crate::fetch::Client;
use crate::host;
use crate::messages::language::Checked;
use crate::messages::problem;
use crate::messages::protocol::{NoUpdate, Problem, ProblemKind};
use crate::model::audience::{is_stopped, next_watershed};
use crate::model::plan::{Plan, UpdateStrategy};
use crate::model::release::SignedRelease;
use crate::model::system::SystemTooOld;
use crate::model::{Offer, Platform, Release, Version};
use crate::trust::{Bundle, Freshness, Judged, Repository};

/// How long the nodes may take for current metadata where the bundle's is insufficient. Short,
/// since usually there is no network.
const NODES_TIMEOUT: Duration = Duration::from_secs(5);

/// Checks the bundle at `path`.
pub(crate) async fn check(
    environment: &Environment,
    client: &Client,
    path: PathBuf,
    freshness: Freshness,
) -> Result<Checked, Problem> {
    environment.home.create().map_err(|error| problem::of_store(&error))?;
    // Absolute, so that the path means the same when the offer is accepted.
    let path = std::path::absolute(&path).map_err(|error| problem::of_disk(&path, &error))?;
    let opened = tokio::task::spawn_blocking(move || Bundle::open(&path)).await;
    let opened = opened.map_err(|error| Problem::new(ProblemKind::Internal, "", &error))?;
    let bundle = opened.map_err(|error| problem::of_bundle(&error))?;
    let Judged { repository, genuine, .. } = judge(environment, client, &bundle, freshness).await?;
    let current = check::current(environment)?;
    let signed = choose(environment, &repository, &bundle, genuine, current.as_ref())?.clone();
    let container = &signed.release.container;
    let installed = environment.home.is_installed(container);
    let installed = installed.map_err(|error| problem::of_store(&error))?;
    if installed && current.as_ref() == Some(&container.version) {
        return Ok(Checked::Nothing { reason: NoUpdate::Installed, current });
    }
    let notes = notes(environment, &repository, &bundle, &signed).await;
    let strategy = if installed { UpdateStrategy::Installed } else { UpdateStrategy::File };
    let plan = Plan::without_fetching(strategy, signed.length);
    let file = (!installed).then(|| bundle.path().to_owned());
    let offer = Offer {
        signed,
        current,
        plan,
        bytes_to_fetch: 0,
        notes,
        nodes: Vec::new(),
        estimated_seconds: None,
        recalled: None,
        installing_seconds: None,
        file,
    };
    Ok(Checked::Offer(Box::new(offer)))
}

/// The newest available metadata: the bundle's. Where that has expired, or is older than what was
/// seen before, the nodes' if they answer. Else what was trusted before.
async fn judge(
    environment: &Environment,
    client: &Client,
    bundle: &Bundle,
    freshness: Freshness,
) -> Result<Judged, Problem> {
    let trust = environment.trust();
    let judged = trust.judge(bundle, host::now(), freshness).await;
    // Expired metadata was verified before its expiry was noticed.
    let (asks_nodes, genuine) = match &judged {
        Ok(Judged { older, genuine, .. }) => (*older, *genuine),
        Err(error) => (error.expired().is_some(), true),
    };
    if asks_nodes
        && let Ok(Ok(repository)) =
            tokio::time::timeout(NODES_TIMEOUT, check::refresh_with_history(environment, client))
                .await
    {
        return Ok(Judged { repository, older: true, genuine });
    }
    judged.map_err(|error| problem::of_judgement(bundle.path(), &error))
}

/// The newest release in the bundle for this installation.
fn choose<'a>(
    environment: &Environment,
    repository: &'a Repository,
    bundle: &Bundle,
    genuine: bool,
    current: Option<&Version>,
) -> Result<&'a SignedRelease, Problem> {
    let is_in = |signed: &&SignedRelease| {
        bundle
            .place(&signed.location())
            .is_some_and(|place| place.end - place.start == signed.length)
    };
    let mut inside: Vec<&SignedRelease> = repository.releases.iter().filter(is_in).collect();
    inside.sort_by(|a, b| b.release.container.version.cmp(&a.release.container.version));
    let path = bundle.path();
    if inside.is_empty() {
        let packages: Vec<&str> =
            bundle.locations().filter(|location| location.ends_with(".kuzflow")).collect();
        let why = "the newest signed metadata names no package that is in it";
        return Err(if genuine && repository.lacks_history {
            let why =
                format!("{why}, and the list of releases that are no longer offered is not here");
            refused(ProblemKind::BundleUndecided, path, name_of(&packages), why)
        } else if genuine {
            refused(ProblemKind::BundleWithdrawn, path, name_of(&packages), why.to_owned())
        } else {
            refused(ProblemKind::BundleNotTrusted, path, path.display().to_string(), why.to_owned())
        });
    }
    let platform = Platform::current();
    let app = &environment.settings.app;
    let mine = |signed: &&&SignedRelease| {
        signed.release.container.app == *app && signed.release.container.platform == platform
    };
    let Some(found) = inside.iter().find(mine) else {
        let all = inside
            .iter()
            .map(|signed| signed.release.container.to_string())
            .collect::<Vec<_>>()
            .join(", ");
        let why = format!("this installation is of {app} on {platform}");
        return Err(refused(ProblemKind::BundleUnsuitable, path, all, why));
    };
    refuse_by_terms(environment, repository, &found.release, path, current)?;
    Ok(found)
}

/// Refuses a release that a check would not offer either, whatever its share.
fn refuse_by_terms(
    environment: &Environment,
    repository: &Repository,
    release: &Release,
    path: &Path,
    current: Option<&Version>,
) -> Result<(), Problem> {
    let (channel, container) = (environment.channel(), &release.container);
    let unsuitable =
        |holds: String, why: String| Err(refused(ProblemKind::BundleUnsuitable, path, holds, why));
    let too_far = |minimum: String| {
        let why = format!("{container} does not follow every version");
        Err(refused(ProblemKind::BundleTooFar, path, minimum, why))
    };
    if release.channel != channel {
        let why = format!("this installation follows the channel {channel}");
        return unsuitable(format!("{container} ({})", release.channel), why);
    }
    if is_stopped(release, &repository.words_of(&container.app)) {
        let why = "the publisher has halted or recalled it".to_owned();
        return Err(refused(ProblemKind::BundleWithdrawn, path, container.to_string(), why));
    }
    if !release.open_to(current) {
        let minimum = release.minimum_version.as_ref();
        return too_far(minimum.map(Version::to_string).unwrap_or_default());
    }
    let all = repository.releases.iter().filter(|signed| choice::concerns(environment, signed));
    let watershed = next_watershed(all.map(|signed| &signed.release), current);
    if let Some(watershed) = watershed.filter(|watershed| container.version > **watershed) {
        return too_far(watershed.to_string());
    }
    let asks = !release.system.is_none();
    match asks.then(host::system_versions).and_then(|found| release.system.unmet_by(&found)) {
        Some(SystemTooOld { needed, found }) => unsuitable(
            format!("{container} ({needed})"),
            format!("it needs {needed}, this computer has {found}"),
        ),
        None => Ok(()),
    }
}

/// The name of a package, from its targets' names.
fn name_of(locations: &[&str]) -> String {
    let names =
        locations.iter().filter_map(|location| location.split_once('.').map(|(_, name)| name));
    names.collect::<Vec<_>>().join(", ")
}

fn refused(kind: ProblemKind, path: &Path, subject: String, why: String) -> Problem {
    Problem {
        kind,
        subject,
        chain: vec![format!("nothing in {} can be installed here", path.display()), why],
    }
}

/// The release notes in the best language that the bundle has.
async fn notes(
    environment: &Environment,
    repository: &Repository,
    bundle: &Bundle,
    signed: &SignedRelease,
) -> String {
    let Some((_, target)) = signed.release.notes_in(std::slice::from_ref(&environment.language))
    else {
        return String::new();
    };
    match repository.read_small(bundle, target, MAX_NOTES_BYTES).await {
        Ok(text) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) => {
            tracing::info!(error = error_chain::line(&error), "no release notes in the bundle");
            String::new()
        }
    }
}
