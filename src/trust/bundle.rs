//! A bundle: a part of a repository in one file, for computers without a network.
//!
//! It is a plain tar of `metadata/…` and `targets/…` as nodes serve them: every root, the other
//! roles, and of the targets a release's packages and notes. The tar is not compressed, so a
//! package can be read in place. A bundle is one more mirror: its contents get the same checks as a
//! node's answers, and nothing in the tar itself is trusted.
//!
//! A hostile bundle costs a bounded number of headers of 512 bytes each. Only names and sizes are
//! read, and each entry must lie inside the file. Overlapping entries or false headers have no
//! effect, since every byte is verified.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::document::{TargetsBody, Unverified};
use super::error::SourceError;
use super::limits::LIMITS;
use super::names::is_plain_name;
use super::source::MetadataSource;
use async_trait::async_trait;

use crate::file_error::{FileError, FileResult as _};
use crate::mutex;

/// Most headers that are read: enough for a thousand roots, and for releases on more platforms than
/// exist.
const MAX_HEADERS: usize = 4096;
/// Longest name that an entry may have, bytes: folder, digest, and a target's name of 200.
const MAX_NAME_BYTES: u64 = 512;

/// An open bundle: where each file of the repository lies in it. Clones share the open file.
#[derive(Clone, Debug)]
pub struct Bundle {
    path: PathBuf,
    name: String,
    file: Arc<Mutex<File>>,
    places: Arc<BTreeMap<String, Range<u64>>>,
}

/// Why a file is not a bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// It cannot be opened or read.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is another kind of file, or a part of it is missing.
    #[error("{} is no whole bundle: {reason}", path.display())]
    Form {
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It is a package, without the metadata that signs it.
    #[error("{} is a package and no bundle", path.display())]
    Package { path: PathBuf },
}

impl Bundle {
    /// Opens `path` and reads its headers; blocks.
    ///
    /// # Errors
    /// [`BundleError::File`] if the file cannot be read. [`BundleError::Form`] if it is no plain
    /// file, is no tar, is cut short, names a file twice, or has no metadata.
    /// [`BundleError::Package`] if it is a package.
    pub fn open(path: &Path) -> Result<Self, BundleError> {
        let refuse =
            |reason: &str| BundleError::Form { path: path.to_owned(), reason: reason.to_owned() };
        // Checked before opening: opening a pipe would wait for its other end.
        if !std::fs::metadata(path).at("read", path)?.is_file() {
            return Err(refuse("it is no file"));
        }
        let file = File::open(path).at("read", path)?;
        let length = file.metadata().at("read", path)?.len();
        if is_zip(&file).at("read", path)? {
            return Err(BundleError::Package { path: path.to_owned() });
        }
        let places = read_places(&file, length).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => refuse(&error.to_string()),
            // The tar reader's error for an unknown form; its text would repeat the bytes.
            io::ErrorKind::Other | io::ErrorKind::UnexpectedEof => {
                refuse("its headers are not those of a tar")
            }
            _ => FileError::new("read", path, error).into(),
        })?;
        if !places.contains_key("metadata/timestamp.json") {
            return Err(refuse("it has no signed metadata"));
        }
        let name = path
            .file_name()
            .map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
        Ok(Self {
            path: path.to_owned(),
            name,
            file: Arc::new(Mutex::new(file)),
            places: Arc::new(places),
        })
    }

    /// The path that it was opened at.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The bytes of the bundle that hold the repository's file at `location` (for example
    /// `targets/…`); `None` if the bundle lacks it.
    pub fn place(&self, location: &str) -> Option<Range<u64>> {
        self.places.get(location).cloned()
    }

    /// The locations of all files in it.
    pub fn locations(&self) -> impl Iterator<Item = &str> {
        self.places.keys().map(String::as_str)
    }

    /// The bytes of `span` of the bundle; blocks.
    pub fn read(&self, span: &Range<u64>) -> Result<Vec<u8>, BundleError> {
        let read = || -> io::Result<Vec<u8>> {
            let mut file = mutex::lock(&self.file);
            file.seek(SeekFrom::Start(span.start))?;
            let wanted = span.end.saturating_sub(span.start);
            let mut bytes = Vec::new();
            // The buffer grows as bytes arrive: the file may be shorter than announced.
            (&mut *file).take(wanted).read_to_end(&mut bytes)?;
            if bytes.len() as u64 == wanted {
                Ok(bytes)
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
        };
        Ok(read().at("read", &self.path)?)
    }

    /// The highest version of a root in it, by its file name; unverified.
    pub(super) fn newest_root(&self) -> Option<u64> {
        self.newest("root")
    }

    /// The list of releases with the highest version in its file name; unverified.
    pub(super) async fn newest_targets(&self) -> Option<Unverified<TargetsBody>> {
        let location = format!("metadata/{}.targets.json", self.newest("targets")?);
        Unverified::read(&self.get(&location, LIMITS.targets).await.ok()?).ok()
    }

    fn newest(&self, role: &str) -> Option<u64> {
        let ending = format!(".{role}.json");
        let version = |location: &str| {
            location.strip_prefix("metadata/")?.strip_suffix(&ending)?.parse().ok()
        };
        self.locations().filter_map(version).max()
    }
}

