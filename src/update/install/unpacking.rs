//! Threads that unpack entries as soon as all their bytes have arrived.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc as blocking};
use std::thread;
use std::time::Duration;

use crate::container::{ContainerError, Unpacker};
use crate::file_error::FileResult as _;
use crate::messages::problem;
use crate::messages::protocol::{Problem, ProblemKind};
use crate::model::{PackageIndex, RelativePath};
use crate::mutex;
use crate::threads;
use crate::update::applying;
use crate::update::package_documents::PackageDocuments;

/// Interval between two counts of files while [`Unpacking::join`] waits for the last of them.
const REPORT_EVERY: Duration = Duration::from_millis(100);

/// Threads that unpack entries as soon as all their bytes have arrived.
pub(super) struct Unpacking {
    unpacker: Arc<Unpacker>,
    ready: Option<blocking::Sender<RelativePath>>,
    threads: Vec<thread::JoinHandle<()>>,
    /// This channel closes with the last of the threads.
    working: Mutex<blocking::Receiver<()>>,
    shared: Arc<UnpackingState>,
    /// Number of files in all.
    pub total: u64,
}

#[derive(Default)]
struct UnpackingState {
    done: AtomicU64,
    /// Set when no further entry shall be unpacked, and none to its end.
    stopped: Arc<AtomicBool>,
    failure: Mutex<Option<ContainerError>>,
}

impl Unpacking {
    /// Starts the threads. `tree` must be empty; the file `package` appears with its first piece.
    pub(super) fn begin(
        package_documents: &PackageDocuments,
        tree: &Path,
        package: &Path,
    ) -> Result<Self, Problem> {
        let failed = |error: ContainerError| problem::of_container(&error);
        let manifest = &package_documents.manifest;
        let shared = Arc::new(UnpackingState::default());
        let unpacker = Unpacker::new(Arc::clone(manifest), tree.to_owned()).map_err(failed)?;
        let unpacker = Arc::new(unpacker.stopped_by(&shared.stopped));
        let (ready, queue) = blocking::channel();
        let queue = Arc::new(Mutex::new(queue));
        let count = applying::workers();
        let mut running = Vec::new();
        let (alive, working) = blocking::channel::<()>();
        for _ in 0..count {
            let alive = alive.clone();
            let (unpacker, queue, shared) =
                (Arc::clone(&unpacker), Arc::clone(&queue), Arc::clone(&shared));
            let (index, package) = (Arc::clone(&package_documents.index), package.to_owned());
            let work = move || {
                let _alive = alive;
                work(&unpacker, &index, &queue, &shared, &package);
            };
            match threads::spawn("unpack", work) {
                Ok(thread) => running.push(thread),
                // Fewer threads are enough.
                Err(_) if !running.is_empty() => break,
                Err(error) => return Err(problem::of_system(&error)),
            }
        }
        Ok(Self {
            total: manifest.file_manifest.len() as u64,
            unpacker,
            ready: Some(ready),
            threads: running,
            working: Mutex::new(working),
            shared,
        })
    }

    /// Passes on entries whose bytes have all arrived.
    pub(super) fn send(&self, paths: Vec<RelativePath>) {
        for path in paths {
            // The threads end only after this sender. A panic in one is noticed when they are
            // joined.
            let _ = self.ready.as_ref().map(|ready| ready.send(path));
        }
    }

    /// Number of files written so far.
    pub(super) fn done(&self) -> u64 {
        self.shared.done.load(Ordering::Relaxed)
    }

    /// Why unpacking has failed, if it has.
    pub(super) fn failure(&self) -> Option<Problem> {
        let failure = mutex::lock(&self.shared.failure);
        failure.as_ref().map(problem::of_container)
    }

    /// Waits for the last entries; `tell` receives the number of files written. On a fast
    /// connection this is most of the work.
    pub(super) fn join(mut self, tell: &dyn Fn(u64)) -> Result<Unpacker, Problem> {
        drop(self.ready.take());
        let working = self.working.get_mut().unwrap_or_else(PoisonError::into_inner);
        while working.recv_timeout(REPORT_EVERY) == Err(blocking::RecvTimeoutError::Timeout) {
            tell(self.shared.done.load(Ordering::Relaxed));
        }
        tell(self.done());
        let panicked = self.end();
        if let Some(error) = mutex::lock(&self.shared.failure).take() {
            return Err(problem::of_container(&error));
        }
        let internal = |text: &str| Problem {
            kind: ProblemKind::Internal,
            subject: String::new(),
            chain: vec![text.to_owned()],
        };
        if panicked {
            return Err(internal("a thread that unpacks has panicked"));
        }
        let unpacker = Arc::clone(&self.unpacker);
        drop(self);
        Arc::into_inner(unpacker).ok_or_else(|| internal("a thread that unpacks has not ended"))
    }
}

impl Unpacking {
    /// Waits for the threads, and returns whether one of them panicked.
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
    /// After a cancel or a failure the threads write nothing once this returns: the next try finds
    /// an empty folder.
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        self.end();
    }
}

fn work(
    unpacker: &Unpacker,
    index: &PackageIndex,
    queue: &Mutex<blocking::Receiver<RelativePath>>,
    shared: &UnpackingState,
    package: &Path,
) {
    let mut file: Option<File> = None;
    loop {
        let next = mutex::lock(queue).recv();
        let Ok(path) = next else { return };
        if shared.stopped.load(Ordering::Relaxed) {
            continue;
        }
        // Opened at the first entry: before that there may be no file yet.
        let opened = match file.take() {
            Some(file) => Ok(file),
            None => File::open(package).at("open", package),
        };
        let result = opened.map_err(ContainerError::from).and_then(|package| {
            match index.places.get(&path) {
                Some(packed) => unpacker.entry_at(&path, packed, file.insert(package)),
                None => Err(ContainerError::Unknown { path: path.clone() }),
            }
        });
        match result {
            Ok(()) => drop(shared.done.fetch_add(1, Ordering::Relaxed)),
            Err(error) => {
                // First the reason, then the stop: entries that it ends fail as well.
                mutex::lock(&shared.failure).get_or_insert(error);
                shared.stopped.store(true, Ordering::Relaxed);
            }
        }
    }
}
