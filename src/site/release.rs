//! What the pages and the feed show.

use std::collections::BTreeMap;

use jiff::Timestamp as Time;
use url::Url;

use crate::installers::InstallerRecord;
use crate::model::Version;

/// The app and its releases.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    /// The app's name for people.
    pub name: String,
    /// One line about the app.
    pub summary: String,
    pub publisher: String,
    pub homepage: Option<Url>,
    /// A name that no other app has, for the feed.
    pub identifier: String,
    /// Where the page will be, if that is known.
    pub address: Option<Url>,
    /// The newest first.
    pub releases: Vec<SiteRelease>,
}

/// A release with its installers.
#[derive(Clone, Debug)]
pub(crate) struct SiteRelease {
    pub version: Version,
    pub published: Time,
    /// Markdown by language tag; empty for any language.
    pub notes: BTreeMap<String, String>,
    pub installers: Vec<InstallerRecord>,
}

impl SiteRelease {
    /// The day of the release, where all readers are in one time zone.
    pub(super) fn day(&self) -> String {
        self.published.to_zoned(jiff::tz::TimeZone::UTC).date().to_string()
    }

    /// The notes in the language with this tag, or in any other.
    pub(super) fn notes_in(&self, tag: &str) -> Option<&str> {
        let exact = self.notes.get(tag).or_else(|| self.notes.get(""));
        exact.or_else(|| self.notes.values().next()).map(String::as_str)
    }
}
