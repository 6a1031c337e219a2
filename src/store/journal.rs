//! The journal of a switch. It records the decision before the first step that others can see, so
//! that the next holder of the lock can finish the switch. A switch is prepared in a separate
//! folder, where a failure or a kill changes nothing. Once the journal is on disk, the remaining
//! steps follow even after a kill.
//!
//! ```text
//! 1  the next version's present folders are moved out   (to a snapshot; to be deleted if nobody
//!                                                        ever used them)
//! 2  the prepared ones are moved in
//! 3  the pointer flips
//! 4  the journal is removed
//! ```
//!
//! Each step looks at the disk and does only what is missing, so it can be repeated from any point.
//! If a step before the flip *fails* (a scanner holds a file, the disk is full), the steps are
//! undone, so that no version is ever started while a journal waits.
//!
//! In: a [`Journal`]. Out: the new version's folders and the pointer, or everything as it was.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::carry_over::{self, CARRIED};
use super::files::{exists, move_folder, read_json, replace_json};
use super::lock::HomeLock;
use super::names::{INCOMING, REMOVED};
use super::{Active, Home, StoreError, snapshots};
use crate::durable;
use crate::error_chain;
use crate::file_error::{FileError, FileResult as _};
use crate::model::ContainerId;

/// A decided switch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Journal {
    /// The version that gets the prepared folders.
    pub container: ContainerId,
    /// The place of the prepared folders, a folder below the home.
    pub prepared: PathBuf,
    /// Which of `config`, `data` and `logs` are prepared.
    pub folders: Vec<String>,
    /// The place for the version's present folders, a folder below the home.
    pub displaced: PathBuf,
    /// The content of the pointer afterwards.
    pub active: Active,
}

/// The user's folders that lie in `prepared`.
pub(super) fn folders_in(prepared: &Path) -> Result<Vec<String>, StoreError> {
    let mut folders = Vec::new();
    for folder in CARRIED {
        if exists(&prepared.join(folder))? {
            folders.push(folder.to_owned());
        }
    }
    Ok(folders)
}

impl Journal {
    /// Writes the journal and performs the steps. After an error everything is as it was.
    pub(super) fn commit(&self, home: &Home, _lock: &HomeLock) -> Result<(), StoreError> {
        replace_json(&home.journal(), self)?;
        self.perform_or_undo(home)
    }

    /// Undoes the steps and makes `active` the pointer again: the version that was left has turned
    /// out to be in use.
    pub(super) fn take_back(&self, home: &Home, active: &Active) -> Result<(), StoreError> {
        home.set_active(active)?;
        self.undo(home)
    }

    fn perform_or_undo(&self, home: &Home) -> Result<(), StoreError> {
        let Err(error) = self.perform(home) else {
            self.remove(home);
            return Ok(());
        };
        let undone = match self.is_flipped(home) {
            Ok(true) => {
                tracing::warn!(
                    error = error_chain::line(&error),
                    "the switch is done, but not yet durable"
                );
                self.remove(home);
                return Ok(());
            }
            Ok(false) => self.undo(home),
            Err(unknown) => Err(unknown),
        };
        match undone {
            Ok(()) => self.remove(home),
            // The active version has its own folders. Only those of the other one are in disorder,
            // and all of them still exist.
            Err(undoing) => tracing::error!(
                error = error_chain::line(&undoing),
                "a failed switch cannot be undone now"
            ),
        }
        Err(error)
    }

    /// Finishes an interrupted switch, or undoes it. If the disk refused earlier, the launcher
    /// started the old version nevertheless, and the user's work in it counts. The pointer records
    /// that the switch is still wanted.
    fn finish_or_take_back(&self, home: &Home) -> Result<(), StoreError> {
        if self.is_outrun(home)? {
            self.undo(home).map(|()| self.remove(home))
        } else {
            self.perform_or_undo(home)
        }
    }

    /// Whether a user file in the version that is still active is newer than the decision.
    fn is_outrun(&self, home: &Home) -> Result<bool, StoreError> {
        let journal = home.journal();
        let decided =
            fs::metadata(&journal).and_then(|found| found.modified()).at("look at", &journal)?;
        let Some(active) = home.named()?.filter(|active| active.container != self.container) else {
            return Ok(false);
        };
        let changed = carry_over::last_change(&home.container(&active.container))?;
        Ok(changed.is_some_and(|changed| changed > decided))
    }

