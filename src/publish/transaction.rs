//! A change of a repository as a list of small steps. Each step is atomic, and the repository is
//! valid after each of them: files that no document names yet come first, and the one file that
//! names them comes last.

use std::collections::VecDeque;
use std::fs::{File, TryLockError};
use std::io::Seek as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::error::{PublishError, at};
use super::keys::{KeyPair, Password};
use crate::error_chain;
use crate::model::Digest;
use crate::{durable, look};

/// A prepared change. The repository changes only when the transaction runs; dropping it leaves the
/// repository unchanged.
///
/// It holds the folder's lock, so that two publishers do not interleave.
#[must_use = "nothing is published until the transaction is run"]
#[derive(Debug)]
pub struct Transaction {
    steps: VecDeque<TransactionStep>,
    _lock: Lock,
}

/// One atomic step.
#[derive(Debug)]
pub(super) enum TransactionStep {
    /// Copies a package (or clones it, where the file system can) to the name that its digest gives
    /// it.
    Copy { source: PathBuf, destination: PathBuf, hash: Digest },
    /// Writes or replaces a small file.
    Write { path: PathBuf, bytes: Vec<u8> },
    /// Writes a new key, readable only by its owner; encrypted if there is a password.
    Key { path: PathBuf, key: KeyPair, password: Option<Password> },
    /// Removes a file that no document names any more.
    Remove { path: PathBuf },
}

impl Transaction {
    pub(super) fn new(lock: Lock, steps: impl IntoIterator<Item = TransactionStep>) -> Self {
        Self { steps: steps.into_iter().collect(), _lock: lock }
    }

    /// Whether there is nothing to do: the repository already has the requested content.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The key files that the transaction makes.
    pub fn new_keys(&self) -> Vec<PathBuf> {
        let key = |step: &TransactionStep| {
            if let TransactionStep::Key { path, .. } = step { Some(path.clone()) } else { None }
        };
        self.steps.iter().filter_map(key).collect()
    }

    /// Number of steps that remain.
    pub fn remaining(&self) -> usize {
        self.steps.len()
    }

    /// Runs all steps.
    ///
    /// # Errors
    /// On the first step that fails. The repository is valid then: with the old content, or with
    /// the new one.
    pub fn run(mut self) -> Result<(), PublishError> {
        while self.step()? {}
        Ok(())
    }

    /// Runs the next step; `false` if none was left. A step that failed is not tried again.
    pub fn step(&mut self) -> Result<bool, PublishError> {
        match self.steps.pop_front() {
            None => return Ok(false),
            Some(TransactionStep::Copy { source, destination, hash }) => {
                copy(&source, &destination, hash)?
            }
            Some(TransactionStep::Write { path, bytes }) => {
                durable::replace(&path, &bytes).map_err(at(&path))?
            }
            Some(TransactionStep::Key { path, key, password }) => {
                let folder = path.parent().unwrap_or(&path);
                std::fs::create_dir_all(folder).map_err(at(folder))?;
                key.write(&path, password.as_ref().map(Password::reveal))?;
            }
            // The change is already in force; the next transaction removes what stays behind.
            Some(TransactionStep::Remove { path }) => {
                std::fs::remove_file(&path).unwrap_or_else(|error| {
                    tracing::warn!(error = error_chain::line(&error), path = %path.display(), "an outdated file stays")
                })
            }
        }
        Ok(true)
    }
}

/// Copies a package and checks the copy: the repository serves exactly what was signed, even if the
/// source changes meanwhile.
fn copy(source: &Path, destination: &Path, hash: Digest) -> Result<(), PublishError> {
    let temporary = durable::temporary(destination).map_err(at(destination))?;
    let mut from = File::open(source).map_err(at(source))?;
    // `std::io::copy` between two files lets the kernel copy, or share the blocks.
    std::io::copy(&mut from, &mut temporary.as_file()).map_err(at(destination))?;
    if digest_of(temporary.path())?.0 != hash {
        let reason = "it changed while it was being published".to_owned();
        return Err(PublishError::Package { path: source.to_owned(), reason });
    }
    durable::persist(temporary, destination).map_err(at(destination))
}

/// Digest and length of a file, read in parts.
pub(super) fn digest_of(path: &Path) -> Result<(Digest, u64), PublishError> {
    let mut file = File::open(path).map_err(at(path))?;
    let digest = look::digest(&file).map_err(at(path))?;
    Ok((digest, file.stream_position().map_err(at(path))?))
}

/// Pause between two attempts to take the lock of a folder in which another publisher is working.
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// Tries to prepare a change. While another publisher is working in the folder it tries again, for
/// at most `timeout`.
///
/// # Errors
/// The errors of `prepare`; [`PublishError::Busy`] only after the timeout.
pub(crate) fn when_free<T>(
    timeout: Duration,
    mut prepare: impl FnMut() -> Result<T, PublishError>,
) -> Result<T, PublishError> {
    let deadline = Instant::now() + timeout;
    loop {
        match prepare() {
            Err(PublishError::Busy { .. }) if Instant::now() < deadline => {
                std::thread::sleep(LOCK_PAUSE)
            }
            outcome => return outcome,
        }
    }
}

/// The lock on a publisher's folder; it is released when it is dropped, also when the process is
/// killed.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A process that another thread starts at this moment has the file open too, and would hold
        // the lock until it begins its own program.
        let _ = self.file.unlock();
    }
}

impl Lock {
    /// Takes the lock `path`, and removes the temporary files of killed publishers from `folders`.
    pub(super) fn take(path: &Path, folders: &[PathBuf]) -> Result<Self, PublishError> {
        let mut options = std::fs::OpenOptions::new();
        let file = options.create(true).truncate(false).write(true).open(path).map_err(at(path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(PublishError::Busy { path: path.to_owned() });
            }
            Err(TryLockError::Error(error)) => return Err(at(path)(error)),
        }
        for folder in folders {
            for entry in std::fs::read_dir(folder).map_err(at(folder))? {
                let entry = entry.map_err(at(folder))?;
                if entry.file_name().to_string_lossy().starts_with(durable::TEMPORARY_PREFIX) {
                    std::fs::remove_file(entry.path()).map_err(at(&entry.path()))?;
                }
            }
        }
        Ok(Self { file })
    }
}

#[cfg(test)]
mod tests {
    use super::Lock;

    #[test]
    fn a_lock_ends_with_its_holder_although_a_process_has_inherited_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".lock");
        let lock = Lock::take(&path, &[]).unwrap();
        let inherited = lock.file.try_clone().unwrap();
        assert!(Lock::take(&path, &[]).is_err());
        drop(lock);
        assert!(Lock::take(&path, &[]).is_ok());
        drop(inherited);
    }
}
