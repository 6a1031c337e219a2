//! Sends the reports that wait, one batch after the other.
//!
//! In: a home, its settings, a client. Out: requests to the publisher's server; reports that it has
//! are removed. Never: before the app's start; longer than its time; again before the server wants
//! it. It may be interrupted at any instant: what is sent again counts once.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::memory::Memory;
use super::pacing::{Fate, Outcome, fate};
use super::queue::{Queue, Waiting};
use super::{ONE_AT_A_TIME, is_on};
use crate::environment::Environment;
use crate::error_chain;
use crate::fetch::{Client, FetchError};
use crate::file_error::FileError;
use crate::host;
use crate::model::report::{BATCH_BYTES, BATCH_REPORTS, Batch, Report};
use crate::mutex;

/// Most batches in a row; the next check sends what is left.
const BATCHES: usize = 4;
/// Longest time for one batch.
const TIME: Duration = Duration::from_secs(10);
/// Largest answer that is read, bytes.
const MAX_ANSWER_BYTES: u64 = 4096;

/// A batch on its way.
struct Outgoing {
    address: Url,
    body: Vec<u8>,
    /// The files of its reports.
    paths: Vec<PathBuf>,
    dropped: u64,
    failures: u32,
}

/// Sends what waits, unless nothing is to be sent now.
pub(crate) async fn send(environment: Arc<Environment>, client: Client) {
    for _ in 0..BATCHES {
        let shared = Arc::clone(&environment);
        let Ok(Some(outgoing)) = tokio::task::spawn_blocking(move || next(&shared)).await else {
            return;
        };
        let outcome = post(&client, &outgoing).await;
        let sent = outgoing.paths.len() as u64;
        let fate = fate(outcome, sent, outgoing.failures, fastrand::f64());
        tracing::debug!(sent, ?fate, "reports");
        let shared = Arc::clone(&environment);
        let settled = tokio::task::spawn_blocking(move || settle(&shared, &outgoing, fate)).await;
        if let Ok(Err(error)) = &settled {
            tracing::info!(error = error_chain::line(error), "reports may be sent again");
        }
        if matches!(fate, Fate::Waits { .. }) || !matches!(settled, Ok(Ok(()))) {
            return;
        }
    }
}

/// The next batch, if there is one and it is time.
fn next(environment: &Environment) -> Option<Outgoing> {
    let settings = &environment.settings;
    let address = settings.reports.address(settings.api.as_ref()).filter(|_| is_on(environment))?;
    let queue = Queue::of(&environment.home);
    let Memory { not_before, dropped, failures, .. } = queue.memory();
    let wait = not_before.saturating_sub(host::now().as_second());
    // A time farther away than any pause comes from a clock that was wrong then.
    if wait > 0 && wait <= 2 * 24 * 60 * 60 {
        return None;
    }
    let (body, paths) = batch(queue.waiting(), dropped)?;
    Some(Outgoing { address, body, paths, dropped, failures })
}

/// As many reports, the oldest first, as a batch may hold.
fn batch(waiting: Vec<Waiting>, dropped: u64) -> Option<(Vec<u8>, Vec<PathBuf>)> {
    let mut batch: Batch<Report> = Batch { reports: Vec::new(), dropped };
    let (mut paths, mut bytes) = (Vec::new(), 64);
    for Waiting { path, report } in waiting.into_iter().take(BATCH_REPORTS) {
        bytes += serde_json::to_vec(&report).ok()?.len() + 1;
        if bytes > BATCH_BYTES {
            break;
        }
        batch.reports.push(report);
        paths.push(path);
    }
    let body = serde_json::to_vec(&batch).ok().filter(|_| !paths.is_empty())?;
    Some((body, paths))
}

async fn post(client: &Client, outgoing: &Outgoing) -> Outcome {
    let posted = client.post_json(&outgoing.address, outgoing.body.clone(), MAX_ANSWER_BYTES);
    let posted = tokio::time::timeout(TIME, posted).await;
    match posted {
        Ok(Ok(posted)) => Outcome::Answered {
            status: posted.status,
            retry_after: posted.retry_after,
            answer: serde_json::from_slice(&posted.body).ok(),
        },
        Ok(Err(error)) => {
            log(&error);
            Outcome::None
        }
        Err(_) => Outcome::None,
    }
}

fn log(error: &FetchError) {
    tracing::info!(error = error_chain::line(error), "reports cannot be sent now");
}

/// Removes what the server has, and remembers when it may be asked again.
fn settle(environment: &Environment, outgoing: &Outgoing, fate: Fate) -> Result<(), FileError> {
    let _alone = mutex::lock(&ONE_AT_A_TIME);
    let queue = Queue::of(&environment.home);
    if !matches!(fate, Fate::Waits { .. }) {
        queue.remove(&outgoing.paths)?;
    }
    if !is_on(environment) {
        // Switched off meanwhile: nothing is remembered.
        return Ok(());
    }
    let before = queue.memory();
    let mut memory = before.clone();
    match fate {
        Fate::Taken => {
            memory.dropped = memory.dropped.saturating_sub(outgoing.dropped);
            (memory.failures, memory.not_before) = (0, 0);
        }
        Fate::Lost => memory.dropped += outgoing.paths.len() as u64,
        Fate::Waits { pause, failed } => {
            let seconds = i64::try_from(pause.as_secs()).unwrap_or(i64::MAX);
            memory.not_before = host::now().as_second().saturating_add(seconds);
            if failed {
                memory.failures = memory.failures.saturating_add(1);
            }
        }
    }
    if memory == before { Ok(()) } else { queue.remember(&memory) }
}
