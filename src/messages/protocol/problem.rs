//! What the user sees when something fails, as a value.

use serde::Serialize;

use crate::error_chain;

/// What the user sees when something fails. For each kind, the catalogue has three texts: what
/// happened, why, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Chooses the text.
    pub kind: ProblemKind,
    /// The path, address or version concerned; empty if there is none.
    pub subject: String,
    /// The error chain in English, outermost first: for the log and for "details to copy".
    pub chain: Vec<String>,
}

/// Kinds of problem; each has a text in each language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// No node can be reached.
    NoNetwork,
    /// Nodes answer, but none has the files that are needed.
    NodesUnusable,
    /// Metadata or bytes failed verification.
    NotTrusted,
    /// Metadata has expired: the publisher did not sign it again, someone holds back the new one,
    /// or this computer's clock is wrong.
    MetadataExpired,
    /// Too little disk space; the subject names how much is missing.
    DiskFull,
    /// The system refused to write or read a folder or file.
    DiskError,
    /// The system lets this program write no larger file.
    FileSizeLimit,
    /// A required file or folder is missing.
    FileMissing,
    /// A part of the home lies on another disk, so that files cannot be moved between the two.
    AnotherDisk,
    /// The system has no more threads, processes, open files or memory for now.
    Exhausted,
    /// Another launcher is at work in this home.
    Busy,
    /// The package or its manifest is damaged or hostile.
    BadPackage,
    /// Neither this computer nor the server has the requested version.
    NoSuchVersion,
    /// The requested version is not on this computer; the launcher did not ask the server.
    NotInstalled,
    /// The version is in use and cannot be removed.
    VersionInUse,
    /// The user's files have a newer form than the version knows.
    DataTooNew,
    /// The release's own migration of the user's files failed.
    MigrationFailed,
    /// There is no snapshot or version to return to.
    NoRollbackPoint,
    /// The app is running, and the request needs it closed.
    AppRunning,
    /// A second instance of the app is open, and the request needs each of them closed.
    OpenTwice,
    /// The system could not start the app.
    LaunchFailed,
    /// The app was started, and ended before it came up; the subject names the launch failure.
    DidNotStart,
    /// The app came up, and ended with an error soon after; the subject names how it ended.
    EndedWithError,
    /// The disk of the home allows no program to start from it.
    ProgramsForbidden,
    /// Nothing is installed; the subject is the home.
    NothingInstalled,
    /// The home holds files of another program; the subject is the home.
    HomeOfAnotherProgram,
    /// Another publisher's app of this name is installed; the subject is the home.
    AppOfAnotherPublisher,
    /// The repository has releases, but none for this app, channel and platform; the subject names
    /// both sides, with [`Problem::BOTH_SIDES`] between them.
    NothingForThis,
    /// The settings or the shipped root cannot be read.
    BadSettings,
    /// The release needs a newer launcher.
    LauncherTooOld,
    /// The file is no bundle, or is incomplete.
    BundleDamaged,
    /// The file is a package, not a bundle: it lacks the signatures.
    BundleIsPackage,
    /// The bundle's content differs from what the publisher signed.
    BundleNotTrusted,
    /// The bundle is genuine but old; the subject is the day until which it counted.
    /// [`super::Command::AcceptExpired`] takes it all the same.
    BundleExpired,
    /// The bundle is genuine, but is for another app, system or channel; the subject names its
    /// content.
    BundleUnsuitable,
    /// The bundle is genuine, but the publisher has withdrawn its release, which the subject names.
    BundleWithdrawn,
    /// The bundle is genuine, and older than the newest metadata here, which has only what is
    /// offered: whether the publisher still allows its release, which the subject names, is not
    /// known before the next connection.
    BundleUndecided,
    /// The bundle is genuine, but its release can only follow the version that the subject names,
    /// or a newer one.
    BundleTooFar,
    /// A fault of this program.
    Internal,
}

impl ProblemKind {
    /// Every kind, for the catalogue's test.
    pub const ALL: [Self; 39] = [
        Self::NoNetwork,
        Self::NodesUnusable,
        Self::NotTrusted,
        Self::MetadataExpired,
        Self::DiskFull,
        Self::DiskError,
        Self::FileSizeLimit,
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
        Self::OpenTwice,
        Self::LaunchFailed,
        Self::DidNotStart,
        Self::EndedWithError,
        Self::ProgramsForbidden,
        Self::NothingInstalled,
        Self::HomeOfAnotherProgram,
        Self::AppOfAnotherPublisher,
        Self::NothingForThis,
        Self::BadSettings,
        Self::LauncherTooOld,
        Self::BundleDamaged,
        Self::BundleIsPackage,
        Self::BundleNotTrusted,
        Self::BundleExpired,
        Self::BundleUnsuitable,
        Self::BundleWithdrawn,
        Self::BundleUndecided,
        Self::BundleTooFar,
        Self::Internal,
    ];

    /// Whether the app itself ended in a way that its user did not want. What it wrote last is then
    /// the important part.
    pub const fn is_the_apps_end(self) -> bool {
        matches!(self, Self::DidNotStart | Self::EndedWithError)
    }

    /// Whether it passes when the network or its servers are back: then the same may be tried again
    /// by itself.
    pub const fn is_of_the_network(self) -> bool {
        matches!(self, Self::NoNetwork | Self::NodesUnusable)
    }
}

impl Problem {
    /// Separates the wanted from the found in a subject. Neither side contains it: names of apps,
    /// channels and platforms have no `/`.
    pub const BOTH_SIDES: &str = " / ";

    /// Makes a problem from an error and its causes.
    pub fn new(
        kind: ProblemKind,
        subject: impl Into<String>,
        error: &dyn std::error::Error,
    ) -> Self {
        Self { kind, subject: subject.into(), chain: error_chain::list(error) }
    }
}
