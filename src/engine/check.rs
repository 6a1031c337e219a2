//! A check: fresh signed metadata, the release for this installation, and what it would cost.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;

use super::context::Context;
use super::machine::Checked;
use super::planning;
use super::problem;
use super::protocol::{NoUpdate, Problem, ProblemKind};
use super::take_over;
use crate::causes;
use crate::fetch::{Client, FetchError, NodeMemory};
use crate::model::launcher::own_version;
use crate::model::plan::{Plan, Reason, Way};
use crate::model::release::{Audience, Choice, SignedRelease};
use crate::model::{Node, Offer, Platform, Version, node};
use crate::store::{State, StoreError};
use crate::trust::{MetadataSource, Repository, SourceError, Trust};

/// Largest `nodes.json` and answer of the API that are read, bytes.
const LARGEST_NODE_LIST: u64 = 256 << 10;
/// Largest release notes that are shown, bytes.
pub(super) const LARGEST_NOTES: u64 = 256 << 10;

/// Looks for a release: the best one, or `wanted`.
pub async fn check(context: &Context, client: &Client, wanted: Option<Version>) -> Result<Checked, Problem> {
    let store = |error: StoreError| problem::of_store(&error);
    context.home.create().map_err(store)?;
    // No lock: trusted metadata is replaced in one step, and nobody has to wait for somebody's network.
    let repository = match refresh(context, client).await {
        Ok(repository) => repository,
        Err(problem) => return prefetched(context, &problem, wanted).ok_or(problem),
    };
    let mut state = context.home.state().map_err(store)?;
    let current = current(context);
    let asked_for = wanted.is_some();
    let chosen = choose(context, &repository, &state, current.as_ref(), wanted)?;
    // A release that was mandatory and is halted, or installed, no longer holds anybody up.
    let mandatory = chosen.ok().filter(|signed| signed.release.mandatory).map(|signed| signed.release.container.version.clone());
    if !asked_for && state.mandatory != mandatory {
        state.mandatory = mandatory;
        context.home.set_state(&state).map_err(store)?;
    }
    let signed = match chosen {
        Ok(signed) => signed.clone(),
        Err(reason) => return Ok(Checked::Nothing { reason, current }),
    };
    if let Some(needed) = signed.release.minimum_launcher.as_ref().filter(|needed| **needed > own_version()) {
        let chain = vec![format!("{} needs the launcher {needed}, this is {}", signed.release.container, own_version())];
        return Err(Problem { kind: ProblemKind::LauncherTooOld, subject: needed.to_string(), chain });
    }
    let nodes = nodes(context, client).await;
    let notes = notes(context, client, &repository, &nodes, &signed).await;
    let memory = NodeMemory::load(&context.home.node_memory());
    let plan = if context.home.record(&signed.release.container).is_ok() {
        take_over::foretell(context, &signed.release, Plan::without_fetching(Way::Installed, signed.length), None)
    } else {
        planning::plan(context, client, &repository, &signed, &nodes, &memory).await?
    };
    // The first version can only come whole, and so may what the publisher insists on.
    let only_whole = plan.way == Way::Full && plan.reason != Reason::NothingInstalled;
    if only_whole && !context.settings.fallback.enable_full_update && !signed.release.mandatory {
        return Ok(Checked::Nothing { reason: NoUpdate::OnlyWhole, current });
    }
    let bytes_to_fetch = plan.bytes.saturating_sub(planning::already_here(context, &signed, &plan));
    let estimated_seconds = memory.estimated_seconds(&nodes, bytes_to_fetch).map(|seconds| seconds.ceil() as u64);
    let estimated_seconds = estimated_seconds.filter(|_| !plan.is_local());
    Ok(Checked::Offer(Box::new(Offer { signed, current, plan, bytes_to_fetch, notes, nodes, estimated_seconds, file: None })))
}

/// The version to move on from. One that waits for the next start counts as active.
pub(super) fn current(context: &Context) -> Option<Version> {
    context.home.chosen().ok().map(|chosen| chosen.version)
}

