//! Copies the user's files with their bytes and holes, permissions and modification time, and with
//! their extended attributes as far as the system lets them be set. Copies share blocks where the
//! file system can do that.
//!
//! In: a plain file. Out: a copy at a free path. Never: turns a hole into bytes (a database of 200
//! GB may hold 12 kB), waits for a pipe.

#[cfg(windows)]
mod windows;

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use super::files::remove_file;
use crate::error_chain;
use crate::file_error::{FileError, FileResult as _};
use crate::look;

/// Bytes that are copied at once.
const COPIED_AT_ONCE: usize = 256 << 10;

/// Bytes on disk of a file: a preallocated or sparse one may take more or fewer than its length.
#[cfg(unix)]
pub(super) fn allocated(_path: &Path, found: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(found) * 512
}

/// Bytes on disk of a file: a sparse or compressed one may take fewer than its length.
#[cfg(windows)]
pub(super) fn allocated(path: &Path, found: &Metadata) -> u64 {
    windows::allocated(path).unwrap_or(found.len())
}

/// Makes a second file with the same bytes, permissions and modification time. They share blocks
/// where the file system can do that. The copy is not durable yet.
pub(super) fn clone_file(from: &Path, to: &Path) -> Result<(), FileError> {
    let metadata = fs::metadata(from).at("look at", from)?;
    let copy = match reflink_copy::reflink(from, to) {
        Ok(()) => {
            // Some systems clone the mode as well, and a read-only file cannot be opened for its
            // time to be set.
            set_owner_writable(to);
            File::options().write(true).open(to).at("open", to)?
        }
        Err(_) => copy_bytes(from, to, &metadata)?,
    };
    copy_attributes(from, &copy);
    let time = metadata.modified().and_then(|modified| copy.set_modified(modified));
    as_far_as_can_be(time.and(copy.set_permissions(metadata.permissions()))).at("change", to)
}

/// Accepts that a file system (FAT, network shares) has no permissions or times to set: the bytes
/// are what counts. Other errors are returned.
pub(super) fn as_far_as_can_be(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported
            ) =>
        {
            tracing::debug!(error = error_chain::line(&error), "time and permissions are not kept");
            Ok(())
        }
        done => done,
    }
}

fn set_owner_writable(path: &Path) {
    #[cfg(unix)]
    let _ = fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600));
    #[cfg(not(unix))]
    super::files::writable(path);
}

fn copy_bytes(from: &Path, to: &Path, metadata: &Metadata) -> Result<File, FileError> {
    remove_file(to)?;
    let mut source = look::open(from).at("open", from)?;
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    // A file that only its owner may read stays unreadable to others while it is copied.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut copy = options.open(to).at("create", to)?;
    let copied = if allocated(from, metadata) < metadata.len() {
        #[cfg(windows)]
        windows::allow_holes(&copy);
        copy_with_holes(&mut source, &mut copy)
    } else {
        io::copy(&mut source, &mut copy).map(drop)
    };
    copied.at("write", to)?;
    Ok(copy)
}

/// Copies the data between the holes, each part to its place.
fn copy_with_holes(source: &mut File, copy: &mut File) -> io::Result<()> {
    let mut at = 0;
    while let Some((start, end)) = next_data(source, at)? {
        source.seek(SeekFrom::Start(start))?;
        copy.seek(SeekFrom::Start(start))?;
        copy_without_zeros(&mut Read::by_ref(source).take(end - start), copy)?;
        at = end;
    }
    // The end may be a hole; and the file may have grown meanwhile.
    copy.set_len(source.metadata()?.len())
}

/// The begin and end of the next data at or after `at`; `None` if only a hole follows.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "macos", target_os = "freebsd"))]
fn next_data(source: &File, at: u64) -> io::Result<Option<(u64, u64)>> {
    use rustix::fs::{SeekFrom, seek};
    use rustix::io::Errno;
    match seek(source, SeekFrom::Data(at)) {
        Ok(start) => Ok(Some((start, seek(source, SeekFrom::Hole(start))?))),
        Err(Errno::NXIO) => Ok(None),
        // This file system does not report holes: all of it is data.
        Err(Errno::INVAL | Errno::NOTSUP) => whole(source, at),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_os = "macos",
    target_os = "freebsd"
)))]
fn next_data(source: &File, at: u64) -> io::Result<Option<(u64, u64)>> {
    whole(source, at)
}

fn whole(source: &File, at: u64) -> io::Result<Option<(u64, u64)>> {
    let end = source.metadata()?.len();
    Ok((at < end).then_some((at, end)))
}

