//! Adds sums to rows: those of new reports, and those of hours that are too old to stay apart.
//!
//! In: sums by key, in order, and the hour of their rows. Out: larger rows. Never: a sum that fails,
//! whatever strangers report: a row that is very large stays as it is.

/// Inserts rows, many in a statement, or adds them to those that are there.
macro_rules! add {
    ($transaction:ident, $kind:ident, $begin:literal, $rows:expr, |$row:ident, $item:pat_param| $bind:block, $end:literal) => {
        for part in $rows.chunks($crate::fleet::database::MOST_ROWS) {
            let mut insert = sqlx::QueryBuilder::<$kind>::new($begin);
            insert.push_values(part, |mut $row, $item| $bind);
            insert.push($end);
            let done = insert.build().persistent(false).execute(&mut *$transaction).await;
            done.map_err($crate::fleet::FleetError::database("write reports"))?;
        }
    };
}

/// Adds to `counts`: `add_counts!(transaction, Kind, hour, BTreeMap<CountKey, Sums>)`.
macro_rules! add_counts {
    ($transaction:ident, $kind:ident, $hour:expr, $counts:expr) => {
        $crate::fleet::adding::add!(
            $transaction, $kind,
            "INSERT INTO counts (hour, app, channel, platform, version, region, kind, detail, n, bytes, full_bytes, milliseconds) ",
            $counts.into_iter().collect::<Vec<_>>(),
            |row, (key, sums)| {
                row.push_bind($hour)
                    .push_bind(key.app.as_str())
                    .push_bind(key.channel.as_str())
                    .push_bind(key.platform.as_str())
                    .push_bind(key.version.as_str())
                    .push_bind(key.region.as_str())
                    .push_bind(&*key.kind)
                    .push_bind(key.detail.as_str())
                    .push_bind(sums.n)
                    .push_bind(sums.bytes)
                    .push_bind(sums.full_bytes)
                    .push_bind(sums.milliseconds);
            },
            " ON CONFLICT (hour, app, channel, platform, version, region, kind, detail) DO UPDATE SET n = counts.n + excluded.n, \
             bytes = CASE WHEN counts.bytes < 4611686018427387904 THEN counts.bytes + excluded.bytes ELSE counts.bytes END, \
             full_bytes = CASE WHEN counts.full_bytes < 4611686018427387904 THEN counts.full_bytes + excluded.full_bytes ELSE counts.full_bytes END, \
             milliseconds = CASE WHEN counts.milliseconds < 4611686018427387904 THEN counts.milliseconds + excluded.milliseconds ELSE counts.milliseconds END"
        )
    };
}

/// Adds to `funnel`: `add_funnel!(transaction, Kind, hour, Vec<(FunnelKey, i64)>)`.
macro_rules! add_funnel {
    ($transaction:ident, $kind:ident, $hour:expr, $rows:expr) => {
        $crate::fleet::adding::add!(
            $transaction, $kind, "INSERT INTO funnel (hour, app, channel, platform, version, stage, n) ",
            $rows,
            |row, (key, n)| {
                row.push_bind($hour)
                    .push_bind(key.app.as_str())
                    .push_bind(key.channel.as_str())
                    .push_bind(key.platform.as_str())
                    .push_bind(key.version.as_str())
                    .push_bind(&*key.stage)
                    .push_bind(*n);
            },
            " ON CONFLICT (hour, app, channel, platform, version, stage) DO UPDATE SET n = funnel.n + excluded.n"
        )
    };
}

/// Adds to `nodes`: `add_nodes!(transaction, Kind, hour, BTreeMap<(app, node, region), NodeSums>)`.
macro_rules! add_nodes {
    ($transaction:ident, $kind:ident, $hour:expr, $nodes:expr) => {
        $crate::fleet::adding::add!(
            $transaction, $kind, "INSERT INTO nodes (hour, app, node, region, n, bytes, faults) ",
            $nodes.into_iter().collect::<Vec<_>>(),
            |row, ((app, node, region), sums)| {
                row.push_bind($hour)
                    .push_bind(app.as_str())
                    .push_bind(node.as_str())
                    .push_bind(region.as_str())
                    .push_bind(sums.n)
                    .push_bind(sums.bytes)
                    .push_bind(sums.faults);
            },
            " ON CONFLICT (hour, app, node, region) DO UPDATE SET n = nodes.n + excluded.n, \
             bytes = CASE WHEN nodes.bytes < 4611686018427387904 THEN nodes.bytes + excluded.bytes ELSE nodes.bytes END, \
             faults = CASE WHEN nodes.faults < 4611686018427387904 THEN nodes.faults + excluded.faults ELSE nodes.faults END"
        )
    };
}

pub(super) use {add, add_counts, add_funnel, add_nodes};
