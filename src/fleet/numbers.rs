//! The numbers: what the terminal, the API and the metrics show are rows of these questions.
//!
//! Numbers of bytes and the like are added as floating point numbers, exact up to nine petabytes: a sum
//! never fails, whatever strangers report.
//!
//! In: a window of time, and what is of interest. Out: rows. Never: a number that is made anywhere
//! else; a row for a single installation.

use serde::{Deserialize, Serialize};

use super::DAY;
use super::counting::day_of;
use super::database::on;
use super::error::FleetError;
use super::store::Store;

/// What is asked for. An empty text means all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Window {
    /// From this time on, seconds since 1970; the hour and the day that it is in belong to it.
    pub since: i64,
    pub app: String,
    pub channel: String,
    pub platform: String,
    pub version: String,
}

impl Window {
    /// Everything that the store knows.
    pub(crate) fn all() -> Self {
        Self::default()
    }

    /// The last days, today included, which begin at midnight UTC as the rows of the days do.
    pub(crate) fn of_days(now: i64, days: u32) -> Self {
        let before_today = i64::from(days.max(1)) - 1;
        Self { since: day_of(now) - before_today * DAY, ..Self::default() }
    }
}

/// How often something was reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub app: String,
    pub channel: String,
    pub platform: String,
    pub version: String,
    pub kind: String,
    /// The problem, the reason or the way.
    pub detail: String,
    pub n: i64,
}

/// How many updates reached a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FunnelRow {
    pub app: String,
    pub channel: String,
    pub platform: String,
    pub version: String,
    pub stage: String,
    pub n: i64,
}

/// How many installations had a version on a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VersionRow {
    /// The beginning of the day, seconds since 1970.
    pub day: i64,
    pub app: String,
    pub version: String,
    pub installations: i64,
}

/// What downloads had of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeRow {
    pub node: String,
    pub region: String,
    pub downloads: i64,
    pub bytes: i64,
    pub faults: i64,
}

/// Downloads of a region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RegionRow {
    pub region: String,
    pub downloads: i64,
    /// Bytes that were fetched.
    pub bytes: i64,
    /// Bytes of the whole packages.
    pub full_bytes: i64,
    pub milliseconds: i64,
}

/// For how many days it is known which installation had which version.
pub(crate) const VERSION_DAYS: i64 = 60;
/// For how many days sums stay by the hour, and so the most that a question is about.
pub(crate) const MOST_DAYS: u32 = 400;
/// Days of a question that names none.
pub(crate) const USUAL_DAYS: u32 = 30;

/// All numbers of a window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Statistics {
    pub outcomes: Vec<Outcome>,
    pub funnel: Vec<FunnelRow>,
    pub versions: Vec<VersionRow>,
    pub nodes: Vec<NodeRow>,
    pub regions: Vec<RegionRow>,
    /// Reports that launchers had to drop, since the store began.
    pub dropped: i64,
}

/// What the reports of a time name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Choices {
    pub apps: Vec<String>,
    pub channels: Vec<String>,
    pub platforms: Vec<String>,
    pub versions: Vec<String>,
}

/// A row of an answer becomes a value, column by column.
macro_rules! from_columns {
    ($row:ident { $($column:ident: $kind:ty),* }) => {
        impl From<($($kind,)*)> for $row {
            fn from(($($column,)*): ($($kind,)*)) -> Self {
                Self { $($column),* }
            }
        }
    };
}

from_columns!(Outcome {
    app: String,
    channel: String,
    platform: String,
    version: String,
    kind: String,
    detail: String,
    n: i64
});
from_columns!(FunnelRow {
    app: String,
    channel: String,
    platform: String,
    version: String,
    stage: String,
    n: i64
});
from_columns!(VersionRow { day: i64, app: String, version: String, installations: i64 });
from_columns!(NodeRow { node: String, region: String, downloads: i64, bytes: i64, faults: i64 });
from_columns!(RegionRow {
    region: String,
    downloads: i64,
    bytes: i64,
    full_bytes: i64,
    milliseconds: i64
});

/// The rows of a question about a window.
macro_rules! rows {
    ($store:expr, $window:expr, $columns:ty, $text:literal) => {{
        let Window { since, app, channel, platform, version } = $window;
        let rows = on!(&$store.database, pool, Kind => {
            sqlx::query_as::<_, $columns>($text)
                .bind(*since)
                .bind(app.as_str())
                .bind(channel.as_str())
                .bind(platform.as_str())
                .bind(version.as_str())
                .fetch_all(pool)
                .await
        });
        rows.map(|rows| rows.into_iter().map(Into::into).collect())
            .map_err(FleetError::database("read numbers"))
    }};
}

