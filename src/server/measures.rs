//! What `/metrics` says of this server itself, at this moment.
//!
//! In: the catalogue, the store, the counts of answers, the results of checks. Out: measures. Never:
//! a number about installations; those come from the room `fleet`.

use std::time::SystemTime;

use super::conductor::{self, RolloutState};
use super::files;
use super::fleet::Fleet;
use super::repository::Catalogue;
use super::state::ServerState;
use crate::error_chain;
use crate::fleet::{JobKind, Measure, MeasureKind};
use crate::host;

/// All measures of this server; those of one name stand together.
pub(super) async fn measures(
    shared: &ServerState,
    fleet: &Fleet,
    catalogue: &Catalogue,
) -> Vec<Measure> {
    let mut measures = of_the_repository(shared, catalogue).await;
    measures.extend(of_the_store(fleet));
    if shared.builds.is_some() {
        measures.extend(of_the_builds(fleet).await);
    }
    measures.extend(of_the_rollouts(shared, fleet).await);
    measures.push(plain(
        MeasureKind::Gauge,
        "kuzflow_listeners",
        "Launchers that wait for news of a release.",
        shared.events.listeners() as f64,
    ));
    measures.extend(of_the_traffic(shared));
    measures.extend(of_the_nodes(shared, catalogue));
    measures
}

fn plain(kind: MeasureKind, name: &'static str, help: &'static str, value: f64) -> Measure {
    Measure { kind, name, help, label: None, value }
}

async fn of_the_repository(shared: &ServerState, catalogue: &Catalogue) -> Vec<Measure> {
    let now = host::now();
    let signatures = catalogue.expiries.iter().filter_map(|(role, expires)| {
        let left = (*expires)?.duration_since(now).as_secs_f64();
        Some(Measure {
            kind: MeasureKind::Gauge,
            name: "kuzflow_signature_seconds",
            help: "Seconds until a signature expires.",
            label: Some(("role", role.to_string())),
            value: left,
        })
    });
    let mut measures: Vec<Measure> = signatures.collect();
    measures.push(plain(
        MeasureKind::Gauge,
        "kuzflow_releases",
        "Published releases.",
        catalogue.releases.len() as f64,
    ));
    let timestamp = shared.repository.root().join("metadata/timestamp.json");
    // What cannot be looked at has no age; the log says why.
    if let Ok(changed) = files::on_disk(timestamp, |path| path.metadata()?.modified()).await {
        let age = SystemTime::from(now).duration_since(changed).unwrap_or_default();
        measures.push(plain(
            MeasureKind::Gauge,
            "kuzflow_repository_age_seconds",
            "Seconds since the repository was last signed and uploaded here.",
            age.as_secs_f64(),
        ));
    }
    measures
}

fn of_the_store(fleet: &Fleet) -> [Measure; 2] {
    [
        plain(
            MeasureKind::Gauge,
            "kuzflow_batches_waiting",
            "Batches of reports that wait to be stored.",
            fleet.ingest.waiting() as f64,
        ),
        plain(
            MeasureKind::Gauge,
            "kuzflow_reports_age_seconds",
            "Seconds since this server last stored reports, or since it began.",
            fleet.ingest.since_commit().as_secs_f64(),
        ),
    ]
}

/// Of a server that steers.
async fn of_the_rollouts(shared: &ServerState, fleet: &Fleet) -> Vec<Measure> {
    let Some(steering) = &shared.options.steering else { return Vec::new() };
    let standings = match conductor::standings(fleet, steering).await {
        Ok(standings) => standings,
        Err(error) => {
            tracing::error!(error = error_chain::line(&error), "rollouts cannot be counted");
            return Vec::new();
        }
    };
    let count = |state| standings.iter().filter(|standing| standing.state == state).count();
    let measures = RolloutState::ALL.map(|state| Measure {
        kind: MeasureKind::Gauge,
        name: "kuzflow_rollouts",
        help: "Releases with a plan, by how their rollouts stand.",
        label: Some(("state", state.word().to_owned())),
        value: count(state) as f64,
    });
    measures.into()
}

/// All servers of a store have the same builds.
async fn of_the_builds(fleet: &Fleet) -> Vec<Measure> {
    let numbers = match fleet.store.job_numbers(JobKind::Build).await {
        Ok(numbers) => numbers,
        Err(error) => {
            tracing::error!(error = error_chain::line(&error), "builds cannot be counted");
            return Vec::new();
        }
    };
    let gauge = |name, help, value: i64| plain(MeasureKind::Gauge, name, help, value as f64);
    let ended =
        [("done", numbers.done), ("failed", numbers.failed), ("cancelled", numbers.cancelled)];
    let ended = ended.into_iter().map(|(outcome, n)| Measure {
        kind: MeasureKind::Counter,
        name: "kuzflow_builds_total",
        help: "Builds that have ended.",
        label: Some(("outcome", outcome.to_owned())),
        value: n as f64,
    });
    let waiting = [
        gauge("kuzflow_builds_queued", "Builds that wait.", numbers.queued),
        gauge("kuzflow_builds_running", "Builds that run.", numbers.running),
        gauge(
            "kuzflow_builds_oldest_seconds",
            "Seconds that the oldest waiting build has waited.",
            numbers.oldest_seconds,
        ),
    ];
    waiting.into_iter().chain(ended).collect()
}

fn of_the_traffic(shared: &ServerState) -> Vec<Measure> {
    let classes = shared.traffic.answers().map(|(class, count)| Measure {
        kind: MeasureKind::Counter,
        name: "kuzflow_requests_total",
        help: "Requests that were answered.",
        label: Some(("status", class.to_owned())),
        value: count as f64,
    });
    let mut measures: Vec<Measure> = classes.collect();
    measures.push(plain(
        MeasureKind::Counter,
        "kuzflow_range_requests_total",
        "Requests for a range of a file.",
        shared.traffic.ranges() as f64,
    ));
    measures.push(plain(
        MeasureKind::Counter,
        "kuzflow_sent_bytes_total",
        "Bytes of bodies that were sent.",
        shared.traffic.bytes() as f64,
    ));
    measures
}

fn of_the_nodes(shared: &ServerState, catalogue: &Catalogue) -> Vec<Measure> {
    let checked = shared.nodes.checked(&catalogue.nodes);
    let up = checked.iter().map(|node| Measure {
        kind: MeasureKind::Gauge,
        name: "kuzflow_node_up",
        help: "Whether a node passes the checks of this server.",
        label: Some(("node", node.id.clone())),
        value: f64::from(u8::from(node.is_up)),
    });
    let latency = checked.iter().filter_map(|node| {
        Some(Measure {
            kind: MeasureKind::Gauge,
            name: "kuzflow_node_latency_seconds",
            help: "How long a node takes to answer the checks of this server, smoothed.",
            label: Some(("node", node.id.clone())),
            value: node.latency_ms? / 1000.0,
        })
    });
    up.chain(latency).collect()
}
