//! Leaves a recalled version: for an earlier one as a rollback does, with the user's files as they
//! were there, since a bad version may have spoilt its own.
//!
//! In: the version that takes the place of the recalled one. Out: the pointer, and what became of
//! the user's files. Never: goes back where there are no files to go back to (then they are carried
//! over, as by any switch), or for a person who chose an earlier version.

use std::path::PathBuf;

use super::carry_over::CarriedOver;
use super::lock::HomeLock;
use super::records::RefusedRecall;
use super::rollback::{self, RollbackTarget, RolledBack};
use super::snapshots::{Reason, Snapshot};
use super::switch::{self, SwitchOptions};
use super::{Home, InstalledRecord, StoreError, usage};
use crate::error_chain;
use crate::model::{ContainerId, Version};

/// What a switch did with the user's files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SwitchedFiles {
    pub carried_over: CarriedOver,
    /// Set where they are as the version left them that is active again.
    pub went_back: Option<WentBack>,
}

/// A recall's way back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WentBack {
    /// The recalled version.
    pub from: Version,
    /// The day of the files that are in use again.
    pub files_of: jiff::Timestamp,
    /// The folder of the user's files of the recalled version.
    pub retained: PathBuf,
    /// Whether either version has files of the user.
    pub holds_files: bool,
}

/// Makes `id` the active version in place of the recalled one: by a rollback if it is older and was
/// used here, else by a switch. What no further try would bring about is noted.
pub(crate) fn follow(
    home: &Home,
    id: &ContainerId,
    options: SwitchOptions,
    lock: &HomeLock,
) -> Result<(InstalledRecord, SwitchedFiles), StoreError> {
    let followed = match way_back(home, id)? {
        Some(point) => rollback::go_to(home, &RollbackTarget::of(&point), lock).map(|back| {
            let went_back = Some(went_back(home, &back, &point));
            (back.record, SwitchedFiles { went_back, ..SwitchedFiles::default() })
        }),
        None => leave(home, id, options, lock),
    };
    followed.inspect_err(|error| {
        // A version that is not installed (any more) can be fetched.
        if error.is_final() && !matches!(error, StoreError::NotInstalled { .. }) {
            note_refusal(home, id);
        }
    })
}

/// Makes `id` the active version with the user's present files, recalled or not: what a person chose.
pub(crate) fn leave(
    home: &Home,
    id: &ContainerId,
    options: SwitchOptions,
    lock: &HomeLock,
) -> Result<(InstalledRecord, SwitchedFiles), StoreError> {
    let (record, carried_over) = switch::switch(home, id, options, lock)?;
    Ok((record, SwitchedFiles { carried_over, went_back: None }))
}

/// Records that the next start goes to `id` in place of the recalled version, which runs now.
pub(crate) fn follow_at_next_start(
    home: &Home,
    id: &ContainerId,
    _lock: &HomeLock,
) -> Result<(), StoreError> {
    switch::wait(home, id, true)
}

/// The day of the user's files that come back if a recall leads to `id`; `None` if the present ones
/// go along.
pub(crate) fn files_of(home: &Home, id: &ContainerId) -> Option<jiff::Timestamp> {
    let point = way_back(home, id).ok()??;
    let (active, _) = home.active().ok()?;
    let places = [point.place(home), home.container(&active.container)];
    places.iter().any(|place| usage::holds_user_files(place)).then_some(point.left)
}

/// Whether the active version is recalled. A state that cannot be read says nothing.
pub(crate) fn is_active_recalled(home: &Home) -> bool {
    home.active().is_ok_and(|(active, _)| is_recalled(home, &active.container))
}

/// Whether this version is recalled. A state that cannot be read says nothing.
pub(super) fn is_recalled(home: &Home, id: &ContainerId) -> bool {
    let state = home.stored_state().ok().flatten();
    state.is_some_and(|state| state.recalled.contains(&id.version))
}

/// The earlier state of `id`, if a recall leads back to it.
fn way_back(home: &Home, id: &ContainerId) -> Result<Option<Snapshot>, StoreError> {
    let is_older = home.active().is_ok_and(|(active, _)| id.version < active.container.version);
    if !is_older || !is_active_recalled(home) {
        return Ok(None);
    }
    let mut points = rollback::points(home)?;
    points.retain(|point| point.container == *id);
    // What a rollback set aside is the second choice: somebody wanted to leave that state.
    points.sort_by_key(|point| point.reason == Reason::RolledBack);
    Ok(points.into_iter().next())
}