    fn is_flipped(&self, home: &Home) -> Result<bool, StoreError> {
        Ok(home.named()?.is_some_and(|active| active.container == self.container))
    }

    fn perform(&self, home: &Home) -> Result<(), StoreError> {
        let (prepared, place, displaced) = self.places(home);
        let mut waiting = Vec::new();
        for folder in &self.folders {
            if exists(&prepared.join(folder))? {
                waiting.push(folder);
            }
        }
        if !waiting.is_empty() {
            durable::create_folders(&displaced).at("create", &displaced)?;
        }
        for folder in &waiting {
            move_to(&place.join(folder), &displaced.join(folder))?;
        }
        if !waiting.is_empty() {
            // The moves out reach the disk before the moves in.
            let above =
                displaced.ancestors().skip(1).take_while(|above| above.starts_with(home.root()));
            [displaced.as_path(), &place].into_iter().chain(above).try_for_each(sync)?;
        }
        for folder in &waiting {
            move_to(&prepared.join(folder), &place.join(folder))?;
        }
        if !waiting.is_empty() {
            [place.as_path(), &prepared].into_iter().try_for_each(sync)?;
        }
        // A version must have its files before it becomes active.
        for folder in self.folders.iter().map(|folder| place.join(folder)) {
            if !exists(&folder)? {
                return Err(FileError::new("find", folder, std::io::ErrorKind::NotFound).into());
            }
        }
        // A start after the flip may have changed the pointer's other fields already.
        if self.is_flipped(home)? { Ok(()) } else { home.set_active(&self.active) }
    }

    /// Undoes the steps that were performed.
    fn undo(&self, home: &Home) -> Result<(), StoreError> {
        let (prepared, place, displaced) = self.places(home);
        for folder in &self.folders {
            if !exists(&prepared.join(folder))? {
                durable::create_folders(&prepared).at("create", &prepared)?;
                move_to(&place.join(folder), &prepared.join(folder))?;
            }
            move_to(&displaced.join(folder), &place.join(folder))?;
        }
        if exists(&prepared)? {
            sync(&prepared)?;
        }
        Ok(sync(&place)?)
    }

    /// Removes the journal once all steps are done. A failure is logged: performing the steps again
    /// changes nothing.
    fn remove(&self, home: &Home) {
        let removed =
            fs::remove_file(home.journal()).and_then(|()| durable::sync_folder(home.root()));
        if let Err(error) = removed {
            tracing::warn!(
                error = error_chain::line(&error),
                "the journal of a switch that is done stays"
            );
        }
    }

    /// Returns the prepared folders, the version, and the displaced folders.
    fn places(&self, home: &Home) -> (PathBuf, PathBuf, PathBuf) {
        (
            home.root().join(&self.prepared),
            home.container(&self.container),
            home.root().join(&self.displaced),
        )
    }
}

/// Finishes a switch that a kill interrupted, and deletes the files that were prepared for an
/// undecided one. The new holder of the lock calls this. A failure is logged and never denies
/// anybody the lock: the active version has its own folders.
pub(super) fn recover(home: &Home, _lock: &HomeLock) {
    home.remove_replaced();
    match read_json::<Journal>(&home.journal()) {
        Ok(None) => {}
        Ok(Some(journal)) => {
            tracing::warn!(?journal, "finishing an interrupted switch");
            if let Err(error) = journal.finish_or_take_back(home) {
                tracing::error!(error = error_chain::line(&error), "the interrupted switch waits");
            }
        }
        // The journal is written in one step, so a damaged one means a damaged disk. The pointer
        // still names a version with its own folders.
        Err(StoreError::Damaged { path, source }) => {
            tracing::error!(path = %path.display(), error = error_chain::line(&source), "the journal is damaged; the switch is given up");
            let _ = fs::remove_file(path);
        }
        Err(error) => {
            tracing::error!(error = error_chain::line(&error), "the journal cannot be read");
            return;
        }
    }
    if exists(&home.journal()).unwrap_or(true) {
        // A waiting switch still needs its files in their places.
        return;
    }
    snapshots::repair_left(home);
    remove_prepared(home);
}

