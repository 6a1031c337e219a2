//! A version whose start is being assessed: counts its starts, records its probation, and performs
//! the rollback if it did not come up.
//!
//! In: observations of a start. Out: the probation in the home, the version to start next, and
//! incidents as notices. Never: assesses a version that is no longer the active one (another launcher
//! may have rolled it back), or rolls back a rollback. Where a rollback cannot be written to disk
//! (a full disk), the launcher starts the earlier version all the same.

use std::time::Duration;

use super::app_session::AppSession;
use super::health::{self, Rules};
use crate::error_chain;
use crate::model::incident::{Incident, LaunchFailure};
use crate::model::{ContainerId, Version};
use crate::reports::{self, Happening};
use crate::store::launch;
use crate::store::lock::RunningLock;
use crate::store::probation::{self, HealthReport};
use crate::store::rollback::{self, RollbackTarget};
use crate::store::{FailedRelease, InstalledRecord, Probation, StoreError, usage};

/// A version whose start is being assessed.
pub(super) struct Trial {
    pub(super) record: InstalledRecord,
    /// The version's probation, if it is on one.
    pub(super) probation: Option<Probation>,
    /// The version whose place it took, since that did not come up. If no version comes up, the
    /// cause is this computer, and none is recorded as failed.
    failed_before: Option<FailedRelease>,
}

impl Trial {
    pub(super) fn new(
        session: &AppSession,
        record: InstalledRecord,
        probation: Option<Probation>,
    ) -> Self {
        let failed_before = probation::failed_release(session.home(), &record.container);
        Self { record, probation, failed_before }
    }

    pub(super) fn is_assessed(&self) -> bool {
        self.probation.is_some() || self.failed_before.is_some()
    }

    pub(super) fn is_up(&self) -> bool {
        self.probation.as_ref().is_some_and(|probation| probation.up)
    }

    /// Whether another start now would only repeat what the user has seen.
    fn user_decides(&self) -> bool {
        self.is_up()
            || self.probation.as_ref().is_some_and(|probation| probation.rollback_is_useless)
    }

    pub(super) fn was_settled(&self) -> bool {
        self.probation.as_ref().is_some_and(|probation| probation.was_settled)
    }

    /// Counts a good run. Returns whether there were enough of them to settle the version.
    pub(super) fn ran_well(&mut self, session: &AppSession) -> bool {
        self.came_up(session);
        let Some(probation) = &mut self.probation else { return true };
        probation.good_runs += 1;
        let good_runs = probation.good_runs;
        if good_runs < health::GOOD_RUNS {
            change(session, &self.record, |probation| Some(Probation { good_runs, ..probation }));
        }
        good_runs >= health::GOOD_RUNS
    }

    /// Records that this version has come up: so the version before it failed by its own fault.
    pub(super) fn came_up(&mut self, session: &AppSession) {
        if let Some(probation) = &mut self.probation {
            if !probation.up {
                let version = self.record.container.version.clone();
                reports::record_soon(&session.environment, Happening::Up(version));
            }
            let up = |probation| Probation {
                up: true,
                failures: 0,
                rollback_is_useless: false,
                ..probation
            };
            *probation = up(probation.clone());
            change(session, &self.record, |probation| Some(up(probation)));
        }
        if let Err(error) =
            probation::forget_failure(session.home(), &self.record.container.version)
        {
            tracing::warn!(
                error = error_chain::line(&error),
                "a version that works is still recorded as failed"
            );
        }
        if self.failed_before.take().is_some()
            && let Err(error) = probation::confirm_failed_release(session.home())
        {
            tracing::warn!(
                error = error_chain::line(&error),
                "who was at fault is not written down"
            );
        }
    }

    /// Ends the search for a version that comes up: this one has failed like those before it. The
    /// one that was active at first is so again, unless this one had proved itself and that one had
    /// not.
    pub(super) fn fallback_failed(&mut self, session: &AppSession) {
        if let Some(failed) = self.failed_before.take() {
            let id = &self.record.container;
            tracing::error!(version = %failed.version, container = %id, "both fail here: neither is recorded as failed");
            let is_last = self.probation.is_some();
            let back = session.lock_for_start();
            let back = back.and_then(|lock| {
                probation::return_to_failed_release(session.home(), id, is_last, &lock)
            });
            if let Err(error) = back {
                tracing::warn!(
                    error = error_chain::line(&error),
                    "the version that was left stays so"
                );
            }
            withdraw_failed_release(session);
        }
    }
}

pub(super) fn withdraw_failed_release(session: &AppSession) {
    if let Err(error) = probation::withdraw_failed_release(session.home()) {
        tracing::warn!(
            error = error_chain::line(&error),
            "a release that may not be at fault stays recorded as failed"
        );
    }
}

