//! Deletes what is too old to be of use, some rows at a time.
//!
//! In: a store, the time. Out: smaller tables; sums of old hours become one row for each label, of the
//! hour 0, so that what `/metrics` counts since the store began never falls. Never: a long
//! transaction; a report that could still come a second time.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use super::DAY;
use super::adding::{add_counts, add_funnel, add_nodes};
use super::counting::{CountKey, FunnelKey, NodeSums, Sums, hour_of};
use super::database::on;
use super::error::FleetError;
use super::ingest::Clock;
use super::numbers::{MOST_DAYS, VERSION_DAYS};
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
const MACHINES: i64 = VERSION_DAYS * DAY;
/// How long sums stay by the hour.
const COUNTS: i64 = MOST_DAYS as i64 * DAY;
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
    while sum_up(store, hour_of(now) - COUNTS).await? > 0 {}
    Ok(())
}

/// App, channel, platform, version, region, kind and detail of a row of `counts`, and its sums.
type CountsRow = (String, String, String, String, String, String, String, i64, i64, i64, i64);

/// Adds one old hour of each table to the hour 0. Who deletes a row adds it, so several servers may do
/// it side by side. Returns how many rows were added.
async fn sum_up(store: &Store, before: i64) -> Result<usize, FleetError> {
    let failed = || FleetError::database("sum up old reports");
    let kinds = |text: String| Cow::Owned(text);
    on!(&store.database, pool, Kind => {
        let mut transaction = pool.begin().await.map_err(failed())?;
        let old: Vec<CountsRow> = sqlx::query_as(
            "DELETE FROM counts WHERE hour = (SELECT MIN(hour) FROM counts WHERE hour > 0 AND hour < $1) \
             RETURNING app, channel, platform, version, region, kind, detail, n, bytes, full_bytes, milliseconds",
        )
        .bind(before)
        .fetch_all(&mut *transaction)
        .await
        .map_err(failed())?;
        let mut rows = old.len();
        let counts: BTreeMap<CountKey, Sums> = old
            .into_iter()
            .map(|(app, channel, platform, version, region, kind, detail, n, bytes, full_bytes, milliseconds)| {
                let key = CountKey { app, channel, platform, version, region, kind: kinds(kind), detail };
                (key, Sums { n, bytes, full_bytes, milliseconds })
            })
            .collect();
        add_counts!(transaction, Kind, 0_i64, counts);
        let old: Vec<(String, String, String, String, String, i64)> = sqlx::query_as(
            "DELETE FROM funnel WHERE hour = (SELECT MIN(hour) FROM funnel WHERE hour > 0 AND hour < $1) \
             RETURNING app, channel, platform, version, stage, n",
        )
        .bind(before)
        .fetch_all(&mut *transaction)
        .await
        .map_err(failed())?;
        rows += old.len();
        let mut funnel: Vec<(FunnelKey, i64)> = old
            .into_iter()
            .map(|(app, channel, platform, version, stage, n)| {
                (FunnelKey { app, channel, platform, version, stage: kinds(stage) }, n)
            })
            .collect();
        funnel.sort();
        add_funnel!(transaction, Kind, 0_i64, funnel);
        let old: Vec<(String, String, String, i64, i64, i64)> = sqlx::query_as(
            "DELETE FROM nodes WHERE hour = (SELECT MIN(hour) FROM nodes WHERE hour > 0 AND hour < $1) \
             RETURNING app, node, region, n, bytes, faults",
        )
        .bind(before)
        .fetch_all(&mut *transaction)
        .await
        .map_err(failed())?;
        rows += old.len();
        let nodes: BTreeMap<(String, String, String), NodeSums> = old
            .into_iter()
            .map(|(app, node, region, n, bytes, faults)| ((app, node, region), NodeSums { n, bytes, faults }))
            .collect();
        add_nodes!(transaction, Kind, 0_i64, nodes);
        transaction.commit().await.map_err(failed())?;
        Ok(rows)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Window;
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
        })
        .await;
    }

    #[tokio::test]
    async fn sums_of_old_hours_become_one_row_and_nothing_is_lost() {
        each(async |store| {
            let then = 1_796_000_000;
            for (number, hour) in [(1, 0), (2, 1), (3, 2)] {
                let now = then + hour * crate::fleet::HOUR;
                let ingest =
                    crate::fleet::Ingest::begin(store.clone(), std::sync::Arc::new(move || now));
                ingest.take(vec![report(number, "fetched")], 0).await.unwrap();
            }
            let before = store.totals().await.unwrap();
            assert_eq!(count(&store, "counts").await, 3);
            // The first two hours are old.
            let now = then + COUNTS + 2 * crate::fleet::HOUR;
            delete_old(&store, now).await.unwrap();
            assert_eq!((count(&store, "counts").await, count(&store, "funnel").await), (2, 2));
            assert_eq!(store.totals().await.unwrap(), before);
            delete_old(&store, now + DAY).await.unwrap();
            delete_old(&store, now + DAY).await.unwrap();
            assert_eq!((count(&store, "counts").await, count(&store, "funnel").await), (1, 1));
            assert_eq!(store.totals().await.unwrap(), before);
            let late = Window { since: then, ..Window::all() };
            assert_eq!(store.statistics(&late).await.unwrap().outcomes, []);
        })
        .await;
    }
}
