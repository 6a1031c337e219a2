//! Why a server does not start, or why it ends.

use std::path::PathBuf;

use crate::file_error::FileError;
use crate::fleet::FleetError;
use crate::publish::PublishError;

/// Why a server does not start, or why it ends.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A file of the repository cannot be read.
    #[error("cannot read {} of the repository", path.display())]
    Repository { path: PathBuf, source: std::io::Error },
    /// A file of the repository has another form than its name promises.
    #[error("{} of the repository is not in the expected form", path.display())]
    Form {
        path: PathBuf,
        /// The place of the mistake in the JSON, and its kind.
        source: serde_json::Error,
    },
    /// The node's name cannot be sent in a header.
    #[error("not a node's name: {0:?}, control characters are not allowed")]
    NodeName(String),
    /// A header's name in the settings of logins.
    #[error("not a header: {0:?} in [server.login]")]
    LoginHeader(String),
    /// The HTTP client that checks other nodes cannot be made.
    #[error("cannot prepare the checks of other nodes")]
    HealthClient(#[source] reqwest::Error),
    /// The folder of the jobs that make patch packs cannot be used.
    #[error(transparent)]
    Jobs(FileError),
    /// The folder of builds cannot be used.
    #[error(transparent)]
    Builds(FileError),
    /// The system refuses threads for builds.
    #[error("cannot start the workers of builds")]
    Workers(#[source] std::io::Error),
    /// The store of reports cannot be used.
    #[error("cannot store reports")]
    Fleet(#[from] FleetError),
    /// The file with the operator's token cannot be used.
    #[error(transparent)]
    Token(FileError),
    /// Words about rollouts cannot be signed.
    #[error("cannot steer rollouts")]
    Steering(#[source] PublishError),
    /// The listening socket does not give its address, or has ended.
    #[error("cannot listen")]
    Listen(#[source] std::io::Error),
}
