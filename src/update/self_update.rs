//! The launcher's own update: what signed metadata says is newer is fetched, proved, tried, and
//! exchanged for this executable. Quietly: nobody asked for it, nobody waits for it, and whatever
//! goes wrong is told in the log.
//!
//! It reads what the last check came to trust; so it comes after a check, and asks the network only
//! for the launcher itself.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::check;
use crate::desktop::program::{Program, TEST_TIME, Unfit};
use crate::environment::Environment;
use crate::error_chain;
use crate::fetch::{self, Client, ClientOptions, Control, FetchError, RunState};
use crate::messages::problem;
use crate::messages::protocol::Problem;
use crate::model::launcher::{newer, own_version};
use crate::model::{Platform, SignedLauncher, Version};
use crate::{durable, look};

/// How long to keep trying while nothing comes from any node: as long as a lone node takes that
/// needs twenty seconds for its answers (three that are given up too early, and one that comes).
const FETCH_TIMEOUT: Duration = Duration::from_secs(75);
/// Between two looks whether to go on.
const LOOK: Duration = Duration::from_millis(200);

/// Why the launcher stays as it is although there is a newer one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SelfUpdateError {
    /// The network or the disk for what is fetched.
    #[error("the new launcher cannot be fetched")]
    Fetch(#[from] FetchError),
    /// The new launcher, or the place of this one.
    #[error("the launcher cannot be exchanged")]
    Unfit(#[from] Unfit),
    /// A file of ours.
    #[error("cannot use {}", path.display())]
    Disk {
        /// Which file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No runtime for the network.
    #[error("the network cannot be used")]
    Runtime(#[source] std::io::Error),
}

/// What a new launcher answers for before it takes a place: settings were read (or there would be
/// no `environment`), there is a root to trust, and the home can be read. Writes nothing.
///
/// # Errors
/// What a person would be told.
pub(crate) fn test_self(environment: &Environment) -> Result<Version, Problem> {
    let trust = environment.trust();
    trust.check_root().map_err(|error| problem::of_trust(&error))?;
    environment.home.installed().map_err(|error| problem::of_store(&error))?;
    Ok(own_version())
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SelfUpdateOutcome {
    /// The next start uses this version.
    Exchanged(Version),
    /// There is none that this launcher should be exchanged for.
    Nothing,
    /// Somebody stopped it; what was fetched is kept for the next time.
    Stopped,
}

/// Exchanges this launcher if a newer one is published. Blocks; `go_on` is asked some times a
/// second whether to.
///
/// `test` are the arguments with which the new launcher tests itself.
///
/// # Errors
/// [`SelfUpdateError`]; the executable is as it was.
pub(crate) fn perform(
    environment: &Environment,
    program: &Program,
    test: &[OsString],
    go_on: &dyn Fn() -> bool,
) -> Result<SelfUpdateOutcome, SelfUpdateError> {
    let Some(signed) = wanted(environment, program) else { return Ok(SelfUpdateOutcome::Nothing) };
    let launcher = &signed.launcher;
    tracing::info!(version = %launcher.version, bytes = signed.length, "a newer launcher is published");
    let folder = environment.home.own_update();
    let disk = |path: &Path| {
        let path = path.to_owned();
        move |source| SelfUpdateError::Disk { path, source }
    };
    durable::create_folders(&folder).map_err(disk(&folder))?;
    // One file a build: what is left of an earlier one is of no use.
    let partial = folder.join(&signed.target);
    for entry in look::entries(&folder).map_err(disk(&folder))? {
        if !entry.file_name().to_string_lossy().starts_with(&signed.target) {
            let _ = fs::remove_file(entry.path());
        }
    }
    let runtime = crate::threads::runtime(0).map_err(SelfUpdateError::Runtime)?;
    let fetched = runtime.block_on(download(environment, &signed, &partial, go_on));
    match fetched {
        Ok(()) => {}
        Err(FetchError::Cancelled) => return Ok(SelfUpdateOutcome::Stopped),
        Err(error) => return Err(error.into()),
    }
    let packed = File::open(&partial).map_err(disk(&partial))?;
    let mut unpacked = zstd::Decoder::new(packed).map_err(disk(&partial))?;
    let staged = program.stage(&mut unpacked, &launcher.version, launcher.hash, launcher.size);
    // Right or wrong, it is not needed a second time.
    if !matches!(staged, Err(Unfit::Busy)) {
        let _ = fs::remove_dir_all(&folder);
    }
    staged?.replace_running(test, &own_version(), TEST_TIME)?;
    tracing::info!(version = %launcher.version, program = %program.path().display(), "the next start uses the new launcher");
    Ok(SelfUpdateOutcome::Exchanged(launcher.version.clone()))
}

/// The newer launcher, if this one may be exchanged for it.
fn wanted(environment: &Environment, program: &Program) -> Option<SignedLauncher> {
    if !environment.settings.launcher.self_update {
        return None;
    }
    let repository = environment.trust().cached()?;
    if repository.expires < crate::host::now() {
        return None;
    }
    let signed = newer(&repository.launchers, &Platform::current(), &own_version())?.clone();
    if program.has_failed(&signed.launcher.hash) {
        tracing::info!(version = %signed.launcher.version, "the newer launcher has failed here and is not tried again");
        return None;
    }
    if let Some(error) = program.fixed() {
        let program = program.path().display();
        tracing::info!(%program, error = error_chain::line(&error), "there is a newer launcher, which somebody else is to install");
        return None;
    }
    Some(signed)
}

async fn download(
    environment: &Environment,
    signed: &SignedLauncher,
    partial: &Path,
    go_on: &dyn Fn() -> bool,
) -> Result<(), FetchError> {
    let client = Client::new(&ClientOptions::default())?;
    let nodes = check::nodes(environment, &client).await;
    let pieces = Arc::new(signed.launcher.pieces.clone());
    let job = fetch::DownloadJob {
        memory: Some(environment.home.node_memory()),
        timeout: FETCH_TIMEOUT,
        ..fetch::DownloadJob::new(
            signed.location(),
            signed.length,
            pieces,
            nodes,
            partial.to_owned(),
        )
    };
    let control = watch::Sender::new(Control {
        state: RunState::Run,
        limit: environment.settings.bandwidth_limit(),
    });
    // Nobody looks at the events; the sender must not find a closed channel, nor a full one.
    let (events, mut arriving) = mpsc::unbounded_channel();
    let download = fetch::download(&client, job, control.subscribe(), events);
    tokio::pin!(download);
    loop {
        tokio::select! {
            ended = &mut download => return ended.map(drop),
            Some(_) = arriving.recv() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
        if !go_on() {
            control.send_modify(|control| control.state = RunState::Cancel);
        }
    }
}
