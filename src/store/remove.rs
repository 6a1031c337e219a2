//! Removing installed versions, by hand and by policy.

use super::files::remove_tree;
use super::home::REMOVED;
use super::lock::{HomeLock, RunningLock};
use super::{Home, StoreError};
use crate::durable;
use crate::model::ContainerId;

/// Removes `id`. The active, the pending and a running version are refused.
pub fn remove(home: &Home, id: &ContainerId, _lock: &HomeLock) -> Result<(), StoreError> {
    home.record(id)?;
    let in_use = |reason| Err(StoreError::InUse { id: id.to_string(), reason });
    if let Ok((active, _)) = home.active() {
        if active.container == *id {
            return in_use("it is the active version");
        }
        if active.pending.as_ref() == Some(id) {
            return in_use("the next start switches to it");
        }
    }
    if RunningLock::is_held(home, id) {
        return in_use("it is running");
    }
    // Renamed first: a removal that is cut short leaves no half version under a version's name.
    let place = home.container(id);
    let aside = home.containers().join(format!("{REMOVED}{id}-{:08x}", fastrand::u32(..)));
    durable::rename(&place, &aside).map_err(StoreError::io("rename", &place))?;
    remove_tree(&aside)?;
    RunningLock::forget(home, id);
    Ok(())
}

/// Removes the oldest versions beyond `keep` (the active one not counted). The one to go back to is always kept, and the newest one if
/// it is newer than the active one: it was fetched ahead. Returns what was removed.
pub fn prune(home: &Home, keep: usize, lock: &HomeLock) -> Result<Vec<ContainerId>, StoreError> {
    home.clean(lock);
    let Ok((active, _)) = home.active() else { return Ok(Vec::new()) };
    let others: Vec<ContainerId> =
        home.installed()?.into_iter().map(|record| record.container).filter(|id| *id != active.container).collect();
    let ahead = others.first().filter(|newest| newest.version > active.container.version);
    let protected = |id: &ContainerId| {
        let kept = [active.previous.as_ref(), active.pending.as_ref(), ahead];
        *id == active.container || kept.contains(&Some(id))
    };
    let mut removed = Vec::new();
    for id in others.iter().skip(keep).filter(|id| !protected(id)) {
        match remove(home, id, lock) {
            Ok(()) => removed.push(id.clone()),
            Err(StoreError::InUse { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::store::fixture::Fixture;
    use crate::store::switch::{switch, switch_at_next_start};

    #[test]
    fn what_is_in_use_stays() {
        let fixture = Fixture::new();
        let (one, two, three) = (fixture.install("1.0.0", &[]), fixture.install("2.0.0", &[]), fixture.install("3.0.0", &[]));
        let (home, lock) = (&fixture.home, &fixture.lock);
        switch(home, &one, lock).unwrap();
        switch_at_next_start(home, &two, lock).unwrap();
        let running = RunningLock::hold(home, &three).unwrap();
        for id in [&one, &two, &three] {
            assert!(matches!(remove(home, id, lock), Err(StoreError::InUse { .. })), "{id}");
        }
        drop(running);
        remove(home, &three, lock).unwrap();
        assert_eq!(fixture.versions(), ["2.0.0", "1.0.0"]);
        assert!(matches!(remove(home, &three, lock), Err(StoreError::NotInstalled { .. })));
    }

    #[test]
    fn pruning_keeps_the_newest_and_the_one_to_go_back_to() {
        let fixture = Fixture::new();
        let ids: Vec<_> =
            ["1.0.0", "2.0.0", "3.0.0", "4.0.0", "5.0.0"].iter().map(|version| fixture.install(version, &[])).collect();
        let (home, lock) = (&fixture.home, &fixture.lock);
        switch(home, &ids[0], lock).unwrap();
        switch(home, &ids[4], lock).unwrap();
        fs::create_dir(home.containers().join(".removed-x")).unwrap();
        let removed = prune(home, 1, lock).unwrap();
        assert_eq!(removed, [ids[2].clone(), ids[1].clone()]);
        assert_eq!(fixture.versions(), ["5.0.0", "4.0.0", "1.0.0"]);
        assert!(!home.containers().join(".removed-x").exists());
    }

    #[test]
    fn what_was_fetched_ahead_stays_until_something_newer_is() {
        let fixture = Fixture::new();
        let one = fixture.install("1.0.0", &[]);
        let (home, lock) = (&fixture.home, &fixture.lock);
        switch(home, &one, lock).unwrap();
        let two = fixture.install("2.0.0", &[]);
        assert!(prune(home, 0, lock).unwrap().is_empty());
        fixture.install("3.0.0", &[]);
        assert_eq!(prune(home, 0, lock).unwrap(), [two]);
        assert_eq!(fixture.versions(), ["3.0.0", "1.0.0"]);
    }
}
