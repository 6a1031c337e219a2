//! The state of an installation: `state.json`, and the failures that could not be written there.
//!
//! In: a home. Out: its [`HomeState`], and the versions that failed. Never: replaces a state that
//! cannot be read now.

use super::Home;
use crate::error_chain;
use crate::model::Version;
use crate::store::StoreError;
use crate::store::files::{read_json, remove_file, replace_json};
use crate::store::records::HomeState;

impl Home {
    /// Versions that did not come up on this computer, or are recalled, as far as is known: a state that cannot be
    /// read must not prevent a start or a rollback. This only reads, so that nothing is created
    /// where nothing is installed.
    pub(crate) fn failed(&self) -> Vec<Version> {
        let known = self.known_failed().or_else(|_| late_failures(self));
        known.unwrap_or_default()
    }

    /// The same for callers that delete by it: a state that cannot be read is an error, a damaged
    /// one is empty.
    pub(in crate::store) fn known_failed(&self) -> Result<Vec<Version>, StoreError> {
        let state = self.stored_state()?.unwrap_or_default();
        and_late_failures(self, [state.failed, state.recalled].concat())
    }

    /// The state as it is on the disk, for callers that only read; `None` if it is missing or
    /// damaged.
    pub(crate) fn stored_state(&self) -> Result<Option<HomeState>, StoreError> {
        match read_json(&self.state_path()) {
            Err(StoreError::Damaged { .. }) => Ok(None),
            state => state,
        }
    }

    /// The stored state of this installation. A new installation gets a new installation id, which
    /// is stored at once. A damaged file is replaced: nothing in it is worth a failed start.
    pub(crate) fn state(&self) -> Result<HomeState, StoreError> {
        match read_json::<HomeState>(&self.state_path()) {
            Ok(Some(state)) if !state.installation_id.is_empty() => {
                return take_in_late_failures(self, state);
            }
            Ok(_) => {}
            Err(StoreError::Damaged { path, source }) => {
                tracing::warn!(path = %path.display(), error = error_chain::line(&source), "the state is damaged, beginning anew")
            }
            Err(error) => return Err(error),
        }
        let state = HomeState {
            installation_id: format!("{:032x}", fastrand::u128(..)),
            ..HomeState::default()
        };
        self.set_state(&state)?;
        Ok(state)
    }

    /// Stores the state of this installation.
    pub(crate) fn set_state(&self, state: &HomeState) -> Result<(), StoreError> {
        replace_json(&self.state_path(), state)
    }

    /// Records beside the state, which cannot be read now, that `version` failed.
    pub(in crate::store) fn note_late_failure(&self, version: &Version) -> Result<(), StoreError> {
        let mut failed = late_failures(self)?;
        if failed.contains(version) {
            return Ok(());
        }
        failed.push(version.clone());
        replace_json(&self.late_failures(), &failed)
    }
}

/// Versions that failed while the state could not be read; none if their file is damaged.
fn late_failures(home: &Home) -> Result<Vec<Version>, StoreError> {
    match read_json(&home.late_failures()) {
        Err(StoreError::Damaged { .. }) => Ok(Vec::new()),
        failures => Ok(failures?.unwrap_or_default()),
    }
}

/// `failed` together with the [`late_failures`].
fn and_late_failures(home: &Home, mut failed: Vec<Version>) -> Result<Vec<Version>, StoreError> {
    for version in late_failures(home)? {
        if !failed.contains(&version) {
            failed.push(version);
        }
    }
    Ok(failed)
}

/// Moves the late failures into the state, which can be read again. Where they themselves cannot be
/// read they stay where they are, and a later call moves them.
fn take_in_late_failures(home: &Home, state: HomeState) -> Result<HomeState, StoreError> {
    let late = late_failures(home).unwrap_or_else(|error| {
        tracing::warn!(error = error_chain::line(&error), "versions that failed are not known now");
        Vec::new()
    });
    if late.is_empty() {
        return Ok(state);
    }
    let state = HomeState { failed: and_late_failures(home, state.failed)?, ..state };
    home.set_state(&state)?;
    remove_file(&home.late_failures())?;
    Ok(state)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::store::fixture::{Fixture, make_readable, make_unreadable};
    use crate::store::probation::remember_failed;

    #[test]
    fn that_a_version_failed_is_remembered_where_the_state_cannot_be_read() {
        let fixture = Fixture::new();
        let home = &fixture.home;
        let id = home.state().unwrap().installation_id;
        let path = home.root().join("state.json");
        let aside = make_unreadable(&path);
        let two: Version = "2.0.0".parse().unwrap();
        assert!(home.state().is_err() && home.stored_state().is_err());
        remember_failed(home, &two).unwrap();
        assert_eq!(home.failed(), std::slice::from_ref(&two));
        // Failures that cannot be read are not written over, and nothing is deleted without them.
        let late = make_unreadable(&home.late_failures());
        assert!(remember_failed(home, &"3.0.0".parse().unwrap()).is_err());
        make_readable(&path, &aside);
        assert!(home.known_failed().is_err());
        assert_eq!(home.state().unwrap().failed, [], "the state itself can be read");
        make_readable(&home.late_failures(), &late);
        assert_eq!(home.failed(), std::slice::from_ref(&two));
        let state = home.state().unwrap();
        assert_eq!((state.installation_id, state.failed), (id, vec![two]));
        assert!(!home.late_failures().exists());
    }
}
