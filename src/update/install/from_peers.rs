//! Fetches files from peers that have installed the release. What installed versions and packs do
//! not give is asked of peers first, by digest, for a bounded time. The internet gives the rest.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::counts::Counts;
use super::{StepEnd, UpdateJob, cancelled};
use crate::durable;
use crate::messages::problem;
use crate::messages::protocol::{Event, Problem, Progress};
use crate::model::transfer::{NodeProgress, NodeState, PEER_ID_PREFIX, PEER_REGION};
use crate::model::{Manifest, RelativePath};
use crate::store::contents::Contents;
use crate::update::peer_service;

/// Assumed rate of a peer, bytes a second.
const ASSUMED_RATE: f64 = 10e6;
/// Time that files may take, as a multiple of the time by the assumed rate. A moment is added to
/// it.
const TIME_FACTOR: f64 = 2.0;
const EXTRA_SECONDS: f64 = 5.0;

impl UpdateJob {
    /// Whether to fetch the whole release from peers, file by file: some peers have installed it,
    /// no peer has its package, and no measurement shows that the internet is quicker.
    pub(super) async fn is_installed_by_peers(&self) -> bool {
        let Some(peer_network) = self.peers.get() else { return false };
        let signed = &self.offer.signed;
        let (installed, has_package) = tokio::join!(
            peer_network.holders(signed.release.manifest.hash),
            peer_network.has_pieces(signed.hash)
        );
        let seconds =
            signed.release.unpacked_size as f64 / ASSUMED_RATE / installed.len().max(1) as f64;
        let quicker =
            self.offer.estimated_seconds.is_none_or(|estimated| seconds < estimated as f64);
        let only_installed = !installed.is_empty() && !has_package && quicker;
        if only_installed {
            tracing::info!(
                peers = installed.len(),
                "the release is installed nearby; its files are taken from there"
            );
        }
        only_installed
    }

    /// Fetches as many files of `absent` as possible from peers into `folder`, and records them in
    /// `contents`.
    pub(super) async fn take_from_peers(
        &self,
        manifest: &Manifest,
        absent: &[RelativePath],
        folder: &Path,
        contents: &mut Contents,
        counts: &mut Counts,
    ) -> Result<StepEnd, Problem> {
        let Some(peer_network) = self.peers.get() else {
            return Ok(StepEnd::Complete);
        };
        let wanted = peer_service::wanted(manifest, absent);
        let holders = peer_network.holders(self.offer.signed.release.manifest.hash).await;
        if wanted.is_empty() || holders.is_empty() {
            return Ok(StepEnd::Complete);
        }
        durable::create_folders(folder).map_err(|error| problem::of_disk(folder, &error))?;
        let bytes: u64 = wanted.iter().map(|(_, size)| size).sum();
        let seconds =
            EXTRA_SECONDS + TIME_FACTOR * bytes as f64 / ASSUMED_RATE / holders.len() as f64;
        let until = Instant::now() + Duration::from_secs_f64(seconds);
        let arrived = Arc::new(AtomicU64::new(0));
        let on_arrival = self.on_arrival(holders.clone(), bytes, &arrived, counts);
        let placed = tokio::select! {
            placed = peer_network.files(holders, wanted, folder, until, on_arrival) => placed,
            () = cancelled(self.control.clone()) => return Ok(StepEnd::Stopped),
        };
        counts.fetched += arrived.load(Ordering::Relaxed);
        tracing::info!(
            files = placed.len(),
            bytes = arrived.load(Ordering::Relaxed),
            "taken from peers"
        );
        placed.into_iter().for_each(|(digest, path)| contents.insert(digest, path));
        Ok(StepEnd::Complete)
    }

    /// A function that counts bytes and shows them like those of a node.
    fn on_arrival(
        &self,
        holders: Vec<SocketAddr>,
        bytes: u64,
        arrived: &Arc<AtomicU64>,
        counts: &Counts,
    ) -> impl Fn(u64) + Clone + Send + Sync + 'static {
        let (arrived, emitter, began) = (Arc::clone(arrived), self.emitter.clone(), Instant::now());
        let total = self.offer.plan.bytes.max(counts.fetched + bytes);
        let (before, base) = (counts.fetched, self.so_far(counts));
        move |count| {
            let done = arrived.fetch_add(count, Ordering::Relaxed) + count;
            let speed = done as f64 / began.elapsed().as_secs_f64().max(0.1);
            let line = NodeProgress {
                id: PEER_ID_PREFIX.to_owned(),
                name: format!("×{}", holders.len()),
                region: PEER_REGION.to_owned(),
                done,
                speed,
                state: NodeState::Active,
            };
            let progress =
                Progress { done: before + done, total, speed, nodes: vec![line], ..base.clone() };
            emitter.emit(Event::Progress(progress));
        }
    }
}
