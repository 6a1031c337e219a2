//! Takes reports in: many batches at the same time become one transaction.
//!
//! In: checked reports. Out: how many of them are new, once they are safe. Never: an answer before
//! the transaction is durable; a report that counts twice; a queue without a bound.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::adding::{add, add_counts, add_funnel, add_nodes};
use super::counting::{
    Additions, Bounds, FunnelKey, Known, Labels, add_up, day_of, hour_of, is_stage,
};
use super::database::{MOST_ROWS, on};
use super::error::FleetError;
use super::store::Store;
use crate::error_chain;
use crate::model::report::Report;
use crate::mutex;

/// Batches that wait at most; beyond that launchers are asked to come later.
const MOST_WAITING: usize = 256;
/// Reports in one transaction at most.
const MOST_REPORTS: usize = 2048;
/// Dropped reports of one batch that are counted at most.
const MOST_DROPPED: u64 = 1 << 16;

/// Gives the time, seconds since 1970.
pub(crate) type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The entrance of a store. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Ingest {
    entrance: mpsc::Sender<Incoming>,
    /// When a transaction was last safe; at first, when the task began.
    committed: Arc<Mutex<Instant>>,
    known: Arc<Mutex<Arc<Known>>>,
}

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
        let (entrance, received) = mpsc::channel(MOST_WAITING);
        let ingest = Self {
            entrance,
            committed: Arc::new(Mutex::new(Instant::now())),
            known: Arc::default(),
        };
        let (committed, known) = (ingest.committed.clone(), ingest.known.clone());
        tokio::spawn(work(store, clock, received, committed, known));
        ingest
    }

    /// What the repository names from now on.
    pub(crate) fn know(&self, known: Known) {
        *mutex::lock(&self.known) = Arc::new(known);
    }

    /// Takes reports, which have been checked, and waits until they are safe. Returns how many of
    /// them are new.
    ///
    /// # Errors
    /// [`Busy`] if they are not safe: the launcher sends them again.
    pub(crate) async fn take(&self, reports: Vec<Report>, dropped: u64) -> Result<u64, Busy> {
        let (answer, answered) = oneshot::channel();
        self.entrance.try_send(Incoming { reports, dropped, answer }).map_err(|_| Busy)?;
        answered.await.map_err(|_| Busy)
    }

    /// Batches that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.entrance.max_capacity().saturating_sub(self.entrance.capacity())
    }

    /// How long ago reports were last written, or the task began.
    pub(crate) fn since_commit(&self) -> Duration {
        mutex::lock(&self.committed).elapsed()
    }
}

async fn work(
    store: Store,
    clock: Clock,
    mut received: mpsc::Receiver<Incoming>,
    committed: Arc<Mutex<Instant>>,
    known: Arc<Mutex<Arc<Known>>>,
) {
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
        bounds.known = mutex::lock(&known).clone();
        match write(&store, &group, &mut bounds, clock()).await {
            Ok(mut new) => {
                *mutex::lock(&committed) = Instant::now();
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

/// A report with its texts within the bounds, and as JSON.
struct Entry<'a> {
    report: &'a Report,
    labels: Labels,
    body: String,
}

/// The reports of a group, each id once, in the order of their ids: two servers that write the same
/// rows at the same time wait for each other in one order.
fn entries<'a>(group: &'a [Incoming], bounds: &mut Bounds, now: i64) -> Vec<Entry<'a>> {
    let mut known = HashSet::new();
    let mut entries: Vec<Entry<'a>> = group
        .iter()
        .flat_map(|incoming| &incoming.reports)
        .filter(|report| known.insert(report.id.as_str()))
        .map(|report| {
            let body = serde_json::to_string(report).unwrap_or_default();
            Entry { report, labels: bounds.labels(report, now), body }
        })
        .collect();
    entries.sort_by_key(|entry| entry.report.id.as_str());
    entries
}

/// A step of an update, and the row of the funnel that it counts in.
struct Step<'a> {
    update: &'a str,
    stage: &'static str,
    key: FunnelKey,
}

