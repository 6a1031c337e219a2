//! Looks at files, with three results: present, absent, or unknown. An error does not mean absence.
//! Code that deletes, moves or replaces something because another thing is absent asks here, and
//! does nothing if the answer is an error. Ground floor, beside [`crate::durable`].
//!
//! Records and documents are read here as well: plain files only, and only up to a sensible size.
//! So a pipe or a gigantic file in the place of one is an error and causes no wait.

use std::fs::{self, DirEntry, File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use crate::error_chain;
use crate::model::{Digest, Hasher};

/// Largest small record (a pointer, a note, the state), bytes.
pub(crate) const SMALL: u64 = 4 << 20;
/// Largest document (a manifest, metadata), bytes.
pub(crate) const LARGE: u64 = 256 << 20;
/// Bytes of a large file that are in memory at the same time.
const READ_AT_ONCE: usize = 256 << 10;
/// How often a failed look is repeated, and after which time.
const RETRIES: u32 = 2;
const PAUSE: Duration = Duration::from_millis(5);

/// The metadata of the item at `path` itself, links not followed; `None` if nothing is there.
///
/// # Errors
/// Every error that leaves the answer unknown.
pub(crate) fn at(path: &Path) -> io::Result<Option<Metadata>> {
    again(|| match fs::symlink_metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if is_absence(&error) => Ok(None),
        Err(error) => Err(error),
    })
}

/// Whether anything exists at `path`, also a link with a missing target.
///
/// # Errors
/// As [`at`].
pub(crate) fn is_there(path: &Path) -> io::Result<bool> {
    at(path).map(|found| found.is_some())
}

/// Whether `path` itself is a folder.
///
/// # Errors
/// As [`at`].
pub(crate) fn is_folder(path: &Path) -> io::Result<bool> {
    at(path).map(|found| found.is_some_and(|found| found.is_dir()))
}

/// All items in `folder`; none if there is no such folder.
///
/// # Errors
/// If it cannot be listed to its end.
pub(crate) fn entries(folder: &Path) -> io::Result<Vec<DirEntry>> {
    again(|| match fs::read_dir(folder) {
        Ok(entries) => entries.collect(),
        Err(error) if is_absence(&error) => Ok(Vec::new()),
        Err(error) => Err(error),
    })
}

/// All items in `folder`, for code that only cleans up or shows them: a folder that cannot be
/// listed is logged and counts as empty. Never use it to decide that something may be deleted
/// because something else is *not* there.
pub(crate) fn entries_if_readable(folder: &Path) -> Vec<DirEntry> {
    entries(folder).unwrap_or_else(|error| {
        tracing::info!(error = error_chain::line(&error), folder = %folder.display(), "this folder cannot be listed now");
        Vec::new()
    })
}

/// Opens a plain file for reading. Anything else is an error, and a pipe does not block.
///
/// # Errors
/// The system's error; `InvalidInput` if it is no plain file.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    open_with(&mut options, path)
}

/// Opens a plain file with `options`. Anything else is an error, and a pipe does not block.
///
/// # Errors
/// As [`open`].
pub(crate) fn open_with(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    // This flag has no effect on plain files.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        options,
        rustix::fs::OFlags::NONBLOCK.bits().cast_signed(),
    );
    again(|| {
        let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "it is no plain file");
        let file = match options.open(path) {
            // Windows opens no folder, and says of it only that access is denied.
            Err(error)
                if cfg!(windows)
                    && error.kind() == io::ErrorKind::PermissionDenied
                    && path.is_dir() =>
            {
                return Err(wrong());
            }
            opened => opened?,
        };
        file.metadata()?.is_file().then_some(file).ok_or_else(wrong)
    })
}

