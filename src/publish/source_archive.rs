//! Unpacks an app that somebody has sent as an archive: `.zip`, `.tar`, `.tar.gz`, `.tar.zst`.
//!
//! In: an archive that nobody has looked into. Out: its files in an empty folder. Never: a file
//! outside of the folder, a file written through a link, a device, more bytes or files than allowed.
//!
//! Links are made last, after every file: so no entry is written through one. Each leads to a place
//! in the folder by its own text, with `..` at its beginning alone, and so no chain of them leads out.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use crate::file_error::{FileError, FileResult as _};
use crate::model::RelativePath;
use crate::model::path::UnsafePath;

/// Bytes that tell the form of an archive; the sign of a tar comes last, at 257.
const SIGN_BYTES: u64 = 512;
/// Longest text of a link, bytes.
const LONGEST_LINK: u64 = 4096;
/// Bytes that are copied at a time.
const BLOCK: usize = 1 << 17;

/// Why an archive is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceArchiveError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("it is no .zip, .tar, .tar.gz or .tar.zst")]
    Form,
    #[error("it cannot be read: it is damaged, or ends too early")]
    Damaged(#[source] io::Error),
    #[error("an entry cannot be unpacked")]
    Path(#[from] UnsafePath),
    #[error("{path} is {kind}, which an app cannot have")]
    Kind { path: String, kind: &'static str },
    #[error("the link {path} -> {target} leads out of the archive")]
    Link { path: String, target: String },
    #[error("{0} is in it twice")]
    Twice(String),
    #[error("it has more than {0} bytes when unpacked")]
    TooLarge(u64),
    #[error("it has more than {0} entries")]
    TooMany(usize),
    #[error("nobody waits for it any more")]
    Stopped,
}

/// What an archive may bring.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ArchiveLimits {
    /// Bytes of all files.
    pub bytes: u64,
    /// Files, folders and links.
    pub entries: usize,
}

/// Unpacks `archive` into the folder `to`, which is made. Stops when `is_over` says so.
pub(crate) fn unpack(
    archive: &Path,
    to: &Path,
    limits: ArchiveLimits,
    is_over: &dyn Fn() -> bool,
) -> Result<(), SourceArchiveError> {
    fs::create_dir_all(to).at("create the folder", to)?;
    let mut file = File::open(archive).at("open", archive)?;
    let mut sign = Vec::new();
    (&file).take(SIGN_BYTES).read_to_end(&mut sign).at("read", archive)?;
    file.rewind().at("read", archive)?;
    let file = BufReader::with_capacity(BLOCK, file);
    let mut target = Target {
        to,
        limits,
        bytes: 0,
        entries: 0,
        names: HashSet::new(),
        links: BTreeMap::new(),
        is_over,
    };
    match sign.as_slice() {
        [0x1f, 0x8b, ..] => untar(flate2::read::MultiGzDecoder::new(file), &mut target)?,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let reader = zstd::Decoder::with_buffer(file).map_err(SourceArchiveError::Damaged)?;
            untar(reader, &mut target)?;
        }
        [b'P', b'K', 3, 4, ..] => unzip(file, &mut target)?,
        _ if sign.get(257..262) == Some(b"ustar") => untar(file, &mut target)?,
        _ => return Err(SourceArchiveError::Form),
    }
    target.make_links()
}

/// The folder of the app in an unpacked archive: many archives have one folder at the top that holds
/// everything.
pub(crate) fn top(unpacked: &Path) -> PathBuf {
    let mut inside = crate::look::entries_if_readable(unpacked).into_iter();
    match (inside.next(), inside.next()) {
        (Some(only), None) if only.file_type().is_ok_and(|kind| kind.is_dir()) => only.path(),
        _ => unpacked.to_owned(),
    }
}

fn damaged(error: impl Into<io::Error>) -> SourceArchiveError {
    SourceArchiveError::Damaged(error.into())
}

fn untar(reader: impl Read, target: &mut Target<'_>) -> Result<(), SourceArchiveError> {
    let mut archive = tar::Archive::new(reader);
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let kind = entry.header().entry_type();
        if kind.is_pax_global_extensions() {
            continue;
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let Some(path) = target.entry(&name)? else { continue };
        if kind.is_dir() {
            target.folder(&path)?;
        } else if kind.is_file() || kind.is_contiguous() {
            let is_program = entry.header().mode().is_ok_and(|mode| mode & 0o111 != 0);
            target.file(path, is_program, &mut entry)?;
        } else if kind.is_symlink() {
            let text = entry.link_name_bytes().unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            target.link(path, text)?;
        } else {
            let kind = match kind {
                tar::EntryType::Link => "a hard link",
                tar::EntryType::Char | tar::EntryType::Block => "a device",
                tar::EntryType::Fifo => "a pipe",
                _ => "something special",
            };
            return Err(SourceArchiveError::Kind { path: path.to_string(), kind });
        }
    }
    Ok(())
}

