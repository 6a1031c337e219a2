//! What a person is told when something fails, as a value.

use serde::Serialize;

use crate::error_chain;

/// What a person is told when something fails: the catalogue has, for each kind, what happened,
/// why, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What kind; chooses the text.
    pub kind: ProblemKind,
    /// Path, address or version it is about; empty if there is none.
    pub subject: String,
    /// The cause chain in English, outermost first: for the log and for "details to copy".
    pub chain: Vec<String>,
}

/// Kinds of problem; each has a text in each language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// No node can be reached.
    NoNetwork,
    /// Nodes answer, but none has what is needed.
    NodesUnusable,
    /// Metadata or bytes failed verification.
    NotTrusted,
    /// Metadata has expired: nobody re-signed it, someone holds back the new one, or this clock is
    /// wrong.
    MetadataExpired,
    /// Not enough room; the subject says how much is missing.
    DiskFull,
    /// A folder or file cannot be written or read.
    DiskError,
    /// A file or folder that is needed is not there.
    FileMissing,
    /// A part of the home lies on another disk, so that nothing can be moved between the two.
    AnotherDisk,
    /// The system has no more threads, processes, open files or memory for now.
    Exhausted,
    /// Another launcher is at work in this home.
    Busy,
    /// The package or its manifest is damaged or hostile.
    BadPackage,
    /// The version asked for is neither here nor on the server.
    NoSuchVersion,
    /// The version asked for is not on this computer; nobody has looked elsewhere.
    NotInstalled,
    /// The version is in use and cannot be removed.
    VersionInUse,
    /// The user's files are of a newer form than the version knows.
    DataTooNew,
    /// The release's own migration of the user's files failed.
    MigrationFailed,
    /// Nothing is kept that could be gone back to.
    NoRollbackPoint,
    /// The app is running, and what was asked for needs it closed.
    AppRunning,
    /// The app could not be started.
    LaunchFailed,
    /// The app was started, and ended before it came up; the subject says in what way.
    DidNotStart,
    /// The disk of the home lets no program be started from it.
    ProgramsForbidden,
    /// Nothing is installed; the subject is the home.
    NothingInstalled,
    /// The repository has releases, but none for this app, channel and platform; the subject names
    /// both sides, with [`Problem::BOTH_SIDES`] between them.
    NothingForThis,
    /// Settings or the shipped root cannot be read.
    BadSettings,
    /// The release needs a newer launcher.
    LauncherTooOld,
    /// The file is no bundle, or not all of it is there.
    BundleDamaged,
    /// The file is a package, not a bundle: its signatures are not with it.
    BundleIsPackage,
    /// What is in the bundle is not what the publisher signed.
    BundleNotTrusted,
    /// The bundle is genuine but old; the subject is the day until which it counted.
    /// [`super::Command::AcceptExpired`] takes it all the same.
    BundleExpired,
    /// The bundle is genuine, but is for another app, system or channel; the subject says what it
    /// has.
    BundleUnsuitable,
    /// The bundle is genuine, but the publisher has withdrawn what it has, as the subject says.
    BundleWithdrawn,
    /// The bundle is genuine, but its release can only follow the version that the subject says, or
    /// a newer one.
    BundleTooFar,
    /// A fault of this program.
    Internal,
}

impl ProblemKind {
    /// Every kind, for the catalogue's test.
    pub const ALL: [Self; 33] = [
        Self::NoNetwork,
        Self::NodesUnusable,
        Self::NotTrusted,
        Self::MetadataExpired,
        Self::DiskFull,
        Self::DiskError,
        Self::FileMissing,
        Self::AnotherDisk,
        Self::Exhausted,
        Self::Busy,
        Self::BadPackage,
        Self::NoSuchVersion,
        Self::NotInstalled,
        Self::VersionInUse,
        Self::DataTooNew,
        Self::MigrationFailed,
        Self::NoRollbackPoint,
        Self::AppRunning,
        Self::LaunchFailed,
        Self::DidNotStart,
        Self::ProgramsForbidden,
        Self::NothingInstalled,
        Self::NothingForThis,
        Self::BadSettings,
        Self::LauncherTooOld,
        Self::BundleDamaged,
        Self::BundleIsPackage,
        Self::BundleNotTrusted,
        Self::BundleExpired,
        Self::BundleUnsuitable,
        Self::BundleWithdrawn,
        Self::BundleTooFar,
        Self::Internal,
    ];
}

impl Problem {
    /// Stands between what was wanted and what was found. Neither has it: names of apps, channels
    /// and platforms have no `/`.
    pub const BOTH_SIDES: &str = " / ";

    /// A problem from an error and its causes.
    pub fn new(
        kind: ProblemKind,
        subject: impl Into<String>,
        error: &dyn std::error::Error,
    ) -> Self {
        Self { kind, subject: subject.into(), chain: error_chain::list(error) }
    }
}
