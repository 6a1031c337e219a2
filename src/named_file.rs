//! Where a person has named a file to write: what stands there already is replaced only if it is of
//! the same kind. A mistyped name must not cost a document. Ground floor.
//!
//! In: a path, and what will be written there. Out: a refusal, or nothing. Never: a change; bytes
//! between a file's beginning and its end.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use crate::file_error::{FileError, FileResult as _};
use crate::look;
use crate::model::made_file::{MadeFile, TELLING_BYTES};

/// Why nothing is written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// What stands there cannot be looked at.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file of another kind stands there.
    #[error("{} is there already, and is no {kind}; name another place, or move it away first", path.display())]
    Foreign { path: PathBuf, kind: String },
    /// There is a folder, a device or a pipe.
    #[error("{} is no file; name a file for the {kind}", path.display())]
    NoFile { path: PathBuf, kind: String },
}

/// Refuses a path where something stands that is not of this kind. An empty file has nothing to
/// lose: scripts make one with `mktemp`.
///
/// # Errors
/// [`OutputError`]; then nothing must be written there.
pub(crate) fn check(path: &Path, kind: MadeFile) -> Result<(), OutputError> {
    let refused = |path: &Path| (path.to_owned(), kind.to_string());
    let Some(found) = metadata(path).at("look at", path)? else { return Ok(()) };
    if !found.is_file() {
        let (path, kind) = refused(path);
        return Err(OutputError::NoFile { path, kind });
    }
    let (first, last) = ends(path).at("read", path)?;
    if first.is_empty() || kind.fits(&first, &last) {
        return Ok(());
    }
    let (path, kind) = refused(path);
    Err(OutputError::Foreign { path, kind })
}

/// The kind of a file that nobody but `kuzflow` makes.
///
/// # Errors
/// The system's error; that of a file that is no plain one.
pub(crate) fn kind_of(path: &Path) -> io::Result<Option<MadeFile>> {
    let (first, last) = ends(path)?;
    Ok(MadeFile::of(&first, &last))
}

/// What a path leads to, also through a link; `None` if there is nothing.
fn metadata(path: &Path) -> io::Result<Option<std::fs::Metadata>> {
    match std::fs::metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The first and the last bytes of a file.
fn ends(path: &Path) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut file = look::open(path)?;
    let length = file.metadata()?.len();
    let first = part(&mut file)?;
    file.seek(SeekFrom::Start(length.saturating_sub(TELLING_BYTES as u64)))?;
    Ok((first, part(&mut file)?))
}

fn part(file: &mut File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(TELLING_BYTES as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_kind_is_never_in_the_way_of_a_mistyped_name() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let kind = MadeFile::PatchPack;
        std::fs::write(at("thesis.odt"), "years of work").unwrap();
        std::fs::write(at("empty"), "").unwrap();
        std::fs::write(at("old.kuzpatch"), "KZP3....").unwrap();
        check(&at("new"), kind).unwrap();
        check(&at("empty"), kind).unwrap();
        check(&at("old.kuzpatch"), kind).unwrap();
        let error = check(&at("thesis.odt"), kind).unwrap_err();
        assert!(error.to_string().contains("is no patch pack; name another place"), "{error}");
        let error = check(folder.path(), kind).unwrap_err();
        assert!(matches!(error, OutputError::NoFile { .. }), "{error}");
        // A name below a file is the writer's error to tell, not an invitation. Windows reports such
        // a name as absent.
        let below = at("thesis.odt/below");
        assert!(check(&below, kind).is_err() || cfg!(windows) && File::create(below).is_err());
        assert_eq!(kind_of(&at("old.kuzpatch")).unwrap(), Some(kind));
        assert_eq!(kind_of(&at("thesis.odt")).unwrap(), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_what_it_leads_to_and_a_device_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("thesis.odt"), "years of work").unwrap();
        for (link, target) in [("link", "thesis.odt"), ("nowhere", "missing")] {
            std::os::unix::fs::symlink(target, at(link)).unwrap();
        }
        let kind = MadeFile::Bundle;
        assert!(matches!(check(&at("link"), kind), Err(OutputError::Foreign { .. })));
        check(&at("nowhere"), kind).unwrap();
        assert!(matches!(check(Path::new("/dev/null"), kind), Err(OutputError::NoFile { .. })));
    }
}
