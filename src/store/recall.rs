//! Leaves a recalled version: for an earlier one as a rollback does, with the user's files as they
//! were there, since a bad version may have spoilt its own.
//!
//! In: a version to make active. Out: the pointer. Never: goes back where there are no files to go
//! back to; then they are carried over, as by any switch.

use super::carry_over::CarriedOver;
use super::lock::HomeLock;
use super::rollback::{self, RollbackTarget};
use super::snapshots::Reason;
use super::switch::{self, SwitchOptions};
use super::{Home, InstalledRecord, StoreError};
use crate::model::ContainerId;

/// Makes `id` the active version: by a rollback if it is older than the active one and that is
/// recalled, else by a switch.
pub(crate) fn switch(
    home: &Home,
    id: &ContainerId,
    options: SwitchOptions,
    lock: &HomeLock,
) -> Result<(InstalledRecord, CarriedOver), StoreError> {
    match way_back(home, id)? {
        Some(target) => {
            let back = rollback::go_to(home, &target, lock)?;
            Ok((back.record, CarriedOver::default()))
        }
        None => switch::switch(home, id, options, lock),
    }
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
fn way_back(home: &Home, id: &ContainerId) -> Result<Option<RollbackTarget>, StoreError> {
    let is_older = home.active().is_ok_and(|(active, _)| id.version < active.container.version);
    if !is_older || !is_active_recalled(home) {
        return Ok(None);
    }
    let mut points = rollback::points(home)?;
    points.retain(|point| point.container == *id);
    // What a rollback set aside is the second choice: somebody wanted to leave that state.
    points.sort_by_key(|point| point.reason == Reason::RolledBack);
    Ok(points.first().map(RollbackTarget::of))
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
        switch(home, &one, SwitchOptions::PLAIN, &fixture.lock).unwrap();
        let (active, _) = home.active().unwrap();
        assert_eq!((&active.container, active.probation), (&one, None));
        assert_eq!(read(home, &one), "of one");
        // What was made in the bad version is set aside, and is not lost.
        let point = rollback::points(home).unwrap().into_iter().find(|p| p.container == two);
        let aside = point.unwrap().folder().join("files/data/file");
        assert_eq!(std::fs::read_to_string(aside).unwrap(), "spoilt by two");
    }

    #[test]
    fn a_recall_that_waits_for_the_next_start_leads_back_in_the_same_way() {
        let (fixture, one, _) = recalled();
        switch_at_next_start(&fixture.home, &one, &fixture.lock).unwrap();
        let home = fixture.home.clone();
        let _folder = fixture.release();
        let resolved = resolve_for_start(&home, SwitchOptions::PLAIN).unwrap();
        assert_eq!(resolved.record.container, one);
        assert_eq!(read(&home, &one), "of one");
    }

    #[test]
    fn a_version_that_was_recalled_while_it_waited_is_not_started() {
        let (fixture, one, _) = recalled();
        let home = fixture.home.clone();
        switch(&home, &one, SwitchOptions::PLAIN, &fixture.lock).unwrap();
        let three = fixture.install("3.0.0", &[]);
        switch_at_next_start(&home, &three, &fixture.lock).unwrap();
        let mut state = home.state().unwrap();
        state.recalled.push(Version::new(3, 0, 0));
        home.set_state(&state).unwrap();
        let _folder = fixture.release();
        for _ in 0..2 {
            let resolved = resolve_for_start(&home, SwitchOptions::PLAIN).unwrap();
            assert_eq!(
                (resolved.record.container, resolved.switched.is_none()),
                (one.clone(), true)
            );
        }
        assert_eq!(home.active().unwrap().0.pending, None);
        assert_eq!(read(&home, &one), "of one");
    }

    #[test]
    fn a_newer_version_and_one_without_files_of_its_own_get_the_present_files() {
        let (fixture, _, two) = recalled();
        let home = &fixture.home;
        for version in ["2.1.0", "1.5.0"] {
            let next = fixture.install(version, &[]);
            switch(home, &next, SwitchOptions::PLAIN, &fixture.lock).unwrap();
            assert_eq!(read(home, &next), "spoilt by two", "{version}");
            switch::switch(home, &two, SwitchOptions::PLAIN, &fixture.lock).unwrap();
        }
    }
}
