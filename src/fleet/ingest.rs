//! Takes reports in: many batches at the same time become one transaction.
//!
//! In: checked reports. Out: how many of them are new, once they are safe. Never: an answer before
//! the transaction is durable; a report that counts twice; a queue without a bound.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::counting::{Additions, Bounds, FunnelKey, Labels, add_up, day_of, hour_of, is_stage};
use super::database::on;
use super::error::FleetError;
use super::store::Store;
use crate::error_chain;
use crate::model::report::Report;

/// Batches that wait at most; beyond that launchers are asked to come later.
const MOST_WAITING: usize = 256;
/// Reports in one transaction at most.
const MOST_REPORTS: usize = 2048;
/// Rows in one statement: SQLite and PostgreSQL both take 32,000 values.
const MOST_ROWS: usize = 2000;

/// Gives the time, seconds since 1970.
pub(crate) type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The entrance of a store. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Ingest(mpsc::Sender<Incoming>);

/// There is no room for more now, or the database does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Busy;

#[derive(Debug)]
struct Incoming {
    reports: Vec<Report>,
    dropped: u64,
    /// How many of the reports are new; nothing if they are not safe.
    answer: oneshot::Sender<u64>,
}

impl Ingest {
    /// Begins a task that writes into `store`. It ends after the last clone of the entrance.
    pub(crate) fn begin(store: Store, clock: Clock) -> Self {
        let (sender, received) = mpsc::channel(MOST_WAITING);
        tokio::spawn(work(store, clock, received));
        Self(sender)
    }

    /// Takes reports, which have been checked, and waits until they are safe. Returns how many of
    /// them are new.
    ///
    /// # Errors
    /// [`Busy`] if they are not safe: the launcher sends them again.
    pub(crate) async fn take(&self, reports: Vec<Report>, dropped: u64) -> Result<u64, Busy> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(Incoming { reports, dropped, answer }).map_err(|_| Busy)?;
        answered.await.map_err(|_| Busy)
    }

    /// Batches that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.0.max_capacity().saturating_sub(self.0.capacity())
    }
}

async fn work(store: Store, clock: Clock, mut received: mpsc::Receiver<Incoming>) {
    let mut bounds = Bounds::default();
    while let Some(first) = received.recv().await {
        let mut reports = first.reports.len();
        let mut group = vec![first];
        while reports < MOST_REPORTS
            && let Ok(next) = received.try_recv()
        {
            reports += next.reports.len();
            group.push(next);
        }
        match write(&store, &group, &mut bounds, clock()).await {
            Ok(mut new) => {
                for incoming in group {
                    let is_new = |report: &&Report| new.remove(report.id.as_str());
                    let accepted = incoming.reports.iter().filter(is_new).count() as u64;
                    // A client that has left does not wait for its answer.
                    let _ = incoming.answer.send(accepted);
                }
            }
            // Nobody is answered: who waits learns that its reports are not safe.
            Err(error) => {
                tracing::error!(
                    error = error_chain::line(&error),
                    reports,
                    "reports are not taken"
                );
            }
        }
    }
}

