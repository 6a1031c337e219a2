//! Writes the page, the feed and the icon into the folder of the installers.

use std::path::{Path, PathBuf};

use super::feed::feed;
use super::page::{FEED, ICON, page};
use super::release::Site;
use super::words::PageLanguage;
use crate::durable;
use crate::file_error::{FileError, FileResult as _};

/// Writes all files, each in one step; returns their paths.
///
/// # Errors
/// [`FileError`] if one cannot be written.
pub(crate) fn write_site(
    site: &Site,
    icon: &[u8],
    folder: &Path,
) -> Result<Vec<PathBuf>, FileError> {
    let pages =
        PageLanguage::ALL.map(|language| (language.file_name(), page(site, language).into_bytes()));
    let others = [(FEED, feed(site).into_bytes()), (ICON, icon.to_vec())];
    let mut written = Vec::new();
    for (name, bytes) in pages.into_iter().chain(others) {
        let path = folder.join(name);
        durable::replace(&path, &bytes).at("write", &path)?;
        written.push(path);
    }
    Ok(written)
}
