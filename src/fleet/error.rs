//! Why the store cannot do something.
//!
//! In: errors of the database and of files. Out: one error, without passwords. Never: an address
//! with a password.

use std::path::PathBuf;

use crate::file_error::FileError;

/// Why the store cannot do something.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The place is neither a folder nor an address of PostgreSQL.
    #[error("not a place for reports: {0}, expected a folder, or postgres://…")]
    Place(String),
    /// A file of the store.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another server works in the folder.
    #[error(
        "another server keeps its reports in {}; several servers share a PostgreSQL, one folder belongs to one server",
        folder.display()
    )]
    InUse { folder: PathBuf },
    /// There is no store yet.
    #[error("there is no store of reports in {}; `kuzflow serve --data` makes it", folder.display())]
    Missing { folder: PathBuf },
    /// A newer program has made the tables.
    #[error("the tables have the form {found}, this program knows {known}: use a newer program")]
    TooNew { found: i64, known: i64 },
    /// A token in use has this name.
    #[error("there is a token {0} already; choose another name, or revoke it first")]
    TokenExists(String),
    /// No token has this name.
    #[error("there is no token {0}; `kuzflow token list` names them")]
    NoSuchToken(String),
    /// More jobs wait than may.
    #[error("{0} jobs wait already; try again later")]
    QueueFull(i64),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Random(#[source] std::io::Error),
    /// The database refused.
    #[error("the database: cannot {action}")]
    Database {
        /// What was to be done.
        action: &'static str,
        source: sqlx::Error,
    },
}

impl FleetError {
    pub(super) fn database(action: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Database { action, source }
    }
}
