//! Incidents: what happened to the app or to the user's files while nobody looked. The home stores
//! each one until a person has acknowledged it.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::exit_code::ProcessEnd;
use super::version::Version;

/// An incident with its time, as it is stored for the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// When it happened.
    pub when: jiff::Timestamp,
    /// The incident itself.
    #[serde(flatten)]
    pub what: Incident,
}

/// The incidents that the user sees at the next start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "happened", rename_all = "snake_case")]
pub enum Incident {
    /// A version did not come up, and the one before it is active again, with its files.
    RolledBack {
        /// The version that did not come up.
        from: Version,
        /// The version that is active again.
        to: Version,
        /// How it failed to come up.
        failure: LaunchFailure,
        /// Where the user's files of the failed version are retained.
        #[serde(serialize_with = "crate::model::readable::path")]
        #[serde(rename = "kept")]
        retained: PathBuf,
        /// Whether either version has files of the user; otherwise the message does not mention
        /// files.
        #[serde(default = "holds_files")]
        holds_files: bool,
    },
    /// The publisher recalled a version, and an earlier one is active again, with its files.
    Recalled {
        /// The recalled version.
        from: Version,
        /// The version that is active again.
        to: Version,
        /// The day of the files that are in use again.
        files_of: jiff::Timestamp,
        /// Where the user's files of the recalled version are retained.
        #[serde(serialize_with = "crate::model::readable::path")]
        #[serde(rename = "kept")]
        retained: PathBuf,
        /// Whether either version has files of the user; otherwise the message does not mention
        /// files.
        holds_files: bool,
    },
    /// A version that was to be started next was recalled before; the version before it stays.
    Withdrawn {
        /// The recalled version.
        version: Version,
    },
    /// A switch that was due before the start failed; the version before it is active.
    NotSwitched {
        /// The version of the failed switch.
        to: Version,
        /// The error chain, in English, outermost first.
        chain: Vec<String>,
    },
    /// Both the user and the release had changed the same files: both copies are retained.
    Conflicts {
        /// The version that was switched to.
        version: Version,
        /// The files with both copies.
        files: Vec<Conflict>,
    },
    /// A record of the launcher exists but cannot be read; the start used the other records.
    Unreadable {
        /// The version that was started.
        version: Version,
        /// Path of the record.
        #[serde(serialize_with = "crate::model::readable::path")]
        path: PathBuf,
        /// The error chain, in English, outermost first.
        chain: Vec<String>,
    },
    /// A hook of a release failed; the version starts all the same.
    HookFailed {
        /// The version whose hook it is.
        version: Version,
        /// The error chain, in English, outermost first.
        chain: Vec<String>,
    },
    /// A version that could not be started was repaired.
    Repaired {
        /// The repaired version.
        version: Version,
        /// The version that runs in its place until the next start.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stand_in: Option<StandIn>,
    },
    /// A version can neither be started nor repaired; another one runs.
    NotRepaired {
        /// The damaged version.
        version: Version,
        /// The version that runs in its place.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stand_in: Option<StandIn>,
    },
    /// A version does not say that it is ready, and no window of it can be seen: it is left alone,
    /// since a person may be using it.
    LeftAlone { version: Version },
    /// What was set aside, and nothing removes by itself, has grown large.
    SetAside {
        /// Bytes on disk.
        bytes: u64,
    },
    /// The user changed files in a version that stood in for another one, which runs again.
    WorkedInStandIn {
        /// The version that runs again.
        version: Version,
        /// The version in which the user worked meanwhile.
        worked_in: Version,
        /// Where those files are.
        #[serde(serialize_with = "crate::model::readable::path")]
        #[serde(rename = "kept")]
        retained: PathBuf,
    },
}

/// A version that runs in the place of a damaged one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandIn {
    /// The version that was started.
    pub version: Version,
    /// The last change to the user's files in it before that; `None` if it has none of them.
    pub files_of: Option<jiff::Timestamp>,
    /// Whether the user has files in the damaged version; otherwise the message mentions none.
    pub holds_files: bool,
}

