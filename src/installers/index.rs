//! `installers.json`: which installers a folder holds, so that the download page and scripts know
//! them without guessing from names.
//!
//! In: the entries of one call. Out: the file with these and the earlier ones. Never: an entry
//! whose file is not there, a digest from before a file was signed.

use std::path::Path;

use jiff::Timestamp as Time;
use serde::{Deserialize, Serialize};

use super::error::InstallerError;
use super::format::Format;
use super::hashed::{Measured, measured};
use crate::durable;
use crate::file_error::{FileError, FileResult as _};
use crate::look;
use crate::model::made_file::INSTALLERS_INDEX;
use crate::model::{Digest, Platform, Version};

/// An installer in a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InstallerRecord {
    /// The name of its file, in the folder of the index.
    pub file: String,
    pub format: Format,
    pub platform: Platform,
    pub version: Version,
    pub channel: String,
    /// When the release was published.
    pub published: Time,
    /// Whether it brings the release, so that it needs no network.
    pub with_release: bool,
    pub length: u64,
    pub hash: Digest,
}

/// The installers in `folder`, the newest version first; none if there is no index.
///
/// # Errors
/// [`InstallerError::File`] if the index cannot be read.
pub(crate) fn installers_in(folder: &Path) -> Result<Vec<InstallerRecord>, InstallerError> {
    let path = folder.join(INSTALLERS_INDEX);
    let Some(bytes) = look::read(&path, look::SMALL).at("read", &path)? else {
        return Ok(Vec::new());
    };
    let records: Vec<InstallerRecord> =
        serde_json::from_slice(&bytes).map_err(std::io::Error::other).at("read", &path)?;
    let mut found = Vec::new();
    for record in records {
        let file = folder.join(&record.file);
        if look::is_there(&file).at("look at", &file)? {
            // A signature, for example of rpmsign, is added afterwards.
            let Measured { length, hash } = measured(&file)?;
            found.push(InstallerRecord { length, hash, ..record });
        }
    }
    Ok(found)
}

/// Adds `made` to the index of `folder`, in place of earlier installers with the same files.
///
/// # Errors
/// [`InstallerError::File`] if the index cannot be read or written.
pub(crate) fn add_to_index(folder: &Path, made: &[InstallerRecord]) -> Result<(), InstallerError> {
    let mut records = installers_in(folder)?;
    records.retain(|record| made.iter().all(|new| new.file != record.file));
    records.extend_from_slice(made);
    records.sort_by(|a, b| {
        let newest_first = b.version.cmp(&a.version);
        newest_first.then_with(|| (&a.platform, a.format).cmp(&(&b.platform, b.format)))
    });
    let path = folder.join(INSTALLERS_INDEX);
    let mut json = serde_json::to_vec_pretty(&records)
        .map_err(|error| FileError::new("write", &path, error))?;
    json.push(b'\n');
    Ok(durable::replace(&path, &json).at("write", &path)?)
}
