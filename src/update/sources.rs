//! The sources of small documents, in the order in which they are worth asking: the nodes of the
//! settings, those that the publisher's signed settings name, and those that were learned from a
//! repository's list.
//!
//! In: what was remembered of nodes. Out: sources of metadata. Never: trusts a node: its documents
//! are verified, so a list without a signature can waste time but change nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::environment::Environment;
use crate::error_chain;
use crate::fetch::{Client, FetchError, NodeMemory};
use crate::hedge::{self, Hedge, Received};
use crate::look;
use crate::model::Node;
use crate::model::node::{Locality, locality, redacted};
use crate::mutex;
use crate::trust::{MetadataSource, SourceError};

/// Largest `nodes.json` and answer of the API that are read, bytes.
pub(crate) const MAX_NODE_LIST_BYTES: u64 = 256 << 10;
/// Most nodes that are learned.
const MAX_LEARNED_NODES: usize = 16;
/// How long a node that was silent stays behind the others in the order.
const SHUNNED: Duration = Duration::from_secs(24 * 3600);
/// Timeout for a list of nodes, which is only a hint.
pub(crate) const HINT_TIME: Duration = Duration::from_secs(3);
/// Largest stored file that is read, bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// What is remembered of sources, in a small file. An unreadable file counts as empty: nothing
/// depends on it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Known {
    /// Nodes that a repository's list named last.
    #[serde(default)]
    pub(crate) nodes: Vec<Node>,
    /// The version of the timestamp metadata with which the list was read.
    #[serde(default)]
    pub(crate) timestamp: u64,
    /// When each node was last silent, or failed; by address.
    #[serde(default)]
    silent: BTreeMap<String, Timestamp>,
}

