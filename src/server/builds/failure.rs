//! Why nothing was built.
//!
//! In: errors of everything that a build needs. Out: one error, with a word for programs and a text
//! for people. Never: an address with a password.

use std::io;
use std::process::ExitStatus;

use crate::file_error::FileError;
use crate::publish::bundling::BuildError;
use crate::publish::package::PackageError;
use crate::publish::source_archive::SourceArchiveError;

/// Why nothing was built.
#[derive(Debug, thiserror::Error)]
pub(super) enum BuildFailure {
    #[error("the archive is not taken")]
    Archive(#[from] SourceArchiveError),
    #[error("there is no {reference} in {repository}, or it cannot be fetched; the log says more")]
    Git { repository: String, reference: String },
    #[error("the server's settings name no repository {0} any more")]
    Repository(String),
    #[error("the runtime of this platform cannot be had")]
    Runtime(#[source] BuildError),
    #[error("`kuzflow build` ended with {0}; the log says more")]
    Build(ExitStatus),
    #[error("it took longer than {0} minutes")]
    Time(u32),
    #[error("it needed more than {0} MB of memory")]
    Memory(u32),
    #[error("it wrote more than {0} MB")]
    Disk(u32),
    #[error("no package came of it")]
    NoPackage,
    #[error("what came of it is no package")]
    Package(#[from] PackageError),
    #[error("the package is {found}, ordered was {ordered}")]
    OtherPackage { found: String, ordered: String },
    #[error("a program cannot be started")]
    Start(#[source] io::Error),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("the order cannot be read")]
    Order(#[source] serde_json::Error),
    /// Nobody wants it any more, or the server ends.
    #[error("it was ended")]
    Over,
}

impl BuildFailure {
    /// The word for programs.
    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::Archive(_) | Self::Git { .. } | Self::Repository(_) => "source",
            Self::Runtime(_) => "runtime",
            Self::Build(_) => "build",
            Self::Time(_) => "time",
            Self::Memory(_) => "memory",
            Self::Disk(_) => "disk",
            Self::NoPackage | Self::Package(_) | Self::OtherPackage { .. } => "package",
            Self::Start(_) | Self::File(_) | Self::Order(_) | Self::Over => "server",
        }
    }
}
