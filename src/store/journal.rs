//! The journal of a switch: what was decided, written down before the first step that others can see, so that whoever takes the lock
//! next can finish it. A switch is prepared in a folder in `<home>/incoming/`, where a failure or a kill changes nothing; once the
//! journal is on disk it goes forward only.
//!
//! ```text
//! 1  the folders that the version to come had are moved out      (to a snapshot; to be deleted if nobody ever used them)
//! 2  the prepared ones are moved in
//! 3  the pointer flips
//! 4  the journal goes
//! ```
//!
//! Each step looks at what is there and does what is missing, so it can be repeated from any point. In: a [`Journal`]. Out: the new
//! version's folders and the pointer. Never: a step back.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files::{read_json, remove_tree, replace_json};
use super::lock::HomeLock;
use super::migrate::CARRIED;
use super::{Active, Home, StoreError, snapshots};
use crate::durable;
use crate::model::ContainerId;

/// A decided switch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Journal {
    /// Which version gets the prepared folders.
    pub container: ContainerId,
    /// Where those are, a folder below the home.
    pub prepared: PathBuf,
    /// Where its present ones go, a folder below the home.
    pub displaced: PathBuf,
    /// What the pointer says afterwards.
    pub active: Active,
}

impl Journal {
    /// Writes it down and performs it.
    pub fn commit(&self, home: &Home, _lock: &HomeLock) -> Result<(), StoreError> {
        replace_json(&home.journal(), self)?;
        self.perform(home)
    }

    fn perform(&self, home: &Home) -> Result<(), StoreError> {
        let (incoming, displaced) = (home.root().join(&self.prepared), home.root().join(&self.displaced));
        let place = home.container(&self.container);
        let waiting: Vec<&str> = CARRIED.into_iter().filter(|folder| exists(&incoming.join(folder))).collect();
        if !waiting.is_empty() {
            fs::create_dir_all(&displaced).map_err(StoreError::io("create", &displaced))?;
        }
        for folder in &waiting {
            move_to(&place.join(folder), &displaced.join(folder))?;
        }
        if !waiting.is_empty() {
            // Out before in, also on the disk.
            let above = displaced.parent().unwrap_or(home.root());
            [displaced.as_path(), above, &place].into_iter().try_for_each(sync)?;
        }
        for folder in &waiting {
            move_to(&incoming.join(folder), &place.join(folder))?;
        }
        if !waiting.is_empty() {
            sync(&place)?;
        }
        home.set_active(&self.active)?;
        fs::remove_file(home.journal()).map_err(StoreError::io("remove", &home.journal()))?;
        sync(home.root())
    }
}

/// Finishes a switch that a kill interrupted, and throws away what was prepared for one that had not been decided yet. Called by whoever
/// takes the lock.
pub(super) fn recover(home: &Home, lock: &HomeLock) -> Result<(), StoreError> {
    home.sweep(lock);
    match read_json::<Journal>(&home.journal()) {
        Ok(None) => {}
        Ok(Some(journal)) => {
            tracing::warn!(?journal, "finishing an interrupted switch");
            journal.perform(home)?;
        }
        // It is written in one step; so this is a damaged disk. The pointer still names a version with its own folders.
        Err(StoreError::Damaged { path, source }) => {
            tracing::error!(path = %path.display(), %source, "the journal is damaged; the switch is given up");
            fs::remove_file(home.journal()).map_err(StoreError::io("remove", &home.journal()))?;
        }
        Err(error) => return Err(error),
    }
    snapshots::tidy(home);
    if let Err(error) = remove_tree(&home.incoming()) {
        // A migration whose launcher was killed is still at work in it.
        tracing::warn!(error = &error as &dyn std::error::Error, "what was prepared stays for now");
    }
    Ok(())
}

/// Renames, if there is something and nothing is in the way; both are so after the step was done once.
fn move_to(from: &Path, to: &Path) -> Result<(), StoreError> {
    if exists(from) && !exists(to) {
        durable::rename(from, to).map_err(StoreError::io("rename", from))?;
    }
    Ok(())
}

fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

fn sync(folder: &Path) -> Result<(), StoreError> {
    durable::sync_folder(folder).map_err(StoreError::io("make durable", folder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::Fixture;
    use crate::store::switch::{Means, switch};

    /// Every state that a kill can leave between the steps of a switch ends in the new version with all files.
    #[test]
    fn a_decided_switch_is_finished_from_every_step() {
        for step in 0..=8 {
            let fixture = Fixture::new();
            let (one, two) = (fixture.install("1.0.0", &[]), fixture.install("2.0.0", &[]));
            let home = fixture.home.clone();
            switch(&home, &one, Means::PLAIN, &fixture.lock).unwrap();
            let (incoming, place) = (home.incoming().join("one"), home.container(&two));
            for folder in CARRIED {
                fs::create_dir_all(incoming.join(folder)).unwrap();
                fs::create_dir_all(place.join(folder)).unwrap();
                fs::write(incoming.join(folder).join("file"), "new").unwrap();
                fs::write(place.join(folder).join("file"), "old").unwrap();
            }
            let active = Active { container: two.clone(), previous: Some(one.clone()), pending: None, probation: None };
            let (prepared, displaced) = ("incoming/one".into(), "snapshots/kept".into());
            let journal = Journal { container: two.clone(), prepared, displaced, active };
            replace_json(&home.journal(), &journal).unwrap();
            let kept = home.snapshots().join("kept");
            fs::create_dir_all(&kept).unwrap();
            let mut steps: Vec<(PathBuf, PathBuf)> =
                CARRIED.iter().map(|folder| (place.join(folder), kept.join(folder))).collect();
            steps.extend(CARRIED.iter().map(|folder| (incoming.join(folder), place.join(folder))));
            for (from, to) in steps.iter().take(step) {
                fs::rename(from, to).unwrap();
            }
            if step > 6 {
                home.set_active(&journal.active).unwrap();
            }
            let fixture_folder = fixture.release();
            let lock = HomeLock::take(&home).unwrap();
            assert_eq!(home.active().unwrap().0, journal.active, "step {step}");
            for folder in CARRIED {
                let read = |root: &Path| fs::read_to_string(root.join(folder).join("file")).unwrap();
                assert_eq!((read(&place).as_str(), read(&kept).as_str()), ("new", "old"), "step {step}");
            }
            assert!(!home.journal().exists() && !home.incoming().exists());
            drop((lock, fixture_folder));
        }
    }

    #[test]
    fn what_was_only_prepared_is_thrown_away() {
        let fixture = Fixture::new();
        let one = fixture.install("1.0.0", &[]);
        let home = fixture.home.clone();
        switch(&home, &one, Means::PLAIN, &fixture.lock).unwrap();
        let keep = fixture.release();
        fs::create_dir_all(home.incoming().join("data")).unwrap();
        fs::write(home.journal(), "{\"container\":").unwrap();
        drop(HomeLock::take(&home).unwrap());
        assert!(!home.incoming().exists() && !home.journal().exists());
        assert_eq!(home.active().unwrap().0.container, one);
        drop(keep);
    }
}
