//! Decides which offers the launcher shows without being asked: each version once in a launcher's
//! life. A pure core.
//!
//! In: the offer that a check found. Out: whether to show it. Never: an offer that the user has
//! declined, before the next start, unless it has become mandatory since.

use crate::model::Version;

/// What this launcher has shown since its start.
#[derive(Clone, Debug, Default)]
pub(crate) struct Announcements {
    newest: Option<Version>,
    newest_mandatory: Option<Version>,
}

impl Announcements {
    /// Whether to show the offer of `version`; if so, it counts as shown. A version older than one
    /// that was shown (the newer one was withdrawn) waits for the next start.
    pub(crate) fn shows(&mut self, version: &Version, mandatory: bool) -> bool {
        let is_newer =
            |before: &Option<Version>| before.as_ref().is_none_or(|before| version > before);
        let shows = is_newer(&self.newest) || mandatory && is_newer(&self.newest_mandatory);
        if is_newer(&self.newest) {
            self.newest = Some(version.clone());
        }
        if mandatory && is_newer(&self.newest_mandatory) {
            self.newest_mandatory = Some(version.clone());
        }
        shows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn each_version_is_shown_once_and_a_newer_one_again() {
        let mut announcements = Announcements::default();
        let mut shows = |text| announcements.shows(&version(text), false);
        assert_eq!(
            [shows("1.1.0"), shows("1.1.0"), shows("1.10.0"), shows("1.10.0")],
            [true, false, true, false]
        );
        assert!(!shows("1.2.0"), "the newer one was withdrawn");
    }

    #[test]
    fn one_that_became_mandatory_is_shown_once_more() {
        let mut announcements = Announcements::default();
        let mut shows = |text, mandatory| announcements.shows(&version(text), mandatory);
        assert_eq!(
            [shows("1.1.0", false), shows("1.1.0", true), shows("1.1.0", true)],
            [true, true, false]
        );
        assert_eq!(
            [shows("1.2.0", true), shows("1.2.0", false), shows("1.2.0", true)],
            [true, false, false]
        );
        assert!(!shows("1.1.5", true), "a newer mandatory one was shown");
    }
}
