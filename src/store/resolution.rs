//! The version that a start uses: first an interrupted switch is finished, and a pending one performed.
//!
//! In: a home. Out: the version to start, and what became of a switch. Never: makes a start wait long
//! for another launcher; leaves the user without the version that was active.

use std::time::{Duration, Instant};

use super::files::exists;
use super::journal;
use super::lock::{HomeLock, RunningLock};
use super::recall::{self, SwitchedFiles};
use super::switch::SwitchOptions;
use super::{Active, Home, InstalledRecord, StoreError};
use crate::error_chain;
use crate::model::ContainerId;

/// How many times a pending switch is tried if it fails for a reason that may pass: a full disk, a
/// file that cannot be read.
const MAX_TRIES: u32 = 2;
/// How long a start waits for a launcher that is in the middle of a switch.
const MAX_WAIT_FOR_SWITCH: Duration = Duration::from_millis(1500);

/// The result of [`resolve_for_start`].
#[derive(Debug)]
pub(crate) struct Resolved {
    /// The version to start.
    pub record: InstalledRecord,
    /// A pending switch that was performed, with the result for the user's files, or that failed
    /// and was abandoned.
    pub switched: Option<Result<SwitchedFiles, (ContainerId, StoreError)>>,
    /// A version that waited for this start, and was recalled meanwhile.
    pub withdrawn: Option<ContainerId>,
    /// Why an interrupted or a pending switch waits.
    pub waits: Option<StoreError>,
}

impl Resolved {
    /// The version that was active before.
    const fn staying(record: InstalledRecord) -> Self {
        Self { record, switched: None, withdrawn: None, waits: None }
    }
}

/// Finds the version to start now. It first finishes an interrupted switch and performs a pending
/// one, unless another launcher is at work or the app is still running in the old version. A switch
/// that fails is reported, and the previously active version starts. A lost `active.json` is
/// rewritten if no other launcher is at work.
pub(crate) fn resolve_for_start(
    home: &Home,
    options: SwitchOptions,
) -> Result<Resolved, StoreError> {
    finish_interrupted(home);
    if home.has_lost_pointer() {
        let written = HomeLock::take(home).and_then(|lock| home.ensure_active(&lock));
        if let Err(error) = written {
            tracing::warn!(
                error = error_chain::line(&error),
                "active.json could not be written anew"
            );
        }
    }
    let (active, record) = home.active_for_start()?;
    let stay = |record| Ok(Resolved::staying(record));
    let Some(pending) = active.pending.clone() else { return stay(record) };
    match RunningLock::refuse_if_held(home, &active.container) {
        Ok(()) => {}
        Err(StoreError::InUse { .. }) => return stay(record),
        Err(error) => {
            tracing::error!(
                error = error_chain::line(&error),
                "it is unknown whether the app runs; the pending switch waits"
            );
            return Ok(Resolved { waits: Some(error), ..Resolved::staying(record) });
        }
    }
    let lock = match HomeLock::take(home) {
        Ok(lock) => lock,
        Err(error) => {
            tracing::warn!(error = error_chain::line(&error), "the pending switch waits");
            return stay(record);
        }
    };
    if let Err(error) = journal::settle(home, &lock) {
        tracing::error!(
            error = error_chain::line(&error),
            "a switch that was cut short waits; so does the pending one"
        );
        return Ok(Resolved { waits: Some(error), ..Resolved::staying(record) });
    }
    if active.pending_goes_back && !recall::is_active_recalled(home) {
        tracing::info!(%pending, "the recall was taken back meanwhile");
        forget_pending(home, active);
        return stay(record);
    }
    if recall::is_recalled(home, &pending) {
        tracing::warn!(%pending, "the version that waited was recalled meanwhile");
        forget_pending(home, active);
        return Ok(Resolved { withdrawn: Some(pending), ..Resolved::staying(record) });
    }
    let switched = match active.pending_goes_back {
        true => recall::follow(home, &pending, options, &lock),
        false => recall::leave(home, &pending, options, &lock),
    };
    match switched {
        Ok((record, files)) => {
            files.carried_over.log();
            Ok(Resolved { switched: Some(Ok(files)), ..Resolved::staying(record) })
        }
        Err(StoreError::InUse { .. }) => stay(record),
        Err(error) => without_pending_switch(home, pending, error),
    }
}

/// Finishes an interrupted switch, which takes no more than the lock. Waits for another launcher
/// that may be at it.
fn finish_interrupted(home: &Home) {
    if !exists(&home.journal()).unwrap_or(true) {
        return;
    }
    let end = Instant::now() + MAX_WAIT_FOR_SWITCH;
    while let Err(error) = HomeLock::take(home) {
        if !matches!(error, StoreError::Busy { .. }) || Instant::now() >= end {
            tracing::error!(
                error = error_chain::line(&error),
                "an interrupted switch is not finished"
            );
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Forgets a pending switch that no longer applies. A disk that refuses the note keeps nobody from
/// the active version: the next start finds the same.
fn forget_pending(home: &Home, active: Active) {
    let without = Active { pending: None, pending_goes_back: false, pending_failures: 0, ..active };
    if let Err(error) = home.set_active(&without) {
        tracing::warn!(
            error = error_chain::line(&error),
            "a pending switch that no longer applies is still written down"
        );
    }
}

/// The version before the switch to `pending`, which failed. The switch is tried again at the next
/// start, unless it would only fail again and cost time each time.
fn without_pending_switch(
    home: &Home,
    pending: ContainerId,
    error: StoreError,
) -> Result<Resolved, StoreError> {
    tracing::error!(
        error = error_chain::line(&error),
        "the pending switch failed; starting the version before it"
    );
    let (active, record) = home.active_for_start()?;
    let failures = active.pending_failures + 1;
    let given_up = error.is_final() || failures >= MAX_TRIES;
    let pending_failures = if given_up { 0 } else { failures };
    let left = active.pending.clone().filter(|_| !given_up);
    let pending_goes_back = active.pending_goes_back && left.is_some();
    let noted = Active { pending: left, pending_goes_back, pending_failures, ..active };
    if let Err(error) = home.set_active(&noted) {
        tracing::warn!(
            error = error_chain::line(&error),
            "the failure of a pending switch is not written down"
        );
    }
    let switched = given_up.then_some(Err((pending, error)));
    Ok(Resolved { switched, ..Resolved::staying(record) })
}
