//! An update: fetched by the strategy of its plan, put together beside the installed versions,
//! registered by one rename.
//!
//! [`full`] fetches the whole package: pieces from several nodes, each entry unpacked as soon as
//! its pieces have arrived. [`incremental`] fetches patch packs ([`packs`]) or single entries, and
//! takes everything else from installed versions. What fails there is fetched by another strategy,
//! file by file, and finally by the whole package. [`from_file`] reads the package out of a bundle.

mod counts;
mod from_file;
mod from_peers;
mod full;
mod incremental;
mod packs;
mod tree;
mod unpacking;

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use tokio::sync::{mpsc, watch};

use self::counts::Counts;
use super::download_sources::{DownloadSources, blocking, cancelled, stop_flag};
use super::package_documents::{DocumentCache, Library};
use super::peer_service::PeerHandle;
use crate::environment::Environment;
use crate::error_chain;
use crate::fetch::{Client, Control, NodeMemory};
use crate::messages::language::{MachineInput, Updated};
use crate::messages::mailbox::Emitter;
use crate::messages::problem;
use crate::messages::protocol::{Event, Problem, Progress};
use crate::model::Offer;
use crate::store::StoreError;
use crate::store::staging::{self, Staging};

/// The inputs of one update.
pub(crate) struct UpdateJob {
    /// Home, settings and arguments of the launcher.
    pub environment: Arc<Environment>,
    pub client: Client,
    /// The cached documents of packages.
    pub documents: DocumentCache,
    pub peers: PeerHandle,
    /// The release to fetch, with its plan.
    pub offer: Box<Offer>,
    /// Run, pause or cancel, and the rate limit.
    pub control: watch::Receiver<Control>,
    /// Takes the progress.
    pub emitter: Emitter,
    /// Takes the input "all bytes have arrived".
    pub inputs: mpsc::UnboundedSender<MachineInput>,
    /// When all bytes had arrived.
    pub arrived: OnceLock<Instant>,
}

/// How a part of an update ended.
enum StepEnd {
    Complete,
    Stopped,
}

impl UpdateJob {
    /// Fetches the version, puts it together and registers it. After an error or a stop the version
    /// is not visible, and verified pieces stay for the next try.
    pub(crate) async fn run(mut self) -> Result<Updated, Problem> {
        let id = self.offer.signed.release.container.clone();
        let store = |error: StoreError| problem::of_store(&error);
        if self.environment.home.is_installed(&id).map_err(store)? {
            return Ok(Updated::Installed(id));
        }
        let environment = Arc::clone(&self.environment);
        let lock = blocking(move || environment.lock()).await?.map_err(store)?;
        let staging = Staging::open(&self.environment.home, &id, &lock).map_err(store)?;
        staging::remove_others(&self.environment.home, &id, &lock).map_err(store)?;
        staging
            .check_space(self.offer.plan.bytes, self.offer.signed.release.unpacked_size)
            .map_err(store)?;
        tracing::info!(strategy = ?self.offer.plan.strategy, reason = ?self.offer.plan.reason, bytes = self.offer.plan.bytes,
            full_bytes = self.offer.plan.full_bytes, packs = self.offer.plan.patches.len(), "updating");
        let ended = if let Some(file) = self.offer.file.clone() {
            self.take_file(&file, &staging, lock).await?
        } else if self.offer.plan.is_incremental() || self.is_installed_by_peers().await {
            self.incremental(&staging, lock).await?
        } else {
            self.full(&staging, lock, &Counts::default()).await?
        };
        Ok(match ended {
            StepEnd::Complete => {
                self.remember_time();
                Updated::Installed(id)
            }
            StepEnd::Stopped => Updated::Stopped,
        })
    }

    /// All bytes are here.
    fn bytes_arrived(&self) {
        let _ = self.arrived.set(Instant::now());
        let _ = self.inputs.send(MachineInput::Fetched);
    }

    /// Remembers how long this computer has worked since all bytes were here, for the next offer.
    fn remember_time(&self) {
        let Some(arrived) = self.arrived.get() else { return };
        let path = self.environment.home.node_memory();
        let mut memory = NodeMemory::load(&path);
        memory.learn_installing(
            self.offer.signed.release.unpacked_size,
            arrived.elapsed().as_secs_f64(),
            self.offer.plan.is_incremental(),
        );
        if let Err(error) = memory.save(&path) {
            tracing::warn!(error = error_chain::line(&error), "the time was not remembered");
        }
    }

    fn library<'a>(&'a self, staging: &'a Staging) -> Library<'a> {
        Library {
            client: &self.client,
            nodes: &self.offer.nodes,
            cache: &self.documents,
            peers: &self.peers,
            staging: Some(staging),
            emitter: Some(&self.emitter),
        }
    }

    fn sources(&self) -> DownloadSources {
        DownloadSources::new(
            &self.environment,
            &self.client,
            &self.offer.nodes,
            &self.peers,
            self.control.clone(),
        )
    }

    fn progress(&self, progress: Progress) {
        self.emitter.emit(Event::Progress(progress));
    }
}