/// Without a network: the release that would be offered by the metadata trusted last, if that has not expired and the release is
/// installed already. `problem` is why there is nothing newer.
fn prefetched(context: &Context, problem: &Problem, wanted: Option<Version>) -> Option<Checked> {
    if !matches!(problem.kind, ProblemKind::NoNetwork | ProblemKind::NodesUnusable) {
        return None;
    }
    let trust = Trust::new(context.home.trust(), context.shipped_root.clone());
    let repository = trust.cached().filter(|cached| cached.expires > crate::host::now())?;
    let current = current(context);
    let chosen = choose(context, &repository, &context.home.state().ok()?, current.as_ref(), wanted);
    let signed = chosen.ok()?.ok().filter(|signed| context.home.record(&signed.release.container).is_ok())?.clone();
    tracing::info!(container = %signed.release.container, "no network; a version that was fetched before is offered");
    let plan = take_over::foretell(context, &signed.release, Plan::without_fetching(Way::Installed, signed.length), None);
    let offer = Offer {
        signed,
        current,
        plan,
        bytes_to_fetch: 0,
        notes: String::new(),
        nodes: Vec::new(),
        estimated_seconds: None,
        file: None,
    };
    Some(Checked::Offer(Box::new(offer)))
}

/// Fresh signed metadata.
pub(super) async fn refresh(context: &Context, client: &Client) -> Result<Repository, Problem> {
    let trust = Trust::new(context.home.trust(), context.shipped_root.clone());
    let source = |node: &Node| Arc::new(NodeSource { client: client.clone(), node: node.clone() }) as Arc<dyn MetadataSource>;
    let sources: Vec<_> = context.settings.nodes.iter().map(source).collect();
    let refreshed = trust.refresh(&sources, crate::host::now()).await.map_err(|error| problem::of_trust(&error))?;
    Ok(refreshed.repository)
}

/// The release to offer, or why there is none.
fn choose<'a>(
    context: &Context,
    repository: &'a Repository,
    state: &State,
    current: Option<&Version>,
    wanted: Option<Version>,
) -> Result<Result<&'a SignedRelease, NoUpdate>, Problem> {
    let platform = Platform::current();
    let app = context.settings.app.as_str();
    if let Some(version) = wanted {
        // Asked for by name: also an older one, one that was skipped, or one that has not reached this installation. What the
        // publisher halted, or put into another channel, is not to be had.
        let named = |signed: &&SignedRelease| {
            let container = &signed.release.container;
            container.version == version && container.platform == platform && container.app.as_str() == app
        };
        let refuse =
            |why: &str| Problem { kind: ProblemKind::NoSuchVersion, subject: version.to_string(), chain: vec![why.to_owned()] };
        let found = repository.releases.iter().find(named).ok_or_else(|| refuse("the repository has no such release"))?;
        return if found.release.channel != context.settings.channel {
            Err(refuse(&format!("it is in the channel {}", found.release.channel)))
        } else if found.release.halted {
            Err(refuse("the publisher has halted it"))
        } else {
            Ok(Ok(found))
        };
    }
    // What did not come up here is not offered again.
    let unwanted: Vec<Version> = state.skipped.iter().chain(&state.failed).cloned().collect();
    let audience = Audience {
        app,
        platform: &platform,
        channel: &context.settings.channel,
        current,
        installation_id: &state.installation_id,
        skipped: &unwanted,
    };
    Ok(match audience.choose(&repository.releases) {
        Choice::Offer(signed) if state.pinned.is_some() && !signed.release.mandatory => Err(NoUpdate::Pinned),
        Choice::Offer(signed) => Ok(signed),
        Choice::UpToDate => Err(NoUpdate::Newest),
        Choice::Skipped(signed) if state.failed.contains(&signed.release.container.version) => Err(NoUpdate::FailedHere),
        Choice::Skipped(_) => Err(NoUpdate::Skipped),
        Choice::NotYet(_) => Err(NoUpdate::NotYet),
        Choice::Nothing => Err(NoUpdate::NothingPublished),
    })
}

