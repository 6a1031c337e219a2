//! Files that are replaced in one step: after a crash there is the old content or the new, whole.

use std::io::Write as _;
use std::path::Path;

/// Prefix of the files that a killed process may leave behind; whoever holds the folder's lock may delete them.
pub const TEMPORARY_PREFIX: &str = ".tmp-";

/// Writes `bytes` beside `path`, makes them durable, and renames them to `path`.
pub fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = temporary(path)?;
    file.write_all(bytes)?;
    persist(file, path)
}

/// A temporary file beside `path`, for [`persist`]. Readable by everyone: what a web server of another user must serve.
pub fn temporary(path: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY_PREFIX);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    builder.tempfile_in(folder_of(path))
}

/// Makes a temporary file durable and renames it to `path`.
pub fn persist(file: tempfile::NamedTempFile, path: &Path) -> std::io::Result<()> {
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_folder(folder_of(path))
}

/// Makes the names in a folder durable. Windows has no such call: there a rename is in the journal.
pub fn sync_folder(folder: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    std::fs::File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
