//! Deletes what is too old to be of use, some rows at a time.
//!
//! In: a store, the time. Out: smaller tables. Never: a long transaction; a report that could still
//! come a second time.

use std::time::Duration;

use super::DAY;
use super::counting::hour_of;
use super::database::on;
use super::error::FleetError;
use super::ingest::Clock;
use super::store::Store;
use crate::error_chain;

/// How long the ids of reports stay. The server takes no report that is older than [`OLDEST_REPORT`],
/// so one that was deleted does not come again.
const REPORTS: i64 = 33 * DAY;
/// Age of the oldest report that is taken, seconds.
pub(crate) const OLDEST_REPORT: i64 = 30 * DAY;
/// How far ahead a launcher's clock may be, seconds.
pub(crate) const NEWEST_REPORT: i64 = DAY;
/// How long the steps of updates stay; an update takes no longer.
const STAGES: i64 = 90 * DAY;
/// How long it is known which installation had which version.
const MACHINES: i64 = 60 * DAY;
/// How long sums by the hour stay.
const COUNTS: i64 = 400 * DAY;
/// How long it is known what became of a job.
const JOBS: i64 = 90 * DAY;
/// How often the tables are looked at.
const INTERVAL: Duration = Duration::from_secs(60 * 60);
/// Most rows that one statement deletes.
const ROWS: i64 = 5000;

/// Deletes again and again. Several servers over one database may do it side by side.
pub(crate) async fn keep_deleting(store: Store, clock: Clock) {
    loop {
        if let Err(error) = delete_old(&store, clock()).await {
            tracing::warn!(error = error_chain::line(&error), "old reports stay for now");
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Deletes everything that is too old at `now`.
async fn delete_old(store: &Store, now: i64) -> Result<(), FleetError> {
    let tables = [
        (
            "DELETE FROM reports WHERE id IN (SELECT id FROM reports WHERE hour < $1 LIMIT $2)",
            REPORTS,
        ),
        (
            "DELETE FROM stages WHERE (update_id, stage) IN (SELECT update_id, stage FROM stages WHERE hour < $1 LIMIT $2)",
            STAGES,
        ),
        (
            "DELETE FROM machines WHERE (day, installation, app) IN (SELECT day, installation, app FROM machines WHERE day < $1 LIMIT $2)",
            MACHINES,
        ),
        (
            "DELETE FROM counts WHERE hour IN (SELECT hour FROM counts WHERE hour < $1 LIMIT $2)",
            COUNTS,
        ),
        (
            "DELETE FROM funnel WHERE hour IN (SELECT hour FROM funnel WHERE hour < $1 LIMIT $2)",
            COUNTS,
        ),
        (
            "DELETE FROM nodes WHERE hour IN (SELECT hour FROM nodes WHERE hour < $1 LIMIT $2)",
            COUNTS,
        ),
        (
            "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE state IN ('done', 'failed', 'cancelled') AND changed < $1 LIMIT $2)",
            JOBS,
        ),
    ];
    let logins = (
        "DELETE FROM sessions WHERE hash IN (SELECT hash FROM sessions WHERE expires < $1 LIMIT $2)",
        0,
    );
    for (text, age) in tables.into_iter().chain([logins]) {
        let before = hour_of(now) - age;
        loop {
            let deleted = on!(&store.database, pool, Kind => {
                let done = sqlx::query(text).bind(before).bind(ROWS).execute(pool).await;
                done.map(|done| done.rows_affected())
            });
            if deleted.map_err(FleetError::database("delete old reports"))? == 0 {
                break;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::fixture::{count, each, report};

    #[tokio::test]
    async fn what_is_old_is_deleted_and_sums_stay_longer() {
        each(async |store| {
            let then = 1_796_000_000;
            let ingest =
                crate::fleet::Ingest::begin(store.clone(), std::sync::Arc::new(move || then));
            ingest.take(vec![report(1, "up"), report(2, "failed")], 0).await.unwrap();
            let file = crate::fleet::Credential::File(String::new());
            store.log_in(&file, then).await.unwrap();
            delete_old(&store, then + 11 * crate::fleet::HOUR).await.unwrap();
            assert_eq!(count(&store, "sessions").await, 1);
            delete_old(&store, then + OLDEST_REPORT).await.unwrap();
            assert_eq!(count(&store, "sessions").await, 0);
            assert_eq!(count(&store, "audit").await, 1, "for ever");
            assert_eq!(count(&store, "reports").await, 2, "they may come again");
            delete_old(&store, then + REPORTS + 2 * DAY).await.unwrap();
            assert_eq!((count(&store, "reports").await, count(&store, "counts").await), (0, 2));
            delete_old(&store, then + STAGES + 2 * DAY).await.unwrap();
            let small = ["stages", "machines"];
            for table in small {
                assert_eq!(count(&store, table).await, 0, "{table}");
            }
            delete_old(&store, then + COUNTS + 2 * DAY).await.unwrap();
            assert_eq!((count(&store, "counts").await, count(&store, "funnel").await), (0, 0));
        })
        .await;
    }
}
