//! What builds while the server runs: its workers, and whoever removes old results.
//!
//! In: options, the store. Out: threads that build; a reason where none may. Never: a build without
//! a sandbox unless the operator wants that.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::folder::BuildFolder;
use super::sandbox::{self, Confinement};
use super::worker::Workshop;
use crate::error_chain;
use crate::fleet::{Job, JobKind, Store};
use crate::model::platform::AppName;
use crate::mutex;
use crate::publish::BuildSettings;
use crate::server::error::ServerError;
use crate::server::options::BuildOptions;
use crate::threads;

/// How often a worker without work looks for some.
const LOOK: Duration = Duration::from_secs(1);
/// How often it notices that the server ends.
const STEP: Duration = Duration::from_millis(100);
/// How often old results are looked for, besides after each build.
const CLEANING: Duration = Duration::from_secs(60 * 60);
/// Most jobs that are looked through for old results.
const MOST_JOBS: i64 = 10_000;

/// The builds of a server.
pub(in crate::server) struct Builds {
    pub(super) folder: BuildFolder,
    pub(super) settings: BuildSettings,
    /// The app that a request means which names none.
    pub(super) app: Option<AppName>,
    /// Why nothing is built here; `None` if it is.
    pub(super) unready: Option<String>,
    is_ending: Arc<AtomicBool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Builds {
    /// Opens the folder and starts the workers. To be called within the runtime of `handle`.
    pub(in crate::server) fn start(
        options: &BuildOptions,
        store: &Store,
        handle: &Handle,
    ) -> Result<Self, ServerError> {
        let folder = BuildFolder::open(&options.folder).map_err(ServerError::Builds)?;
        let confinement =
            if options.unsandboxed { Confinement::None } else { Confinement::Sandbox };
        let unready = match confinement {
            Confinement::Sandbox => sandbox::probe(folder.path()).err(),
            Confinement::None => None,
        };
        match (&unready, confinement) {
            (Some(reason), _) => {
                tracing::info!(reason, "nothing is built here: there is no sandbox")
            }
            (None, Confinement::None) => tracing::warn!(
                "builds run without a sandbox: whoever may build may do what this server may"
            ),
            (None, Confinement::Sandbox) => {}
        }
        let is_ending = Arc::new(AtomicBool::new(false));
        let builds = Self {
            folder: folder.clone(),
            settings: options.settings.clone(),
            app: options.app.clone(),
            unready,
            is_ending: is_ending.clone(),
            threads: Mutex::default(),
        };
        if builds.unready.is_some() {
            return Ok(builds);
        }
        let workshop = Arc::new(Workshop {
            store: store.clone(),
            handle: handle.clone(),
            folder,
            settings: options.settings.clone(),
            confinement,
            runtimes: options.runtimes.clone(),
            is_ending,
            has_built: AtomicBool::new(false),
        });
        // One more looks after old results, also where other servers build.
        for number in 0..=options.settings.workers {
            let workshop = workshop.clone();
            let thread = threads::spawn(&format!("builds-{number}"), move || match number {
                0 => keep_cleaning(&workshop),
                number => keep_building(&workshop, number),
            });
            mutex::lock(&builds.threads).push(thread.map_err(ServerError::Workers)?);
        }
        Ok(builds)
    }

    /// Ends the builds that run; other servers, or the next start of this one, begin them anew.
    pub(in crate::server) fn end(&self) {
        self.is_ending.store(true, Ordering::Relaxed);
        for thread in mutex::lock(&self.threads).drain(..) {
            // A panic there was reported there.
            let _ = thread.join();
        }
    }
}

impl Drop for Builds {
    fn drop(&mut self) {
        self.is_ending.store(true, Ordering::Relaxed);
    }
}

fn keep_building(workshop: &Workshop, number: u8) {
    let owner = format!("{}-{number}", std::process::id());
    while !workshop.is_ending.load(Ordering::Relaxed) {
        if workshop.build_one(&owner) {
            workshop.has_built.store(true, Ordering::Relaxed);
        } else {
            pause(workshop, LOOK, || false);
        }
    }
}

/// Waits, but not longer than the server runs, or until `is_over`.
fn pause(workshop: &Workshop, time: Duration, is_over: impl Fn() -> bool) {
    let until = Instant::now() + time;
    while Instant::now() < until && !workshop.is_ending.load(Ordering::Relaxed) && !is_over() {
        std::thread::sleep(STEP);
    }
}

fn keep_cleaning(workshop: &Workshop) {
    while !workshop.is_ending.load(Ordering::Relaxed) {
        workshop.folder.remove_broken_uploads();
        let jobs = workshop.store.jobs(JobKind::Build, "", MOST_JOBS);
        match workshop.handle.block_on(jobs) {
            Ok(jobs) => clean(workshop, jobs),
            Err(error) => {
                tracing::warn!(error = error_chain::line(&error), "old builds stay for now");
            }
        }
        pause(workshop, CLEANING, || workshop.has_built.swap(false, Ordering::Relaxed));
    }
}

/// Removes the files of old builds.
fn clean(workshop: &Workshop, jobs: Vec<Job>) {
    let (folder, settings) = (&workshop.folder, &workshop.settings);
    let ids = match folder.ids() {
        Ok(ids) => ids,
        Err(error) => {
            tracing::warn!(error = error_chain::line(&error), "old builds stay for now");
            return;
        }
    };
    let known = |id: &String| jobs.iter().find(|job| job.id == *id);
    let of_no_job = ids.iter().filter(|id| known(id).is_none() && !folder.is_fresh(id));
    let ended = ids.iter().filter_map(known).filter(|job| job.state.has_ended());
    let sizes: Vec<(&Job, u64)> = ended.map(|job| (job, folder.size(&job.id))).collect();
    let now = crate::host::now().as_second();
    let old = too_old(&sizes, now, settings);
    for id in of_no_job.chain(old.into_iter().map(|job| &job.id)) {
        tracing::info!(id, "the files of an old build are removed");
        folder.forget(id);
    }
}

/// The jobs whose files go: those that are too old, and the oldest beyond the room for all.
fn too_old<'a>(sizes: &[(&'a Job, u64)], now: i64, settings: &BuildSettings) -> Vec<&'a Job> {
    let mut sizes = sizes.to_vec();
    sizes.sort_by_key(|(job, _)| std::cmp::Reverse(job.changed));
    let last = now - i64::from(settings.days) * 24 * 60 * 60;
    let room = u64::from(settings.results_mb) << 20;
    let mut taken = 0u64;
    sizes
        .into_iter()
        .filter(|(job, size)| {
            taken = taken.saturating_add(*size);
            job.changed < last || taken > room
        })
        .map(|(job, _)| job)
        .collect()
}

