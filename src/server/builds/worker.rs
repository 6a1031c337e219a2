//! One build after the other.
//!
//! In: jobs of the store. Out: packages, logs, and what became of each job. Never: a change of a job
//! that another worker holds; a build that goes on after it was cancelled or its server ended.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::command::{self, Places};
use super::failure::BuildFailure;
use super::folder::{self, BuildFolder};
use super::log::LogFile;
use super::order::BuildOrder;
use super::sandbox::{Confinement, Inside, OWN};
use super::source::{Bringing, Brought};
use super::watch::{self, Ended, Limits, Program};
use crate::error_chain;
use crate::file_error::FileResult as _;
use crate::fleet::{Claim, Ending, JobKind, Lease, Store};
use crate::mutex;
use crate::publish::package::{Effort, inspect};
use crate::publish::{BuildSettings, Runtimes, bundling};

/// How often a worker says that it goes on, and hears of a wish to end.
const RENEWAL: Duration = Duration::from_secs(2);
/// How long the store may be silent until the job counts as lost. Shorter than a lease.
const SILENCE: Duration = Duration::from_secs(50);
/// How long the last word of a build is tried again.
const LAST_WORD: Duration = Duration::from_secs(60);

/// What all workers of a server share.
pub(super) struct Workshop {
    pub(super) store: Store,
    pub(super) handle: Handle,
    pub(super) folder: BuildFolder,
    pub(super) settings: BuildSettings,
    pub(super) confinement: Confinement,
    /// Runtimes of platforms, with the folder from which their paths count.
    pub(super) runtimes: (Runtimes, PathBuf),
    /// True once the server ends.
    pub(super) is_ending: Arc<AtomicBool>,
    /// True after a build, until its results and those of others have been looked through.
    pub(super) has_built: AtomicBool,
}

/// A job in this worker's hands.
struct Holding {
    lease: Arc<AtomicU8>,
    renewing: JoinHandle<()>,
    is_ending: Arc<AtomicBool>,
}

const HELD: u8 = 0;
const CANCELLED: u8 = 1;
const LOST: u8 = 2;

impl Holding {
    fn begin(workshop: &Workshop, claim: &Claim) -> Self {
        let lease = Arc::new(AtomicU8::new(HELD));
        let renewing =
            workshop.handle.spawn(renew(workshop.store.clone(), claim.clone(), lease.clone()));
        Self { lease, renewing, is_ending: workshop.is_ending.clone() }
    }

    fn lease(&self) -> u8 {
        self.lease.load(Ordering::Relaxed)
    }