/// Records that the version must not be offered again. Returns whether that was written to disk.
pub(super) fn remember_failed(session: &AppSession, version: &Version) -> bool {
    let written = probation::remember_failed(session.home(), version);
    if let Err(error) = &written {
        tracing::warn!(error = error_chain::line(error), "the failed version may be offered again");
    }
    written.is_ok()
}

/// Counts the start of a version on probation. If that is one too many, the version to start is the
/// one before it.
pub(super) fn count(session: &AppSession, record: InstalledRecord) -> Trial {
    let home = session.home();
    let trial = |probation| Trial::new(session, record.clone(), probation);
    let probation = match home.active() {
        Ok((active, _)) => active.probation,
        // Its probation cannot be read or written.
        Err(error) if is_out_of_reach(&error) => {
            return trial(Some(Probation::begin(jiff::Timestamp::now())));
        }
        Err(_) => None,
    };
    let Some(probation) = probation else { return trial(None) };
    if probation.up {
        let age = jiff::Timestamp::now().duration_since(probation.since);
        if !probation.was_settled
            && Duration::try_from(age).is_ok_and(|age| age > health::SETTLED_ANYWAY)
        {
            change(session, &record, |_| None);
            return trial(None);
        }
        return trial(Some(probation));
    }
    if launch::last_words_of_app(home, &record.container, probation.since) == Some(HealthReport::Up)
    {
        // The app came up, but the launcher ended before it saw that.
        let mut trial = trial(Some(probation));
        trial.came_up(session);
        return trial;
    }
    if RunningLock::is_started(home, &record.container) {
        // This is a second instance: the first one is being assessed.
        return trial(Some(probation));
    }
    if probation.starts >= health::MAX_UNKNOWN_STARTS
        && let Ok(back) = go_back(session, &record, LaunchFailure::NeverUp)
    {
        let probation = home.active().ok().and_then(|(active, _)| active.probation);
        return Trial::new(session, back, probation);
    }
    change(session, &record, |probation| {
        Some(Probation { starts: probation.starts + 1, ..probation })
    });
    trial(Some(Probation { starts: probation.starts + 1, ..probation }))
}

/// Takes back the count of a start whose end was seen and proves nothing.
pub(super) fn take_back_start(session: &AppSession, record: &InstalledRecord) {
    change(session, record, |probation| {
        let starts =
            if probation.up { probation.starts } else { probation.starts.saturating_sub(1) };
        Some(Probation { starts, ..probation })
    });
}

/// Writes the changed probation to disk. A failure goes to the log, and this launcher goes on as if
/// it had been written.
pub(super) fn change(
    session: &AppSession,
    record: &InstalledRecord,
    changed: impl FnOnce(Probation) -> Option<Probation>,
) {
    let written = session
        .lock_for_start()
        .and_then(|lock| probation::change(session.home(), &record.container, &lock, changed));
    if let Err(error) = written {
        tracing::warn!(error = error_chain::line(&error), "the probation is not written down");
    }
}

pub(super) fn rules(session: &AppSession) -> Rules {
    let health = &session.environment.settings.health;
    Rules {
        survival: Duration::from_secs(health.survival_seconds),
        up_within: Duration::from_secs(health.up_within_seconds),
        tries: health.tries,
    }
}

/// Counts a failure. Returns whether it was one too many.
pub(super) fn fail(session: &AppSession, trial: &mut Trial, rules: &Rules, is_sure: bool) -> bool {
    let Some(probation) = &mut trial.probation else { return false };
    probation.failures += 1;
    let (failures, up, rollback_is_useless) =
        (probation.failures, probation.up, probation.rollback_is_useless);
    change(session, &trial.record, |probation| Some(Probation { failures, ..probation }));
    // What kept every version from starting may have passed: later failures count again.
    if rollback_is_useless && !health::ends_excuse(failures) {
        return false;
    }
    if is_sure {
        health::exceeds_tries(rules, failures, up)
    } else {
        health::exceeds_tries_in_doubt(rules, failures)
    }
}

