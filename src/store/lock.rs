//! Locks that the system releases when their holder ends, however it ends: no stale lock, no reused process id to fear.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::{Home, StoreError};
use crate::model::ContainerId;

/// Held while versions in a home are changed. Starting the app needs none.
#[derive(Debug)]
pub struct HomeLock(#[allow(dead_code)] File);

impl HomeLock {
    /// Takes the lock; at once [`StoreError::Busy`] if another launcher has it.
    pub fn take(home: &Home) -> Result<Self, StoreError> {
        home.create()?;
        let path = home.root().join("lock");
        let file = open(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(StoreError::Busy { home: home.root().to_owned() }),
            Err(TryLockError::Error(error)) => Err(StoreError::io("lock", &path)(error)),
        }
    }
}

/// Shared by all processes that run a version. On Unix the app inherits it, so it outlives the launcher.
#[derive(Debug)]
pub struct RunningLock(File);

impl RunningLock {
    /// Says that `id` is running, for as long as the value (or a process that inherited it) lives.
    pub fn hold(home: &Home, id: &ContainerId) -> Result<Self, StoreError> {
        let path = home.running().join(id.to_string());
        std::fs::create_dir_all(home.running()).map_err(StoreError::io("create", &path))?;
        let file = open(&path)?;
        file.lock_shared().map_err(StoreError::io("lock", &path))?;
        Ok(Self(file))
    }

    /// Runs `spawn`, whose child inherits the lock and so holds it as long as it lives, also after the launcher.
    pub fn inherited_by<T>(&self, spawn: impl FnOnce() -> T) -> T {
        // One at a time: a child must not inherit the lock of another version that starts at the same moment.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        self.set_inheritable(true);
        let result = spawn();
        self.set_inheritable(false);
        result
    }

    #[cfg(unix)]
    fn set_inheritable(&self, inheritable: bool) {
        use rustix::io::{FdFlags, fcntl_setfd};
        let flags = if inheritable { FdFlags::empty() } else { FdFlags::CLOEXEC };
        if let Err(error) = fcntl_setfd(&self.0, flags) {
            tracing::warn!(%error, "the app cannot inherit its running lock");
        }
    }

    /// Windows refuses to delete a running program's files anyway.
    #[cfg(not(unix))]
    fn set_inheritable(&self, _inheritable: bool) {
        let _ = &self.0;
    }

    /// Whether some process runs `id`.
    pub fn is_held(home: &Home, id: &ContainerId) -> bool {
        let path = home.running().join(id.to_string());
        match File::open(&path) {
            Ok(file) => matches!(file.try_lock(), Err(TryLockError::WouldBlock)),
            Err(_) => false,
        }
    }
}

fn open(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path).map_err(StoreError::io("open", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_launcher_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        let first = HomeLock::take(&home).unwrap();
        assert!(matches!(HomeLock::take(&home), Err(StoreError::Busy { .. })));
        drop(first);
        HomeLock::take(&home).unwrap();
    }

    #[test]
    fn running_is_seen_while_held() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        let id: ContainerId = "a_1.0.0_Linux_x86_64".parse().unwrap();
        assert!(!RunningLock::is_held(&home, &id));
        let (one, two) = (RunningLock::hold(&home, &id).unwrap(), RunningLock::hold(&home, &id).unwrap());
        drop(one);
        assert!(RunningLock::is_held(&home, &id));
        drop(two);
        assert!(!RunningLock::is_held(&home, &id));
    }
}