/// The steps that reports tell of, in one order.
fn steps<'a>(fresh: &[&Entry<'a>]) -> Vec<Step<'a>> {
    let mut steps: Vec<Step<'a>> = fresh
        .iter()
        .filter(|entry| is_stage(entry.report.kind))
        .filter_map(|entry| {
            let Entry { report, labels, .. } = entry;
            let update = report.update.as_ref()?.as_str();
            Some(Step { update, stage: report.kind.word(), key: labels.funnel(report.kind) })
        })
        .collect();
    steps.sort_by_key(|step| (step.update, step.stage));
    steps
}

/// What the steps that were reached for the first time add to the funnel.
fn funnel(steps: Vec<Step<'_>>, reached: Vec<(String, String)>) -> Vec<(FunnelKey, i64)> {
    let mut reached: HashSet<(String, String)> = reached.into_iter().collect();
    let mut funnel: BTreeMap<FunnelKey, i64> = BTreeMap::new();
    for Step { update, stage, key } in steps {
        if reached.remove(&(update.to_owned(), stage.to_owned())) {
            *funnel.entry(key).or_default() += 1;
        }
    }
    funnel.into_iter().collect()
}

/// Inserts rows, many in a statement, and gives those that are new:
/// `insert_new!(transaction, Kind, build_query_as, "INSERT …", rows, |row, item| { … }, " ON CONFLICT …")`.
macro_rules! insert_new {
    ($transaction:ident, $kind:ident, $build:ident, $begin:literal, $rows:expr, |$row:ident, $item:pat_param| $bind:block, $end:literal) => {{
        let mut new = Vec::new();
        for part in $rows.chunks(MOST_ROWS) {
            let mut insert = sqlx::QueryBuilder::<$kind>::new($begin);
            insert.push_values(part, |mut $row, $item| $bind);
            insert.push($end);
            let rows = insert.$build().persistent(false).fetch_all(&mut *$transaction).await;
            new.extend(rows.map_err(FleetError::database("write reports"))?);
        }
        new
    }};
}

/// How many reports the launchers of a group have dropped. A batch that has come before brings none,
/// and no batch brings more than a queue can lose: anybody may claim this number.
fn dropped(group: &[Incoming], new: &HashSet<String>) -> i64 {
    let is_new = |incoming: &&Incoming| {
        incoming.reports.iter().any(|report| new.contains(report.id.as_str()))
    };
    let counts = group.iter().filter(is_new).map(|incoming| incoming.dropped.min(MOST_DROPPED));
    counts.map(|count| i64::try_from(count).unwrap_or(0)).sum()
}

