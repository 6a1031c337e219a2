//! Why bytes could not be fetched.
//!
//! In: what nodes and the disk answer. Out: one error with the address or the path. Never: trust in
//! what a node says of itself.

use url::Url;

use crate::file_error::FileError;
use crate::model::transfer::NodeFault;

/// What a download does with its partial file and journal, for [`FetchError::Disk`].
pub(super) const WRITE_OR_READ: &str = "write or read";

/// Why bytes could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The node says that it does not have the document (status 403, 404 or 410).
    #[error("{url} is not there (status {status})")]
    NotFound { url: Url, status: u16 },
    /// The node answered with another status than success.
    #[error("{url} answered with status {status}")]
    Status { url: Url, status: u16 },
    /// No connection, or it broke; also a redirect that is refused.
    #[error("cannot fetch {url}")]
    Http { url: Url, source: reqwest::Error },
    /// The document is larger than it may be.
    #[error("{url} has more than {limit} bytes")]
    TooLarge {
        url: Url,
        /// Bytes at most.
        limit: u64,
    },
    /// The document did not arrive in time.
    #[error("{url} did not arrive within {seconds} s")]
    TimedOut {
        url: Url,
        /// Seconds it was given.
        seconds: u64,
    },
    /// The node sent the whole object where a span of it was asked for.
    #[error("{url}: sent the whole file in place of a range")]
    Whole { url: Url },
    /// The node's answer is not the span that was asked for.
    #[error("{url}: {reason}")]
    WrongAnswer {
        url: Url,
        /// What is wrong with it.
        reason: String,
    },
    /// A node's address and the document's location do not make a URL.
    #[error("node {node}: no address for {location}")]
    Address {
        /// The node's id.
        node: String,
        /// Relative location of the document.
        location: String,
        source: url::ParseError,
    },
    /// No node was given.
    #[error("no node to fetch {location} from")]
    NoNodes {
        /// Relative location of the document.
        location: String,
    },
    /// Every node was asked, none gave acceptable bytes.
    #[error("no node has an acceptable {location}: {}", reasons.join("; "))]
    NoneAcceptable {
        /// Relative location of the document.
        location: String,
        /// One line a node.
        reasons: Vec<String>,
        /// None of them could even be reached.
        unreachable: bool,
        /// One of them sends whole objects only, so that it would be had where [`Span::whole`](super::Span::whole) is
        /// allowed.
        whole: bool,
    },
    /// Every node failed for longer than the download's patience, or was left for good.
    #[error("no node can deliver {location}: {}", describe(faults))]
    NodesFailed {
        /// Relative location of the object.
        location: String,
        /// The last fault of each node.
        faults: Vec<NodeFault>,
    },
    /// The partial file or its journal cannot be read or written.
    #[error(transparent)]
    Disk(#[from] FileError),
    /// The piece table's numbers do not fit each other.
    #[error(transparent)]
    Pieces(#[from] crate::model::pieces::InvalidPieceTable),
    /// The HTTP client could not be set up.
    #[error("cannot set up the HTTP client")]
    Setup(#[source] reqwest::Error),
    /// Somebody cancelled; verified pieces stay on disk.
    #[error("the download was cancelled")]
    Cancelled,
    /// The system has no thread for it.
    #[error("no thread for the download")]
    Thread(#[source] std::io::Error),
    /// A task of this program ended unexpectedly.
    #[error("a download task ended unexpectedly: {0}")]
    Task(String),
}

impl FetchError {
    /// Whether the node answered that the document does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// Whether this machine is the cause, so that nobody else's bytes would help.
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Disk(_) | Self::Setup(_) | Self::Task(_))
    }

    /// Whether no node could even be reached, so that the network itself is the likely cause.
    pub fn is_unreachable(&self) -> bool {
        use crate::model::transfer::FaultKind;
        match self {
            Self::Http { source, .. } => source.is_connect() || source.is_timeout(),
            Self::TimedOut { .. } | Self::NoneAcceptable { unreachable: true, .. } => true,
            Self::NodesFailed { faults, .. } => faults
                .iter()
                .all(|fault| matches!(fault.fault, FaultKind::Unreachable | FaultKind::Stalled)),
            _ => false,
        }
    }
}

fn describe(faults: &[NodeFault]) -> String {
    if faults.is_empty() {
        return "no node could be asked".to_owned();
    }
    faults
        .iter()
        .map(|fault| format!("{}: {}", fault.node, fault.detail))
        .collect::<Vec<_>>()
        .join("; ")
}
