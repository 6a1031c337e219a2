//! The executable's file, and the files beside it.
//!
//! In: where the executable is. Out: the places of the others, the lock, one rename into its place,
//! one start. Never: a decision whether to exchange it.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::desktop::remove_file;
use crate::durable;
use crate::file_error::{FileError, FileResult as _};

/// Pause between two looks at a self-test.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// How often a held lock is tried.
const LOCK_LOOKS: u32 = 20;

/// The executable at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LauncherFile {
    pub(super) path: PathBuf,
}

impl LauncherFile {
    /// The executable at `path`, links resolved. Call it at the start of a process: after an
    /// exchange the system may name another path for the running file.
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A file beside it; a program keeps the ending that makes it executable.
    fn beside(&self, what: &str, is_program: bool) -> PathBuf {
        let mut name = self.path.file_stem().unwrap_or_default().to_owned();
        match self.path.extension() {
            Some(extension) if extension.eq_ignore_ascii_case("exe") => {
                name.push(format!(".{what}"));
                if is_program {
                    name.push(".");
                    name.push(extension);
                }
            }
            Some(extension) => {
                name.push(".");
                name.push(extension);
                name.push(format!(".{what}"));
            }
            None => name.push(format!(".{what}")),
        }
        self.path.with_file_name(name)
    }

    pub(super) fn staged(&self) -> PathBuf {
        self.beside("new", true)
    }

    pub(super) fn old(&self) -> PathBuf {
        self.beside("old", true)
    }

    pub(super) fn note_path(&self) -> PathBuf {
        self.beside("update.json", false)
    }

    pub(super) fn lock_path(&self) -> PathBuf {
        self.beside("update.lock", false)
    }

    /// The lock; `None` while another process holds it. A process that another thread is just
    /// starting may hold it for a moment by accident.
    pub(super) fn lock(&self) -> Result<Option<File>, FileError> {
        let path = self.lock_path();
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.at("open", &path)?;
        for _ in 0..LOCK_LOOKS {
            match file.try_lock() {
                Ok(()) => return Ok(Some(file)),
                Err(TryLockError::WouldBlock) => std::thread::sleep(POLL_INTERVAL),
                Err(TryLockError::Error(error)) => {
                    return Err(FileError::new("lock", path, error));
                }
            }
        }
        Ok(None)
    }

    /// The error that prevents an exchange; `None` if there is none. Often this user cannot write
    /// to the folder: then a package manager or an administrator put the launcher there, and also
    /// brings the next one.
    pub(crate) fn fixed(&self) -> Option<io::Error> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        if is_sealed(folder) {
            return Some(io::Error::other("it is part of a signed application bundle"));
        }
        match fs::symlink_metadata(&self.path) {
            Ok(found) if !found.is_file() => return Some(io::Error::other("it is no plain file")),
            Ok(_) => {}
            Err(error) => return Some(error),
        }
        tempfile::Builder::new().prefix(durable::TEMPORARY_PREFIX).tempfile_in(folder).err()
    }

    /// Moves `from` to the executable's place. Where a running program cannot be replaced it is
    /// moved to `aside`.
    pub(super) fn take_place(&self, from: &Path, aside: &Path) -> Result<(), FileError> {
        if cfg!(windows) {
            remove_file(aside)?;
            durable::rename(&self.path, aside).at("replace", &self.path)?;
            if let Err(error) = durable::rename(from, &self.path) {
                durable::rename(aside, &self.path).at("replace", &self.path)?;
                return Err(FileError::new("replace", &self.path, error));
            }
        } else {
            durable::rename(from, &self.path).at("replace", &self.path)?;
        }
        durable::sync_folder(self.path.parent().unwrap_or(Path::new("."))).at("replace", &self.path)
    }

    /// Replaces this process by the executable in place, with the same arguments. Returns only if
    /// that is impossible, or, on Windows, with the exit status of the executable.
    ///
    /// # Errors
    /// The reason why it could not be started.
    pub(crate) fn hand_over(&self, arguments: &[OsString]) -> io::Result<u32> {
        let mut command = Command::new(&self.path);
        command.args(arguments);
        #[cfg(unix)]
        {
            Err(std::os::unix::process::CommandExt::exec(&mut command))
        }
        #[cfg(not(unix))]
        {
            command.status().map(crate::store::launch::exit_code)
        }
    }
}

/// Whether the program in `folder` belongs to an application bundle of macOS with a signature. That
/// covers all files of the bundle: with another program in it, macOS would call the bundle damaged.
fn is_sealed(folder: &Path) -> bool {
    let contents = folder.parent().filter(|_| folder.ends_with("Contents/MacOS"));
    contents.is_some_and(|contents| contents.join("_CodeSignature").is_dir())
}
