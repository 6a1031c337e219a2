//! The tables.
//!
//! In: a database in any earlier form. Out: the same in the present form. Never: a change of a step
//! that was released; a new step is appended.

use super::database::{Database, on};
use super::error::FleetError;

/// Steps from an empty database to the present form. Each is one transaction; its number is its
/// place, beginning with 1.
///
/// `reports` makes ingest idempotent: a report that is there is known. `stages` counts each step of
/// an update once. In keys an unknown value is an empty text. A time of 0 never comes or has not come:
/// a token without an end, or one that is not revoked.
const STEPS: [&[&str]; 5] = [REPORTS, ACCESS, JOBS, LATEST, STEERING];

/// What launchers report.
const REPORTS: &[&str] = &[
    "CREATE TABLE reports (id TEXT PRIMARY KEY, hour BIGINT NOT NULL, body TEXT NOT NULL)",
    "CREATE INDEX reports_by_hour ON reports (hour)",
    "CREATE TABLE stages (update_id TEXT NOT NULL, stage TEXT NOT NULL, hour BIGINT NOT NULL, PRIMARY KEY (update_id, stage))",
    "CREATE INDEX stages_by_hour ON stages (hour)",
    "CREATE TABLE counts (hour BIGINT NOT NULL, app TEXT NOT NULL, channel TEXT NOT NULL, platform TEXT NOT NULL, \
     version TEXT NOT NULL, region TEXT NOT NULL, kind TEXT NOT NULL, detail TEXT NOT NULL, n BIGINT NOT NULL, \
     bytes BIGINT NOT NULL, full_bytes BIGINT NOT NULL, milliseconds BIGINT NOT NULL, \
     PRIMARY KEY (hour, app, channel, platform, version, region, kind, detail))",
    "CREATE TABLE funnel (hour BIGINT NOT NULL, app TEXT NOT NULL, channel TEXT NOT NULL, platform TEXT NOT NULL, \
     version TEXT NOT NULL, stage TEXT NOT NULL, n BIGINT NOT NULL, PRIMARY KEY (hour, app, channel, platform, version, stage))",
    "CREATE TABLE nodes (hour BIGINT NOT NULL, app TEXT NOT NULL, node TEXT NOT NULL, region TEXT NOT NULL, n BIGINT NOT NULL, \
     bytes BIGINT NOT NULL, faults BIGINT NOT NULL, PRIMARY KEY (hour, app, node, region))",
    "CREATE TABLE machines (day BIGINT NOT NULL, installation TEXT NOT NULL, app TEXT NOT NULL, channel TEXT NOT NULL, \
     platform TEXT NOT NULL, version TEXT NOT NULL, PRIMARY KEY (day, installation, app))",
    "CREATE TABLE totals (name TEXT PRIMARY KEY, n BIGINT NOT NULL)",
];

/// Who may see it, and who did what.
const ACCESS: &[&str] = &[
    "CREATE TABLE tokens (id TEXT PRIMARY KEY, name TEXT NOT NULL, hash TEXT NOT NULL UNIQUE, role TEXT NOT NULL, \
     created BIGINT NOT NULL, expires BIGINT NOT NULL, revoked BIGINT NOT NULL)",
    "CREATE UNIQUE INDEX tokens_in_use ON tokens (name) WHERE revoked = 0",
    "CREATE TABLE sessions (hash TEXT PRIMARY KEY, token TEXT NOT NULL, name TEXT NOT NULL, expires BIGINT NOT NULL)",
    "CREATE TABLE audit (number BIGINT PRIMARY KEY, at BIGINT NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL, \
     subject TEXT NOT NULL, before TEXT NOT NULL, hash TEXT NOT NULL UNIQUE)",
];

/// Work that waits for a server, and what became of it. `once` is a text of whoever asked, by which a
/// repeated request is known; `until` is the end of the owner's lease.
const JOBS: &[&str] = &[
    "CREATE TABLE jobs (id TEXT PRIMARY KEY, kind TEXT NOT NULL, once TEXT NOT NULL UNIQUE, asked_by TEXT NOT NULL, \
     state TEXT NOT NULL, payload TEXT NOT NULL, result TEXT NOT NULL, attempt BIGINT NOT NULL, owner TEXT NOT NULL, \
     until BIGINT NOT NULL, created BIGINT NOT NULL, began BIGINT NOT NULL, changed BIGINT NOT NULL, cancel BIGINT NOT NULL)",
    "CREATE INDEX jobs_by_state ON jobs (kind, state, created)",
];