fn went_back(home: &Home, back: &RolledBack, point: &Snapshot) -> WentBack {
    let places = [back.retained.clone(), home.container(&back.record.container)];
    WentBack {
        from: back.from.version.clone(),
        files_of: point.left,
        retained: back.retained.clone(),
        holds_files: places.iter().any(|place| usage::holds_all_user_files(place)),
    }
}

/// Remembers that the recall of the active version cannot lead to `id`, so that another release is
/// offered. Where that cannot be written the next try fails in the same way.
fn note_refusal(home: &Home, id: &ContainerId) {
    let noted = home.active().and_then(|(active, _)| {
        let (from, to) = (active.container.version, id.version.clone());
        let mut state = home.state()?;
        state.refused_recall = Some(RefusedRecall { from, to });
        home.set_state(&state)
    });
    if let Err(error) = noted {
        tracing::warn!(
            error = error_chain::line(&error),
            "that a recall cannot be followed is not written down"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Version;
    use crate::store::fixture::Fixture;
    use crate::store::probation;
    use crate::store::resolution::resolve_for_start;
    use crate::store::switch::switch_at_next_start;

    /// 1.0.0, then 2.0.0 with changed user files, which is recalled.
    fn recalled() -> (Fixture, ContainerId, ContainerId) {
        let fixture = Fixture::new();
        let home = &fixture.home;
        let one = fixture.install("1.0.0", &[]);
        switch::switch(home, &one, SwitchOptions::PLAIN, &fixture.lock).unwrap();
        probation::change(home, &one, &fixture.lock, |_| None).unwrap();
        write(home, &one, "of one");
        let two = fixture.install("2.0.0", &[]);
        switch::switch(home, &two, SwitchOptions::PLAIN, &fixture.lock).unwrap();
        write(home, &two, "spoilt by two");
        let mut state = home.state().unwrap();
        state.recalled = vec![Version::new(2, 0, 0)];
        home.set_state(&state).unwrap();
        (fixture, one, two)
    }

    fn write(home: &Home, id: &ContainerId, text: &str) {
        let folder = home.container(id).join("data");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("file"), text).unwrap();
    }

    fn read(home: &Home, id: &ContainerId) -> String {
        std::fs::read_to_string(home.container(id).join("data/file")).unwrap()
    }

    #[test]
    fn the_way_back_from_a_recalled_version_leads_to_the_files_as_they_were() {
        let (fixture, one, two) = recalled();
        let home = &fixture.home;
        let left = rollback::points(home).unwrap().into_iter().find(|p| p.container == one);
        let left = left.unwrap().left;
        assert_eq!(files_of(home, &one), Some(left), "the offer names that day");
        let (_, files) = follow(home, &one, SwitchOptions::PLAIN, &fixture.lock).unwrap();
        let (active, _) = home.active().unwrap();
        assert_eq!((&active.container, active.probation), (&one, None));
        assert_eq!(read(home, &one), "of one");
        // What was made in the bad version is set aside, and is not lost.
        let point = rollback::points(home).unwrap().into_iter().find(|p| p.container == two);
        let retained = point.unwrap().files();
        let aside = retained.join("data/file");
        assert_eq!(std::fs::read_to_string(aside).unwrap(), "spoilt by two");
        let from = two.version.clone();
        let went_back = WentBack { from, files_of: left, retained, holds_files: true };
        assert_eq!(files.went_back, Some(went_back), "and nobody has to search for it");
    }

    #[test]
    fn a_recall_that_waits_for_the_next_start_leads_back_in_the_same_way() {
        let (fixture, one, _) = recalled();
        follow_at_next_start(&fixture.home, &one, &fixture.lock).unwrap();
        let home = fixture.home.clone();
        let _folder = fixture.release();
        let resolved = resolve_for_start(&home, SwitchOptions::PLAIN).unwrap();
        assert_eq!(resolved.record.container, one);
        assert_eq!(read(&home, &one), "of one");
        let switched = resolved.switched.unwrap().unwrap();
        assert_eq!(switched.went_back.unwrap().from, Version::new(2, 0, 0));
    }

    #[test]
    fn a_person_who_leaves_a_recalled_version_takes_the_present_files_along() {
        let (fixture, one, _) = recalled();
        let home = fixture.home.clone();
        // The person changes his mind: the last choice counts.
        follow_at_next_start(&home, &one, &fixture.lock).unwrap();
        switch_at_next_start(&home, &one, &fixture.lock).unwrap();
        let _folder = fixture.release();
        let resolved = resolve_for_start(&home, SwitchOptions::PLAIN).unwrap();
        assert_eq!(
            (resolved.record.container, read(&home, &one)),
            (one, "spoilt by two".to_owned())
        );
        assert_eq!(resolved.switched.unwrap().unwrap().went_back, None);
    }

    #[test]
    fn a_recall_that_was_taken_back_while_its_way_back_waited_is_not_followed() {
        let (fixture, one, two) = recalled();
        let home = fixture.home.clone();
        follow_at_next_start(&home, &one, &fixture.lock).unwrap();
        home.set_state(&crate::store::HomeState { recalled: Vec::new(), ..home.state().unwrap() })
            .unwrap();
        let _folder = fixture.release();
        let resolved = resolve_for_start(&home, SwitchOptions::PLAIN).unwrap();
        assert_eq!((resolved.record.container, resolved.switched.is_none()), (two.clone(), true));
        assert_eq!(home.active().unwrap().0.pending, None);
        assert_eq!(read(&home, &two), "spoilt by two");
    }

    #[test]
    fn only_a_recall_that_fails_for_good_is_noted() {
        let (fixture, _, two) = recalled();
        let home = &fixture.home;
        let absent = crate::store::fixture::id("1.8.0");
        follow(home, &absent, SwitchOptions::PLAIN, &fixture.lock).unwrap_err();
        assert_eq!(home.state().unwrap().refused_recall, None, "it can be fetched");
        // 2.0.0 has changed the form of the files, and 1.5.0 has never been used.
        fixture.change_record(&two, |record| record.data_schema = 2);
        let old = fixture.install("1.5.0", &[]);
        follow(home, &old, SwitchOptions::PLAIN, &fixture.lock).unwrap_err();
        let noted = RefusedRecall { from: two.version, to: old.version };
        assert_eq!(home.state().unwrap().refused_recall, Some(noted));
    }

    #[test]
    fn a_version_that_was_recalled_while_it_waited_is_not_started() {
        let (fixture, one, _) = recalled();
        let home = fixture.home.clone();
        follow(&home, &one, SwitchOptions::PLAIN, &fixture.lock).unwrap();
        let three = fixture.install("3.0.0", &[]);
        switch_at_next_start(&home, &three, &fixture.lock).unwrap();
        let mut state = home.state().unwrap();
        state.recalled.push(Version::new(3, 0, 0));
        home.set_state(&state).unwrap();
        let _folder = fixture.release();
        let resolved = resolve_for_start(&home, SwitchOptions::PLAIN).unwrap();
        assert_eq!((resolved.record.container, resolved.withdrawn), (one.clone(), Some(three)));
        let resolved = resolve_for_start(&home, SwitchOptions::PLAIN).unwrap();
        assert_eq!((resolved.record.container, resolved.withdrawn), (one.clone(), None));
        assert!(resolved.switched.is_none());
        assert_eq!(home.active().unwrap().0.pending, None);
        assert_eq!(read(&home, &one), "of one");
    }

    #[test]
    fn a_newer_version_and_one_without_files_of_its_own_get_the_present_files() {
        let (fixture, _, two) = recalled();
        let home = &fixture.home;
        for version in ["2.1.0", "1.5.0"] {
            let next = fixture.install(version, &[]);
            assert_eq!(files_of(home, &next), None, "{version}");
            let (_, files) = follow(home, &next, SwitchOptions::PLAIN, &fixture.lock).unwrap();
            assert_eq!(files.went_back, None, "{version}");
            assert_eq!(read(home, &next), "spoilt by two", "{version}");
            switch::switch(home, &two, SwitchOptions::PLAIN, &fixture.lock).unwrap();
        }
    }
}