fn unzip(file: BufReader<File>, target: &mut Target<'_>) -> Result<(), SourceArchiveError> {
    let mut archive = zip::ZipArchive::new(file).map_err(damaged)?;
    for number in 0..archive.len() {
        let mut entry = archive.by_index(number).map_err(damaged)?;
        let name = entry.name().map_err(damaged)?.into_owned();
        let Some(path) = target.entry(&name)? else { continue };
        if entry.is_dir() {
            target.folder(&path)?;
        } else if entry.is_symlink() {
            let mut text = Vec::new();
            (&mut entry).take(LONGEST_LINK).read_to_end(&mut text).map_err(damaged)?;
            target.link(path, String::from_utf8_lossy(&text).into_owned())?;
        } else {
            // The kind of a file stands in the upper bits; archives of Windows have none.
            let mode = entry.unix_mode().unwrap_or(0);
            if ![0, 0o100_000].contains(&(mode & 0o170_000)) {
                let kind = "something special";
                return Err(SourceArchiveError::Kind { path: path.to_string(), kind });
            }
            target.file(path, mode & 0o111 != 0, &mut entry)?;
        }
    }
    Ok(())
}

/// The folder that is filled.
struct Target<'a> {
    to: &'a Path,
    limits: ArchiveLimits,
    bytes: u64,
    entries: usize,
    /// Files and links, as a file system sees them that takes capitals and small letters for the
    /// same.
    names: HashSet<String>,
    links: BTreeMap<RelativePath, String>,
    is_over: &'a dyn Fn() -> bool,
}

impl Target<'_> {
    /// The path of an entry; `None` for the top itself.
    fn entry(&mut self, name: &str) -> Result<Option<RelativePath>, SourceArchiveError> {
        if (self.is_over)() {
            return Err(SourceArchiveError::Stopped);
        }
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(SourceArchiveError::TooMany(self.limits.entries));
        }
        let name = name.strip_prefix("./").unwrap_or(name);
        let name = name.strip_suffix('/').unwrap_or(name);
        if name.is_empty() || name == "." { Ok(None) } else { Ok(Some(name.parse()?)) }
    }

    fn folder(&self, path: &RelativePath) -> Result<(), SourceArchiveError> {
        let path = path.under(self.to);
        Ok(fs::create_dir_all(&path).at("create the folder", &path)?)
    }

    fn file(
        &mut self,
        path: RelativePath,
        is_program: bool,
        content: &mut dyn Read,
    ) -> Result<(), SourceArchiveError> {
        self.take_name(&path)?;
        let place = path.under(self.to);
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder).at("create the folder", folder)?;
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(
            &mut options,
            if is_program { 0o755 } else { 0o644 },
        );
        #[cfg(not(unix))]
        let _ = is_program;
        let mut file = options.open(&place).at("create", &place)?;
        let mut block = vec![0; BLOCK];
        loop {
            let read = content.read(&mut block).map_err(damaged)?;
            if read == 0 {
                return Ok(());
            }
            self.bytes += read as u64;
            if self.bytes > self.limits.bytes {
                return Err(SourceArchiveError::TooLarge(self.limits.bytes));
            }
            if (self.is_over)() {
                return Err(SourceArchiveError::Stopped);
            }
            file.write_all(&block[..read]).at("write", &place)?;
        }
    }

    fn link(&mut self, path: RelativePath, target: String) -> Result<(), SourceArchiveError> {
        if path.resolve_link(&target).is_none() {
            return Err(SourceArchiveError::Link { path: path.to_string(), target });
        }
        self.take_name(&path)?;
        self.links.insert(path, target);
        Ok(())
    }

    fn take_name(&mut self, path: &RelativePath) -> Result<(), SourceArchiveError> {
        if self.names.insert(path.folded()) {
            Ok(())
        } else {
            Err(SourceArchiveError::Twice(path.to_string()))
        }
    }

    fn make_links(self) -> Result<(), SourceArchiveError> {
        for (path, target) in &self.links {
            // Otherwise it would be made in the folder that another link leads to.
            if path.ancestors().any(|above| self.is_link(above)) {
                return Err(SourceArchiveError::Kind {
                    path: path.to_string(),
                    kind: "in a folder that is a link",
                });
            }
            let place = path.under(self.to);
            if let Some(folder) = place.parent() {
                fs::create_dir_all(folder).at("create the folder", folder)?;
            }
            make_link(target, &place).at("create the link", &place)?;
        }
        Ok(())
    }

    fn is_link(&self, path: &str) -> bool {
        path.parse::<RelativePath>().is_ok_and(|path| self.links.contains_key(&path))
    }
}

#[cfg(unix)]
fn make_link(target: &str, place: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, place)
}

#[cfg(not(unix))]
fn make_link(_target: &str, _place: &Path) -> io::Result<()> {
    Err(io::Error::other("this server makes no links"))
}

#[cfg(test)]
mod tests;
