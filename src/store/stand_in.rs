//! A version that is started although the pointer names another one, which cannot be started now: it
//! stands in for that one. It uses its own files, since only those are known to suit it. What the
//! user changes in them meanwhile is a state of its own, which nothing removes by itself.
//!
//! ```text
//! begin     before the program starts: the files get a snapshot of their own (a note, no copy)
//! settle    once the named version runs again: changed files stay, others are as before
//! ```
//!
//! In: the version that is about to run. Out: notes of snapshots. Never: moves or copies a file,
//! keeps a version from being started.

use super::lock::{HomeLock, RunningLock};
use super::snapshots::{self, FilesBefore, Reason, Snapshot};
use super::{Home, StoreError, carry_over};
use crate::error_chain;
use crate::model::ContainerId;

/// Notes that the files of `id` are about to be used, if the pointer names another version. The
/// version starts even where that cannot be written.
pub(super) fn note(home: &Home, id: &ContainerId) {
    if let Err(error) = begin(home, id, jiff::Timestamp::now()) {
        tracing::warn!(
            error = error_chain::line(&error),
            "it is not written down that this version stands in for another one"
        );
    }
}

/// The note. Files that an earlier start in this place found are remembered as they were then.
fn begin(home: &Home, id: &ContainerId, now: jiff::Timestamp) -> Result<(), StoreError> {
    let named = home.named()?.map(|active| active.container);
    let Some(named) = named.filter(|named| named != id) else { return Ok(()) };
    // Another launcher that is at work does not delay the start: the note is one new folder.
    let _lock = HomeLock::acquire(home);
    let folder = home.container(id);
    let changed = if carry_over::is_pristine(&folder) {
        None
    } else {
        let last = carry_over::last_change(&folder)?;
        last.and_then(|last| jiff::Timestamp::try_from(last).ok())
    };
    let before = snapshots::in_version(home, id)?;
    let noted = before.as_ref().and_then(|note| note.stand_in.as_ref());
    let fingerprint = match noted {
        Some(found) => found.fingerprint,
        None => carry_over::fingerprint(&folder).ok(),
    };
    let stand_in = Some(FilesBefore { changed, fingerprint });
    let note = match before {
        Some(note) if note.stand_in.is_some() => Snapshot { next: named, stand_in, ..note },
        before => Snapshot {
            healthy: before.is_some_and(|before| before.healthy),
            stand_in,
            ..Snapshot::new(home, id, &named, Reason::Replaced, now)?
        },
    };
    note.write(home)
}

/// The files that `id`, which stands in for another version, began with; `None` if it does not
/// stand in, or if that is unknown.
pub(crate) fn files_before(home: &Home, id: &ContainerId) -> Option<FilesBefore> {
    snapshots::in_version(home, id).ok()??.stand_in
}

/// Whether [`settle`] has work, or may have.
pub(crate) fn has_left(home: &Home) -> bool {
    !snapshots::all(home).is_ok_and(|all| all.iter().all(|note| note.stand_in.is_none()))
}

/// Ends the notes of versions that stood in and do not run any more. `tell` receives the snapshot
/// of each one whose files were changed meanwhile, before the note ends: a kill in between tells
/// twice.
pub(crate) fn settle(
    home: &Home,
    now: jiff::Timestamp,
    _lock: &HomeLock,
    tell: &dyn Fn(&Snapshot),
) -> Result<(), StoreError> {
    let Some(active) = home.named()?.map(|active| active.container) else { return Ok(()) };
    for note in snapshots::all(home)? {
        let Some(before) = note.stand_in.clone() else { continue };
        if note.is_being_filled()? || RunningLock::is_held(home, &note.container) {
            continue;
        }
        let ended = Snapshot { stand_in: None, ..note.clone() };
        if note.has_files()? {
            // The version was removed, or switched to, while it was unknown who would need them.
            tell(&ended);
            ended.write(home)?;
            continue;
        }
        let is_last = snapshots::in_version(home, &note.container)?
            .is_some_and(|last| last.folder() == note.folder());
        if active == note.container || !is_last {
            // Its files are in use, or belong to a later note.
            snapshots::remove(&note)?;
        } else if has_changed(home, &note.container, &before) {
            let next = &note.next;
            let retained = Snapshot {
                healthy: note.healthy,
                ..Snapshot::new(home, &note.container, next, Reason::Replaced, now)?
            };
            tell(&retained);
            retained.write(home)?;
            snapshots::remove(&note)?;
        } else {
            Snapshot { reason: Reason::Switched, ..ended }.write(home)?;
        }
    }
    Ok(())
}

