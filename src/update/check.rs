//! A check: gets current signed metadata, chooses the release for this installation, and computes
//! what it would cost.

use std::sync::Arc;

use serde::Deserialize;
use url::Url;

use super::choice::{self, CheckOutcome};
use super::package_documents::{DocumentCache, Library};
use super::peer_service::PeerHandle;
use super::sources::{self, Known, Sources};
use super::{hot_swap, planning, renewal};
use crate::environment::Environment;
use crate::error_chain;
use crate::fetch::{Client, NodeMemory};
use crate::messages::language::Checked;
use crate::messages::problem;
use crate::messages::protocol::{NoUpdate, Problem, ProblemKind};
use crate::model::launcher::own_version;
use crate::model::node::{self, redacted};
use crate::model::offer::RecalledVersion;
use crate::model::plan::{Plan, Reason, UpdateStrategy};
use crate::model::release::{Release, SignedRelease};
use crate::model::{Node, Offer, Platform, Version};
use crate::plain;
use crate::session::channel::ChannelHandle;
use crate::store::{HomeState, StoreError, recall};
use crate::trust::{Repository, Trust};

/// Longest name of a node that is shown, characters.
const MAX_NAME_CHARACTERS: usize = 60;
/// Largest release notes that are shown, bytes.
pub(crate) const MAX_NOTES_BYTES: u64 = 256 << 10;

/// The inputs of one check.
pub(crate) struct CheckJob {
    /// Home, settings and arguments of the launcher.
    pub environment: Arc<Environment>,
    pub client: Client,
    /// Knows from which version the running app could go on without a restart.
    pub channel: ChannelHandle,
    /// The cached documents of packages.
    pub documents: DocumentCache,
    pub peers: PeerHandle,
}

impl CheckJob {
    /// Looks for a release: the best one, or `wanted`.
    pub(crate) async fn run(self, wanted: Option<Version>) -> Result<Checked, Problem> {
        let (environment, client) = (&*self.environment, &self.client);
        let store = |error: StoreError| problem::of_store(&error);
        environment.home.create().map_err(store)?;
        // No lock: trusted metadata is replaced in one step, and so no launcher waits for another
        // one's network.
        let asked_for = wanted.is_some();
        let refreshed = match asked_for {
            true => refresh_with_history(environment, client).await,
            false => refresh(environment, client).await,
        };
        let repository = match refreshed {
            Ok(repository) => repository,
            Err(problem) => {
                return prefetched(environment, &self.channel, &problem, wanted).ok_or(problem);
            }
        };
        // By now it is known which nodes were silent.
        let sources = Sources::new(environment, client);
        renewal::follow(environment, &repository, &sources.list).await;
        sources::learn_nodes(environment, client, repository.versions.timestamp).await;
        let mut state = environment.home.state().map_err(store)?;
        let current = current(environment)?;
        let repository = match asked_for {
            true => repository,
            false => with_unlisted(environment, client, repository, &state, current.as_ref()).await,
        };
        let chosen = choice::choose(environment, &repository, &state, current.as_ref(), wanted)?;
        if !asked_for {
            note_what_binds(environment, &repository, &mut state, &chosen)?;
        }
        let (signed, recalled) = match chosen {
            CheckOutcome::Offer(signed, recalled) => (*signed, recalled),
            CheckOutcome::UpToDate(reason) => return Ok(Checked::Nothing { reason, current }),
        };
        refuse_old_launcher(&signed.release)?;
        let nodes = nodes(environment, client).await;
        let notes = notes(environment, &sources, &repository, &signed).await;
        sources.remember(environment);
        let memory = NodeMemory::load(&environment.home.node_memory());
        let mut plan = self.plan(&repository, &signed, &nodes, &memory).await?;
        let recalled =
            recalled.map(|recalled| bring_back(environment, &signed, recalled, &mut plan));
        if is_refused_whole(environment, &signed.release, &plan) {
            let reason = NoUpdate::OnlyWhole;
            let current_version = current.as_ref();
            let reason =
                choice::beside_recall(environment, &repository, &state, current_version, reason);
            return Ok(Checked::Nothing { reason, current });
        }
        let bytes_to_fetch =
            plan.bytes.saturating_sub(planning::already_here(environment, &signed, &plan));
        let estimated_seconds = memory
            .estimated_seconds(&nodes, bytes_to_fetch, environment.settings.bandwidth_limit())
            .map(|seconds| seconds.ceil() as u64)
            .filter(|_| !plan.is_local());
        let installing_seconds = match plan.strategy {
            UpdateStrategy::Installed => None,
            _ => memory.installing_seconds(signed.release.unpacked_size),
        };
        Ok(Checked::Offer(Box::new(Offer {
            signed,
            current,
            plan,
            bytes_to_fetch,
            notes,
            nodes,
            estimated_seconds,
            recalled,
            installing_seconds,
            file: None,
        })))
    }

