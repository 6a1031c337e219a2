//! Predicts whether the running app could load a release without a restart, and asks the app to do
//! so.
//!
//! In: a release, its plan, the containers that the connected app reports to run. Out: the plan
//! with a yes or no, and the outcome of the swap. Never: swaps what the publisher's signed patterns
//! do not allow, or files that are not those of an installed, verified manifest.

use std::sync::Arc;

use crate::environment::Environment;
use crate::look;
use crate::messages::protocol::SwapBlocker;
use crate::model::hot_swap::Difference;
use crate::model::plan::{Plan, UpdateStrategy};
use crate::model::release::Release;
use crate::model::{ContainerId, Digest, Manifest};
use crate::session::channel::{ChannelHandle, Swap, Swapped};

/// Most changes that are sent to an app: a message has a limit, and a larger release is no small
/// fix.
const MAX_CHANGES: usize = 4000;

/// Records in the plan whether the running app needs a restart. `new` is the release's manifest
/// where it is already here; without it the pack lists its changes.
pub(crate) fn predict_hot_swap(
    environment: &Environment,
    channel: &ChannelHandle,
    release: &Release,
    plan: Plan,
    new: Option<&Manifest>,
) -> Plan {
    let restart = |plan| Plan { requires_restart: true, ..plan };
    let Some(running) = channel.runs().filter(|_| environment.settings.hot_update.enabled) else {
        return restart(plan);
    };
    let installed;
    let new = match new {
        Some(new) => Some(new),
        None => {
            installed = manifest(environment, &release.container);
            installed.as_ref()
        }
    };
    if let Some(new) = new {
        let Some(old) = manifest(environment, &running) else { return restart(plan) };
        let Some(patterns) = &release.hot_swap else { return restart(plan) };
        let difference = Difference::between(&old, new, patterns.patterns());
        let requires_restart =
            difference.requires_restart || difference.changes.len() > MAX_CHANGES;
        return Plan { requires_restart, hot_swappable: difference.modules, ..plan };
    }
    let begins_there = plan.patches.first().is_some_and(|signed| signed.patch.from == running);
    if plan.strategy == UpdateStrategy::Patches && begins_there { plan } else { restart(plan) }
}

/// Asks the app to load an installed version. Reads two manifests before it asks.
pub(crate) async fn hot_swap(
    environment: &Arc<Environment>,
    channel: &ChannelHandle,
    release: &Release,
) -> Swapped {
    let swap = {
        let (environment, release) = (Arc::clone(environment), release.clone());
        let running = channel.runs();
        tokio::task::spawn_blocking(move || swap(&environment, running, &release)).await
    };
    match swap {
        Ok(Ok(swap)) => channel.swap(swap).await,
        Ok(Err(blocker)) => Err(vec![blocker]),
        Err(error) => Err(vec![SwapBlocker::new("failed", error.to_string())]),
    }
}

fn swap(
    environment: &Environment,
    running: Option<ContainerId>,
    release: &Release,
) -> Result<Swap, SwapBlocker> {
    let refuse = |code, text: &str| Err(SwapBlocker::new(code, text));
    let Some(running) = running else {
        return refuse("not-connected", "the app does not talk to its launcher");
    };
    let (Some(old), Some(new)) =
        (manifest(environment, &running), manifest(environment, &release.container))
    else {
        return refuse("no-container", "a manifest is missing or damaged");
    };
    let Some(patterns) = &release.hot_swap else {
        return refuse("other-file", "the publisher has not signed what may be taken over");
    };
    let difference = Difference::between(&old, &new, patterns.patterns());
    if difference.requires_restart {
        return refuse("other-file", "something changes that a running app cannot take over");
    }
    if difference.changes.len() > MAX_CHANGES {
        return refuse("other-file", "too many files change");
    }
    Ok(Swap { container: release.container.clone(), changes: difference.changes })
}

/// An installed version's manifest, if it is unchanged since the installation.
fn manifest(environment: &Environment, id: &ContainerId) -> Option<Manifest> {
    let record = environment.home.written_record(id).ok()?;
    let json = look::read(&environment.home.manifest(id), look::LARGE).ok()??;
    (Digest::of(&json) == record.manifest).then(|| Manifest::from_json(&json).ok()).flatten()
}
