//! Changes that survive a power cut: a file is replaced whole or not at all, and a folder's new
//! name is on disk before any other code relies on it. Ground floor: every room that stores state
//! uses these functions and adds its own errors.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use crate::error_chain;
use crate::look;

/// Prefix of the files that a killed process may leave behind. The holder of the folder's lock may
/// delete them. Where files are also replaced without that lock, [`remove_left`] deletes them.
pub(crate) const TEMPORARY_PREFIX: &str = ".tmp-";
/// Age above which a temporary file counts as left behind, whatever process wrote it: writing one
/// takes milliseconds.
const LEFT_BEHIND: Duration = Duration::from_secs(60 * 60);

/// Writes `bytes` beside `path`, makes them durable, and renames them to `path`.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = temporary(path)?;
    file.write_all(bytes)?;
    persist(file, path)
}

/// A temporary file beside `path`, for [`persist`]. All users can read it, whatever the umask: a
/// web server of another user must serve it, or another user must start what an administrator has
/// installed. Secrets are written elsewhere.
pub(crate) fn temporary(path: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    // The id of the writer, for `sweep`.
    let prefix = format!("{TEMPORARY_PREFIX}{}-", std::process::id());
    builder.prefix(&prefix);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    // Opened here, because the builder's own errors hide the system's error (too many open files is
    // no broken disk).
    let file =
        builder.make_in(folder_of(path), |path| written_by_owner(&mut options).open(path))?;
    #[cfg(unix)]
    share(file.path(), 0o644);
    Ok(file)
}

/// Creates a folder and the missing ones above it. All users can enter the new ones, whatever the
/// umask, as they can read the files that [`temporary`] makes in them. An existing folder keeps its
/// mode.
pub(crate) fn create_shared_folders(folder: &Path) -> io::Result<()> {
    match create_shared_folder(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let Some(above) = folder.parent().filter(|above| !above.as_os_str().is_empty()) else {
                return Err(error);
            };
            create_shared_folders(above)?;
            // Once: some file systems say "not found" although the folder above is there.
            create_shared_folder(folder)
        }
        result => result,
    }
}

fn create_shared_folder(folder: &Path) -> io::Result<()> {
    match std::fs::create_dir(folder) {
        Ok(()) => {
            #[cfg(unix)]
            share(folder, 0o755);
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error),
        // The folder exists, perhaps as a link to one; or the path is taken by something else.
        Err(_) => std::fs::create_dir_all(folder),
    }
}

/// Creates a folder and the missing ones above it. The umask may restrict it further. Other users
/// never get the right to write: files that they put there could decide about code.
pub(crate) fn create_folders(folder: &Path) -> io::Result<()> {
    folder_builder(0o755).recursive(true).create(folder)
}

/// Creates a folder that only its owner can use, and the missing ones above it: for files that are
/// not verified yet, or are verified and not in their place yet.
pub(crate) fn create_private_folders(folder: &Path) -> io::Result<()> {
    folder_builder(0o700).recursive(true).create(folder)
}

/// Creates a folder for the user's own files, and the missing ones above it. The user's group may
/// write if the umask allows it; all users never may.
pub(crate) fn create_user_folders(folder: &Path) -> io::Result<()> {
    folder_builder(0o775).recursive(true).create(folder)
}

fn folder_builder(_mode: u32) -> std::fs::DirBuilder {
    #[cfg_attr(not(unix), allow(unused_mut))]
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, _mode);
    builder
}

/// Lets only the owner write a file that these options create, whatever the umask.
pub(crate) fn written_by_owner(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o644);
    options
}

/// Best effort: some file systems have no modes.
#[cfg(unix)]
fn share(path: &Path, mode: u32) {
    if let Err(error) =
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))
    {
        tracing::debug!(error = error_chain::line(&error), path = %path.display(), "its mode stays");
    }
}

/// Makes a temporary file durable and renames it to `path`.
pub(crate) fn persist(file: tempfile::NamedTempFile, path: &Path) -> io::Result<()> {
    file.as_file().sync_all()?;
    let mut rest = Some(file);
    patiently(|| match rest.take() {
        Some(file) => file.persist(path).map(drop).map_err(|failed| {
            rest = Some(failed.file);
            failed.error
        }),
        None => Ok(()),
    })?;
    sync_folder(folder_of(path))
}