/// The different values of a column of `counts`.
macro_rules! values {
    ($store:expr, $since:expr, $column:literal) => {{
        let values = on!(&$store.database, pool, Kind => {
            sqlx::query_scalar::<_, String>(concat!(
                "SELECT DISTINCT ", $column, " FROM counts WHERE hour > $1 - 3600 ORDER BY ", $column, " LIMIT 1000"
            ))
            .bind($since)
            .fetch_all(pool)
            .await
        });
        values.map_err(FleetError::database("read numbers"))?
    }};
}

impl Store {
    /// All numbers of a window.
    pub(crate) async fn statistics(&self, window: &Window) -> Result<Statistics, FleetError> {
        Ok(Statistics {
            outcomes: self.outcomes(window).await?,
            funnel: self.funnel(window).await?,
            versions: self.versions(window).await?,
            nodes: self.nodes(window).await?,
            regions: self.regions(window).await?,
            dropped: self.dropped().await?,
        })
    }

    /// All sums since the store began. Who had which version on which day is no sum.
    pub(crate) async fn totals(&self) -> Result<Statistics, FleetError> {
        let window = &Window::all();
        Ok(Statistics {
            outcomes: self.outcomes(window).await?,
            funnel: self.funnel(window).await?,
            versions: Vec::new(),
            nodes: self.nodes(window).await?,
            regions: self.regions(window).await?,
            dropped: self.dropped().await?,
        })
    }

    /// How often what was reported.
    pub(crate) async fn outcomes(&self, window: &Window) -> Result<Vec<Outcome>, FleetError> {
        rows!(
            self,
            window,
            (String, String, String, String, String, String, i64),
            "SELECT app, channel, platform, version, kind, detail, CAST(SUM(n) AS BIGINT) AS n FROM counts \
             WHERE hour > $1 - 3600 AND ($2 = '' OR app = $2) AND ($3 = '' OR channel = $3) AND ($4 = '' OR platform = $4) \
             AND ($5 = '' OR version = $5) GROUP BY app, channel, platform, version, kind, detail \
             ORDER BY app, version, channel, platform, kind, detail"
        )
    }

    /// How many updates reached which step.
    pub(crate) async fn funnel(&self, window: &Window) -> Result<Vec<FunnelRow>, FleetError> {
        rows!(
            self,
            window,
            (String, String, String, String, String, i64),
            "SELECT app, channel, platform, version, stage, CAST(SUM(n) AS BIGINT) AS n FROM funnel \
             WHERE hour > $1 - 3600 AND ($2 = '' OR app = $2) AND ($3 = '' OR channel = $3) AND ($4 = '' OR platform = $4) \
             AND ($5 = '' OR version = $5) GROUP BY app, channel, platform, version, stage \
             ORDER BY app, version, channel, platform, stage"
        )
    }

    /// How many installations had which version on which day.
    pub(crate) async fn versions(&self, window: &Window) -> Result<Vec<VersionRow>, FleetError> {
        rows!(
            self,
            window,
            (i64, String, String, i64),
            "SELECT day, app, version, COUNT(*) AS installations FROM machines \
             WHERE day > $1 - 86400 AND ($2 = '' OR app = $2) AND ($3 = '' OR channel = $3) AND ($4 = '' OR platform = $4) \
             AND ($5 = '' OR version = $5) GROUP BY day, app, version ORDER BY day, app, version"
        )
    }

    /// What downloads had of which node. Nodes serve all channels, platforms and versions.
    pub(crate) async fn nodes(&self, window: &Window) -> Result<Vec<NodeRow>, FleetError> {
        let rows = on!(&self.database, pool, Kind => {
            sqlx::query_as::<_, (String, String, i64, i64, i64)>(
                "SELECT node, region, CAST(SUM(n) AS BIGINT) AS downloads, CASE WHEN SUM(CAST(bytes AS DOUBLE PRECISION)) < 9e18 THEN CAST(SUM(CAST(bytes AS DOUBLE PRECISION)) AS BIGINT) ELSE 9000000000000000000 END AS bytes, \
                 CASE WHEN SUM(CAST(faults AS DOUBLE PRECISION)) < 9e18 THEN CAST(SUM(CAST(faults AS DOUBLE PRECISION)) AS BIGINT) ELSE 9000000000000000000 END AS faults FROM nodes WHERE hour > $1 - 3600 AND ($2 = '' OR app = $2) \
                 GROUP BY node, region ORDER BY node, region",
            )
            .bind(window.since)
            .bind(window.app.as_str())
            .fetch_all(pool)
            .await
        });
        rows.map(|rows| rows.into_iter().map(Into::into).collect())
            .map_err(FleetError::database("read numbers"))
    }