/// The bytes of a plain file of at most `most` bytes; `None` if the file does not exist.
///
/// # Errors
/// As [`open`]; `FileTooLarge` if it holds more.
pub(crate) fn read(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    again(|| {
        let file = match open(path) {
            Ok(file) => file,
            Err(error) if is_absence(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let length = file.metadata()?.len();
        if length > most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        // It may grow while it is read.
        file.take(most + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > most {
            Err(io::ErrorKind::FileTooLarge.into())
        } else {
            Ok(Some(bytes))
        }
    })
}

/// The digest of a file's bytes, from where the file stands to its end, read in parts. Any other
/// reader may stand in for the file.
///
/// # Errors
/// The system's error.
pub(crate) fn digest(mut file: impl io::Read) -> io::Result<Digest> {
    let (mut hasher, mut part) = (Hasher::default(), vec![0; READ_AT_ONCE]);
    loop {
        match file.read(&mut part) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(count) => hasher.update(&part[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Repeats a look that gave a temporary error, up to twice: a scanner has the file, a network disk
/// stumbles, no handle is free for a moment.
///
/// # Errors
/// The error of the last try.
pub(crate) fn again<T>(mut ask: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for _ in 0..RETRIES {
        match ask() {
            Err(error) if may_pass(&error) => std::thread::sleep(PAUSE),
            answer => return answer,
        }
    }
    ask()
}

fn may_pass(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, InvalidFilename, InvalidInput, IsADirectory, StorageFull};
    let lasts = [FileTooLarge, InvalidFilename, InvalidInput, IsADirectory, StorageFull];
    !is_absence(error) && !lasts.contains(&error.kind())
}

/// Whether the error means that the system has run out of threads, processes, open files or memory,
/// for however long.
pub(crate) fn is_shortage(error: &io::Error) -> bool {
    use io::ErrorKind::{OutOfMemory, WouldBlock};
    // Too many open files of this program or of all. On Windows also its own codes for memory,
    // threads and other resources.
    #[cfg(unix)]
    const MORE: &[i32] =
        &[rustix::io::Errno::MFILE.raw_os_error(), rustix::io::Errno::NFILE.raw_os_error()];
    #[cfg(windows)]
    const MORE: &[i32] = &[4, 8, 164, 1450, 1455];
    matches!(error.kind(), OutOfMemory | WouldBlock)
        || error.raw_os_error().is_some_and(|code| MORE.contains(&code))
}

/// Whether the error means that nothing is there.
fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absence_differs_from_what_is_not_known() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "text").unwrap();
        assert!(is_there(&file).unwrap() && !is_there(&file.with_extension("no")).unwrap());
        assert!(!is_there(&file.join("below")).unwrap(), "nothing is below a file");
        assert!(is_folder(folder.path()).unwrap() && !is_folder(&file).unwrap());
        // A name that no file can have: it is too long, or has a character that Windows forbids.
        // There a name that is too long may count as absent.
        let impossible = if cfg!(windows) { "a?b".to_owned() } else { "x".repeat(5_000) };
        let unknown = folder.path().join(impossible);
        assert!(
            is_there(&unknown).is_err() && entries(&unknown).is_err() && read(&unknown, 1).is_err()
        );
        assert!(entries_if_readable(&unknown).is_empty());
        assert_eq!(entries(folder.path()).unwrap().len(), 1);
        assert!(entries(&folder.path().join("none")).unwrap().is_empty());
    }

    #[test]
    #[cfg(unix)]
    fn a_shortage_is_reported_from_a_broken_disk() {
        use rustix::io::Errno;
        for shortage in [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::AGAIN] {
            assert!(is_shortage(&shortage.into()), "{shortage}");
        }
        for other in [Errno::IO, Errno::ACCESS, Errno::STALE, Errno::NOSPC, Errno::NOENT] {
            assert!(!is_shortage(&other.into()), "{other}");
        }
    }

    #[test]
    fn what_may_pass_is_asked_again_and_what_lasts_is_not() {
        use io::ErrorKind::{FileTooLarge, Interrupted, NotFound, Other};
        for (kind, failures, calls, good) in [
            (Other, 2, 3, true),
            (Interrupted, 1, 2, true),
            (Other, 9, 3, false),
            (NotFound, 9, 1, false),
            (FileTooLarge, 9, 1, false),
        ] {
            let mut asked = 0;
            let answer = again(|| {
                asked += 1;
                if asked > failures { Ok(()) } else { Err(kind.into()) }
            });
            assert_eq!((asked, answer.is_ok()), (calls, good), "{kind:?}");
        }
    }

    #[test]
    fn a_digest_is_that_of_all_bytes_from_where_the_file_stands() {
        use std::io::Seek as _;
        let bytes = vec![7; READ_AT_ONCE + 1];
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, &bytes).unwrap();
        assert_eq!(digest(&file).unwrap(), Digest::of(b""));
        file.seek(io::SeekFrom::Start(1)).unwrap();
        assert_eq!(digest(&file).unwrap(), Digest::of(&bytes[1..]));
        assert_eq!(file.stream_position().unwrap(), bytes.len() as u64, "it ends at the end");
    }

    #[test]
    fn only_plain_files_of_a_sensible_size_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "text").unwrap();
        assert_eq!(read(&file, 4).unwrap().as_deref(), Some(b"text".as_slice()));
        assert_eq!(read(&file, 3).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert!(read(&folder.path().join("none"), 4).unwrap().is_none());
        let kind = |path: &Path| read(path, 4).unwrap_err().kind();
        assert_eq!(kind(folder.path()), io::ErrorKind::InvalidInput, "a folder");
        #[cfg(unix)]
        {
            let pipe = folder.path().join("pipe");
            rustix::fs::mknodat(
                rustix::fs::CWD,
                &pipe,
                rustix::fs::FileType::Fifo,
                rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
                0,
            )
            .unwrap();
            assert_eq!(kind(&pipe), io::ErrorKind::InvalidInput, "and without waiting");
        }
    }
}