/// Deletes the temporary files in `folder` that killed processes left: those whose writer is no
/// longer alive, and old ones. Needs no lock. A file that cannot be deleted stays for the next
/// time.
pub(crate) fn remove_left(folder: &Path) {
    for entry in look::entries_if_readable(folder) {
        if is_left(&entry) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Whether [`remove_left`] would find something in `folder`.
pub(crate) fn has_left(folder: &Path) -> bool {
    look::entries_if_readable(folder).iter().any(is_left)
}

fn is_left(entry: &std::fs::DirEntry) -> bool {
    let name = entry.file_name();
    let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(TEMPORARY_PREFIX)) else {
        return false;
    };
    let writer = rest.split_once('-').and_then(|(writer, _)| writer.parse().ok());
    let modified = entry.metadata().and_then(|found| found.modified());
    let is_old =
        || modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age >= LEFT_BEHIND));
    writer.is_some_and(|writer| !may_be_alive(writer)) || is_old()
}

/// Whether the process may be alive. A process id that is used again counts as alive, and so does
/// every process where the system gives no answer.
fn may_be_alive(process: u32) -> bool {
    #[cfg(unix)]
    {
        let id = i32::try_from(process).ok().and_then(rustix::process::Pid::from_raw);
        id.is_some_and(|id| rustix::process::test_kill_process(id) != Err(rustix::io::Errno::SRCH))
    }
    #[cfg(not(unix))]
    {
        let _ = process;
        true
    }
}

/// Renames as [`std::fs::rename`] does. Windows refuses while a virus scanner or an indexer has a
/// file open; there the function tries again for up to five seconds.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    patiently(|| std::fs::rename(from, to))
}

/// Whether another process has the file open in a way that refuses this access. Only Windows
/// refuses that; elsewhere the number means a broken pipe, which no file is.
pub(crate) fn is_held_open(error: &io::Error) -> bool {
    /// ERROR_SHARING_VIOLATION, which std maps to no kind.
    const SHARING_VIOLATION: i32 = 32;
    error.raw_os_error() == Some(SHARING_VIOLATION)
}

fn patiently(attempt: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    #[cfg(windows)]
    {
        retry(100, Duration::from_millis(50), attempt)
    }
    #[cfg(not(windows))]
    {
        let mut attempt = attempt;
        attempt()
    }
}

/// Tries again while another process has the file open, at most `retries` times with a `pause`
/// before each.
#[cfg(any(windows, test))]
fn retry(
    mut retries: u32,
    pause: Duration,
    mut attempt: impl FnMut() -> io::Result<()>,
) -> io::Result<()> {
    loop {
        match attempt() {
            Err(error)
                if retries > 0
                    && (error.kind() == io::ErrorKind::PermissionDenied
                        || is_held_open(&error)) =>
            {
                retries -= 1;
                std::thread::sleep(pause);
            }
            result => return result,
        }
    }
}

/// Makes the names in a folder durable. Windows has no such call: there the file system's journal
/// has the rename.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

/// Makes every file below `tree` durable. Linux has one call for a whole file system, far cheaper
/// than thousands of `fsync`s. On macOS the function hands each file to the disk and empties the
/// disk's own cache once, at the end: `sync_all` would do that for each file and take minutes for
/// an app of 15,000 files. On other systems it syncs each file.
pub(crate) fn sync_tree(tree: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        rustix::fs::syncfs(File::open(tree)?).map_err(io::Error::from)
    }
    #[cfg(not(target_os = "linux"))]
    {
        sync_each(tree)?;
        sync_folder(tree)
    }
}

#[cfg(any(not(target_os = "linux"), test))]
fn sync_each(tree: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(tree)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            sync_each(&entry.path())?;
        } else if kind.is_file() {
            // Windows flushes only through a handle that may write.
            let open =
                || std::fs::OpenOptions::new().read(true).write(cfg!(windows)).open(entry.path());
            let file = match open() {
                #[cfg(windows)]
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    let read_only = entry.metadata()?.permissions();
                    let mut writable = read_only.clone();
                    // Only the attribute: the lint is about Unix, where this would let everyone
                    // write.
                    #[allow(clippy::permissions_set_readonly_false)]
                    writable.set_readonly(false);
                    std::fs::set_permissions(entry.path(), writable)?;
                    let file = open();
                    std::fs::set_permissions(entry.path(), read_only)?;
                    file?
                }
                result => result?,
            };
            hand_over(&file)?;
        }
    }
    #[cfg(unix)]
    hand_over(&File::open(tree)?)?;
    Ok(())
}