    /// Downloads by region.
    pub(crate) async fn regions(&self, window: &Window) -> Result<Vec<RegionRow>, FleetError> {
        rows!(
            self,
            window,
            (String, i64, i64, i64, i64),
            "SELECT region, CAST(SUM(n) AS BIGINT) AS downloads, CASE WHEN SUM(CAST(bytes AS DOUBLE PRECISION)) < 9e18 THEN CAST(SUM(CAST(bytes AS DOUBLE PRECISION)) AS BIGINT) ELSE 9000000000000000000 END AS bytes, \
             CASE WHEN SUM(CAST(full_bytes AS DOUBLE PRECISION)) < 9e18 THEN CAST(SUM(CAST(full_bytes AS DOUBLE PRECISION)) AS BIGINT) ELSE 9000000000000000000 END AS full_bytes, CASE WHEN SUM(CAST(milliseconds AS DOUBLE PRECISION)) < 9e18 THEN CAST(SUM(CAST(milliseconds AS DOUBLE PRECISION)) AS BIGINT) ELSE 9000000000000000000 END AS milliseconds FROM counts \
             WHERE kind = 'fetched' AND hour > $1 - 3600 AND ($2 = '' OR app = $2) AND ($3 = '' OR channel = $3) \
             AND ($4 = '' OR platform = $4) AND ($5 = '' OR version = $5) GROUP BY region ORDER BY region"
        )
    }

    /// Whether anything was ever reported.
    pub(crate) async fn has_reports(&self) -> Result<bool, FleetError> {
        let hour = on!(&self.database, pool, Kind => {
            sqlx::query_scalar::<_, i64>("SELECT hour FROM counts LIMIT 1").fetch_optional(pool).await
        });
        Ok(hour.map_err(FleetError::database("read numbers"))?.is_some())
    }

    /// What reports of this time name, and so what can be asked for.
    pub(crate) async fn choices(&self, since: i64) -> Result<Choices, FleetError> {
        Ok(Choices {
            apps: values!(self, since, "app"),
            channels: values!(self, since, "channel"),
            platforms: values!(self, since, "platform"),
            versions: values!(self, since, "version"),
        })
    }

    /// Reports that launchers had to drop.
    async fn dropped(&self) -> Result<i64, FleetError> {
        let dropped = on!(&self.database, pool, Kind => {
            sqlx::query_scalar::<_, i64>("SELECT n FROM totals WHERE name = 'dropped'")
                .fetch_optional(pool)
                .await
        });
        Ok(dropped.map_err(FleetError::database("read numbers"))?.unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::fixture::{each, report};
    use super::super::ingest::Ingest;
    use super::*;

    #[test]
    fn days_begin_at_midnight_and_today_is_one_of_them() {
        let since = |days| Window::of_days(10 * DAY + 5, days).since;
        assert_eq!((since(1), since(7)), (10 * DAY, 4 * DAY));
    }

    #[tokio::test]
    async fn numbers_are_those_of_the_window() {
        each(async |store| {
            let at = |now: i64| Ingest::begin(store.clone(), Arc::new(move || now));
            at(10_000_000).take(vec![report(1, "fetched"), report(1, "up")], 0).await.unwrap();
            at(20_000_000).take(vec![report(2, "fetched"), report(2, "active")], 0).await.unwrap();
            let asked = |window: Window| {
                let store = store.clone();
                async move { store.statistics(&window).await.unwrap() }
            };
            let all = asked(Window::all()).await;
            let region = RegionRow {
                region: "Europe".to_owned(),
                downloads: 2,
                bytes: 20,
                full_bytes: 200,
                milliseconds: 10,
            };
            assert_eq!(all.regions, [region]);
            let days: Vec<(i64, i64)> =
                all.versions.iter().map(|row| (row.day, row.installations)).collect();
            assert_eq!(days, [(9_936_000, 1), (19_958_400, 1)]);
            let late = asked(Window { since: 19_999_000, ..Window::all() }).await;
            assert_eq!((late.outcomes.len(), late.versions.len()), (2, 1));
            let choices = store.choices(19_999_000).await.unwrap();
            assert_eq!(
                (choices.apps, choices.versions),
                (vec!["sample".into()], vec!["2.0.0".into()])
            );
            assert_eq!(store.choices(30_000_000).await.unwrap(), Choices::default());
            assert!(store.has_reports().await.unwrap());
            let window = |change: fn(&mut Window)| {
                let mut window = Window::all();
                change(&mut window);
                window
            };
            for (change, is_there) in [
                ((|window| window.app = "sample".to_owned()) as fn(&mut Window), true),
                (|window| window.app = "other".to_owned(), false),
                (|window| window.channel = "beta".to_owned(), false),
                (|window| window.platform = "Linux_x86_64".to_owned(), true),
                (|window| window.version = "1.0.0".to_owned(), false),
                (|window| window.version = "2.0.0' OR '1' = '1".to_owned(), false),
            ] {
                let window = window(change);
                let found = asked(window.clone()).await;
                assert_eq!(!found.outcomes.is_empty(), is_there, "{window:?}");
                assert_eq!(!found.funnel.is_empty(), is_there, "{window:?}");
            }
        })
        .await;
    }
}
