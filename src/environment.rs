//! The values that a launcher works with from its start to its end: where versions are installed,
//! the settings in force, the files it was shipped with, the arguments it was called with.
//!
//! In: the results of the command line. Out: one plain value that all rooms share and none changes.
//! Never: holds live handles (the running app, connections, caches); their owners pass those to the
//! code that needs them.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::settings::Settings;
use crate::store::lock::HomeLock;
use crate::store::{Home, StoreError};
use crate::trust::Trust;

/// How long a short operation waits for another launcher to finish its own.
const LOCK_TIMEOUT: Duration = Duration::from_secs(3);
/// Pause between two tries to take the lock.
const LOCK_RETRY: Duration = Duration::from_millis(50);

/// The values that a launcher works with; shared behind an `Arc`.
#[derive(Debug)]
pub(crate) struct Environment {
    /// Where versions are installed.
    pub home: Home,
    /// The settings in force.
    pub settings: Settings,
    /// `root.json` as it was shipped with the launcher.
    pub shipped_root: Vec<u8>,
    /// The bundle that was installed with the launcher.
    pub included_bundle: Option<PathBuf>,
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

    /// The same with another time limit.
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

    /// The signed metadata that was trusted last, and the means to trust newer metadata.
    pub(crate) fn trust(&self) -> Trust {
        Trust::new(self.home.trust(), self.shipped_root.clone())
    }
}

/// Whether versions of another publisher's app are installed in `home`: the root that this launcher
/// was shipped with is not of the repository that the home trusts.
pub(crate) fn is_of_another_publisher(home: &Home, shipped_root: &[u8]) -> bool {
    Trust::new(home.trust(), shipped_root).is_of_another_publisher()
        && !home.folders().is_ok_and(|versions| versions.is_empty())
}