/// Writes a group in one transaction. Returns the ids that are new.
async fn write(
    store: &Store,
    group: &[Incoming],
    bounds: &mut Bounds,
    now: i64,
) -> Result<HashSet<String>, FleetError> {
    let failed = || FleetError::database("write reports");
    let entries = entries(group, bounds, now);
    let (hour, day) = (hour_of(now), day_of(now));
    on!(&store.database, pool, Kind => {
        let mut transaction = pool.begin().await.map_err(failed())?;
        let new: Vec<String> = insert_new!(
            transaction, Kind, build_query_scalar, "INSERT INTO reports (id, hour, body) ", entries,
            |row, entry| {
                row.push_bind(entry.report.id.as_str()).push_bind(hour).push_bind(entry.body.as_str());
            },
            " ON CONFLICT (id) DO NOTHING RETURNING id"
        );
        let new: HashSet<String> = new.into_iter().collect();
        let fresh: Vec<&Entry<'_>> =
            entries.iter().filter(|entry| new.contains(entry.report.id.as_str())).collect();
        let steps = steps(&fresh);
        let reached: Vec<(String, String)> = insert_new!(
            transaction, Kind, build_query_as, "INSERT INTO stages (update_id, stage, hour) ", steps,
            |row, step| {
                row.push_bind(step.update).push_bind(step.stage).push_bind(hour);
            },
            " ON CONFLICT (update_id, stage) DO NOTHING RETURNING update_id, stage"
        );
        let sums = add_up(fresh.iter().map(|entry| (entry.report, &entry.labels)));
        let Additions { counts, nodes, machines } = sums;
        add_counts!(transaction, Kind, hour, counts);
        add_funnel!(transaction, Kind, hour, funnel(steps, reached));
        add_nodes!(transaction, Kind, hour, nodes);
        add!(
            transaction, Kind, "INSERT INTO machines (day, installation, app, channel, platform, version, latest) ",
            machines.into_iter().collect::<Vec<_>>(),
            |row, ((installation, app), machine)| {
                row.push_bind(day)
                    .push_bind(installation.as_str())
                    .push_bind(app.as_str())
                    .push_bind(machine.channel.as_str())
                    .push_bind(machine.platform.as_str())
                    .push_bind(machine.version.as_str())
                    .push_bind(machine.latest);
            },
            " ON CONFLICT (day, installation, app) DO UPDATE SET channel = excluded.channel, platform = excluded.platform, \
             version = excluded.version, latest = excluded.latest WHERE excluded.latest >= machines.latest"
        );
        let dropped = dropped(group, &new);
        if dropped > 0 {
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

    #[test]
    fn a_batch_that_comes_again_beside_a_new_one_does_not_bring_its_dropped_reports_again() {
        let incoming = |number, dropped| Incoming {
            reports: vec![report(number, "up")],
            dropped,
            answer: oneshot::channel().0,
        };
        let new = HashSet::from([report(2, "up").id.to_string()]);
        assert_eq!(dropped(&[incoming(1, 9), incoming(2, 5)], &new), 5);
        assert_eq!(dropped(&[incoming(2, u64::MAX)], &new), 1 << 16);
    }

    #[tokio::test]
    async fn an_installation_has_its_latest_version_in_whichever_order_reports_come() {
        each(async |store| {
            let ingest = Ingest::begin(store.clone(), clock());
            let tells = |id, kind: &str, at, to: &str| Report {
                id: RandomId::new(id),
                at,
                to: Some(to.parse().unwrap()),
                ..report(1, kind)
            };
            let versions = async || {
                let rows = store.statistics(&Window::all()).await.unwrap().versions;
                rows.into_iter().map(|row| row.version).collect::<Vec<_>>()
            };
            let both = vec![tells(2, "active", 60, "1.0.0"), tells(1, "up", 60, "2.0.0")];
            ingest.take(both, 0).await.unwrap();
            assert_eq!(versions().await, ["2.0.0"]);
            // An older one that was late.
            ingest.take(vec![tells(3, "active", 0, "0.9.0")], 0).await.unwrap();
            assert_eq!(versions().await, ["2.0.0"]);
            ingest.take(vec![tells(4, "active", 120, "3.0.0")], 0).await.unwrap();
            assert_eq!(versions().await, ["3.0.0"]);
        })
        .await;
    }

    #[tokio::test]
    async fn no_number_that_strangers_report_makes_a_question_fail() {
        each(async |store| {
            on!(&store.database, pool, Kind => {
                for text in [
                    "INSERT INTO counts VALUES (0, 'sample', 'stable', 'Linux_x86_64', '2.0.0', 'Europe', 'fetched', 'patches', 1, $1, $1, $1)",
                    "INSERT INTO counts VALUES (1795996800, 'sample', 'stable', 'Linux_x86_64', '2.0.0', 'Europe', 'fetched', 'patches', 1, $1, $1, $1)",
                    "INSERT INTO nodes VALUES (0, 'sample', 'asia', 'Europe', 1, $1, $1)",
                    "INSERT INTO nodes VALUES (1795996800, 'sample', 'asia', 'Europe', 1, $1, $1)",
                ] {
                    sqlx::query(text).bind(8_i64 << (60 - 1)).execute(pool).await.map(drop).unwrap();
                }
            });
            let ingest = Ingest::begin(store.clone(), clock());
            ingest.take(vec![report(1, "fetched")], 0).await.unwrap();
            let all = store.statistics(&Window::all()).await.unwrap();
            assert_eq!((all.regions[0].downloads, all.nodes[0].downloads), (3, 2));
            assert!(all.regions[0].bytes > 1 << 62 && all.nodes[0].faults > 1 << 62);
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