impl Known {
    pub(crate) fn load(environment: &Environment) -> Self {
        let bytes = look::read(&environment.home.known_nodes(), MAX_FILE_BYTES).ok().flatten();
        bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    pub(crate) fn save(&self, environment: &Environment) {
        let saved = environment.home.keep_known_nodes(self);
        saved.unwrap_or_else(|error| {
            tracing::info!(error = error_chain::line(&error), "what is known of nodes is not kept")
        });
    }

    fn was_silent(&self, node: &Node, now: Timestamp) -> bool {
        let since = self.silent.get(redacted(&node.url).as_str());
        // A time in the future does not count: the clock was set back.
        since.is_some_and(|since| {
            (0..SHUNNED.as_secs().cast_signed()).contains(&(now.as_second() - since.as_second()))
        })
    }

    /// Takes in which nodes were silent and which answered.
    fn learn(&mut self, outcomes: &BTreeMap<String, SourceOutcome>, now: Timestamp) {
        for (address, outcome) in outcomes {
            match outcome {
                SourceOutcome::Answered => drop(self.silent.remove(address)),
                SourceOutcome::Silent => drop(self.silent.insert(address.clone(), now)),
            }
        }
        let old =
            Timestamp::from_second(now.as_second().saturating_sub(SHUNNED.as_secs().cast_signed()))
                .unwrap_or(now);
        self.silent.retain(|_, since| *since >= old);
    }
}

/// Takes from a list without a signature the nodes that may be asked at all: those with a web
/// address and without a password. A node on this computer needs a publisher's own node on this
/// computer, and a node with a link-local address needs one with a link-local address.
pub(crate) fn acceptable(found: Vec<Node>, own: &[Node]) -> Vec<Node> {
    let allowed = |url: &Url| match locality(url) {
        Locality::Remote => true,
        local => own.iter().any(|node| locality(&node.url) == local),
    };
    let mut nodes: Vec<Node> = Vec::new();
    for node in found {
        let web = matches!(node.url.scheme(), "http" | "https")
            && node.url.username().is_empty()
            && node.url.password().is_none();
        let known = nodes.iter().any(|known| known.url == node.url || known.id == node.id);
        if web && !known && allowed(&node.url) && nodes.len() < MAX_LEARNED_NODES {
            nodes.push(node);
        }
    }
    nodes
}

/// All nodes that may have metadata, the best first.
fn candidates(environment: &Environment, known: &Known, now: Timestamp) -> Vec<Node> {
    let memory = NodeMemory::load(&environment.home.node_memory());
    let mut nodes = own_nodes(environment);
    for node in acceptable(known.nodes.clone(), &nodes) {
        if !nodes.iter().any(|own| own.url == node.url) {
            nodes.push(node);
        }
    }
    // Nodes that answered come before silent ones, and measured ones, by growing latency, before
    // others. The sort is stable.
    let latency = |node: &Node| {
        memory.of(node).map_or(u64::MAX, |measured| (measured.latency_seconds * 10.0) as u64)
    };
    nodes.sort_by_key(|node| (known.was_silent(node, now), latency(node)));
    nodes
}

/// The nodes that the publisher names: in the settings in force, and in signed settings that
/// arrived since this launcher started.
pub(crate) fn own_nodes(environment: &Environment) -> Vec<Node> {
    let mut nodes = super::renewal::nodes(environment);
    for node in &environment.settings.nodes {
        if !nodes.iter().any(|newer| newer.id == node.id || newer.url == node.url) {
            nodes.push(node.clone());
        }
    }
    nodes
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SourceOutcome {
    Answered,
    Silent,
}

type Outcomes = Arc<Mutex<BTreeMap<String, SourceOutcome>>>;

/// Sources of small documents, and the outcomes of the requests to them.
pub(crate) struct Sources {
    pub(crate) list: Vec<Arc<dyn MetadataSource>>,
    outcomes: Outcomes,
}

impl Sources {
    /// All nodes that may have metadata.
    pub(crate) fn new(environment: &Environment, client: &Client) -> Self {
        let nodes = candidates(environment, &Known::load(environment), crate::host::now());
        Self::of(client, &nodes)
    }

    /// Sources from these nodes, in this order.
    pub(crate) fn of(client: &Client, nodes: &[Node]) -> Self {
        let outcomes = Outcomes::default();
        let source = |node: &Node| {
            let source = NodeSource {
                client: client.clone(),
                node: node.clone(),
                outcomes: Arc::clone(&outcomes),
            };
            Arc::new(source) as Arc<dyn MetadataSource>
        };
        Self { list: nodes.iter().map(source).collect(), outcomes }
    }

    /// Remembers which nodes were silent, so that the next request begins elsewhere.
    pub(crate) fn remember(&self, environment: &Environment) {
        let outcomes = mutex::lock(&self.outcomes).clone();
        // Where no node answers, the network is at fault.
        if !outcomes.values().any(|outcome| *outcome == SourceOutcome::Answered) {
            return;
        }
        let before = Known::load(environment);
        let mut known = before.clone();
        known.learn(&outcomes, crate::host::now());
        if known != before {
            known.save(environment);
        }
    }
}

/// The acceptable nodes of the repository's list, from the first node that sends it. `None` if no
/// node sends it in time.
pub(crate) async fn listed_nodes(environment: &Environment, client: &Client) -> Option<Vec<Node>> {
    let sources = Sources::new(environment, client);
    let mut answers = Hedge::new(0..sources.list.len(), |index, received| {
        let source = Arc::clone(&sources.list[index]);
        async move { source.get_counting("nodes.json", MAX_NODE_LIST_BYTES, &received).await }
    });
    let asked = async {
        while let Some((index, answer)) = answers.next().await {
            match answer {
                Ok(body) => return Some(serde_json::from_slice(&body).unwrap_or_default()),
                // The node answers and has no list: then the others have none either.
                Err(SourceError::NotFound) => return Some(Vec::new()),
                Err(error) => {
                    tracing::info!(
                        node = sources.list[index].name(),
                        error = error_chain::line(&error),
                        "no list of nodes from here"
                    )
                }
            }
        }
        None
    };
    let found = tokio::time::timeout(HINT_TIME, asked).await.ok().flatten()?;
    Some(acceptable(found, &own_nodes(environment)))
}

/// Reads the repository's list of nodes after its timestamp has changed, so that this installation
/// finds the repository even when its first nodes are gone.
pub(crate) async fn learn_nodes(environment: &Environment, client: &Client, timestamp: u64) {
    let known = Known::load(environment);
    if known.timestamp == timestamp {
        return;
    }
    if let Some(nodes) = listed_nodes(environment, client).await {
        // The memory of silent nodes may have been written meanwhile.
        Known { nodes, timestamp, ..Known::load(environment) }.save(environment);
    }
}

/// A node as a source of metadata.
struct NodeSource {
    client: Client,
    node: Node,
    outcomes: Outcomes,
}

/// Records the outcome of a request, also of one that is given up.
struct Noted<'a> {
    source: &'a NodeSource,
    since: Instant,
    outcome: Option<SourceOutcome>,
}

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        // A request given up early only lost the race to another one.
        let late = self.since.elapsed() >= hedge::SILENCE;
        if let Some(outcome) = self.outcome.or(late.then_some(SourceOutcome::Silent)) {
            let address = redacted(&self.source.node.url).to_string();
            mutex::lock(&self.source.outcomes).insert(address, outcome);
        }
    }
}