/// All nodes that are known, the best first: those of the settings, of the repository's list, and of the API's answer. The last two
/// are hints: whoever gives them can waste time, not change a byte.
pub(super) async fn nodes(context: &Context, client: &Client) -> Vec<Node> {
    let settings = &context.settings;
    let mut nodes = settings.nodes.clone();
    node::rank(&mut nodes, &settings.region);
    nodes.truncate(settings.update.max_nodes);
    for found in hints(context, client).await {
        let room = nodes.len() < settings.update.max_nodes;
        let known = nodes.iter_mut().find(|node| node.id == found.id || node.url == found.url);
        match known {
            Some(node) => {
                node.metrics = found.metrics;
                node.bandwidth = found.bandwidth.or(node.bandwidth);
            }
            // Hints fill the places that are left: they never crowd out a node of the settings.
            None if room && matches!(found.url.scheme(), "http" | "https") => nodes.push(found),
            None => {}
        }
    }
    // What this client measured counts more than what was published.
    let memory = NodeMemory::load(&context.home.node_memory());
    for node in &mut nodes {
        if let Some(measured) = memory.of(node) {
            node.metrics.bandwidth_mbps = Some(measured.bytes_per_second * 8.0 / 1e6);
            node.metrics.latency_ms = Some(measured.latency_seconds * 1e3);
        }
    }
    node::rank(&mut nodes, &settings.region);
    nodes
}

async fn hints(context: &Context, client: &Client) -> Vec<Node> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        download_nodes: Vec<Node>,
    }
    let settings = &context.settings;
    if let Some(api) = &settings.api {
        let mut url = api.clone();
        url.set_path(&format!("{}/api/containers/check_update", url.path().trim_end_matches('/')));
        url.query_pairs_mut()
            .append_pair("app", settings.app.as_str())
            .append_pair("channel", &settings.channel)
            .append_pair("platform", &Platform::current().to_string())
            .append_pair("user_location", &settings.region);
        match client.get(&url, LARGEST_NODE_LIST).await {
            Ok(body) => match serde_json::from_slice::<Answer>(&body) {
                Ok(answer) => return answer.download_nodes,
                Err(error) => tracing::info!(%url, %error, "the server's answer is not understood"),
            },
            Err(error) => tracing::info!(%url, %error, "the server does not answer"),
        }
    }
    for node in &settings.nodes {
        let Ok(url) = node.address("nodes.json") else { continue };
        match client.get(&url, LARGEST_NODE_LIST).await {
            Ok(body) => return serde_json::from_slice(&body).unwrap_or_default(),
            // The node is there and has no list: neither have the others.
            Err(error) if error.is_not_found() => return Vec::new(),
            Err(error) => tracing::info!(%url, %error, "no list of nodes from here"),
        }
    }
    Vec::new()
}

/// The release notes in the best language there is. That they cannot be had is no reason not to offer the release.
async fn notes(context: &Context, client: &Client, repository: &Repository, nodes: &[Node], signed: &SignedRelease) -> String {
    let wanted = std::slice::from_ref(&context.language);
    let Some((_, target)) = signed.release.notes_in(wanted) else { return String::new() };
    for node in nodes {
        let source = NodeSource { client: client.clone(), node: node.clone() };
        match repository.read_small(&source, target, LARGEST_NOTES).await {
            Ok(text) => return String::from_utf8_lossy(&text).into_owned(),
            Err(error) => tracing::info!(node = node.id, %error, "no release notes from here"),
        }
    }
    String::new()
}

/// A node as a source of metadata.
struct NodeSource {
    client: Client,
    node: Node,
}

#[async_trait]
impl MetadataSource for NodeSource {
    #[expect(clippy::misnamed_getters, reason = "a mirror is called by its node's id")]
    fn name(&self) -> &str {
        &self.node.id
    }

    async fn get(&self, location: &str, limit: u64) -> Result<Vec<u8>, SourceError> {
        let url = self.node.address(location).map_err(|error| SourceError::Other(Box::new(error)))?;
        match self.client.get(&url, limit).await {
            Ok(body) => Ok(body.to_vec()),
            Err(error) if error.is_not_found() => Err(SourceError::NotFound),
            Err(FetchError::TooLarge { limit, .. }) => Err(SourceError::TooLong { limit }),
            Err(error) => Err(SourceError::Other(causes::line(&error).into())),
        }
    }
}
