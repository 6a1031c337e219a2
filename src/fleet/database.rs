//! The two databases, so that everything else in this room is written once.
//!
//! In: a file, or the address of a PostgreSQL. Out: pools of connections. Never: a table, a query.
//!
//! [`on!`] writes the same code for both. The texts of queries suit both: placeholders `$1`, types
//! `BIGINT` and `TEXT`, `ON CONFLICT`, `RETURNING`.

use std::path::Path;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use super::error::FleetError;

/// Connections at the same time.
const CONNECTIONS: u32 = 8;
/// Rows in one statement: SQLite and PostgreSQL both take 32,000 values.
pub(super) const MOST_ROWS: usize = 2000;
/// How long a query waits for another one's lock, or for a connection.
const WAIT: Duration = Duration::from_secs(10);

/// A database.
#[derive(Clone, Debug)]
pub(super) enum Database {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// `on!(database, pool, Kind => work)`: the work with the pool of either database, whose type is
/// `Kind`.
macro_rules! on {
    ($database:expr, $pool:ident, $kind:ident => $work:expr) => {
        match $database {
            $crate::fleet::database::Database::Sqlite($pool) => {
                #[allow(dead_code)]
                type $kind = sqlx::Sqlite;
                $work
            }
            $crate::fleet::database::Database::Postgres($pool) => {
                #[allow(dead_code)]
                type $kind = sqlx::Postgres;
                $work
            }
        }
    };
}
pub(super) use on;

impl Database {
    /// Opens the file; makes it if `create`. What is committed survives a power cut.
    pub(super) async fn sqlite(file: &Path, create: bool) -> Result<Self, FleetError> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(create)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(WAIT);
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(WAIT)
            .connect_with(options)
            .await;
        pool.map(Self::Sqlite).map_err(FleetError::database("open the file"))
    }

    /// Connects with a server. It may go away and come back later.
    pub(super) async fn postgres(address: &str) -> Result<Self, FleetError> {
        let options: PgConnectOptions =
            address.parse().map_err(FleetError::database("read the address"))?;
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(WAIT)
            .connect_with(options)
            .await;
        pool.map(Self::Postgres).map_err(FleetError::database("connect"))
    }

    /// Seconds since 1970 by the database's own clock: servers whose clocks differ agree on it.
    pub(super) async fn now(&self) -> Result<i64, FleetError> {
        let text = match self {
            Self::Sqlite(_) => "SELECT CAST(strftime('%s', 'now') AS BIGINT)",
            Self::Postgres(_) => {
                "SELECT CAST(FLOOR(EXTRACT(EPOCH FROM clock_timestamp())) AS BIGINT)"
            }
        };
        let now = on!(self, pool, Kind => {
            sqlx::query_scalar::<_, i64>(text).fetch_one(pool).await
        });
        now.map_err(FleetError::database("read its clock"))
    }
}
