//! Going back to a version with the user's files as it had them, by a person or by itself. What the user wrote in the version that is
//! left stays where it is and becomes a snapshot that can be opened. In: which point. Out: the pointer, and the point's files in place. Never:
//! a probation for a version that has been healthy before: a rollback that is rolled back would never end.

use std::path::PathBuf;

use super::lock::{HomeLock, RunningLock};
use super::snapshots::{self, Reason, Snapshot};
use super::switch::{SwitchOptions, commit, displaced, finish};
use super::{Active, Home, InstalledRecord, Probation, StoreError, carry_over};
use crate::model::ContainerId;

/// What came of a rollback.
#[derive(Clone, Debug)]
pub struct RolledBack {
    /// The version that is active now.
    pub record: InstalledRecord,
    /// The version that was left.
    pub from: ContainerId,
    /// Where the user's files of that version are kept.
    pub retained: PathBuf,
}

/// The points that can be gone back to now, the newest first: their version is installed, and not active.
///
/// # Errors
/// [`StoreError::Io`] if one of them cannot be looked at: going to another one instead would be a guess.
pub fn points(home: &Home) -> Result<Vec<Snapshot>, StoreError> {
    let active = home.active_if_any()?.map(|active| active.container);
    let mut points = Vec::new();
    for snapshot in snapshots::list(home)?.into_iter().filter(|snapshot| active.as_ref() != Some(&snapshot.container)) {
        match home.record(&snapshot.container) {
            Ok(_) => points.push(snapshot),
            Err(StoreError::NotInstalled { .. } | StoreError::Damaged { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    // A note of files that are nowhere, left by a try that failed, stands for nothing where another note of that version has them.
    let mut with_files = Vec::new();
    for point in &points {
        if point.has_files()? || carry_over::has_files(&home.container(&point.container)) {
            with_files.push(point.folder().to_owned());
        }
    }
    let versions: Vec<ContainerId> = points
        .iter()
        .filter(|point| with_files.iter().any(|folder| folder == point.folder()))
        .map(|point| point.container.clone())
        .collect();
    points.retain(|point| with_files.iter().any(|folder| folder == point.folder()) || !versions.contains(&point.container));
    Ok(points)
}

/// A version to go back to.
#[derive(Clone, Debug)]
pub struct RollbackTarget {
    /// Which version.
    pub container: ContainerId,
    /// Its files as they were when it was left, where that was noted. Without a note it has the files that lie in its folder.
    pub point: Option<Snapshot>,
    /// Whether it was known to come up.
    pub healthy: bool,
}

impl RollbackTarget {
    fn of(point: &Snapshot) -> Self {
        Self { container: point.container.clone(), point: Some(point.clone()), healthy: point.healthy }
    }
}

/// Where a rollback by itself goes: to the version that was left for the active one, else to another one, and never to one that did not
/// come up here. No note is needed for it: a version that can be started is better than none.
pub fn fallback(home: &Home) -> Option<RollbackTarget> {
    let (active, _) = home.active().ok()?;
    let usual = usual(home, &active, known_points(home));
    usual.or_else(|| {
        let failed = home.failed();
        let mut others: Vec<_> = home.installed().ok()?.into_iter().map(|record| record.container).collect();
        others.retain(|id| *id != active.container && !failed.contains(&id.version));
        // The newest of those before it, else the newest.
        others.sort_by_key(|id| id.version > active.container.version);
        let container = others.into_iter().next()?;
        let point = known_points(home).into_iter().find(|point| point.container == container);
        Some(RollbackTarget { container, point, healthy: false })
    })
}

/// The points as far as they can be looked at: what takes the place of a failing version must not fail for the sake of one that cannot.
fn known_points(home: &Home) -> Vec<Snapshot> {
    points(home).unwrap_or_else(|error| {
        tracing::warn!(error = &error as &dyn std::error::Error, "it is not known what could be gone back to");
        Vec::new()
    })
}

/// Where a person's rollback without a wish goes.
fn default_target(home: &Home) -> Result<Option<RollbackTarget>, StoreError> {
    let (active, _) = home.active()?;
    let points = points(home)?;
    let any = points.iter().find(|point| point.reason != Reason::RolledBack).map(RollbackTarget::of);
    Ok(usual(home, &active, points).or(any))
}

/// The first of: what was left for the active version; the version that was active before it; what came up, the newest first; from a
/// version that has to prove itself, also what was rolled back itself (a person wanted to leave it); what was left undecided.
fn usual(home: &Home, active: &Active, mut points: Vec<Snapshot>) -> Option<RollbackTarget> {
    let failed = home.failed();
    let is_unproved = active.probation.as_ref().is_some_and(|probation| !probation.up);
    let is_good = |id: &ContainerId| *id != active.container && !failed.contains(&id.version);
    points.retain(|point| is_good(&point.container));
    let first = |wanted: &dyn Fn(&Snapshot) -> bool| points.iter().find(|point| wanted(point)).map(RollbackTarget::of);
    let previous = || {
        let previous = active.previous.clone().filter(|id| is_good(id) && home.record(id).is_ok())?;
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
            // What was kept aside at a rollback is the second choice: it is the state that somebody wanted to leave.
            points.sort_by_key(|point| point.reason == Reason::RolledBack);
            points.first().map(RollbackTarget::of)
        }
        None => default_target(home)?,
    };
    let asked = || to.cloned().or_else(|| Some(home.active().ok()?.0.container));
    found.ok_or_else(|| StoreError::NoRollbackPoint { id: asked().map_or_else(String::new, |id| id.to_string()) })
}

/// Refuses what [`roll_back`] would refuse, before anything is ended for it.
pub fn check(home: &Home, to: Option<&ContainerId>) -> Result<(), StoreError> {
    target(home, to).map(drop)
}

/// Goes back to `to`, else to the default state. The app must have ended.
pub fn roll_back(home: &Home, to: Option<&ContainerId>, lock: &HomeLock) -> Result<RolledBack, StoreError> {
    go_to(home, &target(home, to)?, lock)
}

/// Goes back to `target`. The app must have ended.
pub fn go_to(home: &Home, target: &RollbackTarget, lock: &HomeLock) -> Result<RolledBack, StoreError> {
    let (active, _) = home.active()?;
    let record = home.record(&target.container)?;
    RunningLock::refuse_if_running(home, &target.container)?;
    if target.point.is_none() && !carry_over::has_files(&home.container(&target.container)) {
        // Its own are lost, even those that it came with: the present ones are better than none.
        super::switch::switch(home, &target.container, SwitchOptions::PLAIN, lock)?;
        let retained = home.container(&active.container);
        return Ok(RolledBack { record, from: active.container, retained });
    }
    let waiting = RunningLock::keep_from_starting(home, &active.container)?;
    let now = jiff::Timestamp::now();
    let left_up = active.probation.as_ref().is_none_or(|probation| probation.up);
    let note =
        Snapshot { healthy: left_up, ..Snapshot::new(home, &active.container, &target.container, Reason::RolledBack, now)? };
    note.write(home)?;
    let before = points(home)?.into_iter().find(|before| before.next == target.container).map(|before| before.container);
    let next = Active {
        container: target.container.clone(),
        // What this version could be rolled back to, if it was not known to come up.
        previous: before.or_else(|| (left_up && !target.healthy).then(|| active.container.clone())),
        pending: None,
        pending_failures: 0,
        probation: (!target.healthy).then(|| Probation::begin(now)),
    };
    waiting.refuse_if_outrun(home, &active.container)?;
    match &target.point {
        Some(point) if point.has_files()? => {
            // The version was used again since: its files of now go to a snapshot of their own, and the point's come back.
            let displaced = displaced(home, &target.container, now)?;
            commit(home, &point.files(), &displaced, next, lock)?;
            finish(home, &displaced, Some(&note));
        }
        _ => {
            home.set_active(&next)?;
            snapshots::prune(home, Some(note.folder()));
        }
    }
    // Its files are in use now, and no longer a point. A kill before this leaves a note that names nothing.
    if let Some(point) = &target.point
        && let Err(error) = snapshots::remove(point)
    {
        tracing::warn!(error = &error as &dyn std::error::Error, "the note of a point stays");
    }
    // Out of the version that was left, which may soon be removed. Where a file is held open they stay in it.
    let taken = match waiting.refuse_if_outrun(home, &active.container) {
        Ok(()) => snapshots::take_in(home, &active.container, &home.container(&active.container)),
        outrun => outrun,
    };
    if let Err(error) = taken {
        tracing::warn!(error = &error as &dyn std::error::Error, "the user's files stay in the version that was left");
    }
    tracing::warn!(from = %active.container, to = %record.container, "rolled back");
    Ok(RolledBack { record, from: active.container, retained: note.place(home) })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::store::fixture::Fixture;
    use crate::store::remove;
    use crate::store::switch::switch;

    fn begin() -> (Fixture, ContainerId, ContainerId) {
        let fixture = Fixture::new();
        let (one, two) = (fixture.install("1.0.0", &[("config/c", "a")]), fixture.install("2.0.0", &[("config/c", "b")]));
        switch(&fixture.home, &one, SwitchOptions::PLAIN, &fixture.lock).unwrap();
        crate::store::probation::change(&fixture.home, &one, &fixture.lock, |_| None).unwrap();
        fixture.write(&one, "data/file", "in one");
        switch(&fixture.home, &two, SwitchOptions::PLAIN, &fixture.lock).unwrap();
        fixture.write(&two, "data/file", "in two");
        fixture.write(&two, "data/made", "in two");
        (fixture, one, two)
    }

    #[test]
    fn a_point_that_is_gone_already_is_forgotten_without_a_word() {
        let (fixture, ..) = begin();
        let point = snapshots::list(&fixture.home).unwrap().remove(0);
        for _ in 0..2 {
            snapshots::remove(&point).unwrap();
            assert_eq!(snapshots::list(&fixture.home).unwrap(), []);
        }
    }

    #[test]
    fn code_and_files_are_as_they_were_and_what_was_written_since_is_retained() {
        let (fixture, one, two) = begin();
        let back = roll_back(&fixture.home, None, &fixture.lock).unwrap();
        assert_eq!((&back.record.container, &back.from), (&one, &two));
        assert_eq!(fixture.read(&one, "data/file").as_deref(), Some("in one"));
        assert_eq!(fixture.read(&one, "data/made"), None);
        assert_eq!(fs::read_to_string(back.retained.join("data/made")).unwrap(), "in two");
        let (active, _) = fixture.home.active().unwrap();
        assert_eq!((active.container, active.previous, active.probation), (one.clone(), None, None));
        // There is nothing to go back to from here: what was rolled back is no state to return to by itself; but somebody who did it by
        // mistake can ask for it.
        assert!(matches!(roll_back(&fixture.home, None, &fixture.lock), Err(StoreError::NoRollbackPoint { .. })));
        assert!(matches!(check(&fixture.home, None), Err(StoreError::NoRollbackPoint { .. })));
        roll_back(&fixture.home, Some(&two), &fixture.lock).unwrap();
        assert_eq!(fixture.read(&two, "data/made").as_deref(), Some("in two"));
        roll_back(&fixture.home, Some(&one), &fixture.lock).unwrap();
        assert_eq!(fixture.read(&one, "data/file").as_deref(), Some("in one"));
        // The kept files outlive the version, and a version that comes next does not get them.
        remove::remove(&fixture.home, &two, &fixture.lock).unwrap();
        let snapshots = snapshots::list(&fixture.home).unwrap();
        assert_eq!(snapshots.len(), 1);
        assert_eq!(fs::read_to_string(snapshots[0].place(&fixture.home).join("data/made")).unwrap(), "in two");
        let three = fixture.install("3.0.0", &[]);
        switch(&fixture.home, &three, SwitchOptions::PLAIN, &fixture.lock).unwrap();
        assert_eq!(fixture.read(&three, "data/file").as_deref(), Some("in one"));
    }

    #[test]
    fn a_note_without_files_hides_none_that_has_them() {
        let (fixture, _, two) = begin();
        let Fixture { home, lock, .. } = &fixture;
        roll_back(home, None, lock).unwrap();
        // As a rollback leaves it that failed once it had noted what it would displace.
        let now = jiff::Timestamp::now();
        Snapshot::new(home, &two, &two, Reason::Replaced, now).unwrap().write(home).unwrap();
        roll_back(home, Some(&two), lock).unwrap();
        assert_eq!(fixture.read(&two, "data/made").as_deref(), Some("in two"));
    }

    #[test]
    fn the_version_that_was_left_is_gone_back_to_unless_it_failed() {
        let fixture = Fixture::new();
        let [one, two, three] = ["1.0.0", "2.0.0", "3.0.0"].map(|version| fixture.install(version, &[]));
        let Fixture { home, lock, .. } = &fixture;
        switch(home, &one, SwitchOptions::PLAIN, lock).unwrap();
        crate::store::probation::change(home, &one, lock, |_| None).unwrap();
        switch(home, &two, SwitchOptions::PLAIN, lock).unwrap();
        // It was used, and closed each time before anybody could know that it is well.
        fixture.write(&two, "data/diary", "two lines");
        switch(home, &three, SwitchOptions::PLAIN, lock).unwrap();
        let target = fallback(home).unwrap();
        assert_eq!((&target.container, target.healthy), (&two, false));
        crate::store::probation::remember_failed(home, &two.version).unwrap();
        assert_eq!(fallback(home).unwrap().container, one, "one that failed is none to go back to");
        home.set_state(&crate::store::HomeState { failed: Vec::new(), ..home.state().unwrap() }).unwrap();
        go_to(home, &target, lock).unwrap();
        assert_eq!(fixture.read(&two, "data/diary").as_deref(), Some("two lines"), "what was written there is in sight");
        assert!(home.active().unwrap().0.probation.is_some(), "it still has to prove itself");
    }

    #[test]
    fn the_last_resort_needs_no_note() {
        let (fixture, one, two) = begin();
        let Fixture { home, lock, .. } = &fixture;
        for damage in ["emptied", "a note", "the pointer's memory too"] {
            match damage {
                "a note" => {
                    let folder = home.snapshots().join(format!("20260101T000000.000000Z-{one}"));
                    fs::create_dir_all(&folder).unwrap();
                    fs::write(folder.join("snapshot.json"), "").unwrap();
                }
                "the pointer's memory too" => {
                    let active = Active { previous: None, ..home.active().unwrap().0 };
                    home.set_active(&active).unwrap();
                }
                _ => fs::remove_dir_all(home.snapshots()).unwrap(),
            }
            assert_eq!(fallback(home).map(|target| target.container), Some(one.clone()), "{damage}");
        }
        crate::store::probation::remember_failed(home, &one.version).unwrap();
        assert!(fallback(home).is_none(), "none that failed here");
        home.set_state(&crate::store::HomeState { failed: Vec::new(), ..home.state().unwrap() }).unwrap();
        let back = go_to(home, &fallback(home).unwrap(), lock).unwrap();
        assert_eq!((back.from, fixture.read(&one, "data/file").as_deref()), (two, Some("in one")));
    }

    #[test]
    fn a_version_whose_own_files_are_lost_gets_the_present_ones() {
        let (fixture, one, _) = begin();
        fs::remove_dir_all(fixture.home.snapshots()).unwrap();
        for folder in ["config", "data"] {
            fs::remove_dir_all(fixture.home.container(&one).join(folder)).unwrap();
        }
        go_to(&fixture.home, &fallback(&fixture.home).unwrap(), &fixture.lock).unwrap();
        assert_eq!(fixture.home.active().unwrap().0.container, one);
        assert_eq!(fixture.read(&one, "data/file").as_deref(), Some("in two"));
    }

    #[test]
    fn a_version_that_was_gone_back_to_and_fails_is_left_again() {
        let (fixture, one, two) = begin();
        let Fixture { home, lock, .. } = &fixture;
        crate::store::probation::change(home, &one, lock, |_| None).unwrap();
        roll_back(home, None, lock).unwrap();
        crate::store::probation::remember_failed(home, &two.version).unwrap();
        // A person wants it all the same, and it fails again.
        roll_back(home, Some(&two), lock).unwrap();
        assert_eq!(fallback(home).map(|target| (target.container, target.healthy)), Some((one.clone(), true)));
        assert_eq!(roll_back(home, None, lock).unwrap().record.container, one);
    }

    #[test]
    fn a_point_whose_version_was_used_again_since_is_still_whole() {
        let (fixture, one, two) = begin();
        // Back by choice: the present files go along, and what one had is kept.
        switch(&fixture.home, &one, SwitchOptions::PLAIN, &fixture.lock).unwrap();
        fixture.write(&one, "data/file", "later in one");
        let points: Vec<_> = points(&fixture.home).unwrap().into_iter().map(|point| point.container).collect();
        assert_eq!(points, std::slice::from_ref(&two), "one is active");
        let back = roll_back(&fixture.home, Some(&two), &fixture.lock).unwrap();
        assert_eq!(fixture.read(&two, "data/file").as_deref(), Some("in two"));
        assert_eq!(fs::read_to_string(back.retained.join("data/file")).unwrap(), "later in one");
        // One was left twice: rolled back just now, and before that for two, in a snapshot of its own.
        let back = roll_back(&fixture.home, Some(&one), &fixture.lock).unwrap();
        assert_eq!(fixture.read(&one, "data/file").as_deref(), Some("in one"));
        assert_eq!(fs::read_to_string(back.retained.join("data/file")).unwrap(), "in two");
        let texts: Vec<_> = snapshots::list(&fixture.home)
            .unwrap()
            .iter()
            .map(|snapshot| fs::read_to_string(snapshot.place(&fixture.home).join("data/file")).unwrap())
            .collect();
        assert!(texts.contains(&"later in one".to_owned()), "{texts:?}");
    }

    #[test]
    fn the_newest_three_stay_and_what_is_no_snapshot_too() {
        let fixture = Fixture::new();
        let ids: Vec<_> = (1..=6).map(|major| fixture.install(&format!("{major}.0.0"), &[])).collect();
        fs::create_dir_all(fixture.home.snapshots().join("my own")).unwrap();
        for id in &ids {
            switch(&fixture.home, id, SwitchOptions::PLAIN, &fixture.lock).unwrap();
            crate::store::probation::change(&fixture.home, id, &fixture.lock, |_| None).unwrap();
            fixture.write(id, "data/file", &id.version.to_string());
        }
        remove::prune(&fixture.home, 0, &fixture.lock).unwrap();
        assert_eq!(fixture.versions(), ["6.0.0", "5.0.0"]);
        let retained: Vec<_> = snapshots::list(&fixture.home)
            .unwrap()
            .iter()
            .map(|snapshot| fs::read_to_string(snapshot.place(&fixture.home).join("data/file")).unwrap())
            .collect();
        assert_eq!(retained, ["5.0.0", "4.0.0", "3.0.0"]);
        assert!(fixture.home.snapshots().join("my own").exists());
        // A state whose version is gone can be gone back to once the version is there again.
        assert_eq!(points(&fixture.home).unwrap().len(), 1);
        let missing = roll_back(&fixture.home, Some(&ids[3]), &fixture.lock).unwrap_err();
        assert!(matches!(missing, StoreError::NotInstalled { .. }));
        fixture.install("4.0.0", &[]);
        roll_back(&fixture.home, Some(&ids[3]), &fixture.lock).unwrap();
        assert_eq!(fixture.read(&ids[3], "data/file").as_deref(), Some("4.0.0"));
    }
}
