//! The self-update: fetches a newer launcher that signed metadata names, verifies it, tests it, and
//! exchanges this executable for it. It runs quietly: nobody asked for it, nobody waits for it, and
//! every failure goes to the log.
//!
//! It reads the metadata that the last check verified. So it runs after a check, and asks the
//! network only for the launcher itself.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::check;
use crate::desktop::program::{LauncherFile, TEST_TIME, Unfit};
use crate::environment::Environment;
use crate::error_chain;
use crate::fetch::{self, Client, ClientOptions, Control, FetchError, RunState};
use crate::file_error::{FileError, FileResult as _};
use crate::messages::problem;
use crate::messages::protocol::Problem;
use crate::model::launcher::{LAUNCHER_SUFFIX, newer, own_version};
use crate::model::{Platform, SignedLauncher, Version};
use crate::{durable, look};

/// How long to keep trying while no node sends bytes: the time that a single node takes which needs
/// twenty seconds for its answers (three requests given up too early, and one that succeeds).
const FETCH_TIMEOUT: Duration = Duration::from_secs(75);
/// Interval between two checks whether to go on.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Why the launcher stays as it is although a newer one exists.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SelfUpdateError {
    /// The download failed: the network, or the disk for the fetched file.
    #[error("the new launcher cannot be fetched")]
    Fetch(#[from] FetchError),
    /// The exchange failed: the new launcher, or the place of this one.
    #[error("the launcher cannot be exchanged")]
    Unfit(#[from] Unfit),
    /// A file of the launcher cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The runtime for the network cannot be started.
    #[error("the network cannot be used")]
    Runtime(#[source] std::io::Error),
}

/// The test that a new launcher runs on itself before the exchange: settings were read (or there
/// would be no `environment`), there is a root to trust, and the home can be read. Writes nothing.
///
/// # Errors
/// The problem as it would be shown to a person.
pub(crate) fn test_self(environment: &Environment) -> Result<Version, Problem> {
    let trust = environment.trust();
    trust.check_root().map_err(|error| problem::of_trust(&error))?;
    environment.home.installed().map_err(|error| problem::of_store(&error))?;
    Ok(own_version())
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SelfUpdateOutcome {
    /// The next start uses this version.
    Exchanged(Version),
    /// There is no launcher to exchange this one for.
    Nothing,
    /// Somebody stopped it. The partial file stays for the next time.
    Stopped,
}

/// Exchanges this launcher if a newer one is published. Blocks; Some times a second it asks `go_on`
/// whether to go on.
///
/// `test` are the arguments with which the new launcher tests itself.
///
/// # Errors
/// [`SelfUpdateError`]; the executable is as it was.
pub(crate) fn perform(
    environment: &Environment,
    program: &LauncherFile,
    test: &[OsString],
    go_on: &dyn Fn() -> bool,
) -> Result<SelfUpdateOutcome, SelfUpdateError> {
    let Some(signed) = wanted(environment, program) else { return Ok(SelfUpdateOutcome::Nothing) };
    let launcher = &signed.launcher;
    tracing::info!(version = %launcher.version, bytes = signed.length, "a newer launcher is published");
    let folder = environment.home.own_update();
    durable::create_folders(&folder).at("use", &folder)?;
    // Each launcher version has one file: what is left of an earlier one is useless.
    let partial = folder.join(&signed.target);
    for entry in look::entries(&folder).at("use", &folder)? {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.contains(LAUNCHER_SUFFIX) && !name.starts_with(&signed.target) {
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
    let packed = File::open(&partial).at("use", &partial)?;
    let mut unpacked = zstd::Decoder::new(packed).at("use", &partial)?;
    let staged = program.stage(&mut unpacked, &launcher.version, launcher.hash, launcher.size);
    // Fit or unfit, the file is not needed a second time.
    if !matches!(staged, Err(Unfit::Busy)) {
        let _ = environment.home.remove_own("own-update");
    }
    staged?.replace_running(test, &own_version(), TEST_TIME)?;
    tracing::info!(version = %launcher.version, program = %program.path().display(), "the next start uses the new launcher");
    Ok(SelfUpdateOutcome::Exchanged(launcher.version.clone()))
}

/// The newer launcher, if this one may be exchanged for it.
fn wanted(environment: &Environment, program: &LauncherFile) -> Option<SignedLauncher> {
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
    // The events are ignored, but the sender needs an open channel that never fills.
    let (events, mut arriving) = mpsc::unbounded_channel();
    let download = fetch::download(&client, job, control.subscribe(), events);
    tokio::pin!(download);
    loop {
        tokio::select! {
            ended = &mut download => return ended.map(drop),
            Some(_) = arriving.recv() => {}
            () = tokio::time::sleep(POLL_INTERVAL) => {}
        }
        if !go_on() {
            control.send_modify(|control| control.state = RunState::Cancel);
        }
    }
}