/// The order of an installation's reports: see `counting::Machine`.
const LATEST: &[&str] = &["ALTER TABLE machines ADD COLUMN latest BIGINT NOT NULL DEFAULT 0"];

/// Words about rollouts with what had come of updates in the hour before each, and which server does
/// what by itself.
const STEERING: &[&str] = &[
    "CREATE TABLE words (app TEXT NOT NULL, version TEXT NOT NULL, sequence BIGINT NOT NULL, word TEXT NOT NULL, \
     signed BIGINT NOT NULL, up BIGINT NOT NULL, rolled_back BIGINT NOT NULL, failed BIGINT NOT NULL, \
     PRIMARY KEY (app, version, sequence))",
    "CREATE TABLE leases (name TEXT PRIMARY KEY, owner TEXT NOT NULL, until BIGINT NOT NULL)",
];

/// The present form.
const KNOWN: i64 = STEPS.len() as i64;

/// Brings the tables to their present form. Several servers may begin at the same time: each step
/// is done by one of them, and the others see that.
pub(super) async fn bring_up_to_date(database: &Database) -> Result<(), FleetError> {
    let made = on!(database, pool, Kind => {
        let text = "CREATE TABLE IF NOT EXISTS form (number BIGINT PRIMARY KEY)";
        sqlx::query(text).execute(pool).await.map(drop)
    });
    // In PostgreSQL this may fail where two servers do it at once; one of them has made it then.
    let mut form = match (form(database).await, made) {
        (Ok(form), _) => form,
        (Err(_), Err(error)) => return Err(FleetError::database("make the tables")(error)),
        (Err(error), Ok(())) => return Err(error),
    };
    while form < KNOWN {
        let step = usize::try_from(form).ok().and_then(|at| STEPS.get(at)).copied();
        // Another server may have done this step meanwhile; then the number is taken.
        if let Err(error) = take_step(database, form + 1, step.unwrap_or_default()).await
            && self::form(database).await? <= form
        {
            return Err(error);
        }
        form += 1;
    }
    if form > KNOWN {
        return Err(FleetError::TooNew { found: form, known: KNOWN });
    }
    Ok(())
}

async fn form(database: &Database) -> Result<i64, FleetError> {
    let number = on!(database, pool, Kind => {
        sqlx::query_scalar::<_, i64>("SELECT COALESCE(MAX(number), 0) FROM form")
            .fetch_one(pool)
            .await
    });
    number.map_err(FleetError::database("read the form of the tables"))
}

async fn take_step(
    database: &Database,
    number: i64,
    step: &'static [&'static str],
) -> Result<(), FleetError> {
    let failed = || FleetError::database("make the tables");
    on!(database, pool, Kind => {
        let mut transaction = pool.begin().await.map_err(failed())?;
        sqlx::query("INSERT INTO form (number) VALUES ($1)")
            .bind(number)
            .execute(&mut *transaction)
            .await
            .map_err(failed())?;
        for text in step {
            sqlx::query(*text).execute(&mut *transaction).await.map_err(failed())?;
        }
        transaction.commit().await.map_err(failed())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::fixture::{count, each};
    use crate::fleet::numbers::Window;

    #[tokio::test]
    async fn a_store_of_the_first_form_gets_the_later_tables_and_stays_as_it_is() {
        each(async |store| {
            on!(&store.database, pool, Kind => {
                for table in ["tokens", "sessions", "audit", "jobs", "words", "leases"] {
                    let text = sqlx::AssertSqlSafe(format!("DROP TABLE {table}"));
                    sqlx::query(text).execute(pool).await.map(drop).unwrap();
                }
                let text = "ALTER TABLE machines DROP COLUMN latest";
                sqlx::query(text).execute(pool).await.map(drop).unwrap();
                sqlx::query("DELETE FROM form WHERE number > 1").execute(pool).await.map(drop).unwrap();
                sqlx::query("INSERT INTO totals (name, n) VALUES ('dropped', 7)")
                    .execute(pool)
                    .await
                    .map(drop)
                    .unwrap();
            });
            bring_up_to_date(&store.database).await.unwrap();
            bring_up_to_date(&store.database).await.unwrap();
            assert_eq!(count(&store, "form").await, KNOWN);
            assert_eq!(count(&store, "audit").await, 0);
            assert_eq!(store.statistics(&Window::all()).await.unwrap().dropped, 7);
        })
        .await;
    }
}
