//! Records the probation of a version that was switched to. The record is written before each
//! start, so that a start that a power cut ended counts too.
//!
//! In: what was observed of a start. Out: `active.json` and `state.json`. Never: decides whether a
//! version is healthy (the session's `health` does that).

pub(crate) use super::health_file::HealthReport;
use super::lock::HomeLock;
use super::rollback::RollbackTarget;
use super::snapshots::Reason;
use super::{Active, FailedRelease, Home, HomeState, Probation, StoreError, rollback};
use crate::model::incident::{Incident, Notice};
use crate::model::{ContainerId, Version};

/// Changes the probation of `id`, if that is the active version and on probation. Returns the new
/// probation; `None` if there is none, or it has ended.
pub(crate) fn change(
    home: &Home,
    id: &ContainerId,
    _lock: &HomeLock,
    change: impl FnOnce(Probation) -> Option<Probation>,
) -> Result<Option<Probation>, StoreError> {
    let (active, _) = home.active()?;
    let Some(probation) = active.probation.clone().filter(|_| active.container == *id) else {
        return Ok(None);
    };
    let changed = change(probation.clone());
    if changed.as_ref() != Some(&probation) {
        home.set_active(&Active { probation: changed.clone(), ..active })?;
    }
    Ok(changed)
}

/// Puts `id`, which had proved itself, on probation again after a start that failed. Does nothing
/// if `id` is not the active version.
pub(crate) fn begin_again(
    home: &Home,
    id: &ContainerId,
    now: jiff::Timestamp,
    _lock: &HomeLock,
) -> Result<(), StoreError> {
    let (active, _) = home.active()?;
    if active.container != *id || active.probation.is_some() {
        return Ok(());
    }
    home.set_active(&Active { probation: Some(Probation::begin_again(now)), ..active })
}

/// Makes the version active again, with its files, that was left although it had proved itself, or
/// although no other version was known to work (`is_last`): `failing`, the last one that was
/// started in its place, fails on this computer as well. Does nothing in any other situation.
pub(crate) fn return_to_failed_release(
    home: &Home,
    failing: &ContainerId,
    is_last: bool,
    lock: &HomeLock,
) -> Result<(), StoreError> {
    let failed_release = home
        .state()?
        .failed_release
        .filter(|failed_release| failed_release.was_settled || is_last)
        .filter(|failed_release| failed_release.fallback == *failing);
    let Some(failed_release) = failed_release else { return Ok(()) };
    let back = ContainerId { version: failed_release.version.clone(), ..failing.clone() };
    // Its files of now, and not those of an earlier time when somebody switched away from it. They
    // lie with the version where the rollback could not set them aside.
    let point = rollback::points(home)?.into_iter().find(|point| {
        point.container == back
            && point.reason == Reason::RolledBack
            && (point.next == *failing || failed_release.names(&point.next.version))
    });
    rollback::go_to(home, &RollbackTarget { container: back, point, healthy: true }, lock)?;
    let (active, _) = home.active()?;
    let now = jiff::Timestamp::now();
    let probation = if failed_release.was_settled {
        Probation::begin_again(now)
    } else {
        Probation { failures: 1, ..Probation::begin(now) }
    };
    let probation = Probation { rollback_is_useless: true, ..probation };
    home.set_active(&Active { probation: Some(probation), ..active })
}

/// Records that `version` did not come up, so that it is not offered again.
pub(crate) fn remember_failed(home: &Home, version: &Version) -> Result<(), StoreError> {
    let mut state = match home.state() {
        Err(StoreError::File(_)) => return home.note_late_failure(version),
        state => state?,
    };
    if !state.failed.contains(version) {
        state.failed.push(version.clone());
        home.set_state(&state)?;
    }
    Ok(())
}

/// Takes back that `version` failed: it has come up. A failure that was recorded while the pointer
/// could not be read would else be held against it for ever.
pub(crate) fn forget_failure(home: &Home, version: &Version) -> Result<(), StoreError> {
    let mut state = home.state()?;
    if !state.failed.contains(version) {
        return Ok(());
    }
    state.failed.retain(|failed| failed != version);
    home.set_state(&state)
}

/// Records that `fallback` replaces `version`, which did not come up. `was_settled`: it had proved
/// itself before. If `version` itself replaced another one, the search goes on for that one.
pub(crate) fn record_failed_release(
    home: &Home,
    version: &Version,
    fallback: &ContainerId,
    was_settled: bool,
) -> Result<(), StoreError> {
    let mut state = home.state()?;
    let fallback = fallback.clone();
    let failed_release = match state.failed_release.take() {
        Some(first) if first.fallback.version == *version && !first.names(&fallback.version) => {
            let also_failed = [first.also_failed, vec![version.clone()]].concat();
            FailedRelease { fallback, also_failed, ..first }
        }
        _ => FailedRelease {
            version: version.clone(),
            fallback,
            was_settled,
            also_failed: Vec::new(),
        },
    };
    home.set_state(&HomeState { failed_release: Some(failed_release), ..state })
}

/// The version that did not come up before `fallback` replaced it, while it is unknown whether
/// `fallback` comes up. A state that cannot be read names none: then the start goes on, and the
/// version that was left stays recorded as failed.
pub(crate) fn failed_release(home: &Home, fallback: &ContainerId) -> Option<FailedRelease> {
    home.state().ok()?.failed_release.filter(|failed| failed.fallback == *fallback)
}

/// The fallback has come up: the failed release itself is the cause.
pub(crate) fn confirm_failed_release(home: &Home) -> Result<(), StoreError> {
    let state = home.state()?;
    if state.failed_release.is_some() {
        home.set_state(&HomeState { failed_release: None, ..state })
    } else {
        Ok(())
    }
}