/// Finishes or undoes a waiting switch, before the caller begins another switch or removes a
/// version. That would delete the user's files that were prepared for the first switch, or moved
/// out of its way.
///
/// # Errors
/// The reason why the switch still waits. The caller must not prepare, move or remove anything
/// then.
pub(super) fn settle(home: &Home, _lock: &HomeLock) -> Result<(), StoreError> {
    let Some(journal) = read_json::<Journal>(&home.journal())? else { return Ok(()) };
    tracing::warn!(?journal, "a switch that was cut short comes first");
    let done = journal.finish_or_take_back(home);
    if !exists(&home.journal())? {
        // The switch is finished or undone; the log has the reason for an earlier failure.
        return Ok(());
    }
    Err(done.err().unwrap_or_else(|| {
        let reason = std::io::Error::other("an earlier switch cannot be finished now");
        FileError::new("finish", home.journal(), reason).into()
    }))
}

/// Deletes the prepared folders. A folder that cannot be deleted is moved to the removed ones, and
/// a later call tries again.
pub(super) fn remove_prepared(home: &Home) {
    // A switch that could be neither finished nor undone still needs them.
    if exists(&home.journal()).unwrap_or(true) {
        return;
    }
    if let Err(error) = home.remove_own(INCOMING) {
        tracing::warn!(
            error = error_chain::line(&error),
            "what was prepared for a switch could not be removed"
        );
        for left in home.own_in(INCOMING) {
            let name = format!("{REMOVED}incoming-{:08x}", fastrand::u32(..));
            let _ = fs::rename(&left, home.containers().join(name));
        }
    }
}

/// Renames `from` if it exists and `to` is free. Neither holds after the step was done once.
fn move_to(from: &Path, to: &Path) -> Result<(), FileError> {
    if exists(from)? && !exists(to)? { move_folder(from, to) } else { Ok(()) }
}