#[async_trait]
impl MetadataSource for Bundle {
    fn name(&self) -> &str {
        &self.name
    }

    async fn get(&self, location: &str, limit: u64) -> Result<Vec<u8>, SourceError> {
        let Some(place) = self.place(location) else { return Err(SourceError::NotFound) };
        if place.end - place.start > limit {
            return Err(SourceError::TooLong { limit });
        }
        let bundle = self.clone();
        let read = tokio::task::spawn_blocking(move || bundle.read(&place)).await;
        read.map_err(|error| SourceError::Other(error.into()))?
            .map_err(|error| SourceError::Other(error.into()))
    }
}

/// Whether the file begins like a package.
fn is_zip(mut file: &File) -> io::Result<bool> {
    let mut head = Vec::new();
    file.take(4).read_to_end(&mut head)?;
    file.rewind()?;
    Ok(head == b"PK\x03\x04")
}

/// The repository's files in the tar, by location. Other entries are ignored.
fn read_places(file: &File, length: u64) -> io::Result<BTreeMap<String, Range<u64>>> {
    let refuse = |reason: &str| io::Error::new(io::ErrorKind::InvalidData, reason);
    let mut places = BTreeMap::new();
    let mut archive = tar::Archive::new(io::BufReader::with_capacity(512, file));
    // A name that is too long for a header comes before it as a separate entry.
    let mut long_name = None;
    // Raw: otherwise the reader follows extensions, and holds some of them in memory whole.
    for (number, entry) in archive.entries_with_seek()?.raw(true).enumerate() {
        if number == MAX_HEADERS {
            return Err(refuse("it has too many entries"));
        }
        let mut entry = entry?;
        let (kind, size, start) =
            (entry.header().entry_type(), entry.header().entry_size()?, entry.raw_file_position());
        let end = start
            .checked_add(size)
            .filter(|end| *end <= length)
            .ok_or_else(|| refuse("it is cut short"))?;
        if kind.is_gnu_longname() {
            if size > MAX_NAME_BYTES {
                return Err(refuse("it has a name that is too long"));
            }
            let mut name = Vec::new();
            entry.read_to_end(&mut name)?;
            long_name = Some(name);
            continue;
        }
        let name = long_name.take().unwrap_or_else(|| entry.path_bytes().into_owned());
        let Some(location) = location(&name).filter(|_| kind.is_file()) else { continue };
        if places.insert(location, start..end).is_some() {
            return Err(refuse("it names a file twice"));
        }
    }
    Ok(places)
}

