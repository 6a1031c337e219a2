//! An update: the manifest first, then pieces from several nodes, each entry unpacked as soon as its pieces are there, and one rename
//! at the end.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc as blocking};
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::context::Context;
use super::machine::{Input, Updated};
use super::mailbox::Emitter;
use super::problem;
use super::protocol::{Event, Problem, ProblemKind, Progress};
use crate::container::{self, ContainerError, Readiness, Unpacker};
use crate::fetch::{self, Client, Control, FetchError, FetchEvent, RunState};
use crate::model::{Digest, Manifest, Offer, PackageIndex, RelativePath};
use crate::store::StoreError;
use crate::store::lock::HomeLock;
use crate::store::staging::{self, Staging};

/// Seconds to wait between tries to fetch the manifest, varied by a quarter so that many clients do not come back at once.
const WAITS: [f64; 4] = [0.5, 1.0, 2.0, 4.0];

/// What one update works with.
pub struct Job {
    /// The engine's surroundings.
    pub context: Arc<Context>,
    /// The HTTP client.
    pub client: Client,
    /// What to fetch.
    pub offer: Box<Offer>,
    /// Run, pause or cancel, and the bandwidth cap.
    pub control: watch::Receiver<Control>,
    /// Where progress goes.
    pub emitter: Emitter,
    /// Where "all bytes are there" goes.
    pub inputs: mpsc::UnboundedSender<Input>,
}

/// The package's manifest with its proved bytes, and its index.
struct Described {
    manifest: Arc<Manifest>,
    json: Vec<u8>,
    index: Arc<PackageIndex>,
}

impl Job {
    /// Fetches, unpacks and registers. After an error or a stop nothing of the version is visible; verified pieces stay for the next try.
    pub async fn run(mut self) -> Result<Updated, Problem> {
        let id = self.offer.signed.release.container.clone();
        if self.context.home.record(&id).is_ok() {
            return Ok(Updated::Installed(id));
        }
        let store = |error: StoreError| problem::of_store(&error);
        let context = Arc::clone(&self.context);
        let taken = tokio::task::spawn_blocking(move || context.lock()).await;
        let lock = taken.map_err(|error| Problem::new(ProblemKind::Internal, "", &error))?.map_err(store)?;
        let staging = Staging::open(&self.context.home, &id, &lock).map_err(store)?;
        staging::discard_others(&self.context.home, &id, &lock).map_err(store)?;
        staging.check_space(self.offer.signed.length, self.offer.signed.release.unpacked_size).map_err(store)?;
        let described = tokio::select! {
            described = self.describe(&staging) => described?,
            () = cancelled(self.control.clone()) => return Ok(Updated::Stopped),
        };
        let tree = staging.fresh_tree().map_err(store)?;
        let unpacking = Unpacking::begin(&described, &tree, &staging.package())?;
        match self.fetch(&staging, &described.index, &unpacking).await? {
            Ended::Stopped => return Ok(Updated::Stopped),
            Ended::Complete => {}
        }
        let _ = self.inputs.send(Input::Fetched);
        let finished = tokio::task::spawn_blocking(move || finish(unpacking, described, staging, &lock));
        let registered = finished.await.map_err(|error| Problem::new(ProblemKind::Internal, id.to_string(), &error))?;
        registered.map(|()| Updated::Installed(id))
    }

    /// Manifest and index: from an interrupted try if their digests are the signed ones, else from the package's end, where they lie
    /// one behind the other.
    async fn describe(&self, staging: &Staging) -> Result<Described, Problem> {
        let signed = &self.offer.signed;
        let locations = [&signed.release.manifest, &signed.release.index];
        let files = [staging.manifest(), staging.index()];
        let kept = |number: usize| std::fs::read(&files[number]).ok().filter(|json| Digest::of(json) == locations[number].hash);
        let documents = match (kept(0), kept(1)) {
            (Some(manifest), Some(index)) => [manifest, index],
            _ => {
                let start = locations.map(|location| location.offset).into_iter().min().unwrap_or_default();
                let end = locations.map(|location| location.offset.saturating_add(location.packed_size)).into_iter().max();
                let span = start..end.unwrap_or_default();
                let read = |packed: &[u8], number: usize| {
                    let from = usize::try_from(locations[number].offset - start).unwrap_or(usize::MAX);
                    let length = usize::try_from(locations[number].packed_size).unwrap_or(usize::MAX);
                    let part = packed.get(from..from.saturating_add(length)).unwrap_or_default();
                    container::read_document(part, locations[number])
                };
                // A node whose bytes are not the signed documents has sent wrong bytes; the next one is asked.
                let accept = |packed: &[u8]| read(packed, 0).is_ok() && read(packed, 1).is_ok();
                let packed = self.patiently(span, &accept).await.map_err(|error| problem::of_fetch(&error))?;
                let failed = |error| problem::of_container(&error);
                let documents = [read(&packed, 0).map_err(failed)?, read(&packed, 1).map_err(failed)?];
                for (json, file) in documents.iter().zip(&files) {
                    std::fs::write(file, json).map_err(|error| problem::of_disk(file, &error))?;
                }
                documents
            }
        };
        let [json, index] = documents;
        let manifest = Manifest::from_json(&json).map_err(|error| problem::of_container(&error.into()))?;
        let index = PackageIndex::from_json(&index, &manifest).map_err(|error| problem::of_container(&error.into()))?;
        if manifest.id() != signed.release.container || index.pieces.length > signed.length {
            let chain =
                vec![format!("the manifest describes {}, the signed release is {}", manifest.id(), signed.release.container)];
            return Err(Problem { kind: ProblemKind::BadPackage, subject: signed.target.clone(), chain });
        }
        Ok(Described { manifest: Arc::new(manifest), json, index: Arc::new(index) })
    }

