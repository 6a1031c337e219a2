//! What happened to the app or to the user's files without anybody having asked: kept in the home
//! until a person has seen it.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::version::Version;

/// Something that happened while nobody looked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// When.
    pub when: jiff::Timestamp,
    /// What.
    #[serde(flatten)]
    pub what: Incident,
}

/// What a person is told at the next start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "happened", rename_all = "snake_case")]
pub enum Incident {
    /// A version did not come up, and the one before it is active again, with its files.
    RolledBack {
        /// The version that did not come up.
        from: Version,
        /// The version that is active again.
        to: Version,
        /// In what way it failed.
        failure: LaunchFailure,
        /// Where the user's files of the failed version are kept.
        #[serde(serialize_with = "crate::model::readable::path")]
        #[serde(rename = "kept")]
        retained: PathBuf,
        /// Whether either version holds files of the user; otherwise nothing is said of them.
        #[serde(default = "holds_files")]
        holds_files: bool,
    },
    /// A switch that was to be done before the start failed; the version before it is active.
    NotSwitched {
        /// The version that was to be switched to.
        to: Version,
        /// Why, in English, outermost first.
        chain: Vec<String>,
    },
    /// Files that both the user and the release had changed: both are kept.
    Conflicts {
        /// The version that was switched to.
        version: Version,
        /// Which files.
        files: Vec<Conflict>,
    },
    /// A record of the launcher's own is there and cannot be read; what else is known was used.
    Unreadable {
        /// The version that was started.
        version: Version,
        /// Which file.
        #[serde(serialize_with = "crate::model::readable::path")]
        path: PathBuf,
        /// Why, in English, outermost first.
        chain: Vec<String>,
    },
    /// A version that could not be started was repaired.
    Repaired {
        /// Which version.
        version: Version,
    },
    /// A version cannot be started and could not be repaired; another one runs.
    NotRepaired {
        /// Which version.
        version: Version,
    },
}

impl Incident {
    /// Whether it concerns files of the user.
    pub const fn concerns_files(&self) -> bool {
        match self {
            Self::RolledBack { holds_files, .. } => *holds_files,
            Self::NotSwitched { .. } => false,
            // What is said of files there is that nothing happened to them.
            Self::Unreadable { .. } | Self::Repaired { .. } | Self::NotRepaired { .. } => true,
            Self::Conflicts { .. } => true,
        }
    }
}

/// What notices from before it was noted mean.
fn holds_files() -> bool {
    true
}

/// A file that both the user and a release had changed, or whose place something of another kind
/// has taken. Both paths are below the version's folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// Where the user's own file is.
    #[serde(serialize_with = "crate::model::readable::path")]
    pub yours: PathBuf,
    /// What the release brought.
    #[serde(serialize_with = "crate::model::readable::path")]
    pub beside: PathBuf,
}

/// How a version failed to come up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "failure", rename_all = "snake_case")]
pub enum LaunchFailure {
    /// It ended by itself with this status or signal, as a shell would tell it.
    Crashed {
        /// 128 and more: a signal.
        status: u8,
    },
    /// It ended at once, though with status 0.
    EndedAtOnce,
    /// It never said that it is up.
    Hung,
    /// It said itself that something is wrong.
    #[serde(rename = "said")]
    Reported {
        /// Its own words.
        reason: String,
    },
    /// It could not be started.
    NotStarted,
    /// It was started several times, and each time something ended it and the launcher before it
    /// was known to be up.
    NeverUp,
}

/// For logs and details; texts for people are in their language.
impl fmt::Display for LaunchFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crashed { status: status @ 129.. } => {
                write!(f, "ended by signal {}", status - 128)
            }
            Self::Crashed { status } => write!(f, "ended with status {status}"),
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
    fn details_name_a_failure_in_words() {
        let words = |failure: LaunchFailure| failure.to_string();
        assert_eq!(words(LaunchFailure::Crashed { status: 2 }), "ended with status 2");
        assert_eq!(words(LaunchFailure::Crashed { status: 139 }), "ended by signal 11");
        assert_eq!(
            words(LaunchFailure::Reported { reason: "no display".to_owned() }),
            "said that something is wrong: no display"
        );
    }
}
