//! The state of an installation: `state.json`, and the failures that could not be written there.
//!
//! In: a home. Out: its [`HomeState`], and the versions that failed. Never: replaces a state that
//! cannot be read now.

use super::Home;
use crate::model::Version;
use crate::store::files::{read_json, replace_json};
use crate::store::records::HomeState;
use crate::store::{StoreError, stand_in};

impl Home {
    /// Versions that did not come up on this computer, as far as is known: a state that cannot be
    /// read must not prevent a start or a rollback. This only reads, so that nothing is created
    /// where nothing is installed.
    pub(crate) fn failed(&self) -> Vec<Version> {
        let known = self.known_failed().or_else(|_| stand_in::late_failures(self));
        known.unwrap_or_default()
    }

    /// The same for callers that delete by it: a state that cannot be read is an error, a damaged
    /// one is empty.
    pub(in crate::store) fn known_failed(&self) -> Result<Vec<Version>, StoreError> {
        let state = self.stored_state()?.unwrap_or_default();
        stand_in::and_late_failures(self, state.failed)
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
                return stand_in::take_in_late_failures(self, state);
            }
            Ok(_) => {}
            Err(StoreError::Damaged { path, source }) => {
                tracing::warn!(path = %path.display(), %source, "the state is damaged, beginning anew")
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
}