    /// How this installation comes to the release, and what it costs.
    async fn plan(
        &self,
        repository: &Repository,
        signed: &SignedRelease,
        nodes: &[Node],
        memory: &NodeMemory,
    ) -> Result<Plan, Problem> {
        let environment = &*self.environment;
        let is_installed = environment.home.is_installed(&signed.release.container);
        if is_installed.map_err(|error| problem::of_store(&error))? {
            return Ok(hot_swap::predict_hot_swap(
                environment,
                &self.channel,
                &signed.release,
                Plan::without_fetching(UpdateStrategy::Installed, signed.length),
                None,
            ));
        }
        let library = Library {
            client: &self.client,
            nodes,
            cache: &self.documents,
            peers: &self.peers,
            staging: None,
            emitter: None,
        };
        planning::plan(environment, &self.channel, &library, repository, signed, memory).await
    }
}

/// Adds to a recall whether earlier files of the user come back with `signed`. They come at a start
/// of the app: what runs now has the present ones.
fn bring_back(
    environment: &Environment,
    signed: &SignedRelease,
    recalled: RecalledVersion,
    plan: &mut Plan,
) -> RecalledVersion {
    let files_of = recall::files_of(&environment.home, &signed.release.container);
    if files_of.is_some() {
        (plan.requires_restart, plan.hot_swappable) = (true, 0);
    }
    RecalledVersion { files_of, ..recalled }
}

/// Remembers a mandatory release for the next start, and the recalled versions. A release that is
/// halted or installed no longer delays a start.
fn note_what_binds(
    environment: &Environment,
    repository: &Repository,
    state: &mut HomeState,
    chosen: &CheckOutcome,
) -> Result<(), Problem> {
    let mandatory = match chosen {
        CheckOutcome::Offer(signed, _) if signed.release.mandatory => {
            Some(signed.release.container.version.clone())
        }
        _ => None,
    };
    let installed = environment.home.installed().map_err(|error| problem::of_store(&error))?;
    let installed: Vec<Version> =
        installed.into_iter().map(|record| record.container.version).collect();
    let recalled = choice::recalled_versions(environment, repository, state, &installed);
    if state.mandatory == mandatory && state.recalled == recalled {
        return Ok(());
    }
    (state.mandatory, state.recalled) = (mandatory, recalled);
    environment.home.set_state(state).map_err(|error| problem::of_store(&error))
}

/// Refuses a release that needs a newer launcher.
fn refuse_old_launcher(release: &Release) -> Result<(), Problem> {
    let own = own_version();
    let Some(needed) = release.minimum_launcher.as_ref().filter(|needed| **needed > own) else {
        return Ok(());
    };
    Err(Problem {
        kind: ProblemKind::LauncherTooOld,
        subject: needed.to_string(),
        chain: vec![format!("{} needs the launcher {needed}, this is {own}", release.container)],
    })
}

/// Whether the release could only come as a whole, and the settings exclude that. The first version
/// needs a full update, and so may a release for which the publisher demands one.
fn is_refused_whole(environment: &Environment, release: &Release, plan: &Plan) -> bool {
    let only_whole =
        plan.strategy == UpdateStrategy::Full && plan.reason != Reason::NothingInstalled;
    only_whole && !environment.settings.fallback.enable_full_update && !release.mandatory
}

/// The versions that the repository had for this installation at the last check; `None` before the
/// first check, or if only the offered ones are known.
pub(crate) fn seen_last(environment: &Environment) -> Option<Vec<Version>> {
    let repository = environment.trust().with_history().cached()?;
    if repository.lacks_history {
        return None;
    }
    let mine = repository.releases.iter().filter(|signed| choice::concerns(environment, signed));
    Some(mine.map(|signed| signed.release.container.version.clone()).collect())
}

/// The version to update from; `None` if nothing is installed. A version that waits for the next
/// start counts as active.
pub(crate) fn current(environment: &Environment) -> Result<Option<Version>, Problem> {
    match environment.home.chosen() {
        Ok(chosen) => Ok(Some(chosen.version)),
        Err(StoreError::NothingInstalled { .. }) => Ok(None),
        Err(error) => Err(problem::of_store(&error)),
    }
}

