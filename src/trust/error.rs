//! Errors between a mirror's bytes and a trusted repository, and whose fault each of them is.

use crate::file_error::FileError;

/// Any error, with its own causes.
pub(super) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why there is no trusted repository or target.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// No mirror has acceptable metadata.
    #[error("no mirror has acceptable metadata{}", list(faults))]
    Mirrors {
        /// One fault for each mirror, in the order in which they were asked; empty if there was no
        /// mirror to ask.
        faults: Vec<MirrorFault>,
    },
    /// There is no root to begin with: none is stored, and the shipped one is damaged.
    #[error("the shipped root.json cannot be used")]
    Root {
        /// Why the shipped root is unusable.
        source: Cause,
    },
    /// The trusted state cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A target that no signed metadata names.
    #[error("no signed metadata names the target {name}")]
    UnknownTarget {
        /// Name of the target.
        name: String,
    },
    /// A target longer than its reader allows.
    #[error("the target {name} has {length} bytes, at most {limit} are read")]
    TooLong {
        /// Name of the target.
        name: String,
        /// Its signed length, bytes.
        length: u64,
        /// The limit of the reader, bytes.
        limit: u64,
    },
    /// A mirror's copy of a target differs from signed metadata, or cannot be fetched.
    #[error("the target {name} cannot be read")]
    Target {
        /// Name of the target.
        name: String,
        #[source]
        fault: MirrorFault,
    },
}

impl TrustError {
    /// The kind of fault that helps a person most: the gravest of the mirrors' faults, or
    /// [`MirrorFaultKind::Unreachable`] if there was no mirror; `None` for an error of this
    /// computer or of the caller.
    pub fn fault(&self) -> Option<MirrorFaultKind> {
        match self {
            Self::Mirrors { faults } => Some(
                faults.iter().map(|fault| fault.kind).max().unwrap_or(MirrorFaultKind::Unreachable),
            ),
            Self::Target { fault, .. } => Some(fault.kind),
            Self::Root { .. }
            | Self::File(_)
            | Self::UnknownTarget { .. }
            | Self::TooLong { .. } => None,
        }
    }
}

impl TrustError {
    /// The expired role, if that is why a bundle was refused.
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
    /// Name of the role.
    pub role: &'static str,
    /// When it expired.
    pub at: jiff::Timestamp,
    /// Whether a person may waive the expiry: the role only says that nothing is newer, see
    /// [`super::Freshness`].
    pub waivable: bool,
}

/// One mirror's fault.
#[derive(Debug, thiserror::Error)]
#[error("mirror {mirror} {kind}")]
pub struct MirrorFault {
    /// The mirror's name, as its source gives it.
    pub mirror: String,
    pub kind: MirrorFaultKind,
    /// The error itself.
    #[source]
    pub cause: Cause,
}

/// What is wrong with a mirror; the later, the graver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MirrorFaultKind {
    /// It does not answer.
    Unreachable,
    /// Its metadata is genuine, but older than the metadata seen before, or parts of the newer one
    /// are missing: a copy that lags behind.
    Behind,
    /// It answers, but with something that is no repository: a file is missing, or a login page
    /// comes instead of metadata.
    Unusable,
    /// Its metadata is genuine but expired: it was not signed again, someone holds back the newer
    /// one, or this computer's clock is wrong.
    Expired,
    /// It sends unsigned data, data that contradicts earlier signed data, or more bytes than
    /// announced.
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

/// Why a source returns no bytes.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The mirror answers that there is no such file. A static host may say so with 403 as well as
    /// with 404.
    #[error("there is no such file")]
    NotFound,
    /// The file is longer than the limit.
    #[error("longer than the {limit} bytes allowed")]
    TooLong {
        /// The most bytes that the caller accepts.
        limit: u64,
    },
    /// No connection, an error status, a broken or too slow body.
    #[error(transparent)]
    Other(Cause),
}

/// Why a document, or a mirror's answer to a request for it, is not accepted.
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
