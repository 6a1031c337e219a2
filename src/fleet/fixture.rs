//! A store and reports, for the tests of this room.

#![allow(clippy::unwrap_used)]

use super::database::{Database, on};
use super::store::{Place, Store};
use crate::model::report::{RandomId, Report, ReportKind};

/// The address of a PostgreSQL in which a test may make databases, if this computer has one.
const POSTGRES: &str = "KUZFLOW_TEST_POSTGRES";

/// Runs a test with an empty store in SQLite, and with one in PostgreSQL if there is a server.
pub(super) async fn each(test: impl AsyncFn(Store)) {
    each_pair(async |store, _| test(store).await).await;
}

/// The same with a second store beside it, over the same database.
pub(super) async fn each_pair(test: impl AsyncFn(Store, Store)) {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::Folder(folder.path().join("data"));
    let store = Store::open(&place).await.unwrap();
    test(store, Store::read(&place).await.unwrap()).await;
    let Ok(server) = std::env::var(POSTGRES) else {
        eprintln!("passed over in PostgreSQL: {POSTGRES} names no server");
        return;
    };
    let name = format!("kuzflow_{:016x}", fastrand::u64(..));
    let database = Database::postgres(&server).await.unwrap();
    let make = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
    on!(&database, pool, Kind => {
        sqlx::query(make).execute(pool).await.map(drop).unwrap();
    });
    let place = Place::Postgres(format!("{}/{name}", server.trim_end_matches('/')));
    let store = Store::open(&place).await.unwrap();
    test(store, Store::read(&place).await.unwrap()).await;
}

/// A report of the update `number`.
pub(super) fn report(number: u128, kind: &str) -> Report {
    let kinds = ReportKind::ALL;
    let at = kinds.iter().position(|one| one.word() == kind).unwrap() as u128;
    Report::parse(serde_json::json!({
        "id": RandomId::new(number * 100 + at), "installation": RandomId::new(number), "update": RandomId::new(number),
        "at": 0, "kind": kind, "app": "sample", "channel": "stable", "platform": "Linux_x86_64", "from": "1.0.0",
        "to": "2.0.0", "launcher": "0.1.0", "region": "Europe", "way": "patches", "bytes": 10, "full_bytes": 100,
        "milliseconds": 5, "problem": "disk_full", "reason": "crashed",
    }))
    .unwrap()
}

pub(super) async fn count(store: &Store, table: &str) -> i64 {
    let text = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
    on!(&store.database, pool, Kind => {
        sqlx::query_scalar::<_, i64>(text).fetch_one(pool).await.unwrap()
    })
}