/// Writes a group in one transaction. Returns the ids that are new.
async fn write(
    store: &Store,
    group: &[Incoming],
    bounds: &mut Bounds,
    now: i64,
) -> Result<HashSet<String>, FleetError> {
    let failed = || FleetError::database("write reports");
    let mut known = HashSet::new();
    let mut reports: Vec<(&Report, Labels, String)> = group
        .iter()
        .flat_map(|incoming| &incoming.reports)
        .filter(|report| known.insert(report.id.as_str()))
        .map(|report| {
            let body = serde_json::to_string(report).unwrap_or_default();
            (report, bounds.labels(report, now), body)
        })
        .collect();
    // Two servers that write the same rows at the same time wait for each other in one order.
    reports.sort_by_key(|(report, ..)| report.id.as_str());
    let dropped = group.iter().fold(0, |sum: u64, incoming| sum.saturating_add(incoming.dropped));
    let (hour, day) = (hour_of(now), day_of(now));
    on!(&store.database, pool, Kind => {
        let mut transaction = pool.begin().await.map_err(failed())?;
        let mut new: HashSet<String> = HashSet::new();
        for part in reports.chunks(MOST_ROWS) {
            let mut insert =
                sqlx::QueryBuilder::<Kind>::new("INSERT INTO reports (id, hour, body) ");
            insert.push_values(part, |mut row, (report, _, body)| {
                row.push_bind(report.id.as_str()).push_bind(hour).push_bind(body.as_str());
            });
            insert.push(" ON CONFLICT (id) DO NOTHING RETURNING id");
            let ids: Vec<String> = insert
                .build_query_scalar()
                .persistent(false)
                .fetch_all(&mut *transaction)
                .await
                .map_err(failed())?;
            new.extend(ids);
        }
        let fresh: Vec<&(&Report, Labels, String)> =
            reports.iter().filter(|(report, ..)| new.contains(report.id.as_str())).collect();
        let mut steps: Vec<(&str, &'static str, FunnelKey)> = fresh
            .iter()
            .filter(|(report, ..)| is_stage(report.kind))
            .filter_map(|(report, labels, _)| {
                let update = report.update.as_ref()?.as_str();
                Some((update, report.kind.word(), labels.funnel(report.kind)))
            })
            .collect();
        steps.sort_by_key(|(update, stage, _)| (*update, *stage));
        let mut reached: HashSet<(String, String)> = HashSet::new();
        for part in steps.chunks(MOST_ROWS) {
            let mut insert =
                sqlx::QueryBuilder::<Kind>::new("INSERT INTO stages (update_id, stage, hour) ");
            insert.push_values(part, |mut row, (update, stage, _)| {
                row.push_bind(*update).push_bind(*stage).push_bind(hour);
            });
            insert.push(" ON CONFLICT (update_id, stage) DO NOTHING RETURNING update_id, stage");
            let rows: Vec<(String, String)> =
                insert.build_query_as().persistent(false).fetch_all(&mut *transaction).await.map_err(failed())?;
            reached.extend(rows);
        }
        let mut funnel: BTreeMap<FunnelKey, i64> = BTreeMap::new();
        for (update, stage, key) in steps {
            if reached.remove(&(update.to_owned(), stage.to_owned())) {
                *funnel.entry(key).or_default() += 1;
            }
        }
        let additions = add_up(fresh.iter().map(|(report, labels, _)| (*report, labels)));
        let Additions { counts, nodes, machines } = additions;
        let counts: Vec<_> = counts.into_iter().collect();
        for part in counts.chunks(MOST_ROWS) {
            let mut insert = sqlx::QueryBuilder::<Kind>::new(
                "INSERT INTO counts (hour, app, channel, platform, version, region, kind, detail, n, bytes, full_bytes, milliseconds) ",
            );
            insert.push_values(part, |mut row, (key, sums)| {
                row.push_bind(hour)
                    .push_bind(key.app.as_str())
                    .push_bind(key.channel.as_str())
                    .push_bind(key.platform.as_str())
                    .push_bind(key.version.as_str())
                    .push_bind(key.region.as_str())
                    .push_bind(key.kind)
                    .push_bind(key.detail.as_str())
                    .push_bind(sums.n)
                    .push_bind(sums.bytes)
                    .push_bind(sums.full_bytes)
                    .push_bind(sums.milliseconds);
            });
            insert.push(
                " ON CONFLICT (hour, app, channel, platform, version, region, kind, detail) DO UPDATE SET n = counts.n + excluded.n, \
                 bytes = counts.bytes + excluded.bytes, full_bytes = counts.full_bytes + excluded.full_bytes, \
                 milliseconds = counts.milliseconds + excluded.milliseconds",
            );
            insert.build().persistent(false).execute(&mut *transaction).await.map_err(failed())?;
        }
        let funnel: Vec<_> = funnel.into_iter().collect();
        for part in funnel.chunks(MOST_ROWS) {
            let mut insert = sqlx::QueryBuilder::<Kind>::new(
                "INSERT INTO funnel (hour, app, channel, platform, version, stage, n) ",
            );
            insert.push_values(part, |mut row, (key, n)| {
                row.push_bind(hour)
                    .push_bind(key.app.as_str())
                    .push_bind(key.channel.as_str())
                    .push_bind(key.platform.as_str())
                    .push_bind(key.version.as_str())
                    .push_bind(key.stage)
                    .push_bind(*n);
            });
            insert.push(
                " ON CONFLICT (hour, app, channel, platform, version, stage) DO UPDATE SET n = funnel.n + excluded.n",
            );
            insert.build().persistent(false).execute(&mut *transaction).await.map_err(failed())?;
        }
        let nodes: Vec<_> = nodes.into_iter().collect();
        for part in nodes.chunks(MOST_ROWS) {
            let mut insert = sqlx::QueryBuilder::<Kind>::new(
                "INSERT INTO nodes (hour, app, node, region, n, bytes, faults) ",
            );
            insert.push_values(part, |mut row, ((app, node, region), sums)| {
                row.push_bind(hour)
                    .push_bind(app.as_str())
                    .push_bind(node.as_str())
                    .push_bind(region.as_str())
                    .push_bind(sums.n)
                    .push_bind(sums.bytes)
                    .push_bind(sums.faults);
            });
            insert.push(
                " ON CONFLICT (hour, app, node, region) DO UPDATE SET n = nodes.n + excluded.n, bytes = nodes.bytes + excluded.bytes, \
                 faults = nodes.faults + excluded.faults",
            );
            insert.build().persistent(false).execute(&mut *transaction).await.map_err(failed())?;
        }
        let machines: Vec<_> = machines.into_iter().collect();
        for part in machines.chunks(MOST_ROWS) {
            let mut insert = sqlx::QueryBuilder::<Kind>::new(
                "INSERT INTO machines (day, installation, app, channel, platform, version) ",
            );
            insert.push_values(part, |mut row, ((installation, app), machine)| {
                row.push_bind(day)
                    .push_bind(installation.as_str())
                    .push_bind(app.as_str())
                    .push_bind(machine.channel.as_str())
                    .push_bind(machine.platform.as_str())
                    .push_bind(machine.version.as_str());
            });
            insert.push(
                " ON CONFLICT (day, installation, app) DO UPDATE SET channel = excluded.channel, platform = excluded.platform, \
                 version = excluded.version",
            );
            insert.build().persistent(false).execute(&mut *transaction).await.map_err(failed())?;
        }
        if dropped > 0 && !new.is_empty() {
            // Anybody may claim this number: it is bounded, so that its sum is.
            let dropped = i64::try_from(dropped).unwrap_or(i64::MAX).min(1 << 20);
            sqlx::query("INSERT INTO totals (name, n) VALUES ('dropped', $1) ON CONFLICT (name) DO UPDATE SET n = totals.n + excluded.n")
                .bind(dropped)
                .execute(&mut *transaction)
                .await
                .map_err(failed())?;
        }
        transaction.commit().await.map_err(failed())?;
        Ok(new)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::fixture::{count, each, report};
    use crate::fleet::numbers::Window;
    use crate::fleet::store::Place;
    use crate::model::report::RandomId;

    fn clock() -> Clock {
        Arc::new(|| 1_796_000_000)
    }

    #[tokio::test]
    async fn a_report_counts_once_however_often_it_comes() {
        each(async |store| {
            let ingest = Ingest::begin(store.clone(), clock());
            let both = || vec![report(1, "up"), report(1, "up"), report(2, "up")];
            assert_eq!(ingest.take(both(), 3).await, Ok(2));
            assert_eq!(ingest.take(both(), 3).await, Ok(0));
            let all = store.statistics(&Window::all()).await.unwrap();
            assert_eq!(all.outcomes.iter().map(|row| row.n).sum::<i64>(), 2);
            assert_eq!(all.dropped, 3, "of the batch that was new");
        })
        .await;
    }

    #[tokio::test]
    async fn a_step_of_an_update_counts_once_and_each_report_of_it() {
        each(async |store| {
            let ingest = Ingest::begin(store.clone(), clock());
            let again = Report { id: RandomId::new(9999), ..report(1, "failed") };
            ingest.take(vec![report(1, "failed"), report(1, "offered")], 0).await.unwrap();
            ingest.take(vec![again], 0).await.unwrap();
            let all = store.statistics(&Window::all()).await.unwrap();
            let steps: Vec<(&str, i64)> =
                all.funnel.iter().map(|row| (row.stage.as_str(), row.n)).collect();
            assert_eq!(steps, [("failed", 1), ("offered", 1)]);
            let failed = all.outcomes.iter().find(|row| row.kind == "failed").unwrap();
            assert_eq!((failed.detail.as_str(), failed.n), ("disk_full", 2));
        })
        .await;
    }

    #[tokio::test]
    async fn batches_that_come_together_get_their_own_answers() {
        each(async |store| {
            let ingest = Ingest::begin(store.clone(), clock());
            let batches = (0..40_u128).map(|number| {
                let ingest = ingest.clone();
                // Each report comes in two batches.
                tokio::spawn(async move {
                    ingest.take(vec![report(number / 2, "up"), report(100 + number, "up")], 0).await
                })
            });
            let mut accepted = 0;
            for batch in batches.collect::<Vec<_>>() {
                accepted += batch.await.unwrap().unwrap();
            }
            assert_eq!(accepted, 20 + 40);
            assert_eq!(count(&store, "reports").await, 60);
        })
        .await;
    }

    #[tokio::test]
    async fn a_store_that_is_gone_answers_nobody_and_the_reports_come_again() {
        each(async |store| {
            let ingest = Ingest::begin(store.clone(), clock());
            on!(&store.database, pool, Kind => pool.close().await);
            assert_eq!(ingest.take(vec![report(1, "up")], 0).await, Err(Busy));
        })
        .await;
    }

    #[tokio::test]
    async fn a_folder_belongs_to_one_server_and_questions_come_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::Folder(folder.path().join("data"));
        let store = Store::open(&place).await.unwrap();
        assert!(matches!(Store::open(&place).await, Err(FleetError::InUse { .. })));
        Store::read(&place).await.unwrap();
        drop(store);
        Store::open(&place).await.unwrap();
        let nowhere = Place::Folder(folder.path().join("nowhere"));
        assert!(matches!(Store::read(&nowhere).await, Err(FleetError::Missing { .. })));
        assert!(!folder.path().join("nowhere").exists());
    }
}