/// Without a network: the release to offer by the metadata trusted last, if that has not expired
/// and the release is installed already. `problem` says why the check found nothing newer.
fn prefetched(
    environment: &Environment,
    channel: &ChannelHandle,
    problem: &Problem,
    wanted: Option<Version>,
) -> Option<Checked> {
    if !matches!(problem.kind, ProblemKind::NoNetwork | ProblemKind::NodesUnusable) {
        return None;
    }
    let mut trust = environment.trust();
    if wanted.is_some() {
        trust = trust.with_history();
    }
    let repository = trust.cached().filter(|cached| cached.expires > crate::host::now())?;
    let current = current(environment).ok()?;
    let chosen = choice::choose(
        environment,
        &repository,
        &environment.home.state().ok()?,
        current.as_ref(),
        wanted,
    );
    let CheckOutcome::Offer(signed, recalled) = chosen.ok()? else { return None };
    if environment.home.record(&signed.release.container).is_err() {
        return None;
    }
    let signed = *signed;
    tracing::info!(container = %signed.release.container, "no network; a version that was fetched before is offered");
    let mut plan = hot_swap::predict_hot_swap(
        environment,
        channel,
        &signed.release,
        Plan::without_fetching(UpdateStrategy::Installed, signed.length),
        None,
    );
    let recalled = recalled.map(|recalled| bring_back(environment, &signed, recalled, &mut plan));
    let offer = Offer {
        signed,
        current,
        plan,
        bytes_to_fetch: 0,
        notes: String::new(),
        nodes: Vec::new(),
        estimated_seconds: None,
        recalled,
        installing_seconds: None,
        file: None,
    };
    Some(Checked::Offer(Box::new(offer)))
}

/// Gets current signed metadata: what this installation is offered.
pub(crate) async fn refresh(
    environment: &Environment,
    client: &Client,
) -> Result<Repository, Problem> {
    refresh_by(environment.trust(), environment, client).await
}

/// The same metadata, and what other lists say of the versions that matter here: the active one,
/// where it is of a channel that the user has left, and those that were recalled, which are no longer
/// offered once that was taken back. Without those lists what was known stays so.
async fn with_unlisted(
    environment: &Environment,
    client: &Client,
    repository: Repository,
    state: &HomeState,
    current: Option<&Version>,
) -> Repository {
    let is_unlisted = |version: &Version| !choice::is_listed(environment, &repository, version);
    let trust = if state.recalled.iter().any(is_unlisted) {
        environment.trust().with_history()
    } else if current.is_some_and(is_unlisted) {
        environment.trust().with_other_channels()
    } else {
        return repository;
    };
    match refresh_by(trust, environment, client).await {
        Ok(mut all) => {
            let matters =
                |version: &Version| state.recalled.contains(version) || Some(version) == current;
            // Of the own channel only what it offers: the rest is the past.
            all.releases.retain(|signed| {
                !choice::concerns(environment, signed)
                    || repository.releases.contains(signed)
                    || matters(&signed.release.container.version)
            });
            all
        }
        Err(problem) => {
            tracing::info!(chain = ?problem.chain, "what was recalled stays as it was known");
            repository
        }
    }
}

/// Gets current signed metadata with the releases that are no longer offered.
pub(crate) async fn refresh_with_history(
    environment: &Environment,
    client: &Client,
) -> Result<Repository, Problem> {
    refresh_by(environment.trust().with_history(), environment, client).await
}

async fn refresh_by(
    trust: Trust,
    environment: &Environment,
    client: &Client,
) -> Result<Repository, Problem> {
    let sources = Sources::new(environment, client);
    let refreshed = trust.refresh(&sources.list, crate::host::now()).await;
    sources.remember(environment);
    let refreshed = refreshed.map_err(|error| problem::of_trust(&error))?;
    Ok(refreshed.repository)
}

/// All known nodes, the best first: those of the settings, of the repository's list, and of the
/// API's answer. The last two are hints: a false hint can waste time, but cannot change a byte.
pub(crate) async fn nodes(environment: &Environment, client: &Client) -> Vec<Node> {
    let settings = &environment.settings;
    let mut nodes = sources::own_nodes(environment);
    node::rank(&mut nodes, &settings.region);
    nodes.truncate(settings.update.max_nodes);
    for found in hints(environment, client).await.into_iter().map(presentable) {
        // One server under several paths or spellings is one node: it must not displace others.
        let alias = nodes.iter().any(|node| is_same_server(&node.url, &found.url));
        let room = nodes.len() < settings.update.max_nodes && !alias;
        let known = nodes.iter_mut().find(|node| node.id == found.id || node.url == found.url);
        match known {
            Some(node) => {
                node.metrics = found.metrics;
                node.bandwidth = found.bandwidth.or(node.bandwidth);
            }
            // Hints fill the remaining places: a node of the settings always keeps its place.
            None if room => nodes.push(found),
            None => {}
        }
    }
    // This client's measurements count more than published figures.
    let memory = NodeMemory::load(&environment.home.node_memory());
    for node in &mut nodes {
        if let Some(measured) = memory.of(node) {
            node.metrics.bandwidth_mbps = Some(measured.bytes_per_second * 8.0 / 1e6);
            node.metrics.latency_ms = Some(measured.latency_seconds * 1e3);
        }
    }
    node::rank(&mut nodes, &settings.region);
    nodes
}

