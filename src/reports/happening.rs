//! What is worth a report, as the session and the engine know it.
//!
//! Values only.

use crate::messages::protocol::{Problem, ProblemKind};
use crate::model::Version;
use crate::model::incident::LaunchFailure;
use crate::model::plan::UpdateStrategy;
use crate::model::report::{ReportKind, ReportedNode};

/// An update: where it begins and where it leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    /// `None` at a first installation.
    pub(crate) from: Option<Version>,
    pub(crate) to: Version,
    pub(crate) strategy: UpdateStrategy,
}

/// A download that has ended well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Download {
    /// Bytes that were fetched.
    pub(crate) bytes: u64,
    /// Bytes of the whole package.
    pub(crate) full_bytes: u64,
    pub(crate) milliseconds: u64,
    pub(crate) nodes: Vec<ReportedNode>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Happening {
    /// A release is on offer.
    Offered(Way),
    /// Its download began.
    Started(Way),
    /// All its bytes are here.
    Fetched(Way, Download),
    /// It is installed.
    Installed(Way),
    /// A version became the active one.
    Switched(Version),
    /// It did so in place of a recalled one.
    Recalled(Version),
    /// The app came up in a version that had to prove itself.
    Up(Version),
    /// The app did not come up in `from`; `to` is active again.
    RolledBack { from: Version, to: Version, failure: LaunchFailure },
    /// A version that is installed could not become the active one.
    NotSwitched { to: Version, problem: ProblemKind },
    /// An update failed, or, without one, a check.
    Failed { way: Option<Way>, problem: ProblemKind, nodes: Vec<ReportedNode> },
    /// The version in use.
    Active(Version),
}

impl Happening {
    /// A version became the active one; `was_recalled` is whether the one before it is recalled.
    pub(crate) const fn switched(version: Version, was_recalled: bool) -> Self {
        if was_recalled { Self::Recalled(version) } else { Self::Switched(version) }
    }

    /// A switch that failed; `None` if it only waits for another launcher or for the app.
    pub(crate) fn not_switched(to: &Version, problem: &Problem) -> Option<Self> {
        let waits = matches!(problem.kind, ProblemKind::Busy | ProblemKind::VersionInUse);
        (!waits).then(|| Self::NotSwitched { to: to.clone(), problem: problem.kind })
    }

    pub(crate) const fn kind(&self) -> ReportKind {
        match self {
            Self::Offered(_) => ReportKind::Offered,
            Self::Started(_) => ReportKind::Started,
            Self::Fetched(..) => ReportKind::Fetched,
            Self::Installed(_) => ReportKind::Installed,
            Self::Switched(_) | Self::Recalled(_) => ReportKind::Switched,
            Self::Up(_) => ReportKind::Up,
            Self::RolledBack { .. } => ReportKind::RolledBack,
            Self::NotSwitched { .. } | Self::Failed { .. } => ReportKind::Failed,
            Self::Active(_) => ReportKind::Active,
        }
    }

    /// The version that the update leads to.
    pub(super) const fn to(&self) -> Option<&Version> {
        match self {
            Self::Offered(way) | Self::Started(way) | Self::Fetched(way, _) => Some(&way.to),
            Self::Installed(way) | Self::Failed { way: Some(way), .. } => Some(&way.to),
            Self::Switched(version)
            | Self::Recalled(version)
            | Self::Up(version)
            | Self::Active(version) => Some(version),
            Self::NotSwitched { to, .. } => Some(to),
            Self::RolledBack { from, .. } => Some(from),
            Self::Failed { way: None, .. } => None,
        }
    }

    pub(super) const fn way(&self) -> Option<&Way> {
        match self {
            Self::Offered(way) | Self::Started(way) | Self::Fetched(way, _) => Some(way),
            Self::Installed(way) | Self::Failed { way: Some(way), .. } => Some(way),
            _ => None,
        }
    }
}

/// The word of a value that is written as one word, or as a table with its word in `field`.
fn word(value: &impl serde::Serialize, field: &str) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    let word = value.as_str().or_else(|| value.get(field)?.as_str());
    word.unwrap_or("other").to_owned()
}

/// The word of a problem. The problem's texts, which may hold paths, stay here.
pub(super) fn problem_word(kind: ProblemKind) -> String {
    word(&kind, "")
}

pub(super) fn strategy_word(strategy: UpdateStrategy) -> String {
    word(&strategy, "")
}

/// The word of a failure to come up. What the app itself said stays here.
pub(super) const fn failure_word(failure: &LaunchFailure) -> &'static str {
    match failure {
        LaunchFailure::Crashed { .. } => "crashed",
        LaunchFailure::EndedAtOnce => "ended_at_once",
        LaunchFailure::Hung => "hung",
        LaunchFailure::Reported { .. } => "reported",
        LaunchFailure::NotStarted => "not_started",
        LaunchFailure::NeverUp => "never_up",
    }
}

/// Whether a check that failed so says something about the repository. Without a network every
/// check fails, which is nothing to report.
pub(super) const fn is_worth_a_report(problem: &Problem) -> bool {
    !matches!(problem.kind, ProblemKind::NoNetwork | ProblemKind::Busy)
}
