//! Which versions are installed and which one is active, and what stands in for a record that is
//! lost or cannot be read. An error of the disk does not mean that a file is missing, and the app
//! starts with its user's files.
//!
//! In: the records, the other files of a version, and when it was used last. Out: the active
//! version, records, the order in which versions are tried. Never: changes a version.

use std::cmp::Reverse;
use std::time::SystemTime;

use super::files::read_json;
use super::lock::{self, HomeLock};
use super::{Active, Home, HomeState, InstalledRecord, Probation, StoreError};
use crate::error_chain;
use crate::look;
use crate::model::{ContainerId, Digest, Manifest};

impl Home {
    /// The active version's record. Where `active.json` is missing, damaged, or names a version
    /// that is not whole, the result is the most recently used whole version. A failure to read is
    /// an error: the pointer may be right, and a caller that changes versions must not guess.
    pub(crate) fn active(&self) -> Result<(Active, InstalledRecord), StoreError> {
        if let Some(active) = self.named()? {
            match self.record(&active.container) {
                Ok(record) => return Ok((active, record)),
                Err(error @ (StoreError::NotInstalled { .. } | StoreError::Damaged { .. })) => {
                    tracing::warn!(
                        error = error_chain::line(&error),
                        "the active version cannot be used"
                    );
                }
                Err(error) => return Err(error),
            }
        }
        self.stand_in()?
            .ok_or_else(|| StoreError::NothingInstalled { home: self.root().to_owned() })
    }

    /// Like [`Home::active`], but for starting the app: if the pointer cannot be read, the result
    /// is also the most recently used whole version. The app starts (docs/security.md, promise 1).
    pub(crate) fn active_for_start(&self) -> Result<(Active, InstalledRecord), StoreError> {
        match self.active() {
            Err(error @ StoreError::File(_)) => {
                tracing::error!(
                    error = error_chain::line(&error),
                    "the active version cannot be read"
                );
                self.stand_in()?
                    .ok_or_else(|| StoreError::NothingInstalled { home: self.root().to_owned() })
            }
            result => result,
        }
    }