    /// A span of the package; a network that is gone for a moment is waited for, as while pieces are coming.
    async fn patiently(
        &self,
        span: std::ops::Range<u64>,
        accept: &(dyn Fn(&[u8]) -> bool + Sync),
    ) -> Result<bytes::Bytes, FetchError> {
        let signed = &self.offer.signed;
        let place = signed.location();
        let mut waits = WAITS.iter();
        loop {
            let fetched = fetch::fetch_span(&self.client, &self.offer.nodes, &place, signed.length, span.clone(), accept).await;
            match (fetched, waits.next()) {
                (Err(error), Some(seconds)) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "the manifest cannot be had; trying again");
                    tokio::time::sleep(Duration::from_secs_f64(seconds * (0.75 + 0.5 * fastrand::f64()))).await;
                }
                (fetched, _) => return fetched,
            }
        }
    }

    async fn fetch(&mut self, staging: &Staging, index: &PackageIndex, unpacking: &Unpacking) -> Result<Ended, Problem> {
        let signed = &self.offer.signed;
        let pieces = Arc::new(index.pieces.clone());
        let job = fetch::Job {
            memory: Some(self.context.home.node_memory()),
            ..fetch::Job::new(signed.location(), signed.length, pieces, self.offer.nodes.clone(), staging.package())
        };
        let (events, mut arriving) = mpsc::unbounded_channel();
        let download = fetch::download(&self.client, job, self.control.clone(), events);
        tokio::pin!(download);
        let mut readiness = Readiness::new(index);
        let total = unpacking.total;
        let result = loop {
            tokio::select! {
                result = &mut download => break result,
                Some(event) = arriving.recv() => self.take(event, &mut readiness, unpacking, total),
            }
            if let Some(problem) = unpacking.failure() {
                return Err(problem);
            }
        };
        // The last events may still wait when the download has ended.
        while let Ok(event) = arriving.try_recv() {
            self.take(event, &mut readiness, unpacking, total);
        }
        match result {
            Ok(summary) => {
                tracing::info!(?summary, "download ended");
                Ok(Ended::Complete)
            }
            Err(FetchError::Cancelled) => Ok(Ended::Stopped),
            Err(error) => Err(problem::of_fetch(&error)),
        }
    }

    fn take(&self, event: FetchEvent, readiness: &mut Readiness, unpacking: &Unpacking, files_total: u64) {
        match event {
            FetchEvent::Piece(index) => unpacking.send(readiness.arrived(index)),
            FetchEvent::Progress(fetch::Progress { done, total, speed, seconds_left, nodes }) => {
                let files_done = unpacking.done();
                let progress = Progress { done, total, speed, seconds_left, files_done, files_total, fallen_back: 0, nodes };
                self.emitter.emit(Event::Progress(progress));
            }
            FetchEvent::Fault(fault) => {
                self.emitter.emit(Event::NodeFault(fault));
            }
        }
    }
}

/// Returns when somebody cancels.
async fn cancelled(mut control: watch::Receiver<Control>) {
    // Once the engine is gone nobody cancels any more.
    if control.wait_for(|control| control.state == RunState::Cancel).await.is_err() {
        std::future::pending::<()>().await;
    }
}

enum Ended {
    Complete,
    Stopped,
}

/// Threads that unpack entries as they become whole.
struct Unpacking {
    unpacker: Arc<Unpacker>,
    ready: Option<blocking::Sender<RelativePath>>,
    threads: Vec<thread::JoinHandle<()>>,
    shared: Arc<Shared>,
    total: u64,
}

