//! A runtime that comes as an archive: found here or downloaded, verified, unpacked.
//!
//! In: a path, or an address with a digest. Out: the archive's content in a folder. Never: opens an
//! archive that does not have the digest that was pinned; asks the network for one that is here.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use url::Url;

use super::error::BuildError;
use super::request::{ArchiveSource, PinnedArchive};
use crate::file_error::{FileError, FileResult as _};
use crate::https;
use crate::model::Digest;
use crate::model::digest::Hasher;
use crate::model::node::redacted;
use crate::threads;

/// Most bytes of an archive that is downloaded: the largest Python with all its debug data is half
/// of that.
const MAX_ARCHIVE_BYTES: u64 = 1 << 30;
/// The folder of downloaded runtimes in the cache.
const CACHED: &str = "runtimes";
/// Bytes that tell the form of an archive; the sign of a tar comes last, at 257.
const SIGN_BYTES: usize = 512;

/// Hears how much of a download is there: bytes, and how many there will be.
pub(super) type DownloadProgress<'a> = dyn FnMut(u64, u64) + 'a;

/// An archive that is open and may be unpacked.
pub(super) struct Archive {
    file: File,
    path: PathBuf,
}

impl Archive {
    /// Opens an archive of this machine that nobody pinned.
    pub(super) fn open(path: &Path) -> Result<Self, BuildError> {
        Ok(Self { file: File::open(path).at("open", path)?, path: path.to_owned() })
    }

    /// Opens a pinned archive; one with an address is downloaded into `cache` if it is not there.
    pub(super) fn pinned(
        pinned: &PinnedArchive,
        cache: Option<&Path>,
        progress: &mut DownloadProgress<'_>,
    ) -> Result<Self, BuildError> {
        let address = match &pinned.source {
            ArchiveSource::File(path) => return Self::open(path)?.verified(pinned),
            ArchiveSource::Url(address) => address,
        };
        let Some(cache) = cache else {
            return Self::downloaded(address, pinned, None, progress);
        };
        let folder = cache.join(CACHED);
        let path = folder.join(cached_name(address, pinned.digest));
        match Self::open(&path).and_then(|archive| archive.verified(pinned)) {
            Ok(archive) => Ok(archive),
            // Absent, or damaged since: another download replaces it.
            Err(_) => {
                fs::create_dir_all(&folder).at("create the folder", &folder)?;
                Self::downloaded(address, pinned, Some((&folder, &path)), progress)
            }
        }
    }

    /// Its file.
    pub(super) fn into_path(self) -> PathBuf {
        self.path
    }

    /// Downloads an archive and opens it. `place` is the folder and the path in which it stays.
    fn downloaded(
        address: &Url,
        pinned: &PinnedArchive,
        place: Option<(&Path, &Path)>,
        progress: &mut DownloadProgress<'_>,
    ) -> Result<Self, BuildError> {
        let file = fetched(address, place.map(|(folder, _)| folder), progress)?;
        let archive = Self {
            file: file.reopen().at("open", file.path())?,
            path: place.map_or_else(|| file.path().to_owned(), |(_, path)| path.to_owned()),
        };
        let archive = archive.verified(pinned)?;
        if let Some((_, path)) = place {
            file.persist(path).map_err(|error| error.error).at("write", path)?;
        }
        Ok(archive)
    }

    /// The same archive, if it has the digest that was pinned. What is read later is what was
    /// verified: the file stays open.
    fn verified(mut self, pinned: &PinnedArchive) -> Result<Self, BuildError> {
        let found = self.digest().at("read", &self.path)?;
        if found == pinned.digest {
            return Ok(self);
        }
        Err(BuildError::ArchiveDigest {
            archive: pinned.source.to_string(),
            wanted: pinned.digest,
            found,
        })
    }