/// A node from a list, with its names made fit to show.
fn presentable(node: Node) -> Node {
    let [id, name, region] =
        [&node.id, &node.name, &node.region].map(|words| plain::line(words, MAX_NAME_CHARACTERS));
    Node { id, name, region, ..node }
}

/// Whether two addresses lead to one port of one host, by their text.
fn is_same_server(a: &Url, b: &Url) -> bool {
    let server = |url: &Url| {
        let host = url.host_str().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
        (host, url.port_or_known_default())
    };
    server(a) == server(b)
}

async fn hints(environment: &Environment, client: &Client) -> Vec<Node> {
    if let Some(nodes) = nodes_of_api(environment, client).await {
        return sources::acceptable(nodes, &sources::own_nodes(environment));
    }
    match sources::listed_nodes(environment, client).await {
        Some(nodes) => nodes,
        // What was learned before, perhaps from an earlier address of the repository.
        None => {
            sources::acceptable(Known::load(environment).nodes, &sources::own_nodes(environment))
        }
    }
}

/// The API's answer, if there is an API and it answers soon.
async fn nodes_of_api(environment: &Environment, client: &Client) -> Option<Vec<Node>> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        download_nodes: Vec<Node>,
    }
    let settings = &environment.settings;
    let mut url = settings.api.clone()?;
    url.set_path(&format!("{}/api/containers/check_update", url.path().trim_end_matches('/')));
    url.query_pairs_mut()
        .append_pair("app", settings.app.as_str())
        .append_pair("channel", &environment.channel())
        .append_pair("platform", &Platform::current().to_string())
        .append_pair("user_location", &settings.region);
    let shown = redacted(&url);
    let asked =
        tokio::time::timeout(sources::HINT_TIME, client.get(&url, sources::MAX_NODE_LIST_BYTES))
            .await;
    match asked {
        Ok(Ok(body)) => match serde_json::from_slice::<Answer>(&body) {
            Ok(answer) => return Some(answer.download_nodes),
            Err(error) => {
                tracing::info!(url = %shown, error = error_chain::line(&error), "the server's answer is not understood")
            }
        },
        Ok(Err(error)) => {
            tracing::info!(url = %shown, error = error_chain::line(&error), "the server does not answer")
        }
        Err(_) => tracing::info!(url = %shown, "the server does not answer in time"),
    }
    None
}

/// The release notes in the best available language. A release is offered even if its notes cannot
/// be fetched.
async fn notes(
    environment: &Environment,
    sources: &Sources,
    repository: &Repository,
    signed: &SignedRelease,
) -> String {
    let wanted = std::slice::from_ref(&environment.language);
    let Some((_, target)) = signed.release.notes_in(wanted) else { return String::new() };
    match repository.read_small_from(&sources.list, target, MAX_NOTES_BYTES).await {
        Ok(text) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) => {
            tracing::info!(error = error_chain::line(&error), "no release notes to be had");
            String::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_of_a_server_are_reported_and_names_are_plain() {
        let same = |a: &str, b: &str| is_same_server(&a.parse().unwrap(), &b.parse().unwrap());
        assert!(same("https://a.example/", "https://A.example:443/other/"));
        assert!(same("http://a.example./", "http://a.example:80/"));
        assert!(
            !same("https://a.example/", "https://b.example/")
                && !same("http://a.example/", "http://a.example:8080/")
        );
        let node = Node {
            id: "\u{1b}[2Jid".to_owned(),
            name: "x".repeat(1000),
            region: "Eu\u{7}rope\nat last".to_owned(),
            ..Node::at("http://a.example/".parse().unwrap())
        };
        let Node { id, name, region, .. } = presentable(node);
        assert_eq!(
            (id.as_str(), name.chars().count(), region.as_str()),
            ("[2Jid", MAX_NAME_CHARACTERS, "Eu rope at last")
        );
    }
}