/// Counts a failure of the version on trial. Returns the version to start now; `None` if the user,
/// who saw the failure, decides what is started next.
///
/// A version that replaces another failed one is left for the next one that can take its place,
/// and each version is tried once in this search: `fallback` names none that failed. Where nothing
/// is left to try, the search has failed. A failure that the user's arguments may have caused
/// decides nothing until it has happened often enough.
pub(super) fn after_failure(
    session: &AppSession,
    trial: &mut Trial,
    rules: &Rules,
    failure: LaunchFailure,
    is_sure: bool,
) -> Option<InstalledRecord> {
    let id = trial.record.container.clone();
    if !is_assessed_here(session, &trial.record) {
        // The rollback to this version may not have been written to disk.
        if is_sure {
            trial.fallback_failed(session);
        }
        return None;
    }
    let exceeds_tries = fail(session, trial, rules, is_sure);
    let has_fallback = fallback(session, &id).is_some();
    let replaces = trial.failed_before.as_ref().map(|failed| failed.was_settled);
    let had_proved_itself = trial.probation.is_none();
    if let Some(was_settled) = replaces
        && (is_sure || exceeds_tries)
    {
        // A proved version that fails like an unproved one stays; its next starts are assessed.
        if !has_fallback || had_proved_itself && !was_settled {
            trial.fallback_failed(session);
            return None;
        }
        if had_proved_itself {
            return go_back(session, &trial.record, failure).ok();
        }
    }
    if has_fallback && exceeds_tries {
        return go_back(session, &trial.record, failure).ok();
    }
    // Without a version that can take its place the user decides. So does the user where the
    // version worked for a while, where no other version works either, or where it refused the
    // user's arguments.
    if !has_fallback || had_proved_itself || trial.user_decides() || !is_sure {
        take_back_start(session, &trial.record);
        return None;
    }
    Some(trial.record.clone())
}

/// Whether `record` is still the version that is active and assessed: another launcher may have
/// rolled it back meanwhile.
fn is_assessed_here(session: &AppSession, record: &InstalledRecord) -> bool {
    match session.home().active() {
        Ok((active, _)) => {
            let id = &record.container;
            active.container == *id
                && (active.probation.is_some()
                    || probation::failed_release(session.home(), id).is_some())
        }
        Err(error) => is_out_of_reach(&error),
    }
}

/// Whether the active version is unknown: then the started version is assessed all the same.
fn is_out_of_reach(error: &StoreError) -> bool {
    matches!(error, StoreError::File(_))
}

/// The version that can take the place of `id`, which is the active version or, where that is
/// unknown, the started one.
pub(super) fn fallback(session: &AppSession, id: &ContainerId) -> Option<RollbackTarget> {
    match session.home().active() {
        Err(error) if is_out_of_reach(&error) => rollback::other_than(session.home(), id),
        _ => rollback::fallback(session.home()),
    }
}

/// Rolls back, records the failed version, leaves a notice, and returns the version to start. Where
/// that cannot be written to disk the returned version is started all the same, with its own files.
pub(super) fn go_back(
    session: &AppSession,
    record: &InstalledRecord,
    failure: LaunchFailure,
) -> Result<InstalledRecord, StoreError> {
    let home = session.home();
    let refused = || StoreError::NoRollbackPoint { id: record.container.to_string() };
    if !session.environment.settings.health.automatic_rollback {
        return Err(refused());
    }
    let target = fallback(session, &record.container).ok_or_else(refused)?;
    let probation = home.active().ok().and_then(|(active, _)| active.probation);
    let was_settled = probation.is_some_and(|probation| probation.was_settled);
    let back = session.lock_for_start().and_then(|lock| {
        // Under the lock: two launchers may have seen the same version fail, and only one of them
        // rolls back.
        if !is_assessed_here(session, record) {
            return Err(StoreError::Switched { id: record.container.to_string() });
        }
        // First, so that a kill cannot leave a failed version without a record.
        let is_known = remember_failed(session, &record.container.version);
        let back = rollback::go_to(home, &target, &lock);
        if !is_known {
            remember_failed(session, &record.container.version);
        }
        back
    });
    match back {
        Ok(back) => {
            let (from, to) = (back.from.version.clone(), back.record.container.version.clone());
            if let Err(error) =
                probation::record_failed_release(home, &from, &back.record.container, was_settled)
            {
                tracing::warn!(
                    error = error_chain::line(&error),
                    "if the version before fails as well, nobody will know"
                );
            }
            let happening = Happening::RolledBack {
                from: from.clone(),
                to: to.clone(),
                failure: failure.clone(),
            };
            reports::record_soon(&session.environment, happening);
            let places = [back.retained.clone(), home.container(&back.record.container)];
            let holds_files = places.iter().any(|place| usage::holds_all_user_files(place));
            session.leave_notice(Incident::RolledBack {
                from,
                to,
                failure,
                retained: back.retained.clone(),
                holds_files,
            });
            Ok(back.record)
        }
        Err(error @ (StoreError::Switched { .. } | StoreError::InUse { .. })) => Err(error),
        Err(error) => {
            tracing::error!(
                error = error_chain::line(&error),
                "it could not be rolled back; the version before is started"
            );
            // If that one fails as well, neither is recorded as failed.
            if let Err(error) = probation::record_failed_release(
                home,
                &record.container.version,
                &target.container,
                false,
            ) {
                tracing::warn!(
                    error = error_chain::line(&error),
                    "if the version before fails as well, nobody will know"
                );
            }
            home.record(&target.container)
        }
    }
}

#[cfg(test)]
mod tests;
