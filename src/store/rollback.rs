//! Returns to an earlier version with its user files as they were, at a person's request or
//! automatically. The files that the user wrote in the version that is left stay where they are and
//! become a snapshot that can be opened.
//!
//! In: a snapshot or a version. Out: the pointer, and the snapshot's files in place. Never: puts a
//! version on probation that has been healthy before (a rollback of a rollback would never end).

use std::path::PathBuf;

use super::lock::{HomeLock, RunningLock};
use super::snapshots::{self, Reason, Snapshot};
use super::switch::{SwitchOptions, commit, displaced, finish};
use super::{Active, Home, InstalledRecord, Probation, StoreError, carry_over, installed};
use crate::error_chain;
use crate::model::ContainerId;

/// The result of a rollback.
#[derive(Clone, Debug)]
pub(crate) struct RolledBack {
    /// The version that is active now.
    pub record: InstalledRecord,
    /// The version that was left.
    pub from: ContainerId,
    /// The folder of the retained user files of that version.
    pub retained: PathBuf,
}

/// The snapshots that a rollback can return to now, the newest first: their version is installed,
/// and is not active.
///
/// # Errors
/// [`StoreError::File`] if one of them cannot be read: a rollback to another one instead would be a
/// guess.
pub(crate) fn points(home: &Home) -> Result<Vec<Snapshot>, StoreError> {
    let active = home.active_if_any()?.map(|active| active.container);
    let mut points = Vec::new();
    for snapshot in snapshots::list(home)?
        .into_iter()
        .filter(|snapshot| active.as_ref() != Some(&snapshot.container))
    {
        match home.record(&snapshot.container) {
            Ok(_) => points.push(snapshot),
            Err(StoreError::NotInstalled { .. } | StoreError::Damaged { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    // A failed try may leave a note without files. It is ignored where another note of that version
    // has them.
    let mut with_files = Vec::new();
    for point in &points {
        if point.has_files()? || carry_over::has_files(&home.container(&point.container))? {
            with_files.push(point.folder().to_owned());
        }
    }
    let versions: Vec<ContainerId> = points
        .iter()
        .filter(|point| with_files.iter().any(|folder| folder == point.folder()))
        .map(|point| point.container.clone())
        .collect();
    points.retain(|point| {
        with_files.iter().any(|folder| folder == point.folder())
            || !versions.contains(&point.container)
    });
    Ok(points)
}

/// A version that a rollback can return to.
#[derive(Clone, Debug)]
pub(crate) struct RollbackTarget {
    pub container: ContainerId,
    /// The snapshot of its files when it was left, if there is one. Otherwise the version uses the
    /// files that lie in its folder.
    pub point: Option<Snapshot>,
    /// Whether it was known to come up.
    pub healthy: bool,
}

impl RollbackTarget {
    pub(in crate::store) fn of(point: &Snapshot) -> Self {
        Self {
            container: point.container.clone(),
            point: Some(point.clone()),
            healthy: point.healthy,
        }
    }
}

/// The target of an automatic rollback: the version that was left for the active one, else another
/// one, and never one that did not come up on this computer. It needs no snapshot: a version that
/// starts is better than none.
pub(crate) fn fallback(home: &Home) -> Option<RollbackTarget> {
    let (active, _) = home.active().ok()?;
    let usual = usual(home, &active, known_points(home));
    if wants_proved(home, &active) {
        return usual;
    }
    usual.or_else(|| {
        let failed = home.failed();
        let mut others: Vec<_> =
            home.installed().ok()?.into_iter().map(|record| record.container).collect();
        others.retain(|id| *id != active.container && !failed.contains(&id.version));
        // The newest of the older versions, else the newest of all.
        others.sort_by_key(|id| id.version > active.container.version);
        let container = others.into_iter().next()?;
        let point = known_points(home).into_iter().find(|point| point.container == container);
        Some(RollbackTarget { container, point, healthy: false })
    })
}

/// Whether a rollback leads only to a version that is known to have worked: the active version did
/// so too, or replaces one that did.
fn wants_proved(home: &Home, active: &Active) -> bool {
    let replaced = || home.stored_state().ok().flatten()?.failed_release;
    active.probation.as_ref().is_some_and(|probation| probation.was_settled)
        || replaced()
            .is_some_and(|failed| failed.was_settled && failed.fallback == active.container)
}

/// A version to start instead of `failing` where the pointer cannot be read, so that a rollback is
/// impossible: the most recently used of the others.
pub(crate) fn other_than(home: &Home, failing: &ContainerId) -> Option<RollbackTarget> {
    let failed = home.failed();
    let mut others = home.installed().ok()?;
    others
        .retain(|other| other.container != *failing && !failed.contains(&other.container.version));
    installed::sort_by_use(home, &mut others);
    let container = others.into_iter().next()?.container;
    Some(RollbackTarget { container, point: None, healthy: false })
}

/// The snapshots that can be read: an unreadable one must not prevent the replacement of a failing
/// version.
fn known_points(home: &Home) -> Vec<Snapshot> {
    points(home).unwrap_or_else(|error| {
        tracing::warn!(
            error = error_chain::line(&error),
            "it is not known what could be gone back to"
        );
        Vec::new()
    })
}

/// The target of a person's rollback that names no version.
fn default_target(home: &Home) -> Result<Option<RollbackTarget>, StoreError> {
    let (active, _) = home.active()?;
    let points = points(home)?;
    let any =
        points.iter().find(|point| point.reason != Reason::RolledBack).map(RollbackTarget::of);
    Ok(usual(home, &active, points).or(any))
}

/// The first of: the version that was left for the active one; the version that was active before
/// it; versions that came up, the newest first; if the active version still has to prove itself,
/// also a version that was itself rolled back (a person wanted to leave it); versions that were
/// left before they had proved themselves.
fn usual(home: &Home, active: &Active, mut points: Vec<Snapshot>) -> Option<RollbackTarget> {
    let failed = home.failed();
    let is_unproved = active.probation.as_ref().is_some_and(|probation| !probation.up);
    let wants_proved = wants_proved(home, active);
    let unproved: Vec<_> = points
        .iter()
        .filter(|point| wants_proved && !point.healthy)
        .map(|point| point.container.clone())
        .collect();
    let is_good = |id: &ContainerId| {
        *id != active.container && !failed.contains(&id.version) && !unproved.contains(id)
    };
    points.retain(|point| is_good(&point.container));
    let first = |wanted: &dyn Fn(&Snapshot) -> bool| {
        points.iter().find(|point| wanted(point)).map(RollbackTarget::of)
    };
    let previous = || {
        let previous =
            active.previous.clone().filter(|id| is_good(id) && home.record(id).is_ok())?;
        let point = points.iter().find(|point| point.container == previous).cloned();
        Some(RollbackTarget { container: previous, point, healthy: true })
    };
    first(&|point| point.next == active.container && point.reason == Reason::Switched)
        .or_else(previous)
        .or_else(|| first(&|point| point.healthy && point.reason != Reason::RolledBack))
        .or_else(|| first(&|point| point.healthy && is_unproved))
        .or_else(|| first(&|point| point.reason != Reason::RolledBack))
}

/// The state of `id`, else the default one.
fn target(home: &Home, to: Option<&ContainerId>) -> Result<RollbackTarget, StoreError> {
    let found = match to {
        Some(id) => {
            home.record(id)?;
            let mut points = points(home)?;
            points.retain(|point| point.container == *id);
            // Files that an earlier rollback set aside are the second choice: somebody wanted to
            // leave that state.
            points.sort_by_key(|point| point.reason == Reason::RolledBack);
            points.first().map(RollbackTarget::of)
        }
        None => default_target(home)?,
    };
    let asked = || to.cloned().or_else(|| Some(home.active().ok()?.0.container));
    found.ok_or_else(|| StoreError::NoRollbackPoint {
        id: asked().map_or_else(String::new, |id| id.to_string()),
    })
}

/// Returns the errors that [`roll_back`] would return, before the app is ended for it.
pub(crate) fn check(home: &Home, to: Option<&ContainerId>) -> Result<(), StoreError> {
    target(home, to).map(drop)
}

/// Returns to the state of `to`, else to the default one. The app must have ended.
pub(crate) fn roll_back(
    home: &Home,
    to: Option<&ContainerId>,
    lock: &HomeLock,
) -> Result<RolledBack, StoreError> {
    go_to(home, &target(home, to)?, lock)
}

/// Whether a version's folder certainly has no user files any more. Files that cannot be looked at
/// may all be there, and a rollback keeps them.
fn has_lost_its_files(home: &Home, id: &ContainerId) -> bool {
    carry_over::has_files(&home.container(id)).is_ok_and(|has_files| !has_files)
}

/// Returns to `target`. The app must have ended.
pub(crate) fn go_to(
    home: &Home,
    target: &RollbackTarget,
    lock: &HomeLock,
) -> Result<RolledBack, StoreError> {
    super::journal::settle(home, lock)?;
    let (active, _) = home.active()?;
    let record = home.record(&target.container)?;
    RunningLock::refuse_if_running(home, &target.container)?;
    if target.point.is_none() && has_lost_its_files(home, &target.container) {
        // The version's own files are lost, even its defaults: the present user files are better
        // than none.
        super::switch::switch(home, &target.container, SwitchOptions::PLAIN, lock)?;
        let retained = home.container(&active.container);
        return Ok(RolledBack { record, from: active.container, retained });
    }
    let waiting = RunningLock::keep_from_starting(home, &active.container)?;
    let now = jiff::Timestamp::now();
    let left_up = active.probation.as_ref().is_none_or(|probation| probation.up);
    let note = Snapshot {
        healthy: left_up,
        ..Snapshot::new(home, &active.container, &target.container, Reason::RolledBack, now)?
    };
    note.write(home)?;
    let before = points(home)?
        .into_iter()
        .find(|before| before.next == target.container)
        .map(|before| before.container);
    let next = Active {
        container: target.container.clone(),
        // The version that a rollback would return to, if this one was not known to come up.
        previous: before.or_else(|| (left_up && !target.healthy).then(|| active.container.clone())),
        pending: None,
        pending_goes_back: false,
        pending_failures: 0,
        probation: (!target.healthy).then(|| Probation::begin(now)),
    };
    waiting.refuse_if_outrun(home, &active.container)?;
    activate(home, target, next, (&note, now), lock)?;
    // Moves the files out of the version that was left, which may soon be removed. Where a file is
    // held open they stay in it.
    let taken = match waiting.refuse_if_outrun(home, &active.container) {
        Ok(()) => snapshots::take_in(home, &active.container, &home.container(&active.container)),
        outrun => outrun,
    };
    if let Err(error) = taken {
        tracing::warn!(
            error = error_chain::line(&error),
            "the user's files stay in the version that was left"
        );
    }
    tracing::warn!(from = %active.container, to = %record.container, "rolled back");
    Ok(RolledBack { record, from: active.container, retained: note.place(home) })
}

/// Makes `next` the active version, with the user's files of the target's point, if that has any.
fn activate(
    home: &Home,
    target: &RollbackTarget,
    next: Active,
    (note, now): (&Snapshot, jiff::Timestamp),
    lock: &HomeLock,
) -> Result<(), StoreError> {
    match &target.point {
        Some(point) if point.has_files()? => {
            // The version was used again since: its present files go to a new snapshot, and the old
            // snapshot's files come back.
            let displaced = displaced(home, &target.container, now)?;
            commit(home, &point.files(), &displaced, next, lock)?;
            finish(home, &displaced, Some(note));
        }
        _ => {
            home.set_active(&next)?;
            snapshots::prune(home, Some(note.folder()));
        }
    }
    // The snapshot's files are in use now, so the snapshot goes. A kill before this leaves a note
    // without files.
    if let Some(point) = &target.point
        && let Err(error) = snapshots::remove(point)
    {
        tracing::warn!(error = error_chain::line(&error), "the note of a point stays");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
