//! What an operator knows of all installations: the reports of launchers in a database, the numbers
//! that follow from them, and who may see these.
//!
//! In: checked reports; questions; tokens. Out: rows of numbers, the same for the page, the metrics,
//! the API and the terminal. Never: counts a report twice, loses one that it has acknowledged; an
//! address or a name of a launcher's user; a token at rest; HTTP.
//!
//! ```text
//! store     opens the database          ingest    many batches -> one transaction
//! database  SQLite or PostgreSQL        counting  reports -> what is added to which row (pure)
//! adding    sums -> rows
//! schema    the tables                  numbers   questions -> rows
//! retention what is deleted when        metrics   rows -> Prometheus' text (pure)
//! tokens    who may see and do what     sessions  logins of people with a browser
//! job, jobs what is to be done, and which worker holds it
//! words     what was decided about rollouts, and which server conducts them
//! secret    words and their digests     audit     who did what, as a chain
//! conductor numbers of a rollout -> its next step (pure)
//! ```

mod adding;
mod audit;
mod conductor;
mod counting;
mod database;
mod error;
#[cfg(test)]
mod fixture;
mod ingest;
mod job;
mod jobs;
mod metrics;
mod numbers;
mod retention;
mod schema;
mod secret;
mod sessions;
mod store;
mod tokens;
mod words;

pub(crate) use audit::AuditEntry;
#[cfg(test)]
pub(crate) use audit::Deed;
pub(crate) use conductor::{Step, Tally, step};
pub(crate) use counting::{Field, Known};
pub(crate) use error::FleetError;
pub(crate) use ingest::{Busy, Ingest};
pub(crate) use job::{Claim, Ending, Job, JobKind, JobNumbers, JobState, Lease, NewJob};
pub(crate) use jobs::new_job_id;
pub(crate) use metrics::{Measure, MeasureKind, text as metrics_text};
#[cfg(test)]
pub(crate) use numbers::FunnelRow;
pub(crate) use numbers::{
    Choices, MOST_DAYS, NodeRow, Outcome, RegionRow, Statistics, USUAL_DAYS, VersionRow, Window,
};
pub(crate) use retention::{NEWEST_REPORT, OLDEST_REPORT, keep_deleting};
pub(crate) use sessions::{Credential, SESSION_SECONDS, Session};
pub(crate) use store::{Place, Store};
pub(crate) use tokens::{LOGIN, Role, Token, TokenName};
pub(crate) use words::{About, Ended, Origin, StoredWord};

/// Seconds in an hour.
const HOUR: i64 = 60 * 60;
/// Seconds in a day.
const DAY: i64 = 24 * HOUR;
