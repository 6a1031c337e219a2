//! What a launcher works with from its start to its end: where versions are installed, the settings
//! in force, what it was shipped with and called with.
//!
//! In: what the command line found. Out: one plain value that everybody shares and nobody changes.
//! Never: anything alive (the running app, connections, caches); those are handles, which their
//! owners give to whoever uses them.

use std::ffi::OsString;
use std::time::{Duration, Instant};

use crate::settings::Settings;
use crate::store::lock::HomeLock;
use crate::store::{Home, StoreError};
use crate::trust::Trust;

/// How long a short operation waits for another launcher to finish its own.
const LOCK_TIMEOUT: Duration = Duration::from_secs(3);
/// Between two tries to take the lock.
const LOCK_RETRY: Duration = Duration::from_millis(50);

/// What a launcher works with; shared behind an `Arc`.
#[derive(Debug)]
pub(crate) struct Environment {
    /// Where versions are installed.
    pub home: Home,
    /// The settings in force.
    pub settings: Settings,
    /// `root.json` as it was shipped with the launcher.
    pub shipped_root: Vec<u8>,
    /// The user's own arguments for the app.
    pub arguments: Vec<OsString>,
    /// The language of release notes: `zh-CN` or `en`.
    pub language: String,
}

impl Environment {
    /// Takes the home's lock, waiting a little for another launcher.
    pub(crate) fn lock(&self) -> Result<HomeLock, StoreError> {
        self.lock_within(LOCK_TIMEOUT)
    }

    /// The same with another limit.
    pub(crate) fn lock_within(&self, limit: Duration) -> Result<HomeLock, StoreError> {
        let end = Instant::now() + limit;
        loop {
            match HomeLock::take(&self.home) {
                Err(StoreError::Busy { .. }) if Instant::now() < end => {
                    std::thread::sleep(LOCK_RETRY);
                }
                result => return result,
            }
        }
    }

    /// Signed metadata as it was trusted last, and what it takes to trust more.
    pub(crate) fn trust(&self) -> Trust {
        Trust::new(self.home.trust(), self.shipped_root.clone())
    }
}
