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
use crate::store::remove::delete_set_aside;
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

    /// Has `set_aside` remove versions, and deletes their files when the home's lock is free again:
    /// that may take many seconds, in which a person may press "Update".
    pub(crate) fn remove_versions<T>(
        &self,
        set_aside: impl FnOnce(&Home, &HomeLock) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let removed = self.lock().and_then(|lock| set_aside(&self.home, &lock));
        let deleted = delete_set_aside(&self.home);
        removed.and_then(|removed| deleted.map(|()| removed))
    }

    /// The channel that this installation follows: the user's choice if the publisher offers it, else
    /// that of the settings. A state that cannot be read has none.
    pub(crate) fn channel(&self) -> String {
        let state = if self.settings.channels.is_empty() {
            None
        } else {
            self.home.stored_state().ok().flatten()
        };
        let chosen = state.and_then(|state| state.channel);
        chosen
            .filter(|channel| self.settings.channels.contains(channel))
            .unwrap_or_else(|| self.settings.channel.clone())
    }

    /// Follows another channel from now on. Returns whether the publisher offers it.
    pub(crate) fn choose_channel(&self, channel: &str) -> Result<bool, StoreError> {
        if !self.settings.channels.iter().any(|offered| offered == channel) {
            return Ok(false);
        }
        let mut state = self.home.state()?;
        state.channel = (channel != self.settings.channel).then(|| channel.to_owned());
        self.home.set_state(&state)?;
        Ok(true)
    }

    /// The signed metadata that was trusted last, and the means to trust newer metadata: as far as
    /// it concerns this installation.
    pub(crate) fn trust(&self) -> Trust {
        Trust::new(self.home.trust(), self.shipped_root.clone())
            .for_installation(&self.settings.app, &self.channel())
    }
}

/// Whether versions of another publisher's app are installed in `home`: the root that this launcher
/// was shipped with is not of the repository that the home trusts.
pub(crate) fn is_of_another_publisher(home: &Home, shipped_root: &[u8]) -> bool {
    Trust::new(home.trust(), shipped_root).is_of_another_publisher()
        && !home.folders().is_ok_and(|versions| versions.is_empty())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::store::fixture::Fixture;
    use crate::store::remove;
    use crate::store::switch::{SwitchOptions, switch};

    const SETTINGS: &str =
        "app = 'sample'\n[[nodes]]\nid = 'one'\nurl = 'http://127.0.0.1:8080/'\n";

    /// Whether somebody gets the lock of `home` while files of removed versions are there.
    fn gets_the_lock_during_a_deletion(home: &Home, ended: &AtomicBool) -> bool {
        let is_deleted = || home.half_removed().is_empty();
        while !ended.load(Ordering::Acquire) {
            if !is_deleted() && HomeLock::take(home).is_ok_and(|_lock| !is_deleted()) {
                return true;
            }
        }
        false
    }

    #[test]
    fn the_lock_is_free_while_files_of_removed_versions_are_deleted() {
        let fixture = Fixture::new();
        let (used, home) = (fixture.install("9.0.0", &[]), fixture.home.clone());
        switch(&home, &used, SwitchOptions::PLAIN, &fixture.lock).unwrap();
        let files: Vec<String> = (0..3000).map(|number| format!("app/{number}")).collect();
        let files: Vec<(&str, &str)> = files.iter().map(|path| (path.as_str(), "")).collect();
        let large = fixture.install("1.0.0", &files);
        let _folder = fixture.release();
        let environment = Environment {
            home: home.clone(),
            settings: Settings::parse(SETTINGS, Path::new("launcher.toml")).unwrap(),
            shipped_root: Vec::new(),
            included_bundle: None,
            arguments: Vec::new(),
            language: "en".to_owned(),
        };
        let ended = AtomicBool::new(false);
        let was_free = std::thread::scope(|scope| {
            let other = scope.spawn(|| gets_the_lock_during_a_deletion(&home, &ended));
            environment
                .remove_versions(|home, lock| remove::set_aside(home, &large, lock))
                .unwrap();
            ended.store(true, Ordering::Release);
            other.join().unwrap()
        });
        assert!(was_free && home.half_removed().is_empty());
        assert!(!home.container(&large).exists());
    }

    #[test]
    fn the_user_chooses_among_the_channels_that_the_publisher_offers() {
        let fixture = Fixture::new();
        let environment = |top: &str| Environment {
            home: fixture.home.clone(),
            settings: Settings::parse(&format!("{top}{SETTINGS}"), Path::new("launcher.toml"))
                .unwrap(),
            shipped_root: Vec::new(),
            included_bundle: None,
            arguments: Vec::new(),
            language: "en".to_owned(),
        };
        let offered = environment("channels = ['stable', 'beta']\n");
        assert_eq!(offered.channel(), "stable");
        assert!(!offered.choose_channel("nightly").unwrap());
        assert!(offered.choose_channel("beta").unwrap());
        assert_eq!(offered.channel(), "beta");
        // What the publisher no longer offers is no longer followed.
        assert_eq!(environment("").channel(), "stable");
        assert_eq!(environment("channels = ['stable', 'canary']\n").channel(), "stable");
        assert!(offered.choose_channel("stable").unwrap());
        assert_eq!(offered.home.state().unwrap().channel, None, "as the settings say");
    }
}