/// Where builds are if the operator names no folder.
pub(crate) fn usual_folder(data: &std::path::Path) -> PathBuf {
    data.join("builds")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::JobState;

    #[test]
    fn old_results_go_and_then_the_oldest_beyond_the_room() {
        let job = |id: &str, changed: i64| Job {
            id: id.to_owned(),
            asked_by: String::new(),
            state: JobState::Done,
            payload: String::new(),
            result: String::new(),
            attempt: 1,
            created: 0,
            began: None,
            changed,
            is_cancelled: false,
        };
        let day = 24 * 60 * 60;
        let (new, middle, old) = (job("new", 9 * day), job("middle", 8 * day), job("old", day));
        let settings = BuildSettings { days: 5, results_mb: 10, ..BuildSettings::default() };
        let gone = |sizes: [u64; 3]| -> Vec<String> {
            let sizes = [(&old, sizes[0] << 20), (&middle, sizes[1] << 20), (&new, sizes[2] << 20)];
            too_old(&sizes, 10 * day, &settings).iter().map(|job| job.id.clone()).collect()
        };
        assert_eq!(gone([1, 1, 1]), ["old"]);
        assert_eq!(gone([1, 6, 6]), ["middle", "old"]);
        assert_eq!(gone([1, 1, 11]), ["new", "middle", "old"], "even the newest has its limit");
    }
}
