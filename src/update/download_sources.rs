//! The download sources that updates and repairs share: the nodes and peers to ask, and the control
//! that can stop a download.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{mpsc, watch};

use super::peer_service::PeerHandle;
use crate::environment::Environment;
use crate::fetch::{self, Client, Control, FetchError, FetchEvent, RunState};
use crate::messages::protocol::{Problem, ProblemKind};
use crate::model::Node;
use crate::peers::PeerNetwork;

/// What came of a download.
pub(super) enum DownloadOutcome {
    /// All bytes are here, and verified.
    Complete,
    /// Somebody cancelled it.
    Cancelled,
    /// No node or peer gave the bytes, or this computer could not store them.
    Failed(FetchError),
}

/// The client, nodes and peers of one update or repair, and the control that can stop it.
#[derive(Clone)]
pub(super) struct DownloadSources {
    pub client: Client,
    /// The nodes to ask, the best first.
    pub nodes: Vec<Node>,
    /// Run, pause or cancel, and the rate limit.
    pub control: watch::Receiver<Control>,
    /// The file with the measurements of nodes.
    memory: PathBuf,
    /// The peer network, if it is open.
    peer_network: Option<Arc<PeerNetwork>>,
    /// Number of small parts that are fetched at the same time.
    pub at_once: usize,
}

impl DownloadSources {
    /// Download sources with these `nodes`.
    pub(crate) fn new(
        environment: &Environment,
        client: &Client,
        nodes: &[Node],
        peers: &PeerHandle,
        control: watch::Receiver<Control>,
    ) -> Self {
        let at_once = environment.settings.incremental_update.parallel_downloads.max(1);
        Self {
            client: client.clone(),
            nodes: nodes.to_vec(),
            control,
            memory: environment.home.node_memory(),
            peer_network: peers.get(),
            at_once,
        }
    }

    /// Runs a download, and hands its events to `take`, which may end it with a problem.
    pub(super) async fn download(
        &self,
        job: fetch::DownloadJob,
        take: &mut (dyn FnMut(FetchEvent) -> Option<Problem> + Send),
    ) -> Result<DownloadOutcome, Problem> {
        let job = fetch::DownloadJob { memory: Some(self.memory.clone()), ..job };
        let (events, mut arriving) = mpsc::unbounded_channel();
        let shared = self.peer_network.clone().zip(job.digest);
        let (table, length, file) =
            (Arc::clone(&job.pieces), job.object_length, job.partial.clone());
        let whole = job.wanted.is_none();
        let peer_source = shared
            .as_ref()
            .map(|(peer_network, digest)| peer_network.share(*digest, &table, length, &file));
        let download =
            fetch::download_among(&self.client, job, self.control.clone(), events, peer_source);
        tokio::pin!(download);
        let result = loop {
            tokio::select! {
                result = &mut download => break result,
                Some(event) = arriving.recv() => if let Some(problem) = take(event) {
                    return Err(problem);
                },
            }
        };
        // The last events may still wait when the download has ended.
        while let Ok(event) = arriving.try_recv() {
            if let Some(problem) = take(event) {
                return Err(problem);
            }
        }
        let summary = match result {
            Ok(summary) => summary,
            Err(FetchError::Cancelled) => return Ok(DownloadOutcome::Cancelled),
            Err(error) => return Ok(DownloadOutcome::Failed(error)),
        };
        tracing::info!(?summary, "download ended");
        if let Some((peer_network, digest)) = shared.filter(|_| whole) {
            blocking(move || peer_network.keep(digest, &table, length, &file)).await?;
        }
        Ok(DownloadOutcome::Complete)
    }

    /// Returns when somebody cancels.
    pub(super) async fn cancelled(&self) {
        cancelled(self.control.clone()).await;
    }
}

/// Returns when somebody cancels.
pub(super) async fn cancelled(mut control: watch::Receiver<Control>) {
    // Once the engine is gone no cancel can arrive.
    if control.wait_for(|control| control.state == RunState::Cancel).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// A flag that is set when somebody cancels, for work that cannot wait for an event.
pub(super) fn stop_flag(control: watch::Receiver<Control>) -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    tokio::spawn(async move {
        cancelled(control).await;
        flag.store(true, Ordering::Relaxed);
    });
    stop
}

/// Runs blocking work on a blocking thread.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Problem::new(ProblemKind::Internal, "", &error))
}