    /// Whether the build is to end.
    fn is_over(&self) -> bool {
        self.lease() != HELD || self.is_ending.load(Ordering::Relaxed)
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

async fn renew(store: Store, claim: Claim, lease: Arc<AtomicU8>) {
    let mut heard = Instant::now();
    loop {
        tokio::time::sleep(RENEWAL).await;
        let now = match store.renew_job(&claim).await {
            Ok(Lease::Held) => HELD,
            Ok(Lease::Cancelled) => CANCELLED,
            Ok(Lease::Lost) => LOST,
            Err(error) => {
                tracing::warn!(
                    error = error_chain::line(&error),
                    "a build cannot say that it goes on"
                );
                if heard.elapsed() > SILENCE {
                    lease.store(LOST, Ordering::Relaxed);
                }
                continue;
            }
        };
        heard = Instant::now();
        lease.store(now, Ordering::Relaxed);
        if now == LOST {
            return;
        }
    }
}

/// What came of an attempt.
struct Outcome {
    result: String,
    package: PathBuf,
}

impl Workshop {
    /// Takes a job and builds it. Returns whether there was one.
    pub(super) fn build_one(&self, owner: &str) -> bool {
        let claimed = self.handle.block_on(self.store.claim_job(JobKind::Build, owner));
        match claimed {
            Ok(Some(claim)) => {
                self.build(&claim);
                true
            }
            Ok(None) => false,
            Err(error) => {
                tracing::warn!(error = error_chain::line(&error), "builds cannot be looked for");
                false
            }
        }
    }

    fn build(&self, claim: &Claim) {
        let (id, attempt) = (claim.job.id.as_str(), claim.job.attempt);
        tracing::info!(id, attempt, "a build begins");
        let holding = Holding::begin(self, claim);
        // What a server that was killed has left behind.
        (1..attempt).for_each(|earlier| folder::remove(&self.folder.attempt(id, earlier)));
        let outcome = self.attempt(claim, &holding);
        folder::remove(&self.folder.attempt(id, attempt));
        let text;
        let ending = match &outcome {
            Ok(outcome) => Ending::Done(&outcome.result),
            Err(_) if holding.lease() == CANCELLED => Ending::Cancelled,
            Err(BuildFailure::Over) => Ending::Returned,
            Err(failure) => {
                let message = error_chain::line(failure);
                tracing::info!(id, attempt, error = message, "a build failed");
                text =
                    json!({ "error": { "code": failure.code(), "message": message } }).to_string();
                Ending::Failed(&text)
            }
        };
        let is_mine = holding.lease() != LOST && self.end(claim, ending);
        if !is_mine {
            tracing::warn!(id, attempt, "a build is in other hands by now");
            outcome.iter().for_each(|outcome| folder::remove(&outcome.package));
        } else if ending != Ending::Returned {
            folder::remove(&self.folder.archive(id));
        }
        tracing::info!(id, attempt, is_mine, "a build ended");
    }

    /// The last word; the store may not answer at once.
    fn end(&self, claim: &Claim, ending: Ending<'_>) -> bool {
        let until = Instant::now() + LAST_WORD;
        loop {
            let ended = self.handle.block_on(self.store.end_job(JobKind::Build, claim, ending));
            match ended {
                Ok(is_mine) => return is_mine,
                Err(error) => {
                    tracing::warn!(
                        error = error_chain::line(&error),
                        "the end of a build cannot be stored"
                    );
                    if Instant::now() > until {
                        return false;
                    }
                    std::thread::sleep(RENEWAL);
                }
            }
        }
    }

    fn attempt(&self, claim: &Claim, holding: &Holding) -> Result<Outcome, BuildFailure> {
        let (id, attempt) = (claim.job.id.as_str(), claim.job.attempt);
        let begin = Instant::now();
        let log_path = self.folder.log(id);
        let folder = self.folder.attempt(id, attempt);
        for own in OWN {
            let own = folder.join(own);
            fs::create_dir_all(&own).at("create the folder", &own)?;
        }
        let log = Arc::new(Mutex::new(LogFile::open(&log_path).at("open", &log_path)?));
        let order: BuildOrder =
            serde_json::from_str(&claim.job.payload).map_err(BuildFailure::Order)?;
        if attempt > 1 {
            mutex::lock(&log).line("the server ended before the build did; it begins anew");
        }
        let built = self.run(&order, (id, attempt), &folder, &log, holding);
        let outcome = built.and_then(|file| {
            if holding.is_over() {
                return Err(BuildFailure::Over);
            }
            self.take(&order, (id, attempt), &file, begin)
        });
        let line = match &outcome {
            Ok(_) => format!("built {} in {} s", order.container(), begin.elapsed().as_secs()),
            Err(_) if holding.lease() == CANCELLED => "cancelled".to_owned(),
            Err(BuildFailure::Over) => "the server ends".to_owned(),
            Err(failure) => format!("failed: {}", error_chain::line(failure)),
        };
        mutex::lock(&log).line(&line);
        outcome
    }

    /// Runs `kuzflow build`; returns the place where the package must be.
    fn run(
        &self,
        order: &BuildOrder,
        (id, attempt): (&str, i64),
        folder: &Path,
        log: &Arc<Mutex<LogFile>>,
        holding: &Holding,
    ) -> Result<PathBuf, BuildFailure> {
        let is_over = || holding.is_over();
        let archive = self.folder.archive(id);
        mutex::lock(log).line(&format!("attempt {attempt} of {}", order.container()));
        let bringing = Bringing {
            settings: &self.settings,
            archive: &archive,
            folder,
            log,
            is_over: &is_over,
        };
        let brought = bringing.bring(order)?;
        let runtime = self.runtime(order)?;
        let seen = self.confinement.seen(folder);
        let places = Places {
            top: command::seen_at(&brought.top, folder, &seen),
            out: seen.join("out"),
            runtime: runtime.as_deref().map(|runtime| self.confinement.runtime_seen(runtime)),
            python: self.settings.python.clone(),
            commit: brought.commit.as_ref().map(|commit| commit.id.clone()),
        };
        let here = Places { top: brought.top.clone(), ..places.clone() };
        let inside = Inside {
            folder,
            begin: here.app(order),
            read: &self.settings.read,
            environment: self.environment(&brought),
            network: order.config.network && self.settings.network,
            runtime: runtime.as_deref(),
        };
        let words = self.confinement.command(&command::arguments(order, &places), &inside);
        self.run_within_limits(&words, &inside, log, &is_over)?;
        Ok(folder.join("out").join(format!("{}.kuzflow", order.container())))
    }

    fn run_within_limits(
        &self,
        words: &[OsString],
        inside: &Inside<'_>,
        log: &Arc<Mutex<LogFile>>,
        is_over: &dyn Fn() -> bool,
    ) -> Result<(), BuildFailure> {
        let settings = &self.settings;
        let limits = Limits {
            time: Duration::from_secs(60 * u64::from(settings.minutes)),
            memory: u64::from(settings.memory_mb) << 20,
            disk: u64::from(settings.disk_mb) << 20,
        };
        // A folder that is not there is what the program itself reports best.
        let begin = if inside.begin.is_dir() { &inside.begin } else { inside.folder };
        let environment = self.confinement.environment(inside);
        let program = Program { words, environment: &environment, begin, folder: inside.folder };
        let lines = log.clone();
        let ended = watch::run(&program, limits, is_over, move |line| {
            // What comes next on a terminal is not what comes next here.
            if !line.starts_with("next: ") {
                mutex::lock(&lines).line(line);
            }
        });
        match ended.map_err(BuildFailure::Start)? {
            Ended::Exited(status) if status.success() => Ok(()),
            Ended::Exited(status) => Err(BuildFailure::Build(status)),
            Ended::Time => Err(BuildFailure::Time(settings.minutes)),
            Ended::Memory => Err(BuildFailure::Memory(settings.memory_mb)),
            Ended::Disk => Err(BuildFailure::Disk(settings.disk_mb)),
            Ended::Over => Err(BuildFailure::Over),
        }
    }

    /// Variables of the build: those of the settings, and the date of the commit.
    fn environment(&self, brought: &Brought) -> Vec<(String, String)> {
        let date = brought
            .commit
            .as_ref()
            .map(|commit| ("SOURCE_DATE_EPOCH".to_owned(), commit.seconds.clone()));
        let named = self.settings.environment.clone().into_iter();
        named.chain(date).collect()
    }

    /// The server's runtime for the platform, unless the order has one.
    fn runtime(&self, order: &BuildOrder) -> Result<Option<PathBuf>, BuildFailure> {
        if order.config.runtime.is_some() {
            return Ok(None);
        }
        let (runtimes, project) = &self.runtimes;
        let pinned = runtimes.pinned_for(&order.platform, project);
        let fetched = pinned.map(|pinned| bundling::fetch_runtime(&pinned, &self.folder.cache()));
        fetched.transpose().map_err(BuildFailure::Runtime)
    }

    /// Proves what came of a build, which had programs of strangers in it, and puts it to its place.
    fn take(
        &self,
        order: &BuildOrder,
        (id, attempt): (&str, i64),
        file: &Path,
        begin: Instant,
    ) -> Result<Outcome, BuildFailure> {
        let is_plain = |path: &Path, folder: bool| {
            let found = fs::symlink_metadata(path);
            found.is_ok_and(|found| if folder { found.is_dir() } else { found.is_file() })
        };
        // A link would lead to a file of the server.
        if !file.parent().is_some_and(|out| is_plain(out, true)) || !is_plain(file, false) {
            return Err(BuildFailure::NoPackage);
        }
        let built = inspect(file, Effort::default().threads)?;
        let (found, ordered) = (built.manifest.id(), order.container());
        if found != ordered {
            let (found, ordered) = (found.to_string(), ordered.to_string());
            return Err(BuildFailure::OtherPackage { found, ordered });
        }
        let package = self.folder.package(id, attempt, &ordered);
        fs::rename(file, &package).at("rename", file)?;
        let unpacked = built.manifest.unpacked_size();
        let result = json!({ "package": {
            "container_id": ordered,
            "attempt": attempt,
            "length": built.length,
            "hash": built.hash,
            "unpacked": unpacked,
            "files": built.manifest.file_manifest.len(),
            "compression_ratio": built.length as f64 / unpacked.max(1) as f64,
            "seconds": begin.elapsed().as_secs(),
        }});
        Ok(Outcome { result: result.to_string(), package })
    }
}