    /// The active version for callers that decide what to delete or move: `None` if none is
    /// installed.
    pub(super) fn active_if_any(&self) -> Result<Option<Active>, StoreError> {
        match self.active() {
            Ok((active, _)) => Ok(Some(active)),
            Err(StoreError::NothingInstalled { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The version that the next start uses: the pending one if it is still whole, else the active
    /// one.
    pub(crate) fn chosen(&self) -> Result<ContainerId, StoreError> {
        let (active, _) = self.active()?;
        match active.pending {
            Some(pending) if self.is_installed(&pending)? => Ok(pending),
            _ => Ok(active.container),
        }
    }

    fn stand_in(&self) -> Result<Option<(Active, InstalledRecord)>, StoreError> {
        // The most recently used version that came up, if there is one.
        let mut installed = self.installed()?;
        sort_by_use(self, &mut installed);
        // The version's probation is lost with the pointer. Where another version exists, this one
        // has to prove itself again.
        let probation = (installed.len() > 1).then(|| Probation::begin(jiff::Timestamp::now()));
        Ok(installed.into_iter().next().map(|record| {
            (
                Active {
                    container: record.container.clone(),
                    previous: None,
                    pending: None,
                    pending_goes_back: false,
                    pending_failures: 0,
                    probation,
                },
                record,
            )
        }))
    }

    /// Writes the most recently used version into `active.json` where that names no whole version;
    /// does nothing if no version is installed. The caller does this before it registers a version:
    /// afterwards the new version would be the newest, and nothing would show whose data to carry
    /// over. A record that cannot be read for another reason than damage is an error: the pointer
    /// may be right.
    pub(crate) fn ensure_active(&self, _lock: &HomeLock) -> Result<(), StoreError> {
        if let Some(active) = self.named()? {
            match self.record(&active.container) {
                Err(StoreError::NotInstalled { .. } | StoreError::Damaged { .. }) => {}
                result => return result.map(drop),
            }
        }
        let Some((active, _)) = self.stand_in()? else { return Ok(()) };
        tracing::warn!(container = %active.container, "active.json named no whole version; the newest one stands in");
        self.set_active(&active)
    }

    /// The record of one installed version; if it cannot be read, it is made from the manifest.
    pub(crate) fn record(&self, id: &ContainerId) -> Result<InstalledRecord, StoreError> {
        match self.written_record(id) {
            Err(error @ StoreError::File(_)) => {
                tracing::warn!(
                    error = error_chain::line(&error),
                    "a record cannot be read; the manifest stands in"
                );
                record_from_manifest(self, id).ok_or(error)
            }
            record => record,
        }
    }

    /// Whether `id` is installed and whole; an error if that is unknown now. An unknown version is
    /// neither offered as a new one nor replaced.
    pub(crate) fn is_installed(&self, id: &ContainerId) -> Result<bool, StoreError> {
        match self.record(id) {
            Ok(_) => Ok(true),
            Err(StoreError::NotInstalled { .. } | StoreError::Damaged { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The error of the first unreadable record that a start of `id` needs, if there is one.
    pub(crate) fn unreadable(&self, id: &ContainerId) -> Option<StoreError> {
        let looks = [
            self.named().map(drop),
            self.written_record(id).map(drop),
            read_json::<HomeState>(&self.state_path()).map(drop),
        ];
        let is_unreadable = |error: &StoreError| matches!(error, StoreError::File(_));
        looks.into_iter().filter_map(Result::err).find(is_unreadable)
    }

    /// All whole versions, the newest first. Other folders are skipped, and so are versions whose
    /// record cannot be read now.
    pub(crate) fn installed(&self) -> Result<Vec<InstalledRecord>, StoreError> {
        let whole = |id: ContainerId| {
            let reported = |error: &StoreError| {
                if matches!(error, StoreError::File(_)) {
                    tracing::warn!(
                        error = error_chain::line(error),
                        "a version cannot be looked at now"
                    );
                }
            };
            self.record(&id).inspect_err(reported).ok()
        };
        Ok(self.folders()?.into_iter().filter_map(whole).collect())
    }

    /// The error of the first version that cannot be read, if there is one.
    pub(super) fn refuse_unreadable(&self) -> Result<(), StoreError> {
        let is_unreadable = |error: &StoreError| matches!(error, StoreError::File(_));
        let mut errors = self.folders()?.into_iter().filter_map(|id| self.record(&id).err());
        errors.find(is_unreadable).map_or(Ok(()), Err)
    }
}

/// The record of `id`, made from its manifest, which has the same data; for a record that cannot be
/// read.
pub(super) fn record_from_manifest(home: &Home, id: &ContainerId) -> Option<InstalledRecord> {
    let path = home.manifest(id);
    let json = look::read(&path, look::LARGE).ok()??;
    let manifest = Manifest::from_json(&json).ok().filter(|manifest| manifest.id() == *id)?;
    let written = look::at(&path).ok()??.modified().ok()?;
    Some(InstalledRecord::of(
        &manifest,
        Digest::of(&json),
        jiff::Timestamp::try_from(written).ok()?,
    ))
}

/// Sorts the most recently used version first: its user's files are in it. Versions that failed
/// come last. Unused versions are in the order of their numbers, the newest first.
pub(super) fn sort_by_use(home: &Home, installed: &mut [InstalledRecord]) {
    let failed = home.failed();
    installed.sort_by_key(|record| {
        (failed.contains(&record.container.version), Reverse(last_use(home, &record.container)))
    });
}

/// When a start or an end of the version was last noted.
fn last_use(home: &Home, id: &ContainerId) -> Option<SystemTime> {
    look::at(&lock::records(home, id)).ok()??.modified().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::store::fixture::Fixture;
    #[cfg(unix)]
    use crate::store::fixture::make_unreadable;
    use crate::store::probation::remember_failed;
    use crate::store::switch::{SwitchOptions, switch};

    #[test]
    fn the_version_that_was_used_last_stands_in() {
        let fixture = Fixture::new();
        let home = &fixture.home;
        let (one, _two) = (fixture.install("1.0.0", &[]), fixture.install("2.0.0", &[]));
        let _ = fs::remove_file(home.root().join("active.json"));
        fs::create_dir_all(lock::records(home, &one)).unwrap();
        assert_eq!(home.active().unwrap().0.container, one, "the user's files are in it");
        remember_failed(home, &one.version).unwrap();
        assert_eq!(home.active().unwrap().0.container.version.to_string(), "2.0.0");
    }

    #[test]
    #[cfg(unix)]
    fn a_record_that_cannot_be_read_hides_no_version() {
        let fixture = Fixture::new();
        let home = &fixture.home;
        let (one, _two) = (fixture.install("1.0.0", &[]), fixture.install("2.0.0", &[]));
        switch(home, &one, SwitchOptions::PLAIN, &fixture.lock).unwrap();
        let before = home.record(&one).unwrap();
        make_unreadable(&home.container(&one).join("metadata/installed.json"));
        assert_eq!(home.record(&one).unwrap().launch, before.launch);
        assert_eq!(
            home.active_for_start().unwrap().0.container,
            one,
            "and not the newest, which has no files of the user's"
        );
        home.refuse_unreadable().unwrap();
        // The manifest cannot be read either: the version still counts as installed, and the result
        // is an error rather than "nothing to do".
        make_unreadable(&home.manifest(&one));
        assert!(
            matches!(home.active(), Err(StoreError::File(_))) && home.refuse_unreadable().is_err()
        );
        let pruned = crate::store::maintenance::prune(home, 9, &fixture.lock);
        assert!(matches!(pruned, Err(StoreError::File(_))), "{pruned:?}");
    }
}
