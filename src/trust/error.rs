//! What can go wrong between a mirror's bytes and a trusted repository, and whose fault it is.

use std::path::PathBuf;

use super::source::SourceError;

/// Any error, with its own causes.
pub(super) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why there is no trusted repository or target.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// No mirror has acceptable metadata.
    #[error("no mirror has acceptable metadata{}", list(faults))]
    Mirrors {
        /// One a mirror, in the order they were asked; empty if there was none to ask.
        faults: Vec<MirrorFault>,
    },
    /// There is no root to begin with: none is stored, and the shipped one is damaged.
    #[error("the shipped root.json cannot be used")]
    Root {
        /// Why.
        source: Cause,
    },
    /// The trusted state cannot be read or written.
    #[error("cannot keep the trusted metadata in {}", path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A target that no signed metadata names.
    #[error("no signed metadata names the target {name}")]
    UnknownTarget {
        /// Its name.
        name: String,
    },
    /// A target longer than its reader wants it.
    #[error("the target {name} has {length} bytes, at most {limit} are read")]
    TooLong {
        /// Its name.
        name: String,
        /// Its signed length.
        length: u64,
        /// What the reader allows.
        limit: u64,
    },
    /// A mirror's copy of a target is not what signed metadata says, or cannot be had.
    #[error("the target {name} cannot be read")]
    Target {
        /// Its name.
        name: String,
        /// Whose fault.
        #[source]
        fault: MirrorFault,
    },
}

impl TrustError {
    /// The kind of fault that tells a person most: of the mirrors' faults the gravest,
    /// [`MirrorFaultKind::Unreachable`] if there was no mirror; `None` for an error of this machine
    /// or of the caller.
    pub fn fault(&self) -> Option<MirrorFaultKind> {
        match self {
            Self::Mirrors { faults } => Some(
                faults.iter().map(|fault| fault.kind).max().unwrap_or(MirrorFaultKind::Unreachable),
            ),
            Self::Target { fault, .. } => Some(fault.kind),
            Self::Root { .. }
            | Self::Io { .. }
            | Self::UnknownTarget { .. }
            | Self::TooLong { .. } => None,
        }
    }
}

impl TrustError {
    /// What has expired, if that is why a bundle was refused.
    pub fn expired(&self) -> Option<&Expired> {
        match self {
            Self::Mirrors { faults } => faults.iter().find_map(|fault| fault.cause.downcast_ref()),
            _ => None,
        }
    }
}

/// A role whose document has expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{role} metadata expired at {at}")]
pub struct Expired {
    /// Which role.
    pub role: &'static str,
    /// When it expired.
    pub at: jiff::Timestamp,
    /// It only says that nothing is newer, see [`super::Freshness`].
    pub waivable: bool,
}

/// One mirror's fault.
#[derive(Debug, thiserror::Error)]
#[error("mirror {mirror} {kind}")]
pub struct MirrorFault {
    /// The mirror, as its source calls it.
    pub mirror: String,
    /// What kind of fault.
    pub kind: MirrorFaultKind,
    /// What happened.
    #[source]
    pub cause: Cause,
}

/// What is wrong with a mirror; the later, the graver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MirrorFaultKind {
    /// It does not answer.
    Unreachable,
    /// Its metadata is genuine, but older than what was seen before, or parts of the newer one are
    /// not there yet: a copy that lags.
    Behind,
    /// It answers, but with something that is no repository: a file is missing, a login page comes
    /// instead of metadata.
    Unusable,
    /// Its metadata is genuine but too old: nobody re-signed it, someone holds back the newer, or
    /// this clock is wrong.
    Expired,
    /// It hands over what was not signed, or what contradicts what was signed before, or more than
    /// was announced.
    NotTrusted,
}

impl std::fmt::Display for MirrorFaultKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "cannot be reached",
            Self::Behind => "lags behind",
            Self::Unusable => "has no usable repository",
            Self::Expired => "has expired metadata",
            Self::NotTrusted => "cannot be trusted",
        })
    }
}

fn list(faults: &[MirrorFault]) -> String {
    let lines = faults.iter().map(|fault| format!("; {fault}: {}", fault.cause));
    if faults.is_empty() { ": there is no mirror to ask".to_owned() } else { lines.collect() }
}

/// Why a document, or what a mirror answered for it, does not count.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) kind: MirrorFaultKind,
    pub(super) cause: Cause,
}

impl Refusal {
    pub(super) fn new(kind: MirrorFaultKind, cause: String) -> Self {
        Self { kind, cause: cause.into() }
    }

    pub(super) fn of(self, mirror: &str) -> MirrorFault {
        MirrorFault { mirror: mirror.to_owned(), kind: self.kind, cause: self.cause }
    }
}

impl From<SourceError> for Refusal {
    fn from(error: SourceError) -> Self {
        let kind = match error {
            SourceError::NotFound => MirrorFaultKind::Unusable,
            SourceError::TooLong { .. } => MirrorFaultKind::NotTrusted,
            SourceError::Other(_) => MirrorFaultKind::Unreachable,
        };
        Self { kind, cause: error.into() }
    }
}