    /// Reads an archive and pins it to the digest that it has now. One with an address is downloaded
    /// into `cache`, where a build finds it.
    pub(super) fn pin(
        source: ArchiveSource,
        cache: Option<&Path>,
        progress: &mut DownloadProgress<'_>,
    ) -> Result<PinnedArchive, BuildError> {
        let address = match &source {
            ArchiveSource::File(path) => {
                let digest = Self::open(path)?.digest_of_archive()?;
                return Ok(PinnedArchive { source, digest });
            }
            ArchiveSource::Url(address) => address,
        };
        let folder = cache.map(|cache| cache.join(CACHED));
        if let Some(folder) = &folder {
            fs::create_dir_all(folder).at("create the folder", folder)?;
        }
        let new = fetched(address, folder.as_deref(), progress)?;
        // A person who mistyped the address wants to see it, not a temporary file.
        let path = PathBuf::from(redacted(address).to_string());
        let file = new.reopen().at("open", new.path())?;
        let digest = Self { file, path }.digest_of_archive()?;
        if let Some(folder) = folder {
            let path = folder.join(cached_name(address, digest));
            new.persist(&path).map_err(|error| error.error).at("write", &path)?;
        }
        Ok(PinnedArchive { source, digest })
    }

    /// The digest of a file that looks like an archive.
    fn digest_of_archive(mut self) -> Result<Digest, BuildError> {
        let sign = self.sign().at("read", &self.path)?;
        if Form::of(&sign).is_none() {
            return Err(BuildError::Archive { path: self.path });
        }
        Ok(self.digest().at("read", &self.path)?)
    }

    fn digest(&mut self) -> io::Result<Digest> {
        let (mut hasher, mut block) = (Hasher::default(), vec![0; 1 << 16]);
        self.file.rewind()?;
        loop {
            match self.file.read(&mut block)? {
                0 => break,
                count => hasher.update(&block[..count]),
            }
        }
        self.file.rewind()?;
        Ok(hasher.finish())
    }

    /// Unpacks it. The libraries refuse paths that leave `to`.
    pub(super) fn unpack(mut self, to: &Path) -> Result<(), BuildError> {
        fs::create_dir_all(to).at("create the folder", to)?;
        let sign = self.sign().at("read", &self.path)?;
        let file = BufReader::new(self.file);
        let untar = |reader: &mut dyn Read| tar::Archive::new(reader).unpack(to);
        let unpacked = match Form::of(&sign) {
            Some(Form::Gzip) => untar(&mut flate2::read::GzDecoder::new(file)),
            Some(Form::Zstd) => zstd::Decoder::new(file).and_then(|mut reader| untar(&mut reader)),
            Some(Form::Tar) => untar(&mut { file }),
            Some(Form::Zip) => zip::ZipArchive::new(file)
                .and_then(|mut zip| zip.extract(to))
                .map_err(io::Error::from),
            None => return Err(BuildError::Archive { path: self.path }),
        };
        Ok(unpacked.map_err(|error| FileError::new("unpack", &self.path, error))?)
    }

    fn sign(&mut self) -> io::Result<Vec<u8>> {
        let mut sign = Vec::new();
        (&self.file).take(SIGN_BYTES as u64).read_to_end(&mut sign)?;
        self.file.rewind()?;
        Ok(sign)
    }
}

/// The form of an archive. Its first bytes tell it: an address need not end with a file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Gzip,
    Zstd,
    Tar,
    Zip,
}

impl Form {
    fn of(sign: &[u8]) -> Option<Self> {
        match sign {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            [b'P', b'K', 3, 4, ..] => Some(Self::Zip),
            _ if sign.get(257..262) == Some(b"ustar") => Some(Self::Tar),
            _ => None,
        }
    }
}

/// The name of a downloaded archive in the cache: its digest, and for people the end of its address.
fn cached_name(address: &Url, digest: Digest) -> String {
    let name = address.path().rsplit('/').next().unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_+".contains(c);
    let name: String = name.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    let digest = digest.to_string();
    format!("{}-{name}", &digest[..32])
}