#[async_trait]
impl MetadataSource for NodeSource {
    #[expect(clippy::misnamed_getters, reason = "a mirror is called by its node's id")]
    fn name(&self) -> &str {
        &self.node.id
    }

    async fn get(&self, location: &str, limit: u64) -> Result<Vec<u8>, SourceError> {
        self.get_counting(location, limit, &Received::default()).await
    }

    async fn get_counting(
        &self,
        location: &str,
        limit: u64,
        received: &Received,
    ) -> Result<Vec<u8>, SourceError> {
        let url =
            self.node.address(location).map_err(|error| SourceError::Other(Box::new(error)))?;
        let mut noted = Noted { source: self, since: Instant::now(), outcome: None };
        let answer = self.client.get_counting(&url, limit, &|bytes| received.add(bytes)).await;
        let reached = answer.is_ok() || answer.as_ref().is_err_and(FetchError::is_not_found);
        noted.outcome = Some(if reached { SourceOutcome::Answered } else { SourceOutcome::Silent });
        match answer {
            Ok(body) => Ok(body.to_vec()),
            Err(error) if error.is_not_found() => Err(SourceError::NotFound),
            Err(FetchError::TooLarge { limit, .. }) => Err(SourceError::TooLong { limit }),
            Err(error) => Err(SourceError::Other(error_chain::line(&error).into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str, url: &str) -> Node {
        Node { id: id.to_owned(), ..Node::at(url.parse().unwrap()) }
    }

    #[test]
    fn a_list_that_nobody_signed_leads_only_to_the_web() {
        let list = |own: &str| {
            let found = [
                "https://a.example.com/",
                "http://b.example.com/x/",
                "file:///etc/passwd",
                "https://user:secret@c.example.com/",
                "https://token@d.example.com/",
                "http://127.0.0.1:631/",
                "http://169.254.169.254/latest/",
                "http://[::1]/",
                "http://10.0.0.8/",
                "https://a.example.com/",
            ];
            let found = found
                .iter()
                .enumerate()
                .map(|(number, url)| node(&number.to_string(), url))
                .collect();
            let nodes = acceptable(found, &[node("own", own)]);
            nodes.iter().map(|node| node.url.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(
            list("https://e.example.com/"),
            ["https://a.example.com/", "http://b.example.com/x/", "http://10.0.0.8/"]
        );
        // A repository on this computer, as in a first try, may name other nodes on it, and one
        // with a link-local address others with such addresses.
        let accepts = |own: &str, found: &str| list(own).iter().any(|url| url.contains(found));
        assert!(
            accepts("http://127.0.0.1:8080/", "127.0.0.1")
                && accepts("http://127.0.0.1:8080/", "[::1]")
        );
        assert!(!accepts("http://127.0.0.1:8080/", "169.254"));
        assert!(
            accepts("http://169.254.1.1/", "169.254")
                && !accepts("http://169.254.1.1/", "127.0.0.1")
        );
        let many = (0..100)
            .map(|number| node(&number.to_string(), &format!("https://n{number}.example.com/")))
            .collect();
        assert_eq!(acceptable(many, &[]).len(), MAX_LEARNED_NODES);
    }

    #[test]
    fn who_was_silent_is_shunned_for_a_day_or_until_it_answers() {
        let now: Timestamp = "2026-06-01T12:00:00Z".parse().unwrap();
        let later = |hours: i64| Timestamp::from_second(now.as_second() + hours * 3600).unwrap();
        let one = node("one", "https://user:secret@a.example.com/");
        let outcome = |outcome| BTreeMap::from([(redacted(&one.url).to_string(), outcome)]);
        let mut known = Known::default();
        known.learn(&outcome(SourceOutcome::Silent), now);
        assert!(known.was_silent(&one, now) && known.was_silent(&one, later(23)));
        assert!(!known.was_silent(&one, later(25)) && !known.was_silent(&one, later(-1)));
        let mut answered = known.clone();
        answered.learn(&outcome(SourceOutcome::Answered), later(1));
        assert!(!answered.was_silent(&one, later(1)));
        known.learn(&BTreeMap::new(), later(48));
        assert_eq!(known, Known::default());
        assert!(!serde_json::to_string(&known).unwrap().contains("secret"));
    }
}