impl Incident {
    /// Whether this incident says all that `earlier` says, or what has become of it: an incident
    /// that repeats from start to start appears once.
    pub fn supersedes(&self, earlier: &Self) -> bool {
        let repair_of = |what: &Self| match what {
            Self::Repaired { version, .. } | Self::NotRepaired { version, .. } => {
                Some(version.clone())
            }
            _ => None,
        };
        let is_size = |what: &Self| matches!(what, Self::SetAside { .. });
        self == earlier
            || is_size(self) && is_size(earlier)
            || repair_of(self).is_some_and(|of| repair_of(earlier) == Some(of))
    }

    /// Whether the incident concerns files of the user.
    pub const fn concerns_files(&self) -> bool {
        match self {
            Self::RolledBack { holds_files, .. } | Self::Recalled { holds_files, .. } => {
                *holds_files
            }
            Self::NotSwitched { .. }
            | Self::Withdrawn { .. }
            | Self::HookFailed { .. }
            | Self::SetAside { .. }
            | Self::LeftAlone { .. } => false,
            // The message for these says that no file was affected.
            Self::Unreadable { .. } | Self::Repaired { .. } | Self::NotRepaired { .. } => true,
            Self::Conflicts { .. } | Self::WorkedInStandIn { .. } => true,
        }
    }
}

/// The value for notices from before this field existed.
fn holds_files() -> bool {
    true
}

/// A file that both the user and a release had changed, or whose place is taken by an item of
/// another kind. Both paths begin at the version's folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// Path of the user's own file.
    #[serde(serialize_with = "crate::model::readable::path")]
    pub yours: PathBuf,
    /// Path of the release's file.
    #[serde(serialize_with = "crate::model::readable::path")]
    pub beside: PathBuf,
}

/// How a version failed to come up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "failure", rename_all = "snake_case")]
pub enum LaunchFailure {
    /// It ended with this exit code, see [`ProcessEnd`].
    Crashed {
        /// The exit code, as the system's own shell shows it.
        status: u32,
    },
    /// It ended at once, but with status 0.
    EndedAtOnce,
    /// It never reported `up`.
    Hung,
    /// It reported `failed`.
    #[serde(rename = "said")]
    Reported {
        /// The reason in the app's own words.
        reason: String,
    },
    /// The process could not be started.
    NotStarted,
    /// It was started several times, and each time both it and the launcher were ended before it
    /// was known to be up.
    NeverUp,
}

/// For logs and details, in English; the window has texts in the user's language.
impl fmt::Display for LaunchFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crashed { status } => ProcessEnd::of(*status).fmt(f),
            Self::EndedAtOnce => f.write_str("ended at once with status 0"),
            Self::Hung => f.write_str("did not say that it is ready"),
            Self::Reported { reason } => write!(f, "said that something is wrong: {reason}"),
            Self::NotStarted => f.write_str("could not be started"),
            Self::NeverUp => f.write_str("was interrupted at each start before it was ready"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_a_repair_replaces_what_was_known_before() {
        let not_repaired = |version: &str, files_of| {
            let stand_in =
                Some(StandIn { version: Version::new(1, 0, 0), files_of, holds_files: true });
            Incident::NotRepaired { version: version.parse().unwrap(), stand_in }
        };
        let (first, again) =
            (not_repaired("2.0.0", None), not_repaired("2.0.0", Some(jiff::Timestamp::MIN)));
        let repaired = Incident::Repaired { version: Version::new(2, 0, 0), stand_in: None };
        assert!(again.supersedes(&first) && repaired.supersedes(&again));
        assert!(!not_repaired("3.0.0", None).supersedes(&first));
        let other = Incident::NotSwitched { to: Version::new(2, 0, 0), chain: Vec::new() };
        assert!(other.supersedes(&other) && !other.supersedes(&first) && !first.supersedes(&other));
    }

    #[test]
    fn details_name_a_failure_in_words() {
        let words = |failure: LaunchFailure| failure.to_string();
        assert_eq!(words(LaunchFailure::Crashed { status: 2 }), "ended with status 2");
        #[cfg(unix)]
        assert_eq!(words(LaunchFailure::Crashed { status: 139 }), "ended by signal 11");
        assert_eq!(
            words(LaunchFailure::Reported { reason: "no display".to_owned() }),
            "said that something is wrong: no display"
        );
    }
}
