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
use crate::environment::Environment;
use crate::error_chain;
use crate::fetch::Client;
use crate::host;
use crate::messages::language::Checked;
use crate::messages::problem;
use crate::messages::protocol::{NoUpdate, Problem, ProblemKind};
use crate::model::plan::{Plan, UpdateStrategy};
use crate::model::release::SignedRelease;
use crate::model::{Offer, Platform, Version};
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
    let (app, channel) = (&environment.settings.app, environment.channel());
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
    let release = &found.release;
    if release.channel != channel {
        let holds = format!("{} ({})", release.container, release.channel);
        Err(refused(
            ProblemKind::BundleUnsuitable,
            path,
            holds,
            format!("this installation follows the channel {channel}"),
        ))
    } else if release.halted {
        Err(refused(
            ProblemKind::BundleWithdrawn,
            path,
            release.container.to_string(),
            "the publisher has halted it".to_owned(),
        ))
    } else if !release.open_to(current) {
        let minimum = release.minimum_version.as_ref().map(Version::to_string).unwrap_or_default();
        Err(refused(
            ProblemKind::BundleTooFar,
            path,
            minimum,
            format!("{} does not follow every version", release.container),
        ))
    } else {
        Ok(found)
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