/// Files of which it is unknown whether they were changed count as changed.
fn has_changed(home: &Home, id: &ContainerId, before: &FilesBefore) -> bool {
    let found = carry_over::fingerprint(&home.container(id)).ok();
    found.is_none() || found != before.fingerprint
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::path::PathBuf;

    use super::*;
    use crate::store::fixture::Fixture;
    use crate::store::switch::{SwitchOptions, switch};
    use crate::store::{maintenance, remove};

    const MORNING: &str = "2026-03-01T08:00:00Z";
    const EVENING: &str = "2026-03-01T20:00:00Z";

    /// 1.0.0 was used, and 2.0.0 is active; the user has files in both.
    fn used() -> (Fixture, ContainerId, ContainerId) {
        let fixture = Fixture::new();
        let (one, two) = (fixture.install("1.0.0", &[]), fixture.install("2.0.0", &[]));
        switch(&fixture.home, &one, SwitchOptions::PLAIN, &fixture.lock).unwrap();
        fixture.write(&one, "data/work.txt", "of the old version");
        switch(&fixture.home, &two, SwitchOptions::PLAIN, &fixture.lock).unwrap();
        fixture.write(&two, "data/work.txt", "of the new version");
        (fixture, one, two)
    }

    fn begin_at(fixture: &Fixture, id: &ContainerId, time: &str) {
        begin(&fixture.home, id, time.parse().unwrap()).unwrap();
    }

    /// The folders that are told.
    fn settled(fixture: &Fixture) -> Vec<PathBuf> {
        let reported = RefCell::new(Vec::new());
        let tell = |retained: &Snapshot| reported.borrow_mut().push(retained.place(&fixture.home));
        settle(&fixture.home, EVENING.parse().unwrap(), &fixture.lock, &tell).unwrap();
        assert!(!has_left(&fixture.home));
        reported.into_inner()
    }

    #[test]
    fn work_in_a_version_that_stood_in_outlives_every_update() {
        let (fixture, one, two) = used();
        let home = &fixture.home;
        begin_at(&fixture, &one, MORNING);
        assert!(files_before(home, &one).unwrap().changed.is_some());
        let begun = snapshots::in_version(home, &one).unwrap().unwrap().left;
        fixture.write(&one, "data/meanwhile.txt", "a day of work");
        // A second start in its place, in which nothing is changed.
        begin_at(&fixture, &one, MORNING);
        assert_eq!(settled(&fixture), [home.container(&one)]);
        assert_eq!(fixture.read(&two, "data/work.txt").as_deref(), Some("of the new version"));
        for version in 3..9 {
            let next = fixture.install(&format!("{version}.0.0"), &[]);
            switch(home, &next, SwitchOptions::PLAIN, &fixture.lock).unwrap();
            crate::store::probation::change(home, &next, &fixture.lock, |_| None).unwrap();
            maintenance::prune(home, 0, &fixture.lock).unwrap();
        }
        assert!(!home.container(&one).exists());
        let all = snapshots::list(home).unwrap();
        let retained = all.iter().find(|retained| retained.container == one).unwrap();
        let work = std::fs::read_to_string(retained.files().join("data/meanwhile.txt")).unwrap();
        assert_eq!(work, "a day of work");
        assert!(retained.left > begun, "it is a state of its own");
    }

    #[test]
    fn a_version_in_which_nothing_was_changed_is_as_before() {
        let (fixture, one, two) = used();
        begin_at(&fixture, &one, MORNING);
        assert_eq!(settled(&fixture), [] as [PathBuf; 0]);
        let points = crate::store::rollback::points(&fixture.home).unwrap();
        let found: Vec<_> =
            points.iter().map(|point| (&point.container, point.reason, &point.next)).collect();
        assert_eq!(found, [(&one, Reason::Switched, &two)]);
    }

    #[test]
    fn the_named_version_never_stands_in_for_itself() {
        let (fixture, one, two) = used();
        begin_at(&fixture, &two, MORNING);
        assert!(!has_left(&fixture.home));
        // Nor does a version that becomes the active one while it runs.
        begin_at(&fixture, &one, MORNING);
        let (active, _) = fixture.home.active().unwrap();
        let pointer = crate::store::Active { container: one.clone(), ..active };
        fixture.home.set_active(&pointer).unwrap();
        assert_eq!(settled(&fixture), [] as [PathBuf; 0]);
    }

    #[test]
    fn a_version_that_is_removed_meanwhile_leaves_its_files_under_the_note() {
        let (fixture, one, _) = used();
        begin_at(&fixture, &one, MORNING);
        fixture.write(&one, "data/meanwhile.txt", "a day of work");
        remove::set_aside(&fixture.home, &one, &fixture.lock).unwrap();
        let retained = settled(&fixture);
        assert_eq!(retained.len(), 1);
        assert!(retained[0].join("data/meanwhile.txt").is_file(), "{retained:?}");
    }

    #[test]
    fn a_lost_record_of_the_named_version_does_not_end_the_note() {
        let (fixture, one, two) = used();
        let record = fixture.home.container(&two).join(crate::store::home::RECORD);
        let written = std::fs::read(&record).unwrap();
        std::fs::write(&record, "").unwrap();
        begin_at(&fixture, &one, MORNING);
        fixture.write(&one, "data/meanwhile.txt", "a day of work");
        maintenance::prune(&fixture.home, 9, &fixture.lock).unwrap();
        snapshots::repair_left(&fixture.home);
        std::fs::write(&record, written).unwrap();
        assert_eq!(settled(&fixture), [fixture.home.container(&one)]);
    }
}