/// Hands a file to the disk. On macOS its bytes may still be in the disk's cache, which `sync_all`
/// (`F_FULLFSYNC`) empties.
#[cfg(any(not(target_os = "linux"), test))]
fn hand_over(file: &File) -> io::Result<()> {
    #[cfg(target_os = "macos")]
    {
        rustix::fs::fsync(file).map_err(io::Error::from)
    }
    #[cfg(not(target_os = "macos"))]
    {
        file.sync_all()
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_place_where_nothing_can_be_made_is_an_error_and_no_endless_try() {
        let folder = Path::new("/proc/nothing/can/be/made");
        assert_eq!(create_shared_folders(folder).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn replacing_leaves_no_trace_of_the_old_or_of_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("value");
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        sync_tree(folder.path()).unwrap();
        let failed = replace(&folder.path().join("missing/value"), b"").unwrap_err();
        assert!(failed.raw_os_error().is_some(), "what the system said is still there: {failed:?}");
    }

    #[cfg(unix)]
    #[test]
    fn what_is_shared_is_so_whatever_the_umask_and_what_is_there_keeps_its_mode() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let private = folder.path().join("private");
        std::fs::create_dir(&private).unwrap();
        std::fs::set_permissions(&private, std::fs::Permissions::from_mode(0o700)).unwrap();
        // The umask belongs to the whole process, and other tests run in it.
        create_shared_folders(&private.join("a/b")).unwrap();
        create_shared_folders(&private.join("a/b")).unwrap();
        replace(&private.join("a/b/file"), b"x").unwrap();
        let found = ["", "a", "a/b", "a/b/file"].map(|path| mode(&private.join(path)));
        assert_eq!(found, [0o700, 0o755, 0o755, 0o644]);
        assert!(create_shared_folders(&private.join("a/b/file/c")).is_err());
    }

    #[test]
    fn what_killed_writers_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: String| folder.path().join(name);
        let ours = temporary(&place("value".to_owned())).unwrap();
        // The highest process id is 2^22 on Linux and lower elsewhere.
        let dead = place(format!("{TEMPORARY_PREFIX}{}-abcdef", i32::MAX));
        let [old, fresh, other] = [
            format!("{TEMPORARY_PREFIX}old"),
            format!("{TEMPORARY_PREFIX}fresh"),
            "old".to_owned(),
        ]
        .map(place);
        for path in [&dead, &old, &fresh, &other] {
            std::fs::write(path, "").unwrap();
        }
        for path in [&old, &other] {
            let file = File::options().write(true).open(path).unwrap();
            file.set_modified(std::time::SystemTime::now() - 2 * LEFT_BEHIND).unwrap();
        }
        assert!(has_left(folder.path()));
        remove_left(folder.path());
        assert_eq!([&dead, &old].map(|path| path.exists()), [cfg!(not(unix)), false]);
        assert!([&fresh, &other, ours.path()].into_iter().all(Path::exists));
        remove_left(&folder.path().join("missing"));
    }

    #[test]
    fn renaming_waits_for_a_file_that_somebody_has_open_and_not_for_other_errors() {
        let calls = std::cell::Cell::new(0);
        let failing = |times: u32, error: fn() -> io::Error| {
            calls.set(0);
            retry(3, Duration::ZERO, || {
                calls.set(calls.get() + 1);
                if calls.get() > times { Ok(()) } else { Err(error()) }
            })
        };
        failing(3, || io::ErrorKind::PermissionDenied.into()).unwrap();
        failing(2, || io::Error::from_raw_os_error(32)).unwrap();
        assert!(failing(9, || io::ErrorKind::PermissionDenied.into()).is_err());
        assert_eq!(calls.get(), 4, "three tries after the first");
        assert!(failing(1, || io::ErrorKind::NotFound.into()).is_err());
        assert_eq!(calls.get(), 1);

        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        std::fs::write(&from, "new").unwrap();
        std::fs::write(&to, "old").unwrap();
        rename(&from, &to).unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), b"new");
    }

    #[test]
    fn a_tree_is_synced_file_by_file_where_there_is_no_call_for_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
        std::fs::write(folder.path().join("a/b/file"), "x").unwrap();
        sync_each(folder.path()).unwrap();
        assert!(sync_each(&folder.path().join("missing")).is_err());
    }
}