/// A download as a temporary file, in `folder` if it is to stay there.
fn fetched(
    address: &Url,
    folder: Option<&Path>,
    progress: &mut DownloadProgress<'_>,
) -> Result<tempfile::NamedTempFile, BuildError> {
    let failed = |source| BuildError::Download { address: redacted(address).to_string(), source };
    let new = match folder {
        Some(folder) => tempfile::NamedTempFile::new_in(folder),
        None => tempfile::NamedTempFile::new(),
    };
    let mut file = new.map_err(failed)?;
    download(address, file.as_file_mut(), progress).map_err(failed)?;
    Ok(file)
}

fn download(address: &Url, file: &mut File, progress: &mut DownloadProgress<'_>) -> io::Result<()> {
    let runtime = threads::runtime(1)?;
    let mut done = 0;
    runtime.block_on(https::download(address.clone(), &mut |bytes, length| {
        done += bytes.len() as u64;
        if done > MAX_ARCHIVE_BYTES {
            return Err(io::Error::other("it is larger than 1 GB"));
        }
        if let Some(length) = length {
            progress(done, length);
        }
        file.write_all(bytes)
    }))?;
    file.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zip_with(name: &str, content: &[u8]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
        writer.finish().unwrap().into_inner()
    }

    fn pinned(path: &Path, bytes: &[u8]) -> PinnedArchive {
        PinnedArchive { source: ArchiveSource::File(path.to_owned()), digest: Digest::of(bytes) }
    }

    #[test]
    fn an_archive_with_another_digest_is_never_opened() {
        let folder = tempfile::tempdir().unwrap();
        let (path, to) = (folder.path().join("python.zip"), folder.path().join("to"));
        let bytes = zip_with("python.exe", b"MZ");
        fs::write(&path, &bytes).unwrap();
        let open = |pinned: &PinnedArchive| Archive::pinned(pinned, None, &mut |_, _| ());
        open(&pinned(&path, &bytes)).unwrap().unpack(&to).unwrap();
        assert_eq!(fs::read(to.join("python.exe")).unwrap(), b"MZ");
        let other = pinned(&path, b"what was meant");
        let Err(error) = open(&other) else { panic!("it was opened") };
        for part in [other.digest.to_string(), Digest::of(&bytes).to_string()] {
            assert!(error.to_string().contains(&part), "{error}");
        }
    }

    #[test]
    fn an_archive_is_pinned_to_the_digest_that_it_has() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("python.zip");
        let bytes = zip_with("python.exe", b"MZ");
        fs::write(&path, &bytes).unwrap();
        let pin =
            |path: &Path| Archive::pin(ArchiveSource::File(path.to_owned()), None, &mut |_, _| ());
        assert_eq!(pin(&path).unwrap(), pinned(&path, &bytes));
        fs::write(&path, "<!doctype html>").unwrap();
        assert!(
            matches!(pin(&path), Err(BuildError::Archive { path: refused }) if refused == path)
        );
        assert!(matches!(pin(&folder.path().join("absent")), Err(BuildError::File(_))));
    }

    #[test]
    fn the_content_shows_the_form() {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        tar.append_data(&mut header, "a", &b"x"[..]).unwrap();
        assert_eq!(Form::of(&tar.into_inner().unwrap()), Some(Form::Tar));
        assert_eq!(Form::of(&zip_with("a", b"x")), Some(Form::Zip));
        assert_eq!(Form::of(b"<!doctype html>"), None);
        assert_eq!(Form::of(b""), None);
    }

    #[test]
    fn names_in_the_cache_are_plain() {
        let address = "https://example.com/a/cpython-3.12%2B2024.tar.gz?x=/../y".parse().unwrap();
        let name = cached_name(&address, Digest::of(b""));
        assert!(name.ends_with("-cpython-3.12_2B2024.tar.gz"), "{name}");
        assert!(name.starts_with("e3b0c44298fc1c14"), "{name}");
    }
}
