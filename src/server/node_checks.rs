//! Checks the nodes of `nodes.json` in the background.
//!
//! In: the published nodes, and the version of the repository here. Out: the result of each check, in
//! the node book. Never: decides which nodes are offered.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use serde::Deserialize;
use tokio::time::Instant;

use super::error::ServerError;
use super::state::ServerState;
use crate::error_chain;
use crate::https;
use crate::model::Node;

/// How many nodes the server checks at the same time.
const CHECKS_AT_ONCE: usize = 8;

/// Time limit of one check; a longer check counts as a failure.
const CHECK_TIME: Duration = Duration::from_secs(5);

/// Largest `timestamp.json` that the server reads from a node, bytes; a real one has some hundred.
const MAX_TIMESTAMP_BYTES: usize = 64 << 10;

/// The client for checks: no redirects, with a time limit.
pub(super) fn client() -> Result<reqwest::Client, ServerError> {
    let client = || {
        reqwest::Client::builder().timeout(CHECK_TIME).redirect(reqwest::redirect::Policy::none())
    };
    https::client(|| Ok(client().user_agent("kuzflow-health"))).map_err(ServerError::HealthClient)
}

/// Checks all nodes every `interval`, for ever.
pub(super) async fn keep_checking(
    shared: ServerState,
    interval: Duration,
    client: reqwest::Client,
) {
    let mut rounds = tokio::time::interval(interval);
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        let catalogue = shared.repository.catalogue().await;
        let checks = stream::iter(catalogue.nodes.clone()).map(|node| {
            let (client, version) = (client.clone(), catalogue.version);
            async move { (check(&client, &node, version).await, node) }
        });
        checks
            .buffer_unordered(CHECKS_AT_ONCE)
            .for_each(async |(outcome, node)| shared.nodes.enter(&node, outcome))
            .await;
    }
}

/// Milliseconds until the node answered with a `timestamp.json` of at least `our_version`. A mirror
/// that lags behind would refuse the newest package.
async fn check(client: &reqwest::Client, node: &Node, our_version: u64) -> Result<f64, String> {
    let address = node.address("metadata/timestamp.json").map_err(|error| error.to_string())?;
    let began = Instant::now();
    let response = client.get(address).send().await.and_then(reqwest::Response::error_for_status);
    let mut response = response.map_err(|error| error_chain::line(&error))?;
    let latency_ms = began.elapsed().as_secs_f64() * 1000.0;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| error_chain::line(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_TIMESTAMP_BYTES {
            return Err("its timestamp.json is too large".to_owned());
        }
    }
    let theirs: Timestamp = serde_json::from_slice(&body)
        .map_err(|error| format!("its timestamp.json is none: {error}"))?;
    if theirs.signed.version < our_version {
        return Err(format!(
            "it holds version {}, this server {}",
            theirs.signed.version, our_version
        ));
    }
    Ok(latency_ms)
}

#[derive(Deserialize)]
struct Timestamp {
    signed: TimestampVersion,
}

#[derive(Deserialize)]
struct TimestampVersion {
    version: u64,
}
