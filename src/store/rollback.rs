//! Going back to a version with the user's files as it had them, by a person or by itself. What the user wrote in the version that is
//! left stays where it is and becomes a snapshot that can be opened. In: which point. Out: the pointer, and the point's files in place. Never:
//! a probation: the version has been healthy before, and a rollback that is rolled back would never end.

use std::path::PathBuf;

use super::journal::Journal;
use super::lock::HomeLock;
use super::snapshots::{self, Reason, Snapshot};
use super::switch::{below, displaced, finish, fresh_incoming};
use super::{Active, Home, InstalledRecord, StoreError, migrate};
use crate::durable;
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
pub fn points(home: &Home) -> Vec<Snapshot> {
    let active = home.active().ok().map(|(active, _)| active.container);
    let possible = |snapshot: &Snapshot| {
        snapshot.reason != Reason::RolledBack
            && active.as_ref() != Some(&snapshot.container)
            && home.record(&snapshot.container).is_ok()
    };
    snapshots::list(home).into_iter().filter(possible).collect()
}

/// The point that a rollback without a wish goes to: what was left for the active version, else the newest.
pub fn default_point(home: &Home) -> Option<Snapshot> {
    let active = home.active().ok()?.0.container;
    let points = points(home);
    points.iter().find(|point| point.next == active && point.reason == Reason::Switched).or(points.first()).cloned()
}

/// Goes back to `to`, else to the default point.
pub fn roll_back(home: &Home, to: Option<&ContainerId>, lock: &HomeLock) -> Result<RolledBack, StoreError> {
    let (active, _) = home.active()?;
    let point = match to {
        Some(id) => {
            home.record(id)?;
            points(home).into_iter().find(|point| point.container == *id)
        }
        None => default_point(home),
    };
    let point = point.ok_or_else(|| StoreError::NoRollbackPoint {
        id: to.map_or_else(|| active.container.to_string(), ToString::to_string),
    })?;
    let record = home.record(&point.container)?;
    let now = jiff::Timestamp::now();
    let note = Snapshot::new(home, &active.container, &point.container, Reason::RolledBack, now);
    note.write(home)?;
    let next = Active { container: point.container.clone(), previous: None, pending: None, probation: None };
    if point.has_files() {
        // The version was used again since: its files of now go to a snapshot of their own.
        let work = fresh_incoming(home)?;
        migrate::clone_exactly(point.folder(), &work)?;
        durable::sync_tree(&work).map_err(StoreError::io("make durable", &work))?;
        let (prepared, displaced) = (below(home, work), displaced(home, &point.container, now)?);
        let journal = Journal { container: point.container.clone(), prepared, displaced: displaced.clone(), active: next };
        journal.commit(home, lock)?;
        finish(home, &displaced, Some(&note));
    } else {
        home.set_active(&next)?;
        // Its files are in use now, and no longer a point. A kill before this leaves a note that names nothing.
        if let Err(error) = snapshots::remove(&point) {
            tracing::warn!(error = &error as &dyn std::error::Error, "the note of a point stays");
        }
        snapshots::prune(home, &[note.folder()]);
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
        // There is nothing to go back to from here: what was rolled back is no state to return to by itself.
        assert!(matches!(roll_back(&fixture.home, None, &fixture.lock), Err(StoreError::NoRollbackPoint { .. })));
        // The kept files outlive the version, and a version that comes next does not get them.
        remove::remove(&fixture.home, &two, &fixture.lock).unwrap();
        let snapshots = snapshots::list(&fixture.home);
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
        let points: Vec<_> = points(&fixture.home).into_iter().map(|point| point.container).collect();
        assert_eq!(points, std::slice::from_ref(&two), "one is active");
        let back = roll_back(&fixture.home, Some(&two), &fixture.lock).unwrap();
        assert_eq!(fixture.read(&two, "data/file").as_deref(), Some("in two"));
        assert_eq!(fs::read_to_string(back.kept.join("data/file")).unwrap(), "later in one");
        // One was left twice: rolled back just now, and before that for two, in a snapshot of its own.
        let back = roll_back(&fixture.home, Some(&one), &fixture.lock).unwrap();
        assert_eq!(fixture.read(&one, "data/file").as_deref(), Some("in one"));
        assert_eq!(fs::read_to_string(back.kept.join("data/file")).unwrap(), "in two");
        let texts: Vec<_> = snapshots::list(&fixture.home)
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
            fixture.write(id, "data/file", &id.version.to_string());
        }
        remove::prune(&fixture.home, 0, &fixture.lock).unwrap();
        assert_eq!(fixture.versions(), ["6.0.0", "5.0.0"]);
        let kept: Vec<_> = snapshots::list(&fixture.home)
            .iter()
            .map(|snapshot| fs::read_to_string(snapshot.place(&fixture.home).join("data/file")).unwrap())
            .collect();
        assert_eq!(kept, ["5.0.0", "4.0.0", "3.0.0"]);
        assert!(fixture.home.snapshots().join("my own").exists());
        // A state whose version is gone can be gone back to once the version is there again.
        assert_eq!(points(&fixture.home).len(), 1);
        let missing = roll_back(&fixture.home, Some(&ids[3]), &fixture.lock).unwrap_err();
        assert!(matches!(missing, StoreError::NotInstalled { .. }));
        fixture.install("4.0.0", &[]);
        roll_back(&fixture.home, Some(&ids[3]), &fixture.lock).unwrap();
        assert_eq!(fixture.read(&ids[3], "data/file").as_deref(), Some("4.0.0"));
    }
}