/// Copies bytes, and skips parts that consist of zeros only.
fn copy_without_zeros(source: &mut dyn Read, copy: &mut File) -> io::Result<()> {
    let mut buffer = vec![0; COPIED_AT_ONCE];
    loop {
        let count = match source.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let bytes = &buffer[..count];
        if bytes.iter().all(|byte| *byte == 0) {
            copy.seek(SeekFrom::Current(i64::try_from(count).unwrap_or_default()))?;
        } else {
            copy.write_all(bytes)?;
        }
    }
}

/// Copies extended attributes: tags, origins, access lists. Attributes that the system or the file
/// system refuses are left out.
#[cfg(any(target_os = "linux", target_os = "macos"))]
fn copy_attributes(from: &Path, to: &File) {
    for (name, value) in attributes(from) {
        if let Err(error) =
            rustix::fs::fsetxattr(to, name.as_slice(), &value, rustix::fs::XattrFlags::empty())
        {
            tracing::debug!(error = error_chain::line(&error), file = %from.display(), "an attribute is not kept");
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
fn attributes(path: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let names = grown(|buffer| rustix::fs::listxattr(path, buffer)).unwrap_or_default();
    let names = names.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names
        .filter_map(|name| {
            Some((name.to_vec(), grown(|buffer| rustix::fs::getxattr(path, name, buffer))?))
        })
        .collect()
}

/// Calls `read` with a buffer that is large enough for its result; `None` if it fails.
#[cfg(any(target_os = "linux", target_os = "macos"))]
fn grown(read: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> Option<Vec<u8>> {
    /// The kernel's own limit (XATTR_SIZE_MAX), and more than enough elsewhere.
    const MAX_BUFFER_BYTES: usize = 64 << 10;
    let mut size = 256;
    loop {
        let mut buffer = vec![0; size];
        match read(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                return Some(buffer);
            }
            Err(rustix::io::Errno::RANGE) if size < MAX_BUFFER_BYTES => size *= 16,
            Err(_) => return None,
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn copy_attributes(_from: &Path, _to: &File) {}

/// Whether files in `folder` can be cloned without copying their blocks.
pub(super) fn can_clone(folder: &Path) -> bool {
    let (from, to) = (folder.join(".clone-from"), folder.join(".clone-to"));
    let cloned = fs::write(&from, [0; 4096]).is_ok() && reflink_copy::reflink(&from, &to).is_ok();
    let _ = (fs::remove_file(&from), fs::remove_file(&to));
    cloned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_stay_holes_and_bytes_are_where_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| folder.path().join(name));
        let mut file = File::create(&from).unwrap();
        #[cfg(windows)]
        windows::allow_holes(&file);
        file.write_all(&[1; 5_000]).unwrap();
        file.seek(SeekFrom::Start(40 << 20)).unwrap();
        file.write_all(b"in the middle").unwrap();
        file.set_len(100 << 20).unwrap();
        drop(file);
        let before = fs::metadata(&from).unwrap();
        let copy = copy_bytes(&from, &to, &before).unwrap();
        drop(copy);
        assert_eq!(fs::read(&from).unwrap(), fs::read(&to).unwrap());
        if allocated(&from, &before) < before.len() {
            assert!(allocated(&to, &fs::metadata(&to).unwrap()) < 4 << 20);
        }
        // Also tests a file system that does not report its holes.
        let [mut source, mut again] = [File::open(&from).unwrap(), File::create(&to).unwrap()];
        copy_without_zeros(&mut source, &mut again).unwrap();
        again.set_len(before.len()).unwrap();
        assert_eq!(fs::read(&from).unwrap(), fs::read(&to).unwrap());
    }

    #[test]
    fn a_copy_is_dense_where_the_file_is_and_empty_files_are_copied() {
        let folder = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| folder.path().join(name));
        for bytes in [vec![7; 300_000], vec![0; 300_000], Vec::new()] {
            fs::write(&from, &bytes).unwrap();
            let _ = fs::remove_file(&to);
            clone_file(&from, &to).unwrap();
            assert_eq!(fs::read(&to).unwrap(), bytes);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn attributes_come_along_where_there_are_any() {
        let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let [from, to] = ["from", "to"].map(|name| folder.path().join(name));
        fs::write(&from, "text").unwrap();
        let value = vec![b'x'; 1_000];
        let set = rustix::fs::setxattr(&from, "user.tag", &value, rustix::fs::XattrFlags::empty());
        clone_file(&from, &to).unwrap();
        let expected = if set.is_ok() { vec![(b"user.tag".to_vec(), value)] } else { Vec::new() };
        let found: Vec<_> =
            attributes(&to).into_iter().filter(|(name, _)| name.starts_with(b"user.")).collect();
        assert_eq!(found, expected);
    }
}