/// `metadata/…` or `targets/…` with one plain name; `None` for any other name.
fn location(name: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(name).ok()?.trim_end_matches('\0');
    let name = name.strip_prefix("./").unwrap_or(name);
    let (folder, file) = name.split_once('/')?;
    // A digest and a dot precede a target's name.
    let plain = match folder {
        "metadata" => is_plain_name(file),
        "targets" => file
            .split_once('.')
            .is_some_and(|(digest, file)| digest.len() == 64 && is_plain_name(file)),
        _ => false,
    };
    plain.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tar_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, bytes) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            builder.append_data(&mut header, name, *bytes).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn open(bytes: &[u8]) -> Result<(tempfile::NamedTempFile, Bundle), BundleError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        Bundle::open(file.path()).map(|bundle| (file, bundle))
    }

    fn reason(bytes: &[u8]) -> String {
        open(bytes).map(drop).unwrap_err().to_string()
    }

    const TIMESTAMP: (&str, &[u8]) = ("metadata/timestamp.json", b"{}");

    #[tokio::test]
    async fn files_are_found_by_location_and_read_in_place() {
        let target = format!("targets/{}.{}.kuzflow", "a".repeat(64), "long-name".repeat(20));
        let (file, bundle) = open(&tar_of(&[
            TIMESTAMP,
            (&target, b"package"),
            ("else/where", b"1"),
            ("metadata/a/b", b"2"),
        ]))
        .unwrap();
        assert_eq!(
            bundle.locations().collect::<Vec<_>>(),
            ["metadata/timestamp.json", target.as_str()]
        );
        assert_eq!(bundle.read(&bundle.place(&target).unwrap()).unwrap(), b"package");
        assert_eq!(bundle.get("metadata/timestamp.json", 2).await.unwrap(), b"{}");
        assert!(matches!(
            bundle.get("metadata/timestamp.json", 1).await,
            Err(SourceError::TooLong { limit: 1 })
        ));
        assert!(matches!(bundle.get("metadata/1.root.json", 9).await, Err(SourceError::NotFound)));
        // The stick is pulled out, or its content is overwritten.
        file.as_file().set_len(600).unwrap();
        assert!(bundle.read(&bundle.place(&target).unwrap()).is_err());
    }

    #[test]
    fn what_is_no_whole_bundle_is_refused() {
        let whole = tar_of(&[TIMESTAMP, ("metadata/1.root.json", &[7; 3000])]);
        assert!(open(&whole).is_ok());
        assert!(reason(&whole[..whole.len() - 1024 - 512]).contains("cut short"));
        assert!(reason(&whole[..400]).contains("no whole bundle"));
        assert!(reason(&tar_of(&[TIMESTAMP, TIMESTAMP])).contains("twice"));
        assert!(reason(&tar_of(&[("metadata/1.root.json", b"")])).contains("no signed metadata"));
        assert!(reason(b"").contains("no signed metadata"));
        assert!(reason(&[b'P'; 5000]).contains("no whole bundle"));
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Bundle::open(folder.path()), Err(BundleError::Form { .. })));
        let package = folder.path().join("app.kuzflow");
        std::fs::write(&package, b"PK\x03\x04 and so on").unwrap();
        assert!(
            matches!(Bundle::open(&package), Err(BundleError::Package { .. })),
            "no part of it is missing"
        );
        assert!(matches!(Bundle::open(&folder.path().join("none")), Err(BundleError::File(_))));
    }

    #[test]
    fn only_plain_names_in_the_two_folders_count() {
        let target = format!("targets/{}.notes.md", "0".repeat(64));
        for good in ["metadata/1.root.json", "./metadata/timestamp.json", target.as_str()] {
            assert!(location(good.as_bytes()).is_some(), "{good}");
        }
        for bad in [
            "metadata/../x",
            "../metadata/x",
            "/metadata/x",
            "metadata/",
            "metadata/.x",
            "targets/x",
            "other/x",
            "metadata\\x",
        ] {
            assert!(location(bad.as_bytes()).is_none(), "{bad}");
        }
        assert_eq!(location(b"metadata/\xff"), None);
    }

    #[test]
    fn a_hostile_tar_costs_little() {
        let empty: Vec<(String, &[u8])> =
            (0..=MAX_HEADERS).map(|number| (format!("x/{number}"), b"".as_slice())).collect();
        let empty: Vec<(&str, &[u8])> =
            empty.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect();
        assert!(reason(&tar_of(&empty)).contains("too many"));
        // A size beyond 64 bits, and one beyond the file.
        for size in [u64::MAX, u64::MAX - 511, 1 << 40] {
            let mut bytes = tar_of(&[TIMESTAMP]);
            let mut header = tar::Header::new_gnu();
            header.set_path("metadata/1.root.json").unwrap();
            header.set_size(size);
            header.set_cksum();
            bytes.splice(1024..1024, header.as_bytes().iter().copied());
            assert!(open(&bytes).is_err(), "{size}");
        }
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::GNULongName);
        header.set_path("././@LongLink").unwrap();
        header.set_size(1 << 20);
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.resize(bytes.len() + (2 << 20), b'n');
        assert!(reason(&bytes).contains("too long"));
    }
}
