//! Going back to a version with the user's files as it had them, by a person or by itself. What the user wrote in the version that is
//! left stays where it is and becomes a snapshot that can be opened. In: which point. Out: the pointer, and the point's files in place. Never:
//! a probation for a version that has been healthy before: a rollback that is rolled back would never end.

use std::path::PathBuf;

use super::lock::{HomeLock, RunningLock};
use super::snapshots::{self, Reason, Snapshot};
use super::switch::{commit, displaced, finish};
use super::{Active, Home, InstalledRecord, Probation, StoreError};
use crate::model::ContainerId;

/// What came of a rollback.
#[derive(Clone, Debug)]
pub struct RolledBack {
    /// The version that is active now.
    pub record: InstalledRecord,
    /// The version that was left.
    pub from: ContainerId,
    /// Where the user's files of that version are kept.
    pub kept: PathBuf,
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
    Ok(points)
}

/// The point that a rollback without a wish goes to: what was left for the active version, else the newest; none that was rolled
/// back itself, and none that never came up while there is another.
pub fn default_point(home: &Home) -> Result<Option<Snapshot>, StoreError> {
    let active = home.active()?.0.container;
    let mut points = points(home)?;
    points.retain(|point| point.reason != Reason::RolledBack);
    let direct = |point: &&Snapshot| point.next == active && point.reason == Reason::Switched && point.healthy;
    let healthy = |point: &&Snapshot| point.healthy;
    Ok(points.iter().find(direct).or_else(|| points.iter().find(healthy)).or(points.first()).cloned())
}

/// The point of `id`, else the default one.
fn point(home: &Home, to: Option<&ContainerId>) -> Result<Snapshot, StoreError> {
    let found = match to {
        Some(id) => {
            home.record(id)?;
            let mut points = points(home)?;
            points.retain(|point| point.container == *id);
            // What was kept aside at a rollback is the second choice: it is the state that somebody wanted to leave.
            points.sort_by_key(|point| point.reason == Reason::RolledBack);
            points.into_iter().next()
        }
        None => default_point(home)?,
    };
    let asked = || to.cloned().or_else(|| Some(home.active().ok()?.0.container));
    found.ok_or_else(|| StoreError::NoRollbackPoint { id: asked().map_or_else(String::new, |id| id.to_string()) })
}

/// Refuses what [`roll_back`] would refuse, before anything is ended for it.
pub fn check(home: &Home, to: Option<&ContainerId>) -> Result<(), StoreError> {
    point(home, to).map(drop)
}

/// Goes back to `to`, else to the default point. The app must have ended.
pub fn roll_back(home: &Home, to: Option<&ContainerId>, lock: &HomeLock) -> Result<RolledBack, StoreError> {
    let (active, _) = home.active()?;
    let point = point(home, to)?;
    let record = home.record(&point.container)?;
    RunningLock::refuse_if_running(home, &point.container)?;
    let waiting = RunningLock::keep_from_starting(home, &active.container)?;
    let now = jiff::Timestamp::now();
    let left_up = active.probation.as_ref().is_none_or(|probation| probation.up);
    let note =
        Snapshot { healthy: left_up, ..Snapshot::new(home, &active.container, &point.container, Reason::RolledBack, now)? };
    note.write(home)?;
    let next = Active {
        container: point.container.clone(),
        // What this version could be rolled back to, if it was not known to come up.
        previous: points(home)?.into_iter().find(|before| before.next == point.container).map(|before| before.container),
        pending: None,
        pending_failures: 0,
        probation: (!point.healthy).then(|| Probation::begin(now)),
    };
    waiting.refuse_if_outrun(home, &active.container)?;
    if point.has_files()? {
        // The version was used again since: its files of now go to a snapshot of their own, and the point's come back.
        let displaced = displaced(home, &point.container, now)?;
        commit(home, &point.files(), &displaced, next, lock)?;
        finish(home, &displaced, Some(&note));
    } else {
        home.set_active(&next)?;
        snapshots::prune(home, Some(note.folder()));
    }
    // Its files are in use now, and no longer a point. A kill before this leaves a note that names nothing.
    if let Err(error) = snapshots::remove(&point) {
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
    Ok(RolledBack { record, from: active.container, kept: note.place(home) })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::store::fixture::Fixture;
    use crate::store::remove;
    use crate::store::switch::{Means, switch};

    fn begin() -> (Fixture, ContainerId, ContainerId) {
        let fixture = Fixture::new();
        let (one, two) = (fixture.install("1.0.0", &[("config/c", "a")]), fixture.install("2.0.0", &[("config/c", "b")]));
        switch(&fixture.home, &one, Means::PLAIN, &fixture.lock).unwrap();
        fixture.write(&one, "data/file", "in one");
        switch(&fixture.home, &two, Means::PLAIN, &fixture.lock).unwrap();
        fixture.write(&two, "data/file", "in two");
        fixture.write(&two, "data/made", "in two");
        (fixture, one, two)
    }

    #[test]
    fn code_and_files_are_as_they_were_and_what_was_written_since_is_kept() {
        let (fixture, one, two) = begin();
        let back = roll_back(&fixture.home, None, &fixture.lock).unwrap();
        assert_eq!((&back.record.container, &back.from), (&one, &two));
        assert_eq!(fixture.read(&one, "data/file").as_deref(), Some("in one"));
        assert_eq!(fixture.read(&one, "data/made"), None);
        assert_eq!(fs::read_to_string(back.kept.join("data/made")).unwrap(), "in two");
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
        switch(&fixture.home, &three, Means::PLAIN, &fixture.lock).unwrap();
        assert_eq!(fixture.read(&three, "data/file").as_deref(), Some("in one"));
    }

    #[test]
    fn a_point_whose_version_was_used_again_since_is_still_whole() {
        let (fixture, one, two) = begin();
        // Back by choice: the present files go along, and what one had is kept.
        switch(&fixture.home, &one, Means::PLAIN, &fixture.lock).unwrap();
        fixture.write(&one, "data/file", "later in one");
        let points: Vec<_> = points(&fixture.home).unwrap().into_iter().map(|point| point.container).collect();
        assert_eq!(points, std::slice::from_ref(&two), "one is active");
        let back = roll_back(&fixture.home, Some(&two), &fixture.lock).unwrap();
        assert_eq!(fixture.read(&two, "data/file").as_deref(), Some("in two"));
        assert_eq!(fs::read_to_string(back.kept.join("data/file")).unwrap(), "later in one");
        // One was left twice: rolled back just now, and before that for two, in a snapshot of its own.
        let back = roll_back(&fixture.home, Some(&one), &fixture.lock).unwrap();
        assert_eq!(fixture.read(&one, "data/file").as_deref(), Some("in one"));
        assert_eq!(fs::read_to_string(back.kept.join("data/file")).unwrap(), "in two");
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
            switch(&fixture.home, id, Means::PLAIN, &fixture.lock).unwrap();
            crate::store::probation::change(&fixture.home, id, &fixture.lock, |_| None).unwrap();
            fixture.write(id, "data/file", &id.version.to_string());
        }
        remove::prune(&fixture.home, 0, &fixture.lock).unwrap();
        assert_eq!(fixture.versions(), ["6.0.0", "5.0.0"]);
        let kept: Vec<_> = snapshots::list(&fixture.home)
            .unwrap()
            .iter()
            .map(|snapshot| fs::read_to_string(snapshot.place(&fixture.home).join("data/file")).unwrap())
            .collect();
        assert_eq!(kept, ["5.0.0", "4.0.0", "3.0.0"]);
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
