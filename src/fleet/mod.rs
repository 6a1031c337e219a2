//! What an operator knows of all installations: the reports of launchers in a database, and the
//! numbers that follow from them.
//!
//! In: checked reports; questions. Out: rows of numbers, the same for the page of metrics, the API
//! and the terminal. Never: counts a report twice, loses one that it has acknowledged, an address or
//! a name of a person; HTTP.
//!
//! ```text
//! store     opens the database          ingest    many batches -> one transaction
//! database  SQLite or PostgreSQL        counting  reports -> what is added to which row (pure)
//! schema    the tables                  numbers   questions -> rows
//! retention what is deleted when        metrics   rows -> Prometheus' text (pure)
//! ```

mod counting;
mod database;
mod error;
#[cfg(test)]
mod fixture;
mod ingest;
mod metrics;
mod numbers;
mod retention;
mod schema;
mod store;

pub(crate) use error::FleetError;
pub(crate) use ingest::{Busy, Ingest};
pub(crate) use metrics::{Gauge, text as metrics_text};
pub(crate) use numbers::{Statistics, Window};
pub(crate) use retention::{NEWEST_REPORT, OLDEST_REPORT, keep_deleting};
pub(crate) use store::{Place, Store};

/// Seconds in an hour.
const HOUR: i64 = 60 * 60;
/// Seconds in a day.
const DAY: i64 = 24 * HOUR;