fn sync(folder: &Path) -> Result<(), FileError> {
    durable::sync_folder(folder).at("make durable", folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::Fixture;
    use crate::store::switch::{SwitchOptions, switch};

    struct Prepared {
        fixture: Fixture,
        journal: Journal,
        /// The moves in order: from where, to where.
        steps: Vec<(PathBuf, PathBuf)>,
    }

    fn prepared() -> Prepared {
        let fixture = Fixture::new();
        let (one, two) = (fixture.install("1.0.0", &[]), fixture.install("2.0.0", &[]));
        let home = &fixture.home;
        switch(home, &one, SwitchOptions::PLAIN, &fixture.lock).unwrap();
        let (work, place, retained) = (
            home.incoming().join("0a1b2c3d"),
            home.container(&two),
            home.snapshots().join("kept/files"),
        );
        for folder in CARRIED {
            for (root, text) in [(&work, "new"), (&place, "old")] {
                fs::create_dir_all(root.join(folder)).unwrap();
                fs::write(root.join(folder).join("file"), text).unwrap();
            }
        }
        let active = Active {
            container: two.clone(),
            previous: Some(one),
            pending: None,
            pending_goes_back: false,
            pending_failures: 0,
            probation: None,
        };
        let journal = Journal {
            container: two,
            prepared: "incoming/0a1b2c3d".into(),
            folders: folders_in(&work).unwrap(),
            displaced: "snapshots/kept/files".into(),
            active,
        };
        let mut steps: Vec<_> =
            CARRIED.iter().map(|folder| (place.join(folder), retained.join(folder))).collect();
        steps.extend(CARRIED.iter().map(|folder| (work.join(folder), place.join(folder))));
        Prepared { fixture, journal, steps }
    }

    fn read(root: &Path) -> Vec<String> {
        CARRIED
            .iter()
            .map(|folder| fs::read_to_string(root.join(folder).join("file")).unwrap())
            .collect()
    }

    /// Every state that a kill can leave between the steps of a switch ends in the new version with
    /// all files.
    #[test]
    fn a_decided_switch_is_finished_from_every_step() {
        for step in 0..=8 {
            let Prepared { fixture, journal, steps } = prepared();
            let home = fixture.home.clone();
            replace_json(&home.journal(), &journal).unwrap();
            fs::create_dir_all(home.snapshots().join("kept/files")).unwrap();
            for (from, to) in steps.iter().take(step) {
                fs::rename(from, to).unwrap();
            }
            if step > 6 {
                home.set_active(&journal.active).unwrap();
            }
            let keep = fixture.release();
            let lock = HomeLock::take(&home).unwrap();
            assert_eq!(home.active().unwrap().0, journal.active, "step {step}");
            assert_eq!(read(&home.container(&journal.container)), ["new"; 3], "step {step}");
            assert_eq!(read(&home.snapshots().join("kept/files")), ["old"; 3], "step {step}");
            assert!(!home.journal().exists() && !home.incoming().exists());
            drop((lock, keep));
        }
    }

    /// If the prepared folders cannot be read for some time, they neither count as moved nor are
    /// deleted for another switch.
    #[test]
    #[cfg(unix)]
    fn a_switch_that_waits_keeps_the_users_files_from_whatever_comes_next() {
        use crate::store::resolution::resolve_for_start;
        use crate::store::{remove, rollback};
        let Prepared { fixture, journal, .. } = prepared();
        let (home, new) = (fixture.home.clone(), journal.container.clone());
        let three = fixture.install("3.0.0", &[]);
        let old = home.active().unwrap().0;
        replace_json(&home.journal(), &journal).unwrap();
        let keep = fixture.release();
        // Looking below a link to itself is an error, even for root; it does not mean that the file
        // is missing.
        let (incoming, aside) = (home.incoming(), home.root().join("aside"));
        fs::rename(&incoming, &aside).unwrap();
        std::os::unix::fs::symlink(&incoming, &incoming).unwrap();
        home.set_active(&old.with_pending(&new)).unwrap();
        for _ in 0..3 {
            let resolved = resolve_for_start(&home, SwitchOptions::PLAIN).unwrap();
            assert_eq!(resolved.record.container, old.container);
            assert!(resolved.switched.is_none() && resolved.waits.is_some(), "{resolved:?}");
        }
        assert_eq!(home.active().unwrap().0.pending_failures, 0, "it is wanted as before");
        home.set_active(&old).unwrap();
        let lock = HomeLock::take(&home).unwrap();
        assert!(switch(&home, &three, SwitchOptions::PLAIN, &lock).is_err());
        assert!(rollback::roll_back(&home, Some(&three), &lock).is_err());
        assert!(remove::set_aside(&home, &new, &lock).is_err());
        home.remove_left(&lock);
        assert!(home.journal().exists());
        drop(lock);
        fs::remove_file(&incoming).unwrap();
        fs::rename(&aside, &incoming).unwrap();
        let resolved = resolve_for_start(&home, SwitchOptions::PLAIN).unwrap();
        assert_eq!((resolved.record.container, resolved.waits.is_none()), (new.clone(), true));
        assert_eq!(read(&home.container(&new)), ["new"; 3]);
        assert_eq!(read(&home.snapshots().join("kept/files")), ["old"; 3]);
        drop(keep);
    }

    #[test]
    fn a_step_that_fails_is_followed_by_the_way_back() {
        for pointer in [false, true] {
            let Prepared { fixture, journal, .. } = prepared();
            let home = &fixture.home;
            let before = home.active().unwrap().0;
            if pointer {
                // All folders are moved, but the pointer cannot be replaced: a folder has its
                // place.
                fs::remove_file(home.root().join("active.json")).unwrap();
                fs::create_dir(home.root().join("active.json")).unwrap();
            } else {
                // No folder can be moved out: a file has the place of the snapshot.
                fs::create_dir_all(home.snapshots()).unwrap();
                fs::write(home.snapshots().join("kept"), "").unwrap();
            }
            assert!(journal.commit(home, &fixture.lock).is_err());
            assert_eq!(read(&home.container(&journal.container)), ["old"; 3]);
            assert_eq!(read(&home.incoming().join("0a1b2c3d")), ["new"; 3]);
            assert!(!home.journal().exists());
            assert!(pointer || home.active().unwrap().0 == before);
        }
    }

    #[test]
    fn what_was_only_prepared_is_thrown_away() {
        let Prepared { fixture, .. } = prepared();
        let home = fixture.home.clone();
        let before = home.active().unwrap().0;
        let keep = fixture.release();
        fs::write(home.journal(), "{\"container\":").unwrap();
        drop(HomeLock::take(&home).unwrap());
        assert!(!home.incoming().exists() && !home.journal().exists());
        assert_eq!(home.active().unwrap().0, before);
        drop(keep);
    }
}