/// The last fallback has failed as well: no version of the search is recorded as failed, and the
/// release is offered again.
pub(crate) fn withdraw_failed_release(home: &Home) -> Result<(), StoreError> {
    let mut state = home.state()?;
    let Some(failed_release) = state.failed_release.take() else { return Ok(()) };
    state.failed.retain(|failed| !failed_release.names(failed));
    // A rollback to a version that does not start either needs no notice.
    state.notices.retain(|notice| {
        !matches!(&notice.what, Incident::RolledBack { from, .. } if failed_release.names(from))
    });
    home.set_state(&state)
}

/// Limit of notices that wait for a person; the oldest are dropped.
const MAX_NOTICES: usize = 10;

/// Stores a notice until a person looks.
pub(crate) fn leave_notice(
    home: &Home,
    what: Incident,
    now: jiff::Timestamp,
) -> Result<(), StoreError> {
    let mut state = home.state()?;
    state.notices.retain(|notice| !what.supersedes(&notice.what));
    state.notices.push(Notice { when: now, what });
    let surplus = state.notices.len().saturating_sub(MAX_NOTICES);
    state.notices.drain(..surplus);
    home.set_state(&state)
}

/// Removes notices that a person has seen. Others stay until they are shown.
pub(crate) fn remove_notices(home: &Home, shown: &[Notice]) -> Result<(), StoreError> {
    let mut state = home.state()?;
    let before = state.notices.len();
    state.notices.retain(|notice| !shown.contains(notice));
    if state.notices.len() < before {
        home.set_state(&state)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::store::fixture::Fixture;
    use crate::store::switch::{SwitchOptions, switch};

    #[test]
    fn only_the_active_version_is_on_probation() {
        let fixture = Fixture::new();
        let (one, two) = (fixture.install("1.0.0", &[]), fixture.install("2.0.0", &[]));
        let (home, lock) = (&fixture.home, &fixture.lock);
        switch(home, &one, SwitchOptions::PLAIN, lock).unwrap();
        let failed = |probation: Probation| {
            Some(Probation { failures: probation.failures + 1, ..probation })
        };
        assert_eq!(change(home, &one, lock, failed).unwrap(), None, "it was active before");
        switch(home, &two, SwitchOptions::PLAIN, lock).unwrap();
        assert_eq!(change(home, &one, lock, failed).unwrap(), None);
        assert_eq!(change(home, &two, lock, failed).unwrap().unwrap().failures, 1);
        assert_eq!(home.active().unwrap().0.probation.unwrap().failures, 1);
        assert_eq!(change(home, &two, lock, |_| None).unwrap(), None);
        assert_eq!(home.active().unwrap().0.probation, None);
        assert_eq!(change(home, &two, lock, failed).unwrap(), None);
    }

    #[test]
    fn a_first_version_has_to_prove_itself_too() {
        let fixture = Fixture::new();
        let one = fixture.install("1.0.0", &[]);
        switch(&fixture.home, &one, SwitchOptions::PLAIN, &fixture.lock).unwrap();
        let (active, _) = fixture.home.active().unwrap();
        assert!(
            active.previous.is_none() && active.probation.is_some_and(|probation| !probation.up)
        );
    }

    #[test]
    fn what_fails_in_the_version_before_as_well_does_not_count() {
        let fixture = Fixture::new();
        let home = &fixture.home;
        let (old, new): (_, Version) = (fixture.install("1.0.0", &[]), "2.0.0".parse().unwrap());
        let begin = || {
            remember_failed(home, &new).unwrap();
            record_failed_release(home, &new, &old, false).unwrap();
            let what = Incident::RolledBack {
                from: new.clone(),
                to: old.version.clone(),
                failure: crate::model::incident::LaunchFailure::Hung,
                retained: PathBuf::new(),
                holds_files: true,
            };
            leave_notice(home, what, jiff::Timestamp::UNIX_EPOCH).unwrap();
        };
        begin();
        assert_eq!(failed_release(home, &old).map(|failed| failed.version), Some(new.clone()));
        assert_eq!(
            failed_release(home, &crate::store::fixture::id("3.0.0")),
            None,
            "that one was not put in its place"
        );
        withdraw_failed_release(home).unwrap();
        let state = home.state().unwrap();
        assert!(
            state.failed.is_empty()
                && state.notices.is_empty()
                && failed_release(home, &old).is_none(),
            "{state:?}"
        );
        begin();
        confirm_failed_release(home).unwrap();
        withdraw_failed_release(home).unwrap();
        let state = home.state().unwrap();
        assert_eq!(
            (state.failed, state.notices.len()),
            (vec![new.clone()], 1),
            "it was decided before"
        );
    }

    #[test]
    fn notices_are_taken_once_and_do_not_pile_up() {
        let fixture = Fixture::new();
        let home = &fixture.home;
        for minor in 0..12 {
            let to = format!("1.{minor}.0").parse().unwrap();
            leave_notice(
                home,
                Incident::NotSwitched { to, chain: Vec::new() },
                jiff::Timestamp::UNIX_EPOCH,
            )
            .unwrap();
        }
        let taken = home.state().unwrap().notices;
        assert_eq!(taken.len(), MAX_NOTICES);
        assert!(
            matches!(&taken[0].what, Incident::NotSwitched { to, .. } if to.to_string() == "1.2.0")
        );
        remove_notices(home, &taken[1..]).unwrap();
        assert_eq!(home.state().unwrap().notices, taken[..1], "what was not shown stays");
        remove_notices(home, &taken).unwrap();
        assert_eq!(home.state().unwrap().notices, []);
        remember_failed(home, &"2.0.0".parse().unwrap()).unwrap();
        remember_failed(home, &"2.0.0".parse().unwrap()).unwrap();
        assert_eq!(home.state().unwrap().failed.len(), 1);
    }
}
