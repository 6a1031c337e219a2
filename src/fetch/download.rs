//! One download from start to end: opens the partial file, fetches the missing pieces, and
//! remembers what was measured of the nodes.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use url::Url;

use super::driver::{Driver, Setup};
use super::job::{Control, DownloadJob, FetchEvent, Summary};
use super::memory::{Measured, NodeMemory};
use super::partial::Partial;
use super::peer_source::PeerSource;
use super::scheduler::{Prior, Scheduler};
use super::{Client, FetchError};

use crate::error_chain;

/// Downloads the pieces that the partial file does not hold yet. Returns when all are there, when
/// no node delivers any more, or when cancelled. Dropping the future stops everything; verified
/// pieces stay on disk for the next time.
pub async fn download(
    client: &Client,
    job: DownloadJob,
    control: watch::Receiver<Control>,
    events: mpsc::UnboundedSender<FetchEvent>,
) -> Result<Summary, FetchError> {
    download_among(client, job, control, events, None).await
}

/// Downloads like [`download`], from peers as well as from the job's nodes.
pub async fn download_among(
    client: &Client,
    job: DownloadJob,
    control: watch::Receiver<Control>,
    events: mpsc::UnboundedSender<FetchEvent>,
    peer_source: Option<PeerSource>,
) -> Result<Summary, FetchError> {
    if job.nodes.is_empty() {
        return Err(FetchError::NoNodes { location: job.location });
    }
    let addresses = job.nodes.iter().map(|node| {
        let error = |source| FetchError::Address {
            node: node.id.clone(),
            location: job.location.clone(),
            source,
        };
        node.address(&job.location).map_err(error)
    });
    let addresses = addresses.collect::<Result<Vec<Url>, _>>()?;
    let (path, table) = (job.partial.clone(), Arc::clone(&job.pieces));
    let memory_path = job.memory.clone();
    let opened = tokio::task::spawn_blocking(move || {
        let memory = memory_path.map(|path| NodeMemory::load(&path)).unwrap_or_default();
        Partial::open(&path, table).map(|partial| (partial, memory))
    });
    let (partial, memory) = opened.await.map_err(|error| FetchError::Task(error.to_string()))??;
    let setup = Setup {
        client: client.clone(),
        job,
        addresses,
        partial,
        memory: &memory,
        control,
        events,
        peer_source,
    };
    let mut driver = Driver::new(setup)?;
    let result = driver.run().await;
    let (job, scheduler, journal, was_slowed) = driver.finish().await;
    let finished = tokio::task::spawn_blocking(move || {
        journal.finish();
        // Under the user's rate limit, the measured rate is not the nodes' own.
        if !was_slowed {
            remember(&job, &scheduler, memory);
        }
    });
    finished.await.map_err(|error| FetchError::Task(error.to_string()))?;
    result
}

// Measurements are a convenience: a folder that cannot be written must not fail a download.
fn remember(job: &DownloadJob, scheduler: &Scheduler, mut memory: NodeMemory) {
    let Some(path) = &job.memory else { return };
    let measured = job.nodes.iter().enumerate().filter_map(|(index, node)| {
        let Prior { bytes_per_second, latency_seconds, connections } = scheduler.measured(index)?;
        let connections = u32::try_from(connections).unwrap_or(u32::MAX);
        Some((
            node.url.to_string(),
            Measured { bytes_per_second, latency_seconds, connections, used: 0 },
        ))
    });
    memory.learn(measured);
    if let Err(error) = memory.save(path) {
        tracing::warn!(error = error_chain::line(&error), "measurements of nodes are not kept");
    }
}