#[derive(Default)]
struct Shared {
    done: AtomicU64,
    /// Nothing more is to be unpacked.
    stopped: AtomicBool,
    failure: Mutex<Option<ContainerError>>,
}

impl Unpacking {
    fn begin(described: &Described, tree: &Path, package: &Path) -> Result<Self, Problem> {
        let failed = |error: ContainerError| problem::of_container(&error);
        let manifest = &described.manifest;
        let unpacker = Arc::new(Unpacker::new(Arc::clone(manifest), tree.to_owned()).map_err(failed)?);
        let (ready, queue) = blocking::channel();
        let queue = Arc::new(Mutex::new(queue));
        let shared = Arc::new(Shared::default());
        let count = thread::available_parallelism().map_or(2, usize::from).clamp(1, 4);
        let mut threads = Vec::new();
        for _ in 0..count {
            let (unpacker, queue, shared) = (Arc::clone(&unpacker), Arc::clone(&queue), Arc::clone(&shared));
            let (index, package) = (Arc::clone(&described.index), package.to_owned());
            let work = move || work(&unpacker, &index, &queue, &shared, &package);
            let thread = thread::Builder::new().name("unpack".to_owned()).spawn(work);
            threads.push(thread.map_err(|error| Problem::new(ProblemKind::Internal, "", &error))?);
        }
        Ok(Self { total: manifest.file_manifest.len() as u64, unpacker, ready: Some(ready), threads, shared })
    }

    fn send(&self, paths: Vec<RelativePath>) {
        for path in paths {
            // The threads end only after this sender; one that panicked is noticed when they are joined.
            let _ = self.ready.as_ref().map(|ready| ready.send(path));
        }
    }

    fn done(&self) -> u64 {
        self.shared.done.load(Ordering::Relaxed)
    }

    fn failure(&self) -> Option<Problem> {
        let failure = self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.as_ref().map(problem::of_container)
    }

    /// Waits for the last entries.
    fn join(mut self) -> Result<Unpacker, Problem> {
        let panicked = self.end();
        if let Some(error) = self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(problem::of_container(&error));
        }
        let internal = |text: &str| Problem { kind: ProblemKind::Internal, subject: String::new(), chain: vec![text.to_owned()] };
        if panicked {
            return Err(internal("a thread that unpacks has panicked"));
        }
        let unpacker = Arc::clone(&self.unpacker);
        drop(self);
        Arc::into_inner(unpacker).ok_or_else(|| internal("a thread that unpacks has not ended"))
    }
}

impl Unpacking {
    /// Waits for the threads; whether one of them panicked.
    fn end(&mut self) -> bool {
        drop(self.ready.take());
        let mut panicked = false;
        for thread in self.threads.drain(..) {
            panicked |= thread.join().is_err();
        }
        panicked
    }
}

impl Drop for Unpacking {
    /// After a cancel or a failure nothing is written any more once this returns: the next try finds an empty place.
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        self.end();
    }
}

fn work(
    unpacker: &Unpacker,
    index: &PackageIndex,
    queue: &Mutex<blocking::Receiver<RelativePath>>,
    shared: &Shared,
    package: &Path,
) {
    let mut file: Option<File> = None;
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(path) = next else { return };
        if shared.stopped.load(Ordering::Relaxed) {
            continue;
        }
        // Opened at the first entry: before that there may be no file yet.
        let opened = match file.take() {
            Some(file) => Ok(file),
            None => {
                File::open(package).map_err(|source| ContainerError::File { action: "open", path: package.to_owned(), source })
            }
        };
        let result = opened.and_then(|package| match index.places.get(&path) {
            Some(packed) => unpacker.entry_at(&path, packed, file.insert(package)),
            None => Err(ContainerError::Unknown { path: path.clone() }),
        });
        match result {
            Ok(()) => drop(shared.done.fetch_add(1, Ordering::Relaxed)),
            Err(error) => {
                shared.stopped.store(true, Ordering::Relaxed);
                shared.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
        }
    }
}

/// What comes after the last byte: the last entries, links and empty files, durability, one rename.
fn finish(unpacking: Unpacking, described: Described, staging: Staging, _lock: &HomeLock) -> Result<(), Problem> {
    let unpacker = unpacking.join()?;
    unpacker.finish(&described.json).map_err(|error| problem::of_container(&error))?;
    let registered = staging.register(&described.manifest, Digest::of(&described.json), crate::host::now());
    registered.map(drop).map_err(|error| problem::of_store(&error))
}
