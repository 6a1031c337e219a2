//! Writes the page, the feed and the icon into the folder of the installers.

use std::path::{Path, PathBuf};

use super::feed::feed;
use super::page::{FEED, ICON, page};
use super::release::Site;
use super::words::PageLanguage;
use crate::durable;
use crate::file_error::FileResult as _;
use crate::look;
use crate::model::made_file::MadeFile;
use crate::named_file::{self, OutputError};

/// Writes all files, each in one step; returns their paths.
///
/// # Errors
/// [`OutputError`] if one cannot be written, or if a file of another page has its name; then none
/// is written.
pub(crate) fn write_site(
    site: &Site,
    icon: &[u8],
    folder: &Path,
) -> Result<Vec<PathBuf>, OutputError> {
    let pages =
        PageLanguage::ALL.map(|language| (language.file_name(), page(site, language).into_bytes()));
    let others = [(FEED, feed(site).into_bytes()), (ICON, icon.to_vec())];
    let files = pages.into_iter().chain(others);
    let files: Vec<_> = files.map(|(name, bytes)| (folder.join(name), bytes)).collect();
    check_places(folder, icon)?;
    for (path, bytes) in &files {
        durable::replace(path, bytes).at("write", path)?;
    }
    Ok(files.into_iter().map(|(path, _)| path).collect())
}

/// Refuses a folder with somebody else's page, feed or picture. A picture beside an own feed is the
/// page's.
fn check_places(folder: &Path, icon: &[u8]) -> Result<(), OutputError> {
    for language in PageLanguage::ALL {
        named_file::check(&folder.join(language.file_name()), MadeFile::DownloadPage)?;
    }
    let (feed, picture) = (folder.join(FEED), folder.join(ICON));
    named_file::check(&feed, MadeFile::Feed)?;
    named_file::check(&picture, MadeFile::Picture)?;
    let is_own = feed.is_file()
        || look::read(&picture, look::SMALL).at("read", &picture)?.is_none_or(|it| it == icon);
    if is_own {
        return Ok(());
    }
    Err(OutputError::Foreign { path: picture, kind: "picture of a download page".to_owned() })
}
